//! UPDATE and DELETE. The text goes to every target that can hold matching rows; counts are added
//! up. What would need rows of one shard to change rows of another is refused, and so is what would
//! move a row: never half a change.

use crate::bind::walk::Binder;
use crate::bind::{Bound, What};
use crate::colocate;
use crate::expr::value_of;
use crate::keys::{key_columns, route_of_reference, route_of_unit};
use crate::merge::Merge;
use crate::names::{NameMode, name_edits};
use crate::plan::{Home, Many, Plan, RoutedPlan, RowKind, Scatter};
use crate::planner::{Made, Subject, refused};
use crate::query::check_keys_given;
use crate::query::places::{Found, Places};
use crate::route::{Condition, Route};
use crate::template::{Edit, Template};
use base::sql_error::SqlError;
use sql_syntax::ast::{Assignment, Delete, Expr, TableExpr, Update};

/// What UPDATE and DELETE have in common.
struct Change<'s> {
    verb: &'static str,
    tables: &'s [TableExpr],
    /// References whose rows change.
    written: Vec<usize>,
    /// Expressions besides the conditions.
    exprs: Vec<&'s Expr>,
    /// ORDER BY or LIMIT is written.
    ordered_or_limited: bool,
    limited: bool,
    returning: bool,
}

/// Plans an UPDATE.
pub(crate) fn plan_update(subject: &Subject<'_>, update: &Update) -> Result<Made, SqlError> {
    if update.with.is_some() {
        return Err(refused("WITH before UPDATE is not supported"));
    }
    let mut binder = subject.binder();
    let block = binder.open_block(None);
    binder.from(&update.tables, update.selection.as_ref(), block)?;
    for assignment in &update.assignments {
        binder.column(&assignment.column, block);
        binder.expr(&assignment.value, block)?;
    }
    walk_tail(&mut binder, block, &update.order_by, update.limit.as_ref())?;
    let bound = binder.finish();
    let multi = update.single_table().is_none();
    let written = written_by(&bound, block, &update.assignments, multi)?;
    let change = Change {
        verb: "UPDATE",
        tables: &update.tables,
        exprs: update.assignments.iter().map(|assignment| &assignment.value).collect(),
        ordered_or_limited: update.limit.is_some() || !update.order_by.is_empty(),
        limited: update.limit.is_some(),
        returning: false,
        written,
    };
    let guard = key_guard(&bound, block, &change, &update.assignments)?;
    finish(subject, &bound, block, &change, guard, NameMode::Target)
}

