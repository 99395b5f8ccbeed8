//! Edits of names: logical tables become physical ones (or temporary ones) in place, and what
//! qualifies columns is kept true. Where a physical table has another name than the logical one, the
//! reference gets the logical name as its alias, so that nothing else of the text changes.

use crate::bind::{Bound, Reference};
use crate::template::{Edit, Piece, TokenRange, push_quoted, quoted};
use sql_syntax::TokenKind;
use sql_syntax::ast::{Expr, Query, SelectItem, SetExpr, TableExpr};
use std::borrow::Cow;

/// What tables become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameMode {
    /// Physical tables; aliases are added where names differ.
    Target,
    /// The same with an alias for every reference (a multi-table DELETE names its targets by it).
    TargetAliased,
    /// Physical tables where no alias may stand (single-table DELETE, INSERT): qualifiers change.
    TargetPlain,
    /// Physical tables without aliases in this block, where all that names them is fully qualified:
    /// a server reads the targets of a multi-table DELETE without a schema only when some schema is
    /// chosen, and one with an alias has none. Other blocks are as in `TargetAliased`.
    TargetUnaliased {
        /// The DELETE's own block.
        block: usize,
    },
    /// Temporary tables of a scratch plan.
    Temporary,
    /// The same; the reference of this number stands where no alias may be.
    TemporaryPlain(usize),
}

impl NameMode {
    /// The mode for one reference.
    fn of(self, bound: &Bound<'_>, reference: usize) -> NameMode {
        match self {
            NameMode::TargetUnaliased { block } if bound.refs[reference].block != block => {
                NameMode::TargetAliased
            }
            NameMode::TemporaryPlain(plain) if plain != reference => NameMode::Temporary,
            mode => mode,
        }
    }
}

/// A column's name is not longer: servers cut it.
const ALIAS_BYTES_MAX: usize = 255;

/// The name of a column that is kept is not longer.
const COLUMN_BYTES_MAX: usize = 64;

/// How one reference's qualifiers change.
enum Qualifier {
    Keep,
    DropSchema,
    Schema,
    SchemaAndTable,
    Full,
    Temporary,
}

/// The alias of a reference in a text of our own, where it has one there.
pub(crate) fn alias_piece(bound: &Bound<'_>, reference: &Reference<'_>) -> Option<Piece> {
    let wanted = reference.has_alias || !bound.plain_names;
    wanted.then(|| Piece::Text([b" AS ".as_slice(), &quoted(&reference.alias)].concat()))
}

/// All edits of names.
pub(crate) fn name_edits(bound: &Bound<'_>, mode: NameMode) -> Vec<Edit> {
    let mode = match mode {
        NameMode::Target | NameMode::TargetAliased if bound.plain_names => NameMode::TargetPlain,
        mode => mode,
    };
    let mut edits = Vec::new();
    for (index, reference) in bound.refs.iter().enumerate() {
        edits.extend(table_edits(bound, number(index), reference, mode.of(bound, index)));
    }
    for qualified in &bound.qualified {
        let reference = &bound.refs[qualified.reference];
        let index = number(qualified.reference);
        let table = TokenRange { first: qualified.table_token, last: qualified.table_token };
        let schema = qualified.schema_token;
        match (qualifier(reference, mode.of(bound, qualified.reference)), schema) {
            (Qualifier::Keep, _) | (Qualifier::DropSchema | Qualifier::Schema, None) => {}
            (Qualifier::DropSchema, Some(schema)) => {
                let at = TokenRange { first: schema, last: qualified.table_token - 1 };
                edits.push(Edit::replace(at, Vec::new()));
            }
            (Qualifier::Schema, Some(schema)) => {
                let at = TokenRange { first: schema, last: schema };
                edits.push(Edit::replace(at, vec![Piece::Database(index)]));
            }
            (Qualifier::Temporary, schema) => {
                let at = TokenRange { first: schema.unwrap_or(table.first), last: table.last };
                edits.push(Edit::replace(at, vec![Piece::Temporary(index)]));
            }
            (Qualifier::Full, schema) => {
                let at = TokenRange { first: schema.unwrap_or(table.first), last: table.last };
                edits.push(Edit::replace(at, vec![Piece::Table(index)]));
            }
            (Qualifier::SchemaAndTable, None) => {
                edits.push(Edit::replace(table, vec![Piece::TableName(index)]));
            }
            (Qualifier::SchemaAndTable, Some(schema)) => {
                let at = TokenRange { first: schema, last: qualified.table_token };
                edits.push(Edit::replace(at, vec![Piece::Table(index)]));
            }
        }
    }
    for (value, range) in &bound.session_calls {
        edits.push(Edit::replace(*range, vec![Piece::Session(*value)]));
    }
    for (range, value) in &bound.own_variables {
        edits.push(Edit::replace(*range, vec![Piece::Text(value.clone())]));
    }
    edits
}

