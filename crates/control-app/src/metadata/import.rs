//! Import: schemas that were exported elsewhere come to be on other data nodes, with the same shards
//! and rules. Everything that can be wrong is found before anything is made.

use super::document::Document;
use super::export::{compressed, parsed};
use super::target::{Work, moved};
use crate::app::App;
use crate::change::Tries;
use crate::instance::require_running;
use crate::jobs::METADATA_IMPORT;
use base::api_error::{ApiError, DATA_NODE_COUNT_INVALID};
use base::id::{DataNodeId, InstanceId, ProjectId};
use control_api::metadata::{Import, ImportMetadataResponse};
use control_store::record::Versioned;
use control_store::records::data_node::DataNodeRecord;
use futures::future::try_join_all;
use provision::AdminLogin;
use std::collections::{BTreeMap, BTreeSet};

impl App {
    /// `POST /v3/{project_id}/instances/{instance_id}/schema-metadata`
    pub async fn import_metadata(
        &self,
        project: &ProjectId,
        instance_id: &str,
        import: Import,
    ) -> Result<ImportMetadataResponse, ApiError> {
        let instance = self.instance(project, instance_id).await?.value;
        require_running(&instance)?;
        let document = parsed(import.compressed.clone()).await?;
        check_importable(&document, import.data_nodes.len())?;
        let nodes = self.wanted_data_nodes(&instance.id, &import.data_nodes).await?;
        let places: BTreeMap<DataNodeId, DataNodeId> = document
            .data_nodes
            .iter()
            .zip(&import.data_nodes)
            .map(|(old, new)| (old.id.clone(), new.id.clone()))
            .collect();
        let document = moved(&document, &places, &nodes);
        self.check_schemas_new(&instance.id, &document).await?;
        self.check_import_servers(&document, &nodes, &import).await?;
        let packed = compressed(document.clone()).await?;
        let work = Work { kind: METADATA_IMPORT, document: &document, compressed: &packed };
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, instance_id).await?;
            let id = change.instance.id.clone();
            let nodes = self.wanted_data_nodes(&id, &import.data_nodes).await?;
            let bindings = nodes.into_iter().zip(&import.data_nodes).map(|(node, login)| {
                let binding = self.bind(&node.value, &id, login);
                (node, binding)
            });
            self.add_metadata_job(&mut change, &work, bindings.collect()).await?;
            let instance = change.instance.clone();
            if let Some(committed) = change.commit().await? {
                return Ok(ImportMetadataResponse {
                    instance_id: instance.id.to_string(),
                    instance_name: instance.name,
                    job_id: committed.into_job_id(),
                });
            }
            tries.again()?;
        }
    }

    async fn check_schemas_new(
        &self,
        id: &InstanceId,
        document: &Document,
    ) -> Result<(), ApiError> {
        for schema in &document.schemas {
            self.replaceable(id, &schema.name).await.map_err(|error| {
                ApiError { field: None, ..error }.because(
                    format!("The instance has a schema {}.", schema.name),
                    format!("实例中已存在逻辑库{}。", schema.name),
                )
            })?;
        }
        Ok(())
    }

    /// Asks each data node with the credentials of the request.
    async fn check_import_servers(
        &self,
        document: &Document,
        nodes: &[Versioned<DataNodeRecord>],
        import: &Import,
    ) -> Result<(), ApiError> {
        let checks = nodes.iter().zip(&import.data_nodes).map(|(node, login)| {
            let wanted: BTreeSet<String> = document
                .shards()
                .filter(|shard| shard.data_node == login.id)
                .map(|shard| shard.database.clone())
                .collect();
            let node = &node.value;
            let admin =
                AdminLogin::new(&*node.host, node.port, &*login.user, login.password.clone());
            async move { self.check_server(node, &admin, "", &wanted).await }
        });
        try_join_all(checks).await.map(|_| ())
    }
}

/// A document that can be imported on so many data nodes.
fn check_importable(document: &Document, data_nodes: usize) -> Result<(), ApiError> {
    let wrong = |english: String, chinese: String| {
        Err(ApiError::parameter("compressed_databases_info", english, chinese))
    };
    if document.schemas.is_empty() {
        return wrong("has no schema".to_owned(), "不包含逻辑库".to_owned());
    }
    for schema in &document.schemas {
        if let Some(one) = schema.tables.iter().find(|one| one.create.is_none()) {
            let name = format!("{}.{}", schema.name, one.table.name);
            return wrong(
                format!("has no CREATE statement of table {name}"),
                format!("缺少表{name}的建表语句"),
            );
        }
    }
    let wanted = document.data_nodes.len();
    if wanted != data_nodes {
        return Err(ApiError::new(DATA_NODE_COUNT_INVALID).field("dn_instance").because(
            format!("must name {wanted} data nodes, as many as were exported"),
            format!("必须指定{wanted}个数据节点，与导出时一致"),
        ));
    }
    Ok(())
}
