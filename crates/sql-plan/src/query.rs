//! SELECT: the cheapest plan that is exact. One place if the keys (or the kinds of tables) say so,
//! the same text on many places with a streaming merge if the tables are co-located, else scratch.

pub(crate) mod places;
mod union;

use crate::bind::{Block, Bound, Source, aggregates};
use crate::colocate::{self, Reason};
use crate::keys::{route_of_reference, route_of_unit};
use crate::merge::build::build;
use crate::names::{NameMode, keep_column_names, name_edits};
use crate::plan::{Home, Many, Plan, RoutedPlan, RowKind, Scatter};
use crate::planner::{Made, Subject, refused};
use crate::read_back::into_variables;
use crate::route::{Condition, Route};
use crate::scratch::{over_groups, scratch};
use crate::template::{Template, TokenRange};
use base::sql_error::{SHARDING_KEY_MISSING, SqlError, UNKNOWN_TABLE};
use places::Places;
use sql_syntax::ast::{IntoKind, LockStrength, Query, SelectItem, SetExpr, Statement};
use topology::model::ShardMode;

/// Plans a query statement.
pub(crate) fn plan(subject: &Subject<'_>, query: &Query) -> Result<Made, SqlError> {
    if query.as_select().is_some_and(|select| select.procedure.is_some()) {
        return Err(refused("PROCEDURE ANALYSE is not supported: its values name physical tables"));
    }
    let mut binder = subject.binder();
    binder.query(query, None, false)?;
    let bound = binder.finish();
    if bound.facts.system_schema {
        return Ok(Made::session());
    }
    let (plan, cacheable) = routed(subject, &bound, query, &subject.parsed.stmt, subject.whole())?;
    let locking = query.locks.iter().any(|lock| {
        matches!(
            lock.strength,
            LockStrength::Update | LockStrength::Share | LockStrength::ShareMode
        )
    });
    let read_only = !locking && into_of(query).is_none_or(|into| matches!(into, IntoKind::Vars(_)));
    Ok(Made {
        plan: Plan::Routed(Box::new(plan)),
        cacheable,
        read_only,
        locking,
        uses: bound.facts.uses,
    })
}

/// The routed plan of a query whose text is the tokens `range`.
pub(crate) fn routed(
    subject: &Subject<'_>,
    bound: &Bound<'_>,
    query: &Query,
    statement: &Statement,
    range: TokenRange,
) -> Result<(RoutedPlan, bool), SqlError> {
    routed_as(subject, bound, query, statement, range, Vec::new())
}

/// The same, where `aliases` give the columns names; without them they keep theirs.
pub(crate) fn routed_as(
    subject: &Subject<'_>,
    bound: &Bound<'_>,
    query: &Query,
    statement: &Statement,
    range: TokenRange,
    aliases: Vec<crate::template::Edit>,
) -> Result<(RoutedPlan, bool), SqlError> {
    check_stars(bound)?;
    let places = Places::of(bound);
    let mut edits = name_edits(bound, NameMode::Target);
    let mut cacheable =
        aliases.is_empty() && keep_column_names(bound, query, &mut edits) || !aliases.is_empty();
    edits.extend(aliases);
    let forward = Template::edited(range, edits.clone());
    let never = Many::Refused(refused("the statement has one place to run"));
    let (home, many) = match places.home {
        // Copies of a broadcast table are locked where all sessions lock them.
        places::Found::One(Home::Any { schema: Some(schema) }) if !query.locks.is_empty() => {
            (Home::Shard { schema, shard: 0 }, never)
        }
        // Functions that no server has of itself are those of the schema's one database.
        places::Found::One(Home::Any { schema: None }) if calls_stored(subject, bound) => {
            let schema = subject.context.current_schema.unwrap_or_default().to_lowercase();
            (Home::Shard { schema, shard: 0 }, never)
        }
        places::Found::One(home) => (home, never),
        places::Found::Sharded { ref schema, ref forwardable } => {
            let (routes, many, same) =
                many(subject, bound, query, (statement, range), &edits, forwardable.is_some());
            cacheable &= same;
            check_keys_given(subject, &routes)?;
            let (schema, forwardable) = (schema.clone(), forwardable.clone());
            (Home::Sharded { schema, routes, forwardable }, many)
        }
        places::Found::Apart => {
            refuse_into(query)?;
            let routes: Vec<Route> = (0..bound.refs.len())
                .filter_map(|index| route_of_reference(bound, index))
                .collect();
            check_keys_given(subject, &routes)?;
            let reason = "tables of one statement are on different data nodes";
            let (plan, same) = scratch(subject, bound, (statement, query, range), reason);
            cacheable &= same;
            (Home::Apart, Many::Scratch(Box::new(plan)))
        }
    };
    let plan = RoutedPlan {
        tables: places.tables,
        home,
        forward,
        many,
        key_guard: None,
        by_values: !query.locks.is_empty()
            || subject.snapshot.parameters.get_boolean("ultimate_optimize"),
        counts_found: counts_found(query),
        wants_database: false,
        told_id: crate::insert::ToldId::Generated,
        kind: RowKind::Read,
    };
    Ok((plan, cacheable))
}

