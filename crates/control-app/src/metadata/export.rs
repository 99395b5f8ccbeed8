//! Metadata as they are now: the records of one moment, and from the data nodes what only they know,
//! each table's CREATE statement and the positions of the sequences.

use super::create_text;
use super::document::{Document, DocumentDataNode, DocumentSchema, DocumentTable, FORMAT, VERSION};
use super::sequences::DocumentSequence;
use crate::app::App;
use crate::data_node::version_number;
use crate::error::AppError;
use crate::time::now_ms;
use base::api_error::{ApiError, DATA_NODE_CONNECT_FAILED, DATA_NODE_UNAVAILABLE, SERVER_FAILURE};
use base::id::{DataNodeId, InstanceId, ProjectId};
use control_api::metadata::{ExportMetadataResponse, ExportedDataNode};
use control_store::record::Versioned;
use control_store::records::account::AccountRecord;
use control_store::records::data_node::DataNodeRecord;
use control_store::records::instance::InstanceRecord;
use control_store::records::schema::{SchemaRecord, SchemaStatus};
use control_store::records::table::TableRecord;
use provision::{AdminError, Rows};
use std::collections::{BTreeMap, BTreeSet};

/// The table in a schema's first shard that holds the positions of its sequences, as nodes make it.
pub(crate) const SEQUENCE_TABLE: &str = "_ddm_sequence";

/// Reading the records is tried so often while they change.
const READ_TRIES_MAX: u32 = 32;

/// What metadata are collected for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be imported elsewhere: it must be whole.
    Export,
    /// To be restored where the tables are: a data node that does not answer is no obstacle.
    Backup,
}

/// Why metadata could not be collected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
    /// Our side.
    #[error(transparent)]
    App(#[from] AppError),
    /// A data node.
    #[error("data node {name}: {error}")]
    Server {
        /// Which.
        name: String,
        /// What it answered.
        error: AdminError,
    },
    /// A table whose definition cannot leave its data node.
    #[error("table {table}: {problem}")]
    Table {
        /// Which.
        table: String,
        /// Why.
        problem: String,
    },
}

impl From<CollectError> for ApiError {
    fn from(error: CollectError) -> Self {
        let text = error.to_string();
        match error {
            CollectError::App(error) => error.into(),
            CollectError::Server {
                error: AdminError::Unreachable { .. } | AdminError::Timeout { .. },
                ..
            } => ApiError::new(DATA_NODE_CONNECT_FAILED).because(text.clone(), text),
            _ => ApiError::new(DATA_NODE_UNAVAILABLE).because(text.clone(), text),
        }
    }
}

/// The records of one moment.
struct Records {
    instance: InstanceRecord,
    schemas: Vec<SchemaRecord>,
    tables: Vec<TableRecord>,
    data_nodes: BTreeMap<DataNodeId, DataNodeRecord>,
    accounts: Vec<AccountRecord>,
}

impl App {
    /// `GET /v3/{project_id}/instances/{instance_id}/schema-metadata`
    pub async fn export_metadata(
        &self,
        project: &ProjectId,
        instance_id: &str,
    ) -> Result<ExportMetadataResponse, ApiError> {
        let instance = self.instance(project, instance_id).await?.value;
        let document = self.collect_metadata(&instance.id, Purpose::Export).await?;
        let mut data_nodes = Vec::with_capacity(document.data_nodes.len());
        for node in &document.data_nodes {
            let found: Option<Versioned<DataNodeRecord>> =
                self.get(&DataNodeRecord::key_of(&node.id)).await?;
            let Some(found) = found else { continue };
            data_nodes.push(ExportedDataNode {
                instance_id: node.id.to_string(),
                instance_name: node.name.clone(),
                access_host: found.value.host,
                access_port: found.value.port,
                engine: "mysql".to_owned(),
                engine_version: version_number(&node.engine_version).to_owned(),
            });
        }
        let compressed_databases_info = compressed(document).await?;
        Ok(ExportMetadataResponse { compressed_databases_info, data_nodes })
    }

    /// The document of an instance's schemas as they are now.
    pub(crate) async fn collect_metadata(
        &self,
        id: &InstanceId,
        purpose: Purpose,
    ) -> Result<Document, CollectError> {
        let records = self.metadata_records(id, purpose).await?;
        let taken_ms = now_ms();
        let mut schemas = Vec::with_capacity(records.schemas.len());
        for schema in &records.schemas {
            let mut tables: Vec<DocumentTable> = records
                .tables
                .iter()
                .filter(|table| table.schema == schema.name)
                .map(|table| DocumentTable {
                    table: table.table.clone(),
                    create: None,
                    next_value: None,
                })
                .collect();
            let mut sequences = Vec::new();
            match self.ask_first_shard(&records, schema, &mut tables, &mut sequences).await {
                Err(error) if purpose == Purpose::Backup => {
                    tracing::warn!(schema = %schema.name, %error, "a backup goes without what the data node would tell");
                }
                other => other?,
            }
            let schema = document_schema(schema, tables, &records, purpose);
            schemas.push(DocumentSchema { sequences, ..schema });
        }
        let mut seen = BTreeSet::new();
        let used = schemas.iter().flat_map(|schema| &schema.shards).map(|shard| &shard.data_node);
        let data_nodes = used
            .filter(|id| seen.insert((*id).clone()))
            .filter_map(|id| records.data_nodes.get(id))
            .map(DocumentDataNode::of)
            .collect();
        Ok(Document {
            format: FORMAT.to_owned(),
            version: VERSION,
            instance_id: records.instance.id,
            instance_name: records.instance.name,
            taken_ms,
            data_nodes,
            schemas,
        })
    }

