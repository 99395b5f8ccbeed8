//! Key → shard. A [`ShardingRule`] turns the values of its one or two key columns into a
//! [`Target`]: a shard and the number of the table in it. The formulas are the product's; where a
//! database rule and a table rule name the same column and algorithm, most algorithms number the
//! tables of all shards through ("same key"), HASH does not.

mod calendar;
mod date_text;
mod hash;
mod interval;
mod key;

pub use calendar::Date;
pub use interval::{INTERVAL_KEYS_MAX, KeyInterval};
pub use key::{Comparable, KeyError, KeyValue, SqlValue};

use crate::model::{Algorithm, DatePart, KeyRule, ShardingRule};
use base::sql_error::{NO_RANGE_FOR_VALUE, SqlError};

/// Slots of HASH.
pub const HASH_SLOTS: u32 = 102_400;

/// Where a row lies: a shard, and the table inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The shard's index.
    pub shard: u32,
    /// The physical table's number in the shard; 0 where there is one.
    pub suffix: u32,
}

/// Why a key has no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// A RANGE rule without a default does not list the value.
    #[error("Table has no partition for value {value}")]
    NoRange {
        /// The value that no range holds.
        value: i128,
    },
}

impl From<LocateError> for SqlError {
    fn from(error: LocateError) -> Self {
        SqlError::new(NO_RANGE_FOR_VALUE, error.to_string())
    }
}

/// What an algorithm makes of a value, before it is spread over a count.
enum Number {
    /// Taken modulo the count.
    Modulo(u128),
    /// A slot of [`HASH_SLOTS`].
    Slot(u32),
    /// The shard itself.
    Shard(u32),
}

impl Number {
    /// Its place among `count`.
    fn among(&self, count: u32) -> u32 {
        let count = count.max(1);
        match *self {
            Number::Modulo(number) => narrow(number % u128::from(count)),
            Number::Slot(slot) => (slot / (HASH_SLOTS / count).max(1)).min(count - 1),
            Number::Shard(shard) => shard.min(count - 1),
        }
    }
}

/// A remainder of a `u32` divisor.
fn narrow(remainder: u128) -> u32 {
    u32::try_from(remainder).expect("a remainder is below its u32 divisor")
}

impl Algorithm {
    /// The number of a value; `None` when the algorithm can make nothing of it.
    fn number(&self, key: &KeyValue) -> Result<Option<Number>, LocateError> {
        Ok(match self {
            Algorithm::Hash { date_part: None } => match key {
                KeyValue::Integer(value) => {
                    Some(Number::Slot(hash::slot(value.to_string().as_bytes())))
                }
                KeyValue::Text(text) => Some(Number::Slot(hash::slot(text))),
                KeyValue::Date(_) | KeyValue::Invalid => None,
            },
            Algorithm::Hash { date_part: Some(part) } => {
                part.of(key).map(|value| Number::Slot(hash::slot(value.to_string().as_bytes())))
            }
            Algorithm::ModHash => modulo_hash(key, hash::java_hash),
            Algorithm::ModHashCi => modulo_hash(key, hash::java_hash_upper),
            Algorithm::Range { date_part, ranges, default } => {
                let value = match (date_part, key) {
                    (None, KeyValue::Integer(value)) => Some(*value),
                    (Some(part), key) => part.of(key).map(i128::from),
                    (None, _) => None,
                };
                let Some(value) = value else { return Ok(None) };
                let listed = ranges
                    .iter()
                    .find(|range| (i128::from(range.from)..=i128::from(range.to)).contains(&value));
                match listed.map(|range| range.shard).or(*default) {
                    Some(shard) => Some(Number::Shard(shard)),
                    None => return Err(LocateError::NoRange { value }),
                }
            }
            Algorithm::RightShift { bits } => match key {
                KeyValue::Integer(value) => {
                    Some(Number::Modulo((value >> (*bits).min(127)).unsigned_abs()))
                }
                _ => None,
            },
            Algorithm::YyyyMm
            | Algorithm::YyyyDd
            | Algorithm::YyyyWeek
            | Algorithm::Mm
            | Algorithm::Dd
            | Algorithm::MmDd
            | Algorithm::Week => {
                let KeyValue::Date(date) = key else { return Ok(None) };
                Some(Number::Modulo(u128::from(self.date_number(*date))))
            }
        })
    }

    /// The number of the date algorithms.
    fn date_number(&self, date: Date) -> u32 {
        let year = u32::from(date.year());
        match self {
            Algorithm::YyyyMm => year * 12 + u32::from(date.month()),
            Algorithm::YyyyDd => year * 366 + u32::from(date.day_of_year()),
            Algorithm::YyyyWeek => {
                let (week_year, week) = date.iso_week();
                u32::from(week_year) * 54 + u32::from(week)
            }
            Algorithm::Mm => u32::from(date.month()),
            Algorithm::Dd => u32::from(date.day()),
            Algorithm::MmDd => u32::from(date.day_of_year()),
            Algorithm::Week => u32::from(date.day_of_week()),
            _ => 0,
        }
    }

