//! INSERT and REPLACE whose rows a server must make before they can be placed: defaults and
//! computed values of sharding keys, sub-queries among the values, RETURNING, ON DUPLICATE KEY
//! UPDATE that may move rows. The rows are made in a temporary table without keys, once, so that
//! what is placed is what is stored. Then they go to their shards, or, where rows that are there
//! already must be looked at together, they meet those in a second temporary table and the
//! difference goes to the shards.

use crate::collect;
use crate::error::{ExecError, sql};
use crate::exec::{Exec, Statement, WARNINGS_MAX, Warning};
use crate::insert::value_of;
use crate::insert_counts::{self, Counted};
use crate::names::Names;
use crate::rows::logical;
use crate::scratch::PREFIX;
use crate::scratch_write::bench::{Answer, Bench, Originals, put_row, quote, stored, values};
use crate::scratch_write::difference::{self, Difference, begin_part, end_part};
use crate::scratch_write::{Form, begin, check, end, reply};
use crate::streams::Job;
use crate::typed_literal;
use crate::write::{self, Told};
use base::sql_error;
use mysql_wire::packet::OkPacket;
use node_backend::query::Row;
use sql_plan::insert::{InsertHome, SequenceUse, as_id, asks_for_id};
use sql_plan::plan::RoutedPlan;
use sql_plan::scratch_write::{InsertVerb, ScratchInsertPlan, ScratchRows, Written};
use sql_plan::value::Values;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use topology::algorithm::{SqlValue, Target};

/// Rows of one INSERT.
const BATCH_ROWS: usize = 500;

/// An INSERT is sent when its text is so long.
const BATCH_BYTES: usize = 512 * 1024;

/// New rows whose like are looked for in one query.
const MEET_ROWS: usize = 100;

/// A unique key has the value already.
const DUPLICATE_KEY: u16 = 1062;

type RowValues = Vec<SqlValue>;

/// Rows that a server made, with what it said.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub rows: Vec<RowValues>,
    /// For each row what the query gives for ON DUPLICATE KEY UPDATE alone.
    extras: Vec<RowValues>,
    warnings: Vec<Warning>,
    count: u16,
    pub first_id: u64,
}

/// Runs the statement and answers the client.
pub async fn run(
    exec: &mut Exec<'_>,
    plan: &ScratchInsertPlan,
    statement: &Statement<'_>,
) -> Result<(), ExecError> {
    let sequence = plan.sequence.as_ref();
    let (answer, first_id) = match attempt(exec, plan, statement).await {
        Err(error) if exec.is_used_id(&error, sequence, &plan.schema) => {
            attempt(exec, plan, statement).await?
        }
        done => done?,
    };
    let kept = exec.session.last.insert_id;
    let own_id = exec.snapshot_last_id(&answer, first_id, statement);
    reply(exec, answer).await?;
    exec.session.last.insert_id = own_id.unwrap_or(kept);
    Ok(())
}

async fn attempt(
    exec: &mut Exec<'_>,
    plan: &ScratchInsertPlan,
    statement: &Statement<'_>,
) -> Result<(Answer, u64), ExecError> {
    let own = begin(exec);
    let client = exec.session.state.clone();
    let outcome = insert(exec, plan, statement).await;
    exec.session.state = client;
    let outcome = outcome.map_err(|error| logical(error, Names::of(&plan.tables)));
    end(exec, own, outcome).await
}

impl Exec<'_> {
    /// After a duplicate key of a statement that may have taken ids from a block: whether the
    /// statement should be tried once more with ids of a fresh block. A value that was given by hand
    /// while another node had the block already can lie in it, but never in a fresh one.
    pub(crate) fn is_used_id(
        &self,
        error: &ExecError,
        sequence: Option<&SequenceUse>,
        schema: &str,
    ) -> bool {
        match sequence {
            Some(sequence) if error.server_number() == Some(DUPLICATE_KEY) => {
                self.sequences.forget(schema, &sequence.table);
                true
            }
            _ => false,
        }
    }

    /// What LAST_INSERT_ID() is after the statement, where it changes: a generated id, or what
    /// LAST_INSERT_ID(expr) said.
    fn snapshot_last_id(
        &self,
        answer: &Answer,
        first_id: u64,
        statement: &Statement<'_>,
    ) -> Option<u64> {
        let said = statement.planned.uses.connection_state.then_some(answer.ok.last_insert_id);
        said.filter(|id| *id != 0).or(Some(first_id).filter(|id| *id != 0))
    }
}

