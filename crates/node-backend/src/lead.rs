//! Which server of a data node is its primary, and whether it may be written to, as all threads of
//! the process know it. A statement looks at one number.

use crate::members::News;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

/// What may be done with a data node's primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Gate {
    /// Everything.
    Open = 0,
    /// Its servers were not asked yet.
    Unasked = 1,
    /// It takes no writes now.
    ReadOnly = 2,
    /// Nothing: it is not certain who it is.
    Shut = 3,
}

/// Host and port.
pub type Place = (String, u16);

/// Who leads one data node.
#[derive(Debug)]
pub struct Lead {
    /// Four times how often the place has changed, and the gate.
    state: AtomicU64,
    said: Mutex<Said>,
    news: News,
}

#[derive(Debug, Default)]
struct Said {
    /// None: the server that is registered as the primary.
    place: Option<Place>,
    reason: String,
}

const GATES: u64 = 4;

impl Lead {
    pub(crate) fn new(news: News) -> Self {
        Self { state: AtomicU64::new(Gate::Unasked as u64), said: Mutex::default(), news }
    }

    /// How often it has changed who it is, and what may be done with the one of now.
    pub fn now(&self) -> (u64, Gate) {
        let state = self.state.load(Ordering::Acquire);
        let gate = match state % GATES {
            0 => Gate::Open,
            1 => Gate::Unasked,
            2 => Gate::ReadOnly,
            _ => Gate::Shut,
        };
        (state / GATES, gate)
    }

    /// Whether everything may be done with the one that was known after so many changes.
    pub fn is_open(&self, changes: u64) -> bool {
        self.state.load(Ordering::Acquire) == changes * GATES + Gate::Open as u64
    }

    /// Where it is, when it is not the server that is registered as the primary; and after how many
    /// changes.
    pub fn place(&self) -> (Option<Place>, u64) {
        let said = self.said();
        (said.place.clone(), self.now().0)
    }

    /// Why it may not be used as the gate says.
    pub fn reason(&self) -> String {
        self.said().reason.clone()
    }

    /// Notes who it is and what may be done; whether that is news.
    pub fn set(&self, place: Option<Place>, gate: Gate, reason: &str) -> bool {
        let changed = {
            let mut said = self.said();
            let before = self.now();
            let changes = before.0 + u64::from(said.place != place);
            *said = Said { place, reason: reason.to_owned() };
            self.state.store(changes * GATES + gate as u64, Ordering::Release);
            before != (changes, gate)
        };
        if changed {
            self.news.tell();
        }
        changed
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_knows_an_earlier_one_finds_it_closed() {
        let lead = Lead::new(News::default());
        assert!(!lead.is_open(0) && lead.now() == (0, Gate::Unasked));
        assert!(lead.set(None, Gate::Open, "") && !lead.set(None, Gate::Open, ""));
        assert!(lead.is_open(0));
        assert!(lead.set(Some(("b".into(), 1)), Gate::Open, ""));
        assert!(!lead.is_open(0) && lead.is_open(1));
        assert_eq!(lead.place(), (Some(("b".into(), 1)), 1));
        assert!(lead.set(Some(("b".into(), 1)), Gate::Shut, "why"));
        assert!(!lead.is_open(1) && lead.now() == (1, Gate::Shut) && lead.reason() == "why");
        assert!(lead.set(None, Gate::Open, "") && !lead.is_open(0) && lead.is_open(2));
    }
}
