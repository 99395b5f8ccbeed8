//! LOAD DATA LOCAL. Into a single table the client's file goes as it comes. Into a sharded or
//! broadcast table it is cut into records, each is placed by its keys, and the records of one target
//! go there in a form of our own; what SET computes stays the data node's work, except for the
//! columns that place a row. What cannot be cut or placed so is loaded into a temporary table first.

pub mod charset;
mod make;
pub mod records;

pub(crate) use make::plan;

use crate::insert::{InsertHome, SequenceUse};
use crate::plan::PlanTable;
use crate::scratch_write::ScratchInsertPlan;
use crate::template::Template;
use crate::value::ValueRef;
use charset::Charset;
use records::Format;
use std::sync::Arc;

/// LOAD DATA LOCAL into a table.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// The table, first, and those of sub-queries.
    pub tables: Arc<[PlanTable]>,
    /// The logical schema.
    pub schema: String,
    /// The file's name, for the client.
    pub file: Vec<u8>,
    /// How the file gets to the tables.
    pub way: LoadWay,
    /// The variables of the column list, and the field that each takes.
    pub variables: Vec<LoadVariable>,
    /// The file's character set.
    pub charset: Charset,
}

/// How a file gets to the tables.
#[derive(Clone, Debug)]
pub enum LoadWay {
    /// One place gets it as it comes.
    Whole {
        /// The shard.
        shard: u32,
        /// The statement.
        text: Template,
        /// The table has an AUTO_INCREMENT column.
        generates: bool,
    },
    /// Record by record.
    Split(Box<SplitLoad>),
    /// A temporary table gets it as it comes (the text of the plan's rows is that statement), and the
    /// rows that this makes go to their shards.
    Staged(Box<ScratchInsertPlan>),
}

/// A variable of the column list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadVariable {
    /// The client's name for it, without `@`.
    pub name: String,
    /// What data nodes get to see, so that no session's variables are touched: `` @`name` ``.
    pub own: Vec<u8>,
    /// The field that it takes.
    pub field: usize,
}

/// A file that is cut into records.
#[derive(Clone, Debug)]
pub struct SplitLoad {
    /// Where rows go.
    pub home: InsertHome,
    /// How the file is written.
    pub format: Format,
    /// How many fields a record has.
    pub width: usize,
    /// Lines at the beginning that are no records.
    pub skip_lines: u64,
    /// What each target gets: records with the `given` columns before their own fields, fields parted
    /// by tabs, lines ended by a newline, escaped by a backslash.
    pub text: Template,
    /// The columns that are written before the fields of the file, in order.
    pub given: Vec<LoadValue>,
    /// The field of the file that is left out, for it is among `given`.
    pub left_out: Option<usize>,
    /// The values of the router's key columns, in the order of its columns.
    pub keys: Vec<LoadKey>,
    /// The column that takes generated ids; the first of `given` then.
    pub sequence: Option<SequenceUse>,
    /// `SELECT …` of expressions whose values `given` needs, with each variable's place in it.
    pub evaluation: Vec<Evaluation>,
    /// Warnings that come first: number and text.
    pub notes: Vec<(u16, String)>,
}

/// A value that is written before the fields of the file.
#[derive(Clone, Debug, PartialEq)]
pub enum LoadValue {
    /// A generated id, unless this field of the file has one.
    Id(Option<usize>),
    /// The value of an [`Evaluation`].
    Evaluated(usize),
}

/// The value of a key column.
#[derive(Clone, Debug, PartialEq)]
pub enum LoadKey {
    /// A field of the file.
    Field(usize),
    /// A value of the statement.
    Value(ValueRef),
    /// The generated id, or what is given in its place.
    Id,
    /// The value of an [`Evaluation`].
    Evaluated(usize),
    /// The column's default: nothing is given.
    Default,
}

/// An expression that a data node computes for each record before the record can be placed.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Its text, in which a variable of the column list is `Piece::Text` and so one of `fields`.
    pub parts: Vec<EvaluationPart>,
}

/// A part of an expression's text.
#[derive(Clone, Debug, PartialEq)]
pub enum EvaluationPart {
    /// Rendered as it is.
    Text(Template),
    /// The value of a field of the record.
    Field(usize),
}
