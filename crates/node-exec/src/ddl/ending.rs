//! The end of a change that does not go on here. What was undone is forgotten; what may be half done
//! is left to the control plane, which finishes it, or undoes it, from its record as soon as the data
//! nodes answer. The control plane may be away itself then, so it is told until it has heard.

use crate::ask::AskError;
use crate::error::ExecError;
use crate::exec::Exec;
use base::disk_full::is_disk_full;
use std::sync::Arc;
use std::time::Duration;
use topology::stream::{Answer, Ask};

/// Time between two tries to tell the control plane.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// After so many it is left to what the control plane finds by itself: a node that ends, or a day.
const TRIES_MAX: u32 = 600;

/// Why a change stopped.
#[derive(Debug)]
pub(super) struct Stopped {
    /// What the client is told.
    pub error: ExecError,
    /// A physical table may have been changed, and nobody here can tell or change it back.
    pub half: bool,
}

impl From<ExecError> for Stopped {
    fn from(error: ExecError) -> Self {
        Stopped { error, half: false }
    }
}

/// Whether a statement that ended so may have run, or run in part, or will run when its data node is
/// well again.
pub(super) fn is_in_doubt(error: &ExecError) -> bool {
    match error {
        ExecError::Backend(_) | ExecError::BrokenOff(_) => true,
        ExecError::Server(error) => is_disk_full(error.number, &error.message),
        ExecError::Sql(_) | ExecError::Client(_) => false,
    }
}

/// Ends a change that stopped; what the client is told.
pub(super) async fn stop(exec: &Exec<'_>, ddl_id: String, stopped: Stopped) -> ExecError {
    match stopped.half {
        true => abandon(exec, ddl_id).await,
        false => abort(exec, ddl_id).await,
    }
    stopped.error
}

/// Nothing was changed, or everything is undone.
pub(crate) async fn abort(exec: &Exec<'_>, ddl_id: String) {
    tell(exec, Ask::DdlAbort { ddl_id }).await;
}

/// Somebody else must find out what was changed.
pub(crate) async fn abandon(exec: &Exec<'_>, ddl_id: String) {
    tell(exec, Ask::DdlAbandon { ddl_id }).await;
}

/// Tells the control plane of the end of a change, now or as soon as it can be reached.
pub(crate) async fn tell(exec: &Exec<'_>, ask: Ask) {
    if heard(exec.control.ask(ask.clone()).await) {
        return;
    }
    let control = Arc::clone(exec.control);
    tokio::spawn(async move {
        for _ in 0..TRIES_MAX {
            tokio::time::sleep(BETWEEN_TRIES).await;
            if heard(control.ask(ask.clone()).await) {
                return;
            }
        }
        tracing::warn!(?ask, "the control plane was not told of the end of a change");
    });
}

/// A refusal says that the change has ended already.
fn heard(answer: Result<Answer, AskError>) -> bool {
    match answer {
        Ok(Answer::Refused { message, .. }) => {
            tracing::debug!(message, "a change has ended already");
            true
        }
        Ok(_) => true,
        Err(error) => {
            tracing::debug!(%error, "the control plane is told of the end of a change later");
            false
        }
    }
}
