//! The nodes' stream over real mutual TLS, with the test in the place of a node: snapshots, DDL, and
//! what becomes of a change whose node was restarted.

#![allow(clippy::unwrap_used)]

#[path = "support/node.rs"]
mod node;
mod support;

use base::id::{InstanceId, NodeId};
use control_api::slow_log::SlowLogWindow;
use control_plane::{ControlPlane, Throttle};
use control_store::records::instance::InstanceRecord;
use control_store::typed;
use node::{Fixture, Node, table};
use provision::mariadb_local::{LocalDataNodes, LocalMariaDbOptions};
use provision::{DataNodeAdmin, SqlDataNodeAdmin};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::start;
use topology::slow_query::SlowQuery;
use topology::stream::{Answer, Ask, TableChange, ToNode};

fn create(name: &str) -> TableChange {
    TableChange::Create { table: table(name) }
}

fn begin(changes: Vec<TableChange>) -> Ask {
    Ask::DdlBegin { schema: "shop".to_owned(), changes, work: Default::default() }
}

fn begun(answer: Answer) -> String {
    let Answer::DdlBegun { ddl_id } = answer else { panic!("{answer:?}") };
    ddl_id
}

fn refused(answer: Answer) -> u16 {
    let Answer::Refused { sql_error, .. } = answer else { panic!("{answer:?}") };
    sql_error
}

