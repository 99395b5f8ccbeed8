//! What a statement that changes definitions needs from the control plane, as a trait: the node's
//! stream implements it, tests implement it on a snapshot of their own. Every wait is bounded by
//! the implementation.

use futures::future::BoxFuture;
use topology::stream::{Answer, Ask};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// There is no stream now; nothing was asked.
    #[error(
        "the control plane cannot be reached, so definitions cannot be changed now; try again later"
    )]
    Away,
    /// The stream was lost, or the time was up, after the question was sent: what came of it is
    /// not known.
    #[error("the control plane did not answer; what came of the request is not known")]
    Lost,
}

/// Somebody who records and publishes changes of definitions.
pub trait ControlPlane: Send + Sync + std::fmt::Debug {
    /// Asks and waits, boundedly.
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Answer, AskError>>;
}

/// Nobody: a node without a control plane serves what it has and changes nothing.
#[derive(Debug)]
pub struct NoControlPlane;

impl ControlPlane for NoControlPlane {
    fn ask(&self, _: Ask) -> BoxFuture<'_, Result<Answer, AskError>> {
        Box::pin(std::future::ready(Err(AskError::Away)))
    }
}
