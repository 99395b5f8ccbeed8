//! Orders of instances that are paid before they are made.

use crate::record::Record;
use base::id::{InstanceId, ProjectId};
use serde::{Deserialize, Serialize};

/// An order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderRecord {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub project_id: ProjectId,
    /// What it buys.
    pub instance_id: InstanceId,
    /// When it was made, UNIX milliseconds.
    pub created_ms: i64,
    /// When it was paid, UNIX milliseconds.
    pub paid_ms: Option<i64>,
}

impl OrderRecord {
    /// The key of one order.
    pub fn key_of(id: &str) -> String {
        format!("{}{id}", Self::PREFIX)
    }
}

impl Record for OrderRecord {
    const PREFIX: &'static str = "orders/";

    fn key(&self) -> String {
        Self::key_of(&self.id)
    }
}
