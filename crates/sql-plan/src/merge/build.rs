//! The merge of a SELECT that runs on each target by itself. What cannot be merged exactly while it
//! streams is not merged at all: the reason given here becomes the reason of a scratch plan.

mod distinct;
mod floats;
mod groups;
mod having;
mod terms;

use super::{Merge, OrderKey};
use crate::bind::Bound;
use crate::colocate::Reason;
use crate::expr::{self, function_name, has_aggregate, value_of};
use crate::keys::Classes;
use crate::names::number;
use crate::template::{Edit, Piece, TokenRange};
use sql_syntax::ast::{
    BinaryOp, Expr, ExprKind, FuncCall, Ident, Over, Query, Select, SelectItem, WindowSpec,
};
use topology::model::Column;

/// A merge, with the edits of the text that it needs.
#[derive(Debug)]
pub(crate) struct Built {
    pub merge: Merge,
    pub edits: Vec<Edit>,
    /// The plan does not hang on a literal's value.
    pub cacheable: bool,
}

/// Builds the merge of `query`, whose outermost block is `block` and whose co-located sharded
/// references are `unit`.
pub(crate) fn build(
    bound: &Bound<'_>,
    query: &Query,
    select: &Select,
    block: usize,
    unit: &[usize],
) -> Result<Built, Reason> {
    refuse_what_cannot_stream(bound, query, select)?;
    let mut builder = Builder {
        bound,
        query,
        select,
        block,
        classes: Classes::of(
            bound,
            bound.conditions(block).iter().filter(|c| c.global).map(|c| (block, c)),
        ),
        unit,
        hidden: Vec::new(),
        distinct: &[],
        merge: Merge::default(),
        edits: Vec::new(),
        cacheable: true,
    };
    builder.run()?;
    Ok(builder.finish())
}

fn refuse_what_cannot_stream(
    bound: &Bound<'_>,
    query: &Query,
    select: &Select,
) -> Result<(), Reason> {
    if select.rollup {
        return Err("WITH ROLLUP");
    }
    if select.procedure.is_some() {
        return Err("PROCEDURE");
    }
    if bound.facts.assigns_variables {
        return Err("an assignment to a user variable");
    }
    if query.limit.as_ref().is_some_and(|limit| limit.with_ties || limit.rows_examined.is_some()) {
        return Err("LIMIT with ties or with a bound on examined rows");
    }
    Ok(())
}

struct Builder<'b, 's> {
    bound: &'b Bound<'s>,
    query: &'b Query,
    select: &'b Select,
    block: usize,
    classes: Classes,
    unit: &'b [usize],
    hidden: Vec<Vec<Piece>>,
    /// What the aggregates of distinct values are about, where its values are on several targets.
    distinct: &'b [Expr],
    merge: Merge,
    edits: Vec<Edit>,
    cacheable: bool,
}

/// An expression of ORDER BY or GROUP BY after positions and aliases are looked up.
#[derive(Clone, Copy)]
struct Term<'b> {
    expr: &'b Expr,
    /// The select item that it is.
    item: Option<usize>,
}

