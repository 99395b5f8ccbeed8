//! A change takes place when every node of the instance either serves it or certainly serves nothing.
//! A node that cannot be told is fenced on the data nodes ([`topology::fence`]), which both planes
//! still reach: a live one finds its fence there, stops, and says so; for any other it is waited until
//! its last assurance has run out, and then its process is stopped where that can be done, so that
//! not even one that was asleep goes on with a statement. A fence is lifted when its node has caught up.

use crate::app::App;
use crate::error::AppError;
use crate::ports::SnapshotPublisher;
use base::id::{InstanceId, NodeId};
use control_store::record::{Record, Versioned};
use control_store::records::data_node::DataNodeRecord;
use control_store::records::fence::FenceRecord;
use control_store::records::node::{NodeRecord, NodeStage};
use control_store::{TxnOutcome, typed};
use futures::future::join_all;
use provision::{AdminError, Stop};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use topology::fence::{self, FENCED_AFTER, MISSING};

/// How often it is looked whether a fenced node has obeyed.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Why a change cannot take place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FenceError {
    /// Neither a node nor what it would learn it by can be reached.
    #[error(
        "{nodes} of the instance's nodes cannot be told of the change, and the data nodes by which they \
         would learn of it cannot all be written to: {reason}"
    )]
    OutOfReach {
        /// How many nodes.
        nodes: usize,
        /// What is wrong with a data node.
        reason: String,
    },
    /// Our side.
    #[error(transparent)]
    App(#[from] AppError),
}

/// Nodes that certainly serve nothing, unless somebody has vouched for them since.
#[derive(Debug, Default)]
pub(crate) struct Fences {
    in_force: Mutex<HashMap<NodeId, Instant>>,
    /// Held while rows are written or removed.
    rows: tokio::sync::Mutex<()>,
}

impl Fences {
    fn in_force(&self) -> MutexGuard<'_, HashMap<NodeId, Instant>> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the node certainly serves nothing.
    fn holds(&self, live: &dyn SnapshotPublisher, node: &NodeId) -> bool {
        let since = self.in_force().get(node).copied();
        since.is_some_and(|since| !live.is_vouched_since(node, since))
    }
}

impl App {
    /// The nodes that may serve clients now: those that should, one that drains, and one that is made
    /// once it is heard.
    pub(crate) async fn serving_nodes(
        &self,
        live: &dyn SnapshotPublisher,
        instance: &InstanceId,
    ) -> Result<Vec<NodeId>, AppError> {
        let nodes = self.list::<NodeRecord>(&NodeRecord::prefix_of(instance)).await?;
        let serves = |node: &NodeRecord| {
            live.is_heard(&node.id) || (node.should_run && node.stage != NodeStage::Creating)
        };
        let nodes = nodes.into_iter().map(|node| node.value);
        Ok(nodes.filter(serves).map(|node| node.id).collect())
    }

    /// Before a change: every node can be told of it at this moment, or serves nothing from now on.
    pub(crate) async fn reach_nodes(
        &self,
        live: &dyn SnapshotPublisher,
        instance: &InstanceId,
        version: u64,
    ) -> Result<(), FenceError> {
        let nodes = self.serving_nodes(live, instance).await?;
        let asked = nodes.into_iter().filter(|node| !self.fences.holds(live, node));
        let asked = asked.map(|node| async move { (live.reaches(&node).await, node) });
        let silent = join_all(asked).await.into_iter().filter(|(reached, _)| !reached);
        self.fence(live, instance, silent.map(|(_, node)| node).collect(), version).await
    }

    /// After a change: every node serves `version`, or serves nothing.
    pub(crate) async fn settle_nodes(
        &self,
        live: &dyn SnapshotPublisher,
        instance: &InstanceId,
        version: u64,
        patience: Duration,
    ) -> Result<(), FenceError> {
        let mut nodes = self.serving_nodes(live, instance).await?;
        live.require(instance, version, 0);
        nodes.retain(|node| !self.fences.holds(live, node));
        match live.wait_nodes_at(instance, &nodes, version, patience).await {
            Ok(()) => Ok(()),
            Err(late) => self.fence(live, instance, late.behind, version).await,
        }
    }

