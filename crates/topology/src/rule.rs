//! Rules as they are written and checked: names of algorithms, which level and column class each
//! may have, bounds of its arguments, lengths of names. What passes here can be routed.

use crate::model::{
    Algorithm, Column, ColumnClass, DatePart, KeyRule, Placement, Schema, ShardMode, ShardingRule,
    Table, ValueRange,
};
use base::sql_error::{SqlError, WRONG_SHARDING_RULE};
use std::fmt;

/// A physical table's name is never longer (the documents' limit, one below the servers').
pub const TABLE_NAME_CHARS_MAX: usize = 63;

/// TBPARTITIONS of algorithms that set no bound of their own.
pub const TABLES_PER_SHARD_MAX: u32 = 4_096;

/// More digits of a DECIMAL key cannot be counted.
pub const KEY_DECIMAL_DIGITS_MAX: u32 = 38;

/// Table names that begin so are the product's own.
pub const RESERVED_TABLE_PREFIX: &str = "_ddm";

/// System tables of the original product, never a user's.
pub const RESERVED_TABLES: [&str; 2] = ["tbl_drds_table", "mycat_sequence"];

/// Whether a rule decides the shard or the table inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// DBPARTITION BY.
    Database,
    /// TBPARTITION BY.
    Table,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Database => "DBPARTITION BY",
            Level::Table => "TBPARTITION BY",
        })
    }
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// No such algorithm.
    #[error("'{0}' is not a sharding algorithm")]
    UnknownAlgorithm(String),
    /// A date function that is none of the four.
    #[error("'{0}' cannot wrap a sharding key; year, month, weekofyear and day can")]
    UnknownDateFunction(String),
    /// The algorithm takes no date function.
    #[error("{0} takes the column itself, without a date function")]
    DateFunctionNotAllowed(&'static str),
    /// An argument is missing or is too much.
    #[error("{0} is written {0}({1})")]
    WrongArguments(&'static str, &'static str),
    /// An algorithm on a level that does not have it.
    #[error("{algorithm} cannot be used with {level}")]
    WrongLevel {
        /// The algorithm.
        algorithm: &'static str,
        /// The level.
        level: Level,
    },
    /// The key is no column of the table.
    #[error("sharding key '{0}' is not a column of the table")]
    UnknownColumn(String),
    /// The key's type does not fit.
    #[error("{algorithm} cannot be used on '{column}' of type {column_type}; it takes {wanted}")]
    WrongType {
        /// The algorithm.
        algorithm: &'static str,
        /// The key column.
        column: String,
        /// Its type.
        column_type: String,
        /// What would fit.
        wanted: &'static str,
    },
    /// A generated column as key.
    #[error("generated column '{0}' cannot be a sharding key")]
    GeneratedKey(String),
    /// TBPARTITIONS out of bounds.
    #[error("TBPARTITIONS {given} is out of range: {algorithm} takes 1 to {max}")]
    WrongTableCount {
        /// The algorithm.
        algorithm: &'static str,
        /// What was asked for.
        given: u32,
        /// The most that it takes.
        max: u32,
    },
    /// RIGHT_SHIFT by more bits than the column has.
    #[error("RIGHT_SHIFT by {bits} bits passes the {width} bits of '{column}'")]
    ShiftTooWide {
        /// The bits.
        bits: u32,
        /// The key column's bits.
        width: u32,
        /// The key column.
        column: String,
    },
    /// A RANGE list that cannot be used.
    #[error("wrong RANGE list: {0}")]
    WrongRanges(String),
    /// A name that is too long with its number.
    #[error("table name '{0}' is too long: a physical name has at most 63 characters")]
    NameTooLong(String),
    /// A name of the product's own.
    #[error("table name '{0}' is reserved")]
    ReservedName(String),
    /// A sharded table in a single schema.
    #[error("schema '{0}' is not sharded: its tables take no sharding clause")]
    SchemaNotSharded(String),
}

