//! Instances: calls, and their jobs under every fault.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Jobs, PASSWORD, World, code, world};
use control_api::instance::RestartKind;
use control_api::job::TimeRange;
use control_api::paging::Page;
use control_app::jobs::{instance_create, instance_delete, instance_restart};
use control_store::jobs::StoreJobs;
use job_engine::kit::{self, Fault};
use serde_json::json;
use std::sync::Arc;

const PAGE: Page = Page { offset: 0, limit: 10 };

#[tokio::test]
async fn an_instance_lives_and_dies() {
    let world = world(Jobs::Run).await;
    let app = &world.app;
    let made = world
        .try_buy(|body| {
            body["instance"]["node_num"] = json!(3);
            body["instance"]["admin_user_name"] = json!("root");
            body["instance"]["admin_user_password"] = json!(PASSWORD);
        })
        .await
        .unwrap();
    assert_eq!(made.order_id, None);
    let job = made.job_id.unwrap();
    app.jobs().wait(&job).await.unwrap();

    let shown = app.show_instance(&world.project, &made.id).await.unwrap();
    assert_eq!(
        (shown.row.status.as_str(), shown.row.node_status.as_str(), shown.row.node_count),
        ("RUNNING", "RUNNING", 3)
    );
    assert_eq!(shown.admin_user_name.as_deref(), Some("root"));
    assert_eq!((shown.row.core_count.as_str(), shown.row.ram_capacity.as_str()), ("2", "4"));
    let nodes = app.list_nodes(&world.project, &made.id, PAGE).await.unwrap();
    assert_eq!(
        nodes.nodes.iter().map(|node| node.status.as_str()).collect::<Vec<_>>(),
        ["normal"; 3]
    );
    for node in &nodes.nodes {
        let detail = app.show_node(&world.project, &made.id, &node.node_id).await.unwrap();
        let spec = world.nodes.spec(&base::id::NodeId::parse(&node.node_id).unwrap()).unwrap();
        assert_eq!(detail.private_ip, spec.listen[0].ip().to_string());
        assert_eq!(
            spec.shared_listen[0].to_string(),
            format!("{}:{}", shown.row.access_ip, shown.row.access_port)
        );
        assert_eq!(spec.memory_limit_mb, 4096);
    }

    let shown_job = app.show_job(&world.project, &job).await.unwrap().job;
    assert_eq!(
        (shown_job.name.as_str(), shown_job.status.as_str()),
        ("CreateInstance", "Completed")
    );
    assert_eq!((shown_job.instance.id, shown_job.process), (made.id.clone(), String::new()));
    let range = TimeRange::new(None, None, control_app::time::now_ms() + 1000).unwrap();
    assert_eq!(app.list_jobs(&world.project, range, PAGE).await.unwrap().total, 1);

    app.rename_instance(&world.project, &made.id, "renamed".to_owned()).await.unwrap();
    let listed = app.list_instances(&world.project, PAGE).await.unwrap();
    assert_eq!((listed.instances[0].name.as_str(), listed.total_record), ("renamed", 1));

    let starts = world.nodes.starts.lock().unwrap().len();
    let restart = app.restart_instance(&world.project, &made.id, RestartKind::Soft).await.unwrap();
    assert_eq!(
        code(app.restart_instance(&world.project, &made.id, RestartKind::Hard).await),
        ("DBS.200076", 409)
    );
    app.jobs().wait(&restart.job_id).await.unwrap();
    assert_eq!(world.status(&made.id).await, "RUNNING");
    assert_eq!(world.nodes.starts.lock().unwrap().len(), starts + 3);

    let delete = app.delete_instance(&world.project, &made.id, false).await.unwrap();
    app.jobs().wait(&delete.job_id).await.unwrap();
    assert_eq!(world.keys().await, Vec::<String>::new(), "nothing is left");
    assert_eq!(world.nodes.count(), 0);
    assert_eq!(code(app.show_instance(&world.project, &made.id).await).1, 404);
}

