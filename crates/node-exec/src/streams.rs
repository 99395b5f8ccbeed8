//! The answers of several shards, read row by row in whatever order the merge asks for. Streams that
//! share a connection (one data node's shards inside a transaction, or when connections are short)
//! come one after the other there; asking for a later one reads the earlier ones into memory, up to
//! a bound.

use crate::active::ActiveGuard;
use crate::error::{ExecError, sql};
use crate::exec::{Exec, WARNINGS_MAX, Warning};
use crate::names::Names;
use crate::relay::{SHOW_WARNINGS, read_warnings, warnings_of};
use crate::transaction::Held;
use base::id::DataNodeId;
use base::sql_error;
use mysql_wire::column::ColumnDefinition;
use node_backend::connection::Connection;
use node_backend::query::{Row, StreamHead};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;
use topology::parameters::ExecutionLevel;

/// Rows read ahead for streams that share a connection, in bytes for each statement.
const AHEAD_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What the connections of one statement read at once, together.
const READS_BYTES_MAX: usize = 256 * 1024;

/// Connections of one statement to one data node outside a transaction, whatever
/// `concurrent_execution_level` says.
const LANES_PER_DATA_NODE: usize = 32;

/// One statement for one data node.
#[derive(Clone, Debug)]
pub struct Job {
    /// Where.
    pub data_node: DataNodeId,
    /// The shard there.
    pub shard: u32,
    /// What.
    pub text: Vec<u8>,
}

/// One connection with the streams that come on it.
#[derive(Debug)]
struct Lane {
    held: Held,
    _active: ActiveGuard,
    /// The streams still to be opened, in order; the first may be open.
    order: VecDeque<usize>,
    open: bool,
    /// The statement that was read last has warnings.
    warned: bool,
    /// SHOW WARNINGS stands between its statements, see [`Streams::warning_texts`].
    asks_warnings: bool,
    /// The last word of a read's own transaction comes behind its statements.
    ends: bool,
}

/// One shard's answer.
#[derive(Debug)]
struct Stream {
    lane: usize,
    ahead: VecDeque<Row>,
    over: bool,
    rows: u64,
    /// When it was over, while the statement is analysed.
    ended: Option<Instant>,
}

/// The answers of several shards.
#[derive(Debug)]
pub struct Streams {
    lanes: Vec<Lane>,
    streams: Vec<Stream>,
    columns: Arc<[ColumnDefinition]>,
    ahead_bytes: usize,
    ahead_rows: u64,
    ahead_rows_max: u64,
    warnings: u64,
    /// Texts of warnings that were asked for between statements.
    warned: Vec<Warning>,
    rows_read: u64,
    /// While the statement is analysed: when the jobs were sent, and their shards.
    begun: Option<Instant>,
    shards: Vec<u32>,
}

/// What runs one after the other on one connection: the jobs, by number, in order.
fn groups(level: ExecutionLevel, numbers: &[usize], jobs: &[Job]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for number in numbers {
        let with_last = groups.last().is_some_and(|group| match level {
            ExecutionLevel::DataNode => true,
            ExecutionLevel::Shard => jobs[group[0]].shard == jobs[*number].shard,
            ExecutionLevel::Table => false,
        });
        match groups.last_mut() {
            Some(group) if with_last => group.push(*number),
            _ => groups.push(vec![*number]),
        }
    }
    groups
}

/// What is said on one connection, of which all is read: the texts of jobs, and what asks for the
/// warnings of each but the last, see [`Streams::warning_texts`].
pub(crate) fn burst<'j>(
    texts: impl Iterator<Item = &'j [u8]>,
    asks_warnings: bool,
) -> impl Iterator<Item = &'j [u8]> {
    texts.enumerate().flat_map(move |(at, text)| {
        let asks = (asks_warnings && at > 0).then_some(SHOW_WARNINGS);
        asks.into_iter().chain([text])
    })
}

