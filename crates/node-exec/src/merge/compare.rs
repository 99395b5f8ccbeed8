//! The order of values, as a data node would have it. What a comparison needs was decided there:
//! numbers and times come as text with their type, texts bring their WEIGHT_STRING along, and here
//! they are only compared.

use crate::merge::decimal::Decimal;
use mysql_wire::column::{BINARY_COLLATION, ColumnDefinition, ColumnType};
use std::cmp::Ordering;

/// How two values of one column are compared.
#[derive(Clone, Debug, PartialEq)]
pub enum Comparison {
    /// Whole and exact numbers.
    Number,
    /// FLOAT and DOUBLE.
    Float,
    /// TIME: signed, hours of any length.
    Time,
    /// Bytes: binary strings, dates, NO PAD weights.
    Bytes,
    /// Weights, the shorter one padded with this space weight.
    Padded(Vec<u8>),
}

impl Comparison {
    /// How a column's values are compared, texts aside.
    pub fn of(column: &ColumnDefinition) -> Self {
        use ColumnType as T;
        match column.column_type {
            T::Tiny
            | T::Short
            | T::Int24
            | T::Long
            | T::LongLong
            | T::Year
            | T::Decimal
            | T::NewDecimal => Comparison::Number,
            T::Float | T::Double => Comparison::Float,
            T::Time | T::Time2 => Comparison::Time,
            _ => Comparison::Bytes,
        }
    }

    /// Whether a column is text, whose weight is to be compared.
    pub fn needs_weight(column: &ColumnDefinition) -> bool {
        use ColumnType as T;
        let stringy = matches!(
            column.column_type,
            T::VarChar
                | T::VarString
                | T::String
                | T::Enum
                | T::Set
                | T::TinyBlob
                | T::Blob
                | T::MediumBlob
                | T::LongBlob
        );
        stringy && column.collation != BINARY_COLLATION
    }

    /// The order of two values; NULL is lowest.
    pub fn compare(&self, a: Option<&[u8]>, b: Option<&[u8]>) -> Ordering {
        match (a, b) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => self.compare_present(a, b),
        }
    }

    fn compare_present(&self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Comparison::Number => compare_numbers(a, b),
            Comparison::Float => float(a).total_cmp(&float(b)),
            Comparison::Time => time(a).cmp(&time(b)),
            Comparison::Bytes => a.cmp(b),
            Comparison::Padded(space) => compare_padded(a, b, space),
        }
    }
}

/// A number as a double; what cannot be read is 0, as in SQL.
pub fn float(text: &[u8]) -> f64 {
    let number: f64 =
        std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    if number == 0.0 { 0.0 } else { number }
}

fn integer(text: &[u8]) -> Option<i128> {
    if text.len() > 38 {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    if let (Some(a), Some(b)) = (integer(a), integer(b)) {
        return a.cmp(&b);
    }
    match (Decimal::parse(a), Decimal::parse(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

/// Microseconds of `-838:59:59.000000`.
fn time(text: &[u8]) -> i64 {
    let (negative, text) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let (whole, fraction) = match text.iter().position(|byte| *byte == b'.') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[][..]),
    };
    let number = |digits: &[u8]| {
        digits.iter().fold(0i64, |sum, digit| sum * 10 + i64::from(digit.wrapping_sub(b'0')))
    };
    let seconds = whole.split(|byte| *byte == b':').fold(0i64, |sum, part| sum * 60 + number(part));
    let micros = (0..6).fold(0i64, |sum, at| {
        sum * 10 + i64::from(fraction.get(at).copied().unwrap_or(b'0').wrapping_sub(b'0'))
    });
    let all = seconds * 1_000_000 + micros;
    if negative { -all } else { all }
}

fn compare_padded(a: &[u8], b: &[u8], space: &[u8]) -> Ordering {
    let common = a.len().min(b.len());
    match a[..common].cmp(&b[..common]) {
        Ordering::Equal => {}
        other => return other,
    }
    let against_spaces = |rest: &[u8], at: usize| {
        for (offset, byte) in rest.iter().enumerate() {
            let pad = space.get((at + offset) % space.len().max(1)).copied().unwrap_or(0);
            match byte.cmp(&pad) {
                Ordering::Equal => {}
                other => return other,
            }
        }
        Ordering::Equal
    };
    match a.len().cmp(&b.len()) {
        Ordering::Equal => Ordering::Equal,
        Ordering::Greater => against_spaces(&a[common..], common),
        Ordering::Less => against_spaces(&b[common..], common).reverse(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_makes_trailing_spaces_equal_and_tabs_lower() {
        let general = Comparison::Padded(vec![0, 0x20]);
        let bob: &[u8] = &[0, 0x42, 0, 0x4f, 0, 0x42];
        let bob_space: &[u8] = &[0, 0x42, 0, 0x4f, 0, 0x42, 0, 0x20];
        let bob_tab: &[u8] = &[0, 0x42, 0, 0x4f, 0, 0x42, 0, 0x09];
        assert_eq!(general.compare(Some(bob), Some(bob_space)), Ordering::Equal);
        assert_eq!(general.compare(Some(bob_tab), Some(bob)), Ordering::Less);
        assert_eq!(general.compare(Some(bob), Some(bob_tab)), Ordering::Greater);
        assert_eq!(general.compare(None, Some(bob)), Ordering::Less);
    }

    #[test]
    fn numbers_and_times_compare_by_value() {
        let cases: [(&Comparison, &str, &str); 6] = [
            (&Comparison::Number, "9", "10"),
            (&Comparison::Number, "-10", "-9"),
            (&Comparison::Number, "18446744073709551614", "18446744073709551615"),
            (&Comparison::Number, "0.5", "1"),
            (&Comparison::Float, "1e2", "1000"),
            (&Comparison::Time, "99:00:00", "100:00:00"),
        ];
        for (how, low, high) in cases {
            assert_eq!(
                how.compare(Some(low.as_bytes()), Some(high.as_bytes())),
                Ordering::Less,
                "{low} {high}"
            );
        }
        assert_eq!(time(b"-00:00:01.5"), -1_500_000);
    }
}
