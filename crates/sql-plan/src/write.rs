//! UPDATE and DELETE. The text goes to every target that can hold matching rows; counts are added
//! up. What needs rows of one shard to change rows of another, or of all shards to choose some, and
//! what moves rows or could change copies differently, goes by way of temporary tables
//! (`scratch_write`).

use crate::bind::walk::Binder;
use crate::bind::{Bound, What};
use crate::colocate;
use crate::expr::value_of;
use crate::insert::ToldId;
use crate::keys::{key_columns, route_of_reference, route_of_unit};
use crate::merge::Merge;
use crate::names::{NameMode, keep_item_names, name_edits};
use crate::plan::{Home, Many, Plan, RoutedPlan, RowKind, Scatter};
use crate::planner::{Made, Subject, refused};
use crate::query::check_keys_given;
use crate::query::places::{Found, Places};
use crate::route::{Condition, Route};
use crate::scratch_write::{Wish, scratch_write};
use crate::template::{Edit, Template, TokenRange};
use base::sql_error::{SqlError, UNKNOWN_TABLE_IN_CLAUSE};
use sql_syntax::ast::{
    Assignment, Delete, Expr, ExprKind, Limit, OrderItem, SelectItem, TableExpr, TableName, Update,
};

/// What UPDATE and DELETE have in common.
struct Change<'s> {
    tables: &'s [TableExpr],
    /// References whose rows change.
    written: Vec<usize>,
    /// Expressions besides the conditions.
    exprs: Vec<&'s Expr>,
    order_by: &'s [OrderItem],
    limit: Option<&'s Limit>,
    returning: &'s [SelectItem],
    /// IGNORE where keys change: rows that are not chosen count too.
    meets_rows: bool,
    /// UPDATE IGNORE.
    ignore: bool,
    /// How tables are named where the statement runs over temporary tables.
    temporary: NameMode,
}

impl Change<'_> {
    /// The order decides what becomes of the rows.
    fn order_matters(&self, bound: &Bound<'_>) -> bool {
        self.limit.is_some()
            || (!self.order_by.is_empty()
                && (!self.returning.is_empty() || bound.facts.assigns_variables))
    }
}

/// Plans an UPDATE.
pub(crate) fn plan_update(subject: &Subject<'_>, update: &Update) -> Result<Made, SqlError> {
    let (bound, block) = bind_update(subject.binder(), update)?;
    let multi = update.single_table().is_none();
    let written = written_by(&bound, block, &update.assignments, multi)?;
    let change = Change {
        tables: &update.tables,
        exprs: update.assignments.iter().map(|assignment| &assignment.value).collect(),
        order_by: &update.order_by,
        limit: update.limit.as_ref(),
        returning: &[],
        ignore: update.ignore,
        meets_rows: update.ignore && changes_keys(&bound, block, &update.assignments),
        temporary: NameMode::Temporary,
        written,
    };
    let guard = key_guard(&bound, block, &update.assignments);
    finish(subject, &bound, block, &change, guard, NameMode::Target)
}

/// Plans a DELETE.
pub(crate) fn plan_delete(subject: &Subject<'_>, delete: &Delete) -> Result<Made, SqlError> {
    let (bound, block) = bind_delete(subject.binder(), delete)?;
    let single = delete.single_table();
    check_targets(&bound, block, delete)?;
    let written: Vec<usize> = match single {
        Some(_) => bound.refs_of(block).collect(),
        None => delete
            .targets
            .iter()
            .filter_map(|target| {
                bound
                    .refs_of(block)
                    .find(|index| bound.is_named(*index, target.schema, target.name))
            })
            .collect(),
    };
    let temporary = match (single, written.first()) {
        (Some(_), Some(target)) => NameMode::TemporaryPlain(*target),
        _ => NameMode::Temporary,
    };
    let change = Change {
        tables: &delete.tables,
        written,
        exprs: Vec::new(),
        order_by: &delete.order_by,
        limit: delete.limit.as_ref(),
        returning: &delete.returning,
        ignore: false,
        meets_rows: false,
        temporary,
    };
    finish(subject, &bound, block, &change, None, names_in(delete, block))
}

/// What the names of an UPDATE mean, and the block of its tables.
pub(crate) fn bind_update<'s>(
    mut binder: Binder<'s>,
    update: &'s Update,
) -> Result<(Bound<'s>, usize), SqlError> {
    if let Some(with) = &update.with {
        binder.with(with, None)?;
    }
    let block = binder.open_block(None);
    binder.from(&update.tables, update.selection.as_ref(), block)?;
    for assignment in &update.assignments {
        binder.column(&assignment.column, block);
        binder.expr(&assignment.value, block)?;
    }
    walk_tail(&mut binder, block, &update.order_by, update.limit.as_ref())?;
    Ok((binder.finish(), block))
}

