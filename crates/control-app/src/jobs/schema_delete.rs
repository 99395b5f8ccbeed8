//! Deletes a schema: nodes stop serving it, its databases go if asked, the instance's accounts go
//! from data nodes that nothing else uses, and its records last. If a data node does not answer
//! before anything was dropped, the schema serves again; afterwards it cannot, and stays as
//! CREATE_FAILED with the reason: deleting it again goes on.

use super::schema_create::change_schema;
use super::{DeleteParams, SCHEMA_DELETE, instance_of, schema_of};
use crate::app::App;
use crate::change::Tries;
use crate::data_node::DataNodeError;
use crate::error::AppError;
use async_trait::async_trait;
use base::id::InstanceId;
use control_store::records::account::AccountRecord;
use control_store::records::backup::BackupReason;
use control_store::records::schema::SchemaStatus;
use control_store::records::table::TableRecord;
use job_engine::{JobDefinition, Step, StepContext, StepError};
use serde_json::{Value, json};
use std::sync::Arc;

/// The job's steps.
pub fn definition() -> JobDefinition<Arc<App>> {
    JobDefinition {
        kind: SCHEMA_DELETE,
        steps: vec![
            Box::new(StopServing),
            Box::new(BackUp),
            Box::new(DropDatabases),
            Box::new(Accounts),
            Box::new(Forget),
        ],
    }
}

struct StopServing;
/// Metadata are backed up before anything goes.
struct BackUp;
struct DropDatabases;
struct Accounts;
struct Forget;

#[async_trait]
impl Step<Arc<App>> for StopServing {
    fn name(&self) -> &'static str {
        "stop_serving"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let id = instance_of(cx.job)?;
        // The call set the status; this waits until it is so on every node.
        let snapshot = cx.app.snapshot(&id).await?.ok_or(AppError::NoInstance)?;
        cx.app.wait_published(&id, snapshot.version).await?;
        Ok(json!({}))
    }

    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        let (id, name) = (instance_of(cx.job)?, schema_of(cx.job)?);
        if cx.app.schema_record(&id, name).await?.is_none() {
            return Ok(());
        }
        let reason = cx.job.fail_reason.clone();
        change_schema(cx.app, cx.job, |schema| {
            schema.serving = !schema.dropping;
            schema.status =
                if schema.dropping { SchemaStatus::CreateFailed } else { SchemaStatus::Running };
            schema.error = reason.clone();
        })
        .await?;
        Ok(())
    }
}

#[async_trait]
impl Step<Arc<App>> for BackUp {
    fn name(&self) -> &'static str {
        "back_up"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let id = crate::backup::id_of_occasion(&cx.job.id);
        cx.app.back_up(&id, &instance_of(cx.job)?, BackupReason::SchemaDeletion).await?;
        Ok(json!({}))
    }
}

#[async_trait]
impl Step<Arc<App>> for DropDatabases {
    fn name(&self) -> &'static str {
        "drop_databases"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let (id, name) = (instance_of(cx.job)?, schema_of(cx.job)?);
        let Some(schema) = cx.app.schema_record(&id, name).await? else { return Ok(json!({})) };
        for node in cx.app.data_nodes_of(&schema.value).await? {
            if node.value.is_bound_to(&id) {
                let login = cx.app.binding_admin(&node.value)?;
                cx.app.data_nodes.probe(&login).await.map_err(DataNodeError::from)?;
            }
        }
        // From here on there is no way back, also when only the accounts go.
        change_schema(cx.app, cx.job, |schema| schema.dropping = true).await?;
        if cx.params::<DeleteParams>()?.delete_data {
            cx.app.drop_databases(&schema.value).await?;
        }
        Ok(json!({}))
    }
}

#[async_trait]
impl Step<Arc<App>> for Accounts {
    fn name(&self) -> &'static str {
        "accounts"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let (id, name) = (instance_of(cx.job)?, schema_of(cx.job)?);
        if let Some(schema) = cx.app.schema_record(&id, name).await? {
            cx.app
                .release_accounts(&schema.value, cx.params::<DeleteParams>()?.delete_data)
                .await?;
        }
        Ok(json!({}))
    }
}

#[async_trait]
impl Step<Arc<App>> for Forget {
    fn name(&self) -> &'static str {
        "forget"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        cx.app.forget_schema(&instance_of(cx.job)?, schema_of(cx.job)?).await?;
        Ok(json!({}))
    }
}

impl App {
    async fn forget_schema(&self, id: &InstanceId, name: &str) -> Result<(), AppError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change(id).await?;
            let Some(schema) = self.schema_record(id, name).await? else { return Ok(()) };
            for node in self.unshared_data_nodes(&schema.value).await? {
                change.update(&node, &node.value.released());
            }
            for table in self.list::<TableRecord>(&TableRecord::prefix_of(id, name)).await? {
                change.delete(&table);
            }
            for account in self.accounts(id).await? {
                let name = &schema.value.name;
                if account.value.schemas.contains(name) || account.value.tables.contains_key(name) {
                    let mut record: AccountRecord = account.value.clone();
                    record.schemas.remove(name);
                    record.tables.remove(name);
                    change.update(&account, &record);
                }
            }
            change.delete(&schema);
            if change.commit().await?.is_some() {
                return Ok(());
            }
            tries.again()?;
        }
    }
}
