//! What a change over temporary tables did, row by row, and how that is written to the shards: rows
//! that go or whose keys change are deleted first, then rows change where they are, then rows come,
//! so that keys that are swapped or moved between shards do not meet.

use super::bench::{Originals, quote, store_state, stored, values};
use super::referred::referred;
use crate::error::{ExecError, deadlock, sql};
use crate::exec::Exec;
use crate::streams::Job;
use crate::write::{self, Count};
use base::sql_error;
use mysql_wire::column::ColumnDefinition;
use node_backend::query::Row;
use sql_plan::insert::{InsertHome, as_id};
use sql_plan::plan::PlanTable;
use sql_plan::scratch_write::Written;
use sql_plan::value::write_literal;
use std::collections::BTreeMap;
use std::sync::Arc;
use topology::algorithm::{SqlValue, Target};

/// Rows of one DELETE by key.
const DELETE_ROWS: usize = 200;

/// Rows of one INSERT.
const INSERT_ROWS: usize = 500;

/// An INSERT is sent when its text is so long.
const INSERT_BYTES: usize = 512 * 1024;

/// The savepoint before a difference is written, in a client's transaction.
const SAVEPOINT: &str = "`_ddm_difference`";

/// A data node's error for a savepoint that its branch does not have.
const NO_SUCH_SAVEPOINT: u16 = 1305;

/// Rows of another table refer to the row, or the row refers to none.
const PARENT_ROW: u16 = 1451;
const CHILD_ROW: u16 = 1452;

type Values = Vec<SqlValue>;

/// What became of the rows of one table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Difference {
    /// Rows that are gone, with where they were.
    gone: Vec<(Target, Values)>,
    /// Rows that change where they are: before and after.
    changed: Vec<(Target, Values, Values)>,
    /// Rows whose unique values or places change.
    rekeyed: Vec<Rekeyed>,
    /// Rows that come, with where they belong.
    added: Vec<(Target, Values)>,
    /// Rows that go to another shard one by one; the others are in `gone` and `added`.
    moved: Vec<Rekeyed>,
    /// A row that a foreign key does not let change stays as it was.
    ignores: bool,
}

/// A row that gets another key.
#[derive(Clone, Debug)]
struct Rekeyed {
    from: Target,
    to: Target,
    old: Values,
    new: Values,
}

impl Difference {
    /// Compares the rows before with those after (`after` has each row's number behind its values).
    pub fn of(
        written: &Written,
        before: &Originals,
        columns: &[ColumnDefinition],
        after: &[Row],
    ) -> Result<Difference, ExecError> {
        let mut difference = Difference::default();
        let mut next = 0;
        for row in after {
            let number = row.get(written.columns.len()).map(number);
            let Some(number) = number.transpose()? else {
                let new = values(row, columns);
                difference.added.push((first_place(written, &new)?, new));
                continue;
            };
            for (target, old) in before.rows.get(next..number).unwrap_or_default() {
                difference.gone.push((*target, values(old, &before.columns)));
            }
            next = number + 1;
            let (target, old) = before.rows.get(number).ok_or_else(strange)?;
            if row.payload().starts_with(old.payload()) {
                continue;
            }
            let (old, mut new) = (values(old, &before.columns), values(row, columns));
            new.truncate(written.columns.len());
            difference.change(written, *target, old, new)?;
        }
        for (target, old) in before.rows.get(next..).unwrap_or_default() {
            difference.gone.push((*target, values(old, &before.columns)));
        }
        Ok(difference)
    }

    fn change(
        &mut self,
        written: &Written,
        target: Target,
        old: Values,
        new: Values,
    ) -> Result<(), ExecError> {
        let differs = |at: usize| old.get(at) != new.get(at);
        let moves = written.key_columns().flatten().any(differs);
        let place = if moves { first_place(written, &new)? } else { target };
        let rekeyed = (0..written.columns.len()).any(|at| written.is_unique(at) && differs(at));
        let single = matches!(written.home, InsertHome::Shard { .. });
        // What refers to a row of a single table must not see it go.
        if place != target || (rekeyed && !single) {
            self.rekeyed.push(Rekeyed { from: target, to: place, old, new });
        } else {
            self.changed.push((target, old, new));
        }
        Ok(())
    }

