//! Client character sets in which a byte of a character can be a backslash or a backquote: where a
//! string or name ends goes by characters, and so does what it stands for.
#![allow(clippy::unwrap_used)]

use sql_syntax::text::unquote_ident;
use sql_syntax::{CharsetClass, LexMode, LiteralValue, TokenBuf, TokenKind, lex};

fn mode(charset: &str) -> LexMode {
    LexMode { charset: CharsetClass::of_charset(charset.as_bytes()), ..LexMode::default() }
}

/// Kinds and texts of the tokens.
fn tokens(sql: &[u8], charset: &str) -> Vec<(TokenKind, Vec<u8>)> {
    let mut buf = TokenBuf::new();
    lex(sql, 0, &mode(charset), &mut buf);
    let tokens = buf.tokens().iter().filter(|token| token.kind != TokenKind::Eof);
    tokens.map(|token| (token.kind, token.span().of(sql).to_vec())).collect()
}

fn value(sql: &[u8], charset: &str) -> Vec<u8> {
    let mut buf = TokenBuf::new();
    lex(sql, 0, &mode(charset), &mut buf);
    assert_eq!(buf.tokens().len(), 2, "{charset} {sql:x?}");
    match buf.value(sql, 0, &mode(charset)) {
        LiteralValue::String(value) => value.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tail_that_looks_like_a_backslash_escapes_nothing() {
    for (charset, character) in [
        ("gbk", &b"\x95\x5c"[..]),
        ("big5", b"\xa5\x5c"),
        ("sjis", b"\x95\x5c"),
        ("cp932", b"\x83\x5c"),
        ("gb18030", b"\x95\x5c"),
        ("gb18030", b"\x81\x30\x81\x30"),
    ] {
        let sql = [b"'", character, b"'"].concat();
        assert_eq!(tokens(&sql, charset), [(TokenKind::String, sql.clone())], "{charset}");
        assert_eq!(value(&sql, charset), character, "{charset}");
        let escaped = [b"'", character, b"\\'", character, b"'"].concat();
        assert_eq!(value(&escaped, charset), [character, b"'", character].concat(), "{charset}");
    }
    // The same bytes of a set whose characters never end in ASCII: the backslash hides the quote.
    assert_eq!(tokens(b"'\x95\x5c'", "latin1")[0].0, TokenKind::Invalid);
    assert_eq!(value(b"'\x95\x5c''", "utf8mb4"), b"\x95'");
}

/// No quote can be the tail of a character: a lead byte before one stands alone.
#[test]
fn a_lead_byte_swallows_no_quote() {
    for charset in ["gbk", "big5", "sjis", "cp932", "gb18030"] {
        assert_eq!(value(b"'\xbf'", charset), b"\xbf", "{charset}");
        let injected = tokens(b"'\xbf' OR 1", charset);
        assert_eq!(injected[0], (TokenKind::String, b"'\xbf'".to_vec()), "{charset}");
        assert_eq!(injected.len(), 3, "{charset}");
    }
    // A client that escapes byte by byte: `\` became the tail, so the quote ends the string.
    assert_eq!(tokens(b"'\xbf\\' OR 1", "gbk")[0].1, b"'\xbf\\'");
    assert_eq!(tokens(b"'\xbf\\' OR 1", "latin1")[0].0, TokenKind::Invalid);
}

#[test]
fn names_may_have_a_tail_that_looks_like_a_backquote() {
    for charset in ["gbk", "sjis", "gb18030"] {
        let sql = b"`\x95\x60`.`a`";
        let found = tokens(sql, charset);
        assert_eq!(found[0], (TokenKind::QuotedIdent, b"`\x95\x60`".to_vec()), "{charset}");
        assert_eq!(found.len(), 3, "{charset}");
        assert_eq!(unquote_ident(b"`\x95\x60`"), &b"\x95\x60"[..]);
        assert_eq!(unquote_ident(b"`\x95\x60``b`"), &b"\x95\x60`b"[..]);
    }
    // Bare names, too: what follows the lead byte is no operator.
    assert_eq!(tokens(b"a\x95\x7cb", "gbk"), [(TokenKind::Ident, b"a\x95\x7cb".to_vec())]);
    assert_eq!(tokens(b"a\x95\x7cb", "latin1").len(), 3);
}
