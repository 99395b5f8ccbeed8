//! Backups of metadata, and the documents in them. A document is a record of its own, so that lists
//! do not read it; it outlives the instance.

use crate::record::Record;
use base::id::{BackupId, DataNodeId, InstanceId, ProjectId};
use serde::{Deserialize, Serialize};

/// A backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackupRecord {
    /// Its id; its document has it too.
    pub id: BackupId,
    /// Whose it is.
    pub project_id: ProjectId,
    /// The instance.
    pub instance_id: InstanceId,
    /// The instance's name then.
    pub instance_name: String,
    /// When the instance was made, UNIX milliseconds.
    pub instance_created_ms: i64,
    /// Its name.
    pub name: String,
    /// Why it was made.
    pub reason: BackupReason,
    /// What goes on with it.
    pub status: BackupStatus,
    /// What went wrong.
    pub error: Option<String>,
    /// The state that it holds was this moment's, UNIX milliseconds.
    pub taken_ms: i64,
    /// When it last changed, UNIX milliseconds.
    pub updated_ms: i64,
    /// The document's size, compressed.
    pub bytes: u64,
    /// The data nodes that held the shards.
    pub data_nodes: Vec<BackedUpDataNode>,
}

/// A data node of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUpDataNode {
    /// Its id.
    pub id: DataNodeId,
    /// Its name then.
    pub name: String,
}

/// Why a backup was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupReason {
    /// Every day.
    Daily,
    /// A schema is about to be deleted.
    SchemaDeletion,
    /// The instance is about to be deleted.
    InstanceDeletion,
}

/// What goes on with a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupStatus {
    /// It is being made.
    Creating,
    /// It can be restored.
    Normal,
    /// It is being deleted.
    Deleted,
    /// It could not be made.
    CreateFail,
}

impl BackupStatus {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            BackupStatus::Creating => "creating",
            BackupStatus::Normal => "normal",
            BackupStatus::Deleted => "deleted",
            BackupStatus::CreateFail => "createfail",
        }
    }
}

impl BackupRecord {
    /// The key of one backup.
    pub fn key_of(id: &BackupId) -> String {
        format!("{}{id}", Self::PREFIX)
    }
}

impl Record for BackupRecord {
    const PREFIX: &'static str = "backups/";

    fn key(&self) -> String {
        Self::key_of(&self.id)
    }
}

/// A document of metadata: of a backup, or what an import or a restore works from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataDocumentRecord {
    /// A backup's id, or a job's own.
    pub id: String,
    /// base64 of gzip, as it is exported.
    pub compressed: String,
}

impl MetadataDocumentRecord {
    /// The key of one document.
    pub fn key_of(id: &str) -> String {
        format!("{}{id}", Self::PREFIX)
    }
}

impl Record for MetadataDocumentRecord {
    const PREFIX: &'static str = "metadata-documents/";

    fn key(&self) -> String {
        Self::key_of(&self.id)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_status_is_kept_under_its_own_name() {
        use BackupStatus::{CreateFail, Creating, Deleted, Normal};
        for status in [Creating, Normal, Deleted, CreateFail] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
    }
}
