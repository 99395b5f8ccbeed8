//! What all parts of a run share: its numbers, its trace, the network, and how rough it is.

use crate::network::Network;
use crate::numbers::Numbers;
use crate::trace::Trace;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// One run. Clones are the same.
#[derive(Clone, Debug)]
pub struct World(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    seed: u64,
    numbers: Numbers,
    trace: Trace,
    network: Network,
    /// One in so many statements on data nodes meets a misfortune; 0: none.
    misfortune_one_in: Cell<u64>,
    /// How often each write that names its operation was received by a data node.
    received: RefCell<BTreeMap<String, u32>>,
    /// What went wrong that nobody could be told.
    wrong: RefCell<Vec<String>>,
}

impl World {
    /// The world of a seed.
    pub fn of(seed: u64) -> Self {
        Self(Rc::new(Inner {
            seed,
            numbers: Numbers::of(seed),
            trace: Trace::begin(),
            network: Network::default(),
            misfortune_one_in: Cell::new(0),
            received: RefCell::default(),
            wrong: RefCell::default(),
        }))
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// Its numbers.
    pub fn numbers(&self) -> &Numbers {
        &self.0.numbers
    }

    /// Its trace.
    pub fn trace(&self) -> &Trace {
        &self.0.trace
    }

    /// Its network.
    pub fn network(&self) -> &Network {
        &self.0.network
    }

    /// One in so many statements meets a misfortune from now on; 0: none.
    pub fn set_misfortune(&self, one_in: u64) {
        self.0.misfortune_one_in.set(one_in);
    }

    /// Whether a statement meets one now.
    pub fn is_misfortune(&self) -> bool {
        self.0.numbers.one_in(self.0.misfortune_one_in.get())
    }

    /// A message takes its time.
    pub async fn travel(&self) {
        let rough = self.0.misfortune_one_in.get() > 0;
        let time = match self.0.numbers.below(1000) {
            0..600 => return,
            600..950 => self.0.numbers.millis(1, 6),
            950..996 => self.0.numbers.millis(5, 60),
            _ if rough => self.0.numbers.millis(100, 3_000),
            _ => Duration::from_millis(50),
        };
        tokio::time::sleep(time).await;
    }

    /// A data node received a write that nobody may send twice.
    pub fn received(&self, text: &str) {
        *self.0.received.borrow_mut().entry(text.to_owned()).or_default() += 1;
    }

    /// Writes that were received more than once.
    pub fn received_again(&self) -> Vec<String> {
        let received = self.0.received.borrow();
        received.iter().filter(|(_, times)| **times > 1).map(|(text, _)| text.clone()).collect()
    }

    /// Something is wrong.
    pub fn wrong(&self, what: String) {
        self.0.trace.note(&format!("WRONG: {what}"));
        self.0.wrong.borrow_mut().push(what);
    }

    /// All that is wrong so far.
    pub fn all_wrong(&self) -> Vec<String> {
        self.0.wrong.borrow().clone()
    }
}