async fn insert(
    exec: &mut Exec<'_>,
    plan: &ScratchInsertPlan,
    statement: &Statement<'_>,
) -> Result<(Answer, u64), ExecError> {
    let client = exec.session.state.clone();
    exec.session.state = Arc::new((*client).clone().with("character_set_results", "utf8mb4"));
    let mut bench = Bench::open(exec, &plan.schema).await?;
    let made = make(exec, &mut bench, plan, statement).await;
    let outcome = match made {
        Err(error) => Err(error),
        Ok(made) if plan.meets_rows => {
            meet(exec, &mut bench, plan, &made, statement).await.map(|met| (Some(met), made))
        }
        Ok(made) => Ok((None, made)),
    };
    bench.close();
    exec.session.state = client;
    let (met, made) = outcome?;
    let first_id = made.first_id;
    let mut answer = match met {
        Some((answer, difference)) => {
            let mut parts = [(plan.tables[0].clone(), &plan.written, difference)];
            difference::apply(exec, &plan.tables, &mut parts).await?;
            answer
        }
        None => {
            begin_part(exec).await?;
            let outcome = place(exec, plan, &made, statement).await;
            end_part(exec, outcome).await?
        }
    };
    answer.ok.warnings = answer.ok.warnings.saturating_add(made.count);
    answer.warnings.splice(0..0, made.warnings);
    answer.warnings.truncate(WARNINGS_MAX);
    if first_id != 0 {
        answer.ok.last_insert_id = first_id;
    }
    if plan.one_row {
        answer.ok.info = Vec::new();
    }
    Ok((answer, first_id))
}

/// The number of the temporary table in which rows are made.
fn made_number(plan: &ScratchInsertPlan) -> usize {
    plan.tables.len() - 1
}

/// Makes the temporary table for rows, and those that are read; gives its number.
pub(crate) async fn prepare(
    exec: &mut Exec<'_>,
    bench: &mut Bench,
    plan: &ScratchInsertPlan,
    statement: &Statement<'_>,
) -> Result<usize, ExecError> {
    for (reference, load) in plan.load_references.iter().zip(&plan.loads) {
        let targets = load.source.targets(&statement.values)?;
        bench.read_table(exec, *reference, load, &targets, &plan.tables, statement).await?;
    }
    let number = made_number(plan);
    bench.make(exec, number, &plan.tables[0], &plan.written, Form::Made).await?;
    Ok(number)
}

async fn make(
    exec: &mut Exec<'_>,
    bench: &mut Bench,
    plan: &ScratchInsertPlan,
    statement: &Statement<'_>,
) -> Result<Made, ExecError> {
    let number = prepare(exec, bench, plan, statement).await?;
    let mut made = Made::default();
    let names = Names::with_scratch(&plan.tables, PREFIX);
    match &plan.rows {
        ScratchRows::Listed(text) => {
            let table = |reference: u32| match reference {
                0 => number,
                _ => reference as usize,
            };
            let text = bench.render(exec, text, &plan.tables, statement, &table);
            bench.as_client().await?;
            let answer = bench.run(exec, &text, names).await?;
            made.count = answer.ok.warnings;
            made.warnings = answer.warnings;
        }
        ScratchRows::Query { source, columns } => {
            make_of_query(exec, bench, plan, (source, columns), statement, &mut made).await?;
        }
    }
    finish(exec, bench, plan, statement, &mut made).await?;
    Ok(made)
}

