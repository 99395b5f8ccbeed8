//! A statement's text without the passwords in it, for logs. It goes by tokens, not by the tree, so
//! that statements which do not parse (and are logged nevertheless) give away nothing either. When
//! in doubt a literal is masked: a log may lack a value, but must not show a secret.

use crate::lexer::{Token, TokenBuf, TokenKind};

/// What stands in the place of a secret.
pub const MASK: &[u8] = b"'***'";

/// What stands in the place of a comment that speaks of passwords.
const COMMENT_MASK: &[u8] = b" /* *** */ ";

/// Names that hold one of these are names of passwords.
const SECRET_WORDS: [&[u8]; 3] = [b"password", b"passwd", b"pwd"];

/// Functions whose arguments are secrets or keys.
const SECRET_FUNCTIONS: [&[u8]; 8] = [
    b"encrypt",
    b"aes_encrypt",
    b"aes_decrypt",
    b"des_encrypt",
    b"des_decrypt",
    b"encode",
    b"decode",
    b"kdf",
];

/// Words that may stand between a password's name and its value.
const BETWEEN_WORDS: [&[u8]; 9] =
    [b"by", b"as", b"to", b"like", b"in", b"not", b"binary", b"using", b"default"];

/// Appends the text of the statement in `buf` to `out`, with every password masked.
pub fn mask_secrets(src: &[u8], buf: &TokenBuf, out: &mut Vec<u8>) {
    let whole = buf.text_span();
    let mut masker = Masker { src, tokens: buf.tokens(), ..Masker::default() };
    let mut at = whole.start;
    for (index, token) in buf.tokens().iter().enumerate() {
        if token.kind == TokenKind::Eof {
            break;
        }
        put_gap(&src[at.min(token.start) as usize..token.start as usize], out);
        if masker.is_secret(index, *token) {
            out.extend_from_slice(MASK);
        } else {
            out.extend_from_slice(token.span().of(src));
        }
        at = token.end;
    }
    put_gap(&src[at.min(whole.end) as usize..whole.end as usize], out);
}

/// What stands between tokens: white space, comments, hints.
fn put_gap(gap: &[u8], out: &mut Vec<u8>) {
    let lower = gap.to_ascii_lowercase();
    if has_secret_word(&lower) || contains(&lower, b"identified") {
        out.extend_from_slice(COMMENT_MASK);
    } else {
        out.extend_from_slice(gap);
    }
}

fn has_secret_word(lower: &[u8]) -> bool {
    SECRET_WORDS.iter().any(|word| contains(lower, word))
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part == word)
}

/// What was seen so far of a statement.
#[derive(Default)]
struct Masker<'a> {
    src: &'a [u8],
    tokens: &'a [Token],
    /// A password's name was seen, and nothing since that ends the place of its value.
    armed: bool,
    /// From here on every literal is one: after IDENTIFIED, and in SET PASSWORD.
    rest: bool,
    /// Open parentheses.
    depth: u32,
    /// The depth outside of the parentheses in which everything is secret.
    secret_outside: Option<u32>,
}

