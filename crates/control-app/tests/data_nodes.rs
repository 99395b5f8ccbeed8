//! Read weights, changed registrations and synchronising, on real servers: two data nodes, each with
//! a replica that follows it, and a third server that is another one.

#![allow(clippy::unwrap_used)]

mod common;

use base::api_error::{ApiError, Language};
use base::id::InstanceId;
use common::data_nodes::{on_servers, used};
use common::{Jobs, World, code, world};
use control_api::data_node::{CheckConnectionsRequest, DataNodeUpdate, UpdateDataNodeRequest};
use control_api::decode::decode;
use control_api::metadata::{ImportMetadataRequest, RestoreMetadataRequest};
use control_api::read_weight::{BatchReadWriteStrategyRequest, ReadWriteStrategyRequest};
use control_api::schema::CreateDatabasesRequest;
use control_app::jobs::{data_nodes_sync, instance_create, schema_create};
use control_store::jobs::StoreJobs;
use control_store::records::data_node::DataNodeRecord;
use job_engine::kit::{self, Fault};
use provision::mariadb_local::LocalDataNode;
use provision::{AdminLogin, DataNodeAdmin, SqlDataNodeAdmin};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use topology::model::DataNode;

/// Passes connections on to a server until it is dropped.
struct Forwarder {
    port: u16,
    task: JoinHandle<()>,
}

