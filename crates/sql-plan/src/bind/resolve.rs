//! What a column's name means where it stands: MySQL's scoping, innermost block first. Where a
//! derived table could have the column as well, the answer is "not known".

use super::{Block, Bound, Source};
use sql_syntax::ast::{ColumnRef, Expr, Ident};
use std::borrow::Cow;
use topology::model::Column;

/// A column of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ColumnOf {
    /// The reference.
    pub reference: usize,
    /// The column's place in its table.
    pub column: usize,
}

/// What a lookup in one block gives.
enum Found {
    Column(ColumnOf),
    No,
    Unknown,
}

/// An identifier as text; names are compared in lower case.
pub(crate) fn ident_text(ident: Ident, src: &[u8]) -> String {
    String::from_utf8_lossy(&ident.name(src)).into_owned()
}

impl<'s> Bound<'s> {
    /// The column that this name means in `block`.
    pub fn resolve(&self, block: usize, column: &ColumnRef) -> Option<ColumnOf> {
        let mut at = Some(block);
        while let Some(current) = at {
            match self.resolve_in(&self.blocks[current], column) {
                Found::Column(found) => return Some(found),
                Found::Unknown => return None,
                Found::No => at = self.blocks[current].parent,
            }
        }
        None
    }

    fn resolve_in(&self, block: &Block<'s>, column: &ColumnRef) -> Found {
        let name = ident_text(column.name, self.src);
        let Some(table) = column.table else { return self.resolve_bare(block, &name) };
        for source in &block.sources {
            match source {
                Source::Opaque { alias } if table.is(self.src, alias) => return Found::Unknown,
                Source::Opaque { .. } => {}
                Source::Table(index) if self.is_named(*index, column.schema, table) => {
                    return match self.refs[*index].table.column(&name) {
                        Some((column, _)) => Found::Column(ColumnOf { reference: *index, column }),
                        None => Found::Unknown,
                    };
                }
                Source::Table(_) => {}
            }
        }
        Found::No
    }

    fn resolve_bare(&self, block: &Block<'s>, name: &str) -> Found {
        let mut found = None;
        for source in &block.sources {
            let Source::Table(index) = source else { return Found::Unknown };
            if let Some((column, _)) = self.refs[*index].table.column(name) {
                let merged = block.using.iter().any(|using| using.eq_ignore_ascii_case(name));
                match found {
                    None => {}
                    // USING makes one column of two; it is that of the side that is never NULL.
                    Some(_) if !merged => return Found::Unknown,
                    Some(ColumnOf { reference, .. })
                        if !self.refs[reference].null_side || self.refs[*index].null_side =>
                    {
                        continue;
                    }
                    Some(_) => {}
                }
                found = Some(ColumnOf { reference: *index, column });
            }
        }
        found.map_or(Found::No, Found::Column)
    }

    /// Whether a qualifier means this reference.
    pub fn is_named(&self, reference: usize, schema: Option<Ident>, table: Ident) -> bool {
        let reference = &self.refs[reference];
        let table: Cow<'_, [u8]> = table.name(self.src);
        let same_table = reference.alias.as_bytes().eq_ignore_ascii_case(&table);
        match schema {
            None => same_table,
            Some(schema) => {
                same_table
                    && !reference.has_alias
                    && schema.is(self.src, reference.schema.name.as_bytes())
            }
        }
    }

    /// The column that an expression is, parentheses aside.
    pub fn column_of(&self, block: usize, expr: &Expr) -> Option<ColumnOf> {
        self.resolve(block, expr.as_column()?)
    }

    /// The definition of a column.
    pub fn column(&self, column: ColumnOf) -> &'s Column {
        &self.refs[column.reference].table.columns[column.column]
    }

    /// The definition of a column that belongs to a table.
    pub fn column_index(&self, reference: usize, name: &str) -> Option<ColumnOf> {
        let (column, _) = self.refs[reference].table.column(name)?;
        Some(ColumnOf { reference, column })
    }
}
