//! Views in statements. A view that no one data node can answer is replaced in the statement's text
//! by its query before anything is planned: by its table with the columns' expressions in their
//! places where that is the same ([`merge`]), else by a derived table. The view's own query names
//! every table with its schema and every column, so it means the same wherever it stands.

mod change;
pub mod check;
mod merge;
mod simple;

use crate::bind::walk::{no_such_table, schema_of};
use crate::number_tables::is_number_table;
use crate::planner::refused;
use base::sql_error::{SqlError, VIEW_INVALID, VIEW_RECURSIVE};
use sql_syntax::ast::{Ident, Parsed, SelectItem, Span, Statement, TableExpr, TableName};
use sql_syntax::visit::{TableUse, for_each_column, for_each_query, for_each_table};
use sql_syntax::{Edits, LexMode, TokenBuf, lex, parse};
use std::collections::HashSet;
use topology::model::{Placement, Schema, Snapshot, Table, View};

/// Views inside of views: more levels are taken as a loop.
const DEPTH_MAX: usize = 32;

/// The expanded text of one statement is never longer.
const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A bound that no query reaches.
const ALL_ROWS: &str = " LIMIT 18446744073709551615";

/// A longer text is not a column's name.
const NAME_BYTES_MAX: usize = 255;

/// What expansion looks at.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'s> {
    pub src: &'s [u8],
    pub tokens: &'s TokenBuf,
    pub snapshot: &'s Snapshot,
    pub current_schema: Option<&'s str>,
    pub mode: &'s LexMode,
}

impl<'s> Scene<'s> {
    pub fn text(&self, ident: Ident) -> String {
        String::from_utf8_lossy(&ident.name(self.src)).into_owned()
    }

    /// The table that a name means, if there is one.
    pub fn table(&self, name: &TableName) -> Option<(&'s Schema, &'s Table)> {
        let schema = match name.schema {
            Some(schema) => self.text(schema),
            None => self.current_schema?.to_owned(),
        };
        let schema = schema_of(self.snapshot, &schema).ok()?;
        schema.table(&self.text(name.name)).map(|table| (schema, table))
    }

    /// The view that a name means, if it must be expanded.
    pub fn view(&self, name: &TableName) -> Option<(&'s Schema, &'s Table, &'s View)> {
        let (schema, table) = self.table(name)?;
        self.expanded(schema, table).map(|view| (schema, table, view))
    }

