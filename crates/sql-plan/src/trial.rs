//! A statement as the data node of the first shards could prepare it: with the names of that shard's
//! tables and views, and nothing else changed. Every shard has the columns of the whole, so what that
//! server says of unknown names, numbers of columns and views that cannot be changed holds for the
//! statement. It is only ever prepared there, never run.

use crate::bind::Bound;
use crate::bind::walk::Binder;
use crate::ddl::plan_table;
use crate::insert;
use crate::names::{NameMode, name_edits, number};
use crate::plan::{Plan, PlanTable};
use crate::planner::{PlanContext, Subject, plan};
use crate::template::{Edit, Piece, Template, TokenRange};
use crate::write::{bind_delete, bind_update, names_in};
use base::sql_error::SqlError;
use sql_syntax::TokenBuf;
use sql_syntax::ast::{CreateTable, Expr, Parsed, SetStmt, SetTarget, Statement};
use topology::model::{Schema, Snapshot};

/// A statement for the first shard.
#[derive(Debug)]
pub struct Trial {
    /// A schema whose first shard's data node has all of the tables.
    pub schema: String,
    /// The tables that it names.
    pub tables: Vec<PlanTable>,
    /// The statement, for the target of shard 0.
    pub text: Template,
}

/// The statement for the first shard; nothing where no single data node could judge it.
pub fn trial(
    parsed: &Parsed,
    text: &[u8],
    tokens: &TokenBuf,
    snapshot: &Snapshot,
    context: &PlanContext<'_>,
) -> Result<Option<Trial>, SqlError> {
    let subject = Subject { parsed, src: text, tokens, snapshot, context };
    let mut binder = subject.binder();
    binder.allow_views();
    let (bound, mode) = match &parsed.stmt {
        Statement::Query(query) => {
            binder.query(query, None, false)?;
            (binder.finish(), NameMode::Target)
        }
        Statement::Insert(insert) => (insert::bind(binder, insert)?, NameMode::TargetPlain),
        Statement::Update(update) => (bind_update(binder, update)?.0, NameMode::Target),
        Statement::Delete(delete) => {
            let (bound, block) = bind_delete(binder, delete)?;
            (bound, names_in(delete, block))
        }
        Statement::Do(values) => (bind_values(binder, values.iter())?, NameMode::Target),
        Statement::Set(set) => {
            let SetStmt::Items(items) = &**set else { return Ok(None) };
            if !items.iter().all(|item| matches!(item.target, SetTarget::UserVar(_))) {
                return Ok(None);
            }
            (bind_values(binder, items.iter().map(|item| &item.value))?, NameMode::Target)
        }
        Statement::CreateTable(create) => {
            let Some(query) = &create.query else { return Ok(None) };
            binder.query(query, None, false)?;
            return Ok(of_create(&subject, create, &binder.finish()));
        }
        Statement::CreateView(_) => return of_view(&subject),
        _ => return Ok(None),
    };
    Ok(made(&subject, &bound, name_edits(&bound, mode)))
}

fn bind_values<'s>(
    mut binder: Binder<'s>,
    values: impl Iterator<Item = &'s Expr>,
) -> Result<Bound<'s>, SqlError> {
    let block = binder.open_block(None);
    for value in values {
        binder.expr(value, block)?;
    }
    Ok(binder.finish())
}

fn made(subject: &Subject<'_>, bound: &Bound<'_>, edits: Vec<Edit>) -> Option<Trial> {
    if bound.facts.system_schema {
        return None;
    }
    let first = bound.refs.first()?;
    let home = &first.schema.shards.first()?.data_node;
    let near = |schema: &Schema| {
        schema.ready && schema.shards.first().is_some_and(|shard| shard.data_node == *home)
    };
    if !bound.refs.iter().all(|one| near(one.schema)) {
        return None;
    }
    Some(Trial {
        schema: first.schema.name.clone(),
        tables: bound.refs.iter().map(|one| plan_table(one.schema, one.table)).collect(),
        text: Template::edited(subject.whole(), edits),
    })
}

/// CREATE TABLE … SELECT: the new table's own name is not looked at.
fn of_create(subject: &Subject<'_>, create: &CreateTable, bound: &Bound<'_>) -> Option<Trial> {
    let range =
        |span| TokenRange::of(subject.tokens, span).unwrap_or(TokenRange { first: 0, last: 0 });
    let mut edits = name_edits(bound, NameMode::Target);
    if let Some(clause) = &create.sharding {
        edits.push(Edit::replace(range(clause.span), Vec::new()));
    }
    let new = number(bound.refs.len());
    edits.push(Edit::replace(range(create.name.span), vec![Piece::Table(new)]));
    let mut made = made(subject, bound, edits)?;
    let first = made.tables.first()?.clone();
    let name = String::from_utf8_lossy(&create.name.name.name(subject.src)).into_owned();
    made.tables.push(PlanTable { name: name.clone(), alias: name, physical_base: None, ..first });
    Some(made)
}

/// CREATE VIEW as its first shard gets it.
fn of_view(subject: &Subject<'_>) -> Result<Option<Trial>, SqlError> {
    let Subject { parsed, src, tokens, snapshot, context } = *subject;
    let planned = plan(parsed, src, tokens, snapshot, context)?;
    let Plan::Ddl(ddl) = planned.plan else { return Ok(None) };
    let Some(statement) = ddl.statements.into_iter().next() else { return Ok(None) };
    Ok(Some(Trial { schema: ddl.schema, tables: statement.tables.to_vec(), text: statement.text }))
}
