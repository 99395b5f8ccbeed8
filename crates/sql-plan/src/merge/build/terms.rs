//! What expressions of ORDER BY, GROUP BY and HAVING mean, and what rows are compared by for them.

use super::{Builder, Term, is_json, is_ordinal, item_expr, weight_of};
use crate::bind::ColumnOf;
use crate::colocate::Reason;
use crate::expr::{self, function_name, position_of};
use crate::keys::key_columns;
use crate::merge::{ColumnAt, SortKey};
use crate::names::number;
use crate::template::Piece;
use sql_syntax::ast::{BinaryOp, Expr, ExprKind, LiteralKind, SelectItem, UnaryOp};
use sql_syntax::visit::{self, Visitor};
use std::collections::BTreeSet;
use topology::model::ColumnClass;

impl<'b> Builder<'b, '_> {
    /// Looks up what an expression of ORDER BY, GROUP BY or HAVING means: a position, an alias, a
    /// selected expression, or itself.
    pub(super) fn term(&mut self, expr: &'b Expr, columns_first: bool) -> Term<'b> {
        if let Some(position) = position_of(expr, self.bound.src) {
            // Which item is meant hangs on the literal.
            self.cacheable = false;
            let item = position.checked_sub(1).and_then(|index| self.select.items.get(index));
            if self.no_star_before(position)
                && let Some(expr) = item.and_then(item_expr)
            {
                return Term { expr, item: Some(position - 1) };
            }
            return Term { expr, item: None };
        }
        let column = expr.as_column();
        let is_column = self.bound.column_of(self.block, expr).is_some();
        if let Some(column) = column
            && column.table.is_none()
            && !(columns_first && is_column)
            && let Some(index) = self.alias(&column.name.name(self.bound.src))
            && let Some(expr) = item_expr(&self.select.items[index])
        {
            return Term { expr, item: self.no_star_before(index + 1).then_some(index) };
        }
        let item = (0..self.select.items.len()).find(|index| {
            item_expr(&self.select.items[*index]).is_some_and(|item| self.same_expr(item, expr))
        });
        Term { expr, item: item.filter(|index| self.no_star_before(index + 1)) }
    }

    pub(super) fn alias(&self, name: &[u8]) -> Option<usize> {
        self.select.items.iter().position(|item| match item {
            SelectItem::Expr { alias: Some(alias), .. } => {
                alias.name(self.bound.src).eq_ignore_ascii_case(name)
                    || crate::names::string_alias(self.bound.text(alias.span)) == Some(name)
            }
            _ => false,
        })
    }

    /// Whether a copy of the expression in the select list could mean something else, because ORDER
    /// BY reads aliases and a select list does not.
    pub(super) fn reads_alias(&self, expr: &Expr) -> bool {
        expr::any(expr, &|part| {
            let ExprKind::Column(column) = &part.kind else { return false };
            let name = column.name.name(self.bound.src);
            let alias = column.table.is_none().then(|| self.alias(&name)).flatten();
            let item = alias.and_then(|index| item_expr(&self.select.items[index]));
            item.is_some_and(|item| !self.same_expr(item, part))
        })
    }

    pub(super) fn no_star_before(&self, position: usize) -> bool {
        self.select.items.iter().take(position).all(|item| item_expr(item).is_some())
    }

    pub(super) fn same_expr(&self, left: &Expr, right: &Expr) -> bool {
        let column = self.bound.column_of(self.block, left);
        if column.is_some() && column == self.bound.column_of(self.block, right) {
            return true;
        }
        // Literals of one digest may differ, so equal texts of them prove nothing.
        let plain = |expr: &Expr| {
            !expr::any(expr, &|part| {
                matches!(part.kind, ExprKind::Literal(_) | ExprKind::Param { .. })
            }) && !expr::has_query(expr)
        };
        let text = |expr: &Expr| self.bound.text(expr.span);
        plain(left) && plain(right) && text(left).eq_ignore_ascii_case(text(right))
    }

    pub(super) fn same_term(&self, left: Term<'_>, right: Term<'_>) -> bool {
        (left.item.is_some() && left.item == right.item)
            || self.same_expr(left.expr, right.expr)
            || std::ptr::eq(left.expr, right.expr)
    }

    /// What rows are compared by for a term; `None` for constants.
    pub(super) fn sort_key(&mut self, term: Term<'b>) -> Result<Option<SortKey>, Reason> {
        let expr = term.expr.unparen();
        if term.item.is_none() && position_of(term.expr, self.bound.src).is_some() {
            return Err("a position that names no item, or one behind a star");
        }
        if matches!(expr.kind, ExprKind::Literal(_) | ExprKind::Param { .. }) {
            return Ok(None);
        }
        if expr::is_random(expr, self.bound.src) {
            return Err("an order by something that changes from call to call");
        }
        if term.item.is_none() && self.reads_alias(expr) {
            return Err("an order by an expression over an alias");
        }
        let range = self.bound.range(term.expr.span);
        let column = self.bound.column_of(self.block, expr).map(|column| self.bound.column(column));
        if column.is_none() && expr.as_column().is_some() {
            return Err("an order by a column of a derived table"); // it may be an ENUM
        }
        if let Some(column) = column {
            match column.class {
                ColumnClass::Other => return Err("an order by a column of an unusual type"),
                ColumnClass::Text if column.type_name() == "json" => {
                    return Err("an order by JSON");
                }
                _ => {}
            }
            // ENUM, SET and BIT are sorted by number, FLOAT by more digits than it shows.
            let by_number = is_ordinal(column)
                || column.class == ColumnClass::Bit
                || column.type_name() == "float";
            if by_number {
                let pieces = vec![Piece::text("("), Piece::Tokens(range), Piece::text("+0)")];
                return Ok(Some(SortKey { value: self.hide(pieces), weight: None }));
            }
        }
        let value = match term.item {
            Some(index) => ColumnAt::Visible(number(index)),
            None => self.hide(vec![Piece::Tokens(range)]),
        };
        if !self.may_be_text(expr)? {
            return Ok(Some(SortKey { value, weight: None }));
        }
        if self.bound.column_of(self.block, expr).is_none() {
            self.check_collation(expr)?;
        }
        Ok(Some(SortKey { value, weight: Some(self.hide(weight_of(range))) }))
    }

    /// A computed text's weights can be compared when it is certain which collation they are of:
    /// the one that all text columns share, with nothing in the expression that chooses another.
    pub(super) fn check_collation(&self, expr: &Expr) -> Result<(), Reason> {
        struct Choosing(bool);
        impl Visitor for Choosing {
            fn expr(&mut self, expr: &Expr) -> bool {
                let chooses = matches!(
                    expr.kind,
                    ExprKind::Collate { .. }
                        | ExprKind::ConvertUsing { .. }
                        | ExprKind::Cast { .. }
                ) || matches!(expr.kind, ExprKind::Unary { op: UnaryOp::Binary, .. });
                self.0 |= chooses;
                true
            }
        }
        let mut choosing = Choosing(false);
        visit::walk_expr(expr, &mut choosing);
        let columns = self.bound.refs.iter().flat_map(|reference| &reference.table.columns);
        let collations: BTreeSet<&str> =
            columns.filter_map(|column| column.collation.as_deref()).collect();
        if choosing.0 || collations.len() > 1 {
            return Err("a computed text whose collation is not certain");
        }
        Ok(())
    }

    /// Whether an expression's value can be a text.
    pub(super) fn may_be_text(&self, expr: &Expr) -> Result<bool, Reason> {
        let expr = expr.unparen();
        Ok(match &expr.kind {
            ExprKind::Column(_) => match self.bound.column_of(self.block, expr) {
                Some(column) => match self.bound.column(column).class {
                    ColumnClass::Other => return Err("a column of an unusual type"),
                    class => class == ColumnClass::Text,
                },
                None => true,
            },
            ExprKind::Literal(literal) => {
                matches!(literal.kind, LiteralKind::String | LiteralKind::NationalString)
            }
            ExprKind::Binary { op, .. } => *op == BinaryOp::Concat || is_json(*op),
            ExprKind::Unary { .. } => false,
            ExprKind::Func(call)
                if matches!(function_name(call, self.bound.src).as_str(), "MIN" | "MAX") =>
            {
                call.args.first().map_or(Ok(true), |argument| self.may_be_text(argument))?
            }
            ExprKind::Func(call) => !matches!(
                function_name(call, self.bound.src).as_str(),
                "COUNT"
                    | "SUM"
                    | "AVG"
                    | "BIT_AND"
                    | "BIT_OR"
                    | "BIT_XOR"
                    | "LENGTH"
                    | "YEAR"
                    | "MONTH"
                    | "DAY"
                    | "HOUR"
                    | "MINUTE"
                    | "SECOND"
                    | "CHAR_LENGTH"
                    | "ABS"
                    | "DAYOFMONTH"
                    | "DAYOFWEEK"
                    | "DAYOFYEAR"
                    | "WEEK"
                    | "QUARTER"
                    | "MOD"
            ),
            _ => true,
        })
    }

    pub(super) fn hide(&mut self, pieces: Vec<Piece>) -> ColumnAt {
        let known = self.hidden.iter().position(|hidden| *hidden == pieces);
        let index = known.unwrap_or_else(|| {
            self.hidden.push(pieces);
            self.hidden.len() - 1
        });
        ColumnAt::Hidden(number(index))
    }

    // Which groups have all their rows on one target.

    pub(super) fn groups_are_complete(&mut self) -> Result<bool, Reason> {
        let mut columns = Vec::new();
        for item in &self.select.group_by {
            let term = self.term(&item.expr, true);
            columns.extend(self.bound.column_of(self.block, term.expr));
        }
        Ok(self.covers_keys(&columns))
    }

    pub(super) fn distinct_is_complete(&self) -> bool {
        if !self.select.group_by.is_empty() {
            return false;
        }
        let bare_star = self
            .select
            .items
            .iter()
            .any(|item| matches!(item, SelectItem::Star { table: None, .. }));
        if bare_star {
            return true;
        }
        let mut columns = Vec::new();
        for item in &self.select.items {
            match item {
                SelectItem::Expr { expr, .. } => {
                    columns.extend(self.bound.column_of(self.block, expr));
                }
                SelectItem::Star { schema, table, .. } => {
                    let starred = |index: &&usize| {
                        table.is_some_and(|table| self.bound.is_named(**index, *schema, table))
                    };
                    if let Some(index) = self.unit.iter().find(starred) {
                        columns.extend(key_columns(self.bound, *index));
                    }
                }
            }
        }
        self.covers_keys(&columns)
    }

    /// Whether rows that are equal in these columns are always on one target.
    pub(super) fn covers_keys(&self, columns: &[ColumnOf]) -> bool {
        self.unit.iter().filter(|index| !self.bound.refs[**index].null_side).any(|index| {
            let keys = key_columns(self.bound, *index);
            !keys.is_empty()
                && keys.iter().all(|key| {
                    self.bound.column(*key).is_compared_by_bytes()
                        && columns.iter().any(|column| {
                            self.bound.column(*column).is_compared_by_bytes()
                                && self.classes.same(*key, *column)
                        })
                })
        })
    }
}