/// Plans a DELETE.
pub(crate) fn plan_delete(subject: &Subject<'_>, delete: &Delete) -> Result<Made, SqlError> {
    if delete.with.is_some() {
        return Err(refused("WITH before DELETE is not supported"));
    }
    let mut binder = subject.binder();
    let block = binder.open_block(None);
    binder.from(&delete.tables, delete.selection.as_ref(), block)?;
    for target in &delete.targets {
        binder.qualifier(target.schema, target.name, block);
    }
    walk_tail(&mut binder, block, &delete.order_by, delete.limit.as_ref())?;
    let bound = binder.finish();
    let single = delete.single_table();
    let written = match single {
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
    let change = Change {
        verb: "DELETE",
        tables: &delete.tables,
        written,
        exprs: Vec::new(),
        ordered_or_limited: delete.limit.is_some() || !delete.order_by.is_empty(),
        limited: delete.limit.is_some(),
        returning: delete.returning_span.is_some(),
    };
    let mode = if single.is_some() { NameMode::TargetPlain } else { NameMode::TargetAliased };
    finish(subject, &bound, block, &change, None, mode)
}

fn walk_tail<'s>(
    binder: &mut Binder<'s>,
    block: usize,
    order_by: &'s [sql_syntax::ast::OrderItem],
    limit: Option<&'s sql_syntax::ast::Limit>,
) -> Result<(), SqlError> {
    for item in order_by {
        binder.expr(&item.expr, block)?;
    }
    for expr in limit.iter().filter_map(|limit| limit.count.as_ref()) {
        binder.expr(expr, block)?;
    }
    Ok(())
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

/// Assignments to key columns become a condition that the new values must satisfy: the row stays.
fn key_guard(
    bound: &Bound<'_>,
    block: usize,
    change: &Change<'_>,
    assignments: &[Assignment],
) -> Result<Option<Route>, SqlError> {
    let mut guards = Vec::new();
    let mut router = None;
    for assignment in assignments {
        let Some(column) = bound.resolve(block, &assignment.column) else { continue };
        let keys = key_columns(bound, column.reference);
        let Some(key) = keys.iter().position(|key| *key == column) else { continue };
        let name = &bound.column(column).name;
        let same = bound.column_of(block, &assignment.value) == Some(column);
        if same {
            continue;
        }
        let Some(value) = value_of(&assignment.value, bound.src) else {
            return Err(refused(format!(
                "{} gives sharding key '{name}' a computed value, which could move rows to another \
                 shard; that is not supported: delete the rows and insert them again",
                change.verb
            )));
        };
        guards.push(Condition::Equal { key, value });
        router = bound.refs[column.reference].router.clone();
    }
    Ok(router.map(|router| Route { router, condition: Condition::all(guards) }))
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
    let places = Places::of(bound);
    let edits = name_edits(bound, mode);
    let broadcast = change
        .written
        .iter()
        .any(|index| !bound.refs[*index].is_sharded() && !bound.refs[*index].is_single());
    let (home, many) = if broadcast {
        let home = everywhere(bound, change)?;
        (home, Many::Refused(refused("a broadcast table is changed on all shards alike")))
    } else {
        match places.home {
            Found::One(home) => {
                (home, Many::Refused(refused("the statement has one place to run")))
            }
            Found::Apart => return Err(apart(change)),
            Found::Sharded { schema, forwardable } => {
                let (routes, many) =
                    sharded(bound, block, change, forwardable.is_some(), &edits, subject)?;
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
        kind: RowKind::Write,
    };
    Ok(Made::write(Plan::Routed(Box::new(plan)), true, bound.facts.uses))
}

fn apart(change: &Change<'_>) -> SqlError {
    refused(format!(
        "{} of tables that are on different data nodes is not supported; read the keys first and \
         change the rows by them",
        change.verb
    ))
}

/// A broadcast table: the same change on every shard.
fn everywhere(bound: &Bound<'_>, change: &Change<'_>) -> Result<Home, SqlError> {
    if bound.refs.iter().any(|reference| reference.is_sharded() || reference.is_single()) {
        return Err(refused(format!(
            "{} of a broadcast table together with tables that are not broadcast is not supported",
            change.verb
        )));
    }
    let Some(first) = bound.refs.first() else { return Err(apart(change)) };
    if bound.refs.iter().any(|reference| reference.schema.name != first.schema.name) {
        return Err(apart(change));
    }
    if bound.facts.random || bound.facts.uses.user_variables {
        return Err(refused(format!(
            "{} of a broadcast table with RAND(), UUID() or variables could change its copies \
             differently; compute the value first",
            change.verb
        )));
    }
    if change.limited {
        return Err(refused(format!(
            "{} ... LIMIT of a broadcast table could pick different rows on its copies; select the \
             keys first",
            change.verb
        )));
    }
    if change.returning {
        return Err(refused("RETURNING on a broadcast table is not supported"));
    }
    Ok(Home::Everywhere { schema: first.schema.name.clone(), shards: first.schema.shard_count() })
}

/// Sharded tables: the routes, and what is done when they lead to several targets.
fn sharded(
    bound: &Bound<'_>,
    block: usize,
    change: &Change<'_>,
    some_shards_only: bool,
    edits: &[Edit],
    subject: &Subject<'_>,
) -> Result<(Vec<Route>, Many), SqlError> {
    let routes = || -> Vec<Route> {
        (0..bound.refs.len()).filter_map(|index| route_of_reference(bound, index)).collect()
    };
    let unit = if some_shards_only {
        Err("tables of the statement are on different data nodes")
    } else {
        colocated(bound, block, change)
    };
    let unit = match unit {
        Ok(unit) => unit,
        Err(reason) => {
            let error = refused(format!(
                "{} over several shards is not supported here: {reason}; give the sharding keys, or \
                 read the keys first and change the rows by them",
                change.verb
            ));
            return Ok((routes(), Many::Refused(error)));
        }
    };
    let Some(route) = route_of_unit(bound, block, &unit) else {
        return Ok((routes(), Many::Refused(apart(change))));
    };
    if change.ordered_or_limited {
        let error = refused(format!(
            "{} with ORDER BY or LIMIT over several shards is not supported; give the sharding key, \
             or select the keys first",
            change.verb
        ));
        return Ok((vec![route], Many::Refused(error)));
    }
    let text = Template::edited(subject.whole(), edits.to_vec());
    let merge = Merge { counts_only: !change.returning, ..Merge::default() };
    Ok((vec![route], Many::Scatter(Box::new(Scatter { text, merge }))))
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
