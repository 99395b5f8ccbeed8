//! Can a statement run on each target by itself, the answers being merely merged? It can when every
//! joined row has all its parts on one target: sharded tables are joined on their keys, whatever
//! else takes part is a broadcast table, and sub-queries on sharded tables are tied to the outer
//! row's key.

use crate::bind::{Bound, Conjunct, What};
use crate::expr::{Part, for_each_part};
use crate::keys::{Classes, key_columns};
use sql_syntax::ast::{
    Expr, ExprKind, Join, JoinKind, Query, Select, SelectItem, SetExpr, TableExpr,
};

/// Why a statement cannot run on each target by itself.
pub(crate) type Reason = &'static str;

const SINGLE: Reason = "a table that is not sharded is used together with a sharded one";
const NOT_ON_KEY: Reason = "sharded tables are joined otherwise than on their sharding keys";
const OUTER: Reason = "an outer join keeps rows of a broadcast table that a sharded one lacks";
const DERIVED: Reason = "a derived table reads a sharded table";
const SUB_QUERY: Reason = "a sub-query reads a sharded table independently of the outer row's key";
const CTE: Reason = "WITH";
const SET_OPERATION: Reason = "a set operation over several shards";

/// The sharded references of the outermost block, all co-located; sub-queries are checked too.
pub(crate) fn check(
    bound: &Bound<'_>,
    block: usize,
    from: &[TableExpr],
) -> Result<Vec<usize>, Reason> {
    if bound.facts.ctes {
        return Err(CTE);
    }
    let unit = unit_of(bound, block, from)?;
    Ok(unit)
}

/// The sharded references of a FROM, if they are co-located.
fn unit_of(bound: &Bound<'_>, block: usize, from: &[TableExpr]) -> Result<Vec<usize>, Reason> {
    let mut unit: Option<Vec<usize>> = None;
    for table in from {
        let part = table_expr(bound, block, table)?;
        unit = Some(match unit {
            None => part,
            Some(unit) => inner(bound, block, unit, part, None)?,
        });
    }
    Ok(unit.unwrap_or_default())
}

fn table_expr(bound: &Bound<'_>, block: usize, table: &TableExpr) -> Result<Vec<usize>, Reason> {
    match table {
        TableExpr::Table(table) => {
            let Some(index) = bound.ref_by_token.get(&table.name.name.tok) else { return Err(CTE) };
            let reference = &bound.refs[*index];
            match (reference.is_sharded(), reference.is_single()) {
                (true, _) => Ok(vec![*index]),
                (_, true) => Err(SINGLE),
                _ => Ok(Vec::new()),
            }
        }
        TableExpr::Derived { query, .. } => {
            if is_replicated(bound, query) {
                Ok(Vec::new())
            } else {
                Err(DERIVED)
            }
        }
        TableExpr::JsonTable { .. } => Err("JSON_TABLE"),
        TableExpr::Nested { tables, .. } => unit_of(bound, block, tables),
        TableExpr::Join(join) => joined(bound, block, join),
    }
}

fn joined(bound: &Bound<'_>, block: usize, join: &Join) -> Result<Vec<usize>, Reason> {
    let left = table_expr(bound, block, &join.left)?;
    let right = table_expr(bound, block, &join.right)?;
    if join.natural && !left.is_empty() && !right.is_empty() {
        return Err("NATURAL JOIN");
    }
    let (kept, optional) = match join.kind {
        JoinKind::Inner | JoinKind::Straight => {
            return inner(bound, block, left, right, Some(join));
        }
        JoinKind::Left => (&left, &right),
        JoinKind::Right => (&right, &left),
    };
    if kept.is_empty() && !optional.is_empty() {
        return Err(OUTER);
    }
    inner(bound, block, left, right, Some(join))
}

