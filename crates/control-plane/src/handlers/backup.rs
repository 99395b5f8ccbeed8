//! Calls on backups.

use super::Handler;
use crate::answer::Failure;
use crate::principal::Principal;
use crate::state::AppState;
use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::routing::{MethodFilter, on};
use control_api::backup::{
    ListBackupsResponse, RelatedDataNodesResponse, RestorableDataNodesResponse,
    RestorableInstancesResponse, RestorableTimesResponse, ShowBackupResponse,
};
use control_api::instance_v3::JobStarted;
use control_api::paging::LIMIT_DEFAULT;
use control_api::query::Query;
use control_app::backup::BackupFilter;
use control_app::backup_restorable::DataNodeQuery;
use std::sync::Arc;

type Shared = State<Arc<AppState>>;
/// Project and instance.
type InstancePath = Path<(String, String)>;

/// What serves a call of this noun.
pub fn handler(operation: &str, method: MethodFilter) -> Option<Handler> {
    Some(match operation {
        "list_backups" => on(method, list),
        "delete_backup" => on(method, delete),
        "show_backup" => on(method, show),
        "list_restorable_times" => on(method, restorable_times),
        "list_restorable_instances" => on(method, restorable_instances),
        "list_restorable_data_nodes" => on(method, restorable_data_nodes),
        "list_related_data_nodes" => on(method, related_data_nodes),
        _ => return None,
    })
}

pub async fn list(
    State(state): Shared,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<ListBackupsResponse>, Failure> {
    let query = Query::parse(query.as_deref());
    let text = |name: &str| query.get(name).map(str::to_owned);
    let filter = BackupFilter {
        instance_id: text("instance_id"),
        instance_name: text("instance_name"),
        backup_name: text("backup_name"),
    };
    let page = query.page(LIMIT_DEFAULT)?;
    Ok(Json(state.app.list_backups(&principal.project_id, &filter, page).await?))
}

pub async fn delete(
    State(state): Shared,
    principal: Principal,
    Path((_, backup_id)): Path<(String, String)>,
) -> Result<Json<JobStarted>, Failure> {
    Ok(Json(state.app.delete_backup(&principal.project_id, &backup_id).await?))
}

pub async fn show(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id, backup_id)): Path<(String, String, String)>,
) -> Result<Json<ShowBackupResponse>, Failure> {
    Ok(Json(state.app.show_backup(&principal.project_id, &instance_id, &backup_id).await?))
}

pub async fn restorable_times(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): InstancePath,
    RawQuery(query): RawQuery,
) -> Result<Json<RestorableTimesResponse>, Failure> {
    let page = Query::parse(query.as_deref()).page(LIMIT_DEFAULT)?;
    Ok(Json(state.app.restorable_times(&principal.project_id, &instance_id, page).await?))
}

pub async fn restorable_instances(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): InstancePath,
    RawQuery(query): RawQuery,
) -> Result<Json<RestorableInstancesResponse>, Failure> {
    let page = Query::parse(query.as_deref()).page(LIMIT_DEFAULT)?;
    Ok(Json(state.app.restorable_instances(&principal.project_id, &instance_id, page).await?))
}

pub async fn restorable_data_nodes(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): InstancePath,
    RawQuery(query): RawQuery,
) -> Result<Json<RestorableDataNodesResponse>, Failure> {
    let query = Query::parse(query.as_deref());
    let asked = DataNodeQuery {
        target_instance_id: query.get("target_instance_id").map(str::to_owned),
        source_data_node: query.get("source_dn_instance_id").map(str::to_owned),
        restore_time_ms: query.milliseconds("restore_time")?,
    };
    let page = query.page(LIMIT_DEFAULT)?;
    let project = &principal.project_id;
    Ok(Json(state.app.restorable_data_nodes(project, &instance_id, &asked, page).await?))
}

pub async fn related_data_nodes(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): InstancePath,
    RawQuery(query): RawQuery,
) -> Result<Json<RelatedDataNodesResponse>, Failure> {
    let query = Query::parse(query.as_deref());
    let (time, page) = (query.milliseconds("restore_time")?, query.page(LIMIT_DEFAULT)?);
    let project = &principal.project_id;
    Ok(Json(state.app.related_data_nodes(project, &instance_id, time, page).await?))
}
