//! The file cut into records, each written to the batch of its target. Memory is bounded: by what is
//! read and not yet cut, by open batches, by batches that wait for a connection.

use super::defaults::Defaults;
use super::evaluate;
use super::place::{Ids, Placed, Placer};
use super::senders::{Batch, Senders};
use super::{Done, ask};
use crate::error::{ExecError, sql};
use crate::exec::{Exec, Statement};
use crate::names::Names;
use base::id::DataNodeId;
use base::sql_error;
use node_backend::local_data::put_field;
use sql_plan::insert::InsertHome;
use sql_plan::load::records::{Field, Records, Step};
use sql_plan::load::{LoadPlan, SplitLoad};
use std::collections::BTreeMap;
use std::rc::Rc;
use topology::algorithm::{SqlValue, Target};

/// A target's batch is sent when it has so many bytes …
const BATCH_BYTES_MAX: usize = 512 * 1024;
/// … the first one with so many, each then with twice as many: data nodes shall not wait long for
/// their first records.
const BATCH_BYTES_FIRST: usize = 64 * 1024;
/// … or so many records.
const BATCH_ROWS: usize = 32 * 1024;
/// All open batches together; the largest is sent when they pass this.
const OPEN_BYTES_MAX: usize = 16 << 20;
/// Records whose computed values are asked for at once.
const EVALUATED_AT_ONCE: usize = 200;

/// Runs the load in a transaction: the session's, or one of its own.
pub(super) async fn run(
    exec: &mut Exec<'_>,
    plan: &LoadPlan,
    split: &SplitLoad,
    statement: &Statement<'_>,
) -> Result<Done, ExecError> {
    let own = exec.session.transaction.is_none();
    if own {
        let options = exec.session.transaction_options.clone();
        exec.session.transaction =
            Some(exec.session.new_transaction(exec.is_distributed(), options));
    }
    let outcome = load(exec, plan, split, statement, !own).await;
    if own && let Some(transaction) = exec.session.transaction.take() {
        match &outcome {
            Ok(_) => transaction.commit().await?,
            Err(_) => transaction.rollback().await,
        }
    }
    outcome
}

async fn load(
    exec: &mut Exec<'_>,
    plan: &LoadPlan,
    split: &SplitLoad,
    statement: &Statement<'_>,
    savepoint: bool,
) -> Result<Done, ExecError> {
    let names = Names::of(&plan.tables);
    ask(exec, &plan.file).await?;
    let mut job = Job {
        plan,
        split,
        statement,
        names,
        senders: Senders::new(savepoint),
        targets: BTreeMap::new(),
        open_bytes: 0,
        row: 0,
        pending: Vec::new(),
        placer: Placer { plan, split, defaults: Defaults::default(), ids: Ids::default() },
        variables: None,
    };
    for (number, text) in &split.notes {
        job.senders.warnings.push(0, *number, text.clone());
    }
    let outcome = job.all(exec).await;
    let Job { senders, placer, variables, .. } = job;
    let (mut counts, warnings) = senders.close(exec, names, outcome).await?;
    counts.warnings += split.notes.len() as u64 + placer.ids.warnings;
    Ok(Done { counts, warnings: warnings.first(), first_id: placer.ids.first, variables })
}

/// A record that waits for its computed values.
struct Waiting {
    row: u64,
    fields: Vec<Option<Vec<u8>>>,
    is_too_long: bool,
}

/// A target's open batch.
struct Open {
    data_node: DataNodeId,
    sql: Rc<Vec<u8>>,
    data: Vec<u8>,
    rows: Vec<u64>,
    /// It is sent at this length.
    bytes_max: usize,
}

struct Job<'j> {
    plan: &'j LoadPlan,
    split: &'j SplitLoad,
    statement: &'j Statement<'j>,
    names: Names<'j>,
    senders: Senders,
    targets: BTreeMap<Target, Open>,
    open_bytes: usize,
    row: u64,
    pending: Vec<Waiting>,
    placer: Placer<'j>,
    variables: Option<Vec<Option<Vec<u8>>>>,
}

