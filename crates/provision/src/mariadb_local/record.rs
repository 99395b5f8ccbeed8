//! What must stay the same over restarts of a local server: id, port, passwords, role. Written
//! before the server is made, mode 0600, in the server's own directory.

use super::error::LocalMariaDbError;
use crate::data_node_admin::AdminLogin;
use crate::files;
use base::id::DataNodeId;
use base::secret::{Secret, random_password};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The form that this version writes and reads.
const FORM: u32 = 1;

/// Length of generated passwords.
const PASSWORD_LENGTH: usize = 24;

const FILE_NAME: &str = "data-node.json";

/// A local server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    form: u32,
    /// Its id.
    pub id: DataNodeId,
    /// For people.
    pub name: String,
    /// 1, 2, … among the primaries, or among the replicas of one primary.
    pub number: u32,
    /// Primary or replica.
    pub role: Role,
    /// Its port on loopback.
    pub port: u16,
    /// Different on every server.
    pub server_id: u32,
    /// The administration account.
    pub admin_user: String,
    /// Its password.
    pub admin_password: Secret,
    /// The account by which replicas follow.
    pub replication_user: String,
    /// Its password.
    pub replication_password: Secret,
    /// It was up once: from then on its port is known to others and does not change by itself.
    pub was_up: bool,
}

/// What a server is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It follows a primary.
    ReplicaOf {
        /// The primary's number.
        number: u32,
    },
}

impl Record {
    /// A new primary.
    pub fn new_primary(number: u32, port: u16) -> Self {
        Self {
            form: FORM,
            id: DataNodeId::random(),
            name: format!("local-{number}"),
            number,
            role: Role::Primary,
            port,
            server_id: number * 100,
            admin_user: "ddm_admin".to_owned(),
            admin_password: random_password(PASSWORD_LENGTH),
            replication_user: "ddm_replication".to_owned(),
            replication_password: random_password(PASSWORD_LENGTH),
            was_up: false,
        }
    }

    /// A new replica; its accounts are the primary's.
    pub fn new_replica(primary: &Self, number: u32, port: u16) -> Self {
        Self {
            id: DataNodeId::random(),
            name: format!("{}-replica-{number}", primary.name),
            number,
            role: Role::ReplicaOf { number: primary.number },
            port,
            server_id: primary.server_id + number,
            was_up: false,
            ..primary.clone()
        }
    }

    /// Whether it is primary number `number`.
    pub fn is_primary(&self, number: u32) -> bool {
        self.role == Role::Primary && self.number == number
    }

    /// The administration account on it.
    pub fn login(&self) -> AdminLogin {
        AdminLogin::new(super::LOCAL_HOST, self.port, &self.admin_user, self.admin_password.clone())
    }

    /// Its directory.
    pub fn directory(&self, root_dir: &Path) -> PathBuf {
        root_dir.join(match self.role {
            Role::Primary => self.number.to_string(),
            Role::ReplicaOf { number } => format!("{number}-replica-{}", self.number),
        })
    }

    /// Its file.
    pub fn path(&self, root_dir: &Path) -> PathBuf {
        self.directory(root_dir).join(FILE_NAME)
    }

    /// Writes it.
    pub fn save(&self, root_dir: &Path) -> Result<(), LocalMariaDbError> {
        files::make_private_dir(&self.directory(root_dir))?;
        let text = serde_json::to_vec_pretty(self).expect("a record is plain data");
        Ok(files::write_private(&self.path(root_dir), &text)?)
    }

    /// All servers under `root_dir`, primaries first.
    pub fn load_all(root_dir: &Path) -> Result<Vec<Self>, LocalMariaDbError> {
        files::make_private_dir(root_dir)?;
        let entries =
            std::fs::read_dir(root_dir).map_err(crate::ProvisionError::io("list", root_dir))?;
        let mut records = Vec::new();
        for entry in entries.flatten() {
            let path = entry.path().join(FILE_NAME);
            if entry.path().is_dir()
                && let Some(text) = files::read_optional(&path)?
            {
                records.push(
                    Self::parse(&text)
                        .map_err(|reason| LocalMariaDbError::BadRecord { path, reason })?,
                );
            }
        }
        records.sort_by_key(|record| record.server_id);
        Ok(records)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let record: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if record.form == FORM { Ok(record) } else { Err(format!("its form is {}", record.form)) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn records_come_back() {
        let root = std::env::temp_dir().join(format!("ddm-record-{}", DataNodeId::random()));
        assert_eq!(Record::load_all(&root).unwrap(), []);
        let primary = Record::new_primary(1, 4000);
        let replica = Record::new_replica(&primary, 2, 4001);
        replica.save(&root).unwrap();
        primary.save(&root).unwrap();
        assert_eq!(Record::load_all(&root).unwrap(), [primary.clone(), replica]);
        let text = std::fs::read_to_string(primary.path(&root)).unwrap();
        let newer = text.replace("\"form\": 1", "\"form\": 2");
        assert!(Record::parse(&newer).unwrap_err().contains("form is 2"));
        std::fs::remove_dir_all(root).unwrap();
    }
}
