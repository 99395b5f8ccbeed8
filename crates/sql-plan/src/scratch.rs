//! Scratch plans: what of each table reference must be brought to one data node so that the
//! statement gives the same answer there. Parts that run by themselves bring their results instead
//! (`results`). Conditions are pushed down only where dropping a row early cannot be seen: not to the
//! optional side of an outer join; partners of joins are conditions too (`partners`).

mod columns;
mod groups;
mod partners;
mod results;

use crate::bind::{Bound, Reference, What};
use crate::expr;
use crate::keys::route_of_reference;
use crate::names::{NameMode, keep_column_names, name_edits, number};
use crate::plan::{Load, LoadSource, Reduction, ScratchPlan};
use crate::planner::Subject;
use crate::template::{Edit, Piece, Template, TokenRange};
pub(crate) use columns::{definition, needed_columns};
use columns::{distinct_columns, exact_item, primary_key};
pub(crate) use groups::over_groups;
use partners::Partners;
use results::ResultPart;
use sql_syntax::ast::{Expr, ExprKind, LockStrength, Query, Statement};
use topology::model::Column;

/// A sub-query counts for more than any number of key columns.
const EFFORT_OF_QUERY: usize = 100;

/// The scratch plan of a query whose text is the tokens `range`.
pub(crate) fn scratch(
    subject: &Subject<'_>,
    bound: &Bound<'_>,
    (statement, query, range): (&Statement, &Query, TokenRange),
    reason: &'static str,
) -> (ScratchPlan, bool) {
    let needed = needed_columns(bound, statement);
    let mut parts = results::find(subject, bound, query);
    let mut edits = name_edits(bound, NameMode::Temporary);
    // Results have the numbers behind the references'.
    let mut results = Vec::new();
    let mut places = Vec::new();
    let mut next = number(bound.refs.len());
    for part in &parts {
        let first = next;
        for used in &part.uses {
            let (before, after) = used.around.clone();
            let pieces = vec![Piece::Text(before), Piece::Temporary(next), Piece::Text(after)];
            places.push((used.at, Edit::replace(used.at, pieces)));
            results.push(Result { number: next, token: used.token, range: part.range });
            next += 1;
        }
        if !part.uses.iter().any(|used| covers(used.at, part.range)) {
            let nothing = vec![Piece::text("SELECT 1")];
            places.push((part.range, Edit::replace(part.range, nothing)));
        }
        debug_assert!(first < next, "a part is used");
    }
    let mut cacheable = {
        edits.extend(places.iter().map(|(_, edit)| edit.clone()));
        keep_column_names(bound, query, &mut edits)
    };
    let is_replaced =
        |edit: &Edit| places.iter().any(|(at, own)| own != edit && covers(*at, edit.at));
    edits.retain(|edit| !is_replaced(edit));
    let schema = home_schema(bound);
    let mut partners = Partners::new(bound, &results, &parts, &schema, query.locks.is_empty());
    let mut loads = result_loads(&mut parts, &results, &partners, &mut cacheable);
    let lock = query.locks.first().map(|lock| match lock.strength {
        // As it is written, with what it says of waiting.
        _ if lock.of.is_empty() => {
            vec![Piece::text(" "), Piece::Tokens(bound.range(lock.span))]
        }
        LockStrength::Update => vec![Piece::text(" FOR UPDATE")],
        LockStrength::Share | LockStrength::ShareMode => {
            vec![Piece::text(" LOCK IN SHARE MODE")]
        }
    });
    let distinct = distinct_columns(bound, statement);
    for (index, (needed, distinct)) in needed.iter().zip(&distinct).enumerate() {
        if partners.is_loaded(index) {
            let distinct = distinct.as_deref().filter(|_| lock.is_none());
            let wanted = (distinct.unwrap_or(needed), distinct.is_some());
            loads.push(load(bound, index, wanted, lock.as_deref(), &mut partners));
        }
    }
    let mut reductions: Vec<Reduction> = partners.reductions;
    // A table's column has another place in its load.
    for reduction in &mut reductions {
        let Some(reference) = bound.refs.get(reduction.source as usize) else { continue };
        let name = &reference.table.columns[reduction.source_column as usize].name;
        let load = loads.iter().find(|load| load.number == reduction.source);
        let at = load.and_then(|load| load.columns.iter().position(|own| own == name));
        reduction.source_column = at.map_or(u32::MAX, number);
    }
    let text = Template::edited(range, edits);
    (ScratchPlan { loads, reductions, text, reason, schema, groups: None }, cacheable)
}

