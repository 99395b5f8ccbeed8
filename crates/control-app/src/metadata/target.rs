//! What an import and a restore have in common: the document with the data nodes that take the old
//! ones' places, and the one transaction that writes the schemas' records, the use of the data nodes
//! and the job.

use super::document::{Document, DocumentDataNode, DocumentSchema};
use crate::app::App;
use crate::change::Change;
use crate::instance::require_running;
use crate::jobs::{MetadataParams, instance_lock};
use crate::time::now_ms;
use base::api_error::ApiError;
use base::id::{DataNodeId, hex, random_bytes};
use control_store::record::Versioned;
use control_store::records::backup::MetadataDocumentRecord;
use control_store::records::data_node::{BindingRecord, DataNodeRecord};
use control_store::records::instance::InstanceStatus;
use control_store::records::schema::{SchemaRecord, SchemaStatus};
use std::collections::BTreeMap;
use topology::model::Shard;

/// What a job is to make of a document.
#[derive(Debug)]
pub(super) struct Work<'a> {
    /// The kind of job.
    pub kind: &'static str,
    /// The document, on its new data nodes.
    pub document: &'a Document,
    /// The same, packed.
    pub compressed: &'a str,
}

/// The document with each data node replaced.
pub(super) fn moved(
    document: &Document,
    places: &BTreeMap<DataNodeId, DataNodeId>,
    nodes: &[Versioned<DataNodeRecord>],
) -> Document {
    let new = |id: &DataNodeId| places.get(id).unwrap_or(id).clone();
    let schemas = document.schemas.iter().map(|schema| DocumentSchema {
        shards: schema
            .shards
            .iter()
            .map(|shard| Shard { data_node: new(&shard.data_node), ..shard.clone() })
            .collect(),
        ..schema.clone()
    });
    let schemas: Vec<DocumentSchema> = schemas.collect();
    let used = nodes.iter().map(|node| &node.value).filter(|node| {
        schemas.iter().flat_map(|schema| &schema.shards).any(|shard| shard.data_node == node.id)
    });
    // The weights are those of the data node whose place it takes.
    let data_nodes = used.map(|node| {
        let before = document.data_nodes.iter().find(|before| new(&before.id) == node.id);
        DocumentDataNode {
            id: node.id.clone(),
            name: node.name.clone(),
            engine_version: node.server_version.clone(),
            read_weight: before.and_then(|before| before.read_weight),
            replica_weights: before.map_or_else(Vec::new, |one| one.replica_weights.clone()),
        }
    });
    Document { data_nodes: data_nodes.collect(), schemas, ..document.clone() }
}

impl App {
    /// Puts schemas, data nodes and the job into a change of the target instance.
    pub(super) async fn add_metadata_job(
        &self,
        change: &mut Change<'_>,
        work: &Work<'_>,
        bindings: Vec<(Versioned<DataNodeRecord>, BindingRecord)>,
    ) -> Result<(), ApiError> {
        require_running(&change.instance)?;
        self.require_idle_schemas(change).await?;
        let id = change.instance.id.clone();
        for (node, binding) in bindings {
            let mut bound = DataNodeRecord { binding: Some(binding), ..node.value.clone() };
            let place = work.document.data_nodes.iter().find(|place| place.id == bound.id);
            // One that the instance uses already goes on as it is.
            if let Some(place) = place.filter(|_| node.value.binding.is_none()) {
                place.put_weights(&mut bound);
            }
            change.update(&node, &bound);
        }
        let now = now_ms();
        for schema in &work.document.schemas {
            let record = SchemaRecord {
                instance_id: id.clone(),
                name: schema.name.clone(),
                mode: schema.mode,
                status: SchemaStatus::Creating,
                error: None,
                serving: false,
                dropping: false,
                created_ms: now,
                updated_ms: now,
                character_set: schema.character_set.clone(),
                collation: schema.collation.clone(),
                shards: schema.shards.clone(),
            };
            match self.replaceable(&id, &schema.name).await? {
                Some(before) => change.update(&before, &record),
                None => change.create(&record),
            }
        }
        let document = MetadataDocumentRecord {
            id: hex(&random_bytes::<16>()),
            compressed: work.compressed.to_owned(),
        };
        change.create(&document);
        let params = MetadataParams {
            document: document.id,
            schemas: work.document.schemas.iter().map(|schema| schema.name.clone()).collect(),
        };
        let params = serde_json::to_value(params).expect("parameters are plain data");
        change.instance.status = InstanceStatus::Restore;
        change.instance.error = None;
        Ok(change.start_job(work.kind, instance_lock(&id), None, params)?)
    }
}
