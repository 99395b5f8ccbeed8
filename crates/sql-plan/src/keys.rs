//! Conditions → routes. Columns that conditions make equal are one class; a condition on any column
//! of a key's class is a condition on the key.

use crate::bind::{Bound, ColumnOf, Conjunct, What};
use crate::expr::value_of;
use crate::route::{Condition, Route, Router};
use crate::value::ValueRef;
use sql_syntax::ast::{BinaryOp, Expr, ExprKind, IsTest};
use std::collections::HashMap;
use topology::model::ColumnClass;

/// Classes of columns that are equal.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    parents: HashMap<ColumnOf, ColumnOf>,
}

impl Classes {
    /// The classes that these conditions make.
    pub fn of<'a, 's: 'a>(
        bound: &Bound<'s>,
        conditions: impl Iterator<Item = (usize, &'a Conjunct<'s>)>,
    ) -> Self {
        let mut classes = Self::default();
        for (block, conjunct) in conditions {
            classes.add(bound, block, conjunct);
        }
        classes
    }

    /// Adds what one condition says.
    pub fn add(&mut self, bound: &Bound<'_>, block: usize, conjunct: &Conjunct<'_>) {
        match &conjunct.what {
            What::Equal(left, right) => self.join(bound, *left, *right),
            What::Expr(expr) => self.add_expr(bound, block, expr),
        }
    }

    fn add_expr(&mut self, bound: &Bound<'_>, block: usize, expr: &Expr) {
        let ExprKind::Binary { op: BinaryOp::Eq, left, right } = &expr.unparen().kind else {
            return;
        };
        if let (ExprKind::Row(left), ExprKind::Row(right)) =
            (&left.unparen().kind, &right.unparen().kind)
        {
            for (left, right) in left.iter().zip(right) {
                self.add_pair(bound, block, left, right);
            }
            return;
        }
        self.add_pair(bound, block, left, right);
    }

    fn add_pair(&mut self, bound: &Bound<'_>, block: usize, left: &Expr, right: &Expr) {
        if let (Some(left), Some(right)) =
            (bound.column_of(block, left), bound.column_of(block, right))
        {
            self.join(bound, left, right);
        }
    }

    /// Columns of unlike kinds are compared after a conversion; their equality is not passed on.
    pub fn join(&mut self, bound: &Bound<'_>, left: ColumnOf, right: ColumnOf) {
        let kind = |column: ColumnOf| match bound.column(column).class {
            ColumnClass::Integer
            | ColumnClass::UnsignedInteger
            | ColumnClass::Decimal { scale: 0 } => 0,
            ColumnClass::Text | ColumnClass::Binary => 1,
            ColumnClass::Date | ColumnClass::DateTime => 2,
            _ => 3,
        };
        if kind(left) != kind(right) || kind(left) == 3 {
            return;
        }
        let (left, right) = (self.find(left), self.find(right));
        if left != right {
            self.parents.insert(left, right);
        }
    }

    /// The class's representative.
    pub fn find(&self, column: ColumnOf) -> ColumnOf {
        let mut at = column;
        while let Some(parent) = self.parents.get(&at) {
            at = *parent;
        }
        at
    }

    /// Whether two columns are equal.
    pub fn same(&self, left: ColumnOf, right: ColumnOf) -> bool {
        self.find(left) == self.find(right)
    }
}

/// Turns conditions into what they say about keys.
pub(crate) struct KeyReader<'b, 's> {
    pub bound: &'b Bound<'s>,
    pub classes: &'b Classes,
    /// For each key of the router, columns that are that key.
    pub keys: Vec<Vec<ColumnOf>>,
    /// IS NULL counts: none of the references can be NULL by an outer join.
    pub nulls_count: bool,
}

