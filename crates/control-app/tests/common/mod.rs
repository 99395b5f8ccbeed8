//! The world of the tests: a real store in a file, and doubles for what launches node processes, for
//! the stream to them and for the certificate authority. A node's double is a listener that greets
//! as a MySQL server does, so "answers clients" is asked for real.

#![allow(clippy::unwrap_used, dead_code)]

pub mod data_nodes;

use async_trait::async_trait;
use base::api_error::ApiError;
use base::id::{InstanceId, NodeId, ProjectId};
use base::seal::SealKey;
use base::secret::Secret;
use control_api::decode::decode;
use control_api::instance::CreateInstanceRequest;
use control_app::ports::{
    CertificateError, IssuedCertificates, NodeCertificates, NodesBehind, SnapshotPublisher,
};
use control_app::{App, AppParts, Settings};
use control_store::Store;
use control_store::embedded::SqliteStore;
use control_store::jobs::StoreJobs;
use control_store::slow_log::SqliteSlowLog;
use job_engine::JobEngine;
use provision::{
    DataNodeAdmin, Held, NodeProvisioner, NodeSpec, NodeStarted, ObservedNode, ProvisionError,
    SqlDataNodeAdmin, Stop,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub const PASSWORD: &str = "xK9_vQ2r-Lm7";

/// Launches doubles of nodes.
#[derive(Debug, Default)]
pub struct TestNodes {
    running: Mutex<BTreeMap<NodeId, JoinHandle<()>>>,
    made: Mutex<BTreeMap<NodeId, NodeSpec>>,
    pub starts: Mutex<Vec<NodeId>>,
    pub held: Mutex<Vec<SocketAddr>>,
}

impl TestNodes {
    pub fn count(&self) -> usize {
        self.made.lock().unwrap().len()
    }

    pub fn is_running(&self, id: &NodeId) -> bool {
        self.running.lock().unwrap().contains_key(id)
    }

    pub fn spec(&self, id: &NodeId) -> Option<NodeSpec> {
        self.made.lock().unwrap().get(id).cloned()
    }
}

#[async_trait]
impl NodeProvisioner for TestNodes {
    async fn start_node(&self, spec: &NodeSpec) -> Result<NodeStarted, ProvisionError> {
        let old = self.made.lock().unwrap().insert(spec.node_id.clone(), spec.clone());
        if self.is_running(&spec.node_id) {
            return Ok(NodeStarted::AlreadyRunning {
                pid: 1,
                stale_config: old.as_ref() != Some(spec),
            });
        }
        let listener = TcpListener::bind(spec.listen[0]).await.unwrap();
        let greets = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let _ = client.write_all(&[1, 0, 0, 0, 10]).await;
            }
        });
        self.running.lock().unwrap().insert(spec.node_id.clone(), greets);
        self.starts.lock().unwrap().push(spec.node_id.clone());
        Ok(NodeStarted::New { pid: 1 })
    }

    async fn stop_node(&self, id: &NodeId, _stop: Stop) -> Result<(), ProvisionError> {
        let running = self.running.lock().unwrap().remove(id);
        if let Some(task) = running {
            task.abort();
            let _ = task.await;
        }
        Ok(())
    }

    async fn remove_node(&self, id: &NodeId) -> Result<(), ProvisionError> {
        self.stop_node(id, Stop::Kill).await?;
        self.made.lock().unwrap().remove(id);
        Ok(())
    }

    async fn observe(&self) -> Result<Vec<ObservedNode>, ProvisionError> {
        let made: Vec<NodeId> = self.made.lock().unwrap().keys().cloned().collect();
        let seen = made.into_iter().map(|node_id| ObservedNode {
            running: self.is_running(&node_id),
            pid: None,
            exit: None,
            failures: 0,
            restart_in: Duration::ZERO,
            node_id,
        });
        Ok(seen.collect())
    }

    fn hold(&self, addresses: &[SocketAddr]) -> Result<Held, ProvisionError> {
        self.held.lock().unwrap().extend_from_slice(addresses);
        Ok(Held::default())
    }
}

/// The stream's double: a node is heard while it runs and takes every snapshot at once.
#[derive(Debug)]
pub struct TestPublisher {
    nodes: Arc<TestNodes>,
    pub published: Mutex<Vec<InstanceId>>,
}

#[async_trait]
impl SnapshotPublisher for TestPublisher {
    fn publish(&self, id: &InstanceId) {
        self.published.lock().unwrap().push(id.clone());
    }

    async fn wait_nodes_at(
        &self,
        _id: &InstanceId,
        nodes: &[NodeId],
        _version: u64,
        _timeout: Duration,
    ) -> Result<(), NodesBehind> {
        let behind: Vec<NodeId> =
            nodes.iter().filter(|node| !self.nodes.is_running(node)).cloned().collect();
        if behind.is_empty() { Ok(()) } else { Err(NodesBehind { behind }) }
    }

    fn is_heard(&self, id: &NodeId) -> bool {
        self.nodes.is_running(id)
    }
}

/// An authority that only numbers what it issues.
#[derive(Debug, Default)]
pub struct TestCertificates(Mutex<u32>);

