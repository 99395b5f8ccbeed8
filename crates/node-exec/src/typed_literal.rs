//! Values of a query's columns as literals that keep the column's type: where a TIME is stored as a
//! number or a DATETIME, its text alone would be read otherwise.

use mysql_wire::column::{ColumnDefinition, ColumnType};
use sql_plan::value::write_literal;
use topology::algorithm::SqlValue;

/// Writes a value of a column.
pub fn write(value: &SqlValue, column: &ColumnDefinition, out: &mut Vec<u8>) {
    match value {
        SqlValue::Temporal(text) => {
            out.extend_from_slice(word(column.column_type, text).unwrap_or_default());
        }
        // A number where a number is stored, else bytes.
        SqlValue::Binary(bytes) if column.column_type == ColumnType::Bit && !bytes.is_empty() => {
            return out.extend_from_slice(format!("0x{}", base::id::hex(bytes)).as_bytes());
        }
        _ => {}
    }
    write_literal(value, out);
}

/// The type's word, where the text is certainly a literal of it.
fn word(column_type: ColumnType, text: &[u8]) -> Option<&'static [u8]> {
    use ColumnType as T;
    match column_type {
        T::Time | T::Time2 => Some(b"TIME"),
        T::Date | T::NewDate => is_date(text).then_some(b"DATE"),
        T::Datetime | T::Datetime2 | T::Timestamp | T::Timestamp2 => {
            is_date(text).then_some(b"TIMESTAMP")
        }
        _ => None,
    }
}

/// Whether a day of the calendar, `yyyy-mm-dd`, begins a text.
fn is_date(text: &[u8]) -> bool {
    let Some((date, _)) = text.split_at_checked(10) else { return false };
    let number = |from: usize, to: usize| -> u32 {
        let digits = std::str::from_utf8(&date[from..to]).ok();
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    };
    let (year, month) = (number(0, 4), number(5, 7));
    let leaps = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(leaps),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    year > 0 && (1..=days).contains(&number(8, 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_dates_get_a_word() {
        let of = |kind, text: &str| word(kind, text.as_bytes());
        assert_eq!(of(ColumnType::Time, "-48:00:00"), Some(b"TIME".as_slice()));
        assert_eq!(of(ColumnType::Date, "2020-02-28"), Some(b"DATE".as_slice()));
        assert_eq!(
            of(ColumnType::Datetime, "2020-02-28 10:00:00.5"),
            Some(b"TIMESTAMP".as_slice())
        );
        assert_eq!(of(ColumnType::Date, "0000-00-00"), None);
        assert_eq!(of(ColumnType::Date, "2020-02-30"), None);
        assert_eq!(of(ColumnType::Date, "2021-02-29"), None);
        assert_eq!(of(ColumnType::Date, "2000-02-29"), Some(b"DATE".as_slice()));
        assert_eq!(of(ColumnType::LongLong, "7"), None);
    }
}
