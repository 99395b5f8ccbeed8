//! How a data node gets its part in a transaction. The first one touched is the transaction's home:
//! its branch is a plain transaction, also when others are XA, because the home's own commit is the
//! decision (see `commit`). A savepoint at its very beginning tells at the end that it is still the
//! same transaction: a data node that rolled it back, or committed it by itself, has lost it.

use super::{Branch, STAY_OPEN, Transaction, lost, run_all};
use crate::backends::BackendNode;
use crate::commit_marks;
use crate::decision;
use crate::error::ExecError;
use crate::own_connection::Seat;
use crate::reads;
use futures::future::join_all;
use node_backend::pool::Lease;
use node_backend::session_state::SessionState;
use std::rc::Rc;
use std::sync::Arc;

/// Set where a home begins.
pub(super) const HOME_SAVEPOINT: &str = "`_ddm_home`";

/// A data node that is to get its part, and the connection that the session keeps to it.
pub(crate) type Wanted = (Rc<BackendNode>, Option<Seat>);

/// What begins a branch.
pub(super) struct Start {
    pub statements: Vec<String>,
    pub xid: String,
    pub stays_open: bool,
}

impl Transaction {
    /// Gives several data nodes their parts at once, the first of them first; after an error none of
    /// them has one that had none before.
    pub(crate) async fn open_all(
        &mut self,
        wanted: &[Wanted],
        state: &Arc<SessionState>,
    ) -> Result<(), ExecError> {
        let fresh: Vec<&Wanted> =
            wanted.iter().filter(|(node, _)| !self.has_branch(&node.definition.id)).collect();
        let Some((first, _)) = fresh.first() else { return Ok(()) };
        self.reads_lock |= match self.options.isolation {
            Some(level) => level == "SERIALIZABLE",
            None => reads::is_serializable(state),
        };
        // A table that is made after a snapshot cannot be written in its transaction. Where it cannot be
        // made, the commit says so.
        if self.in_flight.as_ref().is_some_and(|guard| guard.marks().are_wanted()) {
            for (node, _) in &fresh {
                commit_marks::ensure_table(node).await.ok();
            }
        }
        let home = self.branches.first().map_or(first, |branch| &branch.node).definition.id.clone();
        let before = self.branches.len();
        // In order, and only then at once: sessions that wait for each other's connections never meet.
        let mut leased = Vec::with_capacity(fresh.len());
        for (number, (node, seat)) in (before..).zip(fresh) {
            match self.lease(node, seat.clone(), state).await {
                Ok(lease) => {
                    let start = self.start(&home, number, lease.thread_id());
                    leased.push((Branch::new(node, lease, seat), start));
                }
                Err(error) => {
                    leased.into_iter().for_each(|(branch, _)| give_back(branch));
                    return Err(error);
                }
            }
        }
        let runs = leased.into_iter().map(|(branch, start)| begin(branch, start));
        let mut failed = None;
        let mut begun = Vec::new();
        for outcome in join_all(runs).await {
            match outcome {
                Ok(branch) => begun.push(branch),
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        match failed {
            None => self.branches.extend(begun),
            Some(error) => {
                join_all(begun.into_iter().map(take_back)).await;
                return Err(error);
            }
        }
        Ok(())
    }

    /// The statements of a branch of this number, on this connection.
    pub(super) fn start(
        &self,
        home: &base::id::DataNodeId,
        number: usize,
        connection: u32,
    ) -> Start {
        let is_home = number == 0;
        let xid = match &self.gtrid {
            Some(gtrid) if !is_home => decision::xid(gtrid, home, number, connection),
            _ => String::new(),
        };
        let stays_open = self.stay_open && xid.is_empty() && self.under_locks.is_none();
        let mut statements = Vec::new();
        if let Some(level) = self.options.isolation {
            statements.push(format!("SET TRANSACTION ISOLATION LEVEL {level}"));
        }
        if !xid.is_empty() {
            if self.options.read_only {
                statements.push("SET TRANSACTION READ ONLY".to_owned());
            }
            statements.push(format!("XA START {xid}"));
        } else {
            if stays_open {
                statements.push(STAY_OPEN.to_owned());
            }
            statements.push(self.plain_start());
            if self.gtrid.is_some() {
                statements.push(format!("SAVEPOINT {HOME_SAVEPOINT}"));
            }
        }
        statements.extend(self.savepoints.iter().map(|name| format!("SAVEPOINT {name}")));
        Start { statements, xid, stays_open }
    }

    pub(super) async fn lease(
        &self,
        node: &Rc<BackendNode>,
        seat: Option<Seat>,
        state: &Arc<SessionState>,
    ) -> Result<Lease, ExecError> {
        match seat {
            Some(seat) => seat.take_with(state).await?.ok_or_else(|| lost(node)),
            None => node.lease(self.found_rows, state).await,
        }
    }

    fn plain_start(&self) -> String {
        if self.under_locks.is_some() {
            return STAY_OPEN.to_owned();
        }
        let words: Vec<&str> = [
            (self.options.consistent_snapshot, "WITH CONSISTENT SNAPSHOT"),
            (self.options.read_only, "READ ONLY"),
        ]
        .into_iter()
        .filter_map(|(wanted, word)| wanted.then_some(word))
        .collect();
        format!("START TRANSACTION {}", words.join(", "))
    }
}

/// Nothing was said on it yet.
pub(super) fn give_back(mut branch: Branch) {
    match (branch.lease.take(), &branch.seat) {
        (Some(lease), Some(seat)) => seat.put_back(lease),
        (lease, _) => drop(lease),
    }
}

async fn begin(mut branch: Branch, start: Start) -> Result<Branch, ExecError> {
    branch.xid = start.xid;
    branch.stays_open = start.stays_open;
    let Some(lease) = &mut branch.lease else { return Err(lost(&branch.node)) };
    match run_all(lease, &start.statements).await {
        Ok(()) => Ok(branch),
        Err(error) => {
            take_back(branch).await;
            Err(error.into())
        }
    }
}

/// Takes back what began of a branch. A connection that the session keeps stays when it is certain
/// that nothing is left on it; any other is closed.
pub(super) async fn take_back(mut branch: Branch) {
    let Some(mut lease) = branch.lease.take() else { return };
    match &branch.seat {
        Some(seat) if undo_start(&mut lease, &branch.xid, branch.stays_open).await => {
            seat.put_back(lease);
        }
        Some(seat) => {
            lease.discard();
            seat.lose();
        }
        None => lease.discard(),
    }
}

async fn undo_start(lease: &mut Lease, xid: &str, stays_open: bool) -> bool {
    if lease.is_broken() {
        return false;
    }
    if xid.is_empty() {
        let mut statements = vec!["ROLLBACK".to_owned()];
        statements.extend(stays_open.then(|| "SET autocommit=1".to_owned()));
        return run_all(lease, &statements).await.is_ok();
    }
    run_all(lease, &[format!("XA END {xid}")]).await.ok();
    run_all(lease, &[format!("XA ROLLBACK {xid}")]).await.ok();
    !lease.is_broken() && !lease.in_transaction()
}
