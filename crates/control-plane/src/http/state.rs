//! What every handler can reach.

use super::throttle::Limiter;
use control_app::App;
use control_app::iam::Iam;
use std::sync::Arc;

/// What every handler can reach.
#[derive(Debug)]
pub struct AppState {
    /// What the product does.
    pub app: Arc<App>,
    /// Who may call.
    pub iam: Iam,
    /// How often.
    pub limiter: Limiter,
}
