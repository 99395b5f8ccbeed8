//! Schemas: create, list, detail, delete. A create call checks everything that can be checked at
//! once (the data nodes are asked with the credentials that the request gives), then writes the
//! schema and the use of its data nodes with the job, in one transaction.

use crate::app::App;
use crate::change::{Change, Tries};
use crate::data_node::shard_prefix;
use crate::error::AppError;
use crate::instance::require_running;
use crate::jobs::{DeleteParams, SCHEMA_CREATE, SCHEMA_DELETE, schema_lock};
use crate::time::{now_ms, text};
use base::api_error::{
    ApiError, DATA_NODE_CONNECT_FAILED, DATA_NODE_LOGIN_WRONG, DATA_NODE_MISSING, DATA_NODE_STATE,
    DATA_NODE_UNAVAILABLE, LOWER_CASE_NAMES_WRONG, PHYSICAL_DATABASE_FAILED, SCHEMA_EXISTS,
    SCHEMA_MISSING, SCHEMA_STATE,
};
use base::id::{DataNodeId, InstanceId, ProjectId};
use control_api::paging::{Page, total};
use control_api::schema::{
    DataNodeLogin, Database, DatabaseRow, DatabaseShard, ListDatabasesResponse, Mode, NewSchema,
    ShowDatabaseResponse, UsedDataNodeRow,
};
use control_api::schema_v3::{DataNodeV3, ShardV3, ShowDatabaseV3Response};
use control_store::record::Versioned;
use control_store::records::data_node::DataNodeRecord;
use control_store::records::instance::InstanceRecord;
use control_store::records::schema::{SchemaRecord, SchemaStatus};
use futures::future::try_join_all;
use provision::{AdminError, AdminLogin};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use topology::model::{Shard, ShardMode, physical_database};

/// A schema's data nodes with their state: what is wrong, if anything.
type Health = BTreeMap<DataNodeId, (DataNodeRecord, Option<String>)>;

