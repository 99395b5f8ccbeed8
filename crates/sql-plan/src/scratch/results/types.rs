//! Is a result's column, read from a temporary table, what the expression is inside of the statement?
//! A constant is not (a text literal gives way to a column's collation, a column does not), nor is a
//! text whose collation is uncertain, nor a FLOAT, whose digits lose bits.

use crate::bind::Bound;
use crate::expr::{function_name, has_column, is_aggregate};
use sql_syntax::ast::{BinaryOp, Expr, ExprKind, LiteralKind, Query, SelectItem, UnaryOp};
use std::collections::BTreeSet;
use topology::model::{Column, ColumnClass};

/// What an expression gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    /// A number that JSON functions write as true or false; a column of a table is not one.
    Truth,
    Temporal,
    /// A text with the collation of the tables' columns.
    Text,
    /// A literal text.
    Literal,
    Null,
    Uncertain,
}

/// Whether an expression is certainly the same as a column of a temporary table.
pub(in crate::scratch) fn is_certain(bound: &Bound<'_>, block: usize, expr: &Expr) -> bool {
    let kind = Typer { bound, block }.kind(expr);
    matches!(kind, Kind::Number | Kind::Truth | Kind::Temporal | Kind::Text)
}

/// Which columns of a query's result are numbers (as far as its items are written out); none where a
/// column is not certain.
pub(super) fn numbers(bound: &Bound<'_>, query: &Query, is_value: bool) -> Option<Vec<bool>> {
    let is_written_out = is_value && writes_json(bound.src);
    let select = query.as_select()?;
    let block = *bound.block_by_token.get(&select.select_tok)?;
    let typer = Typer { bound, block };
    let mut numbers = Vec::new();
    let mut starred = false;
    for item in &select.items {
        match item {
            SelectItem::Expr { expr, .. } => {
                let kind = match typer.kind(expr) {
                    Kind::Truth if !is_written_out => Kind::Number,
                    kind => kind,
                };
                if !matches!(kind, Kind::Number | Kind::Temporal | Kind::Text) {
                    return None;
                }
                numbers.push(kind == Kind::Number && !starred);
            }
            SelectItem::Star { .. } => {
                starred = true;
                let mut columns =
                    bound.refs_of(block).flat_map(|index| &bound.refs[index].table.columns);
                if columns.any(|column| of_column(column) == Kind::Uncertain) {
                    return None;
                }
            }
        }
    }
    Some(if starred { Vec::new() } else { numbers })
}

/// Whether a column of a table of the query's result is wider than the same column of a set operation:
/// that of the least or greatest number of an expression is BIGINT, whatever the expression is.
pub(super) fn has_wider_column(bound: &Bound<'_>, query: &Query) -> bool {
    let Some(select) = query.as_select() else { return false };
    select.items.iter().any(|item| match item {
        SelectItem::Expr { expr, .. } => match &expr.unparen().kind {
            ExprKind::Func(call) => {
                let name = function_name(call, bound.src);
                let of_column = call.args.iter().all(|argument| argument.as_column().is_some());
                matches!(name.as_str(), "MIN" | "MAX") && !of_column
            }
            _ => false,
        },
        SelectItem::Star { .. } => false,
    })
}

/// Whether a statement has a word with JSON in it, such as a function that writes it.
pub(in crate::scratch) fn writes_json(src: &[u8]) -> bool {
    src.windows(4).any(|four| four.eq_ignore_ascii_case(b"json"))
}

struct Typer<'t, 's> {
    bound: &'t Bound<'s>,
    block: usize,
}

fn of_column(column: &Column) -> Kind {
    match column.class {
        ColumnClass::Float if column.type_name() == "float" => Kind::Uncertain,
        ColumnClass::Integer
        | ColumnClass::UnsignedInteger
        | ColumnClass::Decimal { .. }
        | ColumnClass::Float => Kind::Number,
        ColumnClass::Text if column.type_name() == "json" => Kind::Uncertain,
        ColumnClass::Text | ColumnClass::Binary => Kind::Text,
        ColumnClass::Date | ColumnClass::DateTime | ColumnClass::Time => Kind::Temporal,
        ColumnClass::Bit | ColumnClass::Other => Kind::Uncertain,
    }
}

/// The kind of what may be one or the other.
fn either(kinds: impl IntoIterator<Item = Kind>) -> Kind {
    let mut all = None;
    for kind in kinds {
        all = match (all, kind) {
            (all, Kind::Null) => all,
            (None, kind) => Some(kind),
            (Some(Kind::Text), Kind::Literal) | (Some(Kind::Literal), Kind::Text) => {
                Some(Kind::Text)
            }
            (Some(one), other) if one == other => Some(one),
            (Some(Kind::Truth), Kind::Number) | (Some(Kind::Number), Kind::Truth) => {
                Some(Kind::Number)
            }
            _ => return Kind::Uncertain,
        };
    }
    all.unwrap_or(Kind::Uncertain)
}

