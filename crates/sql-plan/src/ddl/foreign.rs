//! Foreign keys where they are local: a row and the parent that it names lie in the same shard, in
//! tables that every shard pairs in the same way. Each physical child gets its own physical parent's
//! name, and a constraint name of its own where several children lie in one database.

use super::{name_of, plan_table, range, schema_for};
use crate::plan::PlanTable;
use crate::planner::{Subject, refused};
use crate::template::{Edit, Piece, TokenRange};
use base::sql_error::SqlError;
use sql_syntax::TokenKind;
use sql_syntax::ast::{ColumnDef, ConstraintKind, Span, TableConstraint, TableName};
use sql_syntax::text::unquote_ident;
use topology::model::{KeyRule, Placement, Schema, Table};

/// What a list of foreign keys changes in the text.
#[derive(Debug, Default)]
pub(crate) struct ForeignKeys {
    /// Edits of names.
    pub edits: Vec<Edit>,
    /// Parents; `Piece::Table` counts on from the statement's own tables.
    pub parents: Vec<PlanTable>,
}

/// One foreign key as it is written.
struct Reference {
    parent: TableName,
    columns: Vec<String>,
    parent_columns: Vec<String>,
    /// `ON DELETE` and `ON UPDATE` with what they do, upper case.
    on_delete: Vec<String>,
    on_update: Vec<String>,
}

impl ForeignKeys {
    /// Adds a FOREIGN KEY of the table's list.
    pub fn add_constraint(
        &mut self,
        subject: &Subject<'_>,
        schema: &Schema,
        child: &Table,
        key: &TableConstraint,
        first: usize,
    ) -> Result<(), SqlError> {
        let (ConstraintKind::ForeignKey, Some(parent)) = (key.kind, key.references) else {
            return Ok(());
        };
        let columns: Vec<String> =
            key.parts.iter().filter_map(|part| part.column).map(|c| name_of(subject, c)).collect();
        let reference = read(subject, parent, columns, key.span);
        self.add(subject, schema, child, &reference, first)?;
        if let (Some(name), true) = (key.name, is_suffixed(child)) {
            let at = range(subject, name.span);
            let pieces = vec![Piece::Suffixed(name_of(subject, name))];
            // `CONSTRAINT a FOREIGN KEY b`: the name that counts is one of the two.
            self.edits.push(Edit::replace(at, pieces));
        }
        Ok(())
    }

    /// Adds a column's own REFERENCES.
    pub fn add_column(
        &mut self,
        subject: &Subject<'_>,
        schema: &Schema,
        child: &Table,
        column: &ColumnDef,
        first: usize,
    ) -> Result<(), SqlError> {
        let Some(parent) = column.references else { return Ok(()) };
        let reference = read(subject, parent, vec![name_of(subject, column.name)], column.span);
        self.add(subject, schema, child, &reference, first)
    }

    fn add(
        &mut self,
        subject: &Subject<'_>,
        schema: &Schema,
        child: &Table,
        reference: &Reference,
        first: usize,
    ) -> Result<(), SqlError> {
        let parent_schema = schema_for(subject, reference.parent)?;
        let parent_name = name_of(subject, reference.parent.name);
        if parent_schema.name != schema.name {
            return Err(refused(
                "a foreign key to another schema is refused: its tables may move to other data nodes",
            ));
        }
        let own = parent_name.eq_ignore_ascii_case(&child.name).then_some(child);
        let Some(parent) = own.or_else(|| schema.table(&parent_name)) else {
            // One that comes later (foreign_key_checks=0): a single child can only have a single or
            // a broadcast one, which have the same name.
            if child.placement != Placement::Single {
                return Err(refused(format!(
                    "the foreign key's parent '{parent_name}' is not there, so it is not known whether it lies in the same shards; create it first"
                )));
            }
            let pretended = Table { name: parent_name, ..child.clone() };
            self.edit(subject, schema, &pretended, reference, first);
            return Ok(());
        };
        check_local(child, parent, reference)?;
        self.edit(subject, schema, parent, reference, first);
        Ok(())
    }

