//! Calls on the administrator, and the one about passwords in general.

use super::Handler;
use crate::answer::Failure;
use crate::principal::Principal;
use crate::state::AppState;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{MethodFilter, on};
use control_api::administrator::{AdministratorRequest, WeakPasswordRequest, WeakPasswordResponse};
use control_api::decode::decode;
use std::sync::Arc;

/// What serves a call of this noun.
pub fn handler(operation: &str, method: MethodFilter) -> Option<Handler> {
    Some(match operation {
        "set_administrator" => on(method, set),
        "verify_password" => on(method, verify_password),
        _ => return None,
    })
}

pub async fn set(
    State(state): State<Arc<AppState>>,
    principal: Principal,
    Path((_, instance_id)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let administrator = decode::<AdministratorRequest>(&body)?.check()?;
    state.app.set_administrator(&principal.project_id, &instance_id, administrator).await?;
    Ok(StatusCode::OK)
}

pub async fn verify_password(
    State(state): State<Arc<AppState>>,
    _: Principal,
    body: Bytes,
) -> Result<Json<WeakPasswordResponse>, Failure> {
    let request: WeakPasswordRequest = decode(&body)?;
    Ok(Json(state.app.verify_password(request.password.expose())))
}
