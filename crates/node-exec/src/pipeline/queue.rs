//! Which statements are where: those that wait, and on each line (a shared connection) those that
//! were sent and whose answers are due, the oldest first. Pure: what goes out, what comes in and
//! what time it is are told by [`super::line`]. All statements are reads, so one whose answer did not
//! come may be sent again; each is given back exactly once.

use std::collections::VecDeque;

/// A line has no more answers due than this: the bound of what waits behind one statement.
pub const DEPTH_MAX: usize = 32;

/// A further line is used when each has this many statements.
const LINE_SHARE: usize = 16;

/// Lines of one queue.
pub const LINES_MAX: usize = 4;

/// Statements that wait.
pub const WAITING_MAX: usize = 10_000;

/// A line's number; none comes twice in a queue's life.
pub type LineId = u64;

/// Statements of sessions with equal state for one server.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: VecDeque<T>,
    lines: Vec<Line<T>>,
    next_id: LineId,
}

#[derive(Debug)]
struct Line<T> {
    id: LineId,
    /// Its connection is there.
    open: bool,
    /// Gets nothing new.
    retired: bool,
    /// Answers that are due; `None`: nobody waits for it any more.
    due: VecDeque<Option<T>>,
    /// How many were due when something was sent last.
    burst: usize,
}

/// Where a statement was that is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It was not sent.
    Unsent,
    /// It was sent on this line; its answer will be passed over.
    Sent(LineId),
    /// It is over already.
    Over,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), lines: Vec::new(), next_id: 0 }
    }
}

impl<T> Queue<T> {
    /// A statement comes; given back when too many wait.
    pub fn submit(&mut self, statement: T) -> Result<(), T> {
        if self.waiting.len() >= WAITING_MAX {
            return Err(statement);
        }
        self.waiting.push_back(statement);
        Ok(())
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.lines.is_empty()
    }

    /// Statements that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Answers that are due on lines that are used.
    fn due(&self) -> usize {
        self.usable().map(|line| line.due.len()).sum()
    }

    fn usable(&self) -> impl Iterator<Item = &Line<T>> {
        self.lines.iter().filter(|line| !line.retired)
    }

    /// Whether some line is used, or will be.
    pub fn is_served(&self) -> bool {
        self.usable().next().is_some()
    }

    /// So many lines are worth it.
    fn wanted(&self) -> usize {
        (self.waiting.len() + self.due()).div_ceil(LINE_SHARE).clamp(1, LINES_MAX)
    }

    /// A further line, if it is worth it: its connection is to be made.
    pub fn open_line(&mut self) -> Option<LineId> {
        if self.waiting.is_empty() || self.usable().count() >= self.wanted() {
            return None;
        }
        let id = self.next_id;
        self.next_id += 1;
        let due = VecDeque::new();
        self.lines.push(Line { id, open: false, retired: false, due, burst: 0 });
        Some(id)
    }

    /// A line's connection is there.
    pub fn opened(&mut self, id: LineId) {
        if let Some(line) = self.line(id) {
            line.open = true;
        }
    }

    /// A line on which nothing is due, while statements wait.
    pub fn idle_line(&self) -> Option<LineId> {
        if self.waiting.is_empty() {
            return None;
        }
        let first = self.usable().take(self.wanted());
        first.into_iter().find(|line| line.open && line.due.is_empty()).map(|line| line.id)
    }

    fn line(&mut self, id: LineId) -> Option<&mut Line<T>> {
        self.lines.iter_mut().find(|line| line.id == id)
    }

    fn position(&self, id: LineId) -> Option<usize> {
        self.lines.iter().position(|line| line.id == id)
    }

    /// How many statements a line takes now. A burst is not topped up one by one: the next is sent
    /// when half of it has been answered, so that both sides handle many at once.
    pub fn room(&self, id: LineId) -> usize {
        let wanted = self.wanted();
        let Some(place) = self.usable().position(|line| line.id == id) else { return 0 };
        let Some(line) = self.usable().nth(place).filter(|line| line.open) else { return 0 };
        if place >= wanted || line.due.len() > line.burst / 2 {
            return 0;
        }
        let share = (self.waiting.len() + self.due()).div_ceil(wanted).min(DEPTH_MAX);
        share.saturating_sub(line.due.len()).min(self.waiting.len())
    }

    /// The statement that is sent next.
    pub fn first(&self) -> Option<&T> {
        self.waiting.front()
    }

    /// The first statement goes out on a line.
    pub fn send(&mut self, id: LineId) -> Option<T>
    where
        T: Clone,
    {
        let at = self.position(id)?;
        let statement = self.waiting.pop_front()?;
        let line = &mut self.lines[at];
        line.due.push_back(Some(statement.clone()));
        line.burst = line.due.len();
        Some(statement)
    }

    /// The statement whose answer comes now on a line; `Some(None)`: it is nobody's.
    pub fn head(&self, id: LineId) -> Option<Option<&T>> {
        let line = &self.lines[self.position(id)?];
        line.due.front().map(Option::as_ref)
    }

    /// How many answers are due on a line.
    pub fn due_on(&self, id: LineId) -> usize {
        self.position(id).map_or(0, |at| self.lines[at].due.len())
    }

    /// Whether nobody waits for any of the answers that are due on a line.
    pub fn is_deserted(&self, id: LineId) -> bool {
        self.position(id).is_some_and(|at| self.lines[at].due.iter().all(Option::is_none))
    }

    /// Whether a line gets nothing new.
    pub fn is_retired(&self, id: LineId) -> bool {
        self.position(id).is_none_or(|at| self.lines[at].retired)
    }

    /// The oldest answer of a line has come whole; whose it is.
    pub fn answered(&mut self, id: LineId) -> Option<T> {
        self.line(id)?.due.pop_front().flatten()
    }

    /// The oldest answer of a line cannot be used: its statement is given back, and what comes is
    /// passed over.
    pub fn pass_over(&mut self, id: LineId) -> Option<T> {
        self.line(id)?.due.front_mut()?.take()
    }

    /// A statement is of no interest any longer.
    pub fn cancel(&mut self, is_it: impl Fn(&T) -> bool) -> Cancelled {
        if let Some(at) = self.waiting.iter().position(&is_it) {
            self.waiting.remove(at);
            return Cancelled::Unsent;
        }
        for line in &mut self.lines {
            for one in &mut line.due {
                if one.as_ref().is_some_and(&is_it) {
                    *one = None;
                    return Cancelled::Sent(line.id);
                }
            }
        }
        Cancelled::Over
    }

    /// A line gets nothing new.
    pub fn retire(&mut self, id: LineId) {
        if let Some(line) = self.line(id) {
            line.retired = true;
        }
    }

    /// The oldest statement of a line takes long: it keeps the line for itself, and those behind it
    /// are given back.
    pub fn stalled(&mut self, id: LineId) -> Vec<T> {
        let Some(line) = self.line(id) else { return Vec::new() };
        line.retired = true;
        line.due.iter_mut().skip(1).filter_map(Option::take).collect()
    }

    /// A line is gone. Gives back what was sent on it, and if it was the last, also what waits.
    pub fn close(&mut self, id: LineId) -> Vec<T> {
        let Some(at) = self.position(id) else { return Vec::new() };
        let line = self.lines.remove(at);
        let mut back: Vec<T> = line.due.into_iter().flatten().collect();
        if self.usable().next().is_none() {
            back.extend(self.waiting.drain(..));
        }
        back
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
