//! The values that loads have brought, for conditions on later loads.

use mysql_wire::column::{ColumnDefinition, ColumnType};
use sql_plan::plan::{Family, Reduction};
use std::collections::BTreeMap;
use std::collections::HashSet;
use topology::algorithm::SqlValue;

/// A later load is given the values of a column when they are not more.
pub(super) const VALUES_MAX: usize = 10_000;

/// The different values of a loaded column.
#[derive(Debug)]
struct Column {
    values: HashSet<Vec<u8>>,
    too_many: bool,
}

/// The values of one load, by column.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    columns: BTreeMap<u32, Column>,
    types: Vec<ColumnType>,
}

impl Loaded {
    /// A load whose columns `wanted` others will ask for.
    pub fn new(wanted: impl Iterator<Item = u32>, types: &[ColumnDefinition]) -> Self {
        let columns =
            wanted.map(|at| (at, Column { values: HashSet::new(), too_many: false })).collect();
        Self { columns, types: types.iter().map(|column| column.column_type).collect() }
    }

    /// Notes the value of a row.
    pub fn add<'f>(&mut self, field: impl Fn(u32) -> Option<&'f [u8]>) {
        for (at, column) in &mut self.columns {
            if column.too_many {
                continue;
            }
            let Some(value) = field(*at) else { continue };
            if !column.values.contains(value) {
                column.values.insert(value.to_vec());
                if column.values.len() > VALUES_MAX {
                    column.too_many = true;
                    column.values = HashSet::new();
                }
            }
        }
    }

    /// Whether the values are of use for a reduction.
    pub fn serves(&self, reduction: &Reduction) -> bool {
        let at = reduction.source_column;
        self.columns.get(&at).is_some_and(|column| !column.too_many)
            && self.types.get(at as usize).is_some_and(|own| is_of(*own, reduction.family))
    }

    /// Writes `column IN (values)`.
    pub fn put(&self, reduction: &Reduction, out: &mut Vec<u8>) {
        let Some(column) = self.columns.get(&reduction.source_column) else {
            out.extend_from_slice(b"TRUE");
            return;
        };
        if column.values.is_empty() {
            out.extend_from_slice(b"FALSE");
            return;
        }
        out.extend_from_slice(reduction.column.as_bytes());
        let mut before = &b" IN ("[..];
        for value in &column.values {
            out.extend_from_slice(before);
            before = b",";
            match sql_value(value, reduction.family) {
                Some(value) => sql_plan::value::write_literal(&value, out),
                None => out.extend_from_slice(b"NULL"),
            }
        }
        out.push(b')');
    }

    /// The values, as keys are routed by.
    pub fn values(&self, reduction: &Reduction) -> Vec<SqlValue> {
        let column = self.columns.get(&reduction.source_column);
        let values = column.iter().flat_map(|column| &column.values);
        values.filter_map(|value| sql_value(value, reduction.family)).collect()
    }
}

fn is_of(column_type: ColumnType, family: Family) -> bool {
    use ColumnType as T;
    match family {
        Family::Integer => {
            matches!(column_type, T::Tiny | T::Short | T::Int24 | T::Long | T::LongLong)
                || column_type == T::NewDecimal
        }
        Family::Date => matches!(column_type, T::Date | T::NewDate),
        Family::Text => matches!(column_type, T::VarString | T::String | T::VarChar),
    }
}

fn sql_value(value: &[u8], family: Family) -> Option<SqlValue> {
    match family {
        Family::Integer => {
            let text = std::str::from_utf8(value).ok()?;
            match text.parse() {
                Ok(number) => Some(SqlValue::Integer(number)),
                Err(_) => Some(SqlValue::Decimal(text.to_owned())),
            }
        }
        Family::Date => Some(SqlValue::Temporal(value.to_vec())),
        Family::Text => Some(SqlValue::Text(value.to_vec())),
    }
}
