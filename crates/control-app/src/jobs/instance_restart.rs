//! Restarts the nodes of an instance. Soft: one after the other, each drained first, so that the
//! instance goes on serving when it has more than one. Hard: all at once, without asking. When it
//! fails the instance is in ERROR, with the reason, and may be restarted again.

use super::{INSTANCE_RESTART, RestartParams, instance_of};
use crate::app::App;
use crate::change::Tries;
use crate::error::AppError;
use async_trait::async_trait;
use base::id::InstanceId;
use control_api::instance::RestartKind;
use control_store::record::Versioned;
use control_store::records::instance::{InstanceRecord, InstanceStatus};
use control_store::records::node::NodeRecord;
use job_engine::{JobDefinition, Step, StepContext, StepError};
use provision::Stop;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long open transactions may go on when a node is stopped: the default of the parameter
/// live_transaction_timeout_on_shutdown.
const DRAIN: Duration = Duration::from_secs(1);

/// The job's steps.
pub fn definition() -> JobDefinition<Arc<App>> {
    JobDefinition {
        kind: INSTANCE_RESTART,
        steps: vec![Box::new(Begin), Box::new(RestartNodes), Box::new(Finish)],
    }
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
        let kind = cx.params::<RestartParams>()?.kind;
        cx.app.set_should_run(&id, true).await?;
        let instance = cx.app.change(&id).await?.instance;
        let nodes = cx.app.nodes_of(&id).await?;
        match kind {
            RestartKind::Soft => {
                for node in &nodes {
                    cx.app
                        .restart(&instance, std::slice::from_ref(node), Stop::Drain(DRAIN))
                        .await?;
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
        for node in nodes {
            self.nodes.stop_node(&node.value.id, stop).await.map_err(StepError::transient)?;
        }
        for node in nodes {
            let spec = self.node_spec(instance, &node.value)?;
            let spec = spec.ok_or_else(|| StepError::permanent("a node has no certificates"))?;
            self.nodes.start_node(&spec).await.map_err(StepError::transient)?;
        }
        self.wait_serving(&instance.id, instance.port, nodes).await
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
