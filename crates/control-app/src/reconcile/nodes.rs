//! Every node that should run runs, with its present specification, and none that should not.

use crate::app::App;
use crate::error::AppError;
use crate::node::drain;
use crate::reconcile::mirror::WantedNode;
use base::id::NodeId;
use control_store::record::{Record, Versioned};
use control_store::records::instance::InstanceRecord;
use control_store::records::node::{NodeRecord, NodeStage};
use provision::{NodeStarted, ObservedNode, ProvisionError, Stop};
use std::collections::{BTreeMap, BTreeSet};

/// What to do about one node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Start it.
    Start(NodeId),
    /// Stop it.
    Stop(NodeId),
    /// Take away what is left of a node that is no more.
    Remove(NodeId),
}

/// Decides. Nodes that a job is making are the job's: they are left alone until they were up once.
pub fn decide(desired: &[WantedNode], observed: &[ObservedNode]) -> Vec<Action> {
    let seen: BTreeMap<&NodeId, &ObservedNode> =
        observed.iter().map(|node| (&node.node_id, node)).collect();
    let known: BTreeSet<&NodeId> = desired.iter().map(|node| &node.id).collect();
    let mut actions: Vec<Action> = desired
        .iter()
        .filter_map(|node| {
            let runs = seen.get(&node.id).is_some_and(|seen| seen.running);
            let waits = seen.get(&node.id).is_some_and(|seen| !seen.restart_in.is_zero());
            match (node.should_run, runs) {
                (true, false) if node.stage == NodeStage::Made && !waits => {
                    Some(Action::Start(node.id.clone()))
                }
                // One that leaves is drained by its job.
                (false, true) if node.stage != NodeStage::Leaving => {
                    Some(Action::Stop(node.id.clone()))
                }
                _ => None,
            }
        })
        .collect();
    let left = observed.iter().filter(|node| !known.contains(&node.node_id));
    actions.extend(left.map(|node| Action::Remove(node.node_id.clone())));
    actions
}

impl App {
    /// Looks once and acts; returns what was done. A node that could not be started or stopped is
    /// logged and comes again.
    pub async fn reconcile_nodes(&self) -> Result<Vec<Action>, ReconcileError> {
        // What is seen is read first: a node made between the two reads is then known, not removed.
        let observed = self.nodes.observe().await?;
        let wanted = self.node_mirror.lock().await.present(&*self.store).await;
        let wanted = wanted.map_err(AppError::from)?;
        let actions = decide(&wanted, &observed);
        for action in &actions {
            let done = match action {
                Action::Start(id) => match wanted.iter().find(|node| node.id == *id) {
                    Some(node) => self.start_wanted(node).await,
                    None => Ok(()),
                },
                Action::Stop(id) => match wanted.iter().find(|node| node.id == *id) {
                    Some(node) => self.stop_in_order(node).await,
                    None => Ok(()),
                },
                Action::Remove(id) => Ok(self.nodes.remove_node(id).await?),
            };
            if let Err(error) = done {
                tracing::warn!(?action, %error, "a node could not be brought to its state; it is tried again");
            }
        }
        Ok(actions)
    }

    /// After a start of the control plane: nodes that an earlier process started and that run with
    /// another specification (the stream's address may have changed) are restarted with the present
    /// one; those that do not run are started.
    pub async fn resume_nodes(&self) -> Result<(), ReconcileError> {
        let records: Vec<Versioned<NodeRecord>> = self.list(NodeRecord::PREFIX).await?;
        for node in records.into_iter().map(|node| node.value) {
            if !node.should_run || node.stage != NodeStage::Made {
                continue;
            }
            if let Err(error) = self.start_if_possible(&node).await {
                tracing::warn!(node = %node.id, %error, "a node could not be started; it is tried again");
            }
        }
        Ok(())
    }

