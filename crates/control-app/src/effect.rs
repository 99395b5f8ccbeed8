//! When a change is in force: every node serves it, or serves nothing until it does.

use crate::app::App;
use crate::error::AppError;
use crate::fences::FenceError;
use base::id::InstanceId;
use control_store::Revision;
use std::time::Duration;

/// A call that is done with its transaction waits so long until every node has taken its change; then
/// nodes that have not are fenced.
pub(crate) const EFFECT_TIMEOUT: Duration = Duration::from_secs(3);

impl App {
    /// Waits until every node serves `version` or nothing; what is wrong if that cannot be had.
    pub(crate) async fn in_force(
        &self,
        id: &InstanceId,
        version: Revision,
        patience: Duration,
    ) -> Result<Result<(), FenceError>, AppError> {
        match self.settle_nodes(&*self.publisher, id, version, patience).await {
            Err(FenceError::App(error)) => Err(error),
            settled => Ok(settled),
        }
    }

    /// The same for a change that holds whether or not every node has heard of it yet.
    pub(crate) async fn wait_effect(
        &self,
        id: &InstanceId,
        version: Revision,
        patience: Duration,
    ) -> Result<(), AppError> {
        if let Err(late) = self.in_force(id, version, patience).await? {
            tracing::warn!(instance = %id, error = %late, "a change takes effect late");
        }
        Ok(())
    }
}
