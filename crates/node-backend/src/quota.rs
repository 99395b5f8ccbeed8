//! The bound of all connections that a process has to one server, over the pools of all its threads.
//! Pools take places as they need them. When there is none left, pools that have more than an equal
//! share give places back before those that have less must wait, and idle connections go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// The bound of one server.
#[derive(Debug)]
pub struct Quota {
    most: AtomicUsize,
    open: AtomicUsize,
    /// Callers that wait for a place.
    waiting: AtomicUsize,
    /// Those among them whose pool has less than its share.
    hungry: AtomicUsize,
    /// Pools that share it.
    pools: AtomicUsize,
    /// Wakes who can close idle connections.
    pressure: Arc<Notify>,
}

/// A caller that waits.
#[derive(Debug)]
pub(crate) struct Waiting<'q> {
    quota: &'q Quota,
    hungry: bool,
}

impl Quota {
    /// At most so many connections; whoever waits on `pressure` closes idle ones when places are
    /// wanted.
    pub fn new(most: usize, pressure: Arc<Notify>) -> Self {
        Self {
            most: AtomicUsize::new(most),
            open: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            hungry: AtomicUsize::new(0),
            pools: AtomicUsize::new(0),
            pressure,
        }
    }

    /// The bound.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// Another bound from now on.
    pub fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Connections now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Places that are free.
    pub fn free(&self) -> usize {
        self.most().saturating_sub(self.open())
    }

    /// Another pool shares it.
    pub(crate) fn join(&self) {
        self.pools.fetch_add(1, Ordering::Relaxed);
    }

    /// A pool is gone.
    pub(crate) fn leave(&self) {
        self.pools.fetch_sub(1, Ordering::Relaxed);
    }

    /// What each pool may have whatever the others do.
    fn share(&self) -> usize {
        (self.most() / self.pools.load(Ordering::Relaxed).max(1)).max(1)
    }

    /// Takes a place for a pool that has `own` connections.
    pub(crate) fn take(&self, own: usize) -> bool {
        if own >= self.share() && self.hungry.load(Ordering::Relaxed) > 0 {
            return false;
        }
        let most = self.most();
        let taken = self.open.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |open| {
            (open < most).then_some(open + 1)
        });
        taken.is_ok()
    }

    /// Gives a place back.
    pub(crate) fn give_back(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    /// A caller of a pool with `own` connections waits, until the answer is dropped.
    pub(crate) fn wait(&self, own: usize) -> Waiting<'_> {
        let hungry = own < self.share();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if hungry {
            self.hungry.fetch_add(1, Ordering::Relaxed);
        }
        self.pressure.notify_waiters();
        Waiting { quota: self, hungry }
    }

    /// Whether a connection of a pool with `own` of them is to be closed when it comes back.
    pub(crate) fn wants_back(&self, own: usize) -> bool {
        self.open() > self.most() || (self.hungry.load(Ordering::Relaxed) > 0 && own > self.share())
    }

    /// Whether idle connections are to be closed.
    pub(crate) fn is_short(&self) -> bool {
        self.open() > self.most() || self.waiting.load(Ordering::Relaxed) > 0
    }
}

impl Waiting<'_> {
    /// Whether the caller's pool, which has `own` connections now, could take a place.
    pub(crate) fn could_take(&mut self, own: usize) -> bool {
        let hungry = own < self.quota.share();
        if hungry != self.hungry {
            self.hungry = hungry;
            match hungry {
                true => self.quota.hungry.fetch_add(1, Ordering::Relaxed),
                false => self.quota.hungry.fetch_sub(1, Ordering::Relaxed),
            };
        }
        let others_first = !hungry && self.quota.hungry.load(Ordering::Relaxed) > 0;
        self.quota.free() > 0 && !others_first
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.quota.waiting.fetch_sub(1, Ordering::Relaxed);
        if self.hungry {
            self.quota.hungry.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_fair() {
        let quota = Quota::new(4, Arc::default());
        quota.join();
        quota.join();
        assert!((0..4).all(|own| quota.take(own)));
        assert!(!quota.take(4) && !quota.take(0));
        assert!(!quota.wants_back(4) && !quota.is_short());
        // One whose pool has nothing waits: the other pool gives back, down to its half.
        let mut waiting = quota.wait(0);
        assert!(quota.is_short() && quota.wants_back(4) && !quota.wants_back(2));
        quota.give_back();
        assert!(!quota.take(3), "the place is for the one that has less");
        let mut other = quota.wait(3);
        assert!(!other.could_take(3) && waiting.could_take(0));
        assert!(quota.take(0));
        assert!(!waiting.could_take(1), "all places are taken");
        drop((waiting, other));
        assert!(!quota.wants_back(4) && !quota.is_short());
        // A lower bound holds as connections come back.
        quota.set_most(2);
        assert!(quota.wants_back(1) && quota.is_short() && quota.free() == 0);
        quota.give_back();
        quota.give_back();
        assert!(!quota.wants_back(1) && !quota.take(1));
        quota.give_back();
        assert!(quota.take(1));
    }
}