    /// Its place among `count`, alone.
    fn index(&self, key: &KeyValue, count: u32) -> Result<u32, LocateError> {
        // A value that the algorithm cannot take is no error: such rows are kept in shard 0, table
        // 0, as the product documents.
        Ok(self.number(key)?.map_or(0, |number| number.among(count)))
    }
}

/// MOD_HASH and MOD_HASH_CI: absolute values in 64 bits, so that `i32::MIN` has a place too.
fn modulo_hash(key: &KeyValue, text_hash: fn(&[u8]) -> i32) -> Option<Number> {
    match key {
        KeyValue::Integer(value) => Some(Number::Modulo(value.unsigned_abs())),
        KeyValue::Text(text) => {
            Some(Number::Modulo(u128::from(i64::from(text_hash(text)).unsigned_abs())))
        }
        KeyValue::Date(_) | KeyValue::Invalid => None,
    }
}

impl DatePart {
    /// The part of a date key.
    fn of(self, key: &KeyValue) -> Option<u16> {
        let KeyValue::Date(date) = key else { return None };
        Some(match self {
            DatePart::Year => date.year(),
            DatePart::Month => u16::from(date.month()),
            DatePart::WeekOfYear => u16::from(date.iso_week().1),
            DatePart::Day => u16::from(date.day()),
        })
    }
}

impl KeyRule {
    /// Whether the two rules share column and algorithm.
    fn is_same(&self, other: &KeyRule) -> bool {
        self.column.eq_ignore_ascii_case(&other.column) && self.algorithm == other.algorithm
    }
}

impl ShardingRule {
    /// Whether one key decides both shard and table, with the "same key" formulas.
    pub fn has_same_key(&self) -> bool {
        self.table.as_ref().is_some_and(|table| self.database.is_same(table))
    }

    /// The columns that decide a row's place: one or two, no repeats.
    pub fn key_columns(&self) -> Vec<&str> {
        let mut columns = vec![self.database.column.as_str()];
        if let Some(table) = &self.table
            && !table.column.eq_ignore_ascii_case(&self.database.column)
        {
            columns.push(&table.column);
        }
        columns
    }

    /// Whether `column` decides a row's place.
    pub fn is_key_column(&self, column: &str) -> bool {
        self.key_columns().iter().any(|key| key.eq_ignore_ascii_case(column))
    }

    /// Where a row with these key values lies, among `shards` shards. `table_key` is the value of
    /// the table rule's column (the same value when the rules share their column, anything when
    /// there is no table rule).
    pub fn locate(
        &self,
        shards: u32,
        database_key: &KeyValue,
        table_key: &KeyValue,
    ) -> Result<Target, LocateError> {
        let tables = self.tables_per_shard.max(1);
        let Some(table) = &self.table else {
            return Ok(Target {
                shard: self.database.algorithm.index(database_key, shards)?,
                suffix: 0,
            });
        };
        if self.has_same_key()
            && let Some(Number::Modulo(number)) = self.database.algorithm.number(database_key)?
        {
            return Ok(self.locate_through(number, shards, tables));
        }
        Ok(Target {
            shard: self.database.algorithm.index(database_key, shards)?,
            suffix: table.algorithm.index(table_key, tables)?,
        })
    }

    /// The "same key" formulas.
    fn locate_through(&self, number: u128, shards: u32, tables: u32) -> Target {
        let (shards, tables) = (u128::from(shards.max(1)), u128::from(tables));
        if matches!(self.database.algorithm, Algorithm::RightShift { .. }) {
            return Target {
                shard: narrow(number % shards),
                suffix: narrow((number / shards) % tables),
            };
        }
        let through = number % (shards * tables);
        Target { shard: narrow(through / tables), suffix: narrow(through % tables) }
    }

    /// Where a row may lie of which only the database rule's key is known.
    pub fn locate_database(
        &self,
        shards: u32,
        database_key: &KeyValue,
    ) -> Result<Vec<Target>, LocateError> {
        if self.key_columns().len() == 1 {
            return Ok(vec![self.locate(shards, database_key, database_key)?]);
        }
        let shard = self.database.algorithm.index(database_key, shards)?;
        Ok((0..self.tables_per_shard.max(1)).map(|suffix| Target { shard, suffix }).collect())
    }

    /// Where a row may lie of which only the table rule's key is known.
    pub fn locate_table(
        &self,
        shards: u32,
        table_key: &KeyValue,
    ) -> Result<Vec<Target>, LocateError> {
        let Some(table) = &self.table else { return Ok(self.all_targets(shards)) };
        if self.key_columns().len() == 1 {
            return Ok(vec![self.locate(shards, table_key, table_key)?]);
        }
        let suffix = table.algorithm.index(table_key, self.tables_per_shard.max(1))?;
        Ok((0..shards).map(|shard| Target { shard, suffix }).collect())
    }

    /// Every physical table, by shard, then by number.
    pub fn all_targets(&self, shards: u32) -> Vec<Target> {
        let tables = self.tables_per_shard.max(1);
        (0..shards)
            .flat_map(|shard| (0..tables).map(move |suffix| Target { shard, suffix }))
            .collect()
    }
}

#[cfg(test)]
mod tests;
