//! Restore: schemas of a backup are served again from data nodes that have their databases, because
//! the schemas were deleted without their data, or because the data nodes were themselves restored.
//! Nothing is made or dropped on the data nodes but the instance's own account.

use super::document::{Document, DocumentTable};
use super::export::{compressed, parsed};
use super::matching::{MatchError, match_data_nodes};
use super::target::{Work, moved};
use crate::app::App;
use crate::backup::no_backup;
use crate::change::Tries;
use crate::instance::require_running;
use crate::jobs::METADATA_RESTORE;
use base::api_error::{
    ApiError, DATA_NODE_ADMIN_WRONG, DATA_NODE_CONNECT_FAILED, DATA_NODE_COUNT_INVALID,
    DATA_NODE_MISSING, DATA_NODE_STATE, DATA_NODE_UNAVAILABLE, DESTINATION_INVALID,
    LOWER_CASE_NAMES_WRONG, PHYSICAL_DATABASE_MISSING,
};
use base::id::{DataNodeId, InstanceId, ProjectId};
use control_api::instance_v3::JobStarted;
use control_api::metadata::{Restore, RestorePoint};
use control_api::schema::DataNodeLogin;
use control_store::record::Versioned;
use control_store::records::backup::{BackupRecord, MetadataDocumentRecord};
use control_store::records::data_node::{BindingRecord, DataNodeRecord};
use control_store::records::instance::InstanceRecord;
use provision::{AdminError, AdminLogin};
use std::collections::{BTreeMap, BTreeSet};
use topology::model::{Placement, Shard, Table};

/// Physical tables, lower case, by database.
type Held = BTreeMap<String, BTreeSet<String>>;

