//! HAVING on groups that are only whole after the merge: comparisons of aggregates and numbers.

use super::{Builder, aggregate_call};
use crate::colocate::Reason;
use crate::expr::{function_name, value_of};
use crate::merge::{ColumnAt, CompareOp, Group, Having};
use crate::names::number;
use crate::template::Piece;
use crate::value::ValueRef;
use sql_syntax::ast::{BinaryOp, Expr, ExprKind, IsTest, LiteralKind};
use topology::model::ColumnClass;

impl<'b> Builder<'b, '_> {
    pub(super) fn having(&mut self, expr: &'b Expr, group: &mut Group) -> Result<Having, Reason> {
        const TOO_MUCH: Reason = "a HAVING that is more than comparisons of aggregates with values";
        match &expr.kind {
            ExprKind::Paren(inner) => self.having(inner, group),
            ExprKind::And(parts) => Ok(Having::And(
                parts.iter().map(|part| self.having(part, group)).collect::<Result<_, _>>()?,
            )),
            ExprKind::Or(parts) => Ok(Having::Or(
                parts.iter().map(|part| self.having(part, group)).collect::<Result<_, _>>()?,
            )),
            ExprKind::Is { expr, not, test: IsTest::Null } => {
                let column = self.having_column(expr, group)?;
                Ok(Having::IsNull { column, not: *not })
            }
            ExprKind::Between { expr, not: false, low, high } => {
                let column = self.having_column(expr, group)?;
                let (Some(low), Some(high)) = (self.number(low), self.number(high)) else {
                    return Err(TOO_MUCH);
                };
                Ok(Having::And(vec![
                    Having::Compare { column, op: CompareOp::Ge, value: low },
                    Having::Compare { column, op: CompareOp::Le, value: high },
                ]))
            }
            ExprKind::Binary { op, left, right } => {
                let op = compare_op(*op).ok_or(TOO_MUCH)?;
                let (tested, op, value) = match (self.number(left), self.number(right)) {
                    (None, Some(value)) => (left, op, value),
                    (Some(value), None) => (right, turned(op), value),
                    _ => return Err(TOO_MUCH),
                };
                let column = self.having_column(tested, group)?;
                Ok(Having::Compare { column, op, value })
            }
            _ => Err(TOO_MUCH),
        }
    }

    /// A number, or a parameter, which is read as one. (A text literal is left to the server.)
    pub(super) fn number(&self, expr: &Expr) -> Option<ValueRef> {
        if let ExprKind::Param { ordinal, .. } = &expr.unparen().kind {
            return Some(ValueRef::Param { ordinal: *ordinal });
        }
        let number = match &expr.unparen().kind {
            ExprKind::Unary { expr, .. } => expr.as_literal(),
            _ => expr.as_literal(),
        };
        matches!(number?.kind, LiteralKind::Int | LiteralKind::Decimal)
            .then(|| value_of(expr, self.bound.src))
            .flatten()
    }

    /// The column of an aggregate or numeric group key in HAVING.
    pub(super) fn having_column(
        &mut self,
        expr: &'b Expr,
        group: &mut Group,
    ) -> Result<ColumnAt, Reason> {
        let term = self.term(expr, true);
        if let Some(call) = aggregate_call(term.expr, self.bound.src) {
            let name = function_name(call, self.bound.src);
            let textual = matches!(name.as_str(), "MIN" | "MAX")
                && call.args.first().is_none_or(|arg| self.may_be_text(arg).unwrap_or(true));
            if textual {
                return Err("a HAVING that compares texts");
            }
            return match term.item {
                Some(index) => Ok(ColumnAt::Visible(number(index))),
                None => self.hidden_aggregate(call, term.expr, group),
            };
        }
        // A server knows no other columns there; it shall say so.
        let select: &'b sql_syntax::ast::Select = self.select;
        let is_grouped = select.group_by.iter().any(|item| {
            let group = self.term(&item.expr, true);
            self.same_term(group, term)
        });
        if term.item.is_none() && !is_grouped {
            return Err("a HAVING on a column that is neither selected nor grouped by");
        }
        let column = self.bound.column_of(self.block, term.expr);
        match column.map(|column| self.bound.column(column).class) {
            Some(
                ColumnClass::Integer | ColumnClass::UnsignedInteger | ColumnClass::Decimal { .. },
            ) => Ok(match term.item {
                Some(index) => ColumnAt::Visible(number(index)),
                // Servers know no other column in HAVING: the scratch node says so.
                None if !self.is_group_key(term.expr) => {
                    return Err("a HAVING on a column that is neither selected nor grouped by");
                }
                None => self.hide(vec![Piece::Tokens(self.bound.range(term.expr.span))]),
            }),
            _ => Err("a HAVING on something that is neither aggregate nor number"),
        }
    }

    /// Whether GROUP BY names this column.
    fn is_group_key(&self, expr: &Expr) -> bool {
        let column = self.bound.column_of(self.block, expr);
        let mut keys = self.select.group_by.iter();
        keys.any(|item| self.bound.column_of(self.block, &item.expr) == column)
    }
}

fn compare_op(op: BinaryOp) -> Option<CompareOp> {
    Some(match op {
        BinaryOp::Eq => CompareOp::Eq,
        BinaryOp::Ne => CompareOp::Ne,
        BinaryOp::Lt => CompareOp::Lt,
        BinaryOp::Le => CompareOp::Le,
        BinaryOp::Gt => CompareOp::Gt,
        BinaryOp::Ge => CompareOp::Ge,
        _ => return None,
    })
}

fn turned(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Lt => CompareOp::Gt,
        CompareOp::Le => CompareOp::Ge,
        CompareOp::Gt => CompareOp::Lt,
        CompareOp::Ge => CompareOp::Le,
        same => same,
    }
}
