//! Tables: their definitions as the nodes use them.

use crate::record::Record;
use base::id::InstanceId;
use serde::{Deserialize, Serialize};
use topology::model::Table;

/// A table of a schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableRecord {
    /// Its instance.
    pub instance_id: InstanceId,
    /// Its schema, lower case.
    pub schema: String,
    /// Its definition.
    pub table: Table,
}

impl TableRecord {
    /// The prefix of all tables of an instance.
    pub fn prefix_of_instance(instance_id: &InstanceId) -> String {
        format!("{}{instance_id}/", Self::PREFIX)
    }

    /// The prefix of a schema's tables; its name in any case.
    pub fn prefix_of(instance_id: &InstanceId, schema: &str) -> String {
        format!("{}{}/", Self::prefix_of_instance(instance_id), schema.to_lowercase())
    }

    /// The key of one table; names in any case.
    pub fn key_of(instance_id: &InstanceId, schema: &str, table: &str) -> String {
        format!("{}{}", Self::prefix_of(instance_id, schema), table.to_lowercase())
    }
}

impl Record for TableRecord {
    const PREFIX: &'static str = "tables/";

    fn key(&self) -> String {
        Self::key_of(&self.instance_id, &self.schema, &self.table.name)
    }
}
