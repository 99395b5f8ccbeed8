//! Data nodes that a schema can be made on.

use serde::Serialize;
use utoipa::ToSchema;

/// Answer of the v1 call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AvailableDataNodesResponse {
    /// The page's data nodes.
    pub instances: Vec<AvailableDataNode>,
    /// As asked.
    pub offset: u64,
    /// As asked.
    pub limit: u64,
    /// Data nodes in all.
    pub total: u64,
}

/// A data node in the v1 list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AvailableDataNode {
    /// Its id.
    pub id: String,
    /// The project.
    pub project_id: String,
    /// `normal`.
    pub status: String,
    /// Its name.
    pub name: String,
    /// `mysql`.
    pub engine_name: String,
    /// The server's version.
    pub engine_software_version: String,
    /// Where it listens.
    pub private_ip: String,
    /// `Single`, or `Ha` with replicas.
    pub mode: String,
    /// Its port.
    pub port: u16,
    /// Its AZ.
    pub az_code: String,
    /// Its time zone.
    pub time_zone: String,
}

/// Answer of the v3 call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AvailableDataNodesV3Response {
    /// The page's data nodes.
    pub data_nodes: Vec<AvailableDataNodeV3>,
    /// As asked.
    pub offset: u64,
    /// As asked.
    pub limit: u64,
    /// Data nodes in all.
    pub total: u64,
}

/// A data node in the v3 list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AvailableDataNodeV3 {
    /// Its id.
    pub id: String,
    /// `normal`.
    pub status: String,
    /// Its name.
    pub name: String,
    /// `mysql`.
    pub engine_name: String,
    /// The server's version.
    pub engine_version: String,
    /// Where it listens.
    pub private_ip: String,
    /// Its port.
    pub port: u16,
    /// Its time zone.
    pub time_zone: String,
}
