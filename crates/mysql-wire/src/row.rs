//! Rows: text rows are a run of length-encoded strings, binary rows are a null bitmap and values
//! in the widths of their columns' types.

use crate::DecodeError;
use crate::column::{ColumnDefinition, ColumnType};
use crate::lenenc::{Reader, put_bytes};
use crate::value::Value;
use std::io::Write;

/// NULL in a text row.
const NULL: u8 = 0xFB;
/// A binary row's bitmap begins at this bit.
const ROW_BITMAP_OFFSET: usize = 2;

/// The fields of a text row; `None` is NULL. After an error it ends.
#[derive(Clone, Debug)]
pub struct TextFields<'a>(Reader<'a>);

/// The fields of a text row.
#[inline]
pub fn text_fields(payload: &[u8]) -> TextFields<'_> {
    TextFields(Reader::new(payload))
}

impl<'a> Iterator for TextFields<'a> {
    type Item = Result<Option<&'a [u8]>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.0.text_field();
        if field.is_err() {
            self.0.rest();
        }
        Some(field)
    }
}

/// Appends a field of a text row.
#[inline]
pub fn put_text_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        Some(bytes) => put_bytes(out, bytes),
        None => out.push(NULL),
    }
}

/// Where NULLs are marked in a binary row that is being written.
pub(crate) struct BitmapStart(usize);

/// Appends a binary row's first byte and its empty bitmap.
pub(crate) fn begin_binary_row(out: &mut Vec<u8>, columns: usize) -> BitmapStart {
    out.push(0);
    let start = out.len();
    out.resize(start + (columns + ROW_BITMAP_OFFSET).div_ceil(8), 0);
    BitmapStart(start)
}

/// Marks a column of a binary row as NULL.
pub(crate) fn mark_null(out: &mut [u8], start: &BitmapStart, column: usize) {
    let bit = column + ROW_BITMAP_OFFSET;
    out[start.0 + bit / 8] |= 1 << (bit % 8);
}

/// Reads a binary row.
pub fn decode_binary_row(
    payload: &[u8],
    columns: &[ColumnDefinition],
) -> Result<Vec<Value>, DecodeError> {
    let mut reader = Reader::new(payload);
    if reader.u8()? != 0 {
        return Err(DecodeError::Malformed("a binary row's first byte"));
    }
    let bitmap = reader.take((columns.len() + ROW_BITMAP_OFFSET).div_ceil(8))?;
    let mut values = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        let bit = index + ROW_BITMAP_OFFSET;
        values.push(if bitmap[bit / 8] >> (bit % 8) & 1 == 1 {
            Value::Null
        } else {
            Value::read_binary(
                &mut reader,
                column.column_type,
                column.is_unsigned(),
                column.is_binary(),
            )?
        });
    }
    Ok(values)
}

/// Appends a binary row. Each value must fit its column's type.
pub fn put_binary_row(
    out: &mut Vec<u8>,
    values: &[Value],
    columns: &[ColumnDefinition],
) -> Result<(), DecodeError> {
    if values.len() != columns.len() {
        return Err(DecodeError::Malformed("a row with another number of values than columns"));
    }
    let bitmap = begin_binary_row(out, columns.len());
    for (index, (value, column)) in values.iter().zip(columns).enumerate() {
        match value {
            Value::Null => mark_null(out, &bitmap, index),
            value => put_binary_value(out, value, column)?,
        }
    }
    Ok(())
}

/// Appends one value that is not NULL in the width of its column's type.
pub fn put_binary_value(
    out: &mut Vec<u8>,
    value: &Value,
    column: &ColumnDefinition,
) -> Result<(), DecodeError> {
    use ColumnType as T;
    let column_type = column.column_type;
    match value {
        _ if column_type.is_integer() => put_integer(out, whole_number(value)?, column_type)?,
        Value::Float(v) if column_type == T::Float => out.extend_from_slice(&v.to_le_bytes()),
        value if column_type == T::Float => {
            out.extend_from_slice(&(real_number(value)? as f32).to_le_bytes());
        }
        value if column_type == T::Double => {
            out.extend_from_slice(&real_number(value)?.to_le_bytes());
        }
        Value::Date(date) if column_type.is_date() => date.put_binary(out),
        Value::Time(time) if column_type.is_time() => time.put_binary(out),
        _ if column_type.is_date() || column_type.is_time() => {
            return Err(DecodeError::Malformed("a value in the place of a date or time"));
        }
        _ => put_bytes(out, &as_text(value)),
    }
    Ok(())
}

/// Appends a whole number in its type's width; it must fit.
pub(crate) fn put_integer(
    out: &mut Vec<u8>,
    value: i128,
    column_type: ColumnType,
) -> Result<(), DecodeError> {
    let bytes = match column_type {
        ColumnType::Tiny => 1,
        ColumnType::Short | ColumnType::Year => 2,
        ColumnType::Long | ColumnType::Int24 => 4,
        _ => 8,
    };
    let bits = bytes as u32 * 8;
    if value < -(1i128 << (bits - 1)) || value >= 1i128 << bits {
        return Err(DecodeError::Malformed("a number beyond its column's type"));
    }
    out.extend_from_slice(&value.to_le_bytes()[..bytes]);
    Ok(())
}

fn whole_number(value: &Value) -> Result<i128, DecodeError> {
    match value {
        Value::Int(v) => Ok(i128::from(*v)),
        Value::UInt(v) => Ok(i128::from(*v)),
        Value::Decimal(text) | Value::Bytes(text) => crate::text_to_binary::parse_integer(text),
        _ => Err(DecodeError::Malformed("a value in the place of a whole number")),
    }
}