impl Job<'_> {
    /// Reads the file to its end and gives everything out.
    async fn all(&mut self, exec: &mut Exec<'_>) -> Result<(), ExecError> {
        let split = self.split;
        let mut records = Records::new(split.format.clone(), split.width, split.skip_lines);
        let upload = exec.session.upload.clone();
        let record_max = exec.settings.packet_bytes_max;
        let mut buffer: Vec<u8> = Vec::new();
        // A record that is longer than the buffer is looked at again when twice as much is here.
        let mut look_at = 0;
        loop {
            let piece = tokio::select! {
                biased;
                () = self.senders.step(self.names), if self.senders.is_busy() => {
                    if self.senders.has_failed() {
                        return Ok(());
                    }
                    continue;
                }
                piece = upload.next(), if !self.senders.is_full() => piece,
            };
            let at_end = piece.is_none();
            buffer.extend_from_slice(&piece.unwrap_or_default());
            if buffer.len() < look_at && !at_end {
                continue;
            }
            let used = self.cut(exec, &mut records, &buffer, at_end).await?;
            buffer.drain(..used);
            look_at = if used == 0 { 2 * buffer.len() } else { 0 };
            if buffer.len() > record_max {
                return Err(sql(
                    sql_error::PACKET_TOO_LARGE,
                    "A record of the file is bigger than 'max_allowed_packet' bytes",
                ));
            }
            if at_end {
                break;
            }
        }
        self.evaluate_pending(exec).await?;
        for target in self.targets.keys().copied().collect::<Vec<_>>() {
            self.flush(exec, target).await?;
        }
        self.placer.ids.close(exec, self.plan, self.split).await?;
        while self.senders.is_busy() && !self.senders.has_failed() {
            self.senders.step(self.names).await;
        }
        Ok(())
    }

    /// Takes all whole records off the front of the buffer and says how many bytes they were.
    async fn cut(
        &mut self,
        exec: &mut Exec<'_>,
        records: &mut Records,
        buffer: &[u8],
        at_end: bool,
    ) -> Result<usize, ExecError> {
        let mut used = 0;
        loop {
            match records.next(&buffer[used..], at_end) {
                Step::NeedMore => break,
                Step::End => return Ok(buffer.len()),
                Step::Skipped { len } => used += len,
                Step::Record { len } => {
                    used += len;
                    self.row += 1;
                    self.record(exec, records).await?;
                }
            }
        }
        Ok(used)
    }

    async fn record(&mut self, exec: &mut Exec<'_>, records: &Records) -> Result<(), ExecError> {
        if !self.plan.variables.is_empty() {
            let value = |field| match records.field(field) {
                Some(Field::Text(text)) => Some(text.to_vec()),
                _ => None,
            };
            self.variables = Some(self.plan.variables.iter().map(|one| value(one.field)).collect());
        }
        if self.split.evaluation.is_empty() {
            let fields: Vec<Field<'_>> = records.fields().collect();
            return self.place(exec, self.row, &fields, records.is_too_long(), &[]).await;
        }
        let owned = |field| match field {
            Field::Null => None,
            Field::Text(text) => Some(text.to_vec()),
        };
        self.pending.push(Waiting {
            row: self.row,
            fields: records.fields().map(owned).collect(),
            is_too_long: records.is_too_long(),
        });
        if self.pending.len() >= EVALUATED_AT_ONCE {
            self.evaluate_pending(exec).await?;
        }
        Ok(())
    }

    async fn evaluate_pending(&mut self, exec: &mut Exec<'_>) -> Result<(), ExecError> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return Ok(());
        }
        let records: Vec<&[Option<Vec<u8>>]> =
            pending.iter().map(|waiting| waiting.fields.as_slice()).collect();
        let values = evaluate::all(exec, self.plan, self.split, self.statement, &records).await?;
        for (waiting, values) in pending.iter().zip(&values) {
            let fields: Vec<Field<'_>> = waiting
                .fields
                .iter()
                .map(|field| field.as_deref().map_or(Field::Null, Field::Text))
                .collect();
            self.place(exec, waiting.row, &fields, waiting.is_too_long, values).await?;
        }
        Ok(())
    }

    /// Writes a record to the batch of its target.
    async fn place(
        &mut self,
        exec: &mut Exec<'_>,
        row: u64,
        fields: &[Field<'_>],
        is_too_long: bool,
        evaluated: &[(SqlValue, Option<Vec<u8>>)],
    ) -> Result<(), ExecError> {
        let placed = self
            .placer
            .place(exec, self.statement, row, fields, evaluated, &mut self.senders.warnings)
            .await?;
        let Placed { target, given } = placed;
        if !self.targets.contains_key(&target) {
            let open = self.open(exec, target)?;
            self.targets.insert(target, open);
        }
        let open = self.targets.get_mut(&target).expect("it was just put there");
        let before = open.data.len();
        write_record(&given, fields, self.split.left_out, is_too_long, &mut open.data);
        open.rows.push(row);
        self.open_bytes += open.data.len() - before;
        if open.data.len() >= open.bytes_max || open.rows.len() >= BATCH_ROWS {
            self.flush(exec, target).await?;
        } else if self.open_bytes > OPEN_BYTES_MAX {
            let largest = self.targets.iter().max_by_key(|(_, open)| open.data.len());
            if let Some(target) = largest.map(|(target, _)| *target) {
                self.flush(exec, target).await?;
            }
        }
        Ok(())
    }

    fn open(&self, exec: &mut Exec<'_>, target: Target) -> Result<Open, ExecError> {
        let data_node = exec.data_node(&self.plan.schema, target.shard)?;
        exec.claim_shards(std::iter::once((&data_node, target.shard)))?;
        exec.session.touched.note(&self.plan.schema, target.shard);
        let sql = exec.render(&self.split.text, &self.plan.tables, target, self.statement)?;
        let (data, rows) = (Vec::new(), Vec::new());
        Ok(Open { data_node, sql: Rc::new(sql), data, rows, bytes_max: BATCH_BYTES_FIRST })
    }

    /// Gives a target's batch to its data node; one of a broadcast table to all.
    async fn flush(&mut self, exec: &mut Exec<'_>, target: Target) -> Result<(), ExecError> {
        let Some(open) = self.targets.get_mut(&target) else { return Ok(()) };
        if open.rows.is_empty() {
            return Ok(());
        }
        let data = Rc::new(std::mem::take(&mut open.data));
        let rows = Rc::new(std::mem::take(&mut open.rows));
        open.bytes_max = (2 * open.bytes_max).min(BATCH_BYTES_MAX);
        self.open_bytes -= data.len();
        let sql = open.sql.clone();
        let node = open.data_node.clone();
        let batch = Batch { sql, data: data.clone(), rows: rows.clone(), counts: true };
        self.senders.give(exec, &node, batch).await?;
        if let InsertHome::Everywhere { shards } = self.split.home {
            for shard in 1..shards {
                let Open { data_node, sql, .. } = self.open(exec, Target { shard, suffix: 0 })?;
                let batch = Batch { sql, data: data.clone(), rows: rows.clone(), counts: false };
                self.senders.give(exec, &data_node, batch).await?;
            }
        }
        Ok(())
    }
}

