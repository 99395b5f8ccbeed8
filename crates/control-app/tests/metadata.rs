//! Metadata on real MariaDB servers: exported and imported elsewhere, backed up before deletions and
//! restored where the databases still are, the documented refusals, and each job under every fault.

#![allow(clippy::unwrap_used)]

mod common;

use base::api_error::ApiError;
use base::id::{InstanceId, NodeId};
use base::secret::Secret;
use common::data_nodes::{on_servers, world_with};
use common::{Jobs, PASSWORD, World, code, world};
use control_api::decode::decode;
use control_api::metadata::{ImportMetadataRequest, RestoreMetadataRequest};
use control_api::paging::Page;
use control_api::schema::CreateDatabasesRequest;
use control_app::backup::BackupFilter;
use control_app::backup_restorable::DataNodeQuery;
use control_app::jobs::{
    backup_delete, instance_create, instance_delete, metadata_apply, schema_create, schema_delete,
};
use control_app::metadata::document::Document;
use control_store::jobs::StoreJobs;
use job_engine::JobDefinition;
use job_engine::kit::{self, Fault};
use provision::mariadb_local::LocalDataNode;
use provision::{AdminLogin, DataNodeAdmin, SqlDataNodeAdmin};
use serde_json::{Value, json};
use std::sync::Arc;
use topology::model::{Algorithm, Column, KeyRule, Placement, ShardingRule, Table};
use topology::stream::{Answer, Ask, TableChange};

const PAGE: Page = Page { offset: 0, limit: 10 };

/// Physical tables of `shop`: database, name, CREATE.
const PHYSICAL: [(&str, &str, &str); 7] = [
    (
        "shop_0000",
        "t_0",
        "(id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(20) COMMENT 'it''s; fine')",
    ),
    (
        "shop_0000",
        "t_1",
        "(id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(20) COMMENT 'it''s; fine')",
    ),
    (
        "shop_0001",
        "t_0",
        "(id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(20) COMMENT 'it''s; fine')",
    ),
    (
        "shop_0001",
        "t_1",
        "(id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(20) COMMENT 'it''s; fine')",
    ),
    ("shop_0000", "b", "(a INT PRIMARY KEY)"),
    ("shop_0001", "b", "(a INT PRIMARY KEY)"),
    ("shop_0000", "a_child", "(a INT PRIMARY KEY, z INT, FOREIGN KEY (z) REFERENCES z_parent (a))"),
];

async fn execute(node: &LocalDataNode, sql: &str) {
    SqlDataNodeAdmin::new().execute(&node.login(), sql).await.unwrap();
}

async fn cell(login: &AdminLogin, sql: &str) -> Option<String> {
    SqlDataNodeAdmin::new().query(login, sql).await.unwrap().rows.first()?.first()?.clone()
}

/// Databases, and accounts of instances.
async fn traces(node: &LocalDataNode) -> (Vec<String>, usize) {
    let admin = SqlDataNodeAdmin::new();
    let databases = admin.list_databases(&node.login(), "").await.unwrap();
    let users = "SELECT user FROM mysql.user WHERE user LIKE 'DDMRW%'";
    (databases, admin.query(&node.login(), users).await.unwrap().rows.len())
}

async fn drop_all(nodes: &[LocalDataNode]) {
    let admin = SqlDataNodeAdmin::new();
    for node in nodes {
        for database in traces(node).await.0 {
            admin.drop_database(&node.login(), &database).await.unwrap();
        }
    }
}

fn table(name: &str, placement: Placement, columns: &[(&str, &str)]) -> Table {
    Table {
        name: name.to_owned(),
        placement,
        columns: columns.iter().map(|(name, kind)| Column::plain(name, kind)).collect(),
        primary_key: vec![],
        unique_keys: vec![],
        sequence_column: (name == "T").then(|| "id".to_owned()),
        definition_version: 1,
        view: None,
        physical_base: None,
        frozen: false,
        recycled: None,
    }
}

