//! Tokens of one statement in a buffer that is reused, so that lexing allocates nothing once the
//! buffer has grown. Lexing never fails: what cannot be a token becomes [`TokenKind::Invalid`] and
//! the parser reports it where it stands.

mod scan;

use crate::ast::Span;
use crate::keyword::Keyword;
use crate::text::{self, LiteralValue};

pub use scan::lex;

/// How the session's settings change what bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LexMode {
    /// `"` quotes identifiers (ANSI_QUOTES).
    pub ansi_quotes: bool,
    /// `\` is an ordinary byte in strings (NO_BACKSLASH_ESCAPES).
    pub no_backslash_escapes: bool,
    /// `||` concatenates (PIPES_AS_CONCAT).
    pub pipes_as_concat: bool,
    /// Spaces may stand between a built-in function's name and `(` (IGNORE_SPACE).
    pub ignore_space: bool,
    /// NOT binds like `!` (HIGH_NOT_PRECEDENCE).
    pub high_not_precedence: bool,
    /// Version of the servers behind, as in `/*!80000 … */`: 5.7.44 is 50744, 10.11.6 is 101106.
    pub server_version: u32,
    /// Whether those servers are MariaDB, which reads version comments by rules of its own.
    pub mariadb: bool,
    /// How the client's character set forms characters.
    pub charset: CharsetClass,
}

impl Default for LexMode {
    fn default() -> Self {
        Self {
            ansi_quotes: false,
            no_backslash_escapes: false,
            pipes_as_concat: false,
            ignore_space: false,
            high_not_precedence: false,
            server_version: 80_000,
            mariadb: false,
            charset: CharsetClass::AsciiSafe,
        }
    }
}

impl LexMode {
    /// Takes over what a value of `sql_mode` says about reading text: words between commas, in any
    /// case, without quotes around them. The other modes do not matter here.
    pub fn follow_sql_mode(&mut self, value: &str) {
        let has = |word: &str| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(word));
        let ansi = has("ANSI");
        self.ansi_quotes = ansi || has("ANSI_QUOTES");
        self.no_backslash_escapes = has("NO_BACKSLASH_ESCAPES");
        self.pipes_as_concat = ansi || has("PIPES_AS_CONCAT");
        self.ignore_space = ansi || has("IGNORE_SPACE");
        self.high_not_precedence = has("HIGH_NOT_PRECEDENCE");
    }
}

/// Classes of client character sets, by whether an ASCII byte can be the tail of a character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CharsetClass {
    /// Bytes below 0x80 are always characters of their own (utf8, latin1, ujis, …).
    #[default]
    AsciiSafe,
    /// gbk: a tail may be `\`, a backquote or another ASCII byte from 0x40 on.
    Gbk,
    /// big5: the same with other leads and tails.
    Big5,
    /// sjis, cp932.
    Sjis,
    /// gb18030: as gbk, and characters of four bytes.
    Gb18030,
}

impl CharsetClass {
    /// The class of a character set's name.
    #[must_use]
    pub fn of_charset(name: &[u8]) -> Self {
        match name.to_ascii_lowercase().as_slice() {
            b"gbk" => CharsetClass::Gbk,
            b"big5" => CharsetClass::Big5,
            b"gb18030" => CharsetClass::Gb18030,
            b"sjis" | b"cp932" => CharsetClass::Sjis,
            _ => CharsetClass::AsciiSafe,
        }
    }

    /// How many bytes the character at the beginning of `text` has, as far as it matters to where
    /// quotes end: a lead byte without a tail that fits is a character of its own, so that it
    /// cannot swallow a quote.
    #[must_use]
    pub fn char_len(self, text: &[u8]) -> usize {
        let (Some(&lead), Some(&tail)) = (text.first(), text.get(1)) else { return 1 };
        let double = match self {
            CharsetClass::AsciiSafe => false,
            CharsetClass::Gbk | CharsetClass::Gb18030 => {
                matches!(lead, 0x81..=0xFE) && matches!(tail, 0x40..=0x7E | 0x80..=0xFE)
            }
            CharsetClass::Big5 => {
                matches!(lead, 0xA1..=0xF9) && matches!(tail, 0x40..=0x7E | 0xA1..=0xFE)
            }
            CharsetClass::Sjis => {
                matches!(lead, 0x81..=0x9F | 0xE0..=0xFC)
                    && matches!(tail, 0x40..=0x7E | 0x80..=0xFC)
            }
        };
        let four = self == CharsetClass::Gb18030
            && matches!(text, [0x81..=0xFE, b'0'..=b'9', 0x81..=0xFE, b'0'..=b'9', ..]);
        match (double, four) {
            (true, _) => 2,
            (_, true) => 4,
            _ => 1,
        }
    }
}

/// Kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum TokenKind {
    /// The end of the statement; `;` is not part of the stream.
    Eof,
    /// A bare name that is no keyword.
    Ident,
    /// A name in backquotes, or in `"` under ANSI_QUOTES.
    QuotedIdent,
    /// A word that is in the keyword table; the token says which.
    Keyword,
    /// `'…'` or `"…"`.
    String,
    /// `N'…'`.
    NString,
    /// `x'…'` or `0x…`.
    Hex,
    /// `b'…'` or `0b…`.
    Bit,
    Int,
    Decimal,
    Float,
    /// `?`
    Param,
    /// `@name` in any quoting, or a lone `@`.
    UserVar,
    /// `@@`
    AtAt,
    /// `\N`
    NullLiteral,
    Eq,
    NullSafeEq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Shl,
    Shr,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Caret,
    Tilde,
    Amp,
    AmpAmp,
    Pipe,
    PipePipe,
    Bang,
    Assign,
    Colon,
    Dot,
    /// `..` of a loop in a stored program.
    DotDot,
    Comma,
    LParen,
    RParen,
    LBrace,
    RBrace,
    Arrow,
    LongArrow,
    /// `;` inside of a compound statement.
    Semi,
    /// An unfinished string or comment, or a byte that no token begins with.
    Invalid,
}

impl TokenKind {
    /// Whether a token of this kind is a constant that the digest replaces.
    #[must_use]
    pub fn is_literal(self) -> bool {
        use TokenKind::{Bit, Decimal, Float, Hex, Int, NString, String};
        matches!(self, String | NString | Hex | Bit | Int | Decimal | Float)
    }
}

/// A token: 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its kind.
    pub kind: TokenKind,
    /// Which keyword, for [`TokenKind::Keyword`].
    pub keyword: Keyword,
    /// Offset of its first byte.
    pub start: u32,
    /// Offset after its last byte.
    pub end: u32,
}

impl Token {
    /// Where it stands.
    #[must_use]
    pub fn span(self) -> Span {
        Span { start: self.start, end: self.end }
    }
}

/// A comment that carries instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Which form.
    pub kind: HintKind,
    /// The whole comment.
    pub span: Span,
    /// Index of the token that follows it.
    pub before_tok: u32,
}

impl Hint {
    /// What is between the opening mark and `*/`.
    #[must_use]
    pub fn body(self, src: &[u8]) -> &[u8] {
        let open = match self.kind {
            HintKind::Optimizer => 3,
            HintKind::Mycat => b"/*!mycat:".len(),
            HintKind::Gauss => b"/*!GAUSS:".len(),
        };
        let whole = self.span.of(src);
        whole.get(open..whole.len().saturating_sub(2)).unwrap_or_default()
    }
}

/// Forms of hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HintKind {
    /// `/*+ … */`
    Optimizer,
    /// `/*!mycat:… */`
    Mycat,
    /// `/*!GAUSS:… */`
    Gauss,
}

/// The tokens of one statement.
#[derive(Clone, Debug, Default)]
pub struct TokenBuf {
    pub(crate) tokens: Vec<Token>,
    pub(crate) hints: Vec<Hint>,
    pub(crate) text: Span,
    pub(crate) rest: Option<u32>,
    pub(crate) comment: Option<u32>,
}

impl TokenBuf {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tokens; the last one is always [`TokenKind::Eof`] once something was lexed.
    #[must_use]
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The hints, in order.
    #[must_use]
    pub fn hints(&self) -> &[Hint] {
        &self.hints
    }

    /// The statement's text: from where lexing began to before `;`, comments included.
    #[must_use]
    pub fn text_span(&self) -> Span {
        self.text
    }

    /// Offset of the text after `;` when a further statement stands there.
    #[must_use]
    pub fn rest(&self) -> Option<u32> {
        self.rest
    }

    /// Offset of the text after `;` when nothing but comments stand there: to a client of several
    /// statements they are one of their own.
    #[must_use]
    pub fn comment(&self) -> Option<u32> {
        self.comment
    }

    /// Where a token stands; the empty range for an index that is not there.
    #[must_use]
    pub fn span(&self, tok: u32) -> Span {
        self.tokens.get(tok as usize).map(|token| token.span()).unwrap_or_default()
    }

    /// A token's bytes.
    #[must_use]
    pub fn bytes<'a>(&self, src: &'a [u8], tok: u32) -> &'a [u8] {
        self.span(tok).of(src)
    }

    /// First and last token of a span that begins and ends at tokens (every span of the tree does);
    /// None for an empty or other range.
    #[must_use]
    pub fn tok_range(&self, span: Span) -> Option<(u32, u32)> {
        let first = self.tokens.binary_search_by_key(&span.start, |token| token.start).ok()?;
        let last = self.tokens.binary_search_by_key(&span.end, |token| token.end).ok()?;
        (first <= last && span.start < span.end).then_some((first as u32, last as u32))
    }

    /// The value of a literal token; adjacent strings are separate tokens.
    #[must_use]
    pub fn value<'a>(&self, src: &'a [u8], tok: u32, mode: &LexMode) -> LiteralValue<'a> {
        match self.tokens.get(tok as usize) {
            Some(token) => {
                text::literal_value(token.kind, token.keyword, token.span().of(src), mode)
            }
            None => LiteralValue::None,
        }
    }

    /// The value of a literal node, adjacent strings put together.
    #[must_use]
    pub fn literal<'a>(
        &self,
        src: &'a [u8],
        literal: &crate::ast::Literal,
        mode: &LexMode,
    ) -> LiteralValue<'a> {
        let first = self.value(src, literal.tok, mode);
        if literal.tok_count < 2 {
            return first;
        }
        let mut joined = Vec::new();
        for tok in literal.tok..literal.tok + u32::from(literal.tok_count) {
            if let LiteralValue::String(part) = self.value(src, tok, mode) {
                joined.extend_from_slice(&part);
            }
        }
        LiteralValue::String(joined.into())
    }
}
