//! A transaction whose parts on several data nodes see one moment: each distributed commit on all of
//! them, or on none. The parts are opened at once, each reads the marks of commits in its own
//! snapshot (see `commit_marks`), and where one is behind another it is opened again, until none is.
//! That settles what is right; how long it takes under many commits is the gate's concern.

use super::open::{Start, Wanted};
use super::{Branch, Transaction, TransactionOptions, run_all};
use crate::backends::BackendNode;
use crate::commit_marks::{self, Behind, CommitMarks, View};
use crate::decision::is_missing;
use crate::error::ExecError;
use crate::streams::{self, Job};
use base::id::DataNodeId;
use futures::future::join_all;
use node_backend::error::BackendError;
use node_backend::pool::Lease;
use node_backend::query::StreamHead;
use node_backend::session_state::SessionState;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A part's last word must be answered within this; else its connection is closed.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers that were sent for in vain are read away when they are there within this, and no longer.
const IN_VAIN_TIME: Duration = Duration::from_millis(20);

/// The same in bytes.
const IN_VAIN_BYTES: usize = 64 * 1024;

/// The level at which there are snapshots.
pub(crate) const REPEATS: &str = "REPEATABLE READ";

/// What ends a read's part.
const END: &str = "COMMIT";

/// What begins a plain part with a snapshot.
const SNAPSHOT: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT";

/// The table's definition came after the snapshot, or it is being made.
const TABLE_IS_NEW: u16 = 1412;

/// The statements of a read, sent to its data nodes in one burst with what begins their parts, so that
/// it waits for no answer more than a read without a view. They have answers for nothing when the
/// snapshots do not agree.
pub(crate) struct Ahead<'j> {
    pub jobs: &'j [Job],
    pub asks_warnings: bool,
}

impl Ahead<'_> {
    /// All that is said on a data node's connection; the last word, too, where it leaves the warnings
    /// of the statement before it.
    fn on(&self, node: &BackendNode, lease: &Lease) -> Vec<Vec<u8>> {
        let own = self.jobs.iter().filter(|job| job.data_node == node.definition.id);
        let texts = own.map(|job| job.text.as_slice());
        let mut all: Vec<Vec<u8>> =
            streams::burst(texts, self.asks_warnings).map(<[u8]>::to_vec).collect();
        if lease.is_mariadb() {
            all.push(END.into());
        }
        all
    }
}

/// Of a part.
const KEPT: &str = "a part keeps its connection until it is given up";

/// Snapshots that are being taken for one transaction.
pub(crate) struct Opening {
    parts: Vec<Part>,
}

struct Part {
    branch: Branch,
    start: Start,
    found_rows: bool,
    /// Goes with the first snapshot.
    ahead: Vec<Vec<u8>>,
    view: View,
    /// Just before its snapshot was taken.
    taken: Instant,
    begun: bool,
}

impl Transaction {
    /// The transaction of one read over several data nodes, whose sessions repeat reads or must be
    /// told to.
    pub(crate) fn of_read(found_rows: bool, repeats: bool) -> Self {
        let options = TransactionOptions {
            consistent_snapshot: true,
            isolation: (!repeats).then_some(REPEATS),
            ..TransactionOptions::default()
        };
        let mut transaction = Self::begin(None, options, found_rows);
        transaction.is_of_read = true;
        transaction
    }

    /// Whether it is there for one read only, and no transaction of the client's.
    pub fn is_of_read(&self) -> bool {
        self.is_of_read
    }

