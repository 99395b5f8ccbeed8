//! SHOW PROCESSLIST: the sessions of all nodes of the instance.

use crate::session::Core;
use crate::show::{Row, field};
use base::sql_error;
use mysql_wire::column::{BINARY_COLLATION, ColumnDefinition, ColumnFlags, ColumnType};
use node_exec::error::ExecError;
use node_exec::exec::Warning;
use node_exec::rows::{number_column, text_column};

/// What a server says of the longest statement.
const WHOLE_STATEMENT_CHARS: u32 = 50_331_648;
/// Without FULL a statement is cut to so many characters, as on a server.
const SHORT_STATEMENT_CHARS: usize = 100;

/// The columns as a server describes them.
fn process_columns(full: bool) -> Vec<ColumnDefinition> {
    const TEXT_DECIMALS: u8 = 39;
    let text = |name: &str, length: u32, flags| ColumnDefinition {
        length,
        flags,
        decimals: TEXT_DECIMALS,
        ..text_column(name)
    };
    let number = |name: &str, column_type, length: u32, decimals: u8| ColumnDefinition {
        column_type,
        length,
        decimals,
        flags: ColumnFlags::NOT_NULL | ColumnFlags::BINARY,
        collation: BINARY_COLLATION,
        ..number_column(name)
    };
    let info = match full {
        true => ColumnDefinition {
            column_type: ColumnType::LongBlob,
            ..text("Info", 4 * WHOLE_STATEMENT_CHARS, ColumnFlags::default())
        },
        false => text("Info", 4 * SHORT_STATEMENT_CHARS as u32, ColumnFlags::default()),
    };
    vec![
        number("Id", ColumnType::LongLong, 11, 0),
        text("User", 512, ColumnFlags::NOT_NULL),
        text("Host", 256, ColumnFlags::NOT_NULL),
        text("db", 256, ColumnFlags::default()),
        text("Command", 64, ColumnFlags::NOT_NULL),
        number("Time", ColumnType::Long, 7, 0),
        text("State", 120, ColumnFlags::default()),
        info,
        number("Progress", ColumnType::Double, 7, 3),
    ]
}

impl Core {
    /// SHOW \[FULL\] PROCESSLIST and COM_PROCESS_INFO. Nodes that do not answer are told by a warning.
    pub async fn show_process_list(&mut self, full: bool) -> Result<(), ExecError> {
        let (sessions, missing) = self.all_sessions().await?;
        let shown = |statement: String| match full {
            true => statement,
            false => statement.chars().take(SHORT_STATEMENT_CHARS).collect(),
        };
        // MariaDB has a column more.
        let has_progress = self.lex.mariadb;
        let mut rows: Vec<Row> = Vec::new();
        for session in sessions {
            let mut row = vec![
                field(session.id),
                field(&session.user),
                field(&session.host),
                session.schema.as_ref().and_then(field),
                field(if session.running { "Query" } else { "Sleep" }),
                field(session.milliseconds / 1000),
                field(if session.running { "executing" } else { "" }),
                session.statement.map(|statement| shown(statement).into_bytes()),
            ];
            row.extend(has_progress.then(|| field("0.000")));
            rows.push(row);
        }
        let mut columns = process_columns(full);
        columns.truncate(if has_progress { columns.len() } else { columns.len() - 1 });
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