/// What the names of a DELETE mean, and the block of its tables.
pub(crate) fn bind_delete<'s>(
    mut binder: Binder<'s>,
    delete: &'s Delete,
) -> Result<(Bound<'s>, usize), SqlError> {
    if let Some(with) = &delete.with {
        binder.with(with, None)?;
    }
    let block = binder.open_block(None);
    binder.from(&delete.tables, delete.selection.as_ref(), block)?;
    for target in &delete.targets {
        binder.qualifier(target.schema, target.name, block);
    }
    walk_tail(&mut binder, block, &delete.order_by, delete.limit.as_ref())?;
    binder.items(&delete.returning, block)?;
    Ok((binder.finish(), block))
}

/// How a DELETE names tables where it runs as it is.
pub(crate) fn names_in(delete: &Delete, block: usize) -> NameMode {
    match delete.single_table() {
        Some(_) => NameMode::TargetPlain,
        None => NameMode::TargetUnaliased { block },
    }
}

/// Each target of a DELETE is one of its tables.
fn check_targets(bound: &Bound<'_>, block: usize, delete: &Delete) -> Result<(), SqlError> {
    let is_known = |target: &TableName| {
        bound.refs_of(block).any(|index| bound.is_named(index, target.schema, target.name))
    };
    match delete.targets.iter().find(|target| !is_known(target)) {
        None => Ok(()),
        Some(target) => {
            let name = String::from_utf8_lossy(&target.name.name(bound.src)).into_owned();
            let text = format!("Unknown table '{name}' in MULTI DELETE");
            Err(SqlError::new(UNKNOWN_TABLE_IN_CLAUSE, text))
        }
    }
}

fn walk_tail<'s>(
    binder: &mut Binder<'s>,
    block: usize,
    order_by: &'s [OrderItem],
    limit: Option<&'s Limit>,
) -> Result<(), SqlError> {
    for item in order_by {
        binder.expr(&item.expr, block)?;
    }
    for expr in limit.iter().filter_map(|limit| limit.count.as_ref()) {
        binder.expr(expr, block)?;
    }
    Ok(())
}

/// Whether a column of a unique key is assigned.
fn changes_keys(bound: &Bound<'_>, block: usize, assignments: &[Assignment]) -> bool {
    assignments.iter().any(|assignment| {
        bound.resolve(block, &assignment.column).is_none_or(|column| {
            let table = bound.refs[column.reference].table;
            let name = &bound.column(column).name;
            let mut keys = table.unique_keys.iter().chain(std::iter::once(&table.primary_key));
            keys.any(|key| key.iter().any(|part| part.eq_ignore_ascii_case(name)))
        })
    })
}

/// The references that assignments write.
fn written_by(
    bound: &Bound<'_>,
    block: usize,
    assignments: &[Assignment],
    multi: bool,
) -> Result<Vec<usize>, SqlError> {
    if !multi {
        return Ok(bound.refs_of(block).collect());
    }
    let mut written = Vec::new();
    for assignment in assignments {
        match bound.resolve(block, &assignment.column) {
            Some(column) if written.contains(&column.reference) => {}
            Some(column) => written.push(column.reference),
            None => {
                return Err(refused(
                    "UPDATE of several tables: the table of an assigned column is not clear; \
                     write it as table.column",
                ));
            }
        }
    }
    Ok(written)
}

/// Assignments to key columns become a condition: where the new values satisfy it, the row stays. A
/// computed value satisfies none.
fn key_guard(bound: &Bound<'_>, block: usize, assignments: &[Assignment]) -> Option<Route> {
    let mut guards = Vec::new();
    let mut router = None;
    let mut is_known = true;
    for assignment in assignments {
        let Some(column) = bound.resolve(block, &assignment.column) else { continue };
        let keys = key_columns(bound, column.reference);
        let Some(key) = keys.iter().position(|key| *key == column) else { continue };
        if bound.column_of(block, &assignment.value) == Some(column) {
            continue;
        }
        router = bound.refs[column.reference].router.clone();
        match value_of(&assignment.value, bound.src) {
            Some(value) => guards.push(Condition::Equal { key, value }),
            None => is_known = false,
        }
    }
    let condition = if is_known { Condition::all(guards) } else { Condition::Any };
    router.map(|router| Route { router, condition })
}

