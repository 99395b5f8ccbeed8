//! A change of definitions whose node was taken as dead while its commit was under way: either the
//! commit holds, or the change is taken back; never a definition without its physical tables.

#![allow(clippy::unwrap_used)]

mod common;

use async_trait::async_trait;
use base::id::{InstanceId, NodeId};
use common::data_nodes::{on_servers, world_with};
use common::{Jobs, World};
use control_api::decode::decode;
use control_api::schema::CreateDatabasesRequest;
use control_app::ports::{NodesBehind, SnapshotPublisher};
use provision::mariadb_local::LocalDataNode;
use provision::{DataNodeAdmin, SqlDataNodeAdmin};
use serde_json::json;
use std::time::Duration;
use topology::model::{Column, Placement, Table};
use topology::stream::{Answer, Ask, TableChange};

const ROUNDS: usize = 12;

/// A node that is heard, in this process.
#[derive(Debug)]
struct Process(u32);

#[async_trait]
impl SnapshotPublisher for Process {
    fn publish(&self, _: &InstanceId) {}

    async fn wait_nodes_at(
        &self,
        _: &InstanceId,
        _: &[NodeId],
        _: u64,
        _: Duration,
    ) -> Result<(), NodesBehind> {
        Ok(())
    }

    fn is_heard(&self, _: &NodeId) -> bool {
        true
    }

    fn process_of(&self, _: &NodeId) -> Option<u32> {
        Some(self.0)
    }
}

async fn make_schema(world: &World, instance: &str, node: &LocalDataNode) {
    let used = json!([{"id": node.id, "adminUser": node.admin_user, "adminPassword": node.admin_password}]);
    let body = json!({"databases": [{"name": "shop", "shard_mode": "cluster", "shard_number": 1, "used_rds": used}]});
    let request: CreateDatabasesRequest = decode(body.to_string().as_bytes()).unwrap();
    let request = request.check().unwrap();
    let jobs = world.app.create_schemas(&world.project, instance, &request).await.unwrap();
    let row = world.app.jobs().wait(&jobs[0]).await.unwrap();
    assert_eq!(row.state.status(), "Completed", "{:?}", row.fail_reason);
}

fn table(name: &str) -> Table {
    Table {
        name: name.to_owned(),
        placement: Placement::Broadcast,
        columns: vec![Column::plain("a", "int(11)")],
        primary_key: vec![],
        unique_keys: vec![],
        sequence_column: None,
        definition_version: 1,
        view: None,
        physical_base: None,
        frozen: false,
        recycled: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_and_the_clearing_up_do_not_mix() {
    on_servers(1, 0, |nodes| async move {
        let world = world_with(Jobs::Run, &nodes).await;
        let id = world.running_instance(1).await;
        make_schema(&world, &id, &nodes[0]).await;
        let instance = InstanceId::parse(&id).unwrap();
        let (admin, login) = (SqlDataNodeAdmin::new(), nodes[0].login());
        let mut committed = 0;
        for round in 0..ROUNDS {
            let (name, node) = (format!("t{round}"), NodeId::random());
            let changes = vec![TableChange::Create { table: table(&name) }];
            let ask = async |ask| {
                control_app::ddl::answer(&world.app, &Process(1), &instance, &node, ask).await
            };
            let schema = "shop".to_owned();
            let begin = Ask::DdlBegin { schema, changes: changes.clone(), work: Default::default() };
            let Answer::DdlBegun { ddl_id } = ask(begin).await else { panic!("not begun") };
            admin.execute(&login, &format!("CREATE TABLE shop_0000.{name} (a INT)")).await.unwrap();
            let clearing = async {
                // By a different moment each time, so that they meet in several places.
                tokio::time::sleep(Duration::from_micros(500 * round as u64)).await;
                control_app::ddl::orphans::resolve(&world.app, &Process(2)).await.unwrap()
            };
            let commit = ask(Ask::DdlCommit { ddl_id, changes });
            let (answer, cleared) = tokio::join!(commit, clearing);
            let known = world.app.snapshot(&instance).await.unwrap().unwrap();
            let known = known.schemas["shop"].tables.contains_key(&name);
            let there = format!("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop_0000' AND TABLE_NAME = '{name}'");
            let there = admin.query(&login, &there).await.unwrap().rows[0][0].as_deref() == Some("1");
            let told = matches!(answer, Answer::Published { .. });
            assert_eq!((known, there), (told, told), "round {round}: {answer:?}, {cleared} cleared");
            committed += usize::from(told);
        }
        assert!(committed < ROUNDS, "they never met");
    })
    .await;
}

/// The node lives, and answers; only a data node was away from it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_live_node_gives_up_is_cleared_up() {
    on_servers(1, 0, |nodes| async move {
        let world = world_with(Jobs::Run, &nodes).await;
        let id = world.running_instance(1).await;
        make_schema(&world, &id, &nodes[0]).await;
        let instance = InstanceId::parse(&id).unwrap();
        let (admin, login) = (SqlDataNodeAdmin::new(), nodes[0].login());
        let (alive, node) = (Process(1), NodeId::random());
        let ask = async |ask| {
            control_app::ddl::answer(&world.app, &alive, &instance, &node, ask).await
        };
        let resolve = async || control_app::ddl::orphans::resolve(&world.app, &alive).await.unwrap();
        let changes = vec![TableChange::Create { table: table("t") }];
        let schema = "shop".to_owned();
        let begin = Ask::DdlBegin { schema, changes: changes.clone(), work: Default::default() };
        let Answer::DdlBegun { ddl_id } = ask(begin.clone()).await else { panic!("not begun") };
        admin.execute(&login, "CREATE TABLE shop_0000.t (a INT)").await.unwrap();
        assert_eq!(resolve().await, 0, "its node goes on with it");
        let abandon = Ask::DdlAbandon { ddl_id: ddl_id.clone() };
        assert_eq!(ask(abandon.clone()).await, Answer::Aborted);
        let late = ask(Ask::DdlCommit { ddl_id, changes }).await;
        assert!(matches!(late, Answer::Refused { .. }), "{late:?}");
        assert!(matches!(ask(begin.clone()).await, Answer::Refused { .. }), "the table is locked yet");
        assert_eq!(resolve().await, 1);
        let there = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop_0000' AND TABLE_NAME = 't'";
        assert_eq!(admin.query(&login, there).await.unwrap().rows[0][0].as_deref(), Some("0"));
        assert!(matches!(ask(abandon).await, Answer::Refused { .. }), "it has ended");
        assert!(matches!(ask(begin).await, Answer::DdlBegun { .. }), "the table is free");
    })
    .await;
}
