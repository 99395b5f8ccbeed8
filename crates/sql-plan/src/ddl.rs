//! Changes of definitions. Each logical statement becomes one text for every physical table, and the
//! change of the topology that goes with it. What would break a sharded table's promises (its key,
//! its sequence, references between shards) is refused.

mod alter;
mod create;
pub mod placement;

pub(crate) use alter::alter_table;
pub(crate) use create::create_table;

use crate::bind::walk::{no_such_table, schema_of};
use crate::plan::{DdlPlan, DdlStatement, Plan, PlanTable, TablePlace, Uses, table_targets};
use crate::planner::{Made, Subject, refused};
use crate::template::{Edit, Piece, Template, TokenRange};
use base::sql_error::{NO_DB_SELECTED, SqlError, TABLE_EXISTS, UNKNOWN_TABLE};
use sql_syntax::ast::{
    ConstraintKind, CreateIndex, DropIndex, DropTable, Ident, TableConstraint, TableName,
};
use std::sync::Arc;
use topology::model::{Placement, Schema, Table};
use topology::rule::check_table_name;
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
    let schema = match name.schema {
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
    }
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

/// DROP TABLE.
pub(crate) fn drop_table(subject: &Subject<'_>, drop: &DropTable) -> Result<Made, SqlError> {
    if drop.temporary {
        return Err(refused("temporary tables are not supported"));
    }
    let Some(first) = drop.names.first() else { return Ok(Made::session()) };
    let schema = schema_for(subject, *first)?;
    let mut plan = empty_plan(schema);
    let mut unknown = Vec::new();
    for name in &drop.names {
        if schema_for(subject, *name)?.name != schema.name {
            return Err(refused("DROP TABLE of tables of several schemas is not supported"));
        }
        let written = name_of(subject, name.name);
        let Some(table) = schema.table(&written) else {
            unknown.push(format!("{}.{written}", schema.name));
            continue;
        };
        let is_new = !plan.changes.contains(&TableChange::Drop { name: table.name.clone() });
        if is_new {
            let pieces = vec![Piece::text("DROP TABLE IF EXISTS "), Piece::Table(0)];
            plan.statements.push(on_all(schema, table, Template::made(pieces, Vec::new())));
            plan.changes.push(TableChange::Drop { name: table.name.clone() });
            plan.sequence_reset.extend(table.sequence_column.is_some().then(|| table.name.clone()));
        }
    }
    if !drop.if_exists && !unknown.is_empty() {
        let text = format!("Unknown table '{}'", unknown.join(","));
        return Err(SqlError::new(UNKNOWN_TABLE, text));
    }
    plan.notes = unknown
        .into_iter()
        .map(|name| (NOTE_UNKNOWN_TABLE, format!("Unknown table '{name}'")))
        .collect();
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

/// RENAME TABLE.
pub(crate) fn rename_table(
    subject: &Subject<'_>,
    pairs: &[(TableName, TableName)],
) -> Result<Made, SqlError> {
    let [(from, to)] = pairs else {
        return Err(refused("RENAME TABLE of several tables at once is not supported"));
    };
    let (schema, table) = table_for(subject, *from)?;
    let renamed = renamed(subject, schema, table, *to)?;
    let pieces =
        vec![Piece::text("RENAME TABLE "), Piece::Table(0), Piece::text(" TO "), Piece::Table(1)];
    let mut plan = empty_plan(schema);
    plan.statements.push(rename_statement(
        schema,
        table,
        &renamed,
        Template::made(pieces, Vec::new()),
    ));
    plan.changes.push(TableChange::Rename { from: table.name.clone(), table: renamed });
    Ok(made(plan))
}

/// The table under its new name.
pub(crate) fn renamed(
    subject: &Subject<'_>,
    schema: &Schema,
    table: &Table,
    to: TableName,
) -> Result<Table, SqlError> {
    if schema_for(subject, to)?.name != schema.name {
        return Err(refused("a table cannot be renamed into another schema"));
    }
    let new_name = name_of(subject, to.name);
    check_table_name(&new_name)?;
    let same = new_name.eq_ignore_ascii_case(&table.name);
    if schema.table(&new_name).is_some() && !same {
        return Err(SqlError::new(TABLE_EXISTS, format!("Table '{new_name}' already exists")));
    }
    let renamed = Table { name: new_name, ..next_version(table) };
    topology::rule::check_table(schema, &renamed)?;
    Ok(renamed)
}

/// A statement that names the old and the new physical table.
pub(crate) fn rename_statement(
    schema: &Schema,
    table: &Table,
    renamed: &Table,
    text: Template,
) -> DdlStatement {
    let undo =
        vec![Piece::text("RENAME TABLE "), Piece::Table(1), Piece::text(" TO "), Piece::Table(0)];
    DdlStatement {
        tables: Arc::from([plan_table(schema, table), plan_table(schema, renamed)]),
        targets: table_targets(table, schema.shard_count()),
        text,
        undo: Some(Template::made(undo, Vec::new())),
    }
}

/// CREATE INDEX.
pub(crate) fn create_index(subject: &Subject<'_>, create: &CreateIndex) -> Result<Made, SqlError> {
    let (schema, table) = table_for(subject, create.table)?;
    check_key(table, &create.index)?;
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

/// Keys that a table on several shards cannot have.
pub(crate) fn check_key(table: &Table, key: &TableConstraint) -> Result<(), SqlError> {
    if table.placement == Placement::Single {
        return Ok(());
    }
    match key.kind {
        ConstraintKind::ForeignKey => {
            Err(refused("foreign keys are supported on single tables only"))
        }
        _ => Ok(()),
    }
}
