//! What bytes of names and literals stand for: quotes taken off, escapes undone, numbers read.

use crate::keyword::Keyword;
use crate::lexer::{LexMode, TokenKind};
use std::borrow::Cow;

/// The value of a literal token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiteralValue<'a> {
    /// An integer that fits in 64 bits without sign.
    Int(u64),
    /// A number with a point, or an integer that does not fit in 64 bits, as written.
    Decimal(&'a [u8]),
    /// A number with an exponent, as written.
    Float(&'a [u8]),
    /// A string without quotes and escapes.
    String(Cow<'a, [u8]>),
    /// The bytes of `x'…'` or `0x…`.
    Hex(Vec<u8>),
    /// The bytes of `b'…'` or `0b…`, filled with zero bits in front.
    Bit(Vec<u8>),
    /// NULL.
    Null,
    /// TRUE or FALSE.
    Bool(bool),
    /// The token is no literal (a parameter, a name).
    None,
}

/// The value of a token.
#[must_use]
pub fn literal_value<'a>(
    kind: TokenKind,
    keyword: Keyword,
    raw: &'a [u8],
    mode: &LexMode,
) -> LiteralValue<'a> {
    match (kind, keyword) {
        (TokenKind::Int, _) => match parse_u64(raw) {
            Some(value) => LiteralValue::Int(value),
            None => LiteralValue::Decimal(raw),
        },
        (TokenKind::Decimal, _) => LiteralValue::Decimal(raw),
        (TokenKind::Float, _) => LiteralValue::Float(raw),
        (TokenKind::String, _) => LiteralValue::String(unquote_string(raw, mode)),
        (TokenKind::NString, _) => {
            LiteralValue::String(unquote_string(raw.get(1..).unwrap_or_default(), mode))
        }
        (TokenKind::Hex, _) => LiteralValue::Hex(decode_hex(raw)),
        (TokenKind::Bit, _) => LiteralValue::Bit(decode_bits(raw)),
        (TokenKind::NullLiteral, _) | (_, Keyword::Null) => LiteralValue::Null,
        (_, Keyword::True) => LiteralValue::Bool(true),
        (_, Keyword::False) => LiteralValue::Bool(false),
        _ => LiteralValue::None,
    }
}

/// Digits as a number; None when there are others or it does not fit.
#[must_use]
pub fn parse_u64(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|d| *d < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A name without its quotes (any of `` ` ``, `"`, `'`), doubled quotes undone.
#[must_use]
pub fn unquote_ident(raw: &[u8]) -> Cow<'_, [u8]> {
    match raw {
        [quote @ (b'`' | b'"' | b'\''), inner @ .., last] if last == quote => {
            if !inner.contains(quote) {
                return Cow::Borrowed(inner);
            }
            let mut name = Vec::with_capacity(inner.len());
            // A quote that is not doubled is the tail of a character of two bytes.
            let mut bytes = inner.iter().peekable();
            while let Some(byte) = bytes.next() {
                name.push(*byte);
                if byte == quote {
                    bytes.next_if_eq(&quote);
                }
            }
            Cow::Owned(name)
        }
        _ => Cow::Borrowed(raw),
    }
}

/// The name of a user variable's token, without `@` and quotes.
#[must_use]
pub fn user_var_name(raw: &[u8]) -> Cow<'_, [u8]> {
    unquote_ident(raw.strip_prefix(b"@").unwrap_or(raw))
}

/// A name in backquotes, so that it can be put into any statement.
pub fn quote_ident(name: &[u8], out: &mut Vec<u8>) {
    out.push(b'`');
    for &byte in name {
        out.push(byte);
        if byte == b'`' {
            out.push(byte);
        }
    }
    out.push(b'`');
}

/// A string without its quotes and escapes.
#[must_use]
pub fn unquote_string<'a>(raw: &'a [u8], mode: &LexMode) -> Cow<'a, [u8]> {
    let [quote, inner @ .., _] = raw else { return Cow::Borrowed(raw) };
    let escapes = !mode.no_backslash_escapes;
    if !(inner.contains(quote) || escapes && inner.contains(&b'\\')) {
        return Cow::Borrowed(inner);
    }
    let mut value = Vec::with_capacity(inner.len());
    let mut pos = 0;
    while let Some(&byte) = inner.get(pos) {
        let length = mode.charset.char_len(&inner[pos..]);
        if length > 1 {
            value.extend_from_slice(&inner[pos..pos + length]);
            pos += length;
            continue;
        }
        let next = inner.get(pos + 1).copied();
        match (byte, next) {
            (b'\\', Some(escaped)) if escapes => unescape(escaped, &mut value),
            (b, Some(_)) if b == *quote => value.push(b),
            _ => {
                value.push(byte);
                pos += 1;
                continue;
            }
        }
        pos += 2;
    }
    Cow::Owned(value)
}

/// `\%` and `\_` keep the backslash: they matter to LIKE.
fn unescape(escaped: u8, value: &mut Vec<u8>) {
    if matches!(escaped, b'%' | b'_') {
        value.push(b'\\');
    }
    value.push(match escaped {
        b'0' => 0,
        b'b' => 8,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'Z' => 26,
        other => other,
    });
}

/// The digits of `x'…'`, `0x…`, `b'…'`, `0b…`.
fn coded_digits(raw: &[u8]) -> &[u8] {
    let digits = raw.get(2..).unwrap_or_default();
    digits.strip_suffix(b"'").unwrap_or(digits)
}

fn decode_hex(raw: &[u8]) -> Vec<u8> {
    let digits = coded_digits(raw);
    let digit = |byte: &u8| (*byte as char).to_digit(16).unwrap_or(0) as u8;
    let (odd, even) = digits.split_at(digits.len() % 2);
    let pairs = even.chunks_exact(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1]));
    odd.iter().map(digit).chain(pairs).collect()
}

fn decode_bits(raw: &[u8]) -> Vec<u8> {
    let digits = coded_digits(raw);
    let (head, tail) = digits.split_at(digits.len() % 8);
    let byte =
        |bits: &[u8]| bits.iter().fold(0u8, |value, bit| value << 1 | u8::from(*bit == b'1'));
    let head = (!head.is_empty()).then(|| byte(head));
    head.into_iter().chain(tail.chunks_exact(8).map(byte)).collect()
}
