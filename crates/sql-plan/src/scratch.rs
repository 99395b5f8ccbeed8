//! Scratch plans: what of each table reference must be brought to one data node so that the
//! statement gives the same answer there. Conditions are pushed down only where dropping a row early
//! cannot be seen: not to the optional side of an outer join.

use crate::bind::{Bound, Reference, What};
use crate::expr;
use crate::keys::route_of_reference;
use crate::names::{NameMode, name_edits, number};
use crate::plan::{Load, LoadSource, ScratchPlan};
use crate::template::{Piece, Template, TokenRange, push_quoted, quoted};
use sql_syntax::ast::{ColumnRef, Expr, ExprKind, LockStrength, Query};
use sql_syntax::visit;
use topology::model::{Column, ColumnClass};

/// The scratch plan of a query.
pub(crate) fn scratch(
    bound: &Bound<'_>,
    statement: &sql_syntax::ast::Statement,
    query: &Query,
    range: TokenRange,
    reason: &'static str,
) -> (ScratchPlan, bool) {
    let needed = needed_columns(bound, statement);
    let lock = query.locks.first().map(|lock| match lock.strength {
        LockStrength::Update => " FOR UPDATE",
        LockStrength::Share | LockStrength::ShareMode => " LOCK IN SHARE MODE",
    });
    let loads =
        (0..bound.refs.len()).map(|index| load(bound, index, &needed[index], lock)).collect();
    let mut edits = name_edits(bound, NameMode::Temporary);
    let cacheable = crate::names::keep_column_names(bound, query, &mut edits);
    let schema = bound.refs.first().map(|reference| reference.schema.name.clone());
    let text = Template::edited(range, edits);
    (ScratchPlan { loads, text, reason, schema: schema.unwrap_or_default() }, cacheable)
}

fn load(bound: &Bound<'_>, index: usize, columns: &[usize], lock: Option<&str>) -> Load {
    let reference = &bound.refs[index];
    let columns: Vec<&Column> =
        columns.iter().map(|column| &reference.table.columns[*column]).collect();
    let source = match route_of_reference(bound, index) {
        Some(route) => LoadSource::Route(Box::new(route)),
        None => LoadSource::Shard(0),
    };
    Load {
        schema: reference.schema.name.clone(),
        definition: definition(&columns),
        columns: columns.iter().map(|column| column.name.clone()).collect(),
        source,
        text: load_text(bound, index, &columns, lock),
    }
}

