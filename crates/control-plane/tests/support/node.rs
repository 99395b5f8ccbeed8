//! The test in the place of a node: records as a job would make them, and the node's end of the
//! stream.

#![allow(clippy::unwrap_used)]

use base::id::{DataNodeId, GroupId, InstanceId, NodeId, ProjectId};
use base::seal::SealKey;
use base64::Engine as _;
use control_app::ports::NodeCertificates;
use control_plane::ControlPlane;
use control_plane::authority::{Authority, STREAM_NAME};
use control_store::records::Sealed;
use control_store::records::data_node::{BindingRecord, DataNodeRecord};
use control_store::records::instance::{ChargeRecord, InstanceRecord, InstanceStatus};
use control_store::records::node::{NodeRecord, NodeStage};
use control_store::records::schema::{SchemaRecord, SchemaStatus};
use control_store::{TxnOutcome, typed};
use provision::mariadb_local::LocalDataNode;
use provision::{DataNodeAdmin, SqlDataNodeAdmin};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use topology::model::{Column, Placement, Shard, ShardMode, Snapshot, Table, physical_database};
use topology::peers::PeerAnswer;
use topology::slow_query::SlowQuery;
use topology::stream::{Answer, Ask, FromNode, HEARTBEAT_INTERVAL_MS, ToNode};

/// An instance with one node, and the schema `shop` of two shards on one data node.
#[derive(Debug)]
pub struct Fixture {
    pub instance: InstanceId,
    pub node: NodeId,
}

pub fn table(name: &str) -> Table {
    Table {
        name: name.to_owned(),
        placement: Placement::Broadcast,
        columns: vec![Column::plain("id", "bigint(20)")],
        primary_key: vec!["id".to_owned()],
        unique_keys: vec![],
        sequence_column: None,
        definition_version: 1,
        view: None,
        physical_base: None,
        frozen: false,
        recycled: None,
    }
}

fn instance(id: &InstanceId, project: &str) -> InstanceRecord {
    InstanceRecord {
        id: id.clone(),
        project_id: ProjectId::parse(project).unwrap(),
        name: "ddm-1".to_owned(),
        status: InstanceStatus::Running,
        error: None,
        created_ms: 0,
        updated_ms: 0,
        flavor_code: "ddm.c6.large.2".to_owned(),
        engine_version: "3.1.7".to_owned(),
        enterprise_project_id: "0".to_owned(),
        availability_zones: vec!["az1".to_owned()],
        vpc_id: "v".to_owned(),
        subnet_id: "s".to_owned(),
        security_group_id: "g".to_owned(),
        time_zone: "UTC".to_owned(),
        group_id: GroupId::random(),
        access_ip: Ipv4Addr::new(127, 77, 0, 2),
        port: 5066,
        parameters: Default::default(),
        configuration: Default::default(),
        enable_ssl: true,
        charge: ChargeRecord::PostPaid,
        order_id: None,
        condemned: false,
    }
}

impl Fixture {
    pub async fn make(plane: &ControlPlane, dir: &Path, server: &LocalDataNode) -> Self {
        let (id, node, data_node) = (InstanceId::random(), NodeId::random(), DataNodeId::random());
        let store = plane.app().store();
        let instance = instance(&id, &plane.endpoints().project_id);
        let node_record = NodeRecord {
            id: node.clone(),
            instance_id: id.clone(),
            name: "node-1".to_owned(),
            group_id: instance.group_id.clone(),
            availability_zone: "az1".to_owned(),
            ip: Ipv4Addr::new(127, 77, 0, 3),
            stage: NodeStage::Made,
            flavor_code: None,
            should_run: true,
            // Without certificates nobody starts it: the test is the node.
            certificates: None,
        };
        let schema = SchemaRecord {
            instance_id: id.clone(),
            name: "shop".to_owned(),
            mode: ShardMode::Cluster,
            status: SchemaStatus::Running,
            serving: true,
            dropping: false,
            error: None,
            created_ms: 0,
            updated_ms: 0,
            character_set: "utf8mb4".to_owned(),
            collation: "utf8mb4_unicode_ci".to_owned(),
            shards: (0..2)
                .map(|index| Shard {
                    index,
                    database: physical_database("shop", index),
                    data_node: data_node.clone(),
                })
                .collect(),
        };
        let bound = bound(dir, &data_node, &id, server);
        let writes = vec![
            typed::put(&instance),
            typed::put(&node_record),
            typed::put(&schema),
            typed::put(&bound),
        ];
        assert!(matches!(store.txn(Vec::new(), writes).await, Ok(TxnOutcome::Committed(_))));
        let admin = SqlDataNodeAdmin::new();
        for shard in &schema.shards {
            admin
                .create_database(&server.login(), &shard.database, "utf8mb4", "utf8mb4_unicode_ci")
                .await
                .unwrap();
        }
        Self { instance: id, node }
    }
}