    async fn metadata_records(
        &self,
        id: &InstanceId,
        purpose: Purpose,
    ) -> Result<Records, AppError> {
        let key = InstanceRecord::key_of(id);
        for _ in 0..READ_TRIES_MAX {
            let instance: Versioned<InstanceRecord> =
                self.get(&key).await?.ok_or(AppError::NoInstance)?;
            let schemas = self.schemas(id).await?;
            let tables: Vec<Versioned<TableRecord>> =
                self.list(&TableRecord::prefix_of_instance(id)).await?;
            let accounts = self.accounts(id).await?;
            let data_nodes = self.all_data_nodes().await?.into_iter().map(|node| node.value);
            let data_nodes: BTreeMap<DataNodeId, DataNodeRecord> = data_nodes
                .filter(|node| node.is_bound_to(id))
                .map(|node| (node.id.clone(), node))
                .collect();
            // Whoever changes any of them writes the instance too: unchanged, it vouches for all.
            let after: Option<Versioned<InstanceRecord>> = self.get(&key).await?;
            if after.is_none_or(|after| after.mod_revision != instance.mod_revision) {
                continue;
            }
            let is_there = |schema: &SchemaRecord| {
                let bound = schema.data_nodes().iter().all(|id| data_nodes.contains_key(*id));
                let going = schema.status == SchemaStatus::Deleting && !schema.dropping;
                bound
                    && (schema.status == SchemaStatus::Running
                        || (going && purpose == Purpose::Backup))
            };
            let schemas = schemas.into_iter().map(|schema| schema.value).filter(is_there);
            return Ok(Records {
                instance: instance.value,
                schemas: schemas.collect(),
                // A view is made anew from its query, which no metadata file holds; what was dropped
                // is not taken along.
                tables: tables
                    .into_iter()
                    .map(|table| table.value)
                    .filter(|table| table.table.view.is_none() && table.table.recycled.is_none())
                    .collect(),
                accounts: accounts.into_iter().map(|account| account.value).collect(),
                data_nodes,
            });
        }
        Err(AppError::Contended(READ_TRIES_MAX))
    }

    /// Adds CREATE statements and positions of sequences: every table has its first physical table
    /// in the schema's first shard, and the sequences are there too.
    async fn ask_first_shard(
        &self,
        records: &Records,
        schema: &SchemaRecord,
        tables: &mut [DocumentTable],
        named: &mut Vec<DocumentSequence>,
    ) -> Result<(), CollectError> {
        let Some(shard) = schema.shards.first() else { return Ok(()) };
        let Some(node) = records.data_nodes.get(&shard.data_node) else { return Ok(()) };
        let login = self.own_login(node)?;
        let failed = |error| CollectError::Server { name: node.name.clone(), error };
        *named = self.sequences_of(&login, shard).await.map_err(failed)?;
        if tables.is_empty() {
            return Ok(());
        }
        let sequences = format!("SELECT name, next FROM `{}`.`{SEQUENCE_TABLE}`", shard.database);
        let statements: Vec<String> = [sequences]
            .into_iter()
            .chain(tables.iter().map(|one| {
                let physical = one.table.physical_name(0).replace('`', "``");
                format!("SHOW CREATE TABLE `{}`.`{physical}`", shard.database)
            }))
            .collect();
        let mut answers =
            self.data_nodes.query_all(&login, &statements).await.map_err(failed)?.into_iter();
        // Without a sequence so far there is no such table.
        let positions = answers.next().and_then(Result::ok).unwrap_or_default();
        for (one, answer) in tables.iter_mut().zip(answers) {
            let rows = answer.map_err(failed)?;
            let create = rows.get(0, "Create Table").unwrap_or_default();
            create_text::definition(create).map_err(|problem| CollectError::Table {
                table: format!("{}.{}", schema.name, one.table.name),
                problem,
            })?;
            one.create = Some(create.to_owned());
            if one.table.sequence_column.is_some() {
                one.next_value = position(&positions, &one.table.name);
            }
        }
        Ok(())
    }
}

fn position(rows: &Rows, table: &str) -> Option<u64> {
    let name = table.to_lowercase();
    let row = (0..rows.rows.len()).find(|row| rows.get(*row, "name") == Some(name.as_str()))?;
    rows.get(row, "next")?.parse().ok()
}

fn document_schema(
    schema: &SchemaRecord,
    tables: Vec<DocumentTable>,
    records: &Records,
    purpose: Purpose,
) -> DocumentSchema {
    let sees = |account: &&AccountRecord| {
        purpose == Purpose::Backup && account.schemas.contains(&schema.name)
    };
    DocumentSchema {
        name: schema.name.clone(),
        mode: schema.mode,
        character_set: schema.character_set.clone(),
        collation: schema.collation.clone(),
        created_ms: schema.created_ms,
        shards: schema.shards.clone(),
        tables,
        sequences: Vec::new(),
        accounts: records.accounts.iter().filter(sees).map(|one| one.name.clone()).collect(),
    }
}

/// Packing takes a while for a large document, so it is done beside the runtime.
pub(crate) async fn compressed(document: Document) -> Result<String, ApiError> {
    let packed = tokio::task::spawn_blocking(move || document.compress()).await;
    match packed {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => {
            tracing::error!(%error, "metadata cannot be packed");
            Err(ApiError::new(SERVER_FAILURE))
        }
        Err(error) => {
            tracing::error!(%error, "packing metadata ended early");
            Err(ApiError::new(SERVER_FAILURE))
        }
    }
}

/// Likewise the other way.
pub(crate) async fn parsed(text: String) -> Result<Document, ApiError> {
    let parsed = tokio::task::spawn_blocking(move || Document::parse(&text)).await;
    parsed.unwrap_or_else(|error| {
        tracing::error!(%error, "unpacking metadata ended early");
        Err(ApiError::new(SERVER_FAILURE))
    })
}
