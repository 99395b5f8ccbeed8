//! Values of one execution: where a plan says "the literal at token 7" or "parameter 2", this finds
//! it in the statement at hand.

use base::sql_error::{SqlError, WRONG_ARGUMENTS};
use sql_syntax::{LexMode, LiteralValue, Token, TokenBuf, TokenKind};
use topology::algorithm::SqlValue;

/// Where a value is found.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueRef {
    /// A literal of the statement.
    Literal {
        /// Its token (the first of adjacent strings).
        token: u32,
        /// Adjacent string tokens that belong to it; 1 for all else.
        count: u16,
        /// How it is read.
        form: LiteralForm,
    },
    /// A `?`.
    Param {
        /// Which, from 0.
        ordinal: u32,
    },
    /// An expression that a data node evaluated first; counts in the plan's `evaluations`.
    Evaluated {
        /// Which, from 0.
        index: u32,
    },
    /// Known when the plan was made.
    Const(SqlValue),
}

/// How a literal's token is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LiteralForm {
    /// As it is.
    Plain,
    /// With a minus before it.
    Negative,
    /// The text of `DATE '…'`, `TIMESTAMP '…'`.
    Temporal,
}

/// The values of one execution.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// The statement's text.
    pub text: &'a [u8],
    /// Its tokens.
    pub tokens: &'a TokenBuf,
    /// How it was lexed.
    pub mode: &'a LexMode,
    /// The tokens that are `?`, in order (`Parsed::params`, or the parameters among the digest's
    /// literals).
    pub param_tokens: &'a [u32],
    /// The parameters, by ordinal.
    pub params: &'a [SqlValue],
    /// What the plan's `evaluations` gave, in order.
    pub evaluated: &'a [SqlValue],
    /// NO_AUTO_VALUE_ON_ZERO: a zero in an AUTO_INCREMENT column is a zero.
    pub zero_is_a_value: bool,
}

impl ValueRef {
    /// NULL as a constant.
    pub const NULL: ValueRef = ValueRef::Const(SqlValue::Null);

    /// The value in this execution. A parameter or evaluation that was not given is NULL.
    pub fn resolve(&self, values: &Values<'_>) -> SqlValue {
        match self {
            ValueRef::Const(value) => value.clone(),
            ValueRef::Param { ordinal } => {
                values.params.get(*ordinal as usize).cloned().unwrap_or(SqlValue::Null)
            }
            ValueRef::Evaluated { index } => {
                values.evaluated.get(*index as usize).cloned().unwrap_or(SqlValue::Null)
            }
            ValueRef::Literal { token, count, form } => values.literal(*token, *count, *form),
        }
    }
}

impl Values<'_> {
    fn literal(&self, token: u32, count: u16, form: LiteralForm) -> SqlValue {
        if count > 1 {
            let mut joined = Vec::new();
            for part in token..token + u32::from(count) {
                if let LiteralValue::String(text) = self.tokens.value(self.text, part, self.mode) {
                    joined.extend_from_slice(&text);
                }
            }
            return with_form(SqlValue::Text(joined), form);
        }
        let value = match self.tokens.value(self.text, token, self.mode) {
            LiteralValue::Int(number) => SqlValue::Integer(number.into()),
            LiteralValue::Decimal(digits) => decimal(digits),
            LiteralValue::Float(digits) => std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .map_or(SqlValue::Null, SqlValue::Float),
            LiteralValue::String(text) => SqlValue::Text(text.into_owned()),
            LiteralValue::Hex(bytes) | LiteralValue::Bit(bytes) => SqlValue::Binary(bytes),
            LiteralValue::Bool(value) => SqlValue::Integer(value.into()),
            LiteralValue::Null | LiteralValue::None => SqlValue::Null,
        };
        with_form(value, form)
    }

    /// The ordinal of the parameter that a token is. Parameters are counted from the left.
    pub fn param_of_token(&self, token: u32) -> Option<u32> {
        self.param_tokens.binary_search(&token).ok().and_then(|index| u32::try_from(index).ok())
    }

    /// The number of a literal or parameter among all of the statement, from 0.
    pub(crate) fn literal_ordinal(&self, token: u32) -> Option<usize> {
        let tokens = self.tokens.tokens();
        let counts = |token: &Token| token.kind.is_literal() || token.kind == TokenKind::Param;
        let own = tokens.get(token as usize).filter(|token| counts(token));
        own.map(|_| tokens[..token as usize].iter().filter(|token| counts(token)).count())
    }

    /// A LIMIT's number.
    pub fn unsigned(&self, value: &ValueRef) -> Result<u64, SqlError> {
        let number = match value.resolve(self) {
            SqlValue::Integer(number) => u64::try_from(number).ok(),
            SqlValue::Text(text) => {
                std::str::from_utf8(&text).ok().and_then(|t| t.trim().parse().ok())
            }
            _ => None,
        };
        number.ok_or_else(|| SqlError::new(WRONG_ARGUMENTS, "Incorrect arguments to LIMIT"))
    }
}

fn decimal(digits: &[u8]) -> SqlValue {
    let text = String::from_utf8_lossy(digits).into_owned();
    match text.parse::<i128>() {
        Ok(number) => SqlValue::Integer(number),
        Err(_) => SqlValue::Decimal(text),
    }
}

fn with_form(value: SqlValue, form: LiteralForm) -> SqlValue {
    match (form, value) {
        (LiteralForm::Negative, SqlValue::Integer(number)) => SqlValue::Integer(-number),
        (LiteralForm::Negative, SqlValue::Decimal(digits)) => {
            SqlValue::Decimal(format!("-{digits}"))
        }
        (LiteralForm::Negative, SqlValue::Float(number)) => SqlValue::Float(-number),
        (LiteralForm::Temporal, SqlValue::Text(text)) => SqlValue::Temporal(text),
        (_, value) => value,
    }
}

