//! Groups that have parts on several targets: how their aggregates are put together, and in which
//! order the targets must send them so that a group's parts meet.

use super::{Builder, Term, aggregate_call, is_ordinal, item_expr, weight_of};
use crate::colocate::Reason;
use crate::expr::{self, function_name, has_aggregate};
use crate::merge::{Aggregate, AggregateKind, ColumnAt, Group, OrderKey, SortKey};
use crate::names::number;
use crate::template::{Edit, Piece};
use sql_syntax::ast::{Expr, FuncCall};
use topology::model::ColumnClass;

impl<'b> Builder<'b, '_> {
    pub(super) fn aggregate(&mut self) -> Result<(), Reason> {
        let group_terms: Vec<Term<'b>> =
            self.select.group_by.iter().map(|item| self.term(&item.expr, true)).collect();
        if self.select.distinct && !group_terms.iter().all(|term| term.item.is_some()) {
            return Err("DISTINCT of groups");
        }
        let mut group = Group::default();
        self.find_distinct()?;
        let mut keys = Vec::new();
        for term in &group_terms {
            // The pushed-down ORDER BY of the groups would read the alias instead.
            if self.reads_alias(term.expr) {
                return Err("an alias that hides a column of GROUP BY");
            }
            // A number in the pushed-down ORDER BY would be a position.
            if !expr::has_column(term.expr) && !expr::has_query(term.expr) {
                return Err("groups by a constant");
            }
            let key = self.sort_key(*term)?;
            keys.push(key);
            group.keys.extend(key);
        }
        self.items(&mut group, group_terms.is_empty())?;
        self.group_by_distinct(&mut group)?;
        let pushed = self.group_order(&group_terms, &keys, &mut group)?;
        if let Some(having) = &self.select.having {
            let having = self.having(having, &mut group)?;
            self.merge.having = Some(having);
            let at = self.bound.range(self.select.having_span.unwrap_or(self.select.span));
            self.edits.push(Edit::replace(at, Vec::new()).once());
        }
        self.merge.group = Some(group);
        let whole = self.merge.having.is_none() && self.distinct.is_empty();
        let cut_early = pushed && whole && self.merge.sort.is_empty();
        self.limit(cut_early && !group_terms.is_empty())
    }

    pub(super) fn items(&mut self, group: &mut Group, no_keys: bool) -> Result<(), Reason> {
        for (index, item) in self.select.items.iter().enumerate() {
            let Some(expr) = item_expr(item) else {
                return Err("groups over several shards with all columns selected");
            };
            let column = ColumnAt::Visible(number(index));
            if let Some(call) = aggregate_call(expr, self.bound.src) {
                let kind = self.aggregate_kind(call, expr)?;
                self.push_aggregate(group, column, kind, self.counts_once(call));
            } else if has_aggregate(expr, self.bound.src) {
                return Err("an expression over aggregates of several shards");
            } else if no_keys && (expr::has_column(expr) || expr::has_query(expr)) {
                return Err("a column beside aggregates without GROUP BY");
            }
        }
        Ok(())
    }

    pub(super) fn push_aggregate(
        &mut self,
        group: &mut Group,
        column: ColumnAt,
        kind: AggregateKind,
        distinct: bool,
    ) {
        let aggregate = Aggregate { column, kind, distinct };
        if let AggregateKind::Average { sum, count } = aggregate.kind {
            for part in [sum, count] {
                let kind = AggregateKind::Sum;
                group.aggregates.push(Aggregate { column: part, kind, distinct });
            }
        }
        group.aggregates.push(aggregate);
    }

    /// How an aggregate's parts become one; adds the hidden columns that this takes.
    pub(super) fn aggregate_kind(
        &mut self,
        call: &FuncCall,
        expr: &Expr,
    ) -> Result<AggregateKind, Reason> {
        let name = function_name(call, self.bound.src);
        let argument = call.args.first();
        Ok(match name.as_str() {
            "COUNT" | "SUM" => AggregateKind::Sum,
            "MIN" | "MAX" => {
                let weight = match argument {
                    Some(argument) if self.may_be_text(argument)? => {
                        self.check_collation(argument)?;
                        Some(self.hide(weight_of(self.bound.range(expr.span))))
                    }
                    _ => None,
                };
                self.check_extreme(argument)?;
                AggregateKind::Extreme { max: name == "MAX", weight }
            }
            "AVG" => {
                let argument = argument.ok_or("AVG")?;
                let tokens = Piece::Tokens(self.bound.range(argument.span));
                let once = if call.distinct { "DISTINCT " } else { "" };
                let of = |name: &str| {
                    vec![Piece::text(format!("{name}({once}")), tokens.clone(), Piece::text(")")]
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
    pub(super) fn check_extreme(&self, argument: Option<&Expr>) -> Result<(), Reason> {
        let column = argument.and_then(|argument| self.bound.column_of(self.block, argument));
        if column.is_none() && argument.is_some_and(|argument| argument.as_column().is_some()) {
            return Err("MIN or MAX of a column of a derived table");
        }
        match column.map(|column| self.bound.column(column)) {
            Some(column) if is_ordinal(column) || column.class == ColumnClass::Bit => {
                Err("MIN or MAX of an ENUM, SET or BIT")
            }
            Some(column) if column.type_name() == "float" => Err("MIN or MAX of a FLOAT"),
            _ => Ok(()),
        }
    }

    /// Whether equal values of a DISTINCT aggregate's argument are never on two targets.
    pub(super) fn is_apart(&self, call: &FuncCall) -> bool {
        let [argument] = call.args.as_slice() else { return false };
        let Some(column) = self.bound.column_of(self.block, argument) else { return false };
        self.covers_keys(&[column])
    }

    /// ORDER BY of groups. Says whether the streams come in the final order.
    pub(super) fn group_order(
        &mut self,
        group_terms: &[Term<'b>],
        keys: &[Option<SortKey>],
        group: &mut Group,
    ) -> Result<bool, Reason> {
        if group_terms.is_empty() && self.distinct.is_empty() {
            return Ok(true); // one row has no order; the clause stays for its errors
        }
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
            .chain(group.distinct.iter().map(|key| OrderKey { key: *key, desc: false }))
            .collect();
        if !in_key_order {
            self.merge.sort = sort;
        }
        self.replace_order(group_terms, &order);
        Ok(in_key_order)
    }

    /// The pushed-down ORDER BY: the group's keys, so that a group's rows are neighbours.
    pub(super) fn replace_order(&mut self, terms: &[Term<'b>], order: &[(usize, bool)]) {
        let mut pieces = Vec::new();
        for (place, desc) in order {
            pieces.push(Piece::text(if pieces.is_empty() { "ORDER BY " } else { ", " }));
            pieces.push(Piece::Tokens(self.bound.range(terms[*place].expr.span)));
            if *desc {
                pieces.push(Piece::text(" DESC"));
            }
        }
        for argument in self.distinct {
            pieces.push(Piece::text(if pieces.is_empty() { "ORDER BY " } else { ", " }));
            pieces.push(Piece::Tokens(self.bound.range(argument.span)));
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
    pub(super) fn group_sort_key(
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

    pub(super) fn hidden_aggregate(
        &mut self,
        call: &FuncCall,
        expr: &Expr,
        group: &mut Group,
    ) -> Result<ColumnAt, Reason> {
        let column = self.hide(vec![Piece::Tokens(self.bound.range(expr.span))]);
        let kind = self.aggregate_kind(call, expr)?;
        self.push_aggregate(group, column, kind, self.counts_once(call));
        Ok(column)
    }
}
