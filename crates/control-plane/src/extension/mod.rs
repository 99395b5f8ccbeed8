//! Calls beyond the documented API: data nodes of one's own.

mod data_nodes;

use crate::state::AppState;
use axum::Router;
use std::sync::Arc;

/// The calls.
pub fn routes() -> Router<Arc<AppState>> {
    data_nodes::routes()
}