impl Streams {
    /// Sends all jobs and reads the columns of the first answer.
    pub async fn open(exec: &mut Exec<'_>, jobs: &[Job], writes: bool) -> Result<Self, ExecError> {
        exec.claim_shards(jobs.iter().map(|job| (&job.data_node, job.shard)))?;
        let mut by_node: BTreeMap<&DataNodeId, Vec<usize>> = BTreeMap::new();
        for (number, job) in jobs.iter().enumerate() {
            by_node.entry(&job.data_node).or_default().push(number);
        }
        let mut all = Self {
            lanes: Vec::new(),
            streams: jobs
                .iter()
                .map(|_| Stream {
                    lane: 0,
                    ahead: VecDeque::new(),
                    over: false,
                    rows: 0,
                    ended: None,
                })
                .collect(),
            columns: Arc::from([]),
            ahead_bytes: 0,
            ahead_rows: 0,
            ahead_rows_max: exec.settings.temporary_rows_max,
            warnings: 0,
            warned: Vec::new(),
            rows_read: 0,
            begun: exec.session.part_begins(),
            shards: match exec.session.trace {
                Some(_) => jobs.iter().map(|job| job.shard).collect(),
                None => Vec::new(),
            },
        };
        for (data_node, numbers) in by_node {
            if let Err(error) = all.send(exec, data_node, &numbers, jobs, writes).await {
                all.close(exec).await;
                return Err(error);
            }
        }
        let each = READS_BYTES_MAX / all.lanes.len().max(1);
        for lane in all.lanes.iter_mut().filter(|_| each < READS_BYTES_MAX) {
            lane.held.lease.limit_reads(each);
        }
        if !all.streams.is_empty() {
            match all.reach(0).await {
                Ok(columns) => all.columns = columns.unwrap_or_else(|| Arc::from([])),
                Err(error) => {
                    all.close(exec).await;
                    return Err(error);
                }
            }
        }
        Ok(all)
    }

