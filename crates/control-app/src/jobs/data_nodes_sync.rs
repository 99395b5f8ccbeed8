//! Brings what a synchronisation found to the nodes. It is written before the job begins: the
//! servers are as they are, so there is nothing to put back when a node does not take it.

use super::{DATA_NODES_SYNC, instance_of};
use crate::app::App;
use crate::error::AppError;
use async_trait::async_trait;
use job_engine::{JobDefinition, Step, StepContext, StepError};
use serde_json::{Value, json};
use std::sync::Arc;

/// The job's steps.
pub fn definition() -> JobDefinition<Arc<App>> {
    JobDefinition { kind: DATA_NODES_SYNC, steps: vec![Box::new(Publish)] }
}

struct Publish;

#[async_trait]
impl Step<Arc<App>> for Publish {
    fn name(&self) -> &'static str {
        "publish"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let id = instance_of(cx.job)?;
        let snapshot = cx.app.snapshot(&id).await?.ok_or(AppError::NoInstance)?;
        cx.app.wait_published(&id, snapshot.version).await?;
        Ok(json!({}))
    }
}