impl App {
    /// `POST /v3/{project_id}/instances/{instance_id}/backups/metadata-recovery`
    pub async fn restore_metadata(
        &self,
        project: &ProjectId,
        source_id: &str,
        restore: Restore,
    ) -> Result<JobStarted, ApiError> {
        let (source, backup) = self.restore_source(project, source_id, &restore.point).await?;
        let target = self.restore_target(project, &source, &restore.instance_id).await?;
        let document = self.backup_document(&backup).await?;
        let document = self.missing_schemas(document, &target.id, &restore.point).await?;
        let nodes = self.restore_data_nodes(&target.id, &restore.data_nodes).await?;
        let document = self.placed(&document, &nodes).await?;
        let packed = compressed(document.clone()).await?;
        let work = Work { kind: METADATA_RESTORE, document: &document, compressed: &packed };
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, target.id.as_str()).await?;
            let nodes = self.restore_data_nodes(&target.id, &restore.data_nodes).await?;
            let used = |node: &Versioned<DataNodeRecord>| {
                document.data_nodes.iter().any(|one| one.id == node.value.id)
            };
            let bindings = nodes.into_iter().filter(used).map(|node| {
                let binding = self.registered_binding(&node.value, &target.id)?;
                Ok((node, binding))
            });
            let bindings = bindings.collect::<Result<Vec<_>, ApiError>>()?;
            self.add_metadata_job(&mut change, &work, bindings).await?;
            if let Some(committed) = change.commit().await? {
                return Ok(JobStarted { job_id: committed.into_job_id() });
            }
            tries.again()?;
        }
    }

    async fn restore_source(
        &self,
        project: &ProjectId,
        source_id: &str,
        point: &RestorePoint,
    ) -> Result<(InstanceId, BackupRecord), ApiError> {
        let (source, backups) = self.backups_of(project, source_id).await?;
        let backup = match point {
            RestorePoint::Backup(id) => backups
                .into_iter()
                .find(|backup| backup.id.as_str() == id && crate::backup::is_usable(backup))
                .ok_or_else(|| no_backup("source.backup_id"))?,
            RestorePoint::Time(ms) => crate::backup::at_time(&backups, *ms, crate::time::now_ms())
                .ok_or_else(|| no_backup("source.restore_time"))?
                .clone(),
        };
        Ok((source, backup))
    }

    async fn restore_target(
        &self,
        project: &ProjectId,
        source: &InstanceId,
        id: &str,
    ) -> Result<InstanceRecord, ApiError> {
        let target = self.instance(project, id).await.map_err(|error| {
            if error.status != 404 {
                return error;
            }
            let text = "does not exist";
            ApiError::new(DESTINATION_INVALID)
                .field("target.instance_id")
                .because(text, "实例不存在")
        })?;
        let target = target.value;
        require_running(&target)?;
        match self.occupied(source, &target).await? {
            None => Ok(target),
            Some(reason) => Err(ApiError::new(DESTINATION_INVALID)
                .field("target.instance_id")
                .because(reason, format!("实例不可用（{reason}）"))),
        }
    }

    /// Why another instance than the source cannot be restored to: what it has already.
    pub(crate) async fn occupied(
        &self,
        source: &InstanceId,
        target: &InstanceRecord,
    ) -> Result<Option<&'static str>, ApiError> {
        if target.id == *source {
            return Ok(None);
        }
        if !self.schemas(&target.id).await?.is_empty() {
            return Ok(Some("the instance has a schema"));
        }
        if self.accounts(&target.id).await?.iter().any(|account| !account.value.administrator) {
            return Ok(Some("the instance has an account"));
        }
        let mut nodes = self.all_data_nodes().await?.into_iter();
        let bound = nodes.any(|node| node.value.is_bound_to(&target.id));
        Ok(bound.then_some("the instance has a data node"))
    }

    /// A backup's document.
    pub(crate) async fn backup_document(
        &self,
        backup: &BackupRecord,
    ) -> Result<Document, ApiError> {
        let key = MetadataDocumentRecord::key_of(backup.id.as_str());
        let kept: Option<Versioned<MetadataDocumentRecord>> = self.get(&key).await?;
        // It may have been deleted just now.
        let kept = kept.ok_or_else(|| no_backup("source"))?;
        parsed(kept.value.compressed).await
    }

    /// The document with the schemas that the target lacks, as far as they were there at the time.
    async fn missing_schemas(
        &self,
        mut document: Document,
        target: &InstanceId,
        point: &RestorePoint,
    ) -> Result<Document, ApiError> {
        let mut missing = Vec::new();
        for schema in document.schemas {
            let early = match point {
                RestorePoint::Time(ms) => schema.created_ms > *ms,
                RestorePoint::Backup(_) => false,
            };
            if !early && self.replaceable(target, &schema.name).await.is_ok() {
                missing.push(schema);
            }
        }
        if missing.is_empty() {
            return Err(ApiError::parameter(
                "source",
                "has no schema that the target lacks",
                "备份中没有目标实例缺少的逻辑库",
            ));
        }
        document.schemas = missing;
        Ok(document)
    }

    async fn restore_data_nodes(
        &self,
        target: &InstanceId,
        ids: &[DataNodeId],
    ) -> Result<Vec<Versioned<DataNodeRecord>>, ApiError> {
        let mut nodes = Vec::with_capacity(ids.len());
        for (index, id) in ids.iter().enumerate() {
            let field = format!("target.data_nodes[{index}]");
            let node: Option<Versioned<DataNodeRecord>> =
                self.get(&DataNodeRecord::key_of(id)).await?;
            let missing = || ApiError::new(DATA_NODE_MISSING).field(&*field);
            let node = node.ok_or_else(missing)?;
            if node.value.binding.as_ref().is_some_and(|binding| binding.instance_id != *target) {
                return Err(ApiError::new(DATA_NODE_STATE)
                    .field(field)
                    .because("belongs to another instance", "已关联其他实例"));
            }
            nodes.push(node);
        }
        Ok(nodes)
    }

    /// The document on the data nodes that hold its databases, without the tables that are on none
    /// of them: those did not exist yet, or no longer.
    async fn placed(
        &self,
        document: &Document,
        nodes: &[Versioned<DataNodeRecord>],
    ) -> Result<Document, ApiError> {
        let mut wanted: BTreeMap<DataNodeId, BTreeSet<String>> = BTreeMap::new();
        for shard in document.shards() {
            wanted.entry(shard.data_node.clone()).or_default().insert(shard.database.clone());
        }
        if nodes.len() < wanted.len() || nodes.len() > document.data_nodes.len() {
            return Err(ApiError::new(DATA_NODE_COUNT_INVALID).field("target.data_nodes").because(
                format!("must name {} data nodes, as many as hold the schemas", wanted.len()),
                format!("必须指定{}个数据节点", wanted.len()),
            ));
        }
        let databases: BTreeSet<String> = wanted.values().flatten().cloned().collect();
        let mut held = BTreeMap::new();
        for node in nodes {
            held.insert(node.value.id.clone(), self.held(&node.value, &databases).await?);
        }
        let names = held.iter().map(|(id, held)| (id.clone(), held.keys().cloned().collect()));
        let places = match_data_nodes(&wanted, &names.collect()).map_err(|error| {
            let code = match &error {
                MatchError::Missing { .. } => PHYSICAL_DATABASE_MISSING,
                MatchError::Ambiguous { .. } => base::api_error::PARAMETER_ERROR,
            };
            let text = error.to_string();
            ApiError::new(code).field("target.data_nodes").because(text.clone(), text)
        })?;
        let mut moved = moved(document, &places, nodes);
        for schema in &mut moved.schemas {
            let shards = schema.shards.clone();
            let mut tables = Vec::with_capacity(schema.tables.len());
            for one in std::mem::take(&mut schema.tables) {
                if is_there(&one, &shards, &held)? {
                    tables.push(one);
                }
            }
            schema.tables = tables;
        }
        Ok(moved)
    }

    /// Which of `databases` a data node has, with their tables.
    async fn held(
        &self,
        node: &DataNodeRecord,
        databases: &BTreeSet<String>,
    ) -> Result<Held, ApiError> {
        let login = self.binding_admin(node)?;
        let wrong = |error: AdminError| refusal(node, &error);
        let facts = self.data_nodes.probe(&login).await.map_err(wrong)?;
        if facts.lower_case_table_names != 1 {
            return Err(ApiError::new(LOWER_CASE_NAMES_WRONG).because(&*node.name, &*node.name));
        }
        if let Some(problem) = facts.problems().into_iter().next() {
            let text = format!("{}: {problem}", node.name);
            return Err(ApiError::new(DATA_NODE_UNAVAILABLE).because(text.clone(), text));
        }
        self.held_tables(&login, databases).await.map_err(wrong)
    }

    /// Which of `databases` are there, with their tables.
    pub(crate) async fn held_tables(
        &self,
        login: &AdminLogin,
        databases: &BTreeSet<String>,
    ) -> Result<Held, AdminError> {
        let present = self.data_nodes.list_databases(login, "").await?;
        let mut held: Held = present
            .into_iter()
            .filter(|name| databases.contains(name))
            .map(|name| (name, BTreeSet::new()))
            .collect();
        if held.is_empty() {
            return Ok(held);
        }
        // Names of physical databases are checked: letters, digits and underscores.
        let names: Vec<String> = held.keys().map(|name| format!("'{name}'")).collect();
        let sql = format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ({})",
            names.join(", ")
        );
        for row in self.data_nodes.query(login, &sql).await?.rows {
            if let [Some(database), Some(table)] = row.as_slice()
                && let Some(tables) = held.get_mut(database)
            {
                tables.insert(table.to_lowercase());
            }
        }
        Ok(held)
    }

    /// The use of a data node that is given without credentials: an old use stays, a new one has the
    /// administrator that was registered.
    fn registered_binding(
        &self,
        node: &DataNodeRecord,
        target: &InstanceId,
    ) -> Result<BindingRecord, ApiError> {
        if let Some(binding) = &node.binding {
            return Ok(binding.clone());
        }
        let admin = self.admin_login(node)?;
        let login =
            DataNodeLogin { id: node.id.clone(), user: admin.user, password: admin.password };
        Ok(self.bind(node, target, &login))
    }
}

