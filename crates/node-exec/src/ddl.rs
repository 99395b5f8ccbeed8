//! Changes of definitions: recorded by the control plane before anything is touched, run on all
//! physical tables, each data node in parallel, published before the client gets its OK. What fails
//! half-way is undone where that is possible, and told where it is not.

pub(crate) mod ending;
mod number;
mod outrun;
mod patience;
pub mod precheck;
mod recycle;
mod restore;
mod work;

use crate::ask::AskError;
use crate::definition;
use crate::error::{ExecError, sql};
use crate::exec::{Exec, Statement, Warning};
use crate::names::Names;
use crate::rows::logical;
use base::id::DataNodeId;
use base::sql_error::{self, SqlErrorCode};
use ending::{Stopped, Underway, is_in_doubt};
use futures::future::join_all;
use mysql_wire::packet::OkPacket;
use node_backend::error::BackendError;
use number::Numbering;
use sql_plan::plan::{DdlPlan, DdlStatement, TablePlace};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use topology::algorithm::{SqlValue, Target};
use topology::model::{Placement, physical_database};
use topology::stream::{Answer, Ask, TableChange};

/// Runs a change of definitions and answers the client.
pub async fn run(
    exec: &mut Exec<'_>,
    plan: &DdlPlan,
    statement: &Statement<'_>,
) -> Result<(), ExecError> {
    if let Some(transaction) = exec.session.transaction.take() {
        transaction.commit().await?;
    }
    exec.session.last.warnings.clear();
    let (mut copied, mut is_first) = (Copied::default(), true);
    let mut notes = Vec::new();
    let mut next = Some(plan);
    while let Some(one) = next {
        let (settled, warning) = recycle::settle(exec, one).await?;
        if !settled.changes.is_empty() || !settled.statements.is_empty() {
            let changed = change(exec, settled, statement).await;
            if !is_first {
                exec.session.outrun = None;
            }
            (copied, is_first) = (changed?, false);
        }
        exec.session.last.warnings.extend(warning);
        notes.extend(&one.notes);
        if let Some(error) = &one.error_after {
            return Err(error.clone().into());
        }
        next = one.then.as_deref();
    }
    let level = |code: u16| if code == sql_error::WRONG_OBJECT.number { "Warning" } else { "Note" };
    let notes = notes.iter().map(|(code, text)| Warning {
        level: level(*code).to_owned(),
        code: *code,
        message: text.clone().into_bytes(),
    });
    exec.session.last.warnings.extend(notes);
    let warnings = u16::try_from(exec.session.last.warnings.len()).unwrap_or(u16::MAX);
    let affected_rows = copied.rows;
    let info = match copied.told {
        true => format!("Records: {affected_rows}  Duplicates: 0  Warnings: {warnings}"),
        false => String::new(),
    };
    let info = info.into_bytes();
    exec.reply_ok(OkPacket { affected_rows, warnings, info, ..OkPacket::default() });
    Ok(())
}

/// Rows that a change copied, as one server counts them.
#[derive(Clone, Copy, Debug, Default)]
struct Copied {
    rows: u64,
    /// Data nodes say how many in words, too.
    told: bool,
}

