//! What cannot be merged while it streams: each table reference is loaded into a temporary table on
//! one data node, and the statement runs there under the server's own rules. Rows are bounded by
//! `temp_table_size_limit`; the temporary tables go with the connection's reset.

use crate::error::{ExecError, sql};
use crate::exec::{Exec, Statement};
use crate::names::Names;
use crate::rows;
use crate::streams::{Job, Streams};
use crate::transaction::Held;
use base::sql_error;
use mysql_wire::column::{BINARY_COLLATION, ColumnDefinition, ColumnType};
use mysql_wire::packet::OkPacket;
use mysql_wire::value::put_quoted;
use node_backend::query::{Row, StreamHead};
use sql_plan::plan::{Load, RoutedPlan, ScratchPlan};
use sql_plan::template::{Fill, Rendered};
use std::sync::Arc;
use topology::algorithm::Target;

/// What temporary tables are called, with their number behind.
const PREFIX: &str = "_ddm_scratch_";

/// One INSERT of loaded rows is sent when its text is so long.
const BATCH_BYTES: usize = 512 * 1024;

/// Loading must take every value that a table holds, whatever the session's mode says.
const LOAD_MODE: &str = "'ALLOW_INVALID_DATES'";

/// Runs a statement over temporary tables and passes its answer on.
pub async fn run(
    exec: &mut Exec<'_>,
    plan: &RoutedPlan,
    scratch: &ScratchPlan,
    sources: &[Vec<Target>],
    statement: &Statement<'_>,
) -> Result<(), ExecError> {
    let database =
        sql_plan::template::quoted(&topology::model::physical_database(&scratch.schema, 0));
    let node = exec.backends.node(&exec.data_node(&scratch.schema, 0)?)?;
    let state = exec.session.state.clone();
    let load_state = Arc::new(
        [
            "names",
            "character_set_client",
            "character_set_connection",
            "character_set_results",
            "collation_connection",
        ]
        .iter()
        .fold((*state).clone(), |state, name| state.without(name))
        .with("sql_mode", LOAD_MODE),
    );
    // A connection of its own also inside a transaction: the branches' connections read the rows.
    let member = exec.read_member(&node)?;
    let lease = member.lease(exec.session.found_rows, &load_state).await?;
    let mut held = Held::alone(member, lease);
    let outcome = async {
        let mut budget = exec.settings.temporary_rows_max;
        for (number, (load, targets)) in scratch.loads.iter().zip(sources).enumerate() {
            let name = temporary_name(&database, number);
            fill_table(exec, &mut held, &name, load, targets, plan, statement, &mut budget).await?;
        }
        held.lease.apply_session(&state).await?;
        let answered = answer(exec, &mut held, &database, plan, scratch, statement).await;
        if matches!(answered, Ok(()) | Err(ExecError::Server(_))) {
            crate::read_back::run(exec.session, &mut held.lease).await?;
        }
        answered
    }
    .await;
    if !held.lease.is_broken() {
        held.lease.mark_dirty();
    }
    held.let_go();
    outcome
}

fn temporary_name(database: &[u8], number: usize) -> Vec<u8> {
    let mut name = database.to_vec();
    name.extend_from_slice(format!(".`{PREFIX}{number}`").as_bytes());
    name
}

#[allow(clippy::too_many_arguments)]
async fn fill_table(
    exec: &mut Exec<'_>,
    held: &mut Held,
    name: &[u8],
    load: &Load,
    targets: &[Target],
    plan: &RoutedPlan,
    statement: &Statement<'_>,
    budget: &mut u64,
) -> Result<(), ExecError> {
    let create = [b"CREATE TEMPORARY TABLE ", name, b" ", load.definition.as_bytes()].concat();
    held.lease.execute_sql(&create).await?;
    let jobs: Vec<Job> = exec.jobs(&load.schema, targets, &load.text, &plan.tables, statement)?;
    let mut streams = Streams::open(exec, &jobs, false).await?;
    let outcome = copy_rows(&mut streams, held, name, load, budget).await;
    streams.close(exec).await;
    outcome
}

