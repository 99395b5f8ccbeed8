//! The recycle bin: DROP TABLE renames the physical tables aside while `enable_table_recycle` is on,
//! RESTORE TABLE gives them their names back, PURGE drops them for good. To the control plane the
//! first two are renames of one table, so what finishes those finishes these.

use super::rename::rename_statement;
use super::{add_drop, chained, empty_plan, made, name_of, schema_for};
use crate::plan::{DdlPlan, Plan};
use crate::planner::{Made, Subject};
use crate::template::{Piece, Template};
use base::sql_error::{NOT_IN_RECYCLE_BIN, SqlError, TABLE_EXISTS};
use sql_syntax::ast::{RecycleStmt, TableName};
use topology::model::{Schema, Table};
use topology::recycle::{dropped, find, restored};
use topology::stream::TableChange;

/// Whether a table that is dropped now is kept.
pub(crate) fn keeps(subject: &Subject<'_>, table: &Table) -> bool {
    table.view.is_none() && subject.snapshot.parameters.get_boolean("enable_table_recycle")
}

/// Puts a table into the bin; one that cannot be kept there is dropped.
pub(crate) fn drop_plan(schema: &Schema, table: &Table) -> DdlPlan {
    let kept = dropped(schema, table);
    let mut plan = renamed_plan(schema, table, &kept);
    let mut for_good = empty_plan(schema);
    add_drop(&mut for_good, schema, table);
    plan.otherwise = Some(Box::new(for_good));
    plan
}

fn renamed_plan(schema: &Schema, from: &Table, to: &Table) -> DdlPlan {
    let mut plan = empty_plan(schema);
    let pieces =
        vec![Piece::text("RENAME TABLE "), Piece::Table(0), Piece::text(" TO "), Piece::Table(1)];
    let text = Template::made(pieces, Vec::new());
    plan.statements.push(rename_statement(schema, from, to, text));
    plan.changes.push(TableChange::Rename {
        from: from.name.clone(),
        table: to.clone(),
        to_schema: None,
    });
    plan
}

/// Plans RESTORE and PURGE.
pub(crate) fn plan(subject: &Subject<'_>, statement: &RecycleStmt) -> Result<Made, SqlError> {
    match statement {
        RecycleStmt::Restore(name) => restore(subject, *name),
        RecycleStmt::Purge(names) => {
            let mut plans: Vec<DdlPlan> = Vec::new();
            for name in names {
                let (schema, kept) = kept_table(subject, *name)?;
                match plans.iter_mut().find(|plan| plan.schema == schema.name) {
                    Some(plan) => add_drop(plan, schema, kept),
                    None => {
                        let mut plan = empty_plan(schema);
                        add_drop(&mut plan, schema, kept);
                        plans.push(plan);
                    }
                }
            }
            Ok(chained(plans).map_or_else(Made::session, made))
        }
        RecycleStmt::PurgeAll(name) => {
            let schema = super::schema_named(subject, *name)?;
            let mut plan = empty_plan(schema);
            for kept in schema.recycled.values() {
                add_drop(&mut plan, schema, kept);
            }
            Ok(Made::write(Plan::Ddl(Box::new(plan)), false, Default::default()))
        }
    }
}

fn kept_table<'s>(
    subject: &Subject<'s>,
    name: TableName,
) -> Result<(&'s Schema, &'s Table), SqlError> {
    let schema = schema_for(subject, name)?;
    let written = name_of(subject, name.name);
    let kept = find(schema, &written).map(|kept| (schema, kept));
    kept.ok_or_else(|| {
        let text = format!("Table '{}.{written}' is not in the recycle bin", schema.name);
        SqlError::new(NOT_IN_RECYCLE_BIN, text)
    })
}

fn restore(subject: &Subject<'_>, name: TableName) -> Result<Made, SqlError> {
    let (schema, kept) = kept_table(subject, name)?;
    let table = restored(kept).unwrap_or_else(|| kept.clone());
    if schema.table(&table.name).is_some() {
        let text = format!("Table '{}' already exists", table.name);
        return Err(SqlError::new(TABLE_EXISTS, text));
    }
    Ok(made(renamed_plan(schema, kept, &table)))
}
