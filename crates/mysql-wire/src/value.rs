//! One value of a prepared statement's parameter or of a binary row, and how it looks as SQL text.
//!
//! Character strings and binary strings are two variants: as literals they differ (a byte string
//! that is not in the connection's character set must carry an introducer), and so do their
//! comparisons.

use crate::DecodeError;
use crate::column::ColumnType;
use crate::lenenc::{Reader, put_bytes};
use crate::temporal::{DateValue, TimeValue};
use std::io::Write;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// A signed whole number.
    Int(i64),
    /// An unsigned whole number.
    UInt(u64),
    /// A FLOAT.
    Float(f32),
    /// A DOUBLE.
    Double(f64),
    /// A DECIMAL as its text.
    Decimal(Vec<u8>),
    /// Characters in the connection's character set.
    Bytes(Vec<u8>),
    /// Bytes without a character set.
    Blob(Vec<u8>),
    /// A DATE, DATETIME or TIMESTAMP.
    Date(DateValue),
    /// A TIME.
    Time(TimeValue),
}

impl Value {
    /// Reads a value in binary form. `binary` says that strings have no character set.
    pub fn read_binary(
        reader: &mut Reader<'_>,
        column_type: ColumnType,
        unsigned: bool,
        binary: bool,
    ) -> Result<Self, DecodeError> {
        use ColumnType as T;
        Ok(match column_type {
            T::Null => Value::Null,
            T::Tiny => integer(unsigned, reader.u8().map(|v| (u64::from(v), i64::from(v as i8)))?),
            T::Short | T::Year => {
                integer(unsigned, reader.u16().map(|v| (u64::from(v), i64::from(v as i16)))?)
            }
            T::Long | T::Int24 => {
                integer(unsigned, reader.u32().map(|v| (u64::from(v), i64::from(v as i32)))?)
            }
            T::LongLong => integer(unsigned, reader.u64().map(|v| (v, v as i64))?),
            T::Float => Value::Float(reader.f32()?),
            T::Double => Value::Double(reader.f64()?),
            T::Date | T::NewDate => Value::Date(DateValue::read_binary(reader, false)?),
            T::Datetime | T::Datetime2 | T::Timestamp | T::Timestamp2 => {
                Value::Date(DateValue::read_binary(reader, true)?)
            }
            T::Time | T::Time2 => Value::Time(TimeValue::read_binary(reader)?),
            T::Decimal | T::NewDecimal => Value::Decimal(reader.lenenc_bytes()?.to_vec()),
            T::Bit | T::Geometry | T::Vector => Value::Blob(reader.lenenc_bytes()?.to_vec()),
            _ => Value::string(reader.lenenc_bytes()?, binary),
        })
    }

    /// A string with or without a character set.
    pub fn string(bytes: &[u8], binary: bool) -> Self {
        if binary { Value::Blob(bytes.to_vec()) } else { Value::Bytes(bytes.to_vec()) }
    }

    /// The type under which the value is sent as a parameter, and whether it is unsigned.
    pub fn param_type(&self) -> (ColumnType, bool) {
        match self {
            Value::Null => (ColumnType::Null, false),
            Value::Int(_) => (ColumnType::LongLong, false),
            Value::UInt(_) => (ColumnType::LongLong, true),
            Value::Float(_) => (ColumnType::Float, false),
            Value::Double(_) => (ColumnType::Double, false),
            Value::Decimal(_) => (ColumnType::NewDecimal, false),
            Value::Bytes(_) => (ColumnType::VarString, false),
            Value::Blob(_) => (ColumnType::Blob, false),
            Value::Date(date) if date.has_time => (ColumnType::Datetime, false),
            Value::Date(_) => (ColumnType::Date, false),
            Value::Time(_) => (ColumnType::Time, false),
        }
    }

    /// Appends the value in binary form under its own type (`param_type`).
    pub fn put_param(&self, out: &mut Vec<u8>) {
        match self {
            Value::Null => {}
            Value::Int(v) => out.extend_from_slice(&v.to_le_bytes()),
            Value::UInt(v) => out.extend_from_slice(&v.to_le_bytes()),
            Value::Float(v) => out.extend_from_slice(&v.to_le_bytes()),
            Value::Double(v) => out.extend_from_slice(&v.to_le_bytes()),
            Value::Decimal(bytes) | Value::Bytes(bytes) | Value::Blob(bytes) => {
                put_bytes(out, bytes)
            }
            Value::Date(date) => date.put_binary(out),
            Value::Time(time) => time.put_binary(out),
        }
    }