    /// Starts a node by its record as it is now, if it still should run.
    async fn start_wanted(&self, node: &WantedNode) -> Result<(), ReconcileError> {
        let key = NodeRecord::key_of(&node.instance_id, &node.id);
        match self.get::<NodeRecord>(&key).await? {
            Some(record) if record.value.should_run => self.start_if_possible(&record.value).await,
            _ => Ok(()),
        }
    }

    async fn start_if_possible(&self, node: &NodeRecord) -> Result<(), ReconcileError> {
        let Some(instance) =
            self.get::<InstanceRecord>(&InstanceRecord::key_of(&node.instance_id)).await?
        else {
            return Ok(());
        };
        let Some(spec) = self.node_spec(&instance.value, node).await? else { return Ok(()) };
        if let NodeStarted::AlreadyRunning { stale_config: true, .. } =
            self.nodes.start_node(&spec).await?
        {
            self.nodes.stop_node(&node.id, drain(&instance.value)).await?;
            self.nodes.start_node(&spec).await?;
        }
        Ok(())
    }

    /// Stops a node, unless it should run again by now.
    async fn stop_in_order(&self, node: &WantedNode) -> Result<(), ReconcileError> {
        let key = NodeRecord::key_of(&node.instance_id, &node.id);
        let record: Option<Versioned<NodeRecord>> = self.get(&key).await?;
        if record.is_some_and(|record| record.value.should_run) {
            return Ok(());
        }
        let instance: Option<Versioned<InstanceRecord>> =
            self.get(&InstanceRecord::key_of(&node.instance_id)).await?;
        let stop = instance.map_or(Stop::Kill, |instance| drain(&instance.value));
        Ok(self.nodes.stop_node(&node.id, stop).await?)
    }
}

/// Why nodes could not be looked at or brought to their state.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The provisioner.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// Our side.
    #[error(transparent)]
    App(#[from] AppError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::id::InstanceId;
    use std::time::Duration;

    fn node(number: u8, stage: NodeStage, should_run: bool) -> WantedNode {
        WantedNode {
            id: NodeId::from_random([number; 16]),
            instance_id: InstanceId::from_random([1; 16]),
            stage,
            should_run,
        }
    }

    fn seen(number: u8, running: bool, restart_in_s: u64) -> ObservedNode {
        ObservedNode {
            node_id: NodeId::from_random([number; 16]),
            pid: running.then_some(1),
            running,
            exit: None,
            failures: 0,
            restart_in: Duration::from_secs(restart_in_s),
        }
    }

    #[test]
    fn each_difference_has_its_action() {
        use NodeStage::{Creating, Leaving, Made, Resizing};
        let id = |number: u8| NodeId::from_random([number; 16]);
        // (what should be, what is seen, what to do)
        let cases = [
            (vec![node(1, Made, true)], vec![], vec![Action::Start(id(1))]),
            (vec![node(1, Made, true)], vec![seen(1, true, 0)], vec![]),
            (vec![node(1, Made, true)], vec![seen(1, false, 0)], vec![Action::Start(id(1))]),
            (vec![node(1, Made, true)], vec![seen(1, false, 3)], vec![]),
            (vec![node(1, Creating, true)], vec![], vec![]),
            (vec![node(1, Made, false)], vec![seen(1, true, 0)], vec![Action::Stop(id(1))]),
            (vec![node(1, Made, false)], vec![seen(1, false, 0)], vec![]),
            (vec![node(1, Leaving, false)], vec![seen(1, true, 0)], vec![]),
            (vec![node(1, Resizing, true)], vec![seen(1, false, 0)], vec![]),
            (vec![], vec![seen(2, true, 0)], vec![Action::Remove(id(2))]),
            (vec![], vec![seen(2, false, 9)], vec![Action::Remove(id(2))]),
        ];
        for (desired, observed, actions) in cases {
            assert_eq!(decide(&desired, &observed), actions, "{desired:?} {observed:?}");
        }
    }
}
