//! Calls on the slow log.

use super::Handler;
use crate::answer::Failure;
use crate::principal::Principal;
use crate::state::AppState;
use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::routing::{MethodFilter, on};
use control_api::query::Query;
use control_api::slow_log::{
    AnalyseSlowLogResponse, LIMIT_MAX, ListSlowLogsResponse, ShowSlowLogResponse, SlowLogWindow,
    TEMPLATES_LIMIT_MAX, order_of,
};
use std::sync::Arc;

type Shared = State<Arc<AppState>>;
/// Project and instance.
type InstancePath = Path<(String, String)>;

/// What serves a call of this noun.
pub fn handler(operation: &str, method: MethodFilter) -> Option<Handler> {
    Some(match operation {
        "show_slow_log" => on(method, show),
        "list_slow_logs" => on(method, list),
        "analyse_slow_log" => on(method, analyse),
        _ => return None,
    })
}

pub async fn show(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): InstancePath,
    RawQuery(query): RawQuery,
) -> Result<Json<ShowSlowLogResponse>, Failure> {
    let window = SlowLogWindow::of_v2(&Query::parse(query.as_deref()))?;
    Ok(Json(state.app.show_slow_log(&principal.project_id, &id, window).await?))
}

pub async fn list(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): InstancePath,
    RawQuery(query): RawQuery,
) -> Result<Json<ListSlowLogsResponse>, Failure> {
    let window = SlowLogWindow::of_v3(&Query::parse(query.as_deref()), LIMIT_MAX)?;
    Ok(Json(state.app.list_slow_logs(&principal.project_id, &id, window).await?))
}

pub async fn analyse(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): InstancePath,
    RawQuery(query): RawQuery,
) -> Result<Json<AnalyseSlowLogResponse>, Failure> {
    let query = Query::parse(query.as_deref());
    let window = SlowLogWindow::of_v3(&query, TEMPLATES_LIMIT_MAX)?;
    let order = order_of(&query)?;
    Ok(Json(state.app.analyse_slow_log(&principal.project_id, &id, window, order).await?))
}
