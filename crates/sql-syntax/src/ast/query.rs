//! SELECT and its parts. Clause spans start at the clause's keyword, so that a clause can be cut
//! out or appended to by an edit without looking at the text again.

use super::{Expr, Ident, Span, TableName};

/// A query expression: WITH, a body, and what applies to the whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// WITH.
    pub with: Option<With>,
    /// SELECT, VALUES, TABLE, parentheses or a set operation.
    pub body: SetExpr,
    /// ORDER BY of the whole.
    pub order_by: Vec<OrderItem>,
    /// From `ORDER` to the last item.
    pub order_span: Option<Span>,
    /// LIMIT of the whole.
    pub limit: Option<Limit>,
    /// FOR UPDATE and the like, in order.
    pub locks: Vec<LockClause>,
    /// INTO at the end.
    pub into: Option<SelectInto>,
    /// Without parentheses around it.
    pub span: Span,
}

impl Query {
    /// The SELECT, when the query is a plain one without set operation (parentheses aside).
    #[must_use]
    pub fn as_select(&self) -> Option<&Select> {
        match &self.body {
            SetExpr::Select(select) => Some(select),
            _ => None,
        }
    }

    /// INTO of the whole, which may be written behind the last SELECT of a set operation.
    #[must_use]
    pub fn select_into(&self) -> Option<&SelectInto> {
        self.into.as_ref().or_else(|| self.body.select_into())
    }
}

/// WITH.
#[derive(Clone, Debug, PartialEq)]
pub struct With {
    /// WITH RECURSIVE.
    pub recursive: bool,
    /// The named queries, in order; each sees those before it (with RECURSIVE also itself).
    pub ctes: Vec<Cte>,
    /// From `WITH` to the last closing parenthesis.
    pub span: Span,
}

/// One named query of WITH.
#[derive(Clone, Debug, PartialEq)]
pub struct Cte {
    /// Its name.
    pub name: Ident,
    /// Column names, if written.
    pub columns: Vec<Ident>,
    /// The query.
    pub query: Box<Query>,
    /// From the name to the closing parenthesis.
    pub span: Span,
}

/// The body of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum SetExpr {
    /// SELECT.
    Select(Box<Select>),
    /// `(query)`.
    Paren(Box<Query>, Span),
    /// `VALUES ROW(…), …` or MariaDB's `VALUES (…), …`.
    Values(Vec<Vec<Expr>>, Span),
    /// `TABLE t`.
    Table(TableName, Span),
    /// A chain of set operations of equal precedence, applied from left to right.
    SetOp(Box<SetChain>),
}

impl SetExpr {
    /// Where it stands.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            SetExpr::Select(select) => select.span,
            SetExpr::Paren(_, span) | SetExpr::Values(_, span) | SetExpr::Table(_, span) => *span,
            SetExpr::SetOp(chain) => chain.span,
        }
    }

    fn select_into(&self) -> Option<&SelectInto> {
        match self {
            SetExpr::Select(select) => select.into.as_ref(),
            SetExpr::Paren(query, _) => query.select_into(),
            SetExpr::SetOp(chain) => chain.rest.last()?.operand.select_into(),
            SetExpr::Values(..) | SetExpr::Table(..) => None,
        }
    }
}

/// `first op second op third …`.
#[derive(Clone, Debug, PartialEq)]
pub struct SetChain {
    /// The first operand.
    pub first: SetExpr,
    /// The others with their operators.
    pub rest: Vec<SetOperand>,
    /// The whole chain.
    pub span: Span,
}

/// An operator and its right operand.
#[derive(Clone, Debug, PartialEq)]
pub struct SetOperand {
    /// Which.
    pub op: SetOp,
    /// ALL; else DISTINCT.
    pub all: bool,
    /// The right operand.
    pub operand: SetExpr,
}

/// Set operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetOp {
    /// UNION
    Union,
    /// EXCEPT, MINUS
    Except,
    /// INTERSECT (binds tighter than the others)
    Intersect,
}

/// One SELECT.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// From `SELECT` to the end of its last own clause.
    pub span: Span,
    /// Token of `SELECT`.
    pub select_tok: u32,
    /// DISTINCT, DISTINCTROW.
    pub distinct: bool,
    /// SQL_CALC_FOUND_ROWS.
    pub calc_found_rows: bool,
    /// STRAIGHT_JOIN.
    pub straight_join: bool,
    /// All words between `SELECT` and the first item, if any.
    pub options: Option<Span>,
    /// The items.
    pub items: Vec<SelectItem>,
    /// From the first to the last item.
    pub items_span: Span,
    /// INTO between items and FROM (or at MySQL's other places before FROM).
    pub into: Option<SelectInto>,
    /// Table references separated by commas; empty without FROM and for `FROM DUAL`.
    pub from: TableList,
    /// From `FROM` to the last table reference (also for DUAL).
    pub from_span: Option<Span>,
    /// WHERE's condition.
    pub selection: Option<Expr>,
    /// From `WHERE` to the end of the condition.
    pub where_span: Option<Span>,
    /// GROUP BY.
    pub group_by: Vec<OrderItem>,
    /// From `GROUP` to the last item, `WITH ROLLUP` included.
    pub group_span: Option<Span>,
    /// WITH ROLLUP.
    pub rollup: bool,
    /// HAVING's condition.
    pub having: Option<Expr>,
    /// From `HAVING` to the end of the condition.
    pub having_span: Option<Span>,
    /// WINDOW.
    pub windows: Vec<(Ident, super::WindowSpec)>,
    /// From `WINDOW` to the end.
    pub window_span: Option<Span>,
    /// PROCEDURE ANALYSE(…).
    pub procedure: Option<Span>,
}

