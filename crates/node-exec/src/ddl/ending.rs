//! The end of a change that does not go on here. What was undone is forgotten; what may be half done
//! is left to the control plane, which finishes it, or undoes it, from its record as soon as the data
//! nodes answer. The control plane may be away itself then, so it is told until it has heard.

use crate::ask::AskError;
use crate::error::ExecError;
use crate::exec::Exec;
use base::disk_full::is_disk_full;
use base::sql_error;
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
