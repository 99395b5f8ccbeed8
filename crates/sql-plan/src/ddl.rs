//! Changes of definitions. Each logical statement becomes one text for every physical table, and the
//! change of the topology that goes with it. What would break a sharded table's promises (its key,
//! its sequence, references between shards) is refused.

mod across;
mod alter;
mod create;
mod foreign;
mod key;
mod names;
pub mod placement;
pub(crate) mod recycle;
mod rename;
pub(crate) mod view;

pub(crate) use alter::alter_table;
pub(crate) use create::create_table;
pub(crate) use names::column_edits;
pub(crate) use rename::rename_table;

use crate::bind::walk::{no_such_table, schema_of};
use crate::plan::{DdlPlan, DdlStatement, Plan, PlanTable, TablePlace, Uses, table_targets};
use crate::planner::{Made, Subject, refused};
use crate::template::{Edit, Piece, Template, TokenRange};
use base::sql_error::{IS_A_VIEW, NO_DB_SELECTED, SqlError, UNKNOWN_TABLE, UNKNOWN_VIEW};
use sql_syntax::ast::{CreateIndex, DropIndex, DropTable, Ident, TableName};
use std::sync::Arc;
use topology::model::{Placement, Schema, Table};
use topology::stream::TableChange;

/// The number of MySQL's note about a table that `DROP TABLE IF EXISTS` does not find.
const NOTE_UNKNOWN_TABLE: u16 = 1051;

pub(crate) fn name_of(subject: &Subject<'_>, ident: Ident) -> String {
    String::from_utf8_lossy(&ident.name(subject.src)).into_owned()
}

/// The schema of a table's name.
pub(crate) fn schema_for<'s>(
    subject: &Subject<'s>,
    name: TableName,
) -> Result<&'s Schema, SqlError> {
    schema_named(subject, name.schema)
}

/// A schema by its name, or the current one.
fn schema_named<'s>(subject: &Subject<'s>, name: Option<Ident>) -> Result<&'s Schema, SqlError> {
    let schema = match name {
        Some(schema) => name_of(subject, schema),
        None => match subject.context.current_schema {
            Some(schema) => schema.to_owned(),
            None => return Err(SqlError::new(NO_DB_SELECTED, "No database selected")),
        },
    };
    schema_of(subject.snapshot, &schema)
}

/// A table that must be there.
pub(crate) fn table_for<'s>(
    subject: &Subject<'s>,
    name: TableName,
) -> Result<(&'s Schema, &'s Table), SqlError> {
    let schema = schema_for(subject, name)?;
    let table = name_of(subject, name.name);
    schema
        .table(&table)
        .map(|table| (schema, table))
        .ok_or_else(|| no_such_table(&schema.name, &table))
}

/// A table as a plan names it.
pub(crate) fn plan_table(schema: &Schema, table: &Table) -> PlanTable {
    PlanTable {
        schema: schema.name.clone(),
        name: table.name.clone(),
        physical_base: table.physical_base.clone(),
        alias: table.name.clone(),
        place: match &table.placement {
            Placement::Single => TablePlace::Fixed { shard: 0 },
            Placement::Broadcast => TablePlace::Broadcast,
            Placement::Sharded(rule) => TablePlace::Sharded { suffixed: rule.table.is_some() },
        },
    }
}

/// An empty plan of this schema.
pub(crate) fn empty_plan(schema: &Schema) -> DdlPlan {
    DdlPlan {
        schema: schema.name.clone(),
        changes: Vec::new(),
        statements: Vec::new(),
        refresh: Vec::new(),
        notes: Vec::new(),
        sequence_start: None,
        sequence_reset: Vec::new(),
        rerun: false,
        numbered: None,
        afterwards: Vec::new(),
        otherwise: None,
        then: None,
        error_after: None,
    }
}

/// Plans that run one after the other.
pub(crate) fn chained(plans: Vec<DdlPlan>) -> Option<DdlPlan> {
    plans
        .into_iter()
        .rev()
        .fold(None, |then, plan| Some(DdlPlan { then: then.map(Box::new), ..plan }))
}

pub(crate) fn made(plan: DdlPlan) -> Made {
    Made::write(Plan::Ddl(Box::new(plan)), false, Uses::default())
}

/// A statement on all physical tables of `table`.
pub(crate) fn on_all(schema: &Schema, table: &Table, text: Template) -> DdlStatement {
    DdlStatement {
        tables: Arc::from([plan_table(schema, table)]),
        targets: table_targets(table, schema.shard_count()),
        text,
        undo: None,
    }
}

/// The statement's text with the table's name replaced.
pub(crate) fn renamed_text(subject: &Subject<'_>, name: TableName, more: Vec<Edit>) -> Template {
    let mut edits = vec![Edit::replace(range(subject, name.span), vec![Piece::Table(0)])];
    edits.extend(more);
    Template::edited(subject.whole(), edits)
}

pub(crate) fn range(subject: &Subject<'_>, span: sql_syntax::ast::Span) -> TokenRange {
    TokenRange::of(subject.tokens, span).unwrap_or(TokenRange { first: 0, last: 0 })
}

/// The changed definition of a table.
pub(crate) fn next_version(table: &Table) -> Table {
    Table { definition_version: table.definition_version + 1, ..table.clone() }
}