impl<'b, 's> KeyReader<'b, 's> {
    /// A reader for the keys of these references, which are all sharded alike.
    pub fn new(bound: &'b Bound<'s>, classes: &'b Classes, references: &[usize]) -> Self {
        let mut keys: Vec<Vec<ColumnOf>> = Vec::new();
        for reference in references {
            for (key, column) in key_columns(bound, *reference).into_iter().enumerate() {
                if keys.len() <= key {
                    keys.push(Vec::new());
                }
                keys[key].push(column);
            }
        }
        let nulls_count = references.iter().all(|index| !bound.refs[*index].null_side);
        Self { bound, classes, keys, nulls_count }
    }

    /// What a conjunct says about the keys.
    pub fn read(&self, block: usize, conjunct: &Conjunct<'s>) -> Condition {
        match &conjunct.what {
            What::Expr(expr) => self.expr(block, expr),
            What::Equal(..) => Condition::Any,
        }
    }

    fn key_of(&self, block: usize, expr: &Expr) -> Option<usize> {
        let column = self.bound.column_of(block, expr)?;
        self.keys
            .iter()
            .position(|columns| columns.iter().any(|key| self.classes.same(*key, column)))
    }

    fn value(&self, expr: &Expr) -> Option<ValueRef> {
        value_of(expr, self.bound.src)
    }

    fn expr(&self, block: usize, expr: &Expr) -> Condition {
        match &expr.kind {
            ExprKind::Paren(inner) => self.expr(block, inner),
            ExprKind::And(parts) => Condition::all(parts.iter().map(|part| self.expr(block, part))),
            ExprKind::Or(parts) => {
                Condition::any(parts.iter().map(|part| self.expr(block, part)).collect())
            }
            ExprKind::Binary { op, left, right } => self.comparison(block, *op, left, right),
            ExprKind::InList { expr, not: false, list } => self.in_list(block, expr, list),
            ExprKind::Between { expr, not: false, low, high } => {
                match (self.key_of(block, expr), self.value(low), self.value(high)) {
                    (Some(key), low, high) if low.is_some() || high.is_some() => {
                        Condition::Between { key, low, high }
                    }
                    _ => Condition::Any,
                }
            }
            ExprKind::Is { expr, not: false, test: IsTest::Null } if self.nulls_count => {
                self.key_of(block, expr).map_or(Condition::Any, |key| Condition::Null { key })
            }
            _ => Condition::Any,
        }
    }

    fn comparison(&self, block: usize, op: BinaryOp, left: &Expr, right: &Expr) -> Condition {
        if let (BinaryOp::Eq, ExprKind::Row(left), ExprKind::Row(right)) =
            (op, &left.unparen().kind, &right.unparen().kind)
        {
            let pairs = left.iter().zip(right);
            return Condition::all(pairs.map(|(l, r)| self.comparison(block, op, l, r)));
        }
        let (key, value, op) = match (self.key_of(block, left), self.value(right)) {
            (Some(key), Some(value)) => (key, value, op),
            _ => match (self.key_of(block, right), self.value(left)) {
                (Some(key), Some(value)) => (key, value, turned(op)),
                _ => return Condition::Any,
            },
        };
        match op {
            BinaryOp::Eq => Condition::Equal { key, value },
            BinaryOp::Lt | BinaryOp::Le => Condition::Between { key, low: None, high: Some(value) },
            BinaryOp::Gt | BinaryOp::Ge => Condition::Between { key, low: Some(value), high: None },
            _ => Condition::Any,
        }
    }

    fn in_list(&self, block: usize, expr: &Expr, list: &[Expr]) -> Condition {
        if let ExprKind::Row(columns) = &expr.unparen().kind {
            let rows = list.iter().map(|row| match &row.unparen().kind {
                ExprKind::Row(values) => Condition::all(
                    columns
                        .iter()
                        .zip(values)
                        .map(|(column, value)| self.comparison(block, BinaryOp::Eq, column, value)),
                ),
                _ => Condition::Any,
            });
            return Condition::any(rows.collect());
        }
        let values: Option<Vec<ValueRef>> = list.iter().map(|value| self.value(value)).collect();
        match (self.key_of(block, expr), values) {
            (Some(key), Some(values)) => Condition::In { key, values },
            _ => Condition::Any,
        }
    }
}

