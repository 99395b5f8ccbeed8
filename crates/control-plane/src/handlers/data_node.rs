//! Calls on data nodes.

use super::Handler;
use crate::answer::Failure;
use crate::principal::Principal;
use crate::state::AppState;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::{MethodFilter, on};
use control_api::data_node::{
    AvailableDataNodesResponse, AvailableDataNodesV3Response, CreateDataNodeRequest, DataNode,
    DataNodeReplica, ListDataNodesResponse,
};
use control_api::decode::decode;
use control_api::paging::{LIMIT_DEFAULT, total};
use control_api::query::Query;
use control_store::records::data_node::DataNodeRecord;
use std::sync::Arc;

type Shared = State<Arc<AppState>>;

/// What serves a call of this noun.
pub fn handler(operation: &str, method: MethodFilter) -> Option<Handler> {
    Some(match operation {
        "list_available_data_nodes" => on(method, list_available),
        "list_available_data_nodes_v3" => on(method, list_available_v3),
        "create_data_node" => on(method, create),
        "list_data_nodes" => on(method, list),
        "delete_data_node" => on(method, remove),
        _ => return None,
    })
}

pub async fn list_available(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json<AvailableDataNodesResponse>, Failure> {
    let page = Query::parse(query.as_deref()).page(LIMIT_DEFAULT)?;
    Ok(Json(state.app.list_available_data_nodes(&principal.project_id, &instance_id, page).await?))
}

pub async fn list_available_v3(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json<AvailableDataNodesV3Response>, Failure> {
    let page = Query::parse(query.as_deref()).page(LIMIT_DEFAULT)?;
    Ok(Json(
        state.app.list_available_data_nodes_v3(&principal.project_id, &instance_id, page).await?,
    ))
}

pub async fn create(
    State(state): Shared,
    _: Principal,
    body: Bytes,
) -> Result<Json<DataNode>, Failure> {
    let new = decode::<CreateDataNodeRequest>(&body)?.check()?;
    Ok(Json(shown(state.app.add_data_node(new).await?)))
}

pub async fn list(
    State(state): Shared,
    _: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<ListDataNodesResponse>, Failure> {
    let page = Query::parse(query.as_deref()).page(LIMIT_DEFAULT)?;
    let all = state.app.registered_data_nodes().await?;
    let total = total(&all);
    let data_nodes = page.cut(all).into_iter().map(shown).collect();
    Ok(Json(ListDataNodesResponse { data_nodes, offset: page.offset, limit: page.limit, total }))
}

pub async fn remove(
    State(state): Shared,
    _: Principal,
    Path((_, id)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    state.app.remove_data_node(&id).await?;
    Ok(StatusCode::OK)
}

fn shown(node: DataNodeRecord) -> DataNode {
    let replicas = node.replicas.into_iter().map(|replica| DataNodeReplica {
        id: replica.id.to_string(),
        host: replica.host,
        port: replica.port,
    });
    DataNode {
        replicas: replicas.collect(),
        id: node.id.to_string(),
        name: node.name,
        host: node.host,
        port: node.port,
        admin_user: node.admin_user,
        engine_version: node.server_version,
        availability_zone: node.availability_zone,
        instance_id: node.binding.map(|binding| binding.instance_id.to_string()),
    }
}
