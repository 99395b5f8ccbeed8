//! Rows into a temporary table: as the content of LOAD DATA LOCAL INFILE, or by INSERT where the data
//! node takes no such content. The data node takes one batch in while the next is gathered. A table
//! that turns out to be large is made again in an engine that takes rows in for a third of the cost.

use crate::error::{ExecError, sql};
use crate::transaction::Held;
use base::sql_error;
use mysql_wire::column::{BINARY_COLLATION, ColumnDefinition, ColumnType};
use mysql_wire::value::put_quoted;
use node_backend::BackendError;
use node_backend::local_data;
use std::sync::Arc;

/// Rows are sent when their text is so long.
const BATCH_BYTES: usize = 1024 * 1024;

/// A table whose rows' text is longer is large.
const LARGE_BYTES: usize = 256 * 1024;

/// Writes rows into one temporary table.
pub(super) struct TableWriter<'w> {
    held: &'w mut Held,
    table: Vec<u8>,
    names: Vec<Vec<u8>>,
    columns: Arc<[ColumnDefinition]>,
    /// Rows as [`local_data::put_row`] writes them.
    rows: Vec<u8>,
    count: u64,
    by_insert: bool,
    /// Makes the table again for many rows; taken when it was or will not be done.
    large: Option<Vec<u8>>,
    /// The keys of a large table are made at the end.
    keys_off: bool,
    /// Rows of a load whose answer is due.
    due: Option<u64>,
}

impl<'w> TableWriter<'w> {
    pub fn new(
        held: &'w mut Held,
        table: Vec<u8>,
        names: &[String],
        columns: Arc<[ColumnDefinition]>,
        large: Option<Vec<u8>>,
    ) -> Self {
        let names = names.iter().map(|column| sql_plan::template::quoted(column)).collect();
        Self {
            held,
            table,
            names,
            columns,
            rows: Vec::new(),
            count: 0,
            by_insert: false,
            large,
            keys_off: false,
            due: None,
        }
    }

    /// Adds a row.
    pub async fn add<'f>(
        &mut self,
        fields: impl Iterator<Item = Option<&'f [u8]>>,
    ) -> Result<(), ExecError> {
        local_data::put_row(fields, &mut self.rows);
        self.count += 1;
        if self.rows.len() > LARGE_BYTES
            && let Some(create) = self.large.take()
        {
            self.make_large(&create).await?;
        }
        if self.rows.len() > BATCH_BYTES { self.send().await } else { Ok(()) }
    }

    /// Everything is written.
    pub async fn close(mut self) -> Result<(), ExecError> {
        if self.count > 0 {
            self.send().await?;
        }
        self.hear().await?;
        if self.keys_off {
            self.alter(b" ENABLE KEYS").await?;
        }
        Ok(())
    }

    /// Nothing was sent yet: the table is empty.
    async fn make_large(&mut self, create: &[u8]) -> Result<(), ExecError> {
        self.held.lease.execute_sql(create).await?;
        self.keys_off = true;
        self.alter(b" DISABLE KEYS").await
    }

    async fn alter(&mut self, how: &[u8]) -> Result<(), ExecError> {
        let text = [b"ALTER TABLE ".as_slice(), &self.table, how].concat();
        self.held.lease.execute_sql(&text).await?;
        Ok(())
    }

    /// Waits for the answer to the batch before.
    async fn hear(&mut self) -> Result<(), ExecError> {
        let Some(count) = self.due.take() else { return Ok(()) };
        let ok = self.held.lease.load_answer().await?;
        if ok.affected_rows == count {
            return Ok(());
        }
        // LOCAL leaves out rows whose key is there already.
        Err(sql(
            sql_error::UNKNOWN_ERROR,
            "two shards have rows of one primary key: the statement cannot be run over both; CHECK \
             TABLE names the shards",
        ))
    }

    async fn load(&mut self, rows: &[u8]) -> Result<(), BackendError> {
        let statement = local_data::load_statement(&self.table, &self.names);
        self.held.lease.begin_load(&statement).await?;
        self.held.lease.send_load(rows).await?;
        self.held.lease.end_load().await
    }

    async fn send(&mut self) -> Result<(), ExecError> {
        self.hear().await?;
        let rows = std::mem::take(&mut self.rows);
        let count = std::mem::take(&mut self.count);
        if !self.by_insert {
            match self.load(&rows).await {
                Ok(()) => {
                    self.due = Some(count);
                    self.rows = rows;
                    self.rows.clear();
                    return Ok(());
                }
                Err(BackendError::LocalFilesOff { .. }) => self.by_insert = true,
                Err(error) => return Err(error.into()),
            }
        }
        let names = self.names.join(&b","[..]);
        let mut text =
            [b"INSERT INTO ", self.table.as_slice(), b" (", &names, b") VALUES "].concat();
        for (place, line) in rows.split(|byte| *byte == b'\n').enumerate() {
            if place as u64 == count {
                break;
            }
            text.extend_from_slice(if place == 0 { b"" } else { b"," });
            put_literals(line, &self.columns, &mut text);
        }
        self.held.lease.execute_sql(&text).await?;
        Ok(())
    }
}

/// The field that [`local_data::put_field`] wrote; `None` is NULL.
fn read_field(written: &[u8]) -> Option<Vec<u8>> {
    if written == b"\\N" {
        return None;
    }
    let mut field = Vec::with_capacity(written.len());
    let mut bytes = written.iter();
    while let Some(byte) = bytes.next() {
        field.push(match (byte, byte == &b'\\') {
            (_, true) => match bytes.next() {
                Some(b't') => b'\t',
                Some(b'n') => b'\n',
                Some(b'0') => 0,
                Some(other) => *other,
                None => b'\\',
            },
            (byte, false) => *byte,
        });
    }
    Some(field)
}

/// `(literals)` of a row, each such that the data node reads back what it wrote.
fn put_literals(line: &[u8], columns: &[ColumnDefinition], out: &mut Vec<u8>) {
    use ColumnType as T;
    out.push(b'(');
    for (at, (field, column)) in line.split(|byte| *byte == b'\t').zip(columns).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let Some(bytes) = read_field(field) else {
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
            | T::NewDecimal => out.extend_from_slice(&bytes),
            // With an exponent it is read as a DOUBLE, a minus before zero included.
            T::Float | T::Double => {
                out.extend_from_slice(&bytes);
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
                put_quoted(out, &bytes, true);
            }
            _ if column.collation == BINARY_COLLATION => put_hex(&bytes, out),
            // The mode in which rows are written has no NO_BACKSLASH_ESCAPES.
            _ => put_quoted(out, &bytes, false),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_become_literals_where_no_file_is_taken() {
        let text = ColumnDefinition::expression("t", ColumnType::VarString, 45, 10);
        let bytes = ColumnDefinition::expression("b", ColumnType::VarString, BINARY_COLLATION, 10);
        let real = ColumnDefinition::expression("r", ColumnType::Double, BINARY_COLLATION, 10);
        let mut line = Vec::new();
        let fields = [Some(&b"a\tb\n'"[..]), None, Some(&b"\0\\N"[..]), Some(&b"-0"[..])];
        local_data::put_row(fields, &mut line);
        let mut out = Vec::new();
        let columns = [text.clone(), text, bytes, real];
        put_literals(line.strip_suffix(b"\n").unwrap(), &columns, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "('a\tb\n''',NULL,X'005C4E',-0e0)");
    }
}
