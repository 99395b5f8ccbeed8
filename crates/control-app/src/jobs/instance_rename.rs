//! Gives an instance another name, which its nodes know, too.

use super::alter::{self, Alteration};
use super::{INSTANCE_RENAME, RenameParams};
use crate::app::App;
use crate::change::Change;
use async_trait::async_trait;
use control_store::records::instance::InstanceStatus;
use job_engine::{JobDefinition, StepContext, StepError};
use std::sync::Arc;

/// The job's steps.
pub fn definition() -> JobDefinition<Arc<App>> {
    alter::definition(INSTANCE_RENAME, Name)
}

#[derive(Clone, Copy)]
struct Name;

#[async_trait]
impl Alteration for Name {
    const STATUS: InstanceStatus = InstanceStatus::ModifyName;

    async fn set(
        &self,
        cx: &StepContext<'_, Arc<App>>,
        change: &mut Change<'_>,
    ) -> Result<(), StepError> {
        change.instance.name = cx.params::<RenameParams>()?.after;
        Ok(())
    }

    async fn put_back(
        &self,
        cx: &StepContext<'_, Arc<App>>,
        change: &mut Change<'_>,
    ) -> Result<(), StepError> {
        change.instance.name = cx.params::<RenameParams>()?.before;
        Ok(())
    }
}