/// Runs a change; returns the rows that it copied, as one server counts them.
async fn change(
    exec: &mut Exec<'_>,
    plan: &DdlPlan,
    statement: &Statement<'_>,
) -> Result<Copied, ExecError> {
    let work = work::of(exec, plan, statement).await?;
    let before = work.before.clone();
    let begin = Ask::DdlBegin { schema: plan.schema.clone(), changes: plan.changes.clone(), work };
    let underway = match Underway::begin(exec, begin).await {
        Ok(underway) => underway,
        Err(error) => {
            exec.session.outrun = outrun::patience(exec, statement, &error);
            return Err(error);
        }
    };
    if let Err(error) = precheck::check(exec, plan, statement).await {
        underway.abort().await;
        return Err(error);
    }
    let numbering = match number::of(exec, plan).await {
        Ok(numbering) => numbering,
        Err(error) => {
            underway.abort().await;
            return Err(error);
        }
    };
    let copied = match run_statements(exec, plan, statement, (numbering, before)).await {
        Ok(copied) => copied,
        Err(stopped) => return Err(underway.stop(stopped).await),
    };
    let changes = match finish_changes(exec, plan).await {
        Ok(changes) => changes,
        Err(error) => {
            let half = is_in_doubt(&error) || !undo_all(exec, plan, statement).await;
            return Err(underway.stop(Stopped { error, half }).await);
        }
    };
    if let Err(error) = follow_sequences(exec, plan, statement).await {
        tracing::warn!(%error, schema = plan.schema, "a sequence could not follow a change of its table");
    }
    match ask(exec, Ask::DdlCommit { ddl_id: underway.id(), changes }).await {
        Ok(Answer::Published { .. }) => underway.committed(),
        Ok(other) => return Err(unexpected(&other)),
        Err(error) => {
            // One that is stored all the same is no longer there to be given up.
            let half = !is_definition_refused(&error) || !undo_all(exec, plan, statement).await;
            return Err(underway.stop(Stopped { error, half }).await);
        }
    }
    for one in &plan.afterwards {
        if let Err(error) =
            run_everywhere(exec, plan, one, &one.text, &one.targets, statement, None).await
        {
            tracing::warn!(%error, schema = plan.schema, "what a change left could not be cleared away");
        }
    }
    Ok(copied)
}

/// Whether the control plane stored nothing because no node could serve the definition.
fn is_definition_refused(error: &ExecError) -> bool {
    matches!(error, ExecError::Sql(error) if error.code == sql_error::WRONG_ARGUMENTS)
}

/// Whether the change is of tables that have a copy on each shard, whose rows count once.
fn counts_one_copy(plan: &DdlPlan) -> bool {
    plan.changes.iter().any(|change| {
        matches!(change, TableChange::Alter { table } if table.placement == Placement::Broadcast)
    })
}

/// Asks the control plane; a refusal is an error.
pub(crate) async fn ask(exec: &Exec<'_>, ask: Ask) -> Result<Answer, ExecError> {
    answered(exec.control.ask(ask).await.map_err(not_answered)?)
}

fn answered(answer: Answer) -> Result<Answer, ExecError> {
    match answer {
        Answer::Refused { sql_error, message } => Err(sql(refusal(sql_error), message)),
        answer => Ok(answer),
    }
}

fn not_answered(error: AskError) -> ExecError {
    let code = match error {
        AskError::Away => sql_error::CONTROL_PLANE_AWAY,
        AskError::Lost => sql_error::DDL_INCOMPLETE,
    };
    sql(code, error.to_string())
}

fn refusal(number: u16) -> SqlErrorCode {
    let known = sql_error::ALL.iter().find(|code| code.number == number);
    *known.unwrap_or(&sql_error::UNKNOWN_ERROR)
}

/// The error of an answer to another question.
pub(crate) fn unexpected(answer: &Answer) -> ExecError {
    sql(
        sql_error::UNKNOWN_ERROR,
        format!("the control plane gave another answer than asked for: {answer:?}"),
    )
}

/// What came of one statement's targets.
#[derive(Default)]
struct Outcome {
    done: Vec<Target>,
    failed: Vec<(Target, ExecError)>,
    /// Rows copied by each that is done.
    affected: Vec<u64>,
    /// They were told in words, too.
    told: bool,
    /// What a data node warned of; all warn of the same.
    warnings: Vec<Warning>,
}