impl Masker<'_> {
    fn is_secret(&mut self, index: usize, token: Token) -> bool {
        match token.kind {
            TokenKind::LParen => {
                if self.armed && self.secret_outside.is_none() {
                    self.secret_outside = Some(self.depth);
                }
                self.depth += 1;
                false
            }
            TokenKind::RParen => {
                self.depth = self.depth.saturating_sub(1);
                if self.secret_outside == Some(self.depth) {
                    self.secret_outside = None;
                    self.armed = false;
                }
                false
            }
            TokenKind::String
            | TokenKind::NString
            | TokenKind::Hex
            | TokenKind::Bit
            | TokenKind::Invalid => self.literal(index),
            // `"…"` under ANSI_QUOTES in the place of a password was meant as one.
            TokenKind::QuotedIdent if token.span().of(self.src).first() == Some(&b'"') => {
                self.literal(index)
            }
            TokenKind::Ident | TokenKind::Keyword | TokenKind::QuotedIdent | TokenKind::UserVar => {
                self.word(index, token);
                false
            }
            TokenKind::Eq
            | TokenKind::NullSafeEq
            | TokenKind::Ne
            | TokenKind::Assign
            | TokenKind::Colon => false,
            _ => {
                self.armed = false;
                false
            }
        }
    }

    fn literal(&self, index: usize) -> bool {
        let names_user = self.kind_at(index + 1) == Some(TokenKind::UserVar);
        self.armed || self.secret_outside.is_some() || (self.rest && !names_user)
    }

    fn kind_at(&self, index: usize) -> Option<TokenKind> {
        self.tokens.get(index).map(|token| token.kind)
    }

    fn word(&mut self, index: usize, token: Token) {
        let name: Vec<u8> = token
            .span()
            .of(self.src)
            .iter()
            .filter(|byte| !matches!(byte, b'`' | b'\'' | b'"' | b'@'))
            .map(u8::to_ascii_lowercase)
            .collect();
        if name == b"identified" {
            self.rest = true;
            return;
        }
        let calls = self.kind_at(index + 1) == Some(TokenKind::LParen);
        if has_secret_word(&name) {
            self.rest |= index == 1 && self.first_word_is(b"set");
            self.armed = true;
        } else if name == b"connection" || (calls && SECRET_FUNCTIONS.contains(&name.as_slice())) {
            self.armed = true;
        } else if !calls && !BETWEEN_WORDS.contains(&name.as_slice()) {
            self.armed = false;
        }
    }

    fn first_word_is(&self, word: &[u8]) -> bool {
        self.tokens
            .first()
            .is_some_and(|first| first.span().of(self.src).eq_ignore_ascii_case(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer::{LexMode, lex};

    fn masked(text: &str, mode: &LexMode) -> String {
        let mut buf = TokenBuf::new();
        lex(text.as_bytes(), 0, mode, &mut buf);
        let mut out = Vec::new();
        mask_secrets(text.as_bytes(), &buf, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The statement, and what the log shows of it.
    const CASES: &[(&str, &str)] = &[
        ("CREATE USER bob IDENTIFIED BY 's3cret'", "CREATE USER bob IDENTIFIED BY '***'"),
        (
            "create user 'a'@'%' identified by 's3' , 'b'@localhost identified by PASSWORD '*s3'",
            "create user 'a'@'%' identified by '***' , 'b'@localhost identified by PASSWORD '***'",
        ),
        (
            "ALTER USER u IDENTIFIED WITH mysql_native_password AS '*s3' REPLACE \"s3\"",
            "ALTER USER u IDENTIFIED WITH mysql_native_password AS '***' REPLACE '***'",
        ),
        (
            "CREATE USER u IDENTIFIED VIA ed25519 USING PASSWORD('s3') OR unix_socket",
            "CREATE USER u IDENTIFIED VIA ed25519 USING PASSWORD('***') OR unix_socket",
        ),
        (
            "GRANT SELECT ON *.* TO 'x'@'10.0.0.%' IDENTIFIED BY 's3' REQUIRE SSL",
            "GRANT SELECT ON *.* TO 'x'@'10.0.0.%' IDENTIFIED BY '***' REQUIRE SSL",
        ),
        ("SET PASSWORD = 's3'", "SET PASSWORD = '***'"),
        ("SET PASSWORD FOR 'n'@'%' = PASSWORD('s3')", "SET PASSWORD FOR 'n'@'%' = PASSWORD('***')"),
        ("SET PASSWORD FOR n TO 's3'", "SET PASSWORD FOR n TO '***'"),
        ("SELECT password('s3'), 'kept'", "SELECT password('***'), 'kept'"),
        ("SELECT OLD_PASSWORD ( 's' '3' )", "SELECT OLD_PASSWORD ( '***' '***' )"),
        (
            "SELECT SLEEP(1.1), PASSWORD(concat('s', _utf8'3'))",
            "SELECT SLEEP(1.1), PASSWORD(concat('***', _utf8'***'))",
        ),
        ("SELECT PASSWORD(0x7333), PASSWORD(x'73')", "SELECT PASSWORD('***'), PASSWORD('***')"),
        (
            "CHANGE MASTER TO MASTER_HOST='h', MASTER_PASSWORD='s3', MASTER_PORT=3306",
            "CHANGE MASTER TO MASTER_HOST='h', MASTER_PASSWORD='***', MASTER_PORT=3306",
        ),
        (
            "CHANGE REPLICATION SOURCE TO SOURCE_USER='u', SOURCE_PASSWORD = 's3'",
            "CHANGE REPLICATION SOURCE TO SOURCE_USER='u', SOURCE_PASSWORD = '***'",
        ),
        ("START SLAVE USER='u' PASSWORD='s3'", "START SLAVE USER='u' PASSWORD='***'"),
        (
            "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'u', PASSWORD 's3', HOST 'h')",
            "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'u', PASSWORD '***', HOST 'h')",
        ),
        (
            "CREATE TABLE f (a INT) ENGINE=FEDERATED CONNECTION='mysql://u:s3@h/d/t' COMMENT 'c'",
            "CREATE TABLE f (a INT) ENGINE=FEDERATED CONNECTION='***' COMMENT 'c'",
        ),
        ("SELECT AES_ENCRYPT(c, 's3'), 'x' FROM t", "SELECT AES_ENCRYPT(c, '***'), 'x' FROM t"),
        (
            "UPDATE users SET `password` = SHA2('s3', 256), name = 'n' WHERE id = 1",
            "UPDATE users SET `password` = SHA2('***', 256), name = 'n' WHERE id = 1",
        ),
        (
            "SELECT * FROM users WHERE user_pwd IN ('s3', 's4') AND city = 'x'",
            "SELECT * FROM users WHERE user_pwd IN ('***', '***') AND city = 'x'",
        ),
        ("SET @new_password := 's3'", "SET @new_password := '***'"),
        ("SELECT 1 /* IDENTIFIED BY 's3' */ + 1", "SELECT 1 /* *** */ + 1"),
        ("SELECT 1 -- my password is s3", "SELECT 1 /* *** */ "),
        ("SET PASSWORD = 's3", "SET PASSWORD = '***'"),
        (
            "CREATE USER bob IDENTIFIED BY 's3' @@@ nonsense '",
            "CREATE USER bob IDENTIFIED BY '***' @@@ nonsense '***'",
        ),
        // What is no secret stays as it is.
        ("SELECT password FROM t WHERE a = 'kept'", "SELECT password FROM t WHERE a = 'kept'"),
        (
            "select  'kept' , \"kept\" /* note */ from t",
            "select  'kept' , \"kept\" /* note */ from t",
        ),
        ("INSERT INTO t VALUES ('kept', 0x6b657074)", "INSERT INTO t VALUES ('kept', 0x6b657074)"),
    ];

    #[test]
    fn passwords_are_masked_and_nothing_else() {
        for (text, expected) in CASES {
            assert_eq!(masked(text, &LexMode::default()), *expected, "{text}");
        }
        let ansi = LexMode { ansi_quotes: true, ..LexMode::default() };
        assert_eq!(
            masked("CREATE USER \"u\" IDENTIFIED BY \"s3\"", &ansi),
            "CREATE USER \"u\" IDENTIFIED BY '***'"
        );
    }

    #[test]
    fn only_the_statement_in_the_buffer_is_shown() {
        let text = b"SET PASSWORD = 'one'; SELECT 'two'";
        let mut buf = TokenBuf::new();
        lex(text, 0, &LexMode::default(), &mut buf);
        let rest = buf.rest().expect("there is a second statement");
        lex(text, rest, &LexMode::default(), &mut buf);
        let mut out = Vec::new();
        mask_secrets(text, &buf, &mut out);
        assert_eq!(String::from_utf8_lossy(&out).trim(), "SELECT 'two'");
    }
}
