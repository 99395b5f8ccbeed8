//! Data nodes: those that a schema can be made on, and the calls of our own with which an operator
//! registers servers and takes them off again.

use base::api_error::ApiError;
use base::secret::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Read replicas of one data node.
pub const REPLICAS_MAX: usize = 8;

/// Longest host name.
pub const HOST_BYTES_MAX: usize = 255;

/// Longest name of a data node, of its administrator, of a password.
pub const TEXT_BYTES_MAX: usize = 128;

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

/// Body of the registration.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CreateDataNodeRequest {
    /// Its name, unique.
    pub name: String,
    /// Where its primary listens.
    pub host: String,
    /// The primary's port.
    pub port: i64,
    /// Its administrator.
    pub admin_user: String,
    /// The administrator's password.
    #[schema(value_type = String)]
    pub admin_password: Secret,
    /// Its read replicas, at most 8.
    pub replicas: Option<Vec<ReplicaRequest>>,
    /// Its AZ; without one the first.
    pub availability_zone: Option<String>,
}

/// Where a read replica listens.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ReplicaRequest {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: i64,
}

/// A server to register, well-formed.
#[derive(Clone, Debug)]
pub struct NewDataNode {
    /// Its name, unique.
    pub name: String,
    /// Where its primary listens.
    pub host: String,
    /// The primary's port.
    pub port: u16,
    /// Its administrator.
    pub admin_user: String,
    /// The administrator's password.
    pub admin_password: Secret,
    /// Read replicas: host and port.
    pub replicas: Vec<(String, u16)>,
    /// Its AZ; without one the first.
    pub availability_zone: Option<String>,
}

impl CreateDataNodeRequest {
    /// The server, if nothing is wrong.
    pub fn check(self) -> Result<NewDataNode, ApiError> {
        for (field, text) in [
            ("name", self.name.as_str()),
            ("admin_user", self.admin_user.as_str()),
            ("admin_password", self.admin_password.expose()),
        ] {
            if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control)
            {
                return Err(ApiError::parameter(
                    field,
                    "must have 1 to 128 printable characters",
                    "长度必须为1~128个可见字符",
                ));
            }
        }
        let replicas = self.replicas.unwrap_or_default();
        if replicas.len() > REPLICAS_MAX {
            return Err(ApiError::parameter(
                "replicas",
                "has too many entries (at most 8)",
                "只读节点过多（最多8个）",
            ));
        }
        let replicas = replicas.into_iter().enumerate().map(|(at, replica)| {
            let field = |name: &str| format!("replicas[{at}].{name}");
            Ok((host(&field("host"), replica.host)?, port(&field("port"), replica.port)?))
        });
        Ok(NewDataNode {
            replicas: replicas.collect::<Result<_, ApiError>>()?,
            host: host("host", self.host)?,
            port: port("port", self.port)?,
            name: self.name,
            admin_user: self.admin_user,
            admin_password: self.admin_password,
            availability_zone: self.availability_zone,
        })
    }
}

fn host(field: &str, host: String) -> Result<String, ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.chars().all(allowed) {
        return Err(ApiError::parameter(
            field,
            "must be a host name or an address",
            "必须为主机名或地址",
        ));
    }
    Ok(host)
}

fn port(field: &str, port: i64) -> Result<u16, ApiError> {
    let number = u16::try_from(port).ok().filter(|port| *port > 0);
    number.ok_or_else(|| ApiError::parameter(field, "must be from 1 to 65535", "取值范围为1~65535"))
}

/// A registered data node; its administrator's password is never shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DataNode {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where its primary listens.
    pub host: String,
    /// The primary's port.
    pub port: u16,
    /// Its administrator.
    pub admin_user: String,
    /// The server's version.
    pub engine_version: String,
    /// Its AZ.
    pub availability_zone: String,
    /// The instance that uses it, if one does.
    pub instance_id: Option<String>,
    /// Its read replicas.
    pub replicas: Vec<DataNodeReplica>,
}

/// A read replica.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DataNodeReplica {
    /// Its id.
    pub id: String,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Answer of the call that lists all of them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListDataNodesResponse {
    /// The page's data nodes, by name.
    pub data_nodes: Vec<DataNode>,
    /// As asked.
    pub offset: u64,
    /// As asked.
    pub limit: u64,
    /// Data nodes in all.
    pub total: u64,
}
