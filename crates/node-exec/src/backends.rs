//! One worker's connections to the data nodes: a pool for each data node and for each way of
//! counting affected rows (the client chooses at its handshake, and the data node takes it at ours).
//! Pools follow the snapshot: a changed data node gets fresh ones, a removed one's are closed.

use crate::error::{ExecError, sql};
use crate::quotas::{Quotas, Seat};
use base::id::DataNodeId;
use base::sql_error;
use futures::future::join_all;
use node_backend::options::ConnectOptions;
use node_backend::pool::{Lease, Pool, PoolOptions};
use node_backend::session_state::SessionState;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use topology::model::{DataNode, Snapshot};

/// Connections of one pool that shares no quota.
const POOL_CONNECTIONS_DEFAULT: usize = 32;

/// Connections of one pool that shares a quota, which is what bounds it.
const POOL_CONNECTIONS_MAX: usize = 100_000;

/// A worker's pools.
#[derive(Debug)]
pub struct Backends {
    nodes: RefCell<BTreeMap<DataNodeId, Rc<BackendNode>>>,
    version: Cell<u64>,
    connections_max: Cell<usize>,
    /// The node's bounds, and this worker's place among those that share them.
    seat: Option<Seat>,
}

/// One data node, as a worker sees it.
#[derive(Debug)]
pub struct BackendNode {
    /// The data node as the snapshot has it.
    pub definition: DataNode,
    /// Counting changed rows.
    changed_rows: Pool,
    /// Counting found rows (CLIENT_FOUND_ROWS).
    found_rows: Pool,
    /// Which of the two was used last: that one is kept warm.
    used_found_rows: Cell<bool>,
}

impl Default for Backends {
    fn default() -> Self {
        Self::new()
    }
}

impl Backends {
    /// No data nodes yet.
    pub fn new() -> Self {
        Self {
            nodes: RefCell::default(),
            version: Cell::new(0),
            connections_max: Cell::new(POOL_CONNECTIONS_DEFAULT),
            seat: None,
        }
    }

    /// No data nodes yet; connections are bounded together with those of the node's other workers.
    pub fn with_quotas(quotas: &Arc<Quotas>) -> Self {
        Self {
            connections_max: Cell::new(POOL_CONNECTIONS_MAX),
            seat: Some(quotas.sit_down()),
            ..Self::new()
        }
    }

    /// Follows the snapshot; costs nothing when its version is known.
    pub fn follow(&self, snapshot: &Snapshot) {
        if self.version.replace(snapshot.version) == snapshot.version {
            return;
        }
        let mut nodes = self.nodes.borrow_mut();
        nodes.retain(|id, node| {
            let keep = snapshot.data_nodes.get(id) == Some(&node.definition);
            if !keep {
                node.changed_rows.close();
                node.found_rows.close();
            }
            keep
        });
        for (id, definition) in &snapshot.data_nodes {
            if !nodes.contains_key(id) {
                nodes.insert(id.clone(), Rc::new(self.open(definition)));
            }
        }
    }

    fn open(&self, definition: &DataNode) -> BackendNode {
        let pool = |found_rows: bool| {
            let mut options = ConnectOptions::new(
                definition.host.clone(),
                definition.port,
                definition.user.clone(),
                definition.password.clone(),
            );
            options.found_rows = found_rows;
            options.deprecate_eof = false;
            options.session_track = false;
            let limits = PoolOptions {
                max_connections: self.connections_max.get(),
                ..PoolOptions::default()
            };
            match &self.seat {
                Some(seat) => {
                    Pool::with_quota(Arc::new(options), limits, seat.quotas.of(&definition.id))
                }
                None => Pool::new(Arc::new(options), limits),
            }
        };
        BackendNode {
            definition: definition.clone(),
            changed_rows: pool(false),
            found_rows: pool(true),
            used_found_rows: Cell::new(false),
        }
    }

    /// How many connections each pool may have from now on.
    pub fn set_connections_max(&self, max: usize) {
        if self.connections_max.replace(max) == max {
            return;
        }
        for node in self.nodes.borrow().values() {
            for pool in [&node.changed_rows, &node.found_rows] {
                pool.set_options(PoolOptions { max_connections: max, ..pool.options() });
            }
        }
    }

    /// The data node of this id.
    pub fn node(&self, id: &DataNodeId) -> Result<Rc<BackendNode>, ExecError> {
        self.nodes.borrow().get(id).cloned().ok_or_else(|| {
            sql(
                sql_error::DATA_NODE_UNREACHABLE,
                format!("data node {id} is not known to this node"),
            )
        })
    }

    /// Every data node.
    pub fn all(&self) -> Vec<Rc<BackendNode>> {
        self.nodes.borrow().values().cloned().collect()
    }

    /// Any data node: for statements that touch no table.
    pub fn any(&self) -> Result<Rc<BackendNode>, ExecError> {
        self.nodes.borrow().values().next().cloned().ok_or_else(|| {
            sql(
                sql_error::DATA_NODE_UNREACHABLE,
                "the instance has no data node yet; create a schema first",
            )
        })
    }

    /// Trims idle connections and keeps as many warm as the node must have; called every second.
    pub async fn maintain(&self) {
        let keep = self.seat.as_ref().map_or(0, Seat::connections_min);
        let runs = self.all().into_iter().map(|node| async move {
            let (warm, other) = match node.used_found_rows.get() {
                true => (&node.found_rows, &node.changed_rows),
                false => (&node.changed_rows, &node.found_rows),
            };
            let min_open = keep.saturating_sub(other.stats().in_use);
            for (pool, min_open) in [(other, 0), (warm, min_open)] {
                pool.set_options(PoolOptions { min_open, ..pool.options() });
                pool.maintain().await;
            }
        });
        join_all(runs).await;
    }

    /// Closes idle connections while others want their places.
    pub fn shed(&self) {
        for node in self.all() {
            node.changed_rows.shed();
            node.found_rows.shed();
        }
    }

    /// Returns when somebody wants places.
    pub async fn pressed(&self) {
        match &self.seat {
            Some(seat) => seat.quotas.pressed().await,
            None => std::future::pending().await,
        }
    }

    /// Open connections to all data nodes.
    pub fn open_connections(&self) -> usize {
        let nodes = self.nodes.borrow();
        nodes
            .values()
            .map(|node| node.changed_rows.stats().open + node.found_rows.stats().open)
            .sum()
    }
}

impl BackendNode {
    /// The pool of a session that counts rows this way.
    pub fn pool(&self, found_rows: bool) -> &Pool {
        if found_rows { &self.found_rows } else { &self.changed_rows }
    }

    /// A connection with the session's state applied.
    pub async fn lease(
        &self,
        found_rows: bool,
        state: &Arc<SessionState>,
    ) -> Result<Lease, ExecError> {
        self.used_found_rows.set(found_rows);
        Ok(self.pool(found_rows).acquire_for(state).await?)
    }

    /// A connection in the server's default state, for statements of our own.
    pub async fn own_lease(&self) -> Result<Lease, ExecError> {
        Ok(self.changed_rows.acquire().await?)
    }
}
