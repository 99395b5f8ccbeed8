//! Calls on instance parameters and parameter templates.

use super::Handler;
use axum::routing::MethodFilter;

/// What serves a call of this noun.
pub fn handler(_operation: &str, _method: MethodFilter) -> Option<Handler> {
    None
}