    /// Generated ids go on above those that rows got.
    pub async fn move_sequence(
        &self,
        exec: &Exec<'_>,
        schema: &str,
        written: &Written,
    ) -> Result<(), ExecError> {
        let Some((table, place)) = &written.sequence else { return Ok(()) };
        let changed = self.changed.iter().filter(|(_, old, new)| old[*place] != new[*place]);
        let new = changed.map(|(_, _, new)| new).chain(self.added.iter().map(|(_, new)| new));
        let new = new.chain(self.rekeyed.iter().map(|row| &row.new));
        let highest = new.filter_map(|row| as_id(&row[*place])).max();
        let old = self.rekeyed.iter().map(|row| &row.old);
        let old = old.chain(self.gone.iter().map(|(_, row)| row));
        let old = old.filter_map(|row| as_id(&row[*place])).max();
        match highest {
            Some(highest) if highest > old.unwrap_or(0) => {
                let schema = exec.schema(schema)?;
                exec.sequences.move_past(exec.backends, schema, table, highest).await
            }
            _ => Ok(()),
        }
    }

    /// UPDATE IGNORE: what a foreign key forbids is left undone, where no copy can differ by it.
    pub fn let_rows_stay(&mut self, written: &Written) {
        self.ignores = !matches!(written.home, InsertHome::Everywhere { .. });
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty()
            && self.changed.is_empty()
            && self.rekeyed.is_empty()
            && self.added.is_empty()
    }

    /// Says how rows with another key are written: as rows that go and come, except where others
    /// refer to the table by foreign keys, which must see a change.
    async fn settle(
        &mut self,
        exec: &Exec<'_>,
        table: &PlanTable,
        one_by_one: bool,
    ) -> Result<(), ExecError> {
        if self.rekeyed.is_empty() {
            return Ok(());
        }
        let referred = referred(exec, table).await?;
        for Rekeyed { from, to, old, new } in std::mem::take(&mut self.rekeyed) {
            if from == to && referred.by_any {
                self.changed.push((from, old, new));
                continue;
            }
            if referred.acts {
                return Err(sql(
                    sql_error::NOT_SUPPORTED,
                    format!(
                        "a row of table '{}' cannot move to another shard: a foreign key with ON \
                         DELETE CASCADE or SET NULL refers to it; insert the new row, change what \
                         refers to the old one, then delete that",
                        table.name
                    ),
                ));
            }
            if one_by_one && from != to {
                self.moved.push(Rekeyed { from, to, old, new });
                continue;
            }
            self.gone.push((from, old));
            self.added.push((to, new));
        }
        Ok(())
    }
}

fn number(text: &[u8]) -> Result<usize, ExecError> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(strange)
}

fn strange() -> ExecError {
    sql(sql_error::UNKNOWN_ERROR, "a temporary table gave a row that was not put there")
}

/// Where a row belongs; the first of all copies.
fn first_place(written: &Written, row: &[SqlValue]) -> Result<Target, ExecError> {
    written.place(row)?.first().copied().ok_or_else(strange)
}

/// Writes the differences of a statement's tables to the shards, all or none. How many rows stay as
/// they were ([`Difference::let_rows_stay`]).
pub(crate) async fn apply(
    exec: &mut Exec<'_>,
    tables: &[PlanTable],
    parts: &mut [(PlanTable, &Written, Difference)],
) -> Result<u64, ExecError> {
    if parts.iter().all(|(_, _, difference)| difference.is_empty()) {
        return Ok(0);
    }
    let client = exec.session.state.clone();
    exec.session.state = Arc::new(store_state(&client));
    let outcome = settle_and_write(exec, tables, parts).await;
    exec.session.state = client;
    outcome
}