fn qualifier(reference: &Reference<'_>, mode: NameMode) -> Qualifier {
    if let NameMode::TargetUnaliased { .. } = mode {
        return Qualifier::Full;
    }
    if reference.has_alias {
        return Qualifier::Keep;
    }
    match mode {
        NameMode::TargetUnaliased { .. } => Qualifier::Full,
        NameMode::Temporary | NameMode::TargetAliased => Qualifier::DropSchema,
        NameMode::TemporaryPlain(_) => Qualifier::Temporary,
        NameMode::Target if reference.is_renamed() => Qualifier::DropSchema,
        NameMode::TargetPlain if reference.is_renamed() => Qualifier::SchemaAndTable,
        NameMode::Target | NameMode::TargetPlain => Qualifier::Schema,
    }
}

fn table_edits(
    bound: &Bound<'_>,
    index: u32,
    reference: &Reference<'_>,
    mode: NameMode,
) -> Vec<Edit> {
    let name = bound.range(reference.name.span);
    let partitions_end = end_of_name(bound, reference, name);
    if let NameMode::TargetUnaliased { .. } = mode {
        let mut edits = vec![Edit::replace(name, vec![Piece::Table(index)])];
        let alias = reference.table_ref.and_then(|table| table.alias);
        if let Some(alias) = alias.filter(|alias| alias.tok > partitions_end) {
            let at = TokenRange { first: partitions_end + 1, last: alias.tok };
            edits.push(Edit::replace(at, Vec::new()));
        }
        return edits;
    }
    // `TABLE t` and the table of an INSERT have no place for an alias.
    let adds_alias = !reference.has_alias
        && reference.table_ref.is_some()
        && match mode {
            NameMode::Temporary | NameMode::TargetAliased => true,
            NameMode::Target => reference.is_renamed(),
            NameMode::TargetPlain
            | NameMode::TargetUnaliased { .. }
            | NameMode::TemporaryPlain(_) => false,
        };
    let mut alias = Vec::new();
    if adds_alias {
        alias.push(Piece::Text([b" AS ".as_slice(), &quoted(&reference.alias)].concat()));
    }
    if matches!(mode, NameMode::Temporary | NameMode::TemporaryPlain(_)) {
        let at = TokenRange { first: name.first, last: partitions_end };
        let pieces = [vec![Piece::Temporary(index)], alias].concat();
        let mut edits = vec![Edit::replace(at, pieces)];
        let hints = reference.table_ref.map(|table| table.index_hints.as_slice());
        for hint in hints.unwrap_or_default() {
            edits.push(Edit::replace(bound.range(hint.span), Vec::new()));
        }
        return edits;
    }
    if partitions_end == name.last {
        let pieces = [vec![Piece::Table(index)], alias].concat();
        return vec![Edit::replace(name, pieces)];
    }
    let mut edits = vec![Edit::replace(name, vec![Piece::Table(index)])];
    if !alias.is_empty() {
        edits.push(Edit::after(partitions_end, alias).always());
    }
    edits
}

/// The last token of a table's name with PARTITION and FOR SYSTEM_TIME.
fn end_of_name(bound: &Bound<'_>, reference: &Reference<'_>, name: TokenRange) -> u32 {
    let Some(table) = reference.table_ref else { return name.last };
    if let Some(system_time) = table.system_time {
        return bound.range(system_time).last;
    }
    let Some(last) = table.partitions.last() else { return name.last };
    let closes = |token: &u32| {
        bound.tokens.tokens().get(*token as usize).is_some_and(|t| t.kind == TokenKind::RParen)
    };
    (last.tok..last.tok + 3).find(closes).unwrap_or(last.tok)
}

/// The columns of the answer keep their names: an item without an alias whose text changes gets its
/// old text as alias. Says also whether such a text holds a literal, for then it differs from
/// statement to statement of one digest.
pub(crate) fn keep_column_names(bound: &Bound<'_>, query: &Query, edits: &mut Vec<Edit>) -> bool {
    let mut same_for_all = keep_value_names(bound, query, edits);
    let Some(select) = first_select(query) else { return same_for_all };
    same_for_all &= keep_item_names(bound, &select.items, edits);
    for table in &select.from {
        if let TableExpr::Derived { query, .. } = table {
            same_for_all &= keep_value_names(bound, query, edits);
        }
    }
    // A star may show the names of derived tables' columns.
    for block in bound.blocks.iter().filter(|block| block.derived) {
        let items = block.select.map(|select| select.items.as_slice()).unwrap_or_default();
        same_for_all &= keep_item_names(bound, items, edits);
    }
    edits.extend(bound.additions.iter().cloned());
    same_for_all
}