fn load_text(bound: &Bound<'_>, index: usize, columns: &[&Column], lock: Option<&str>) -> Template {
    let reference = &bound.refs[index];
    let mut select = b"SELECT ".to_vec();
    for (place, column) in columns.iter().enumerate() {
        if place > 0 {
            select.extend_from_slice(b", ");
        }
        push_quoted(column.name.as_bytes(), &mut select);
    }
    select.extend_from_slice(b" FROM ");
    let mut pieces = vec![Piece::Text(select), Piece::Table(number(index))];
    if let Some(partitions) = partition_tokens(bound, reference) {
        pieces.push(Piece::text(" "));
        pieces.push(Piece::Tokens(partitions));
    }
    pieces.push(Piece::Text([b" AS ".as_slice(), &quoted(&reference.alias)].concat()));
    let mut word = " WHERE ";
    for conjunct in bound.conditions(reference.block) {
        let What::Expr(condition) = &conjunct.what else { continue };
        if conjunct.before_joins.contains(&index) && is_about(bound, index, condition) {
            pieces.push(Piece::text(word));
            pieces.push(Piece::text("("));
            pieces.push(Piece::Tokens(bound.range(condition.span)));
            pieces.push(Piece::text(")"));
            word = " AND ";
        }
    }
    if let Some(lock) = lock
        && reference.is_sharded()
    {
        pieces.push(Piece::text(lock));
    }
    // The copied conditions name the reference by its alias.
    Template::made(pieces, name_edits(bound, NameMode::TargetAliased))
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

/// The columns of each reference that the statement can name.
pub(crate) fn needed_columns(bound: &Bound<'_>, statement: &sql_syntax::ast::Statement) -> Vec<Vec<usize>> {
    let mut stars = Stars { src: bound.src, bare: false, of: Vec::new(), natural: false };
    let mut names: Vec<(Option<Vec<u8>>, Vec<u8>)> = Vec::new();
    visit::for_each_column(statement, |column: &ColumnRef| {
        names.push((
            column.table.map(|table| table.name(bound.src).into_owned()),
            column.name.name(bound.src).into_owned(),
        ));
    });
    collect_stars(bound, &mut stars);
    bound
        .refs
        .iter()
        .map(|reference| {
            let alias = reference.alias.as_bytes();
            let all = stars.natural
                || (stars.bare_in(bound, reference))
                || stars.of.iter().any(|star| star.eq_ignore_ascii_case(alias));
            let using = &bound.blocks[reference.block].using;
            let is_named = |column: &Column| {
                names.iter().any(|(table, name)| {
                    name.eq_ignore_ascii_case(column.name.as_bytes())
                        && table.as_ref().is_none_or(|table| table.eq_ignore_ascii_case(alias))
                }) || using.iter().any(|name| name.eq_ignore_ascii_case(&column.name))
            };
            let columns = reference.table.columns.iter().enumerate();
            let mut needed: Vec<usize> = columns
                .filter(|(_, column)| is_named(column) || (all && !column.invisible))
                .map(|(index, _)| index)
                .collect();
            if needed.is_empty() {
                needed.push(0);
            }
            needed
        })
        .collect()
}

/// Stars of select lists.
struct Stars<'s> {
    src: &'s [u8],
    bare: bool,
    of: Vec<Vec<u8>>,
    natural: bool,
}

impl Stars<'_> {
    fn bare_in(&self, bound: &Bound<'_>, reference: &Reference<'_>) -> bool {
        self.bare
            && bound.blocks[reference.block].select.is_none_or(|select| {
                select.items.iter().any(|item| {
                    matches!(item, sql_syntax::ast::SelectItem::Star { table: None, .. })
                })
            })
    }
}

fn collect_stars(bound: &Bound<'_>, stars: &mut Stars<'_>) {
    for block in &bound.blocks {
        let Some(select) = block.select else {
            stars.bare |= block.set_operand; // `TABLE t`
            continue;
        };
        for item in &select.items {
            match item {
                sql_syntax::ast::SelectItem::Star { table: Some(table), .. } => {
                    stars.of.push(table.name(stars.src).into_owned());
                }
                sql_syntax::ast::SelectItem::Star { table: None, .. } => stars.bare = true,
                sql_syntax::ast::SelectItem::Expr { .. } => {}
            }
        }
        stars.natural |= select.from.iter().any(has_natural_join);
    }
}

fn has_natural_join(table: &sql_syntax::ast::TableExpr) -> bool {
    use sql_syntax::ast::TableExpr;
    match table {
        TableExpr::Join(join) => {
            join.natural || has_natural_join(&join.left) || has_natural_join(&join.right)
        }
        TableExpr::Nested { tables, .. } => tables.iter().any(has_natural_join),
        _ => false,
    }
}

/// The column definitions of a temporary table, brackets included.
pub(crate) fn definition(columns: &[&Column]) -> String {
    let columns = columns.iter().map(|column| {
        let collation = match (&column.class, &column.collation) {
            (ColumnClass::Text, Some(collation)) => format!(" COLLATE {collation}"),
            _ => String::new(),
        };
        let null = if column.nullable { "NULL" } else { "NOT NULL" };
        let name = String::from_utf8_lossy(&quoted(&column.name)).into_owned();
        format!("{name} {}{collation} {null}", column.column_type)
    });
    format!("({})", columns.collect::<Vec<_>>().join(", "))
}