/// Two parts put together; for an outer join the conditions of the join itself tie them.
fn inner(
    bound: &Bound<'_>,
    block: usize,
    left: Vec<usize>,
    right: Vec<usize>,
    join: Option<&Join>,
) -> Result<Vec<usize>, Reason> {
    if left.is_empty() || right.is_empty() {
        return Ok(left.into_iter().chain(right).collect());
    }
    let usable = |conjunct: &&Conjunct<'_>| {
        conjunct.global || join.is_some_and(|join| conjunct.join == Some(join.span))
    };
    let conditions =
        bound.conditions(block).iter().filter(usable).map(|conjunct| (block, conjunct));
    let classes = Classes::of(bound, conditions);
    let tied = left.iter().any(|l| right.iter().any(|r| tied(bound, &classes, *l, *r)));
    if !tied {
        return Err(NOT_ON_KEY);
    }
    Ok(left.into_iter().chain(right).collect())
}

/// Whether two references are sharded alike and equal in all their keys, or in columns that the
/// parameter bind_table declares to be placed alike.
fn tied(bound: &Bound<'_>, classes: &Classes, left: usize, right: usize) -> bool {
    tied_by_keys(bound, classes, left, right) || tied_by_promise(bound, classes, left, right)
}

fn tied_by_promise(bound: &Bound<'_>, classes: &Classes, left: usize, right: usize) -> bool {
    let (left_ref, right_ref) = (&bound.refs[left], &bound.refs[right]);
    let (Some(left_router), Some(right_router)) = (&left_ref.router, &right_ref.router) else {
        return false;
    };
    let column = |index: usize, promised: &topology::parameters::BoundColumn| {
        let is_table = bound.refs[index].table.name.eq_ignore_ascii_case(&promised.table);
        is_table.then(|| bound.column_index(index, &promised.column)).flatten()
    };
    let same_places = left_ref.schema.name == right_ref.schema.name
        && left_router.rule.tables_per_shard == right_router.rule.tables_per_shard;
    same_places
        && bound.snapshot.parameters.bind_table().iter().any(|[one, two]| {
            [(one, two), (two, one)].into_iter().any(|(one, two)| {
                match (column(left, one), column(right, two)) {
                    (Some(one), Some(two)) => classes.same(one, two),
                    _ => false,
                }
            })
        })
}

pub(crate) fn tied_by_keys(bound: &Bound<'_>, classes: &Classes, left: usize, right: usize) -> bool {
    let (Some(left_router), Some(right_router)) =
        (&bound.refs[left].router, &bound.refs[right].router)
    else {
        return false;
    };
    bound.refs[left].schema.name == bound.refs[right].schema.name
        && left_router.is_alike(right_router)
        && key_columns(bound, left)
            .iter()
            .zip(key_columns(bound, right))
            .all(|(left, right)| classes.same(*left, right))
}

/// Whether a query reads broadcast tables alone.
pub(crate) fn is_replicated(bound: &Bound<'_>, query: &Query) -> bool {
    let inside = |token: u32| {
        let at = bound.tokens.span(token);
        at.start >= query.span.start && at.end <= query.span.end
    };
    bound
        .refs
        .iter()
        .filter(|reference| inside(reference.name.name.tok))
        .all(|reference| !reference.is_sharded() && !reference.is_single())
}

/// Checks the sub-queries in an expression of `block`. `local` are references whose rows are all at
/// hand; `conjunct` says that the expression must be true.
pub(crate) fn check_expr(
    bound: &Bound<'_>,
    block: usize,
    local: &[usize],
    expr: &Expr,
    conjunct: bool,
) -> Result<(), Reason> {
    if conjunct
        && let ExprKind::InQuery { expr: tested, not: false, query } = &expr.unparen().kind
        && in_query_is_tied(bound, block, local, tested, query)
    {
        return check_expr(bound, block, local, tested, false);
    }
    let mut result = Ok(());
    for_each_part(expr, &mut |part| {
        if result.is_err() {
            return;
        }
        result = match part {
            Part::Expr(part) => check_expr(bound, block, local, part, false),
            Part::Query(query) => check_query(bound, local, query),
        };
    });
    result
}

