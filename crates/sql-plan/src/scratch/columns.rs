//! Which columns of a reference a statement can need, and how a temporary table has them.

use super::partners::plain_select;
use crate::bind::{Bound, Reference};
use crate::template::{push_quoted, quoted};
use sql_syntax::ast::{ColumnRef, Expr, ExprKind, Statement};
use sql_syntax::visit::{self, Visitor};
use std::collections::HashSet;
use topology::model::{Column, ColumnClass};

/// The columns of each reference that the statement can name, with those of its primary key.
pub(crate) fn needed_columns(bound: &Bound<'_>, statement: &Statement) -> Vec<Vec<usize>> {
    let mut needed = named_columns(bound, statement, &Tested::of(bound, statement));
    for (reference, needed) in bound.refs.iter().zip(&mut needed) {
        for name in primary_key(reference).unwrap_or_default() {
            if let Some((index, _)) = reference.table.column(&name)
                && !needed.contains(&index)
            {
                needed.push(index);
            }
        }
        if needed.is_empty() {
            needed.push(0);
        }
    }
    needed
}

/// Blocks of sub-queries that are only asked whether they have a row.
#[derive(Default)]
pub(super) struct Tested {
    /// By EXISTS: what they select does not matter.
    existing: HashSet<usize>,
    /// By EXISTS or IN: how often a row comes does not matter.
    any: HashSet<usize>,
}

impl Tested {
    pub fn of(bound: &Bound<'_>, statement: &Statement) -> Self {
        struct Found<'f, 's>(&'f Bound<'s>, Tested);
        impl Visitor for Found<'_, '_> {
            fn expr(&mut self, expr: &Expr) -> bool {
                let (query, exists) = match &expr.kind {
                    ExprKind::Exists(query) => (query, true),
                    ExprKind::InQuery { query, .. } => (query, false),
                    _ => return true,
                };
                let select = plain_select(query, self.0.src);
                let block = select.and_then(|one| self.0.block_by_token.get(&one.select_tok));
                if let Some(block) = block {
                    self.1.any.insert(*block);
                    if exists {
                        self.1.existing.insert(*block);
                    }
                }
                true
            }
        }
        let mut found = Found(bound, Self::default());
        visit::walk_statement(statement, &mut found);
        found.1
    }
}

/// The columns of which a reference's different values are all that the statement needs: those of a
/// sub-query that is only asked whether it has a row. Values that are equal must be the same.
pub(super) fn distinct_columns(
    bound: &Bound<'_>,
    statement: &Statement,
) -> Vec<Option<Vec<usize>>> {
    let tested = Tested::of(bound, statement);
    let named = named_columns(bound, statement, &tested);
    let is_exact = |column: &Column| {
        matches!(
            column.class,
            ColumnClass::Integer
                | ColumnClass::UnsignedInteger
                | ColumnClass::Decimal { .. }
                | ColumnClass::Date
                | ColumnClass::DateTime
        )
    };
    let distinct = named.into_iter().zip(&bound.refs).map(|(columns, reference)| {
        let table = reference.table;
        let has =
            |name: &String| table.column(name).is_some_and(|(index, _)| columns.contains(&index));
        let repeats = table.primary_key.is_empty() || !table.primary_key.iter().all(has);
        let exact = columns.iter().all(|column| is_exact(&table.columns[*column]));
        let fits = tested.any.contains(&reference.block)
            && reference.is_sharded()
            && !columns.is_empty()
            && repeats
            && exact;
        fits.then_some(columns)
    });
    distinct.collect()
}

fn named_columns(bound: &Bound<'_>, statement: &Statement, tested: &Tested) -> Vec<Vec<usize>> {
    let mut stars = Stars { src: bound.src, bare: false, of: Vec::new(), natural: false };
    let mut names: Vec<(Option<Vec<u8>>, Vec<u8>)> = Vec::new();
    visit::for_each_column(statement, |column: &ColumnRef| {
        names.push((
            column.table.map(|table| table.name(bound.src).into_owned()),
            column.name.name(bound.src).into_owned(),
        ));
    });
    collect_stars(bound, tested, &mut stars);
    bound
        .refs
        .iter()
        .map(|reference| {
            let alias = reference.alias.as_bytes();
            let all = stars.natural
                || (stars.bare_in(bound, reference) && !tested.existing.contains(&reference.block))
                || stars.of.iter().any(|star| star.eq_ignore_ascii_case(alias));
            let using = &bound.blocks[reference.block].using;
            let is_named = |column: &Column| {
                names.iter().any(|(table, name)| {
                    name.eq_ignore_ascii_case(column.name.as_bytes())
                        && table.as_ref().is_none_or(|table| table.eq_ignore_ascii_case(alias))
                }) || using.iter().any(|name| name.eq_ignore_ascii_case(&column.name))
            };
            let columns = reference.table.columns.iter().enumerate();
            columns
                .filter(|(_, column)| is_named(column) || (all && !column.invisible))
                .map(|(index, _)| index)
                .collect()
        })
        .collect()
}

/// The table's primary key, if it is unique over all shards.
pub(super) fn primary_key(reference: &Reference<'_>) -> Option<Vec<String>> {
    let table = reference.table;
    let columns: Option<Vec<&Column>> =
        table.primary_key.iter().map(|name| table.column(name).map(|(_, one)| one)).collect();
    let in_key = |name: &str| table.primary_key.iter().any(|own| own.eq_ignore_ascii_case(name));
    let is_unique = match &reference.router {
        None => true,
        Some(router) => router
            .columns
            .iter()
            .all(|column| column.class != ColumnClass::Text && in_key(&column.name)),
    };
    let fits = |column: &&Column| {
        let long = column.column_type.contains("text") || column.column_type.contains("blob");
        !column.generated && !column.invisible && !long
    };
    (columns?.iter().all(fits) && is_unique && !table.primary_key.is_empty())
        .then(|| table.primary_key.clone())
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

fn collect_stars(bound: &Bound<'_>, tested: &Tested, stars: &mut Stars<'_>) {
    for (number, block) in bound.blocks.iter().enumerate() {
        let Some(select) = block.select else {
            stars.bare |= block.set_operand; // `TABLE t`
            continue;
        };
        stars.natural |= select.from.iter().any(has_natural_join);
        if tested.existing.contains(&number) {
            continue;
        }
        for item in &select.items {
            match item {
                sql_syntax::ast::SelectItem::Star { table: Some(table), .. } => {
                    stars.of.push(table.name(stars.src).into_owned());
                }
                sql_syntax::ast::SelectItem::Star { table: None, .. } => stars.bare = true,
                sql_syntax::ast::SelectItem::Expr { .. } => {}
            }
        }
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

/// What a load selects for a column. FLOAT's text shows fewer digits than it has; the same number as
/// DOUBLE is shown whole.
pub(super) fn exact_item(column: &Column) -> Vec<u8> {
    let mut item = Vec::new();
    push_quoted(column.name.as_bytes(), &mut item);
    if column.type_name() == "float" {
        let plain = std::mem::take(&mut item);
        item = [b"(".as_slice(), &plain, b"*1e0) AS ", &plain].concat();
    }
    item
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
