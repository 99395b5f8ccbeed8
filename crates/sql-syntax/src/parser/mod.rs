//! Recursive descent over the tokens of one statement, with operator precedence for expressions.
//! Words are compared where the grammar expects them, so a word that is no keyword elsewhere stays
//! a name. What the tree does not describe is skipped as balanced text and stays as it is written.

mod account;
mod admin;
mod alter;
mod create;
mod data_type;
mod ddl;
mod diagnostics;
mod dml;
mod expr;
mod function;
mod program;
mod query;
mod recycle;
mod rows;
mod set;
mod show;
mod table;

use crate::ast::{Ident, Parsed, Span, Statement, TableName};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::lexer::{LexMode, Token, TokenBuf, TokenKind, lex};

pub(crate) use program::end_of_program;

/// Nested expressions, queries and joins; more is an error, not a stack overflow.
pub const DEPTH_MAX: u32 = 100;

/// How high a tree may grow, operators and joins in a row included: `1 + 1 + 1 …` is read by a loop,
/// but whoever walks, copies or drops its tree recurses. AND, OR, UNION and lists do not count.
pub const HEIGHT_MAX: u32 = 500;

/// Longer than any word that begins a statement.
const WORD_BYTES_MAX: usize = 16;

/// What parsing gives.
pub(crate) type Result<T> = std::result::Result<T, SyntaxError>;

/// Parses the statement whose tokens are in `buf`.
pub fn parse(src: &[u8], buf: &TokenBuf, mode: &LexMode) -> Result<Parsed> {
    let mut parser = Parser::new(src, buf, mode);
    let stmt = parser.statement()?;
    if parser.kind() != TokenKind::Eof {
        return parser.unexpected();
    }
    let first = parser.tokens.first().map_or(0, |token| token.start);
    let span = Span::new(first, parser.end().max(first));
    Ok(Parsed {
        stmt,
        span,
        text: buf.text_span(),
        params: parser.params,
        lock_wait: parser.lock_wait,
        rest: buf.rest(),
    })
}

/// Lexes and parses the statement that begins at `from`.
pub fn parse_one(src: &[u8], from: u32, mode: &LexMode, buf: &mut TokenBuf) -> Result<Parsed> {
    lex(src, from, mode, buf);
    parse(src, buf, mode)
}

/// The state of parsing one statement.
pub(crate) struct Parser<'a> {
    pub(crate) src: &'a [u8],
    pub(crate) buf: &'a TokenBuf,
    tokens: &'a [Token],
    pub(crate) mode: &'a LexMode,
    pos: usize,
    depth: u32,
    /// How high the trees are that were read on this level of nesting.
    height: u32,
    /// How many sub-queries, derived tables and operands in parentheses this place lies in.
    inside: u32,
    params: Vec<u32>,
    lock_wait: Option<u64>,
}

impl<'a> Parser<'a> {
    fn new(src: &'a [u8], buf: &'a TokenBuf, mode: &'a LexMode) -> Self {
        let (tokens, params) = (buf.tokens(), Vec::new());
        let lock_wait = None;
        Parser { src, buf, tokens, mode, pos: 0, depth: 0, height: 0, inside: 0, params, lock_wait }
    }

    // ---- looking ----

    /// The end of the text, or of a statement of a stored program.
    fn at_end(&self) -> bool {
        matches!(self.kind(), TokenKind::Eof | TokenKind::Semi)
    }

    /// The token `ahead` places from here; the end's token beyond the end.
    fn peek(&self, ahead: usize) -> Token {
        let last = self.tokens.len().saturating_sub(1);
        // A buffer into which nothing was lexed has not even an end.
        let nothing =
            Token { kind: TokenKind::Eof, keyword: crate::Keyword::None, start: 0, end: 0 };
        self.tokens.get((self.pos + ahead).min(last)).copied().unwrap_or(nothing)
    }

    fn kind(&self) -> TokenKind {
        self.peek(0).kind
    }

    /// The index of the present token.
    fn tok(&self) -> u32 {
        self.pos as u32
    }

    /// Where the present token begins.
    fn start(&self) -> u32 {
        self.peek(0).start
    }

    /// Where the token before ends.
    fn end(&self) -> u32 {
        self.pos.checked_sub(1).map_or(0, |at| self.tokens[at].end)
    }

    fn since(&self, start: u32) -> Span {
        Span::new(start, self.end().max(start))
    }

