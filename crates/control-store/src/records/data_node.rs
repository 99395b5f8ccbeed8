//! Data nodes: servers that hold shards. One belongs to at most one instance: its binding.

use super::Sealed;
use crate::record::Record;
use base::id::{DataNodeId, InstanceId};
use serde::{Deserialize, Serialize};

/// A data node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataNodeRecord {
    /// Its id.
    pub id: DataNodeId,
    /// Its name.
    pub name: String,
    /// Where its primary listens.
    pub host: String,
    /// The primary's port.
    pub port: u16,
    /// The version that the server reports.
    pub server_version: String,
    /// Its administrator, as registered.
    pub admin_user: String,
    /// The administrator's password.
    pub admin_password: Sealed,
    /// Read replicas.
    pub replicas: Vec<ReplicaRecord>,
    /// Its AZ.
    pub availability_zone: String,
    /// The primary's share of reads, 0–100.
    pub read_weight: u32,
    /// When it was registered, UNIX milliseconds.
    pub created_ms: i64,
    /// The instance that uses it.
    pub binding: Option<BindingRecord>,
}

/// A read replica.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplicaRecord {
    /// Its id.
    pub id: DataNodeId,
    /// Where it listens.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its share of reads, 0–100.
    pub read_weight: u32,
}

/// An instance's use of a data node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BindingRecord {
    /// The instance.
    pub instance_id: InstanceId,
    /// The account that the instance made for itself there.
    pub user: String,
    /// That account's password.
    pub password: Sealed,
    /// The administrator that the instance was given.
    pub admin_user: String,
    /// That administrator's password; needed to take the account away again.
    pub admin_password: Sealed,
}

impl DataNodeRecord {
    /// The key of one data node.
    pub fn key_of(id: &DataNodeId) -> String {
        format!("{}{id}", Self::PREFIX)
    }

    /// Whether `instance_id` uses it.
    pub fn is_bound_to(&self, instance_id: &InstanceId) -> bool {
        self.binding.as_ref().is_some_and(|binding| binding.instance_id == *instance_id)
    }
}

impl Record for DataNodeRecord {
    const PREFIX: &'static str = "data-nodes/";

    fn key(&self) -> String {
        Self::key_of(&self.id)
    }
}
