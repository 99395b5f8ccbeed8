//! Statements that change rows.

use super::{
    ColumnRef, Expr, Ident, Limit, OrderItem, Query, SelectItem, Span, TableExpr, TableName,
    TableRef, With,
};

/// INSERT or REPLACE.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// REPLACE.
    pub replace: bool,
    /// IGNORE.
    pub ignore: bool,
    /// DELAYED.
    pub delayed: bool,
    /// The table.
    pub table: TableName,
    /// PARTITION (…).
    pub partitions: Vec<Ident>,
    /// The column list as written; empty when none (see `has_columns`).
    pub columns: Vec<ColumnRef>,
    /// Whether a column list was written, `()` included.
    pub has_columns: bool,
    /// The list's parentheses included; without a list, the empty range where it would stand.
    pub columns_span: Span,
    /// The rows.
    pub source: InsertSource,
    /// `AS alias (columns)` after the rows.
    pub row_alias: Option<(Ident, Vec<Ident>)>,
    /// ON DUPLICATE KEY UPDATE.
    pub on_duplicate: Vec<Assignment>,
    /// From `ON` to the end.
    pub on_duplicate_span: Option<Span>,
    /// RETURNING.
    pub returning: Vec<SelectItem>,
    /// From `RETURNING` to the end.
    pub returning_span: Option<Span>,
    /// The whole statement.
    pub span: Span,
}

/// Where inserted rows come from.
#[derive(Clone, Debug, PartialEq)]
pub enum InsertSource {
    /// `VALUES (…), (…)`.
    Values {
        /// The rows.
        rows: Vec<InsertRow>,
        /// From `VALUES` to the last row.
        span: Span,
    },
    /// `SET a = 1, …`.
    Set {
        /// The assignments.
        assignments: Vec<Assignment>,
        /// From `SET` to the last assignment.
        span: Span,
    },
    /// A query, possibly in parentheses.
    Query(Box<Query>),
}

/// One row of VALUES.
#[derive(Clone, Debug, PartialEq)]
pub struct InsertRow {
    /// What stands in it.
    pub values: RowValues,
    /// Parentheses (and ROW) included.
    pub span: Span,
    /// Its first token.
    pub first: u32,
    /// Its last token, the closing parenthesis.
    pub last: u32,
}

/// What stands in a row of VALUES.
#[derive(Clone, Debug, PartialEq)]
pub enum RowValues {
    /// Expressions; DEFAULT is [`super::ExprKind::Default`].
    Exprs(Vec<Expr>),
    /// So many constants, each a literal's one token, perhaps with a minus before it: most rows of
    /// long statements, of which no tree is made ([`InsertRow::constant`]).
    Constants(u32),
}

/// `column = value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The column.
    pub column: ColumnRef,
    /// The value.
    pub value: Expr,
    /// The whole assignment.
    pub span: Span,
}

/// UPDATE.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// WITH.
    pub with: Option<With>,
    /// IGNORE.
    pub ignore: bool,
    /// The tables: one plain [`TableExpr::Table`] for the single-table form.
    pub tables: Vec<TableExpr>,
    /// SET.
    pub assignments: Vec<Assignment>,
    /// From `SET` to the last assignment.
    pub set_span: Span,
    /// WHERE's condition.
    pub selection: Option<Expr>,
    /// From `WHERE` to the end of the condition.
    pub where_span: Option<Span>,
    /// ORDER BY.
    pub order_by: Vec<OrderItem>,
    /// From `ORDER` to the last item.
    pub order_span: Option<Span>,
    /// LIMIT.
    pub limit: Option<Limit>,
    /// The whole statement.
    pub span: Span,
}

impl Update {
    /// The table of the single-table form.
    #[must_use]
    pub fn single_table(&self) -> Option<&TableRef> {
        match self.tables.as_slice() {
            [TableExpr::Table(table)] => Some(table),
            _ => None,
        }
    }
}

/// DELETE.
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// WITH.
    pub with: Option<With>,
    /// IGNORE.
    pub ignore: bool,
    /// Targets of the multi-table form (names or aliases; `.*` is dropped); empty for one table.
    pub targets: Vec<TableName>,
    /// The tables: one plain [`TableExpr::Table`] for the single-table form.
    pub tables: Vec<TableExpr>,
    /// WHERE's condition.
    pub selection: Option<Expr>,
    /// From `WHERE` to the end of the condition.
    pub where_span: Option<Span>,
    /// ORDER BY.
    pub order_by: Vec<OrderItem>,
    /// From `ORDER` to the last item.
    pub order_span: Option<Span>,
    /// LIMIT.
    pub limit: Option<Limit>,
    /// RETURNING.
    pub returning: Vec<SelectItem>,
    /// From `RETURNING` to the end.
    pub returning_span: Option<Span>,
    /// The whole statement.
    pub span: Span,
}

impl Delete {
    /// The table of the single-table form.
    #[must_use]
    pub fn single_table(&self) -> Option<&TableRef> {
        match (self.targets.is_empty(), self.tables.as_slice()) {
            (true, [TableExpr::Table(table)]) => Some(table),
            _ => None,
        }
    }
}

/// LOAD DATA or LOAD XML.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// LOAD XML.
    pub xml: bool,
    /// LOCAL.
    pub local: bool,
    /// LOW_PRIORITY or CONCURRENT.
    pub priority: Option<Span>,
    /// Token of the file's name.
    pub file_tok: u32,
    /// What happens to rows whose key is there already.
    pub duplicates: LoadDuplicates,
    /// The table.
    pub table: TableName,
    /// PARTITION (…).
    pub partitions: Vec<Ident>,
    /// CHARACTER SET.
    pub charset: Option<Ident>,
    /// String tokens of FIELDS and LINES.
    pub format: LoadFormat,
    /// Token of the number in `IGNORE n LINES`.
    pub ignore_lines: Option<u32>,
    /// Columns and user variables, in order.
    pub columns: Vec<Expr>,
    /// SET.
    pub assignments: Vec<Assignment>,
    /// The whole statement.
    pub span: Span,
}

/// What LOAD DATA does on a duplicate key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoadDuplicates {
    /// Nothing written: an error, or IGNORE with LOCAL.
    Default,
    /// REPLACE
    Replace,
    /// IGNORE
    Ignore,
}

/// FIELDS and LINES of LOAD DATA: token indices of the strings, None where not written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadFormat {
    /// FIELDS TERMINATED BY
    pub fields_terminated: Option<u32>,
    /// ENCLOSED BY
    pub enclosed: Option<u32>,
    /// OPTIONALLY
    pub enclosed_optionally: bool,
    /// ESCAPED BY
    pub escaped: Option<u32>,
    /// LINES STARTING BY
    pub lines_starting: Option<u32>,
    /// LINES TERMINATED BY
    pub lines_terminated: Option<u32>,
    /// ROWS IDENTIFIED BY (XML)
    pub rows_identified: Option<u32>,
}
