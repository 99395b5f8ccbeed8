//! Schemas: a logical database and where its shards lie. Its tables have records of their own.

use crate::record::Record;
use base::id::{DataNodeId, InstanceId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use topology::model::{Shard, ShardMode};

/// A schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SchemaRecord {
    /// Its instance.
    pub instance_id: InstanceId,
    /// Its name, lower case.
    pub name: String,
    /// Cluster or single.
    pub mode: ShardMode,
    /// What goes on with it.
    pub status: SchemaStatus,
    /// What went wrong.
    pub error: Option<String>,
    /// Nodes may use it. Set shortly before it is RUNNING, so that RUNNING is true everywhere.
    pub serving: bool,
    /// Its databases are being dropped; from here on it can only be deleted.
    pub dropping: bool,
    /// When it was made, UNIX milliseconds.
    pub created_ms: i64,
    /// When it last changed, UNIX milliseconds.
    pub updated_ms: i64,
    /// The default character set of its tables.
    pub character_set: String,
    /// The default collation of its tables.
    pub collation: String,
    /// Its shards in order.
    pub shards: Vec<Shard>,
}

/// What goes on with a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SchemaStatus {
    /// It is being made.
    Creating,
    /// It could not be made; nothing of it is left.
    CreateFailed,
    /// It serves.
    Running,
    /// It is being deleted.
    Deleting,
}

impl SchemaStatus {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            SchemaStatus::Creating => "CREATING",
            SchemaStatus::CreateFailed => "CREATE_FAILED",
            SchemaStatus::Running => "RUNNING",
            SchemaStatus::Deleting => "DELETING",
        }
    }
}

impl SchemaRecord {
    /// The prefix of an instance's schemas.
    pub fn prefix_of(instance_id: &InstanceId) -> String {
        format!("{}{instance_id}/", Self::PREFIX)
    }

    /// The key of one schema; its name in any case.
    pub fn key_of(instance_id: &InstanceId, name: &str) -> String {
        format!("{}{}", Self::prefix_of(instance_id), name.to_lowercase())
    }

    /// The data nodes that hold its shards.
    pub fn data_nodes(&self) -> BTreeSet<&DataNodeId> {
        self.shards.iter().map(|shard| &shard.data_node).collect()
    }
}

impl Record for SchemaRecord {
    const PREFIX: &'static str = "schemas/";

    fn key(&self) -> String {
        Self::key_of(&self.instance_id, &self.name)
    }
}
