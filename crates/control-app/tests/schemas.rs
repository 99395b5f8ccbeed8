//! Schemas on two real MariaDB servers: what is made and taken away there, the documented refusals,
//! and both jobs under every fault.

#![allow(clippy::unwrap_used)]

mod common;

use common::data_nodes::{on_servers, used, world_with};
use common::{Jobs, PASSWORD, World, code};
use control_api::decode::decode;
use control_api::paging::Page;
use control_api::schema::CreateDatabasesRequest;
use control_app::data_node::{HELPER_DATABASE, account_name};
use control_app::jobs::{instance_delete, schema_create, schema_delete};
use control_store::jobs::StoreJobs;
use job_engine::JobDefinition;
use job_engine::kit::{self, Fault};
use provision::mariadb_local::LocalDataNode;
use provision::{AdminLogin, DataNodeAdmin, SqlDataNodeAdmin};
use serde_json::{Value, json};
use std::sync::Arc;

const PAGE: Page = Page { offset: 0, limit: 10 };

/// Databases and accounts that a test left on a server.
async fn traces(node: &LocalDataNode) -> (Vec<String>, Vec<String>) {
    let admin = SqlDataNodeAdmin::new();
    let mut databases = admin.list_databases(&node.login(), "").await.unwrap();
    databases.sort();
    let users = admin
        .query(&node.login(), "SELECT user FROM mysql.user WHERE user LIKE 'DDMRW%'")
        .await
        .unwrap();
    (databases, users.rows.into_iter().map(|row| row[0].clone().unwrap()).collect())
}

async fn assert_clean(nodes: &[LocalDataNode], what: &str) {
    for node in nodes {
        assert_eq!(traces(node).await, (vec![], vec![]), "{what}: {}", node.name);
    }
}

impl World {
    async fn create(&self, id: &str, body: Value) -> Result<String, base::api_error::ApiError> {
        let request: CreateDatabasesRequest =
            decode(json!({ "databases": [body] }).to_string().as_bytes())?;
        Ok(self.app.create_schemas(&self.project, id, &request.check()?).await?.remove(0))
    }

