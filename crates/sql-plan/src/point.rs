//! Reads of one row by a whole unique key, which a server answers at once: they may share a
//! connection with other sessions' statements. Whatever could take longer (functions, sub-queries,
//! locks, a key that is not compared as it is stored) is not among them. What such a statement has
//! taken so far is kept beside its plan, by whoever runs it.

use crate::plan::{Access, Plan, RowKind};
use crate::planner::Made;
use sql_syntax::ast::{
    BinaryOp, Expr, ExprKind, LiteralKind, Query, Select, SelectItem, SetExpr, Statement, TableExpr,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use topology::model::{ColumnClass, Snapshot, Table};

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

/// What a plan that is a read of one row has cost; none for every other statement.
pub(crate) fn of(
    made: &Made,
    statement: &Statement,
    access: &[Access],
    snapshot: &Snapshot,
    src: &[u8],
) -> Option<Arc<Cost>> {
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
    let reads_one = plain && table.view.is_none() && reads_one_row(query, table, src);
    reads_one.then(Arc::default)
}

fn reads_one_row(query: &Query, table: &Table, src: &[u8]) -> bool {
    let SetExpr::Select(select) = &query.body else { return false };
    let simple = query.with.is_none() && query.locks.is_empty() && query.into.is_none();
    simple
        && is_simple(select)
        && query.order_by.iter().all(|item| is_plain(&item.expr))
        && is_by_unique_key(select, table, src)
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
        _ => false,
    }
}

/// Whether every column of the primary key, or of another unique key, equals a value.
fn is_by_unique_key(select: &Select, table: &Table, src: &[u8]) -> bool {
    let Some(condition) = &select.selection else { return false };
    let parts = match &condition.unparen().kind {
        ExprKind::And(parts) => parts.as_slice(),
        _ => std::slice::from_ref(condition),
    };
    let is_given = |name: &String| {
        let class = table.column(name).map(|(_, column)| column.class);
        class.is_some_and(|class| parts.iter().any(|part| equals_value(part, name, class, src)))
    };
    let mut keys = std::iter::once(&table.primary_key).chain(&table.unique_keys);
    keys.any(|key| !key.is_empty() && key.iter().all(is_given))
}

/// Whether a condition is `column = value`, with a value that the server can look up in a key.
fn equals_value(part: &Expr, name: &str, class: ColumnClass, src: &[u8]) -> bool {
    let ExprKind::Binary { op: BinaryOp::Eq, left, right } = &part.unparen().kind else {
        return false;
    };
    let is_column = |expr: &Expr| match &expr.unparen().kind {
        ExprKind::Column(column) => column.name.is(src, name.as_bytes()),
        _ => false,
    };
    let is_value = |expr: &Expr| match &expr.unparen().kind {
        ExprKind::Param { .. } => true,
        ExprKind::Literal(literal) => match class {
            // Text that is compared with a number is read as one, row by row.
            ColumnClass::Text => literal.kind == LiteralKind::String,
            _ => true,
        },
        _ => false,
    };
    (is_column(left) && is_value(right)) || (is_column(right) && is_value(left))
}
