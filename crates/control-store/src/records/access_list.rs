//! Access lists: the clients that one group of nodes takes, or those that it does not. A group that
//! never had one has no record.

use crate::record::Record;
use base::id::{GroupId, InstanceId};
use serde::{Deserialize, Serialize};
use topology::access::{AccessList, AccessRule};

/// The access list of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessListRecord {
    /// The instance.
    pub instance_id: InstanceId,
    /// The group.
    pub group_id: GroupId,
    /// Its name.
    pub name: String,
    /// Whether it is switched on.
    pub enabled: bool,
    /// The listed clients are the only ones; otherwise all others may come.
    pub only_listed: bool,
    /// The clients, in the order in which they were given.
    pub entries: Vec<AccessEntryRecord>,
}

/// Clients of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessEntryRecord {
    /// As they were given: an address or a network.
    pub ip: String,
    /// Who they are.
    pub access: AccessRule,
    /// What it is for.
    pub description: String,
}

impl AccessListRecord {
    /// The prefix of an instance's lists.
    pub fn prefix_of(instance_id: &InstanceId) -> String {
        format!("{}{instance_id}/", Self::PREFIX)
    }

    /// The key of a group's list.
    pub fn key_of(instance_id: &InstanceId, group_id: &GroupId) -> String {
        format!("{}{group_id}", Self::prefix_of(instance_id))
    }

    /// As nodes use it; `None` while it is switched off.
    pub fn in_force(&self) -> Option<AccessList> {
        let listed = || self.entries.iter().map(|entry| entry.access.clone()).collect();
        self.enabled.then(|| AccessList { only_listed: self.only_listed, listed: listed() })
    }
}

impl Record for AccessListRecord {
    const PREFIX: &'static str = "access-lists/";

    fn key(&self) -> String {
        Self::key_of(&self.instance_id, &self.group_id)
    }
}
