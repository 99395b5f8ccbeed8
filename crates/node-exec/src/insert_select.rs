//! INSERT and REPLACE of a query's rows: the rows stream in, each is placed, and full batches go out
//! to their shards. Everything happens in one transaction, the statement's own outside of one.

use crate::collect::{self, Collected};
use crate::error::{ExecError, sql};
use crate::exec::{Exec, Statement};
use crate::insert::value_of;
use crate::streams::Job;
use crate::write::{self, Count};
use base::sql_error;
use mysql_wire::packet::OkPacket;
use sql_plan::insert::{InsertHome, InsertSelectPlan};
use sql_plan::plan::RowKind;
use sql_plan::value::write_literal;
use std::collections::BTreeMap;
use topology::algorithm::{SqlValue, Target};

/// A target's rows are sent when they are so many …
const BATCH_ROWS: usize = 500;

/// … or their text is so long.
const BATCH_BYTES: usize = 512 * 1024;

/// Runs an INSERT of a query's rows.
pub async fn run(
    exec: &mut Exec<'_>,
    plan: &InsertSelectPlan,
    statement: &Statement<'_>,
) -> Result<(), ExecError> {
    debug_assert!(plan.source.kind == RowKind::Read, "the source of an INSERT is a query");
    let own = exec.session.transaction.is_none();
    if own {
        let options = exec.session.transaction_options.clone();
        exec.session.transaction =
            Some(exec.session.new_transaction(exec.is_distributed(), options));
    }
    let outcome = copy(exec, plan, statement).await;
    if own && let Some(transaction) = exec.session.transaction.take() {
        match &outcome {
            Ok(_) => transaction.commit().await?,
            Err(_) => transaction.rollback().await,
        }
    }
    let ok = outcome?;
    exec.reply_ok(ok);
    Ok(())
}

async fn copy(
    exec: &mut Exec<'_>,
    plan: &InsertSelectPlan,
    statement: &Statement<'_>,
) -> Result<OkPacket, ExecError> {
    // The rows are read to the end first: their connections are the transaction's, and the writes
    // need them.
    let Collected { columns, records } = collect::query(exec, &plan.source, statement).await?;
    // The query has assigned what is assigned.
    exec.session.read_back = None;
    if columns.len() != plan.placer.width as usize && !records.is_empty() {
        return Err(sql(
            sql_error::VALUE_COUNT_MISMATCH,
            "Column count doesn't match value count at row 1",
        ));
    }
    let mut writer = Batches {
        plan,
        statement,
        open: BTreeMap::new(),
        ready: Vec::new(),
        total: OkPacket::default(),
    };
    let mut first_id = 0;
    let mut values = Vec::new();
    for record in &records {
        values.clear();
        values.extend(
            columns.iter().enumerate().map(|(at, column)| value_of(record.get(at), column)),
        );
        let id = next_id(exec, plan, statement, &values).await?;
        if first_id == 0 {
            first_id = id.unwrap_or(0);
        }
        let text = row_text(plan, &values, id);
        for target in plan.placer.place(&values, id)? {
            writer.add(exec, target, &text)?;
        }
        if writer.ready.len() >= BATCH_ROWS {
            writer.send(exec).await?;
        }
    }
    writer.close(exec)?;
    writer.send(exec).await?;
    let mut ok = writer.total;
    if let InsertHome::Everywhere { shards } = plan.placer.home {
        ok.affected_rows /= u64::from(shards.max(1));
    }
    if plan.placer.sequence.is_some() {
        ok.last_insert_id = first_id;
    }
    ok.info = format!("Records: {}  Duplicates: 0  Warnings: {}", records.len(), ok.warnings)
        .into_bytes();
    Ok(ok)
}

async fn next_id(
    exec: &mut Exec<'_>,
    plan: &InsertSelectPlan,
    statement: &Statement<'_>,
    row: &[SqlValue],
) -> Result<Option<u64>, ExecError> {
    let Some(sequence) = &plan.placer.sequence else { return Ok(None) };
    if !plan.placer.needs_id(row, statement.values.zero_is_a_value) {
        let given = sequence.position.and_then(|at| row.get(at as usize));
        if let Some(SqlValue::Integer(given)) = given
            && let Ok(given) = u64::try_from(*given)
        {
            let schema = exec.schema(&plan.placer.schema)?;
            exec.sequences.move_past(exec.backends, schema, &sequence.of.table, given).await?;
        }
        return Ok(None);
    }
    let schema = exec.schema(&plan.placer.schema)?;
    let ids =
        exec.sequences.take(exec.backends, schema, &sequence.of.table, 1, sequence.of.max).await?;
    Ok(ids.first().copied())
}

/// `(literals)` of one row, the generated id in its place.
fn row_text(plan: &InsertSelectPlan, row: &[SqlValue], id: Option<u64>) -> Vec<u8> {
    let position = plan.placer.sequence.as_ref().and_then(|sequence| sequence.position);
    let appended = id.filter(|_| position.is_none());
    let mut text = vec![b'('];
    for (at, value) in row.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        match id {
            Some(id) if position.is_some_and(|position| position as usize == at) => {
                text.extend_from_slice(id.to_string().as_bytes());
            }
            _ => write_literal(value, &mut text),
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
    open: BTreeMap<Target, (usize, Vec<u8>)>,
    ready: Vec<Job>,
    total: OkPacket,
}

impl Batches<'_> {
    fn add(&mut self, exec: &Exec<'_>, target: Target, row: &[u8]) -> Result<(), ExecError> {
        let (rows, text) = match self.open.entry(target) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(fresh) => {
                let head =
                    exec.render(&self.plan.head, &self.plan.tables, target, self.statement)?;
                fresh.insert((0, head))
            }
        };
        if *rows > 0 {
            text.push(b',');
        }
        text.extend_from_slice(row);
        *rows += 1;
        if *rows >= BATCH_ROWS || text.len() >= BATCH_BYTES {
            self.end(exec, target)?;
        }
        Ok(())
    }

    fn end(&mut self, exec: &Exec<'_>, target: Target) -> Result<(), ExecError> {
        let Some((_, mut text)) = self.open.remove(&target) else { return Ok(()) };
        text.extend(exec.render(&self.plan.tail, &self.plan.tables, target, self.statement)?);
        exec.session.touched.note(&self.plan.placer.schema, target.shard);
        let data_node = exec.data_node(&self.plan.placer.schema, target.shard)?;
        self.ready.push(Job { data_node, shard: target.shard, text });
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
        if jobs.is_empty() {
            return Ok(());
        }
        let ok = write::apply(exec, &jobs, Count::Sum, &self.plan.tables).await?;
        self.total.affected_rows += ok.affected_rows;
        if self.total.last_insert_id == 0 {
            self.total.last_insert_id = ok.last_insert_id;
        }
        self.total.warnings = self.total.warnings.saturating_add(ok.warnings);
        Ok(())
    }
}
