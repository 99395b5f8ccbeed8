//! A transaction whose parts on several data nodes see one moment: each distributed commit on all of
//! them, or on none. The parts are opened at once, each reads the marks of commits in its own
//! snapshot (see `commit_marks`), and where one is behind another it is opened again, until none is.
//! That settles what is right; how long it takes under many commits is the gate's concern.

use super::open::{Start, Wanted};
use super::{Branch, Transaction, TransactionOptions, run_all};
use crate::commit_marks::{self, Behind, CommitMarks, View};
use crate::decision::is_missing;
use crate::error::ExecError;
use futures::future::join_all;
use node_backend::error::BackendError;
use node_backend::query::StreamHead;
use node_backend::session_state::SessionState;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A part's last word must be answered within this; else its connection is closed.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// The level at which there are snapshots.
pub(crate) const REPEATS: &str = "REPEATABLE READ";

/// What begins a plain part with a snapshot.
const SNAPSHOT: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT";

/// The table's definition came after the snapshot, or it is being made.
const TABLE_IS_NEW: u16 = 1412;

/// Snapshots that are being taken for one transaction.
pub(crate) struct Opening {
    parts: Vec<Part>,
}

struct Part {
    branch: Branch,
    start: Start,
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
    ) -> Result<Opening, ExecError> {
        let mut opening = Opening { parts: Vec::with_capacity(wanted.len()) };
        let Some((first, _)) = wanted.first() else { return Ok(opening) };
        let home = first.definition.id.clone();
        // In order: sessions that wait for each other's connections never meet.
        for (number, (node, seat)) in wanted.iter().enumerate() {
            match self.lease(node, seat.clone(), state).await {
                Ok(lease) => opening.parts.push(Part {
                    start: self.start(&home, number, lease.thread_id()),
                    branch: Branch::new(node, lease, seat),
                    view: View::new(),
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

    /// The snapshots are its own from now on.
    pub(crate) fn adopt_view(&mut self, opening: Opening) {
        self.branches.extend(opening.parts.into_iter().map(|part| part.branch));
    }

    /// Ends the transaction of a read; the client waits only where the session keeps the connection.
    pub(crate) async fn end_read(mut self) {
        for branch in std::mem::take(&mut self.branches) {
            match branch.seat.is_some() {
                true => end_part(branch).await,
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
    let word = ["COMMIT".to_owned()];
    let ended = tokio::time::timeout(END_TIMEOUT, run_all(&mut lease, &word)).await;
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
    pub fn node(&self, at: usize) -> &Rc<crate::backends::BackendNode> {
        &self.parts[at].branch.node
    }

    /// All of them.
    pub fn nodes(&self) -> impl Iterator<Item = &Rc<crate::backends::BackendNode>> {
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
        let mut taken = self.take_once().await;
        if matches!(taken, Ok(false)) {
            // Its sessions begin otherwise now.
            self.branch.node.has_marks.set(false);
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
                commit_marks::ensure_table(&self.branch.node).await?;
                self.take_once().await?;
                Ok(())
            }
            outcome => Ok(outcome.map(drop)?),
        }
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
        let lease =
            self.branch.lease.as_mut().expect("a part keeps its connection until it is given up");
        self.taken = Instant::now();
        for statement in &statements {
            lease.queue_query(statement.as_bytes());
        }
        lease.queue_query(commit_marks::read_statement().as_bytes());
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
