//! The file of a LOAD DATA LOCAL on its way from the client's reader to the executor. The reader
//! waits when the executor is behind, so that a slow data node makes the client slow and nothing
//! gathers here.

use futures::task::AtomicWaker;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;
use tokio::sync::Notify;

/// Bytes that wait for the executor; the reader takes no more from the client then.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// A session's upload; there is one at a time at most.
#[derive(Debug, Default)]
pub struct Upload {
    state: RefCell<State>,
    /// The reader, to which the executor says that it wants a file. It asks at every statement, so this
    /// costs less than a `Notify`.
    wanted: AtomicWaker,
    /// The executor may have something to take.
    ready: Notify,
    /// The reader may have room to put something.
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Nobody wants a file.
    #[default]
    None,
    /// The client is asked; its first frame has this number.
    Asked(u8),
    /// It sends.
    Sending,
    /// It has sent all; the answer's first frame has this number.
    Sent(u8),
}

impl Upload {
    /// The client was asked for a file; its first frame has this number.
    pub fn begin(&self, sequence: u8) {
        *self.state.borrow_mut() = State { phase: Phase::Asked(sequence), ..State::default() };
        self.wanted.wake();
    }

    /// The next bytes of the file; `None` at its end, and when none was asked for. Can be dropped
    /// without harm.
    pub async fn next(&self) -> Option<Vec<u8>> {
        loop {
            {
                let mut state = self.state.borrow_mut();
                if let Some(bytes) = state.waiting.pop_front() {
                    state.bytes -= bytes.len();
                    self.room.notify_one();
                    return Some(bytes);
                }
                if matches!(state.phase, Phase::None | Phase::Sent(_)) {
                    return None;
                }
            }
            self.ready.notified().await;
        }
    }

    /// Takes what the client still sends, and says with which number the answer to it begins; `None`
    /// when it was not asked for a file.
    pub async fn finish(&self) -> Option<u8> {
        while self.next().await.is_some() {}
        match std::mem::take(&mut self.state.borrow_mut().phase) {
            Phase::Sent(sequence) => Some(sequence),
            _ => None,
        }
    }

    /// For the reader: waits until a file is wanted and gives the number of its first frame.
    pub async fn wanted(&self) -> u8 {
        poll_fn(|context| {
            let mut state = self.state.borrow_mut();
            if let Phase::Asked(sequence) = state.phase {
                state.phase = Phase::Sending;
                return Poll::Ready(sequence);
            }
            self.wanted.register(context.waker());
            Poll::Pending
        })
        .await
    }

    /// For the reader: passes bytes on, when there is room for them.
    pub async fn put(&self, bytes: Vec<u8>) {
        while self.state.borrow().bytes >= WAITING_BYTES_MAX {
            self.room.notified().await;
        }
        let mut state = self.state.borrow_mut();
        state.bytes += bytes.len();
        state.waiting.push_back(bytes);
        self.ready.notify_one();
    }

    /// For the reader: the file is over; the answer's first frame has this number.
    pub fn end(&self, sequence: u8) {
        self.state.borrow_mut().phase = Phase::Sent(sequence);
        self.ready.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_pass_in_order_and_wait_for_room() {
        let upload = Upload::default();
        assert_eq!(upload.next().await, None);
        assert_eq!(upload.finish().await, None);
        upload.begin(7);
        let reader = async {
            assert_eq!(upload.wanted().await, 7);
            for piece in 0..10u8 {
                upload.put(vec![piece; WAITING_BYTES_MAX / 2]).await;
                assert!(upload.state.borrow().bytes <= 2 * WAITING_BYTES_MAX);
            }
            upload.end(42);
        };
        let taker = async {
            for piece in 0..4u8 {
                assert_eq!(upload.next().await.map(|bytes| bytes[0]), Some(piece));
            }
            assert_eq!(upload.finish().await, Some(42));
        };
        tokio::join!(reader, taker);
        assert_eq!(upload.finish().await, None);
    }
}
