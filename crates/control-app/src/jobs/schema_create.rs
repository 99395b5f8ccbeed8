//! Makes a schema: the instance's account on each data node, the physical databases, the snapshot
//! that nodes serve, and RUNNING once they do. When it fails nothing of it is left on any data node,
//! and the schema stays as CREATE_FAILED with the reason until it is deleted or made again.

use super::{SCHEMA_CREATE, instance_of, schema_of};
use crate::app::App;
use crate::change::Tries;
use crate::error::AppError;
use crate::time::now_ms;
use async_trait::async_trait;
use base::id::{DataNodeId, InstanceId};
use control_store::Revision;
use control_store::record::Versioned;
use control_store::records::data_node::DataNodeRecord;
use control_store::records::schema::{SchemaRecord, SchemaStatus};
use futures::stream::{self, StreamExt};
use job_engine::{JobDefinition, JobRow, Step, StepContext, StepError};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Data nodes on which databases are made at the same time.
const DATA_NODES_AT_ONCE_MAX: usize = 16;

/// The job's steps.
pub fn definition() -> JobDefinition<Arc<App>> {
    JobDefinition {
        kind: SCHEMA_CREATE,
        steps: vec![
            Box::new(Begin),
            Box::new(Accounts),
            Box::new(Databases),
            Box::new(Publish),
            Box::new(Finish),
        ],
    }
}

struct Begin;
struct Accounts;
struct Databases;
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

    /// The schema has failed, and data nodes that no other schema uses are free again.
    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        let (id, name) = (instance_of(cx.job)?, schema_of(cx.job)?);
        let mut tries = Tries::default();
        loop {
            let mut change = cx.app.change(&id).await?;
            let Some(before) = cx.app.schema_record(&id, name).await? else { return Ok(()) };
            for node in cx.app.unshared_data_nodes(&before.value).await? {
                change.update(&node, &node.value.released());
            }
            let failed = SchemaRecord {
                status: SchemaStatus::CreateFailed,
                error: cx.job.fail_reason.clone(),
                serving: false,
                updated_ms: now_ms(),
                ..before.value.clone()
            };
            change.update(&before, &failed);
            if change.commit().await?.is_some() {
                return Ok(());
            }
            tries.again()?;
        }
    }
}

#[async_trait]
impl Step<Arc<App>> for Accounts {
    fn name(&self) -> &'static str {
        "accounts"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let schema = required_schema(cx).await?;
        let _guard = cx.app.data_node_accounts.lock().await;
        for node in cx.app.data_nodes_of(&schema).await? {
            cx.app.ensure_data_node_account(&node.value, &schema.name).await?;
        }
        Ok(json!({}))
    }

    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        let (id, name) = (instance_of(cx.job)?, schema_of(cx.job)?);
        let Some(schema) = cx.app.schema_record(&id, name).await? else { return Ok(()) };
        Ok(cx.app.release_accounts(&schema.value, true).await?)
    }
}

#[async_trait]
impl Step<Arc<App>> for Databases {
    fn name(&self) -> &'static str {
        "databases"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let schema = required_schema(cx).await?;
        let nodes = cx.app.data_nodes_of(&schema).await?;
        let mut each = Vec::with_capacity(nodes.len());
        for node in &nodes {
            each.push(cx.app.create_databases(&schema, &node.value));
        }
        // All are let end, also after a failure: an undo must not run beside them.
        let done: Vec<Result<(), crate::data_node::DataNodeError>> =
            stream::iter(each).buffer_unordered(DATA_NODES_AT_ONCE_MAX).collect().await;
        done.into_iter().collect::<Result<(), _>>()?;
        Ok(json!({}))
    }

    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        let (id, name) = (instance_of(cx.job)?, schema_of(cx.job)?);
        let Some(schema) = cx.app.schema_record(&id, name).await? else { return Ok(()) };
        Ok(cx.app.drop_databases(&schema.value).await?)
    }
}

#[async_trait]
impl Step<Arc<App>> for Publish {
    fn name(&self) -> &'static str {
        "publish"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let version = set_serving(cx.app, cx.job, true).await?;
        cx.app.wait_published(&instance_of(cx.job)?, version).await?;
        Ok(json!({ "version": version }))
    }

    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        set_serving(cx.app, cx.job, false).await.map(|_| ())
    }
}

#[async_trait]
impl Step<Arc<App>> for Finish {
    fn name(&self) -> &'static str {
        "finish"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        change_schema(cx.app, cx.job, |schema| {
            schema.status = SchemaStatus::Running;
            schema.error = None;
        })
        .await?;
        Ok(json!({}))
    }
}

