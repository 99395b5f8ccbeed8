//! Function calls, with the forms that have words between their arguments, and window functions.

use super::{Parser, Result};
use crate::ast::{Expr, ExprKind, FuncCall, Ident, Literal, LiteralKind, Over, Span, WindowSpec};
use crate::keyword::{self, Keyword};
use crate::lexer::TokenKind as T;

/// Functions that may be called without parentheses.
const BARE: &[&str] = &[
    "CURRENT_TIMESTAMP",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_USER",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
    "CURRENT_ROLE",
];

/// Functions that the server's lexer knows: right before `(` these words are no names.
const FUNCTION_TOKENS: &[&str] = &[
    "BIT_AND",
    "BIT_OR",
    "BIT_XOR",
    "CAST",
    "COUNT",
    "CURDATE",
    "CURTIME",
    "DATE_ADD",
    "DATE_SUB",
    "EXTRACT",
    "GROUP_CONCAT",
    "JSON_ARRAYAGG",
    "JSON_OBJECTAGG",
    "MAX",
    "MID",
    "MIN",
    "NOW",
    "POSITION",
    "STD",
    "STDDEV",
    "STDDEV_POP",
    "STDDEV_SAMP",
    "SUBSTR",
    "SUBSTRING",
    "SUM",
    "TRIM",
    "VARIANCE",
    "VAR_POP",
    "VAR_SAMP",
];

