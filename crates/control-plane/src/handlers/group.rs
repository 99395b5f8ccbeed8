//! Calls on groups of nodes.

use super::Handler;
use crate::answer::Failure;
use crate::principal::Principal;
use crate::state::AppState;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::routing::{MethodFilter, on};
use control_api::access_list::{
    SetAccessListRequest, SetAccessListResponse, ShowAccessListResponse,
};
use control_api::decode::decode;
use control_api::group::{CreateGroupRequest, CreateGroupResponse, ListGroupsResponse};
use control_api::instance_v3::JobStarted;
use control_api::paging::LIMIT_DEFAULT;
use control_api::query::Query;
use std::sync::Arc;

type Shared = State<Arc<AppState>>;

/// What serves a call of this noun.
pub fn handler(operation: &str, method: MethodFilter) -> Option<Handler> {
    Some(match operation {
        "list_groups" => on(method, list),
        "create_group" => on(method, create),
        "delete_group" => on(method, delete),
        "show_access_list" => on(method, show_access_list),
        "set_access_list" => on(method, set_access_list),
        _ => return None,
    })
}

pub async fn list(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json<ListGroupsResponse>, Failure> {
    let page = Query::parse(query.as_deref()).page(LIMIT_DEFAULT)?;
    Ok(Json(state.app.list_groups(&principal.project_id, &instance_id, page).await?))
}

pub async fn create(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<CreateGroupResponse>, Failure> {
    let request: CreateGroupRequest = decode(&body)?;
    let new = request.check()?;
    Ok(Json(state.app.create_group(&principal.project_id, &instance_id, new).await?))
}

pub async fn delete(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id, group_id)): Path<(String, String, String)>,
) -> Result<Json<JobStarted>, Failure> {
    let job_id = state.app.delete_group(&principal.project_id, &instance_id, &group_id).await?;
    Ok(Json(JobStarted { job_id }))
}

pub async fn show_access_list(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id, group_id)): Path<(String, String, String)>,
) -> Result<Json<ShowAccessListResponse>, Failure> {
    let project = &principal.project_id;
    Ok(Json(state.app.show_access_list(project, &instance_id, &group_id).await?))
}

pub async fn set_access_list(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id, group_id)): Path<(String, String, String)>,
    body: Bytes,
) -> Result<Json<SetAccessListResponse>, Failure> {
    let request: SetAccessListRequest = decode(&body)?;
    let wanted = request.check()?;
    let project = &principal.project_id;
    Ok(Json(state.app.set_access_list(project, &instance_id, &group_id, wanted).await?))
}