impl App {
    /// `POST /v1/{project_id}/instances/{instance_id}/databases`: all of its schemas or none; the
    /// jobs that make them.
    pub async fn create_schemas(
        &self,
        project: &ProjectId,
        instance_id: &str,
        new: &[NewSchema],
    ) -> Result<Vec<String>, ApiError> {
        // What the store alone decides comes first: it is quick and needs no data node.
        let instance = self.instance(project, instance_id).await?.value;
        require_running(&instance)?;
        for schema in new {
            self.replaceable(&instance.id, &schema.name).await?;
            let nodes = self.wanted_data_nodes(&instance.id, &schema.data_nodes).await?;
            self.check_servers(schema, &nodes).await?;
        }
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, instance_id).await?;
            require_running(&change.instance)?;
            for schema in new {
                self.add_schema(&mut change, schema).await?;
            }
            if let Some(committed) = change.commit().await? {
                return Ok(committed.job_ids);
            }
            tries.again()?;
        }
    }

    async fn add_schema(&self, change: &mut Change<'_>, new: &NewSchema) -> Result<(), ApiError> {
        let id = change.instance.id.clone();
        let before = self.replaceable(&id, &new.name).await?;
        let nodes = self.wanted_data_nodes(&id, &new.data_nodes).await?;
        for (node, login) in nodes.iter().zip(&new.data_nodes) {
            let binding = Some(self.bind(&node.value, &id, login));
            change.update(node, &DataNodeRecord { binding, ..node.value.clone() });
        }
        let now = now_ms();
        let record = SchemaRecord {
            instance_id: id.clone(),
            name: new.name.clone(),
            mode: match new.mode {
                Mode::Cluster => ShardMode::Cluster,
                Mode::Single => ShardMode::Single,
            },
            status: SchemaStatus::Creating,
            error: None,
            serving: false,
            dropping: false,
            created_ms: now,
            updated_ms: now,
            character_set: change.instance.parameters.get("character_set_server").to_owned(),
            collation: change.instance.parameters.get("collation_server").to_owned(),
            shards: spread(
                &new.name,
                new.shard_count,
                &new.data_nodes.iter().map(|node| &node.id).collect::<Vec<_>>(),
            ),
        };
        match &before {
            Some(before) => change.update(before, &record),
            None => change.create(&record),
        }
        Ok(change.start_job(
            SCHEMA_CREATE,
            schema_lock(&id, &new.name),
            Some(&new.name),
            json!({}),
        )?)
    }

    /// The record that a new schema of this name replaces: one that could not be made.
    pub(crate) async fn replaceable(
        &self,
        id: &InstanceId,
        name: &str,
    ) -> Result<Option<Versioned<SchemaRecord>>, ApiError> {
        let present: Option<Versioned<SchemaRecord>> =
            self.get(&SchemaRecord::key_of(id, name)).await?;
        match present {
            Some(schema)
                if schema.value.status != SchemaStatus::CreateFailed || schema.value.dropping =>
            {
                Err(ApiError::new(SCHEMA_EXISTS).field("name"))
            }
            other => Ok(other),
        }
    }

    /// The data nodes of the request: known, and no other instance's.
    pub(crate) async fn wanted_data_nodes(
        &self,
        id: &InstanceId,
        logins: &[DataNodeLogin],
    ) -> Result<Vec<Versioned<DataNodeRecord>>, ApiError> {
        let mut nodes = Vec::with_capacity(logins.len());
        for login in logins {
            let node: Option<Versioned<DataNodeRecord>> =
                self.get(&DataNodeRecord::key_of(&login.id)).await?;
            let node = node.ok_or_else(|| {
                ApiError::new(DATA_NODE_MISSING).because(login.id.as_str(), login.id.as_str())
            })?;
            if node.value.binding.as_ref().is_some_and(|binding| binding.instance_id != *id) {
                return Err(ApiError::new(DATA_NODE_STATE).because(
                    format!("{} belongs to another instance.", node.value.name),
                    format!("{}已关联其他实例。", node.value.name),
                ));
            }
            nodes.push(node);
        }
        Ok(nodes)
    }

    /// Asks each data node with the credentials of the request: whether they are right, whether the
    /// server is fit, and whether the physical databases are still free.
    async fn check_servers(
        &self,
        new: &NewSchema,
        nodes: &[Versioned<DataNodeRecord>],
    ) -> Result<(), ApiError> {
        let ids: Vec<&DataNodeId> = new.data_nodes.iter().map(|node| &node.id).collect();
        let shards = spread(&new.name, new.shard_count, &ids);
        let checks = nodes.iter().zip(&new.data_nodes).map(|(node, login)| {
            let wanted: BTreeSet<String> = shards
                .iter()
                .filter(|shard| shard.data_node == login.id)
                .map(|shard| shard.database.clone())
                .collect();
            let node = &node.value;
            let admin =
                AdminLogin::new(&*node.host, node.port, &*login.user, login.password.clone());
            async move { self.check_server(node, &admin, &shard_prefix(&new.name), &wanted).await }
        });
        try_join_all(checks).await.map(|_| ())
    }

    /// Refuses a data node that does not answer to `admin`, is not fit, or has one of the `wanted`
    /// databases, whose names all begin with `prefix`.
    pub(crate) async fn check_server(
        &self,
        node: &DataNodeRecord,
        admin: &AdminLogin,
        prefix: &str,
        wanted: &BTreeSet<String>,
    ) -> Result<(), ApiError> {
        let wrong = |error: AdminError| refusal(node, &error);
        let facts = self.data_nodes.probe(admin).await.map_err(wrong)?;
        if facts.lower_case_table_names != 1 {
            return Err(ApiError::new(LOWER_CASE_NAMES_WRONG).because(&*node.name, &*node.name));
        }
        if let Some(problem) = facts.problems().into_iter().next() {
            return Err(ApiError::new(DATA_NODE_UNAVAILABLE).because(
                format!("{}: {problem}", node.name),
                format!("{}: {problem}", node.name),
            ));
        }
        let present = self.data_nodes.list_databases(admin, prefix).await.map_err(wrong)?;
        match present.iter().find(|name| wanted.contains(*name)) {
            None => Ok(()),
            Some(name) => Err(ApiError::new(PHYSICAL_DATABASE_FAILED).because(
                format!("{name} already exists on {}.", node.name),
                format!("{}上已存在{name}。", node.name),
            )),
        }
    }

    /// `DELETE /v1/{project_id}/instances/{instance_id}/databases/{ddm_dbname}`: its job.
    pub async fn delete_schema(
        &self,
        project: &ProjectId,
        instance_id: &str,
        name: &str,
        delete_data: bool,
    ) -> Result<String, ApiError> {
        let params =
            serde_json::to_value(DeleteParams { delete_data }).expect("parameters are plain data");
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, instance_id).await?;
            require_running(&change.instance)?;
            let id = change.instance.id.clone();
            let before = self.schema(&id, name).await?;
            if !matches!(before.value.status, SchemaStatus::Running | SchemaStatus::CreateFailed) {
                let status = before.value.status.name();
                return Err(ApiError::new(SCHEMA_STATE).because(
                    format!("The schema is {status}."),
                    format!("逻辑库状态为{status}。"),
                ));
            }
            let record = SchemaRecord {
                status: SchemaStatus::Deleting,
                serving: false,
                error: None,
                updated_ms: now_ms(),
                ..before.value.clone()
            };
            change.update(&before, &record);
            change.start_job(
                SCHEMA_DELETE,
                schema_lock(&id, &record.name),
                Some(&record.name),
                params.clone(),
            )?;
            if let Some(committed) = change.commit().await? {
                return Ok(committed.into_job_id());
            }
            tries.again()?;
        }
    }

    /// `GET /v1/{project_id}/instances/{instance_id}/databases`
    pub async fn list_schemas(
        &self,
        project: &ProjectId,
        instance_id: &str,
        page: Page,
    ) -> Result<ListDatabasesResponse, ApiError> {
        let instance = self.instance(project, instance_id).await?.value;
        let all: Vec<SchemaRecord> =
            self.schemas(&instance.id).await?.into_iter().map(|one| one.value).collect();
        let total = total(&all);
        let rows = page.cut(all);
        let health = self.health(rows.iter()).await?;
        let databases = rows.into_iter().map(|schema| DatabaseRow {
            shard_mode: mode_name(schema.mode).to_owned(),
            shard_number: shard_count(&schema),
            status: schema.status.name().to_owned(),
            created: schema.created_ms,
            used_rds: used_data_nodes(&schema, &health),
            shard_unit: shard_unit(&schema),
            name: schema.name,
        });
        Ok(ListDatabasesResponse { databases: databases.collect(), total })
    }

    /// `GET /v1/{project_id}/instances/{instance_id}/databases/{ddm_dbname}`
    pub async fn show_schema(
        &self,
        project: &ProjectId,
        instance_id: &str,
        name: &str,
    ) -> Result<ShowDatabaseResponse, ApiError> {
        let instance = self.instance(project, instance_id).await?.value;
        let schema = self.schema(&instance.id, name).await?.value;
        let health = self.health([&schema].into_iter()).await?;
        Ok(ShowDatabaseResponse { database: detail(&instance, schema, &health) })
    }

    /// `GET /v3/{project_id}/instances/{instance_id}/databases/{database_name}`
    pub async fn show_schema_v3(
        &self,
        project: &ProjectId,
        instance_id: &str,
        name: &str,
    ) -> Result<ShowDatabaseV3Response, ApiError> {
        let instance = self.instance(project, instance_id).await?.value;
        let schema = self.schema(&instance.id, name).await?.value;
        let health = self.health([&schema].into_iter()).await?;
        let shards = schema.shards.iter().map(|shard| ShardV3 {
            data_node_id: shard.data_node.to_string(),
            physical_db_name: shard.database.clone(),
            status: schema.status.name().to_owned(),
            shard_index: shard.index,
        });
        let data_nodes = ordered(&schema, &health).map(|(node, problem)| DataNodeV3 {
            id: node.id.to_string(),
            status: state_name(problem).to_owned(),
            name: node.name.clone(),
            engine_name: "mysql".to_owned(),
            engine_version: crate::data_node::version_number(&node.server_version).to_owned(),
        });
        Ok(ShowDatabaseV3Response {
            status: schema.status.name().to_owned(),
            created: text(schema.created_ms),
            updated: text(schema.updated_ms),
            shard_mode: mode_name(schema.mode).to_owned(),
            shard_number: shard_count(&schema),
            shards: shards.collect(),
            data_nodes: data_nodes.collect(),
            name: schema.name.clone(),
        })
    }

    /// The schemas of an instance, by name.
    pub(crate) async fn schemas(
        &self,
        id: &InstanceId,
    ) -> Result<Vec<Versioned<SchemaRecord>>, AppError> {
        self.list(&SchemaRecord::prefix_of(id)).await
    }

    async fn schema(
        &self,
        id: &InstanceId,
        name: &str,
    ) -> Result<Versioned<SchemaRecord>, ApiError> {
        let missing =
            || ApiError::not_found(SCHEMA_MISSING, "The schema does not exist.", "逻辑库不存在。");
        self.get(&SchemaRecord::key_of(id, name)).await?.ok_or_else(missing)
    }

    /// The data nodes of these schemas and what is wrong with each, asked now.
    async fn health(
        &self,
        schemas: impl Iterator<Item = &SchemaRecord>,
    ) -> Result<Health, AppError> {
        let ids: BTreeSet<&DataNodeId> = schemas.flat_map(SchemaRecord::data_nodes).collect();
        let nodes = self.all_data_nodes().await?.into_iter().map(|node| node.value);
        let asked = nodes.filter(|node| ids.contains(&node.id)).map(|node| async move {
            let problem = self.problem_of(&node).await;
            (node.id.clone(), (node, problem))
        });
        Ok(futures::future::join_all(asked).await.into_iter().collect())
    }
}

