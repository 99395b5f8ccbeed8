//! Statements that define tables and what belongs to them. Only what routing, DDL on physical
//! tables and the catalogue need is structured; the rest stays as spans.

use super::{Expr, Ident, Query, Span, TableName};

/// CREATE TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTable {
    /// TEMPORARY.
    pub temporary: bool,
    /// OR REPLACE.
    pub or_replace: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// The name.
    pub name: TableName,
    /// `LIKE other`.
    pub like: Option<TableName>,
    /// Columns.
    pub columns: Vec<ColumnDef>,
    /// Keys and checks written as items of their own.
    pub constraints: Vec<TableConstraint>,
    /// The definition list, parentheses included.
    pub body_span: Option<Span>,
    /// Table options.
    pub options: Vec<TableOption>,
    /// PARTITION BY … of the data node itself.
    pub partition: Option<Span>,
    /// DBPARTITION BY …, BROADCAST: to be cut out of what a data node gets.
    pub sharding: Option<ShardingClause>,
    /// AS SELECT.
    pub query: Option<Box<Query>>,
    /// The whole statement.
    pub span: Span,
}

/// A column's definition.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDef {
    /// The name.
    pub name: Ident,
    /// The type.
    pub ty: DataType,
    /// `Some(false)` NOT NULL, `Some(true)` NULL, None when neither is written.
    pub nullable: Option<bool>,
    /// AUTO_INCREMENT: where the word stands.
    pub auto_increment: Option<Span>,
    /// \[PRIMARY\] KEY.
    pub primary_key: bool,
    /// UNIQUE \[KEY\].
    pub unique: bool,
    /// DEFAULT's value.
    pub default: Option<Expr>,
    /// ON UPDATE's value.
    pub on_update: Option<Expr>,
    /// Token of COMMENT's string.
    pub comment_tok: Option<u32>,
    /// Generated column: its expression and whether it is stored.
    pub generated: Option<(Expr, bool)>,
    /// CHECK.
    pub checks: Vec<Expr>,
    /// REFERENCES.
    pub references: Option<TableName>,
    /// The whole definition.
    pub span: Span,
}

/// A column's type.
#[derive(Clone, Debug, PartialEq)]
pub struct DataType {
    /// The type.
    pub kind: TypeKind,
    /// Numbers in parentheses: length or precision, then scale.
    pub length: Option<u64>,
    /// Scale.
    pub scale: Option<u64>,
    /// Values of ENUM and SET: tokens.
    pub values: Vec<u32>,
    /// UNSIGNED (SERIAL and ZEROFILL imply it).
    pub unsigned: bool,
    /// ZEROFILL.
    pub zerofill: bool,
    /// CHARACTER SET.
    pub charset: Option<Ident>,
    /// COLLATE.
    pub collation: Option<Ident>,
    /// The whole type with its attributes.
    pub span: Span,
}

/// Types, synonyms resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum TypeKind {
    TinyInt,
    SmallInt,
    MediumInt,
    Int,
    BigInt,
    Decimal,
    Float,
    Double,
    Bit,
    Date,
    Time,
    DateTime,
    Timestamp,
    Year,
    Char,
    VarChar,
    Binary,
    VarBinary,
    TinyText,
    Text,
    MediumText,
    LongText,
    TinyBlob,
    Blob,
    MediumBlob,
    LongBlob,
    Enum,
    Set,
    Json,
    Geometry,
    Uuid,
    Inet4,
    Inet6,
    Vector,
    /// SERIAL: BIGINT UNSIGNED NOT NULL AUTO_INCREMENT UNIQUE.
    Serial,
    /// No type written (`CREATE TABLE … (PRIMARY KEY …) AS SELECT`, or an unknown word).
    Other,
}

impl TypeKind {
    /// TINYINT … BIGINT and SERIAL.
    #[must_use]
    pub fn is_integer(self) -> bool {
        use TypeKind::{BigInt, Int, MediumInt, Serial, SmallInt, TinyInt};
        matches!(self, TinyInt | SmallInt | MediumInt | Int | BigInt | Serial)
    }

    /// CHAR, VARCHAR and the TEXT family.
    #[must_use]
    pub fn is_text(self) -> bool {
        use TypeKind::{Char, LongText, MediumText, Text, TinyText, VarChar};
        matches!(self, Char | VarChar | TinyText | Text | MediumText | LongText)
    }
}

/// A key or check.
#[derive(Clone, Debug, PartialEq)]
pub struct TableConstraint {
    /// Which.
    pub kind: ConstraintKind,
    /// Name of the constraint or index.
    pub name: Option<Ident>,
    /// Key parts.
    pub parts: Vec<KeyPart>,
    /// FOREIGN KEY … REFERENCES.
    pub references: Option<TableName>,
    /// CHECK's condition.
    pub check: Option<Expr>,
    /// The whole item.
    pub span: Span,
}

