//! What a column's name means where it stands: MySQL's scoping, innermost block first. Where a
//! derived table could have the column as well, the answer is "not known".

use super::{Block, Bound, Source};
use sql_syntax::ast::{ColumnRef, Expr, Ident, Query, SelectItem};
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
                Source::Opaque { alias, .. } if table.is(self.src, alias) => {
                    return Found::Unknown;
                }
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
            let index = match source {
                Source::Table(index) => index,
                Source::Opaque { columns: Some(columns), .. }
                    if !columns.iter().any(|own| own.eq_ignore_ascii_case(name.as_bytes())) =>
                {
                    continue;
                }
                Source::Opaque { .. } => return Found::Unknown,
            };
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

    /// Whether a name certainly means something of `block` or of a block around it.
    pub fn is_known(&self, block: usize, column: &ColumnRef) -> bool {
        let mut at = Some(block);
        while let Some(current) = at {
            let inside = &self.blocks[current];
            if self.names_item(inside, column) || self.is_of_opaque(inside, column) {
                return true;
            }
            match self.resolve_in(inside, column) {
                Found::Column(_) => return true,
                Found::Unknown => return false,
                Found::No => at = inside.parent,
            }
        }
        false
    }

    /// An alias of the select list.
    fn names_item(&self, block: &Block<'s>, column: &ColumnRef) -> bool {
        let Some(select) = block.select.filter(|_| column.table.is_none()) else { return false };
        let name = column.name.name(self.src);
        select.items.iter().any(|item| match item {
            SelectItem::Expr { alias: Some(alias), .. } => {
                alias.name(self.src).eq_ignore_ascii_case(&name)
            }
            _ => false,
        })
    }

    fn is_of_opaque(&self, block: &Block<'s>, column: &ColumnRef) -> bool {
        let name = column.name.name(self.src);
        block.sources.iter().any(|source| match source {
            Source::Opaque { alias, columns, .. } => match column.table {
                Some(table) => table.is(self.src, alias),
                None => columns.as_ref().is_some_and(|columns| {
                    columns.iter().any(|own| own.eq_ignore_ascii_case(&name))
                }),
            },
            Source::Table(_) => false,
        })
    }

    /// The derived table or named query and the place of its column that this name means, where
    /// that is certain.
    pub fn opaque_column(&self, block: usize, column: &ColumnRef) -> Option<(u32, usize)> {
        let name = column.name.name(self.src);
        let block = &self.blocks[block];
        let mut found = None;
        for source in &block.sources {
            match source {
                Source::Opaque { alias, columns: Some(columns), token }
                    if column.table.is_none_or(|table| table.is(self.src, alias)) =>
                {
                    let at = columns.iter().position(|own| own.eq_ignore_ascii_case(&name));
                    if let Some(at) = at
                        && found.replace((*token, at)).is_some()
                    {
                        return None;
                    }
                }
                Source::Opaque { .. } if column.table.is_none() => return None,
                Source::Table(index)
                    if column.table.is_none()
                        && self.refs[*index]
                            .table
                            .column(&String::from_utf8_lossy(&name))
                            .is_some() =>
                {
                    return None;
                }
                _ => {}
            }
        }
        found
    }

    /// The names of the columns that a query gives, where they are certain.
    pub fn column_names(&self, query: &Query) -> Option<Vec<Vec<u8>>> {
        let select = Bound::first_select(query)?;
        let block = *self.block_by_token.get(&select.select_tok)?;
        let mut names = Vec::new();
        for item in &select.items {
            match item {
                SelectItem::Expr { alias: Some(alias), .. } => {
                    let raw = self.text(alias.span);
                    let text = crate::names::string_alias(raw);
                    names.push(text.map_or_else(|| alias.name(self.src).into_owned(), <[u8]>::to_vec));
                }
                SelectItem::Expr { expr, .. } => names.push(match expr.as_column() {
                    Some(column) => column.name.name(self.src).into_owned(),
                    None => self.text(expr.span).to_vec(),
                }),
                SelectItem::Star { schema, table, .. } => {
                    self.star_names(block, *schema, *table, &mut names)?;
                }
            }
        }
        Some(names)
    }

    fn star_names(
        &self,
        block: usize,
        schema: Option<Ident>,
        table: Option<Ident>,
        names: &mut Vec<Vec<u8>>,
    ) -> Option<()> {
        let block = &self.blocks[block];
        if !block.using.is_empty() || block.natural {
            return None;
        }
        for source in &block.sources {
            match source {
                Source::Table(index) => {
                    if table.is_some_and(|table| !self.is_named(*index, schema, table)) {
                        continue;
                    }
                    let columns = self.refs[*index].table.columns.iter();
                    let visible = columns.filter(|column| !column.invisible);
                    names.extend(visible.map(|column| column.name.clone().into_bytes()));
                }
                Source::Opaque { alias, columns, .. } => {
                    if table.is_none_or(|table| table.is(self.src, alias)) {
                        names.extend(columns.clone()?);
                    }
                }
            }
        }
        Some(())
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
