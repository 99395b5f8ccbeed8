//! Nodes of an instance.

use serde::Serialize;
use utoipa::ToSchema;

/// Answer of the list call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListNodesResponse {
    /// The page's nodes.
    pub nodes: Vec<NodeRow>,
    /// As asked.
    pub offset: u64,
    /// As asked.
    pub limit: u64,
    /// Nodes in all.
    pub total: u64,
}

/// A node in the list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NodeRow {
    /// Its port.
    pub port: String,
    /// normal, abnormal, creating, createfail …
    pub status: String,
    /// Its id.
    pub node_id: String,
    /// Its address.
    pub ip: String,
    /// Its group.
    pub group_id: String,
}

/// Answer of the v1 detail call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShowNodeResponse {
    /// normal, abnormal, creating, createfail …
    pub status: String,
    /// Its name.
    pub name: String,
    /// Its id.
    pub node_id: String,
    /// Its address.
    pub private_ip: String,
    /// Its address for management: the same.
    pub floating_ip: String,
    /// What runs it.
    pub server_id: String,
    /// Its subnet's name.
    pub subnet_name: String,
    /// Where its data lie.
    pub datavolume_id: String,
    /// Its address for synchronisation: the same.
    pub res_subnet_ip: String,
    /// Where its program lies.
    pub systemvolume_id: String,
    /// Its group.
    pub group_id: String,
    /// Its subnet.
    pub subnet_id: String,
}

/// Answer of the v3 detail call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShowNodeV3Response {
    /// Its id.
    pub id: String,
    /// Its address.
    pub private_ip: String,
    /// normal, abnormal, creating, createfail …
    pub status: String,
    /// Its name.
    pub name: String,
    /// Its subnet.
    pub subnet_id: String,
    /// Its AZ.
    pub az_code: String,
    /// Its group.
    pub group_id: String,
}
