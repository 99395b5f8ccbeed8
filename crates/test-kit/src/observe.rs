//! What a client sees of one statement, in a form that can be compared: error, columns, rows,
//! affected rows, warnings; over the text or the binary protocol.

use anyhow::{Result, bail};
use mysql_wire::column::{ColumnDefinition, ColumnFlags};
use mysql_wire::row::decode_binary_row;
use mysql_wire::value::Value;
use node_backend::BackendError;
use node_backend::{Connection, StreamHead};
use std::time::Duration;

/// A statement that takes longer hangs.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// The two protocols for statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// COM_QUERY.
    Text,
    /// COM_STMT_PREPARE and COM_STMT_EXECUTE.
    Binary,
}

/// What a client saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// An error.
    Error {
        /// Its number.
        number: u16,
        /// Its SQLSTATE.
        sqlstate: String,
        /// Its text.
        message: String,
    },
    /// OK without rows.
    Done {
        /// Rows changed.
        affected: u64,
        /// The first generated id.
        last_insert_id: u64,
        /// Warnings counted.
        warnings: u16,
    },
    /// Rows.
    Rows {
        /// Columns as announced.
        columns: Vec<SeenColumn>,
        /// One text a field; `None` is NULL.
        rows: Vec<Vec<Option<String>>>,
        /// Warnings counted.
        warnings: u16,
    },
    /// The connection was lost, or no answer came in time.
    Lost(String),
}

/// What a client sees of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenColumn {
    /// Its name or alias.
    pub name: String,
    /// The table's name or alias.
    pub table: String,
    /// The logical schema.
    pub schema: String,
    /// The type, as a word.
    pub column_type: String,
    /// UNSIGNED.
    pub unsigned: bool,
    /// Digits after the point.
    pub decimals: u8,
}

impl Observed {
    /// The same as seen in a schema of another name.
    pub fn in_schema(mut self, from: &str, to: &str) -> Self {
        if let Observed::Rows { columns, .. } = &mut self {
            for column in columns.iter_mut().filter(|column| column.schema == from) {
                column.schema = to.to_owned();
            }
        }
        self
    }
}

/// Runs one statement and says what a client sees.
pub async fn observe(connection: &mut Connection, protocol: Protocol, sql: &str) -> Observed {
    observe_with(connection, protocol, sql, &[]).await
}

/// The same with parameters, which only the binary protocol takes.
pub async fn observe_with(
    connection: &mut Connection,
    protocol: Protocol,
    sql: &str,
    values: &[Value],
) -> Observed {
    let run = async {
        match protocol {
            Protocol::Text => run_text(connection, sql).await,
            Protocol::Binary => run_binary(connection, sql, values).await,
        }
    };
    match tokio::time::timeout(STATEMENT_TIMEOUT, run).await {
        Err(_) => Observed::Lost(format!("no answer after {STATEMENT_TIMEOUT:?}")),
        Ok(Ok(observed)) => observed,
        Ok(Err(error)) => match error.downcast_ref::<BackendError>() {
            Some(BackendError::Server(packet)) => Observed::Error {
                number: packet.number,
                sqlstate: String::from_utf8_lossy(&packet.sqlstate).into_owned(),
                message: String::from_utf8_lossy(&packet.message).into_owned(),
            },
            _ => Observed::Lost(format!("{error:#}")),
        },
    }
}

async fn run_text(connection: &mut Connection, sql: &str) -> Result<Observed> {
    let head = connection.query_stream(sql.as_bytes()).await?;
    let first = collect(connection, head, Protocol::Text).await;
    // Blocks and calls may give more results: they are not the next statement's.
    while let Ok(Some(_)) = connection.next_result().await {}
    first
}

async fn run_binary(connection: &mut Connection, sql: &str, values: &[Value]) -> Result<Observed> {
    let prepared = connection.prepare(sql.as_bytes()).await?;
    let head = connection.execute(&prepared, values).await?;
    collect(connection, head, Protocol::Binary).await
}

async fn collect(
    connection: &mut Connection,
    head: StreamHead,
    protocol: Protocol,
) -> Result<Observed> {
    let columns = match head {
        StreamHead::Ok { ok, .. } => {
            return Ok(Observed::Done {
                affected: ok.affected_rows,
                last_insert_id: ok.last_insert_id,
                warnings: ok.warnings,
            });
        }
        StreamHead::LocalInfile(_) => bail!("the server asks for a file"),
        StreamHead::Rows(columns) => columns,
    };
    let mut rows = Vec::new();
    while let Some(row) = connection.next_row().await? {
        rows.push(match protocol {
            Protocol::Text => {
                row.fields().map(|field| Ok(field?.map(shown))).collect::<Result<Vec<_>>>()?
            }
            Protocol::Binary => {
                decode_binary_row(row.payload(), &columns)?.iter().map(value).collect()
            }
        });
    }
    let warnings = connection.stream_end().map_or(0, |end| end.warnings);
    Ok(Observed::Rows { columns: columns.iter().map(seen).collect(), rows, warnings })
}

fn seen(column: &ColumnDefinition) -> SeenColumn {
    SeenColumn {
        name: shown(&column.name),
        table: shown(&column.table),
        schema: shown(&column.schema),
        column_type: format!("{:?}", column.column_type),
        unsigned: column.flags.contains(ColumnFlags::UNSIGNED),
        decimals: column.decimals,
    }
}

/// Bytes as text, so that a difference can be read; bytes that are not UTF-8 as hex.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("x'{}'", base::id::hex(bytes)),
    }
}

fn value(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Bytes(bytes) | Value::Blob(bytes) | Value::Decimal(bytes) => Some(shown(bytes)),
        other => Some(format!("{other:?}")),
    }
}
