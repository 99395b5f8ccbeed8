//! COUNT, SUM and AVG of distinct values over groups that have parts on several targets: each target
//! groups by the values too and sends its groups sorted by them, so that equal values of different
//! targets meet and count once. All such aggregates of a statement are about the same values.

use super::{Builder, Term, aggregate_call, item_expr};
use crate::colocate::Reason;
use crate::expr::{self, Part, for_each_part, function_name};
use crate::merge::Group;
use crate::template::{Edit, Piece};
use sql_syntax::ast::{Expr, ExprKind, FuncCall};
use topology::model::{Column, ColumnClass};

/// Longer texts may not be sorted to their ends by a data node (`max_sort_length`).
const TEXT_CHARACTERS_MAX: usize = 255;

/// Why distinct values are not merged.
const DISTINCT: Reason = "an aggregate of distinct values over several shards";

impl<'b> Builder<'b, '_> {
    /// Finds what the aggregates of distinct values are about.
    pub(super) fn find_distinct(&mut self) -> Result<(), Reason> {
        let mut calls: Vec<&'b FuncCall> = Vec::new();
        let items = self.select.items.iter().filter_map(item_expr);
        let order = self.query.order_by.iter().map(|item| &item.expr);
        for expr in items.chain(order).chain(&self.select.having) {
            collect(expr, self.bound.src, &mut calls);
        }
        if calls.iter().all(|call| self.is_apart(call)) {
            return Ok(());
        }
        let Some(first) = calls.first() else { return Ok(()) };
        let same = |call: &&FuncCall| {
            call.args.len() == first.args.len()
                && call.args.iter().zip(&first.args).all(|(a, b)| self.same_expr(a, b))
        };
        if !calls.iter().all(same) || self.select.distinct {
            return Err(DISTINCT);
        }
        for call in &calls {
            let adds_up = function_name(call, self.bound.src) != "COUNT";
            if !call.args.iter().all(|argument| self.is_comparable(argument, adds_up)) {
                return Err(DISTINCT);
            }
        }
        let one_row = self.select.group_by.is_empty();
        if one_row && (self.select.having.is_some() || !self.query.order_by.is_empty()) {
            return Err(DISTINCT);
        }
        self.distinct = &first.args;
        Ok(())
    }

    /// Whether equal values of an argument are neighbours when they are sorted, and so is what they
    /// add up to.
    fn is_comparable(&self, argument: &Expr, adds_up: bool) -> bool {
        let Some(column) = self.bound.column_of(self.block, argument) else {
            return !adds_up
                && expr::has_column(argument)
                && !expr::has_query(argument)
                && self.may_be_text(argument) == Ok(false)
                && matches!(argument.unparen().kind, ExprKind::Func(_));
        };
        let column = self.bound.column(column);
        match column.class {
            ColumnClass::Integer | ColumnClass::UnsignedInteger | ColumnClass::Decimal { .. } => {
                true
            }
            ColumnClass::Date | ColumnClass::DateTime => !adds_up,
            ColumnClass::Text => !adds_up && is_short(column),
            _ => false,
        }
    }

    /// Whether a call's value of the same argument as the row before is not to be added.
    pub(super) fn counts_once(&self, call: &FuncCall) -> bool {
        let name = function_name(call, self.bound.src);
        !self.distinct.is_empty() && call.distinct && !matches!(name.as_str(), "MIN" | "MAX")
    }

    /// Groups by the values too, behind what the statement groups by.
    pub(super) fn group_by_distinct(&mut self, group: &mut Group) -> Result<(), Reason> {
        if self.distinct.is_empty() {
            return Ok(());
        }
        let mut pieces = Vec::new();
        for argument in self.distinct {
            if self.reads_alias(argument) || self.is_hidden_by_alias(argument) {
                return Err(DISTINCT);
            }
            let key = self.sort_key(Term { expr: argument, item: None })?;
            group.distinct.push(key.ok_or(DISTINCT)?);
            pieces.push(Piece::text(", "));
            pieces.push(Piece::Tokens(self.bound.range(argument.span)));
        }
        let last = match self.select.group_by.last() {
            Some(item) => self.bound.range(item.span).last,
            None => {
                pieces[0] = Piece::text(" GROUP BY ");
                group.empty = self.select.items.iter().map(|item| self.of_nothing(item)).collect();
                self.end_of_select()
            }
        };
        self.edits.push(Edit::after(last, pieces));
        Ok(())
    }

    /// Whether the column's name is an alias of something, be it of the column itself.
    fn is_hidden_by_alias(&self, argument: &Expr) -> bool {
        let column = argument.as_column().filter(|column| column.table.is_none());
        column.is_some_and(|column| self.alias(&column.name.name(self.bound.src)).is_some())
    }

    /// The value of an aggregate over no rows.
    fn of_nothing(&self, item: &sql_syntax::ast::SelectItem) -> Option<&'static str> {
        let call = item_expr(item).and_then(|expr| aggregate_call(expr, self.bound.src))?;
        match function_name(call, self.bound.src).as_str() {
            "COUNT" | "BIT_OR" | "BIT_XOR" => Some("0"),
            "BIT_AND" => Some("18446744073709551615"),
            _ => None,
        }
    }
}

/// The calls of aggregates over distinct values, but those that do not care.
fn collect<'e>(expr: &'e Expr, src: &[u8], calls: &mut Vec<&'e FuncCall>) {
    if let ExprKind::Func(call) = &expr.kind {
        let name = function_name(call, src);
        let cares = !matches!(name.as_str(), "MIN" | "MAX") && expr::is_aggregate(&name);
        if call.distinct && call.over.is_none() && cares {
            calls.push(call);
        }
    }
    for_each_part(expr, &mut |part| {
        if let Part::Expr(part) = part {
            collect(part, src, calls);
        }
    });
}

fn is_short(column: &Column) -> bool {
    let digits: String = column.column_type.chars().filter(char::is_ascii_digit).collect();
    matches!(column.type_name(), "char" | "varchar")
        && digits.parse().is_ok_and(|length: usize| length <= TEXT_CHARACTERS_MAX)
}