    async fn schema_status(&self, id: &str, name: &str) -> String {
        self.app.show_schema(&self.project, id, name).await.unwrap().database.status
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_on_real_servers() {
    on_servers(2, 0, |nodes| async move {
        a_schema_lives_and_dies(&nodes).await;
        refusals(&nodes).await;
        two_schemas_share_a_data_node(&nodes).await;
        jobs_bear_every_fault(&nodes).await;
        an_instance_goes_with_its_data(&nodes).await;
    })
    .await;
}

async fn a_schema_lives_and_dies(nodes: &[LocalDataNode]) {
    let world = world_with(Jobs::Run, nodes).await;
    let app = &world.app;
    let id = world.running_instance(1).await;
    let instance_id = base::id::InstanceId::parse(&id).unwrap();
    let available = app.list_available_data_nodes(&world.project, &id, PAGE).await.unwrap();
    assert_eq!(
        available.instances.iter().map(|node| node.port).collect::<Vec<_>>(),
        [nodes[0].port, nodes[1].port]
    );
    assert_eq!(available.instances[0].engine_name, "mysql");

    let body = json!({"name": "shop", "shard_mode": "cluster", "shard_number": 8, "used_rds": [used(&nodes[0]), used(&nodes[1])]});
    let job = world.create(&id, body.clone()).await.unwrap();
    app.jobs().wait(&job).await.unwrap();
    let shown = app.show_schema(&world.project, &id, "SHOP").await.unwrap().database;
    assert_eq!((shown.status.as_str(), shown.shard_number, shown.shard_unit), ("RUNNING", 8, 4));
    assert_eq!(
        shown.used_rds.iter().map(|node| node.status.as_str()).collect::<Vec<_>>(),
        ["normal"; 2]
    );
    let listed = app.list_schemas(&world.project, &id, PAGE).await.unwrap();
    assert_eq!((listed.total, listed.databases[0].name.as_str()), (1, "shop"));

    // What it says is so on the servers.
    for (node, shards) in [(&nodes[0], 0..4), (&nodes[1], 4..8)] {
        let mut wanted: Vec<String> = shards.map(|index| format!("shop_{index:04}")).collect();
        wanted.insert(0, HELPER_DATABASE.to_owned());
        assert_eq!(traces(node).await, (wanted, vec![account_name(&node.id)]));
    }
    // The instance's own account works, on its databases alone.
    let snapshot = app.snapshot(&instance_id).await.unwrap().unwrap();
    assert!(snapshot.schemas["shop"].ready);
    let kept = &snapshot.data_nodes[&nodes[0].id];
    let own = AdminLogin::new(&*kept.host, kept.port, &*kept.user, kept.password.clone());
    let admin = SqlDataNodeAdmin::new();
    for sql in [
        "CREATE TABLE shop_0001.t (a INT PRIMARY KEY)",
        "INSERT INTO shop_0001.t VALUES (1)",
        "CREATE TABLE _ddm.x (a INT)",
        "DROP TABLE _ddm.x",
        "CREATE DATABASE shop_0099",
        "DROP DATABASE shop_0099",
    ] {
        admin.execute(&own, sql).await.unwrap();
    }
    admin.query(&own, "XA RECOVER").await.unwrap();
    for sql in [
        "CREATE DATABASE other",
        "CREATE DATABASE shopping_0000",
        "CREATE USER x",
        "DROP DATABASE mysql",
    ] {
        admin.execute(&own, sql).await.unwrap_err();
    }

    assert_eq!(code(world.create(&id, body).await), ("DBS.300112", 400));
    account_of(&world, &id, "shop").await;
    let job = app.delete_schema(&world.project, &id, "Shop", false).await.unwrap();
    assert_eq!(code(app.delete_schema(&world.project, &id, "shop", false).await).0, "DBS.300130");
    app.jobs().wait(&job).await.unwrap();
    assert_eq!(code(app.show_schema(&world.project, &id, "shop").await), ("DBS.300129", 404));
    assert_eq!(traces(&nodes[0]).await.1, Vec::<String>::new(), "the account goes, the data stay");
    assert_eq!(
        admin.query(&nodes[0].login(), "SELECT a FROM shop_0001.t").await.unwrap().rows.len(),
        1
    );
    let snapshot = app.snapshot(&instance_id).await.unwrap().unwrap();
    assert!(snapshot.schemas.is_empty() && snapshot.data_nodes.is_empty());
    assert!(snapshot.accounts["alice"].schemas.is_empty(), "the account loses the schema");

    let again = json!({"name": "shop", "shard_mode": "single", "shard_number": 1, "used_rds": [used(&nodes[0])]});
    assert_eq!(
        code(world.create(&id, again).await),
        ("DBS.300113", 400),
        "the old data are not taken over"
    );
    for node in nodes {
        for database in traces(node).await.0 {
            admin.drop_database(&node.login(), &database).await.unwrap();
        }
    }
}

async fn account_of(world: &World, id: &str, schema: &str) {
    let body = json!({"users": [{"name": "alice", "password": PASSWORD, "base_authority": ["SELECT"], "databases": [{"name": schema}]}]});
    let request: control_api::account::CreateUsersRequest =
        decode(body.to_string().as_bytes()).unwrap();
    world.app.create_accounts(&world.project, id, request.check().unwrap()).await.unwrap();
}

async fn refusals(nodes: &[LocalDataNode]) {
    let world = world_with(Jobs::Run, nodes).await;
    let id = world.running_instance(1).await;
    let schema = |rds: Value| json!({"name": "db_1", "shard_mode": "cluster", "shard_number": 2, "used_rds": [rds]});
    let mut wrong = used(&nodes[0]);
    wrong["adminPassword"] = json!("wrong");
    assert_eq!(code(world.create(&id, schema(wrong)).await), ("DBS.300114", 400));
    let mut unknown = used(&nodes[0]);
    unknown["id"] = json!(base::id::DataNodeId::random());
    assert_eq!(code(world.create(&id, schema(unknown)).await), ("DBS.300103", 400));
    assert_eq!(code(world.create("nowhere", schema(used(&nodes[0]))).await).1, 404);
    let (unpaid, _) = {
        let made = world
            .try_buy(|body| {
                body["extend_param"] =
                    json!({"charge_mode": "prePaid", "period_type": "year", "period_num": 1})
            })
            .await
            .unwrap();
        (made.id, ())
    };
    assert_eq!(code(world.create(&unpaid, schema(used(&nodes[0]))).await), ("DBS.200076", 409));

    // A data node belongs to one instance.
    let other = world.running_instance(1).await;
    let job = world.create(&id, schema(used(&nodes[0]))).await.unwrap();
    assert_eq!(code(world.create(&other, schema(used(&nodes[0]))).await), ("DBS.300110", 400));
    world.app.jobs().wait(&job).await.unwrap();
    let available =
        world.app.list_available_data_nodes(&world.project, &other, PAGE).await.unwrap();
    assert_eq!(
        available.instances.iter().map(|node| &node.name).collect::<Vec<_>>(),
        [&nodes[1].name]
    );
    let job = world.app.delete_schema(&world.project, &id, "db_1", true).await.unwrap();
    assert_eq!(
        code(world.app.delete_instance(&world.project, &id, true).await),
        ("DBS.200076", 409),
        "a schema is being deleted"
    );
    world.app.jobs().wait(&job).await.unwrap();
    assert_clean(nodes, "after the refusals").await;
}

async fn two_schemas_share_a_data_node(nodes: &[LocalDataNode]) {
    let world = world_with(Jobs::Run, nodes).await;
    let id = world.running_instance(1).await;
    let single = |name: &str| json!({"name": name, "shard_mode": "single", "shard_number": 1, "used_rds": [used(&nodes[0])]});
    // At the same time, and one goes while another comes.
    let (a, b) = tokio::join!(world.create(&id, single("aa")), world.create(&id, single("bb")));
    for job in [a.unwrap(), b.unwrap()] {
        world.app.jobs().wait(&job).await.unwrap();
    }
    let gone = world.app.delete_schema(&world.project, &id, "aa", true).await.unwrap();
    let come = world.create(&id, single("cc")).await.unwrap();
    for job in [gone, come] {
        world.app.jobs().wait(&job).await.unwrap();
    }
    let (databases, users) = traces(&nodes[0]).await;
    assert_eq!(databases, ["_ddm", "bb_0000", "cc_0000"]);
    assert_eq!(users.len(), 1);
    for name in ["bb", "cc"] {
        assert_eq!(world.schema_status(&id, name).await, "RUNNING");
        let job = world.app.delete_schema(&world.project, &id, name, true).await.unwrap();
        world.app.jobs().wait(&job).await.unwrap();
    }
    assert_clean(nodes, "after the last schema").await;
}

async fn run_kit(
    world: &World,
    definition: fn() -> JobDefinition<Arc<control_app::App>>,
    fault: Fault,
    job: impl Future<Output = String>,
) -> job_engine::JobRow {
    let store = Arc::new(StoreJobs(world.store.clone()));
    let row = kit::run(store, world.app.clone(), definition, fault, async |_| job.await).await;
    kit::assert_ended(&row, fault);
    row
}

async fn made_instance(world: &World) -> String {
    let (id, job) = world.buy(1).await;
    run_kit(world, control_app::jobs::instance_create::definition, Fault::None, async {
        job.unwrap()
    })
    .await;
    id
}

async fn jobs_bear_every_fault(nodes: &[LocalDataNode]) {
    let world = world_with(Jobs::LeaveToKit, nodes).await;
    let id = made_instance(&world).await;
    let instance_id = base::id::InstanceId::parse(&id).unwrap();
    let body = json!({"name": "shop", "shard_mode": "cluster", "shard_number": 2, "used_rds": [used(&nodes[0]), used(&nodes[1])]});
    let (project, app) = (&world.project, &world.app);
    for fault in kit::faults(schema_create::definition().steps.len()) {
        let create = async { world.create(&id, body.clone()).await.unwrap() };
        run_kit(&world, schema_create::definition, fault, create).await;
        let snapshot = app.snapshot(&instance_id).await.unwrap().unwrap();
        if kit::completes(fault) {
            assert_eq!(world.schema_status(&id, "shop").await, "RUNNING", "{fault:?}");
            assert!(snapshot.schemas["shop"].ready);
            assert_eq!(traces(&nodes[1]).await.0, ["_ddm", "shop_0001"]);
        } else {
            assert_eq!(world.schema_status(&id, "shop").await, "CREATE_FAILED", "{fault:?}");
            assert!(snapshot.schemas.is_empty());
            assert_clean(nodes, &format!("{fault:?}")).await;
        }
        let delete = async { app.delete_schema(project, &id, "shop", true).await.unwrap() };
        run_kit(&world, schema_delete::definition, Fault::None, delete).await;
        assert_clean(nodes, "deleted").await;
    }
    for fault in kit::faults(schema_delete::definition().steps.len()) {
        if app.list_schemas(project, &id, PAGE).await.unwrap().total == 0 {
            let create = async { world.create(&id, body.clone()).await.unwrap() };
            run_kit(&world, schema_create::definition, Fault::None, create).await;
        }
        let delete = async { app.delete_schema(project, &id, "shop", true).await.unwrap() };
        run_kit(&world, schema_delete::definition, fault, delete).await;
        match app.show_schema(project, &id, "shop").await {
            Err(_) => assert_clean(nodes, &format!("{fault:?}")).await,
            Ok(shown) => {
                assert!(!kit::completes(fault), "{fault:?}");
                let snapshot = app.snapshot(&instance_id).await.unwrap().unwrap();
                let serves = snapshot.schemas.get("shop").is_some_and(|schema| schema.ready);
                assert_eq!(shown.database.status == "RUNNING", serves, "{fault:?}");
                let all_there =
                    traces(&nodes[0]).await.0.len() == 2 && traces(&nodes[1]).await.0.len() == 2;
                assert!(!serves || all_there, "{fault:?}: what serves has its databases");
            }
        }
    }
    let left = app.list_schemas(project, &id, PAGE).await.unwrap().total;
    assert_eq!(left, 0, "the last faults only stop the process");
    run_kit(&world, instance_delete::definition, Fault::None, async {
        app.delete_instance(project, &id, true).await.unwrap().job_id
    })
    .await;
}

async fn an_instance_goes_with_its_data(nodes: &[LocalDataNode]) {
    let world = world_with(Jobs::LeaveToKit, nodes).await;
    let (project, app) = (&world.project, &world.app);
    let body = json!({"name": "shop", "shard_mode": "cluster", "shard_number": 2, "used_rds": [used(&nodes[0]), used(&nodes[1])]});
    for fault in kit::faults(instance_delete::definition().steps.len()) {
        let id = made_instance(&world).await;
        let create = async { world.create(&id, body.clone()).await.unwrap() };
        run_kit(&world, schema_create::definition, Fault::None, create).await;
        let mut fault = fault;
        // Deleting again goes on where a failure left it.
        while app.show_instance(project, &id).await.is_ok() {
            let delete = async { app.delete_instance(project, &id, true).await.unwrap().job_id };
            run_kit(&world, instance_delete::definition, fault, delete).await;
            fault = Fault::None;
        }
        assert_clean(nodes, &format!("{fault:?}")).await;
        let keys = world.keys().await;
        let stays = ["data-nodes/", "backups/", "metadata-documents/"];
        let gone = |key: &&String| stays.iter().all(|prefix| !key.starts_with(prefix));
        assert_eq!(keys.iter().find(gone), None, "{fault:?}: {keys:?}");
    }
}
