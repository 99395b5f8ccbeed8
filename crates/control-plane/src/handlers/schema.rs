//! Calls on schemas.

use super::Handler;
use crate::answer::Failure;
use crate::principal::Principal;
use crate::state::AppState;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::routing::{MethodFilter, on};
use control_api::decode::decode;
use control_api::paging::LIMIT_DEFAULT;
use control_api::query::Query;
use control_api::schema::{
    CreateDatabasesRequest, CreateDatabasesResponse, DatabaseName, Empty, ListDatabasesResponse,
    ShowDatabaseResponse,
};
use control_api::schema_v3::{
    CreateDatabaseV3Request, CreateDatabaseV3Response, DeleteDatabaseV3Response,
    ShowDatabaseV3Response,
};
use std::sync::Arc;

type Shared = State<Arc<AppState>>;
/// Project and instance.
type InstancePath = Path<(String, String)>;
/// Project, instance and schema.
type SchemaPath = Path<(String, String, String)>;

/// What serves a call of this noun.
pub fn handler(operation: &str, method: MethodFilter) -> Option<Handler> {
    Some(match operation {
        "create_schema" => on(method, create),
        "list_schemas" => on(method, list),
        "show_schema" => on(method, show),
        "delete_schema" => on(method, delete),
        "create_schema_v3" => on(method, create_v3),
        "show_schema_v3" => on(method, show_v3),
        "delete_schema_v3" => on(method, delete_v3),
        _ => return None,
    })
}

pub async fn create(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): InstancePath,
    body: Bytes,
) -> Result<Json<CreateDatabasesResponse>, Failure> {
    let schemas = decode::<CreateDatabasesRequest>(&body)?.check()?;
    state.app.create_schemas(&principal.project_id, &instance_id, &schemas).await?;
    let databases = schemas.into_iter().map(|schema| DatabaseName { name: schema.name }).collect();
    Ok(Json(CreateDatabasesResponse { databases }))
}

pub async fn list(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): InstancePath,
    RawQuery(query): RawQuery,
) -> Result<Json<ListDatabasesResponse>, Failure> {
    let page = Query::parse(query.as_deref()).page(LIMIT_DEFAULT)?;
    Ok(Json(state.app.list_schemas(&principal.project_id, &instance_id, page).await?))
}

pub async fn show(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id, name)): SchemaPath,
) -> Result<Json<ShowDatabaseResponse>, Failure> {
    Ok(Json(state.app.show_schema(&principal.project_id, &instance_id, &name).await?))
}

pub async fn delete(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id, name)): SchemaPath,
    RawQuery(query): RawQuery,
) -> Result<Json<Empty>, Failure> {
    let delete_data = Query::parse(query.as_deref()).flag("delete_rds_data")?;
    state.app.delete_schema(&principal.project_id, &instance_id, &name, delete_data).await?;
    Ok(Json(Empty {}))
}

pub async fn create_v3(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): InstancePath,
    body: Bytes,
) -> Result<Json<CreateDatabaseV3Response>, Failure> {
    let schemas = [decode::<CreateDatabaseV3Request>(&body)?.check()?];
    let mut job_ids =
        state.app.create_schemas(&principal.project_id, &instance_id, &schemas).await?;
    let [schema] = schemas;
    Ok(Json(CreateDatabaseV3Response { name: schema.name, job_id: job_ids.remove(0) }))
}

pub async fn show_v3(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id, name)): SchemaPath,
) -> Result<Json<ShowDatabaseV3Response>, Failure> {
    Ok(Json(state.app.show_schema_v3(&principal.project_id, &instance_id, &name).await?))
}

pub async fn delete_v3(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id, name)): SchemaPath,
    RawQuery(query): RawQuery,
) -> Result<Json<DeleteDatabaseV3Response>, Failure> {
    let delete_data = Query::parse(query.as_deref()).flag("delete_dn_data")?;
    let job_id =
        state.app.delete_schema(&principal.project_id, &instance_id, &name, delete_data).await?;
    Ok(Json(DeleteDatabaseV3Response { database_name: name, job_id }))
}