/// Kinds of keys and checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConstraintKind {
    /// PRIMARY KEY
    Primary,
    /// UNIQUE
    Unique,
    /// INDEX, KEY
    Index,
    /// FULLTEXT
    Fulltext,
    /// SPATIAL
    Spatial,
    /// FOREIGN KEY
    ForeignKey,
    /// CHECK
    Check,
    /// PERIOD FOR (MariaDB)
    Period,
}

/// One part of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyPart {
    /// The column, unless the part is an expression.
    pub column: Option<Ident>,
    /// The expression of a functional part.
    pub expr: Option<Expr>,
    /// Prefix length.
    pub length: Option<u64>,
    /// DESC.
    pub desc: bool,
}

/// A table option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableOption {
    /// Which, when it matters here.
    pub kind: OptionKind,
    /// The value's text, quotes included.
    pub value: Span,
    /// The value's token (first, when it is a list).
    pub value_tok: u32,
    /// Name to value.
    pub span: Span,
}

/// Options that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OptionKind {
    /// AUTO_INCREMENT
    AutoIncrement,
    /// \[DEFAULT\] CHARACTER SET
    Charset,
    /// \[DEFAULT\] COLLATE
    Collate,
    /// ENGINE
    Engine,
    /// COMMENT
    Comment,
    /// UNION (t, …)
    Union,
    /// DATA DIRECTORY, INDEX DIRECTORY, TABLESPACE
    Placement,
    /// Everything else
    Other,
}

/// DBPARTITION BY … or BROADCAST.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardingClause {
    /// The rule.
    pub rule: ShardingRule,
    /// The whole clause.
    pub span: Span,
}

/// How a table's rows are spread.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // One a CREATE TABLE: a box would save nothing.
pub enum ShardingRule {
    /// In one shard, in ALTER TABLE alone: `SINGLE`.
    Single,
    /// A copy on every shard.
    Broadcast,
    /// By functions of columns.
    Partition {
        /// DBPARTITION BY: which shard.
        db: PartitionFn,
        /// TBPARTITION BY: which table in the shard.
        tb: Option<PartitionFn>,
        /// TBPARTITIONS: how many tables in each shard.
        tb_count: Option<u64>,
    },
}

/// One sharding function as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionFn {
    /// Its name: RANGE, HASH, MOD_HASH, ….
    pub name: Ident,
    /// A date function around the column: YEAR, MONTH, WEEKOFYEAR, DAY.
    pub wrap: Option<Ident>,
    /// The sharding key.
    pub column: Ident,
    /// The second argument (RIGHT_SHIFT's bits).
    pub arg: Option<u64>,
    /// `{ low-high=shard, …}` of RANGE.
    pub ranges: Vec<RangeItem>,
    /// `default=shard` of RANGE.
    pub default: Option<u64>,
    /// Name to the closing parenthesis or brace.
    pub span: Span,
}

/// One item of RANGE's list; both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeItem {
    /// First value.
    pub low: i64,
    /// Last value.
    pub high: i64,
    /// Index of the shard.
    pub shard: u64,
}

/// ALTER TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterTable {
    /// IGNORE (old) .
    pub ignore: bool,
    /// IF EXISTS (MariaDB).
    pub if_exists: bool,
    /// The table.
    pub name: TableName,
    /// What is changed, in order.
    pub actions: Vec<AlterAction>,
    /// The whole statement.
    pub span: Span,
}

/// One change of ALTER TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterAction {
    /// Which.
    pub kind: AlterKind,
    /// The whole action.
    pub span: Span,
}