    async fn send(
        &mut self,
        exec: &mut Exec<'_>,
        data_node: &DataNodeId,
        numbers: &[usize],
        jobs: &[Job],
        writes: bool,
    ) -> Result<(), ExecError> {
        let node = exec.backends.node(data_node)?;
        let member = match writes {
            true => node.primary().clone(),
            false => exec.reader(&node).await?,
        };
        let groups = groups(exec.settings.execution_level, numbers, jobs);
        let lanes = if exec.session.transaction.is_some() || exec.session.own.has(data_node) {
            1
        } else {
            // More than one connection only while plenty are free, so that statements that need
            // several never wait for each other.
            let free = member.pool(exec.session.found_rows).free();
            LANES_PER_DATA_NODE.min(free / 4).clamp(1, groups.len())
        };
        for lane in 0..lanes {
            let mut held = match writes {
                true => exec.acquire(&node, true).await?,
                false => exec.acquire_read(&node).await?,
            };
            let mine: VecDeque<usize> =
                groups.iter().skip(lane).step_by(lanes).flatten().copied().collect();
            let asks_warnings = exec.session.keeps_warnings;
            mine.iter().for_each(|number| self.streams[*number].lane = self.lanes.len());
            let transaction = exec.session.transaction.as_mut();
            let is_sent = transaction.is_some_and(|one| one.take_ahead(data_node));
            if !is_sent {
                let texts = mine.iter().map(|number| jobs[*number].text.as_slice());
                burst(texts, asks_warnings).for_each(|text| held.lease.queue_query(text));
            }
            let ends = is_sent && held.lease.is_mariadb();
            let active = exec.enter(&held);
            let flushed = held.lease.flush().await;
            self.lanes.push(Lane {
                held,
                _active: active,
                order: mine,
                open: false,
                warned: false,
                asks_warnings,
                ends,
            });
            flushed?;
        }
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// The columns of the answers.
    pub fn columns(&self) -> &Arc<[ColumnDefinition]> {
        &self.columns
    }

    /// Warnings of the answers read so far.
    pub fn warnings(&self) -> u64 {
        self.warnings
    }

    /// The texts of the warnings when all is read: those of the last statement on each connection,
    /// which is what a connection still knows, and those that were asked for in between, where the
    /// session keeps all of them.
    pub async fn warning_texts(&mut self, names: Names<'_>) -> Vec<Warning> {
        let mut all = std::mem::take(&mut self.warned);
        for warning in &mut all {
            warning.message = names.rewrite_message(&warning.message);
        }
        for lane in self.lanes.iter_mut().filter(|lane| lane.warned && lane.order.is_empty()) {
            // The last word of a read's own transaction may be left, which forgets no warnings.
            if lane.held.lease.is_idle() || lane.held.lease.drain().await.is_ok() {
                all.extend(warnings_of(&mut lane.held.lease, names).await);
            }
        }
        all.truncate(WARNINGS_MAX);
        all
    }

    /// A stream that is not over, a cheap one first.
    pub fn first_open(&self) -> Option<usize> {
        self.streams.iter().position(|stream| !stream.over || !stream.ahead.is_empty())
    }

    /// Whether a stream's next row can be had without a read.
    pub fn has_next(&self, number: usize) -> bool {
        let stream = &self.streams[number];
        let lane = &self.lanes[stream.lane];
        let is_open = lane.open && lane.order.front() == Some(&number);
        stream.over || !stream.ahead.is_empty() || (is_open && lane.held.lease.has_next_row())
    }

    /// The next row of a stream.
    pub async fn next(&mut self, number: usize) -> Result<Option<Row>, ExecError> {
        if let Some(row) = self.streams[number].ahead.pop_front() {
            self.ahead_bytes -= row.payload().len();
            self.ahead_rows -= 1;
            return Ok(Some(row));
        }
        if self.streams[number].over {
            return Ok(None);
        }
        self.reach(number).await?;
        let lane = &mut self.lanes[self.streams[number].lane];
        match lane.held.lease.next_row().await? {
            Some(row) => {
                self.rows_read += 1;
                self.streams[number].rows += 1;
                Ok(Some(row))
            }
            None => {
                self.end(number).await?;
                Ok(None)
            }
        }
    }

    /// Opens a stream, reading those before it on its connection into memory.
    async fn reach(&mut self, number: usize) -> Result<Option<Arc<[ColumnDefinition]>>, ExecError> {
        loop {
            let lane = self.streams[number].lane;
            let first =
                *self.lanes[lane].order.front().expect("a stream that is not over is in its lane");
            let mut columns = None;
            if !self.lanes[lane].open {
                match self.lanes[lane].held.lease.open_stream().await? {
                    StreamHead::Rows(found) => columns = Some(found),
                    StreamHead::Ok { .. } | StreamHead::LocalInfile(_) => {
                        return Err(sql(
                            sql_error::UNKNOWN_ERROR,
                            "a data node answered a query without rows",
                        ));
                    }
                }
                self.lanes[lane].open = true;
            }
            if first == number {
                return Ok(columns);
            }
            while let Some(row) = self.lanes[lane].held.lease.next_row().await? {
                let row = row.detach();
                self.ahead_bytes += row.payload().len();
                self.ahead_rows += 1;
                if self.ahead_bytes > AHEAD_BYTES_MAX || self.ahead_rows > self.ahead_rows_max {
                    return Err(sql(
                        sql_error::TEMP_TABLE_LIMIT,
                        "Temp table limit exceeded: the rows of shards that share a connection are \
                         too many to be merged; commit first, narrow the query, or let more shards \
                         run in parallel (concurrent_execution_level)",
                    ));
                }
                self.rows_read += 1;
                self.streams[first].rows += 1;
                self.streams[first].ahead.push_back(row);
            }
            self.end(first).await?;
        }
    }

    async fn end(&mut self, number: usize) -> Result<(), ExecError> {
        let lane = &mut self.lanes[self.streams[number].lane];
        let warnings = lane.held.lease.stream_end().map_or(0, |end| u64::from(end.warnings));
        self.warnings += warnings;
        lane.warned = warnings > 0;
        lane.order.pop_front();
        lane.open = false;
        self.streams[number].over = true;
        self.streams[number].ended = self.begun.map(|_| Instant::now());
        if lane.asks_warnings && !lane.order.is_empty() {
            let texts = read_warnings(&mut lane.held.lease, Names::of(&[])).await?;
            let room = WARNINGS_MAX.saturating_sub(self.warned.len());
            self.warned.extend(texts.into_iter().take(room));
        }
        Ok(())
    }

    /// Gives the connections back. What is still to come is read away when it is little, else the
    /// statement is ended on its data node.
    pub async fn close(self, exec: &mut Exec<'_>) {
        exec.session.touched.add_rows(self.rows_read);
        for (stream, shard) in self.streams.iter().zip(&self.shards) {
            exec.session.shard_ends(self.begun, stream.ended, *shard, stream.rows);
        }
        for lane in self.lanes {
            let mut held = lane.held;
            if held.lease.is_broken() {
                held.member.note_lost();
            } else if !held.lease.is_idle() {
                let due = 1 + usize::from(lane.ends);
                end_quickly(&mut held, due, exec.session.found_rows).await;
            }
            exec.release(held);
        }
    }
}

/// Ends what runs on a connection, so that it can be used again. No more than `due` answers are read away.
async fn end_quickly(held: &mut Held, due: usize, found_rows: bool) {
    let pool = held.member.pool(found_rows).clone();
    let connection: &mut Connection = &mut held.lease;
    if connection.outstanding() > due {
        pool.kill_query(connection.thread_id()).await.ok();
    }
    if let Err(error) = connection.drain().await {
        tracing::debug!(%error, "a data node's connection was given up in the middle of an answer");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_says_what_shares_a_connection() {
        let job =
            |shard| Job { data_node: DataNodeId::from_random([1; 16]), shard, text: Vec::new() };
        let jobs: Vec<Job> = [0, 0, 1, 1, 2].map(job).into();
        let numbers = [0, 1, 2, 3, 4];
        let of = |level| groups(level, &numbers, &jobs);
        assert_eq!(of(ExecutionLevel::DataNode), [vec![0, 1, 2, 3, 4]]);
        assert_eq!(of(ExecutionLevel::Shard), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(of(ExecutionLevel::Table).len(), 5);
    }
}
