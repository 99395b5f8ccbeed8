//! A change from its record to its end, of which the control plane is told in any case. What was undone
//! is forgotten; what may be half done is left to the control plane, which finishes it, or undoes it, from
//! its record as soon as the data nodes answer. So is what a session leaves that goes in the middle of it,
//! with its client. The control plane may be away itself, so it is told until it has heard.

use super::{answered, not_answered, unexpected};
use crate::ask::{AskError, ControlPlane};
use crate::error::ExecError;
use crate::exec::Exec;
use base::disk_full::is_disk_full;
use base::sql_error;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
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

/// A change that the control plane has recorded. Dropped before it has ended, it is given up.
#[derive(Debug)]
pub(crate) struct Underway {
    control: Arc<dyn ControlPlane>,
    /// None when its end was told.
    ddl_id: Option<String>,
}

impl Underway {
    /// Has a change recorded. The answer is heard also when nobody waits for it any longer.
    pub async fn begin(exec: &Exec<'_>, begin: Ask) -> Result<Self, ExecError> {
        let control = Arc::clone(exec.control);
        let (begun, wait) = oneshot::channel();
        tokio::spawn(async move {
            let result = match control.ask(begin).await {
                Ok(Answer::DdlBegun { ddl_id }) => {
                    let control = Arc::clone(&control);
                    Ok(Ok(Underway { control, ddl_id: Some(ddl_id) }))
                }
                Ok(other) => Ok(Err(other)),
                Err(error) => Err(error),
            };
            // Where nobody takes it, what began is dropped.
            drop(begun.send(result));
        });
        match wait.await.unwrap_or(Err(AskError::Lost)) {
            Ok(Ok(underway)) => Ok(underway),
            Ok(Err(other)) => Err(unexpected(&answered(other)?)),
            Err(error) => Err(not_answered(error)),
        }
    }

    /// The number of its record.
    pub fn id(&self) -> String {
        self.ddl_id.clone().unwrap_or_default()
    }

    /// It is committed, and with that forgotten.
    pub fn committed(mut self) {
        self.ddl_id = None;
    }

    /// Nothing was changed, or everything is undone.
    pub async fn abort(self) {
        self.end(|ddl_id| Ask::DdlAbort { ddl_id }).await;
    }

    /// Somebody else must find out what was changed.
    pub async fn abandon(self) {
        self.end(|ddl_id| Ask::DdlAbandon { ddl_id }).await;
    }

    /// It is committed, and what it left is cleared away.
    pub async fn clear(self) {
        self.end(|ddl_id| Ask::DdlEnd { ddl_id }).await;
    }

    /// Ends what stopped; what the client is told.
    pub(super) async fn stop(self, stopped: Stopped) -> ExecError {
        match stopped.half {
            true => self.abandon().await,
            false => self.abort().await,
        }
        stopped.error
    }

    /// Tells the control plane, now or as soon as it can be reached; returns after the first try.
    async fn end(mut self, ask: impl FnOnce(String) -> Ask) {
        let Some(ddl_id) = self.ddl_id.take() else { return };
        let (tried, first) = oneshot::channel();
        tokio::spawn(tell(Arc::clone(&self.control), ask(ddl_id), Some(tried)));
        // Whoever tells cannot end without a word.
        first.await.ok();
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let Some(ddl_id) = self.ddl_id.take() else { return };
        // A runtime that ends is that of a node that ends, which the control plane sees by itself.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            tracing::info!(ddl_id, "a session ended in the middle of a change of definitions");
            runtime.spawn(tell(Arc::clone(&self.control), Ask::DdlAbandon { ddl_id }, None));
        }
    }
}

/// Tells the control plane of the end of a change until it has heard.
async fn tell(control: Arc<dyn ControlPlane>, ask: Ask, tried: Option<oneshot::Sender<()>>) {
    let mut has_heard = heard(control.ask(ask.clone()).await);
    if let Some(tried) = tried {
        // Nobody has to wait for it.
        tried.send(()).ok();
    }
    for _ in 0..TRIES_MAX {
        if has_heard {
            return;
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
        has_heard = heard(control.ask(ask.clone()).await);
    }
    tracing::warn!(?ask, "the control plane was not told of the end of a change");
}

/// Whether the control plane has it; one refusal says that the change has ended already, others that
/// it cannot be recorded now.
fn heard(answer: Result<Answer, AskError>) -> bool {
    match answer {
        Ok(Answer::Refused { sql_error, message }) => {
            tracing::debug!(sql_error, message, "the end of a change was refused");
            sql_error == sql_error::DDL_CONFLICT.number
        }
        Ok(_) => true,
        Err(error) => {
            tracing::debug!(%error, "the control plane is told of the end of a change later");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_wire::packet::ErrPacket;

    #[test]
    fn an_end_that_could_not_be_recorded_is_told_again() {
        let refused = |code: sql_error::SqlErrorCode| {
            Ok(Answer::Refused { sql_error: code.number, message: String::new() })
        };
        assert!(heard(Ok(Answer::Aborted)));
        assert!(heard(refused(sql_error::DDL_CONFLICT)));
        assert!(!heard(refused(sql_error::CONTROL_PLANE_AWAY)));
        assert!(!heard(refused(sql_error::UNKNOWN_ERROR)));
        assert!(!heard(Err(AskError::Lost)));
    }

    #[test]
    fn a_full_disk_leaves_a_statement_in_doubt() {
        let server = |number, message: &[u8]| {
            let message = message.to_vec();
            ExecError::Server(ErrPacket { number, sqlstate: *b"HY000", message })
        };
        let full =
            b"Error writing file './ddl_recovery.log' (Errcode: 28 \"No space left on device\")";
        assert!(is_in_doubt(&server(3, full)));
        assert!(!is_in_doubt(&server(1060, b"Duplicate column name 'a'")));
    }
}
