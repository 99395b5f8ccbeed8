//! Groups: nodes of one class that take writes and reads, or reads alone, behind an address of their
//! own. Every instance has a default group, which the instance's own record describes (its address
//! is the instance's); further groups have a record each.

use super::instance::InstanceRecord;
use crate::record::Record;
use base::id::{GroupId, InstanceId};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// The default group's name.
pub const DEFAULT_GROUP_NAME: &str = "group-default";

/// A group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// Its id.
    pub id: GroupId,
    /// Its instance.
    pub instance_id: InstanceId,
    /// Its name, unique in the instance.
    pub name: String,
    /// What its nodes take.
    pub role: GroupRole,
    /// The code of its nodes' class.
    pub flavor_code: String,
    /// The address that its nodes share.
    pub access_ip: Ipv4Addr,
    /// When it was made, UNIX milliseconds.
    pub created_ms: i64,
}

/// What the nodes of a group take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupRole {
    /// Writes and reads.
    #[serde(rename = "rw")]
    ReadWrite,
    /// Reads alone.
    #[serde(rename = "r")]
    ReadOnly,
}

impl GroupRole {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            GroupRole::ReadWrite => "rw",
            GroupRole::ReadOnly => "r",
        }
    }
}

impl GroupRecord {
    /// The default group of an instance, which has no record of its own.
    pub fn default_of(instance: &InstanceRecord) -> Self {
        Self {
            id: instance.group_id.clone(),
            instance_id: instance.id.clone(),
            name: DEFAULT_GROUP_NAME.to_owned(),
            role: GroupRole::ReadWrite,
            flavor_code: instance.flavor_code.clone(),
            access_ip: instance.access_ip,
            created_ms: instance.created_ms,
        }
    }

    /// The prefix of an instance's further groups.
    pub fn prefix_of(instance_id: &InstanceId) -> String {
        format!("{}{instance_id}/", Self::PREFIX)
    }

    /// The key of one group.
    pub fn key_of(instance_id: &InstanceId, id: &GroupId) -> String {
        format!("{}{id}", Self::prefix_of(instance_id))
    }
}

impl Record for GroupRecord {
    const PREFIX: &'static str = "groups/";

    fn key(&self) -> String {
        Self::key_of(&self.instance_id, &self.id)
    }
}
