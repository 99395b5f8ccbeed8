//! Makes an instance: certificates for its nodes, their processes, and RUNNING once every node
//! serves the instance's snapshot and greets clients. Addresses and records are there already; when
//! it fails the instance stays as CREATEFAILED, with the reason, until it is deleted.

use super::{INSTANCE_CREATE, instance_of};
use crate::app::App;
use crate::change::Tries;
use crate::error::AppError;
use async_trait::async_trait;
use base::id::InstanceId;
use control_store::records::instance::InstanceStatus;
use control_store::records::node::{NodeRecord, NodeStage};
use job_engine::{JobDefinition, Step, StepContext, StepError};
use serde_json::{Value, json};
use std::sync::Arc;

/// The job's steps.
pub fn definition() -> JobDefinition<Arc<App>> {
    JobDefinition {
        kind: INSTANCE_CREATE,
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
        let reason = cx.job.fail_reason.clone();
        let id = instance_of(cx.job)?;
        Ok(cx
            .app
            .end_creation(&id, InstanceStatus::CreateFailed, NodeStage::CreateFailed, reason)
            .await?)
    }
}

#[async_trait]
impl Step<Arc<App>> for Certificates {
    fn name(&self) -> &'static str {
        "certificates"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let id = instance_of(cx.job)?;
        cx.app.issue_certificates(&id, None).await?;
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
        cx.app.set_should_run(&id, true).await?;
        let instance = cx.app.change(&id).await?.instance;
        for node in cx.app.nodes_of(&id).await? {
            cx.app.start_node(&instance, &node.value).await?;
        }
        Ok(json!({}))
    }

    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        let id = instance_of(cx.job)?;
        cx.app.set_should_run(&id, false).await?;
        for node in cx.app.nodes_of(&id).await? {
            cx.app.nodes.remove_node(&node.value.id).await.map_err(StepError::transient)?;
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
        let port = cx.app.change(&id).await?.instance.port;
        let nodes = cx.app.nodes_of(&id).await?;
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
        cx.app.end_creation(&id, InstanceStatus::Running, NodeStage::Made, None).await?;
        Ok(json!({}))
    }
}

impl App {
    /// The end of a creation, good or bad.
    async fn end_creation(
        &self,
        id: &InstanceId,
        status: InstanceStatus,
        stage: NodeStage,
        error: Option<String>,
    ) -> Result<(), AppError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change(id).await?;
            change.instance.status = status;
            change.instance.error = error.clone();
            for node in self.nodes_of(id).await? {
                let record = NodeRecord { stage, ..node.value.clone() };
                change.update(&node, &record);
            }
            if change.commit().await?.is_some() {
                return Ok(());
            }
            tries.again()?;
        }
    }

    /// Says whether the nodes of an instance should run.
    pub(super) async fn set_should_run(
        &self,
        id: &InstanceId,
        should_run: bool,
    ) -> Result<(), AppError> {
        self.edit_nodes(id, None, |node| node.should_run = should_run).await
    }
}