impl Typer<'_, '_> {
    fn kind(&self, expr: &Expr) -> Kind {
        match &expr.kind {
            ExprKind::Paren(inner) => self.kind(inner),
            ExprKind::Column(_) => match self.bound.column_of(self.block, expr) {
                Some(column) => of_column(self.bound.column(column)),
                None => Kind::Uncertain,
            },
            ExprKind::Literal(literal) => match literal.kind {
                LiteralKind::Int | LiteralKind::Decimal | LiteralKind::Float => Kind::Number,
                LiteralKind::True | LiteralKind::False => Kind::Truth,
                LiteralKind::String => Kind::Literal,
                LiteralKind::Null => Kind::Null,
                _ => Kind::Uncertain,
            },
            ExprKind::And(_)
            | ExprKind::Or(_)
            | ExprKind::Is { .. }
            | ExprKind::InList { .. }
            | ExprKind::Between { .. }
            | ExprKind::Like { .. } => Kind::Truth,
            ExprKind::Unary { op: UnaryOp::Not | UnaryOp::Bang, .. } => Kind::Truth,
            ExprKind::Unary { op: UnaryOp::Minus, expr } => self.number(expr),
            ExprKind::Binary { op, left, right } => self.binary(*op, left, right),
            ExprKind::Case { arms, otherwise, .. } => {
                let results = arms.iter().map(|(_, then)| self.kind(then));
                either(results.chain(otherwise.iter().map(|expr| self.kind(expr))))
            }
            ExprKind::Func(call) if call.over.is_none() => self.call(call),
            _ => Kind::Uncertain,
        }
    }

    fn number(&self, expr: &Expr) -> Kind {
        match self.kind(expr) {
            Kind::Number | Kind::Truth => Kind::Number,
            _ => Kind::Uncertain,
        }
    }

    fn binary(&self, op: BinaryOp, left: &Expr, right: &Expr) -> Kind {
        use BinaryOp as B;
        match op {
            op if op.is_comparison() => Kind::Truth,
            B::Add | B::Sub | B::Mul | B::Div | B::IntDiv | B::Mod => {
                match (self.number(left), self.number(right)) {
                    (Kind::Number, Kind::Number) => Kind::Number,
                    _ => Kind::Uncertain,
                }
            }
            B::Xor => Kind::Truth,
            _ => Kind::Uncertain,
        }
    }

    fn call(&self, call: &sql_syntax::ast::FuncCall) -> Kind {
        let name = function_name(call, self.bound.src);
        let arguments = || call.args.iter().map(|argument| self.kind(argument));
        match name.as_str() {
            "COUNT" | "LENGTH" | "CHAR_LENGTH" | "YEAR" | "MONTH" | "DAY" | "HOUR" | "MINUTE"
            | "SECOND" | "QUARTER" | "DAYOFMONTH" | "DAYOFWEEK" | "DAYOFYEAR" | "EXTRACT"
            | "DATEDIFF" | "INSTR" | "LOCATE" | "SIGN" => Kind::Number,
            "SUM" | "AVG" | "ABS" | "ROUND" | "FLOOR" | "CEIL" | "CEILING" | "MOD" => {
                match either(arguments()) {
                    Kind::Number | Kind::Truth => Kind::Number,
                    _ => Kind::Uncertain,
                }
            }
            // A literal's number is shorter than any column of its type.
            "MIN" | "MAX" | "COALESCE" | "IFNULL" | "ANY_VALUE" => match either(arguments()) {
                Kind::Number | Kind::Truth if !call.args.iter().any(has_column) => Kind::Uncertain,
                Kind::Literal => Kind::Uncertain,
                kind => kind,
            },
            "IF" if call.args.len() == 3 => {
                either(call.args[1..].iter().map(|argument| self.kind(argument)))
            }
            "DATE" => Kind::Temporal,
            "SUBSTR" | "SUBSTRING" | "LEFT" | "RIGHT" | "UPPER" | "LOWER" | "UCASE" | "LCASE"
            | "CONCAT" | "GROUP_CONCAT" => {
                let has_text = arguments().any(|kind| kind == Kind::Text);
                let certain = arguments().all(|kind| {
                    matches!(kind, Kind::Text | Kind::Literal | Kind::Number | Kind::Truth)
                });
                if has_text && certain && self.one_collation() {
                    Kind::Text
                } else {
                    Kind::Uncertain
                }
            }
            name if is_aggregate(name) && name.starts_with("BIT_") => Kind::Number,
            _ => Kind::Uncertain,
        }
    }

    /// Whether all texts of the tables have one collation.
    fn one_collation(&self) -> bool {
        let columns = self.bound.refs.iter().flat_map(|reference| &reference.table.columns);
        let collations: BTreeSet<&str> =
            columns.filter_map(|column| column.collation.as_deref()).collect();
        collations.len() == 1
    }
}
