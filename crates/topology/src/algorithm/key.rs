//! SQL values → key values. A value is first made what its column holds (a quoted number on an
//! integer column is that number), once by the rules of assignment, for rows that are written, and
//! once by the rules of comparison, for conditions. A comparison that cannot be turned into "the
//! stored value is exactly this" says so, and the caller then looks everywhere.

use super::calendar::Date;
use super::date_text::{Parsed, parse_number, parse_text};
use crate::model::{Column, ColumnClass};
use base::sql_error::{NOT_SUPPORTED, SqlError};

/// A literal or a parameter, as it was given.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlValue {
    /// NULL.
    Null,
    /// A whole number.
    Integer(i128),
    /// A number with a point, as written.
    Decimal(String),
    /// A number with an exponent, or a binary float parameter.
    Float(f64),
    /// A string, unescaped, in UTF-8.
    Text(Vec<u8>),
    /// A hexadecimal or bit literal, or a binary parameter.
    Binary(Vec<u8>),
    /// A typed date or time literal or parameter, as text.
    Temporal(Vec<u8>),
}

/// A value of a key column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyValue {
    /// Of an integer (or scale-0 decimal) column.
    Integer(i128),
    /// Of a character column.
    Text(Vec<u8>),
    /// Of a date or time column: its date.
    Date(Date),
    /// NULL, the zero date: nothing that an algorithm can take. Such rows are in shard 0, table 0.
    Invalid,
}

/// What `column = value` says about the stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparable {
    /// The stored value is this one.
    Exactly(KeyValue),
    /// No stored value is equal.
    Nothing,
    /// Not known; any row may match.
    Unknown,
}

/// Why a key of a row that is written cannot be placed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Its stored form is not certain.
    #[error(
        "the value given for sharding key '{column}' cannot be placed with certainty; \
         write it as a literal of the column's own type"
    )]
    Uncertain {
        /// The key column.
        column: String,
    },
}

impl From<KeyError> for SqlError {
    fn from(error: KeyError) -> Self {
        SqlError::new(NOT_SUPPORTED, error.to_string())
    }
}

impl KeyValue {
    /// What `column` stores when `value` is assigned to it.
    pub fn assigned(column: &Column, value: &SqlValue) -> Result<KeyValue, KeyError> {
        if *value == SqlValue::Null {
            return Ok(KeyValue::Invalid);
        }
        let stored = match column.class {
            ColumnClass::Integer
            | ColumnClass::UnsignedInteger
            | ColumnClass::Decimal { scale: 0 } => {
                assigned_integer(value).map(|number| KeyValue::Integer(clip(column, number)))
            }
            ColumnClass::Text | ColumnClass::Binary => match value {
                SqlValue::Text(text) | SqlValue::Binary(text) => Some(KeyValue::Text(text.clone())),
                SqlValue::Integer(number) => Some(KeyValue::Text(number.to_string().into_bytes())),
                _ => None,
            },
            ColumnClass::Date | ColumnClass::DateTime => {
                date_of(value).map(|parsed| match parsed {
                    Parsed::Date(date) => KeyValue::Date(date),
                    Parsed::Zero | Parsed::Wrong => KeyValue::Invalid,
                })
            }
            _ => None,
        };
        stored.ok_or_else(|| KeyError::Uncertain { column: column.name.clone() })
    }

    /// What `column = value` says about the stored value.
    pub fn compared(column: &Column, value: &SqlValue) -> Comparable {
        if *value == SqlValue::Null {
            return Comparable::Nothing;
        }
        match column.class {
            ColumnClass::Integer
            | ColumnClass::UnsignedInteger
            | ColumnClass::Decimal { scale: 0 } => compared_integer(column, value),
            ColumnClass::Text | ColumnClass::Binary => match value {
                SqlValue::Text(text) | SqlValue::Binary(text) => {
                    Comparable::Exactly(KeyValue::Text(text.clone()))
                }
                _ => Comparable::Unknown,
            },
            ColumnClass::Date | ColumnClass::DateTime => match date_of(value) {
                Some(Parsed::Date(date)) => Comparable::Exactly(KeyValue::Date(date)),
                Some(Parsed::Zero) => Comparable::Exactly(KeyValue::Invalid),
                Some(Parsed::Wrong) | None => Comparable::Unknown,
            },
            _ => Comparable::Unknown,
        }
    }
}

fn compared_integer(column: &Column, value: &SqlValue) -> Comparable {
    let number = match value {
        SqlValue::Integer(number) => Some(*number),
        SqlValue::Text(text) => whole_number(text),
        SqlValue::Decimal(text) => match text.split_once('.') {
            Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => {
                whole_number(if whole.is_empty() { b"0" } else { whole.as_bytes() })
            }
            _ => None,
        },
        _ => None,
    };
    match number {
        None => Comparable::Unknown,
        Some(number) if clip(column, number) == number => {
            Comparable::Exactly(KeyValue::Integer(number))
        }
        // Outside the column's values; a text is compared as a float then, which is not exact.
        Some(_) if matches!(value, SqlValue::Text(_)) => Comparable::Unknown,
        Some(_) => Comparable::Nothing,
    }
}

/// A text that is a whole number and nothing else but leading blanks.
fn whole_number(text: &[u8]) -> Option<i128> {
    std::str::from_utf8(text.trim_ascii_start()).ok()?.parse().ok()
}