/// Takes the rows that were made, and gives them ids.
pub(crate) async fn finish(
    exec: &mut Exec<'_>,
    bench: &mut Bench,
    plan: &ScratchInsertPlan,
    statement: &Statement<'_>,
    made: &mut Made,
) -> Result<(), ExecError> {
    if plan.check.is_some() {
        bench.as_client().await?;
        check::hold(bench, made_number(plan), plan.check.as_ref(), 0).await?;
    }
    bench.as_store().await?;
    let (columns, rows) = bench.read_back(made_number(plan), &plan.written).await?;
    let width = plan.written.columns.len();
    made.rows = rows.iter().map(|row| values(row, &columns[..width])).collect();
    if plan.extras > 0 {
        let given = std::mem::take(&mut made.extras);
        // Rows that IGNORE left out have no number.
        let number = |row: &Row| row.text(width)?.parse::<usize>().ok()?.checked_sub(1);
        made.extras = rows
            .iter()
            .map(|row| number(row).and_then(|at| given.get(at)).cloned().unwrap_or_default())
            .collect();
    }
    give_ids(exec, plan, statement, made).await
}

/// Puts a query's rows into the table in which rows are made, under the session's sql_mode.
async fn make_of_query(
    exec: &mut Exec<'_>,
    bench: &mut Bench,
    plan: &ScratchInsertPlan,
    (source, names): (&RoutedPlan, &[String]),
    statement: &Statement<'_>,
    made: &mut Made,
) -> Result<(), ExecError> {
    let collected = collect::query(exec, source, statement).await?;
    if collected.columns.len() != names.len() + plan.extras {
        return Err(sql(
            sql_error::VALUE_COUNT_MISMATCH,
            "Column count doesn't match value count at row 1",
        ));
    }
    let number = made_number(plan);
    let names: Vec<String> = names.iter().map(|name| quote(name)).collect();
    let verb = match plan.verb {
        InsertVerb::Ignore => "INSERT IGNORE INTO",
        InsertVerb::Insert | InsertVerb::Replace => "INSERT INTO",
    };
    let head = format!("{verb} {} ({}) VALUES ", bench.name(number), names.join(","));
    bench.as_client().await?;
    let scratch = Names::with_scratch(&plan.tables, PREFIX);
    for (chunk, records) in collected.records.chunks(BATCH_ROWS).enumerate() {
        let mut text = head.clone().into_bytes();
        for (at, record) in records.iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            let fields = collected.columns.iter().enumerate();
            let mut row: RowValues =
                fields.map(|(at, column)| value_of(record.get(at), column)).collect();
            let extras = row.split_off(names.len());
            if plan.extras > 0 {
                made.extras.push(extras);
            }
            text.push(b'(');
            for (at, (value, column)) in row.iter().zip(&collected.columns).enumerate() {
                if at > 0 {
                    text.push(b',');
                }
                typed_literal::write(value, column, &mut text);
            }
            text.push(b')');
        }
        bench.charge(records.len() as u64, 0)?;
        let before = u32::try_from(chunk * BATCH_ROWS).unwrap_or(u32::MAX);
        let shift = |row: u32| Some(row + before);
        let answer = bench
            .run(exec, &text, scratch)
            .await
            .map_err(|error| write::with_statement_rows(error, &shift))?;
        made.count = made.count.saturating_add(answer.ok.warnings);
        made.warnings.extend(answer.warnings.into_iter().map(|mut warning| {
            warning.message = write::statement_rows(&warning.message, &shift);
            warning
        }));
    }
    Ok(())
}

