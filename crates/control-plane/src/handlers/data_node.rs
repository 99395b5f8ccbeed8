//! Calls on data nodes.

use super::Handler;
use crate::answer::Failure;
use crate::http::RequestId;
use crate::principal::Principal;
use crate::state::AppState;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::{MethodFilter, on};
use axum::{Extension, Json};
use control_api::data_node::{
    AvailableDataNodesResponse, AvailableDataNodesV3Response, CheckConnectionsRequest,
    CheckConnectionsResponse, CreateDataNodeRequest, DataNode, DataNodeReplica,
    ListDataNodesResponse, SyncDataNodesResponse, SyncDataNodesV3Response, UpdateDataNodeRequest,
};
use control_api::decode::decode;
use control_api::paging::{LIMIT_DEFAULT, total};
use control_api::query::Query;
use control_api::read_weight::{
    BatchReadWriteStrategyRequest, BatchReadWriteStrategyResponse, ReadWriteStrategyData,
    ReadWriteStrategyRequest, ReadWriteStrategyResponse,
};
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
        "show_data_node" => on(method, show),
        "update_data_node" => on(method, update),
        "delete_data_node" => on(method, remove),
        "set_read_weights" => on(method, set_weights),
        "set_read_weights_v3" => on(method, set_weights_v3),
        "sync_data_nodes" => on(method, sync),
        "sync_data_nodes_v3" => on(method, sync_v3),
        "check_data_node_connections" => on(method, check_connections),
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

pub async fn show(
    State(state): Shared,
    _: Principal,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<DataNode>, Failure> {
    Ok(Json(shown(state.app.show_data_node(&id).await?)))
}

pub async fn update(
    State(state): Shared,
    _: Principal,
    Path((_, id)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<DataNode>, Failure> {
    let update = decode::<UpdateDataNodeRequest>(&body)?.check()?;
    Ok(Json(shown(state.app.update_data_node(&id, update).await?)))
}

pub async fn remove(
    State(state): Shared,
    _: Principal,
    Path((_, id)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    state.app.remove_data_node(&id).await?;
    Ok(StatusCode::OK)
}

pub async fn set_weights(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<ReadWriteStrategyResponse>, Failure> {
    let weights = decode::<ReadWriteStrategyRequest>(&body)?.check()?;
    let id = state.app.set_read_weights(&principal.project_id, &instance_id, &weights).await?;
    Ok(Json(ReadWriteStrategyResponse { success: true, instance_id: id.to_string() }))
}

pub async fn set_weights_v3(
    State(state): Shared,
    principal: Principal,
    Extension(request): Extension<RequestId>,
    Path((_, instance_id)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<BatchReadWriteStrategyResponse>, Failure> {
    let weights = decode::<BatchReadWriteStrategyRequest>(&body)?.check()?;
    let id = state.app.set_read_weights(&principal.project_id, &instance_id, &weights).await?;
    Ok(Json(BatchReadWriteStrategyResponse {
        success: true,
        request_id: request.0,
        data: ReadWriteStrategyData { instance_id: id.to_string() },
    }))
}

pub async fn sync(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): Path<(String, String)>,
) -> Result<Json<SyncDataNodesResponse>, Failure> {
    Ok(Json(state.app.sync_data_nodes(&principal.project_id, &instance_id).await?))
}

pub async fn sync_v3(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): Path<(String, String)>,
) -> Result<Json<SyncDataNodesV3Response>, Failure> {
    state.app.sync_data_nodes(&principal.project_id, &instance_id).await?;
    Ok(Json(SyncDataNodesV3Response {}))
}

pub async fn check_connections(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<CheckConnectionsResponse>, Failure> {
    let connections = decode::<CheckConnectionsRequest>(&body)?.check()?;
    let (project, language) = (&principal.project_id, principal.language);
    Ok(Json(state.app.check_connections(project, &instance_id, connections, language).await?))
}

/// As it is registered; read weights are those that are in use.
fn shown(node: DataNodeRecord) -> DataNode {
    let needs_sync = node.pending.is_some();
    let node = node.as_registered();
    let replicas = node.replicas.into_iter().map(|replica| DataNodeReplica {
        id: replica.id.to_string(),
        host: replica.host,
        port: replica.port,
        read_weight: replica.read_weight,
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
        read_weight: node.read_weight,
        needs_sync,
        instance_id: node.binding.map(|binding| binding.instance_id.to_string()),
    }
}
