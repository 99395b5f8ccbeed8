//! Loading: the temporary tables are made, then filled in an order that lets small loads make large
//! ones smaller. What is small is found out by asking for a bounded number of rows first.

use super::reduce::{Loaded, VALUES_MAX};
use super::writer::TableWriter;
use super::{HOME, PREFIX, definitions};
use crate::backends::BackendNode;
use crate::collect::{self, Collected};
use crate::decision::OWN_DATABASE;
use crate::error::{ExecError, sql};
use crate::exec::{Exec, Statement, Warning};
use crate::kinds::SCRATCH_ROWS;
use crate::merge::Record;
use crate::names::Names;
use crate::rows::{self, MergedRows};
use crate::streams::{Job, Streams};
use crate::transaction::Held;
use base::sql_error;
use mysql_wire::column::ColumnDefinition;
use node_backend::query::{Row, StreamHead};
use sql_plan::merge::Merge;
use sql_plan::plan::{
    Action, Family, Load, LoadSource, PlanTable, Reduction, RoutedPlan, ScratchPlan,
};
use sql_plan::template::{Fill, REDUCTIONS_FROM, Rendered, quoted};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use topology::algorithm::Target;

/// What a worker remembers of probes that found a table large: by the probe's text without literals.
const LARGE_MAX: usize = 4096;

/// A table that was large is asked again once in so many statements: it may have become small.
const PROBE_AGAIN: u32 = 64;

thread_local! {
    static LARGE: RefCell<HashMap<u64, u32>> = RefCell::default();
}

/// Whether a probe of this text would find a large table, as far as is remembered.
fn is_known_large(text: u64) -> bool {
    LARGE.with_borrow_mut(|large| match large.get_mut(&text) {
        Some(passed) if *passed < PROBE_AGAIN => {
            *passed += 1;
            true
        }
        _ => false,
    })
}

fn remember(text: u64, is_large: bool) {
    LARGE.with_borrow_mut(|large| {
        if !is_large {
            large.remove(&text);
            return;
        }
        if large.len() >= LARGE_MAX {
            large.clear();
        }
        large.insert(text, 0);
    });
}

/// Texts that differ in their literals alone have one hash.
fn hash(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    let (mut quote, mut in_name) = (None, false);
    for byte in text {
        match (byte, quote) {
            (byte, Some(open)) if *byte == open => quote = None,
            (b'\'' | b'"', None) => quote = Some(*byte),
            (byte, None) if in_name || !byte.is_ascii_digit() => {
                in_name = byte.is_ascii_alphanumeric() || *byte == b'_';
                byte.hash(&mut hasher);
            }
            _ => {}
        }
    }
    hasher.finish()
}

/// A probe asks each shard for at least so many rows.
const PROBE_ROWS_MIN: usize = 200;

/// Whether a load is the result of a part of the statement.
pub(super) fn is_result(load: &Load) -> bool {
    matches!(load.source, LoadSource::Query(_) | LoadSource::Copy(_) | LoadSource::Groups(_))
}

/// The loads of one statement.
pub(super) struct Loader<'l> {
    pub scratch: &'l ScratchPlan,
    /// The targets of each load.
    pub sources: &'l [Vec<Target>],
    pub tables: &'l [PlanTable],
    /// The same at the targets of the statement's schema.
    pub at_shards: &'l [PlanTable],
    pub statement: &'l Statement<'l>,
    pub database: &'l [u8],
    /// Rows that may still be loaded.
    pub budget: u64,
    /// What was loaded already, by number.
    pub known: BTreeMap<u32, Loaded>,
    /// Tables on the scratch node are read there.
    pub reads_in_place: bool,
    /// The shards' warnings while they made parts of groups.
    pub warnings: u64,
    /// Their texts.
    pub warned: Vec<Warning>,
}

/// Rows on their way.
enum Incoming {
    Shards(Streams),
    Merged(Box<MergedRows>),
    Collected(Arc<[ColumnDefinition]>, std::vec::IntoIter<Record>),
}

impl Incoming {
    fn columns(&self) -> Arc<[ColumnDefinition]> {
        match self {
            Incoming::Shards(streams) => streams.columns().clone(),
            Incoming::Merged(rows) => rows.columns.clone().into(),
            Incoming::Collected(columns, _) => columns.clone(),
        }
    }

