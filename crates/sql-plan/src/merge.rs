//! How the answers of several shards become one. Stages run in the order of the fields: input
//! streams are each sorted by `order`, equal neighbours are grouped, groups are filtered, sorted
//! again where their order needs the finished aggregates, made distinct, cut, and the hidden columns
//! go. What is compared was decided by the data node: texts bring their WEIGHT_STRING along.

pub(crate) mod build;

use crate::value::ValueRef;

/// How answers become one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merge {
    /// For UPDATE and DELETE: counts are added up, there are no rows. All else is empty then.
    pub counts_only: bool,
    /// How many columns at the end of each row are not the client's.
    pub hidden: u32,
    /// Each stream is sorted so; streams are merged so. Empty: rows in any order.
    pub order: Vec<OrderKey>,
    /// Rows with equal group keys become one.
    pub group: Option<Group>,
    /// Which groups stay.
    pub having: Option<Having>,
    /// Groups are sorted so after grouping. Empty: they stay as they come.
    pub sort: Vec<OrderKey>,
    /// Neighbours with equal keys are dropped but for the first. The streams are sorted so that
    /// equal rows are neighbours.
    pub distinct: Vec<SortKey>,
    /// Columns of type FLOAT with the same value as DOUBLE: the text of a FLOAT shows fewer digits than
    /// it has, which counts where it is sent in binary.
    pub exact: Vec<(ColumnAt, ColumnAt)>,
    /// SQL_CALC_FOUND_ROWS: rows beyond the limit are counted.
    pub counts_found: bool,
    /// How many rows are returned.
    pub limit: Option<ValueRef>,
    /// How many rows are skipped before.
    pub offset: Option<ValueRef>,
}

/// A column of a shard's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnAt {
    /// The client's column of this number.
    Visible(u32),
    /// The hidden column of this number, counted from the first hidden one.
    Hidden(u32),
}

/// What two rows are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SortKey {
    /// The value; compared as number, decimal or time by the column's type.
    pub value: ColumnAt,
    /// Its WEIGHT_STRING, when the value can be a text. If it is (by the column's type), this is
    /// compared instead: as if the shorter were padded with the collation's space weight for PAD
    /// SPACE collations, as plain bytes for NO PAD ones and for binary strings. NULL value: NULL.
    pub weight: Option<ColumnAt>,
}

/// A key with its direction. NULL is lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OrderKey {
    /// What is compared.
    pub key: SortKey,
    /// Descending.
    pub desc: bool,
}

/// Grouping.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// Rows equal in all of these are one group; none: all rows are one group. They are the leading
    /// `order` keys, so a group's rows are neighbours.
    pub keys: Vec<SortKey>,
    /// How each column that is not simply the first row's is made. Visible and hidden ones.
    pub aggregates: Vec<Aggregate>,
    /// The argument of the aggregates of distinct values. Shards send a row for each of its values in
    /// a group; the values follow the keys in `order`, so equal ones are neighbours.
    pub distinct: Vec<SortKey>,
    /// The answer's one row where no shard has any, for groups without keys whose shards then send
    /// none: NULL or a number for each of the client's columns.
    pub empty: Vec<Option<&'static str>>,
}

/// How one column of a group is made of its rows' columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The column.
    pub column: ColumnAt,
    /// How.
    pub kind: AggregateKind,
    /// Rows whose [`Group::distinct`] is that of the row before do not count.
    pub distinct: bool,
}

/// Kinds of aggregates.
#[derive(Clone, Debug, PartialEq)]
pub enum AggregateKind {
    /// Exact sum of the column (also COUNT); NULLs are skipped, all NULL is NULL. Doubles as doubles.
    Sum,
    /// Lowest or highest; NULLs are skipped.
    Extreme {
        /// MAX.
        max: bool,
        /// The WEIGHT_STRING of the column in the same row, when it can be a text.
        weight: Option<ColumnAt>,
    },
    /// The sum of `sum` divided by the sum of `count`, to the scale of the column itself.
    Average {
        /// Sums.
        sum: ColumnAt,
        /// Counts.
        count: ColumnAt,
    },
    /// Bitwise AND of 64-bit values.
    BitAnd,
    /// Bitwise OR.
    BitOr,
    /// Bitwise XOR.
    BitXor,
}

/// A condition on finished groups. SQL's three values: a group stays when it is true.
#[derive(Clone, Debug, PartialEq)]
pub enum Having {
    /// All.
    And(Vec<Having>),
    /// Any.
    Or(Vec<Having>),
    /// A number compared with a value.
    Compare {
        /// The column; a number.
        column: ColumnAt,
        /// How.
        op: CompareOp,
        /// With what; a number. A parameter that is a text is read as a number, as the servers do
        /// beside a number.
        value: ValueRef,
    },
    /// IS \[NOT\] NULL.
    IsNull {
        /// The column.
        column: ColumnAt,
        /// IS NOT.
        not: bool,
    },
}

/// Comparisons of [`Having`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `=`
    Eq,
    /// `<>`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}
