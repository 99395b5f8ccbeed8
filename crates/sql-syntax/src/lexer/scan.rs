//! The scanner. Rules that differ from what one may expect follow the server's own lexer: a name
//! may begin with digits, `--` begins a comment only before a space, a point after a name makes
//! the next word a name whatever it is, and version comments are read as if they were not there.

use super::{Hint, HintKind, LexMode, Token, TokenBuf, TokenKind};
use crate::ast::Span;
use crate::keyword::{self, Keyword};
use memchr::{memchr, memchr2, memmem};

/// Digits of a version in `/*!`.
const VERSION_DIGITS_MIN: usize = 5;
const VERSION_DIGITS_MAX: usize = 6;
/// The version of `/*!` comments that are read here and that every server takes for one that it is too
/// old for: SHOW CREATE TABLE puts the sharding clause into one, so that a dump loads everywhere.
const OWN_VERSION: u32 = 99_990;
/// Where a keyword that makes a statement compound may stand at the latest.
const COMPOUND_SEARCH_TOKENS: usize = 24;

/// Reads one statement of `src` from offset `from` into `buf`, whose content is replaced. Stops
/// after the `;` that ends the statement; `;` inside of stored programs does not.
///
/// Texts of 4 GiB and more are cut there: packets are far smaller.
pub fn lex(src: &[u8], from: u32, mode: &LexMode, buf: &mut TokenBuf) {
    buf.tokens.clear();
    buf.hints.clear();
    buf.rest = None;
    buf.comment = None;
    let src = &src[..src.len().min(u32::MAX as usize - 1)];
    let mut scanner = Scanner {
        src,
        pos: (from as usize).min(src.len()),
        mode,
        buf,
        in_version_comment: false,
        compound: Compound::Unknown,
        try_at: 0,
    };
    let end = scanner.run();
    let rest = scanner.following(end);
    let comment = rest.is_none() && scanner.has_more(end);
    buf.rest = rest;
    buf.comment = comment.then_some((end + 1) as u32);
    buf.text = Span::new(from.min(end as u32), end as u32);
    let end = end as u32;
    buf.tokens.push(Token { kind: TokenKind::Eof, keyword: Keyword::None, start: end, end });
}

/// Whether `;` may belong to the statement.
#[derive(Clone, Copy, PartialEq)]
enum Compound {
    Unknown,
    Yes,
    No,
}

struct Scanner<'a> {
    src: &'a [u8],
    pos: usize,
    mode: &'a LexMode,
    buf: &'a mut TokenBuf,
    in_version_comment: bool,
    compound: Compound,
    /// With how many tokens the end of a program is looked for next.
    try_at: usize,
}

/// Bytes that a bare name is made of.
const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_name(byte as u8);
        byte += 1;
    }
    table
};

