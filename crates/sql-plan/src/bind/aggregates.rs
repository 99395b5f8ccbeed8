//! Aggregates that stand in a sub-query and are of a query around it:
//! `SELECT (SELECT MAX(t1.a) FROM t2) FROM t1` has one row. Such a query is one whole: no shard can
//! run it for its own rows, and no part of it by itself.

use super::{Bound, Source};
use crate::expr::{Part, for_each_part, function_name, has_aggregate, is_aggregate};
use sql_syntax::ast::{
    ColumnRef, Expr, ExprKind, OrderItem, Query, Select, SelectItem, SetExpr, TableExpr,
};

/// Whether a query has such aggregates.
pub(crate) fn of_around(bound: &Bound<'_>, query: &Query) -> bool {
    bound.blocks.len() > 1 && Walk { bound }.query(query, false)
}

struct Walk<'w, 's> {
    bound: &'w Bound<'s>,
}

impl Walk<'_, '_> {
    /// `inner`: columns of a query around are in sight.
    fn query(&self, query: &Query, inner: bool) -> bool {
        let mut named = query.with.iter().flat_map(|with| &with.ctes);
        named.any(|cte| self.query(&cte.query, false))
            || self.body(&query.body, &query.order_by, inner)
    }

    fn body(&self, body: &SetExpr, order_by: &[OrderItem], inner: bool) -> bool {
        match body {
            SetExpr::Select(select) => self.select(select, order_by, inner),
            SetExpr::Paren(query, _) => self.query(query, inner),
            SetExpr::SetOp(chain) => {
                let mut rest = chain.rest.iter();
                self.body(&chain.first, &[], inner)
                    || rest.any(|operand| self.body(&operand.operand, &[], inner))
            }
            SetExpr::Values(rows, _) => rows.iter().flatten().any(|expr| self.nested(expr)),
            SetExpr::Table(..) => false,
        }
    }

    fn select(&self, select: &Select, order_by: &[OrderItem], inner: bool) -> bool {
        let items = select.items.iter().filter_map(|item| match item {
            SelectItem::Expr { expr, .. } => Some(expr),
            SelectItem::Star { .. } => None,
        });
        let grouping = select.group_by.iter().chain(order_by).map(|item| &item.expr);
        let exprs: Vec<&Expr> = items.chain(grouping).chain(&select.having).collect();
        let block = self.bound.block_by_token.get(&select.select_tok).copied();
        if let Some(block) = block.filter(|_| inner) {
            // WHERE has none of its own.
            let filtered = select.selection.iter().any(|expr| has_aggregate(expr, self.bound.src));
            if filtered || exprs.iter().any(|expr| self.is_outer(expr, block)) {
                return true;
            }
        }
        exprs.into_iter().chain(&select.selection).any(|expr| self.nested(expr))
            || select.from.iter().any(|table| self.table(table))
    }

    fn table(&self, table: &TableExpr) -> bool {
        match table {
            TableExpr::Derived { query, lateral, .. } => self.query(query, *lateral),
            TableExpr::Join(join) => {
                self.table(&join.left)
                    || self.table(&join.right)
                    || join.on.as_ref().is_some_and(|on| self.nested(on))
            }
            TableExpr::Nested { tables, .. } => tables.iter().any(|table| self.table(table)),
            TableExpr::JsonTable { expr, .. } => self.nested(expr),
            TableExpr::Table(_) => false,
        }
    }

    /// In the sub-queries of an expression.
    fn nested(&self, expr: &Expr) -> bool {
        let mut found = false;
        for_each_part(expr, &mut |part| {
            found = found
                || match part {
                    Part::Expr(part) => self.nested(part),
                    Part::Query(query) => self.query(query, true),
                };
        });
        found
    }

    /// Whether an aggregate of the expression names columns of queries around alone.
    fn is_outer(&self, expr: &Expr, block: usize) -> bool {
        if let ExprKind::Func(call) = &expr.kind
            && call.over.is_none()
            && is_aggregate(&function_name(call, self.bound.src))
        {
            let mut columns = Vec::new();
            add_columns(expr, &mut columns);
            return !columns.is_empty() && columns.iter().all(|one| self.is_around(one, block));
        }
        let mut found = false;
        for_each_part(expr, &mut |part| {
            if let Part::Expr(part) = part {
                found = found || self.is_outer(part, block);
            }
        });
        found
    }

    fn is_around(&self, column: &ColumnRef, block: usize) -> bool {
        if let Some(found) = self.bound.resolve(block, column) {
            return self.bound.refs[found.reference].block != block;
        }
        let src = self.bound.src;
        let name = column.name.name(src);
        !self.bound.blocks[block].sources.iter().any(|source| match source {
            Source::Table(index) => {
                let is_meant = |table| self.bound.is_named(*index, column.schema, table);
                let table = self.bound.refs[*index].table;
                column.table.is_none_or(is_meant)
                    && table.column(&String::from_utf8_lossy(&name)).is_some()
            }
            Source::Opaque { alias, columns, .. } => {
                let is_meant =
                    |table: sql_syntax::ast::Ident| table.name(src).eq_ignore_ascii_case(alias);
                let has = |columns: &Vec<Vec<u8>>| {
                    columns.iter().any(|own| own.eq_ignore_ascii_case(&name))
                };
                column.table.is_none_or(is_meant) && columns.as_ref().is_none_or(has)
            }
        })
    }
}

/// The columns in an expression, sub-queries aside.
fn add_columns<'e>(expr: &'e Expr, found: &mut Vec<&'e ColumnRef>) {
    if let ExprKind::Column(column) = &expr.kind {
        found.push(column);
    }
    for_each_part(expr, &mut |part| {
        if let Part::Expr(part) = part {
            add_columns(part, found);
        }
    });
}
