//! Jobs: what takes time, as durable sequences of idempotent steps with their undo beside them. Each
//! file is one kind. A step reads what it needs from the store, so that it can be repeated after any
//! crash; parameters hold only what the store does not.

pub mod account_password;
mod alter;
pub mod backup_delete;
pub mod configuration_change;
pub mod data_nodes_sync;
pub mod flavor_change;
pub mod instance_create;
pub mod instance_delete;
pub mod instance_rename;
pub mod instance_restart;
pub mod metadata_apply;
mod metadata_tables;
mod node_set;
pub mod nodes_add;
pub mod nodes_remove;
pub mod schema_create;
pub mod schema_delete;
mod wait;

use crate::app::App;
use crate::configuration::Values;
use base::id::{BackupId, ConfigurationId, GroupId, InstanceId, NodeId};
use control_api::instance::RestartKind;
use control_store::records::account::AccountRecord;
use control_store::records::backup::BackupStatus;
use job_engine::{JobDefinition, JobRow, StepError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Makes an instance.
pub const INSTANCE_CREATE: &str = "CreateInstance";
/// Restarts an instance's nodes.
pub const INSTANCE_RESTART: &str = "RestartInstance";
/// Deletes an instance.
pub const INSTANCE_DELETE: &str = "DeleteInstance";
/// Gives an instance another name.
pub const INSTANCE_RENAME: &str = "ModifyName";
/// Sets an account's password.
pub const ACCOUNT_PASSWORD: &str = "ResetPassword";
/// Changes an instance's parameters.
pub const CONFIGURATION_CHANGE: &str = "SetConfiguration";
/// Restarts one node.
pub const NODE_RESTART: &str = "RestartNode";
/// Adds nodes to a group.
pub const NODES_ADD: &str = "EnlargeNode";
/// Takes nodes from a group.
pub const NODES_REMOVE: &str = "ReduceNode";
/// Gives a group's nodes another class.
pub const FLAVOR_CHANGE: &str = "ResizeFlavor";
/// Makes a group.
pub const GROUP_CREATE: &str = "CreateGroup";
/// Deletes a group.
pub const GROUP_DELETE: &str = "DeleteGroup";
/// Brings what changed about data nodes to the nodes.
pub const DATA_NODES_SYNC: &str = "synRdsinfo";
/// Makes a schema.
pub const SCHEMA_CREATE: &str = "createLogicDb";
/// Deletes a schema.
pub const SCHEMA_DELETE: &str = "deleteLogicDb";
/// Imports exported schemas.
pub const METADATA_IMPORT: &str = "loadMetadata";
/// Restores schemas from a backup.
pub const METADATA_RESTORE: &str = "RestoreInstance";
/// Deletes a backup.
pub const BACKUP_DELETE: &str = "deleteBackup";

/// Parameters of the jobs that delete.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteParams {
    /// The physical databases go too.
    pub delete_data: bool,
}

/// Parameters of the restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestartParams {
    /// How.
    pub kind: RestartKind,
    /// Only this node.
    #[serde(default)]
    pub node_id: Option<NodeId>,
}

/// Parameters of the jobs that add nodes and take them away.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodesParams {
    /// The nodes.
    pub node_ids: BTreeSet<NodeId>,
    /// Their group, when it comes or goes with them.
    pub group_id: Option<GroupId>,
}

/// Parameters of the change of class.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FlavorParams {
    /// The group.
    pub group_id: GroupId,
    /// The code of its present class.
    pub from: String,
    /// The code of its next class.
    pub to: String,
}

/// Parameters of the job that renames.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenameParams {
    /// The old name.
    pub before: String,
    /// The new name.
    pub after: String,
}

/// Parameters of the job that sets a password.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PasswordParams {
    /// The account as it is, if it is there.
    pub before: Option<AccountRecord>,
    /// The account with its new password, sealed.
    pub after: AccountRecord,
}

/// Parameters of the job that changes an instance's parameters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConfigurationParams {
    /// What the instance has.
    pub before: Values,
    /// What it gets.
    pub after: Values,
    /// The template that they come from.
    pub application: Option<ApplicationParams>,
}

/// Which application of which template a job carries out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApplicationParams {
    /// The template.
    pub configuration_id: ConfigurationId,
    /// The application's id in the template's history.
    pub id: String,
}

/// Parameters of the jobs that make an instance serve a document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MetadataParams {
    /// The document's record; the job removes it at its end.
    pub document: String,
    /// The schemas in it.
    pub schemas: Vec<String>,
}

/// Parameters of the deletion of a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackupParams {
    /// The backup.
    pub backup: BackupId,
    /// Its status before.
    pub status: BackupStatus,
}

/// All kinds.
pub fn definitions() -> Vec<JobDefinition<Arc<App>>> {
    vec![
        account_password::definition(),
        configuration_change::definition(),
        instance_create::definition(),
        instance_restart::definition(),
        instance_delete::definition(),
        instance_rename::definition(),
        instance_restart::node_definition(),
        nodes_add::definition(),
        nodes_add::group_definition(),
        nodes_remove::definition(),
        nodes_remove::group_definition(),
        flavor_change::definition(),
        data_nodes_sync::definition(),
        schema_create::definition(),
        schema_delete::definition(),
        metadata_apply::import_definition(),
        metadata_apply::restore_definition(),
        backup_delete::definition(),
    ]
}

/// What a job on a whole instance locks.
pub fn instance_lock(id: &InstanceId) -> String {
    format!("instance/{id}")
}

/// What a job on a schema locks.
pub fn schema_lock(id: &InstanceId, name: &str) -> String {
    format!("schema/{id}/{}", name.to_lowercase())
}

/// What a job on a backup locks.
pub fn backup_lock(id: &BackupId) -> String {
    format!("backup/{id}")
}

/// The instance that a job works on.
fn instance_of(job: &JobRow) -> Result<InstanceId, StepError> {
    job.instance_id
        .as_deref()
        .and_then(InstanceId::parse)
        .ok_or_else(|| StepError::permanent("the job names no instance"))
}

/// The schema that a job works on.
fn schema_of(job: &JobRow) -> Result<&str, StepError> {
    job.schema.as_deref().ok_or_else(|| StepError::permanent("the job names no schema"))
}
