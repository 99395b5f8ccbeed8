//! INSERT and REPLACE. Listed rows are split by shard: each part is the statement's own text with
//! the rows of one target, generated ids written in. Rows that come from a query are placed one by
//! one as they arrive.

mod chunks;
mod make;
mod scratch;
mod split;
mod told_id;

pub(crate) use make::updates::has_groups;
pub(crate) use make::{bind, plan};
pub use split::{as_id, asks_for_id};
pub use told_id::{Told, ToldId};

use crate::plan::{PlanTable, RoutedPlan};
use crate::route::Router;
use crate::scratch_write::InsertVerb;
use crate::template::{Template, TokenRange};
use crate::value::ValueRef;
use std::sync::Arc;
use topology::algorithm::Target;

/// INSERT or REPLACE of listed rows into a sharded or broadcast table (one into a single table is a
/// [`RoutedPlan`]).
///
/// To run it: evaluate `evaluation` on any data node if there is one, put its row into
/// [`crate::value::Values::evaluated`]; ask [`InsertPlan::ids_needed`] and take so many ids from the
/// table's sequence; [`InsertPlan::split`]; render and send each part.
#[derive(Clone, Debug)]
pub struct InsertPlan {
    /// The table, first, and those of sub-queries in it.
    pub tables: Arc<[PlanTable]>,
    /// The logical schema.
    pub schema: String,
    /// Where rows go.
    pub home: InsertHome,
    /// `SELECT expr, …` of expressions that must be known before the rows can be placed, or must be
    /// the same in all copies. Rendered without tables.
    pub evaluation: Option<Template>,
    /// Which of these are for a DATE, DATETIME or TIMESTAMP: a TIME becomes one of today.
    pub evaluated_dates: Vec<u32>,
    /// The rows.
    pub rows: Vec<InsertRowPlan>,
    /// The column that takes generated ids.
    pub sequence: Option<SequenceUse>,
    /// Head, row and tail edits, by token; rendered by [`InsertPlan::render`].
    pub text: Template,
    /// What it does with rows that are there already.
    pub verb: InsertVerb,
    /// New values that ON DUPLICATE KEY UPDATE gives to key columns are the inserted ones
    /// (`k = VALUES(k)`), which is allowed; for EXPLAIN.
    pub updates_on_duplicate: bool,
    /// Some value is DEFAULT: what a server says of it, it says of each row.
    pub gives_defaults: bool,
}

/// Where inserted rows go.
#[derive(Clone, Debug, PartialEq)]
pub enum InsertHome {
    /// Each row by its key.
    Sharded(Router),
    /// All rows to all shards.
    Everywhere {
        /// How many shards.
        shards: u32,
    },
    /// All rows to one shard.
    Shard {
        /// The shard.
        shard: u32,
    },
}

/// One listed row.
#[derive(Clone, Debug, PartialEq)]
pub struct InsertRowPlan {
    /// Its tokens, brackets included.
    pub tokens: TokenRange,
    /// The values of the router's key columns, in the order of [`Router::columns`]; empty for
    /// broadcast tables.
    pub keys: Vec<InsertValue>,
    /// The value given for the sequence column; `None` when there is no sequence.
    pub sequence: Option<InsertValue>,
    /// It is `(…)` of values that a query without tables can give as well: no DEFAULT, no column.
    pub free: bool,
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum InsertValue {
    /// This value.
    Given(ValueRef),
    /// The generated id of the row: the column is missing, NULL or DEFAULT is written.
    Generated,
    /// A value that is the generated id when it turns out NULL or 0.
    GeneratedIfEmpty(ValueRef),
}

/// The column that takes generated ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceUse {
    /// The table's name, which is the sequence's.
    pub table: String,
    /// The column.
    pub column: String,
    /// The highest id that the column can hold.
    pub max: u64,
    /// The column was declared NULL: a NULL that is given stays one.
    pub keeps_null: bool,
}

/// The rows of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsertPart {
    /// Where.
    pub target: Target,
    /// Which rows, by number.
    pub rows: Vec<u32>,
}

/// INSERT or REPLACE of a query's rows.
///
/// To run it: run `source`; for each row of it, [`RowPlacer::place`]; write
/// `head (literals), … tail` to each target.
#[derive(Clone, Debug)]
pub struct InsertSelectPlan {
    /// The query; its templates cover the query's tokens alone.
    pub source: RoutedPlan,
    /// Where its rows go.
    pub placer: RowPlacer,
    /// The table; `Piece::Table(0)` of `head` and `tail`.
    pub tables: Arc<[PlanTable]>,
    /// `INSERT … INTO table (columns) VALUES `.
    pub head: Template,
    /// ` ON DUPLICATE KEY UPDATE …`, or nothing.
    pub tail: Template,
    /// What it does with rows that are there already.
    pub verb: InsertVerb,
    /// There is an ON DUPLICATE KEY UPDATE.
    pub updates_on_duplicate: bool,
    /// The statement lists columns.
    pub lists_columns: bool,
}

/// Places rows that are known as values.
#[derive(Clone, Debug)]
pub struct RowPlacer {
    /// The logical schema.
    pub schema: String,
    /// Where rows go.
    pub home: InsertHome,
    /// How many columns a row of the query must have.
    pub width: u32,
    /// For each key column of the router, its place in the row; `None`: it is the generated id.
    pub key_positions: Vec<Option<u32>>,
    /// The sequence column.
    pub sequence: Option<PlacedSequence>,
}

/// A generated id in a query's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedSequence {
    /// Which sequence.
    pub of: SequenceUse,
    /// The id's place in the row; `None`: it is appended after the row's values.
    pub position: Option<u32>,
}
