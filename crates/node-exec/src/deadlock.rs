//! Who waits for whom over all data nodes, and who gives way. A vertex is a transaction with all its
//! connections, or a connection that is nobody's we know; a transaction goes on when everything that it
//! waits for is gone, so every circle is a deadlock. The youngest transaction of a circle gives way:
//! all nodes that see the circle choose the same one.

use std::collections::{BTreeSet, HashMap, HashSet};
use topology::peers::{DataNodeConnection, OWNERS_MAX, SpreadKey, SpreadTransaction};

/// A connection waits for a lock that another one holds, or has asked for earlier.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wait {
    /// Who waits.
    pub waiting: DataNodeConnection,
    /// For whom.
    pub blocking: DataNodeConnection,
    /// The data node's names for the lock and both transactions: two looks that give the same show one
    /// wait that went on between them.
    pub name: String,
}

/// What the connections are that belong to none of the transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strangers {
    /// Each by itself.
    Apart,
    /// All may belong to one transaction of another node.
    One,
}

/// By vertex, those that it waits for. The first vertices are the transactions.
struct Graph(Vec<BTreeSet<usize>>);

impl Graph {
    fn of(waits: &[Wait], transactions: &[SpreadTransaction], strangers: Strangers) -> Self {
        let mut vertices = owned(transactions);
        let mut blockers = vec![BTreeSet::new(); transactions.len() + 1];
        for wait in waits {
            let [waiting, blocking] = [&wait.waiting, &wait.blocking].map(|connection| {
                *vertices.entry(connection).or_insert_with(|| match strangers {
                    Strangers::One => transactions.len(),
                    Strangers::Apart => {
                        blockers.push(BTreeSet::new());
                        blockers.len() - 1
                    }
                })
            });
            blockers[waiting].insert(blocking);
        }
        Self(blockers)
    }

    /// Whether a vertex waits for itself by way of others, without those that are gone.
    fn is_on_circle(&self, vertex: usize, gone: &HashSet<usize>) -> bool {
        let mut seen = gone.clone();
        let mut next: Vec<usize> = vec![vertex];
        while let Some(at) = next.pop() {
            for blocker in &self.0[at] {
                if *blocker == vertex {
                    return true;
                }
                if seen.insert(*blocker) {
                    next.push(*blocker);
                }
            }
        }
        false
    }
}

fn owned(transactions: &[SpreadTransaction]) -> HashMap<&DataNodeConnection, usize> {
    let each = transactions.iter().enumerate();
    each.flat_map(|(at, one)| one.connections.iter().map(move |own| (own, at))).collect()
}

/// Whether one of a node's own transactions may be in a deadlock, as far as can be said without knowing
/// whose the other connections are.
pub fn is_possible(waits: &[Wait], own: &[SpreadTransaction]) -> bool {
    let graph = Graph::of(waits, own, Strangers::One);
    (0..own.len()).any(|at| graph.is_on_circle(at, &HashSet::new()))
}

/// The connections of which it must be known whose they are; the first [`OWNERS_MAX`].
pub fn strangers(waits: &[Wait], own: &[SpreadTransaction]) -> Vec<DataNodeConnection> {
    let known = owned(own);
    let all = waits.iter().flat_map(|wait| [&wait.waiting, &wait.blocking]);
    let unknown: BTreeSet<_> = all.filter(|connection| !known.contains_key(connection)).collect();
    unknown.into_iter().take(OWNERS_MAX).cloned().collect()
}

/// The waits of one look that a later one has too: they went on all the time between.
pub fn lasting(before: Vec<Wait>, after: Vec<Wait>) -> Vec<Wait> {
    let after: HashSet<Wait> = after.into_iter().collect();
    before.into_iter().filter(|wait| after.contains(wait)).collect()
}

