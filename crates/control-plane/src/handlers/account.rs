//! Calls on accounts.

use super::Handler;
use crate::answer::Failure;
use crate::principal::Principal;
use crate::state::AppState;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::{MethodFilter, on};
use control_api::account::{
    CreateUser, CreateUsersRequest, CreateUsersResponse, ListUsersResponse, ListUsersV3Response,
    ResetPasswordRequest, ResetPasswordResponse, UpdateUser, UpdateUserRequest, UserName,
};
use control_api::decode::decode;
use control_api::paging::LIMIT_DEFAULT;
use control_api::query::Query;
use std::sync::Arc;

type Shared = State<Arc<AppState>>;
/// Project and instance.
type InstancePath = Path<(String, String)>;
/// Project, instance and account.
type AccountPath = Path<(String, String, String)>;

/// What serves a call of this noun.
pub fn handler(operation: &str, method: MethodFilter) -> Option<Handler> {
    Some(match operation {
        "create_accounts" => on(method, create),
        "list_accounts" => on(method, list),
        "update_account" => on(method, update),
        "delete_account" => on(method, delete),
        "reset_password" => on(method, reset_password),
        "create_account_v3" => on(method, create_v3),
        "list_accounts_v3" => on(method, list_v3),
        "update_account_v3" => on(method, update_v3),
        "delete_account_v3" => on(method, delete_v3),
        "reset_password_v3" => on(method, reset_password_v3),
        _ => return None,
    })
}

pub async fn create(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): InstancePath,
    body: Bytes,
) -> Result<Json<CreateUsersResponse>, Failure> {
    let accounts = decode::<CreateUsersRequest>(&body)?.check()?;
    Ok(Json(state.app.create_accounts(&principal.project_id, &instance_id, accounts).await?))
}

pub async fn list(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): InstancePath,
    RawQuery(query): RawQuery,
) -> Result<Json<ListUsersResponse>, Failure> {
    let page = Query::parse(query.as_deref()).page(LIMIT_DEFAULT)?;
    Ok(Json(state.app.list_accounts(&principal.project_id, &instance_id, page).await?))
}

pub async fn update(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id, name)): AccountPath,
    body: Bytes,
) -> Result<Json<UserName>, Failure> {
    let change = decode::<UpdateUserRequest>(&body)?.user.check("user.")?;
    Ok(Json(state.app.update_account(&principal.project_id, &instance_id, &name, change).await?))
}

pub async fn delete(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id, name)): AccountPath,
) -> Result<Json<UserName>, Failure> {
    Ok(Json(state.app.delete_account(&principal.project_id, &instance_id, &name).await?))
}

pub async fn reset_password(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id, name)): AccountPath,
    body: Bytes,
) -> Result<Json<ResetPasswordResponse>, Failure> {
    let request: ResetPasswordRequest = decode(&body)?;
    Ok(Json(
        state
            .app
            .reset_password(&principal.project_id, &instance_id, &name, request.password)
            .await?,
    ))
}

pub async fn create_v3(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): InstancePath,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let account = decode::<CreateUser>(&body)?.check("")?;
    state.app.create_accounts(&principal.project_id, &instance_id, vec![account]).await?;
    Ok(StatusCode::OK)
}

pub async fn list_v3(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): InstancePath,
    RawQuery(query): RawQuery,
) -> Result<Json<ListUsersV3Response>, Failure> {
    let page = Query::parse(query.as_deref()).page(LIMIT_DEFAULT)?;
    Ok(Json(state.app.list_accounts_v3(&principal.project_id, &instance_id, page).await?))
}

pub async fn update_v3(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id, name)): AccountPath,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let change = decode::<UpdateUser>(&body)?.check("")?;
    state.app.update_account(&principal.project_id, &instance_id, &name, change).await?;
    Ok(StatusCode::OK)
}

pub async fn delete_v3(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id, name)): AccountPath,
) -> Result<StatusCode, Failure> {
    state.app.delete_account(&principal.project_id, &instance_id, &name).await?;
    Ok(StatusCode::OK)
}

pub async fn reset_password_v3(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id, name)): AccountPath,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let request: ResetPasswordRequest = decode(&body)?;
    state.app.reset_password(&principal.project_id, &instance_id, &name, request.password).await?;
    Ok(StatusCode::OK)
}
