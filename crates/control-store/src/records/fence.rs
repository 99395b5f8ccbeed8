//! Nodes that were fenced: something was changed while they could not be told. Written before their
//! rows on data nodes are, and removed after these, so that no row is forgotten.

use crate::record::Record;
use base::id::{DataNodeId, InstanceId, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A node that was fenced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceRecord {
    /// The instance.
    pub instance_id: InstanceId,
    /// The node.
    pub node_id: NodeId,
    /// What it must serve before the fence is lifted.
    pub version: u64,
    /// Where its rows may be.
    pub data_nodes: BTreeSet<DataNodeId>,
}

impl FenceRecord {
    /// The key of one node's.
    pub fn key_of(instance_id: &InstanceId, node_id: &NodeId) -> String {
        format!("{}{instance_id}/{node_id}", Self::PREFIX)
    }
}

impl Record for FenceRecord {
    const PREFIX: &'static str = "fences/";

    fn key(&self) -> String {
        Self::key_of(&self.instance_id, &self.node_id)
    }
}