/// A result's place in the statement.
struct Result {
    number: u32,
    /// The token by which blocks know it; 0 for sub-queries.
    token: u32,
    range: TokenRange,
}

fn covers(outer: TokenRange, inner: TokenRange) -> bool {
    outer.first <= inner.first && inner.last <= outer.last
}

/// The schema on whose first shard's data node the statement runs: where most is already.
fn home_schema(bound: &Bound<'_>) -> String {
    let single = bound.refs.iter().find(|reference| reference.is_single());
    let home = single.or(bound.refs.first());
    home.map(|reference| reference.schema.name.clone()).unwrap_or_default()
}

fn result_loads(
    parts: &mut Vec<ResultPart>,
    results: &[Result],
    partners: &Partners<'_, '_>,
    cacheable: &mut bool,
) -> Vec<Load> {
    let mut loads = Vec::new();
    let mut results = results.iter();
    for part in std::mem::take(parts) {
        *cacheable &= part.cacheable;
        let schema = match &part.plan.home {
            crate::plan::Home::Sharded { schema, .. } => schema.clone(),
            _ => String::new(),
        };
        let columns: Vec<String> =
            part.names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let text = part.plan.forward.clone();
        let mut first = None;
        let mut plan = Some(part.plan);
        for _ in &part.uses {
            let Some(result) = results.next() else { break };
            let source = match (first, plan.take()) {
                (None, Some(plan)) => LoadSource::Query(Box::new(plan)),
                (first, _) => LoadSource::Copy(first.unwrap_or_default()),
            };
            first.get_or_insert(result.number);
            loads.push(Load {
                number: result.number,
                schema: schema.clone(),
                definition: String::new(),
                primary_key: Vec::new(),
                selective: true,
                effort: 0,
                keys: partners.result_keys(result.number, &columns, &part.numbers),
                large_keys: Vec::new(),
                in_place: false,
                columns: columns.clone(),
                source,
                text: text.clone(),
            });
        }
    }
    loads
}

fn load(
    bound: &Bound<'_>,
    index: usize,
    (columns, distinct): (&[usize], bool),
    lock: Option<&[Piece]>,
    partners: &mut Partners<'_, '_>,
) -> Load {
    let reference = &bound.refs[index];
    let columns: Vec<&Column> =
        columns.iter().map(|column| &reference.table.columns[*column]).collect();
    let source = match route_of_reference(bound, index) {
        Some(route) => LoadSource::Route(Box::new(route)),
        None => LoadSource::Shard(0),
    };
    let in_place = partners.is_in_place(index);
    let text = load_text(bound, index, (&columns, distinct), lock, partners);
    let has_conditions = from_where(bound, index).contains(&Piece::Text(AND_MARK.to_vec()));
    let selective = has_conditions || partners.at_hand_count > 0;
    let primary_key = primary_key(reference).filter(|_| !distinct).unwrap_or_default();
    let mut keys = partners.keys(index, &columns);
    let large_keys = large_keys(&keys, &primary_key, &columns);
    keys.retain(|key| Some(key) != primary_key.first());
    Load {
        number: number(index),
        schema: reference.schema.name.clone(),
        definition: definition(&columns),
        primary_key,
        selective,
        effort: number(
            partners.sharded_count * EFFORT_OF_QUERY + reference.table.primary_key.len(),
        ),
        keys,
        large_keys,
        in_place,
        columns: columns.iter().map(|column| column.name.clone()).collect(),
        source,
        text,
    }
}

/// The keys of a table that has no primary key: those by which rows are looked up.
fn large_keys(keys: &[String], primary_key: &[String], columns: &[&Column]) -> Vec<Vec<String>> {
    let fits = |name: &String| {
        let column = columns.iter().find(|column| column.name == *name);
        column.is_some_and(|column| partners::can_be_key(column))
    };
    let whole = primary_key.iter().all(fits);
    let keys = keys.iter().map(|key| match primary_key.first() {
        Some(first) if first == key && whole => primary_key.to_vec(),
        _ => vec![key.clone()],
    });
    keys.collect()
}

