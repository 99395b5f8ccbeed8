//! Deletes a backup. While it lasts the backup is `deleted` and cannot be restored; when it fails the
//! backup is as it was.

use super::{BACKUP_DELETE, BackupParams};
use crate::app::App;
use crate::error::AppError;
use async_trait::async_trait;
use control_store::record::Versioned;
use control_store::records::backup::BackupRecord;
use control_store::typed;
use job_engine::{JobDefinition, Step, StepContext, StepError};
use serde_json::{Value, json};
use std::sync::Arc;

/// The job's steps.
pub fn definition() -> JobDefinition<Arc<App>> {
    JobDefinition { kind: BACKUP_DELETE, steps: vec![Box::new(Begin), Box::new(Forget)] }
}

struct Begin;
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
        let params = cx.params::<BackupParams>()?;
        let key = BackupRecord::key_of(&params.backup);
        let Some(before) = cx.app.get::<BackupRecord>(&key).await? else { return Ok(()) };
        let Versioned { value, .. } = &before;
        let restored = BackupRecord { status: params.status, ..value.clone() };
        // The job's lock keeps others away.
        let done = cx.app.store.txn(vec![before.unchanged()], vec![typed::put(&restored)]).await;
        done.map(|_| ()).map_err(|error| AppError::from(error).into())
    }
}

#[async_trait]
impl Step<Arc<App>> for Forget {
    fn name(&self) -> &'static str {
        "forget"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        cx.app.forget_backup(&cx.params::<BackupParams>()?.backup).await?;
        Ok(json!({}))
    }
}
