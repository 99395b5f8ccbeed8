//! Calls that add nodes, take them away, restart one or change their class, and the one that reads
//! definitions anew.

use super::Handler;
use crate::answer::Failure;
use crate::principal::Principal;
use crate::state::AppState;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::{MethodFilter, on};
use control_api::decode::decode;
use control_api::instance_v3::JobStarted;
use control_api::scaling::{
    AddNodesRequest, ChangeFlavorRequest, EnlargeRequest, JobOrOrder, ReduceRequest,
    ReloadConfigResponse, RemoveNodesRequest, ScaleResponse,
};
use std::sync::Arc;

type Shared = State<Arc<AppState>>;
/// Project and instance.
type InstancePath = Path<(String, String)>;

/// What serves these calls.
pub fn handler(operation: &str, method: MethodFilter) -> Option<Handler> {
    Some(match operation {
        "enlarge_instance" => on(method, enlarge),
        "reduce_instance" => on(method, reduce),
        "add_nodes_v3" => on(method, add_nodes),
        "batch_delete_nodes_v3" | "delete_nodes_v3" => on(method, remove_nodes),
        "restart_node_v3" => on(method, restart_node),
        "change_flavor" => on(method, change_flavor),
        "reload_config" | "reload_config_v3" => on(method, reload_config),
        _ => return None,
    })
}

pub async fn enlarge(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): InstancePath,
    body: Bytes,
) -> Result<Json<ScaleResponse>, Failure> {
    let request: EnlargeRequest = decode(&body)?;
    let started = state.app.add_nodes(&principal.project_id, &id, request.check()?).await?;
    Ok(Json(started.scale_response()))
}

pub async fn add_nodes(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): InstancePath,
    body: Bytes,
) -> Result<Json<JobOrOrder>, Failure> {
    let request: AddNodesRequest = decode(&body)?;
    let started = state.app.add_nodes(&principal.project_id, &id, request.check()?).await?;
    Ok(Json(started.job_or_order()))
}

pub async fn reduce(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): InstancePath,
    body: Bytes,
) -> Result<Json<ScaleResponse>, Failure> {
    let request: ReduceRequest = decode(&body)?;
    let started = state.app.remove_nodes(&principal.project_id, &id, request.check()?).await?;
    Ok(Json(started.scale_response()))
}

pub async fn remove_nodes(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): InstancePath,
    body: Bytes,
) -> Result<Json<JobOrOrder>, Failure> {
    let request: RemoveNodesRequest = decode(&body)?;
    let started = state.app.remove_nodes(&principal.project_id, &id, request.check()?).await?;
    Ok(Json(started.job_or_order()))
}

pub async fn restart_node(
    State(state): Shared,
    principal: Principal,
    Path((_, id, node_id)): Path<(String, String, String)>,
) -> Result<Json<JobStarted>, Failure> {
    let job_id = state.app.restart_node(&principal.project_id, &id, &node_id).await?;
    Ok(Json(JobStarted { job_id }))
}

pub async fn change_flavor(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): InstancePath,
    body: Bytes,
) -> Result<Json<JobOrOrder>, Failure> {
    let request: ChangeFlavorRequest = decode(&body)?;
    let started = state.app.change_flavor(&principal.project_id, &id, request.check()?).await?;
    Ok(Json(started.job_or_order()))
}

pub async fn reload_config(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): InstancePath,
) -> Result<Json<ReloadConfigResponse>, Failure> {
    state.app.reload_config(&principal.project_id, &id).await?;
    Ok(Json(ReloadConfigResponse {}))
}
