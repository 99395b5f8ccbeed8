//! How many digits after the point the values of an expression have. A sum whose values all have the
//! same comes back from a temporary table as the server itself has it; a quotient, say, has digits
//! that it does not show, and those would be lost.

use crate::bind::Bound;
use crate::expr::{self, function_name};
use sql_syntax::ast::{BinaryOp, Expr, ExprKind, LiteralKind, UnaryOp};
use topology::model::ColumnClass;

/// More digits are cut by servers.
const SCALE_MAX: u8 = 30;

/// Whether SUM(expr) is a decimal that has as many digits as it shows.
pub(super) fn is_even(bound: &Bound<'_>, block: usize, expr: &Expr) -> bool {
    !expr::has_query(expr) && Scales { bound, block }.of(expr, true).is_some()
}

struct Scales<'c, 's> {
    bound: &'c Bound<'s>,
    block: usize,
}

impl Scales<'_, '_> {
    /// The digits of all values. With `but_zero`, those that are zero may have fewer: they change
    /// no sum.
    fn of(&self, expr: &Expr, but_zero: bool) -> Option<u8> {
        match &expr.kind {
            ExprKind::Paren(inner) | ExprKind::Unary { op: UnaryOp::Minus, expr: inner } => {
                self.of(inner, but_zero)
            }
            ExprKind::Column(_) => {
                match self.bound.column(self.bound.column_of(self.block, expr)?).class {
                    ColumnClass::Integer | ColumnClass::UnsignedInteger => Some(0),
                    ColumnClass::Decimal { scale } => Some(scale),
                    _ => None,
                }
            }
            ExprKind::Literal(literal) => match literal.kind {
                LiteralKind::Int | LiteralKind::True | LiteralKind::False => Some(0),
                LiteralKind::Decimal => {
                    let text = expr.span.of(self.bound.src);
                    let point = text.iter().position(|byte| *byte == b'.')?;
                    u8::try_from(text.len() - point - 1).ok().filter(|scale| *scale <= SCALE_MAX)
                }
                _ => None,
            },
            ExprKind::Binary { op, left, right } => self.binary(*op, (left, right), but_zero),
            ExprKind::And(_)
            | ExprKind::Or(_)
            | ExprKind::Is { .. }
            | ExprKind::InList { .. }
            | ExprKind::Between { .. }
            | ExprKind::Like { .. }
            | ExprKind::Unary { op: UnaryOp::Not | UnaryOp::Bang, .. } => Some(0),
            ExprKind::Case { arms, otherwise, .. } => {
                let results = arms.iter().map(|(_, then)| then);
                self.choice(results.chain(otherwise.as_deref()), but_zero)
            }
            ExprKind::Func(call) if call.over.is_none() && !call.special => {
                match function_name(call, self.bound.src).as_str() {
                    "IF" if call.args.len() == 3 => self.choice(&call.args[1..], but_zero),
                    "IFNULL" | "COALESCE" => self.choice(&call.args, but_zero),
                    "ABS" => self.of(call.args.first()?, but_zero),
                    "LENGTH" | "CHAR_LENGTH" | "YEAR" | "MONTH" | "DAY" | "HOUR" | "MINUTE"
                    | "SIGN" | "DATEDIFF" | "ISNULL" => Some(0),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn binary(&self, op: BinaryOp, (left, right): (&Expr, &Expr), but_zero: bool) -> Option<u8> {
        match op {
            op if op.is_comparison() => Some(0),
            BinaryOp::Add | BinaryOp::Sub => {
                Some(self.of(left, false)?.max(self.of(right, false)?))
            }
            BinaryOp::Mul => {
                let scale = self.of(left, but_zero)? + self.of(right, but_zero)?;
                (scale <= SCALE_MAX).then_some(scale)
            }
            _ => None,
        }
    }

    fn choice<'e>(
        &self,
        results: impl IntoIterator<Item = &'e Expr>,
        but_zero: bool,
    ) -> Option<u8> {
        let mut all = None;
        for result in results {
            if let Some(literal) = result.unparen().as_literal() {
                let is_zero = result.unparen().span.of(self.bound.src) == b"0";
                if literal.kind == LiteralKind::Null || (but_zero && is_zero) {
                    continue;
                }
            }
            let scale = self.of(result, but_zero)?;
            if all.is_some_and(|known| known != scale) {
                return None;
            }
            all = Some(scale);
        }
        Some(all.unwrap_or(0))
    }
}
