//! A shared connection at work: a task that sends bursts and hands the answers to whoever waits for
//! them. It never waits for a client: answers go into the tickets' memory, up to a bound.

use super::queue::LineId;
use super::shared::SLOW_ALONE;
use super::ticket::{Outcome, Ticket};
use super::{BURSTS, DEPTH, Group, LINES, STATEMENTS, send_again};
use crate::error::ExecError;
use crate::members::Member;
use mysql_wire::response::Event;
use node_backend::answer::Taken;
use node_backend::connection::Connection;
use node_backend::error::BackendError;
use node_backend::pool::Lease;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

/// A longer answer is read on a connection of the session's own.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// So much of answers that nobody waits for is read away; more, and the connection is closed.
const PASSED_OVER_BYTES_MAX: usize = 1 << 20;
/// A connection without work goes back to its pool after this time.
const IDLE: Duration = Duration::from_millis(50);
/// When no answer came for this long, at least, the oldest statement gets the line for itself.
const STALL_MIN: Duration = Duration::from_millis(5);
/// No more patience than this, however slow the data node has been.
const STALL_MAX: Duration = Duration::from_millis(50);
/// A wait that is longer than the usual one by this factor is the oldest statement's own.
const UNUSUAL: u32 = 8;
/// The newest wait counts for one part in so many in the usual one.
const WEIGHT: u32 = 8;
/// A statement that takes so many times the patience of its line is slow itself; one that takes less
/// met a server, or a machine, that was busy for a moment.
const SLOW_FACTOR: u32 = 4;
/// What a plan counts as having cost, in microseconds, that must go alone for some time.
pub(super) const ALONE: u32 = 100_000;
/// Errors that say something of the connection, not of the statement: shutdown, unknown prepared
/// statement, interrupted (by whom is not known), prepare again, killed connection.
const OF_CONNECTION: [u16; 5] = [1053, 1243, 1317, 1615, 1927];

/// Sets a line to work.
pub(super) fn spawn(member: Rc<Member>, group: Rc<Group>, id: LineId, wake: Rc<Notify>) {
    LINES.add(1);
    let line = Line {
        member,
        group,
        id,
        wake,
        usual: 0,
        passed_over: 0,
        depth: 0,
        turn: None,
        has_sent: false,
    };
    tokio::task::spawn_local(async move {
        let mut line = line;
        let ended = line.run().await;
        if let Err(error) = &ended {
            tracing::debug!(%error, "a shared connection was given up");
        }
        // One that was of no use at all is not followed by the next: what waits goes alone.
        if ended.is_ok() || line.has_sent {
            line.hand_over();
        }
    });
}

struct Line {
    member: Rc<Member>,
    group: Rc<Group>,
    id: LineId,
    wake: Rc<Notify>,
    /// What it usually waits for answers, in microseconds: a moving average.
    usual: u32,
    /// Bytes read of answers that nobody waits for, since one that somebody did.
    passed_over: usize,
    /// What is told in [`DEPTH`].
    depth: i64,
    /// How many statements it sends yet before its connection is somebody else's; none: nobody wants
    /// one.
    turn: Option<usize>,
    /// It has sent something.
    has_sent: bool,
}

impl Drop for Line {
    /// However it ends, nobody waits for it in vain.
    fn drop(&mut self) {
        LINES.add(-1);
        DEPTH.add(-self.depth);
        self.group.close(self.id);
    }
}

impl Line {
    async fn run(&mut self) -> Result<(), ExecError> {
        let group = self.group.clone();
        let mut lease = self.member.lease(group.found_rows, &group.state).await?;
        group.queue.borrow_mut().opened(self.id);
        let pool = self.member.pool(group.found_rows).clone();
        loop {
            if self.is_turn_over(pool.is_wanted()) {
                // Its next user is who waits longest, a writer perhaps.
                self.hand_over();
            }
            self.take_buffered(&mut lease)?;
            self.send(&mut lease).await?;
            self.tell_depth();
            if group.queue.borrow().due_on(self.id) == 0 {
                match self.wait_for_work().await {
                    true => continue,
                    false => return Ok(()),
                }
            }
            let began = Instant::now();
            let read = timeout(self.patience(), self.read(&mut lease)).await;
            match read {
                Ok(read) => read?,
                Err(_) => return self.leave_to_oldest(lease, began).await,
            }
            self.note_wait(began.elapsed());
        }
    }