async fn copy_rows(
    streams: &mut Streams,
    held: &mut Held,
    name: &[u8],
    load: &Load,
    budget: &mut u64,
) -> Result<(), ExecError> {
    let columns = streams.columns().clone();
    let names: Vec<Vec<u8>> =
        load.columns.iter().map(|column| sql_plan::template::quoted(column)).collect();
    let head =
        [b"INSERT INTO ", name, b" (", names.join(&b","[..]).as_slice(), b") VALUES "].concat();
    let mut text = head.clone();
    while let Some(stream) = streams.first_open() {
        let Some(row) = streams.next(stream).await? else { continue };
        *budget = budget
            .checked_sub(1)
            .ok_or_else(|| sql(sql_error::TEMP_TABLE_LIMIT, "Temp table limit exceeded"))?;
        if text.len() > head.len() {
            text.push(b',');
        }
        put_row(&row, &columns, &mut text)?;
        if text.len() > BATCH_BYTES {
            held.lease.execute_sql(&text).await?;
            text.truncate(head.len());
        }
    }
    if text.len() > head.len() {
        held.lease.execute_sql(&text).await?;
    }
    Ok(())
}

/// `(literals)` of a row, each such that the data node reads back what it wrote.
fn put_row(row: &Row, columns: &[ColumnDefinition], out: &mut Vec<u8>) -> Result<(), ExecError> {
    use ColumnType as T;
    out.push(b'(');
    for (at, (field, column)) in row.fields().zip(columns).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let Some(bytes) = field? else {
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
            | T::NewDecimal
            | T::Float
            | T::Double => out.extend_from_slice(bytes),
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
            _ if column.collation == BINARY_COLLATION => {
                out.extend_from_slice(b"X'");
                for byte in bytes {
                    out.extend_from_slice(format!("{byte:02X}").as_bytes());
                }
                out.push(b'\'');
            }
            // LOAD_MODE has no NO_BACKSLASH_ESCAPES.
            _ => put_quoted(out, bytes, false),
        }
    }
    out.push(b')');
    Ok(())
}

/// Runs the statement itself and passes its rows on.
async fn answer(
    exec: &mut Exec<'_>,
    held: &mut Held,
    database: &[u8],
    plan: &RoutedPlan,
    scratch: &ScratchPlan,
    statement: &Statement<'_>,
) -> Result<(), ExecError> {
    let mut rendered = Rendered::default();
    let fill = Fill {
        values: &statement.values,
        tables: &plan.tables,
        session: &|what, out| exec.session.write_value(what, out),
        temporary: &|number, out| out.extend(temporary_name(database, number as usize)),
        inline_params: true,
    };
    scratch.text.render(&fill, Target { shard: 0, suffix: 0 }, &mut rendered);
    let names = Names::with_scratch(&plan.tables, PREFIX);
    let active = exec.enter(held);
    let head = held
        .lease
        .query_stream(&rendered.text)
        .await
        .map_err(|error| rows::logical(error.into(), names))?;
    let outcome = match head {
        StreamHead::Rows(columns) => pass_rows(exec, held, &columns, names).await,
        StreamHead::Ok { ok, .. } => {
            exec.session.last.warnings.clear();
            if ok.warnings > 0 {
                exec.session.last.warnings = crate::relay::warnings_of(&mut held.lease, names).await;
            }
            exec.reply_ok(OkPacket { session_track: Vec::new(), ..ok });
            Ok(())
        }
        StreamHead::LocalInfile(_) => {
            Err(sql(sql_error::NOT_SUPPORTED, "a query cannot ask for a file"))
        }
    };
    drop(active);
    outcome
}

async fn pass_rows(
    exec: &mut Exec<'_>,
    held: &mut Held,
    columns: &[ColumnDefinition],
    names: Names<'_>,
) -> Result<(), ExecError> {
    let mut logical = Vec::with_capacity(columns.len());
    for column in columns {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        column.encode(&mut before);
        names.rewrite_column(&before, &mut after)?;
        logical.push(ColumnDefinition::decode(&after)?);
    }
    let first = held.lease.next_row().await?;
    rows::put_columns(exec, &logical);
    let mut next = first;
    let mut sent = 0;
    while let Some(row) = next {
        rows::put_text_row(exec, row.payload(), &logical)?;
        sent += 1;
        exec.out.flush_if_long().await?;
        next = match held.lease.next_row().await {
            Ok(row) => row,
            Err(error) => return Err(ExecError::BrokenOff(error.to_string())),
        };
    }
    let warnings = held.lease.stream_end().map_or(0, |end| u64::from(end.warnings));
    rows::end_rows(exec, sent, warnings);
    Ok(())
}
