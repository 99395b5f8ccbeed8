//! Orders of what is paid before it is made.

use crate::record::Record;
use base::id::{GroupId, InstanceId, ProjectId};
use serde::{Deserialize, Serialize};

/// An order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderRecord {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub project_id: ProjectId,
    /// The instance that it is about.
    pub instance_id: InstanceId,
    /// What it buys.
    #[serde(default)]
    pub purchase: Purchase,
    /// When it was made, UNIX milliseconds.
    pub created_ms: i64,
    /// When it was paid, UNIX milliseconds.
    pub paid_ms: Option<i64>,
}

/// What an order buys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Purchase {
    /// The instance itself.
    #[default]
    Instance,
    /// More nodes of a group.
    Nodes {
        /// The group.
        group_id: GroupId,
        /// The AZ of each node.
        availability_zones: Vec<String>,
    },
    /// Another class for a group's nodes.
    NodeClass {
        /// The group.
        group_id: GroupId,
        /// The class's code.
        flavor_code: String,
    },
    /// A further group with its first nodes.
    Group {
        /// The group.
        group_id: GroupId,
    },
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