/// Rows without an id get one of the table's sequence; a value given by hand moves it.
async fn give_ids(
    exec: &mut Exec<'_>,
    plan: &ScratchInsertPlan,
    statement: &Statement<'_>,
    made: &mut Made,
) -> Result<(), ExecError> {
    let zero = statement.values.zero_is_a_value;
    let Some(at) = plan.auto_increment else { return Ok(()) };
    let Some(sequence) = &plan.sequence else {
        for row in made.rows.iter_mut().filter(|row| asks_for_id(&row[at], zero, true)) {
            row[at] = SqlValue::Null;
        }
        return Ok(());
    };
    let asks = |row: &&mut RowValues| asks_for_id(&row[at], zero, sequence.keeps_null);
    let given = made.rows.iter().filter_map(|row| as_id(&row[at])).filter(|id| *id > 0).max();
    let needed = made.rows.iter_mut().filter(asks).count();
    let schema = exec.schema(&plan.schema)?;
    if let Some(given) = given {
        exec.sequences.move_past(exec.backends, schema, &sequence.table, given).await?;
    }
    if needed == 0 {
        return Ok(());
    }
    let needed = u64::try_from(needed).unwrap_or(u64::MAX);
    let (sequences, backends) = (exec.sequences, exec.backends);
    let (table, max) = (&sequence.table, sequence.max);
    // A row that has such an id already must not be taken for one that is met.
    let ids = match plan.verb == InsertVerb::Insert && !plan.updates_on_duplicate {
        true => sequences.take(backends, schema, table, needed, max).await?,
        false => sequences.take_fresh(backends, schema, table, needed, max).await?,
    };
    made.first_id = ids.first().copied().unwrap_or(0);
    for (row, id) in made.rows.iter_mut().filter(asks).zip(ids) {
        row[at] = SqlValue::Integer(id.into());
    }
    Ok(())
}

/// Sends the rows to their shards.
pub(crate) async fn place(
    exec: &mut Exec<'_>,
    plan: &ScratchInsertPlan,
    made: &Made,
    statement: &Statement<'_>,
) -> Result<Answer, ExecError> {
    let written = &plan.written;
    let mut by_target: BTreeMap<Target, Vec<u32>> = BTreeMap::new();
    for (number, row) in made.rows.iter().enumerate() {
        for target in written.place(row)? {
            by_target.entry(target).or_default().push(u32::try_from(number).unwrap_or(u32::MAX));
        }
    }
    let names: Vec<String> = stored(written).map(|(_, name)| quote(name)).collect();
    let (mut jobs, mut parts) = (Vec::new(), Vec::new());
    for (target, numbers) in by_target {
        let mut rest = numbers.as_slice();
        while !rest.is_empty() {
            let table = &plan.tables[0];
            let mut text = plan.verb.sql().to_vec();
            let (database, name) = (table.physical_database(target), table.physical_name(target));
            let head =
                format!("{}.{} ({}) VALUES ", quote(&database), quote(&name), names.join(","));
            text.extend_from_slice(head.as_bytes());
            let mut count = 0;
            for number in rest.iter().take(BATCH_ROWS) {
                if count > 0 {
                    text.push(b',');
                }
                let row = &made.rows[*number as usize];
                put_row(stored(written).map(|(at, _)| &row[at]), &mut text);
                count += 1;
                if text.len() > BATCH_BYTES {
                    break;
                }
            }
            text.extend(exec.render(&plan.pushed_tail, &plan.tables, target, statement)?);
            exec.session.touched.note(&plan.schema, target.shard);
            let data_node = exec.data_node(&plan.schema, target.shard)?;
            jobs.push(Job { data_node, shard: target.shard, text });
            parts.push(rest[..count].to_vec());
            rest = &rest[count..];
        }
    }
    let everywhere = matches!(written.home, InsertHome::Everywhere { .. });
    let told = Told { rows: Some(&parts), copies: everywhere, ..Told::default() };
    let oks = write::apply_each(exec, &jobs, &[jobs.len()], &plan.tables, &told).await?;
    let counted = oks.iter().zip(&jobs).zip(&parts);
    let counted: Vec<Counted<'_>> = counted
        .filter(|((_, job), _)| !everywhere || job.shard == 0)
        .map(|((ok, _), rows)| Counted { ok, rows: rows.len() as u64 })
        .collect();
    let updates = plan.updates_on_duplicate;
    let mut ok = insert_counts::total(&counted, plan.verb, updates);
    let id = |ok: &OkPacket| Some(ok.last_insert_id).filter(|id| *id != 0);
    ok.last_insert_id = oks.iter().find_map(id).unwrap_or(0);
    let warnings = std::mem::take(&mut exec.session.last.warnings);
    Ok(Answer { ok, rows: None, warnings })
}

