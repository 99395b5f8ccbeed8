//! EXPLAIN ANALYZE: what each part of a statement read and how long it took. Kept only while a
//! statement is analysed; otherwise a part costs a test.

use crate::exec::ExecSession;
use sql_plan::plan::Place;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// Lines that are kept of one statement.
const LINES_MAX: usize = 4096;

/// What was measured so far.
#[derive(Debug, Default)]
pub struct Trace {
    lines: Vec<String>,
}

impl Trace {
    /// The lines, in the order in which the parts ended.
    pub fn into_lines(self) -> Vec<String> {
        self.lines
    }
}

impl ExecSession {
    /// A part's beginning, if the statement is analysed.
    pub(crate) fn part_begins(&self) -> Option<Instant> {
        self.trace.as_ref().map(|_| Instant::now())
    }

    /// A shard's answer was read, to its end if `ended` says when.
    pub(crate) fn shard_ends(
        &mut self,
        begun: Option<Instant>,
        ended: Option<Instant>,
        shard: u32,
        rows: u64,
    ) {
        if let (Some(trace), Some(begun)) = (&mut self.trace, begun)
            && trace.lines.len() < LINES_MAX
        {
            let whole = if ended.is_some() { "" } else { ", not read to its end" };
            let time = milliseconds(ended.unwrap_or_else(Instant::now) - begun);
            trace.lines.push(format!("  shard {shard} (rows={rows}, time={time} ms{whole})"));
        }
    }

    /// A statement that one place ran as a whole is over.
    pub(crate) fn forward_ends(&mut self, begun: Option<Instant>, place: Place<'_>) {
        if begun.is_none() {
            return;
        }
        let rows = match self.last.row_count {
            -1 => self.last.found_rows,
            affected => u64::try_from(affected).unwrap_or_default(),
        };
        match place {
            Place::Target(_, target) => {
                self.part_ends(begun, format_args!("Forward(shard {})", target.shard), rows);
            }
            Place::AnyShard(_) | Place::AnyNode => self.part_ends(begun, "Forward", rows),
        }
    }

    /// A part is over.
    pub(crate) fn part_ends(&mut self, begun: Option<Instant>, what: impl Display, rows: u64) {
        if let (Some(trace), Some(begun)) = (&mut self.trace, begun)
            && trace.lines.len() < LINES_MAX
        {
            let time = milliseconds(begun.elapsed());
            trace.lines.push(format!("{what} (rows={rows}, time={time} ms)"));
        }
    }
}

/// Milliseconds with three digits.
pub fn milliseconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}