fn tables() -> Vec<Table> {
    let key = || KeyRule { column: "id".to_owned(), algorithm: Algorithm::ModHash };
    let rule = ShardingRule { database: key(), table: Some(key()), tables_per_shard: 2 };
    vec![
        table("T", Placement::Sharded(rule), &[("id", "bigint(20)"), ("name", "varchar(20)")]),
        table("b", Placement::Broadcast, &[("a", "int(11)")]),
        table("a_child", Placement::Single, &[("a", "int(11)"), ("z", "int(11)")]),
        table("z_parent", Placement::Single, &[("a", "int(11)")]),
    ]
}

impl World {
    async fn create(&self, id: &str, nodes: &[LocalDataNode]) -> String {
        let used: Vec<Value> = nodes
            .iter()
            .map(|node| json!({"id": node.id, "adminUser": node.admin_user, "adminPassword": node.admin_password}))
            .collect();
        let body = json!({"databases": [{"name": "shop", "shard_mode": "cluster", "shard_number": 2, "used_rds": used}]});
        let request: CreateDatabasesRequest = decode(body.to_string().as_bytes()).unwrap();
        let request = request.check().unwrap();
        self.app.create_schemas(&self.project, id, &request).await.unwrap().remove(0)
    }

    /// Makes the tables as a node does, and the sequence at 2001.
    async fn make_tables(&self, id: &str, nodes: &[LocalDataNode]) {
        execute(&nodes[0], "CREATE TABLE shop_0000.z_parent (a INT PRIMARY KEY)").await;
        for (database, name, create) in PHYSICAL {
            let node = &nodes[usize::from(database == "shop_0001")];
            execute(node, &format!("CREATE TABLE {database}.{name} {create}")).await;
        }
        execute(&nodes[0], "CREATE TABLE shop_0000._ddm_sequence (name VARCHAR(64) PRIMARY KEY, next BIGINT UNSIGNED)").await;
        execute(&nodes[0], "INSERT INTO shop_0000._ddm_sequence VALUES ('t', 2001)").await;
        let instance = InstanceId::parse(id).unwrap();
        let node = NodeId::random();
        let changes: Vec<TableChange> =
            tables().into_iter().map(|table| TableChange::Create { table }).collect();
        let begin = Ask::DdlBegin {
            schema: "shop".to_owned(),
            changes: changes.clone(),
            work: Default::default(),
        };
        let ask = async |ask| {
            control_app::ddl::answer(&self.app, &*self.publisher, &instance, &node, ask).await
        };
        let Answer::DdlBegun { ddl_id } = ask(begin).await else { panic!("not begun") };
        let done = ask(Ask::DdlCommit { ddl_id, changes }).await;
        assert!(matches!(done, Answer::Published { .. }), "{done:?}");
    }

    async fn import(
        &self,
        id: &str,
        text: &str,
        nodes: &[&LocalDataNode],
    ) -> Result<String, ApiError> {
        let nodes: Vec<Value> = nodes
            .iter()
            .map(|node| json!({"dn_instance_id": node.id, "admin_user": node.admin_user, "admin_password": node.admin_password}))
            .collect();
        self.import_body(id, json!({"compressed_databases_info": text, "dn_instance": nodes})).await
    }

    async fn import_body(&self, id: &str, body: Value) -> Result<String, ApiError> {
        let import = decode::<ImportMetadataRequest>(body.to_string().as_bytes())?.check()?;
        let answer = self.app.import_metadata(&self.project, id, import).await?;
        assert_eq!((answer.instance_id.as_str(), answer.instance_name.as_str()), (id, "ddm-test"));
        Ok(answer.job_id)
    }

    async fn restore(
        &self,
        (source, from): (&str, Value),
        target: &str,
        nodes: &[&LocalDataNode],
    ) -> Result<String, ApiError> {
        let ids: Vec<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
        let body = json!({"source": from, "target": {"instance_id": target, "data_nodes": ids}});
        let restore = decode::<RestoreMetadataRequest>(body.to_string().as_bytes())?.check()?;
        Ok(self.app.restore_metadata(&self.project, source, restore).await?.job_id)
    }

