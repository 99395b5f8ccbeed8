//! Calls on jobs.

use super::Handler;
use crate::answer::Failure;
use crate::principal::Principal;
use crate::state::AppState;
use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::routing::{MethodFilter, on};
use control_api::job::{ListJobsResponse, ShowJobResponse, TimeRange};
use control_api::paging::INSTANCES_LIMIT_DEFAULT;
use control_api::query::Query;
use control_app::time::now_ms;
use std::sync::Arc;

/// What serves a call of this noun.
pub fn handler(operation: &str, method: MethodFilter) -> Option<Handler> {
    Some(match operation {
        "show_job" => on(method, show),
        "list_jobs" => on(method, list),
        _ => return None,
    })
}

pub async fn show(
    State(state): State<Arc<AppState>>,
    principal: Principal,
    Path((_, job_id)): Path<(String, String)>,
) -> Result<Json<ShowJobResponse>, Failure> {
    Ok(Json(state.app.show_job(&principal.project_id, &job_id).await?))
}

pub async fn list(
    State(state): State<Arc<AppState>>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<ListJobsResponse>, Failure> {
    let query = Query::parse(query.as_deref());
    let page = query.page(INSTANCES_LIMIT_DEFAULT)?;
    let range = TimeRange::new(
        query.milliseconds("start_time")?,
        query.milliseconds("end_time")?,
        now_ms(),
    )?;
    Ok(Json(state.app.list_jobs(&principal.project_id, range, page).await?))
}
