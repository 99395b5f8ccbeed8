//! Makes an instance serve the schemas of a document. An import makes databases, tables and positions
//! of sequences on new data nodes; a restore finds them there, and only lets the sequences go on after
//! the largest value. When it fails the instance is as it was before: what was made is gone, what
//! was there is untouched.

use super::metadata_tables as tables;
use super::{METADATA_IMPORT, METADATA_RESTORE, MetadataParams, instance_of};
use crate::app::App;
use crate::change::Tries;
use crate::data_node::DataNodeError;
use crate::error::AppError;
use crate::metadata::document::Document;
use async_trait::async_trait;
use base::id::{DataNodeId, InstanceId};
use control_store::record::Versioned;
use control_store::records::account::AccountRecord;
use control_store::records::backup::MetadataDocumentRecord;
use control_store::records::data_node::DataNodeRecord;
use control_store::records::instance::InstanceStatus;
use control_store::records::schema::{SchemaRecord, SchemaStatus};
use control_store::records::table::TableRecord;
use job_engine::{JobDefinition, Step, StepContext, StepError};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The steps of an import.
pub fn import_definition() -> JobDefinition<Arc<App>> {
    definition(METADATA_IMPORT)
}

/// The steps of a restore.
pub fn restore_definition() -> JobDefinition<Arc<App>> {
    definition(METADATA_RESTORE)
}

fn definition(kind: &'static str) -> JobDefinition<Arc<App>> {
    JobDefinition {
        kind,
        steps: vec![
            Box::new(Begin),
            Box::new(Accounts),
            Box::new(Databases),
            Box::new(Tables),
            Box::new(Publish),
            Box::new(Finish),
        ],
    }
}

struct Begin;
struct Accounts;
struct Databases;
struct Tables;
struct Publish;
struct Finish;

fn is_import(cx: &StepContext<'_, Arc<App>>) -> bool {
    cx.job.kind == METADATA_IMPORT
}

#[async_trait]
impl Step<Arc<App>> for Begin {
    fn name(&self) -> &'static str {
        "begin"
    }

    async fn run(&self, _cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        Ok(json!({}))
    }

    /// The schemas are forgotten, and data nodes that no other schema uses are free again.
    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        let (id, params) = (instance_of(cx.job)?, cx.params::<MetadataParams>()?);
        for name in &params.schemas {
            cx.app.forget_tables(&id, name).await?;
        }
        Ok(cx.app.forget_applied(&id, &params).await?)
    }
}