/// One item of a select list (or of RETURNING).
#[derive(Clone, Debug, PartialEq)]
pub enum SelectItem {
    /// `*`, `t.*`, `db.t.*`.
    Star {
        /// Schema.
        schema: Option<Ident>,
        /// Table or alias.
        table: Option<Ident>,
        /// The whole item.
        span: Span,
    },
    /// An expression.
    Expr {
        /// The expression.
        expr: Expr,
        /// Its alias; may be written as a string.
        alias: Option<Ident>,
        /// The whole item.
        span: Span,
    },
}

impl SelectItem {
    /// Where it stands.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            SelectItem::Star { span, .. } | SelectItem::Expr { span, .. } => *span,
        }
    }
}

/// The references of FROM: one, as a rule, which then needs no memory of its own.
pub type TableList = smallvec::SmallVec<[TableExpr; 1]>;

/// A table reference.
#[derive(Clone, Debug, PartialEq)]
pub enum TableExpr {
    /// A table, view or named query.
    Table(TableRef),
    /// `(SELECT …) alias`.
    Derived {
        /// LATERAL.
        lateral: bool,
        /// The query.
        query: Box<Query>,
        /// The alias.
        alias: Option<Ident>,
        /// Column names after the alias.
        columns: Vec<Ident>,
        /// The whole reference.
        span: Span,
    },
    /// A join.
    Join(Box<Join>),
    /// `(a, b)`, `(a JOIN b)`, `{ OJ … }`.
    Nested {
        /// What is inside.
        tables: Vec<TableExpr>,
        /// Parentheses included.
        span: Span,
    },
    /// JSON_TABLE(…) alias.
    JsonTable {
        /// The document.
        expr: Box<Expr>,
        /// The alias.
        alias: Option<Ident>,
        /// The whole reference.
        span: Span,
    },
}

impl TableExpr {
    /// Where it stands.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            TableExpr::Table(table) => table.span,
            TableExpr::Join(join) => join.span,
            TableExpr::Derived { span, .. }
            | TableExpr::Nested { span, .. }
            | TableExpr::JsonTable { span, .. } => *span,
        }
    }
}

/// A named table with what may follow it.
#[derive(Clone, Debug, PartialEq)]
pub struct TableRef {
    /// Its name.
    pub name: TableName,
    /// PARTITION (…).
    pub partitions: Vec<Ident>,
    /// FOR SYSTEM_TIME ….
    pub system_time: Option<Span>,
    /// The alias.
    pub alias: Option<Ident>,
    /// USE, FORCE, IGNORE INDEX.
    pub index_hints: Vec<IndexHint>,
    /// The whole reference.
    pub span: Span,
}

/// USE | FORCE | IGNORE INDEX.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexHint {
    /// Index names (PRIMARY too).
    pub indexes: Vec<Ident>,
    /// The whole hint.
    pub span: Span,
}

/// A join of two table references.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// Left side.
    pub left: TableExpr,
    /// Right side.
    pub right: TableExpr,
    /// Which.
    pub kind: JoinKind,
    /// NATURAL.
    pub natural: bool,
    /// ON's condition.
    pub on: Option<Expr>,
    /// USING's columns.
    pub using: Vec<Ident>,
    /// The whole join.
    pub span: Span,
}

/// Kinds of join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JoinKind {
    /// JOIN, INNER JOIN, CROSS JOIN
    Inner,
    /// STRAIGHT_JOIN
    Straight,
    /// LEFT \[OUTER\] JOIN
    Left,
    /// RIGHT \[OUTER\] JOIN
    Right,
}

/// An expression with a direction.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderItem {
    /// The expression; an integer literal is a position.
    pub expr: Expr,
    /// DESC.
    pub desc: bool,
    /// With ASC or DESC.
    pub span: Span,
}

/// LIMIT in all forms.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// Rows returned: an integer literal, parameter or variable; None with only OFFSET written.
    pub count: Option<Expr>,
    /// Rows skipped.
    pub offset: Option<Expr>,
    /// How it was written.
    pub form: LimitForm,
    /// FETCH … WITH TIES.
    pub with_ties: bool,
    /// LIMIT … ROWS EXAMINED n.
    pub rows_examined: Option<Expr>,
    /// From the keyword to the end.
    pub span: Span,
}

/// How LIMIT was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitForm {
    /// `LIMIT count`
    Count,
    /// `LIMIT offset, count`
    Comma,
    /// `LIMIT count OFFSET offset`
    Offset,
    /// `OFFSET n ROWS FETCH FIRST m ROWS ONLY`
    Fetch,
}

/// A locking clause.
#[derive(Clone, Debug, PartialEq)]
pub struct LockClause {
    /// Which lock.
    pub strength: LockStrength,
    /// OF tables (names or aliases).
    pub of: Vec<TableName>,
    /// What happens when the lock is taken.
    pub wait: LockWait,
    /// The whole clause.
    pub span: Span,
}

/// Lock strengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockStrength {
    /// FOR UPDATE
    Update,
    /// FOR SHARE
    Share,
    /// LOCK IN SHARE MODE
    ShareMode,
}

/// What a locking read does when it meets a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockWait {
    /// Waits as the session says.
    Default,
    /// NOWAIT
    NoWait,
    /// SKIP LOCKED
    SkipLocked,
    /// WAIT n (MariaDB)
    Seconds,
}

/// SELECT … INTO.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectInto {
    /// Where to.
    pub kind: IntoKind,
    /// From `INTO` to the end.
    pub span: Span,
}

/// Targets of INTO.
#[derive(Clone, Debug, PartialEq)]
pub enum IntoKind {
    /// Tokens of user variables (or names in a routine).
    Vars(Vec<u32>),
    /// INTO OUTFILE.
    Outfile,
    /// INTO DUMPFILE.
    Dumpfile,
}
