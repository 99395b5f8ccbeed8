//! What SHOW STATUS counts of clients: statements by their kind, questions, bytes. A session has its
//! own counts, a worker thread those of all its sessions; a thread alone adds to its own, so that
//! nothing is shared on a statement's road, and whoever asks adds the threads' up.

use crate::session::Core;
use crate::shared::{STATEMENTS, Shared};
use mysql_wire::command::Command;
use mysql_wire::frame::FRAME_HEADER_LEN;
use sql_syntax::ast::{PreparedStmt, Statement};
use sql_syntax::{Counted, counted};
use std::sync::atomic::{AtomicU64, Ordering};

/// Before the kinds come the numbers that are none.
const QUESTIONS: usize = 0;
const BYTES_RECEIVED: usize = 1;
const BYTES_SENT: usize = 2;
const METADATA_SKIPPED: usize = 3;
const KINDS: usize = 4;

/// A worker's counts since the start.
#[derive(Debug)]
pub struct WorkerCounts(Vec<AtomicU64>);

impl Default for WorkerCounts {
    fn default() -> Self {
        Self((0..KINDS + Counted::ALL.len()).map(|_| AtomicU64::new(0)).collect())
    }
}

impl WorkerCounts {
    /// Only the worker's own thread calls it: nothing is lost between the two.
    fn add(&self, at: usize, amount: u64) {
        let place = &self.0[at];
        place.store(place.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    fn get(&self, at: usize) -> u64 {
        self.0[at].load(Ordering::Relaxed)
    }
}

/// A session's counts since it began, was reset, or said FLUSH STATUS. It uses few of the kinds.
#[derive(Debug, Default)]
pub struct SessionCounts {
    by_place: Vec<(usize, u64)>,
    /// The client's present statement is not counted by its kind yet.
    uncounted: bool,
}

impl SessionCounts {
    fn add(&mut self, at: usize, amount: u64) {
        match self.by_place.iter_mut().find(|(place, _)| *place == at) {
            Some((_, count)) => *count = count.wrapping_add(amount),
            None => self.by_place.push((at, amount)),
        }
    }

    fn get(&self, at: usize) -> u64 {
        self.by_place.iter().find(|(place, _)| *place == at).map_or(0, |(_, count)| *count)
    }

    /// A statement of the client begins: the first that knows its kind counts it.
    pub fn begin(&mut self) {
        self.uncounted = true;
    }

    /// All are 0 again.
    pub fn clear(&mut self) {
        self.by_place.clear();
    }
}

impl Core {
    fn count(&mut self, at: usize, amount: u64) {
        self.counts.add(at, amount);
        self.worker.counts.add(at, amount);
    }

    fn count_kind(&mut self, kind: Counted) {
        self.count(KINDS + kind as usize, 1);
    }

    /// A statement of a text, or a command that counts as one.
    pub fn count_question(&mut self) {
        self.count(QUESTIONS, 1);
    }

    /// An execution whose columns were left out, as the client knew them.
    pub fn count_left_out(&mut self) {
        if self.out.left_out_metadata() {
            self.count(METADATA_SKIPPED, 1);
        }
    }

    /// A command but COM_QUERY, whose statements are counted one by one.
    pub fn count_command(&mut self, command: &Command<'_>) {
        let (kind, is_question) = match command {
            Command::Query(_) => {
                STATEMENTS.increment();
                return;
            }
            Command::StmtExecute(_) | Command::StmtBulkExecute(_) => {
                STATEMENTS.increment();
                (Counted::StmtExecute, true)
            }
            Command::StmtPrepare(_) => (Counted::StmtPrepare, false),
            Command::StmtSendLongData { .. } => (Counted::StmtSendLongData, true),
            Command::StmtClose(_) => (Counted::StmtClose, false),
            Command::StmtReset(_) => (Counted::StmtReset, false),
            Command::StmtFetch { .. } => (Counted::StmtFetch, true),
            Command::InitDb(_) => (Counted::ChangeDb, true),
            Command::FieldList { .. } => (Counted::ShowFields, true),
            Command::SetOption(_) => (Counted::SetOption, true),
            Command::ProcessKill(_) => (Counted::Kill, true),
            Command::ProcessInfo => (Counted::ShowProcessList, true),
            Command::Ping => (Counted::AdminCommands, false),
            Command::ResetConnection
            | Command::Refresh(_)
            | Command::Shutdown
            | Command::Debug
            | Command::Unknown(_) => (Counted::AdminCommands, true),
            Command::Statistics => (Counted::ShowStatus, false),
            Command::Quit | Command::ChangeUser(_) => return,
        };
        self.count_kind(kind);
        if is_question {
            self.count_question();
        }
    }

    /// The client's statement, where it is planned or comes from the cache.
    pub fn count_planned(&mut self, kind: Option<Counted>) {
        if std::mem::take(&mut self.counts.uncounted)
            && let Some(kind) = kind
        {
            self.count_kind(kind);
        }
    }

    /// The client's statement, where it was parsed. One that executes another counts for both.
    pub fn count_parsed(&mut self, statement: &Statement, text: &[u8]) {
        if !std::mem::take(&mut self.counts.uncounted) {
            return;
        }
        if let Some(kind) = counted(statement, text) {
            self.count_kind(kind);
        }
        let Statement::Prepared(prepared) = statement else { return };
        let steps: &[Counted] = match prepared {
            PreparedStmt::Prepare { .. } => &[Counted::StmtPrepare],
            PreparedStmt::Execute { .. } => &[Counted::StmtExecute],
            PreparedStmt::ExecuteImmediate { .. } => {
                &[Counted::StmtPrepare, Counted::StmtExecute, Counted::StmtClose]
            }
            PreparedStmt::Deallocate(_) => &[Counted::StmtClose],
        };
        for step in steps {
            self.count_kind(*step);
        }
    }

    /// What a command and its answer were in bytes.
    pub fn count_bytes(&mut self, command: usize) {
        let sent = self.out.take_written();
        self.count(BYTES_RECEIVED, (FRAME_HEADER_LEN + command) as u64);
        self.count(BYTES_SENT, sent);
    }

    /// How many prepared statements there are, for others to see.
    pub fn tell_prepared(&self) {
        let count = self.statements.count() + self.kept.statements.count();
        self.handle.prepared.store(count as u64, Ordering::Relaxed);
    }

    /// FLUSH STATUS.
    pub fn flush_status(&mut self) {
        self.counts.clear();
        self.worker.shared.status_flushed();
    }

    /// The session's value of a status variable that is one of these counts, named in lower case.
    pub fn session_count(&self, name: &str) -> Option<u64> {
        match place_of(name)? {
            Place::Both(at) => Some(self.counts.get(at)),
            Place::Never => Some(0),
            Place::OfAll(_) => None,
        }
    }
}

impl Shared {
    /// The node's value of a status variable that is one of these counts, named in lower case.
    pub fn node_count(&self, name: &str) -> Option<u64> {
        match place_of(name)? {
            Place::Both(at) | Place::OfAll(at) => Some(self.counts_of_workers(|one| one.get(at))),
            Place::Never => Some(0),
        }
    }
}

/// Where a status variable is counted.
enum Place {
    /// Of the session and of the node.
    Both(usize),
    /// Of the node alone.
    OfAll(usize),
    /// What cannot be told apart here never ran.
    Never,
}

fn place_of(name: &str) -> Option<Place> {
    if let Some(kind) = name.strip_prefix("com_") {
        let kind = Counted::ALL.iter().find(|one| one.name() == kind);
        return Some(kind.map_or(Place::Never, |kind| Place::Both(KINDS + *kind as usize)));
    }
    Some(match name {
        "questions" => Place::Both(QUESTIONS),
        "queries" => Place::OfAll(QUESTIONS),
        "bytes_received" => Place::Both(BYTES_RECEIVED),
        "bytes_sent" => Place::Both(BYTES_SENT),
        "resultset_metadata_skipped" => Place::Both(METADATA_SKIPPED),
        _ => return None,
    })
}

/// The names of all these counts, in lower case.
pub fn counted_names() -> impl Iterator<Item = String> {
    let numbers =
        ["questions", "queries", "bytes_received", "bytes_sent", "resultset_metadata_skipped"];
    let kinds = Counted::ALL.iter().map(|kind| format!("com_{}", kind.name()));
    numbers.into_iter().map(str::to_owned).chain(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_begins_anew_and_its_thread_goes_on() {
        let (mut session, worker) = (SessionCounts::default(), WorkerCounts::default());
        for at in [KINDS, QUESTIONS, KINDS] {
            session.add(at, 1);
            worker.add(at, 1);
        }
        assert_eq!((session.get(KINDS), session.get(QUESTIONS)), (2, 1));
        session.clear();
        assert_eq!((session.get(KINDS), worker.get(KINDS)), (0, 2));
    }
}