/// Checks one sub-query.
fn check_query(bound: &Bound<'_>, local: &[usize], query: &Query) -> Result<(), Reason> {
    if is_replicated(bound, query) {
        return Ok(());
    }
    let SetExpr::Select(select) = &query.body else { return Err(SET_OPERATION) };
    let Some(block) = bound.block_by_token.get(&select.select_tok).copied() else {
        return Err(SUB_QUERY);
    };
    let unit = unit_of(bound, block, &select.from)?;
    let Some(first) = unit.first() else { return Err(SUB_QUERY) };
    let global = bound.conditions(block).iter().filter(|conjunct| conjunct.global);
    let mut classes = Classes::of(bound, global.map(|conjunct| (block, conjunct)));
    add_outer(bound, block, &mut classes);
    if !local.iter().any(|outer| tied(bound, &classes, *outer, *first)) {
        return Err(SUB_QUERY);
    }
    let inner_local: Vec<usize> = local.iter().chain(&unit).copied().collect();
    check_select(bound, block, &inner_local, select, query)
}

/// What holds for every used row around a block holds in it too.
fn add_outer(bound: &Bound<'_>, block: usize, classes: &mut Classes) {
    let mut at = bound.blocks[block].parent;
    while let Some(outer) = at {
        for conjunct in bound.conditions(outer).iter().filter(|conjunct| conjunct.global) {
            classes.add(bound, outer, conjunct);
        }
        at = bound.blocks[outer].parent;
    }
}

/// `key IN (SELECT key FROM …)`, where a match can only be at hand.
fn in_query_is_tied(
    bound: &Bound<'_>,
    block: usize,
    local: &[usize],
    tested: &Expr,
    query: &Query,
) -> bool {
    let SetExpr::Select(select) = &query.body else { return false };
    let plain = query.limit.is_none() && select.group_by.is_empty() && select.having.is_none();
    let (Some(inner_block), [SelectItem::Expr { expr: item, .. }], true) =
        (bound.block_by_token.get(&select.select_tok).copied(), select.items.as_slice(), plain)
    else {
        return false;
    };
    let Ok(unit) = unit_of(bound, inner_block, &select.from) else { return false };
    let (Some(outer), Some(inner), Some(first)) =
        (bound.column_of(block, tested), bound.column_of(inner_block, item), unit.first())
    else {
        return false;
    };
    let global = bound.conditions(inner_block).iter().filter(|conjunct| conjunct.global);
    let mut classes = Classes::of(bound, global.map(|conjunct| (inner_block, conjunct)));
    add_outer(bound, inner_block, &mut classes);
    classes.join(bound, outer, inner);
    let inner_local: Vec<usize> = local.iter().chain(&unit).copied().collect();
    local.iter().any(|outer| tied(bound, &classes, *outer, *first))
        && check_select(bound, inner_block, &inner_local, select, query).is_ok()
}

/// Checks all sub-queries in the expressions of a SELECT.
pub(crate) fn check_select(
    bound: &Bound<'_>,
    block: usize,
    local: &[usize],
    select: &Select,
    query: &Query,
) -> Result<(), Reason> {
    for conjunct in bound.conditions(block) {
        if let What::Expr(expr) = &conjunct.what {
            check_expr(bound, block, local, expr, conjunct.global)?;
        }
    }
    let items = select.items.iter().filter_map(|item| match item {
        SelectItem::Expr { expr, .. } => Some(expr),
        SelectItem::Star { .. } => None,
    });
    let grouping = select.group_by.iter().chain(&query.order_by).map(|item| &item.expr);
    for expr in items.chain(grouping).chain(&select.having) {
        check_expr(bound, block, local, expr, false)?;
    }
    Ok(())
}