/// Kinds of change.
#[derive(Clone, Debug, PartialEq)]
pub enum AlterKind {
    /// ADD \[COLUMN\]
    AddColumns(Vec<ColumnDef>),
    /// ADD INDEX, ADD PRIMARY KEY, ADD FOREIGN KEY, ADD CHECK …
    AddConstraint(TableConstraint),
    /// DROP \[COLUMN\]
    DropColumn(Ident),
    /// DROP INDEX | KEY
    DropIndex(Ident),
    /// DROP PRIMARY KEY
    DropPrimaryKey,
    /// DROP FOREIGN KEY, CONSTRAINT, CHECK
    DropConstraint(Ident),
    /// MODIFY
    ModifyColumn(Box<ColumnDef>),
    /// CHANGE
    ChangeColumn {
        /// The old name.
        from: Ident,
        /// The new definition.
        to: Box<ColumnDef>,
    },
    /// ALTER \[COLUMN\] … SET DEFAULT, DROP DEFAULT, SET INVISIBLE
    AlterColumn(Ident),
    /// ALTER INDEX … \[IN\]VISIBLE
    AlterIndex(Ident),
    /// ALTER CHECK, ALTER CONSTRAINT
    AlterConstraint(Ident),
    /// RENAME COLUMN
    RenameColumn(Ident, Ident),
    /// RENAME INDEX
    RenameIndex(Ident, Ident),
    /// RENAME \[TO\]
    RenameTo(TableName),
    /// CONVERT TO CHARACTER SET
    ConvertCharset {
        /// The character set (None: DEFAULT).
        charset: Option<Ident>,
        /// The collation.
        collation: Option<Ident>,
    },
    /// A table option.
    Option(TableOption),
    /// ALGORITHM =
    Algorithm(Ident),
    /// LOCK =
    Lock(Ident),
    /// ORDER BY
    OrderBy,
    /// ENABLE KEYS, DISABLE KEYS, FORCE, WITH VALIDATION …
    Maintenance,
    /// DISCARD or IMPORT TABLESPACE
    Tablespace,
    /// A partition operation or PARTITION BY of the data node itself.
    Partition(PartitionAction),
    /// DBPARTITION BY, BROADCAST: change of the sharding.
    Sharding(ShardingClause),
    /// System versioning and the like.
    Other,
}

/// Operations on a table's own partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionAction {
    /// Which.
    pub kind: PartitionActionKind,
    /// The other table of EXCHANGE PARTITION.
    pub exchange: Option<TableName>,
}

/// Kinds of partition operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum PartitionActionKind {
    Add,
    Drop,
    Truncate,
    Coalesce,
    Reorganize,
    Exchange,
    Analyze,
    Check,
    Optimize,
    Rebuild,
    Repair,
    Discard,
    Import,
    Convert,
    /// PARTITION BY
    By,
    /// REMOVE PARTITIONING
    Remove,
}

/// DROP TABLE, DROP VIEW.
#[derive(Clone, Debug, PartialEq)]
pub struct DropTable {
    /// TEMPORARY.
    pub temporary: bool,
    /// IF EXISTS.
    pub if_exists: bool,
    /// The tables.
    pub names: Vec<TableName>,
}

/// CREATE INDEX.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateIndex {
    /// UNIQUE, FULLTEXT, SPATIAL or a plain one; with the index's name and parts.
    pub index: TableConstraint,
    /// OR REPLACE (MariaDB).
    pub or_replace: bool,
    /// IF NOT EXISTS (MariaDB).
    pub if_not_exists: bool,
    /// The table.
    pub table: TableName,
    /// The whole statement.
    pub span: Span,
}

/// DROP INDEX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropIndex {
    /// The index.
    pub name: Ident,
    /// IF EXISTS (MariaDB).
    pub if_exists: bool,
    /// The table.
    pub table: TableName,
}

/// CREATE, ALTER, DROP DATABASE.
#[derive(Clone, Debug, PartialEq)]
pub struct DatabaseStmt {
    /// Which.
    pub action: DdlAction,
    /// OR REPLACE
    pub or_replace: bool,
    /// IF EXISTS, IF NOT EXISTS.
    pub if_clause: bool,
    /// The schema; ALTER may leave it out.
    pub name: Option<Ident>,
    /// CHARACTER SET and COLLATE.
    pub options: Vec<TableOption>,
}

/// CREATE, ALTER or DROP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DdlAction {
    /// CREATE
    Create,
    /// ALTER
    Alter,
    /// DROP
    Drop,
    /// FRESH ALL SEQUENCE START VALUE
    FreshAll,
}

/// CREATE or ALTER VIEW.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateView {
    /// ALTER VIEW.
    pub alter: bool,
    /// OR REPLACE.
    pub or_replace: bool,
    /// IF NOT EXISTS (MariaDB).
    pub if_not_exists: bool,
    /// The name.
    pub name: TableName,
    /// Column names.
    pub columns: Vec<Ident>,
    /// The query.
    pub query: Box<Query>,
}

/// CREATE, ALTER, DROP SEQUENCE, FRESH ALL SEQUENCE START VALUE.
#[derive(Clone, Debug, PartialEq)]
pub struct SequenceStmt {
    /// Which.
    pub action: DdlAction,
    /// OR REPLACE.
    pub or_replace: bool,
    /// IF EXISTS, IF NOT EXISTS.
    pub if_clause: bool,
    /// The sequences; empty for FRESH ALL.
    pub names: Vec<TableName>,
    /// START \[WITH\] | RESTART \[WITH\].
    pub start: Option<i64>,
    /// INCREMENT \[BY\].
    pub increment: Option<i64>,
    /// CACHE.
    pub cache: Option<i64>,
    /// MINVALUE.
    pub min_value: Option<i64>,
    /// MAXVALUE.
    pub max_value: Option<i64>,
    /// CYCLE.
    pub cycle: Option<bool>,
}
