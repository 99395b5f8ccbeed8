//! INSERT and REPLACE of a query's rows: the rows stream in, each is placed, and full batches go out
//! to their shards. Everything happens in one transaction, the statement's own outside of one.

use crate::collect::{self, Collected};
use crate::error::{ExecError, sql};
use crate::exec::{Exec, Statement, WARNINGS_MAX, Warning};
use crate::insert::{is_lenient, value_of};
use crate::insert_counts::{self, Counted};
use crate::merge::Record;
use crate::scratch_write::difference::{begin_part, end_part};
use crate::scratch_write::{begin, end};
use crate::streams::Job;
use crate::typed_literal;
use crate::write::{self, Told};
use base::sql_error;
use mysql_wire::column::ColumnDefinition;
use mysql_wire::packet::{ErrPacket, OkPacket};
use sql_plan::insert::{InsertHome, InsertSelectPlan, SequenceUse, as_id};
use sql_plan::plan::RowKind;
use sql_plan::scratch_write::InsertVerb;
use std::collections::{BTreeMap, VecDeque};
use topology::algorithm::{SqlValue, Target};
use topology::model::Schema;

/// A target's rows are sent when they are so many …
const BATCH_ROWS: usize = 500;

/// … or their text is so long.
const BATCH_BYTES: usize = 512 * 1024;

/// Generated ids taken from the sequence in one go.
const IDS_AT_ONCE: u64 = 1_000_000;

/// Runs an INSERT of a query's rows.
pub async fn run(
    exec: &mut Exec<'_>,
    plan: &InsertSelectPlan,
    statement: &Statement<'_>,
) -> Result<(), ExecError> {
    debug_assert!(plan.source.kind == RowKind::Read, "the source of an INSERT is a query");
    let sequence = plan.placer.sequence.as_ref().map(|sequence| &sequence.of);
    let (ok, given) = match attempt(exec, plan, statement).await {
        Err(error) if exec.is_used_id(&error, sequence, &plan.placer.schema) => {
            attempt(exec, plan, statement).await?
        }
        done => done?,
    };
    let warnings = std::mem::take(&mut exec.session.last.warnings);
    let kept = exec.session.last.insert_id;
    exec.reply_ok(ok);
    exec.session.last.warnings = warnings;
    if given {
        // LAST_INSERT_ID() is of generated values only; the packet also tells a given one.
        exec.session.last.insert_id = kept;
    }
    Ok(())
}

async fn attempt(
    exec: &mut Exec<'_>,
    plan: &InsertSelectPlan,
    statement: &Statement<'_>,
) -> Result<(OkPacket, bool), ExecError> {
    let own = begin(exec);
    let outcome = copy(exec, plan, statement).await;
    end(exec, own, outcome).await
}

async fn copy(
    exec: &mut Exec<'_>,
    plan: &InsertSelectPlan,
    statement: &Statement<'_>,
) -> Result<(OkPacket, bool), ExecError> {
    // The rows are read to the end first: their connections are the transaction's, and the writes
    // need them.
    exec.session.keeps_warnings = true;
    let collected = collect::query(exec, &plan.source, statement).await;
    exec.session.keeps_warnings = false;
    let Collected { columns, records } = collected?;
    let mut warned = std::mem::take(&mut exec.session.last.warnings);
    if plan.lists_columns {
        warned.retain(|warning| !is_of_text_as_number(warning));
    }
    if plan.verb != InsertVerb::Ignore && !is_lenient(&exec.session.state) {
        refuse_warnings(&warned)?;
    }
    // The query has assigned what is assigned.
    exec.session.read_back = None;
    let is_known = !columns.is_empty() || !records.is_empty();
    if columns.len() != plan.placer.width as usize && is_known {
        return Err(sql(
            sql_error::VALUE_COUNT_MISMATCH,
            "Column count doesn't match value count at row 1",
        ));
    }
    if records.len() as u64 > exec.settings.temporary_rows_max {
        return Err(sql(
            sql_error::TEMP_TABLE_LIMIT,
            "Temp table limit exceeded: the query of an INSERT gives too many rows; insert fewer at \
             once, or raise temp_table_size_limit",
        ));
    }
    begin_part(exec).await?;
    let outcome = write_rows(exec, plan, statement, &columns, &records).await;
    let (mut ok, given) = end_part(exec, outcome).await?;
    ok.warnings = ok.warnings.saturating_add(u16::try_from(warned.len()).unwrap_or(u16::MAX));
    exec.session.last.warnings.splice(0..0, warned);
    exec.session.last.warnings.truncate(WARNINGS_MAX);
    Ok((ok, given))
}

