//! CREATE TABLE … AS SELECT, taken apart: a text that makes the new table's shape from empty copies
//! of what the query reads, on one data node, by that server's own rules; the query by itself; and
//! what of the statement belongs to the sharding.

mod reads;

pub use reads::reads;

use crate::names::{NameMode, keep_short_names, name_edits, number};
use crate::plan::PlanTable;
use crate::planner::{PlanContext, Subject, refused};
use crate::template::{Edit, Piece, Template, TokenRange};
use base::sql_error::{SqlError, WRONG_OBJECT};
use sql_syntax::TokenBuf;
use sql_syntax::ast::{CreateTable, OptionKind, Parsed, Query, SetExpr, Span};
use topology::model::Snapshot;

/// A statement taken apart.
#[derive(Debug)]
pub struct Shape {
    /// What the query reads; [`Piece::Temporary`] counts in them, and the new table comes after.
    pub tables: Vec<PlanTable>,
    /// `CREATE TEMPORARY TABLE <new> … SELECT …` over temporary tables.
    pub create: Template,
    /// The query over temporary tables.
    pub query: Template,
    /// The query as written.
    pub query_span: Span,
    /// The sharding clause as written.
    pub sharding: Option<Span>,
    /// IGNORE or REPLACE before the query.
    pub duplicates: Duplicates,
}

/// What becomes of rows whose key is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// An error.
    Error,
    /// IGNORE: they are left out.
    Ignore,
    /// REPLACE: the later one stays.
    Replace,
}

/// Takes a CREATE TABLE … SELECT apart; nothing without a query.
pub fn shape(
    parsed: &Parsed,
    create: &CreateTable,
    text: &[u8],
    tokens: &TokenBuf,
    snapshot: &Snapshot,
    context: &PlanContext<'_>,
) -> Result<Option<Shape>, SqlError> {
    let Some(query) = &create.query else { return Ok(None) };
    let subject = Subject { parsed, src: text, tokens, snapshot, context };
    let mut binder = subject.binder();
    binder.query(query, None, false)?;
    let bound = binder.finish();
    if bound.facts.system_schema {
        return Err(refused(
            "CREATE TABLE ... SELECT from a system schema is not supported; create the table, then insert",
        ));
    }
    let range =
        |span: Span| TokenRange::of(tokens, span).unwrap_or(TokenRange { first: 0, last: 0 });
    let mut names = name_edits(&bound, NameMode::Temporary);
    keep_short_names(&bound, query, &mut names);
    let mut edits = names.clone();
    let name = range(create.name.span);
    let head = [Piece::text("CREATE TEMPORARY TABLE "), Piece::Temporary(number(bound.refs.len()))];
    edits.push(Edit::replace(TokenRange { first: 0, last: name.last }, head.to_vec()));
    if let Some(clause) = &create.sharding {
        edits.push(Edit::replace(range(clause.span), Vec::new()));
    }
    edits.extend(crate::ddl::column_edits(&subject, create)?);
    check_union(&subject, create)?;
    let inner = without_parentheses(query);
    let first = range(query.span).first;
    let mut before = (1..=3).filter_map(|back| first.checked_sub(back));
    let duplicates = before
        .find_map(|token| match subject.word(token).to_ascii_uppercase().as_slice() {
            b"IGNORE" => Some(Duplicates::Ignore),
            b"REPLACE" if token > name.last => Some(Duplicates::Replace),
            _ => None,
        })
        .unwrap_or(Duplicates::Error);
    Ok(Some(Shape {
        tables: bound
            .refs
            .iter()
            .map(|one| crate::ddl::plan_table(one.schema, one.table))
            .collect(),
        create: Template::edited(subject.whole(), edits),
        query: Template::edited(range(inner.span), names),
        query_span: inner.span,
        sharding: create.sharding.as_ref().map(|clause| clause.span),
        duplicates,
    }))
}

/// What servers say of a UNION before a query, whatever the engine.
fn check_union(subject: &Subject<'_>, create: &CreateTable) -> Result<(), SqlError> {
    if !create.options.iter().any(|option| option.kind == OptionKind::Union) {
        return Ok(());
    }
    let schema = crate::ddl::schema_for(subject, create.name)?;
    let name = crate::ddl::name_of(subject, create.name.name);
    let text = format!("'{}.{name}' is not of type 'BASE TABLE'", schema.name);
    Err(SqlError::new(WRONG_OBJECT, text))
}

/// The query itself: servers read `(WITH …)` here, but not where it stands alone.
fn without_parentheses(query: &Query) -> &Query {
    match &query.body {
        SetExpr::Paren(inner, _)
            if query.with.is_none()
                && query.order_by.is_empty()
                && query.limit.is_none()
                && query.locks.is_empty() =>
        {
            without_parentheses(inner)
        }
        _ => query,
    }
}
