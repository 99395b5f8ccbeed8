//! `/v3/{project_id}/data-nodes`: servers of one's own as data nodes.

use crate::answer::Failure;
use crate::principal::Principal;
use crate::state::AppState;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use base::api_error::ApiError;
use base::secret::Secret;
use control_api::decode::decode;
use control_api::paging::{LIMIT_DEFAULT, total};
use control_api::query::Query;
use control_app::data_node_register::{NewDataNode, REPLICAS_MAX};
use control_store::records::data_node::DataNodeRecord;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Longest host name.
const HOST_BYTES_MAX: usize = 255;

/// Longest name of a data node, of its administrator, of a password.
const TEXT_BYTES_MAX: usize = 128;

/// The calls.
pub fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/v3/{project_id}/data-nodes", get(list).post(create))
        .route("/v3/{project_id}/data-nodes/{data_node_id}", delete(remove))
}

/// Body of the registration.
#[derive(Debug, Deserialize)]
struct CreateDataNodeRequest {
    name: String,
    host: String,
    port: i64,
    admin_user: String,
    admin_password: Secret,
    #[serde(default)]
    replicas: Vec<ReplicaRequest>,
    availability_zone: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ReplicaRequest {
    host: String,
    port: i64,
}

impl CreateDataNodeRequest {
    fn check(self) -> Result<NewDataNode, ApiError> {
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
        if self.replicas.len() > REPLICAS_MAX {
            return Err(ApiError::parameter(
                "replicas",
                "has too many entries (at most 8)",
                "只读节点过多（最多8个）",
            ));
        }
        let replicas = self.replicas.into_iter().enumerate().map(|(at, replica)| {
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

/// A data node in answers; the administrator's password never is.
#[derive(Debug, Serialize)]
struct DataNodeDocument {
    id: String,
    name: String,
    host: String,
    port: u16,
    admin_user: String,
    engine_version: String,
    availability_zone: String,
    instance_id: Option<String>,
    replicas: Vec<ReplicaDocument>,
}

#[derive(Debug, Serialize)]
struct ReplicaDocument {
    id: String,
    host: String,
    port: u16,
}

impl From<DataNodeRecord> for DataNodeDocument {
    fn from(node: DataNodeRecord) -> Self {
        let replicas = node.replicas.into_iter();
        Self {
            id: node.id.to_string(),
            name: node.name,
            host: node.host,
            port: node.port,
            admin_user: node.admin_user,
            engine_version: node.server_version,
            availability_zone: node.availability_zone,
            instance_id: node.binding.map(|binding| binding.instance_id.to_string()),
            replicas: replicas
                .map(|replica| ReplicaDocument {
                    id: replica.id.to_string(),
                    host: replica.host,
                    port: replica.port,
                })
                .collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct DataNodesDocument {
    data_nodes: Vec<DataNodeDocument>,
    offset: u64,
    limit: u64,
    total: u64,
}

async fn create(
    State(state): State<Arc<AppState>>,
    _: Principal,
    body: Bytes,
) -> Result<(StatusCode, Json<DataNodeDocument>), Failure> {
    let new = decode::<CreateDataNodeRequest>(&body)?.check()?;
    let node = state.app.add_data_node(new).await?;
    Ok((StatusCode::CREATED, Json(node.into())))
}

async fn list(
    State(state): State<Arc<AppState>>,
    _: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<DataNodesDocument>, Failure> {
    let page = Query::parse(query.as_deref()).page(LIMIT_DEFAULT)?;
    let all = state.app.registered_data_nodes().await?;
    let total = total(&all);
    let data_nodes = page.cut(all).into_iter().map(DataNodeDocument::from).collect();
    Ok(Json(DataNodesDocument { data_nodes, offset: page.offset, limit: page.limit, total }))
}

async fn remove(
    State(state): State<Arc<AppState>>,
    _: Principal,
    Path((_, id)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    state.app.remove_data_node(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