    async fn next(&mut self) -> Result<Option<Record>, ExecError> {
        match self {
            Incoming::Merged(rows) => rows.next().await,
            Incoming::Collected(_, records) => Ok(records.next()),
            Incoming::Shards(streams) => {
                while let Some(stream) = streams.first_open() {
                    if let Some(row) = streams.next(stream).await? {
                        return Ok(Some(Record::of(&row)?));
                    }
                }
                Ok(None)
            }
        }
    }

    async fn close(self, exec: &mut Exec<'_>) {
        match self {
            Incoming::Shards(streams) => streams.close(exec).await,
            Incoming::Merged(rows) => rows.streams.close(exec).await,
            Incoming::Collected(..) => {}
        }
    }
}

impl Loader<'_> {
    fn is_read_in_place(&self, load: &Load) -> bool {
        load.in_place && self.reads_in_place
    }

    fn load(&self, number: u32) -> Option<&Load> {
        self.scratch.loads.iter().find(|load| load.number == number)
    }

    /// Results lie in a database of their own: of their columns servers announce no database.
    fn temporary_name(&self, number: u32) -> Vec<u8> {
        let of_table = (number as usize) < self.tables.len();
        let mut name = if of_table { self.database.to_vec() } else { quoted(OWN_DATABASE) };
        name.extend_from_slice(format!(".`{PREFIX}{number}`").as_bytes());
        name
    }

    /// Writes what stands for a hole: the table that the statement reads, or a condition by values.
    pub fn put_table(&self, number: u32, out: &mut Vec<u8>) {
        if let Some(reduction) = number.checked_sub(REDUCTIONS_FROM) {
            return self.put_reduction(reduction, out);
        }
        let in_place = self.load(number).is_some_and(|load| self.is_read_in_place(load));
        match self.tables.get(number as usize) {
            Some(table) if in_place => {
                out.extend(sql_plan::template::quoted(&table.physical_database(HOME)));
                out.push(b'.');
                out.extend(sql_plan::template::quoted(&table.physical_name(HOME)));
            }
            _ => out.extend(self.temporary_name(number)),
        }
    }

    fn put_reduction(&self, number: u32, out: &mut Vec<u8>) {
        let reduction = self.scratch.reductions.get(number as usize);
        match reduction.and_then(|one| Some((one, self.values_for(one)?))) {
            Some((reduction, loaded)) => loaded.put(reduction, out),
            None => out.extend_from_slice(b"TRUE"),
        }
    }

    fn values_for(&self, reduction: &Reduction) -> Option<&Loaded> {
        self.known.get(&reduction.source).filter(|loaded| loaded.serves(reduction))
    }

    /// Makes the temporary tables. A server decides on the columns of results.
    pub async fn create(
        &self,
        exec: &mut Exec<'_>,
        held: &mut Held,
        node: &Rc<BackendNode>,
    ) -> Result<(), ExecError> {
        let has_locks = exec.session.own.has_locks();
        let mut sent = 0;
        for load in &self.scratch.loads {
            if self.is_read_in_place(load) {
                continue;
            }
            let name = self.temporary_name(load.number);
            let mut text = [b"CREATE TEMPORARY TABLE ".as_slice(), &name].concat();
            let keys = load.keys.iter().map(|column| {
                let column = sql_plan::template::quoted(column);
                [b"KEY (".as_slice(), &column, b")"].concat()
            });
            let mut keys: Vec<Vec<u8>> = keys.collect();
            if !load.primary_key.is_empty() {
                let columns: Vec<Vec<u8>> =
                    load.primary_key.iter().map(|name| sql_plan::template::quoted(name)).collect();
                keys.insert(
                    0,
                    [b"PRIMARY KEY (", columns.join(&b", "[..]).as_slice(), b")"].concat(),
                );
            }
            match &load.source {
                LoadSource::Query(plan) => {
                    if !keys.is_empty() {
                        text = [text.as_slice(), b" (", &keys.join(&b", "[..]), b")"].concat();
                    }
                    let query = exec.render(&load.text, &plan.tables, HOME, self.statement)?;
                    text.extend_from_slice(b" AS SELECT * FROM (");
                    text.extend(query);
                    text.extend_from_slice(b"\n) AS `_ddm_result` LIMIT 0");
                }
                LoadSource::Groups(_) => {
                    let query = exec.render(&load.text, self.at_shards, HOME, self.statement)?;
                    text.extend_from_slice(b" AS ");
                    text.extend(query);
                    text.extend_from_slice(b" LIMIT 0");
                }
                LoadSource::Copy(of) => {
                    text.extend_from_slice(b" LIKE ");
                    text.extend(self.temporary_name(*of));
                }
                LoadSource::Shard(_) | LoadSource::Route(_) => {
                    text.push(b' ');
                    text.extend_from_slice(load.definition.as_bytes());
                    if !keys.is_empty() {
                        text.pop();
                        for key in keys {
                            text.extend_from_slice(b", ");
                            text.extend(key);
                        }
                        text.push(b')');
                    }
                }
            }
            if has_locks && matches!(load.source, LoadSource::Query(_)) {
                text = definitions::under_locks(exec, node, &name, &text).await?;
            }
            held.lease.queue_query(&text);
            sent += 1;
        }
        held.lease.flush().await?;
        let mut failed = Ok(());
        for _ in 0..sent {
            match held.lease.open_stream().await {
                Ok(StreamHead::Ok { .. }) => {}
                Ok(_) => {
                    let text = "a data node answered CREATE TABLE with rows";
                    return Err(sql(sql_error::UNKNOWN_ERROR, text));
                }
                Err(error) if failed.is_ok() => failed = Err(error),
                Err(_) => {}
            }
            if held.lease.is_broken() {
                break;
            }
        }
        let names = Names::with_scratch(self.tables, PREFIX);
        failed.map_err(|error| rows::logical(error.into(), names))
    }

    /// The text that makes a table again for many rows. Only MariaDB has the engine, and only tables
    /// whose columns are known are made so.
    fn large_table(&self, load: &Load, held: &Held) -> Option<Vec<u8>> {
        let columns = load.definition.strip_suffix(')')?;
        if !held.lease.is_mariadb() {
            return None;
        }
        let name = self.temporary_name(load.number);
        let mut text = [b"CREATE OR REPLACE TEMPORARY TABLE ".as_slice(), &name, b" "].concat();
        text.extend_from_slice(columns.as_bytes());
        for key in &load.large_keys {
            let columns: Vec<Vec<u8>> =
                key.iter().map(|name| sql_plan::template::quoted(name)).collect();
            text.extend([b", KEY (", columns.join(&b", "[..]).as_slice(), b")"].concat());
        }
        text.extend_from_slice(b") ENGINE=Aria TRANSACTIONAL=0");
        Some(text)
    }

    /// Fills the temporary tables.
    pub async fn fill(&mut self, exec: &mut Exec<'_>, held: &mut Held) -> Result<(), ExecError> {
        let scratch = self.scratch;
        let mut left: Vec<usize> = (0..scratch.loads.len())
            .filter(|at| !self.is_read_in_place(&scratch.loads[*at]))
            .collect();
        let mut probed: Vec<usize> = Vec::new();
        while !left.is_empty() {
            let is_source = |at: usize| {
                let number = scratch.loads[at].number;
                let waits = |load: u32| left.iter().any(|at| scratch.loads[*at].number == load);
                scratch.reductions.iter().any(|one| one.source == number && waits(one.load))
            };
            let is_reduced = |at: usize| {
                let number = scratch.loads[at].number;
                let mut own = scratch.reductions.iter().filter(|one| one.load == number);
                own.any(|one| self.values_for(one).is_some())
            };
            let ready = left
                .iter()
                .position(|at| is_result(&scratch.loads[*at]))
                .or_else(|| left.iter().position(|at| is_reduced(*at)));
            let place = match ready {
                Some(place) => place,
                None => {
                    let is_open = |at: &usize| is_source(*at) && !probed.contains(at);
                    let dear = |at: usize| {
                        let load = &scratch.loads[at];
                        (!load.selective, load.effort)
                    };
                    let open = (0..left.len()).filter(|place| is_open(&left[*place]));
                    match open.min_by_key(|place| dear(left[*place])) {
                        Some(place) => {
                            probed.push(left[place]);
                            if self.probe(exec, held, left[place]).await? {
                                left.remove(place);
                            }
                            continue;
                        }
                        None => 0,
                    }
                }
            };
            let at = left.remove(place);
            self.load_whole(exec, held, at).await?;
        }
        Ok(())
    }

    /// The rows of a load, with what is known by now.
    fn jobs(&self, exec: &Exec<'_>, at: usize) -> Result<Vec<Job>, ExecError> {
        let load = &self.scratch.loads[at];
        let mut targets = self.sources[at].clone();
        let tables = match load.source {
            LoadSource::Groups(_) => self.at_shards,
            _ => self.tables,
        };
        if let LoadSource::Route(route) = &load.source {
            for reduction in &self.scratch.reductions {
                let (Some(key), true) = (reduction.key, reduction.load == load.number) else {
                    continue;
                };
                if let Some(loaded) = self.values_for(reduction)
                    && reduction.family != Family::Text
                {
                    let among = loaded.values(reduction);
                    let there = route.targets_among(key, among, &self.statement.values)?;
                    targets.retain(|target| there.contains(target));
                }
            }
            if targets.is_empty() {
                targets = self.sources[at][..1].to_vec();
            }
        }
        targets
            .iter()
            .map(|target| {
                exec.session.touched.note(&load.schema, target.shard);
                let mut rendered = Rendered::default();
                let fill = Fill {
                    values: &self.statement.values,
                    tables,
                    session: &|what, out| exec.session.write_value(what, out),
                    temporary: &|number, out| self.put_table(number, out),
                    inline_params: true,
                };
                load.text.render(&fill, *target, &mut rendered);
                Ok(Job {
                    data_node: exec.data_node(&load.schema, target.shard)?,
                    shard: target.shard,
                    text: rendered.text,
                })
            })
            .collect()
    }

    /// Loads a table if it turns out to be small; says whether it is done.
    async fn probe(
        &mut self,
        exec: &mut Exec<'_>,
        held: &mut Held,
        at: usize,
    ) -> Result<bool, ExecError> {
        let begun = exec.session.part_begins();
        let mut jobs = self.jobs(exec, at)?;
        let text = jobs.first().map_or(0, |job| hash(&job.text));
        if is_known_large(text) {
            return Ok(false);
        }
        let each = (2 * VALUES_MAX / jobs.len().max(1)).max(PROBE_ROWS_MIN);
        for job in &mut jobs {
            job.text.extend_from_slice(format!(" LIMIT {each}").as_bytes());
        }
        let mut streams = Streams::open(exec, &jobs, false).await?;
        let columns = streams.columns().clone();
        let read = async {
            let mut all: Vec<Row> = Vec::new();
            for stream in 0..streams.len() {
                let before = all.len();
                while let Some(row) = streams.next(stream).await? {
                    all.push(row.detach());
                }
                if all.len() - before >= each || all.len() > VALUES_MAX {
                    return Ok(None);
                }
            }
            Ok(Some(all))
        };
        let outcome: Result<Option<Vec<Row>>, ExecError> = read.await;
        streams.close(exec).await;
        let outcome = outcome?;
        remember(text, outcome.is_none());
        let Some(all) = outcome else { return Ok(false) };
        let mut taker = self.taker(at, &columns);
        let load = &self.scratch.loads[at];
        let name = self.temporary_name(load.number);
        let large = self.large_table(load, held);
        let mut writer = TableWriter::new(held, name, &load.columns, columns.clone(), large);
        for row in &all {
            let record = Record::of(row)?;
            taker.take(&mut self.budget, &mut writer, &record, &columns).await?;
        }
        writer.close().await?;
        SCRATCH_ROWS.add(all.len() as u64);
        self.known.insert(load.number, taker.loaded);
        let what = format_args!("Load(temp_{})", load.number);
        exec.session.part_ends(begun, what, all.len() as u64);
        Ok(true)
    }

    async fn load_whole(
        &mut self,
        exec: &mut Exec<'_>,
        held: &mut Held,
        at: usize,
    ) -> Result<(), ExecError> {
        let begun = exec.session.part_begins();
        let load = &self.scratch.loads[at];
        let mut incoming = match &load.source {
            LoadSource::Copy(of) => {
                let from = self.temporary_name(*of);
                let name = self.temporary_name(load.number);
                let text = [b"INSERT INTO ".as_slice(), &name, b" SELECT * FROM ", &from].concat();
                held.lease.execute_sql(&text).await?;
                return Ok(());
            }
            LoadSource::Query(plan) => open_query(exec, plan, self.statement).await?,
            LoadSource::Shard(_) | LoadSource::Route(_) | LoadSource::Groups(_) => {
                let jobs = self.jobs(exec, at)?;
                let names = Names::of(self.tables);
                let opened = Streams::open(exec, &jobs, false).await;
                Incoming::Shards(opened.map_err(|error| rows::logical(error, names))?)
            }
        };
        let columns = incoming.columns();
        let mut taker = self.taker(at, &columns);
        let name = self.temporary_name(load.number);
        let large = self.large_table(load, held);
        let mut writer = TableWriter::new(held, name, &load.columns, columns.clone(), large);
        let before = self.budget;
        let budget = &mut self.budget;
        let copied = async {
            while let Some(record) = incoming.next().await? {
                taker.take(budget, &mut writer, &record, &columns).await?;
            }
            writer.close().await
        };
        let outcome: Result<(), ExecError> = copied.await;
        if let (Incoming::Shards(streams), LoadSource::Groups(_)) = (&mut incoming, &load.source) {
            self.warnings += streams.warnings();
            if outcome.is_ok() && streams.warnings() > 0 {
                self.warned = streams.warning_texts(Names::of(self.at_shards)).await;
            }
        }
        incoming.close(exec).await;
        outcome?;
        let rows = before - self.budget;
        SCRATCH_ROWS.add(rows);
        exec.session.part_ends(begun, format_args!("Load(temp_{})", load.number), rows);
        self.known.insert(load.number, taker.loaded);
        Ok(())
    }

    fn taker(&self, at: usize, columns: &[ColumnDefinition]) -> Taker {
        let number = self.scratch.loads[at].number;
        let asked = self.scratch.reductions.iter().filter(|one| one.source == number);
        Taker { loaded: Loaded::new(asked.map(|one| one.source_column), columns) }
    }
}

