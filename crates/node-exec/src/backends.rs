//! One worker's connections to the data nodes: to each its primary and, in a worker that serves
//! clients, its replicas. They follow the snapshot: a server that moved gets fresh pools, one that is
//! gone is closed, and other weights touch no connection.

use crate::admission::Admission;
use crate::decision_cleanup::Done;
use crate::error::{ExecError, sql};
use crate::members::{Login, Member};
use crate::quotas::{Quotas, Seat};
use base::id::DataNodeId;
use base::sql_error;
use futures::future::join_all;
use node_backend::dial::Dialler;
use node_backend::members::{Rotation, Standings};
use node_backend::pool::{Lease, Pool, PoolOptions};
use node_backend::session_state::SessionState;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;
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
    /// What the process knows of servers; without a seat only primaries are used.
    standings: Option<Arc<Standings>>,
    /// The node is of a read-only group.
    read_only: Cell<bool>,
    /// Who opens streams to servers.
    dialler: Dialler,
}

/// One data node, as a worker sees it.
#[derive(Debug)]
pub struct BackendNode {
    /// The data node as it is now: with the primary that is followed.
    pub definition: DataNode,
    /// As the snapshot has it.
    registered: DataNode,
    pub(crate) admission: Admission,
    primary: Rc<Member>,
    /// In the order of the definition's.
    replicas: Vec<Rc<Member>>,
    /// Whose turn it is among all: 0 is the primary, 1 the first replica.
    turns: Rotation,
    /// Whose turn it is among the replicas: 1 is the first.
    replica_turns: Rotation,
    /// What the process knows of replicas was looked at when it had changed so often.
    changes_seen: Cell<u64>,
    changes: Arc<AtomicU64>,
    pub(crate) done_decisions: Done,
    /// The table of [`crate::commit_marks`] is known to be there.
    pub(crate) has_marks: Cell<bool>,
    /// Its sessions begin at REPEATABLE READ, as far as it was asked.
    pub(crate) repeats_reads: Cell<bool>,
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
            standings: None,
            read_only: Cell::new(false),
            dialler: None,
        }
    }

    /// The same, whose streams are opened so.
    pub fn dialling(self, dialler: &Dialler) -> Self {
        Self { dialler: dialler.clone(), ..self }
    }

    /// No data nodes yet; connections are bounded together with those of the node's other workers,
    /// and replicas are read.
    pub fn with_quotas(quotas: &Arc<Quotas>, standings: &Arc<Standings>) -> Self {
        Self {
            connections_max: Cell::new(POOL_CONNECTIONS_MAX),
            seat: Some(quotas.sit_down()),
            standings: Some(standings.clone()),
            ..Self::new()
        }
    }

    /// No data nodes yet; only primaries, those that are followed.
    pub fn with_standings(standings: &Arc<Standings>) -> Self {
        Self { standings: Some(standings.clone()), ..Self::new() }
    }

    /// Whether the node is of a read-only group: it reads replicas only and writes nothing.
    pub fn is_read_only(&self) -> bool {
        self.read_only.get()
    }

    /// Says whether the node is of a read-only group.
    pub fn set_read_only(&self, read_only: bool) {
        self.read_only.set(read_only);
    }

    /// Follows the snapshot; costs nothing when its version is known.
    pub fn follow(&self, snapshot: &Snapshot) {
        if self.version.replace(snapshot.version) == snapshot.version {
            return;
        }
        let mut nodes = self.nodes.borrow_mut();
        let mut before = std::mem::take(&mut *nodes);
        for (id, definition) in &snapshot.data_nodes {
            let node = self.renew(definition, before.remove(id));
            nodes.insert(id.clone(), node);
        }
        for gone in before.values() {
            gone.members().for_each(|member| member.close());
        }
    }

    /// Does what the process has learned of servers: follows primaries, ends what waits for servers
    /// that are given up. Called with all news.
    pub fn obey(&self) {
        for node in self.nodes.borrow_mut().values_mut() {
            if node.admission.has_moved() {
                *node = self.renew(&node.registered, Some(node.clone()));
            }
        }
        for member in self.members() {
            member.obey();
        }
    }

    /// Tells of all news, where the process looks after its servers.
    pub fn news(&self) -> Option<watch::Receiver<()>> {
        self.standings.as_ref().map(|standings| standings.subscribe())
    }

    /// The data node as it is now, with what can be kept of how it was.
    fn renew(&self, registered: &DataNode, old: Option<Rc<BackendNode>>) -> Rc<BackendNode> {
        let lead = match &self.standings {
            Some(standings) if !registered.replicas.is_empty() => Some(standings),
            _ => None,
        };
        let admission = Admission::new(lead, registered);
        let definition = admission.led(registered);
        match old {
            Some(old)
                if old.definition == definition
                    && old.registered == *registered
                    && old.admission == admission =>
            {
                old
            }
            old => {
                let known: Vec<Rc<Member>> =
                    old.iter().flat_map(|old| old.members()).cloned().collect();
                let moved = old.is_some_and(|old| old.admission.has_moved());
                let new = Rc::new(self.open(registered, definition, admission, &known));
                close_unused(&known, &new, moved);
                new
            }
        }
    }

    /// A data node, with those of the servers known that it still has.
    fn open(
        &self,
        registered: &DataNode,
        definition: DataNode,
        admission: Admission,
        known: &[Rc<Member>],
    ) -> BackendNode {
        let kept = |login: &Login, is_replica: bool| {
            let same =
                |member: &&Rc<Member>| member.login() == login && member.is_replica() == is_replica;
            known.iter().find(same).cloned()
        };
        let login = Login::of_primary(&definition);
        let id = &definition.id;
        let primary = kept(&login, false).unwrap_or_else(|| self.member(id, login, false));
        let mut replicas = Vec::new();
        for replica in definition.replicas.iter().filter(|_| self.seat.is_some()) {
            let login = Login::of_replica(&definition, replica);
            replicas.push(kept(&login, true).unwrap_or_else(|| self.member(id, login, true)));
        }
        let changes = self.standings.as_ref().map_or_else(Arc::default, |all| all.changes());
        let node = BackendNode {
            definition,
            registered: registered.clone(),
            admission,
            primary,
            replicas,
            turns: Rotation::default(),
            replica_turns: Rotation::default(),
            changes_seen: Cell::new(changes.load(Ordering::Acquire)),
            changes,
            done_decisions: Done::default(),
            has_marks: Cell::new(false),
            repeats_reads: Cell::new(false),
        };
        node.weigh();
        node
    }

    /// A server of a data node.
    fn member(&self, data_node: &DataNodeId, login: Login, is_replica: bool) -> Rc<Member> {
        let limits =
            PoolOptions { max_connections: self.connections_max.get(), ..PoolOptions::default() };
        let quota = self.seat.as_ref().map(|seat| seat.quotas.of(login.id()));
        let standing = self.standings.as_ref().map(|all| login.standing(all, data_node));
        Rc::new(Member::new(login, limits, quota.as_ref(), is_replica, standing, &self.dialler))
    }

    /// How many connections each pool may have from now on.
    pub fn set_connections_max(&self, max: usize) {
        if self.connections_max.replace(max) == max {
            return;
        }
        for member in self.members() {
            member.set_connections_max(max);
        }
    }

    /// Every server of every data node.
    fn members(&self) -> Vec<Rc<Member>> {
        self.nodes.borrow().values().flat_map(|node| node.members()).cloned().collect()
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
        let keep_of = |member: &Member| match &self.seat {
            // Not before it is known how many there may be.
            Some(seat) if seat.quotas.knows(member.login().id()) => seat.connections_min(),
            _ => 0,
        };
        let runs = self.all().into_iter().flat_map(|node| {
            let serves = [true].into_iter().chain(
                node.definition
                    .replicas
                    .iter()
                    .map(|replica| replica.read_weight > 0 || self.is_read_only()),
            );
            let members: Vec<_> = node.members().cloned().zip(serves).collect();
            members.into_iter().map(|(member, serves)| async move {
                let keep = if serves && member.is_usable() { keep_of(&member) } else { 0 };
                member.maintain(keep).await;
            })
        });
        join_all(runs).await;
    }

    /// Closes idle connections while others want their places.
    pub fn shed(&self) {
        for member in self.members() {
            member.shed();
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
        self.members().iter().map(|member| member.open_connections()).sum()
    }
}