    /// Where connections are scarce a line has turns, as everybody has: it serves those that waited for
    /// it when it began, who would otherwise have had a turn each.
    fn is_turn_over(&mut self, is_wanted: bool) -> bool {
        self.turn = match self.turn {
            _ if !is_wanted => None,
            None => Some(self.group.queue.borrow().waiting()),
            turn => turn,
        };
        self.turn == Some(0)
    }

    /// Takes nothing new; the next line for what waits stands in line for a connection.
    fn hand_over(&self) {
        let mut queue = self.group.queue.borrow_mut();
        if !queue.is_retired(self.id) {
            queue.retire(self.id);
            drop(queue);
            self.group.feed(&self.member);
        }
    }

    fn tell_depth(&mut self) {
        let depth = i64::try_from(self.group.queue.borrow().due_on(self.id)).unwrap_or(i64::MAX);
        let before = std::mem::replace(&mut self.depth, depth);
        if depth != before {
            DEPTH.add(depth - before);
        }
    }

    fn patience(&self) -> Duration {
        let unusual = Duration::from_micros(u64::from(self.usual) * u64::from(UNUSUAL));
        unusual.clamp(STALL_MIN, STALL_MAX)
    }

    fn note_wait(&mut self, wait: Duration) {
        let wait = u32::try_from(wait.as_micros()).unwrap_or(u32::MAX);
        self.usual = self.usual - self.usual / WEIGHT + wait / WEIGHT;
    }

    /// Waits until there is something to send; false when the line is of no use any more.
    async fn wait_for_work(&self) -> bool {
        loop {
            let (room, retired) = {
                let queue = self.group.queue.borrow();
                (queue.room(self.id), queue.is_retired(self.id))
            };
            if room > 0 || retired {
                return room > 0;
            }
            if timeout(IDLE, self.wake.notified()).await.is_err() {
                return self.group.queue.borrow().room(self.id) > 0;
            }
        }
    }

    /// Sends what there is room for, in one write.
    async fn send(&mut self, lease: &mut Lease) -> Result<(), BackendError> {
        let mut sent = 0;
        let mut room = self.group.queue.borrow().room(self.id);
        while room > 0 {
            let first = self.group.queue.borrow().first().cloned();
            let Some(ticket) = first else { break };
            if !queue_statement(lease, &ticket) {
                if lease.outstanding() > 0 {
                    break;
                }
                self.prepare(lease, &ticket).await?;
                room = self.group.queue.borrow().room(self.id);
                continue;
            }
            self.group.queue.borrow_mut().send(self.id);
            ticket.set_sent(lease.deprecates_eof());
            STATEMENTS.increment();
            sent += 1;
            room -= 1;
        }
        if sent > 0 {
            BURSTS.increment();
            self.has_sent = true;
            self.turn = self.turn.map(|turn| turn.saturating_sub(sent));
            self.group.feed(&self.member);
            lease.flush().await?;
        }
        Ok(())
    }

    /// Prepares the first statement, on a line where nothing is due.
    async fn prepare(&self, lease: &mut Lease, ticket: &Rc<Ticket>) -> Result<(), BackendError> {
        let text = ticket.text.borrow().clone();
        let prepared = timeout(STALL_MAX, lease.prepare(&text)).await;
        if !matches!(prepared, Ok(Ok(_))) {
            // What is wrong is told on its own connection, and this is not tried here again.
            self.group.cancel(ticket);
            ticket.finish(Outcome::Again);
        }
        match prepared {
            Ok(Ok(_) | Err(BackendError::Server(_))) => Ok(()),
            Ok(Err(lost)) => Err(lost),
            Err(_) => Err(BackendError::Timeout {
                address: lease.address().to_owned(),
                doing: "prepare a statement",
                after: STALL_MAX,
            }),
        }
    }

