//! Calls on export, import and restore of metadata.

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
use control_api::metadata::{
    ExportMetadataResponse, ImportMetadataRequest, ImportMetadataResponse, RestoreMetadataRequest,
};
use std::sync::Arc;

type Shared = State<Arc<AppState>>;
/// Project and instance.
type InstancePath = Path<(String, String)>;

/// What serves a call of this noun.
pub fn handler(operation: &str, method: MethodFilter) -> Option<Handler> {
    Some(match operation {
        "export_metadata" => on(method, export),
        "import_metadata" => on(method, import),
        "restore_metadata" => on(method, restore),
        _ => return None,
    })
}

pub async fn export(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): InstancePath,
) -> Result<Json<ExportMetadataResponse>, Failure> {
    Ok(Json(state.app.export_metadata(&principal.project_id, &instance_id).await?))
}

pub async fn import(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): InstancePath,
    body: Bytes,
) -> Result<Json<ImportMetadataResponse>, Failure> {
    let import = decode::<ImportMetadataRequest>(&body)?.check()?;
    Ok(Json(state.app.import_metadata(&principal.project_id, &instance_id, import).await?))
}

pub async fn restore(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): InstancePath,
    body: Bytes,
) -> Result<Json<JobStarted>, Failure> {
    let restore = decode::<RestoreMetadataRequest>(&body)?.check()?;
    Ok(Json(state.app.restore_metadata(&principal.project_id, &instance_id, restore).await?))
}