/// The transactions that give way, so that no circle is left with a transaction in it.
pub fn victims<'t>(waits: &[Wait], transactions: &'t [SpreadTransaction]) -> Vec<&'t SpreadKey> {
    let graph = Graph::of(waits, transactions, Strangers::Apart);
    let mut youngest_first: Vec<usize> = (0..transactions.len()).collect();
    youngest_first.sort_by(|a, b| transactions[*b].key.cmp(&transactions[*a].key));
    let mut gone = HashSet::new();
    for at in youngest_first.iter().copied() {
        if graph.is_on_circle(at, &gone) {
            gone.insert(at);
        }
    }
    youngest_first.iter().filter(|at| gone.contains(at)).map(|at| &transactions[*at].key).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use base::id::{DataNodeId, NodeId};

    fn at(data_node: u8, id: u32) -> DataNodeConnection {
        DataNodeConnection { data_node: DataNodeId::from_random([data_node; 16]), id }
    }

    /// On data node `data_node` the connection `waiting` waits for `blocking`.
    fn wait(data_node: u8, waiting: u32, blocking: u32) -> Wait {
        let name = format!("{waiting} {blocking}");
        Wait { waiting: at(data_node, waiting), blocking: at(data_node, blocking), name }
    }

    /// A transaction of this age with these connections.
    fn transaction(since_us: u64, connections: &[(u8, u32)]) -> SpreadTransaction {
        let key = SpreadKey { since_us, node: NodeId::from_random([9; 16]), number: 1 };
        let connections = connections.iter().map(|(data_node, id)| at(*data_node, *id)).collect();
        SpreadTransaction { key, connections }
    }

    /// The ages of the victims, whatever the order of what is seen.
    fn check(waits: &[Wait], transactions: &[SpreadTransaction], expected: &[u64]) {
        let (mut waits, mut transactions) = (waits.to_vec(), transactions.to_vec());
        for _ in 0..2 {
            let found = victims(&waits, &transactions);
            let found: Vec<u64> = found.into_iter().map(|key| key.since_us).collect();
            assert_eq!(found, expected, "{waits:?}");
            waits.reverse();
            transactions.reverse();
        }
    }

    #[test]
    fn the_youngest_of_a_circle_gives_way() {
        let two = [transaction(1, &[(1, 10), (2, 10)]), transaction(2, &[(1, 20), (2, 20)])];
        check(&[wait(1, 10, 20), wait(2, 20, 10)], &two, &[2]);
        check(&[wait(1, 10, 20), wait(2, 10, 20)], &two, &[]);
        check(&[wait(1, 10, 20)], &two, &[]);
        let three = [
            transaction(1, &[(1, 10), (2, 10)]),
            transaction(3, &[(2, 20), (3, 20)]),
            transaction(2, &[(1, 30), (3, 30)]),
        ];
        check(&[wait(2, 10, 20), wait(3, 20, 30), wait(1, 30, 10)], &three, &[3]);
        check(&[wait(2, 10, 20), wait(3, 20, 30)], &three, &[]);
    }

    #[test]
    fn the_same_id_on_two_data_nodes_is_two_connections() {
        let two = [transaction(1, &[(1, 10), (2, 11)]), transaction(2, &[(1, 11), (2, 10)])];
        check(&[wait(1, 10, 11), wait(2, 11, 10)], &two, &[]);
        check(&[wait(1, 10, 11), wait(2, 10, 11)], &two, &[2]);
    }

    #[test]
    fn a_circle_may_go_through_others() {
        // 50 is on one data node only: a client of its own, or a statement outside of transactions.
        let two = [transaction(1, &[(1, 10), (2, 10)]), transaction(2, &[(1, 20), (2, 20)])];
        check(&[wait(1, 10, 50), wait(1, 50, 20), wait(2, 20, 10)], &two, &[2]);
        // A circle of strangers is a data node's own business.
        check(&[wait(1, 50, 60), wait(1, 60, 50), wait(1, 10, 50)], &two, &[]);
    }

    #[test]
    fn each_circle_loses_one_and_no_more() {
        let four: Vec<_> = (1..=4).map(|n| transaction(u64::from(n), &[(1, n), (2, n)])).collect();
        let both = [wait(1, 1, 2), wait(2, 2, 1), wait(1, 3, 4), wait(2, 4, 3)];
        check(&both, &four, &[4, 2]);
        // 4 is in both circles.
        let shared = [wait(1, 1, 4), wait(2, 4, 1), wait(1, 3, 4), wait(2, 4, 3)];
        check(&shared, &four, &[4]);
        // Who waits for a circle is not in it.
        check(&[wait(1, 1, 2), wait(2, 2, 1), wait(1, 4, 1), wait(2, 3, 2)], &four, &[2]);
    }

    #[test]
    fn strangers_matter_when_they_may_close_a_circle() {
        let own = [transaction(1, &[(1, 10), (2, 10)])];
        let possible = [wait(1, 10, 20), wait(2, 21, 10)];
        assert!(is_possible(&possible, &own));
        assert_eq!(strangers(&possible, &own), [at(1, 20), at(2, 21)]);
        check(&possible, &own, &[]);
        let known = [own[0].clone(), transaction(2, &[(1, 20), (2, 21)])];
        check(&possible, &known, &[2]);
        assert!(!is_possible(&[wait(1, 10, 20), wait(2, 21, 22)], &own));
        assert!(!is_possible(&[wait(1, 20, 10), wait(2, 21, 10)], &own));
        assert!(!is_possible(&[wait(1, 20, 21), wait(2, 21, 20)], &own));
    }

    #[test]
    fn only_what_both_looks_have_lasts() {
        let other = Wait { name: "another lock".into(), ..wait(2, 2, 1) };
        let before = vec![wait(1, 1, 2), wait(2, 2, 1)];
        assert_eq!(lasting(before.clone(), before.clone()), before);
        assert_eq!(lasting(before.clone(), vec![other, wait(1, 1, 2)]), [wait(1, 1, 2)]);
    }
}