/// `t.*` must be of a table in its FROM or around it: a server that has no schema to look into would
/// complain of that instead.
fn check_stars(bound: &Bound<'_>) -> Result<(), SqlError> {
    for block in &bound.blocks {
        for item in block.select.iter().flat_map(|select| &select.items) {
            let SelectItem::Star { schema: None, table: Some(table), .. } = item else { continue };
            let name = table.name(bound.src);
            let is_meant = |source: &Source| match source {
                Source::Table(index) => bound.is_named(*index, None, *table),
                Source::Opaque { alias, .. } => alias.eq_ignore_ascii_case(&name),
            };
            let around = |block: &&Block<'_>| block.parent.map(|parent| &bound.blocks[parent]);
            let mut blocks = std::iter::successors(Some(block), around);
            if !blocks.any(|block| block.sources.iter().any(is_meant)) {
                let name = String::from_utf8_lossy(&name);
                return Err(SqlError::new(UNKNOWN_TABLE, format!("Unknown table '{name}'")));
            }
        }
    }
    Ok(())
}

/// Whether functions are called that may be stored ones of the current schema.
fn calls_stored(subject: &Subject<'_>, bound: &Bound<'_>) -> bool {
    let uses = &bound.facts.uses;
    let schema = subject.context.current_schema.and_then(|name| subject.snapshot.schema(name));
    let may_be = schema.is_some_and(|schema| match schema.mode {
        ShardMode::Single => uses.other_functions,
        ShardMode::Cluster => uses.stored_functions,
    });
    may_be && !uses.named_locks
}

type ManyPlan = (Vec<Route>, Many, bool);

/// What is done when the keys lead to several places.
fn many(
    subject: &Subject<'_>,
    bound: &Bound<'_>,
    query: &Query,
    (statement, range): (&Statement, TokenRange),
    names: &[crate::template::Edit],
    some_shards_only: bool,
) -> ManyPlan {
    let scattered = if some_shards_only {
        Err("tables of one statement are on different data nodes")
    } else {
        scatter(bound, query, range, names)
    };
    match scattered {
        Ok(plan) => plan,
        Err(reason) => {
            let routes = (0..bound.refs.len())
                .filter_map(|index| route_of_reference(bound, index))
                .collect();
            if into_of(query).is_some() && !into_variables(query) {
                let error = refused("SELECT ... INTO over several shards is not supported");
                return (routes, Many::Refused(error), true);
            }
            if bound.facts.default_values {
                let error = refused(format!("DEFAULT(column) is not supported where {reason}"));
                return (routes, Many::Refused(error), true);
            }
            let (plan, same) = scratch(subject, bound, (statement, query, range), reason);
            if some_shards_only {
                return (routes, Many::Scratch(Box::new(plan)), same);
            }
            let (plan, cacheable) = over_groups(bound, query, range, names, plan);
            (routes, Many::Scratch(Box::new(plan)), same && cacheable)
        }
    }
}

/// The same text on all places, merged while it streams.
fn scatter(
    bound: &Bound<'_>,
    query: &Query,
    range: TokenRange,
    names: &[crate::template::Edit],
) -> Result<ManyPlan, Reason> {
    if aggregates::of_around(bound, query) {
        return Err("an aggregate in a sub-query is of the query around it");
    }
    if bound.facts.row_numbers {
        return Err("ROWNUM() counts the rows of the whole statement");
    }
    let SetExpr::Select(select) = &query.body else {
        if counts_found(query) {
            return Err("SQL_CALC_FOUND_ROWS of a set operation");
        }
        return union::scatter(bound, query, range, names);
    };
    if into_of(query).is_some() {
        return Err("INTO");
    }
    let block = *bound.block_by_token.get(&select.select_tok).ok_or("an unknown block")?;
    let unit = colocate::check(bound, block, &select.from)?;
    colocate::check_select(bound, block, &unit, select, query)?;
    let route = route_of_unit(bound, block, &unit)
        .ok_or("only sub-queries of the statement read sharded tables")?;
    let built = build(bound, query, select, block, &unit)?;
    let text = Template::edited(range, [names, &built.edits].concat());
    Ok((
        vec![route],
        Many::Scatter(Box::new(Scatter { text, merge: built.merge })),
        built.cacheable,
    ))
}

/// SQL_CALC_FOUND_ROWS, which the first SELECT says for all.
fn counts_found(query: &Query) -> bool {
    Bound::first_select(query).is_some_and(|select| select.calc_found_rows)
}

fn into_of(query: &Query) -> Option<&IntoKind> {
    query.select_into().map(|into| &into.kind)
}

fn refuse_into(query: &Query) -> Result<(), SqlError> {
    match into_of(query) {
        Some(IntoKind::Vars(_)) | None => Ok(()),
        Some(_) => Err(refused("SELECT ... INTO over several shards is not supported")),
    }
}

/// `contains_shard_key=ON`: every route must know something of its keys.
pub(crate) fn check_keys_given(subject: &Subject<'_>, routes: &[Route]) -> Result<(), SqlError> {
    if subject.snapshot.parameters.get_boolean("contains_shard_key")
        && routes.iter().any(|route| route.condition == Condition::Any)
    {
        return Err(SqlError::new(
            SHARDING_KEY_MISSING,
            "The statement has no condition on a sharding key, which contains_shard_key=ON requires",
        ));
    }
    Ok(())
}