impl From<RuleError> for SqlError {
    fn from(error: RuleError) -> Self {
        SqlError::new(WRONG_SHARDING_RULE, error.to_string())
    }
}

impl DatePart {
    /// The date function of this name (any case).
    pub fn parse(name: &str) -> Result<DatePart, RuleError> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "year" => DatePart::Year,
            "month" => DatePart::Month,
            "weekofyear" => DatePart::WeekOfYear,
            "day" => DatePart::Day,
            _ => return Err(RuleError::UnknownDateFunction(name.to_owned())),
        })
    }

    /// Its name, lower case.
    pub fn name(self) -> &'static str {
        match self {
            DatePart::Year => "year",
            DatePart::Month => "month",
            DatePart::WeekOfYear => "weekofyear",
            DatePart::Day => "day",
        }
    }
}

impl Algorithm {
    /// The algorithm of this name (any case) with what stands in its brackets.
    pub fn parse(
        name: &str,
        date_part: Option<DatePart>,
        argument: Option<u32>,
        ranges: Option<(Vec<ValueRange>, Option<u32>)>,
    ) -> Result<Algorithm, RuleError> {
        let algorithm = match name.to_ascii_uppercase().as_str() {
            "HASH" => Algorithm::Hash { date_part },
            "MOD_HASH" => Algorithm::ModHash,
            "MOD_HASH_CI" => Algorithm::ModHashCi,
            "RANGE" => {
                let (ranges, default) = ranges.clone().ok_or(RuleError::WrongArguments(
                    "RANGE",
                    "column) {from-to=shard, ..., default=shard}; the list is missing after RANGE(column",
                ))?;
                Algorithm::Range { date_part, ranges, default }
            }
            "RIGHT_SHIFT" => Algorithm::RightShift {
                bits: argument.ok_or(RuleError::WrongArguments("RIGHT_SHIFT", "column, bits"))?,
            },
            "YYYYMM" => Algorithm::YyyyMm,
            "YYYYDD" => Algorithm::YyyyDd,
            "YYYYWEEK" => Algorithm::YyyyWeek,
            "MM" => Algorithm::Mm,
            "DD" => Algorithm::Dd,
            "MMDD" => Algorithm::MmDd,
            "WEEK" => Algorithm::Week,
            _ => return Err(RuleError::UnknownAlgorithm(name.to_owned())),
        };
        if date_part.is_some() && algorithm.date_part().is_none() {
            return Err(RuleError::DateFunctionNotAllowed(algorithm.name()));
        }
        if argument.is_some() && !matches!(algorithm, Algorithm::RightShift { .. }) {
            return Err(RuleError::WrongArguments(algorithm.name(), "column"));
        }
        if ranges.is_some() && !matches!(algorithm, Algorithm::Range { .. }) {
            return Err(RuleError::WrongArguments(algorithm.name(), "column"));
        }
        Ok(algorithm)
    }

