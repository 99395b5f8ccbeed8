//! The id that a server tells of an INSERT may be one that the statement gave by hand, which
//! LAST_INSERT_ID() does not become. Which it is, the answer does not say; the statement mostly does.

use super::make::Maker;
use crate::expr::value_of;
use crate::value::{ValueRef, Values};
use sql_syntax::ast::{ExprKind, InsertSource};
use topology::algorithm::SqlValue;

/// More rows than this are not looked at.
const ROWS_MAX: usize = 100;

/// What a statement says of the id that a server tells of it.
#[derive(Clone, Debug, PartialEq)]
pub enum ToldId {
    /// It is generated, if there is one.
    Generated,
    /// It is generated if one of these values is none.
    ByValues(Vec<ValueRef>),
    /// It may be either.
    Unknown,
}

/// What one execution's id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Generated.
    Generated,
    /// Given by hand.
    Given,
    /// The server must be asked.
    Unknown,
}

impl ToldId {
    /// What it is with these values.
    pub fn with(&self, values: &Values<'_>) -> Told {
        let given = match self {
            ToldId::Generated => return Told::Generated,
            ToldId::Unknown => return Told::Unknown,
            ToldId::ByValues(given) => given,
        };
        let mut told = Told::Given;
        for value in given {
            match value.resolve(values) {
                SqlValue::Null => told = Told::Generated,
                SqlValue::Integer(0) if !values.zero_is_a_value => told = Told::Generated,
                SqlValue::Integer(_) => {}
                _ => return Told::Unknown,
            }
        }
        told
    }
}

impl Maker<'_, '_> {
    /// What this INSERT says of its id.
    pub(super) fn told_id(&self) -> ToldId {
        let table = self.target().table;
        let Some(numbered) = table.columns.iter().find(|column| column.auto_increment) else {
            return ToldId::Generated;
        };
        if !self.insert.on_duplicate.is_empty() {
            return ToldId::Unknown;
        }
        let Ok(columns) = self.columns() else { return ToldId::Unknown };
        let Some(place) = columns.iter().position(|column| column.name == numbered.name) else {
            return ToldId::Generated;
        };
        if matches!(self.insert.source, InsertSource::Query(_)) {
            return ToldId::Unknown;
        }
        let mut values = Vec::new();
        for row in self.rows() {
            if values.len() == ROWS_MAX {
                return ToldId::Unknown;
            }
            if row.is_empty() {
                values.push(ValueRef::NULL);
                continue;
            }
            let Some(value) = row.value(place, self.bound) else { return ToldId::Unknown };
            let found = match &value.kind {
                ExprKind::Default(_) => Some(ValueRef::NULL),
                _ => value_of(&value, self.bound.src),
            };
            let Some(found) = found else { return ToldId::Unknown };
            values.push(found);
        }
        ToldId::ByValues(values)
    }
}
