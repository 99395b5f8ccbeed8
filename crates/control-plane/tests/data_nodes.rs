//! Data nodes of one's own: a real server is registered, listed and taken off.

#![allow(clippy::unwrap_used)]

mod support;

use control_plane::{DataNodeRegistration, ReplicaRegistration, Throttle};
use provision::mariadb_local::{LocalDataNode, LocalDataNodes, LocalMariaDbOptions};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use support::{Caller, start, told};

const DATA_NODES: &str = "/v3/{project_id}/data-nodes";

fn request(node: &LocalDataNode) -> Value {
    json!({
        "name": "mine", "host": node.host, "port": node.port,
        "admin_user": node.admin_user, "admin_password": node.admin_password.expose(),
    })
}

fn with(body: &Value, field: &str, value: Value) -> String {
    let mut body = body.clone();
    body[field] = value;
    body.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_registered_once_and_taken_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut local = LocalMariaDbOptions::new(dir.path().join("data-nodes"), 1, 0);
    local.first_port = 0;
    let local = LocalDataNodes::start(local, Arc::new(|_: &str| {})).await.unwrap();
    let server = local.data_nodes().remove(0);
    let plane = start(dir.path(), Throttle::off()).await.unwrap();
    let caller = Caller::logged_in(&plane).await;
    let body = request(&server);

    let refused = async |body: String| {
        let (status, body) = told(caller.post(DATA_NODES, body).await).await;
        (status, body["error_code"].as_str().unwrap().to_owned())
    };
    assert_eq!(
        refused(with(&body, "admin_password", json!("wrong"))).await,
        (400, "DBS.300357".to_owned())
    );
    assert_eq!(refused(with(&body, "port", json!(1))).await, (400, "DBS.300408".to_owned()));
    assert_eq!(refused(with(&body, "port", json!(0))).await, (400, "DBS.280001".to_owned()));
    assert_eq!(refused(with(&body, "host", json!("a b"))).await, (400, "DBS.280001".to_owned()));
    assert_eq!(
        refused(with(&body, "availability_zone", json!("az9"))).await,
        (400, "DBS.280001".to_owned())
    );
    let bad_replica = with(&body, "replicas", json!([{ "host": "127.0.0.1", "port": 1 }]));
    assert_eq!(refused(bad_replica).await, (400, "DBS.300408".to_owned()));

    let (status, made) = told(caller.post(DATA_NODES, body.to_string()).await).await;
    assert_eq!(status, 201, "{made}");
    assert!(made["engine_version"].as_str().unwrap().contains("MariaDB"));
    assert!(!made.to_string().contains(server.admin_password.expose()));
    assert_eq!(refused(body.to_string()).await, (409, "DBS.280409".to_owned()));
    assert_eq!(refused(with(&body, "name", json!("other"))).await, (409, "DBS.280409".to_owned()));
    let (_, all) = told(caller.get(DATA_NODES).await).await;
    assert_eq!((&all["total"], &all["data_nodes"][0]["id"]), (&json!(1), &made["id"]));

    let path = format!("{DATA_NODES}/{}", made["id"].as_str().unwrap());
    let delete =
        async || caller.send(Method::DELETE, &path, &[], String::new()).await.status().as_u16();
    assert_eq!((delete().await, delete().await), (204, 404));

    // `ddm up` registers its own servers in the process, again at every start.
    let registration = DataNodeRegistration {
        id: server.id.clone(),
        name: server.name.clone(),
        host: server.host.clone(),
        port: server.port,
        admin_user: server.admin_user.clone(),
        admin_password: server.admin_password.clone(),
        replicas: Vec::<ReplicaRegistration>::new(),
    };
    plane.register_data_node(registration.clone()).await.unwrap();
    plane.register_data_node(registration).await.unwrap();
    let (_, all) = told(caller.get(DATA_NODES).await).await;
    assert_eq!((&all["total"], &all["data_nodes"][0]["id"]), (&json!(1), &json!(server.id)));
    plane.shutdown().await;
    local.stop().await.unwrap();
}