fn finish(
    subject: &Subject<'_>,
    bound: &Bound<'_>,
    block: usize,
    change: &Change<'_>,
    key_guard: Option<Route>,
    mode: NameMode,
) -> Result<Made, SqlError> {
    if bound.facts.system_schema {
        return Err(refused("tables of system schemas cannot be changed"));
    }
    if has_portion(change) {
        check_portion(bound, change)?;
    }
    let places = Places::of(bound);
    let mut edits = name_edits(bound, mode);
    keep_item_names(bound, change.returning, &mut edits);
    let apart = |reason| -> Result<(Home, Many), SqlError> {
        check_keys_given(subject, &routes_of(bound))?;
        Ok((Home::Apart, many_scratch(subject, bound, block, change, reason)))
    };
    let one_place = || Many::Refused(refused("the statement has one place to run"));
    let broadcast = change
        .written
        .iter()
        .any(|index| !bound.refs[*index].is_sharded() && !bound.refs[*index].is_single());
    let (home, many) = if subject.context.check.is_some() && change.returning.is_empty() {
        apart("WITH CHECK OPTION of a view")?
    } else if matches!(mode, NameMode::TargetUnaliased { .. }) && names_twice(bound) {
        apart("a DELETE from several tables names one of them twice")?
    } else if broadcast {
        match everywhere(bound, block, change) {
            Ok(home) => (home, one_place()),
            Err(reason) => apart(reason)?,
        }
    } else {
        match places.home {
            Found::One(home) => (home, one_place()),
            Found::Apart => apart("tables of one statement are on different data nodes")?,
            Found::Sharded { schema, forwardable } => {
                let moves = key_guard.is_some();
                let (routes, many) =
                    sharded(bound, block, change, forwardable.is_some() || moves, &edits, subject);
                let many = match many {
                    Ok(many) => many,
                    Err(reason) => {
                        let reason = if moves { "a sharding key gets a new value" } else { reason };
                        many_scratch(subject, bound, block, change, reason)
                    }
                };
                check_keys_given(subject, &routes)?;
                (Home::Sharded { schema, routes, forwardable }, many)
            }
        }
    };
    let plan = RoutedPlan {
        tables: places.tables,
        home,
        forward: Template::edited(subject.whole(), edits),
        many,
        key_guard,
        by_values: true,
        counts_found: false,
        wants_database: mode == NameMode::TargetAliased,
        told_id: ToldId::Generated,
        kind: RowKind::Write,
    };
    // The names of RETURNING's columns can hold literals.
    let cacheable = change.returning.is_empty();
    Ok(Made::write(Plan::Routed(Box::new(plan)), cacheable, bound.facts.uses))
}

/// Whether a table is referred to more than once.
fn names_twice(bound: &Bound<'_>) -> bool {
    bound.refs.iter().enumerate().any(|(at, one)| {
        bound.refs[..at]
            .iter()
            .any(|other| other.schema.name == one.schema.name && other.table.name == one.table.name)
    })
}

fn routes_of(bound: &Bound<'_>) -> Vec<Route> {
    (0..bound.refs.len()).filter_map(|index| route_of_reference(bound, index)).collect()
}

/// FOR PORTION OF a period: the server cuts a row in two or three, so it inserts rows, too.
fn has_portion(change: &Change<'_>) -> bool {
    change
        .tables
        .iter()
        .any(|table| matches!(table, TableExpr::Table(table) if table.system_time.is_some()))
}

/// The parts of a cut row would get ids that a shard counts by itself.
fn check_portion(bound: &Bound<'_>, change: &Change<'_>) -> Result<(), SqlError> {
    let counted = |index: &usize| {
        let reference = &bound.refs[*index];
        !reference.is_single() && reference.table.sequence_column.is_some()
    };
    if change.written.iter().any(counted) {
        return Err(refused(
            "FOR PORTION OF on a table with AUTO_INCREMENT that is not in one shard alone",
        ));
    }
    Ok(())
}

fn many_scratch(
    subject: &Subject<'_>,
    bound: &Bound<'_>,
    block: usize,
    change: &Change<'_>,
    reason: &'static str,
) -> Many {
    if has_portion(change) {
        return Many::Refused(refused(
            "FOR PORTION OF that moves rows or needs rows of several shards at once",
        ));
    }
    let wish = Wish {
        written: &change.written,
        whole: change.meets_rows,
        cut: cut(bound, block, change),
        reason,
        mode: change.temporary,
        returning: change.returning,
        ignore: change.ignore,
    };
    Many::ScratchWrite(Box::new(scratch_write(subject, bound, &wish)))
}

/// ORDER BY and LIMIT of a statement on one table by itself: each shard needs to give only so many
/// rows, provided that it can judge all conditions.
fn cut(bound: &Bound<'_>, block: usize, change: &Change<'_>) -> Vec<TokenRange> {
    let (Some(limit), [_]) = (change.limit, bound.refs.as_slice()) else { return Vec::new() };
    let is_about = |expr: &Expr| crate::scratch::is_about(bound, 0, expr);
    let judged = bound.conditions(block).iter().all(|conjunct| match &conjunct.what {
        What::Expr(expr) => conjunct.before_joins.contains(&0) && is_about(expr),
        What::Equal(..) => false,
    });
    let ordered = change.order_by.iter().all(|item| is_about(&item.expr));
    let Some(count) = limit.count.as_ref().filter(|_| judged && ordered) else {
        return Vec::new();
    };
    let limit = bound.range(count.span);
    let order = change.order_by.first().zip(change.order_by.last());
    let order = order.map(|(first, last)| TokenRange {
        first: bound.range(first.span).first,
        last: bound.range(last.span).last,
    });
    order.into_iter().chain(std::iter::once(limit)).collect()
}

