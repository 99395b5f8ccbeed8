//! Calls on data nodes.

use super::Handler;
use crate::answer::Failure;
use crate::principal::Principal;
use crate::state::AppState;
use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::routing::{MethodFilter, on};
use control_api::data_node::{AvailableDataNodesResponse, AvailableDataNodesV3Response};
use control_api::paging::LIMIT_DEFAULT;
use control_api::query::Query;
use std::sync::Arc;

type Shared = State<Arc<AppState>>;

/// What serves a call of this noun.
pub fn handler(operation: &str, method: MethodFilter) -> Option<Handler> {
    Some(match operation {
        "list_available_data_nodes" => on(method, list_available),
        "list_available_data_nodes_v3" => on(method, list_available_v3),
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