    /// Returns when each of these nodes serves `version` or certainly serves nothing.
    async fn fence(
        &self,
        live: &dyn SnapshotPublisher,
        instance: &InstanceId,
        nodes: Vec<NodeId>,
        version: u64,
    ) -> Result<(), FenceError> {
        if nodes.is_empty() {
            return Ok(());
        }
        let making = self.fences.rows.lock().await;
        let since = Instant::now();
        let number = self.record_fences(instance, &nodes, version).await?;
        live.require(instance, version, number);
        for node in &nodes {
            tracing::warn!(%node, version, "the node cannot be told of a change and is fenced");
        }
        let written = self.write_fences(instance, &nodes, number).await?;
        drop(making);
        let until = Instant::now() + FENCED_AFTER;
        let mut left = nodes;
        loop {
            left.retain(|node| !live.serves(node, version));
            let mut obedient = self.obedient(instance, &left, number).await?;
            if written.is_ok() {
                obedient.extend(self.stopped(&left).await);
            }
            left.retain(|node| !obedient.contains(node));
            self.fences.in_force().extend(obedient.into_iter().map(|node| (node, since)));
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() >= until {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let stopped = self.stop_silent(&left).await;
        match written {
            Ok(()) => {
                self.fences.in_force().extend(left.into_iter().map(|node| (node, since)));
                Ok(())
            }
            // One that was stopped finds such fences as were made; the next change fences it anew.
            Err(_) if stopped => Ok(()),
            Err(reason) => Err(FenceError::OutOfReach { nodes: left.len(), reason }),
        }
    }

    /// Writes down who is to be fenced, and where; gives the fence's number.
    async fn record_fences(
        &self,
        instance: &InstanceId,
        nodes: &[NodeId],
        version: u64,
    ) -> Result<u64, AppError> {
        let data_nodes = self.bound_data_nodes(instance).await?;
        let ids: BTreeSet<_> = data_nodes.iter().map(|node| node.value.id.clone()).collect();
        let mut writes = Vec::new();
        for node in nodes {
            let key = FenceRecord::key_of(instance, node);
            let before: Option<Versioned<FenceRecord>> = self.get(&key).await?;
            let mut at = before.map(|before| before.value.data_nodes).unwrap_or_default();
            at.extend(ids.iter().cloned());
            let record = FenceRecord {
                instance_id: instance.clone(),
                node_id: node.clone(),
                version,
                data_nodes: at,
            };
            writes.push(typed::put(&record));
        }
        match self.store.txn(Vec::new(), writes).await? {
            TxnOutcome::Committed(revision) => Ok(revision),
            TxnOutcome::Conflict { .. } => Err(AppError::Contended(1)),
        }
    }

    /// Leaves a row for each of the nodes on every data node; what is wrong with one that takes none.
    async fn write_fences(
        &self,
        instance: &InstanceId,
        nodes: &[NodeId],
        number: u64,
    ) -> Result<Result<(), String>, AppError> {
        let data_nodes = self.bound_data_nodes(instance).await?;
        let puts = nodes.iter().map(|node| fence::put(instance, node, number));
        let statements: Vec<String> = fence::create().into_iter().chain(puts).collect();
        let writes = data_nodes.iter().map(|node| async {
            let login = self.binding_admin(&node.value).map_err(|error| error.to_string())?;
            let done = self.data_nodes.execute_all(&login, &statements).await;
            done.map_err(|error| format!("{}: {error}", node.value.name))
        });
        Ok(join_all(writes).await.into_iter().collect())
    }

    /// Those whose process does not run: when it does again, it finds its fence before it serves.
    async fn stopped(&self, nodes: &[NodeId]) -> Vec<NodeId> {
        let Ok(observed) = self.nodes.observe().await else { return Vec::new() };
        let runs =
            |node: &NodeId| observed.iter().any(|seen| seen.node_id == *node && seen.running);
        nodes.iter().filter(|node| !runs(node)).cloned().collect()
    }

    /// Those that have said on a data node that they serve nothing.
    async fn obedient(
        &self,
        instance: &InstanceId,
        nodes: &[NodeId],
        number: u64,
    ) -> Result<Vec<NodeId>, AppError> {
        if nodes.is_empty() {
            return Ok(Vec::new());
        }
        let asks: Vec<String> = nodes.iter().map(|node| fence::look(instance, node)).collect();
        let data_nodes = self.bound_data_nodes(instance).await?;
        let asked = data_nodes.iter().map(|node| async {
            let login = self.binding_admin(&node.value).ok()?;
            self.data_nodes.query_all(&login, &asks).await.ok()
        });
        let answers = join_all(asked).await;
        let has_obeyed = |at: usize| {
            answers.iter().flatten().any(|answers| {
                let row = answers.get(at).and_then(|answer| answer.as_ref().ok());
                let is = |column, wanted: &str| {
                    row.and_then(|row| row.get(0, column)).is_some_and(|value| value == wanted)
                };
                is("number", &number.to_string()) && is("obeyed", "1")
            })
        };
        let obedient = nodes.iter().enumerate().filter(|(at, _)| has_obeyed(*at));
        Ok(obedient.map(|(_, node)| node.clone()).collect())
    }

    /// Stops the processes of nodes that have not obeyed: they sleep, or see nothing at all. Whether
    /// all were.
    async fn stop_silent(&self, nodes: &[NodeId]) -> bool {
        let mut all = true;
        for node in nodes {
            tracing::warn!(%node, "the node has not obeyed its fence and is stopped");
            if let Err(error) = self.nodes.stop_node(node, Stop::Kill).await {
                all = false;
                tracing::warn!(%node, %error, "it cannot be stopped; its last assurance has run out");
            }
        }
        all
    }

    /// Lifts the fences of nodes that have caught up, or are no more; returns how many.
    pub async fn lift_fences(&self) -> Result<usize, AppError> {
        let mut lifted = 0;
        for record in self.list::<FenceRecord>(FenceRecord::PREFIX).await? {
            match self.lift_fence(&record.value).await {
                Ok(true) => lifted += 1,
                Ok(false) => {}
                // A data node may be away; others' fences need not wait for it.
                Err(error) => {
                    let node = &record.value.node_id;
                    tracing::warn!(%node, %error, "the node's fence cannot be lifted now and is tried again");
                }
            }
        }
        Ok(lifted)
    }

    async fn lift_fence(&self, seen: &FenceRecord) -> Result<bool, AppError> {
        let _rows = self.fences.rows.lock().await;
        let (instance, node) = (&seen.instance_id, &seen.node_id);
        let Some(fence) = self.get::<FenceRecord>(&seen.key()).await? else { return Ok(false) };
        let has_caught_up = self.publisher.serves(node, fence.value.version);
        if !has_caught_up && self.is_node_of(instance, node).await? {
            return Ok(false);
        }
        for id in &fence.value.data_nodes {
            let found: Option<Versioned<DataNodeRecord>> =
                self.get(&DataNodeRecord::key_of(id)).await?;
            let Some(found) = found else { continue };
            let login = self.binding_admin(&found.value)?;
            match self.data_nodes.execute(&login, &fence::lift(instance, node)).await {
                Ok(_) => {}
                Err(AdminError::Server { number, .. }) if MISSING.contains(&number) => {}
                Err(error) => return Err(AppError::Broken(error.to_string())),
            }
        }
        self.fences.in_force().remove(node);
        let gone = typed::delete::<FenceRecord>(&fence.value.key());
        self.write(vec![fence.unchanged()], vec![gone]).await?;
        tracing::info!(%node, "the node has caught up; its fence is lifted");
        Ok(true)
    }
}