    /// Whether the token `ahead` is this word, unquoted.
    fn is_at(&self, ahead: usize, word: &str) -> bool {
        let token = self.peek(ahead);
        (token.end - token.start) as usize == word.len()
            && matches!(token.kind, TokenKind::Keyword | TokenKind::Ident)
            && token.span().of(self.src).eq_ignore_ascii_case(word.as_bytes())
    }

    fn at(&self, word: &str) -> bool {
        self.is_at(0, word)
    }

    fn at_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.at(word))
    }

    /// Whether these words stand here, one after the other.
    fn at_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(ahead, word)| self.is_at(ahead, word))
    }

    // ---- taking ----

    fn bump(&mut self) -> u32 {
        let tok = self.tok();
        if self.pos + 1 < self.tokens.len() {
            self.pos += 1;
        }
        tok
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.at(word);
        if found {
            self.bump();
        }
        found
    }

    /// Takes all of these words or none.
    fn eat_words(&mut self, words: &[&str]) -> bool {
        let found = self.at_words(words);
        if found {
            self.pos += words.len();
        }
        found
    }

    fn eat_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.eat(word))
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        if self.eat(word) { Ok(()) } else { self.unexpected() }
    }

    fn is(&self, kind: TokenKind) -> bool {
        self.kind() == kind
    }

    fn eat_kind(&mut self, kind: TokenKind) -> bool {
        let found = self.is(kind);
        if found {
            self.bump();
        }
        found
    }

    fn expect_kind(&mut self, kind: TokenKind) -> Result<u32> {
        if self.is(kind) { Ok(self.bump()) } else { self.unexpected() }
    }

    fn unexpected<T>(&self) -> Result<T> {
        Err(SyntaxError::at(
            self.src,
            self.buf.text_span(),
            self.start(),
            SyntaxErrorKind::Unexpected,
        ))
    }

    /// One level deeper for the time of `inner`.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_MAX {
            return Err(self.too_deep());
        }
        self.depth += 1;
        let beside = std::mem::take(&mut self.height);
        let result = inner(self);
        self.depth -= 1;
        let value = result?;
        self.grow()?;
        self.height = self.height.max(beside);
        Ok(value)
    }

    /// The tree read last became an operand: one level higher without nesting.
    fn grow(&mut self) -> Result<()> {
        self.height += 1;
        if self.height > HEIGHT_MAX { Err(self.too_deep()) } else { Ok(()) }
    }

    fn too_deep(&self) -> SyntaxError {
        let (text, offset) = (self.buf.text_span(), self.start());
        SyntaxError::at(self.src, text, offset, SyntaxErrorKind::TooDeep)
    }

    // ---- small things that occur everywhere ----

    fn is_ident(&self, token: Token) -> bool {
        match token.kind {
            TokenKind::Ident | TokenKind::QuotedIdent => true,
            TokenKind::Keyword => !token.keyword.is_reserved(),
            _ => false,
        }
    }

    fn at_ident(&self) -> bool {
        self.is_ident(self.peek(0))
    }

    fn ident(&mut self) -> Result<Ident> {
        if self.at_ident() { Ok(self.any_ident()) } else { self.unexpected() }
    }

    /// The present token as a name, whatever it is.
    fn any_ident(&mut self) -> Ident {
        let span = self.peek(0).span();
        Ident { span, tok: self.bump() }
    }

    /// A name, or a string where MySQL takes one for a name.
    fn ident_or_string(&mut self) -> Result<Ident> {
        if self.at_ident() || self.is(TokenKind::String) {
            Ok(self.any_ident())
        } else {
            self.unexpected()
        }
    }

    fn table_name(&mut self) -> Result<TableName> {
        if self.peek(1).kind == TokenKind::LParen && self.at_function_token() {
            return self.unexpected();
        }
        let first = self.ident()?;
        if !self.eat_kind(TokenKind::Dot) {
            return Ok(TableName { schema: None, name: first, span: first.span });
        }
        let name = self.after_dot()?;
        Ok(TableName { schema: Some(first), name, span: first.span.to(name.span) })
    }

    /// After a dot every word is a name.
    fn after_dot(&mut self) -> Result<Ident> {
        match self.kind() {
            TokenKind::Ident | TokenKind::QuotedIdent | TokenKind::Keyword => Ok(self.any_ident()),
            _ => self.unexpected(),
        }
    }

    fn comma_list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut list = Vec::with_capacity(1 + self.names_ahead());
        list.push(one(self)?);
        while self.eat_kind(TokenKind::Comma) {
            list.push(one(self)?);
        }
        Ok(list)
    }

    /// How many entries of one token each follow this one, commas between them: so much room is
    /// needed at least.
    fn names_ahead(&self) -> usize {
        let rest = self.tokens.get(self.pos + 1..).unwrap_or_default();
        rest.chunks_exact(2).take_while(|pair| pair[0].kind == TokenKind::Comma).count()
    }

    fn paren_list<T>(&mut self, one: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect_kind(TokenKind::LParen)?;
        let list = self.comma_list(one)?;
        self.expect_kind(TokenKind::RParen)?;
        Ok(list)
    }

    /// `(a, b)` with names alone, possibly empty.
    fn ident_list(&mut self) -> Result<Vec<Ident>> {
        self.expect_kind(TokenKind::LParen)?;
        if self.eat_kind(TokenKind::RParen) {
            return Ok(Vec::new());
        }
        let list = self.comma_list(|p| p.after_dot())?;
        self.expect_kind(TokenKind::RParen)?;
        Ok(list)
    }

    /// Everything from `(` to its `)`.
    fn skip_parens(&mut self) -> Result<Span> {
        let start = self.start();
        let mut open = 0_u32;
        loop {
            match self.kind() {
                TokenKind::LParen => open += 1,
                TokenKind::RParen => open = open.saturating_sub(1),
                TokenKind::Eof | TokenKind::Semi | TokenKind::Invalid => return self.unexpected(),
                _ => {}
            }
            self.skip_one();
            if open == 0 {
                return Ok(self.since(start));
            }
        }
    }

    /// Everything to the end of the statement; an unfinished string is still an error.
    fn skip_rest(&mut self) -> Result<Option<Span>> {
        let start = self.start();
        if self.at_end() {
            return Ok(None);
        }
        while !self.at_end() {
            if self.is(TokenKind::Invalid) {
                return self.unexpected();
            }
            self.skip_one();
        }
        Ok(Some(self.since(start)))
    }

    /// Passes over a token without reading it; a parameter keeps its place in their order.
    fn skip_one(&mut self) {
        if self.is(TokenKind::Param) {
            let tok = self.tok();
            self.params.push(tok);
        }
        self.bump();
    }

    /// An unsigned number.
    fn number(&mut self) -> Result<u64> {
        if !self.is(TokenKind::Int) {
            return self.unexpected();
        }
        let text = self.peek(0).span().of(self.src);
        let value = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        match value {
            Some(value) => {
                self.bump();
                Ok(value)
            }
            None => self.unexpected(),
        }
    }

    /// A number that may have a sign.
    fn signed_number(&mut self) -> Result<i64> {
        let negative = self.eat_kind(TokenKind::Minus);
        if !negative {
            self.eat_kind(TokenKind::Plus);
        }
        let magnitude = i128::from(self.number()?);
        i64::try_from(if negative { -magnitude } else { magnitude }).or_else(|_| self.unexpected())
    }

    fn string(&mut self) -> Result<u32> {
        match self.kind() {
            TokenKind::String | TokenKind::NString | TokenKind::Hex | TokenKind::Bit => {
                Ok(self.bump())
            }
            _ => self.unexpected(),
        }
    }

    // ---- statements ----

    pub(crate) fn statement(&mut self) -> Result<Statement> {
        self.nested(|p| p.dispatch())
    }

    fn dispatch(&mut self) -> Result<Statement> {
        let token = self.peek(0);
        if token.kind == TokenKind::Eof {
            return Ok(Statement::Empty);
        }
        if token.kind == TokenKind::LParen || self.at_any(&["SELECT", "VALUES", "TABLE"]) {
            return Ok(Statement::Query(Box::new(self.query()?)));
        }
        if self.at("WITH") {
            return self.with_statement();
        }
        let mut upper = [0; WORD_BYTES_MAX];
        let word = token.span().of(self.src);
        let word = &word[..word.len().min(WORD_BYTES_MAX)];
        upper[..word.len()].copy_from_slice(word);
        upper.make_ascii_uppercase();
        let word = &upper[..word.len()];
        match word {
            b"INSERT" => self.insert(false),
            b"REPLACE" => self.insert(true),
            b"UPDATE" => self.update(None),
            b"DELETE" => self.delete(None),
            b"LOAD" => self.load(),
            b"CREATE" => self.create(),
            b"ALTER" => self.alter(),
            b"DROP" => self.drop_statement(),
            b"RENAME" => self.rename(),
            b"TRUNCATE" => self.truncate(),
            b"FRESH" => self.fresh_sequences(),
            b"SHOW" => self.show(),
            b"DESCRIBE" | b"DESC" | b"EXPLAIN" => self.explain(),
            b"SET" => self.set(),
            _ => self.administration(word),
        }
    }
}
