//! The border to whatever runs DDM nodes: one trait, implemented per kind of place (child processes
//! today). Every call is idempotent, since jobs repeat their steps after a crash.

use crate::error::ProvisionError;
use crate::hold::Held;
use crate::process::Exit;
use async_trait::async_trait;
use base::id::{InstanceId, NodeId};
use base::secret::Secret;
use std::net::SocketAddr;
use std::time::Duration;

/// Makes, starts, stops and removes DDM nodes.
#[async_trait]
pub trait NodeProvisioner: Send + Sync + std::fmt::Debug {
    /// Writes the node's files and starts it unless it runs. Returns when the process runs, not
    /// when it serves.
    async fn start_node(&self, spec: &NodeSpec) -> Result<NodeStarted, ProvisionError>;

    /// Stops the node; fine also when it does not run or was never made.
    async fn stop_node(&self, node_id: &NodeId, stop: Stop) -> Result<(), ProvisionError>;

    /// Kills the node and deletes all that it has here; fine also when there is nothing.
    async fn remove_node(&self, node_id: &NodeId) -> Result<(), ProvisionError>;

    /// Every node that was made and not removed, also by an earlier process.
    async fn observe(&self) -> Result<Vec<ObservedNode>, ProvisionError>;

    /// Keeps clients waiting at addresses that nodes share, until what it returns is dropped.
    fn hold(&self, addresses: &[SocketAddr]) -> Result<Held, ProvisionError>;
}

/// What a node is started with.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSpec {
    /// Its id.
    pub node_id: NodeId,
    /// Whose node it is.
    pub instance_id: InstanceId,
    /// Its own addresses for MySQL clients.
    pub listen: Vec<SocketAddr>,
    /// Addresses that all nodes of the instance share.
    pub shared_listen: Vec<SocketAddr>,
    /// The control planes' stream addresses.
    pub control_plane: Vec<SocketAddr>,
    /// Certificates and keys.
    pub tls: NodeTls,
    /// Threads that serve clients.
    pub worker_threads: u32,
    /// New connections are refused above it.
    pub memory_limit_mb: u64,
    /// Where health and metrics are served.
    pub admin_listen: Option<SocketAddr>,
}

/// A node's certificates and keys, PEM.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeTls {
    /// The authority that signed the control plane's certificate and the node's.
    pub ca_pem: String,
    /// The node's certificate for the stream to the control plane.
    pub cert_pem: String,
    /// Its key.
    pub key_pem: Secret,
    /// The certificate offered to MySQL clients.
    pub mysql_cert_pem: String,
    /// Its key.
    pub mysql_key_pem: Secret,
}

/// What [`NodeProvisioner::start_node`] found or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeStarted {
    /// The process was started.
    New {
        /// Its number.
        pid: u32,
    },
    /// It ran already.
    AlreadyRunning {
        /// Its number.
        pid: u32,
        /// It was started with another specification; a restart applies the new one.
        stale_config: bool,
    },
}

/// How a node is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Asked to drain; killed if it has not ended after this time (and a short grace).
    Drain(Duration),
    /// At once.
    Kill,
}

/// What a node is seen to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedNode {
    /// Its id.
    pub node_id: NodeId,
    /// Its process, while there is one.
    pub pid: Option<u32>,
    /// Whether the process lives.
    pub running: bool,
    /// How it last ended, as far as this process saw it.
    pub exit: Option<Exit>,
    /// How many times in a row it ended soon after its start without being asked to.
    pub failures: u32,
    /// How long to wait before it is started again (back-off); zero: now.
    pub restart_in: Duration,
}