/// Closes the servers that a data node has no longer; at once, whoever uses them, when another is the primary now.
fn close_unused(known: &[Rc<Member>], node: &BackendNode, moved: bool) {
    for member in known {
        if !node.members().any(|kept| Rc::ptr_eq(kept, member)) {
            member.close();
            if moved {
                member.cut("another server is the primary now");
            }
        }
    }
}

impl BackendNode {
    /// All its servers, the primary first.
    fn members(&self) -> impl Iterator<Item = &Rc<Member>> {
        std::iter::once(&self.primary).chain(&self.replicas)
    }

    /// The server for writes and for reads that must see them.
    pub fn primary(&self) -> &Rc<Member> {
        &self.primary
    }

    /// The replicas, in the order of the definition's.
    pub fn replicas(&self) -> &[Rc<Member>] {
        &self.replicas
    }

    /// Whether it has replicas.
    pub fn has_replicas(&self) -> bool {
        !self.replicas.is_empty()
    }

    /// The server whose turn it is to read, by weight; the primary when nobody has a weight.
    pub fn next_by_weight(&self) -> &Rc<Member> {
        self.look();
        self.of_turn(&self.turns).unwrap_or(&self.primary)
    }

    /// The replica whose turn it is to read, if one can be read. When none has a weight they take
    /// turns.
    pub fn next_replica(&self) -> Option<&Rc<Member>> {
        self.look();
        self.of_turn(&self.replica_turns)
    }

