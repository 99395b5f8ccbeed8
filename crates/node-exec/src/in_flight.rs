//! The distributed transactions that this node has begun and not finished: its recovery task leaves
//! their branches alone.

use crate::commit_marks::CommitMarks;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};

/// Ids of this node's distributed transactions that are not finished, for its recovery task.
#[derive(Clone, Debug, Default)]
pub struct InFlight {
    gtrids: Arc<Mutex<HashSet<String>>>,
    marks: CommitMarks,
}

/// One id on the list.
#[derive(Debug)]
pub struct InFlightGuard {
    list: InFlight,
    gtrid: String,
}

impl InFlight {
    /// Puts an id on the list.
    pub fn enter(&self, gtrid: &str) -> InFlightGuard {
        self.lock().insert(gtrid.to_owned());
        InFlightGuard { list: self.clone(), gtrid: gtrid.to_owned() }
    }

    /// Whether the id is on the list.
    pub fn contains(&self, gtrid: &str) -> bool {
        self.lock().contains(gtrid)
    }

    /// What their commits leave for consistent reads.
    pub fn marks(&self) -> &CommitMarks {
        &self.marks
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.gtrids.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl InFlightGuard {
    /// What the node's commits leave for consistent reads.
    pub fn marks(&self) -> &CommitMarks {
        &self.list.marks
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.list.lock().remove(&self.gtrid);
    }
}