/// The documented error for what a data node answered to the request's administrator.
fn refusal(node: &DataNodeRecord, error: &AdminError) -> ApiError {
    let code = match error {
        AdminError::AuthFailed { .. } => DATA_NODE_LOGIN_WRONG,
        AdminError::Unreachable { .. } | AdminError::Timeout { .. } => DATA_NODE_CONNECT_FAILED,
        _ => DATA_NODE_UNAVAILABLE,
    };
    ApiError::new(code).because(&*node.name, &*node.name)
}

/// Shards in contiguous runs over the data nodes, as even as the numbers allow: the first data nodes
/// have one more when the shards do not divide.
pub fn spread(schema: &str, shards: u32, data_nodes: &[&DataNodeId]) -> Vec<Shard> {
    let nodes = u32::try_from(data_nodes.len()).expect("at most 256 data nodes");
    let (each, more) = (shards / nodes, shards % nodes);
    let mut index = 0;
    let mut all = Vec::new();
    for (position, id) in (0..nodes).zip(data_nodes) {
        for _ in 0..each + u32::from(position < more) {
            all.push(Shard {
                index,
                database: physical_database(schema, index),
                data_node: (*id).clone(),
            });
            index += 1;
        }
    }
    all
}

fn mode_name(mode: ShardMode) -> &'static str {
    match mode {
        ShardMode::Cluster => "cluster",
        ShardMode::Single => "single",
    }
}

