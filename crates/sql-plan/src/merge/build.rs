//! The merge of a SELECT that runs on each target by itself. What cannot be merged exactly while it
//! streams is not merged at all: the reason given here becomes the reason of a scratch plan.

use super::{
    Aggregate, AggregateKind, ColumnAt, CompareOp, Group, Having, Merge, OrderKey, SortKey,
};
use crate::bind::{Bound, ColumnOf};
use crate::colocate::Reason;
use crate::expr::{self, function_name, has_aggregate, position_of, value_of};
use crate::keys::{Classes, key_columns};
use crate::names::number;
use crate::template::{Edit, Piece, TokenRange};
use crate::value::ValueRef;
use sql_syntax::ast::{
    BinaryOp, Expr, ExprKind, FuncCall, IsTest, LiteralKind, Query, Select, SelectItem,
};
use topology::model::{Column, ColumnClass};

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
    if bound.facts.windows {
        return Err("a window function");
    }
    if select.calc_found_rows {
        return Err("SQL_CALC_FOUND_ROWS");
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
        let aggregated = !self.select.group_by.is_empty() || self.any_aggregate();
        let complete = aggregated && self.groups_are_complete()?;
        if aggregated && !complete {
            self.aggregate()
        } else {
            self.rows()
        }
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
                if let Some(key) = self.sort_key(term)? {
                    self.merge.order.push(OrderKey { key, desc: item.desc });
                }
            }
        }
        self.limit(true)
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

    // Groups with parts on several targets.

    fn aggregate(&mut self) -> Result<(), Reason> {
        let group_terms: Vec<Term<'b>> =
            self.select.group_by.iter().map(|item| self.term(&item.expr, true)).collect();
        if self.select.distinct && !group_terms.iter().all(|term| term.item.is_some()) {
            return Err("DISTINCT of groups");
        }
        let mut group = Group { keys: Vec::new(), aggregates: Vec::new() };
        let mut keys = Vec::new();
        for term in &group_terms {
            let key = self.sort_key(*term)?;
            keys.push(key);
            group.keys.extend(key);
        }
        self.items(&mut group, group_terms.is_empty())?;
        let pushed = self.group_order(&group_terms, &keys, &mut group)?;
        if let Some(having) = &self.select.having {
            let having = self.having(having, &mut group)?;
            self.merge.having = Some(having);
            let at = self.bound.range(self.select.having_span.unwrap_or(self.select.span));
            self.edits.push(Edit::replace(at, Vec::new()).once());
        }
        self.merge.group = Some(group);
        let cut_early = pushed && self.merge.having.is_none() && self.merge.sort.is_empty();
        self.limit(cut_early && !group_terms.is_empty())
    }

    fn items(&mut self, group: &mut Group, no_keys: bool) -> Result<(), Reason> {
        for (index, item) in self.select.items.iter().enumerate() {
            let Some(expr) = item_expr(item) else {
                return Err("groups over several shards with all columns selected");
            };
            let column = ColumnAt::Visible(number(index));
            if let Some(call) = aggregate_call(expr, self.bound.src) {
                let kind = self.aggregate_kind(call, expr)?;
                self.push_aggregate(group, column, kind);
            } else if has_aggregate(expr, self.bound.src) {
                return Err("an expression over aggregates of several shards");
            } else if no_keys && (expr::has_column(expr) || expr::has_query(expr)) {
                return Err("a column beside aggregates without GROUP BY");
            }
        }
        Ok(())
    }

    fn push_aggregate(&mut self, group: &mut Group, column: ColumnAt, kind: AggregateKind) {
        let aggregate = Aggregate { column, kind };
        if let AggregateKind::Average { sum, count } = aggregate.kind {
            for part in [sum, count] {
                group.aggregates.push(Aggregate { column: part, kind: AggregateKind::Sum });
            }
        }
        group.aggregates.push(aggregate);
    }

    /// How an aggregate's parts become one; adds the hidden columns that this takes.
    fn aggregate_kind(&mut self, call: &FuncCall, expr: &Expr) -> Result<AggregateKind, Reason> {
        let name = function_name(call, self.bound.src);
        if call.distinct && !matches!(name.as_str(), "MIN" | "MAX") && !self.is_apart(call) {
            return Err("an aggregate of distinct values over several shards");
        }
        let argument = call.args.first();
        Ok(match name.as_str() {
            "COUNT" | "SUM" => AggregateKind::Sum,
            "MIN" | "MAX" => {
                let weight = match argument {
                    Some(argument) if self.may_be_text(argument)? => {
                        Some(self.hide(weight_of(self.bound.range(expr.span))))
                    }
                    _ => None,
                };
                self.check_extreme(argument)?;
                AggregateKind::Extreme { max: name == "MAX", weight }
            }
            "AVG" if !call.distinct => {
                let argument = argument.ok_or("AVG")?;
                let tokens = Piece::Tokens(self.bound.range(argument.span));
                let of = |name: &str| {
                    vec![Piece::text(format!("{name}(")), tokens.clone(), Piece::text(")")]
                };
                let (sum, count) = (of("SUM"), of("COUNT"));
                AggregateKind::Average { sum: self.hide(sum), count: self.hide(count) }
            }
            "BIT_AND" => AggregateKind::BitAnd,
            "BIT_OR" => AggregateKind::BitOr,
            "BIT_XOR" => AggregateKind::BitXor,
            _ => return Err("an aggregate that cannot be put together from parts"),
        })
    }

    /// Lowest and highest of ENUM, SET and the like follow other rules than their order.
    fn check_extreme(&self, argument: Option<&Expr>) -> Result<(), Reason> {
        let column = argument.and_then(|argument| self.bound.column_of(self.block, argument));
        match column.map(|column| self.bound.column(column)) {
            Some(column) if is_ordinal(column) || column.class == ColumnClass::Bit => {
                Err("MIN or MAX of an ENUM, SET or BIT")
            }
            _ => Ok(()),
        }
    }

    /// Whether equal values of a DISTINCT aggregate's argument are never on two targets.
    fn is_apart(&self, call: &FuncCall) -> bool {
        let [argument] = call.args.as_slice() else { return false };
        let Some(column) = self.bound.column_of(self.block, argument) else { return false };
        self.covers_keys(&[column])
    }

    /// ORDER BY of groups. Says whether the streams come in the final order.
    fn group_order(
        &mut self,
        group_terms: &[Term<'b>],
        keys: &[Option<SortKey>],
        group: &mut Group,
    ) -> Result<bool, Reason> {
        let mut by_keys: Vec<(usize, bool)> = Vec::new();
        let mut sort = Vec::new();
        for item in &self.query.order_by {
            let term = self.term(&item.expr, false);
            if let Some(place) = group_terms.iter().position(|group| self.same_term(*group, term)) {
                by_keys.push((place, item.desc));
                sort.extend(keys[place].map(|key| OrderKey { key, desc: item.desc }));
            } else if let Some(key) = self.group_sort_key(term, group)? {
                sort.push(OrderKey { key, desc: item.desc });
            }
        }
        let in_key_order = by_keys.len() == self.query.order_by.len();
        let mut order: Vec<(usize, bool)> = if in_key_order { by_keys } else { Vec::new() };
        for place in 0..group_terms.len() {
            if !order.iter().any(|(known, _)| *known == place) {
                order.push((place, false));
            }
        }
        order.retain(|(place, _)| keys[*place].is_some());
        self.merge.order = order
            .iter()
            .filter_map(|(place, desc)| keys[*place].map(|key| OrderKey { key, desc: *desc }))
            .collect();
        if !in_key_order {
            self.merge.sort = sort;
        }
        self.replace_order(group_terms, &order);
        Ok(in_key_order)
    }

    /// The pushed-down ORDER BY: the group's keys, so that a group's rows are neighbours.
    fn replace_order(&mut self, terms: &[Term<'b>], order: &[(usize, bool)]) {
        let mut pieces = Vec::new();
        for (place, desc) in order {
            pieces.push(Piece::text(if pieces.is_empty() { "ORDER BY " } else { ", " }));
            pieces.push(Piece::Tokens(self.bound.range(terms[*place].expr.span)));
            if *desc {
                pieces.push(Piece::text(" DESC"));
            }
        }
        match self.query.order_span {
            Some(span) => {
                self.edits.push(Edit::replace(self.bound.range(span), pieces).once());
            }
            None if pieces.is_empty() => {}
            None => {
                pieces.insert(0, Piece::text(" "));
                self.edits.push(Edit::after(self.end_of_select(), pieces));
            }
        }
    }

    /// What groups are sorted by when it is no group key.
    fn group_sort_key(
        &mut self,
        term: Term<'b>,
        group: &mut Group,
    ) -> Result<Option<SortKey>, Reason> {
        if let Some(call) = aggregate_call(term.expr, self.bound.src) {
            let column = match term.item {
                Some(index) => ColumnAt::Visible(number(index)),
                None => self.hidden_aggregate(call, term.expr, group)?,
            };
            let kind = group.aggregates.iter().find(|aggregate| aggregate.column == column);
            let weight = match kind.map(|aggregate| &aggregate.kind) {
                Some(AggregateKind::Extreme { weight, .. }) => *weight,
                _ => None,
            };
            return Ok(Some(SortKey { value: column, weight }));
        }
        if has_aggregate(term.expr, self.bound.src) {
            return Err("ORDER BY of an expression over aggregates of several shards");
        }
        self.sort_key(term)
    }

    fn hidden_aggregate(
        &mut self,
        call: &FuncCall,
        expr: &Expr,
        group: &mut Group,
    ) -> Result<ColumnAt, Reason> {
        let column = self.hide(vec![Piece::Tokens(self.bound.range(expr.span))]);
        let kind = self.aggregate_kind(call, expr)?;
        self.push_aggregate(group, column, kind);
        Ok(column)
    }

    // HAVING.

    fn having(&mut self, expr: &'b Expr, group: &mut Group) -> Result<Having, Reason> {
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

    /// A literal number (a text or parameter could make it another comparison).
    fn number(&self, expr: &Expr) -> Option<ValueRef> {
        let number = match &expr.unparen().kind {
            ExprKind::Unary { expr, .. } => expr.as_literal(),
            _ => expr.as_literal(),
        };
        matches!(number?.kind, LiteralKind::Int | LiteralKind::Decimal)
            .then(|| value_of(expr, self.bound.src))
            .flatten()
    }

    /// The column of an aggregate or numeric group key in HAVING.
    fn having_column(&mut self, expr: &'b Expr, group: &mut Group) -> Result<ColumnAt, Reason> {
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
        let column = self.bound.column_of(self.block, term.expr);
        match column.map(|column| self.bound.column(column).class) {
            Some(ColumnClass::Integer | ColumnClass::UnsignedInteger | ColumnClass::Decimal { .. }) => {
                Ok(match term.item {
                    Some(index) => ColumnAt::Visible(number(index)),
                    None => self.hide(vec![Piece::Tokens(self.bound.range(term.expr.span))]),
                })
            }
            _ => Err("a HAVING on something that is neither aggregate nor number"),
        }
    }

    // Terms and keys.

    /// Looks up what an expression of ORDER BY, GROUP BY or HAVING means: a position, an alias, a
    /// selected expression, or itself.
    fn term(&mut self, expr: &'b Expr, columns_first: bool) -> Term<'b> {
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

    fn alias(&self, name: &[u8]) -> Option<usize> {
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
    fn reads_alias(&self, expr: &Expr) -> bool {
        expr::any(expr, &|part| {
            let ExprKind::Column(column) = &part.kind else { return false };
            let name = column.name.name(self.bound.src);
            let alias = column.table.is_none().then(|| self.alias(&name)).flatten();
            let item = alias.and_then(|index| item_expr(&self.select.items[index]));
            item.is_some_and(|item| !self.same_expr(item, part))
        })
    }

    fn no_star_before(&self, position: usize) -> bool {
        self.select.items.iter().take(position).all(|item| item_expr(item).is_some())
    }

    fn same_expr(&self, left: &Expr, right: &Expr) -> bool {
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

    fn same_term(&self, left: Term<'_>, right: Term<'_>) -> bool {
        (left.item.is_some() && left.item == right.item)
            || self.same_expr(left.expr, right.expr)
            || std::ptr::eq(left.expr, right.expr)
    }

    /// What rows are compared by for a term; `None` for constants.
    fn sort_key(&mut self, term: Term<'b>) -> Result<Option<SortKey>, Reason> {
        let expr = term.expr.unparen();
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
        let weight = if self.may_be_text(expr)? { Some(self.hide(weight_of(range))) } else { None };
        Ok(Some(SortKey { value, weight }))
    }

    /// Whether an expression's value can be a text.
    fn may_be_text(&self, expr: &Expr) -> Result<bool, Reason> {
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
            ExprKind::Func(call) => !matches!(
                function_name(call, self.bound.src).as_str(),
                "COUNT" | "SUM" | "AVG" | "BIT_AND" | "BIT_OR" | "BIT_XOR" | "LENGTH" | "YEAR"
                    | "MONTH" | "DAY" | "HOUR" | "MINUTE" | "SECOND" | "CHAR_LENGTH" | "ABS"
                    | "DAYOFMONTH" | "DAYOFWEEK" | "DAYOFYEAR" | "WEEK" | "QUARTER" | "MOD"
            ),
            _ => true,
        })
    }

    fn hide(&mut self, pieces: Vec<Piece>) -> ColumnAt {
        let known = self.hidden.iter().position(|hidden| *hidden == pieces);
        let index = known.unwrap_or_else(|| {
            self.hidden.push(pieces);
            self.hidden.len() - 1
        });
        ColumnAt::Hidden(number(index))
    }

    // Which groups have all their rows on one target.

    fn groups_are_complete(&mut self) -> Result<bool, Reason> {
        let mut columns = Vec::new();
        for item in &self.select.group_by {
            let term = self.term(&item.expr, true);
            columns.extend(self.bound.column_of(self.block, term.expr));
        }
        Ok(self.covers_keys(&columns))
    }

    fn distinct_is_complete(&self) -> bool {
        if !self.select.group_by.is_empty() {
            return false;
        }
        let bare_star =
            self.select.items.iter().any(|item| matches!(item, SelectItem::Star { table: None, .. }));
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
    fn covers_keys(&self, columns: &[ColumnOf]) -> bool {
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
