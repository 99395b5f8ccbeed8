//! What cannot be merged while it streams: rows are loaded into temporary tables on one data node
//! (`load`), and the statement runs there under the server's own rules. Rows are bounded by
//! `temp_table_size_limit`; the temporary tables go with the connection's reset.

mod definitions;
mod groups;
mod load;
mod reduce;
mod writer;

use crate::error::{ExecError, sql};
use crate::exec::{Exec, Statement, WARNINGS_MAX, Warning};
use crate::names::Names;
use crate::transaction::Held;
use crate::{relay, rows};
use base::sql_error;
use load::Loader;
use mysql_wire::column::ColumnDefinition;
use mysql_wire::packet::OkPacket;
use node_backend::query::StreamHead;
use node_backend::session_state::SessionState;
use sql_plan::plan::{PlanTable, RoutedPlan, ScratchPlan, TablePlace};
use sql_plan::template::{Fill, Rendered};
use std::borrow::Cow;
use std::sync::Arc;
use topology::algorithm::Target;

/// What temporary tables are called, with their number behind.
pub(crate) const PREFIX: &str = "_ddm_scratch_";

/// What became of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It is answered, or has failed as it would anywhere.
    Answered,
    /// Over parts of groups it would not be answered as over rows; nothing is sent yet.
    NotTheSame,
}

/// Where tables of one copy for each shard are read: the first shard.
const HOME: Target = Target { shard: 0, suffix: 0 };

/// Settings of character sets.
const CHARACTER_SETS: [&str; 5] = [
    "names",
    "character_set_client",
    "character_set_connection",
    "character_set_results",
    "collation_connection",
];

/// Loading must take every value that a table holds, whatever the session's mode says.
const LOAD_MODE: &str = "ALLOW_INVALID_DATES";

/// Modes under which a value may be refused; the others say how a text is read.
const REFUSING_MODES: [&str; 5] =
    ["STRICT_TRANS_TABLES", "STRICT_ALL_TABLES", "NO_ZERO_DATE", "NO_ZERO_IN_DATE", "TRADITIONAL"];

/// Runs a statement over temporary tables and passes its answer on.
pub async fn run(
    exec: &mut Exec<'_>,
    plan: &RoutedPlan,
    scratch: &ScratchPlan,
    sources: &[Vec<Target>],
    statement: &Statement<'_>,
) -> Result<(), ExecError> {
    // Another connection than the session's cannot ask locked tables for columns.
    let asks = scratch.groups.is_none() || !exec.session.own.has_locks();
    if asks && run_once(exec, plan, scratch, sources, statement).await? == Outcome::Answered {
        return Ok(());
    }
    let Some(groups) = &scratch.groups else { return Ok(()) };
    let sources = groups.otherwise.sources(&statement.values)?;
    run_once(exec, plan, &groups.otherwise, &sources, statement).await.map(drop)
}

async fn run_once(
    exec: &mut Exec<'_>,
    plan: &RoutedPlan,
    scratch: &ScratchPlan,
    sources: &[Vec<Target>],
    statement: &Statement<'_>,
) -> Result<Outcome, ExecError> {
    let database =
        sql_plan::template::quoted(&topology::model::physical_database(&scratch.schema, 0));
    let node = exec.backends.node(&exec.data_node(&scratch.schema, 0)?)?;
    let state = exec.session.state.clone();
    let tables = own_places(&plan.tables);
    // A connection of its own also inside a transaction: the branches' connections read the rows.
    let member = exec.reader(&node).await?;
    let first_state = if scratch.loads.iter().any(load::is_result) {
        definition_state(&state)
    } else {
        load_state(&state)
    };
    let lease = member.lease(exec.session.found_rows, &Arc::new(first_state)).await?;
    let mut held = Held::alone(member, lease);
    let reads_in_place = exec.session.transaction.is_none() && exec.session.own.is_empty();
    let outcome = async {
        let mut loader = Loader {
            scratch,
            sources,
            tables: &tables,
            at_shards: &plan.tables,
            statement,
            database: &database,
            budget: exec.settings.temporary_rows_max,
            known: Default::default(),
            reads_in_place,
            warnings: 0,
            warned: Vec::new(),
        };
        match loader.create(exec, &mut held, &node).await {
            Err(ExecError::Server(_)) if scratch.groups.is_some() => {
                return Ok(Outcome::NotTheSame);
            }
            created => created?,
        }
        held.lease.apply_session(&Arc::new(load_state(&state))).await?;
        // The shards answer in the character set in which the rows are written.
        if CHARACTER_SETS.iter().any(|name| state.get(name).is_some()) {
            let reading = (*state).clone().with("character_set_results", "utf8mb4");
            exec.session.state = Arc::new(reading);
        }
        let filled = loader.fill(exec, &mut held).await;
        exec.session.state = state.clone();
        filled?;
        held.lease.apply_session(&state).await?;
        let answered = answer(exec, &mut held, &mut loader, plan.counts_found).await;
        if matches!(answered, Ok(Outcome::Answered) | Err(ExecError::Server(_))) {
            crate::read_back::run(exec.session, &mut held.lease).await?;
        }
        answered
    }
    .await;
    if !held.lease.is_broken() {
        if !held.lease.is_idle() {
            held.lease.drain().await.ok();
        }
        held.lease.mark_dirty();
    }
    held.let_go();
    outcome
}

