//! The REST API's HTTP: the router, and the layers that every request passes in this order: frame
//! (request id, log, form of errors), then for known routes admission (throttle, credentials,
//! project, body), then the handler.

pub mod admit;
pub mod answer;
mod body;
mod frame;
mod iam;
mod linger;
pub mod principal;
pub mod serve;
pub mod state;
pub mod throttle;

pub use frame::RequestId;

use answer::Failure;
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use base::api_error::{ApiError, METHOD_NOT_ALLOWED, NOT_FOUND};
use state::AppState;
use std::sync::Arc;

/// The whole API.
pub fn router(state: &Arc<AppState>) -> Router {
    let calls = crate::handlers::routes().merge(iam::routes());
    let calls = calls.route_layer(from_fn_with_state(state.clone(), admit::admit_known));
    let open =
        iam::open_routes().route_layer(from_fn_with_state(state.clone(), admit::admit_anyone));
    Router::new()
        .merge(calls)
        .merge(open)
        .route("/healthz", get(healthz))
        .fallback(async || Failure::from(ApiError::new(NOT_FOUND)))
        .method_not_allowed_fallback(async || Failure::from(ApiError::new(METHOD_NOT_ALLOWED)))
        .layer(from_fn(frame::frame))
        .with_state(state.clone())
}

async fn healthz() -> &'static str {
    "ok\n"
}