    /// Its name as it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Algorithm::Hash { .. } => "HASH",
            Algorithm::ModHash => "MOD_HASH",
            Algorithm::ModHashCi => "MOD_HASH_CI",
            Algorithm::Range { .. } => "RANGE",
            Algorithm::RightShift { .. } => "RIGHT_SHIFT",
            Algorithm::YyyyMm => "YYYYMM",
            Algorithm::YyyyDd => "YYYYDD",
            Algorithm::YyyyWeek => "YYYYWEEK",
            Algorithm::Mm => "MM",
            Algorithm::Dd => "DD",
            Algorithm::MmDd => "MMDD",
            Algorithm::Week => "WEEK",
        }
    }

    /// The date function around the column.
    pub fn date_part(&self) -> Option<DatePart> {
        match self {
            Algorithm::Hash { date_part } | Algorithm::Range { date_part, .. } => *date_part,
            _ => None,
        }
    }

    /// `0-10=0, 11-20=1, default=3`; empty for all but RANGE.
    pub fn range_list(&self) -> String {
        let Algorithm::Range { ranges, default, .. } = self else { return String::new() };
        let listed =
            ranges.iter().map(|range| format!("{}-{}={}", range.from, range.to, range.shard));
        let default = default.map(|shard| format!("default={shard}"));
        listed.chain(default).collect::<Vec<_>>().join(", ")
    }

    fn check_level(&self, level: Level) -> Result<(), RuleError> {
        let table_only =
            matches!(self, Algorithm::Mm | Algorithm::Dd | Algorithm::MmDd | Algorithm::Week);
        let fits = match level {
            Level::Database => !table_only,
            Level::Table => !matches!(self, Algorithm::Range { .. }),
        };
        if fits { Ok(()) } else { Err(RuleError::WrongLevel { algorithm: self.name(), level }) }
    }

    fn check_type(&self, column: &Column) -> Result<(), RuleError> {
        let integer = column.integer_bits().is_some();
        let whole_decimal = matches!(column.class, ColumnClass::Decimal { scale: 0 })
            && column.decimal_precision().is_some_and(|digits| digits <= KEY_DECIMAL_DIGITS_MAX);
        let text =
            matches!(column.type_name(), "char" | "varchar" | "character" | "nchar" | "nvarchar");
        let date = matches!(column.class, ColumnClass::Date | ColumnClass::DateTime);
        let (fits, wanted) = match self {
            Algorithm::Hash { date_part: Some(_) }
            | Algorithm::Range { date_part: Some(_), .. } => {
                (date, "DATE, DATETIME or TIMESTAMP inside a date function")
            }
            Algorithm::Hash { .. } | Algorithm::ModHash | Algorithm::ModHashCi => (
                integer || whole_decimal || text,
                "an integer, DECIMAL(n,0) of at most 38 digits, CHAR or VARCHAR",
            ),
            Algorithm::Range { .. } | Algorithm::RightShift { .. } => (integer, "an integer"),
            _ => (date, "DATE, DATETIME or TIMESTAMP"),
        };
        if fits {
            return Ok(());
        }
        Err(RuleError::WrongType {
            algorithm: self.name(),
            column: column.name.clone(),
            column_type: column.column_type.clone(),
            wanted,
        })
    }

    fn check_arguments(&self, column: &Column, shards: u32) -> Result<(), RuleError> {
        match self {
            Algorithm::RightShift { bits } => {
                let width = column.integer_bits().unwrap_or(64);
                if *bits > width {
                    let column = column.name.clone();
                    return Err(RuleError::ShiftTooWide { bits: *bits, width, column });
                }
                Ok(())
            }
            Algorithm::Range { ranges, default, .. } => check_ranges(ranges, *default, shards),
            _ => Ok(()),
        }
    }

    /// The most tables in a shard that can ever hold a row.
    fn tables_max(&self) -> u32 {
        match self {
            Algorithm::Mm => 12,
            Algorithm::Dd => 31,
            Algorithm::MmDd => 366,
            Algorithm::Week => 7,
            _ => TABLES_PER_SHARD_MAX,
        }
    }
}

fn check_ranges(ranges: &[ValueRange], default: Option<u32>, shards: u32) -> Result<(), RuleError> {
    let wrong = |text: String| Err(RuleError::WrongRanges(text));
    if ranges.is_empty() {
        return wrong("it has no range".into());
    }
    for range in ranges {
        if range.from > range.to {
            return wrong(format!("{}-{} goes down", range.from, range.to));
        }
    }
    if let Some(shard) =
        ranges.iter().map(|range| range.shard).chain(default).find(|s| *s >= shards)
    {
        return wrong(format!(
            "there is no shard {shard}, the last one is {}",
            shards.saturating_sub(1)
        ));
    }
    let mut sorted: Vec<&ValueRange> = ranges.iter().collect();
    sorted.sort_by_key(|range| range.from);
    match sorted.windows(2).find(|pair| pair[1].from <= pair[0].to) {
        Some(pair) => wrong(format!(
            "{}-{} and {}-{} overlap",
            pair[0].from, pair[0].to, pair[1].from, pair[1].to
        )),
        None => Ok(()),
    }
}

