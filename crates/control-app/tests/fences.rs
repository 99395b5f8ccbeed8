//! Nodes that cannot be told of a change: their rows on the data nodes, how long a change waits for
//! them, and what becomes of them when they have caught up. The nodes themselves are played here.

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
use provision::{AdminLogin, DataNodeAdmin, SqlDataNodeAdmin};
use serde_json::json;
use std::time::{Duration, Instant};
use topology::fence::FENCED_AFTER;
use topology::model::{Column, Placement, Table};
use topology::stream::{Answer, Ask, TableChange};

/// Nobody is heard.
#[derive(Debug)]
struct Silence;

#[async_trait]
impl SnapshotPublisher for Silence {
    fn publish(&self, _: &InstanceId) {}

    async fn wait_nodes_at(
        &self,
        _: &InstanceId,
        nodes: &[NodeId],
        _: u64,
        _: Duration,
    ) -> Result<(), NodesBehind> {
        if nodes.is_empty() { Ok(()) } else { Err(NodesBehind { behind: nodes.to_vec() }) }
    }

    fn is_heard(&self, _: &NodeId) -> bool {
        false
    }
}

async fn make_schema(world: &World, instance: &str, node: &LocalDataNode) {
    let used = json!([{"id": node.id, "adminUser": node.admin_user, "adminPassword": node.admin_password}]);
    let body = json!({"databases": [{"name": "shop", "shard_mode": "cluster", "shard_number": 1, "used_rds": used}]});
    let request: CreateDatabasesRequest = decode(body.to_string().as_bytes()).unwrap();
    let jobs = world
        .app
        .create_schemas(&world.project, instance, &request.check().unwrap())
        .await
        .unwrap();
    let row = world.app.jobs().wait(&jobs[0]).await.unwrap();
    assert_eq!(row.state.status(), "Completed", "{:?}", row.fail_reason);
}

/// Begins to make a table, while nobody is heard; how long that took.
async fn begin(world: &World, instance: &InstanceId, name: &str) -> Duration {
    let table = Table {
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
    };
    let changes = vec![TableChange::Create { table }];
    let ask = Ask::DdlBegin { schema: "shop".to_owned(), changes, work: Default::default() };
    let began = Instant::now();
    let answer =
        control_app::ddl::answer(&world.app, &Silence, instance, &NodeId::random(), ask).await;
    assert!(matches!(answer, Answer::DdlBegun { .. }), "{answer:?}");
    began.elapsed()
}

async fn fences(login: &AdminLogin) -> usize {
    let admin = SqlDataNodeAdmin::new();
    let rows = admin.query(login, "SELECT node_id FROM _ddm.fences").await;
    rows.map_or(0, |rows| rows.rows.len())
}

/// A node that obeys its fence as soon as there is one.
async fn obey(login: AdminLogin) {
    let admin = SqlDataNodeAdmin::new();
    while !matches!(admin.execute(&login, "UPDATE _ddm.fences SET obeyed = 1").await, Ok(1..)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_waits_for_fences_within_bounds() {
    on_servers(1, 0, |nodes| async move {
        let world = world_with(Jobs::Run, &nodes).await;
        let id = world.running_instance(1).await;
        make_schema(&world, &id, &nodes[0]).await;
        let instance = InstanceId::parse(&id).unwrap();
        let login = nodes[0].login();
        let runs =
            || world.nodes.starts.lock().unwrap().iter().all(|node| world.nodes.is_running(node));

        let obedient = tokio::spawn(obey(login.clone()));
        let took = begin(&world, &instance, "one").await;
        obedient.await.unwrap();
        assert!(took < FENCED_AFTER, "it was not waited for any longer: {took:?}");
        assert!(runs(), "who obeys is left alone");
        assert_eq!(fences(&login).await, 1);

        // It is fenced already, and nobody has vouched for it since.
        let took = begin(&world, &instance, "two").await;
        assert!(took < FENCED_AFTER, "{took:?}");
        assert_eq!(fences(&login).await, 1, "one row for each node");

        // To the application's own publisher it is well.
        assert_eq!(world.app.lift_fences().await.unwrap(), 1);
        assert_eq!((fences(&login).await, world.app.lift_fences().await.unwrap()), (0, 0));

        // One that does not obey is waited for as long as it may serve, and then stopped.
        let took = begin(&world, &instance, "three").await;
        assert!(took >= FENCED_AFTER, "{took:?}");
        assert!(!runs(), "it is stopped");
        assert_eq!(fences(&login).await, 1);
        assert_eq!(world.app.lift_fences().await.unwrap(), 0, "it has not caught up");
    })
    .await;
}
