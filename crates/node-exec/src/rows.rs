//! Answers with rows that the node itself puts together: from a merge of shards, or from values that
//! the node knows. Text rows become binary ones for prepared statements.

use crate::collation;
use crate::error::{ExecError, sql};
use crate::exec::{Exec, Statement};
use crate::merge::{Bounds, HavingWithValues, Layout, Merger, Record};
use crate::names::Names;
use crate::streams::{Job, Streams};
use base::sql_error;
use mysql_wire::column::{ColumnDefinition, ColumnType};
use mysql_wire::packet::EofPacket;
use mysql_wire::row::put_text_field;
use mysql_wire::text_to_binary::text_row_to_binary;
use sql_plan::merge::Merge;
use sql_plan::plan::RoutedPlan;
use sql_plan::value::ValueRef;
use topology::algorithm::SqlValue;

/// Character set number of utf8mb4 texts of our own.
const TEXT_COLLATION: u16 = 45;

/// A merge that is being read.
#[derive(Debug)]
pub struct MergedRows {
    /// The shards' answers.
    pub streams: Streams,
    /// How they become one.
    pub merger: Merger,
    /// The client's columns, with logical names.
    pub columns: Vec<ColumnDefinition>,
    /// Columns of type FLOAT, with the columns where their value is whole.
    exact: Vec<(usize, usize)>,
}

impl MergedRows {
    /// The next row.
    pub async fn next(&mut self) -> Result<Option<Record>, ExecError> {
        self.merger.next(&mut self.streams).await
    }
}

/// Opens the shards' answers to be merged.
pub async fn open(
    exec: &mut Exec<'_>,
    plan: &RoutedPlan,
    jobs: &[Job],
    merge: &Merge,
    statement: &Statement<'_>,
) -> Result<MergedRows, ExecError> {
    let bounds = bounds(exec, merge, statement)?;
    let having = match &merge.having {
        Some(having) => Some(HavingWithValues::new(having, &mut |value| number(statement, value))?),
        None => None,
    };
    let names = Names::of(&plan.tables);
    let streams = Streams::open(exec, jobs, !statement.planned.read_only)
        .await
        .map_err(|error| logical(error, names))?;
    let all = streams.columns().clone();
    let visible = all.len().saturating_sub(merge.hidden as usize);
    let weights = collation::weights(exec, &all[..visible], plan, merge).await;
    let weights = match weights {
        Ok(weights) => weights,
        Err(error) => {
            streams.close(exec).await;
            return Err(error);
        }
    };
    let mut columns = Vec::with_capacity(visible);
    for column in &all[..visible] {
        columns.push(names.logical_column(column)?);
    }
    let layout = Layout { columns: all, visible, weights };
    let exact = merge
        .exact
        .iter()
        .map(|(shown, whole)| (layout.index(*shown), layout.index(*whole)))
        .filter(|(at, _)| columns.get(*at).is_some_and(|one| one.column_type == ColumnType::Float))
        .collect();
    Ok(MergedRows { streams, merger: Merger::new(merge, layout, having, bounds), columns, exact })
}

fn bounds(exec: &Exec<'_>, merge: &Merge, statement: &Statement<'_>) -> Result<Bounds, ExecError> {
    let unsigned = |value: &Option<ValueRef>, default: u64| match value {
        Some(value) => statement.values.unsigned(value).map_err(ExecError::from),
        None => Ok(default),
    };
    Ok(Bounds {
        offset: unsigned(&merge.offset, 0)?,
        limit: unsigned(&merge.limit, u64::MAX)?,
        rows_max: exec.settings.temporary_rows_max,
    })
}

/// A value of HAVING as a number's text.
fn number(statement: &Statement<'_>, value: &ValueRef) -> Result<Option<Vec<u8>>, ExecError> {
    Ok(match value.resolve(&statement.values) {
        SqlValue::Null => None,
        SqlValue::Integer(number) => Some(number.to_string().into_bytes()),
        SqlValue::Decimal(text) => Some(text.into_bytes()),
        SqlValue::Float(number) => Some(number.to_string().into_bytes()),
        SqlValue::Text(text) | SqlValue::Temporal(text) | SqlValue::Binary(text) => Some(text),
    })
}

/// A data node's error with logical names.
pub fn logical(error: ExecError, names: Names<'_>) -> ExecError {
    match error {
        ExecError::Server(mut packet) => {
            packet.message = names.rewrite_message(&packet.message);
            ExecError::Server(packet)
        }
        other => other,
    }
}

