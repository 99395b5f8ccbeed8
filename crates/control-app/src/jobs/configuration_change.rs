//! Changes an instance's parameters; a template's history says how its application ended.

use super::alter::{self, Alteration};
use super::{CONFIGURATION_CHANGE, ConfigurationParams};
use crate::app::App;
use crate::change::Change;
use async_trait::async_trait;
use control_store::records::configuration::ApplicationResult;
use control_store::records::instance::InstanceStatus;
use job_engine::{JobDefinition, StepContext, StepError};
use std::sync::Arc;

/// The job's steps.
pub fn definition() -> JobDefinition<Arc<App>> {
    alter::definition(CONFIGURATION_CHANGE, Parameters)
}

#[derive(Clone, Copy)]
struct Parameters;

#[async_trait]
impl Alteration for Parameters {
    const STATUS: InstanceStatus = InstanceStatus::SetConfiguration;

    async fn set(
        &self,
        cx: &StepContext<'_, Arc<App>>,
        change: &mut Change<'_>,
    ) -> Result<(), StepError> {
        cx.params::<ConfigurationParams>()?.after.put_into(&mut change.instance);
        Ok(())
    }

    async fn put_back(
        &self,
        cx: &StepContext<'_, Arc<App>>,
        change: &mut Change<'_>,
    ) -> Result<(), StepError> {
        cx.params::<ConfigurationParams>()?.before.put_into(&mut change.instance);
        Ok(())
    }

    async fn end(
        &self,
        cx: &StepContext<'_, Arc<App>>,
        change: &mut Change<'_>,
        failure: Option<String>,
    ) -> Result<(), StepError> {
        let Some(application) = cx.params::<ConfigurationParams>()?.application else {
            return Ok(());
        };
        let result = match failure {
            None => ApplicationResult::Success,
            Some(_) => ApplicationResult::Failed,
        };
        Ok(cx.app.note_result(change, &application, result, failure).await?)
    }
}