async fn settle_and_write(
    exec: &mut Exec<'_>,
    tables: &[PlanTable],
    parts: &mut [(PlanTable, &Written, Difference)],
) -> Result<u64, ExecError> {
    let ignores = parts.iter().any(|(_, _, difference)| difference.ignores);
    let unsettled: Vec<Difference> = match ignores {
        true => parts.iter().map(|(_, _, difference)| difference.clone()).collect(),
        false => Vec::new(),
    };
    for (table, _, difference) in parts.iter_mut() {
        difference.settle(exec, table, false).await?;
    }
    match all_or_none(exec, tables, parts, false).await {
        Err(error) if ignores && is_foreign_key(&error) => {}
        done => return done,
    }
    for ((table, _, difference), unsettled) in parts.iter_mut().zip(unsettled) {
        *difference = unsettled;
        difference.settle(exec, table, true).await?;
    }
    all_or_none(exec, tables, parts, true).await
}

/// Whether a foreign key forbids what was tried.
fn is_foreign_key(error: &ExecError) -> bool {
    matches!(error.server_number(), Some(PARENT_ROW | CHILD_ROW))
}

async fn all_or_none(
    exec: &mut Exec<'_>,
    tables: &[PlanTable],
    parts: &[(PlanTable, &Written, Difference)],
    one_by_one: bool,
) -> Result<u64, ExecError> {
    begin_part(exec).await?;
    let outcome = async {
        let mut left = 0;
        for (table, written, difference) in parts {
            let writer = Writer { table, written };
            let deletes = writer.deletes(exec, difference)?;
            run(exec, tables, &deletes, writer.exact(difference.gone.len())).await?;
            let updates = writer.updates(exec, difference)?;
            if !one_by_one {
                run(exec, tables, &updates, None).await?;
                continue;
            }
            for update in &updates {
                let done = run_if_allowed(exec, tables, std::slice::from_ref(update)).await?;
                left += u64::from(!done);
            }
            left += writer.move_rows(exec, tables, difference).await?;
        }
        for (table, written, difference) in parts {
            let inserts = Writer { table, written }.inserts(exec, difference)?;
            run(exec, tables, &inserts, None).await?;
        }
        Ok(left)
    }
    .await;
    end_part(exec, outcome).await
}

/// Runs what a foreign key may forbid; whether it did not.
async fn run_if_allowed(
    exec: &mut Exec<'_>,
    tables: &[PlanTable],
    jobs: &[Job],
) -> Result<bool, ExecError> {
    match run(exec, tables, jobs, None).await {
        Err(error) if is_foreign_key(&error) => Ok(false),
        done => done.map(|()| true),
    }
}

/// A point to come back to, when the rest of a statement fails.
pub(crate) async fn begin_part(exec: &mut Exec<'_>) -> Result<(), ExecError> {
    match &mut exec.session.transaction {
        Some(transaction) => transaction.savepoint(SAVEPOINT).await,
        None => Ok(()),
    }
}

/// Keeps what was done since [`begin_part`], or takes it back after an error.
pub(crate) async fn end_part<T>(
    exec: &mut Exec<'_>,
    outcome: Result<T, ExecError>,
) -> Result<T, ExecError> {
    let Some(transaction) = &mut exec.session.transaction else { return outcome };
    if outcome.as_ref().is_err_and(|error| transaction.is_gone_after(error)) {
        return outcome;
    }
    let mut ended = Ok(());
    if outcome.is_err() {
        ended = transaction.rollback_to(SAVEPOINT).await;
    }
    if ended.is_ok() {
        ended = transaction.release(SAVEPOINT).await;
    }
    match ended {
        Ok(()) => outcome,
        Err(error) if error.server_number() == Some(NO_SUCH_SAVEPOINT) => {
            Err(give_up(exec, outcome.err()).await)
        }
        Err(error) => Err(error),
    }
}

/// A data node has rolled its branch back beside the error that was told (a deadlock of another part):
/// nothing of the transaction can be kept.
async fn give_up(exec: &mut Exec<'_>, told: Option<ExecError>) -> ExecError {
    let told = told.and_then(|error| error.server_number());
    tracing::info!(?told, "a branch was rolled back by its data node; the transaction is given up");
    if let Some(transaction) = exec.session.transaction.take() {
        transaction.rollback().await;
    }
    deadlock()
}