/// Runs the statements in order, each on all its targets. After a failure what can be undone is.
async fn run_statements(
    exec: &mut Exec<'_>,
    plan: &DdlPlan,
    statement: &Statement<'_>,
    (numbering, definition): (Option<Numbering>, Option<String>),
) -> Result<Copied, Stopped> {
    let mut copied = Copied::default();
    let mut before: Vec<(&DdlStatement, Vec<Target>)> = Vec::new();
    for one in &plan.statements {
        let began = before.iter().any(|(_, done)| !done.is_empty());
        let outcome =
            run_everywhere(exec, plan, one, &one.text, &one.targets, statement, numbering)
                .await
                .map_err(|error| Stopped { error, half: began })?;
        let failed_on = outcome.failed.len();
        let changed = outcome.done.len();
        let copies = if counts_one_copy(plan) { 1 } else { outcome.affected.len() };
        copied.told |= outcome.told;
        copied.rows += outcome.affected.iter().take(copies).sum::<u64>();
        let names = Names::of(&one.tables);
        // Nobody asked for what is done with tables of the product's own.
        let is_own = one.tables[0].name.starts_with(topology::rule::RESERVED_TABLE_PREFIX);
        let told = outcome.warnings.into_iter().filter(|_| !is_own);
        exec.session.last.warnings.extend(told.map(|warning| Warning {
            message: names.rewrite_message(&warning.message),
            ..warning
        }));
        let (unknown, refused): (Vec<_>, Vec<_>) =
            outcome.failed.into_iter().partition(|(_, error)| is_in_doubt(error));
        let mut touched = outcome.done;
        touched.extend(unknown.iter().map(|(target, _)| *target));
        before.push((one, touched));
        let Some((_, error)) = refused.into_iter().next() else {
            let Some((_, lost)) = unknown.first() else { continue };
            // No data node refused it, so it can be finished.
            return Err(Stopped { error: interrupted(lost), half: true });
        };
        let error = logical(error, Names::of(&one.tables));
        let undoable = before.iter().all(|(one, done)| done.is_empty() || one.undo.is_some());
        let untouched = before.iter().all(|(_, done)| done.is_empty());
        if untouched {
            return Err(error.into());
        }
        if let ([(one, done)], Some(definition)) = (before.as_slice(), &definition) {
            match restore::restore(exec, plan, one, done, definition).await {
                Ok(true) => return Err(error.into()),
                Ok(false) => {}
                Err(lost) => return Err(Stopped { error: interrupted(&lost), half: true }),
            }
        }
        if undoable {
            let half = !undo(exec, plan, &before, statement).await;
            return Err(Stopped { error, half });
        }
        let text = format!(
            "the statement ran on {changed} of {} physical tables and failed on {failed_on}; \
             the first error was: {error}. Remove its cause and bring the tables in line with further statements",
            one.targets.len(),
        );
        return Err(sql(sql_error::DDL_INCOMPLETE, text).into());
    }
    Ok(copied)
}

/// What a data node says of a part of an ALTER that it has already: a column, a key or a partition
/// that is there or gone.
const DONE_ALREADY: [u16; 7] = [1054, 1060, 1061, 1068, 1091, 1507, 1517];

/// The settings for this target, then the statement that ends with where counting begins.
fn numbered_text(text: Vec<u8>, numbering: Numbering, place: usize) -> Vec<u8> {
    let head = format!(
        "SET SESSION auto_increment_increment = {}, auto_increment_offset = {};",
        numbering.step,
        place % numbering.step + 1,
    );
    let tail = format!(", AUTO_INCREMENT = {}", numbering.first);
    [head.as_bytes(), text.trim_ascii_end(), tail.as_bytes()].concat()
}

/// What the connection's last statement warned of; nothing where it cannot be asked.
async fn warnings(lease: &mut node_backend::pool::Lease) -> Vec<Warning> {
    let Ok(answer) = lease.query(b"SHOW WARNINGS").await else { return Vec::new() };
    let rows = answer.into_rows();
    let warning = |row: &node_backend::query::Row| Warning {
        level: row.text(0).unwrap_or_default(),
        code: row.text(1).and_then(|code| code.parse().ok()).unwrap_or(0),
        message: row.get(2).unwrap_or_default().to_vec(),
    };
    rows.iter().take(crate::exec::WARNINGS_MAX).map(warning).collect()
}

/// Undoes statements where they ran or may have; false when that is not known of all.
async fn undo(
    exec: &mut Exec<'_>,
    plan: &DdlPlan,
    before: &[(&DdlStatement, Vec<Target>)],
    statement: &Statement<'_>,
) -> bool {
    let mut all = true;
    for (one, targets) in before.iter().rev() {
        let Some(text) = &one.undo else { continue };
        match run_everywhere(exec, plan, one, text, targets, statement, None).await {
            Ok(undone) => {
                for (target, error) in &undone.failed {
                    tracing::warn!(%error, ?target, "a physical table could not be undone");
                }
                all &= undone.failed.is_empty();
            }
            Err(error) => {
                tracing::warn!(%error, "a change of definitions could not be undone");
                all = false;
            }
        }
    }
    all
}

async fn undo_all(exec: &mut Exec<'_>, plan: &DdlPlan, statement: &Statement<'_>) -> bool {
    let all: Vec<_> = plan.statements.iter().map(|one| (one, one.targets.clone())).collect();
    undo(exec, plan, &all, statement).await
}