    async fn finish(&self, job: String) {
        let row = self.app.jobs().wait(&job).await.unwrap();
        assert_eq!(row.state.status(), "Completed", "{:?}", row.fail_reason);
    }

    async fn export(&self, id: &str) -> String {
        let exported = self.app.export_metadata(&self.project, id).await.unwrap();
        exported.compressed_databases_info
    }

    async fn backups(&self) -> Vec<control_api::backup::BackupRow> {
        let filter = BackupFilter::default();
        self.app.list_backups(&self.project, &filter, PAGE).await.unwrap().backups
    }

    async fn delete_keeping_data(&self, id: &str) -> String {
        self.app.delete_schema(&self.project, id, "shop", false).await.unwrap()
    }

    /// What of an export does not depend on where and when.
    async fn shape(&self, id: &str) -> Value {
        let document = Document::parse(&self.export(id).await).unwrap();
        let mut shape = serde_json::to_value(&document.schemas).unwrap();
        for schema in shape.as_array_mut().unwrap() {
            schema["created_ms"] = Value::Null;
            for shard in schema["shards"].as_array_mut().unwrap() {
                let at = document.data_nodes.iter().position(|n| shard["data_node"] == json!(n.id));
                shard["data_node"] = json!(at);
            }
            for one in schema["tables"].as_array_mut().unwrap() {
                for part in ["definition_version", "columns", "primary_key"] {
                    one["table"][part] = Value::Null;
                }
            }
        }
        shape
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_on_real_servers() {
    on_servers(4, 0, |nodes| async move {
        schemas_move_to_another_instance(&nodes).await;
        dropped_schemas_come_back(&nodes).await;
        jobs_bear_every_fault(&nodes).await;
    })
    .await;
}

async fn schemas_move_to_another_instance(nodes: &[LocalDataNode]) {
    let world = world_with(Jobs::Run, nodes).await;
    let (old, new) = (world.running_instance(1).await, world.running_instance(1).await);
    let empty = world.export(&old).await;
    world.finish(world.create(&old, &nodes[..2]).await).await;
    world.make_tables(&old, nodes).await;
    let exported = world.app.export_metadata(&world.project, &old).await.unwrap();
    let hosts: Vec<u16> = exported.data_nodes.iter().map(|node| node.access_port).collect();
    assert_eq!(hosts, [nodes[0].port, nodes[1].port]);
    assert_eq!(exported.data_nodes[0].engine, "mysql");
    let text = exported.compressed_databases_info;
    let json = serde_json::to_string(&Document::parse(&text).unwrap()).unwrap();
    assert!(!json.contains(nodes[0].admin_password.expose()), "no secrets");

    import_refusals(&world, &old, &new, &text, &empty, nodes).await;

    // Two at once: one wins.
    let places = [&nodes[3], &nodes[2]];
    let (one, two) =
        tokio::join!(world.import(&new, &text, &places), world.import(&new, &text, &places));
    let (job, loser) = if one.is_ok() { (one, two) } else { (two, one) };
    let (job, loser) = (job.unwrap(), code(loser));
    assert!([("DBS.200076", 409), ("DBS.300112", 400)].contains(&loser), "{loser:?}");
    assert_eq!(world.status(&new).await, "RESTORE");
    world.finish(job).await;
    assert_eq!(world.status(&new).await, "RUNNING");
    assert_eq!(world.shape(&new).await, world.shape(&old).await);
    let snapshot = world.app.snapshot(&InstanceId::parse(&new).unwrap()).await.unwrap().unwrap();
    snapshot.validate().unwrap();
    assert!(snapshot.schemas["shop"].ready && snapshot.schemas["shop"].tables.len() == 4);
    let t = snapshot.schemas["shop"].table("t").unwrap();
    assert_eq!((t.primary_key.as_slice(), t.columns[0].nullable), (&["id".to_owned()][..], false));
    for (database, name, _) in PHYSICAL {
        let node = &nodes[3 - usize::from(database == "shop_0001")];
        let sql = format!("SHOW TABLES FROM {database} LIKE '{}'", name.replace('_', "\\_"));
        assert_eq!(cell(&node.login(), &sql).await.as_deref(), Some(name));
    }
    let position = "SELECT next FROM shop_0000._ddm_sequence WHERE name = 't'";
    assert_eq!(cell(&nodes[3].login(), position).await.as_deref(), Some("2001"));
    let keys = world.keys().await;
    assert!(!keys.iter().any(|key| key.starts_with("metadata-documents/")), "{keys:?}");
    assert_eq!(code(world.import(&new, &text, &[&nodes[3], &nodes[2]]).await), ("DBS.300112", 400));

    for id in [&old, &new] {
        let job = world.app.delete_instance(&world.project, id, true).await.unwrap().job_id;
        world.finish(job).await;
    }
    for node in nodes {
        assert_eq!(traces(node).await, (vec![], 0));
    }
    assert_eq!(world.backups().await.len(), 2, "one before each deletion");
}

async fn import_refusals(
    world: &World,
    old: &str,
    new: &str,
    text: &str,
    empty: &str,
    nodes: &[LocalDataNode],
) {
    let [three, four] = [&nodes[2], &nodes[3]];
    assert_eq!(code(world.import(new, "H4sIAAA", &[three, four]).await), ("DBS.280001", 400));
    assert_eq!(code(world.import(new, empty, &[three, four]).await), ("DBS.280001", 400));
    assert_eq!(code(world.import(new, text, &[three]).await), ("DBS.300102", 400));
    assert_eq!(code(world.import(new, text, &[three, &nodes[0]]).await), ("DBS.300110", 400));
    assert_eq!(code(world.import(old, text, &[three, four]).await), ("DBS.300112", 400));
    assert_eq!(code(world.import("nowhere", text, &[three, four]).await).1, 404);
    let login = |id: &str, password: &str| json!({"dn_instance_id": id, "admin_user": three.admin_user, "admin_password": password});
    let body = |second: Value| json!({"compressed_databases_info": text, "dn_instance": [login(three.id.as_str(), three.admin_password.expose()), second]});
    let wrong = world.import_body(new, body(login(four.id.as_str(), "wrong"))).await;
    assert_eq!(code(wrong), ("DBS.300114", 400));
    let unknown = base::id::DataNodeId::random();
    let unknown = world.import_body(new, body(login(unknown.as_str(), "x"))).await;
    assert_eq!(code(unknown), ("DBS.300103", 400));
    execute(four, "CREATE DATABASE shop_0001").await;
    assert_eq!(code(world.import(new, text, &[three, four]).await), ("DBS.300113", 400));
    execute(four, "DROP DATABASE shop_0001").await;
    execute(four, "SET GLOBAL read_only = 1").await;
    assert_eq!(code(world.import(new, text, &[three, four]).await), ("DBS.300323", 400));
    execute(four, "SET GLOBAL read_only = 0").await;
    // A definition that a document cannot carry away is told at once, and none without its CREATE.
    let mut document = Document::parse(text).unwrap();
    document.schemas[0].tables[0].create = None;
    let bare = document.compress().unwrap();
    assert_eq!(code(world.import(new, &bare, &[three, four]).await), ("DBS.280001", 400));
    // One that the data node refuses fails the job, and nothing is left.
    document.schemas[0].tables[0].create = Some("CREATE TABLE `x` (`a` nonsense)".to_owned());
    let job = world.import(new, &document.compress().unwrap(), &[three, four]).await.unwrap();
    let row = world.app.jobs().wait(&job).await.unwrap();
    assert_eq!(row.state.status(), "Failed");
    assert_eq!(world.status(new).await, "RUNNING");
    for node in [three, four] {
        assert_eq!(traces(node).await, (vec![], 0));
    }
}

async fn account_of(world: &World, id: &str) {
    let body = json!({"users": [{"name": "alice", "password": PASSWORD, "base_authority": ["SELECT"], "databases": [{"name": "shop"}]}]});
    let request: control_api::account::CreateUsersRequest =
        decode(body.to_string().as_bytes()).unwrap();
    world.app.create_accounts(&world.project, id, request.check().unwrap()).await.unwrap();
}

async fn dropped_schemas_come_back(nodes: &[LocalDataNode]) {
    let world = world_with(Jobs::Run, nodes).await;
    let (app, project) = (&world.app, &world.project);
    let id = world.running_instance(1).await;
    let instance_id = InstanceId::parse(&id).unwrap();
    let two = [&nodes[0], &nodes[1]];
    world.finish(world.create(&id, &nodes[..2]).await).await;
    world.make_tables(&id, nodes).await;
    account_of(&world, &id).await;
    execute(&nodes[1], "INSERT INTO shop_0001.t_1 VALUES (7000, 'x')").await;
    let shape = world.shape(&id).await;
    let before_ms = control_app::time::now_ms();
    assert_eq!(
        code(world.restore((&id, json!({"restore_time": before_ms})), &id, &two).await).0,
        "DBS.280001"
    );
    assert!(
        app.restorable_times(project, &id, PAGE)
            .await
            .unwrap()
            .restorable_time_intervals
            .is_empty()
    );

    world.finish(world.delete_keeping_data(&id).await).await;
    let backups = world.backups().await;
    assert_eq!(backups.len(), 1);
    let backup = &backups[0];
    assert_eq!((backup.status.as_str(), backup.backup_type.as_str()), ("normal", "metadata"));
    assert!(backup.file_size > 0.1 && backup.name.starts_with("Backup-ddm-test-"));
    let shown = app.show_backup(project, &id, &backup.id).await.unwrap();
    assert_eq!(shown.related_data_nodes.len(), 2);
    let from = || (id.as_str(), json!({"backup_id": backup.id}));
    restore_refusals(&world, &id, &backup.id, nodes).await;
    restorables(&world, &id, nodes).await;

    let job = world.restore(from(), &id, &[&nodes[1], &nodes[0]]).await.unwrap();
    assert_eq!(world.status(&id).await, "RESTORE");
    world.finish(job).await;
    assert_eq!(world.status(&id).await, "RUNNING");
    let snapshot = app.snapshot(&instance_id).await.unwrap().unwrap();
    snapshot.validate().unwrap();
    assert!(snapshot.accounts["alice"].schemas.contains("shop"), "the account sees it again");
    let position = "SELECT next FROM shop_0000._ddm_sequence WHERE name = 't'";
    assert_eq!(cell(&nodes[0].login(), position).await.as_deref(), Some("7001"));
    let mut now = world.shape(&id).await;
    let table = now[0]["tables"].as_array_mut().unwrap();
    assert_eq!(
        table.iter_mut().find(|one| one["table"]["name"] == "T").unwrap()["next_value"].take(),
        7001
    );
    let mut then = shape.clone();
    let table = then[0]["tables"].as_array_mut().unwrap();
    table.iter_mut().find(|one| one["table"]["name"] == "T").unwrap()["next_value"].take();
    assert_eq!(now, then);
    assert_eq!(code(world.restore(from(), &id, &two).await).0, "DBS.280001", "nothing is missing");

    // By time, without a table that is gone meanwhile; on an instance that is new, after the old one
    // was deleted with its backups kept.
    execute(&nodes[0], "DROP TABLE shop_0000.b").await;
    execute(&nodes[1], "DROP TABLE shop_0001.b").await;
    let job = app.delete_instance(project, &id, false).await.unwrap().job_id;
    world.finish(job).await;
    assert_eq!(traces(&nodes[0]).await.1, 0);
    let other = world.running_instance(1).await;
    let from = (id.as_str(), json!({"restore_time": before_ms as f64}));
    world.finish(world.restore(from, &other, &two).await.unwrap()).await;
    let snapshot = app.snapshot(&InstanceId::parse(&other).unwrap()).await.unwrap().unwrap();
    let schema = &snapshot.schemas["shop"];
    assert!(schema.ready && schema.tables.len() == 3 && schema.table("b").is_none());
    let backups = world.backups().await;
    let kept = backups.iter().filter(|one| one.instance_id == id);
    let statuses: Vec<&str> = kept.map(|one| one.instance_status.as_str()).collect();
    assert_eq!(statuses, ["DELETED"; 2]);

    let job = app.delete_backup(project, &backup.id).await.unwrap().job_id;
    world.finish(job).await;
    assert_eq!(code(app.delete_backup(project, &backup.id).await), ("DBS.280404", 404));
    assert_eq!(code(app.show_backup(project, &id, &backup.id).await), ("DBS.280404", 404));
    let job = app.delete_instance(project, &other, true).await.unwrap().job_id;
    world.finish(job).await;
    drop_all(nodes).await;
}

async fn restore_refusals(world: &World, id: &str, backup: &str, nodes: &[LocalDataNode]) {
    let two = [&nodes[0], &nodes[1]];
    let from = || (id, json!({"backup_id": backup}));
    let unknown = (id, json!({"backup_id": base::id::BackupId::random()}));
    assert_eq!(code(world.restore(unknown, id, &two).await), ("DBS.280001", 400));
    let late = (id, json!({"restore_time": control_app::time::now_ms() + 60_000}));
    assert_eq!(code(world.restore(late, id, &two).await), ("DBS.280001", 400));
    let early = (id, json!({"restore_time": 1}));
    assert_eq!(code(world.restore(early, id, &two).await), ("DBS.280001", 400));
    assert_eq!(code(world.restore(("nowhere", from().1), id, &two).await).1, 404);
    assert_eq!(code(world.restore(from(), "nowhere", &two).await), ("DBS.300372", 400));
    assert_eq!(code(world.restore(from(), id, &[&nodes[0]]).await), ("DBS.300102", 400));
    assert_eq!(code(world.restore(from(), id, &[&nodes[0], &nodes[2]]).await), ("DBS.300336", 400));
    // In two places at once.
    execute(&nodes[2], "CREATE DATABASE shop_0001").await;
    let elsewhere = world.restore(from(), id, &[&nodes[0], &nodes[2]]).await;
    assert_eq!(code(elsewhere), ("DBS.300336", 400), "its tables are not there");
    execute(&nodes[2], "DROP DATABASE shop_0001").await;
    execute(&nodes[1], "SET GLOBAL read_only = 1").await;
    assert_eq!(code(world.restore(from(), id, &two).await), ("DBS.300323", 400));
    execute(&nodes[1], "SET GLOBAL read_only = 0").await;
    let admin = &nodes[1].admin_user;
    let change =
        |password: &str| format!("SET PASSWORD FOR CURRENT_USER() = PASSWORD('{password}')");
    execute(&nodes[1], &change("another")).await;
    assert_eq!(code(world.restore(from(), id, &two).await), ("DBS.300357", 400));
    let other = Secret::new("another");
    let login = AdminLogin::new(&*nodes[1].host, nodes[1].port, admin.as_str(), other);
    let back = change(nodes[1].admin_password.expose());
    SqlDataNodeAdmin::new().execute(&login, &back).await.unwrap();
    // Another instance must be empty.
    let other = world.running_instance(1).await;
    world.finish(world.create(&other, &nodes[2..3]).await).await;
    assert_eq!(code(world.restore(from(), &other, &two).await), ("DBS.300372", 400));
    assert_eq!(code(world.restore(from(), id, &[&nodes[0], &nodes[2]]).await), ("DBS.300110", 400));
    let listed = world.app.restorable_instances(&world.project, id, PAGE).await.unwrap();
    let available: Vec<(bool, &str)> = listed
        .instances
        .iter()
        .map(|one| (one.available, one.unavailable_reason.as_str()))
        .collect();
    assert_eq!(available, [(false, "the instance has a schema"), (true, "")], "the newest first");
    let job = world.app.delete_instance(&world.project, &other, true).await.unwrap().job_id;
    world.finish(job).await;
}

async fn restorables(world: &World, id: &str, nodes: &[LocalDataNode]) {
    let (app, project) = (&world.app, &world.project);
    let times = app.restorable_times(project, id, PAGE).await.unwrap();
    let interval = &times.restorable_time_intervals[0];
    assert!(interval.start_time < interval.end_time && times.total == 1);
    let related = app.related_data_nodes(project, id, None, PAGE).await.unwrap();
    assert_eq!(related.latest_restorable_time, interval.end_time);
    assert_eq!(related.related_data_nodes[0].instance_id, nodes[0].id.as_str());
    let query = DataNodeQuery {
        target_instance_id: Some(id.to_owned()),
        source_data_node: Some(nodes[0].id.to_string()),
        restore_time_ms: None,
    };
    let listed = app.restorable_data_nodes(project, id, &query, PAGE).await.unwrap();
    let available: Vec<bool> = listed.target_data_nodes.iter().map(|one| one.available).collect();
    assert_eq!(available, [true, false, false, false], "only the first has its databases");
    let odd = DataNodeQuery { source_data_node: Some(nodes[3].id.to_string()), ..query.clone() };
    let odd = app.restorable_data_nodes(project, id, &odd, PAGE).await;
    assert_eq!(code(odd), ("DBS.300103", 400));
    let odd = DataNodeQuery { target_instance_id: Some("x".to_owned()), ..query };
    let odd = app.restorable_data_nodes(project, id, &odd, PAGE).await;
    assert_eq!(code(odd), ("DBS.300372", 400));
}

async fn run_kit(
    world: &World,
    definition: fn() -> JobDefinition<Arc<control_app::App>>,
    fault: Fault,
    job: impl Future<Output = String>,
) {
    let store = Arc::new(StoreJobs(world.store.clone()));
    let row = kit::run(store, world.app.clone(), definition, fault, async |_| job.await).await;
    kit::assert_ended(&row, fault);
}

async fn made_instance(world: &World) -> String {
    let (id, job) = world.buy(1).await;
    run_kit(world, instance_create::definition, Fault::None, async { job.unwrap() }).await;
    id
}

async fn jobs_bear_every_fault(nodes: &[LocalDataNode]) {
    let world = world_with(Jobs::LeaveToKit, nodes).await;
    let (app, project) = (&world.app, &world.project);
    let (old, new) = (made_instance(&world).await, made_instance(&world).await);
    let create = async { world.create(&old, &nodes[..2]).await };
    run_kit(&world, schema_create::definition, Fault::None, create).await;
    world.make_tables(&old, nodes).await;
    account_of(&world, &old).await;
    let text = world.export(&old).await;
    let steps = metadata_apply::import_definition().steps.len();
    for fault in kit::faults(steps) {
        let keys = world.keys().await;
        let import = async { world.import(&new, &text, &[&nodes[2], &nodes[3]]).await.unwrap() };
        run_kit(&world, metadata_apply::import_definition, fault, import).await;
        assert_eq!(world.status(&new).await, "RUNNING", "{fault:?}");
        if kit::completes(fault) {
            assert_eq!(world.shape(&new).await, world.shape(&old).await, "{fault:?}");
            let delete = async { app.delete_schema(project, &new, "shop", true).await.unwrap() };
            run_kit(&world, schema_delete::definition, Fault::None, delete).await;
        } else {
            assert_eq!(world.keys().await, keys, "{fault:?}");
        }
        for node in &nodes[2..] {
            assert_eq!(traces(node).await, (vec![], 0), "{fault:?}");
        }
    }
    a_restore_bears_every_fault(&world, &old, nodes).await;
    deleting_a_backup_bears_every_fault(&world).await;
    for id in [&old, &new] {
        let delete = async { app.delete_instance(project, id, true).await.unwrap().job_id };
        run_kit(&world, instance_delete::definition, Fault::None, delete).await;
    }
    drop_all(nodes).await;
}

async fn a_restore_bears_every_fault(world: &World, id: &str, nodes: &[LocalDataNode]) {
    let delete = async { world.delete_keeping_data(id).await };
    run_kit(world, schema_delete::definition, Fault::None, delete).await;
    let instance_id = InstanceId::parse(id).unwrap();
    let backup = world.backups().await.into_iter().find(|one| one.instance_id == id).unwrap().id;
    let databases = (traces(&nodes[0]).await.0, traces(&nodes[1]).await.0);
    for fault in kit::faults(metadata_apply::restore_definition().steps.len()) {
        let keys = world.keys().await;
        let restore = async {
            let from = (id, json!({"backup_id": backup}));
            world.restore(from, id, &[&nodes[0], &nodes[1]]).await.unwrap()
        };
        run_kit(world, metadata_apply::restore_definition, fault, restore).await;
        assert_eq!(world.status(id).await, "RUNNING", "{fault:?}");
        let found = (traces(&nodes[0]).await.0, traces(&nodes[1]).await.0);
        assert_eq!(found, databases, "{fault:?}: nothing is dropped");
        let snapshot = world.app.snapshot(&instance_id).await.unwrap().unwrap();
        let seen = snapshot.accounts["alice"].schemas.contains("shop");
        assert_eq!(seen, kit::completes(fault), "{fault:?}");
        if kit::completes(fault) {
            assert!(snapshot.schemas["shop"].ready && snapshot.schemas["shop"].tables.len() == 4);
            let delete = async { world.delete_keeping_data(id).await };
            run_kit(world, schema_delete::definition, Fault::None, delete).await;
        } else {
            assert_eq!(world.keys().await, keys, "{fault:?}");
            assert_eq!((traces(&nodes[0]).await.1, traces(&nodes[1]).await.1), (0, 0), "{fault:?}");
        }
    }
}

async fn deleting_a_backup_bears_every_fault(world: &World) {
    for fault in kit::faults(backup_delete::definition().steps.len()) {
        let backups = world.backups().await;
        let id = backups[0].id.clone();
        let delete = async { world.app.delete_backup(&world.project, &id).await.unwrap().job_id };
        run_kit(world, backup_delete::definition, fault, delete).await;
        let left = world.backups().await.into_iter().find(|one| one.id == id);
        if kit::completes(fault) {
            assert!(left.is_none(), "{fault:?}");
            let document = format!("metadata-documents/{id}");
            assert!(!world.keys().await.contains(&document), "{fault:?}");
        } else if let Some(left) = left {
            assert_eq!(left.status, "normal", "{fault:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nightly_backup_is_made_up_for_and_old_ones_go() {
    use control_app::reconcile::backups::Action;
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    let world = world(Jobs::Run).await;
    let id = world.running_instance(1).await;
    let now = control_app::time::now_ms();
    assert_eq!(world.app.reconcile_backups(now).await.unwrap(), [], "it was made today");
    let made = world.app.reconcile_backups(now + DAY_MS).await.unwrap();
    assert!(matches!(made.as_slice(), [Action::Make(instance, _)] if instance.as_str() == id));
    let backups = world.backups().await;
    assert_eq!((backups.len(), backups[0].backup_type.as_str()), (1, "auto_metadata"));
    assert_eq!(backups[0].description, "auto metadata backup");
    assert_eq!(backups[0].instance_status, "RUNNING");
    let removed = world.app.reconcile_backups(now + 31 * DAY_MS).await.unwrap();
    assert!(matches!(removed.as_slice(), [Action::Remove(_), Action::Make(..)]), "{removed:?}");
    let other = BackupFilter { instance_name: Some("other".to_owned()), ..BackupFilter::default() };
    let kept = world.app.list_backups(&world.project, &other, PAGE);
    assert_eq!(kept.await.unwrap().total, 0);
    assert_eq!(world.backups().await.len(), 1);
}
