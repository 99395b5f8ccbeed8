//! Takes nodes from an instance, or a whole group of them. Each drains first: it takes no new
//! connections, which the others of its group serve, its transactions end or get the time of the
//! parameter `live_transaction_timeout_on_shutdown`. Only when all have stopped are they forgotten;
//! until then a failure brings them back.

use super::{GROUP_DELETE, NODES_REMOVE, NodesParams, instance_of};
use crate::app::App;
use crate::node::drain;
use async_trait::async_trait;
use control_store::records::instance::InstanceStatus;
use control_store::records::node::NodeStage;
use futures::future::try_join_all;
use job_engine::{JobDefinition, Step, StepContext, StepError};
use serde_json::{Value, json};
use std::sync::Arc;

/// The job's steps.
pub fn definition() -> JobDefinition<Arc<App>> {
    of_kind(NODES_REMOVE)
}

/// The same for nodes that go with their group.
pub fn group_definition() -> JobDefinition<Arc<App>> {
    of_kind(GROUP_DELETE)
}

fn of_kind(kind: &'static str) -> JobDefinition<Arc<App>> {
    JobDefinition { kind, steps: vec![Box::new(Begin), Box::new(Drain), Box::new(Forget)] }
}

struct Begin;
struct Drain;
struct Forget;

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
impl Step<Arc<App>> for Drain {
    fn name(&self) -> &'static str {
        "drain"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let id = instance_of(cx.job)?;
        let NodesParams { node_ids, .. } = cx.params()?;
        cx.app
            .edit_nodes(&id, Some(&node_ids), |node| {
                node.stage = NodeStage::Leaving;
                node.should_run = false;
            })
            .await?;
        let stop = drain(&cx.app.change(&id).await?.instance);
        let stops = node_ids.iter().map(|node| cx.app.nodes.stop_node(node, stop));
        try_join_all(stops).await.map_err(StepError::transient)?;
        Ok(json!({}))
    }

    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        let id = instance_of(cx.job)?;
        let NodesParams { node_ids, .. } = cx.params()?;
        cx.app
            .edit_nodes(&id, Some(&node_ids), |node| {
                node.stage = NodeStage::Made;
                node.should_run = true;
            })
            .await?;
        let instance = cx.app.change(&id).await?.instance;
        let nodes = cx.app.some_nodes(&id, Some(&node_ids)).await?;
        for node in &nodes {
            cx.app.start_node(&instance, &node.value).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Step<Arc<App>> for Forget {
    fn name(&self) -> &'static str {
        "forget"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let NodesParams { node_ids, group_id } = cx.params()?;
        cx.app.forget_nodes(&instance_of(cx.job)?, &node_ids, group_id.as_ref()).await?;
        Ok(json!({}))
    }
}