/// What the client is told of a change whose data node went away under it.
fn interrupted(error: &ExecError) -> ExecError {
    sql(
        sql_error::DDL_INCOMPLETE,
        format!(
            "a data node was lost, or its disk was full, while the statement ran there: {error}. The statement is finished, \
             or undone, as soon as the data node is well again; SHOW CREATE TABLE says then which"
        ),
    )
}

/// One text on all targets; each data node works on its own, all in parallel.
async fn run_everywhere(
    exec: &mut Exec<'_>,
    plan: &DdlPlan,
    one: &DdlStatement,
    text: &sql_plan::template::Template,
    targets: &[Target],
    statement: &Statement<'_>,
    numbering: Option<Numbering>,
) -> Result<Outcome, ExecError> {
    let mut by_node: BTreeMap<DataNodeId, Vec<(Target, Vec<u8>)>> = BTreeMap::new();
    for (place, target) in targets.iter().enumerate() {
        let mut text = exec.render(text, &one.tables, *target, statement)?;
        if let Some(numbering) = numbering {
            text = numbered_text(text, numbering, place);
        }
        exec.session.touched.note(&plan.schema, target.shard);
        by_node
            .entry(exec.data_node(&plan.schema, target.shard)?)
            .or_default()
            .push((*target, text));
    }
    let place = one.tables.first().map(|table| &table.place);
    // A new table has no rows: what is told of them is told of the definition's own values.
    let is_new = plan.changes.iter().all(|change| matches!(change, TableChange::Create { .. }));
    let has_parts = matches!(place, Some(TablePlace::Sharded { .. })) && !is_new;
    let state = exec.session.state.clone();
    let held_max = exec.settings.lock_held_max;
    let wait = format!("SET SESSION lock_wait_timeout = {}", held_max.as_secs());
    let mut nodes = Vec::with_capacity(by_node.len());
    for (id, work) in by_node {
        let node = exec.backends.node(&id)?;
        // What a definition names that is not of the table is looked for beside it, and refused there.
        let home = work.first().map(|(target, _)| physical_database(&plan.schema, target.shard));
        let state = Arc::new((*state).clone().with_database(home));
        let mut lease = node.lease(exec.session.found_rows, &state).await?;
        if state.get("lock_wait_timeout").is_none() {
            lease.mark_dirty();
            lease.execute_sql(wait.as_bytes()).await?;
        }
        nodes.push((lease, work));
    }
    let runs = nodes.into_iter().map(|(mut lease, work)| async move {
        let mut outcome = Outcome::default();
        for (target, text) in work {
            let begun = Instant::now();
            match patience::execute(&mut lease, &text, numbering.is_some()).await {
                Err(BackendError::Server(error))
                    if plan.rerun && DONE_ALREADY.contains(&error.number) =>
                {
                    outcome.done.push(target);
                }
                Ok(ok) => {
                    outcome.done.push(target);
                    outcome.affected.push(ok.affected_rows);
                    outcome.told |= !ok.info.is_empty();
                    if ok.warnings > 0 && (outcome.warnings.is_empty() || has_parts) {
                        add_warnings(&mut outcome.warnings, warnings(&mut lease).await);
                    }
                }
                Err(BackendError::Server(error))
                    if error.number == precheck::LOCK_WAIT_TIMEOUT
                        && begun.elapsed() >= held_max =>
                {
                    let error = precheck::too_old("since the statement began", held_max);
                    outcome.failed.push((target, error));
                    break;
                }
                Err(error) => outcome.failed.push((target, error.into())),
            }
        }
        outcome
    });
    let mut all = Outcome::default();
    for outcome in join_all(runs).await {
        all.done.extend(outcome.done);
        all.failed.extend(outcome.failed);
        all.affected.extend(outcome.affected);
        all.told |= outcome.told;
        if all.warnings.is_empty() || has_parts {
            add_warnings(&mut all.warnings, outcome.warnings);
        }
    }
    Ok(all)
}

/// What is told of the definition is told once, what is told of rows of each part.
fn add_warnings(all: &mut Vec<Warning>, told: Vec<Warning>) {
    const OF_A_ROW: &[u8] = b" at row ";
    let is_first = all.is_empty();
    let of_a_row = |one: &Warning| one.message.windows(OF_A_ROW.len()).any(|part| part == OF_A_ROW);
    all.extend(told.into_iter().filter(|one| is_first || of_a_row(one)));
    all.truncate(crate::exec::WARNINGS_MAX);
}

