//! Accounts of the MySQL port, the administrator among them.

use super::Sealed;
use crate::record::Record;
use base::id::InstanceId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use topology::account::{Authority, TableGrants};

/// An account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Its instance.
    pub instance_id: InstanceId,
    /// Its name, case-sensitive.
    pub name: String,
    /// What checks its password (`topology::account::Verifiers` as JSON), sealed.
    pub verifiers: Sealed,
    /// What it may do.
    pub authorities: BTreeSet<Authority>,
    /// The schemas that it sees, lower case.
    pub schemas: BTreeSet<String>,
    /// What it may do besides with single tables.
    #[serde(default)]
    pub tables: TableGrants,
    /// It is the administrator.
    pub administrator: bool,
    /// Its description.
    pub description: String,
    /// When it was made, UNIX milliseconds.
    pub created_ms: i64,
    /// When its password was set, UNIX milliseconds.
    pub password_changed_ms: i64,
    /// How many days a password lasts; 0: for ever.
    #[serde(default)]
    pub password_lifetime_days: u16,
}

/// A day in milliseconds.
const DAY_MS: i64 = 24 * 3_600 * 1_000;

impl AccountRecord {
    /// When its password ends, UNIX milliseconds; `None`: never.
    pub fn password_expires_ms(&self) -> Option<i64> {
        let days = i64::from(self.password_lifetime_days);
        (days > 0).then(|| self.password_changed_ms.saturating_add(days * DAY_MS))
    }

    /// The prefix of an instance's accounts.
    pub fn prefix_of(instance_id: &InstanceId) -> String {
        format!("{}{instance_id}/", Self::PREFIX)
    }

    /// The key of one account.
    pub fn key_of(instance_id: &InstanceId, name: &str) -> String {
        format!("{}{name}", Self::prefix_of(instance_id))
    }
}

impl Record for AccountRecord {
    const PREFIX: &'static str = "accounts/";

    fn key(&self) -> String {
        Self::key_of(&self.instance_id, &self.name)
    }
}
