//! Adds nodes to an instance that serves, or a whole group of them: certificates, processes, and
//! RUNNING once each serves the instance's snapshot and greets clients. A node takes its share of
//! its group's address when it serves, not before. When it fails nothing of the new nodes is left,
//! and the instance is RUNNING as it was; the job has the reason.

use super::{GROUP_CREATE, NODES_ADD, NodesParams, instance_of};
use crate::app::App;
use async_trait::async_trait;
use control_store::records::instance::InstanceStatus;
use control_store::records::node::NodeStage;
use job_engine::{JobDefinition, Step, StepContext, StepError};
use serde_json::{Value, json};
use std::sync::Arc;

/// The job's steps.
pub fn definition() -> JobDefinition<Arc<App>> {
    of_kind(NODES_ADD)
}

/// The same for nodes that come with their group.
pub fn group_definition() -> JobDefinition<Arc<App>> {
    of_kind(GROUP_CREATE)
}

fn of_kind(kind: &'static str) -> JobDefinition<Arc<App>> {
    JobDefinition {
        kind,
        steps: vec![
            Box::new(Begin),
            Box::new(Certificates),
            Box::new(StartNodes),
            Box::new(WaitNodes),
            Box::new(Finish),
        ],
    }
}

struct Begin;
struct Certificates;
struct StartNodes;
struct WaitNodes;
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
        let NodesParams { node_ids, group_id } = cx.params()?;
        cx.app.forget_nodes(&instance_of(cx.job)?, &node_ids, group_id.as_ref()).await
    }
}

#[async_trait]
impl Step<Arc<App>> for Certificates {
    fn name(&self) -> &'static str {
        "certificates"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let NodesParams { node_ids, .. } = cx.params()?;
        cx.app.issue_certificates(&instance_of(cx.job)?, Some(&node_ids)).await?;
        Ok(json!({}))
    }
}

#[async_trait]
impl Step<Arc<App>> for StartNodes {
    fn name(&self) -> &'static str {
        "start_nodes"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let id = instance_of(cx.job)?;
        let NodesParams { node_ids, .. } = cx.params()?;
        cx.app.edit_nodes(&id, Some(&node_ids), |node| node.should_run = true).await?;
        let instance = cx.app.change(&id).await?.instance;
        for node in cx.app.some_nodes(&id, Some(&node_ids)).await? {
            cx.app.start_node(&instance, &node.value).await?;
        }
        Ok(json!({}))
    }

    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        let id = instance_of(cx.job)?;
        let NodesParams { node_ids, .. } = cx.params()?;
        cx.app
            .edit_nodes(&id, Some(&node_ids), |node| {
                node.stage = NodeStage::EnlargeFailed;
                node.should_run = false;
            })
            .await?;
        for node in &node_ids {
            cx.app.nodes.remove_node(node).await.map_err(StepError::transient)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Step<Arc<App>> for WaitNodes {
    fn name(&self) -> &'static str {
        "wait_nodes"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let id = instance_of(cx.job)?;
        let NodesParams { node_ids, .. } = cx.params()?;
        let port = cx.app.change(&id).await?.instance.port;
        let nodes = cx.app.some_nodes(&id, Some(&node_ids)).await?;
        cx.app.wait_serving(&id, port, &nodes).await?;
        Ok(json!({}))
    }
}

#[async_trait]
impl Step<Arc<App>> for Finish {
    fn name(&self) -> &'static str {
        "finish"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let id = instance_of(cx.job)?;
        let NodesParams { node_ids, .. } = cx.params()?;
        cx.app.edit_nodes(&id, Some(&node_ids), |node| node.stage = NodeStage::Made).await?;
        cx.app.set_status(&id, InstanceStatus::Running, None).await?;
        Ok(json!({}))
    }

    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        Ok(cx.app.set_status(&instance_of(cx.job)?, InstanceStatus::Growing, None).await?)
    }
}
