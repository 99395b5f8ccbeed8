//! Restarts the nodes of an instance, or one of them. Soft: one after the other, each drained first, so that the
//! instance goes on serving when it has more than one. Hard: all at once, without asking. When it
//! fails the instance is in ERROR, with the reason, and may be restarted again.

use super::{INSTANCE_RESTART, NODE_RESTART, RestartParams, instance_of};
use crate::app::App;
use crate::change::Tries;
use crate::error::AppError;
use crate::node::drain;
use async_trait::async_trait;
use base::id::InstanceId;
use control_api::instance::RestartKind;
use control_store::record::Versioned;
use control_store::records::instance::{InstanceRecord, InstanceStatus};
use control_store::records::node::NodeRecord;
use job_engine::{JobDefinition, Step, StepContext, StepError};
use provision::Stop;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The job's steps.
pub fn definition() -> JobDefinition<Arc<App>> {
    of_kind(INSTANCE_RESTART)
}

/// The steps of the job that restarts one node.
pub fn node_definition() -> JobDefinition<Arc<App>> {
    of_kind(NODE_RESTART)
}

fn of_kind(kind: &'static str) -> JobDefinition<Arc<App>> {
    JobDefinition { kind, steps: vec![Box::new(Begin), Box::new(RestartNodes), Box::new(Finish)] }
}

struct Begin;
struct RestartNodes;
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
        let id = instance_of(cx.job)?;
        Ok(cx.app.set_status(&id, InstanceStatus::Error, cx.job.fail_reason.clone()).await?)
    }
}

#[async_trait]
impl Step<Arc<App>> for RestartNodes {
    fn name(&self) -> &'static str {
        "restart_nodes"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let id = instance_of(cx.job)?;
        let RestartParams { kind, node_id } = cx.params()?;
        let only = node_id.map(|node| BTreeSet::from([node]));
        cx.app.edit_nodes(&id, only.as_ref(), |node| node.should_run = true).await?;
        let instance = cx.app.change(&id).await?.instance;
        let nodes = cx.app.some_nodes(&id, only.as_ref()).await?;
        match kind {
            RestartKind::Soft => {
                for node in &nodes {
                    let one = std::slice::from_ref(node);
                    cx.app.restart(&instance, one, drain(&instance)).await?;
                }
            }
            RestartKind::Hard => cx.app.restart(&instance, &nodes, Stop::Kill).await?,
        }
        Ok(json!({}))
    }
}

#[async_trait]
impl Step<Arc<App>> for Finish {
    fn name(&self) -> &'static str {
        "finish"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        cx.app.set_status(&instance_of(cx.job)?, InstanceStatus::Running, None).await?;
        Ok(json!({}))
    }
}

impl App {
    async fn restart(
        &self,
        instance: &InstanceRecord,
        nodes: &[Versioned<NodeRecord>],
        stop: Stop,
    ) -> Result<(), StepError> {
        let held = self.hold_clients(instance, nodes).await?;
        for node in nodes {
            self.nodes.stop_node(&node.value.id, stop).await.map_err(StepError::transient)?;
        }
        for node in nodes {
            self.start_node(instance, &node.value).await?;
        }
        self.wait_serving(&instance.id, instance.port, nodes).await?;
        drop(held);
        Ok(())
    }

    /// Sets an instance's status and what went wrong.
    pub(super) async fn set_status(
        &self,
        id: &InstanceId,
        status: InstanceStatus,
        error: Option<String>,
    ) -> Result<(), AppError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change(id).await?;
            change.instance.status = status;
            change.instance.error = error.clone();
            if change.commit().await?.is_some() {
                return Ok(());
            }
            tries.again()?;
        }
    }
}
