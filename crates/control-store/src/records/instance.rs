//! Instances. Every change of anything that belongs to an instance also writes its record, so that
//! the record's revision is the newest of all and serves as the snapshot's version.

use crate::by_project::OfProject;
use crate::record::Record;
use base::id::{GroupId, InstanceId, ProjectId};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use topology::parameters::Parameters;

/// An instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceRecord {
    /// Its id.
    pub id: InstanceId,
    /// Whose it is.
    pub project_id: ProjectId,
    /// Its name.
    pub name: String,
    /// What goes on with it.
    pub status: InstanceStatus,
    /// What went wrong.
    pub error: Option<String>,
    /// Its deletion has begun; from here on it can only be deleted.
    pub condemned: bool,
    /// When it was made, UNIX milliseconds.
    pub created_ms: i64,
    /// When it last changed, UNIX milliseconds.
    pub updated_ms: i64,
    /// The code of its default group's node class.
    pub flavor_code: String,
    /// Its engine's version.
    pub engine_version: String,
    /// The enterprise project.
    pub enterprise_project_id: String,
    /// Its AZs.
    pub availability_zones: Vec<String>,
    /// Its VPC.
    pub vpc_id: String,
    /// Its subnet.
    pub subnet_id: String,
    /// Its security group.
    pub security_group_id: String,
    /// Its time zone.
    pub time_zone: String,
    /// Its default group.
    pub group_id: GroupId,
    /// The address that the nodes of its default group share.
    pub access_ip: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// Its parameters, those that differ from their defaults.
    pub parameters: Parameters,
    /// What its parameters are called and when they changed.
    #[serde(default)]
    pub configuration: InstanceConfiguration,
    /// Whether clients may use TLS.
    pub enable_ssl: bool,
    /// How it is paid.
    pub charge: ChargeRecord,
    /// Its order.
    pub order_id: Option<String>,
}

/// What an instance's parameters are called in the API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceConfiguration {
    /// Their name, if they were given one.
    pub name: Option<String>,
    /// Their description, likewise.
    pub description: Option<String>,
    /// When they last changed, UNIX milliseconds; `None`: not since the instance was made.
    pub changed_ms: Option<i64>,
}

/// What goes on with an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InstanceStatus {
    /// It is being made, or waits to be paid.
    Creating,
    /// It could not be made.
    #[serde(rename = "CREATEFAILED")]
    CreateFailed,
    /// It serves.
    Running,
    /// Something about it went wrong.
    Error,
    /// Its nodes are being restarted.
    Restarting,
    /// It is being deleted.
    Deleting,
    /// Nodes are being added.
    Growing,
    /// Nodes are being taken away.
    Reducing,
    /// Its nodes get another class.
    Resizing,
    /// Its metadata is being restored or imported.
    Restore,
    /// Its metadata is being backed up.
    Backup,
    /// Its parameters are being changed.
    SetConfiguration,
    /// Its name is being changed.
    ModifyName,
    /// A password is being set.
    ResetPassword,
}

impl InstanceStatus {
    /// All statuses.
    pub const ALL: [InstanceStatus; 14] = [
        InstanceStatus::Creating,
        InstanceStatus::CreateFailed,
        InstanceStatus::Running,
        InstanceStatus::Error,
        InstanceStatus::Restarting,
        InstanceStatus::Deleting,
        InstanceStatus::Growing,
        InstanceStatus::Reducing,
        InstanceStatus::Resizing,
        InstanceStatus::Restore,
        InstanceStatus::Backup,
        InstanceStatus::SetConfiguration,
        InstanceStatus::ModifyName,
        InstanceStatus::ResetPassword,
    ];

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            InstanceStatus::Creating => "CREATING",
            InstanceStatus::CreateFailed => "CREATEFAILED",
            InstanceStatus::Running => "RUNNING",
            InstanceStatus::Error => "ERROR",
            InstanceStatus::Restarting => "RESTARTING",
            InstanceStatus::Deleting => "DELETING",
            InstanceStatus::Growing => "GROWING",
            InstanceStatus::Reducing => "REDUCING",
            InstanceStatus::Resizing => "RESIZING",
            InstanceStatus::Restore => "RESTORE",
            InstanceStatus::Backup => "BACKUP",
            InstanceStatus::SetConfiguration => "SET_CONFIGURATION",
            InstanceStatus::ModifyName => "MODIFY_NAME",
            InstanceStatus::ResetPassword => "RESET_PASSWORD",
        }
    }

    /// Whether something is being done with the instance, so that nothing else can begin.
    pub fn is_busy(self) -> bool {
        !matches!(
            self,
            InstanceStatus::Running | InstanceStatus::Error | InstanceStatus::CreateFailed
        )
    }

    /// Whether an instance may go from `self` to `next`.
    pub fn may_become(self, next: InstanceStatus) -> bool {
        use InstanceStatus::{CreateFailed, Creating, Deleting, Error, Restarting, Running};
        match (self, next) {
            (Creating, Running | CreateFailed | Deleting)
            | (CreateFailed, Deleting)
            | (Deleting, Error)
            | (Error, Restarting | Deleting) => true,
            // An instance that serves may be worked on in one way at a time.
            (Running, next) => !matches!(next, Running | Creating | CreateFailed | Error),
            (working, Running | Error) => {
                !matches!(working, Creating | Error | CreateFailed | Deleting)
            }
            _ => false,
        }
    }
}

/// How an instance is paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum ChargeRecord {
    /// For its use.
    PostPaid,
    /// Before it is made.
    PrePaid {
        /// For how many months.
        months: u32,
        /// Bought again at the end.
        auto_renew: bool,
    },
}

impl InstanceRecord {
    /// The key of the instance `id`.
    pub fn key_of(id: &InstanceId) -> String {
        format!("{}{id}", Self::PREFIX)
    }
}

impl Record for InstanceRecord {
    const PREFIX: &'static str = "instances/";

    fn key(&self) -> String {
        Self::key_of(&self.id)
    }
}

impl OfProject for InstanceRecord {
    const INDEX: &'static str = "instances-by-project/";

    fn project(&self) -> &str {
        self.project_id.as_str()
    }

    fn created_ms(&self) -> u64 {
        u64::try_from(self.created_ms).unwrap_or(0)
    }

    fn id(&self) -> &str {
        self.id.as_str()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_status_is_kept_under_its_own_name() {
        for status in InstanceStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
    }

    #[test]
    fn the_legal_moves_are_these_alone() {
        let working = [
            "RESTARTING",
            "GROWING",
            "REDUCING",
            "RESIZING",
            "RESTORE",
            "BACKUP",
            "SET_CONFIGURATION",
            "MODIFY_NAME",
            "RESET_PASSWORD",
        ];
        let mut expected: BTreeSet<String> = [
            "CREATING CREATEFAILED",
            "CREATING RUNNING",
            "CREATING DELETING",
            "CREATEFAILED DELETING",
            "RUNNING DELETING",
            "ERROR RESTARTING",
            "ERROR DELETING",
            "DELETING ERROR",
        ]
        .map(str::to_owned)
        .into();
        for status in working {
            expected.insert(format!("RUNNING {status}"));
            expected.insert(format!("{status} RUNNING"));
            expected.insert(format!("{status} ERROR"));
        }
        let legal: BTreeSet<String> = InstanceStatus::ALL
            .iter()
            .flat_map(|from| InstanceStatus::ALL.map(|to| (*from, to)))
            .filter(|(from, to)| from.may_become(*to))
            .map(|(from, to)| format!("{} {}", from.name(), to.name()))
            .collect();
        assert_eq!(legal, expected);
    }
}
