//! What a client is told of a statement that was ended from outside: by its time, by a deadlock, or
//! by a data node that does not end it.

use crate::processes::Kill;
use crate::session::Core;
use base::sql_error;
use node_exec::error::{ExecError, deadlock, sql};

impl Core {
    /// The error of a statement, as the client is told of it: one that was stopped for its time says
    /// so, not that somebody killed it. One that was stopped for a deadlock loses its transaction, on
    /// all data nodes, as a server takes it.
    pub async fn told_of_end(&mut self, error: ExecError) -> ExecError {
        if error.server_number() != Some(sql_error::QUERY_INTERRUPTED.number) {
            return error;
        }
        match self.handle.killed() {
            Kill::Timeout => self.timeout_error(),
            Kill::Deadlock => {
                if let Some(transaction) = self.exec.transaction.take() {
                    Box::pin(transaction.rollback()).await;
                }
                deadlock()
            }
            Kill::None | Kill::Query | Kill::Connection => error,
        }
    }

    /// The data nodes did not end a statement that was killed: its connections are lost with it, and
    /// what it did is not known, so the session ends too.
    pub fn give_up(&mut self, killed: Kill) {
        let error = match killed {
            Kill::Timeout => self.timeout_error(),
            _ => sql(sql_error::QUERY_INTERRUPTED, "Query execution was interrupted"),
        };
        self.put_error(&error);
    }

    /// What a client is told of a statement that ran too long.
    pub fn timeout_error(&self) -> ExecError {
        let seconds = self.worker.settings().statement_timeout.as_secs();
        sql(
            sql_error::QUERY_TIMEOUT,
            format!(
                "Query execution was interrupted, maximum statement execution time exceeded \
                 (sql_execute_timeout is {seconds} seconds)"
            ),
        )
    }
}
