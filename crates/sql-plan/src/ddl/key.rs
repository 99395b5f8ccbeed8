//! Changes of the columns that a table's placement hangs on: a sharding key may get another name or
//! a type that keeps every value's shard; what would move rows is refused. And the column of the
//! table's sequence: it may come, go, and change.

use super::create::column_type;
use super::name_of;
use crate::planner::{Subject, refused};
use base::sql_error::SqlError;
use sql_syntax::ast::{AlterKind, ColumnDef, Ident, TypeKind};
use topology::model::{Column, ColumnClass, Placement, Table};

/// What actions on columns make of a table besides what the data nodes tell afterwards.
#[derive(Debug)]
pub(crate) struct Columns {
    /// The table after the actions so far.
    pub table: Table,
    /// The column that becomes AUTO_INCREMENT.
    pub numbered: Option<String>,
    /// The sequence is no longer used.
    pub sequence_gone: bool,
}

impl Columns {
    pub fn of(table: &Table) -> Columns {
        Columns { table: table.clone(), numbered: None, sequence_gone: false }
    }

    /// Takes one action.
    pub fn take(&mut self, subject: &Subject<'_>, action: &AlterKind) -> Result<(), SqlError> {
        match action {
            AlterKind::AddColumns(columns) => {
                for column in columns {
                    self.number(subject, column, &name_of(subject, column.name));
                }
                Ok(())
            }
            AlterKind::DropColumn(column) => self.drop(&name_of(subject, *column)),
            AlterKind::ModifyColumn(to) => self.change(subject, to.name, to),
            AlterKind::ChangeColumn { from, to } => {
                self.change(subject, *from, to)?;
                self.rename(&name_of(subject, *from), name_of(subject, to.name));
                Ok(())
            }
            AlterKind::RenameColumn(from, to) => {
                self.rename(&name_of(subject, *from), name_of(subject, *to));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn is_key(&self, name: &str) -> bool {
        matches!(&self.table.placement, Placement::Sharded(rule) if rule.is_key_column(name))
    }

    fn is_sequence(&self, name: &str) -> bool {
        self.table.sequence_column.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name))
    }

    fn drop(&mut self, name: &str) -> Result<(), SqlError> {
        if self.is_key(name) {
            return Err(refused(format!(
                "sharding key '{name}' cannot be dropped: its values say where the rows lie"
            )));
        }
        if self.is_sequence(name) {
            self.table.sequence_column = None;
            self.sequence_gone = true;
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: String) {
        if let Placement::Sharded(rule) = &mut self.table.placement {
            for key in std::iter::once(&mut rule.database).chain(&mut rule.table) {
                if key.column.eq_ignore_ascii_case(from) {
                    key.column.clone_from(&to);
                }
            }
        }
        if self.is_sequence(from) {
            self.table.sequence_column = Some(to.clone());
        }
        let columns = self.table.columns.iter_mut();
        for column in columns.filter(|column| column.name.eq_ignore_ascii_case(from)) {
            column.name.clone_from(&to);
        }
    }

    fn change(
        &mut self,
        subject: &Subject<'_>,
        from: Ident,
        to: &ColumnDef,
    ) -> Result<(), SqlError> {
        let name = name_of(subject, from);
        let before = self.table.column(&name).map(|(_, column)| column.clone());
        if self.is_key(&name)
            && let Some(before) = &before
            && !keeps_routes(subject, before, to)
        {
            return Err(refused(format!(
                "sharding key '{name}' of type {} cannot become {}: rows would have to move; a wider type of the same kind, character set and collation is possible",
                before.column_type,
                column_type(subject, to),
            )));
        }
        if self.is_sequence(&name) {
            if to.auto_increment.is_none() {
                self.table.sequence_column = None;
                self.sequence_gone = true;
            }
            return Ok(());
        }
        self.number(subject, to, &name_of(subject, to.name));
        Ok(())
    }

    fn number(&mut self, subject: &Subject<'_>, column: &ColumnDef, name: &str) {
        let serial = column.ty.kind == TypeKind::Serial;
        if column.auto_increment.is_none() && !serial {
            return;
        }
        let _ = subject;
        self.table.sequence_column = Some(name.to_owned());
        self.numbered = Some(name.to_owned());
        self.sequence_gone = false;
    }
}

/// Whether every value that the old type can hold has the same shard under the new one.
fn keeps_routes(subject: &Subject<'_>, before: &Column, to: &ColumnDef) -> bool {
    let after = Column::plain("", &column_type(subject, to));
    if to.generated.is_some() {
        return false;
    }
    match (&before.class, &after.class) {
        (ColumnClass::Integer, ColumnClass::Integer)
        | (ColumnClass::UnsignedInteger, ColumnClass::UnsignedInteger) => {
            matches!((before.integer_bits(), after.integer_bits()), (Some(old), Some(new)) if new >= old)
        }
        (ColumnClass::Decimal { scale: old }, ColumnClass::Decimal { scale: new }) => {
            old == new && after.decimal_precision() >= before.decimal_precision()
        }
        (ColumnClass::Text, ColumnClass::Text) => {
            let short = |column: &Column| matches!(column.type_name(), "char" | "varchar");
            short(before)
                && short(&after)
                && (before.type_name() == after.type_name() || after.type_name() == "varchar")
                && characters(&after) >= characters(before)
                && same_collation(subject, before, to)
        }
        (ColumnClass::Date, ColumnClass::Date) => true,
        (ColumnClass::Date, ColumnClass::DateTime) => after.type_name() == "datetime",
        (ColumnClass::DateTime, ColumnClass::DateTime) => {
            before.type_name() == after.type_name() && characters(&after) >= characters(before)
        }
        _ => false,
    }
}

/// The number in a type's brackets; none is 0 for times and 1 for CHAR.
fn characters(column: &Column) -> u64 {
    let inside = column.column_type.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    let number = inside.and_then(|(number, _)| number.trim().parse().ok());
    number.unwrap_or(u64::from(column.type_name() == "char"))
}

/// Whether a text column keeps its collation: it is written, or nothing is written and the column
/// has what its schema gives.
fn same_collation(subject: &Subject<'_>, before: &Column, to: &ColumnDef) -> bool {
    let Some(old) = &before.collation else { return false };
    let old_charset = old.split('_').next().unwrap_or_default();
    let charset = to.ty.charset.map(|name| name_of(subject, name).to_lowercase());
    let same_charset = charset.as_deref().is_none_or(|charset| charset == old_charset);
    match to.ty.collation {
        Some(collation) => name_of(subject, collation).eq_ignore_ascii_case(old),
        // The character set's or the table's default: the bytes stay as they are, and they route.
        None => same_charset,
    }
}
