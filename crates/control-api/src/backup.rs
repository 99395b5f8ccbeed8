//! Backups of metadata, and what can be restored from them.

use serde::Serialize;
use utoipa::ToSchema;

/// Answer of the list call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListBackupsResponse {
    /// Backups in all.
    pub total: u64,
    /// As asked.
    pub offset: u64,
    /// As asked.
    pub limit: u64,
    /// The page's backups, newest first.
    pub backups: Vec<BackupRow>,
}

/// A backup in the list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BackupRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it was made for.
    pub description: String,
    /// creating, normal, deleted or createfail.
    pub status: String,
    /// The instance.
    pub instance_id: String,
    /// The instance's name then.
    pub instance_name: String,
    /// The instance's status now; DELETED when it is no more.
    pub instance_status: String,
    /// Its size in KB.
    pub file_size: f64,
    /// When it was made.
    pub created: String,
    /// When it last changed.
    pub updated: String,
    /// auto_metadata or metadata.
    pub backup_type: String,
}

/// Answer of the detail call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShowBackupResponse {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The instance.
    pub instance_id: String,
    /// The instance's name then.
    pub instance_name: String,
    /// The data nodes that held its shards.
    pub related_data_nodes: Vec<RelatedDataNode>,
}

/// A data node of a backup.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RelatedDataNode {
    /// Its id.
    pub instance_id: String,
    /// Its name then.
    pub instance_name: String,
}

/// Answer of the call for the times that can be restored.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RestorableTimesResponse {
    /// The page's intervals.
    pub restorable_time_intervals: Vec<RestorableTime>,
    /// As asked.
    pub offset: u64,
    /// As asked.
    pub limit: u64,
    /// Intervals in all.
    pub total: u64,
}

/// Times that can be restored.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RestorableTime {
    /// First moment, UNIX milliseconds.
    pub start_time: String,
    /// Last moment, UNIX milliseconds.
    pub end_time: String,
}

/// Answer of the call for instances that can be restored to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RestorableInstancesResponse {
    /// The page's instances.
    pub instances: Vec<RestorableInstance>,
    /// As asked.
    pub offset: u64,
    /// As asked.
    pub limit: u64,
    /// Instances in all.
    pub total: u64,
}

/// An instance that may be restored to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RestorableInstance {
    /// Its name.
    pub instance_name: String,
    /// Its id.
    pub instance_id: String,
    /// Its status.
    pub status: String,
    /// Whether it can be restored to now.
    pub available: bool,
    /// Why not.
    pub unavailable_reason: String,
    /// Its VPC.
    pub vpc_name: String,
}

/// Answer of the call for data nodes that can be restored to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RestorableDataNodesResponse {
    /// The page's data nodes.
    pub target_data_nodes: Vec<RestorableDataNode>,
    /// As asked.
    pub offset: u64,
    /// As asked.
    pub limit: u64,
    /// Data nodes in all.
    pub total: u64,
}

/// A data node that may be restored to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RestorableDataNode {
    /// Its name.
    pub instance_name: String,
    /// Its id.
    pub instance_id: String,
    /// `mysql`.
    pub engine_name: String,
    /// normal or abnormal.
    pub status: String,
    /// Whether it can be restored to now.
    pub available: bool,
    /// Why not.
    pub unavailable_reason: String,
    /// Its VPC.
    pub vpc_name: String,
    /// Where it listens.
    pub private_ip: String,
}

/// Answer of the call for the data nodes that an instance had at a time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RelatedDataNodesResponse {
    /// The page's data nodes.
    pub related_data_nodes: Vec<RelatedDataNodeDetail>,
    /// The newest moment that can be restored, UNIX milliseconds.
    pub latest_restorable_time: String,
    /// As asked.
    pub offset: u64,
    /// As asked.
    pub limit: u64,
    /// Data nodes in all.
    pub total: u64,
}

/// A data node that an instance had.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RelatedDataNodeDetail {
    /// Its id.
    pub instance_id: String,
    /// Its name.
    pub instance_name: String,
    /// normal, abnormal, or deleted when it is no longer registered.
    pub instance_status: String,
    /// How much its databases fill, in GB.
    pub data_volume_size: f64,
    /// The server's version.
    pub version: String,
    /// `mysql`.
    pub engine_name: String,
}
