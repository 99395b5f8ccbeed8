//! Changes of table definitions that have begun and not ended: written before any data node is
//! touched, so that whatever stops can be cleared up; and a lock for each table that they change.

use crate::record::Record;
use base::id::{InstanceId, NodeId};
use serde::{Deserialize, Serialize};
use topology::stream::{DdlWork, TableChange};

/// A change that has begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DdlRecord {
    /// Its id.
    pub id: String,
    /// The instance.
    pub instance_id: InstanceId,
    /// The node that runs it.
    pub node_id: NodeId,
    /// The node's process, if it is known: the node's next process does not go on with it.
    #[serde(default)]
    pub pid: Option<u32>,
    /// The schema, lower case.
    pub schema: String,
    /// What it changes.
    pub changes: Vec<TableChange>,
    /// How, physical table by physical table.
    #[serde(default)]
    pub work: DdlWork,
    /// When it began, UNIX milliseconds.
    pub begun_ms: i64,
    /// Its node is taken as dead: the control plane clears the change up, and nobody else ends it.
    #[serde(default)]
    pub abandoned: bool,
}

impl DdlRecord {
    /// The key of one change.
    pub fn key_of(instance_id: &InstanceId, id: &str) -> String {
        format!("{}{instance_id}/{id}", Self::PREFIX)
    }
}

impl Record for DdlRecord {
    const PREFIX: &'static str = "ddl/";

    fn key(&self) -> String {
        Self::key_of(&self.instance_id, &self.id)
    }
}

/// A table that a change holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableLockRecord {
    /// The instance.
    pub instance_id: InstanceId,
    /// The schema, lower case.
    pub schema: String,
    /// The table, lower case.
    pub table: String,
    /// The change.
    pub ddl_id: String,
}

impl Record for TableLockRecord {
    const PREFIX: &'static str = "ddl-locks/";

    fn key(&self) -> String {
        format!("{}{}/{}/{}", Self::PREFIX, self.instance_id, self.schema, self.table)
    }
}
