//! Security groups and the rules that say which clients may connect. A group is one record with its
//! rules, so that a snapshot sees all of them as they were at one moment; the record's revision is
//! part of the version of every snapshot that is made with it.

use crate::record::Record;
use base::id::ProjectId;
use serde::{Deserialize, Serialize};
use topology::access::AccessRule;

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroupRecord {
    /// Its id.
    pub id: String,
    /// Whose it is; the default group is everybody's.
    pub project_id: Option<ProjectId>,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// When it was made, UNIX milliseconds.
    pub created_ms: i64,
    /// When it last changed, UNIX milliseconds.
    pub updated_ms: i64,
    /// Its deletion has begun: no instance can get it any more.
    pub condemned: bool,
    /// Its rules, in the order in which they were made.
    pub rules: Vec<SecurityRuleRecord>,
}

/// A rule of a security group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityRuleRecord {
    /// Its id.
    pub id: String,
    /// Whom it lets in.
    pub access: AccessRule,
    /// What it is for.
    pub description: String,
    /// When it was made, UNIX milliseconds.
    pub created_ms: i64,
}

impl SecurityGroupRecord {
    /// The key of the group `id`.
    pub fn key_of(id: &str) -> String {
        format!("{}{id}", Self::PREFIX)
    }

    /// The rules as nodes use them.
    pub fn access_rules(&self) -> Vec<AccessRule> {
        self.rules.iter().map(|rule| rule.access.clone()).collect()
    }
}

impl Record for SecurityGroupRecord {
    const PREFIX: &'static str = "security-groups/";

    fn key(&self) -> String {
        Self::key_of(&self.id)
    }
}
