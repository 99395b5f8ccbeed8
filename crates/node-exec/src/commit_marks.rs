//! Marks that distributed commits leave on each data node that takes part, so that a reader can tell
//! from his own snapshots whether he sees a commit everywhere or on some of them only. A mark is a row
//! that the branch writes as a part of itself: it is seen exactly when the branch's work is. Commits
//! over the same data nodes share rows, one after the other: a slot is taken by the next commit only
//! when the one before is known to be finished everywhere, so the rows of a slot have the same number
//! in all snapshots, or some of them do not see its last commit yet.

use crate::backends::BackendNode;
use crate::decision::is_missing;
use crate::error::ExecError;
use base::id::DataNodeId;
use node_backend::connection::Connection;
use node_backend::error::BackendError;
use node_backend::query::{QueryResult, Row};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::time::Instant;

/// Free slots that are kept for later commits; of more, each commit has one of its own.
const FREE_SLOTS_MAX: usize = 4_096;

/// Rows of one data node that a reader takes: far more than there are commits at once.
const MARKS_MAX: usize = 100_000;

/// Commits known to be finished although a mark of theirs is gone.
const SETTLED_MAX: usize = 10_000;

/// Marks are swept at this age, as decisions are.
const KEEP_HOURS: u32 = 3;

/// Marks swept at once.
const SWEPT_MAX: usize = 1_000;

const CREATE_DATABASE: &str = "CREATE DATABASE IF NOT EXISTS `_ddm`";

// Binary texts: they come to a reader as they are, whatever his session's character sets.
const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS `_ddm`.`commits` (\
    slot VARBINARY(64) NOT NULL PRIMARY KEY, \
    number BIGINT UNSIGNED NOT NULL, \
    gtrid VARBINARY(64) NOT NULL, \
    parts VARBINARY(8192) NOT NULL, \
    made TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP) ENGINE=InnoDB";

/// What marks a process's commits leave, and what it knows of others' marks.
#[derive(Clone, Debug, Default)]
pub struct CommitMarks(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The instance has consistent reads, so commits leave marks.
    wanted: AtomicBool,
    next_slot: AtomicU64,
    /// By the data nodes of a commit.
    free: Mutex<HashMap<String, Vec<Slot>>>,
    /// The last read over data nodes found a commit that was half done.
    crowded: AtomicBool,
    /// Since when they are known to be.
    settled: Mutex<HashMap<(String, u64), Instant>>,
    pub(crate) gates: crate::consistent_reads::gate::Gates,
}

#[derive(Debug)]
struct Slot {
    id: u64,
    /// The last commit's number.
    number: u64,
}

/// The mark of one commit. When it goes without [`CommitMark::finished`], what became of the commit
/// is not certain, and nobody uses its slot again.
#[derive(Debug)]
pub struct CommitMark {
    marks: CommitMarks,
    parts: String,
    slot: Slot,
}

impl CommitMarks {
    /// Says whether commits leave marks from now on.
    pub fn want(&self, wanted: bool) {
        self.0.wanted.store(wanted, Ordering::Release);
    }

    /// Whether commits leave marks.
    pub fn are_wanted(&self) -> bool {
        self.0.wanted.load(Ordering::Acquire)
    }