fn date_of(value: &SqlValue) -> Option<Parsed> {
    match value {
        SqlValue::Text(text) | SqlValue::Temporal(text) => Some(parse_text(text)),
        SqlValue::Integer(number) => Some(parse_number(*number)),
        _ => None,
    }
}

/// The whole number that an assignment makes of a value, before the column's limits.
fn assigned_integer(value: &SqlValue) -> Option<i128> {
    match value {
        SqlValue::Integer(number) => Some(*number),
        SqlValue::Decimal(text) => rounded(text.as_bytes()),
        SqlValue::Float(number) => {
            number.is_finite().then(|| float_to_integer(number.round_ties_even()))
        }
        SqlValue::Text(text) => rounded(text),
        // x'31' is a text to one server and a number to another.
        SqlValue::Null | SqlValue::Binary(_) | SqlValue::Temporal(_) => None,
    }
}

/// Saturating, as the cast is.
#[allow(clippy::cast_possible_truncation)]
fn float_to_integer(number: f64) -> i128 {
    number as i128
}

/// The leading number of a text, rounded half away from zero; 0 without one (the data node refuses
/// the row in strict mode and stores 0 otherwise). `None` where digits pass what can be counted.
fn rounded(text: &[u8]) -> Option<i128> {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let whole_length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = &digits[whole_length..];
    let fraction = rest.strip_prefix(b".").unwrap_or(b"");
    let fraction_length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let after = if rest.starts_with(b".") { &fraction[fraction_length..] } else { rest };
    if matches!(after.first(), Some(b'e' | b'E')) && whole_length + fraction_length > 0 {
        let number: f64 = std::str::from_utf8(text.trim_ascii_end()).ok()?.parse().ok()?;
        return number.is_finite().then(|| float_to_integer(number.round_ties_even()));
    }
    let mut number: i128 = 0;
    for digit in &digits[..whole_length] {
        number = number.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    if fraction.first().is_some_and(|digit| (b'5'..=b'9').contains(digit)) {
        number = number.checked_add(1)?;
    }
    Some(if negative { -number } else { number })
}

/// The nearest value that the column can hold.
fn clip(column: &Column, number: i128) -> i128 {
    let Some((low, high)) = column.integer_bounds() else { return number };
    number.clamp(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(column_type: &str) -> Column {
        Column::plain("k", column_type)
    }

    fn text(text: &str) -> SqlValue {
        SqlValue::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn assignment_to_integers() {
        let int = column("int(11)");
        for (value, stored) in [
            (text("8"), 8),
            (text(" 8"), 8),
            (text("1.5"), 2),
            (text("-1.5"), -2),
            (text("2.49"), 2),
            (text("x"), 0),
            (text("12x"), 12),
            (text("1e2"), 100),
            (SqlValue::Decimal("2.5".into()), 3),
            (SqlValue::Decimal(".4".into()), 0),
            (SqlValue::Float(2.5), 2),
            (SqlValue::Float(3.5), 4),
            (SqlValue::Integer(99_999_999_999), 2_147_483_647),
        ] {
            assert_eq!(
                KeyValue::assigned(&int, &value),
                Ok(KeyValue::Integer(stored)),
                "{value:?}"
            );
        }
        let unsigned = column("bigint(20) unsigned");
        assert_eq!(KeyValue::assigned(&unsigned, &SqlValue::Integer(-5)), Ok(KeyValue::Integer(0)));
        assert_eq!(
            KeyValue::assigned(&unsigned, &text("18446744073709551615")),
            Ok(KeyValue::Integer(u64::MAX.into()))
        );
        assert_eq!(KeyValue::assigned(&int, &SqlValue::Null), Ok(KeyValue::Invalid));
        assert!(KeyValue::assigned(&int, &SqlValue::Temporal(b"2024-01-01".to_vec())).is_err());
        assert!(KeyValue::assigned(&int, &SqlValue::Binary(vec![1, 0])).is_err());
    }

    #[test]
    fn comparison_is_exact_or_says_so() {
        use Comparable::{Exactly, Nothing, Unknown};
        let int = column("int(11)");
        let is = |number| Exactly(KeyValue::Integer(number));
        for (value, wanted) in [
            (SqlValue::Integer(8), is(8)),
            (text("8"), is(8)),
            (text("+8"), is(8)),
            (text("8x"), Unknown),
            (text("8.0"), Unknown),
            (SqlValue::Decimal("8.00".into()), is(8)),
            (SqlValue::Decimal("8.01".into()), Unknown),
            (SqlValue::Float(8.0), Unknown),
            (SqlValue::Integer(1 << 40), Nothing),
            (SqlValue::Null, Nothing),
        ] {
            assert_eq!(KeyValue::compared(&int, &value), wanted, "{value:?}");
        }
        let name = column("varchar(20)");
        assert_eq!(KeyValue::compared(&name, &text("a")), Exactly(KeyValue::Text(b"a".to_vec())));
        assert_eq!(KeyValue::compared(&name, &SqlValue::Integer(1)), Unknown);
        let when = column("datetime");
        assert_eq!(KeyValue::compared(&when, &text("0000-00-00")), Exactly(KeyValue::Invalid));
        assert_eq!(KeyValue::compared(&when, &text("soon")), Unknown);
        assert_eq!(
            KeyValue::compared(&when, &text("2024-05-06 07:08:09")),
            KeyValue::compared(&when, &SqlValue::Integer(20_240_506))
        );
    }
}
