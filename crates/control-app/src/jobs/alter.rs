//! What small changes of a serving instance have in common: the call has set a status that tells
//! what goes on; the job writes the change, waits until every node that lives serves it, and the
//! instance is RUNNING again. When nodes do not take it, all is as it was.

use super::instance_of;
use crate::app::App;
use crate::change::{Change, Tries};
use async_trait::async_trait;
use control_store::Revision;
use control_store::records::instance::InstanceStatus;
use job_engine::{JobDefinition, Step, StepContext, StepError};
use serde_json::{Value, json};
use std::sync::Arc;

type Context<'a> = StepContext<'a, Arc<App>>;

/// What is particular to one kind of change. Each adds to a change of the instance, and may be
/// repeated.
#[async_trait]
pub(super) trait Alteration: Copy + Send + Sync + 'static {
    /// The status while it lasts.
    const STATUS: InstanceStatus;

    /// As it shall be.
    async fn set(&self, cx: &Context<'_>, change: &mut Change<'_>) -> Result<(), StepError>;

    /// As it was.
    async fn put_back(&self, cx: &Context<'_>, change: &mut Change<'_>) -> Result<(), StepError>;

    /// What else is noted at the end, well (`failure` is `None`) or not.
    async fn end(
        &self,
        _cx: &Context<'_>,
        _change: &mut Change<'_>,
        _failure: Option<String>,
    ) -> Result<(), StepError> {
        Ok(())
    }
}

/// A job that makes this kind of change.
pub(super) fn definition<A: Alteration>(kind: &'static str, which: A) -> JobDefinition<Arc<App>> {
    JobDefinition {
        kind,
        steps: vec![
            Box::new(Begin(which)),
            Box::new(Set(which)),
            Box::new(Publish),
            Box::new(Finish(which)),
        ],
    }
}

struct Begin<A>(A);
struct Set<A>(A);
struct Publish;
struct Finish<A>(A);

#[async_trait]
impl<A: Alteration> Step<Arc<App>> for Begin<A> {
    fn name(&self) -> &'static str {
        "begin"
    }

    async fn run(&self, _cx: &Context<'_>) -> Result<Value, StepError> {
        Ok(json!({}))
    }

    async fn undo(&self, cx: &Context<'_>) -> Result<(), StepError> {
        let reason = cx.job.fail_reason.clone().unwrap_or_default();
        end(&self.0, cx, Some(reason)).await
    }
}

#[async_trait]
impl<A: Alteration> Step<Arc<App>> for Set<A> {
    fn name(&self) -> &'static str {
        "set"
    }

    async fn run(&self, cx: &Context<'_>) -> Result<Value, StepError> {
        Ok(json!({ "version": write(&self.0, cx, true).await? }))
    }

    /// Nodes that took the change get what was before; who does not listen now gets it before it
    /// serves.
    async fn undo(&self, cx: &Context<'_>) -> Result<(), StepError> {
        write(&self.0, cx, false).await.map(|_| ())
    }
}

#[async_trait]
impl Step<Arc<App>> for Publish {
    fn name(&self) -> &'static str {
        "publish"
    }

    async fn run(&self, cx: &Context<'_>) -> Result<Value, StepError> {
        let set: Value = cx.output("set")?;
        let version = set["version"]
            .as_u64()
            .ok_or_else(|| StepError::permanent("the step before gave no version"))?;
        cx.app.wait_published(&instance_of(cx.job)?, version).await?;
        Ok(json!({}))
    }
}

#[async_trait]
impl<A: Alteration> Step<Arc<App>> for Finish<A> {
    fn name(&self) -> &'static str {
        "finish"
    }

    async fn run(&self, cx: &Context<'_>) -> Result<Value, StepError> {
        end(&self.0, cx, None).await?;
        Ok(json!({}))
    }

    /// Nobody shall take it for RUNNING while it is put back.
    async fn undo(&self, cx: &Context<'_>) -> Result<(), StepError> {
        Ok(cx.app.set_status(&instance_of(cx.job)?, A::STATUS, None).await?)
    }
}

/// Writes the change, or what was before it; returns the version that has it.
async fn write<A: Alteration>(
    which: &A,
    cx: &Context<'_>,
    forward: bool,
) -> Result<Revision, StepError> {
    let id = instance_of(cx.job)?;
    let mut tries = Tries::default();
    loop {
        let mut change = cx.app.change(&id).await?;
        if forward {
            which.set(cx, &mut change).await?;
        } else {
            which.put_back(cx, &mut change).await?;
        }
        if let Some(committed) = change.commit().await? {
            return Ok(committed.revision);
        }
        tries.again()?;
    }
}

/// The instance is RUNNING.
async fn end<A: Alteration>(
    which: &A,
    cx: &Context<'_>,
    failure: Option<String>,
) -> Result<(), StepError> {
    let id = instance_of(cx.job)?;
    let mut tries = Tries::default();
    loop {
        let mut change = cx.app.change(&id).await?;
        change.instance.status = InstanceStatus::Running;
        change.instance.error = None;
        which.end(cx, &mut change, failure.clone()).await?;
        if change.commit().await?.is_some() {
            return Ok(());
        }
        tries.again()?;
    }
}
