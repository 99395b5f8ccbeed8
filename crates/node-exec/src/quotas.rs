//! How many connections a node has to each data node: `max_backend_connections` and
//! `min_backend_connections`, over all its workers. Where the parameter leaves the bound open it
//! comes from the data node's own, which all nodes of the instance share.

use base::id::DataNodeId;
use node_backend::quota::Quota;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;
use topology::model::Snapshot;
use topology::parameters::Settings;

/// The bound until the data node has told its own.
pub const CONNECTIONS_UNTIL_KNOWN: usize = 32;

/// Connections that a data node keeps for others: administrators, replication, KILL.
const RESERVED: usize = 20;

/// The bounds of one node.
#[derive(Debug, Default)]
pub struct Quotas {
    bounds: Mutex<Bounds>,
    connections_min: AtomicUsize,
    workers: AtomicUsize,
    pressure: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Bounds {
    by_data_node: BTreeMap<DataNodeId, Bound>,
    /// The parameter; 0: by the data node's own bound.
    wanted: usize,
    nodes: usize,
}

#[derive(Debug)]
struct Bound {
    quota: Arc<Quota>,
    /// The data node's own, when it is known.
    server: Option<usize>,
}

impl Bounds {
    fn most(&self, server: Option<usize>) -> usize {
        match (self.wanted, server) {
            (0, None) => CONNECTIONS_UNTIL_KNOWN,
            (0, Some(server)) => (server.saturating_sub(RESERVED) / self.nodes.max(1)).max(1),
            (wanted, _) => wanted,
        }
    }

    fn apply(&self) {
        for bound in self.by_data_node.values() {
            bound.quota.set_most(self.most(bound.server));
        }
    }
}

/// One worker's place.
#[derive(Debug)]
pub struct Seat {
    /// The node's bounds.
    pub quotas: Arc<Quotas>,
    number: usize,
}

impl Seat {
    /// How many connections to each data node this worker keeps, so that all together keep what the
    /// node must.
    pub fn connections_min(&self) -> usize {
        let all = self.quotas.connections_min.load(Ordering::Relaxed);
        let workers = self.quotas.workers.load(Ordering::Relaxed).max(1);
        all / workers + usize::from(self.number < all % workers)
    }
}

impl Quotas {
    /// Another worker shares them.
    pub fn sit_down(self: &Arc<Self>) -> Seat {
        Seat { quotas: self.clone(), number: self.workers.fetch_add(1, Ordering::Relaxed) }
    }

    /// Follows the snapshot.
    pub fn follow(&self, snapshot: &Snapshot, settings: &Settings) {
        self.connections_min.store(settings.backend_connections_min, Ordering::Relaxed);
        let mut bounds = self.bounds();
        bounds.wanted = settings.backend_connections_max;
        bounds.nodes = usize::try_from(snapshot.node_count).unwrap_or(1);
        let replicas = || snapshot.data_nodes.values().flat_map(|node| &node.replicas);
        let ids: BTreeSet<&DataNodeId> =
            snapshot.data_nodes.keys().chain(replicas().map(|replica| &replica.id)).collect();
        bounds.by_data_node.retain(|id, _| ids.contains(id));
        bounds.apply();
    }

    /// The bound of a data node's connections.
    pub fn of(&self, id: &DataNodeId) -> Arc<Quota> {
        let mut bounds = self.bounds();
        if let Some(bound) = bounds.by_data_node.get(id) {
            return bound.quota.clone();
        }
        let quota = Arc::new(Quota::new(bounds.most(None), self.pressure.clone()));
        bounds.by_data_node.insert(id.clone(), Bound { quota: quota.clone(), server: None });
        quota
    }

    /// Notes how many connections a data node allows in all.
    pub fn learn(&self, id: &DataNodeId, server: usize) {
        let mut bounds = self.bounds();
        if let Some(bound) = bounds.by_data_node.get_mut(id) {
            bound.server = Some(server);
        }
        bounds.apply();
    }

    /// Whether it is known how many connections a data node allows.
    pub fn knows(&self, id: &DataNodeId) -> bool {
        self.bounds().by_data_node.get(id).is_none_or(|bound| bound.server.is_some())
    }

    /// Returns when somebody wants places.
    pub async fn pressed(&self) {
        self.pressure.notified().await;
    }

    fn bounds(&self) -> MutexGuard<'_, Bounds> {
        self.bounds.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_parameter_or_a_part_of_the_data_nodes_own() {
        let of = |wanted, nodes| Bounds { wanted, nodes, ..Bounds::default() };
        assert_eq!(of(7, 2).most(Some(1000)), 7);
        assert_eq!(of(0, 2).most(None), CONNECTIONS_UNTIL_KNOWN);
        assert_eq!(of(0, 1).most(Some(151)), 131);
        assert_eq!(of(0, 4).most(Some(1000)), 245);
        assert_eq!(of(0, 0).most(Some(100)), 80);
        assert_eq!(of(0, 9).most(Some(10)), 1);
    }

    #[test]
    fn workers_share_what_the_node_keeps() {
        let quotas = Arc::new(Quotas::default());
        let seats = [quotas.sit_down(), quotas.sit_down(), quotas.sit_down()];
        quotas.connections_min.store(10, Ordering::Relaxed);
        assert_eq!(seats.each_ref().map(Seat::connections_min), [4, 3, 3]);
        quotas.connections_min.store(2, Ordering::Relaxed);
        assert_eq!(seats.each_ref().map(Seat::connections_min), [1, 1, 0]);
    }
}