/// The documented error for what a data node answered to its registered administrator.
fn refusal(node: &DataNodeRecord, error: &AdminError) -> ApiError {
    let code = match error {
        AdminError::AuthFailed { .. } => DATA_NODE_ADMIN_WRONG,
        AdminError::Unreachable { .. } | AdminError::Timeout { .. } => DATA_NODE_CONNECT_FAILED,
        _ => DATA_NODE_UNAVAILABLE,
    };
    ApiError::new(code).because(&*node.name, &*node.name)
}

/// The places of a table's physical tables: database and lower-case name.
pub(crate) fn physical_places<'a>(
    table: &'a Table,
    shards: &'a [Shard],
) -> impl Iterator<Item = (&'a Shard, String)> {
    let (shards, suffixes) = match &table.placement {
        Placement::Single => (&shards[..shards.len().min(1)], 1),
        Placement::Broadcast => (shards, 1),
        Placement::Sharded(rule) => (shards, rule.tables_per_shard.max(1)),
    };
    shards.iter().flat_map(move |shard| (0..suffixes).map(move |n| (shard, table.physical_name(n))))
}

/// Whether a table is on the data nodes, wholly; in part is an error.
fn is_there(
    one: &DocumentTable,
    shards: &[Shard],
    held: &BTreeMap<DataNodeId, Held>,
) -> Result<bool, ApiError> {
    let mut absent = None;
    let mut found = false;
    for (shard, name) in physical_places(&one.table, shards) {
        let tables = held.get(&shard.data_node).and_then(|held| held.get(&shard.database));
        if tables.is_some_and(|tables| tables.contains(&name.to_lowercase())) {
            found = true;
        } else {
            absent = Some(format!("{}.{name}", shard.database));
        }
    }
    match absent {
        Some(absent) if found => {
            Err(ApiError::new(PHYSICAL_DATABASE_MISSING).field("target.data_nodes").because(
                format!("table {absent} is missing, others of its logical table are there"),
                format!("物理表{absent}不存在"),
            ))
        }
        absent => Ok(absent.is_none()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::document::tests::document;
    use super::*;

    #[test]
    fn a_table_is_there_wholly_or_not_at_all() {
        let document = document();
        let schema = &document.schemas[0];
        let mut held: BTreeMap<DataNodeId, Held> = BTreeMap::new();
        for shard in &schema.shards {
            let tables = ["b", "t"].map(str::to_owned).into();
            held.entry(shard.data_node.clone()).or_default().insert(shard.database.clone(), tables);
        }
        let check = |held: &BTreeMap<DataNodeId, Held>| {
            let there = schema.tables.iter().map(|one| is_there(one, &schema.shards, held));
            there.map(|one| one.map_err(|error| error.code.code)).collect::<Vec<_>>()
        };
        assert_eq!(check(&held), [Ok(true), Ok(false), Ok(true)], "the single one is gone");
        let last = schema.shards.last().unwrap();
        held.get_mut(&last.data_node).unwrap().get_mut(&last.database).unwrap().remove("t");
        assert_eq!(check(&held), [Ok(true), Ok(false), Err("DBS.300336")]);
    }
}
