//! The transactions of this process that have connections to several data nodes. Only they can be in a
//! deadlock that no data node sees, so only they are listed: a transaction on one data node pays a
//! comparison.

use base::id::NodeId;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};
use topology::peers::{DataNodeConnection, SpreadKey, SpreadTransaction};

/// The list; clones share it. A session has one transaction at a time, which bounds it.
#[derive(Clone, Debug)]
pub struct Spread(Arc<State>);

#[derive(Debug)]
struct State {
    node: NodeId,
    last_number: AtomicU64,
    transactions: Mutex<BTreeMap<u64, Listed>>,
}

/// A transaction and whose it is.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The session's connection id.
    pub session: u32,
    /// The transaction.
    pub transaction: SpreadTransaction,
}

/// Takes a transaction off the list when it goes.
#[derive(Debug)]
pub struct SpreadGuard {
    list: Spread,
    number: u64,
    width: usize,
}

impl Spread {
    /// None yet.
    pub fn new(node: NodeId) -> Self {
        Self(Arc::new(State {
            node,
            last_number: AtomicU64::new(0),
            transactions: Mutex::default(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Listed>> {
        self.0.transactions.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A session's transaction has reached its second data node.
    pub(crate) fn enter(&self, session: u32, connections: Vec<DataNodeConnection>) -> SpreadGuard {
        let number = self.0.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since_us = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let width = connections.len();
        let key = SpreadKey { since_us, node: self.0.node.clone(), number };
        let listed = Listed { session, transaction: SpreadTransaction { key, connections } };
        self.lock().insert(number, listed);
        SpreadGuard { list: self.clone(), number, width }
    }

    /// Whose they are.
    pub fn sessions(&self) -> Vec<u32> {
        self.lock().values().map(|listed| listed.session).collect()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Listed> {
        self.lock().values().cloned().collect()
    }

    /// Those that own one of these connections.
    pub fn owners(&self, connections: &[DataNodeConnection]) -> Vec<SpreadTransaction> {
        let is_asked = |listed: &&Listed| {
            listed.transaction.connections.iter().any(|own| connections.contains(own))
        };
        self.lock().values().filter(is_asked).map(|listed| listed.transaction.clone()).collect()
    }
}

impl SpreadGuard {
    /// How many connections are listed.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// It has these connections now.
    pub(crate) fn widen(&mut self, connections: Vec<DataNodeConnection>) {
        self.width = connections.len();
        if let Some(listed) = self.list.lock().get_mut(&self.number) {
            listed.transaction.connections = connections;
        }
    }
}

impl Drop for SpreadGuard {
    fn drop(&mut self) {
        self.list.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use base::id::DataNodeId;

    #[test]
    fn a_transaction_is_listed_while_it_lives() {
        let at = |node: u8, id| DataNodeConnection {
            data_node: DataNodeId::from_random([node; 16]),
            id,
        };
        let spread = Spread::new(NodeId::from_random([1; 16]));
        let mut one = spread.enter(7, vec![at(1, 10), at(2, 20)]);
        let two = spread.enter(8, vec![at(1, 11), at(2, 21)]);
        assert_eq!(spread.owners(&[at(2, 20)])[0].connections, [at(1, 10), at(2, 20)]);
        one.widen(vec![at(1, 10), at(2, 20), at(3, 30)]);
        assert_eq!(spread.owners(&[at(3, 30), at(3, 31)]).len(), 1);
        let all = spread.all();
        assert_eq!(all.iter().map(|listed| listed.session).collect::<Vec<_>>(), [7, 8]);
        assert!(all[0].transaction.key < all[1].transaction.key, "the later one is the younger");
        drop((one, two));
        assert!(spread.all().is_empty());
    }
}
