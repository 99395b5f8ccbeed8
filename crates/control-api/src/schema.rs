//! Schemas: create, list, detail, delete (v1). The checks that the request alone decides are here;
//! each rule of the documents answers with its own code.

use crate::decode::required;
use base::api_error::{
    ApiError, DATA_NODE_COUNT_INVALID, DATA_NODE_MISSING, DATA_NODES_DUPLICATED, SCHEMA_EXISTS,
    SCHEMA_NAME_INVALID, SCHEMA_NAME_KEYWORD, SCHEMA_NAME_LENGTH, SCHEMA_NAME_UPPERCASE,
    SHARD_NUMBER_INVALID, SHARD_UNIT_INVALID, SHARDING_RULE_INVALID,
};
use base::id::DataNodeId;
use base::secret::Secret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Shortest name of a schema.
pub const NAME_LENGTH_MIN: usize = 2;

/// Longest name of a schema.
pub const NAME_LENGTH_MAX: usize = 48;

/// Most shards of one schema on one data node.
pub const SHARDS_PER_DATA_NODE_MAX: i64 = 64;

/// Most data nodes of one schema.
pub const DATA_NODES_MAX: usize = 256;

/// Words that no schema's name may contain.
pub const NAME_KEYWORDS: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];

/// Body of the create call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CreateDatabasesRequest {
    /// The schemas to make.
    pub databases: Vec<CreateDatabase>,
}

/// One schema to make.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CreateDatabase {
    /// 2–48 lower-case letters, digits and underscores, a letter first.
    pub name: String,
    /// `cluster` or `single`.
    pub shard_mode: String,
    /// Shards in all.
    pub shard_number: i64,
    /// Shards on each data node, 1–64.
    pub shard_unit: Option<i64>,
    /// The data nodes.
    pub used_rds: Vec<UsedDataNode>,
}

/// A data node for a schema, with its administrator.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsedDataNode {
    /// Its id.
    pub id: String,
    /// Its administrator.
    pub admin_user: String,
    /// The administrator's password.
    #[schema(value_type = String)]
    pub admin_password: Secret,
}

/// Whether a schema's tables can be sharded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `cluster`
    Cluster,
    /// `single`
    Single,
}

/// A schema to make, well-formed.
#[derive(Clone, Debug)]
pub struct NewSchema {
    /// Its name.
    pub name: String,
    /// Cluster or single.
    pub mode: Mode,
    /// Shards in all.
    pub shard_count: u32,
    /// Its data nodes, at least one.
    pub data_nodes: Vec<DataNodeLogin>,
}

/// How to log in to a data node as its administrator.
#[derive(Clone, Debug)]
pub struct DataNodeLogin {
    /// The data node.
    pub id: DataNodeId,
    /// The administrator.
    pub user: String,
    /// The administrator's password.
    pub password: Secret,
}

/// The parts of a request about shards, in either version's spelling.
#[derive(Debug)]
pub(crate) struct ShardFields<'a> {
    pub at: &'a str,
    pub mode: Mode,
    pub shard_number: i64,
    pub shard_unit: Option<i64>,
    pub data_nodes: usize,
}

impl CreateDatabasesRequest {
    /// The schemas, if nothing is wrong about any.
    pub fn check(self) -> Result<Vec<NewSchema>, ApiError> {
        if self.databases.is_empty() {
            return Err(required("databases"));
        }
        let mut names = BTreeSet::new();
        let mut schemas = Vec::with_capacity(self.databases.len());
        for (index, database) in self.databases.into_iter().enumerate() {
            let at = format!("databases[{index}].");
            let schema = database.check(&at)?;
            if !names.insert(schema.name.clone()) {
                return Err(ApiError::new(SCHEMA_EXISTS).field(format!("{at}name")));
            }
            schemas.push(schema);
        }
        Ok(schemas)
    }
}

impl CreateDatabase {
    fn check(self, at: &str) -> Result<NewSchema, ApiError> {
        check_name(&format!("{at}name"), &self.name)?;
        let mode = check_mode(&format!("{at}shard_mode"), &self.shard_mode)?;
        let logins =
            self.used_rds.into_iter().map(|node| (node.id, node.admin_user, node.admin_password));
        let data_nodes = check_data_nodes(&format!("{at}used_rds"), logins.collect())?;
        let shards = ShardFields {
            at,
            mode,
            shard_number: self.shard_number,
            shard_unit: self.shard_unit,
            data_nodes: data_nodes.len(),
        };
        Ok(NewSchema { shard_count: shards.check()?, name: self.name, mode, data_nodes })
    }
}

/// Refuses a name that breaks one of the documents' rules, with that rule's code.
pub fn check_name(field: &str, name: &str) -> Result<(), ApiError> {
    let wrong = |code, english: &str, chinese: &str| {
        Err(ApiError::new(code).field(field).because(english, chinese))
    };
    if !(NAME_LENGTH_MIN..=NAME_LENGTH_MAX).contains(&name.chars().count()) {
        return wrong(SCHEMA_NAME_LENGTH, "must have 2 to 48 characters", "长度必须为2~48个字符");
    }
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(ApiError::new(SCHEMA_NAME_UPPERCASE).field(field));
    }
    if NAME_KEYWORDS.iter().any(|word| name.contains(word)) {
        return Err(ApiError::new(SCHEMA_NAME_KEYWORD).field(field));
    }
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.bytes().all(allowed) {
        return wrong(
            SCHEMA_NAME_INVALID,
            "must be lower-case letters, digits and underscores, starting with a letter",
            "只能包含小写字母、数字和下划线，且以字母开头",
        );
    }
    Ok(())
}