/// A record as the targets read it: given values first, then its fields, and one more where its line
/// was too long, so that the data node says so.
fn write_record(
    given: &[Option<Vec<u8>>],
    fields: &[Field<'_>],
    left_out: Option<usize>,
    is_too_long: bool,
    out: &mut Vec<u8>,
) {
    let mut first = true;
    let mut put = |field: Option<&[u8]>| {
        if !std::mem::take(&mut first) {
            out.push(b'\t');
        }
        put_field(field, out);
    };
    given.iter().for_each(|value| put(value.as_deref()));
    for (at, field) in fields.iter().enumerate() {
        if left_out != Some(at) {
            match field {
                Field::Null => put(None),
                Field::Text(text) => put(Some(text)),
            }
        }
    }
    if is_too_long {
        put(Some(b"x"));
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_their_form() {
        let fields = [Field::Text(b"a\tb"), Field::Null, Field::Text(b"")];
        let mut out = Vec::new();
        write_record(&[], &fields, None, false, &mut out);
        write_record(&[Some(b"7".to_vec()), None], &fields, Some(1), true, &mut out);
        write_record(&[Some(b"8".to_vec())], &fields[..1], Some(0), false, &mut out);
        assert_eq!(out, b"a\\tb\t\\N\t\n7\t\\N\ta\\tb\t\tx\n8\n");
    }
}
