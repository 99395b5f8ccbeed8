//! Statements of many sessions on few connections. Short reads (see [`sql_plan::short_reads`]) that
//! come while others are under way do not take a connection each: those of sessions with equal state
//! go out in bursts over shared ones, and their answers come back in order. So a data node that is
//! busy finds its next statement already there, and neither side sleeps and wakes for each.
//!
//! A session hands in a [`ticket::Ticket`] and waits for its outcome; [`queue`] decides, [`line`]
//! moves the bytes. What cannot be answered so (it takes long, is large, has warnings, its line was
//! lost) runs again on a connection of its own, as it would have without all this.

mod answer;
mod line;
pub mod queue;
mod shared;
pub mod ticket;

pub(crate) use answer::Pieces;
#[cfg(test)]
pub(crate) use answer::{Answer, Buffered};
pub(crate) use shared::{note_alone, run};

use crate::members::Member;
use node_backend::session_state::SessionState;
use queue::{Cancelled, LineId, Queue};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use telemetry::metrics::{Counter, Gauge, Metric, SpreadCounter};
use ticket::{Outcome, Ticket};
use tokio::sync::Notify;

/// Session states that have shared connections to one server at once; others go alone.
const GROUPS_MAX: usize = 16;

/// Statements that went out on shared connections.
pub static STATEMENTS: SpreadCounter = SpreadCounter::new(
    "ddm_pipelined_statements_total",
    "Statements sent on connections that sessions share.",
);
/// Writes that took them there.
pub static BURSTS: SpreadCounter = SpreadCounter::new(
    "ddm_pipeline_bursts_total",
    "Bursts of statements on connections that sessions share.",
);
/// Statements that had to be sent again.
pub static SENT_AGAIN: Counter = Counter::new(
    "ddm_pipeline_sent_again_total",
    "Statements that were taken off a shared connection and sent on one of their own.",
);
/// Shared connections.
pub static LINES: Gauge =
    Gauge::new("ddm_pipeline_connections", "Connections that sessions share now.");
/// Statements on them.
pub static DEPTH: Gauge = Gauge::new(
    "ddm_pipeline_depth",
    "Statements on shared connections whose answers are due, over all of them.",
);

/// All of them, to be registered.
pub static ALL: [&dyn Metric; 5] = [&STATEMENTS, &BURSTS, &SENT_AGAIN, &LINES, &DEPTH];

/// One server's shared connections, as one worker has them.
#[derive(Debug, Default)]
pub struct Pipes {
    groups: RefCell<Vec<Rc<Group>>>,
    /// Short reads that are under way on this server, shared or not.
    running: Cell<usize>,
}

/// Sessions with equal state.
#[derive(Debug)]
pub struct Group {
    found_rows: bool,
    state: Arc<SessionState>,
    queue: RefCell<Queue<Rc<Ticket>>>,
    wakes: RefCell<Vec<(LineId, Rc<Notify>)>>,
}

/// A short read that is under way.
#[derive(Debug)]
pub(crate) struct Counted(Rc<Member>);

impl Counted {
    /// How many there are.
    pub(crate) fn under_way(&self) -> usize {
        self.0.pipes().running.get()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let running = &self.0.pipes().running;
        running.set(running.get() - 1);
    }
}

/// A statement that was handed in; dropping it takes it back.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) group: Rc<Group>,
    pub(crate) ticket: Rc<Ticket>,
}

impl Drop for Submitted {
    fn drop(&mut self) {
        if self.ticket.is_pending() {
            self.group.cancel(&self.ticket);
        }
    }
}

impl Pipes {
    /// Counts a short read; how many are under way, this one included.
    pub(crate) fn enter(member: &Rc<Member>) -> (Counted, usize) {
        let running = &member.pipes().running;
        running.set(running.get() + 1);
        (Counted(member.clone()), running.get())
    }

    /// The sessions with this state; none when there are too many kinds.
    fn group(&self, found_rows: bool, state: &Arc<SessionState>) -> Option<Rc<Group>> {
        let mut groups = self.groups.borrow_mut();
        let is_it = |group: &&Rc<Group>| {
            group.found_rows == found_rows
                && (Arc::ptr_eq(&group.state, state) || group.state.same_settings(state))
                && group.state.database() == state.database()
        };
        if let Some(known) = groups.iter().find(is_it) {
            return Some(known.clone());
        }
        if groups.len() >= GROUPS_MAX {
            groups.retain(|group| !group.queue.borrow().is_empty());
        }
        if groups.len() >= GROUPS_MAX {
            return None;
        }
        let group = Rc::new(Group {
            found_rows,
            state: state.clone(),
            queue: RefCell::default(),
            wakes: RefCell::default(),
        });
        groups.push(group.clone());
        Some(group)
    }

    /// Hands in a statement; none: it must go alone.
    pub(crate) fn submit(
        member: &Rc<Member>,
        found_rows: bool,
        state: &Arc<SessionState>,
        ticket: &Rc<Ticket>,
    ) -> Option<Submitted> {
        let group = member.pipes().group(found_rows, state)?;
        group.queue.borrow_mut().submit(ticket.clone()).ok()?;
        group.feed(member);
        Some(Submitted { group, ticket: ticket.clone() })
    }
}

impl Group {
    /// Wakes a line for what waits, or opens one.
    fn feed(self: &Rc<Self>, member: &Rc<Member>) {
        if self.wake_idle() {
            return;
        }
        let scarce = member.pool(self.found_rows).free() == 0;
        if scarce && self.queue.borrow().is_served() {
            return;
        }
        let opened = self.queue.borrow_mut().open_line();
        if let Some(line) = opened {
            let wake = Rc::new(Notify::new());
            self.wakes.borrow_mut().push((line, wake.clone()));
            line::spawn(member.clone(), self.clone(), line, wake);
        }
    }

    /// Wakes a line for what waits, if one is idle.
    fn wake_idle(&self) -> bool {
        let idle = self.queue.borrow().idle_line();
        idle.inspect(|line| self.wake(*line)).is_some()
    }

    fn wake(&self, line: LineId) {
        if let Some((_, wake)) = self.wakes.borrow().iter().find(|(id, _)| *id == line) {
            wake.notify_one();
        }
    }

    /// Takes a statement back. Its data node is told only when nobody else could be hit.
    fn cancel(&self, ticket: &Rc<Ticket>) {
        let cancelled = self.queue.borrow_mut().cancel(|known| Rc::ptr_eq(known, ticket));
        if let Cancelled::Sent(line) = cancelled {
            self.wake(line);
        }
    }

    /// Ends a statement for whoever waits for it; what runs on a shared connection goes on.
    pub(crate) fn kill(&self, ticket: &Rc<Ticket>) {
        if ticket.is_pending() {
            self.cancel(ticket);
            ticket.finish(Outcome::Killed);
        }
    }

    /// A line is gone; what was on it goes alone.
    fn close(&self, line: LineId) {
        self.wakes.borrow_mut().retain(|(id, _)| *id != line);
        let back = self.queue.borrow_mut().close(line);
        send_again(&back);
        self.wake_idle();
    }
}

/// These go alone.
fn send_again(tickets: &[Rc<Ticket>]) {
    SENT_AGAIN.add(tickets.len() as u64);
    tickets.iter().for_each(|ticket| ticket.finish(Outcome::Again));
}