    /// Connections for parts on these data nodes; none has one yet.
    pub(crate) async fn prepare_view(
        &self,
        wanted: &[Wanted],
        state: &Arc<SessionState>,
        ahead: Option<&Ahead<'_>>,
    ) -> Result<Opening, ExecError> {
        let mut opening = Opening { parts: Vec::with_capacity(wanted.len()) };
        let Some((first, _)) = wanted.first() else { return Ok(opening) };
        let home = first.definition.id.clone();
        // In order: sessions that wait for each other's connections never meet.
        for (number, (node, seat)) in wanted.iter().enumerate() {
            match self.lease(node, seat.clone(), state).await {
                Ok(lease) => opening.parts.push(Part {
                    start: self.start(&home, number, lease.thread_id()),
                    found_rows: self.found_rows,
                    // A connection that the session keeps could not be closed if they were in vain.
                    ahead: match ahead {
                        Some(ahead) if seat.is_none() => ahead.on(node, &lease),
                        _ => Vec::new(),
                    },
                    branch: Branch::new(node, lease, seat),
                    view: View::default(),
                    taken: Instant::now(),
                    begun: false,
                }),
                Err(error) => {
                    opening.give_up().await;
                    return Err(error);
                }
            }
        }
        Ok(opening)
    }

    /// Whether the statements of the read are sent already on the part of this data node, and asked for
    /// the first time since.
    pub(crate) fn take_ahead(&mut self, id: &DataNodeId) -> bool {
        let branch = self.branches.iter_mut().find(|branch| branch.node.definition.id == *id);
        branch.is_some_and(|branch| std::mem::take(&mut branch.ahead))
    }

    /// The snapshots are its own from now on.
    pub(crate) fn adopt_view(&mut self, opening: Opening) {
        self.branches.extend(opening.parts.into_iter().map(|part| part.branch));
    }

    /// Ends the transaction of a read; the client waits only where the session keeps the connection.
    pub(crate) async fn end_read(mut self) {
        for branch in std::mem::take(&mut self.branches) {
            let is_over = branch.lease.as_ref().is_some_and(|lease| {
                !lease.is_broken() && lease.is_idle() && !lease.in_transaction()
            });
            match branch.seat.is_some() {
                true => end_part(branch).await,
                // Its last word was sent ahead.
                false if is_over => drop(branch),
                false => drop(tokio::task::spawn_local(end_part(branch))),
            }
        }
    }
}

async fn end_part(mut branch: Branch) {
    let (lease, seat) = (branch.lease.take(), branch.seat.take());
    let Some(mut lease) = lease else {
        if let Some(seat) = seat {
            seat.lose();
        }
        return;
    };
    let ending = async {
        // Where the read failed before its answers were asked for.
        lease.drain().await?;
        run_all(&mut lease, &[END.to_owned()]).await
    };
    let ended = tokio::time::timeout(END_TIMEOUT, ending).await;
    match (matches!(ended, Ok(Ok(()))), seat) {
        (true, Some(seat)) => seat.put_back(lease),
        (true, None) => drop(lease),
        (false, seat) => {
            lease.discard();
            if let Some(seat) = seat {
                seat.lose();
            }
        }
    }
}

impl Opening {
    /// Takes the snapshots of these parts, or takes them anew.
    pub async fn take(&mut self, which: impl Fn(usize) -> bool) -> Result<(), ExecError> {
        let chosen = self.parts.iter_mut().enumerate().filter(|(at, _)| which(*at));
        join_all(chosen.map(|(_, part)| part.take())).await.into_iter().collect()
    }

    /// Where a commit is seen by one part and not yet by another.
    pub fn behind(&self, marks: &CommitMarks) -> Vec<Behind> {
        let views: Vec<_> =
            self.parts.iter().map(|part| (&part.branch.node.definition.id, &part.view)).collect();
        let mut behind = commit_marks::behind(&views);
        behind.retain(|one| !marks.is_settled(&one.slot, one.number, self.parts[one.at].taken));
        behind
    }

    /// The data node of a part.
    pub fn node(&self, at: usize) -> &Rc<BackendNode> {
        &self.parts[at].branch.node
    }

    /// All of them.
    pub fn nodes(&self) -> impl Iterator<Item = &Rc<BackendNode>> {
        self.parts.iter().map(|part| &part.branch.node)
    }

    /// Takes back what has begun.
    pub async fn give_up(self) {
        join_all(self.parts.into_iter().map(|part| async move {
            match part.begun {
                true => super::open::take_back(part.branch).await,
                false => super::open::give_back(part.branch),
            }
        }))
        .await;
    }
}

