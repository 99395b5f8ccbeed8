//! ALTER TABLE: passed on to every physical table, but for what would break the sharding.

use super::{
    check_key, empty_plan, made, name_of, next_version, on_all, range, rename_statement, renamed,
    renamed_text, table_for,
};
use crate::planner::{Made, Subject, refused};
use crate::template::{Edit, Piece, Template};
use crate::value::{LiteralForm, ValueRef};
use base::sql_error::SqlError;
use sql_syntax::ast::{
    AlterKind, AlterTable, ColumnDef, Ident, OptionKind, PartitionActionKind, TableName,
};
use topology::model::{Placement, Table};
use topology::stream::TableChange;

/// Plans an ALTER TABLE.
pub(crate) fn alter_table(subject: &Subject<'_>, alter: &AlterTable) -> Result<Made, SqlError> {
    let (schema, table) = table_for(subject, alter.name)?;
    if let Some(clause) = super::placement::clause_of(alter)? {
        return super::placement::plan(subject, schema, table, clause);
    }
    let mut new_name: Option<TableName> = None;
    let mut plan = empty_plan(schema);
    for action in &alter.actions {
        check_action(subject, table, &action.kind)?;
        match &action.kind {
            AlterKind::RenameTo(to) => new_name = Some(*to),
            AlterKind::Option(option)
                if option.kind == OptionKind::AutoIncrement && table.sequence_column.is_some() =>
            {
                let form = LiteralForm::Plain;
                let value = ValueRef::Literal { token: option.value_tok, count: 1, form };
                plan.sequence_start = Some((table.name.clone(), value));
            }
            _ => {}
        }
    }
    match new_name {
        None => {
            let text = renamed_text(subject, alter.name, Vec::new());
            plan.statements.push(on_all(schema, table, text));
            plan.changes.push(TableChange::Alter { table: next_version(table) });
            plan.refresh.push(table.name.clone());
        }
        Some(to) => {
            let renamed = renamed(subject, schema, table, to)?;
            let new = Edit::replace(range(subject, to.span), vec![Piece::Table(1)]);
            let text: Template = renamed_text(subject, alter.name, vec![new]);
            let mut statement = rename_statement(schema, table, &renamed, text);
            if alter.actions.len() > 1 {
                statement.undo = None; // the rename alone would not undo the rest
            }
            plan.statements.push(statement);
            plan.refresh.push(renamed.name.clone());
            plan.changes.push(TableChange::Rename { from: table.name.clone(), table: renamed });
        }
    }
    Ok(made(plan))
}

/// Refuses what a table on several shards cannot have done to it.
fn check_action(subject: &Subject<'_>, table: &Table, action: &AlterKind) -> Result<(), SqlError> {
    if table.placement == Placement::Single {
        return Ok(());
    }
    match action {
        AlterKind::AddColumns(columns) => columns.iter().try_for_each(check_new_column),
        AlterKind::AddConstraint(key) => check_key(table, key),
        AlterKind::DropColumn(column) => check_column(subject, table, *column, "dropped"),
        AlterKind::ModifyColumn(column) => {
            check_column(subject, table, column.name, "modified")?;
            check_new_column(column)
        }
        AlterKind::ChangeColumn { from, to } => {
            check_column(subject, table, *from, "changed")?;
            check_new_column(to)
        }
        AlterKind::RenameColumn(from, _) => check_column(subject, table, *from, "renamed"),
        AlterKind::Tablespace => Err(refused("DISCARD and IMPORT TABLESPACE are not supported")),
        AlterKind::Partition(action) if action.kind == PartitionActionKind::Exchange => {
            Err(refused("EXCHANGE PARTITION is supported on single tables only"))
        }
        AlterKind::Option(option)
            if matches!(option.kind, OptionKind::Placement | OptionKind::Union) =>
        {
            Err(refused("DATA DIRECTORY, TABLESPACE and UNION are supported on single tables only"))
        }
        _ => Ok(()),
    }
}

fn check_new_column(column: &ColumnDef) -> Result<(), SqlError> {
    if column.auto_increment.is_some() {
        return Err(refused(
            "an AUTO_INCREMENT column cannot be added to or changed in a table that is not single: \
             its ids would not be unique over the shards",
        ));
    }
    if column.references.is_some() {
        return Err(refused("foreign keys are supported on single tables only"));
    }
    Ok(())
}

/// Sharding keys and the sequence's column stay as they are.
fn check_column(
    subject: &Subject<'_>,
    table: &Table,
    column: Ident,
    verb: &str,
) -> Result<(), SqlError> {
    let name = name_of(subject, column);
    if let Placement::Sharded(rule) = &table.placement
        && rule.is_key_column(&name)
    {
        return Err(refused(format!("sharding key '{name}' cannot be {verb}")));
    }
    if table.sequence_column.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(&name)) {
        return Err(refused(format!(
            "column '{name}' carries the table's sequence and cannot be {verb}"
        )));
    }
    Ok(())
}