#[tokio::test]
async fn what_a_request_names_must_exist() {
    let world = world(Jobs::Run).await;
    for (field, value, expected) in [
        ("flavor_id", json!("x"), ("DBS.280001", 400)),
        ("engine_id", json!("x"), ("DBS.280001", 400)),
        ("available_zones", json!(["az9"]), ("DBS.280001", 400)),
        ("vpc_id", json!("x"), ("DBS.280001", 400)),
        ("subnet_id", json!("x"), ("DBS.280001", 400)),
        ("security_group_id", json!("x"), ("DBS.280305", 400)),
        ("param_group_id", json!("x"), ("DBS.200057", 400)),
        ("node_num", json!(32), ("", 0)),
    ] {
        let result = world.try_buy(|body| body["instance"][field] = value.clone()).await;
        if expected.1 == 0 {
            result.unwrap();
        } else {
            assert_eq!(code(result), expected, "{field}");
        }
    }
    let weak = world
        .try_buy(|body| {
            body["instance"]["admin_username"] = json!("root");
            body["instance"]["admin_password"] = json!("Password1!");
        })
        .await;
    assert_eq!(code(weak), ("DBS.300306", 400));
    world.buy(1).await;
    world.buy(1).await;
    assert_eq!(code(world.try_buy(|_| ()).await), ("DBS.280413", 413), "the quota is 3");
}

#[tokio::test]
async fn other_projects_objects_do_not_exist() {
    let world = world(Jobs::Run).await;
    let (id, job) = world.buy(1).await;
    let stranger = base::id::ProjectId::random();
    assert_eq!(code(world.app.show_instance(&stranger, &id).await).1, 404);
    assert_eq!(code(world.app.delete_instance(&stranger, &id, true).await).1, 404);
    assert_eq!(code(world.app.show_job(&stranger, &job.unwrap()).await), ("DBS.300400", 404));
    assert_eq!(world.app.list_instances(&stranger, PAGE).await.unwrap().total_record, 0);
    for id in ["", "x", "../instances", &"0".repeat(36)] {
        assert_eq!(code(world.app.show_instance(&world.project, id).await).1, 404);
    }
}

#[tokio::test]
async fn a_prepaid_instance_waits_for_its_payment() {
    let world = world(Jobs::Run).await;
    let app = &world.app;
    let order = |pay: bool| {
        move |body: &mut serde_json::Value| {
            body["extend_param"] = json!({"charge_mode": "prePaid", "period_type": "month", "period_num": 1, "is_auto_pay": pay.to_string()});
        }
    };
    let waits = world.try_buy(order(false)).await.unwrap();
    assert_eq!(waits.job_id, None);
    let order_id = waits.order_id.unwrap();
    assert_eq!(world.status(&waits.id).await, "CREATING");
    assert_eq!(
        code(app.rename_instance(&world.project, &waits.id, "other".to_owned()).await),
        ("DBS.200076", 409)
    );
    assert_eq!(code(app.pay_order(&world.project, "x").await).1, 404);
    let paid = app.pay_order(&world.project, &order_id).await.unwrap();
    app.jobs().wait(&paid.job_id).await.unwrap();
    assert_eq!(world.status(&waits.id).await, "RUNNING");
    assert_eq!(code(app.pay_order(&world.project, &order_id).await), ("DBS.280409", 409));

    let unpaid = world.try_buy(order(false)).await.unwrap();
    let delete = app.delete_instance(&world.project, &unpaid.id, false).await.unwrap();
    app.jobs().wait(&delete.job_id).await.unwrap();
    assert_eq!(code(app.show_instance(&world.project, &unpaid.id).await).1, 404);

    let at_once = world.try_buy(order(true)).await.unwrap();
    assert!(at_once.order_id.is_some());
    app.jobs().settle().await;
    assert_eq!(world.status(&at_once.id).await, "RUNNING");
}

#[tokio::test]
async fn the_reconciler_brings_nodes_back() {
    let world = world(Jobs::Run).await;
    let id = world.running_instance(2).await;
    assert!(world.app.reconcile_nodes().await.unwrap().is_empty());
    let nodes = world.app.list_nodes(&world.project, &id, PAGE).await.unwrap().nodes;
    let dead = base::id::NodeId::parse(&nodes[0].node_id).unwrap();
    provision::NodeProvisioner::stop_node(&*world.nodes, &dead, provision::Stop::Kill)
        .await
        .unwrap();
    let shown = world.app.show_instance(&world.project, &id).await.unwrap();
    assert_eq!(
        (shown.row.node_status.as_str(), shown.nodes[0].status.as_str()),
        ("ERROR", "ERROR")
    );
    assert_eq!(world.app.reconcile_nodes().await.unwrap().len(), 1);
    assert_eq!(
        world.app.show_instance(&world.project, &id).await.unwrap().row.node_status,
        "RUNNING"
    );
}