    /// Reads what comes next.
    async fn read(&mut self, lease: &mut Lease) -> Result<(), BackendError> {
        lease.read_more().await?;
        self.take_buffered(lease)
    }

    fn take_buffered(&mut self, lease: &mut Lease) -> Result<(), BackendError> {
        while lease.outstanding() > 0 {
            match lease.try_answer(ANSWER_BYTES_MAX, can_be_shared)? {
                Some(taken) => self.take(lease, taken)?,
                None => break,
            }
        }
        Ok(())
    }

    /// Gives an answer to whoever waits for it.
    fn take(&mut self, lease: &mut Lease, taken: Taken) -> Result<(), BackendError> {
        let mut queue = self.group.queue.borrow_mut();
        match queue.head(self.id).flatten() {
            Some(ticket)
                if taken.last
                    && lease.given().len() <= ANSWER_BYTES_MAX
                    && can_be_shared(taken.event) =>
            {
                ticket.answer.borrow_mut().take(lease, taken.rows);
                self.passed_over = 0;
            }
            Some(ticket) => {
                ticket.note_slow(ALONE);
                let alone = queue.pass_over(self.id);
                send_again(alone.as_slice());
            }
            None => {
                self.passed_over += lease.given().len();
                if self.passed_over > PASSED_OVER_BYTES_MAX {
                    return Err(BackendError::ResultTooLarge { limit: PASSED_OVER_BYTES_MAX });
                }
            }
        }
        if taken.last
            && let Some(ticket) = queue.answered(self.id)
        {
            ticket.finish(Outcome::Answered);
        }
        Ok(())
    }

    /// The oldest statement takes long: those behind it go alone, and it is read to its end. When
    /// its session is no longer interested it is killed; nobody else is on this connection then.
    async fn leave_to_oldest(&mut self, mut lease: Lease, began: Instant) -> Result<(), ExecError> {
        let group = self.group.clone();
        let behind = group.queue.borrow_mut().stalled(self.id);
        send_again(&behind);
        group.feed(&self.member);
        let mut slow = pin!(sleep_until(began + SLOW_ALONE.max(self.patience() * SLOW_FACTOR)));
        let due = group.queue.borrow().due_on(self.id);
        let wake = self.wake.clone();
        while !group.queue.borrow().is_deserted(self.id) {
            tokio::select! {
                biased;
                read = self.read(&mut lease) => read?,
                () = wake.notified() => {}
                () = slow.as_mut(), if !slow.is_elapsed() => {
                    if let Some(Some(oldest)) = group.queue.borrow().head(self.id) {
                        oldest.note_slow(ALONE);
                    }
                }
            }
        }
        if group.queue.borrow().due_on(self.id) < due {
            lease.release().await;
            return Ok(());
        }
        let (pool, thread_id) = (self.member.pool(group.found_rows).clone(), lease.thread_id());
        let killed = pool.kill_query(thread_id).await;
        lease.discard();
        killed.map_err(ExecError::from)
    }
}

/// Whether an answer with this in it needs nothing of the connection afterwards.
fn can_be_shared(event: Event) -> bool {
    match event {
        Event::ResultEnd(head) | Event::ColumnsEof(head) | Event::Ok(head) => head.warnings == 0,
        Event::Err { number, .. } => !OF_CONNECTION.contains(&number),
        Event::LocalInfile => false,
        _ => true,
    }
}

/// Queues a statement; false: it has to be prepared first.
fn queue_statement(connection: &mut Connection, ticket: &Ticket) -> bool {
    let text = ticket.text.borrow();
    let params = ticket.params.borrow();
    let Some(params) = &*params else {
        connection.queue_query(&text);
        return true;
    };
    match connection.cached_statement(&text) {
        Some(prepared) => {
            connection.queue_execute(prepared.statement_id, 0, params);
            true
        }
        None => false,
    }
}