#[async_trait]
impl Step<Arc<App>> for Accounts {
    fn name(&self) -> &'static str {
        "accounts"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let _guard = cx.app.data_node_accounts.lock().await;
        for schema in applied(cx).await? {
            for node in cx.app.data_nodes_of(&schema.value).await? {
                cx.app.ensure_data_node_account(&node.value, &schema.value.name).await?;
            }
        }
        Ok(json!({}))
    }

    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        let (id, schemas) = (instance_of(cx.job)?, applied(cx).await?);
        let _guard = cx.app.data_node_accounts.lock().await;
        let own = cx.app.own_data_nodes(&id, &schemas).await?;
        for node in &own {
            // A restore finds the helper database with what transactions left in it.
            cx.app.drop_data_node_account(&node.value, is_import(cx)).await?;
        }
        for schema in &schemas {
            for node in cx.app.data_nodes_of(&schema.value).await? {
                let stays = own.iter().all(|other| other.value.id != node.value.id);
                if stays && node.value.is_bound_to(&id) {
                    cx.app.revoke_schema(&node.value, &schema.value.name).await?;
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Step<Arc<App>> for Databases {
    fn name(&self) -> &'static str {
        "databases"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        for schema in applied(cx).await? {
            if is_import(cx) {
                cx.app.make_databases(&schema.value).await?;
            } else {
                require_databases(cx.app, &schema.value).await?;
            }
        }
        Ok(json!({}))
    }

    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        if is_import(cx) {
            for schema in applied(cx).await? {
                cx.app.drop_databases(&schema.value).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Step<Arc<App>> for Tables {
    fn name(&self) -> &'static str {
        "tables"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let id = instance_of(cx.job)?;
        for schema in document(cx).await?.schemas {
            if is_import(cx) {
                tables::make(cx.app, &schema).await?;
            }
            tables::set_sequences(cx.app, &schema, !is_import(cx)).await?;
            let records = tables::read_definitions(cx.app, &id, &schema).await?;
            cx.app.store_tables(&id, &schema.name, records).await?;
        }
        Ok(json!({}))
    }
}

#[async_trait]
impl Step<Arc<App>> for Publish {
    fn name(&self) -> &'static str {
        "publish"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let id = instance_of(cx.job)?;
        let links = if is_import(cx) { None } else { Some(document(cx).await?) };
        let version = set_serving(cx, links.as_ref(), true).await?;
        cx.app.wait_published(&id, version).await?;
        Ok(json!({ "version": version }))
    }

    async fn undo(&self, cx: &StepContext<'_, Arc<App>>) -> Result<(), StepError> {
        set_serving(cx, None, false).await.map(|_| ())
    }
}

#[async_trait]
impl Step<Arc<App>> for Finish {
    fn name(&self) -> &'static str {
        "finish"
    }

    async fn run(&self, cx: &StepContext<'_, Arc<App>>) -> Result<Value, StepError> {
        let (id, params) = (instance_of(cx.job)?, cx.params::<MetadataParams>()?);
        let mut tries = Tries::default();
        loop {
            let mut change = cx.app.change(&id).await?;
            for schema in applied(cx).await? {
                let running = SchemaRecord {
                    status: SchemaStatus::Running,
                    error: None,
                    ..schema.value.clone()
                };
                change.update(&schema, &running);
            }
            if let Some(document) = cx.app.document_record(&params.document).await? {
                change.delete(&document);
            }
            change.instance.status = InstanceStatus::Running;
            if change.commit().await?.is_some() {
                return Ok(json!({}));
            }
            tries.again()?;
        }
    }
}

/// The job's schemas, as far as they are recorded.
async fn applied(
    cx: &StepContext<'_, Arc<App>>,
) -> Result<Vec<Versioned<SchemaRecord>>, StepError> {
    let (id, params) = (instance_of(cx.job)?, cx.params::<MetadataParams>()?);
    let mut schemas = Vec::with_capacity(params.schemas.len());
    for name in &params.schemas {
        schemas.extend(cx.app.schema_record(&id, name).await?);
    }
    Ok(schemas)
}

async fn document(cx: &StepContext<'_, Arc<App>>) -> Result<Document, StepError> {
    let params = cx.params::<MetadataParams>()?;
    let kept = cx.app.document_record(&params.document).await?;
    let kept = kept.ok_or_else(|| StepError::permanent("the document is gone"))?;
    let parsed = crate::metadata::export::parsed(kept.value.compressed).await;
    parsed.map_err(|error| StepError::permanent(error.message(base::api_error::Language::English)))
}

/// Lets nodes use the schemas, or not; with `links` also lets the accounts that saw them see them.
async fn set_serving(
    cx: &StepContext<'_, Arc<App>>,
    links: Option<&Document>,
    serving: bool,
) -> Result<control_store::Revision, StepError> {
    let id = instance_of(cx.job)?;
    let mut tries = Tries::default();
    loop {
        let mut change = cx.app.change(&id).await?;
        for schema in applied(cx).await? {
            change.update(&schema, &SchemaRecord { serving, ..schema.value.clone() });
        }
        for account in cx.app.accounts(&id).await?.iter().filter(|_| links.is_some()) {
            let mut record = account.value.clone();
            let schemas = links.iter().flat_map(|document| &document.schemas);
            let seen = schemas.filter(|schema| schema.accounts.contains(&record.name));
            record.schemas.extend(seen.map(|schema| schema.name.clone()).collect::<Vec<_>>());
            if record.schemas != account.value.schemas {
                change.update(account, &record);
            }
        }
        if let Some(committed) = change.commit().await? {
            return Ok(committed.revision);
        }
        tries.again()?;
    }
}

async fn require_databases(app: &App, schema: &SchemaRecord) -> Result<(), StepError> {
    for node in app.data_nodes_of(schema).await? {
        let login = app.binding_admin(&node.value)?;
        let held = app.data_nodes.list_databases(&login, "").await.map_err(DataNodeError::from)?;
        let of_node = schema.shards.iter().filter(|shard| shard.data_node == node.value.id);
        if let Some(gone) = of_node.into_iter().find(|shard| !held.contains(&shard.database)) {
            let text = format!("{} is not on {}", gone.database, node.value.name);
            return Err(StepError::permanent(text));
        }
    }
    Ok(())
}

impl App {
    async fn document_record(
        &self,
        id: &str,
    ) -> Result<Option<Versioned<MetadataDocumentRecord>>, AppError> {
        self.get(&MetadataDocumentRecord::key_of(id)).await
    }

    /// The data nodes that only these schemas of the instance use.
    async fn own_data_nodes(
        &self,
        id: &InstanceId,
        schemas: &[Versioned<SchemaRecord>],
    ) -> Result<Vec<Versioned<DataNodeRecord>>, AppError> {
        let names: BTreeSet<&str> = schemas.iter().map(|one| one.value.name.as_str()).collect();
        let used: BTreeSet<&DataNodeId> =
            schemas.iter().flat_map(|schema| schema.value.data_nodes()).collect();
        let others = self.schemas(id).await?;
        let others: BTreeSet<&DataNodeId> = others
            .iter()
            .map(|other| &other.value)
            .filter(|other| !names.contains(other.name.as_str()))
            .filter(|other| other.status != SchemaStatus::CreateFailed || other.dropping)
            .flat_map(SchemaRecord::data_nodes)
            .collect();
        let own = |node: &Versioned<DataNodeRecord>| {
            let node = &node.value;
            node.is_bound_to(id) && used.contains(&node.id) && !others.contains(&node.id)
        };
        Ok(self.all_data_nodes().await?.into_iter().filter(own).collect())
    }

    async fn make_databases(&self, schema: &SchemaRecord) -> Result<(), DataNodeError> {
        for node in self.data_nodes_of(schema).await? {
            let login = self.binding_admin(&node.value)?;
            for shard in schema.shards.iter().filter(|shard| shard.data_node == node.value.id) {
                let (set, collation) = (&schema.character_set, &schema.collation);
                self.data_nodes.create_database(&login, &shard.database, set, collation).await?;
            }
        }
        Ok(())
    }

    async fn store_tables(
        &self,
        id: &InstanceId,
        schema: &str,
        records: Vec<TableRecord>,
    ) -> Result<(), AppError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change(id).await?;
            let present: Vec<Versioned<TableRecord>> =
                self.list(&TableRecord::prefix_of(id, schema)).await?;
            for record in &records {
                let name = record.table.name.to_lowercase();
                let is_it =
                    |one: &&Versioned<TableRecord>| one.value.table.name.to_lowercase() == name;
                match present.iter().find(is_it) {
                    Some(before) => change.update(before, record),
                    None => change.create(record),
                }
            }
            if change.commit().await?.is_some() {
                return Ok(());
            }
            tries.again()?;
        }
    }

    async fn forget_tables(&self, id: &InstanceId, schema: &str) -> Result<(), AppError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change(id).await?;
            let tables: Vec<Versioned<TableRecord>> =
                self.list(&TableRecord::prefix_of(id, schema)).await?;
            for table in &tables {
                change.delete(table);
            }
            if tables.is_empty() || change.commit().await?.is_some() {
                return Ok(());
            }
            tries.again()?;
        }
    }

    /// The instance runs without the job's schemas, as before.
    async fn forget_applied(
        &self,
        id: &InstanceId,
        params: &MetadataParams,
    ) -> Result<(), AppError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change(id).await?;
            let mut schemas = Vec::new();
            for name in &params.schemas {
                schemas.extend(self.schema_record(id, name).await?);
            }
            for node in self.own_data_nodes(id, &schemas).await? {
                change.update(&node, &node.value.released());
            }
            for schema in &schemas {
                change.delete(schema);
            }
            let names: BTreeSet<&String> =
                schemas.iter().map(|schema| &schema.value.name).collect();
            for account in self.accounts(id).await? {
                let mut record: AccountRecord = account.value.clone();
                record.schemas.retain(|schema| !names.contains(schema));
                record.tables.retain(|schema, _| !names.contains(schema));
                if record != account.value {
                    change.update(&account, &record);
                }
            }
            if let Some(document) = self.document_record(&params.document).await? {
                change.delete(&document);
            }
            change.instance.status = InstanceStatus::Running;
            if change.commit().await?.is_some() {
                return Ok(());
            }
            tries.again()?;
        }
    }
}
