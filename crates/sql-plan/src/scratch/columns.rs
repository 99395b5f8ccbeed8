//! Which columns of a reference a statement can need, and how a temporary table has them.

use crate::bind::{Bound, Reference};
use crate::template::{push_quoted, quoted};
use sql_syntax::ast::ColumnRef;
use sql_syntax::visit;
use topology::model::{Column, ColumnClass};

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
            needed
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