impl Part {
    async fn take(&mut self) -> Result<(), ExecError> {
        self.forget_ahead().await?;
        let mut taken = self.take_once().await;
        if matches!(taken, Ok(false)) {
            // Its sessions begin otherwise now.
            self.branch.node.has_marks.set(false);
            self.forget_ahead().await?;
            let level = format!("SET TRANSACTION ISOLATION LEVEL {REPEATS}");
            self.start.statements.insert(0, level);
            taken = self.take_once().await;
        }
        match taken {
            // The table was made, or is made, just now: there was no commit with a mark before.
            Err(BackendError::Server(error))
                if error.number == TABLE_IS_NEW
                    || is_missing(&BackendError::Server(error.clone())) =>
            {
                self.branch.node.has_marks.set(false);
                self.forget_ahead().await?;
                commit_marks::ensure_table(&self.branch.node).await?;
                self.take_once().await?;
                Ok(())
            }
            outcome => Ok(outcome.map(drop)?),
        }
    }

    /// What was sent ahead has answers for nothing. They are there already, mostly; else the statement
    /// is ended, and the part has a fresh connection in the place of this one.
    async fn forget_ahead(&mut self) -> Result<(), ExecError> {
        self.branch.ahead = false;
        let lease = self.branch.lease.as_mut().expect(KEPT);
        if lease.is_idle() || lease.drain_short(IN_VAIN_BYTES, IN_VAIN_TIME).await? {
            return Ok(());
        }
        let (thread_id, state) = (lease.thread_id(), lease.applied_session().clone());
        let pool = self.branch.node.primary().pool(self.found_rows).clone();
        tokio::task::spawn_local(async move { pool.kill_query(thread_id).await });
        let old = self.branch.lease.take().expect(KEPT);
        let mut fresh = old.reconnect().await?;
        fresh.apply_session(&state).await?;
        self.branch.connection_id = fresh.thread_id();
        self.branch.lease = Some(fresh);
        self.begun = false;
        Ok(())
    }

    /// False when the data node took no snapshot, for the level at which its session is.
    async fn take_once(&mut self) -> Result<bool, BackendError> {
        let mut statements = Vec::new();
        if std::mem::replace(&mut self.begun, true) {
            match self.start.xid.is_empty() {
                true => statements.push("ROLLBACK".to_owned()),
                false => {
                    statements.push(format!("XA END {}", self.start.xid));
                    statements.push(format!("XA ROLLBACK {}", self.start.xid));
                }
            }
        }
        statements.extend(self.start.statements.iter().cloned());
        self.branch.xid.clone_from(&self.start.xid);
        self.branch.stays_open = self.start.stays_open;
        let lease = self.branch.lease.as_mut().expect(KEPT);
        self.taken = Instant::now();
        for statement in &statements {
            lease.queue_query(statement.as_bytes());
        }
        lease.queue_query(commit_marks::read_statement().as_bytes());
        let ahead = std::mem::take(&mut self.ahead);
        ahead.iter().for_each(|statement| lease.queue_query(statement));
        self.branch.ahead = !ahead.is_empty();
        lease.flush().await?;
        let (mut first_error, mut has_snapshot) = (None, true);
        for statement in &statements {
            match lease.open_stream().await {
                Ok(StreamHead::Ok { ok, .. }) => {
                    has_snapshot &= ok.warnings == 0 || !statement.starts_with(SNAPSHOT);
                }
                Ok(_) => while lease.next_row().await?.is_some() {},
                Err(BackendError::Server(error)) => {
                    first_error.get_or_insert(error);
                }
                Err(other) => return Err(other),
            }
        }
        let view = commit_marks::read_view(lease).await;
        match (first_error, view) {
            (Some(error), _) => Err(BackendError::Server(error)),
            (None, view) => {
                self.view = view?;
                Ok(has_snapshot)
            }
        }
    }
}