async fn world(dir: &std::path::Path) -> (LocalDataNodes, ControlPlane, Fixture) {
    let mut local = LocalMariaDbOptions::new(dir.join("data-nodes"), 1, 0);
    local.first_port = 0;
    let local = LocalDataNodes::start(local, Arc::new(|_: &str| {})).await.unwrap();
    let plane = start(dir, Throttle::off()).await.unwrap();
    let fixture = Fixture::make(&plane, dir, &local.data_nodes()[0]).await;
    (local, plane, fixture)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_certificate_of_its_own_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (local, plane, fixture) = world(dir.path()).await;
    // With another node's certificate.
    let mut stranger = Node::connect(&plane, dir.path(), &NodeId::random()).await;
    stranger.hello(&fixture.node, &fixture.instance, 7).await;
    let ToNode::Refused { reason } = stranger.next().await.unwrap() else { panic!("not refused") };
    assert!(reason.contains("certificate"), "{reason}");
    assert!(stranger.next().await.is_none());
    // As a node that the instance has not.
    let unknown = NodeId::random();
    let mut stranger = Node::connect(&plane, dir.path(), &unknown).await;
    stranger.hello(&unknown, &fixture.instance, 7).await;
    assert!(matches!(stranger.next().await, Some(ToNode::Refused { .. })));
    let mut stranger = Node::connect(&plane, dir.path(), &fixture.node).await;
    stranger.hello(&fixture.node, &InstanceId::random(), 7).await;
    assert!(matches!(stranger.next().await, Some(ToNode::Refused { .. })));
    plane.shutdown().await;
    local.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_is_locked_stored_and_published() {
    let dir = tempfile::tempdir().unwrap();
    let (local, plane, fixture) = world(dir.path()).await;
    let mut node = Node::connect(&plane, dir.path(), &fixture.node).await;
    node.hello(&fixture.node, &fixture.instance, 7).await;
    let first = node.snapshot().await;
    assert!(first.schema("shop").unwrap().ready);

    let id = begun(node.ask(begin(vec![create("Orders")])).await);
    assert_eq!(refused(node.ask(begin(vec![create("orders")])).await), 3103);
    assert_eq!(
        refused(
            node.ask(Ask::DdlBegin {
                schema: "other".to_owned(),
                changes: vec![create("t")],
                work: Default::default()
            })
            .await
        ),
        1049
    );
    // A definition without columns would break every later snapshot.
    let mut empty = table("Orders");
    empty.columns.clear();
    let broken =
        Ask::DdlCommit { ddl_id: id.clone(), changes: vec![TableChange::Create { table: empty }] };
    assert_eq!(refused(node.ask(broken).await), 1210);
    let commit = Ask::DdlCommit { ddl_id: id.clone(), changes: vec![create("Orders")] };
    let Answer::Published { version } = node.ask(commit).await else { panic!("not published") };
    assert!(
        version > first.version && node.serves >= version,
        "answered before the node serves it"
    );
    assert!(node.newest.as_ref().unwrap().schema("shop").unwrap().table("orders").is_some());
    assert_eq!(refused(node.ask(Ask::DdlAbort { ddl_id: id }).await), 3103);

    assert_eq!(refused(node.ask(begin(vec![create("ORDERS")])).await), 1050);
    let missing = TableChange::Drop { name: "missing".to_owned() };
    assert_eq!(refused(node.ask(begin(vec![missing])).await), 1051);
    assert_eq!(
        refused(node.ask(begin(vec![TableChange::Alter { table: table("missing") }])).await),
        1146
    );

    let rename =
        TableChange::Rename { from: "orders".to_owned(), table: table("sales"), to_schema: None };
    let id = begun(node.ask(begin(vec![rename.clone()])).await);
    assert_eq!(
        refused(node.ask(begin(vec![create("sales")])).await),
        3103,
        "the new name is locked too"
    );
    assert_eq!(node.ask(Ask::DdlAbort { ddl_id: id }).await, Answer::Aborted);
    let id = begun(node.ask(begin(vec![rename.clone()])).await);
    node.ask(Ask::DdlCommit { ddl_id: id, changes: vec![rename] }).await;
    let shop = node.newest.as_ref().unwrap().schema("shop").unwrap().clone();
    assert_eq!(shop.tables.keys().collect::<Vec<_>>(), ["sales"]);
    plane.shutdown().await;
    local.stop().await.unwrap();
}

fn slow(number: u64) -> SlowQuery {
    SlowQuery {
        number,
        user: "root".to_owned(),
        schema: "shop".to_owned(),
        text: format!("SELECT {number}"),
        digest: "d".to_owned(),
        started_ms: 1_000 + i64::try_from(number).unwrap(),
        milliseconds: 1_500,
        shards: vec!["shop_0000".to_owned()],
        rows_examined: 1,
        rows_returned: 1,
        client: "127.0.0.1".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_statements_are_kept_once_however_often_they_come() {
    let dir = tempfile::tempdir().unwrap();
    let (local, plane, fixture) = world(dir.path()).await;
    let mut node = Node::connect(&plane, dir.path(), &fixture.node).await;
    node.hello(&fixture.node, &fixture.instance, 7).await;
    node.report(vec![slow(3), slow(4)]).await;
    // The answer was lost on the way: the node says it again.
    node.report(vec![slow(3), slow(4), slow(5)]).await;
    let project = base::id::ProjectId::parse(&plane.endpoints().project_id).unwrap();
    let window = SlowLogWindow { from_ms: 0, to_ms: 2_000, offset: 0, limit: 10 };
    let id = fixture.instance.as_str();
    let found = plane.app().list_slow_logs(&project, id, window).await.unwrap();
    let texts: Vec<&str> =
        found.slow_log_list.iter().map(|row| row.query_sample.as_str()).collect();
    assert_eq!((texts, found.total_record), (vec!["SELECT 5", "SELECT 4", "SELECT 3"], 3));
    assert_eq!(found.slow_log_list[0].node_id, fixture.node.as_str());
    plane.shutdown().await;
    local.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_has_so_many_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (local, plane, fixture) = world(dir.path()).await;
    let mut node = Node::connect(&plane, dir.path(), &fixture.node).await;
    node.hello(&fixture.node, &fixture.instance, 7).await;
    let first = node.snapshot().await;
    assert_eq!(first.node_count, 1);
    let store = plane.app().store();
    let set = async |threshold: &str| {
        let key = InstanceRecord::key_of(&fixture.instance);
        let mut instance: InstanceRecord = typed::get(&**store, &key).await.unwrap().unwrap().value;
        instance.parameters.set("ddl_flowcontrol_threshold", threshold).unwrap();
        store.txn(Vec::new(), vec![typed::put(&instance)]).await.unwrap();
    };
    set("10").await;
    // Those that fail count too; those that are refused for their number do not.
    for number in 0..5 {
        let id = begun(node.ask(begin(vec![create(&format!("t{number}"))])).await);
        node.ask(Ask::DdlAbort { ddl_id: id }).await;
        let missing = TableChange::Drop { name: "missing".to_owned() };
        assert_eq!(refused(node.ask(begin(vec![missing])).await), 1051);
    }
    for _ in 0..3 {
        assert_eq!(refused(node.ask(begin(vec![create("more")])).await), 3112);
    }
    set("11").await;
    let id = begun(node.ask(begin(vec![create("more")])).await);
    node.ask(Ask::DdlAbort { ddl_id: id }).await;
    assert_eq!(refused(node.ask(begin(vec![create("more")])).await), 3112);
    plane.shutdown().await;
    local.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restarted_node_left_is_settled() {
    let dir = tempfile::tempdir().unwrap();
    let (local, plane, fixture) = world(dir.path()).await;
    let login = local.data_nodes()[0].login();
    let admin = SqlDataNodeAdmin::new();
    let mut node = Node::connect(&plane, dir.path(), &fixture.node).await;
    node.hello(&fixture.node, &fixture.instance, 7).await;
    for name in ["kept", "going"] {
        let id = begun(node.ask(begin(vec![create(name)])).await);
        node.ask(Ask::DdlCommit { ddl_id: id, changes: vec![create(name)] }).await;
    }
    // Three statements stop in the middle: a CREATE, a DROP and an ALTER that reached the data nodes.
    begun(node.ask(begin(vec![create("half")])).await);
    begun(node.ask(begin(vec![TableChange::Drop { name: "going".to_owned() }])).await);
    begun(node.ask(begin(vec![TableChange::Alter { table: table("kept") }])).await);
    for statement in [
        "CREATE TABLE shop_0000.half (id BIGINT PRIMARY KEY)",
        "CREATE TABLE shop_0000.going (id BIGINT PRIMARY KEY)",
        "CREATE TABLE shop_0001.going (id BIGINT PRIMARY KEY)",
        "CREATE TABLE shop_0000.kept (id BIGINT PRIMARY KEY, note VARCHAR(9) UNIQUE)",
    ] {
        admin.execute(&login, statement).await.unwrap();
    }
    drop(node);
    // The node is back at once, as another process, and goes on saying that it lives.
    let mut node = Node::connect(&plane, dir.path(), &fixture.node).await;
    node.hello(&fixture.node, &fixture.instance, 8).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    let settled = loop {
        node.listen_for(Duration::from_millis(500)).await;
        let shop = node.newest.as_ref().map(|snapshot| snapshot.schema("shop").unwrap().clone());
        let done = shop.filter(|shop| {
            shop.table("going").is_none()
                && shop.table("kept").is_some_and(|kept| kept.columns.len() == 2)
        });
        match done {
            Some(shop) => break shop,
            None => assert!(Instant::now() < deadline, "not settled in time"),
        }
    };
    let kept = settled.table("kept").unwrap();
    assert_eq!((kept.primary_key.as_slice(), kept.unique_keys.len()), (&["id".to_owned()][..], 1));
    assert_eq!(kept.columns[1].column_type, "varchar(9)");
    // The CREATE's record goes in a transaction of its own.
    while matches!(node.ask(begin(vec![create("half")])).await, Answer::Refused { .. }) {
        assert!(Instant::now() < deadline, "still locked");
        node.listen_for(Duration::from_millis(500)).await;
    }
    let ask = "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) AS t FROM information_schema.TABLES \
               WHERE TABLE_SCHEMA LIKE 'shop%' ORDER BY 1";
    let left = admin.query(&login, ask).await.unwrap();
    assert_eq!(left.rows, [[Some("shop_0000.kept".to_owned())]]);
    plane.shutdown().await;
    local.stop().await.unwrap();
}
