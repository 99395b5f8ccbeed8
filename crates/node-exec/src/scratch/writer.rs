//! Rows into a temporary table. While the data node takes one batch in, the next is made.

use crate::error::{ExecError, sql};
use crate::transaction::Held;
use base::sql_error;
use mysql_wire::column::{BINARY_COLLATION, ColumnDefinition, ColumnType};
use mysql_wire::value::put_quoted;
use node_backend::query::StreamHead;

/// One INSERT of loaded rows is sent when its text is so long.
const BATCH_BYTES: usize = 512 * 1024;

/// Writes rows into one temporary table.
pub(super) struct TableWriter<'w> {
    held: &'w mut Held,
    head: Vec<u8>,
    text: Vec<u8>,
    /// An INSERT was sent and not answered yet.
    sent: bool,
}

impl<'w> TableWriter<'w> {
    pub fn new(held: &'w mut Held, table: &[u8], columns: &[String]) -> Self {
        let names: Vec<Vec<u8>> =
            columns.iter().map(|column| sql_plan::template::quoted(column)).collect();
        let head =
            [b"INSERT INTO ", table, b" (", names.join(&b","[..]).as_slice(), b") VALUES "].concat();
        Self { held, text: head.clone(), head, sent: false }
    }

    /// Adds a row.
    pub async fn add<'f>(
        &mut self,
        fields: impl Iterator<Item = Option<&'f [u8]>>,
        columns: &[ColumnDefinition],
    ) -> Result<(), ExecError> {
        if self.text.len() > self.head.len() {
            self.text.push(b',');
        }
        put_row(fields, columns, &mut self.text);
        if self.text.len() > BATCH_BYTES { self.send().await } else { Ok(()) }
    }

    /// Everything is written.
    pub async fn close(mut self) -> Result<(), ExecError> {
        if self.text.len() > self.head.len() {
            self.send().await?;
        }
        self.wait().await
    }

    async fn send(&mut self) -> Result<(), ExecError> {
        self.wait().await?;
        self.held.lease.queue_query(&self.text);
        self.held.lease.flush().await?;
        self.sent = true;
        self.text.truncate(self.head.len());
        Ok(())
    }

    async fn wait(&mut self) -> Result<(), ExecError> {
        if !std::mem::take(&mut self.sent) {
            return Ok(());
        }
        match self.held.lease.open_stream().await? {
            StreamHead::Ok { .. } => Ok(()),
            StreamHead::Rows(_) | StreamHead::LocalInfile(_) => {
                Err(sql(sql_error::UNKNOWN_ERROR, "a data node answered an INSERT with rows"))
            }
        }
    }
}

/// `(literals)` of a row, each such that the data node reads back what it wrote.
fn put_row<'f>(
    fields: impl Iterator<Item = Option<&'f [u8]>>,
    columns: &[ColumnDefinition],
    out: &mut Vec<u8>,
) {
    use ColumnType as T;
    out.push(b'(');
    for (at, (field, column)) in fields.zip(columns).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let Some(bytes) = field else {
            out.extend_from_slice(b"NULL");
            continue;
        };
        match column.column_type {
            T::Tiny
            | T::Short
            | T::Int24
            | T::Long
            | T::LongLong
            | T::Year
            | T::Decimal
            | T::NewDecimal => out.extend_from_slice(bytes),
            // With an exponent it is read as a DOUBLE, a minus before zero included.
            T::Float | T::Double => {
                out.extend_from_slice(bytes);
                if !bytes.contains(&b'e') {
                    out.extend_from_slice(b"e0");
                }
            }
            T::Date
            | T::NewDate
            | T::Datetime
            | T::Datetime2
            | T::Timestamp
            | T::Timestamp2
            | T::Time
            | T::Time2 => {
                put_quoted(out, bytes, true);
            }
            _ if column.collation == BINARY_COLLATION => put_hex(bytes, out),
            // LOAD_MODE has no NO_BACKSLASH_ESCAPES.
            _ => put_quoted(out, bytes, false),
        }
    }
    out.push(b')');
}

fn put_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(b"X'");
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
    out.push(b'\'');
}
