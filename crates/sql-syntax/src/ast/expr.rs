//! Expressions. AND and OR are lists, because generated statements chain thousands of them and a
//! tree as deep as the chain would exhaust the stack of whoever walks it.

use super::{Ident, OrderItem, Query, Span, TableName};
use crate::keyword::Keyword;

/// An expression and where it stands. Parentheses are a node of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Exactly the bytes of the expression.
    pub span: Span,
}

/// The kinds of expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A constant written in the text.
    Literal(Literal),
    /// A `?`: `ordinal` counts from 0.
    Param {
        /// Which parameter.
        ordinal: u32,
        /// Its token.
        tok: u32,
    },
    /// A column (or `sequence.NEXTVAL`, which looks like one).
    Column(ColumnRef),
    /// A prefix operator.
    Unary {
        /// Which.
        op: UnaryOp,
        /// Its operand.
        expr: Box<Expr>,
    },
    /// An infix operator other than AND, OR.
    Binary {
        /// Which.
        op: BinaryOp,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// Two or more operands joined by AND or `&&`, nested ones of the same kind flattened.
    And(Vec<Expr>),
    /// Two or more operands joined by OR (or `||` unless PIPES_AS_CONCAT).
    Or(Vec<Expr>),
    /// `expr IS [NOT] NULL|TRUE|FALSE|UNKNOWN`.
    Is {
        /// The tested expression.
        expr: Box<Expr>,
        /// IS NOT.
        not: bool,
        /// What it is tested for.
        test: IsTest,
    },
    /// `expr [NOT] IN (a, b, …)`.
    InList {
        /// The searched value, a [`ExprKind::Row`] for tuples.
        expr: Box<Expr>,
        /// NOT IN.
        not: bool,
        /// The elements.
        list: Vec<Expr>,
    },
    /// `expr [NOT] IN (SELECT …)`.
    InQuery {
        /// The searched value.
        expr: Box<Expr>,
        /// NOT IN.
        not: bool,
        /// The sub-query.
        query: Box<Query>,
    },
    /// `expr [NOT] BETWEEN low AND high`.
    Between {
        /// The tested expression.
        expr: Box<Expr>,
        /// NOT BETWEEN.
        not: bool,
        /// Lower bound, included.
        low: Box<Expr>,
        /// Upper bound, included.
        high: Box<Expr>,
    },
    /// `expr [NOT] LIKE pattern [ESCAPE e]`.
    Like {
        /// The tested expression.
        expr: Box<Expr>,
        /// NOT LIKE.
        not: bool,
        /// The pattern.
        pattern: Box<Expr>,
        /// The escape character.
        escape: Option<Box<Expr>>,
    },
    /// `expr [NOT] REGEXP|RLIKE pattern`.
    Regexp {
        /// The tested expression.
        expr: Box<Expr>,
        /// NOT REGEXP.
        not: bool,
        /// The pattern.
        pattern: Box<Expr>,
    },
    /// `expr op ANY|SOME|ALL (SELECT …)`.
    Quantified {
        /// The comparison.
        op: BinaryOp,
        /// Left operand.
        left: Box<Expr>,
        /// ALL; else ANY, SOME.
        all: bool,
        /// The sub-query.
        query: Box<Query>,
    },
    /// `EXISTS (SELECT …)`.
    Exists(Box<Query>),
    /// A sub-query as a value; the span includes its parentheses.
    Subquery(Box<Query>),
    /// `(a, b)` or `ROW(a, b)`.
    Row(Vec<Expr>),
    /// `(a)`.
    Paren(Box<Expr>),
    /// CASE.
    Case {
        /// `CASE operand WHEN …`.
        operand: Option<Box<Expr>>,
        /// WHEN and THEN pairs.
        arms: Vec<(Expr, Expr)>,
        /// ELSE.
        otherwise: Option<Box<Expr>>,
    },
    /// `CAST(e AS type)` and `CONVERT(e, type)`; the type is kept as a span.
    Cast {
        /// The value.
        expr: Box<Expr>,
        /// The target type's text, its length and character set included.
        ty: Span,
    },
    /// `CONVERT(e USING charset)`.
    ConvertUsing {
        /// The value.
        expr: Box<Expr>,
        /// The character set.
        charset: Ident,
    },
    /// A function call of any kind, aggregates and window functions included.
    Func(Box<FuncCall>),
    /// `INTERVAL value unit`, as an operand of + and - or an argument.
    Interval {
        /// How many.
        value: Box<Expr>,
        /// The unit's token span (`DAY`, `YEAR_MONTH`, …).
        unit: Span,
    },
    /// `MATCH (cols) AGAINST (e mode)`.
    Match {
        /// The columns.
        columns: Vec<Expr>,
        /// What is looked for.
        against: Box<Expr>,
        /// `IN BOOLEAN MODE` and the like, if written.
        mode: Option<Span>,
    },
    /// `expr COLLATE name`.
    Collate {
        /// The value.
        expr: Box<Expr>,
        /// The collation.
        collation: Ident,
    },
    /// `@name`; the span includes `@`.
    UserVar {
        /// Its token.
        tok: u32,
    },
    /// `@name := value`.
    Assign {
        /// The variable's token.
        tok: u32,
        /// The value.
        value: Box<Expr>,
    },
    /// `@@[scope.]name`.
    SysVar(SysVar),
    /// `DEFAULT` or `DEFAULT(column)`.
    Default(Option<ColumnRef>),
    /// `VALUES(column)` / `VALUE(column)` in ON DUPLICATE KEY UPDATE.
    Values(ColumnRef),
    /// `NEXT VALUE FOR seq` / `PREVIOUS VALUE FOR seq`.
    SequenceValue {
        /// NEXT; else PREVIOUS.
        next: bool,
        /// The sequence.
        name: TableName,
    },
    /// `{d '…'}` and other ODBC escapes.
    Odbc {
        /// `d`, `t`, `ts`, `fn`.
        name: Ident,
        /// The inner expression.
        expr: Box<Expr>,
    },
}

