//! Gives the nodes of a group another class: one after the other each is drained and started with
//! the new bounds (worker threads, memory), so that a group of two or more goes on serving. When it
//! fails the nodes get their old class back and the instance is RUNNING; the job has the reason.

use super::{FLAVOR_CHANGE, FlavorParams, instance_of};
use crate::app::App;
use crate::change::Tries;
use crate::error::AppError;
use crate::node::drain;
use async_trait::async_trait;
use base::id::{GroupId, InstanceId, NodeId};
use control_store::record::Versioned;
use control_store::records::group::GroupRecord;
use control_store::records::instance::InstanceStatus;
use control_store::records::node::{NodeRecord, NodeStage};
use job_engine::{JobDefinition, Step, StepContext, StepError};
use provision::{Held, NodeStarted};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The job's steps.
pub fn definition() -> JobDefinition<Arc<App>> {
    JobDefinition {
        kind: FLAVOR_CHANGE,
        steps: vec![Box::new(Begin), Box::new(ResizeNodes), Box::new(Finish)],
    }
}

struct Begin;
struct ResizeNodes;
struct Finish;

#[async_trait]
impl Step<Arc<App>> for Begin {
    fn name(&self) -> &'static str {
        "begin"
    }

    async fn run(&self, _cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        Ok(json!({}))
    }

    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        Ok(cx.app.set_status(&instance_of(cx.job)?, InstanceStatus::Running, None).await?)
    }
}

#[async_trait]
impl Step<Arc<App>> for ResizeNodes {
    fn name(&self) -> &'static str {
        "resize_nodes"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let id = instance_of(cx.job)?;
        let FlavorParams { group_id, to, .. } = cx.params()?;
        for node in cx.app.nodes_of_group(&id, &group_id).await? {
            cx.app.resize_node(&id, &node.id, Some(to.clone())).await?;
        }
        Ok(json!({}))
    }

    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        let id = instance_of(cx.job)?;
        let FlavorParams { group_id, .. } = cx.params()?;
        for node in cx.app.nodes_of_group(&id, &group_id).await? {
            if node.flavor_code.is_some() || node.stage == NodeStage::Resizing {
                cx.app.resize_node(&id, &node.id, None).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Step<Arc<App>> for Finish {
    fn name(&self) -> &'static str {
        "finish"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let FlavorParams { group_id, to, .. } = cx.params()?;
        let id = instance_of(cx.job)?;
        cx.app.set_class(&id, &group_id, &to, None, InstanceStatus::Running).await?;
        Ok(json!({}))
    }

    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        let FlavorParams { group_id, from, to } = cx.params()?;
        let id = instance_of(cx.job)?;
        Ok(cx.app.set_class(&id, &group_id, &from, Some(to), InstanceStatus::Resizing).await?)
    }
}

impl App {
    async fn nodes_of_group(
        &self,
        id: &InstanceId,
        group: &GroupId,
    ) -> Result<Vec<NodeRecord>, AppError> {
        let nodes = self.nodes_of(id).await?;
        let own = nodes.into_iter().map(|node| node.value);
        Ok(own.filter(|node| node.group_id == *group).collect())
    }

    /// Restarts a node with this class (or its group's), unless it runs with it already.
    async fn resize_node(
        &self,
        id: &InstanceId,
        node: &NodeId,
        flavor_code: Option<String>,
    ) -> Result<(), StepError> {
        let only = BTreeSet::from([node.clone()]);
        self.edit_nodes(id, Some(&only), |node| {
            node.stage = NodeStage::Resizing;
            node.flavor_code = flavor_code.clone();
        })
        .await?;
        let instance = self.change(id).await?.instance;
        let nodes = self.some_nodes(id, Some(&only)).await?;
        let mut held = Held::default();
        for node in &nodes {
            let started = self.start_node(&instance, &node.value).await?;
            if let NodeStarted::AlreadyRunning { stale_config: true, .. } = started {
                held = self.hold_clients(&instance, std::slice::from_ref(node)).await?;
                let stop = drain(&instance);
                self.nodes.stop_node(&node.value.id, stop).await.map_err(StepError::transient)?;
                self.start_node(&instance, &node.value).await?;
            }
        }
        self.wait_serving(id, instance.port, &nodes).await?;
        drop(held);
        self.edit_nodes(id, Some(&only), |node| node.stage = NodeStage::Made).await?;
        Ok(())
    }

    /// In one transaction: the group's class, what its nodes have instead, the instance's status.
    async fn set_class(
        &self,
        id: &InstanceId,
        group_id: &GroupId,
        code: &str,
        of_nodes: Option<String>,
        status: InstanceStatus,
    ) -> Result<(), AppError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change(id).await?;
            if *group_id == change.instance.group_id {
                change.instance.flavor_code = code.to_owned();
            } else {
                let key = GroupRecord::key_of(id, group_id);
                let group: Option<Versioned<GroupRecord>> = self.get(&key).await?;
                let missing = || AppError::Broken("the group is gone".to_owned());
                let group = group.ok_or_else(missing)?;
                let record = GroupRecord { flavor_code: code.to_owned(), ..group.value.clone() };
                change.update(&group, &record);
            }
            for node in self.nodes_of(id).await? {
                if node.value.group_id == *group_id {
                    let flavor_code = of_nodes.clone();
                    change.update(&node, &NodeRecord { flavor_code, ..node.value.clone() });
                }
            }
            change.instance.status = status;
            change.instance.error = None;
            if change.commit().await?.is_some() {
                return Ok(());
            }
            tries.again()?;
        }
    }
}