fn shard_count(schema: &SchemaRecord) -> u32 {
    u32::try_from(schema.shards.len()).expect("at most 64 × 256 shards")
}

/// The most shards on one data node.
fn shard_unit(schema: &SchemaRecord) -> u32 {
    let mut counts: BTreeMap<&DataNodeId, u32> = BTreeMap::new();
    for shard in &schema.shards {
        *counts.entry(&shard.data_node).or_default() += 1;
    }
    counts.into_values().max().unwrap_or(0)
}

pub(crate) fn state_name(problem: &Option<String>) -> &'static str {
    if problem.is_none() { "normal" } else { "abnormal" }
}

/// In the order of the shards.
fn ordered<'a>(
    schema: &'a SchemaRecord,
    health: &'a Health,
) -> impl Iterator<Item = &'a (DataNodeRecord, Option<String>)> {
    let mut seen = BTreeSet::new();
    let ids = schema.shards.iter().map(|shard| &shard.data_node).filter(move |id| seen.insert(*id));
    ids.filter_map(|id| health.get(id))
}

fn used_data_nodes(schema: &SchemaRecord, health: &Health) -> Vec<UsedDataNodeRow> {
    ordered(schema, health)
        .map(|(node, problem)| UsedDataNodeRow {
            id: node.id.to_string(),
            name: node.name.clone(),
            status: state_name(problem).to_owned(),
            error_msg: problem.clone(),
        })
        .collect()
}

fn detail(instance: &InstanceRecord, schema: SchemaRecord, health: &Health) -> Database {
    let status = schema.status.name().to_owned();
    Database {
        databases: schema
            .shards
            .iter()
            .map(|shard| DatabaseShard {
                dbslot: shard.index,
                name: shard.database.clone(),
                status: status.clone(),
                created: schema.created_ms,
                updated: schema.updated_ms,
                id: shard.data_node.to_string(),
                id_name: shard.database.clone(),
            })
            .collect(),
        created: schema.created_ms,
        updated: schema.updated_ms,
        shard_mode: mode_name(schema.mode).to_owned(),
        shard_number: shard_count(&schema),
        shard_unit: shard_unit(&schema),
        data_vips: vec![format!("{}:{}", instance.access_ip, instance.port)],
        used_rds: used_data_nodes(&schema, health),
        status,
        name: schema.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_lie_in_contiguous_runs() {
        let (one, two, three) = (
            DataNodeId::from_random([1; 16]),
            DataNodeId::from_random([2; 16]),
            DataNodeId::from_random([3; 16]),
        );
        let ids = [&one, &two, &three];
        let places = |shards: u32, nodes: usize| -> Vec<usize> {
            let all = spread("db", shards, &ids[..nodes]);
            assert!(all.iter().zip(0..).all(|(shard, index)| shard.index == index));
            all.iter()
                .map(|shard| ids.iter().position(|id| **id == shard.data_node).unwrap_or(9))
                .collect()
        };
        assert_eq!(places(8, 2), [0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(places(7, 3), [0, 0, 0, 1, 1, 2, 2]);
        assert_eq!(places(1, 1), [0]);
        assert_eq!(spread("db_cbb5", 2, &ids[..1])[1].database, "db_cbb5_0001");
    }
}