/// A constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal {
    /// Its kind.
    pub kind: LiteralKind,
    /// The token of the value itself (after an introducer or `DATE`).
    pub tok: u32,
    /// How many adjacent string tokens make the value up (1 for all other kinds).
    pub tok_count: u16,
}

/// Kinds of constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LiteralKind {
    /// Digits alone.
    Int,
    /// Digits with a point.
    Decimal,
    /// With an exponent.
    Float,
    /// A quoted string, introducer and adjacency included.
    String,
    /// `N'…'`.
    NationalString,
    /// `x'…'` or `0x…`.
    Hex,
    /// `b'…'` or `0b…`.
    Bit,
    /// NULL, `\N`.
    Null,
    /// TRUE.
    True,
    /// FALSE.
    False,
    /// `DATE '…'`.
    Date,
    /// `TIME '…'`.
    Time,
    /// `TIMESTAMP '…'`.
    Timestamp,
}

/// A column's name with up to two qualifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnRef {
    /// `schema.table.column`.
    pub schema: Option<Ident>,
    /// `table.column`: a table's name or alias.
    pub table: Option<Ident>,
    /// The column.
    pub name: Ident,
}

impl ColumnRef {
    /// From the first qualifier to the name.
    #[must_use]
    pub fn span(&self) -> Span {
        let first = self.schema.or(self.table).unwrap_or(self.name);
        first.span.to(self.name.span)
    }
}

/// Prefix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`
    Minus,
    /// `+`
    Plus,
    /// `NOT`
    Not,
    /// `!`
    Bang,
    /// `~`
    BitNot,
    /// `BINARY`
    Binary,
}

/// Infix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `=`
    Eq,
    /// `<=>`
    NullSafeEq,
    /// `<>`, `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `DIV`
    IntDiv,
    /// `%`, `MOD`
    Mod,
    /// `^`
    BitXor,
    /// `&`
    BitAnd,
    /// `|`
    BitOr,
    /// `<<`
    Shl,
    /// `>>`
    Shr,
    /// `XOR`
    Xor,
    /// `||` under PIPES_AS_CONCAT
    Concat,
    /// `->`
    JsonExtract,
    /// `->>`
    JsonUnquote,
    /// `SOUNDS LIKE`
    SoundsLike,
    /// `MEMBER OF`
    MemberOf,
}