/// Brings the rows that the new ones meet, and lets the statement run on both.
async fn meet(
    exec: &mut Exec<'_>,
    bench: &mut Bench,
    plan: &ScratchInsertPlan,
    made: &Made,
    statement: &Statement<'_>,
) -> Result<(Answer, Difference), ExecError> {
    let written = &plan.written;
    let originals = rows_met(exec, bench, plan, made).await?;
    bench.put_originals(exec, 0, &plan.tables[0], written, &originals).await?;
    bench.as_client().await?;
    let mut answer = match plan.extras {
        _ if made.rows.is_empty() => meet_nothing(exec, bench, plan, statement).await?,
        0 => meet_rows(exec, bench, plan, &made.rows, statement).await?,
        _ => meet_one_by_one(exec, bench, plan, made, statement).await?,
    };
    bench.as_store().await?;
    let (columns, after) = bench.read_back(0, written).await?;
    let difference = Difference::of(written, &originals, &columns, &after)?;
    if answer.ok.info.is_empty() {
        let counted = [Counted { ok: &answer.ok, rows: made.rows.len() as u64 }];
        answer.ok.info = insert_counts::total(&counted, plan.verb, plan.updates_on_duplicate).info;
    }
    Ok((answer, difference))
}

/// The statement without rows, for the columns that RETURNING announces.
async fn meet_nothing(
    exec: &mut Exec<'_>,
    bench: &mut Bench,
    plan: &ScratchInsertPlan,
    statement: &Statement<'_>,
) -> Result<Answer, ExecError> {
    let names: Vec<String> = stored(&plan.written).map(|(_, name)| quote(name)).collect();
    let list = names.join(",");
    let (to, from) = (bench.name(0), bench.name(made_number(plan)));
    let mut text = plan.verb.sql().to_vec();
    let rest = format!("{to} ({list}) SELECT {list} FROM {from} WHERE FALSE");
    text.extend_from_slice(rest.as_bytes());
    let nulls = vec![SqlValue::Null; plan.extras];
    let values = Values { evaluated: &nulls, ..statement.values };
    let statement = Statement { values, ..*statement };
    let table = |reference: u32| reference as usize;
    text.extend(bench.render(exec, &plan.tail, &plan.tables, &statement, &table));
    bench.run(exec, &text, Names::with_scratch(&plan.tables, PREFIX)).await
}

/// Lets the statement put rows to those that they meet.
async fn meet_rows(
    exec: &mut Exec<'_>,
    bench: &mut Bench,
    plan: &ScratchInsertPlan,
    rows: &[RowValues],
    statement: &Statement<'_>,
) -> Result<Answer, ExecError> {
    let written = &plan.written;
    let names: Vec<String> = stored(written).map(|(_, name)| quote(name)).collect();
    let mut text = plan.verb.sql().to_vec();
    let head = format!("{} ({}) VALUES ", bench.name(0), names.join(","));
    text.extend_from_slice(head.as_bytes());
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        put_row(stored(written).map(|(at, _)| &row[at]), &mut text);
    }
    bench.charge(rows.len() as u64, text.len())?;
    let table = |reference: u32| reference as usize;
    text.extend(bench.render(exec, &plan.tail, &plan.tables, statement, &table));
    bench.run(exec, &text, Names::with_scratch(&plan.tables, PREFIX)).await
}

/// The same where ON DUPLICATE KEY UPDATE reads more of each row than is inserted.
async fn meet_one_by_one(
    exec: &mut Exec<'_>,
    bench: &mut Bench,
    plan: &ScratchInsertPlan,
    made: &Made,
    statement: &Statement<'_>,
) -> Result<Answer, ExecError> {
    let mut whole = Answer::default();
    let mut oks = Vec::with_capacity(made.rows.len());
    for (row, extras) in made.rows.iter().zip(&made.extras) {
        let values = Values { evaluated: extras, ..statement.values };
        let statement = Statement { values, ..*statement };
        let row = std::slice::from_ref(row);
        let answer = meet_rows(exec, bench, plan, row, &statement).await?;
        whole.warnings.extend(answer.warnings);
        match (&mut whole.rows, answer.rows) {
            (Some((_, all)), Some((_, more))) => all.extend(more),
            (none, rows) => *none = rows,
        }
        oks.push(answer.ok);
    }
    let counted: Vec<Counted<'_>> = oks.iter().map(|ok| Counted { ok, rows: 1 }).collect();
    whole.ok = insert_counts::total(&counted, plan.verb, plan.updates_on_duplicate);
    whole.ok.last_insert_id = oks.iter().map(|ok| ok.last_insert_id).max().unwrap_or(0);
    Ok(whole)
}