fn turned(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::Le => BinaryOp::Ge,
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::Ge => BinaryOp::Le,
        other => other,
    }
}

/// Both bounds of one key in one condition: `k >= a AND k < b` arrives as two.
pub(crate) fn join_bounds(condition: Condition) -> Condition {
    let Condition::And(parts) = condition else { return condition };
    let mut joined: Vec<Condition> = Vec::new();
    for part in parts {
        if let Condition::Between { key, low, high } = &part {
            let open = joined.iter_mut().find_map(|other| match other {
                Condition::Between { key: k, low: l, high: h }
                    if k == key
                        && (l.is_none() || low.is_none())
                        && (h.is_none() || high.is_none()) =>
                {
                    Some((l, h))
                }
                _ => None,
            });
            if let Some((other_low, other_high)) = open {
                *other_low = other_low.take().or_else(|| low.clone());
                *other_high = other_high.take().or_else(|| high.clone());
                continue;
            }
        }
        joined.push(part);
    }
    Condition::all(joined)
}

/// The key columns of a sharded reference.
pub(crate) fn key_columns(bound: &Bound<'_>, reference: usize) -> Vec<ColumnOf> {
    let Some(router) = &bound.refs[reference].router else { return Vec::new() };
    router.columns.iter().filter_map(|column| bound.column_index(reference, &column.name)).collect()
}

/// The conditions that restrict the rows of one reference: its own block's, and those that every
/// used row of the blocks around satisfies.
fn restricting<'b, 's>(bound: &'b Bound<'s>, reference: usize) -> Vec<(usize, &'b Conjunct<'s>)> {
    let own = bound.refs[reference].block;
    let mut all: Vec<(usize, &Conjunct<'s>)> = bound
        .conditions(own)
        .iter()
        .filter(|conjunct| conjunct.restricts.contains(&reference))
        .map(|conjunct| (own, conjunct))
        .collect();
    let mut at = bound.blocks[own].parent;
    while let Some(block) = at {
        let global = bound.conditions(block).iter().filter(|conjunct| conjunct.global);
        all.extend(global.map(|conjunct| (block, conjunct)));
        at = bound.blocks[block].parent;
    }
    all
}

/// Where the rows of one reference are that the statement can need.
pub(crate) fn route_of_reference(bound: &Bound<'_>, reference: usize) -> Option<Route> {
    let router: Router = bound.refs[reference].router.clone()?;
    let conditions = restricting(bound, reference);
    let classes = Classes::of(bound, conditions.iter().copied());
    let reader = KeyReader::new(bound, &classes, &[reference]);
    let read = conditions.iter().map(|(block, conjunct)| reader.read(*block, conjunct));
    Some(Route { router, condition: join_bounds(Condition::all(read)) })
}

/// Where the joined rows of co-located references are.
pub(crate) fn route_of_unit(
    bound: &Bound<'_>,
    block: usize,
    references: &[usize],
) -> Option<Route> {
    let router: Router = bound.refs[*references.first()?].router.clone()?;
    let global: Vec<(usize, &Conjunct<'_>)> = bound
        .conditions(block)
        .iter()
        .filter(|conjunct| conjunct.global)
        .map(|conjunct| (block, conjunct))
        .collect();
    let classes = Classes::of(bound, global.iter().copied());
    // Tables that are together by promise alone (bind_table) have keys of their own.
    let alike: Vec<usize> = references
        .iter()
        .copied()
        .filter(|index| bound.refs[*index].router.as_ref().is_some_and(|r| r.is_alike(&router)))
        .collect();
    let reader = KeyReader::new(bound, &classes, &alike);
    let read = global.iter().map(|(block, conjunct)| reader.read(*block, conjunct));
    Some(Route { router, condition: join_bounds(Condition::all(read)) })
}