/// Takes rows of one load in.
struct Taker {
    loaded: Loaded,
}

impl Taker {
    async fn take(
        &mut self,
        budget: &mut u64,
        writer: &mut TableWriter<'_>,
        record: &Record,
        columns: &[ColumnDefinition],
    ) -> Result<(), ExecError> {
        *budget = budget
            .checked_sub(1)
            .ok_or_else(|| sql(sql_error::TEMP_TABLE_LIMIT, "Temp table limit exceeded"))?;
        self.loaded.add(|at| record.get(at as usize));
        writer.add((0..columns.len()).map(|at| record.get(at))).await
    }
}

/// The rows of a part of the statement.
async fn open_query(
    exec: &mut Exec<'_>,
    plan: &RoutedPlan,
    statement: &Statement<'_>,
) -> Result<Incoming, ExecError> {
    let merged = match plan.decide(&statement.values)? {
        Action::Forward { place, text } => {
            let (node, target) = exec.resolve(place)?;
            let text = exec.render(text, &plan.tables, target, statement)?;
            let job = Job { data_node: node.definition.id.clone(), shard: target.shard, text };
            rows::open(exec, plan, &[job], &Merge::default(), statement).await?
        }
        Action::Scatter { schema, targets, text, merge } => {
            let jobs = exec.jobs(schema, &targets, text, &plan.tables, statement)?;
            rows::open(exec, plan, &jobs, merge, statement).await?
        }
        Action::Scratch { .. } => {
            let Collected { columns, records } = collect::query(exec, plan, statement).await?;
            return Ok(Incoming::Collected(columns.into(), records.into_iter()));
        }
        Action::Everywhere { .. } | Action::ScratchWrite { .. } => {
            let text = "a part of the statement does not run by itself";
            return Err(sql(sql_error::UNKNOWN_ERROR, text));
        }
    };
    Ok(Incoming::Merged(Box::new(merged)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_do_not_count_in_what_is_remembered() {
        let one = hash(b"SELECT a FROM `d_0001`.t1 WHERE a = 15 AND b = 'it''s'");
        assert_eq!(one, hash(b"SELECT a FROM `d_0001`.t1 WHERE a = 7 AND b = 'x'"));
        assert_ne!(one, hash(b"SELECT a FROM `d_0001`.t2 WHERE a = 15 AND b = 'x'"));
    }
}