    /// The view that a table is, if it must be expanded. One that its data node can answer is looked
    /// at again: its tables may have got other placements since.
    pub fn expanded(&self, schema: &Schema, table: &'s Table) -> Option<&'s View> {
        let view = table.view.as_deref()?;
        (!view.native || !self.reads_only_singles(schema, view, 0)).then_some(view)
    }

    fn reads_only_singles(&self, schema: &Schema, view: &View, depth: usize) -> bool {
        if depth > DEPTH_MAX {
            return true; // a loop is told by the data node
        }
        let text = view.query.as_bytes();
        let mut tokens = TokenBuf::new();
        let mode = LexMode { ansi_quotes: false, no_backslash_escapes: false, ..*self.mode };
        lex(text, 0, &mode, &mut tokens);
        let Ok(parsed) = parse(text, &tokens, &mode) else { return true };
        let own = Scene { src: text, tokens: &tokens, current_schema: None, ..*self };
        let mut singles = true;
        for_each_table(&parsed.stmt, text, |site| {
            // One that is gone is told by the data node.
            if let (false, Some((its, table))) = (site.is_cte, own.table(site.name)) {
                singles &= its.name == schema.name
                    && table.placement == Placement::Single
                    && table.physical_base.is_none()
                    && table.view.as_deref().is_none_or(|inner| {
                        inner.native && own.reads_only_singles(its, inner, depth + 1)
                    });
            }
        });
        singles
    }
}

/// One place where a view is named.
struct Site {
    name: TableName,
    alias: Option<Ident>,
    usage: TableUse,
}

/// The statement's text with the queries of its views in their places; nothing when it names none.
/// Views of one data node are no matter of this.
pub fn expand(
    parsed: &Parsed,
    text: &[u8],
    tokens: &TokenBuf,
    snapshot: &Snapshot,
    current_schema: Option<&str>,
    mode: &LexMode,
) -> Result<Option<Vec<u8>>, SqlError> {
    let has_views = snapshot
        .schemas
        .values()
        .any(|schema| schema.tables.values().any(|table| table.view.is_some()));
    if !has_views {
        return Ok(None);
    }
    let scene = Scene { src: text, tokens, snapshot, current_schema, mode };
    // A server finds the statement's own tables before it looks into views.
    let told_first = |error: SqlError| match error.code.number == VIEW_INVALID.number {
        true => missing_table(&scene, parsed).unwrap_or(error),
        false => error,
    };
    let Some(mut text) = expand_once(&scene, parsed).map_err(told_first)? else { return Ok(None) };
    let mut tokens = TokenBuf::new();
    for _ in 0..DEPTH_MAX {
        if text.len() > TEXT_BYTES_MAX {
            return Err(refused("the statement is too long with the queries of its views"));
        }
        lex(&text, 0, mode, &mut tokens);
        let parsed = parse(&text, &tokens, mode).map_err(|error| {
            refused(format!("a view cannot be put into the statement: {error}"))
        })?;
        let scene = Scene { src: &text, tokens: &tokens, snapshot, current_schema, mode };
        match expand_once(&scene, &parsed).map_err(told_first)? {
            Some(next) => text = next,
            None => return Ok(Some(text)),
        }
    }
    Err(SqlError::new(VIEW_RECURSIVE, "a view reads itself, or views are nested too deep"))
}

/// The error of a table that the statement names and that is not there.
fn missing_table(scene: &Scene<'_>, parsed: &Parsed) -> Option<SqlError> {
    // The first table of the query's own FROM comes before all others.
    if let Statement::Query(query) = &parsed.stmt
        && let Some(TableExpr::Table(first)) =
            query.as_select().and_then(|select| select.from.first())
        && scene.view(&first.name).is_some()
    {
        return None;
    }
    let mut missing = None;
    for_each_table(&parsed.stmt, scene.src, |site| {
        let schema = site.name.schema.map(|schema| scene.text(schema));
        let schema = schema.or_else(|| scene.current_schema.map(str::to_owned));
        let known = schema.as_deref().and_then(|name| schema_of(scene.snapshot, name).ok());
        if let (false, None, Some(schema)) = (site.is_cte, scene.table(site.name), known) {
            let name = scene.text(site.name.name);
            missing.get_or_insert_with(|| no_such_table(&schema.name, &name));
        }
    });
    missing
}

/// One level of views.
fn expand_once(scene: &Scene<'_>, parsed: &Parsed) -> Result<Option<Vec<u8>>, SqlError> {
    let statement = match &parsed.stmt {
        // It names other views as they are.
        Statement::CreateView(_) => return Ok(None),
        statement => statement,
    };
    let mut sites = Vec::new();
    let mut named_queries = HashSet::new();
    for_each_table(statement, scene.src, |site| {
        if site.is_cte {
            named_queries.insert(site.name.name.tok);
        } else if scene.view(site.name).is_some() {
            sites.push(Site { name: *site.name, alias: site.alias, usage: site.usage });
        }
    });
    if sites.is_empty() {
        return Ok(None);
    }
    let mut edits = Edits::new();
    let mut done = HashSet::new();
    let mut named = HashSet::new();
    if change::rewrite(scene, statement, &mut edits)? {
        // Views that it only reads are taken in the next round.
        return Ok(Some(applied(scene, &edits)));
    }
    for_each_query(statement, |query, depth| {
        if let Some(merged) = merge::merge(scene, query, depth, &named_queries) {
            for (span, text) in merged.edits {
                if span.start == span.end && text.starts_with(b" AS ") {
                    named.insert(span.start);
                }
                edits.replace(span, &text);
            }
            done.extend(merged.tokens);
        }
    });
    for site in sites.iter().filter(|site| !done.contains(&site.name.name.tok)) {
        derive(scene, site, &mut edits)?;
    }
    drop_schemas(scene, statement, &sites, &done, &mut edits);
    keep_names(scene, statement, (&sites, &named), &mut edits);
    if edits.is_empty() {
        return Ok(None);
    }
    Ok(Some(applied(scene, &edits)))
}

fn applied(scene: &Scene<'_>, edits: &Edits) -> Vec<u8> {
    let mut out = Vec::new();
    edits.apply_within(scene.src, scene.tokens.text_span(), &mut out);
    out
}

/// The view becomes a derived table.
fn derive(scene: &Scene<'_>, site: &Site, edits: &mut Edits) -> Result<(), SqlError> {
    let Some((schema, table, view)) = scene.view(&site.name) else { return Ok(()) };
    match site.usage {
        TableUse::Read | TableUse::Update => {}
        // Statements about the view itself.
        TableUse::Drop | TableUse::Describe | TableUse::Create | TableUse::Rename => return Ok(()),
        TableUse::Other | TableUse::Alter | TableUse::Truncate | TableUse::Index => return Ok(()),
        _ => {
            return Err(refused(format!(
                "view '{}.{}' cannot be used in this place",
                schema.name, table.name
            )));
        }
    }
    check_valid(scene, schema, table, view)?;
    // A server does not merge what has a LIMIT.
    let apart = is_temporary(view) && !view.query.contains(" limit ");
    let all_rows = if apart { ALL_ROWS } else { "" };
    let mut text = format!("({}{all_rows})", view.query).into_bytes();
    if site.alias.is_none() {
        text.extend_from_slice(b" AS ");
        crate::template::push_quoted(table.name.as_bytes(), &mut text);
    }
    // `TABLE v`
    let before = site.name.span.start as usize;
    let head = scene.src.get(..before).unwrap_or_default().trim_ascii_end();
    let word = head.len().saturating_sub(b"TABLE".len());
    let is_table_statement = head[word..].eq_ignore_ascii_case(b"TABLE")
        && word.checked_sub(1).is_none_or(|at| !head[at].is_ascii_alphanumeric());
    if is_table_statement {
        let start = u32::try_from(word).unwrap_or(site.name.span.start);
        let text = [b"SELECT * FROM ".as_slice(), &text].concat();
        edits.replace(Span::new(start, site.name.span.end), &text);
    } else {
        edits.replace(site.name.span, &text);
    }
    Ok(())
}

/// Whether the view says that its rows are to be put into a table of their own first.
fn is_temporary(view: &View) -> bool {
    view.head.contains("ALGORITHM=TEMPTABLE")
}

/// A view whose tables are gone is told as such.
fn check_valid(
    scene: &Scene<'_>,
    schema: &Schema,
    table: &Table,
    view: &View,
) -> Result<(), SqlError> {
    let text = view.query.as_bytes();
    let mut tokens = TokenBuf::new();
    lex(text, 0, &LexMode { ansi_quotes: false, ..*scene.mode }, &mut tokens);
    let own = Scene { src: text, tokens: &tokens, current_schema: None, ..*scene };
    let mut valid = true;
    if let Ok(parsed) = parse(text, &tokens, scene.mode) {
        for_each_table(&parsed.stmt, text, |site| {
            valid &= site.is_cte
                || own.table(site.name).is_some()
                || own.mode.mariadb && is_number_table(&own.text(site.name.name));
        });
    }
    if valid {
        return Ok(());
    }
    let text = format!(
        "View '{}.{}' references invalid table(s) or column(s) or function(s) or definer/invoker of view lack rights to use them",
        schema.name, table.name
    );
    Err(SqlError::new(VIEW_INVALID, text))
}

/// Columns of the answer keep the names that they have by the statement's own words.
fn keep_names(
    scene: &Scene<'_>,
    statement: &Statement,
    (sites, named): (&[Site], &HashSet<u32>),
    edits: &mut Edits,
) {
    for_each_query(statement, |query, depth| {
        let Some(select) = query.as_select().filter(|_| depth == 1) else { return };
        for item in &select.items {
            let SelectItem::Expr { expr, alias: None, span } = item else { continue };
            let holds = |site: &Site| {
                expr.span.start <= site.name.span.start && site.name.span.end <= expr.span.end
            };
            let text = expr.span.of(scene.src);
            if sites.iter().any(holds) && text.len() <= NAME_BYTES_MAX && !named.contains(&span.end)
            {
                let mut alias = b" AS ".to_vec();
                crate::template::push_quoted(&crate::names::column_name(text), &mut alias);
                edits.insert(span.end, &alias);
            }
        }
    });
}

/// A derived table has no schema: `s.v.c` becomes `v.c`.
fn drop_schemas(
    scene: &Scene<'_>,
    statement: &Statement,
    sites: &[Site],
    done: &HashSet<u32>,
    edits: &mut Edits,
) {
    for_each_column(statement, |column| {
        let (Some(schema), Some(table)) = (column.schema, column.table) else { return };
        let named = sites.iter().any(|site| {
            site.alias.is_none()
                && !done.contains(&site.name.name.tok)
                && table.is(scene.src, &site.name.name.name(scene.src))
        });
        if named {
            edits.delete(Span::new(schema.span.start, table.span.start));
        }
    });
}
