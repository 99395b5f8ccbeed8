//! Data nodes: servers that hold shards. One belongs to at most one instance: its binding.

use super::Sealed;
use crate::record::Record;
use base::id::{DataNodeId, InstanceId};
use serde::{Deserialize, Serialize};

/// A primary's share of reads unless one is set.
pub const PRIMARY_WEIGHT: u32 = 100;

/// A replica's share of reads unless one is set: a new one takes none before somebody says so.
pub const REPLICA_WEIGHT: u32 = 0;

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
    /// The server's own id, if it has one (MySQL has, MariaDB has not).
    #[serde(default)]
    pub server_uuid: Option<String>,
    /// Its administrator, as registered.
    pub admin_user: String,
    /// The administrator's password.
    pub admin_password: Sealed,
    /// Read replicas.
    pub replicas: Vec<ReplicaRecord>,
    /// Somebody named the replicas: no others are looked for.
    #[serde(default)]
    pub replicas_named: bool,
    /// Its AZ.
    pub availability_zone: String,
    /// The primary's share of reads, 0–100.
    pub read_weight: u32,
    /// When it was registered, UNIX milliseconds.
    pub created_ms: i64,
    /// The instance that uses it.
    pub binding: Option<BindingRecord>,
    /// What was registered since: the instance gets it when its data nodes are synchronised.
    #[serde(default)]
    pub pending: Option<PendingRecord>,
}

/// A registration that the instance does not use yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingRecord {
    /// Where the primary listens.
    pub host: String,
    /// The primary's port.
    pub port: u16,
    /// The version that the server reports.
    pub server_version: String,
    /// The server's own id, if it has one.
    pub server_uuid: Option<String>,
    /// Its administrator.
    pub admin_user: String,
    /// The administrator's password.
    pub admin_password: Sealed,
    /// Read replicas.
    pub replicas: Vec<ReplicaRecord>,
    /// Somebody named the replicas.
    pub replicas_named: bool,
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
    /// The server's `server_id`, once it was asked: it stays when the address changes.
    #[serde(default)]
    pub server_id: Option<u64>,
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

    /// As it was registered last, whether an instance uses that yet or not.
    pub fn as_registered(&self) -> Self {
        let Some(new) = self.pending.clone() else { return self.clone() };
        Self {
            host: new.host,
            port: new.port,
            server_version: new.server_version,
            server_uuid: new.server_uuid,
            admin_user: new.admin_user,
            admin_password: new.admin_password,
            replicas: new.replicas,
            replicas_named: new.replicas_named,
            pending: None,
            ..self.clone()
        }
    }

    /// As it is when no instance uses it any more: read weights belong to the use.
    pub fn released(&self) -> Self {
        let mut free = self.as_registered();
        free.binding = None;
        free.read_weight = PRIMARY_WEIGHT;
        for replica in &mut free.replicas {
            replica.read_weight = REPLICA_WEIGHT;
        }
        free
    }

    /// Whether a server of it listens there, now or after the next synchronisation.
    pub fn listens_at(&self, host: &str, port: u16) -> bool {
        let at = |node: &Self| {
            let mut replicas = node.replicas.iter().map(|replica| (&replica.host, replica.port));
            (node.host == host && node.port == port)
                || replicas.any(|(other, other_port)| other == host && other_port == port)
        };
        at(self) || (self.pending.is_some() && at(&self.as_registered()))
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
