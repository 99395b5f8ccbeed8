//! Names that a definition gives: what no server takes as one, and the qualifiers that may stand
//! before a new column's name, which the data nodes' tables would not fit.

use super::{name_of, schema_for};
use crate::planner::Subject;
use crate::template::{Edit, Piece, TokenRange, quoted};
use base::sql_error::{NOT_UNIQUE_TABLE, SqlError, WRONG_DB_NAME, WRONG_TABLE_NAME};
use sql_syntax::TokenKind;
use sql_syntax::ast::{ColumnDef, CreateTable, TableName};

/// The servers' longest name.
const NAME_CHARS_MAX: usize = 64;

/// A table's name that no server takes.
pub(crate) fn check(name: &str) -> Result<(), SqlError> {
    match name.is_empty() || name.ends_with(' ') {
        true => Err(incorrect(name)),
        false => Ok(()),
    }
}

/// The same for a new table's.
pub(crate) fn check_new(name: &str) -> Result<(), SqlError> {
    match name.chars().count() > NAME_CHARS_MAX {
        true => Err(incorrect(name)),
        false => check(name),
    }
}

fn incorrect(name: &str) -> SqlError {
    SqlError::new(WRONG_TABLE_NAME, format!("Incorrect table name '{name}'"))
}

/// A table is not made like itself.
pub(crate) fn check_like(
    subject: &Subject<'_>,
    new: TableName,
    like: TableName,
) -> Result<(), SqlError> {
    let name = name_of(subject, new.name);
    let same = name.eq_ignore_ascii_case(&name_of(subject, like.name))
        && schema_for(subject, new)?.name == schema_for(subject, like)?.name;
    match same {
        true => Err(not_unique(&name)),
        false => Ok(()),
    }
}

/// A table is named twice.
pub(crate) fn not_unique(name: &str) -> SqlError {
    SqlError::new(NOT_UNIQUE_TABLE, format!("Not unique table/alias: '{name}'"))
}

/// Cuts the qualifiers of new columns.
pub(crate) fn column_edits(
    subject: &Subject<'_>,
    create: &CreateTable,
) -> Result<Vec<Edit>, SqlError> {
    create.columns.iter().filter_map(|column| cut(subject, create, column).transpose()).collect()
}

fn cut(
    subject: &Subject<'_>,
    create: &CreateTable,
    column: &ColumnDef,
) -> Result<Option<Edit>, SqlError> {
    let last = column.name.tok;
    let is_dot = |token: u32| subject.kind(token) == Some(TokenKind::Dot);
    let mut first = last;
    let mut qualifiers = Vec::new();
    while first >= 2 && is_dot(first - 1) {
        first -= 2;
        let word = String::from_utf8_lossy(subject.word(first)).into_owned();
        qualifiers.push(word.trim_matches('`').to_owned());
    }
    if let Some(table) = qualifiers.first()
        && !table.eq_ignore_ascii_case(&name_of(subject, create.name.name))
    {
        return Err(incorrect(table));
    }
    if let Some(schema) = qualifiers.get(1)
        && !schema.eq_ignore_ascii_case(&schema_for(subject, create.name)?.name)
    {
        return Err(SqlError::new(WRONG_DB_NAME, format!("Incorrect database name '{schema}'")));
    }
    // What may be a name after a dot may be a word of the language without one.
    let name = quoted(&name_of(subject, column.name));
    let range = TokenRange { first, last };
    Ok((first < last).then(|| Edit::replace(range, vec![Piece::Text(name)])))
}
