//! Small changes of a serving instance: its name, and passwords. What is said is so when the call
//! answers, and the jobs bear every fault.

#![allow(clippy::unwrap_used)]

mod common;

use base::id::InstanceId;
use base::secret::Secret;
use common::{Jobs, PASSWORD, World, code, world};
use control_api::account::CreateUsersRequest;
use control_api::administrator::NewAdministrator;
use control_api::decode::decode;
use control_api::paging::Page;
use control_app::jobs::{account_password, instance_create, instance_rename};
use control_app::password::verifiers;
use control_store::jobs::StoreJobs;
use job_engine::JobDefinition;
use job_engine::kit::{self, Fault};
use serde_json::json;
use std::sync::Arc;
use topology::model::Snapshot;

const PAGE: Page = Page { offset: 0, limit: 128 };
const OTHER_PASSWORD: &str = "An0ther-Zebra+7";

impl World {
    async fn snapshot(&self, id: &str) -> Snapshot {
        self.app.snapshot(&InstanceId::parse(id).unwrap()).await.unwrap().unwrap()
    }

    async fn make_account(&self, id: &str, lifetime: i64) {
        let body = json!({"users": [{
            "name": "alice", "password": PASSWORD, "base_authority": ["SELECT"], "password_lifetime": lifetime,
        }]});
        let request: CreateUsersRequest = decode(body.to_string().as_bytes()).unwrap();
        let accounts = request.check().unwrap();
        self.app.create_accounts(&self.project, id, accounts).await.unwrap();
    }
}

fn root(password: &str) -> NewAdministrator {
    NewAdministrator { name: "root".to_owned(), password: Secret::new(password) }
}

#[tokio::test]
async fn a_password_ends_when_its_days_are_over() {
    let world = world(Jobs::Run).await;
    let (app, project) = (&world.app, &world.project);
    let id = world.running_instance(1).await;
    world.make_account(&id, 2).await;
    let listed = app.list_accounts_v3(project, &id, PAGE).await.unwrap().users.remove(0);
    assert_eq!(listed.password_lifetime, 2);
    let changed = listed.password_last_changed.clone();
    assert!(listed.expiration_time.clone().unwrap() > changed);
    let before = world.snapshot(&id).await.accounts["alice"].password_expires_ms.unwrap();
    let days = (before - control_app::time::now_ms()) as f64 / 86_400_000.0;
    assert!((1.99..=2.0).contains(&days), "{days}");

    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let other = Secret::new(OTHER_PASSWORD);
    app.reset_password(project, &id, "alice", other).await.unwrap();
    let after = world.snapshot(&id).await.accounts["alice"].password_expires_ms.unwrap();
    assert!(after > before, "the days begin anew");
    let change = |body: serde_json::Value| {
        decode::<control_api::account::UpdateUser>(body.to_string().as_bytes()).unwrap().check("")
    };
    for wrong in [-1, 65_536] {
        let error = change(json!({ "password_lifetime": wrong })).unwrap_err();
        assert_eq!(
            (error.code.code, error.field.as_deref()),
            ("DBS.280001", Some("password_lifetime"))
        );
    }
    let forever = change(json!({"password_lifetime": 0})).unwrap();
    app.update_account(project, &id, "alice", forever).await.unwrap();
    assert_eq!(world.snapshot(&id).await.accounts["alice"].password_expires_ms, None);
    assert_eq!(
        app.list_accounts_v3(project, &id, PAGE).await.unwrap().users[0].expiration_time,
        None
    );
}

#[tokio::test]
async fn a_call_answers_when_it_is_so() {
    let world = world(Jobs::Run).await;
    let (app, project) = (&world.app, &world.project);
    let id = world.running_instance(2).await;
    app.rename_instance(project, &id, "other".to_owned()).await.unwrap();
    assert_eq!(world.snapshot(&id).await.instance_name, "other");
    assert_eq!(world.status(&id).await, "RUNNING");
    app.set_administrator(project, &id, root(PASSWORD)).await.unwrap();
    app.set_administrator(project, &id, root(OTHER_PASSWORD)).await.unwrap();
    assert_eq!(world.snapshot(&id).await.accounts["root"].verifiers, verifiers(OTHER_PASSWORD));
    assert_eq!(world.status(&id).await, "RUNNING");
}

