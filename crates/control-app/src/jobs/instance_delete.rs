//! Deletes an instance: its nodes, the physical databases if asked, its accounts on data nodes, and
//! at last its records. Nothing of it can be brought back, so a failure (a data node that does not
//! answer) leaves the instance in ERROR with the reason, and deleting it again goes on.

use super::{DeleteParams, INSTANCE_DELETE, instance_of};
use crate::app::App;
use crate::change::Tries;
use crate::error::AppError;
use async_trait::async_trait;
use base::id::InstanceId;
use control_store::record::Record;
use control_store::records::access_list::AccessListRecord;
use control_store::records::address::AddressRecord;
use control_store::records::backup::BackupReason;
use control_store::records::group::GroupRecord;
use control_store::records::instance::InstanceStatus;
use control_store::records::order::OrderRecord;
use control_store::records::table::TableRecord;
use job_engine::{JobDefinition, Step, StepContext, StepError};
use serde_json::{Value, json};
use std::sync::Arc;

/// The job's steps.
pub fn definition() -> JobDefinition<Arc<App>> {
    JobDefinition {
        kind: INSTANCE_DELETE,
        steps: vec![
            Box::new(Begin),
            Box::new(BackUp),
            Box::new(RemoveNodes),
            Box::new(DropDatabases),
            Box::new(DropAccounts),
            Box::new(Forget),
        ],
    }
}

struct Begin;
/// Metadata are backed up before anything goes.
struct BackUp;
struct RemoveNodes;
struct DropDatabases;
struct DropAccounts;
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
        let id = instance_of(cx.job)?;
        match cx.app.set_status(&id, InstanceStatus::Error, cx.job.fail_reason.clone()).await {
            // It is gone already.
            Err(AppError::NoInstance) => Ok(()),
            other => Ok(other?),
        }
    }
}

#[async_trait]
impl Step<Arc<App>> for BackUp {
    fn name(&self) -> &'static str {
        "back_up"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let id = crate::backup::id_of_occasion(&cx.job.id);
        cx.app.back_up(&id, &instance_of(cx.job)?, BackupReason::InstanceDeletion).await?;
        Ok(json!({}))
    }
}

#[async_trait]
impl Step<Arc<App>> for RemoveNodes {
    fn name(&self) -> &'static str {
        "remove_nodes"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let id = instance_of(cx.job)?;
        cx.app.set_should_run(&id, false).await?;
        for node in cx.app.nodes_of(&id).await? {
            cx.app.nodes.remove_node(&node.value.id).await.map_err(StepError::transient)?;
        }
        Ok(json!({}))
    }
}

#[async_trait]
impl Step<Arc<App>> for DropDatabases {
    fn name(&self) -> &'static str {
        "drop_databases"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        if cx.params::<DeleteParams>()?.delete_data {
            for schema in cx.app.schemas(&instance_of(cx.job)?).await? {
                cx.app.drop_databases(&schema.value).await?;
            }
        }
        Ok(json!({}))
    }
}

#[async_trait]
impl Step<Arc<App>> for DropAccounts {
    fn name(&self) -> &'static str {
        "drop_accounts"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let delete_data = cx.params::<DeleteParams>()?.delete_data;
        let _guard = cx.app.data_node_accounts.lock().await;
        for node in cx.app.bound_data_nodes(&instance_of(cx.job)?).await? {
            cx.app.drop_data_node_account(&node.value, delete_data).await?;
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
        let id = instance_of(cx.job)?;
        cx.app.slow_log.forget(&id).await.map_err(StepError::transient)?;
        match cx.app.forget_instance(&id).await {
            // The step is repeated: it is gone already.
            Err(AppError::NoInstance) => Ok(json!({})),
            other => Ok(other.map(|()| json!({}))?),
        }
    }
}

impl App {
    async fn forget_instance(&self, id: &InstanceId) -> Result<(), AppError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change(id).await?;
            for node in self.bound_data_nodes(id).await? {
                change.update(&node, &node.value.released());
            }
            for node in self.nodes_of(id).await? {
                change.delete(&node);
            }
            for schema in self.schemas(id).await? {
                change.delete(&schema);
            }
            for table in self.list::<TableRecord>(&TableRecord::prefix_of_instance(id)).await? {
                change.delete(&table);
            }
            for account in self.accounts(id).await? {
                change.delete(&account);
            }
            for address in self.list::<AddressRecord>(AddressRecord::PREFIX).await? {
                if address.value.instance_id == *id {
                    change.delete(&address);
                }
            }
            for group in self.list::<GroupRecord>(&GroupRecord::prefix_of(id)).await? {
                change.delete(&group);
            }
            for list in self.list::<AccessListRecord>(&AccessListRecord::prefix_of(id)).await? {
                change.delete(&list);
            }
            for order in self.list::<OrderRecord>(OrderRecord::PREFIX).await? {
                if order.value.instance_id == *id {
                    change.delete(&order);
                }
            }
            change.forget_instance();
            if change.commit().await?.is_some() {
                return Ok(());
            }
            tries.again()?;
        }
    }
}
