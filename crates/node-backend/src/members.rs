//! The servers of a data node among which reads are spread. Which servers answer and which replicas
//! can be read is known to the whole process, for one task asks them all; each thread has its own rotation, so that a turn
//! costs no lock and no search. The rotation is smooth: it is even over short times too and needs no
//! random numbers.

use crate::lead::Lead;
use base::id::DataNodeId;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

/// The largest weight; larger ones count as this.
pub const WEIGHT_MAX: u32 = 100;

/// Tells all threads that something is known that was not.
#[derive(Clone, Debug)]
pub struct News {
    changes: Arc<AtomicU64>,
    told: Arc<watch::Sender<()>>,
}

impl Default for News {
    fn default() -> Self {
        Self { changes: Arc::default(), told: Arc::new(watch::channel(()).0) }
    }
}

impl News {
    pub(crate) fn tell(&self) {
        self.changes.fetch_add(1, Ordering::Release);
        self.told.send_replace(());
    }
}

/// What all threads know of a server.
#[derive(Debug)]
pub struct Standing {
    usable: AtomicBool,
    down: AtomicBool,
    reason: Mutex<String>,
    news: News,
}

impl Standing {
    fn new(news: News) -> Self {
        let (usable, down) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { usable, down, reason: Mutex::default(), news }
    }

    /// Whether it can be read as a replica.
    pub fn is_usable(&self) -> bool {
        self.usable.load(Ordering::Relaxed)
    }

    /// Notes whether it can be read as a replica; answers whether that is news.
    pub fn set(&self, usable: bool) -> bool {
        let changed = self.usable.swap(usable, Ordering::Relaxed) != usable;
        if changed {
            self.news.tell();
        }
        changed
    }

    /// Whether it is given up: it hangs, or cannot be reached.
    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }

    /// Why it is given up.
    pub fn reason(&self) -> String {
        lock(&self.reason).clone()
    }

    /// Notes that it is given up, or answers again; whether that is news.
    pub fn set_down(&self, reason: Option<&str>) -> bool {
        if let Some(reason) = reason {
            reason.clone_into(&mut lock(&self.reason));
        }
        let changed = self.down.swap(reason.is_some(), Ordering::AcqRel) != reason.is_some();
        if changed {
            self.news.tell();
        }
        changed
    }
}

/// Which data node's server, and where: one that moves is another.
type Server = (DataNodeId, String, u16);

/// What a process knows of all servers.
#[derive(Debug, Default)]
pub struct Standings {
    news: News,
    by_place: Mutex<BTreeMap<Server, Arc<Standing>>>,
    leads: Mutex<BTreeMap<DataNodeId, Arc<Lead>>>,
}

impl Standings {
    /// A data node's server's; it cannot be read as a replica before it was asked.
    pub fn of(&self, data_node: &DataNodeId, host: &str, port: u16) -> Arc<Standing> {
        lock(&self.by_place)
            .entry((data_node.clone(), host.to_owned(), port))
            .or_insert_with(|| Arc::new(Standing::new(self.news.clone())))
            .clone()
    }

    /// Who leads a data node that has replicas.
    pub fn lead(&self, data_node: &DataNodeId) -> Arc<Lead> {
        lock(&self.leads)
            .entry(data_node.clone())
            .or_insert_with(|| Arc::new(Lead::new(self.news.clone())))
            .clone()
    }

    /// Forgets those that nobody holds.
    pub fn forget_unused(&self) {
        lock(&self.by_place).retain(|_, standing| Arc::strong_count(standing) > 1);
        lock(&self.leads).retain(|_, lead| Arc::strong_count(lead) > 1);
    }

    /// Grows with every change.
    pub fn changes(&self) -> Arc<AtomicU64> {
        self.news.changes.clone()
    }

    /// Tells of every change from now on.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.news.told.subscribe()
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Whose turn it is, by weight.
#[derive(Debug, Default)]
pub struct Rotation {
    order: RefCell<Vec<u16>>,
    next: Cell<usize>,
}

impl Rotation {
    /// Other weights from now on; who has 0 gets no turn.
    pub fn set(&self, weights: &[u32]) {
        *self.order.borrow_mut() = smooth_order(weights);
    }

    /// Whose turn it is now; nobody's when all weights are 0.
    pub fn turn(&self) -> Option<usize> {
        let order = self.order.borrow();
        let at = self.next.get();
        let at = if at < order.len() { at } else { 0 };
        let turn = order.get(at)?;
        self.next.set(at + 1);
        Some(usize::from(*turn))
    }
}

/// One round in which each has as many turns as its weight, spread over it.
fn smooth_order(weights: &[u32]) -> Vec<u16> {
    let weights: Vec<i64> =
        weights.iter().map(|weight| i64::from((*weight).min(WEIGHT_MAX))).collect();
    let unit = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0; weights.len()];
    (0..total / unit)
        .filter_map(|_| {
            for (credit, weight) in credit.iter_mut().zip(&weights) {
                *credit += weight;
            }
            let most = credit.iter().copied().max()?;
            let turn = credit.iter().position(|credit| *credit == most)?;
            credit[turn] -= total;
            u16::try_from(turn).ok()
        })
        .collect()
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(rotation: &Rotation, turns: usize, members: usize) -> Vec<usize> {
        let mut counts = vec![0; members];
        for _ in 0..turns {
            counts[rotation.turn().expect("somebody has a weight")] += 1;
        }
        counts
    }

    #[test]
    fn turns_follow_the_weights() {
        let rotation = Rotation::default();
        assert_eq!(rotation.turn(), None);
        rotation.set(&[20, 30, 50]);
        assert_eq!(rotation.order.borrow().len(), 10);
        assert_eq!(counts(&rotation, 10, 3), [2, 3, 5]);
        assert_eq!(counts(&rotation, 1_000, 3), [200, 300, 500]);
        rotation.set(&[0, 97, 100, 1]);
        assert_eq!(counts(&rotation, 198, 4), [0, 97, 100, 1]);
        rotation.set(&[0, 4_000_000_000]);
        assert_eq!(counts(&rotation, 3, 2), [0, 3]);
        rotation.set(&[0, 0]);
        assert_eq!(rotation.turn(), None);
    }

    #[test]
    fn turns_are_spread() {
        let rotation = Rotation::default();
        rotation.set(&[10, 30, 60]);
        // Whoever has most is never passed over twice in a row, from any place on.
        let turns: Vec<usize> = (0..40).map(|_| rotation.turn().expect("weights")).collect();
        assert!(turns.windows(3).all(|three| three.contains(&2)));
        // Other weights do not begin anew with the first.
        rotation.set(&[50, 50]);
        let next = rotation.next.get();
        rotation.turn();
        assert!(rotation.next.get() != next);
    }

    #[test]
    fn all_threads_know_what_one_learns() {
        let standings = Standings::default();
        let id = DataNodeId::from_random([1; 16]);
        let mine = standings.of(&id, "a", 1);
        let yours = standings.of(&id, "a", 1);
        let moved = standings.of(&id, "a", 2);
        let changes = standings.changes();
        assert!(!mine.is_usable());
        assert!(mine.set(true) && !mine.set(true));
        assert!(yours.is_usable() && !moved.is_usable());
        assert_eq!(changes.load(Ordering::Acquire), 1);
        assert!(yours.set(false));
        assert_eq!(changes.load(Ordering::Acquire), 2);
        drop(moved);
        standings.forget_unused();
        assert_eq!(lock(&standings.by_place).len(), 1);
    }
}