pub(crate) fn check_mode(field: &str, mode: &str) -> Result<Mode, ApiError> {
    match mode {
        "cluster" => Ok(Mode::Cluster),
        "single" => Ok(Mode::Single),
        _ => Err(ApiError::new(SHARDING_RULE_INVALID)
            .field(field)
            .because("must be cluster or single", "取值为cluster或single")),
    }
}

pub(crate) fn check_data_nodes(
    field: &str,
    given: Vec<(String, String, Secret)>,
) -> Result<Vec<DataNodeLogin>, ApiError> {
    if given.is_empty() || given.len() > DATA_NODES_MAX {
        return Err(ApiError::new(DATA_NODE_COUNT_INVALID)
            .field(field)
            .because("must name 1 to 256 data nodes", "数据节点个数必须为1~256"));
    }
    let mut seen = BTreeSet::new();
    let mut logins = Vec::with_capacity(given.len());
    for (index, (id, user, password)) in given.into_iter().enumerate() {
        if !seen.insert(id.clone()) {
            return Err(ApiError::new(DATA_NODES_DUPLICATED).field(format!("{field}[{index}].id")));
        }
        let id = DataNodeId::parse(&id).ok_or_else(|| {
            ApiError::new(DATA_NODE_MISSING).field(format!("{field}[{index}].id"))
        })?;
        logins.push(DataNodeLogin { id, user, password });
    }
    Ok(logins)
}

/// The error with another spelling of the end of its field.
pub(crate) fn spelled(mut error: ApiError, end: &str, other: &str) -> ApiError {
    if let Some(field) = &mut error.field
        && let Some(start) = field.strip_suffix(end)
    {
        *field = format!("{start}{other}");
    }
    error
}

impl ShardFields<'_> {
    pub(crate) fn check(&self) -> Result<u32, ApiError> {
        let number_wrong = |english: String, chinese: String| {
            Err(ApiError::new(SHARD_NUMBER_INVALID)
                .field(format!("{}shard_number", self.at))
                .because(english, chinese))
        };
        let unit_most = match self.mode {
            Mode::Single => 1,
            Mode::Cluster => SHARDS_PER_DATA_NODE_MAX,
        };
        if self.mode == Mode::Single && self.data_nodes != 1 {
            return Err(ApiError::new(DATA_NODE_COUNT_INVALID).because(
                "A single schema has exactly one data node.",
                "非拆分库只能关联一个数据节点。",
            ));
        }
        if self.shard_unit.is_some_and(|unit| !(1..=unit_most).contains(&unit)) {
            return Err(ApiError::new(SHARD_UNIT_INVALID)
                .field(format!("{}shard_unit", self.at))
                .because(
                    format!("must be from 1 to {unit_most}"),
                    format!("取值范围为1~{unit_most}"),
                ));
        }
        let nodes =
            i64::try_from(self.data_nodes).expect("at most 256 data nodes passed the check");
        let (least, most) = match self.shard_unit {
            Some(unit) => (unit * nodes, unit * nodes),
            None => (nodes, unit_most * nodes),
        };
        if !(least..=most).contains(&self.shard_number) {
            return if least == most {
                number_wrong(format!("must be {least}"), format!("必须为{least}"))
            } else {
                number_wrong(
                    format!("must be from {least} to {most}"),
                    format!("取值范围为{least}~{most}"),
                )
            };
        }
        Ok(u32::try_from(self.shard_number).expect("at most 64 shards on each of 256 data nodes"))
    }
}

/// Answer of the create call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CreateDatabasesResponse {
    /// The schemas that are being made.
    pub databases: Vec<DatabaseName>,
}

/// A schema by name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DatabaseName {
    /// Its name.
    pub name: String,
}

/// Answer of the list call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListDatabasesResponse {
    /// The page's schemas.
    pub databases: Vec<DatabaseRow>,
    /// Schemas in all.
    pub total: u64,
}

/// A schema in the list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DatabaseRow {
    /// Its name.
    pub name: String,
    /// `cluster` or `single`.
    pub shard_mode: String,
    /// Shards in all.
    pub shard_number: u32,
    /// CREATING, RUNNING …
    pub status: String,
    /// When it was made, UNIX milliseconds.
    pub created: i64,
    /// Its data nodes.
    pub used_rds: Vec<UsedDataNodeRow>,
    /// The most shards on one data node.
    pub shard_unit: u32,
}

/// A data node of a schema.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UsedDataNodeRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `normal` or `abnormal`.
    pub status: String,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_msg: Option<String>,
}

/// Answer of the detail call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShowDatabaseResponse {
    /// The schema.
    pub database: Database,
}

/// A schema in detail.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// When it was made, UNIX milliseconds.
    pub created: i64,
    /// CREATING, RUNNING …
    pub status: String,
    /// When it last changed, UNIX milliseconds.
    pub updated: i64,
    /// Its shards.
    pub databases: Vec<DatabaseShard>,
    /// `cluster` or `single`.
    pub shard_mode: String,
    /// Shards in all.
    pub shard_number: u32,
    /// The most shards on one data node.
    pub shard_unit: u32,
    /// Where clients connect.
    #[serde(rename = "dataVips")]
    pub data_vips: Vec<String>,
    /// Its data nodes.
    pub used_rds: Vec<UsedDataNodeRow>,
}

/// A shard.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DatabaseShard {
    /// Its place, from 0.
    pub dbslot: u32,
    /// Its name.
    pub name: String,
    /// As the schema's.
    pub status: String,
    /// When it was made, UNIX milliseconds.
    pub created: i64,
    /// When it last changed, UNIX milliseconds.
    pub updated: i64,
    /// The data node that holds it.
    pub id: String,
    /// The physical database.
    #[serde(rename = "idName")]
    pub id_name: String,
}

/// An answer without content.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Empty {}