impl Scanner<'_> {
    fn at(&self, pos: usize) -> u8 {
        self.src.get(pos).copied().unwrap_or(0)
    }

    fn push(&mut self, kind: TokenKind, start: usize) {
        self.push_word(kind, Keyword::None, start);
    }

    fn push_word(&mut self, kind: TokenKind, keyword: Keyword, start: usize) {
        let (start, end) = (start as u32, self.pos as u32);
        self.buf.tokens.push(Token { kind, keyword, start, end });
    }

    /// Scans to the end of the statement and returns the offset where its text ends.
    fn run(&mut self) -> usize {
        while let Some(&byte) = self.src.get(self.pos) {
            match byte {
                b' ' | b'\t'..=b'\r' => self.pos += 1,
                b';' if self.ends_at_semicolon() => return self.pos,
                b';' => {
                    if let Some(end) = self.end_of_program() {
                        return end;
                    }
                    self.pos += 1;
                    self.push(TokenKind::Semi, self.pos - 1);
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | 0x80.. => self.word(),
                b'0'..=b'9' => self.number(),
                b'\'' => self.string(TokenKind::String, self.pos),
                b'"' if !self.mode.ansi_quotes => self.string(TokenKind::String, self.pos),
                b'`' | b'"' => self.quoted_ident(byte),
                b'#' => self.line_comment(),
                b'-' if self.dashes() => self.line_comment(),
                b'/' if self.at(self.pos + 1) == b'*' => self.comment(),
                b'*' if self.in_version_comment && self.at(self.pos + 1) == b'/' => {
                    self.in_version_comment = false;
                    self.pos += 2;
                }
                b'.' => self.dot(),
                b'@' => self.variable(),
                _ => self.operator(byte),
            }
        }
        self.try_at = 0;
        let program = self.compound == Compound::Yes;
        program.then(|| self.end_of_program()).flatten().unwrap_or(self.pos)
    }

    /// The offset after `;` at `end`, when more than spaces and comments follows.
    fn following(&self, end: usize) -> Option<u32> {
        if self.at(end) != b';' {
            return None;
        }
        let after = end + 1;
        let mut pos = after;
        loop {
            let rest = self.src.get(pos..)?;
            match rest.first()? {
                b' ' | b'\t'..=b'\r' | b';' => pos += 1,
                b'#' => pos += memchr(b'\n', rest)? + 1,
                b'-' if rest.starts_with(b"--") && rest.get(2).is_none_or(|&b| b <= b' ') => {
                    pos += memchr(b'\n', rest)? + 1;
                }
                b'/' if rest.starts_with(b"/*")
                    && !matches!(rest.get(2), Some(b'!' | b'+' | b'M')) =>
                {
                    match memmem::find(&rest[2..], b"*/") {
                        Some(close) => pos += close + 4,
                        None => return Some(after as u32),
                    }
                }
                _ => return Some(after as u32),
            }
        }
    }

    /// Whether more than spaces and `;` follows the `;` at `end`.
    fn has_more(&self, end: usize) -> bool {
        let after = self.src.get(end + 1..).unwrap_or_default();
        self.at(end) == b';' && !after.iter().all(|&b| b == b';' || b.is_ascii_whitespace())
    }

    fn dashes(&self) -> bool {
        self.at(self.pos + 1) == b'-'
            && self.src.get(self.pos + 2).is_none_or(|&b| b <= b' ' || b == 0x7F)
    }

    fn line_comment(&mut self) {
        self.pos = match memchr(b'\n', &self.src[self.pos..]) {
            Some(offset) => self.pos + offset + 1,
            None => self.src.len(),
        };
    }

    fn comment(&mut self) {
        let start = self.pos;
        let rest = &self.src[start + 2..];
        if rest.first() == Some(&b'+') {
            return self.hint(HintKind::Optimizer);
        }
        let (bang, only_mariadb) = match rest {
            [b'!', ..] => (1, false),
            [b'M', b'!', ..] => (2, true),
            _ => return self.skip_comment(start),
        };
        for (kind, mark) in [(HintKind::Mycat, b"mycat:"), (HintKind::Gauss, b"gauss:")] {
            if rest.get(1..7).is_some_and(|word| word.eq_ignore_ascii_case(mark)) {
                return self.hint(kind);
            }
        }
        let digits = &rest[bang..];
        let count =
            digits.iter().take(VERSION_DIGITS_MAX).take_while(|b| b.is_ascii_digit()).count();
        let count = if count < VERSION_DIGITS_MIN { 0 } else { count };
        let version = digits[..count].iter().fold(0, |v, b| v * 10 + u32::from(b - b'0'));
        if self.runs_here(version, only_mariadb) && !self.in_version_comment {
            self.in_version_comment = true;
            self.pos = start + 2 + bang + count;
        } else {
            self.skip_comment(start);
        }
    }

    /// [`OWN_VERSION`] is ours. MariaDB skips comments for MySQL 5.7 and later, whose features are not its own.
    fn runs_here(&self, version: u32, only_mariadb: bool) -> bool {
        if version == OWN_VERSION {
            return true;
        }
        let foreign = if self.mode.mariadb {
            !only_mariadb && (50_700..=99_999).contains(&version)
        } else {
            only_mariadb
        };
        !foreign && version <= self.mode.server_version
    }

    /// Skips a comment with at most one level of comments inside, as the server does.
    fn skip_comment(&mut self, start: usize) {
        let mut pos = start + 2;
        let version_comment = matches!(self.src.get(pos), Some(b'!' | b'M'));
        let mut inner = false;
        while let Some(offset) = memchr2(b'*', b'/', &self.src[pos..]) {
            pos += offset;
            match (self.at(pos), self.at(pos + 1)) {
                (b'*', b'/') if inner => {
                    inner = false;
                    pos += 2;
                }
                (b'*', b'/') => {
                    self.pos = pos + 2;
                    return;
                }
                (b'/', b'*') if version_comment => {
                    inner = true;
                    pos += 2;
                }
                _ => pos += 1,
            }
        }
        self.unfinished(start);
    }

    fn hint(&mut self, kind: HintKind) {
        let start = self.pos;
        let Some(close) = memmem::find(&self.src[start + 2..], b"*/") else {
            return self.unfinished(start);
        };
        self.pos = start + 2 + close + 2;
        let span = Span::new(start as u32, self.pos as u32);
        let before_tok = self.buf.tokens.len() as u32;
        self.buf.hints.push(Hint { kind, span, before_tok });
    }

    fn unfinished(&mut self, start: usize) {
        self.pos = self.src.len();
        self.push(TokenKind::Invalid, start);
    }

    fn name_end(&self, mut pos: usize) -> usize {
        while let Some(&byte) = self.src.get(pos) {
            if !NAME[byte as usize] {
                break;
            }
            pos += if byte < 0x80 { 1 } else { self.mode.charset.char_len(&self.src[pos..]) };
        }
        pos.min(self.src.len())
    }

    /// Whether the token before ends right here with a point.
    fn after_dot(&self) -> bool {
        self.buf
            .tokens
            .last()
            .is_some_and(|t| t.kind == TokenKind::Dot && t.end as usize == self.pos)
    }

    fn word(&mut self) {
        let start = self.pos;
        let end = self.name_end(start);
        let word = &self.src[start..end];
        if word.len() == 1 && self.at(end) == b'\'' {
            match word[0] | 0x20 {
                b'x' => return self.coded_string(TokenKind::Hex),
                b'b' => return self.coded_string(TokenKind::Bit),
                b'n' => {
                    self.pos += 1;
                    return self.string(TokenKind::NString, start);
                }
                _ => {}
            }
        }
        let plain = self.after_dot();
        self.pos = end;
        let keyword = if plain { Keyword::None } else { keyword::lookup(word) };
        if keyword == Keyword::None {
            self.push(TokenKind::Ident, start);
        } else {
            self.push_word(TokenKind::Keyword, keyword, start);
        }
    }

    /// `x'…'` and `b'…'`: no escapes inside.
    fn coded_string(&mut self, kind: TokenKind) {
        let start = self.pos;
        match memchr(b'\'', &self.src[start + 2..]) {
            Some(offset) => {
                self.pos = start + 2 + offset + 1;
                let digits = &self.src[start + 2..self.pos - 1];
                let ok = match kind {
                    TokenKind::Hex => {
                        digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit)
                    }
                    _ => digits.iter().all(|b| matches!(b, b'0' | b'1')),
                };
                self.push(if ok { kind } else { TokenKind::Invalid }, start);
            }
            None => self.unfinished(start),
        }
    }

    /// A string whose quote is at the current offset; the token begins at `start`.
    fn string(&mut self, kind: TokenKind, start: usize) {
        let quote = self.at(self.pos);
        match self.quoted_end(self.pos, quote, !self.mode.no_backslash_escapes) {
            Some(end) => {
                self.pos = end;
                self.push(kind, start);
            }
            None => self.unfinished(start),
        }
    }

    /// The offset after the closing quote of what opens at `open`.
    fn quoted_end(&self, open: usize, quote: u8, escapes: bool) -> Option<usize> {
        let mut pos = open + 1;
        if self.mode.charset == super::CharsetClass::AsciiSafe {
            loop {
                pos += memchr2(quote, if escapes { b'\\' } else { quote }, self.src.get(pos..)?)?;
                if self.src[pos] != quote || self.at(pos + 1) == quote {
                    pos += 2;
                } else {
                    return Some(pos + 1);
                }
            }
        }
        loop {
            let byte = *self.src.get(pos)?;
            if byte == quote && self.at(pos + 1) != quote {
                return Some(pos + 1);
            }
            let double = byte == quote || (escapes && byte == b'\\');
            pos += if double { 2 } else { self.mode.charset.char_len(&self.src[pos..]) };
        }
    }

    fn quoted_ident(&mut self, quote: u8) {
        let start = self.pos;
        match self.quoted_end(start, quote, false) {
            Some(end) => {
                self.pos = end;
                self.push(TokenKind::QuotedIdent, start);
            }
            None => self.unfinished(start),
        }
    }

    fn number(&mut self) {
        let start = self.pos;
        if self.after_dot() {
            return self.word();
        }
        if let Some(kind) = self.coded_number() {
            return self.push(kind, start);
        }
        let mut pos = start;
        while self.at(pos).is_ascii_digit() {
            pos += 1;
        }
        if let Some(end) = self.exponent(pos) {
            self.pos = end;
            return self.push(TokenKind::Float, start);
        }
        if self.at(pos) == b'.' && self.at(pos + 1) != b'.' {
            return self.fraction(start, pos + 1);
        }
        if pos < self.src.len() && NAME[self.at(pos) as usize] {
            self.pos = self.name_end(pos);
            return self.push(TokenKind::Ident, start);
        }
        self.pos = pos;
        self.push(TokenKind::Int, start);
    }

    /// `0x4D` and `0b01`, when nothing else makes it a name.
    fn coded_number(&mut self) -> Option<TokenKind> {
        if self.at(self.pos) != b'0' {
            return None;
        }
        let (kind, digit): (_, fn(&u8) -> bool) = match self.at(self.pos + 1) {
            b'x' => (TokenKind::Hex, u8::is_ascii_hexdigit),
            b'b' => (TokenKind::Bit, |b| matches!(b, b'0' | b'1')),
            _ => return None,
        };
        let end = self.name_end(self.pos + 2);
        let digits = &self.src[self.pos + 2..end];
        if digits.is_empty() || !digits.iter().all(digit) {
            return None;
        }
        self.pos = end;
        Some(kind)
    }

    /// The end of an exponent at `pos`.
    fn exponent(&self, pos: usize) -> Option<usize> {
        if self.at(pos) | 0x20 != b'e' {
            return None;
        }
        let mut end = pos + 1;
        if matches!(self.at(end), b'+' | b'-') {
            end += 1;
        }
        let digits = end;
        while self.at(end).is_ascii_digit() {
            end += 1;
        }
        (end > digits).then_some(end)
    }

    fn fraction(&mut self, start: usize, mut pos: usize) {
        while self.at(pos).is_ascii_digit() {
            pos += 1;
        }
        let exponent = self.exponent(pos);
        self.pos = exponent.unwrap_or(pos);
        self.push(if exponent.is_some() { TokenKind::Float } else { TokenKind::Decimal }, start);
    }

    fn dot(&mut self) {
        let start = self.pos;
        let after_name = self.buf.tokens.last().is_some_and(|t| {
            t.end as usize == start
                && matches!(t.kind, TokenKind::Ident | TokenKind::QuotedIdent | TokenKind::Keyword)
        });
        if !after_name && self.at(start + 1).is_ascii_digit() {
            return self.fraction(start, start + 1);
        }
        if self.at(start + 1) == b'.' {
            self.pos += 2;
            return self.push(TokenKind::DotDot, start);
        }
        self.pos += 1;
        self.push(TokenKind::Dot, start);
    }

    fn variable(&mut self) {
        let start = self.pos;
        if self.at(start + 1) == b'@' {
            self.pos += 2;
            return self.push(TokenKind::AtAt, start);
        }
        let quote = self.at(start + 1);
        if matches!(quote, b'`' | b'\'' | b'"') {
            let escapes = quote != b'`' && !self.mode.no_backslash_escapes;
            return match self.quoted_end(start + 1, quote, escapes) {
                Some(end) => {
                    self.pos = end;
                    self.push(TokenKind::UserVar, start);
                }
                None => self.unfinished(start),
            };
        }
        let mut end = self.name_end(start + 1);
        while self.at(end) == b'.' && end < self.src.len() {
            end = self.name_end(end + 1);
        }
        self.pos = end;
        self.push(TokenKind::UserVar, start);
    }

    fn operator(&mut self, byte: u8) {
        use TokenKind as T;
        let start = self.pos;
        let next = self.at(start + 1);
        let (kind, len) = match (byte, next) {
            (b'<', b'=') if self.at(start + 2) == b'>' => (T::NullSafeEq, 3),
            (b'<', b'=') => (T::Le, 2),
            (b'<', b'>') | (b'!', b'=') => (T::Ne, 2),
            (b'<', b'<') => (T::Shl, 2),
            (b'<', _) => (T::Lt, 1),
            (b'>', b'=') => (T::Ge, 2),
            (b'>', b'>') => (T::Shr, 2),
            (b'>', _) => (T::Gt, 1),
            (b'-', b'>') if self.at(start + 2) == b'>' => (T::LongArrow, 3),
            (b'-', b'>') => (T::Arrow, 2),
            (b'-', _) => (T::Minus, 1),
            (b'&', b'&') => (T::AmpAmp, 2),
            (b'&', _) => (T::Amp, 1),
            (b'|', b'|') => (T::PipePipe, 2),
            (b'|', _) => (T::Pipe, 1),
            (b':', b'=') => (T::Assign, 2),
            (b'\\', b'N') => (T::NullLiteral, 2),
            _ => (single(byte), 1),
        };
        self.pos += len;
        self.push(kind, start);
    }

    /// Whether the `;` here ends the statement.
    fn ends_at_semicolon(&mut self) -> bool {
        if self.compound == Compound::Unknown {
            self.compound = self.classify();
        }
        self.compound == Compound::No
    }

    /// Stored programs and compound statements may hold statements of their own.
    fn classify(&self) -> Compound {
        use Keyword as K;
        let head = &self.buf.tokens[..self.buf.tokens.len().min(COMPOUND_SEARCH_TOKENS)];
        let first = head.first().map_or(K::None, |t| t.keyword);
        let program = |t: &Token| {
            matches!(t.keyword, K::Procedure | K::Function | K::Trigger | K::Event | K::Package)
        };
        let block = |pair: &[Token]| pair[0].keyword == K::Begin && pair[1].keyword == K::Not;
        let compound = match first {
            K::Create | K::Alter => head.iter().any(program),
            K::Begin => head.windows(2).next().is_some_and(block),
            K::Set => head.iter().any(program) || head.windows(2).any(block),
            K::If | K::Case | K::Loop | K::While | K::Repeat | K::For => true,
            _ => false,
        };
        if compound { Compound::Yes } else { Compound::No }
    }

    /// Where the program that was read up to here ends, if it does: only the grammar tells which
    /// `;` belongs to it. It is asked each time that the tokens have doubled, so that neither a long
    /// program nor many short ones in one text cost more than in proportion. Tokens that follow
    /// the program are taken out again.
    fn end_of_program(&mut self) -> Option<usize> {
        if self.buf.tokens.len() < self.try_at {
            return None;
        }
        self.try_at = 2 * self.buf.tokens.len();
        let pos = self.pos as u32;
        let eof = Token { kind: TokenKind::Eof, keyword: Keyword::None, start: pos, end: pos };
        self.buf.tokens.push(eof);
        let end = crate::parser::end_of_program(self.src, self.buf, self.mode);
        self.buf.tokens.pop();
        let at = end?;
        let end = self.buf.tokens.get(at).map_or(self.pos, |semicolon| semicolon.start as usize);
        self.buf.tokens.truncate(at);
        self.buf.hints.retain(|hint| hint.before_tok as usize <= at);
        Some(end)
    }
}

fn single(byte: u8) -> TokenKind {
    use TokenKind as T;
    match byte {
        b'=' => T::Eq,
        b'+' => T::Plus,
        b'*' => T::Star,
        b'/' => T::Slash,
        b'%' => T::Percent,
        b'^' => T::Caret,
        b'~' => T::Tilde,
        b'!' => T::Bang,
        b':' => T::Colon,
        b',' => T::Comma,
        b'(' => T::LParen,
        b')' => T::RParen,
        b'{' => T::LBrace,
        b'}' => T::RBrace,
        b'?' => T::Param,
        _ => T::Invalid,
    }
}