#[tokio::test]
async fn accounts_are_checked_kept_and_published() {
    let world = world(Jobs::Run).await;
    let app = &world.app;
    let id = world.running_instance(1).await;
    let instance_id = base::id::InstanceId::parse(&id).unwrap();
    let create = |body: serde_json::Value| {
        let request: control_api::account::CreateUsersRequest =
            control_api::decode::decode(json!({ "users": body }).to_string().as_bytes()).unwrap();
        app.create_accounts(&world.project, &id, request.check().unwrap())
    };
    let user = |name: &str| json!({"name": name, "password": PASSWORD, "base_authority": ["SELECT", "INSERT"]});

    let before = app.snapshot(&instance_id).await.unwrap().unwrap();
    create(json!([user("alice"), user("Alice")])).await.unwrap();
    let after = app.snapshot(&instance_id).await.unwrap().unwrap();
    assert!(
        after.version > before.version && after.accounts.len() == 2,
        "names are case-sensitive"
    );
    assert_eq!(after.accounts["alice"].verifiers, control_app::password::verifiers(PASSWORD));
    assert_eq!(world.publisher.published.lock().unwrap().last(), Some(&instance_id));

    assert_eq!(code(create(json!([user("alice")])).await), ("DBS.300311", 400));
    let mut weak = user("bob");
    weak["password"] = json!("Password1!");
    assert_eq!(code(create(json!([weak])).await), ("DBS.300306", 400));
    let mut lost = user("bob");
    lost["databases"] = json!([{"name": "nowhere"}]);
    assert_eq!(code(create(json!([lost])).await), ("DBS.300300", 400));
    let many: Vec<_> = (0..99).map(|n| user(&format!("u{n}"))).collect();
    assert_eq!(code(create(json!(many)).await), ("DBS.300300", 400), "at most 100");

    let change = |body: serde_json::Value| {
        let request: control_api::account::UpdateUser =
            control_api::decode::decode(body.to_string().as_bytes()).unwrap();
        request.check("").unwrap()
    };
    app.update_account(
        &world.project,
        &id,
        "alice",
        change(json!({"base_authority": ["DROP"], "description": "d"})),
    )
    .await
    .unwrap();
    let listed = app.list_accounts(&world.project, &id, PAGE).await.unwrap();
    let alice = listed.users.iter().find(|user| user.name == "alice").unwrap();
    assert_eq!(
        (alice.base_authority.as_slice(), alice.description.as_str()),
        (&["DROP".to_owned()][..], "d")
    );
    let missing = app
        .update_account(&world.project, &id, "nobody", change(json!({"description": "d"})))
        .await;
    assert_eq!(code(missing), ("DBS.300327", 404));
    let lost = app
        .update_account(
            &world.project,
            &id,
            "alice",
            change(json!({"databases": [{"name": "no"}]})),
        )
        .await;
    assert_eq!(code(lost), ("DBS.300301", 400));

    let secret = |text: &str| base::secret::Secret::new(text);
    app.reset_password(&world.project, &id, "alice", secret("An0ther-Zebra+7")).await.unwrap();
    let snapshot = app.snapshot(&instance_id).await.unwrap().unwrap();
    assert_eq!(
        snapshot.accounts["alice"].verifiers,
        control_app::password::verifiers("An0ther-Zebra+7")
    );
    assert_eq!(
        code(app.reset_password(&world.project, &id, "alice", secret("short")).await),
        ("DBS.300306", 400)
    );
    assert_eq!(
        code(app.reset_password(&world.project, &id, "nobody", secret(PASSWORD)).await),
        ("DBS.300327", 404)
    );

    let administrator = |name: &str, password: &str| control_api::administrator::NewAdministrator {
        name: name.to_owned(),
        password: secret(password),
    };
    assert_eq!(
        code(app.set_administrator(&world.project, &id, administrator("alice", PASSWORD)).await),
        ("DBS.300311", 400)
    );
    app.set_administrator(&world.project, &id, administrator("root", PASSWORD)).await.unwrap();
    app.set_administrator(&world.project, &id, administrator("root", "An0ther-Zebra+7"))
        .await
        .unwrap();
    assert_eq!(
        code(app.set_administrator(&world.project, &id, administrator("boss", PASSWORD)).await),
        ("DBS.300305", 400)
    );
    assert_eq!(code(create(json!([user("root")])).await), ("DBS.300311", 400));
    assert_eq!(code(app.delete_account(&world.project, &id, "root").await), ("DBS.300327", 404));
    assert_eq!(
        app.list_accounts(&world.project, &id, PAGE).await.unwrap().total_record,
        2,
        "without the administrator"
    );

    app.delete_account(&world.project, &id, "alice").await.unwrap();
    let snapshot = app.snapshot(&instance_id).await.unwrap().unwrap();
    assert_eq!(snapshot.accounts.keys().collect::<Vec<_>>(), ["Alice", "root"]);
    assert!(snapshot.accounts["root"].administrator);

    for entry in world.store.list("").await.unwrap().0 {
        let text = String::from_utf8_lossy(&entry.value);
        assert!(
            !text.contains(PASSWORD) && !text.contains("Zebra"),
            "{} holds a password",
            entry.key
        );
    }
}