    fn of_turn(&self, turns: &Rotation) -> Option<&Rc<Member>> {
        match turns.turn()? {
            0 => Some(&self.primary),
            number => self.replicas.get(number - 1),
        }
    }

    /// Looks whether other replicas can be read than before; costs one load when not.
    fn look(&self) {
        let changes = self.changes.load(Ordering::Acquire);
        if self.changes_seen.replace(changes) != changes {
            self.weigh();
        }
    }

    fn weigh(&self) {
        let usable = |member: &Rc<Member>, weight: u32| if member.is_usable() { weight } else { 0 };
        let replicas = || self.replicas.iter().zip(&self.definition.replicas);
        let mut weights = vec![self.definition.read_weight];
        weights.extend(replicas().map(|(member, replica)| usable(member, replica.read_weight)));
        // Replicas that share the reads take those of a primary that is away.
        if weights.iter().skip(1).any(|weight| *weight > 0) && !self.primary.is_usable() {
            weights[0] = 0;
        }
        self.turns.set(&weights);
        let alike = weights.iter().skip(1).all(|weight| *weight == 0);
        if alike {
            weights.truncate(1);
            weights.extend(self.replicas.iter().map(|member| usable(member, 1)));
        }
        weights[0] = 0;
        self.replica_turns.set(&weights);
    }

    /// The primary's pool for a session that counts rows this way.
    pub fn pool(&self, found_rows: bool) -> &Pool {
        self.primary.pool(found_rows)
    }

    /// A connection to the primary with the session's state applied.
    pub async fn lease(
        &self,
        found_rows: bool,
        state: &Arc<SessionState>,
    ) -> Result<Lease, ExecError> {
        self.admit_read().await?;
        self.primary.lease(found_rows, state).await
    }

    /// A connection to the primary in its default state, for statements of our own that write.
    pub async fn own_lease(&self) -> Result<Lease, ExecError> {
        self.admit_write().await?;
        self.primary.own_lease().await
    }

    /// The same for those that only read.
    pub async fn own_lease_to_read(&self) -> Result<Lease, ExecError> {
        self.admit_read().await?;
        self.primary.own_lease().await
    }
}

#[cfg(test)]
#[path = "backends_tests.rs"]
mod tests;
