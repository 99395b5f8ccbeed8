//! The text of statements: lexer, digest, masking of secrets and parser, under any `sql_mode` and
//! any class of character set.

use crate::input::Input;
use sql_syntax::visit::{for_each_column, for_each_table};
use sql_syntax::{CharsetClass, Digest, LexMode, TokenBuf, lex, mask_secrets, normalise, parse};

/// Classes of character sets.
const CHARSETS: [CharsetClass; 5] = [
    CharsetClass::AsciiSafe,
    CharsetClass::Gbk,
    CharsetClass::Big5,
    CharsetClass::Sjis,
    CharsetClass::Gb18030,
];

/// One input: how the session reads, then the text.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mode = mode(input.byte(), input.byte());
    let src = input.0;
    let (mut buf, mut digest, mut masked) = (TokenBuf::new(), Digest::default(), Vec::new());
    let mut from = 0;
    loop {
        lex(src, from, &mode, &mut buf);
        normalise(src, &buf, &mut digest);
        mask_secrets(src, &buf, &mut masked);
        if let Ok(parsed) = parse(src, &buf, &mode) {
            for_each_column(&parsed.stmt, |column| assert!(!column.span().of(src).is_empty()));
            for_each_table(&parsed.stmt, src, |table| {
                assert_eq!(buf.span(table.name.name.tok), table.name.name.span);
            });
            assert_eq!(parsed.rest, buf.rest());
        }
        match buf.rest() {
            Some(rest) => {
                assert!(rest > from, "a statement without bytes");
                from = rest;
            }
            None => return,
        }
    }
}

fn mode(bits: u8, charset: u8) -> LexMode {
    let bit = |number: u8| bits >> number & 1 == 1;
    LexMode {
        ansi_quotes: bit(0),
        no_backslash_escapes: bit(1),
        pipes_as_concat: bit(2),
        ignore_space: bit(3),
        high_not_precedence: bit(4),
        mariadb: !bit(5),
        server_version: if bit(5) { 80_036 } else { 101_119 },
        charset: CHARSETS[usize::from(charset) % CHARSETS.len()],
    }
}