/// `VALUES (…)` has no place for names: where its text changes it becomes a SELECT of the one row.
fn keep_value_names(bound: &Bound<'_>, query: &Query, edits: &mut Vec<Edit>) -> bool {
    let mut body = &query.body;
    let (row, range) = loop {
        match body {
            SetExpr::Values(rows, span) if rows.len() == 1 => break (&rows[0], bound.range(*span)),
            SetExpr::Paren(query, _) => body = &query.body,
            SetExpr::SetOp(chain) => body = &chain.first,
            _ => return true,
        }
    };
    let tokens = bound.tokens.tokens();
    let opens = tokens.get(range.first as usize + 1).is_some_and(|t| t.kind == TokenKind::LParen);
    let is_changed = |expr: &&Expr| {
        let range = bound.range(expr.span);
        edits.iter().any(|edit| edit.at.first >= range.first && edit.at.last <= range.last)
    };
    let changed: Vec<&Expr> = row.iter().filter(is_changed).collect();
    if !opens || changed.is_empty() {
        return true;
    }
    let head = TokenRange { first: range.first, last: range.first + 1 };
    edits.push(Edit::replace(head, vec![Piece::text("SELECT ")]));
    edits.push(Edit::replace(TokenRange { first: range.last, last: range.last }, Vec::new()));
    for expr in changed {
        let mut alias = b" AS ".to_vec();
        push_quoted(&column_name(bound.text(expr.span)), &mut alias);
        edits.push(Edit::after(bound.range(expr.span).last, vec![Piece::Text(alias)]));
    }
    let inside = tokens.get(range.first as usize..=range.last as usize).unwrap_or_default();
    !inside.iter().any(|token| token.kind.is_literal())
}

/// An expression's text as servers name a column by it: names are of characters of three bytes at
/// most, and cut in front of one.
pub fn column_name(text: &[u8]) -> Cow<'_, [u8]> {
    const WIDE: u8 = 0xf0;
    let mut name = Cow::Borrowed(text);
    if text.iter().any(|byte| *byte >= WIDE) {
        let text = String::from_utf8_lossy(text);
        let narrow = text.chars().map(|c| if c.len_utf8() > 3 { '?' } else { c });
        name = Cow::Owned(narrow.collect::<String>().into_bytes());
    }
    let is_inside = |at: usize| name.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let mut end = name.len().min(ALIAS_BYTES_MAX);
    while end > 0 && is_inside(end) {
        end -= 1;
    }
    match name {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

/// The same for the items of a select list, or of RETURNING.
pub(crate) fn keep_item_names(
    bound: &Bound<'_>,
    items: &[SelectItem],
    edits: &mut Vec<Edit>,
) -> bool {
    let mut same_for_all = true;
    for item in items {
        let SelectItem::Expr { expr, alias: None, span } = item else { continue };
        if expr.as_column().is_some() {
            continue;
        }
        let range = bound.range(expr.span);
        let tokens = bound.tokens.tokens();
        let any_token = |test: fn(TokenKind) -> bool| {
            (range.first..=range.last)
                .any(|token| tokens.get(token as usize).is_some_and(|token| test(token.kind)))
        };
        // A parameter may be written out as a literal, while the column is named by its `?`.
        let changed = any_token(|kind| kind == TokenKind::Param)
            || edits.iter().any(|edit| edit.at.first >= range.first && edit.at.last <= range.last);
        if !changed {
            continue;
        }
        let text = column_name(bound.text(expr.span));
        same_for_all &= !any_token(TokenKind::is_literal);
        let mut alias = b" AS ".to_vec();
        push_quoted(&text, &mut alias);
        edits.push(Edit::after(bound.range(*span).last, vec![Piece::Text(alias)]));
    }
    same_for_all
}

/// The same for what becomes a view's or a table's columns: a server makes up the names that would be
/// too long.
pub(crate) fn keep_short_names(bound: &Bound<'_>, query: &Query, edits: &mut Vec<Edit>) {
    let Some(select) = first_select(query) else { return };
    let short = |item: &&SelectItem| match item {
        SelectItem::Expr { expr, .. } => bound.text(expr.span).len() <= COLUMN_BYTES_MAX,
        SelectItem::Star { .. } => false,
    };
    let items: Vec<SelectItem> = select.items.iter().filter(short).cloned().collect();
    keep_item_names(bound, &items, edits);
}

fn first_select(query: &Query) -> Option<&sql_syntax::ast::Select> {
    let mut body = &query.body;
    loop {
        match body {
            SetExpr::Select(select) => return Some(select),
            SetExpr::Paren(query, _) => body = &query.body,
            SetExpr::SetOp(chain) => body = &chain.first,
            SetExpr::Values(..) | SetExpr::Table(..) => return None,
        }
    }
}

/// A place in a list, as plans count.
pub(crate) fn number(index: usize) -> u32 {
    u32::try_from(index).expect("a statement has far fewer tokens than 2^32")
}

/// The text of an alias that is written as a string.
pub(crate) fn string_alias(raw: &[u8]) -> Option<&[u8]> {
    let inner = raw.strip_prefix(b"'").and_then(|raw| raw.strip_suffix(b"'"));
    inner.or_else(|| raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\"")))
}