fn load_text(
    bound: &Bound<'_>,
    index: usize,
    (columns, distinct): (&[&Column], bool),
    lock: Option<&[Piece]>,
    partners: &mut Partners<'_, '_>,
) -> Template {
    let reference = &bound.refs[index];
    let mut select = if distinct { b"SELECT DISTINCT ".to_vec() } else { b"SELECT ".to_vec() };
    for (place, column) in columns.iter().enumerate() {
        if place > 0 {
            select.extend_from_slice(b", ");
        }
        select.extend_from_slice(&exact_item(column));
    }
    let mut pieces = vec![Piece::Text(select)];
    pieces.extend(from_where(bound, index));
    pieces.extend(partners.conditions(index));
    let mut word = " WHERE ";
    for piece in &mut pieces {
        if *piece == Piece::Text(AND_MARK.to_vec()) {
            *piece = Piece::text(std::mem::replace(&mut word, " AND "));
        }
    }
    if let Some(lock) = lock
        && reference.is_sharded()
    {
        pieces.extend_from_slice(lock);
    }
    // The copied conditions name the reference by its alias.
    Template::made(pieces, name_edits(bound, NameMode::TargetAliased))
}

/// Stands where WHERE or AND will.
const AND_MARK: &[u8] = b"\0and";

/// `FROM table` with the conditions that speak of it alone.
fn from_where(bound: &Bound<'_>, index: usize) -> Vec<Piece> {
    let reference = &bound.refs[index];
    let mut pieces = vec![Piece::text(" FROM "), Piece::Table(number(index))];
    if let Some(partitions) = partition_tokens(bound, reference) {
        pieces.push(Piece::text(" "));
        pieces.push(Piece::Tokens(partitions));
    }
    pieces.extend(crate::names::alias_piece(bound, reference));
    for conjunct in bound.conditions(reference.block) {
        let What::Expr(condition) = &conjunct.what else { continue };
        if !conjunct.before_joins.contains(&index) {
            continue;
        }
        if is_about(bound, index, condition) {
            pieces.push(Piece::Text(AND_MARK.to_vec()));
            pieces.push(Piece::text("("));
            pieces.push(Piece::Tokens(bound.range(condition.span)));
            pieces.push(Piece::text(")"));
        } else if let ExprKind::Or(parts) = &condition.unparen().kind
            && let Some(implied) = implied(bound, index, parts)
        {
            pieces.push(Piece::Text(AND_MARK.to_vec()));
            pieces.extend(implied);
        }
    }
    pieces
}

/// What `a AND b OR c AND d` says of one reference, if every part says something.
fn implied(bound: &Bound<'_>, index: usize, parts: &[Expr]) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    for part in parts {
        let mut conditions = Vec::new();
        expr::conjuncts(part, &mut conditions);
        conditions.retain(|condition| is_about(bound, index, condition));
        let mut word = if pieces.is_empty() { "((" } else { ") OR (" };
        if conditions.is_empty() {
            return None;
        }
        for condition in conditions {
            pieces.push(Piece::text(std::mem::replace(&mut word, " AND ")));
            pieces.push(Piece::text("("));
            pieces.push(Piece::Tokens(bound.range(condition.span)));
            pieces.push(Piece::text(")"));
        }
    }
    pieces.push(Piece::text("))"));
    Some(pieces)
}

/// PARTITION (…) or FOR SYSTEM_TIME … after the table's name.
pub(crate) fn partition_tokens(bound: &Bound<'_>, reference: &Reference<'_>) -> Option<TokenRange> {
    let table = reference.table_ref?;
    if let Some(system_time) = table.system_time {
        return Some(bound.range(system_time));
    }
    let last = table.partitions.last()?;
    Some(TokenRange { first: bound.range(reference.name.span).last + 1, last: last.tok + 1 })
}

/// Whether a condition speaks of this reference alone and may be asked of its rows early.
pub(crate) fn is_about(bound: &Bound<'_>, index: usize, condition: &Expr) -> bool {
    let block = bound.refs[index].block;
    let speaks_of_others = expr::any(condition, &|part| match &part.kind {
        ExprKind::Column(column) => {
            bound.resolve(block, column).is_none_or(|found| found.reference != index)
        }
        ExprKind::SysVar(_) | ExprKind::Match { .. } | ExprKind::Default(_) => true,
        _ => false,
    });
    !speaks_of_others
        && !expr::has_query(condition)
        && !expr::is_random(condition, bound.src)
        && !expr::has_aggregate(condition, bound.src)
}
