//! What can be bought: engines and node classes.

use super::Handler;
use crate::answer::Failure;
use crate::principal::Principal;
use crate::state::AppState;
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::routing::{MethodFilter, on};
use control_api::engine::{ListEnginesResponse, ListEnginesV3Response};
use control_api::flavor::{ListFlavorsResponse, ListFlavorsV3Response};
use control_api::paging::LIMIT_DEFAULT;
use control_api::query::Query;
use std::sync::Arc;

type Shared = State<Arc<AppState>>;

/// What serves a call of this noun.
pub fn handler(operation: &str, method: MethodFilter) -> Option<Handler> {
    Some(match operation {
        "list_engines" => on(method, engines),
        "list_engines_v3" => on(method, engines_v3),
        "list_flavors" => on(method, flavors),
        "list_flavors_v3" => on(method, flavors_v3),
        _ => return None,
    })
}

pub async fn engines(
    State(state): Shared,
    _: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<ListEnginesResponse>, Failure> {
    let page = Query::parse(query.as_deref()).page(LIMIT_DEFAULT)?;
    Ok(Json(state.app.list_engines(page)))
}

pub async fn engines_v3(
    State(state): Shared,
    _: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<ListEnginesV3Response>, Failure> {
    let page = Query::parse(query.as_deref()).page(LIMIT_DEFAULT)?;
    Ok(Json(state.app.list_engines_v3(page)))
}

pub async fn flavors(
    State(state): Shared,
    _: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<ListFlavorsResponse>, Failure> {
    let query = Query::parse(query.as_deref());
    Ok(Json(state.app.list_flavors(query.get("engine_id"), query.page(LIMIT_DEFAULT)?)?))
}

pub async fn flavors_v3(
    State(state): Shared,
    _: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<ListFlavorsV3Response>, Failure> {
    let query = Query::parse(query.as_deref());
    let page = query.page(LIMIT_DEFAULT)?;
    let (id, version, zones) =
        (query.get("engine_id"), query.get("engine_version"), query.get("available_zones"));
    Ok(Json(state.app.list_flavors_v3(id, version, zones, page)?))
}