impl<'b> Builder<'b, '_> {
    fn run(&mut self) -> Result<(), Reason> {
        self.check_windows()?;
        self.merge.counts_found = self.select.calc_found_rows;
        let aggregated = !self.select.group_by.is_empty() || self.any_aggregate();
        let complete = aggregated && self.groups_are_complete()?;
        self.show_floats();
        if aggregated && !complete {
            if self.bound.facts.windows {
                return Err("a window function over groups of several shards");
            }
            self.aggregate()
        } else {
            self.rows()
        }
    }

    /// A window is whole on its target when its PARTITION BY has the sharding keys.
    fn check_windows(&self) -> Result<(), Reason> {
        const WINDOW: Reason = "a window function whose PARTITION BY lacks the sharding keys";
        if !self.bound.facts.windows {
            return Ok(());
        }
        let items = self.select.items.iter().filter_map(item_expr);
        let order = self.query.order_by.iter().map(|item| &item.expr);
        for expr in items.chain(order) {
            let is_apart = expr::any(expr, &|part| match &part.kind {
                ExprKind::Func(call) => match call.over.as_deref() {
                    None => false,
                    Some(Over::Spec(spec)) => !self.is_whole(spec),
                    Some(Over::Name(name)) => !self.window(*name).is_some_and(|w| self.is_whole(w)),
                },
                _ => false,
            });
            if is_apart {
                return Err(WINDOW);
            }
        }
        Ok(())
    }

    fn window(&self, name: Ident) -> Option<&'b WindowSpec> {
        let name = name.name(self.bound.src);
        let mut windows = self.select.windows.iter();
        let named = windows.find(|(own, _)| own.name(self.bound.src).eq_ignore_ascii_case(&name));
        named.map(|(_, spec)| spec)
    }

    fn is_whole(&self, spec: &WindowSpec) -> bool {
        if let (Some(base), true) = (spec.base, spec.partition_by.is_empty()) {
            return self.window(base).is_some_and(|base| self.is_whole(base));
        }
        let columns: Vec<_> = spec
            .partition_by
            .iter()
            .filter_map(|expr| self.bound.column_of(self.block, expr))
            .collect();
        self.covers_keys(&columns)
    }

    fn finish(mut self) -> Built {
        self.merge.hidden = number(self.hidden.len());
        if !self.hidden.is_empty() {
            let last = self.bound.range(self.select.items_span).last;
            let pieces = self
                .hidden
                .into_iter()
                .flat_map(|pieces| std::iter::once(Piece::text(", ")).chain(pieces))
                .collect();
            self.edits.push(Edit::after(last, pieces));
        }
        Built { merge: self.merge, edits: self.edits, cacheable: self.cacheable }
    }

    fn any_aggregate(&self) -> bool {
        let items = self.select.items.iter().filter_map(item_expr);
        let order = self.query.order_by.iter().map(|item| &item.expr);
        items
            .chain(order)
            .chain(&self.select.having)
            .any(|expr| has_aggregate(expr, self.bound.src))
    }

    // Rows, or groups that no other target has a part of.

    fn rows(&mut self) -> Result<(), Reason> {
        if self.select.distinct && !self.distinct_is_complete() {
            self.distinct()?;
        } else {
            for item in &self.query.order_by {
                let term = self.term(&item.expr, false);
                if self.select.distinct && !self.is_selected(term) {
                    return Err("DISTINCT with ORDER BY of something that is not selected");
                }
                if let Some(key) = self.sort_key(term)? {
                    self.merge.order.push(OrderKey { key, desc: item.desc });
                }
            }
        }
        self.limit(true)
    }

    /// Whether a hidden copy of the term adds nothing to what is selected.
    fn is_selected(&self, term: Term<'_>) -> bool {
        let starred = self.select.items.iter().any(|item| item_expr(item).is_none());
        let is_column = self.bound.column_of(self.block, term.expr).is_some();
        term.item.is_some() || (starred && is_column && self.has_bare_star())
    }

    fn has_bare_star(&self) -> bool {
        self.select.items.iter().any(|item| matches!(item, SelectItem::Star { table: None, .. }))
    }

    /// DISTINCT: every target sends its rows sorted by all items, neighbours that are equal go.
    fn distinct(&mut self) -> Result<(), Reason> {
        let mut sorted_by: Vec<usize> = Vec::new();
        for item in &self.query.order_by {
            let term = self.term(&item.expr, false);
            let Some(index) = term.item else {
                return Err("DISTINCT with ORDER BY of something that is not selected");
            };
            if let Some(key) = self.sort_key(term)? {
                self.merge.order.push(OrderKey { key, desc: item.desc });
                self.merge.distinct.push(key);
                sorted_by.push(index);
            }
        }
        let mut more: Vec<u8> = Vec::new();
        for index in 0..self.select.items.len() {
            let Some(expr) = item_expr(&self.select.items[index]) else {
                return Err("DISTINCT over all columns of a table without its sharding key");
            };
            if sorted_by.contains(&index) {
                continue;
            }
            if let Some(key) = self.sort_key(Term { expr, item: Some(index) })? {
                self.merge.order.push(OrderKey { key, desc: false });
                self.merge.distinct.push(key);
                more.extend_from_slice(if more.is_empty() { b"" } else { b", " });
                more.extend_from_slice((index + 1).to_string().as_bytes());
            }
        }
        if !more.is_empty() {
            self.order_also_by(vec![Piece::Text(more)]);
        }
        if self.merge.distinct.is_empty() {
            return Err("DISTINCT over constants alone");
        }
        Ok(())
    }

    /// Adds to the statement's ORDER BY, or gives it one.
    fn order_also_by(&mut self, pieces: Vec<Piece>) {
        match self.query.order_span {
            Some(span) => {
                let last = self.bound.range(span).last;
                self.edits.push(Edit::after(last, [vec![Piece::text(", ")], pieces].concat()));
            }
            None => {
                let pieces = [vec![Piece::text(" ORDER BY ")], pieces].concat();
                self.edits.push(Edit::after(self.end_of_select(), pieces));
            }
        }
    }

    /// The last token before ORDER BY and LIMIT.
    fn end_of_select(&self) -> u32 {
        self.bound.range(self.select.span).last
    }

    // LIMIT.

    /// Reads LIMIT; `early`: a target need not send more than offset + count rows.
    fn limit(&mut self, early: bool) -> Result<(), Reason> {
        let Some(limit) = &self.query.limit else { return Ok(()) };
        let value = |expr: &Option<Expr>| match expr {
            None => Ok(None),
            Some(expr) => value_of(expr, self.bound.src)
                .map(Some)
                .ok_or("a LIMIT that is neither number nor parameter"),
        };
        let (count, offset) = (value(&limit.count)?, value(&limit.offset)?);
        let pushed = match (&count, &offset) {
            _ if self.select.calc_found_rows => Vec::new(),
            (Some(count), Some(offset)) if early => {
                vec![Piece::text("LIMIT "), Piece::Sum(vec![offset.clone(), count.clone()])]
            }
            (Some(count), None) if early => {
                vec![Piece::text("LIMIT "), Piece::Sum(vec![count.clone()])]
            }
            _ => Vec::new(),
        };
        self.edits.push(Edit::replace(self.bound.range(limit.span), pushed).once());
        (self.merge.limit, self.merge.offset) = (count, offset);
        Ok(())
    }
}

fn item_expr(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::Expr { expr, .. } => Some(expr),
        SelectItem::Star { .. } => None,
    }
}

/// The aggregate that an expression is as a whole.
fn aggregate_call<'e>(expr: &'e Expr, src: &[u8]) -> Option<&'e FuncCall> {
    match &expr.unparen().kind {
        ExprKind::Func(call)
            if call.over.is_none() && expr::is_aggregate(&function_name(call, src)) =>
        {
            Some(call)
        }
        _ => None,
    }
}

fn weight_of(range: TokenRange) -> Vec<Piece> {
    vec![Piece::text("WEIGHT_STRING("), Piece::Tokens(range), Piece::text(")")]
}

fn is_ordinal(column: &Column) -> bool {
    matches!(column.type_name(), "enum" | "set")
}

fn is_json(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::JsonExtract | BinaryOp::JsonUnquote)
}
