//! The snapshot: what a node needs to serve, immutable once made. The control plane makes version
//! N+1 from its store, nodes swap it whole; nothing in it is changed in place.

use crate::access::{AccessList, AccessRule};
use crate::account::Account;
use crate::parameters::Parameters;
use crate::recycle::Recycled;
use base::id::{DataNodeId, InstanceId, NodeId};
use base::secret::Secret;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The form of the document; a node refuses one that is newer than it knows.
pub const SNAPSHOT_FORM: u32 = 1;

/// Everything that a node of one instance needs to serve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SNAPSHOT_FORM`] of the writer.
    pub form: u32,
    /// Grows with every change of anything in it; the store's revision.
    pub version: u64,
    /// The instance.
    pub instance_id: InstanceId,
    /// The instance's name, for texts.
    pub instance_name: String,
    /// Data nodes by id.
    pub data_nodes: BTreeMap<DataNodeId, DataNode>,
    /// Schemas by name (lower case).
    pub schemas: BTreeMap<String, Schema>,
    /// Accounts by name (case-sensitive), the administrator among them.
    pub accounts: BTreeMap<String, Account>,
    /// The instance's parameters.
    pub parameters: Parameters,
    /// How many nodes the instance has: they share what a data node allows.
    #[serde(default)]
    pub node_count: u32,
    /// Each node's number within the instance, with which its connection ids begin.
    #[serde(default)]
    pub node_numbers: BTreeMap<NodeId, u32>,
    /// Nodes of read-only groups: they read replicas and take no writes.
    pub read_only_nodes: BTreeSet<NodeId>,
    /// Who may connect; a client that no rule allows is turned away. `None`: everybody may.
    pub client_access: Option<Vec<AccessRule>>,
    /// Nodes of groups with an access list that is switched on: whoever it does not allow is turned
    /// away by them too.
    #[serde(default)]
    pub access_lists: BTreeMap<NodeId, AccessList>,
    /// The time zone that sessions begin with, an offset as SQL has it: `+08:00`. `None`: that of the
    /// data nodes.
    pub time_zone: Option<String>,
}

/// A data node with what a DDM node needs to use it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataNode {
    /// Its id.
    pub id: DataNodeId,
    /// Its name, for texts.
    pub name: String,
    /// Where the primary listens.
    pub host: String,
    /// The primary's port.
    pub port: u16,
    /// The version that the server reports, for example `10.11.6-MariaDB-log`.
    pub server_version: String,
    /// The account that the instance uses there.
    pub user: String,
    /// That account's password.
    pub password: Secret,
    /// The primary's share of reads, 0–100.
    pub read_weight: u32,
    /// Read replicas.
    pub replicas: Vec<Replica>,
}

/// A read replica of a data node; its account is the data node's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replica {
    /// Its id.
    pub id: DataNodeId,
    /// Where it listens.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its share of reads, 0–100.
    pub read_weight: u32,
}

/// Whether a schema's tables can be sharded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShardMode {
    /// Sharded over one or more data nodes.
    Cluster,
    /// One shard on one data node.
    Single,
}

/// A logical database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// Its name, lower case.
    pub name: String,
    /// Cluster or single.
    pub mode: ShardMode,
    /// False while it is being made or deleted: statements are refused.
    pub ready: bool,
    /// The default character set of its tables.
    pub character_set: String,
    /// The default collation of its tables.
    pub collation: String,
    /// Shards in order: `shards[i].index == i`.
    pub shards: Vec<Shard>,
    /// Tables by name (lower case).
    pub tables: BTreeMap<String, Table>,
    /// Dropped tables that are kept, by their names in the recycle bin (lower case).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub recycled: BTreeMap<String, Table>,
}

/// A physical database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Its place among the schema's shards, from 0.
    pub index: u32,
    /// The physical database, `<schema>_<4 digits>`.
    pub database: String,
    /// The data node that holds it.
    pub data_node: DataNodeId,
}

/// Digits behind the name of a physical database, at least.
pub const DATABASE_DIGITS: usize = 4;

/// The name of a schema's physical database number `index`.
pub fn physical_database(schema: &str, index: u32) -> String {
    format!("{schema}_{index:0DATABASE_DIGITS$}")
}

/// A logical table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Its name as created (shown as such; names compare without case).
    pub name: String,
    /// How its rows are placed.
    pub placement: Placement,
    /// Columns in order.
    pub columns: Vec<Column>,
    /// Columns of the primary key, in order.
    pub primary_key: Vec<String>,
    /// Column lists of the unique keys other than the primary key.
    pub unique_keys: Vec<Vec<String>>,
    /// The column that takes its values from the table's global sequence (sharded and broadcast
    /// tables; a single table has its data node's own AUTO_INCREMENT).
    pub sequence_column: Option<String>,
    /// Grows with every DDL on the table.
    pub definition_version: u64,
    /// What it shows, when it is a view.
    #[serde(default)]
    pub view: Option<Box<View>>,
    /// What its physical tables are called, before their numbers; `None`: like the table. A table
    /// whose placement was changed has new physical tables beside those that it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physical_base: Option<String>,
    /// Statements that begin now wait for a later definition: rows are about to be served from
    /// elsewhere. Transactions that use the table already go on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub frozen: bool,
    /// What it was, when it is in the recycle bin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recycled: Option<Box<Recycled>>,
}