    fn edit(
        &mut self,
        subject: &Subject<'_>,
        schema: &Schema,
        parent: &Table,
        reference: &Reference,
        first: usize,
    ) {
        let number = u32::try_from(first + self.parents.len()).unwrap_or(u32::MAX);
        self.parents.push(plan_table(schema, parent));
        let at = range(subject, reference.parent.span);
        self.edits.push(Edit::replace(at, vec![Piece::TableName(number)]));
    }
}

fn is_suffixed(table: &Table) -> bool {
    matches!(&table.placement, Placement::Sharded(rule) if rule.table.is_some())
}

/// Whether each child's parent is in the child's own shard.
fn check_local(child: &Table, parent: &Table, reference: &Reference) -> Result<(), SqlError> {
    let name = &parent.name;
    let child_rule = match (&child.placement, &parent.placement) {
        (Placement::Single | Placement::Broadcast, Placement::Broadcast)
        | (Placement::Single, Placement::Single) => return Ok(()),
        (Placement::Sharded(rule), Placement::Broadcast) => rule,
        (Placement::Sharded(rule), Placement::Sharded(other)) => {
            let pairs = [(Some(&rule.database), Some(&other.database)), (rule.table.as_ref(), other.table.as_ref())];
            let same = rule.tables_per_shard == other.tables_per_shard
                && pairs.iter().all(|(own, its)| corresponds(*own, *its, reference));
            if !same {
                return Err(refused(format!(
                    "the foreign key to '{name}' is not local: both tables must be sharded by the same rule, and the foreign key must pair the child's sharding key with the parent's"
                )));
            }
            rule
        }
        (_, Placement::Single) => {
            return Err(refused(format!(
                "the parent '{name}' is a single table, which other shards do not have; make it BROADCAST or shard both alike"
            )));
        }
        (_, Placement::Sharded(_)) => {
            return Err(refused(format!(
                "the parent '{name}' is sharded, so a row's parent may lie in another shard; shard both alike on the foreign key's columns"
            )));
        }
    };
    let has_key = reference.columns.iter().any(|column| child_rule.is_key_column(column));
    let sets = |words: &[String]| words.first().is_some_and(|word| word == "SET");
    let cascades = reference.on_update.first().is_some_and(|word| word == "CASCADE");
    if has_key && (sets(&reference.on_delete) || sets(&reference.on_update) || cascades) {
        return Err(refused(format!(
            "the foreign key to '{name}' would change sharding keys by ON DELETE or ON UPDATE, and their rows would be in wrong shards; use RESTRICT, NO ACTION or ON DELETE CASCADE"
        )));
    }
    Ok(())
}

/// Whether the rules are alike and the foreign key pairs their columns.
fn corresponds(own: Option<&KeyRule>, its: Option<&KeyRule>, reference: &Reference) -> bool {
    let (Some(own), Some(its)) = (own, its) else { return own.is_none() && its.is_none() };
    own.algorithm == its.algorithm
        && reference.columns.iter().zip(&reference.parent_columns).any(|(column, parent)| {
            own.column.eq_ignore_ascii_case(column) && its.column.eq_ignore_ascii_case(parent)
        })
}

/// Reads what stands after REFERENCES.
fn read(subject: &Subject<'_>, parent: TableName, columns: Vec<String>, span: Span) -> Reference {
    let TokenRange { last: end, .. } = range(subject, span);
    let mut at = range(subject, parent.span).last + 1;
    let mut parent_columns = Vec::new();
    if subject.kind(at) == Some(TokenKind::LParen) {
        at += 1;
        while at <= end && subject.kind(at) != Some(TokenKind::RParen) {
            if subject.kind(at) != Some(TokenKind::Comma) {
                let name = unquote_ident(subject.word(at)).into_owned();
                parent_columns.push(String::from_utf8_lossy(&name).into_owned());
            }
            at += 1;
        }
    }
    let words: Vec<String> = (at..=end)
        .map(|token| String::from_utf8_lossy(subject.word(token)).to_ascii_uppercase())
        .collect();
    let action = |what: &str| {
        let place = words.windows(2).position(|two| two[0] == "ON" && two[1] == what);
        place.map(|place| words[place + 2..].to_vec()).unwrap_or_default()
    };
    Reference {
        parent,
        columns,
        parent_columns,
        on_delete: action("DELETE"),
        on_update: action("UPDATE"),
    }
}