/// The rows on the shards that have a unique value of a new row, locked.
async fn rows_met(
    exec: &mut Exec<'_>,
    bench: &mut Bench,
    plan: &ScratchInsertPlan,
    made: &Made,
) -> Result<Originals, ExecError> {
    let written = &plan.written;
    if plan.meets_all {
        return all_rows(exec, bench, plan).await;
    }
    let mut by_target: BTreeMap<Target, Vec<&RowValues>> = BTreeMap::new();
    for row in &made.rows {
        // Copies are alike, and locked where all sessions lock them.
        if let Some(target) = written.place(row)?.first() {
            by_target.entry(*target).or_default().push(row);
        }
    }
    let table = &plan.tables[0];
    let select = String::from_utf8_lossy(&written.select_list()).into_owned();
    let (mut jobs, mut targets) = (Vec::new(), Vec::new());
    for (target, rows) in by_target {
        for chunk in rows.chunks(MEET_ROWS) {
            let conditions: Vec<Vec<u8>> =
                chunk.iter().flat_map(|row| same_keys(written, row)).collect();
            if conditions.is_empty() {
                continue;
            }
            let (database, name) = (table.physical_database(target), table.physical_name(target));
            let head = format!("SELECT {select} FROM {}.{} WHERE ", quote(&database), quote(&name));
            let condition = conditions.join(&b" OR "[..]);
            let text = [head.as_bytes(), &condition, b" FOR UPDATE"].concat();
            let data_node = exec.data_node(&plan.schema, target.shard)?;
            jobs.push(Job { data_node, shard: target.shard, text });
            targets.push(target);
        }
    }
    let mut originals = Originals::default();
    if jobs.is_empty() {
        return Ok(originals);
    }
    bench.read_originals(exec, &jobs, &targets, &mut originals).await?;
    // One row can be met by several new ones.
    let mut known = HashSet::new();
    originals.rows.retain(|(target, row)| known.insert((*target, row.payload().clone())));
    Ok(originals)
}

/// All rows of the table, locked.
async fn all_rows(
    exec: &mut Exec<'_>,
    bench: &mut Bench,
    plan: &ScratchInsertPlan,
) -> Result<Originals, ExecError> {
    let table = &plan.tables[0];
    let select = String::from_utf8_lossy(&plan.written.select_list()).into_owned();
    let targets = plan.written.places();
    let mut jobs = Vec::with_capacity(targets.len());
    for target in &targets {
        let (database, name) = (table.physical_database(*target), table.physical_name(*target));
        let from = format!("{}.{}", quote(&database), quote(&name));
        let text = format!("SELECT {select} FROM {from} FOR UPDATE").into_bytes();
        let data_node = exec.data_node(&plan.schema, target.shard)?;
        jobs.push(Job { data_node, shard: target.shard, text });
    }
    let mut originals = Originals::default();
    bench.read_originals(exec, &jobs, &targets, &mut originals).await?;
    Ok(originals)
}

/// `(key = value AND …)` for each unique key of a row; a NULL meets nothing.
fn same_keys(written: &Written, row: &[SqlValue]) -> Vec<Vec<u8>> {
    let keys = written.unique_keys.iter();
    keys.filter(|key| key.iter().all(|at| row[*at] != SqlValue::Null))
        .map(|key| {
            let mut out = Vec::new();
            for at in key {
                out.extend_from_slice(if out.is_empty() { b"(" } else { b" AND " });
                out.extend_from_slice(&Written::exchange(&written.columns[*at]));
                out.extend_from_slice(b" = ");
                sql_plan::value::write_literal(&row[*at], &mut out);
            }
            out.push(b')');
            out
        })
        .collect()
}