impl Forwarder {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                tokio::spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { port: own, task }
    }

    async fn close(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

impl World {
    /// Makes a schema of two shards on each of these.
    async fn use_nodes(&self, id: &str, nodes: &[&LocalDataNode]) -> String {
        let used: Vec<Value> = nodes.iter().map(|node| used(node)).collect();
        let body = json!({"databases": [{
            "name": "shop", "shard_mode": "cluster", "shard_number": 2 * nodes.len(), "used_rds": used,
        }]});
        let request: CreateDatabasesRequest = decode(body.to_string().as_bytes()).unwrap();
        let new = request.check().unwrap();
        self.app.create_schemas(&self.project, id, &new).await.unwrap().remove(0)
    }

    async fn instance_on(&self, nodes: &[&LocalDataNode]) -> String {
        let id = self.running_instance(2).await;
        let job = self.use_nodes(&id, nodes).await;
        self.app.jobs().wait(&job).await.unwrap();
        assert!(!self.served(&id).await.is_empty());
        id
    }

    /// The data nodes of the instance's snapshot.
    async fn served(&self, id: &str) -> BTreeMap<String, DataNode> {
        let id = InstanceId::parse(id).unwrap();
        let snapshot = self.app.snapshot(&id).await.unwrap().unwrap();
        snapshot.data_nodes.into_iter().map(|(id, node)| (id.to_string(), node)).collect()
    }

    async fn weights(&self, id: &str) -> BTreeMap<String, u32> {
        let mut all = BTreeMap::new();
        for (id, node) in self.served(id).await {
            all.insert(id, node.read_weight);
            all.extend(node.replicas.iter().map(|one| (one.id.to_string(), one.read_weight)));
        }
        all
    }

    async fn set(&self, id: &str, weights: Value) -> Result<(), ApiError> {
        let body = json!({ "read_weight": weights }).to_string();
        let weights = decode::<ReadWriteStrategyRequest>(body.as_bytes())?.check()?;
        self.app.set_read_weights(&self.project, id, &weights).await.map(drop)
    }

    async fn set_v3(&self, id: &str, weights: Value) -> Result<(), ApiError> {
        let body = json!({ "read_weight_list": weights }).to_string();
        let weights = decode::<BatchReadWriteStrategyRequest>(body.as_bytes())?.check()?;
        self.app.set_read_weights(&self.project, id, &weights).await.map(drop)
    }

    async fn update(&self, node: &LocalDataNode, body: Value) -> Result<DataNodeRecord, ApiError> {
        let update: DataNodeUpdate =
            decode::<UpdateDataNodeRequest>(body.to_string().as_bytes())?.check()?;
        self.app.update_data_node(node.id.as_str(), update).await
    }

    async fn sync(&self, id: &str) -> Result<(), ApiError> {
        self.app.sync_data_nodes(&self.project, id).await.map(drop)
    }

    /// Everything in the store that a refused call must not change.
    async fn data_node_records(&self) -> Vec<Vec<u8>> {
        let (entries, _) = self.store.list("data-nodes/").await.unwrap();
        entries.into_iter().map(|entry| entry.value.to_vec()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_nodes_on_real_servers() {
    on_servers(2, 1, |nodes| {
        on_servers(1, 0, |others| async move {
            let other = &others[0];
            weights_reach_the_snapshot_or_are_refused(&nodes, other).await;
            of_two_changes_at_once_none_is_lost(&nodes).await;
            a_moved_server_is_used_after_a_synchronisation(&nodes, other).await;
            the_job_bears_every_fault(&nodes).await;
            connections_are_tried(&nodes).await;
            weights_are_part_of_the_metadata(&nodes).await;
            replicas_come_and_go(&nodes).await;
        })
    })
    .await;
}

/// Takes the instance away with its data, so that the next test finds empty data nodes.
async fn clear(world: &World, id: &str) {
    let job = world.app.delete_instance(&world.project, id, true).await.unwrap().job_id;
    world.app.jobs().wait(&job).await.unwrap();
}

async fn weights_reach_the_snapshot_or_are_refused(nodes: &[LocalDataNode], other: &LocalDataNode) {
    let world = world(Jobs::Run).await;
    world.register_whole(&nodes[0]).await;
    world.register_whole(&nodes[1]).await;
    world.register(other).await;
    let id = world.instance_on(&[&nodes[0], &nodes[1]]).await;
    let (one, two) = (nodes[0].id.as_str(), nodes[1].id.as_str());
    let (r1, r2) = (nodes[0].replicas[0].id.as_str(), nodes[1].replicas[0].id.as_str());
    let are = |weights: [u32; 4]| {
        let ids = [one, r1, two, r2].map(str::to_owned);
        ids.into_iter().zip(weights).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(world.weights(&id).await, are([100, 0, 100, 0]), "a new replica takes no reads");

    world.publisher.published.lock().unwrap().clear();
    world.set(&id, json!({one: 20, r1: 80})).await.unwrap();
    assert_eq!(world.weights(&id).await, are([20, 80, 100, 0]));
    assert!(!world.publisher.published.lock().unwrap().is_empty(), "the nodes are told");
    world.set(&id, json!({r1: 60, r2: 7})).await.unwrap();
    assert_eq!(world.weights(&id).await, are([20, 60, 100, 7]), "the others stay");
    world.set_v3(&id, json!([{one: 0, r1: 100}, {two: 30, r2: 70}])).await.unwrap();
    assert_eq!(world.weights(&id).await, are([0, 100, 30, 70]));
    world.set_v3(&id, json!([{one: 1}, {r1: 2}])).await.unwrap();
    assert_eq!(world.weights(&id).await, are([1, 2, 30, 70]));

    let before = world.data_node_records().await;
    let unknown = base::id::DataNodeId::random();
    let foreign = other.id.as_str();
    for (weights, wanted) in [
        (json!({one: 0, r1: 0}), "DBS.300315"),
        (json!({one: 101}), "DBS.300315"),
        (json!({unknown.as_str(): 5}), "DBS.300314"),
        (json!({one: 5, foreign: 5}), "DBS.300314"),
        (json!({"x": 5}), "DBS.300314"),
        (json!({}), "DBS.280001"),
    ] {
        assert_eq!(code(world.set(&id, weights.clone()).await), (wanted, 400), "{weights}");
    }
    for (weights, wanted) in [
        (json!([{one: 5, r2: 5}]), "DBS.300314"),
        (json!([{one: 5}, {one: 6}]), "DBS.300108"),
        (json!([{one: 5, r1: 5}, {two: 0, r2: 0}]), "DBS.300315"),
    ] {
        assert_eq!(code(world.set_v3(&id, weights.clone()).await), (wanted, 400), "{weights}");
    }
    assert_eq!(world.data_node_records().await, before, "a refused call changes nothing");

    let order = world
        .try_buy(|body| {
            body["extend_param"] =
                json!({"charge_mode": "prePaid", "period_type": "month", "period_num": 1});
        })
        .await
        .unwrap();
    assert_eq!(code(world.set(&order.id, json!({one: 5})).await), ("DBS.200076", 409));
    assert_eq!(code(world.sync(&order.id).await), ("DBS.200076", 409));

    // Weights belong to the use: who uses the data node next begins anew.
    clear(&world, &id).await;
    let next = world.instance_on(&[&nodes[0], other]).await;
    assert_eq!(world.weights(&next).await[one], 100);
    assert_eq!(world.weights(&next).await[r1], 0);
    assert_eq!(code(world.set(&next, json!({foreign: 50})).await), ("DBS.300314", 400));
    world.set(&next, json!({foreign: 100})).await.unwrap();
    clear(&world, &next).await;
}

async fn of_two_changes_at_once_none_is_lost(nodes: &[LocalDataNode]) {
    let world = world(Jobs::Run).await;
    world.register_whole(&nodes[0]).await;
    let id = world.instance_on(&[&nodes[0]]).await;
    let (one, r1) = (nodes[0].id.as_str(), nodes[0].replicas[0].id.as_str());
    for round in 1..=20_u32 {
        let named = format!("name-{round}");
        let (primary, replica, rename) = tokio::join!(
            world.set(&id, json!({one: round})),
            world.set(&id, json!({r1: round + 40})),
            world.app.rename_instance(&world.project, &id, named),
        );
        // While the name changes the instance is not RUNNING: such a call is refused as a whole.
        let weights = world.weights(&id).await;
        for (done, server, wanted) in [(primary, one, round), (replica, r1, round + 40)] {
            match done {
                Ok(()) => assert_eq!(weights[server], wanted),
                Err(error) => {
                    assert_eq!(error.code.code, "DBS.200076");
                    assert_ne!(weights[server], wanted);
                }
            }
        }
        if let Err(error) = rename {
            panic!("a rename waits for nobody here: {error}");
        }
    }
    // A synchronisation that looks at the servers meanwhile keeps what is set.
    for round in 1..=5_u32 {
        let (set, synced) =
            tokio::join!(world.set(&id, json!({one: round, r1: 90 + round})), world.sync(&id));
        set.unwrap();
        synced.unwrap();
        let weights = world.weights(&id).await;
        assert_eq!((weights[one], weights[r1]), (round, 90 + round));
    }
    clear(&world, &id).await;
}

async fn a_moved_server_is_used_after_a_synchronisation(
    nodes: &[LocalDataNode],
    other: &LocalDataNode,
) {
    let world = world(Jobs::Run).await;
    let node = &nodes[0];
    world.register_whole(node).await;
    let id = world.instance_on(&[node]).await;
    world.set(&id, json!({node.id.as_str(): 30, node.replicas[0].id.as_str(): 70})).await.unwrap();
    let key = node.id.to_string();
    let (front, replica_front) =
        (Forwarder::to(node.port).await, Forwarder::to(node.replicas[0].port).await);

    let wrong = world.update(node, json!({"port": other.port})).await;
    // The other server has another administrator's password.
    assert_eq!(code(wrong), ("DBS.300357", 400));
    let body = json!({"port": other.port, "admin_user": other.admin_user, "admin_password": other.admin_password.expose()});
    let wrong = world.update(node, body).await.unwrap_err();
    assert_eq!((wrong.code.code, wrong.field.as_deref()), ("DBS.300363", Some("host")));
    assert_eq!(code(world.update(node, json!({"port": 1})).await), ("DBS.300408", 400));
    assert_eq!(code(world.update(node, json!({"admin_user": "x"})).await), ("DBS.280001", 400));
    assert_eq!(code(world.update(node, json!({})).await), ("DBS.280001", 400));
    world.register(other).await;
    assert_eq!(code(world.update(node, json!({"port": other.port})).await), ("DBS.280409", 409));

    let moved = world.update(node, json!({"port": front.port})).await.unwrap();
    assert_eq!((moved.port, moved.as_registered().port), (node.port, front.port));
    assert_eq!(world.served(&id).await[&key].port, node.port, "not before it is synchronised");
    let replicas =
        json!([{"id": node.replicas[0].id, "host": "127.0.0.1", "port": replica_front.port}]);
    world.update(node, json!({ "replicas": replicas })).await.unwrap();
    world.sync(&id).await.unwrap();
    let served = world.served(&id).await.remove(&key).unwrap();
    assert_eq!((served.port, served.read_weight), (front.port, 30));
    let replica = &served.replicas[0];
    assert_eq!(
        (&replica.id, replica.port, replica.read_weight),
        (&node.replicas[0].id, replica_front.port, 70)
    );
    assert_eq!(world.app.show_data_node(&key).await.unwrap().pending, None);

    // The server is not where it was said to be any more.
    front.close().await;
    let before = world.data_node_records().await;
    let error = world.sync(&id).await.unwrap_err();
    assert_eq!((error.code.code, error.status), ("DBS.300356", 400));
    assert!(error.message(Language::English).contains(&node.name), "{error}");
    assert_eq!(world.data_node_records().await, before, "nothing changed");
    let other_use = world.app.remove_data_node(&key).await;
    assert_eq!(code(other_use), ("DBS.280409", 409), "it is in use");

    world.update(node, json!({"host": "localhost", "port": node.port})).await.unwrap();
    world.sync(&id).await.unwrap();
    let served = world.served(&id).await.remove(&key).unwrap();
    assert_eq!((served.host.as_str(), served.port), ("localhost", node.port));
    // A replica that is named is reached, or its data node is not synchronised: the primary still
    // has it connected.
    replica_front.close().await;
    world.sync(&id).await.unwrap();
    let served = world.served(&id).await.remove(&key).unwrap();
    assert_eq!(served.replicas[0].port, node.replicas[0].port, "the primary knows where it is");
    assert_eq!(served.replicas[0].read_weight, 70);

    // Another administrator is taken over to what the instance uses.
    let admin = SqlDataNodeAdmin::new();
    let sql = "CREATE USER keeper@'%' IDENTIFIED BY 'pw-of-keeper'";
    admin.execute(&node.login(), sql).await.unwrap();
    let sql = "GRANT ALL PRIVILEGES ON *.* TO keeper@'%' WITH GRANT OPTION";
    admin.execute(&node.login(), sql).await.unwrap();
    let body = json!({"admin_user": "keeper", "admin_password": "pw-of-keeper"});
    world.update(node, body).await.unwrap();
    world.sync(&id).await.unwrap();
    let record = world.app.show_data_node(&key).await.unwrap();
    assert_eq!(record.binding.unwrap().admin_user, "keeper");
    clear(&world, &id).await;
    admin.execute(&node.login(), "DROP USER keeper@'%'").await.unwrap();
}

async fn weights_are_part_of_the_metadata(nodes: &[LocalDataNode]) {
    let world = world(Jobs::Run).await;
    world.register_whole(&nodes[0]).await;
    world.register_whole(&nodes[1]).await;
    let (app, project) = (&world.app, &world.project);
    let id = world.instance_on(&[&nodes[0]]).await;
    let (one, r1) = (nodes[0].id.as_str(), nodes[0].replicas[0].id.as_str());
    let (two, r2) = (nodes[1].id.as_str(), nodes[1].replicas[0].id.as_str());
    world.set(&id, json!({one: 25, r1: 75})).await.unwrap();

    // An import gives them to the data node that takes the place.
    let exported = app.export_metadata(project, &id).await.unwrap().compressed_databases_info;
    let other = world.running_instance(1).await;
    let body = json!({"compressed_databases_info": exported, "dn_instance": [
        {"dn_instance_id": two, "admin_user": nodes[1].admin_user, "admin_password": nodes[1].admin_password}]});
    let import =
        decode::<ImportMetadataRequest>(body.to_string().as_bytes()).unwrap().check().unwrap();
    let job = app.import_metadata(project, &other, import).await.unwrap().job_id;
    app.jobs().wait(&job).await.unwrap();
    let weights = world.weights(&other).await;
    assert_eq!(weights, BTreeMap::from([(two.to_owned(), 25), (r2.to_owned(), 75)]));

    // A restore brings back those of the backup that the deletion of the schema makes.
    let job = app.delete_schema(project, &id, "shop", false).await.unwrap();
    app.jobs().wait(&job).await.unwrap();
    assert_eq!(app.show_data_node(one).await.unwrap().read_weight, 100);
    let body = json!({"source": {"restore_time": control_app::time::now_ms()}, "target": {"instance_id": id, "data_nodes": [one]}});
    let restore =
        decode::<RestoreMetadataRequest>(body.to_string().as_bytes()).unwrap().check().unwrap();
    let job = app.restore_metadata(project, &id, restore).await.unwrap().job_id;
    app.jobs().wait(&job).await.unwrap();
    let weights = world.weights(&id).await;
    assert_eq!(weights, BTreeMap::from([(one.to_owned(), 25), (r1.to_owned(), 75)]));
    clear(&world, &id).await;
    clear(&world, &other).await;
}

async fn replicas_come_and_go(nodes: &[LocalDataNode]) {
    let world = world(Jobs::Run).await;
    let node = &nodes[0];
    world.register(node).await;
    let id = world.instance_on(&[node]).await;
    let key = node.id.to_string();
    assert!(world.served(&id).await[&key].replicas.is_empty());
    world.sync(&id).await.unwrap();
    let found = world.served(&id).await.remove(&key).unwrap().replicas;
    assert_eq!(found.len(), 1, "the primary tells who follows it");
    assert_eq!((found[0].port, found[0].read_weight), (node.replicas[0].port, 0));
    world.set(&id, json!({key.as_str(): 0, found[0].id.as_str(): 50})).await.unwrap();
    world.sync(&id).await.unwrap();
    let same = world.served(&id).await.remove(&key).unwrap().replicas;
    assert_eq!((&same[0].id, same[0].read_weight), (&found[0].id, 50), "it is the same one");
    // Each start of the system registers its own servers again.
    world.register(node).await;
    let kept = world.served(&id).await.remove(&key).unwrap().replicas;
    assert_eq!((&kept[0].id, kept[0].read_weight), (&found[0].id, 50));
    world.register_whole(node).await;
    let named = world.served(&id).await.remove(&key).unwrap().replicas;
    assert_eq!((&named[0].id, named[0].read_weight), (&node.replicas[0].id, 50));
    assert_eq!(named.len(), 1);

    let admin = SqlDataNodeAdmin::new();
    let replica = AdminLogin::new(
        "127.0.0.1",
        node.replicas[0].port,
        &*node.admin_user,
        node.admin_password.clone(),
    );
    for sql in ["STOP SLAVE", "RESET SLAVE ALL"] {
        admin.execute(&replica, sql).await.unwrap();
    }
    world.sync(&id).await.unwrap();
    let served = world.served(&id).await.remove(&key).unwrap();
    assert_eq!((served.replicas.len(), served.read_weight), (0, 100), "reads must go somewhere");
    clear(&world, &id).await;
}

async fn the_job_bears_every_fault(nodes: &[LocalDataNode]) {
    let world = world(Jobs::LeaveToKit).await;
    let node = &nodes[0];
    world.register_whole(node).await;
    let store = Arc::new(StoreJobs(world.store.clone()));
    let (id, job) = world.buy(2).await;
    let app = &world.app;
    kit::run(store.clone(), app.clone(), instance_create::definition, Fault::None, async |_| {
        job.unwrap()
    })
    .await;
    kit::run(store.clone(), app.clone(), schema_create::definition, Fault::None, async |_| {
        world.use_nodes(&id, &[node]).await
    })
    .await;
    for (at, fault) in
        kit::faults(data_nodes_sync::definition().steps.len()).into_iter().enumerate()
    {
        let host = if at % 2 == 0 { "localhost" } else { "127.0.0.1" };
        world.update(node, json!({ "host": host })).await.unwrap();
        let row =
            kit::run(store.clone(), app.clone(), data_nodes_sync::definition, fault, async |_| {
                let done = app.begin_sync_data_nodes(&world.project, &id).await.unwrap();
                let second = app.begin_sync_data_nodes(&world.project, &id).await;
                assert_eq!(code(second), ("DBS.200076", 409));
                done.job_id
            })
            .await;
        kit::assert_ended(&row, fault);
        // The server is where it is, also when a node could not be told.
        assert_eq!(world.served(&id).await[node.id.as_str()].host, host, "{fault:?}");
        assert_eq!(world.status(&id).await, "RUNNING");
        let locks = world.keys().await.into_iter().filter(|key| key.starts_with("locks/"));
        assert_eq!(locks.collect::<Vec<_>>(), Vec::<String>::new(), "{fault:?}");
    }
    let delete = async |_| app.delete_instance(&world.project, &id, true).await.unwrap().job_id;
    let deletion = control_app::jobs::instance_delete::definition;
    kit::run(store, app.clone(), deletion, Fault::None, delete).await;
}

async fn connections_are_tried(nodes: &[LocalDataNode]) {
    let world = world(Jobs::Run).await;
    world.register_whole(&nodes[0]).await;
    world.register_whole(&nodes[1]).await;
    let id = world.instance_on(&[&nodes[0]]).await;
    let info = |port: u16, password: &str, id: &str| json!({"endpoint": format!("127.0.0.1:{port}"), "username": nodes[1].admin_user, "password": password, "rds_instance_id": id});
    let (port, password, node) =
        (nodes[1].port, nodes[1].admin_password.expose(), nodes[1].id.as_str());
    let check = async |instance: &str, infos: Value| {
        let body = json!({ "infos": infos }).to_string();
        let infos = decode::<CheckConnectionsRequest>(body.as_bytes())?.check()?;
        world.app.check_connections(&world.project, instance, infos, Language::English).await
    };
    let infos = json!([
        info(port, password, node),
        info(port, "wrong", node),
        info(1, password, node),
        info(nodes[1].replicas[0].port, password, node),
        info(port, password, base::id::DataNodeId::random().as_str()),
    ]);
    let told = check(&id, infos).await.unwrap().rds_check_infos;
    let codes: Vec<Option<&str>> = told.iter().map(|one| one.error_code.as_deref()).collect();
    let wanted =
        [None, Some("DBS.300114"), Some("DBS.300408"), Some("DBS.300323"), Some("DBS.300103")];
    assert_eq!(codes, wanted);
    let flags: Vec<&str> = told.iter().map(|one| one.success.as_str()).collect();
    assert_eq!(flags, ["true", "false", "false", "false", "false"]);
    assert!(told[3].error_message.as_ref().unwrap().contains("read_only"));
    let other = world.running_instance(1).await;
    let infos = json!([info(nodes[0].port, password, nodes[0].id.as_str())]);
    let told = check(&other, infos).await.unwrap().rds_check_infos;
    assert_eq!(told[0].error_code.as_deref(), Some("DBS.300110"), "another instance has it");
    assert_eq!(code(check(&id, json!([])).await), ("DBS.280001", 400));
    let nowhere =
        json!([{"endpoint": "x", "username": "a", "password": "b", "rds_instance_id": node}]);
    assert_eq!(code(check(&id, nowhere).await), ("DBS.280001", 400));
    clear(&world, &id).await;
}
