//! What this crate asks of its surroundings, as traits: certificates for nodes, and a way to hand
//! nodes their snapshot. The control plane's server carries them out; jobs and calls only name them.

use async_trait::async_trait;
use base::id::{InstanceId, NodeId};
use base::secret::Secret;
use std::fmt::Debug;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use topology::peers::{PeerAnswer, PeerAsk};

/// Certificates that a node needs: one that tells the control plane who it is (its common name is
/// the node's id), one that it shows to MySQL clients.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuedCertificates {
    /// The authority that signed both.
    pub ca_pem: String,
    /// For the internal stream.
    pub cert_pem: String,
    /// Its key.
    pub key_pem: Secret,
    /// For MySQL clients.
    pub mysql_cert_pem: String,
    /// Its key.
    pub mysql_key_pem: Secret,
}

/// Why no certificate was issued.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no certificate could be issued for the node: {reason}")]
pub struct CertificateError {
    /// What went wrong.
    pub reason: String,
}

/// Issues certificates for nodes. Asking again for the same node gives a new, equally good pair.
pub trait NodeCertificates: Send + Sync + Debug {
    /// Certificates for the node `node_id`, whose MySQL port answers at `addresses`.
    fn issue(
        &self,
        node_id: &NodeId,
        addresses: &[IpAddr],
    ) -> Result<IssuedCertificates, CertificateError>;
}

/// Some nodes did not reach the version in time.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} of the nodes did not take the new configuration in time", .behind.len())]
pub struct NodesBehind {
    /// Which.
    pub behind: Vec<NodeId>,
}

/// Hands snapshots to nodes.
#[async_trait]
pub trait SnapshotPublisher: Send + Sync + Debug {
    /// Something of the instance changed: make its snapshot anew and send it to its nodes. Returns
    /// at once; repeated calls may be served by one snapshot.
    fn publish(&self, instance_id: &InstanceId);

    /// Waits until each of `nodes` serves `version` or a later one.
    async fn wait_nodes_at(
        &self,
        instance_id: &InstanceId,
        nodes: &[NodeId],
        version: u64,
        timeout: Duration,
    ) -> Result<(), NodesBehind>;

    /// Whether the node was heard within the heartbeat's timeout.
    fn is_heard(&self, node_id: &NodeId) -> bool;

    /// From now on nobody vouches for a node of the instance that serves an older version. Whom it
    /// vouches for after that, fences up to this number are void for.
    fn require(&self, _instance_id: &InstanceId, _version: u64, _fence: u64) {}

    /// Whether somebody has vouched for the node's definitions since then.
    fn is_vouched_since(&self, _node_id: &NodeId, _since: Instant) -> bool {
        false
    }

    /// Whether the node is heard and serves this version or a later one.
    fn serves(&self, node_id: &NodeId, _version: u64) -> bool {
        self.is_heard(node_id)
    }

    /// Whether the node can be told of something at this moment: it is asked.
    async fn reaches(&self, node_id: &NodeId) -> bool {
        self.is_heard(node_id)
    }

    /// The process of a node that is heard, if it is known: a node that was restarted is another
    /// process and knows nothing of what the one before had begun.
    fn process_of(&self, _node_id: &NodeId) -> Option<u32> {
        None
    }

    /// Brings a question of one node to another, and back what it answers in time.
    async fn ask_node(&self, _node_id: &NodeId, _ask: PeerAsk) -> Option<PeerAnswer> {
        None
    }
}
