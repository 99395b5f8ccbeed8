//! ALTER TABLE: passed on to every physical table, but for what would break the sharding.

use super::foreign::ForeignKeys;
use super::key::Columns;
use super::rename::{rename_statement, renamed};
use super::{
    DdlPlan, empty_plan, made, name_of, next_version, on_all, range, renamed_text, schema_for,
    table_for,
};
use crate::planner::{Made, Subject, refused};
use crate::template::{Edit, Piece, Template};
use crate::value::{LiteralForm, ValueRef};
use base::sql_error::{SqlError, WRONG_OBJECT};
use sql_syntax::ast::{AlterKind, AlterTable, OptionKind, PartitionActionKind, TableName};
use topology::model::{Placement, Schema, Table};
use topology::stream::TableChange;

/// The note of `ALTER TABLE IF EXISTS` about a table that is not there.
const NOTE_NO_SUCH_TABLE: u16 = 1146;

/// The hint that makes a statement pass over what is done already.
const RERUN: &[u8] = b"allow_alter_rerun=true";

/// Plans an ALTER TABLE.
pub(crate) fn alter_table(subject: &Subject<'_>, alter: &AlterTable) -> Result<Made, SqlError> {
    let (schema, table) = match table_for(subject, alter.name) {
        Ok(found) => found,
        Err(error) if alter.if_exists && error.code.number == NOTE_NO_SUCH_TABLE => {
            let mut plan = empty_plan(schema_for(subject, alter.name)?);
            plan.notes.push((NOTE_NO_SUCH_TABLE, error.message));
            return Ok(made(plan));
        }
        Err(error) => return Err(error),
    };
    if table.view.is_some() {
        return Err(not_a_table(schema, table));
    }
    if let Some(clause) = super::placement::clause_of(alter)? {
        return super::placement::plan(subject, schema, table, clause);
    }
    let mut columns = Columns::of(table);
    let mut keys = ForeignKeys::default();
    let mut new_name: Option<TableName> = None;
    let mut plan = empty_plan(schema);
    plan.rerun = has_rerun_hint(subject);
    for action in &alter.actions {
        check_action(table, &action.kind)?;
        if table.placement != Placement::Single {
            columns.take(subject, &action.kind)?;
        }
        if let AlterKind::RenameTo(to) = &action.kind {
            new_name = Some(*to);
        }
    }
    let own = if new_name.is_some() { 2 } else { 1 };
    for action in &alter.actions {
        add_keys(subject, schema, &columns.table, &action.kind, own, &mut keys)?;
        set_sequence(table, &columns, &action.kind, &mut plan);
    }
    plan.numbered = columns.numbered.clone();
    if columns.sequence_gone {
        plan.sequence_reset.push(table.name.clone());
    }
    let after = next_version(&columns.table);
    let ForeignKeys { mut edits, parents } = keys;
    let mut statement = match new_name {
        None => {
            let statement = on_all(schema, table, renamed_text(subject, alter.name, edits));
            plan.refresh.push(after.name.clone());
            plan.changes.push(TableChange::Alter { table: after });
            statement
        }
        Some(to) if schema_for(subject, to)?.name != schema.name => {
            if alter.actions.len() > 1 {
                return Err(refused(
                    "a rename into another schema is a statement of its own; make the other changes in another ALTER TABLE",
                ));
            }
            return super::across::plan(subject, schema, table, to);
        }
        Some(to) => {
            let renamed = renamed(subject, schema, &columns.table, to)?;
            edits.push(Edit::replace(range(subject, to.span), vec![Piece::Table(1)]));
            let text: Template = renamed_text(subject, alter.name, edits);
            let mut statement = rename_statement(schema, table, &renamed, text);
            if alter.actions.len() > 1 {
                statement.undo = None; // the rename alone would not undo the rest
            }
            plan.refresh.push(renamed.name.clone());
            plan.changes.push(TableChange::Rename {
                from: table.name.clone(),
                table: renamed,
                to_schema: None,
            });
            statement
        }
    };
    if !parents.is_empty() {
        statement.tables = statement.tables.iter().cloned().chain(parents).collect();
    }
    plan.statements.push(statement);
    Ok(made(plan))
}

fn has_rerun_hint(subject: &Subject<'_>) -> bool {
    subject.tokens.hints().iter().any(|hint| {
        let text = hint.body(subject.src).iter().filter(|byte| !byte.is_ascii_whitespace());
        hint.before_tok == 0 && text.copied().collect::<Vec<u8>>().eq_ignore_ascii_case(RERUN)
    })
}

/// The error of a view where a table is wanted.
pub(crate) fn not_a_table(schema: &Schema, table: &Table) -> SqlError {
    let text = format!("'{}.{}' is not of type 'BASE TABLE'", schema.name, table.name);
    SqlError::new(WRONG_OBJECT, text)
}

fn add_keys(
    subject: &Subject<'_>,
    schema: &Schema,
    table: &Table,
    action: &AlterKind,
    first: usize,
    keys: &mut ForeignKeys,
) -> Result<(), SqlError> {
    match action {
        AlterKind::AddConstraint(key) => keys.add_constraint(subject, schema, table, key, first),
        AlterKind::AddColumns(columns) => columns
            .iter()
            .try_for_each(|column| keys.add_column(subject, schema, table, column, first)),
        AlterKind::ModifyColumn(to) | AlterKind::ChangeColumn { to, .. } => {
            keys.add_column(subject, schema, table, to, first)
        }
        AlterKind::DropConstraint(name) => {
            keys.drop_constraint(subject, table, *name);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// `AUTO_INCREMENT = n`
fn set_sequence(table: &Table, columns: &Columns, action: &AlterKind, plan: &mut DdlPlan) {
    if let AlterKind::Option(option) = action
        && option.kind == OptionKind::AutoIncrement
        && columns.table.sequence_column.is_some()
    {
        let form = LiteralForm::Plain;
        let value = ValueRef::Literal { token: option.value_tok, count: 1, form };
        plan.sequence_start = Some((table.name.clone(), value));
    }
}

/// Refuses what a table on several shards cannot have done to it.
fn check_action(table: &Table, action: &AlterKind) -> Result<(), SqlError> {
    if table.placement == Placement::Single {
        return Ok(());
    }
    match action {
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

impl ForeignKeys {
    /// DROP CONSTRAINT and DROP FOREIGN KEY: the name differs from one physical table to the next
    /// when it is a foreign key's. What kind DROP CONSTRAINT means is not known here.
    fn drop_constraint(
        &mut self,
        subject: &Subject<'_>,
        table: &Table,
        name: sql_syntax::ast::Ident,
    ) {
        let suffixed = matches!(&table.placement, Placement::Sharded(rule) if rule.table.is_some());
        let before = subject.word(name.tok.saturating_sub(1));
        if suffixed && before.eq_ignore_ascii_case(b"KEY") {
            let pieces = vec![Piece::Suffixed(name_of(subject, name))];
            self.edits.push(Edit::replace(range(subject, name.span), pieces));
        }
    }
}
