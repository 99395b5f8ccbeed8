//! CREATE, ALTER and DROP VIEW. A view's physical counterpart is made in the first shard, over what
//! is there of its tables: the data node checks the definition, names and types the columns, and
//! keeps the query in a form without stars and with every name qualified. Where all of its tables
//! are single tables of the schema, that counterpart is the view.

use super::names::not_unique;
use super::{add_drop, empty_plan, finish_drop, made, name_of, next_version, schema_for};
use crate::bind::{Bound, Reference};
use crate::names::{NameMode, keep_short_names, name_edits, number};
use crate::plan::{DdlPlan, DdlStatement, PlanTable, TablePlace};
use crate::planner::{Made, Subject, refused};
use crate::template::{Edit, Piece, Template, TokenRange};
use base::sql_error::{SqlError, TABLE_EXISTS, WRONG_OBJECT};
use sql_syntax::ast::{CreateView, DropTable};
use std::sync::Arc;
use topology::algorithm::Target;
use topology::model::{Placement, Schema, Table, View};
use topology::rule::check_table_name;
use topology::stream::TableChange;

/// The note of CREATE VIEW IF NOT EXISTS.
const NOTE_TABLE_EXISTS: u16 = 1050;

/// Plans CREATE VIEW and ALTER VIEW.
pub(crate) fn create_view(subject: &Subject<'_>, view: &CreateView) -> Result<Made, SqlError> {
    let schema = schema_for(subject, view.name)?;
    let name = name_of(subject, view.name.name);
    let known = schema.table(&name);
    if let Some(done) = check_known(schema, &name, known, view)? {
        return Ok(made(done));
    }
    check_table_name(&name)?;
    let mut binder = subject.binder();
    binder.allow_views();
    binder.query(&view.query, None, false)?;
    let mut bound = binder.finish();
    if bound.facts.system_schema {
        return Err(refused(
            "a view on information_schema or another system schema is not supported",
        ));
    }
    // They are answered where the view is used, not where it is made.
    bound.session_calls.clear();
    bound.own_variables.clear();
    let native = bound.refs.iter().all(|reference| is_native(schema, reference));
    let table = Table {
        name: known.map_or(name, |known| known.name.clone()),
        placement: Placement::Single,
        columns: Vec::new(),
        primary_key: Vec::new(),
        unique_keys: Vec::new(),
        sequence_column: None,
        definition_version: 1,
        physical_base: None,
        frozen: false,
        recycled: None,
        view: Some(Box::new(View {
            query: String::new(),
            native,
            check_option: ends_with_check_option(subject),
            head: String::new(),
        })),
    };
    let mut plan = empty_plan(schema);
    plan.statements.push(statement(subject, schema, &bound, view, &table, known.is_none())?);
    plan.refresh.push(table.name.clone());
    plan.changes.push(match known {
        Some(known) => TableChange::Alter {
            table: Table { definition_version: next_version(known).definition_version, ..table },
        },
        None => TableChange::Create { table },
    });
    Ok(made(plan))
}

fn check_known(
    schema: &Schema,
    name: &str,
    known: Option<&Table>,
    view: &CreateView,
) -> Result<Option<DdlPlan>, SqlError> {
    let Some(known) = known else {
        return match view.alter {
            true => Err(crate::bind::walk::no_such_table(&schema.name, name)),
            false => Ok(None),
        };
    };
    if known.view.is_none() && (view.alter || view.or_replace) {
        let text = format!("'{}.{}' is not of type 'VIEW'", schema.name, known.name);
        return Err(SqlError::new(WRONG_OBJECT, text));
    }
    if view.alter || view.or_replace {
        return Ok(None);
    }
    let text = format!("Table '{name}' already exists");
    if !view.if_not_exists {
        return Err(SqlError::new(TABLE_EXISTS, text));
    }
    let mut plan = empty_plan(schema);
    plan.notes.push((NOTE_TABLE_EXISTS, text));
    Ok(Some(plan))
}

fn is_native(schema: &Schema, reference: &Reference<'_>) -> bool {
    reference.schema.name == schema.name
        && reference.is_single()
        && reference.table.expanded_view().is_none()
}

