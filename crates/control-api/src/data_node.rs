//! Data nodes: those that a schema can be made on, and the calls of our own with which an operator
//! registers servers and takes them off again.

use base::api_error::ApiError;
use base::id::DataNodeId;
use base::secret::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Read replicas of one data node.
pub const REPLICAS_MAX: usize = 8;

/// Longest host name.
pub const HOST_BYTES_MAX: usize = 255;

/// Longest name of a data node, of its administrator, of a password.
pub const TEXT_BYTES_MAX: usize = 128;

/// Servers that one call asks whether it can connect.
pub const CONNECTIONS_MAX: usize = 256;

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
    /// Its read replicas, at most 8; without them a synchronisation looks for them.
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
    /// Read replicas: host and port; none named means that they are looked for.
    pub replicas: Option<Vec<(String, u16)>>,
    /// Its AZ; without one the first.
    pub availability_zone: Option<String>,
}

impl CreateDataNodeRequest {
    /// The server, if nothing is wrong.
    pub fn check(self) -> Result<NewDataNode, ApiError> {
        for (field, given) in [
            ("name", self.name.as_str()),
            ("admin_user", self.admin_user.as_str()),
            ("admin_password", self.admin_password.expose()),
        ] {
            text(field, given)?;
        }
        let replicas = self.replicas.map(|replicas| {
            few_replicas(replicas.len())?;
            let replicas = replicas.into_iter().enumerate().map(|(at, replica)| {
                let field = |name: &str| format!("replicas[{at}].{name}");
                Ok((host(&field("host"), replica.host)?, port(&field("port"), replica.port)?))
            });
            replicas.collect::<Result<Vec<_>, ApiError>>()
        });
        Ok(NewDataNode {
            replicas: replicas.transpose()?,
            host: host("host", self.host)?,
            port: port("port", self.port)?,
            name: self.name,
            admin_user: self.admin_user,
            admin_password: self.admin_password,
            availability_zone: self.availability_zone,
        })
    }
}

/// Body of a changed registration; what is left out stays.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct UpdateDataNodeRequest {
    /// Where its primary listens.
    pub host: Option<String>,
    /// The primary's port.
    pub port: Option<i64>,
    /// Its administrator.
    pub admin_user: Option<String>,
    /// The administrator's password.
    #[schema(value_type = Option<String>)]
    pub admin_password: Option<Secret>,
    /// All its read replicas, at most 8.
    pub replicas: Option<Vec<UpdateReplicaRequest>>,
}

/// Where a read replica listens.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct UpdateReplicaRequest {
    /// Its id, if it is one of the present ones that moved.
    pub id: Option<String>,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: i64,
}

/// A changed registration, well-formed.
#[derive(Clone, Debug)]
pub struct DataNodeUpdate {
    /// Where its primary listens.
    pub host: Option<String>,
    /// The primary's port.
    pub port: Option<u16>,
    /// Its administrator.
    pub admin_user: Option<String>,
    /// The administrator's password.
    pub admin_password: Option<Secret>,
    /// All its read replicas: id (if it is a present one), host and port.
    pub replicas: Option<Vec<(Option<DataNodeId>, String, u16)>>,
}

impl UpdateDataNodeRequest {
    /// The changes, if nothing is wrong.
    pub fn check(self) -> Result<DataNodeUpdate, ApiError> {
        if let Some(user) = &self.admin_user {
            text("admin_user", user)?;
        }
        if let Some(password) = &self.admin_password {
            text("admin_password", password.expose())?;
        }
        let replicas = self.replicas.map(|replicas| {
            few_replicas(replicas.len())?;
            let replicas = replicas.into_iter().enumerate().map(|(at, replica)| {
                let field = |name: &str| format!("replicas[{at}].{name}");
                let id = replica.id.map(|id| {
                    DataNodeId::parse(&id).ok_or_else(|| {
                        ApiError::parameter(field("id"), "is no replica's id", "不是只读节点ID")
                    })
                });
                Ok((
                    id.transpose()?,
                    host(&field("host"), replica.host)?,
                    port(&field("port"), replica.port)?,
                ))
            });
            replicas.collect::<Result<Vec<_>, ApiError>>()
        });
        let update = DataNodeUpdate {
            host: self.host.map(|given| host("host", given)).transpose()?,
            port: self.port.map(|given| port("port", given)).transpose()?,
            admin_user: self.admin_user,
            admin_password: self.admin_password,
            replicas: replicas.transpose()?,
        };
        let addresses = update.host.is_none() && update.port.is_none();
        let account = update.admin_user.is_none() && update.admin_password.is_none();
        if addresses && account && update.replicas.is_none() {
            return Err(ApiError::parameter(
                "body",
                "must have at least one of host, port, admin_user, admin_password, replicas",
                "host、port、admin_user、admin_password、replicas至少指定一个",
            ));
        }
        Ok(update)
    }
}