impl BinaryOp {
    /// `=`, `<=>`, `<>`, `<`, `<=`, `>`, `>=`.
    #[must_use]
    pub fn is_comparison(self) -> bool {
        use BinaryOp::{Eq, Ge, Gt, Le, Lt, Ne, NullSafeEq};
        matches!(self, Eq | NullSafeEq | Ne | Lt | Le | Gt | Ge)
    }
}

/// What IS tests for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IsTest {
    /// IS NULL
    Null,
    /// IS TRUE
    True,
    /// IS FALSE
    False,
    /// IS UNKNOWN
    Unknown,
}

/// A function call.
#[derive(Clone, Debug, PartialEq)]
pub struct FuncCall {
    /// Up to two qualifiers, `schema.name(…)`, `schema.sequence.NEXTVAL(n)`.
    pub qualifiers: Vec<Ident>,
    /// The function's name.
    pub name: Ident,
    /// The name as a keyword, when it is one and has no qualifier ([`Keyword::None`] otherwise).
    pub keyword: Keyword,
    /// Whether parentheses were written (`CURRENT_TIMESTAMP` may have none).
    pub parens: bool,
    /// `f(DISTINCT …)`.
    pub distinct: bool,
    /// `f(*)`.
    pub star: bool,
    /// Arguments. Words inside (`FROM`, `LEADING`, `USING`, `AS type`) are not kept here: see `special`.
    pub args: Vec<Expr>,
    /// A first argument that is a word: the unit of `EXTRACT`, `TIMESTAMPDIFF`, the type of `GET_FORMAT`.
    pub unit: Option<Span>,
    /// True when the call has syntax other than commas between arguments.
    pub special: bool,
    /// ORDER BY inside GROUP_CONCAT and JSON_ARRAYAGG.
    pub order_by: Vec<OrderItem>,
    /// SEPARATOR of GROUP_CONCAT.
    pub separator: Option<Literal>,
    /// LIMIT inside GROUP_CONCAT.
    pub limit: Option<Box<super::Limit>>,
    /// OVER: a window function.
    pub over: Option<Box<Over>>,
}

impl FuncCall {
    /// The aggregate that this call is, unless it is a window function or not an aggregate.
    #[must_use]
    pub fn aggregate(&self) -> Option<Keyword> {
        (self.over.is_none() && self.keyword.is_aggregate()).then_some(self.keyword)
    }
}

/// OVER of a window function.
#[derive(Clone, Debug, PartialEq)]
pub enum Over {
    /// `OVER name`
    Name(Ident),
    /// `OVER (…)`
    Spec(WindowSpec),
}

/// The inside of a window's parentheses.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowSpec {
    /// A window that this one refines.
    pub base: Option<Ident>,
    /// PARTITION BY.
    pub partition_by: Vec<Expr>,
    /// ORDER BY.
    pub order_by: Vec<OrderItem>,
    /// The frame's text, if written; bounds that are expressions are in `frame_exprs`.
    pub frame: Option<Span>,
    /// Expressions of the frame's bounds.
    pub frame_exprs: Vec<Expr>,
    /// Parentheses included.
    pub span: Span,
}

/// Scope of a system variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VarScope {
    /// None written.
    Default,
    /// SESSION, LOCAL
    Session,
    /// GLOBAL
    Global,
    /// PERSIST
    Persist,
    /// PERSIST_ONLY
    PersistOnly,
}

/// `@@scope.name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SysVar {
    /// The scope.
    pub scope: VarScope,
    /// The first part of a two-part name (`cache.key_buffer_size`).
    pub base: Option<Ident>,
    /// The variable's name.
    pub name: Ident,
}

impl Expr {
    /// The expression without any parentheses around it.
    #[must_use]
    pub fn unparen(&self) -> &Expr {
        let mut expr = self;
        while let ExprKind::Paren(inner) = &expr.kind {
            expr = inner;
        }
        expr
    }

    /// The column that this is, parentheses aside.
    #[must_use]
    pub fn as_column(&self) -> Option<&ColumnRef> {
        match &self.unparen().kind {
            ExprKind::Column(column) => Some(column),
            _ => None,
        }
    }

    /// The literal that this is, parentheses aside.
    #[must_use]
    pub fn as_literal(&self) -> Option<&Literal> {
        match &self.unparen().kind {
            ExprKind::Literal(literal) => Some(literal),
            _ => None,
        }
    }
}