fn statement(
    subject: &Subject<'_>,
    schema: &Schema,
    bound: &Bound<'_>,
    view: &CreateView,
    table: &Table,
    is_new: bool,
) -> Result<DdlStatement, SqlError> {
    let mut tables = Vec::with_capacity(bound.refs.len() + 1);
    for reference in &bound.refs {
        tables.push(place_near(schema, reference)?);
    }
    let own = number(tables.len());
    tables.push(super::plan_table(schema, table));
    let mut edits = name_edits(bound, NameMode::Target);
    edits.push(Edit::replace(super::range(subject, view.name.span), vec![Piece::Table(own)]));
    if view.columns.is_empty() {
        keep_short_names(bound, &view.query, &mut edits);
    }
    edits.extend(definer(subject, view));
    let undo = vec![Piece::text("DROP VIEW IF EXISTS "), Piece::Table(own)];
    Ok(DdlStatement {
        tables: Arc::from(tables),
        targets: vec![Target { shard: 0, suffix: 0 }],
        text: Template::edited(subject.whole(), edits),
        undo: is_new.then(|| Template::made(undo, Vec::new())),
    })
}

/// A physical table of the reference on the data node of the view's first shard.
fn place_near(schema: &Schema, reference: &Reference<'_>) -> Result<PlanTable, SqlError> {
    let mut table = super::plan_table(reference.schema, reference.table);
    table.alias.clone_from(&reference.alias);
    if reference.schema.name == schema.name {
        return Ok(table);
    }
    let home = schema.shards.first().map(|shard| &shard.data_node);
    let mut near = reference.schema.shards.iter().filter(|shard| Some(&shard.data_node) == home);
    let found = match reference.is_single() || reference.is_suffixed() {
        true => near.find(|shard| shard.index == 0),
        false => near.next(),
    };
    let Some(shard) = found else {
        return Err(refused(format!(
            "the view reads '{}.{}', which has nothing on the data node of the view's own schema; make the view in that schema",
            reference.schema.name, reference.table.name
        )));
    };
    if !reference.is_suffixed() {
        table.place = TablePlace::Fixed { shard: shard.index };
    }
    Ok(table)
}

/// `DEFINER = …` is cut out: the data nodes know the product's own account alone.
fn definer(subject: &Subject<'_>, view: &CreateView) -> Option<Edit> {
    let end = view.name.name.tok;
    // `SQL SECURITY DEFINER` is another clause.
    let names = |token: &u32| {
        subject.word(*token).eq_ignore_ascii_case(b"DEFINER") && subject.word(token + 1) == b"="
    };
    let first = (0..end).find(names)?;
    let after = (first..end).find(|token| {
        let word = subject.word(*token);
        word.eq_ignore_ascii_case(b"SQL") || word.eq_ignore_ascii_case(b"VIEW")
    })?;
    Some(Edit::replace(TokenRange { first, last: after - 1 }, Vec::new()))
}

fn ends_with_check_option(subject: &Subject<'_>) -> bool {
    let last = subject.whole().last;
    subject.word(last).eq_ignore_ascii_case(b"OPTION")
        && last > 0
        && subject.word(last - 1).eq_ignore_ascii_case(b"CHECK")
}

/// Plans DROP VIEW.
pub(crate) fn drop_view(subject: &Subject<'_>, drop: &DropTable) -> Result<Made, SqlError> {
    let mut plans: Vec<DdlPlan> = Vec::new();
    let mut unknown = Vec::new();
    let mut tables = Vec::new();
    for (at, name) in drop.names.iter().enumerate() {
        let schema = schema_for(subject, *name)?;
        let written = name_of(subject, name.name);
        if drop.names[..at].iter().any(|other| {
            written.eq_ignore_ascii_case(&name_of(subject, other.name))
                && schema_for(subject, *other).is_ok_and(|other| other.name == schema.name)
        }) {
            return Err(not_unique(&written));
        }
        if !plans.iter().any(|plan| plan.schema == schema.name) {
            plans.push(empty_plan(schema));
        }
        let plan = plans.iter_mut().find(|plan| plan.schema == schema.name);
        match (schema.table(&written), plan) {
            (Some(table), Some(plan)) if table.view.is_some() => add_drop(plan, schema, table),
            (found, _) => {
                let name = format!("{}.{written}", schema.name);
                if found.is_some() {
                    tables.push(format!("'{name}' is not of type 'VIEW'"));
                }
                unknown.push(name);
            }
        }
    }
    if let Some(plan) = plans.first_mut().filter(|_| drop.if_exists) {
        plan.notes.extend(tables.into_iter().map(|text| (WRONG_OBJECT.number, text)));
    }
    finish_drop(plans, unknown, drop.if_exists, "Unknown VIEW:")
}
