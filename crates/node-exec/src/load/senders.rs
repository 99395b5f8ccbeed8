//! Batches of records on their way to data nodes: one connection to each, one batch at a time on it,
//! all data nodes at once. A batch is a whole LOAD DATA, so that no data node waits for records that
//! may not come for long.

use super::Counts;
use super::warnings::{Gathered, error_in_file};
use crate::active::ActiveGuard;
use crate::error::ExecError;
use crate::exec::Exec;
use crate::names::Names;
use crate::rows::logical;
use crate::transaction::{Held, run_all};
use base::id::DataNodeId;
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use mysql_wire::packet::OkPacket;
use node_backend::error::BackendError;
use node_backend::query::Row;
use std::collections::VecDeque;
use std::rc::Rc;

/// The savepoint of one statement.
const SAVEPOINT: &str = "`_ddm_statement`";
/// Bytes of batches that wait for their connections; the file is not read further then.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// Records for one target.
#[derive(Debug)]
pub(super) struct Batch {
    pub sql: Rc<Vec<u8>>,
    pub data: Rc<Vec<u8>>,
    /// The records' numbers in the file.
    pub rows: Rc<Vec<u64>>,
    /// Counts and warnings are of interest: the copies of a broadcast table all have the same.
    pub counts: bool,
}

/// A batch that has come back.
struct Returned {
    node: usize,
    held: Held,
    batch: Batch,
    outcome: Result<(OkPacket, Vec<Row>), BackendError>,
}

#[derive(Debug)]
struct Node {
    id: DataNodeId,
    held: Option<Held>,
    waiting: VecDeque<Batch>,
    saved: bool,
    _active: ActiveGuard,
}

/// The connections of one load.
#[derive(Default)]
pub(super) struct Senders {
    nodes: Vec<Node>,
    under_way: FuturesUnordered<LocalBoxFuture<'static, Returned>>,
    waiting_bytes: usize,
    /// A savepoint takes back what was done of the statement.
    savepoint: bool,
    pub counts: Counts,
    pub warnings: Gathered,
    /// The error of the first row that has one.
    failed: Option<(u64, ExecError)>,
}

impl Senders {
    /// Senders that take nothing back themselves, or by a savepoint.
    pub fn new(savepoint: bool) -> Self {
        Self { savepoint, ..Self::default() }
    }

    /// Whether a batch failed; no more are sent then.
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Whether so much waits for connections that no more should be given.
    pub fn is_full(&self) -> bool {
        self.is_busy() && self.waiting_bytes >= WAITING_BYTES_MAX
    }

    /// Whether something is under way.
    pub fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Gives a batch to a data node, at once or behind those that wait for it.
    pub async fn give(
        &mut self,
        exec: &mut Exec<'_>,
        id: &DataNodeId,
        batch: Batch,
    ) -> Result<(), ExecError> {
        if self.has_failed() {
            return Ok(());
        }
        let at = match self.nodes.iter().position(|node| node.id == *id) {
            Some(at) => at,
            None => self.open(exec, id).await?,
        };
        self.waiting_bytes += batch.data.len();
        self.nodes[at].waiting.push_back(batch);
        self.start(at);
        Ok(())
    }

    async fn open(&mut self, exec: &mut Exec<'_>, id: &DataNodeId) -> Result<usize, ExecError> {
        let node = exec.backends.node(id)?;
        let mut held = exec.acquire(&node, true).await?;
        if self.savepoint {
            let saved = run_all(&mut held.lease, &[format!("SAVEPOINT {SAVEPOINT}")]).await;
            if let Err(error) = saved {
                exec.release(held);
                return Err(error.into());
            }
        }
        let active = exec.enter(&held);
        self.nodes.push(Node {
            id: id.clone(),
            held: Some(held),
            waiting: VecDeque::new(),
            saved: self.savepoint,
            _active: active,
        });
        Ok(self.nodes.len() - 1)
    }

    /// Sends a data node's next batch when its connection is free.
    fn start(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.waiting.is_empty() {
            return;
        }
        let Some(held) = node.held.take() else { return };
        let batch = node.waiting.pop_front().expect("a batch waits");
        self.waiting_bytes -= batch.data.len();
        self.under_way.push(Box::pin(send(at, held, batch)));
    }

    /// Waits until a batch has come back; returns at once when none is under way.
    pub async fn step(&mut self, names: Names<'_>) {
        let Some(returned) = self.under_way.next().await else { return };
        let Returned { node, held, batch, outcome } = returned;
        self.nodes[node].held = Some(held);
        match outcome {
            Ok((ok, shown)) if batch.counts => {
                self.counts.add(Counts::of(&ok));
                let again = self.warnings.add(&shown, &batch.rows, names);
                self.counts.warnings = self.counts.warnings.saturating_sub(again);
            }
            Ok(_) => {}
            Err(error) => self.fail(error, &batch.rows),
        }
        if self.has_failed() {
            self.nodes.iter_mut().for_each(|node| node.waiting.clear());
            self.waiting_bytes = 0;
            return;
        }
        self.start(node);
    }

    fn fail(&mut self, error: BackendError, rows: &[u64]) {
        let (row, error) = match error {
            BackendError::Server(packet) => {
                let (row, packet) = error_in_file(packet, rows);
                (row, ExecError::Server(packet))
            }
            other => (u64::MAX, ExecError::Backend(other)),
        };
        if self.failed.as_ref().is_none_or(|(known, _)| row < *known) {
            self.failed = Some((row, error));
        }
    }

    /// Waits for all that was given, takes it back after an error, and gives the connections back.
    pub async fn close(
        mut self,
        exec: &mut Exec<'_>,
        names: Names<'_>,
        outcome: Result<(), ExecError>,
    ) -> Result<(Counts, Gathered), ExecError> {
        if let Err(error) = outcome {
            self.failed.get_or_insert((0, error));
            self.nodes.iter_mut().for_each(|node| node.waiting.clear());
        }
        while self.is_busy() {
            self.step(names).await;
        }
        for node in &mut self.nodes {
            let Some(mut held) = node.held.take() else { continue };
            if self.failed.is_some() && node.saved && !held.lease.is_broken() {
                let back = format!("ROLLBACK TO SAVEPOINT {SAVEPOINT}");
                run_all(&mut held.lease, &[back]).await.ok();
            }
            exec.release(held);
        }
        match self.failed {
            Some((_, error)) => Err(logical(error, names)),
            None => Ok((self.counts, self.warnings)),
        }
    }
}

async fn send(node: usize, mut held: Held, batch: Batch) -> Returned {
    let outcome = async {
        let ok = held.lease.load(&batch.sql, &batch.data).await?;
        let shown = match batch.counts && ok.warnings > 0 {
            true => held.lease.query(b"SHOW WARNINGS").await?.into_rows(),
            false => Vec::new(),
        };
        Ok((ok, shown))
    }
    .await;
    Returned { node, held, batch, outcome }
}
