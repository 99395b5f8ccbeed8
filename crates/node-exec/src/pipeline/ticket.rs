//! One session's statement on a shared connection: what is sent, the answer's bytes, and what
//! became of it. A session uses the same ticket again and again, so that a statement costs no
//! allocation.

use super::answer::Answer;
use sql_plan::short_reads::ShortRead;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// A ticket keeps buffers up to this size.
const KEEP_BYTES: usize = 4 * 1024;

/// What became of a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet.
    #[default]
    Pending,
    /// Its answer is there, whole.
    Answered,
    /// It has to be sent again, on a connection of its own.
    Again,
    /// It was killed.
    Killed,
}

/// One statement.
#[derive(Debug, Default)]
pub struct Ticket {
    outcome: Cell<Outcome>,
    waker: RefCell<Option<Waker>>,
    /// The statement's text.
    pub text: RefCell<Vec<u8>>,
    /// Packed parameters, when it is executed as a prepared statement.
    pub params: RefCell<Option<Vec<u8>>>,
    /// The answer.
    pub answer: RefCell<Answer>,
    /// What is kept of its plan.
    short: RefCell<Option<Arc<ShortRead>>>,
    /// How the answer's rows end.
    deprecates_eof: Cell<bool>,
}

impl Ticket {
    /// Begins a statement.
    pub fn begin(&self, text: &[u8], params: Option<&[u8]>, short: &Arc<ShortRead>) {
        self.outcome.set(Outcome::Pending);
        let mut own = self.text.borrow_mut();
        own.clear();
        own.extend_from_slice(text);
        let mut packed = self.params.borrow_mut();
        match params {
            Some(params) => {
                let buffer = packed.get_or_insert_default();
                buffer.clear();
                buffer.extend_from_slice(params);
            }
            None => *packed = None,
        }
        *self.short.borrow_mut() = Some(short.clone());
    }

    /// It is over; the first word counts.
    pub fn finish(&self, outcome: Outcome) {
        if self.outcome.get() == Outcome::Pending {
            self.outcome.set(outcome);
            if let Some(waker) = self.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// It goes out, on a connection whose rows end so.
    pub fn set_sent(&self, deprecates_eof: bool) {
        self.deprecates_eof.set(deprecates_eof);
    }

    /// Whether rows end with an OK packet.
    pub fn deprecates_eof(&self) -> bool {
        self.deprecates_eof.get()
    }

    /// Whether it is not over.
    pub fn is_pending(&self) -> bool {
        self.outcome.get() == Outcome::Pending
    }

    /// Its plan took so long.
    pub fn note_slow(&self, microseconds: u32) {
        if let Some(short) = &*self.short.borrow() {
            short.cost.set(microseconds);
        }
    }

    /// Waits for its end.
    pub async fn wait(&self) -> Outcome {
        poll_fn(|context| {
            if !self.is_pending() {
                return Poll::Ready(self.outcome.get());
            }
            let mut waker = self.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
                *waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Gives back large buffers before it is put aside.
    pub fn rest(&self) {
        self.answer.borrow_mut().forget();
        self.text.borrow_mut().shrink_to(KEEP_BYTES);
        if let Some(params) = &mut *self.params.borrow_mut() {
            params.shrink_to(KEEP_BYTES);
        }
    }
}