    /// The mark of a commit over these data nodes.
    pub fn mark<'n>(&self, data_nodes: impl Iterator<Item = &'n DataNodeId>) -> CommitMark {
        let mut ids: Vec<&str> = data_nodes.map(DataNodeId::as_str).collect();
        ids.sort_unstable();
        let parts = ids.join(",");
        let known = lock(&self.0.free).get_mut(&parts).and_then(Vec::pop);
        let mut slot = known.unwrap_or_else(|| Slot {
            id: self.0.next_slot.fetch_add(1, Ordering::Relaxed),
            number: 0,
        });
        slot.number += 1;
        CommitMark { marks: self.clone(), parts, slot }
    }

    /// Whether snapshots that are taken now will mostly agree at once, as the last ones did.
    pub(crate) fn will_agree(&self) -> bool {
        !self.0.crowded.load(Ordering::Relaxed)
    }

    /// Says whether the snapshots of a read agreed at once.
    pub(crate) fn note_agreed(&self, agreed: bool) {
        self.0.crowded.store(!agreed, Ordering::Relaxed);
    }

    /// This commit was finished everywhere by then, whatever marks say.
    pub(crate) fn settle(&self, slot: &str, number: u64, since: Instant) {
        let mut settled = lock(&self.0.settled);
        if settled.len() >= SETTLED_MAX {
            settled.clear();
        }
        settled.entry((slot.to_owned(), number)).or_insert(since);
    }

    /// Whether a snapshot that was taken later than this shows the commit, with or without a mark.
    pub(crate) fn is_settled(&self, slot: &str, number: u64, taken: Instant) -> bool {
        let since = lock(&self.0.settled).get(&(slot.to_owned(), number)).copied();
        since.is_some_and(|since| since < taken)
    }

    pub(crate) fn gates(&self) -> &crate::consistent_reads::gate::Gates {
        &self.0.gates
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl CommitMark {
    /// The statement that makes the mark a part of a branch. The session is a client's, which may
    /// have a clock of its own: hence not NOW().
    pub fn statement(&self, gtrid: &str) -> String {
        // The id of a transaction begins with its process's.
        let process = gtrid.rsplit_once('-').map_or(gtrid, |(process, _)| process);
        format!(
            "INSERT INTO `_ddm`.`commits` (slot, number, gtrid, parts, made) \
             VALUES ('{process}-{:x}', {}, '{gtrid}', '{}', SYSDATE()) \
             ON DUPLICATE KEY UPDATE number = VALUES(number), gtrid = VALUES(gtrid), made = VALUES(made)",
            self.slot.id, self.slot.number, self.parts
        )
    }

    /// All branches are committed.
    pub fn finished(self) {
        let mut free = lock(&self.marks.0.free);
        if free.values().map(Vec::len).sum::<usize>() < FREE_SLOTS_MAX {
            free.entry(self.parts).or_default().push(self.slot);
        }
    }
}

/// A session's isolation level, as either kind of server calls it.
const LEVEL: &[u8] =
    b"SHOW VARIABLES WHERE Variable_name IN ('tx_isolation', 'transaction_isolation')";

/// Makes the table where it is not known to be, and asks how sessions begin.
pub async fn ensure_table(node: &BackendNode) -> Result<(), ExecError> {
    if node.has_marks.get() {
        return Ok(());
    }
    let mut lease = node.own_lease().await?;
    match lease.query(b"SELECT 1 FROM `_ddm`.`commits` LIMIT 0").await {
        Err(error) if is_missing(&error) => {
            lease.execute_sql(CREATE_DATABASE.as_bytes()).await?;
            lease.execute_sql(CREATE_TABLE.as_bytes()).await?;
        }
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    let levels = lease.query(LEVEL).await?.into_rows();
    let repeats = levels.first().and_then(|row| row.text(1));
    node.repeats_reads.set(repeats.is_some_and(|level| level == "REPEATABLE-READ"));
    node.has_marks.set(true);
    Ok(())
}

/// What a snapshot of one data node shows of commits: the rows of [`read_statement`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View(Vec<Row>);

/// The last commit of a slot that a snapshot shows.
#[derive(Clone, Debug)]
struct Seen {
    number: u64,
    gtrid: String,
    parts: String,
}

impl View {
    fn by_slot(&self) -> HashMap<String, Seen> {
        let seen = |row: &Row| {
            let (slot, number, gtrid, parts) =
                (row.text(0)?, row.text(1)?, row.text(2)?, row.text(3)?);
            Some((slot, Seen { number: number.parse().unwrap_or_default(), gtrid, parts }))
        };
        self.0.iter().filter_map(seen).collect()
    }
}

/// A data node's snapshot does not show a commit that another one shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Behind {
    /// Which of the snapshots.
    pub at: usize,
    pub slot: String,
    pub number: u64,
    pub gtrid: String,
}

/// The statement that reads the marks. The session may have bounded its queries.
pub(crate) fn read_statement() -> String {
    format!("SELECT slot, number, gtrid, parts FROM `_ddm`.`commits` LIMIT {MARKS_MAX}")
}

/// Reads the answer of [`read_statement`].
pub(crate) async fn read_view(connection: &mut Connection) -> Result<View, BackendError> {
    let mut view = View::default();
    connection.open_stream().await?;
    while let Some(row) = connection.next_row().await? {
        view.0.push(row);
    }
    Ok(view)
}

/// Which of the snapshots are behind others. None is when the list is empty: then each commit is
/// shown by all of them that it has a part on, or by none.
pub(crate) fn behind(views: &[(&DataNodeId, &View)]) -> Vec<Behind> {
    // Where commits are over the same data nodes, which is mostly so, all show the same bytes.
    if views.windows(2).all(|two| two[0].1 == two[1].1) {
        return Vec::new();
    }
    let views: Vec<_> = views.iter().map(|(id, view)| (id, view.by_slot())).collect();
    // In order, so that what follows is the same whenever it is asked.
    let mut last: BTreeMap<&str, &Seen> = BTreeMap::new();
    for (slot, seen) in views.iter().flat_map(|(_, view)| view.iter()) {
        let known = last.entry(slot).or_insert(seen);
        if known.number < seen.number {
            *known = seen;
        }
    }
    let mut behind = Vec::new();
    for (slot, seen) in last {
        for (at, (id, view)) in views.iter().enumerate() {
            let takes_part = seen.parts.split(',').any(|part| part == id.as_str());
            let shows = view.get(slot).map_or(0, |own| own.number);
            if takes_part && shows < seen.number {
                behind.push(Behind {
                    at,
                    slot: slot.to_owned(),
                    number: seen.number,
                    gtrid: seen.gtrid.clone(),
                });
            }
        }
    }
    behind
}

/// Removes marks that nobody has used for hours, except those of `keep`, transactions that are
/// prepared somewhere.
pub(crate) async fn sweep(node: &BackendNode, keep: &HashSet<&str>) -> Result<(), ExecError> {
    // Read without locks, as old decisions are.
    let select = format!(
        "SELECT slot, gtrid FROM `_ddm`.`commits` WHERE made < NOW() - INTERVAL {KEEP_HOURS} HOUR LIMIT {SWEPT_MAX}"
    );
    let mut lease = node.own_lease().await?;
    let old = match lease.query(select.as_bytes()).await {
        Err(error) if is_missing(&error) => return Ok(()),
        answer => match answer? {
            QueryResult::Rows(set) => set.rows,
            QueryResult::Ok(_) => return Ok(()),
        },
    };
    for row in &old {
        let (Some(slot), Some(gtrid)) = (row.text(0), row.text(1)) else { continue };
        if keep.contains(gtrid.as_str()) {
            continue;
        }
        let delete =
            format!("DELETE FROM `_ddm`.`commits` WHERE slot = '{slot}' AND gtrid = '{gtrid}'");
        lease.execute_sql(delete.as_bytes()).await?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "commit_marks_tests.rs"]
mod tests;