/// Body of the call that asks servers whether they let someone in.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CheckConnectionsRequest {
    /// The servers, at most 256.
    pub infos: Vec<CheckConnection>,
}

/// One of these servers.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CheckConnection {
    /// `host:port`.
    pub endpoint: String,
    /// An account on it.
    pub username: String,
    /// The account's password.
    #[schema(value_type = String)]
    pub password: Secret,
    /// The data node.
    pub rds_instance_id: String,
}

/// A server to connect to, well-formed.
#[derive(Clone, Debug)]
pub struct ConnectionToCheck {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// An account on it.
    pub user: String,
    /// The account's password.
    pub password: Secret,
    /// The data node.
    pub id: String,
}

impl CheckConnectionsRequest {
    /// The servers, if nothing is wrong.
    pub fn check(self) -> Result<Vec<ConnectionToCheck>, ApiError> {
        if self.infos.is_empty() || self.infos.len() > CONNECTIONS_MAX {
            return Err(ApiError::parameter(
                "infos",
                "must have 1 to 256 entries",
                "条目数必须为1~256",
            ));
        }
        let infos = self.infos.into_iter().enumerate().map(|(at, info)| {
            let field = |name: &str| format!("infos[{at}].{name}");
            text(&field("username"), &info.username)?;
            text(&field("password"), info.password.expose())?;
            text(&field("rds_instance_id"), &info.rds_instance_id)?;
            let name = field("endpoint");
            let (at_host, at_port) = info.endpoint.rsplit_once(':').ok_or_else(|| {
                ApiError::parameter(name.as_str(), "must be host:port", "格式必须为host:port")
            })?;
            let bare = at_host.trim_start_matches('[').trim_end_matches(']');
            Ok(ConnectionToCheck {
                host: host(&name, bare.to_owned())?,
                port: port(&name, at_port.parse().unwrap_or(0))?,
                user: info.username,
                password: info.password,
                id: info.rds_instance_id,
            })
        });
        infos.collect()
    }
}

/// Answer of that call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CheckConnectionsResponse {
    /// In the order of the request.
    pub rds_check_infos: Vec<ConnectionResult>,
}

/// What came of one connection.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConnectionResult {
    /// The data node.
    pub rds_instance_id: String,
    /// `true` or `false`.
    pub success: String,
    /// Why not.
    pub error_code: Option<String>,
    /// The same in words.
    pub error_message: Option<String>,
}

/// Answer of the v1 call that synchronises data nodes.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncDataNodesResponse {
    /// The instance.
    pub instance_id: String,
    /// The job that brought the nodes up to date.
    pub job_id: String,
}

/// Answer of the v3 call that does the same.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SyncDataNodesV3Response {}

fn text(field: &str, text: &str) -> Result<(), ApiError> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(ApiError::parameter(
            field,
            "must have 1 to 128 printable characters",
            "长度必须为1~128个可见字符",
        ));
    }
    Ok(())
}

fn few_replicas(count: usize) -> Result<(), ApiError> {
    if count <= REPLICAS_MAX {
        return Ok(());
    }
    Err(ApiError::parameter(
        "replicas",
        "has too many entries (at most 8)",
        "只读节点过多（最多8个）",
    ))
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
    /// The primary's share of reads.
    pub read_weight: u32,
    /// Its read replicas.
    pub replicas: Vec<DataNodeReplica>,
    /// The instance still uses what was registered before, until its data nodes are synchronised.
    pub needs_sync: bool,
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
    /// Its share of reads.
    pub read_weight: u32,
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