/// A view. It has a physical counterpart in the schema's first shard, which tells its columns; where
/// not all that it reads is there, that counterpart is never read: a statement gets its query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The query: every column named, every table under its schema, in logical names. Empty until
    /// a data node has told it.
    pub query: String,
    /// All that it reads is in the schema's first shard alone: it is served there as it is.
    pub native: bool,
    /// WITH CHECK OPTION.
    pub check_option: bool,
    /// SHOW CREATE VIEW's words up to the view's name.
    pub head: String,
}

/// How a table's rows are placed on the shards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Placement {
    /// In the first shard alone.
    Single,
    /// A full copy in every shard.
    Broadcast,
    /// By rule.
    Sharded(ShardingRule),
}

/// The rule of a sharded table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardingRule {
    /// Key → shard.
    pub database: KeyRule,
    /// Key → table inside the shard, when there is more than one.
    pub table: Option<KeyRule>,
    /// Physical tables in each shard; 1 without a table rule.
    pub tables_per_shard: u32,
}

/// One column and the algorithm on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRule {
    /// The key column's name, as in the table.
    pub column: String,
    /// The algorithm.
    pub algorithm: Algorithm,
}

/// The twelve sharding algorithms, with their arguments. HASH and RANGE may wrap their column in a
/// date function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Algorithm {
    /// CRC32 of the value's text in 102,400 slots, cut into equal ranges.
    Hash {
        /// The function around the column.
        date_part: Option<DatePart>,
    },
    /// The value, or its string hash, modulo.
    ModHash,
    /// The same on the upper-cased string.
    ModHashCi,
    /// Listed value ranges.
    Range {
        /// The function around the column.
        date_part: Option<DatePart>,
        /// `from..=to → shard`, in the order written.
        ranges: Vec<ValueRange>,
        /// The shard of values outside all ranges.
        default: Option<u32>,
    },
    /// The value shifted right, modulo.
    RightShift {
        /// How many bits.
        bits: u32,
    },
    /// Year and month.
    #[serde(rename = "yyyymm")]
    YyyyMm,
    /// Year and day of the year.
    #[serde(rename = "yyyydd")]
    YyyyDd,
    /// ISO week-year and week.
    #[serde(rename = "yyyyweek")]
    YyyyWeek,
    /// Month (tables only).
    Mm,
    /// Day of the month (tables only).
    Dd,
    /// Day of the year (tables only).
    #[serde(rename = "mmdd")]
    MmDd,
    /// Day of the week, Sunday = 1 (tables only).
    Week,
}

/// A date function that HASH and RANGE may put around their column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatePart {
    /// `year(c)`
    Year,
    /// `month(c)`
    Month,
    /// `weekofyear(c)`
    WeekOfYear,
    /// `day(c)`
    Day,
}

/// One range of RANGE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueRange {
    /// First value.
    pub from: i64,
    /// Last value.
    pub to: i64,
    /// Where its rows lie.
    pub shard: u32,
}

/// A column, as much of it as routing, merging and INSERT need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name as created.
    pub name: String,
    /// Its type as information_schema's COLUMN_TYPE gives it, lower case: `bigint(20) unsigned`.
    pub column_type: String,
    /// Its class, from the type.
    pub class: ColumnClass,
    /// Its collation, for text.
    pub collation: Option<String>,
    /// NULL is allowed.
    pub nullable: bool,
    /// Declared AUTO_INCREMENT.
    pub auto_increment: bool,
    /// Generated (its value cannot be given).
    pub generated: bool,
    /// Left out by `SELECT *` and by INSERT without a column list.
    pub invisible: bool,
    /// It has a default, or may be NULL, so INSERT may leave it out.
    pub has_default: bool,
}

/// What the values of a column are, as far as routing and merging treat them differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnClass {
    /// TINYINT … BIGINT (and YEAR, BOOL).
    Integer,
    /// The same, UNSIGNED.
    UnsignedInteger,
    /// DECIMAL; `scale` digits after the point.
    Decimal {
        /// Digits after the point.
        scale: u8,
    },
    /// FLOAT, DOUBLE.
    Float,
    /// CHAR, VARCHAR, TEXT, ENUM, SET, JSON.
    Text,
    /// BINARY, VARBINARY, BLOB.
    Binary,
    /// DATE.
    Date,
    /// DATETIME, TIMESTAMP.
    DateTime,
    /// TIME.
    Time,
    /// BIT.
    Bit,
    /// Anything else (spatial …).
    Other,
}

impl Snapshot {
    /// The schema of this name (any case).
    pub fn schema(&self, name: &str) -> Option<&Schema> {
        self.schemas.get(&name.to_lowercase())
    }
}

impl Schema {
    /// The table of this name (any case).
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(&name.to_lowercase())
    }

    /// How many shards it has.
    pub fn shard_count(&self) -> u32 {
        u32::try_from(self.shards.len()).expect("a schema has at most 64 × 256 shards")
    }
}

impl Table {
    /// The column of this name (any case) and its position.
    pub fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns.iter().enumerate().find(|(_, column)| column.name.eq_ignore_ascii_case(name))
    }

    /// A view that no one data node can answer.
    pub fn expanded_view(&self) -> Option<&View> {
        self.view.as_deref().filter(|view| !view.native)
    }

    /// The name of its physical table number `suffix` inside a shard. Only tables with a table rule
    /// have suffixes.
    pub fn physical_name(&self, suffix: u32) -> String {
        let base = self.physical_base();
        match &self.placement {
            Placement::Sharded(ShardingRule { table: Some(_), .. }) => format!("{base}_{suffix}"),
            _ => base.to_owned(),
        }
    }

    /// What its physical tables are called, before their numbers.
    pub fn physical_base(&self) -> &str {
        self.physical_base.as_deref().unwrap_or(&self.name)
    }
}
