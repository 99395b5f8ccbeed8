//! Sets the password of an account, or makes the administrator: done when every node that lives
//! checks the new one. What it writes is sealed, as the accounts' records are.

use super::alter::{self, Alteration};
use super::{ACCOUNT_PASSWORD, PasswordParams};
use crate::app::App;
use crate::change::Change;
use crate::error::AppError;
use async_trait::async_trait;
use control_store::record::{Record, Versioned};
use control_store::records::account::AccountRecord;
use control_store::records::instance::InstanceStatus;
use job_engine::{JobDefinition, StepContext, StepError};
use std::sync::Arc;

/// The job's steps.
pub fn definition() -> JobDefinition<Arc<App>> {
    alter::definition(ACCOUNT_PASSWORD, Password)
}

#[derive(Clone, Copy)]
struct Password;

#[async_trait]
impl Alteration for Password {
    const STATUS: InstanceStatus = InstanceStatus::ResetPassword;

    async fn set(
        &self,
        cx: &StepContext<'_, Arc<App>>,
        change: &mut Change<'_>,
    ) -> Result<(), StepError> {
        let params: PasswordParams = cx.params()?;
        Ok(write(cx.app, change, &params.after.key(), Some(&params.after)).await?)
    }

    async fn put_back(
        &self,
        cx: &StepContext<'_, Arc<App>>,
        change: &mut Change<'_>,
    ) -> Result<(), StepError> {
        let params: PasswordParams = cx.params()?;
        Ok(write(cx.app, change, &params.after.key(), params.before.as_ref()).await?)
    }
}

/// The account of this key is to be so, or not to be.
async fn write(
    app: &App,
    change: &mut Change<'_>,
    key: &str,
    wanted: Option<&AccountRecord>,
) -> Result<(), AppError> {
    let present: Option<Versioned<AccountRecord>> = app.get(key).await?;
    match (&present, wanted) {
        (Some(present), Some(wanted)) => change.update(present, wanted),
        (Some(present), None) => change.delete(present),
        (None, Some(wanted)) => change.create(wanted),
        (None, None) => {}
    }
    Ok(())
}