/// A server tells of texts that are taken for a number in part, but not where columns are listed.
fn is_of_text_as_number(warning: &Warning) -> bool {
    let numbers: [&[u8]; 2] =
        [b"Truncated incorrect DOUBLE value", b"Truncated incorrect DECIMAL value"];
    warning.code == 1292 && numbers.iter().any(|text| warning.message.starts_with(text))
}

/// In a strict mode what a query alone would only warn of is an error of the statement that writes
/// its rows.
fn refuse_warnings(warned: &[Warning]) -> Result<(), ExecError> {
    match warned.iter().find(|warning| warning.level.eq_ignore_ascii_case("Warning")) {
        None => Ok(()),
        Some(warning) => Err(ExecError::Server(ErrPacket::new(
            warning.code,
            sqlstate_of(warning.code),
            warning.message.clone(),
        ))),
    }
}

/// The SQLSTATE of what a data node warns of; it tells numbers alone.
fn sqlstate_of(code: u16) -> &'static str {
    match code {
        1264 | 1690 => "22003",
        1265 => "01000",
        1292 | 1366 | 1411 => "22007",
        1365 => "22012",
        1406 => "22001",
        1441 => "22008",
        _ => "HY000",
    }
}

/// Writes the rows; also says whether the id that is told was given by hand.
async fn write_rows(
    exec: &mut Exec<'_>,
    plan: &InsertSelectPlan,
    statement: &Statement<'_>,
    columns: &[ColumnDefinition],
    records: &[Record],
) -> Result<(OkPacket, bool), ExecError> {
    let mut writer = Batches {
        plan,
        statement,
        open: BTreeMap::new(),
        ready: Vec::new(),
        rows: Vec::new(),
        total: Vec::new(),
        warnings: Vec::new(),
    };
    let (mut ids, last_given) = take_ids(exec, plan, statement, columns, records).await?;
    let first_id = ids.front().copied().unwrap_or(0);
    for (number, record) in records.iter().enumerate() {
        let values = row_values(columns, record);
        let id = match plan.placer.needs_id(&values, statement.values.zero_is_a_value) {
            true => ids.pop_front(),
            false => None,
        };
        let text = row_text(plan, columns, &values, id);
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        for target in plan.placer.place(&values, id)? {
            writer.add(exec, target, number, &text)?;
        }
        if writer.ready.len() >= BATCH_ROWS {
            writer.send(exec).await?;
        }
    }
    writer.close(exec)?;
    writer.send(exec).await?;
    let counted: Vec<Counted<'_>> =
        writer.total.iter().map(|(ok, rows)| Counted { ok, rows: *rows }).collect();
    let mut ok = insert_counts::total(&counted, plan.verb, plan.updates_on_duplicate);
    let only_updated = insert_counts::only_updated(&counted, plan.verb, plan.updates_on_duplicate);
    let said = writer.total.iter().map(|(ok, _)| ok.last_insert_id).find(|id| *id != 0);
    let given = first_id == 0 && plan.placer.sequence.is_some();
    ok.last_insert_id = match (first_id, &plan.placer.sequence) {
        (0, None) => said.unwrap_or(0),
        // A given value is told to the client only, as what the data node says; not with ON
        // DUPLICATE KEY UPDATE.
        (0, Some(_)) if plan.updates_on_duplicate => 0,
        (0, Some(_)) if ok.affected_rows > 0 && !only_updated => last_given.unwrap_or(0),
        (first_id, _) => first_id,
    };
    writer.warnings.truncate(WARNINGS_MAX);
    exec.session.last.warnings = writer.warnings;
    Ok((ok, given))
}

fn row_values(columns: &[ColumnDefinition], record: &Record) -> Vec<SqlValue> {
    columns.iter().enumerate().map(|(at, column)| value_of(record.get(at), column)).collect()
}

/// The ids of all rows that take one, and the one that the last row gives by hand; those move the
/// sequence.
async fn take_ids(
    exec: &mut Exec<'_>,
    plan: &InsertSelectPlan,
    statement: &Statement<'_>,
    columns: &[ColumnDefinition],
    records: &[Record],
) -> Result<(VecDeque<u64>, Option<u64>), ExecError> {
    let Some(sequence) = &plan.placer.sequence else { return Ok(Default::default()) };
    let (mut needed, mut highest, mut last) = (0, None, None);
    for record in records {
        let row = row_values(columns, record);
        last = None;
        if plan.placer.needs_id(&row, statement.values.zero_is_a_value) {
            needed += 1;
        } else if let Some(given) = sequence.position.and_then(|at| row.get(at as usize)) {
            last = as_id(given).filter(|id| *id > 0);
            highest = highest.max(last);
        }
    }
    let schema = exec.schema(&plan.placer.schema)?;
    let of = &sequence.of;
    if let Some(highest) = highest {
        exec.sequences.move_past(exec.backends, schema, &of.table, highest).await?;
    }
    let mut ids = VecDeque::new();
    while needed > 0 {
        let now = IDS_AT_ONCE.min(needed);
        ids.extend(ids_of_rows(exec, plan, schema, of, now).await?);
        needed -= now;
    }
    Ok((ids, last))
}

