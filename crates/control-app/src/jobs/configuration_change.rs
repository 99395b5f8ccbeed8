//! Changes an instance's parameters: writes them, and is done when every node that lives serves
//! them. When nodes do not take them the instance goes on with its old ones.

use super::{CONFIGURATION_CHANGE, ConfigurationParams, instance_of};
use crate::app::App;
use crate::change::Tries;
use crate::configuration::Values;
use crate::error::AppError;
use async_trait::async_trait;
use control_store::Revision;
use control_store::records::configuration::ApplicationResult;
use control_store::records::instance::InstanceStatus;
use job_engine::{JobDefinition, Step, StepContext, StepError};
use serde_json::{Value, json};
use std::sync::Arc;

/// The job's steps.
pub fn definition() -> JobDefinition<Arc<App>> {
    JobDefinition {
        kind: CONFIGURATION_CHANGE,
        steps: vec![Box::new(Begin), Box::new(Set), Box::new(Publish), Box::new(Finish)],
    }
}

struct Begin;
struct Set;
struct Publish;
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
        end(cx, ApplicationResult::Failed, cx.job.fail_reason.clone()).await
    }
}

#[async_trait]
impl Step<Arc<App>> for Set {
    fn name(&self) -> &'static str {
        "set"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let params: ConfigurationParams = cx.params()?;
        Ok(json!({ "version": set(cx, &params.after).await? }))
    }

    /// Nodes that took the new values get the old ones again; who does not listen now gets them
    /// before it serves.
    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        let params: ConfigurationParams = cx.params()?;
        set(cx, &params.before).await.map(|_| ())
    }
}

#[async_trait]
impl Step<Arc<App>> for Publish {
    fn name(&self) -> &'static str {
        "publish"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let set: Value = cx.output("set")?;
        let version = set["version"]
            .as_u64()
            .ok_or_else(|| StepError::permanent("the step before gave no version"))?;
        cx.app.wait_published(&instance_of(cx.job)?, version).await?;
        Ok(json!({}))
    }
}

#[async_trait]
impl Step<Arc<App>> for Finish {
    fn name(&self) -> &'static str {
        "finish"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        end(cx, ApplicationResult::Success, None).await?;
        Ok(json!({}))
    }

    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        // It is being undone, so that nobody takes it for RUNNING with values that go.
        let id = instance_of(cx.job)?;
        Ok(cx.app.set_status(&id, InstanceStatus::SetConfiguration, None).await?)
    }
}

/// Writes the values; returns the version that has them.
async fn set(cx: &StepContext<'_, Arc<App>>, values: &Values) -> Result<Revision, StepError> {
    let id = instance_of(cx.job)?;
    let mut tries = Tries::default();
    loop {
        let mut change = cx.app.change(&id).await?;
        values.put_into(&mut change.instance);
        if let Some(committed) = change.commit().await? {
            return Ok(committed.revision);
        }
        tries.again()?;
    }
}

/// The instance is RUNNING, and the template's history says what came of it.
async fn end(
    cx: &StepContext<'_, Arc<App>>,
    result: ApplicationResult,
    reason: Option<String>,
) -> Result<(), StepError> {
    let id = instance_of(cx.job)?;
    let params: ConfigurationParams = cx.params()?;
    let mut tries = Tries::default();
    loop {
        let mut change = cx.app.change(&id).await?;
        change.instance.status = InstanceStatus::Running;
        change.instance.error = None;
        if let Some(application) = &params.application {
            cx.app.note_result(&mut change, application, result, reason.clone()).await?;
        }
        if change.commit().await?.is_some() {
            return Ok(());
        }
        tries.again().map_err(AppError::from)?;
    }
}
