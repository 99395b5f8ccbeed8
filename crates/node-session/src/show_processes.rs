//! SHOW PROCESSLIST: the sessions of all nodes of the instance.

use crate::session::Core;
use crate::show::{Row, field};
use base::sql_error;
use node_exec::error::ExecError;
use node_exec::exec::Warning;
use node_exec::rows::{number_column, text_column};

/// Without FULL a statement is cut to so many characters, as on a server.
const SHORT_STATEMENT_CHARS: usize = 100;

impl Core {
    /// SHOW \[FULL\] PROCESSLIST and COM_PROCESS_INFO. Nodes that do not answer are told by a warning.
    pub async fn show_process_list(&mut self, full: bool) -> Result<(), ExecError> {
        let (sessions, missing) = self.all_sessions().await?;
        let shown = |statement: String| match full {
            true => statement,
            false => statement.chars().take(SHORT_STATEMENT_CHARS).collect(),
        };
        let mut rows: Vec<Row> = Vec::new();
        for session in sessions {
            rows.push(vec![
                field(session.id),
                field(&session.user),
                field(&session.host),
                session.schema.as_ref().and_then(field),
                field(if session.running { "Query" } else { "Sleep" }),
                field(session.milliseconds / 1000),
                field(if session.running { "executing" } else { "" }),
                session.statement.map(|statement| shown(statement).into_bytes()),
            ]);
        }
        let columns = [
            number_column("Id"),
            text_column("User"),
            text_column("Host"),
            text_column("db"),
            text_column("Command"),
            number_column("Time"),
            text_column("State"),
            text_column("Info"),
        ];
        self.reply(&columns, &rows).await?;
        self.warn_of_missing(missing);
        Ok(())
    }

    /// The only warning of a list of sessions: which nodes did not answer.
    pub(crate) fn warn_of_missing(&mut self, missing: Option<String>) {
        self.exec.last.warnings = missing
            .map(|missing| Warning {
                level: "Warning".to_owned(),
                code: sql_error::CONTROL_PLANE_AWAY.number,
                message: format!("sessions of other nodes are missing: {missing}").into_bytes(),
            })
            .into_iter()
            .collect();
    }
}
