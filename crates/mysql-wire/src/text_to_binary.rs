//! Text rows made into binary rows: a client that executes a prepared statement expects binary
//! rows, while the shards may have been asked in text.

use crate::DecodeError;
use crate::column::{ColumnDefinition, ColumnType};
use crate::lenenc::{Reader, put_bytes};
use crate::row::{begin_binary_row, mark_null, put_integer};
use crate::temporal::{DateValue, TimeValue};

/// Appends the binary row that says the same as the text row `row`.
pub fn text_row_to_binary(
    row: &[u8],
    columns: &[ColumnDefinition],
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(row);
    let bitmap = begin_binary_row(out, columns.len());
    for (index, column) in columns.iter().enumerate() {
        match reader.text_field()? {
            Some(text) => text_to_binary(text, column, out)?,
            None => mark_null(out, &bitmap, index),
        }
    }
    if reader.is_empty() {
        Ok(())
    } else {
        Err(DecodeError::Malformed("a row with too many fields"))
    }
}

/// Appends the binary form of one field that is not NULL.
pub fn text_to_binary(
    text: &[u8],
    column: &ColumnDefinition,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let column_type = column.column_type;
    match column_type {
        _ if column_type.is_integer() => put_integer(out, parse_integer(text)?, column_type)?,
        ColumnType::Float => {
            let value: f32 = parse_float(text)?;
            out.extend_from_slice(&value.to_le_bytes());
        }
        ColumnType::Double => out.extend_from_slice(&parse_real(text)?.to_le_bytes()),
        ColumnType::Date | ColumnType::NewDate => DateValue::parse(text, false)?.put_binary(out),
        _ if column_type.is_date() => DateValue::parse(text, true)?.put_binary(out),
        _ if column_type.is_time() => TimeValue::parse(text)?.put_binary(out),
        // Everything else is the same string in both forms, BIT and DECIMAL too.
        _ => put_bytes(out, text),
    }
    Ok(())
}

/// A whole number of at most 20 digits (the widest column is BIGINT).
pub(crate) fn parse_integer(text: &[u8]) -> Result<i128, DecodeError> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    // ZEROFILL may pad with many zeros.
    let significant = digits.len() - digits.iter().take_while(|b| **b == b'0').count();
    if digits.is_empty() || significant > 20 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecodeError::Malformed("a whole number's text"));
    }
    let value = digits.iter().fold(0i128, |n, b| n * 10 + i128::from(b - b'0'));
    Ok(if negative { -value } else { value })
}

/// A DOUBLE's text.
pub(crate) fn parse_real(text: &[u8]) -> Result<f64, DecodeError> {
    parse_float(text)
}

fn parse_float<F: std::str::FromStr>(text: &[u8]) -> Result<F, DecodeError> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(DecodeError::Malformed("a number's text"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::column::ColumnFlags;
    use crate::column::tests::column;
    use crate::row::{decode_binary_row, put_text_field};
    use crate::value::Value;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn every_type() {
        use ColumnType as T;
        let plain = ColumnFlags::default();
        let unsigned = ColumnFlags::UNSIGNED;
        let cases: Vec<(T, ColumnFlags, &[u8], &[u8])> = vec![
            (T::Tiny, plain, b"-128", b"\x80"),
            (T::Tiny, unsigned, b"255", b"\xff"),
            (T::Short, plain, b"-2", b"\xfe\xff"),
            (T::Year, unsigned, b"2024", b"\xe8\x07"),
            (T::Int24, plain, b"-1", b"\xff\xff\xff\xff"),
            (T::Long, unsigned, b"0004294967295", b"\xff\xff\xff\xff"),
            (T::LongLong, plain, b"-9223372036854775808", b"\0\0\0\0\0\0\0\x80"),
            (T::LongLong, unsigned, b"18446744073709551615", b"\xff\xff\xff\xff\xff\xff\xff\xff"),
            (T::Float, plain, b"1.5", b"\0\0\xc0\x3f"),
            (T::Double, plain, b"-1e-3", b"\xfc\xa9\xf1\xd2\x4d\x62\x50\xbf"),
            (T::NewDecimal, plain, b"-12.50", b"\x06-12.50"),
            (T::Date, plain, b"2024-02-29", b"\x04\xe8\x07\x02\x1d"),
            (
                T::Datetime,
                plain,
                b"2024-02-29 00:00:00.5",
                b"\x0b\xe8\x07\x02\x1d\0\0\0\x20\xa1\x07\0",
            ),
            (T::Timestamp, plain, b"2024-02-29 01:00:00", b"\x07\xe8\x07\x02\x1d\x01\0\0"),
            (T::Time, plain, b"-838:59:59", b"\x08\x01\x22\0\0\0\x16\x3b\x3b"),
            (T::Bit, unsigned, b"\x05", b"\x01\x05"),
            (T::VarString, plain, b"abc", b"\x03abc"),
            (T::Blob, plain, b"\xff\0", b"\x02\xff\0"),
            (T::Json, plain, b"{}", b"\x02{}"),
            (T::Enum, plain, b"a", b"\x01a"),
        ];
        for (column_type, flags, text, binary) in cases {
            let mut out = Vec::new();
            text_to_binary(text, &column(column_type, flags), &mut out).unwrap();
            assert_eq!(out, binary, "{column_type:?}");
        }
    }

    #[test]
    fn nulls_and_the_number_of_fields() {
        let columns = vec![column(ColumnType::Long, ColumnFlags::default()); 8];
        let mut row = Vec::new();
        for index in 0..8 {
            put_text_field(&mut row, (index % 3 != 0).then_some(&b"7"[..]));
        }
        let mut out = Vec::new();
        text_row_to_binary(&row, &columns, &mut out).unwrap();
        let want: Vec<Value> =
            (0..8).map(|i| if i % 3 == 0 { Value::Null } else { Value::Int(7) }).collect();
        assert_eq!(decode_binary_row(&out, &columns).unwrap(), want);
        assert!(text_row_to_binary(&row, &columns[..7], &mut Vec::new()).is_err());
        assert!(text_row_to_binary(&row[..row.len() - 1], &columns, &mut Vec::new()).is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        for (column_type, text) in [
            (ColumnType::Long, &b""[..]),
            (ColumnType::Long, b"1x"),
            (ColumnType::Tiny, b"300"),
            (ColumnType::LongLong, b"99999999999999999999999"),
            (ColumnType::Double, b"x"),
            (ColumnType::Double, b"\xff"),
            (ColumnType::Date, b"x"),
            (ColumnType::Time, b"12"),
        ] {
            let column = column(column_type, ColumnFlags::default());
            assert!(
                text_to_binary(text, &column, &mut Vec::new()).is_err(),
                "{column_type:?} {text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(row in vec(any::<u8>(), 0..60), types in vec(any::<u8>(), 0..8)) {
            let columns: Vec<_> = types.iter().filter_map(|b| ColumnType::from_u8(*b))
                .map(|column_type| column(column_type, ColumnFlags::default())).collect();
            let _ = text_row_to_binary(&row, &columns, &mut Vec::new());
        }

        #[test]
        fn integers(value: i64) {
            prop_assert_eq!(parse_integer(value.to_string().as_bytes()), Ok(i128::from(value)));
        }
    }
}