impl ShardingRule {
    /// Checks the rule against the columns of its table and the shards of its schema.
    pub fn check(&self, columns: &[Column], shards: u32) -> Result<(), RuleError> {
        check_key(&self.database, Level::Database, columns, shards)?;
        if let Some(table) = &self.table {
            check_key(table, Level::Table, columns, shards)?;
        }
        let (algorithm, max) = match &self.table {
            Some(table) => (table.algorithm.name(), table.algorithm.tables_max()),
            None => (self.database.algorithm.name(), 1),
        };
        let given = self.tables_per_shard;
        if given == 0 || given > max {
            return Err(RuleError::WrongTableCount { algorithm, given, max });
        }
        Ok(())
    }
}

fn check_key(
    key: &KeyRule,
    level: Level,
    columns: &[Column],
    shards: u32,
) -> Result<(), RuleError> {
    key.algorithm.check_level(level)?;
    let column = columns
        .iter()
        .find(|column| column.name.eq_ignore_ascii_case(&key.column))
        .ok_or_else(|| RuleError::UnknownColumn(key.column.clone()))?;
    if column.generated {
        return Err(RuleError::GeneratedKey(column.name.clone()));
    }
    key.algorithm.check_type(column)?;
    key.algorithm.check_arguments(column, shards)
}

/// Checks a new table's name and rule for its schema.
pub fn check_table(schema: &Schema, table: &Table) -> Result<(), RuleError> {
    check_table_name(&table.name)?;
    let shards = schema.shard_count();
    match &table.placement {
        Placement::Single => Ok(()),
        _ if schema.mode == ShardMode::Single => {
            Err(RuleError::SchemaNotSharded(schema.name.clone()))
        }
        Placement::Broadcast => Ok(()),
        Placement::Sharded(rule) => {
            rule.check(&table.columns, shards)?;
            let longest = table.physical_name(rule.tables_per_shard.saturating_sub(1));
            if longest.chars().count() > TABLE_NAME_CHARS_MAX {
                return Err(RuleError::NameTooLong(table.name.clone()));
            }
            Ok(())
        }
    }
}