    /// Appends the value as SQL text that means the same in any place where a parameter may stand.
    /// `no_backslash_escapes` is the session's `sql_mode`: it decides how strings are quoted. The
    /// connection's character set must keep ASCII bytes to ASCII characters, else see [`put_hex`].
    pub fn to_sql_literal(&self, out: &mut Vec<u8>, no_backslash_escapes: bool) {
        match self {
            Value::Null => out.extend_from_slice(b"NULL"),
            Value::Int(v) => write!(out, "{v}").expect(TO_MEMORY),
            Value::UInt(v) => write!(out, "{v}").expect(TO_MEMORY),
            Value::Float(v) => put_float(out, f64::from(*v)),
            Value::Double(v) => put_float(out, *v),
            Value::Decimal(text) if is_plain_decimal(text) => out.extend_from_slice(text),
            Value::Decimal(text) | Value::Bytes(text) => {
                put_quoted(out, text, no_backslash_escapes)
            }
            Value::Blob(bytes) => {
                out.extend_from_slice(b"_binary");
                put_quoted(out, bytes, no_backslash_escapes);
            }
            Value::Date(date) => {
                // A typed literal must be a day of the calendar; a zero date goes as a string.
                if date.is_real() {
                    out.extend_from_slice(if date.has_time { b"TIMESTAMP" } else { b"DATE" });
                }
                out.push(b'\'');
                date.put_text(out);
                out.push(b'\'');
            }
            Value::Time(time) => {
                out.extend_from_slice(b"TIME'");
                time.put_text(out);
                out.push(b'\'');
            }
        }
    }
}

const TO_MEMORY: &str = "writing to memory does not fail";

fn integer(unsigned: bool, (wide, signed): (u64, i64)) -> Value {
    if unsigned { Value::UInt(wide) } else { Value::Int(signed) }
}

/// A DOUBLE literal must have an exponent, else it would be a DECIMAL. There is no literal for
/// what is not a number; the server stores NULL for it.
fn put_float(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        write!(out, "{value:e}").expect(TO_MEMORY);
    } else {
        out.extend_from_slice(b"NULL");
    }
}

/// Whether the text is `[+-]digits[.digits]` and so can stand in SQL as it is.
fn is_plain_decimal(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let points = digits.iter().filter(|b| **b == b'.').count();
    digits.first().is_some_and(u8::is_ascii_digit)
        && points <= 1
        && digits.iter().all(|b| b.is_ascii_digit() || *b == b'.')
}

/// Appends a string of character set `charset` as hexadecimal digits. This is the only safe form on
/// a connection whose character set has bytes of ASCII inside its characters (gbk, big5, sjis,
/// cp932, gb18030): there a backslash may be half of a character, so quoting cannot work on bytes.
pub fn put_hex(out: &mut Vec<u8>, charset: &str, bytes: &[u8]) {
    write!(out, "_{charset} X'").expect(TO_MEMORY);
    for byte in bytes {
        write!(out, "{byte:02X}").expect(TO_MEMORY);
    }
    out.push(b'\'');
}

/// Appends a quoted string. A quote is doubled, which holds in every `sql_mode`; a backslash is
/// doubled where it is an escape, and so is a zero byte replaced there, since some tools stop at it.
pub fn put_quoted(out: &mut Vec<u8>, bytes: &[u8], no_backslash_escapes: bool) {
    out.reserve(bytes.len() + 2);
    out.push(b'\'');
    for &byte in bytes {
        match byte {
            b'\'' => out.extend_from_slice(b"''"),
            b'\\' if !no_backslash_escapes => out.extend_from_slice(b"\\\\"),
            0 if !no_backslash_escapes => out.extend_from_slice(b"\\0"),
            other => out.push(other),
        }
    }
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals() {
        let date = DateValue { year: 2024, month: 2, day: 3, ..DateValue::default() };
        let time =
            TimeValue { negative: true, days: 1, hours: 2, micros: 5, ..TimeValue::default() };
        let cases = [
            (Value::Null, "NULL"),
            (Value::Int(i64::MIN), "-9223372036854775808"),
            (Value::UInt(u64::MAX), "18446744073709551615"),
            (Value::Double(1.5), "1.5e0"),
            (Value::Double(f64::NAN), "NULL"),
            (Value::Float(0.1), "1.0000000149011612e-1"),
            (Value::Decimal(b"-12.50".to_vec()), "-12.50"),
            (Value::Decimal(b"1; drop".to_vec()), "'1; drop'"),
            (Value::Bytes(b"O'Neill \\ \0".to_vec()), "'O''Neill \\\\ \\0'"),
            (Value::Blob(b"x'".to_vec()), "_binary'x'''"),
            (Value::Date(date), "DATE'2024-02-03'"),
            (Value::Date(DateValue { has_time: true, ..date }), "TIMESTAMP'2024-02-03 00:00:00'"),
            (Value::Date(DateValue::default()), "'0000-00-00'"),
            (Value::Time(time), "TIME'-26:00:00.000005'"),
        ];
        for (value, want) in cases {
            let mut out = Vec::new();
            value.to_sql_literal(&mut out, false);
            assert_eq!(String::from_utf8_lossy(&out), want);
        }
        let mut out = Vec::new();
        Value::Bytes(b"a\\'\0".to_vec()).to_sql_literal(&mut out, true);
        assert_eq!(out, b"'a\\''\0'");
        out.clear();
        put_hex(&mut out, "gbk", &[0xBF, 0x5C]);
        assert_eq!(out, b"_gbk X'BF5C'");
    }
}
