//! The names in ON DUPLICATE KEY UPDATE behind a query. They are looked up in the table that is written
//! and, unless the query has groups, in the query's own FROM; what is in neither, or in both, is an
//! error that no data node would tell once the rows and the query have gone different ways.

use super::Maker;
use crate::bind::{Bound, Source};
use crate::expr::{self, Part, for_each_part};
use base::sql_error::{AMBIGUOUS_COLUMN, SqlError, UNKNOWN_COLUMN};
use sql_syntax::ast::{ColumnRef, Expr, ExprKind, Query, Select, SelectItem};

/// What the names are looked up in.
struct Scope<'a, 's> {
    maker: &'a Maker<'a, 's>,
    /// The query, bound by itself.
    query: &'a Bound<'s>,
    /// The block whose FROM is visible.
    block: Option<usize>,
}

impl Maker<'_, '_> {
    /// Whether every name has one meaning.
    pub(super) fn check_updates(&self, query: &Query, own: &Bound<'_>) -> Result<(), SqlError> {
        if self.insert.on_duplicate.is_empty() || self.insert.row_alias.is_some() {
            return Ok(());
        }
        let Some(select) = Bound::first_select(query) else { return Ok(()) };
        let block = own.block_by_token.get(&select.select_tok).copied();
        let block = block.filter(|_| !has_groups(select, own.src));
        let scope = Scope { maker: self, query: own, block };
        for update in &self.insert.on_duplicate {
            if !scope.in_target(&update.column) {
                return Err(scope.unknown(&update.column));
            }
            scope.check(&update.value)?;
        }
        Ok(())
    }
}

/// Whether a row of the query's result stands for several of its FROM.
pub(crate) fn has_groups(select: &Select, src: &[u8]) -> bool {
    let aggregates = select.items.iter().any(|item| match item {
        SelectItem::Expr { expr, .. } => expr::has_aggregate(expr, src),
        SelectItem::Star { .. } => false,
    });
    let having = select.having.as_ref().is_some_and(|having| expr::has_aggregate(having, src));
    aggregates || having || !select.group_by.is_empty()
}

impl Scope<'_, '_> {
    fn check(&self, value: &Expr) -> Result<(), SqlError> {
        match &value.kind {
            ExprKind::Values(column) if !self.in_target(column) => {
                return Err(self.unknown(column));
            }
            ExprKind::Column(column) | ExprKind::Default(Some(column)) => {
                match (self.in_target(column), self.in_query(column)) {
                    (true, Some(true)) => return Err(self.ambiguous(column)),
                    (false, Some(false)) => return Err(self.unknown(column)),
                    _ => {}
                }
            }
            _ => {}
        }
        let mut outcome = Ok(());
        for_each_part(value, &mut |part| {
            if let (Part::Expr(part), Ok(())) = (part, &outcome) {
                outcome = self.check(part);
            }
        });
        outcome
    }

    fn in_target(&self, column: &ColumnRef) -> bool {
        let bound = self.maker.bound;
        let name = String::from_utf8_lossy(&column.name.name(bound.src)).into_owned();
        column.table.is_none_or(|table| bound.is_named(0, column.schema, table))
            && self.maker.target().table.column(&name).is_some()
    }

    /// Whether the query's FROM has the column; none where that cannot be told.
    fn in_query(&self, column: &ColumnRef) -> Option<bool> {
        let Some(block) = self.block else { return Some(false) };
        let src = self.query.src;
        let name = column.name.name(src);
        let mut found = Some(false);
        for source in &self.query.blocks[block].sources {
            let has = match source {
                Source::Table(index) => {
                    let is_meant = |table| self.query.is_named(*index, column.schema, table);
                    let table = self.query.refs[*index].table;
                    let known = table.column(&String::from_utf8_lossy(&name)).is_some();
                    Some(column.table.is_none_or(is_meant) && known)
                }
                Source::Opaque { alias, .. }
                    if column
                        .table
                        .is_some_and(|table| !table.name(src).eq_ignore_ascii_case(alias)) =>
                {
                    Some(false)
                }
                Source::Opaque { columns, .. } => columns
                    .as_ref()
                    .map(|columns| columns.iter().any(|own| own.eq_ignore_ascii_case(&name))),
            };
            found = match (found, has) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (None, _) | (_, None) => None,
                _ => Some(false),
            };
        }
        found
    }

    fn unknown(&self, column: &ColumnRef) -> SqlError {
        let text = format!("Unknown column '{}' in 'UPDATE'", self.written(column));
        SqlError::new(UNKNOWN_COLUMN, text)
    }

    fn ambiguous(&self, column: &ColumnRef) -> SqlError {
        let text = format!("Column '{}' in UPDATE is ambiguous", self.written(column));
        SqlError::new(AMBIGUOUS_COLUMN, text)
    }

    /// The name as a server tells it.
    fn written(&self, column: &ColumnRef) -> String {
        let src = self.maker.bound.src;
        let parts = [column.schema, column.table, Some(column.name)];
        let parts = parts.into_iter().flatten();
        let parts = parts.map(|part| String::from_utf8_lossy(&part.name(src)).into_owned());
        parts.collect::<Vec<_>>().join(".")
    }
}