/// The changes with what the data nodes report now.
async fn finish_changes(exec: &Exec<'_>, plan: &DdlPlan) -> Result<Vec<TableChange>, ExecError> {
    let mut changes = plan.changes.clone();
    for change in &mut changes {
        let table = match change {
            TableChange::Create { table }
            | TableChange::Alter { table }
            | TableChange::Rename { table, .. } => table,
            TableChange::Drop { .. } | TableChange::Move { .. } => continue,
        };
        if !plan.refresh.iter().any(|name| name.eq_ignore_ascii_case(&table.name)) {
            continue;
        }
        let schema = exec.schema(&plan.schema)?;
        let first = sql_plan::plan::table_targets(table, schema.shard_count())
            .first()
            .copied()
            .unwrap_or(Target { shard: 0, suffix: 0 });
        let node = exec.backends.node(&exec.data_node(&plan.schema, first.shard)?)?;
        let database = topology::model::physical_database(&schema.name, first.shard);
        let physical = table.physical_name(first.suffix);
        definition::refresh(&node, &database, &physical, table).await?;
        if let (Some(view), Some(one)) = (&mut table.view, plan.statements.first()) {
            view.query = definition::logical_query(&view.query, &one.tables, first);
        }
    }
    Ok(changes)
}

/// Sequences follow their tables: they start where the statement says, start again, or move.
async fn follow_sequences(
    exec: &Exec<'_>,
    plan: &DdlPlan,
    statement: &Statement<'_>,
) -> Result<(), ExecError> {
    let schema = exec.schema(&plan.schema)?;
    for table in &plan.sequence_reset {
        if table.starts_with(topology::rule::RESERVED_TABLE_PREFIX) {
            exec.sequences.remove(exec.backends, schema, table).await?;
            continue;
        }
        exec.sequences.restart(exec.backends, schema, table, 1).await?;
    }
    if let (Some(column), Some(one)) = (&plan.numbered, plan.statements.first()) {
        let renamed = usize::from(matches!(plan.changes.first(), Some(TableChange::Rename { .. })));
        let top = number::greatest(exec, plan, one, column, renamed).await?;
        let table = &one.tables[0].name;
        exec.sequences.restart(exec.backends, schema, table, top.saturating_add(1)).await?;
    }
    if let Some((table, start)) = &plan.sequence_start
        && let SqlValue::Integer(start) = start.resolve(&statement.values)
        && let Ok(start) = u64::try_from(start)
    {
        exec.sequences.restart(exec.backends, schema, table, start.max(1)).await?;
    }
    rename_sequences(exec, plan, schema).await
}

/// Sequences take their tables' new names, by way of names that no table has: two may swap theirs.
async fn rename_sequences(
    exec: &Exec<'_>,
    plan: &DdlPlan,
    schema: &topology::model::Schema,
) -> Result<(), ExecError> {
    let renames: Vec<(&String, &String)> = plan
        .changes
        .iter()
        .filter_map(|change| match change {
            TableChange::Rename { from, table, to_schema: None }
                if table.sequence_column.is_some() =>
            {
                Some((from, &table.name))
            }
            _ => None,
        })
        .collect();
    if let [TableChange::Rename { from, table, to_schema: Some(other) }] = plan.changes.as_slice()
        && table.sequence_column.is_some()
    {
        let next = exec.sequences.next_block(exec.backends, schema, from).await?;
        let other = exec.schema(other)?;
        exec.sequences.restart(exec.backends, other, &table.name, next).await?;
        return exec.sequences.remove(exec.backends, schema, from).await;
    }
    if let [(from, to)] = renames.as_slice() {
        return exec.sequences.rename(exec.backends, schema, from, to).await;
    }
    for (number, (from, _)) in renames.iter().enumerate() {
        exec.sequences.rename(exec.backends, schema, from, &format!("#{number}")).await?;
    }
    for (number, (_, to)) in renames.iter().enumerate() {
        exec.sequences.rename(exec.backends, schema, &format!("#{number}"), to).await?;
    }
    Ok(())
}