/// Checks a new table's name alone.
pub fn check_table_name(name: &str) -> Result<(), RuleError> {
    let lower = name.to_lowercase();
    if lower.starts_with(RESERVED_TABLE_PREFIX) || RESERVED_TABLES.contains(&lower.as_str()) {
        return Err(RuleError::ReservedName(name.to_owned()));
    }
    if name.chars().count() > TABLE_NAME_CHARS_MAX {
        return Err(RuleError::NameTooLong(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        [
            ("id", "bigint(20)"),
            ("small", "smallint(6)"),
            ("name", "varchar(20)"),
            ("day", "date"),
            ("at", "datetime"),
            ("whole", "decimal(10,0)"),
            ("money", "decimal(10,2)"),
            ("notes", "text"),
        ]
        .map(|(name, column_type)| Column::plain(name, column_type))
        .to_vec()
    }

    fn key(name: &str, column: &str) -> KeyRule {
        let ranges =
            (name == "RANGE").then(|| (vec![ValueRange { from: 1, to: 2, shard: 0 }], Some(7)));
        let bits = (name == "RIGHT_SHIFT").then_some(4);
        KeyRule {
            column: column.into(),
            algorithm: Algorithm::parse(name, None, bits, ranges).unwrap(),
        }
    }

    fn check(database: KeyRule, table: Option<(KeyRule, u32)>) -> Result<(), RuleError> {
        let tables_per_shard = table.as_ref().map_or(1, |(_, count)| *count);
        let table = table.map(|(rule, _)| rule);
        ShardingRule { database, table, tables_per_shard }.check(&columns(), 8)
    }

    #[test]
    fn types_by_algorithm() {
        for (name, fitting) in [
            ("HASH", vec!["id", "small", "name", "whole"]),
            ("MOD_HASH", vec!["id", "small", "name", "whole"]),
            ("MOD_HASH_CI", vec!["id", "small", "name", "whole"]),
            ("RANGE", vec!["id", "small"]),
            ("RIGHT_SHIFT", vec!["id", "small"]),
            ("YYYYMM", vec!["day", "at"]),
            ("YYYYDD", vec!["day", "at"]),
            ("YYYYWEEK", vec!["day", "at"]),
        ] {
            for column in columns() {
                let ok = check(key(name, &column.name), None).is_ok();
                assert_eq!(ok, fitting.contains(&column.name.as_str()), "{name}({})", column.name);
            }
        }
    }

    #[test]
    fn levels_and_counts() {
        let table = |name, count| check(key("MOD_HASH", "id"), Some((key(name, "day"), count)));
        for (name, max) in [("MM", 12), ("DD", 31), ("MMDD", 366), ("WEEK", 7)] {
            assert_eq!(table(name, max), Ok(()));
            assert!(matches!(table(name, max + 1), Err(RuleError::WrongTableCount { .. })));
            assert!(matches!(check(key(name, "day"), None), Err(RuleError::WrongLevel { .. })));
        }
        assert!(matches!(table("YYYYMM", 0), Err(RuleError::WrongTableCount { .. })));
        let range = check(key("MOD_HASH", "id"), Some((key("RANGE", "id"), 3)));
        assert!(matches!(range, Err(RuleError::WrongLevel { .. })));
        assert!(matches!(check(key("HASH", "gone"), None), Err(RuleError::UnknownColumn(_))));
    }

    #[test]
    fn arguments() {
        let mut shift = key("RIGHT_SHIFT", "small");
        shift.algorithm = Algorithm::RightShift { bits: 17 };
        assert!(matches!(check(shift, None), Err(RuleError::ShiftTooWide { width: 16, .. })));
        let date_part = Some(DatePart::Year);
        assert!(Algorithm::parse("hash", date_part, None, None).is_ok());
        assert!(Algorithm::parse("YYYYMM", date_part, None, None).is_err());
        assert!(Algorithm::parse("HASH", None, Some(3), None).is_err());
        assert!(Algorithm::parse("RIGHT_SHIFT", None, None, None).is_err());
        assert!(Algorithm::parse("UNI_HASH", None, None, None).is_err());
        assert!(DatePart::parse("quarter").is_err());
    }

    #[test]
    fn range_lists() {
        let range = |from, to, shard| ValueRange { from, to, shard };
        let check = |ranges: &[ValueRange], default| check_ranges(ranges, default, 8);
        assert!(check(&[range(0, 10, 0), range(11, 20, 1)], Some(3)).is_ok());
        assert!(check(&[range(0, 10, 0), range(10, 20, 1)], None).is_err());
        assert!(check(&[range(5, 1, 0)], None).is_err());
        assert!(check(&[range(0, 1, 8)], None).is_err());
        assert!(check(&[range(0, 1, 0)], Some(8)).is_err());
        assert!(check(&[], Some(0)).is_err());
        let algorithm = Algorithm::Range {
            date_part: None,
            ranges: vec![range(0, 10, 0), range(11, 20, 1)],
            default: Some(3),
        };
        assert_eq!(algorithm.range_list(), "0-10=0, 11-20=1, default=3");
    }

    #[test]
    fn names() {
        assert!(check_table_name("orders").is_ok());
        assert!(check_table_name("_DDM_x").is_err());
        assert!(check_table_name("MYCAT_SEQUENCE").is_err());
        assert!(check_table_name(&"x".repeat(63)).is_ok());
        assert!(check_table_name(&"x".repeat(64)).is_err());
    }
}