/// The data node as the instance has bound it; its secrets are sealed with the directory's key.
fn bound(
    dir: &Path,
    id: &DataNodeId,
    instance: &InstanceId,
    server: &LocalDataNode,
) -> DataNodeRecord {
    let digits = std::fs::read_to_string(dir.join("secrets/seal.key")).unwrap();
    let bytes: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).unwrap()).collect();
    let key = SealKey::from_bytes(bytes.try_into().unwrap());
    let seal = |part: &str| {
        let sealed =
            key.seal(&format!("data-node/{id}/{part}"), server.admin_password.expose().as_bytes());
        Sealed(base64::engine::general_purpose::STANDARD.encode(sealed))
    };
    DataNodeRecord {
        id: id.clone(),
        name: "dn-1".to_owned(),
        host: server.host.clone(),
        port: server.port,
        server_version: "10.11.6-MariaDB".to_owned(),
        server_uuid: None,
        admin_user: server.admin_user.clone(),
        admin_password: seal("admin"),
        replicas: Vec::new(),
        replicas_named: false,
        pending: None,
        availability_zone: "az1".to_owned(),
        read_weight: 100,
        created_ms: 0,
        binding: Some(BindingRecord {
            instance_id: instance.clone(),
            user: "unused".to_owned(),
            password: seal("binding/password"),
            admin_user: server.admin_user.clone(),
            admin_password: seal("binding/admin"),
        }),
    }
}

/// A node's end of the stream.
#[derive(Debug)]
pub struct Node {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
    requests: u64,
    pub newest: Option<Arc<Snapshot>>,
    pub serves: u64,
    pub kept: u64,
}

impl Node {
    /// Connects with a certificate for `id` of the control plane's own authority.
    pub async fn connect(plane: &ControlPlane, dir: &Path, id: &NodeId) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let issued = Authority::open(&dir.join("tls")).unwrap().issue(id, &[]).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(issued.ca_pem.as_bytes()).unwrap()).unwrap();
        let own = CertificateDer::from_pem_slice(issued.cert_pem.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(issued.key_pem.expose().as_bytes()).unwrap();
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![own], key);
        let tcp = TcpStream::connect(plane.stream_address()).await.unwrap();
        let name = ServerName::try_from(STREAM_NAME).unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config.unwrap()))
            .connect(name, tcp)
            .await
            .unwrap();
        Self { stream, buffer: Vec::new(), requests: 0, newest: None, serves: 0, kept: 0 }
    }

    pub async fn hello(&mut self, node: &NodeId, instance: &InstanceId, pid: u32) {
        let (node_id, instance_id) = (node.clone(), instance.clone());
        self.send(&FromNode::Hello { node_id, instance_id, at_version: 0, pid }).await;
    }

    async fn send(&mut self, message: &FromNode) {
        let body = serde_json::to_vec(message).unwrap();
        let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        frame.extend_from_slice(&body);
        self.stream.write_all(&frame).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next message; `None` at the stream's end. Losing the wait loses nothing.
    pub async fn next(&mut self) -> Option<ToNode> {
        loop {
            if let Some(head) = self.buffer.first_chunk::<4>() {
                let length = u32::from_be_bytes(*head) as usize;
                if self.buffer.len() >= 4 + length {
                    let message = serde_json::from_slice(&self.buffer[4..4 + length]).unwrap();
                    self.buffer.drain(..4 + length);
                    return Some(message);
                }
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Reports slow statements and waits until they are kept.
    pub async fn report(&mut self, queries: Vec<SlowQuery>) {
        let up_to = queries.iter().map(|query| query.number).max().unwrap();
        self.kept = 0;
        self.send(&FromNode::SlowQueries { queries, dropped: 0 }).await;
        while self.kept != up_to {
            assert_eq!(self.step().await, None);
        }
    }

    /// Takes one message: a snapshot is served, an answer is returned. Says that the node lives
    /// while it waits.
    async fn step(&mut self) -> Option<(u64, Answer)> {
        let beat = Duration::from_millis(HEARTBEAT_INTERVAL_MS);
        let Ok(message) = tokio::time::timeout(beat, self.next()).await else {
            self.send(&FromNode::Heartbeat { beat: 0, connections: 0, statements: 0 }).await;
            return None;
        };
        match message.expect("the stream is open") {
            ToNode::Snapshot { snapshot } => {
                snapshot.validate().unwrap();
                self.serves = snapshot.version;
                self.newest = Some(snapshot);
                self.send(&FromNode::AtVersion { version: self.serves }).await;
                None
            }
            ToNode::Answer { request, answer } => Some((request, answer)),
            ToNode::SlowQueriesKept { up_to } => {
                self.kept = up_to;
                None
            }
            ToNode::PeerAsk { request, .. } => {
                let answer = PeerAnswer::Killed { count: 1 };
                self.send(&FromNode::PeerAnswer { request, answer }).await;
                None
            }
            ToNode::Heard { .. } => None,
            ToNode::Refused { reason } => panic!("refused: {reason}"),
        }
    }

    pub async fn snapshot(&mut self) -> Arc<Snapshot> {
        while self.newest.is_none() {
            self.step().await;
        }
        self.newest.clone().unwrap()
    }

    pub async fn ask(&mut self, ask: Ask) -> Answer {
        self.requests += 1;
        let request = self.requests;
        self.send(&FromNode::Ask { request, ask }).await;
        loop {
            match self.step().await {
                Some((answered, answer)) if answered == request => return answer,
                _ => {}
            }
        }
    }

    pub async fn listen_for(&mut self, time: Duration) {
        let until = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < until {
            let _ = tokio::time::timeout_at(until, self.step()).await;
        }
        self.send(&FromNode::Heartbeat { beat: 0, connections: 0, statements: 0 }).await;
    }
}