impl Parser<'_> {
    /// Whether the word here, which `(` follows, is a function's name whatever one expects.
    pub(super) fn at_function_token(&self) -> bool {
        let adjacent = self.peek(0).end == self.peek(1).start;
        (adjacent || self.mode.ignore_space) && self.at_any(FUNCTION_TOKENS)
    }

    /// A call with nothing but its arguments.
    pub(super) fn plain_call(name: Ident, args: Vec<Expr>) -> ExprKind {
        ExprKind::Func(Box::new(FuncCall { args, ..empty(name, Vec::new()) }))
    }

    /// CAST, CONVERT, MATCH and calls without parentheses.
    pub(super) fn conversion(&mut self, next: T) -> Result<Option<ExprKind>> {
        if next == T::LParen && self.at("CAST") {
            self.bump();
            self.bump();
            let expr = self.boxed()?;
            self.expect("AS")?;
            let ty = self.type_words()?;
            self.expect_kind(T::RParen)?;
            return Ok(Some(ExprKind::Cast { expr, ty }));
        }
        if next == T::LParen && self.at("CONVERT") {
            return self.convert().map(Some);
        }
        if next == T::LParen && self.at("MATCH") {
            return self.match_against().map(Some);
        }
        if self.at("MATCH") {
            return self.match_against().map(Some);
        }
        if next != T::LParen && next != T::Dot && self.at_any(BARE) {
            let name = self.any_ident();
            let mut call = empty(name, Vec::new());
            call.parens = false;
            call.keyword = keyword::lookup(name.raw(self.src));
            return Ok(Some(ExprKind::Func(Box::new(call))));
        }
        Ok(None)
    }

    /// A value, or one of the words that stand for one: `IGNORE` leaves a column as it is.
    pub(super) fn value(&mut self) -> Result<Expr> {
        let start = self.start();
        let alone =
            matches!(self.peek(1).kind, T::Comma | T::RParen | T::Eof | T::Semi | T::Keyword);
        if !self.at("IGNORE") || !alone {
            return self.expr();
        }
        let mut call = empty(self.any_ident(), Vec::new());
        call.parens = false;
        Ok(Expr { kind: ExprKind::Func(Box::new(call)), span: self.since(start) })
    }

    fn convert(&mut self) -> Result<ExprKind> {
        self.bump();
        self.bump();
        let expr = self.boxed()?;
        let kind = if self.eat("USING") {
            let charset =
                if self.at("BINARY") { self.any_ident() } else { self.ident_or_string()? };
            ExprKind::ConvertUsing { expr, charset }
        } else {
            self.expect_kind(T::Comma)?;
            ExprKind::Cast { expr, ty: self.type_words()? }
        };
        self.expect_kind(T::RParen)?;
        Ok(kind)
    }

    /// The words of a type in CAST, up to the closing parenthesis.
    pub(super) fn type_words(&mut self) -> Result<Span> {
        let start = self.start();
        if !matches!(self.kind(), T::Ident | T::Keyword) {
            return self.unexpected();
        }
        loop {
            match self.kind() {
                T::Ident | T::Keyword | T::QuotedIdent | T::String => {
                    self.bump();
                }
                T::LParen => {
                    self.skip_parens()?;
                }
                _ => return Ok(self.since(start)),
            }
        }
    }

    fn match_against(&mut self) -> Result<ExprKind> {
        self.bump();
        let columns = if self.is(T::LParen) {
            self.paren_list(|p| p.expr())?
        } else {
            self.comma_list(|p| p.bit_expr())?
        };
        self.expect("AGAINST")?;
        self.expect_kind(T::LParen)?;
        let against = Box::new(self.bit_expr()?);
        let start = self.start();
        let words: [&[&str]; 5] = [
            &["IN", "NATURAL", "LANGUAGE", "MODE", "WITH", "QUERY", "EXPANSION"],
            &["IN", "NATURAL", "LANGUAGE", "MODE"],
            &["IN", "BOOLEAN", "MODE"],
            &["WITH", "QUERY", "EXPANSION"],
            &[],
        ];
        let written =
            words.iter().find(|words| self.eat_words(words)).is_some_and(|words| !words.is_empty());
        let mode = written.then(|| self.since(start));
        self.expect_kind(T::RParen)?;
        Ok(ExprKind::Match { columns, against, mode })
    }

    /// A call whose name is the present token, after these qualifiers.
    pub(super) fn function_call(&mut self, qualifiers: Vec<Ident>) -> Result<ExprKind> {
        let name = match self.kind() {
            T::Ident | T::QuotedIdent | T::Keyword => self.any_ident(),
            _ => return self.unexpected(),
        };
        let mut call = empty(name, qualifiers);
        if call.qualifiers.is_empty() {
            let raw = name.raw(self.src);
            call.keyword = keyword::lookup(raw);
            if call.keyword.is_reserved() && !may_be_called(call.keyword) {
                self.pos -= 1;
                return self.unexpected();
            }
        }
        self.expect_kind(T::LParen)?;
        if !self.is(T::RParen) {
            let upper = name.raw(self.src).to_ascii_uppercase();
            self.arguments(&mut call, &upper)?;
        }
        if call.keyword == Keyword::If && call.args.len() != 3 {
            return self.unexpected();
        }
        self.expect_kind(T::RParen)?;
        if self.eat_words(&["WITHIN", "GROUP"]) {
            self.expect_kind(T::LParen)?;
            (call.order_by, _) = self.order_by()?;
            self.expect_kind(T::RParen)?;
            call.special = true;
        }
        self.window_tail(&mut call)?;
        Ok(ExprKind::Func(Box::new(call)))
    }

    fn arguments(&mut self, call: &mut FuncCall, name: &[u8]) -> Result<()> {
        if self.is(T::Star) && matches!(self.peek(1).kind, T::RParen) {
            self.bump();
            call.star = true;
            return Ok(());
        }
        match name {
            b"EXTRACT" => {
                call.unit = Some(self.ident_or_keyword()?.span);
                call.special = true;
                self.expect("FROM")?;
                call.args.push(self.expr()?);
                return Ok(());
            }
            b"TIMESTAMPADD" | b"TIMESTAMPDIFF" | b"GET_FORMAT" => {
                call.unit = Some(self.ident_or_keyword()?.span);
                call.special = true;
                self.expect_kind(T::Comma)?;
            }
            b"TRIM" => return self.trim(call),
            b"POSITION" => {
                call.args.push(self.bit_expr()?);
                self.expect("IN")?;
                call.special = true;
            }
            _ => {
                call.distinct = self.eat("DISTINCT");
                if !call.distinct {
                    self.eat("ALL");
                }
            }
        }
        self.argument_list(call)
    }

    /// Arguments between commas, with the words that some functions have behind or between them.
    fn argument_list(&mut self, call: &mut FuncCall) -> Result<()> {
        loop {
            call.args.push(self.expr()?);
            if self.at("AS") || self.at("USING") || self.at_any(&["RETURNING", "LEVEL"]) {
                call.special = true;
                return self.skip_to_close();
            }
            if self.eat("FROM") || self.eat("FOR") {
                call.special = true;
                continue;
            }
            if !self.eat_kind(T::Comma) {
                break;
            }
        }
        if self.eat_words(&["ORDER", "BY"]) {
            call.order_by = self.comma_list(|p| p.order_item())?;
        }
        if self.eat("SEPARATOR") {
            let tok = self.string()?;
            call.separator = Some(Literal { kind: LiteralKind::String, tok, tok_count: 1 });
        }
        if self.at("LIMIT") {
            call.limit = self.limit()?.map(Box::new);
        }
        if !self.is(T::RParen) {
            call.special = true;
            return self.skip_to_close();
        }
        Ok(())
    }

    /// What only its own function understands, up to the closing parenthesis. Parameters in it are
    /// counted, since their order is the statement's.
    fn skip_to_close(&mut self) -> Result<()> {
        let mut open = 0_u32;
        loop {
            match self.kind() {
                T::RParen if open == 0 => return Ok(()),
                T::RParen => open -= 1,
                T::LParen => open += 1,
                T::Eof | T::Semi | T::Invalid => return self.unexpected(),
                _ => {}
            }
            self.skip_one();
        }
    }

    fn trim(&mut self, call: &mut FuncCall) -> Result<()> {
        if self.eat_any(&["LEADING", "TRAILING", "BOTH"]) {
            call.special = true;
            if !self.at("FROM") {
                call.args.push(self.expr()?);
            }
            self.expect("FROM")?;
            call.args.push(self.expr()?);
            return Ok(());
        }
        call.args.push(self.expr()?);
        if self.eat("FROM") {
            call.special = true;
            call.args.push(self.expr()?);
        } else if self.eat_kind(T::Comma) {
            call.args.push(self.expr()?);
        }
        Ok(())
    }

    /// `[FROM FIRST|LAST] [RESPECT|IGNORE NULLS] OVER …`.
    fn window_tail(&mut self, call: &mut FuncCall) -> Result<()> {
        let from = self.at_words(&["FROM", "FIRST"]) || self.at_words(&["FROM", "LAST"]);
        let tail = usize::from(from) * 2;
        let nulls = (self.is_at(tail, "RESPECT") || self.is_at(tail, "IGNORE"))
            && self.is_at(tail + 1, "NULLS");
        let words = tail + usize::from(nulls) * 2;
        if !self.is_at(words, "OVER") {
            return Ok(());
        }
        self.pos += words + 1;
        let over = if self.is(T::LParen) {
            Over::Spec(self.window_spec()?)
        } else {
            Over::Name(self.ident()?)
        };
        call.over = Some(Box::new(over));
        Ok(())
    }

    pub(super) fn window_spec(&mut self) -> Result<WindowSpec> {
        let start = self.start();
        self.expect_kind(T::LParen)?;
        let named =
            self.at_ident() && !self.at_any(&["PARTITION", "ORDER", "ROWS", "RANGE", "GROUPS"]);
        let base = if named { Some(self.ident()?) } else { None };
        let partition_by = if self.eat_words(&["PARTITION", "BY"]) {
            self.comma_list(|p| p.expr())?
        } else {
            Vec::new()
        };
        let order_by = if self.eat_words(&["ORDER", "BY"]) {
            self.comma_list(|p| p.order_item())?
        } else {
            Vec::new()
        };
        let (frame, frame_exprs) = self.frame()?;
        self.expect_kind(T::RParen)?;
        Ok(WindowSpec { base, partition_by, order_by, frame, frame_exprs, span: self.since(start) })
    }

    fn frame(&mut self) -> Result<(Option<Span>, Vec<Expr>)> {
        let start = self.start();
        if !self.eat_any(&["ROWS", "RANGE", "GROUPS"]) {
            return Ok((None, Vec::new()));
        }
        let mut exprs = Vec::new();
        if self.eat("BETWEEN") {
            self.frame_bound(&mut exprs)?;
            self.expect("AND")?;
        }
        self.frame_bound(&mut exprs)?;
        if self.eat("EXCLUDE") {
            while matches!(self.kind(), T::Ident | T::Keyword) {
                self.bump();
            }
        }
        Ok((Some(self.since(start)), exprs))
    }

    fn frame_bound(&mut self, exprs: &mut Vec<Expr>) -> Result<()> {
        if self.eat_words(&["CURRENT", "ROW"]) {
            return Ok(());
        }
        if !self.eat("UNBOUNDED") {
            exprs.push(self.bit_expr()?);
        }
        if self.eat_any(&["PRECEDING", "FOLLOWING"]) { Ok(()) } else { self.unexpected() }
    }
}

/// Reserved words that are also functions' names.
fn may_be_called(keyword: Keyword) -> bool {
    use Keyword as K;
    matches!(
        keyword,
        K::Char
            | K::CurrentDate
            | K::CurrentTime
            | K::CurrentTimestamp
            | K::CurrentUser
            | K::Database
            | K::If
            | K::Insert
            | K::Interval
            | K::Left
            | K::Localtime
            | K::Localtimestamp
            | K::Mod
            | K::Repeat
            | K::Replace
            | K::Right
            | K::Schema
            | K::UtcDate
            | K::UtcTime
            | K::UtcTimestamp
    )
}

fn empty(name: Ident, qualifiers: Vec<Ident>) -> FuncCall {
    FuncCall {
        qualifiers,
        name,
        keyword: Keyword::None,
        parens: true,
        distinct: false,
        star: false,
        args: Vec::new(),
        unit: None,
        special: false,
        order_by: Vec::new(),
        separator: None,
        limit: None,
        over: None,
    }
}