impl NodeCertificates for TestCertificates {
    fn issue(
        &self,
        id: &NodeId,
        addresses: &[IpAddr],
    ) -> Result<IssuedCertificates, CertificateError> {
        let mut count = self.0.lock().unwrap();
        *count += 1;
        Ok(IssuedCertificates {
            ca_pem: "ca".to_owned(),
            cert_pem: format!("{id} {count}"),
            key_pem: Secret::new("key"),
            mysql_cert_pem: format!("{addresses:?}"),
            mysql_key_pem: Secret::new("key"),
        })
    }
}

pub struct World {
    pub app: Arc<App>,
    pub store: Arc<dyn Store>,
    pub slow_log: Arc<SqliteSlowLog>,
    pub nodes: Arc<TestNodes>,
    pub publisher: Arc<TestPublisher>,
    pub project: ProjectId,
    pub directory: tempfile::TempDir,
}

/// What a world with a running engine is made of, or one whose engine never runs a step (the fault
/// kit then brings its own).
pub enum Jobs {
    Run,
    LeaveToKit,
}

pub async fn world(jobs: Jobs) -> World {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = SqliteStore::open(&directory.path().join("store.db")).unwrap();
    let nodes = Arc::new(TestNodes::default());
    let publisher = Arc::new(TestPublisher { nodes: nodes.clone(), published: Mutex::default() });
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let slow_log = SqliteSlowLog::open(&directory.path().join("slow.db")).unwrap();
    let parts = AppParts {
        store: store.clone(),
        nodes: nodes.clone(),
        data_nodes: Arc::new(SqlDataNodeAdmin::new()) as Arc<dyn DataNodeAdmin>,
        seal: SealKey::from_bytes([7; 32]),
        certificates: Arc::new(TestCertificates::default()),
        publisher: publisher.clone(),
        slow_log: slow_log.clone(),
        settings: Settings {
            availability_zones: ["az1", "az2", "az3"].map(str::to_owned).into(),
            vpc_id: "vpc".to_owned(),
            subnet_id: "subnet".to_owned(),
            subnet_name: "default".to_owned(),
            security_group_id: "group".to_owned(),
            node_subnet: "127.78.0.0/24".parse().unwrap(),
            mysql_port: port,
            control_plane: vec![SocketAddr::from(([127, 0, 0, 1], 1))],
            instances_max: 3,
        },
    };
    let app = match jobs {
        Jobs::Run => App::start(parts),
        Jobs::LeaveToKit => {
            let engine = JobEngine::new(
                Arc::new(StoreJobs(store.clone())),
                control_app::jobs::definitions(),
            );
            engine.stop().await;
            App::with_engine(parts, engine)
        }
    };
    app.ensure_default_security_group().await.unwrap();
    World { app, store, slow_log, nodes, publisher, project: ProjectId::random(), directory }
}

/// Its nodes go with it: other worlds of the same test may come by the same port.
impl Drop for World {
    fn drop(&mut self) {
        for task in self.nodes.running.lock().unwrap().values() {
            task.abort();
        }
    }
}

impl World {
    /// Buys an instance; its id.
    pub async fn buy(&self, nodes: u32) -> (String, Option<String>) {
        let made = self.try_buy(|body| body["instance"]["node_num"] = json!(nodes)).await.unwrap();
        (made.id, made.job_id)
    }

    pub async fn try_buy(
        &self,
        edit: impl Fn(&mut Value),
    ) -> Result<control_api::instance::CreateInstanceResponse, ApiError> {
        let mut body = json!({"instance": {
            "name": "ddm-test", "flavor_id": control_app::flavor::NODE_CLASSES[0].id, "node_num": 1,
            "engine_id": control_app::engine::ENGINE_ID, "available_zones": ["az1", "az2"], "vpc_id": "vpc",
            "security_group_id": "group", "subnet_id": "subnet",
        }});
        edit(&mut body);
        let request: CreateInstanceRequest = decode(body.to_string().as_bytes())?;
        self.app.create_instance(&self.project, request.check()?).await
    }

    /// Buys an instance and waits until it serves.
    pub async fn running_instance(&self, nodes: u32) -> String {
        let (id, job) = self.buy(nodes).await;
        self.app.jobs().wait(&job.unwrap()).await.unwrap();
        assert_eq!(self.status(&id).await, "RUNNING");
        id
    }

    pub async fn status(&self, id: &str) -> String {
        self.app.show_instance(&self.project, id).await.unwrap().row.status
    }

    /// All keys of the store, without those of jobs and the default security group's.
    pub async fn keys(&self) -> Vec<String> {
        let (entries, _) = self.store.list("").await.unwrap();
        let of_jobs =
            |key: &String| key.starts_with("jobs/") || key.starts_with("jobs-by-project/");
        let keys = entries.into_iter().map(|entry| entry.key).filter(|key| !of_jobs(key));
        keys.filter(|key| key != "security-groups/group").collect()
    }
}

/// The code and the status of what must be an error.
pub fn code<T: std::fmt::Debug>(result: Result<T, ApiError>) -> (&'static str, u16) {
    let error = result.unwrap_err();
    (error.code.code, error.status)
}
