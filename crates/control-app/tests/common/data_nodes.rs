//! Real MariaDB servers as data nodes of the world.

use super::{Jobs, World, world};
use base::id::DataNodeId;
use control_app::data_node::DataNodeRegistration;
use provision::mariadb_local::{LocalDataNode, LocalDataNodes, LocalMariaDbOptions};
use serde_json::{Value, json};
use std::sync::Arc;

/// Runs a test on so many servers, each with so many replicas. It runs in a task of its own, so that
/// the servers are stopped also when something fails.
pub async fn on_servers<F>(count: u32, replicas: u32, test: impl FnOnce(Vec<LocalDataNode>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let directory = tempfile::tempdir().unwrap();
    let mut options = LocalMariaDbOptions::new(directory.path().to_owned(), count, replicas);
    options.first_port = 0;
    let servers = LocalDataNodes::start(options, Arc::new(|_: &str| ())).await.unwrap();
    let outcome = tokio::spawn(test(servers.data_nodes())).await;
    servers.stop().await.unwrap();
    outcome.unwrap();
}

/// A world that knows these data nodes.
pub async fn world_with(jobs: Jobs, nodes: &[LocalDataNode]) -> World {
    let world = world(jobs).await;
    for node in nodes {
        world.register(node).await;
    }
    world
}

/// A data node as a request for a schema names it.
pub fn used(node: &LocalDataNode) -> Value {
    json!({"id": node.id, "adminUser": node.admin_user, "adminPassword": node.admin_password})
}

impl World {
    /// Registers a data node without its replicas.
    pub async fn register(&self, node: &LocalDataNode) {
        self.register_as(node, vec![]).await;
    }

    /// Registers a data node with its replicas.
    pub async fn register_whole(&self, node: &LocalDataNode) {
        let replicas = node.replicas.iter().map(|one| (one.id.clone(), one.host.clone(), one.port));
        self.register_as(node, replicas.collect()).await;
    }

    async fn register_as(&self, node: &LocalDataNode, replicas: Vec<(DataNodeId, String, u16)>) {
        let registration = DataNodeRegistration {
            id: node.id.clone(),
            name: node.name.clone(),
            host: node.host.clone(),
            port: node.port,
            admin_user: node.admin_user.clone(),
            admin_password: node.admin_password.clone(),
            replicas,
            replicas_named: false,
            availability_zone: "az1".to_owned(),
        };
        self.app.register_data_node(registration).await.unwrap();
    }
}
