//! `endpoints.json`: where everything is and who may log in, for programs.

use super::demo::Demo;
use control_plane::Endpoints;
use provision::mariadb_local::LocalDataNode;
use serde_json::{Value, json};

/// The file's name in the data directory.
pub const FILE_NAME: &str = "endpoints.json";

/// The document.
pub fn document(plane: &Endpoints, data_nodes: &[LocalDataNode], demo: Option<&Demo>) -> Value {
    json!({
        "api": plane.api,
        "ca_file": plane.ca_file,
        "region": plane.region,
        "project_id": plane.project_id,
        "domain_name": plane.domain_name,
        "project_name": plane.project_name,
        "username": plane.username,
        "password": plane.password.expose(),
        "access_key": plane.access_key,
        "secret_key": plane.secret_key.expose(),
        "availability_zones": plane.availability_zones,
        "vpc_id": plane.vpc_id,
        "subnet_id": plane.subnet_id,
        "security_group_id": plane.security_group_id,
        "data_nodes": data_nodes.iter().map(data_node).collect::<Vec<_>>(),
        "demo": demo.map(Demo::document),
    })
}

fn data_node(node: &LocalDataNode) -> Value {
    let replicas: Vec<Value> = node
        .replicas
        .iter()
        .map(|replica| json!({ "id": replica.id, "host": replica.host, "port": replica.port }))
        .collect();
    json!({
        "id": node.id,
        "name": node.name,
        "host": node.host,
        "port": node.port,
        "admin_user": node.admin_user,
        "admin_password": node.admin_password.expose(),
        "replicas": replicas,
    })
}
