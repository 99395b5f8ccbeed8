//! Reads of one row by a whole unique key, or of a few whose keys are told, which a server answers at
//! once: they may share a connection with other sessions' statements. Whatever could take longer
//! (functions, sub-queries, locks, a key that is not compared as it is stored) is not among them. What
//! such a statement has taken so far is kept beside its plan, by whoever runs it.

use crate::expr::{conjuncts, value_of};
use crate::plan::{Access, Plan, RowKind};
use crate::planner::Made;
use crate::value::{ValueRef, Values};
use sql_syntax::ast::{
    BinaryOp, Expr, ExprKind, LiteralKind, Query, Select, SelectItem, SetExpr, Statement, TableExpr,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use topology::algorithm::SqlValue;
use topology::model::{ColumnClass, Snapshot, Table};

/// A read of more rows is not short. Rows of 500 bytes fill what an answer on a shared connection may
/// have.
pub const ROWS_MAX: u16 = 128;

/// A plan that is a short read.
#[derive(Debug)]
pub struct ShortRead {
    /// What its executions have taken.
    pub cost: Cost,
    /// How many rows it may find.
    rows: Rows,
}

/// How many rows are found, at most.
#[derive(Clone, Debug, PartialEq)]
enum Rows {
    /// So many, whatever the values.
    Few(u16),
    /// One for each number between two.
    Between(ValueRef, ValueRef),
}

impl ShortRead {
    /// How many rows it finds with these values, at most; none: more than [`ROWS_MAX`], or nobody
    /// knows.
    pub fn rows(&self, values: &Values<'_>) -> Option<u16> {
        match &self.rows {
            Rows::Few(rows) => Some(*rows),
            Rows::Between(low, high) => match (low.resolve(values), high.resolve(values)) {
                (SqlValue::Integer(low), SqlValue::Integer(high)) => {
                    let rows = high.checked_sub(low)?.saturating_add(1).max(0);
                    u16::try_from(rows).ok().filter(|rows| *rows <= ROWS_MAX)
                }
                _ => None,
            },
        }
    }
}

/// What the executions of one plan have taken lately, in microseconds: a moving average.
#[derive(Debug, Default)]
pub struct Cost(AtomicU32);

/// The newest execution counts for one part in so many.
const WEIGHT: u32 = 8;

impl Cost {
    /// The average; 0 before the first execution.
    pub fn microseconds(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// An execution took so long.
    pub fn note(&self, microseconds: u32) {
        let before = self.microseconds();
        let after = before - before / WEIGHT + microseconds / WEIGHT;
        self.0.store(after, Ordering::Relaxed);
    }

    /// An execution begins of which nothing is known: what was before counts for less.
    pub fn fade(&self) {
        self.note(0);
    }

    /// An execution was so long that the next ones are expected to be, whatever was before.
    pub fn set(&self, microseconds: u32) {
        self.0.store(microseconds, Ordering::Relaxed);
    }
}

/// What is kept of a plan that is a short read; none for every other statement.
pub(crate) fn of(
    made: &Made,
    statement: &Statement,
    access: &[Access],
    snapshot: &Snapshot,
    src: &[u8],
) -> Option<Arc<ShortRead>> {
    let Plan::Routed(plan) = &made.plan else { return None };
    let plain = plan.kind == RowKind::Read
        && made.read_only
        && !made.locking
        && made.uses == crate::plan::Uses::default()
        && !plan.counts_found
        && !plan.wants_database
        && plan.tables.len() == 1;
    let Statement::Query(query) = statement else { return None };
    let [Access { schema, table: Some(name), .. }] = access else { return None };
    let table = snapshot.schema(schema)?.table(name)?;
    if !plain || table.view.is_some() {
        return None;
    }
    let rows = rows_of(query, table, src)?;
    Some(Arc::new(ShortRead { cost: Cost::default(), rows }))
}

fn rows_of(query: &Query, table: &Table, src: &[u8]) -> Option<Rows> {
    let SetExpr::Select(select) = &query.body else { return None };
    let simple = query.with.is_none()
        && query.locks.is_empty()
        && query.into.is_none()
        && is_simple(select)
        && query.order_by.iter().all(|item| is_plain(&item.expr));
    if !simple {
        return None;
    }
    let mut parts = Vec::new();
    conjuncts(select.selection.as_ref()?, &mut parts);
    let mut keys = std::iter::once(&table.primary_key).chain(&table.unique_keys);
    keys.find_map(|key| rows_by_key(key, &parts, table, src))
}

/// One table, columns and values alone.
fn is_simple(select: &Select) -> bool {
    let [TableExpr::Table(table)] = select.from.as_slice() else { return false };
    table.system_time.is_none()
        && table.index_hints.is_empty()
        && select.into.is_none()
        && select.having.is_none()
        && select.group_by.is_empty()
        && select.windows.is_empty()
        && select.procedure.is_none()
        && select.selection.as_ref().is_some_and(is_plain)
        && select.items.iter().all(|item| match item {
            SelectItem::Star { .. } => true,
            SelectItem::Expr { expr, .. } => is_plain(expr),
        })
}

/// Columns, values, and operators between them.
fn is_plain(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Param { .. } | ExprKind::Column(_) => true,
        ExprKind::Paren(inner) => is_plain(inner),
        ExprKind::Unary { expr, .. } | ExprKind::Is { expr, .. } => is_plain(expr),
        ExprKind::Binary { left, right, .. } => is_plain(left) && is_plain(right),
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().all(is_plain),
        ExprKind::InList { expr, list, .. } => is_plain(expr) && list.iter().all(is_plain),
        ExprKind::Between { expr, low, high, .. } => {
            is_plain(expr) && is_plain(low) && is_plain(high)
        }
        _ => false,
    }
}

/// How many rows these conditions leave, if each column of a unique key equals a value, or all but
/// its last one do and that is told.
fn rows_by_key(key: &[String], parts: &[&Expr], table: &Table, src: &[u8]) -> Option<Rows> {
    let (last, first) = key.split_last()?;
    let class = |name: &String| table.column(name).map(|(_, column)| column.class);
    let is_given = |name: &String| {
        class(name)
            .is_some_and(|class| parts.iter().any(|part| equals_value(part, name, class, src)))
    };
    if !first.iter().all(is_given) {
        return None;
    }
    if is_given(last) {
        return Some(Rows::Few(1));
    }
    let class = class(last)?;
    parts.iter().find_map(|part| told_rows(part, last, class, src))
}

/// How many rows of a column with distinct values a condition leaves: `column IN (…)`, or `column
/// BETWEEN low AND high` with whole numbers.
fn told_rows(part: &Expr, name: &str, class: ColumnClass, src: &[u8]) -> Option<Rows> {
    match &part.kind {
        ExprKind::InList { expr, not: false, list } if is_column(expr, name, src) => {
            let found = list.iter().all(|value| is_value(value, class));
            let rows = u16::try_from(list.len()).ok().filter(|rows| *rows <= ROWS_MAX)?;
            found.then_some(Rows::Few(rows))
        }
        ExprKind::Between { expr, not: false, low, high } if is_column(expr, name, src) => {
            let whole = matches!(class, ColumnClass::Integer | ColumnClass::UnsignedInteger);
            let bounds = (value_of(low, src)?, value_of(high, src)?);
            whole.then_some(Rows::Between(bounds.0, bounds.1))
        }
        _ => None,
    }
}

/// Whether a condition is `column = value`, with a value that the server can look up in a key.
fn equals_value(part: &Expr, name: &str, class: ColumnClass, src: &[u8]) -> bool {
    let ExprKind::Binary { op: BinaryOp::Eq, left, right } = &part.unparen().kind else {
        return false;
    };
    (is_column(left, name, src) && is_value(right, class))
        || (is_column(right, name, src) && is_value(left, class))
}

fn is_column(expr: &Expr, name: &str, src: &[u8]) -> bool {
    match &expr.unparen().kind {
        ExprKind::Column(column) => column.name.is(src, name.as_bytes()),
        _ => false,
    }
}

fn is_value(expr: &Expr, class: ColumnClass) -> bool {
    match &expr.unparen().kind {
        ExprKind::Param { .. } => true,
        ExprKind::Literal(literal) => match class {
            // Text that is compared with a number is read as one, row by row.
            ColumnClass::Text => literal.kind == LiteralKind::String,
            _ => true,
        },
        _ => false,
    }
}