async fn run_kit(world: &World, fault: Fault, kind: Kind, id: &str) -> job_engine::JobRow {
    let store = Arc::new(StoreJobs(world.store.clone()));
    let definition = move || match kind {
        Kind::Create => instance_create::definition(),
        Kind::Restart => instance_restart::definition(),
        Kind::Delete => instance_delete::definition(),
    };
    let row = kit::run(store, world.app.clone(), definition, fault, async |_| match kind {
        Kind::Create => {
            let list = world.store.list("jobs-unfinished/").await.unwrap().0;
            list[0].key.trim_start_matches("jobs-unfinished/").to_owned()
        }
        Kind::Restart => {
            world.app.restart_instance(&world.project, id, RestartKind::Soft).await.unwrap().job_id
        }
        Kind::Delete => world.app.delete_instance(&world.project, id, true).await.unwrap().job_id,
    })
    .await;
    kit::assert_ended(&row, fault);
    row
}

#[derive(Clone, Copy)]
enum Kind {
    Create,
    Restart,
    Delete,
}

#[tokio::test]
async fn jobs_of_instances_bear_every_fault() {
    let world = world(Jobs::LeaveToKit).await;
    for fault in kit::faults(instance_create::definition().steps.len()) {
        let (id, _) = world.buy(2).await;
        let row = run_kit(&world, fault, Kind::Create, &id).await;
        let shown = world.app.show_instance(&world.project, &id).await.unwrap();
        if kit::completes(fault) {
            assert_eq!(
                (shown.row.status.as_str(), world.nodes.count()),
                ("RUNNING", 2),
                "{fault:?}"
            );
        } else {
            assert_eq!(
                (shown.row.status.as_str(), world.nodes.count()),
                ("CREATEFAILED", 0),
                "{fault:?}"
            );
            assert_eq!(
                (shown.row.node_status.as_str(), shown.row.error_msg),
                ("CREATEFAILED", row.fail_reason)
            );
        }
        run_kit(&world, Fault::None, Kind::Delete, &id).await;
        assert_eq!(world.keys().await, Vec::<String>::new(), "{fault:?}");
    }

    let (id, _) = world.buy(2).await;
    run_kit(&world, Fault::None, Kind::Create, &id).await;
    for fault in kit::faults(instance_restart::definition().steps.len()) {
        run_kit(&world, fault, Kind::Restart, &id).await;
        let wanted = if kit::completes(fault) { "RUNNING" } else { "ERROR" };
        assert_eq!(world.status(&id).await, wanted, "{fault:?}");
    }

    for fault in kit::faults(instance_delete::definition().steps.len()) {
        // Left from the fault before, or bought anew.
        let present = world.app.list_instances(&world.project, PAGE).await.unwrap().instances;
        let id = match present.first() {
            Some(instance) => instance.id.clone(),
            None => {
                let (id, _) = world.buy(1).await;
                run_kit(&world, Fault::None, Kind::Create, &id).await;
                id
            }
        };
        run_kit(&world, fault, Kind::Delete, &id).await;
        match world.app.show_instance(&world.project, &id).await {
            Ok(shown) => {
                assert!(!kit::completes(fault), "{fault:?}");
                assert_eq!(shown.row.status, "ERROR");
                let restart =
                    world.app.restart_instance(&world.project, &id, RestartKind::Soft).await;
                assert_eq!(code(restart), ("DBS.200076", 409), "it can only be deleted");
            }
            Err(_) => assert_eq!(world.keys().await, Vec::<String>::new(), "{fault:?}"),
        }
    }
}