/// DROP TABLE. What is there is dropped; what is not is told afterwards, as servers do that do not
/// take the statement as one.
pub(crate) fn drop_table(subject: &Subject<'_>, drop: &DropTable) -> Result<Made, SqlError> {
    if drop.temporary {
        return Err(refused("temporary tables are not supported"));
    }
    let mut plans: Vec<DdlPlan> = Vec::new();
    let mut unknown = Vec::new();
    let mut view = None;
    let mut kept = Vec::new();
    for name in &drop.names {
        let schema = schema_for(subject, *name)?;
        let written = name_of(subject, name.name);
        names::check(&written)?;
        if schema.table(&written).is_some_and(|table| table.view.is_some()) {
            view.get_or_insert(format!("'{}.{written}' is a view", schema.name));
            continue;
        }
        if let Some(table) = schema.table(&written).filter(|table| recycle::keeps(subject, table)) {
            kept.push(recycle::drop_plan(schema, table));
            continue;
        }
        let at = match plans.iter().position(|plan| plan.schema == schema.name) {
            Some(at) => at,
            None => {
                plans.push(empty_plan(schema));
                plans.len() - 1
            }
        };
        let change = TableChange::Drop { name: written.clone() };
        match schema.table(&written) {
            Some(table) => add_drop(&mut plans[at], schema, table),
            None if plans[at].changes.contains(&change) => {}
            None => unknown.push(format!("{}.{written}", schema.name)),
        }
    }
    plans.extend(kept);
    let Some(view) = view else {
        return finish_drop(plans, unknown, drop.if_exists, "Unknown table");
    };
    let plan = plans.into_iter().filter(|plan| !plan.changes.is_empty()).collect();
    let Some(mut plan) = chained(plan) else {
        if !drop.if_exists {
            return Err(SqlError::new(IS_A_VIEW, view));
        }
        let Some(first) = drop.names.first() else { return Ok(Made::session()) };
        let mut plan = empty_plan(schema_for(subject, *first)?);
        plan.notes.push((IS_A_VIEW.number, view));
        return Ok(made(plan));
    };
    match drop.if_exists {
        true => plan.notes.push((IS_A_VIEW.number, view)),
        false => plan.error_after = Some(SqlError::new(IS_A_VIEW, view)),
    }
    Ok(made(plan))
}

fn add_drop(plan: &mut DdlPlan, schema: &Schema, table: &Table) {
    let change = TableChange::Drop { name: table.name.clone() };
    if plan.changes.contains(&change) {
        return;
    }
    let word = if table.view.is_some() { "DROP VIEW IF EXISTS " } else { "DROP TABLE IF EXISTS " };
    let pieces = vec![Piece::text(word), Piece::Table(0)];
    plan.statements.push(on_all(schema, table, Template::made(pieces, Vec::new())));
    plan.changes.push(change);
    plan.sequence_reset.extend(table.sequence_column.is_some().then(|| table.name.clone()));
}

/// A DROP's plans with what was not found.
pub(crate) fn finish_drop(
    plans: Vec<DdlPlan>,
    unknown: Vec<String>,
    if_exists: bool,
    word: &str,
) -> Result<Made, SqlError> {
    let text = format!("{word} '{}'", unknown.join(","));
    let (code, note) = match word {
        "Unknown table" => (UNKNOWN_TABLE, NOTE_UNKNOWN_TABLE),
        _ => (UNKNOWN_VIEW, UNKNOWN_VIEW.number),
    };
    let is_known = plans.iter().any(|plan| !plan.changes.is_empty());
    if !unknown.is_empty() && !if_exists && !is_known {
        return Err(SqlError::new(code, text));
    }
    let Some(mut plan) = chained(plans) else { return Ok(Made::session()) };
    if !unknown.is_empty() {
        if if_exists {
            plan.notes.push((note, text));
        } else {
            plan.error_after = Some(SqlError::new(code, text));
        }
    }
    Ok(made(plan))
}

/// TRUNCATE TABLE.
pub(crate) fn truncate(subject: &Subject<'_>, name: TableName) -> Result<Made, SqlError> {
    let (schema, table) = table_for(subject, name)?;
    let mut plan = empty_plan(schema);
    let pieces = vec![Piece::text("TRUNCATE TABLE "), Piece::Table(0)];
    plan.statements.push(on_all(schema, table, Template::made(pieces, Vec::new())));
    plan.changes.push(TableChange::Alter { table: next_version(table) });
    plan.sequence_reset.extend(table.sequence_column.is_some().then(|| table.name.clone()));
    Ok(made(plan))
}

/// CREATE INDEX.
pub(crate) fn create_index(subject: &Subject<'_>, create: &CreateIndex) -> Result<Made, SqlError> {
    let (schema, table) = table_for(subject, create.table)?;
    change_in_place(subject, schema, table, create.table)
}

/// DROP INDEX.
pub(crate) fn drop_index(subject: &Subject<'_>, drop: &DropIndex) -> Result<Made, SqlError> {
    let (schema, table) = table_for(subject, drop.table)?;
    change_in_place(subject, schema, table, drop.table)
}

fn change_in_place(
    subject: &Subject<'_>,
    schema: &Schema,
    table: &Table,
    name: TableName,
) -> Result<Made, SqlError> {
    let mut plan = empty_plan(schema);
    plan.statements.push(on_all(schema, table, renamed_text(subject, name, Vec::new())));
    plan.changes.push(TableChange::Alter { table: next_version(table) });
    plan.refresh.push(table.name.clone());
    Ok(made(plan))
}