async fn required_schema(cx: &StepContext<'_, Arc<App>>) -> Result<SchemaRecord, StepError> {
    let (id, name) = (instance_of(cx.job)?, schema_of(cx.job)?);
    let schema = cx.app.schema_record(&id, name).await?;
    Ok(schema.ok_or_else(|| StepError::permanent("the schema is gone"))?.value)
}

async fn set_serving(app: &App, job: &JobRow, serving: bool) -> Result<Revision, StepError> {
    change_schema(app, job, |schema| schema.serving = serving).await
}

/// Changes the job's schema; gives the revision at which it is so.
pub(super) async fn change_schema(
    app: &App,
    job: &JobRow,
    edit: impl Fn(&mut SchemaRecord) + Send + Sync,
) -> Result<Revision, StepError> {
    let (id, name) = (instance_of(job)?, schema_of(job)?);
    let mut tries = Tries::default();
    loop {
        let mut change = app.change(&id).await?;
        let before = app.schema_record(&id, name).await?;
        let before = before.ok_or_else(|| StepError::permanent("the schema is gone"))?;
        let mut record = before.value.clone();
        edit(&mut record);
        record.updated_ms = now_ms();
        change.update(&before, &record);
        if let Some(committed) = change.commit().await? {
            return Ok(committed.revision);
        }
        tries.again()?;
    }
}

impl App {
    /// The schema of this name.
    pub(super) async fn schema_record(
        &self,
        id: &InstanceId,
        name: &str,
    ) -> Result<Option<Versioned<SchemaRecord>>, AppError> {
        self.get(&SchemaRecord::key_of(id, name)).await
    }

    /// Makes a schema's physical databases on one data node.
    async fn create_databases(
        &self,
        schema: &SchemaRecord,
        node: &DataNodeRecord,
    ) -> Result<(), crate::data_node::DataNodeError> {
        let login = self.binding_admin(node)?;
        for shard in schema.shards.iter().filter(|shard| shard.data_node == node.id) {
            let (set, collation) = (&schema.character_set, &schema.collation);
            self.data_nodes.create_database(&login, &shard.database, set, collation).await?;
        }
        Ok(())
    }

    /// The data nodes that hold a schema's shards.
    pub(super) async fn data_nodes_of(
        &self,
        schema: &SchemaRecord,
    ) -> Result<Vec<Versioned<DataNodeRecord>>, AppError> {
        let ids = schema.data_nodes();
        Ok(self
            .all_data_nodes()
            .await?
            .into_iter()
            .filter(|node| ids.contains(&node.value.id))
            .collect())
    }

    /// Those of them that the instance uses for no other schema. A schema that could not be made
    /// uses none, unless its databases are still being dropped.
    pub(super) async fn unshared_data_nodes(
        &self,
        schema: &SchemaRecord,
    ) -> Result<Vec<Versioned<DataNodeRecord>>, AppError> {
        let schemas = self.schemas(&schema.instance_id).await?;
        let others: BTreeSet<&DataNodeId> = schemas
            .iter()
            .map(|other| &other.value)
            .filter(|other| other.name != schema.name)
            .filter(|other| other.status != SchemaStatus::CreateFailed || other.dropping)
            .flat_map(SchemaRecord::data_nodes)
            .collect();
        let nodes = self.data_nodes_of(schema).await?;
        let own = |node: &Versioned<DataNodeRecord>| node.value.is_bound_to(&schema.instance_id);
        Ok(nodes.into_iter().filter(own).filter(|node| !others.contains(&node.value.id)).collect())
    }

    /// Takes the instance's account from the data nodes that no other schema uses, and the rights on
    /// this schema from the others.
    pub(super) async fn release_accounts(
        &self,
        schema: &SchemaRecord,
        drop_helper: bool,
    ) -> Result<(), crate::data_node::DataNodeError> {
        let _guard = self.data_node_accounts.lock().await;
        let unshared = self.unshared_data_nodes(schema).await?;
        for node in self.data_nodes_of(schema).await? {
            if unshared.iter().any(|other| other.value.id == node.value.id) {
                self.drop_data_node_account(&node.value, drop_helper).await?;
            } else if node.value.is_bound_to(&schema.instance_id) {
                self.revoke_schema(&node.value, &schema.name).await?;
            }
        }
        Ok(())
    }

    /// Drops a schema's physical databases on the data nodes that the instance uses.
    pub(super) async fn drop_databases(
        &self,
        schema: &SchemaRecord,
    ) -> Result<(), crate::data_node::DataNodeError> {
        for node in self.data_nodes_of(schema).await? {
            if !node.value.is_bound_to(&schema.instance_id) {
                continue;
            }
            let login = self.binding_admin(&node.value)?;
            for shard in schema.shards.iter().filter(|shard| shard.data_node == node.value.id) {
                self.data_nodes.drop_database(&login, &shard.database).await?;
            }
        }
        Ok(())
    }
}