/// Merges shards' answers for the client.
pub async fn merged(
    exec: &mut Exec<'_>,
    plan: &RoutedPlan,
    jobs: &[Job],
    merge: &Merge,
    statement: &Statement<'_>,
) -> Result<(), ExecError> {
    let begun = exec.session.part_begins();
    let mut rows = open(exec, plan, jobs, merge, statement).await?;
    let outcome = send_rows(exec, &mut rows).await;
    let warnings = rows.streams.warnings();
    let texts = match &outcome {
        Ok(_) if warnings > 0 => rows.streams.warning_texts(Names::of(&plan.tables)).await,
        _ => Vec::new(),
    };
    rows.streams.close(exec).await;
    exec.session.part_ends(begun, "Merge", *outcome.as_ref().unwrap_or(&0));
    match outcome {
        Ok(sent) => {
            end_rows(exec, sent, warnings);
            exec.session.last.warnings = texts;
            Ok(())
        }
        Err((error, begun)) => {
            let error = logical(error, Names::of(&plan.tables));
            if !begun || matches!(error, ExecError::Client(_)) {
                return Err(error);
            }
            // The columns are sent: the error ends the result, as a server's own would.
            let packet = error.packet();
            exec.session.note_error(&packet);
            exec.out.put_err(&packet);
            exec.drop_dead_transaction(&error).await;
            Ok(())
        }
    }
}

async fn send_rows(exec: &mut Exec<'_>, rows: &mut MergedRows) -> Result<u64, (ExecError, bool)> {
    let mut row = rows.next().await.map_err(|error| (error, false))?;
    put_columns(exec, &rows.columns);
    let mut sent = 0;
    while let Some(record) = row {
        put_record(exec, &record, rows).map_err(|error| (error, true))?;
        sent += 1;
        exec.out.flush_if_long().await.map_err(|error| (error, true))?;
        row = rows.next().await.map_err(|error| (error, true))?;
    }
    let found = rows.merger.count_found(&mut rows.streams).await.map_err(|error| (error, true))?;
    Ok(found.unwrap_or(sent))
}

/// Appends the head of a result.
pub fn put_columns(exec: &mut Exec<'_>, columns: &[ColumnDefinition]) {
    exec.out.begin_columns(columns.len() as u64);
    for column in columns {
        exec.out.put_column(column);
    }
    let status = exec.session.status(exec.form.more);
    exec.out.put_columns_end(&EofPacket { warnings: 0, status });
}

fn put_record(exec: &mut Exec<'_>, record: &Record, rows: &MergedRows) -> Result<(), ExecError> {
    let columns = &rows.columns;
    if exec.form.binary && !rows.exact.is_empty() {
        let whole = |at: usize| rows.exact.iter().find(|(shown, _)| *shown == at);
        let fields = (0..columns.len()).map(|at| record.get(whole(at).map_or(at, |(_, at)| *at)));
        let record = Record::from_fields(fields);
        return put_text_row(exec, record.payload(), columns);
    }
    if !exec.form.binary && record.len() == columns.len() {
        exec.out.put(record.payload());
        return Ok(());
    }
    put_text_row(exec, &record.packet(columns.len()), columns)
}

/// Appends a row that came as text.
pub fn put_text_row(
    exec: &mut Exec<'_>,
    text: &[u8],
    columns: &[ColumnDefinition],
) -> Result<(), ExecError> {
    if exec.form.binary {
        exec.out.put_with(|out| text_row_to_binary(text, columns, out))?;
    } else {
        exec.out.put(text);
    }
    Ok(())
}

/// Ends a result of so many rows.
pub fn end_rows(exec: &mut Exec<'_>, rows: u64, warnings: u64) {
    exec.session.last.row_count = -1;
    exec.session.last.found_rows = rows;
    exec.session.last.warnings.clear();
    let status = exec.session.status(exec.form.more);
    exec.out
        .put_rows_end(&EofPacket { warnings: u16::try_from(warnings).unwrap_or(u16::MAX), status });
}

/// A column of the node's own answers.
pub fn text_column(name: &str) -> ColumnDefinition {
    ColumnDefinition::expression(name, ColumnType::VarString, TEXT_COLLATION, 1024)
}

/// A number's column of the node's own answers.
pub fn number_column(name: &str) -> ColumnDefinition {
    ColumnDefinition::expression(
        name,
        ColumnType::LongLong,
        mysql_wire::column::BINARY_COLLATION,
        21,
    )
}

/// Answers with rows that the node knows.
pub async fn reply_rows(
    exec: &mut Exec<'_>,
    columns: &[ColumnDefinition],
    rows: &[Vec<Option<Vec<u8>>>],
) -> Result<(), ExecError> {
    put_columns(exec, columns);
    for row in rows {
        if row.len() != columns.len() {
            return Err(sql(sql_error::UNKNOWN_ERROR, "a row of another width than its result"));
        }
        let mut text = Vec::new();
        for field in row {
            put_text_field(&mut text, field.as_deref());
        }
        put_text_row(exec, &text, columns)?;
        exec.out.flush_if_long().await?;
    }
    end_rows(exec, rows.len() as u64, 0);
    Ok(())
}
