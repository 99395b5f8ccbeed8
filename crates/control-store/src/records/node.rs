//! Nodes: what should run where. What does run is asked of the provisioner and of the nodes
//! themselves, never kept.

use super::Sealed;
use crate::record::Record;
use base::id::{GroupId, InstanceId, NodeId};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its id.
    pub id: NodeId,
    /// Its instance.
    pub instance_id: InstanceId,
    /// Its name.
    pub name: String,
    /// Its group.
    pub group_id: GroupId,
    /// Its AZ.
    pub availability_zone: String,
    /// Its own address.
    pub ip: Ipv4Addr,
    /// How far it is.
    pub stage: NodeStage,
    /// The code of its class while it differs from its group's: during a change of class.
    #[serde(default)]
    pub flavor_code: Option<String>,
    /// It should run now (a restart that stopped it sets this to false meanwhile).
    pub should_run: bool,
    /// Its certificates with their keys, sealed; kept so that a restarted node has the same.
    pub certificates: Option<Sealed>,
}

/// How far a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeStage {
    /// It was never up.
    Creating,
    /// It never came up.
    CreateFailed,
    /// It was up.
    Made,
    /// It was to join an instance that serves, could not, and is being taken away again.
    EnlargeFailed,
    /// It is restarted with another class.
    Resizing,
    /// It drains and is then taken away.
    Leaving,
}

impl NodeRecord {
    /// Its number within its instance, from 1 on, with which its name ends: no other node ever gets it.
    pub fn number(&self) -> Option<u32> {
        self.name.rsplit('_').next()?.parse().ok()
    }

    /// The prefix of an instance's nodes.
    pub fn prefix_of(instance_id: &InstanceId) -> String {
        format!("{}{instance_id}/", Self::PREFIX)
    }

    /// The key of one node.
    pub fn key_of(instance_id: &InstanceId, id: &NodeId) -> String {
        format!("{}{id}", Self::prefix_of(instance_id))
    }
}

impl Record for NodeRecord {
    const PREFIX: &'static str = "nodes/";

    fn key(&self) -> String {
        Self::key_of(&self.instance_id, &self.id)
    }
}
