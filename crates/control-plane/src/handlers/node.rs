//! Calls on nodes.

use super::Handler;
use crate::answer::Failure;
use crate::principal::Principal;
use crate::state::AppState;
use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::routing::{MethodFilter, on};
use control_api::node::{ListNodesResponse, ShowNodeResponse, ShowNodeV3Response};
use control_api::paging::LIMIT_DEFAULT;
use control_api::query::Query;
use std::sync::Arc;

type Shared = State<Arc<AppState>>;

/// What serves a call of this noun.
pub fn handler(operation: &str, method: MethodFilter) -> Option<Handler> {
    Some(match operation {
        "list_nodes" => on(method, list),
        "show_node" => on(method, show),
        "show_node_v3" => on(method, show_v3),
        _ => return None,
    })
}

pub async fn list(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json<ListNodesResponse>, Failure> {
    let page = Query::parse(query.as_deref()).page(LIMIT_DEFAULT)?;
    Ok(Json(state.app.list_nodes(&principal.project_id, &instance_id, page).await?))
}

pub async fn show(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id, node_id)): Path<(String, String, String)>,
) -> Result<Json<ShowNodeResponse>, Failure> {
    Ok(Json(state.app.show_node(&principal.project_id, &instance_id, &node_id).await?))
}

pub async fn show_v3(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id, node_id)): Path<(String, String, String)>,
) -> Result<Json<ShowNodeV3Response>, Failure> {
    Ok(Json(state.app.show_node_v3(&principal.project_id, &instance_id, &node_id).await?))
}
