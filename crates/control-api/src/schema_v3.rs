//! The v3 variants of the schema calls that the official SDK has.

use crate::schema::{NewSchema, ShardFields, check_data_nodes, check_mode, check_name};
use base::api_error::ApiError;
use base::secret::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of the create call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CreateDatabaseV3Request {
    /// 2–48 lower-case letters, digits and underscores, a letter first.
    pub name: String,
    /// `cluster` or `single`.
    pub shard_mode: String,
    /// Shards in all.
    pub shard_number: i64,
    /// The data nodes.
    pub dn_instances: Vec<DnInstance>,
}

/// A data node for a schema, with its administrator.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct DnInstance {
    /// Its id.
    pub id: String,
    /// Its administrator.
    pub user_name: String,
    /// The administrator's password.
    #[schema(value_type = String)]
    pub user_password: Secret,
}

impl CreateDatabaseV3Request {
    /// The schema, if nothing is wrong.
    pub fn check(self) -> Result<NewSchema, ApiError> {
        check_name("name", &self.name)?;
        let mode = check_mode("shard_mode", &self.shard_mode)?;
        let logins =
            self.dn_instances.into_iter().map(|node| (node.id, node.user_name, node.user_password));
        let data_nodes = check_data_nodes("dn_instances", logins.collect())?;
        let shards = ShardFields {
            at: "",
            mode,
            shard_number: self.shard_number,
            shard_unit: None,
            data_nodes: data_nodes.len(),
        };
        Ok(NewSchema { shard_count: shards.check()?, name: self.name, mode, data_nodes })
    }
}

/// Answer of the create call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CreateDatabaseV3Response {
    /// The schema.
    pub name: String,
    /// The job that makes it.
    pub job_id: String,
}

/// Answer of the delete call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeleteDatabaseV3Response {
    /// The schema.
    pub database_name: String,
    /// The job that deletes it.
    pub job_id: String,
}

/// Answer of the detail call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShowDatabaseV3Response {
    /// Its name.
    pub name: String,
    /// CREATING, RUNNING …
    pub status: String,
    /// When it was made.
    pub created: String,
    /// When it last changed.
    pub updated: String,
    /// `cluster` or `single`.
    pub shard_mode: String,
    /// Shards in all.
    pub shard_number: u32,
    /// Its shards.
    pub shards: Vec<ShardV3>,
    /// Its data nodes.
    pub data_nodes: Vec<DataNodeV3>,
}

/// A shard.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShardV3 {
    /// The data node that holds it.
    pub data_node_id: String,
    /// The physical database.
    pub physical_db_name: String,
    /// As the schema's.
    pub status: String,
    /// Its place, from 0.
    pub shard_index: u32,
}

/// A data node of a schema.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DataNodeV3 {
    /// Its id.
    pub id: String,
    /// `normal` or `abnormal`.
    pub status: String,
    /// Its name.
    pub name: String,
    /// `mysql`.
    pub engine_name: String,
    /// The server's version.
    pub engine_version: String,
}