async fn run(
    exec: &mut Exec<'_>,
    tables: &[PlanTable],
    jobs: &[Job],
    rows: Option<u64>,
) -> Result<(), ExecError> {
    if jobs.is_empty() {
        return Ok(());
    }
    let ok = write::apply(exec, jobs, Count::Sum, tables).await?;
    match rows {
        Some(rows) if rows != ok.affected_rows => Err(sql(
            sql_error::UNKNOWN_ERROR,
            format!("{} of {rows} locked rows were found again", ok.affected_rows),
        )),
        _ => Ok(()),
    }
}

/// Writes one table's rows as statements.
struct Writer<'w> {
    table: &'w PlanTable,
    written: &'w Written,
}

impl Writer<'_> {
    /// How many rows a DELETE of so many rows must find; copies may differ already.
    fn exact(&self, rows: usize) -> Option<u64> {
        match self.written.home {
            InsertHome::Everywhere { .. } => None,
            _ => u64::try_from(rows).ok(),
        }
    }

    fn name(&self, target: Target) -> String {
        let database = quote(&self.table.physical_database(target));
        format!("{database}.{}", quote(&self.table.physical_name(target)))
    }

    /// The statement for a target, or for all copies.
    fn jobs(
        &self,
        exec: &Exec<'_>,
        target: Target,
        text: &dyn Fn(&str) -> Vec<u8>,
        jobs: &mut Vec<Job>,
    ) -> Result<(), ExecError> {
        let targets = match self.written.home {
            InsertHome::Everywhere { shards } => 0..shards,
            _ => target.shard..target.shard + 1,
        };
        for shard in targets {
            let target = Target { shard, ..target };
            exec.session.touched.note(&self.table.schema, shard);
            let data_node = exec.data_node(&self.table.schema, shard)?;
            jobs.push(Job { data_node, shard, text: text(&self.name(target)) });
        }
        Ok(())
    }

    fn deletes(&self, exec: &Exec<'_>, difference: &Difference) -> Result<Vec<Job>, ExecError> {
        let mut by_target: BTreeMap<Target, Vec<&Values>> = BTreeMap::new();
        for (target, row) in &difference.gone {
            by_target.entry(*target).or_default().push(row);
        }
        let (size, limit) = match self.written.primary_key.is_empty() {
            true => (1, " LIMIT 1"),
            false => (DELETE_ROWS, ""),
        };
        let mut jobs = Vec::new();
        for (target, rows) in by_target {
            for chunk in rows.chunks(size) {
                let conditions: Vec<Vec<u8>> =
                    chunk.iter().map(|row| self.condition(row)).collect();
                let condition = conditions.join(&b" OR "[..]);
                let text = |name: &str| {
                    let head = format!("DELETE FROM {name} WHERE ");
                    [head.as_bytes(), &condition, limit.as_bytes()].concat()
                };
                self.jobs(exec, target, &text, &mut jobs)?;
            }
        }
        Ok(jobs)
    }

    fn updates(&self, exec: &Exec<'_>, difference: &Difference) -> Result<Vec<Job>, ExecError> {
        let mut jobs = Vec::new();
        for (target, old, new) in &difference.changed {
            let mut set = Vec::new();
            for (at, name) in stored(self.written).filter(|(at, _)| old.get(*at) != new.get(*at)) {
                set.extend_from_slice(if set.is_empty() { b" SET " } else { b", " });
                set.extend_from_slice(format!("{} = ", quote(name)).as_bytes());
                write_literal(&new[at], &mut set);
            }
            if set.is_empty() {
                continue;
            }
            let condition = self.condition(old);
            let limit = if self.written.primary_key.is_empty() { " LIMIT 1" } else { "" };
            let text = |name: &str| {
                let head = format!("UPDATE {name}");
                [head.as_bytes(), &set, b" WHERE ", &condition, limit.as_bytes()].concat()
            };
            self.jobs(exec, *target, &text, &mut jobs)?;
        }
        Ok(jobs)
    }

    fn inserts(&self, exec: &Exec<'_>, difference: &Difference) -> Result<Vec<Job>, ExecError> {
        let names: Vec<String> = stored(self.written).map(|(_, name)| quote(name)).collect();
        let columns = format!(" ({}) VALUES ", names.join(","));
        let mut by_target: BTreeMap<Target, Vec<&Values>> = BTreeMap::new();
        for (target, row) in &difference.added {
            by_target.entry(*target).or_default().push(row);
        }
        let mut jobs = Vec::new();
        for (target, rows) in by_target {
            let mut list = Vec::new();
            let mut count = 0;
            for (at, row) in rows.iter().enumerate() {
                if !list.is_empty() {
                    list.push(b',');
                }
                let given = stored(self.written).map(|(place, _)| &row[place]);
                super::bench::put_row(given, &mut list);
                count += 1;
                if count >= INSERT_ROWS || list.len() > INSERT_BYTES || at + 1 == rows.len() {
                    let text = |name: &str| {
                        let head = format!("INSERT INTO {name}{columns}");
                        [head.as_bytes(), &list].concat()
                    };
                    self.jobs(exec, target, &text, &mut jobs)?;
                    list.clear();
                    count = 0;
                }
            }
        }
        Ok(jobs)
    }

    /// Rows go to other shards one by one, where foreign keys let them; how many stay.
    async fn move_rows(
        &self,
        exec: &mut Exec<'_>,
        tables: &[PlanTable],
        difference: &Difference,
    ) -> Result<u64, ExecError> {
        let mut left = 0;
        for Rekeyed { from, to, old, new } in &difference.moved {
            let comes = Difference { added: vec![(*to, new.clone())], ..Difference::default() };
            let goes = Difference { gone: vec![(*from, old.clone())], ..Difference::default() };
            let insert = self.inserts(exec, &comes)?;
            if !run_if_allowed(exec, tables, &insert).await? {
                left += 1;
                continue;
            }
            let delete = self.deletes(exec, &goes)?;
            match run(exec, tables, &delete, self.exact(1)).await {
                // What refers to the row keeps it: the other one goes again.
                Err(error) if is_foreign_key(&error) => {
                    let back = Difference { gone: comes.added, ..Difference::default() };
                    run(exec, tables, &self.deletes(exec, &back)?, self.exact(1)).await?;
                    left += 1;
                }
                done => done?,
            }
        }
        Ok(left)
    }

    /// `(key = value AND …)`: the row, by its primary key, or by all it has.
    fn condition(&self, row: &[SqlValue]) -> Vec<u8> {
        let columns = &self.written.columns;
        let mut out = Vec::new();
        let all: Vec<usize> = match self.written.primary_key.as_slice() {
            [] => stored(self.written).map(|(place, _)| place).collect(),
            key => key.to_vec(),
        };
        let by_key = !self.written.primary_key.is_empty();
        for at in all {
            out.extend_from_slice(if out.is_empty() { b"(" } else { b" AND " });
            let name = quote(&columns[at].name);
            let value = &row[at];
            match value {
                SqlValue::Null => out.extend_from_slice(format!("{name} IS NULL").as_bytes()),
                // Texts that a collation holds for equal are not the same row.
                SqlValue::Text(text) if !by_key => {
                    let left = format!("CAST(CONVERT({name} USING utf8mb4) AS BINARY) <=> ");
                    out.extend_from_slice(left.as_bytes());
                    write_literal(&SqlValue::Binary(text.clone()), &mut out);
                }
                SqlValue::Binary(_) if !by_key => {
                    out.extend_from_slice(format!("CAST({name} AS BINARY) <=> ").as_bytes());
                    write_literal(value, &mut out);
                }
                _ => {
                    out.extend_from_slice(&Written::exchange(&columns[at]));
                    out.extend_from_slice(b" = ");
                    write_literal(value, &mut out);
                }
            }
        }
        out.push(b')');
        out
    }
}