/// Writes a value as an SQL literal that reads the same under every sql_mode and character set of
/// the connection.
pub fn write_literal(value: &SqlValue, out: &mut Vec<u8>) {
    match value {
        SqlValue::Null => out.extend_from_slice(b"NULL"),
        SqlValue::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
        SqlValue::Decimal(digits) => out.extend_from_slice(digits.as_bytes()),
        SqlValue::Float(number) => out.extend_from_slice(format!("{number:e}").as_bytes()),
        SqlValue::Binary(bytes) => {
            out.extend_from_slice(b"x'");
            push_hex(bytes, out);
            out.push(b'\'');
        }
        SqlValue::Text(text) | SqlValue::Temporal(text) => write_text(text, out),
    }
}

/// The same, with the type's word before a date or a time: its text alone would be read as a text,
/// which numbers, character sets and comparisons take otherwise.
pub fn write_typed_literal(value: &SqlValue, out: &mut Vec<u8>) {
    if let SqlValue::Temporal(text) = value {
        out.extend_from_slice(temporal_word(text).unwrap_or_default());
    }
    write_literal(value, out);
}

/// `DATE`, `TIMESTAMP` or `TIME` before a text that a server wrote of such a value; nothing before any
/// other text, nor before days that no calendar has.
fn temporal_word(text: &[u8]) -> Option<&'static [u8]> {
    match text {
        [day @ .., b'T' | b' ', _, _, b':', _, _, b':', _, _] if day.len() == 10 => {
            is_day(day).then_some(b"TIMESTAMP")
        }
        [day @ .., _] if day.len() == 9 && text.get(4) == Some(&b'-') => {
            is_day(text).then_some(b"DATE")
        }
        _ => match text.iter().position(|byte| *byte == b'.') {
            Some(point) if is_digits(&text[point + 1..]) => temporal_word(&text[..point]),
            Some(_) => None,
            None => is_time(text).then_some(b"TIME"),
        },
    }
}

fn is_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

fn is_time(text: &[u8]) -> bool {
    let mut parts = text.strip_prefix(b"-").unwrap_or(text).split(|byte| *byte == b':');
    let hours = parts.next().is_some_and(|hours| is_digits(hours) && hours.len() <= 3);
    let rest: Vec<&[u8]> = parts.collect();
    hours && rest.len() == 2 && rest.iter().all(|part| is_digits(part) && part.len() == 2)
}

/// Whether a text is a day of the calendar, `yyyy-mm-dd`.
fn is_day(text: &[u8]) -> bool {
    let parts: Vec<&[u8]> = text.split(|byte| *byte == b'-').collect();
    let number = |at: usize| -> u32 {
        let digits = parts.get(at).copied().filter(|part| is_digits(part));
        let digits = digits.and_then(|part| std::str::from_utf8(part).ok());
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    };
    let (year, month) = (number(0), number(1));
    let leaps = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(leaps),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    parts.len() == 3 && year > 0 && (1..=days).contains(&number(2))
}

/// A quoted string, or its bytes in hexadecimal where a backslash or a byte outside of ASCII could
/// be read in more than one way.
fn write_text(text: &[u8], out: &mut Vec<u8>) {
    if text.iter().all(|byte| matches!(byte, 0x20..=0x7e) && *byte != b'\\') {
        out.push(b'\'');
        for byte in text {
            if *byte == b'\'' {
                out.push(b'\'');
            }
            out.push(*byte);
        }
        out.push(b'\'');
        return;
    }
    out.extend_from_slice(b"_utf8mb4 x'");
    push_hex(text, out);
    out.push(b'\'');
}

fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn literals_read_the_same_everywhere() {
        let written = |value: SqlValue| {
            let mut out = Vec::new();
            write_literal(&value, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(SqlValue::Null), "NULL");
        assert_eq!(written(SqlValue::Integer(-5)), "-5");
        assert_eq!(written(SqlValue::Decimal("1.50".into())), "1.50");
        assert_eq!(written(SqlValue::Float(0.1)), "1e-1");
        assert_eq!(written(SqlValue::Text(b"it's".to_vec())), "'it''s'");
        assert_eq!(written(SqlValue::Text(b"a\\b".to_vec())), "_utf8mb4 x'615C62'");
        assert_eq!(written(SqlValue::Text("é".into())), "_utf8mb4 x'C3A9'");
        assert_eq!(written(SqlValue::Binary(vec![0, 255])), "x'00FF'");
        assert_eq!(written(SqlValue::Temporal(b"2024-01-01".to_vec())), "'2024-01-01'");
    }

    #[test]
    fn dates_and_times_get_their_words() {
        for (text, wanted) in [
            ("2024-02-29", "DATE'2024-02-29'"),
            ("2023-02-29", "'2023-02-29'"),
            ("0000-00-00", "'0000-00-00'"),
            ("2024-01-01 10:20:30", "TIMESTAMP'2024-01-01 10:20:30'"),
            ("2024-01-01 10:20:30.5", "TIMESTAMP'2024-01-01 10:20:30.5'"),
            ("-838:59:59", "TIME'-838:59:59'"),
            ("10:20:30.000001", "TIME'10:20:30.000001'"),
            ("10:20", "'10:20'"),
            ("20240101", "'20240101'"),
            ("24/1/1", "'24/1/1'"),
            ("", "''"),
        ] {
            let mut out = Vec::new();
            write_typed_literal(&SqlValue::Temporal(text.as_bytes().to_vec()), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
    }
}
