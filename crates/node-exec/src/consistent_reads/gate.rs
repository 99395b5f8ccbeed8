//! A gate before the decision of distributed commits, for reads that find no moment by themselves.
//! It is a table lock on the decisions of the data nodes that are read: a commit writes its decision
//! there, and so waits while the gate is closed; what was decided before goes on to its end. All reads
//! of a process that wait use one closing together. The gate only gives reads their turn: what they
//! see is right without it, so that a lock that is not granted, or is lost, does no harm.

use crate::backends::BackendNode;
use crate::decision;
use crate::error::ExecError;
use crate::transaction::run_all;
use base::id::DataNodeId;
use node_backend::pool::Lease;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The locks must be granted within this; else the read goes on without.
const CLOSE_MAX: Duration = Duration::from_millis(1_500);

/// The same in seconds, as data nodes take it.
const LOCK_WAIT_SECONDS: u32 = 1;

/// A data node ends a gate's connection that says nothing for so long: its process hangs, or is cut off.
const SILENT_SECONDS: u32 = 3;

/// Reads that came later are waited for so long.
const HELD_MAX: Duration = Duration::from_millis(100);

/// Between two closings, for the commits that have waited.
const OPEN_MIN: Duration = Duration::from_millis(3);

/// A read looks again after this, whatever it was told.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Gates that are kept; one is for the reads over the same data nodes.
const GATES_MAX: usize = 1_024;

/// The gates of a process, by the data nodes that are read.
#[derive(Debug, Default)]
pub(crate) struct Gates(Mutex<HashMap<Vec<DataNodeId>, Arc<Gate>>>);

/// One gate.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// Reads that are taking their snapshots while it is closed.
    inside: usize,
    opened: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    /// Somebody closes it.
    Closing,
    /// Reads may come in.
    Closed,
    /// No more reads may come in.
    Opening,
}

/// A read's way through the gate.
pub(crate) struct Passage {
    gate: Arc<Gate>,
    /// The locks, where this read has closed the gate.
    locks: Option<Locks>,
    inside: bool,
}

/// Connections that hold a table lock: they must not get back to a pool with it.
#[derive(Default)]
struct Locks(Vec<Lease>);

impl Drop for Locks {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Lease::discard);
    }
}

impl Gates {
    /// The gate of these data nodes.
    pub fn of<'n>(&self, data_nodes: impl Iterator<Item = &'n DataNodeId>) -> Arc<Gate> {
        let mut gates = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if gates.len() >= GATES_MAX {
            gates.clear();
        }
        gates.entry(data_nodes.cloned().collect()).or_default().clone()
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn set(&self, phase: Phase) {
        self.lock().phase = phase;
        self.changed.notify_waiters();
    }

    /// Comes in as one of those for whom it is closed, or closes it.
    pub async fn pass<'n>(
        self: &Arc<Self>,
        data_nodes: impl Iterator<Item = &'n Rc<BackendNode>>,
    ) -> Passage {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before looking, so that no change is missed.
            changed.as_mut().enable();
            let phase = {
                let mut state = self.lock();
                let phase = state.phase;
                match phase {
                    Phase::Open => state.phase = Phase::Closing,
                    Phase::Closed => state.inside += 1,
                    Phase::Closing | Phase::Opening => {}
                }
                phase
            };
            match phase {
                Phase::Open => break,
                Phase::Closed => {
                    return Passage { gate: self.clone(), locks: None, inside: true };
                }
                Phase::Closing | Phase::Opening => {
                    tokio::time::timeout(LOOK_AGAIN, changed).await.ok();
                }
            }
        }
        let mut passage =
            Passage { gate: self.clone(), locks: Some(Locks::default()), inside: false };
        let early = self.lock().opened.map(|opened| OPEN_MIN.saturating_sub(opened.elapsed()));
        tokio::time::sleep(early.unwrap_or_default()).await;
        passage.close(data_nodes).await;
        passage
    }
}

impl Passage {
    async fn close<'n>(&mut self, data_nodes: impl Iterator<Item = &'n Rc<BackendNode>>) {
        super::GATES.increment();
        let until = Instant::now() + CLOSE_MAX;
        let Some(locks) = &mut self.locks else { return };
        // In order: two that close never wait for each other.
        for node in data_nodes {
            let left = until.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, lock_decisions(node)).await {
                Ok(Ok(lease)) => locks.0.push(lease),
                Ok(Err(error)) => {
                    tracing::debug!(%error, data_node = %node.definition.name, "commits cannot be held");
                }
                Err(_) => break,
            }
        }
        let mut state = self.gate.lock();
        state.phase = Phase::Closed;
        state.inside += 1;
        self.inside = true;
        drop(state);
        self.gate.changed.notify_waiters();
    }

    /// The read has its snapshots, or has none and waits for something else. Who has closed the gate
    /// opens it when all are out.
    pub async fn leave(mut self) {
        self.step_out();
        let Some(mut locks) = self.locks.take() else { return };
        self.gate.set(Phase::Opening);
        let until = Instant::now() + HELD_MAX;
        loop {
            let mut changed = std::pin::pin!(self.gate.changed.notified());
            changed.as_mut().enable();
            let left = until.saturating_duration_since(Instant::now());
            if self.gate.lock().inside == 0 || left.is_zero() {
                break;
            }
            tokio::time::timeout(left, changed).await.ok();
        }
        for mut lease in locks.0.drain(..) {
            let statements = [
                "UNLOCK TABLES".to_owned(),
                "SET lock_wait_timeout = DEFAULT, wait_timeout = DEFAULT".to_owned(),
            ];
            match run_all(&mut lease, &statements).await {
                Ok(()) => drop(lease),
                Err(_) => lease.discard(),
            }
        }
        self.opened();
    }

    fn step_out(&mut self) {
        if std::mem::take(&mut self.inside) {
            let mut state = self.gate.lock();
            state.inside = state.inside.saturating_sub(1);
            drop(state);
            self.gate.changed.notify_waiters();
        }
    }

    fn opened(&self) {
        self.gate.lock().opened = Some(Instant::now());
        self.gate.set(Phase::Open);
    }
}

impl Drop for Passage {
    /// Also when the read ends before its time.
    fn drop(&mut self) {
        self.step_out();
        if self.locks.take().is_some() {
            self.opened();
        }
    }
}

async fn lock_decisions(node: &BackendNode) -> Result<Lease, ExecError> {
    let mut locks = Locks(vec![node.own_lease().await?]);
    let lease = &mut locks.0[0];
    let statements = [
        format!("SET lock_wait_timeout = {LOCK_WAIT_SECONDS}, wait_timeout = {SILENT_SECONDS}"),
        "LOCK TABLES `_ddm`.`decisions` WRITE".to_owned(),
    ];
    match run_all(lease, &statements).await {
        Err(error) if decision::is_missing(&error) => {
            decision::make_table(node).await?;
            run_all(lease, &statements).await?;
        }
        outcome => outcome?,
    }
    Ok(locks.0.remove(0))
}
