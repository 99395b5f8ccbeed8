//! What happened in a run, a line each, with the time by the run's own clock. Two runs of a seed have
//! the same lines.

use std::cell::RefCell;
use std::rc::Rc;
use tokio::time::Instant;

/// Lines that are kept; a run that has more says so in the last one.
const LINES_MAX: usize = 1_000_000;

/// The lines of one run. Clones are the same trace.
#[derive(Clone, Debug)]
pub struct Trace(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    lines: RefCell<Vec<String>>,
}

impl Trace {
    /// Begins now.
    pub fn begin() -> Self {
        Self(Rc::new(Inner { began: Instant::now(), lines: RefCell::default() }))
    }

    /// Adds a line.
    pub fn note(&self, line: &str) {
        let mut lines = self.0.lines.borrow_mut();
        if lines.len() < LINES_MAX {
            lines.push(format!("{:>9} {line}", self.now_ms()));
        }
    }

    /// Milliseconds since the beginning.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.lines.borrow().clone()
    }
}