/// So many ids. Where a row that has one of them already would be taken for one that is met, they
/// are fresh ones.
async fn ids_of_rows(
    exec: &Exec<'_>,
    plan: &InsertSelectPlan,
    schema: &Schema,
    of: &SequenceUse,
    count: u64,
) -> Result<Vec<u64>, ExecError> {
    let (sequences, backends) = (exec.sequences, exec.backends);
    match plan.verb == InsertVerb::Insert && !plan.updates_on_duplicate {
        true => sequences.take(backends, schema, &of.table, count, of.max).await,
        false => sequences.take_fresh(backends, schema, &of.table, count, of.max).await,
    }
}

/// `(literals)` of one row, the generated id in its place.
fn row_text(
    plan: &InsertSelectPlan,
    columns: &[ColumnDefinition],
    row: &[SqlValue],
    id: Option<u64>,
) -> Vec<u8> {
    let position = plan.placer.sequence.as_ref().and_then(|sequence| sequence.position);
    let appended = id.filter(|_| position.is_none());
    let mut text = vec![b'('];
    for (at, (value, column)) in row.iter().zip(columns).enumerate() {
        if at > 0 {
            text.push(b',');
        }
        match id {
            Some(id) if position.is_some_and(|position| position as usize == at) => {
                text.extend_from_slice(id.to_string().as_bytes());
            }
            _ => typed_literal::write(value, column, &mut text),
        }
    }
    if let Some(id) = appended {
        text.extend_from_slice(format!(",{id}").as_bytes());
    }
    text.push(b')');
    text
}

/// Rows on their way, by target.
struct Batches<'a> {
    plan: &'a InsertSelectPlan,
    statement: &'a Statement<'a>,
    open: BTreeMap<Target, (Vec<u32>, Vec<u8>)>,
    ready: Vec<Job>,
    /// The numbers of each ready job's rows.
    rows: Vec<Vec<u32>>,
    /// What was said of each part that counts, and of how many rows.
    total: Vec<(OkPacket, u64)>,
    warnings: Vec<Warning>,
}

impl Batches<'_> {
    fn add(
        &mut self,
        exec: &Exec<'_>,
        target: Target,
        number: u32,
        row: &[u8],
    ) -> Result<(), ExecError> {
        let (rows, text) = match self.open.entry(target) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(fresh) => {
                let head =
                    exec.render(&self.plan.head, &self.plan.tables, target, self.statement)?;
                fresh.insert((Vec::new(), head))
            }
        };
        if !rows.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(row);
        rows.push(number);
        if rows.len() >= BATCH_ROWS || text.len() >= BATCH_BYTES {
            self.end(exec, target)?;
        }
        Ok(())
    }

    fn end(&mut self, exec: &Exec<'_>, target: Target) -> Result<(), ExecError> {
        let Some((rows, mut text)) = self.open.remove(&target) else { return Ok(()) };
        text.extend(exec.render(&self.plan.tail, &self.plan.tables, target, self.statement)?);
        exec.session.touched.note(&self.plan.placer.schema, target.shard);
        let data_node = exec.data_node(&self.plan.placer.schema, target.shard)?;
        self.ready.push(Job { data_node, shard: target.shard, text });
        self.rows.push(rows);
        Ok(())
    }

    fn close(&mut self, exec: &Exec<'_>) -> Result<(), ExecError> {
        for target in self.open.keys().copied().collect::<Vec<_>>() {
            self.end(exec, target)?;
        }
        Ok(())
    }

    async fn send(&mut self, exec: &mut Exec<'_>) -> Result<(), ExecError> {
        let jobs = std::mem::take(&mut self.ready);
        let rows = std::mem::take(&mut self.rows);
        if jobs.is_empty() {
            return Ok(());
        }
        let tables = &self.plan.tables;
        let everywhere = matches!(self.plan.placer.home, InsertHome::Everywhere { .. });
        let told = Told { rows: Some(&rows), copies: everywhere, ..Told::default() };
        let oks = write::apply_each(exec, &jobs, &[jobs.len()], tables, &told).await?;
        for ((ok, job), rows) in oks.into_iter().zip(&jobs).zip(&rows) {
            // All copies do the same.
            if !everywhere || job.shard == 0 {
                self.total.push((ok, rows.len() as u64));
            }
        }
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.append(&mut exec.session.last.warnings);
        }
        Ok(())
    }
}
