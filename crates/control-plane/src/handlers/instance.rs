//! Calls on instances and their orders.

use super::Handler;
use crate::answer::Failure;
use crate::principal::Principal;
use crate::state::AppState;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::routing::{MethodFilter, on};
use control_api::decode::{decode, decode_optional};
use control_api::instance::{
    CreateInstanceRequest, CreateInstanceResponse, DeleteInstanceResponse, ListInstancesResponse,
    RenameInstanceRequest, RenameInstanceResponse, RestartInstanceRequest, RestartInstanceResponse,
    RestartKind, ShowInstanceResponse,
};
use control_api::instance_v3::{
    CreateInstanceV3Request, JobStarted, ListInstancesV3Response, ShowInstanceV3Response,
};
use control_api::order::PayOrderResponse;
use control_api::paging::INSTANCES_LIMIT_DEFAULT;
use control_api::query::Query;
use std::sync::Arc;

type Shared = State<Arc<AppState>>;
/// Project and instance.
type InstancePath = Path<(String, String)>;

/// What serves a call of this noun.
pub fn handler(operation: &str, method: MethodFilter) -> Option<Handler> {
    Some(match operation {
        "create_instance" => on(method, create),
        "list_instances" => on(method, list),
        "show_instance" => on(method, show),
        "rename_instance" => on(method, rename),
        "restart_instance" => on(method, restart),
        "delete_instance" => on(method, delete),
        "pay_order" => on(method, pay_order),
        "create_instance_v3" => on(method, create_v3),
        "list_instances_v3" => on(method, list_v3),
        "show_instance_v3" => on(method, show_v3),
        "rename_instance_v3" => on(method, rename_v3),
        "restart_instance_v3" => on(method, restart_v3),
        "delete_instance_v3" => on(method, delete_v3),
        _ => return None,
    })
}

pub async fn create(
    State(state): Shared,
    principal: Principal,
    body: Bytes,
) -> Result<Json<CreateInstanceResponse>, Failure> {
    let request: CreateInstanceRequest = decode(&body)?;
    Ok(Json(state.app.create_instance(&principal.project_id, request.check()?).await?))
}

pub async fn list(
    State(state): Shared,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<ListInstancesResponse>, Failure> {
    let page = Query::parse(query.as_deref()).page(INSTANCES_LIMIT_DEFAULT)?;
    Ok(Json(state.app.list_instances(&principal.project_id, page).await?))
}

pub async fn show(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): InstancePath,
) -> Result<Json<ShowInstanceResponse>, Failure> {
    Ok(Json(state.app.show_instance(&principal.project_id, &id).await?))
}

pub async fn rename(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): InstancePath,
    body: Bytes,
) -> Result<Json<RenameInstanceResponse>, Failure> {
    let request: RenameInstanceRequest = decode(&body)?;
    Ok(Json(state.app.rename_instance(&principal.project_id, &id, request.check()?).await?))
}

pub async fn restart(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): InstancePath,
    body: Bytes,
) -> Result<Json<RestartInstanceResponse>, Failure> {
    let request: RestartInstanceRequest = decode_optional(&body)?;
    Ok(Json(state.app.restart_instance(&principal.project_id, &id, request.check()?).await?))
}

pub async fn delete(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): InstancePath,
    RawQuery(query): RawQuery,
) -> Result<Json<DeleteInstanceResponse>, Failure> {
    let delete_data = Query::parse(query.as_deref()).flag("delete_rds_data")?;
    Ok(Json(state.app.delete_instance(&principal.project_id, &id, delete_data).await?))
}

pub async fn pay_order(
    State(state): Shared,
    principal: Principal,
    Path((_, order_id)): InstancePath,
) -> Result<Json<PayOrderResponse>, Failure> {
    Ok(Json(state.app.pay_order(&principal.project_id, &order_id).await?))
}

pub async fn create_v3(
    State(state): Shared,
    principal: Principal,
    body: Bytes,
) -> Result<Json<CreateInstanceResponse>, Failure> {
    let request: CreateInstanceV3Request = decode(&body)?;
    Ok(Json(state.app.create_instance(&principal.project_id, request.check()?).await?))
}

pub async fn list_v3(
    State(state): Shared,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<ListInstancesV3Response>, Failure> {
    let page = Query::parse(query.as_deref()).page(INSTANCES_LIMIT_DEFAULT)?;
    Ok(Json(state.app.list_instances_v3(&principal.project_id, page).await?))
}

pub async fn show_v3(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): InstancePath,
) -> Result<Json<ShowInstanceV3Response>, Failure> {
    Ok(Json(state.app.show_instance_v3(&principal.project_id, &id).await?))
}

pub async fn rename_v3(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): InstancePath,
    body: Bytes,
) -> Result<Json<JobStarted>, Failure> {
    let name = decode::<RenameInstanceRequest>(&body)?.check_v3()?;
    let job_id = state.app.begin_rename(&principal.project_id, &id, name).await?;
    Ok(Json(JobStarted { job_id }))
}

pub async fn restart_v3(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): InstancePath,
) -> Result<Json<JobStarted>, Failure> {
    let started = state.app.restart_instance(&principal.project_id, &id, RestartKind::Soft).await?;
    Ok(Json(JobStarted { job_id: started.job_id }))
}

pub async fn delete_v3(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): InstancePath,
    RawQuery(query): RawQuery,
) -> Result<Json<JobStarted>, Failure> {
    let delete_data = Query::parse(query.as_deref()).flag("delete_dn_data")?;
    let started = state.app.delete_instance(&principal.project_id, &id, delete_data).await?;
    Ok(Json(JobStarted { job_id: started.job_id }))
}