/// A broadcast table: the same change on every shard, or why that could make copies differ.
fn everywhere(
    bound: &Bound<'_>,
    block: usize,
    change: &Change<'_>,
) -> Result<Home, colocate::Reason> {
    if bound.refs.iter().any(|reference| reference.is_sharded() || reference.is_single()) {
        return Err("a broadcast table is changed together with others");
    }
    let first = bound.refs.first().ok_or("no table")?;
    if bound.refs.iter().any(|reference| reference.schema.name != first.schema.name) {
        return Err("tables of one statement are on different data nodes");
    }
    let clock = |expr: &Expr| reads_clock(expr, bound.src);
    let conditions = bound.conditions(block).iter().any(|conjunct| match &conjunct.what {
        What::Expr(expr) => clock(expr),
        What::Equal(..) => false,
    });
    let differs = bound.facts.random
        || bound.facts.uses.user_variables
        || conditions
        || change.exprs.iter().any(|expr| clock(expr));
    if differs {
        return Err("copies of a broadcast table could be changed differently");
    }
    if change.limit.is_some() {
        return Err("LIMIT could pick different rows of a broadcast table's copies");
    }
    if !change.returning.is_empty() {
        return Err("RETURNING of a broadcast table");
    }
    Ok(Home::Everywhere { schema: first.schema.name.clone(), shards: first.schema.shard_count() })
}

/// Whether an expression depends on when it is evaluated.
pub(crate) fn reads_clock(expr: &Expr, src: &[u8]) -> bool {
    crate::expr::any(expr, &|part| match &part.kind {
        ExprKind::Func(call) => matches!(
            crate::expr::function_name(call, src).as_str(),
            "NOW"
                | "CURRENT_TIMESTAMP"
                | "LOCALTIME"
                | "LOCALTIMESTAMP"
                | "CURDATE"
                | "CURRENT_DATE"
                | "CURTIME"
                | "CURRENT_TIME"
                | "UTC_DATE"
                | "UTC_TIME"
                | "UTC_TIMESTAMP"
                | "UNIX_TIMESTAMP"
        ),
        _ => false,
    })
}

type Scattered = Result<Many, colocate::Reason>;

/// Sharded tables: the routes, and what is done when they lead to several targets.
fn sharded(
    bound: &Bound<'_>,
    block: usize,
    change: &Change<'_>,
    never_scatters: bool,
    edits: &[Edit],
    subject: &Subject<'_>,
) -> (Vec<Route>, Scattered) {
    let unit = if never_scatters {
        Err("tables of the statement are on different data nodes")
    } else {
        colocated(bound, block, change)
    };
    let unit = match unit {
        Ok(unit) => unit,
        Err(reason) => return (routes_of(bound), Err(reason)),
    };
    let Some(route) = route_of_unit(bound, block, &unit) else {
        return (routes_of(bound), Err("a sub-query reads other shards"));
    };
    if bound.facts.assigns_variables {
        return (vec![route], Err("user variables are assigned row by row"));
    }
    if bound.facts.row_numbers {
        return (vec![route], Err("ROWNUM() counts the rows of the whole statement"));
    }
    if change.order_matters(bound) {
        return (vec![route], Err("ORDER BY or LIMIT over several shards"));
    }
    if !change.returning.is_empty() {
        return (vec![route], Err("RETURNING over several shards"));
    }
    let text = Template::edited(subject.whole(), edits.to_vec());
    let merge = Merge { counts_only: true, ..Merge::default() };
    (vec![route], Ok(Many::Scatter(Box::new(Scatter { text, merge }))))
}

/// The co-located sharded references, with all sub-queries checked.
fn colocated(
    bound: &Bound<'_>,
    block: usize,
    change: &Change<'_>,
) -> Result<Vec<usize>, colocate::Reason> {
    let unit = colocate::check(bound, block, change.tables)?;
    if change.written.iter().any(|index| !unit.contains(index)) {
        return Err("a table that is changed is not sharded like the others");
    }
    for conjunct in bound.conditions(block) {
        if let What::Expr(expr) = &conjunct.what {
            colocate::check_expr(bound, block, &unit, expr, conjunct.global)?;
        }
    }
    for expr in &change.exprs {
        colocate::check_expr(bound, block, &unit, expr, false)?;
    }
    Ok(unit)
}