fn real_number(value: &Value) -> Result<f64, DecodeError> {
    match value {
        Value::Float(v) => Ok(f64::from(*v)),
        Value::Double(v) => Ok(*v),
        Value::Int(v) => Ok(*v as f64),
        Value::UInt(v) => Ok(*v as f64),
        Value::Decimal(text) | Value::Bytes(text) => crate::text_to_binary::parse_real(text),
        _ => Err(DecodeError::Malformed("a value in the place of a number")),
    }
}

/// A value as the characters that a string column holds.
fn as_text(value: &Value) -> std::borrow::Cow<'_, [u8]> {
    let mut out = Vec::new();
    match value {
        Value::Decimal(bytes) | Value::Bytes(bytes) | Value::Blob(bytes) => {
            return bytes.as_slice().into();
        }
        Value::Null => {}
        Value::Int(v) => write!(out, "{v}").expect("writing to memory does not fail"),
        Value::UInt(v) => write!(out, "{v}").expect("writing to memory does not fail"),
        Value::Float(v) => write!(out, "{v}").expect("writing to memory does not fail"),
        Value::Double(v) => write!(out, "{v}").expect("writing to memory does not fail"),
        Value::Date(date) => date.put_text(&mut out),
        Value::Time(time) => time.put_text(&mut out),
    }
    out.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::column::tests::column;
    use crate::column::{BINARY_COLLATION, ColumnFlags};
    use crate::temporal::{DateValue, TimeValue};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn typed_value() -> impl Strategy<Value = (ColumnDefinition, Value)> {
        use ColumnType as T;
        let plain = ColumnFlags::default();
        let string = vec(any::<u8>(), 0..300);
        prop_oneof![
            any::<i8>().prop_map(move |v| (column(T::Tiny, plain), Value::Int(i64::from(v)))),
            any::<u8>()
                .prop_map(|v| (column(T::Tiny, ColumnFlags::UNSIGNED), Value::UInt(u64::from(v)))),
            any::<i16>().prop_map(move |v| (column(T::Short, plain), Value::Int(i64::from(v)))),
            any::<u16>()
                .prop_map(|v| (column(T::Year, ColumnFlags::UNSIGNED), Value::UInt(u64::from(v)))),
            any::<i32>().prop_map(move |v| (column(T::Long, plain), Value::Int(i64::from(v)))),
            any::<i64>().prop_map(move |v| (column(T::LongLong, plain), Value::Int(v))),
            any::<u64>().prop_map(|v| (column(T::LongLong, ColumnFlags::UNSIGNED), Value::UInt(v))),
            (-1e30f32..1e30).prop_map(move |v| (column(T::Float, plain), Value::Float(v))),
            (-1e300..1e300).prop_map(move |v| (column(T::Double, plain), Value::Double(v))),
            string.clone().prop_map(move |v| (column(T::VarString, plain), Value::Bytes(v))),
            string.prop_map(move |v| {
                let definition =
                    ColumnDefinition { collation: BINARY_COLLATION, ..column(T::Blob, plain) };
                (definition, Value::Blob(v))
            }),
            (any::<u16>(), 0u8..13, 0u8..32, 0u8..24, 0u32..1_000_000).prop_map(
                move |(year, month, day, hour, micros)| {
                    let date = DateValue {
                        year,
                        month,
                        day,
                        hour,
                        micros,
                        has_time: true,
                        ..Default::default()
                    };
                    (column(T::Datetime, plain), Value::Date(date))
                }
            ),
            (1u32..40, 0u8..24, 0u32..1_000_000, any::<bool>()).prop_map(
                move |(days, hours, micros, negative)| {
                    let time = TimeValue { negative, days, hours, minutes: 7, seconds: 9, micros };
                    (column(T::Time, plain), Value::Time(time))
                }
            ),
            Just((column(T::Long, plain), Value::Null)),
        ]
    }

    #[test]
    fn a_value_beyond_its_type_is_refused() {
        let tiny = column(ColumnType::Tiny, ColumnFlags::default());
        for (value, fits) in [(-129, false), (-128, true), (255, true), (256, false)] {
            assert_eq!(
                put_binary_value(&mut Vec::new(), &Value::Int(value), &tiny).is_ok(),
                fits,
                "{value}"
            );
        }
        let date = column(ColumnType::Date, ColumnFlags::default());
        assert!(put_binary_value(&mut Vec::new(), &Value::Int(1), &date).is_err());
    }

    proptest! {
        #[test]
        fn binary_rows_round_trip(row in vec(typed_value(), 0..20)) {
            let (columns, values): (Vec<_>, Vec<_>) = row.into_iter().unzip();
            let mut out = Vec::new();
            put_binary_row(&mut out, &values, &columns).unwrap();
            prop_assert_eq!(decode_binary_row(&out, &columns).unwrap(), values);
        }

        #[test]
        fn text_rows_round_trip(fields in vec(proptest::option::of(vec(any::<u8>(), 0..300)), 0..12)) {
            let mut out = Vec::new();
            for field in &fields {
                put_text_field(&mut out, field.as_deref());
            }
            let read: Result<Vec<_>, _> = text_fields(&out).map(|f| f.map(|f| f.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(read.unwrap(), fields);
        }

        #[test]
        fn garbage_never_panics(payload in vec(any::<u8>(), 0..80), types in vec(any::<u8>(), 0..12)) {
            let columns: Vec<ColumnDefinition> = types.iter()
                .filter_map(|byte| ColumnType::from_u8(*byte))
                .map(|column_type| column(column_type, ColumnFlags::default()))
                .collect();
            let _ = decode_binary_row(&payload, &columns);
            let _ = decode_binary_row(&[&[0], &payload[..]].concat(), &columns);
            prop_assert!(text_fields(&payload).count() <= payload.len());
        }
    }
}