/// The session's settings while rows are written.
fn load_state(state: &SessionState) -> SessionState {
    CHARACTER_SETS
        .iter()
        .fold(state.clone(), |state, name| state.without(name))
        .with("sql_mode", format!("'{LOAD_MODE}'"))
}

/// The session's settings while a server decides on columns: texts are read as in the session, but
/// no value is refused.
fn definition_state(state: &SessionState) -> SessionState {
    let mode = state.get("sql_mode").unwrap_or_default().trim_matches('\'').to_owned();
    let kept = mode.split(',').filter(|mode| {
        !mode.is_empty() && !REFUSING_MODES.iter().any(|name| name.eq_ignore_ascii_case(mode))
    });
    let modes: Vec<&str> = kept.chain([LOAD_MODE]).collect();
    state.clone().with("sql_mode", format!("'{}'", modes.join(",")))
}

/// The tables, each at a place of its own schema.
fn own_places(tables: &[PlanTable]) -> Cow<'_, [PlanTable]> {
    let is_foreign = |table: &PlanTable| matches!(table.place, TablePlace::BroadcastOf { .. });
    if !tables.iter().any(is_foreign) {
        return Cow::Borrowed(tables);
    }
    let mut own = tables.to_vec();
    for table in own.iter_mut().filter(|table| is_foreign(table)) {
        table.place = TablePlace::Broadcast;
    }
    Cow::Owned(own)
}

/// Runs the statement itself and passes its rows on.
async fn answer(
    exec: &mut Exec<'_>,
    held: &mut Held,
    loader: &mut Loader<'_>,
    counts_found: bool,
) -> Result<Outcome, ExecError> {
    let own = match groups::columns(exec, held, loader).await? {
        groups::Own::NotAsked => None,
        groups::Own::Columns(columns) => Some(columns),
        groups::Own::Failed => return Ok(Outcome::NotTheSame),
    };
    let mut rendered = Rendered::default();
    let fill = Fill {
        values: &loader.statement.values,
        tables: loader.tables,
        session: &|what, out| exec.session.write_value(what, out),
        temporary: &|number, out| loader.put_table(number, out),
        inline_params: true,
    };
    let begun = exec.session.part_begins();
    loader.scratch.text.render(&fill, HOME, &mut rendered);
    let names = Names::with_scratch(loader.tables, PREFIX);
    let active = exec.enter(held);
    let head =
        open(exec, held, &rendered.text).await.map_err(|error| rows::logical(error, names))?;
    let outcome = match head {
        StreamHead::Rows(columns) => match own {
            Some(own) if !groups::are_the_same(&own, &columns) => Ok(Outcome::NotTheSame),
            own => {
                let warned = (loader.warnings, std::mem::take(&mut loader.warned));
                let columns = own.as_deref().unwrap_or(&columns);
                pass_rows(exec, held, columns, names, warned).await.map(|()| Outcome::Answered)
            }
        },
        StreamHead::Ok { ok, .. } => {
            exec.session.last.warnings.clear();
            if ok.warnings > 0 {
                exec.session.last.warnings =
                    crate::relay::warnings_of(&mut held.lease, names).await;
            }
            exec.reply_ok(OkPacket { session_track: Vec::new(), ..ok });
            Ok(Outcome::Answered)
        }
        StreamHead::LocalInfile(_) => {
            Err(sql(sql_error::NOT_SUPPORTED, "a query cannot ask for a file"))
        }
    };
    drop(active);
    exec.session.part_ends(begun, "Scratch", exec.session.last.found_rows);
    if matches!(outcome, Ok(Outcome::Answered)) && counts_found {
        exec.session.last.found_rows = relay::found_rows(&mut held.lease).await?;
    }
    outcome
}

/// Asks in the client's own protocol, so that each value arrives as the server has it.
async fn open(exec: &Exec<'_>, held: &mut Held, text: &[u8]) -> Result<StreamHead, ExecError> {
    if !exec.form.binary {
        return Ok(held.lease.query_stream(text).await?);
    }
    let prepared = held.lease.prepare(text).await?;
    Ok(held.lease.execute(&prepared, &[]).await?)
}

async fn pass_rows(
    exec: &mut Exec<'_>,
    held: &mut Held,
    columns: &[ColumnDefinition],
    names: Names<'_>,
    (warnings, mut warned): (u64, Vec<Warning>),
) -> Result<(), ExecError> {
    let mut logical = Vec::with_capacity(columns.len());
    for column in columns {
        logical.push(names.logical_column(column)?);
    }
    let first = held.lease.next_row().await.map_err(|error| rows::logical(error.into(), names))?;
    rows::put_columns(exec, &logical);
    let mut next = first;
    let mut sent = 0;
    while let Some(row) = next {
        exec.out.put(row.payload());
        sent += 1;
        exec.out.flush_if_long().await?;
        next = match held.lease.next_row().await {
            Ok(row) => row,
            // Rows may end in an error, as a server's do.
            Err(error) if error.server().is_some() => {
                return Err(rows::logical(error.into(), names));
            }
            Err(error) => return Err(ExecError::BrokenOff(error.to_string())),
        };
    }
    let own = held.lease.stream_end().map_or(0, |end| u64::from(end.warnings));
    rows::end_rows(exec, sent, warnings + own);
    if own > 0 {
        warned.extend(crate::relay::warnings_of(&mut held.lease, names).await);
        warned.truncate(WARNINGS_MAX);
    }
    exec.session.last.warnings = warned;
    Ok(())
}
