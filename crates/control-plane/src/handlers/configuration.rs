//! Calls on instance parameters and parameter templates.

use super::Handler;
use crate::answer::Failure;
use crate::principal::Principal;
use crate::state::AppState;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::{MethodFilter, on};
use control_api::configuration::{
    ApplicableInstancesResponse, ApplyConfigurationRequest, ApplyConfigurationResponse,
    ApplyHistoriesResponse, CopyConfigurationRequest, CreateConfigurationRequest,
    CreateConfigurationResponse, DiffConfigurationsRequest, DiffConfigurationsResponse,
    InstanceParametersResponse, ListConfigurationsResponse, NeedRestartResponse,
    ShowConfigurationResponse, UpdateConfigurationRequest, UpdateParametersRequest,
    UpdateParametersResponse,
};
use control_api::decode::decode;
use control_api::paging::{INSTANCES_LIMIT_DEFAULT, LIMIT_DEFAULT};
use control_api::query::Query;
use std::sync::Arc;

type Shared = State<Arc<AppState>>;
/// Project and instance, or project and template.
type ObjectPath = Path<(String, String)>;

/// What serves a call of this noun.
pub fn handler(operation: &str, method: MethodFilter) -> Option<Handler> {
    Some(match operation {
        "list_parameters" => on(method, list_parameters),
        "update_parameters" => on(method, update_parameters),
        "update_parameters_v3_1" => on(method, update_parameters_v3_1),
        "list_configurations" => on(method, list),
        "create_configuration" => on(method, create),
        "diff_configurations" => on(method, diff),
        "show_configuration" => on(method, show),
        "update_configuration" => on(method, update),
        "delete_configuration" => on(method, delete),
        "copy_configuration" => on(method, copy),
        "apply_configuration" => on(method, apply),
        "list_apply_histories" => on(method, list_histories),
        "list_applicable_instances" => on(method, list_applicable),
        _ => return None,
    })
}

pub async fn list_parameters(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): ObjectPath,
    RawQuery(query): RawQuery,
) -> Result<Json<InstanceParametersResponse>, Failure> {
    let page = Query::parse(query.as_deref()).page(LIMIT_DEFAULT)?;
    let Principal { project_id, language, .. } = principal;
    Ok(Json(state.app.list_parameters(&project_id, &instance_id, language, page).await?))
}

pub async fn update_parameters(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): ObjectPath,
    body: Bytes,
) -> Result<Json<UpdateParametersResponse>, Failure> {
    let wanted = decode::<UpdateParametersRequest>(&body)?.check(false)?;
    Ok(Json(state.app.update_parameters(&principal.project_id, &instance_id, wanted).await?))
}

pub async fn update_parameters_v3_1(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): ObjectPath,
    body: Bytes,
) -> Result<Json<NeedRestartResponse>, Failure> {
    let wanted = decode::<UpdateParametersRequest>(&body)?.check(true)?;
    Ok(Json(state.app.update_parameters_v3_1(&principal.project_id, &instance_id, wanted).await?))
}

pub async fn list(
    State(state): Shared,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<ListConfigurationsResponse>, Failure> {
    let page = Query::parse(query.as_deref()).page(INSTANCES_LIMIT_DEFAULT)?;
    Ok(Json(state.app.list_configurations(&principal.project_id, page).await?))
}

pub async fn create(
    State(state): Shared,
    principal: Principal,
    body: Bytes,
) -> Result<Json<CreateConfigurationResponse>, Failure> {
    let new = decode::<CreateConfigurationRequest>(&body)?.check()?;
    Ok(Json(state.app.create_configuration(&principal.project_id, new).await?))
}

pub async fn diff(
    State(state): Shared,
    principal: Principal,
    body: Bytes,
) -> Result<Json<DiffConfigurationsResponse>, Failure> {
    let (source, target) = decode::<DiffConfigurationsRequest>(&body)?.check()?;
    Ok(Json(state.app.diff_configurations(&principal.project_id, &source, &target).await?))
}

pub async fn show(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): ObjectPath,
) -> Result<Json<ShowConfigurationResponse>, Failure> {
    let Principal { project_id, language, .. } = principal;
    Ok(Json(state.app.show_configuration(&project_id, &id, language).await?))
}

pub async fn update(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): ObjectPath,
    body: Bytes,
) -> Result<Json<NeedRestartResponse>, Failure> {
    let wanted = decode::<UpdateConfigurationRequest>(&body)?.check()?;
    Ok(Json(state.app.update_configuration(&principal.project_id, &id, wanted).await?))
}

pub async fn delete(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): ObjectPath,
) -> Result<StatusCode, Failure> {
    state.app.delete_configuration(&principal.project_id, &id).await?;
    Ok(StatusCode::OK)
}

pub async fn copy(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): ObjectPath,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let copy = decode::<CopyConfigurationRequest>(&body)?.check()?;
    state.app.copy_configuration(&principal.project_id, &id, copy).await?;
    Ok(StatusCode::OK)
}

pub async fn apply(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): ObjectPath,
    body: Bytes,
) -> Result<Json<ApplyConfigurationResponse>, Failure> {
    let instance_ids = decode::<ApplyConfigurationRequest>(&body)?.check()?;
    let Principal { project_id, language, .. } = principal;
    Ok(Json(state.app.apply_configuration(&project_id, &id, instance_ids, language).await?))
}

pub async fn list_histories(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): ObjectPath,
    RawQuery(query): RawQuery,
) -> Result<Json<ApplyHistoriesResponse>, Failure> {
    let page = Query::parse(query.as_deref()).page(INSTANCES_LIMIT_DEFAULT)?;
    Ok(Json(state.app.list_apply_histories(&principal.project_id, &id, page).await?))
}

pub async fn list_applicable(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): ObjectPath,
    RawQuery(query): RawQuery,
) -> Result<Json<ApplicableInstancesResponse>, Failure> {
    let page = Query::parse(query.as_deref()).page(INSTANCES_LIMIT_DEFAULT)?;
    Ok(Json(state.app.list_applicable_instances(&principal.project_id, &id, page).await?))
}