/// Begins the job, looks at the status, and lets the kit run it.
async fn run_kit(
    world: &World,
    fault: Fault,
    id: &str,
    status: &str,
    definition: fn() -> JobDefinition<Arc<control_app::App>>,
    begin: impl AsyncFnOnce() -> String,
) {
    let store = Arc::new(StoreJobs(world.store.clone()));
    let row = kit::run(store, world.app.clone(), definition, fault, async |_| {
        let job_id = begin().await;
        assert_eq!(world.status(id).await, status);
        let second = world.app.begin_rename(&world.project, id, "second".to_owned()).await;
        assert_eq!(code(second), ("DBS.200076", 409));
        job_id
    })
    .await;
    kit::assert_ended(&row, fault);
    assert_eq!(world.status(id).await, "RUNNING", "{fault:?}");
    let left: Vec<String> =
        world.keys().await.into_iter().filter(|key| key.starts_with("locks/")).collect();
    assert_eq!(left, Vec::<String>::new(), "{fault:?}");
}

async fn bought(world: &World) -> String {
    let (id, _) = world.buy(2).await;
    let list = world.store.list("jobs-unfinished/").await.unwrap().0;
    let create = list[0].key.trim_start_matches("jobs-unfinished/").to_owned();
    let store = Arc::new(StoreJobs(world.store.clone()));
    kit::run(store, world.app.clone(), instance_create::definition, Fault::None, async |_| create)
        .await;
    id
}

#[tokio::test]
async fn renaming_bears_every_fault() {
    let world = world(Jobs::LeaveToKit).await;
    let id = bought(&world).await;
    let (app, project) = (&world.app, &world.project);
    for (index, fault) in
        kit::faults(instance_rename::definition().steps.len()).into_iter().enumerate()
    {
        let before = world.snapshot(&id).await.instance_name;
        let name = format!("name-{index}");
        run_kit(&world, fault, &id, "MODIFY_NAME", instance_rename::definition, async || {
            app.begin_rename(project, &id, name.clone()).await.unwrap()
        })
        .await;
        let wanted = if kit::completes(fault) { name } else { before };
        assert_eq!(world.snapshot(&id).await.instance_name, wanted, "{fault:?}");
    }
}

#[tokio::test]
async fn setting_a_password_bears_every_fault() {
    let world = world(Jobs::LeaveToKit).await;
    let id = bought(&world).await;
    let (app, project) = (&world.app, &world.project);
    world.make_account(&id, 0).await;
    let passwords = [PASSWORD, OTHER_PASSWORD];
    let mut present = 0;
    for fault in kit::faults(account_password::definition().steps.len()) {
        let new = Secret::new(passwords[1 - present]);
        run_kit(&world, fault, &id, "RESET_PASSWORD", account_password::definition, async || {
            app.begin_reset_password(project, &id, "alice", &new).await.unwrap()
        })
        .await;
        if kit::completes(fault) {
            present = 1 - present;
        }
        let accounts = world.snapshot(&id).await.accounts;
        assert_eq!(accounts["alice"].verifiers, verifiers(passwords[present]), "{fault:?}");
        assert!(!accounts.contains_key("root"));

        let new = root(PASSWORD);
        run_kit(&world, fault, &id, "RESET_PASSWORD", account_password::definition, async || {
            app.begin_set_administrator(project, &id, &new).await.unwrap()
        })
        .await;
        let made = world.snapshot(&id).await.accounts.contains_key("root");
        assert_eq!(made, kit::completes(fault), "an administrator that failed is none: {fault:?}");
        if made {
            let key = format!("accounts/{id}/root");
            let gone = vec![control_store::Write::Delete { key }];
            world.store.txn(Vec::new(), gone).await.unwrap();
        }
    }
    for entry in world.store.list("").await.unwrap().0 {
        let text = String::from_utf8_lossy(&entry.value);
        assert!(
            !text.contains(PASSWORD) && !text.contains("Zebra"),
            "{} holds a password",
            entry.key
        );
    }
}
