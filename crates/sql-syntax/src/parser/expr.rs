//! Expressions, by operator precedence: one function for all infix operators, so that a level of
//! parentheses costs few stack frames.

use super::{Parser, Result};
use crate::ast::{
    BinaryOp, ColumnRef, Expr, ExprKind, IsTest, Literal, LiteralKind, Span, SysVar, UnaryOp,
    VarScope,
};
use crate::keyword::Keyword;
use crate::lexer::{Token, TokenKind as T};

/// Binding powers, loosest first.
mod power {
    pub const OR: u8 = 1;
    pub const XOR: u8 = 2;
    pub const AND: u8 = 3;
    pub const NOT: u8 = 4;
    pub const COMPARE: u8 = 5;
    pub const PREDICATE: u8 = 6;
    pub const BIT_OR: u8 = 7;
    pub const BIT_AND: u8 = 8;
    pub const SHIFT: u8 = 9;
    pub const ADD: u8 = 10;
    pub const MUL: u8 = 11;
    pub const BIT_XOR: u8 = 12;
    pub const CONCAT: u8 = 13;
    pub const UNARY: u8 = 14;
}

impl Parser<'_> {
    /// Any expression.
    pub(crate) fn expr(&mut self) -> Result<Expr> {
        self.binding(power::OR)
    }

    /// An expression without AND, OR, comparisons and predicates: what stands between BETWEEN and
    /// AND, or before IN in POSITION.
    pub(crate) fn bit_expr(&mut self) -> Result<Expr> {
        self.binding(power::BIT_OR)
    }

    pub(crate) fn boxed(&mut self) -> Result<Box<Expr>> {
        Ok(Box::new(self.expr()?))
    }

    fn binding(&mut self, least: u8) -> Result<Expr> {
        self.nested(|p| {
            let mut left = p.prefix()?;
            loop {
                match p.infix(left, least)? {
                    Infix::Grown(expr) => {
                        p.grow()?;
                        left = expr;
                    }
                    Infix::Done(expr) => return Ok(expr),
                }
            }
        })
    }

    /// Takes one infix operator that binds at least as tightly as `least`, with its right side.
    fn infix(&mut self, left: Expr, least: u8) -> Result<Infix> {
        let start = left.span.start;
        if !self.may_be_infix() {
            return Ok(Infix::Done(left));
        }
        if let Some((op, bind)) = self.binary_op()
            && bind >= least
        {
            self.bump_op(op);
            if op.is_comparison()
                && self.at_any(&["ANY", "SOME", "ALL"])
                && self.peek(1).kind == T::LParen
            {
                return self.quantified(left, op).map(Infix::Grown);
            }
            let right = Box::new(self.binding(bind + 1)?);
            let kind = ExprKind::Binary { op, left: Box::new(left), right };
            return Ok(Infix::Grown(self.node(kind, start)));
        }
        if least <= power::OR
            && (self.at("OR") || (self.is(T::PipePipe) && !self.mode.pipes_as_concat))
        {
            return self.chain(left, power::OR).map(Infix::Grown);
        }
        if least <= power::AND && (self.at("AND") || self.is(T::AmpAmp)) {
            return self.chain(left, power::AND).map(Infix::Grown);
        }
        if least <= power::COMPARE && self.at("IS") {
            return self.is_test(left).map(Infix::Grown);
        }
        if least <= power::PREDICATE && self.at_predicate() {
            return self.predicate(left).map(Infix::Grown);
        }
        Ok(Infix::Done(left))
    }

    /// A quick look: most expressions end at a comma, a parenthesis or a clause's first word.
    fn may_be_infix(&self) -> bool {
        use Keyword as K;
        let token = self.peek(0);
        match token.kind {
            T::Eof | T::Semi | T::Comma | T::RParen | T::QuotedIdent | T::String | T::Int => false,
            T::Keyword => matches!(
                token.keyword,
                K::Or
                    | K::And
                    | K::Xor
                    | K::Not
                    | K::Is
                    | K::In
                    | K::Between
                    | K::Like
                    | K::Regexp
                    | K::Rlike
                    | K::Div
                    | K::Mod
            ),
            // SOUNDS LIKE, MEMBER OF.
            T::Ident => token.end - token.start == 6,
            _ => true,
        }
    }

    fn node(&self, kind: ExprKind, start: u32) -> Expr {
        Expr { kind, span: self.since(start) }
    }

    /// AND and OR: all operands of one chain in one list.
    fn chain(&mut self, first: Expr, bind: u8) -> Result<Expr> {
        let start = first.span.start;
        let or = bind == power::OR;
        let mut list = vec![first];
        loop {
            let more = if or {
                self.eat("OR") || (!self.mode.pipes_as_concat && self.eat_kind(T::PipePipe))
            } else {
                self.eat("AND") || self.eat_kind(T::AmpAmp)
            };
            if !more {
                break;
            }
            list.push(self.binding(bind + 1)?);
        }
        Ok(self.node(if or { ExprKind::Or(list) } else { ExprKind::And(list) }, start))
    }

    fn binary_op(&self) -> Option<(BinaryOp, u8)> {
        use BinaryOp as B;
        Some(match self.kind() {
            T::Eq => (B::Eq, power::COMPARE),
            T::NullSafeEq => (B::NullSafeEq, power::COMPARE),
            T::Ne => (B::Ne, power::COMPARE),
            T::Lt => (B::Lt, power::COMPARE),
            T::Le => (B::Le, power::COMPARE),
            T::Gt => (B::Gt, power::COMPARE),
            T::Ge => (B::Ge, power::COMPARE),
            T::Plus => (B::Add, power::ADD),
            T::Minus => (B::Sub, power::ADD),
            T::Star => (B::Mul, power::MUL),
            T::Slash => (B::Div, power::MUL),
            T::Percent => (B::Mod, power::MUL),
            T::Caret => (B::BitXor, power::BIT_XOR),
            T::Amp => (B::BitAnd, power::BIT_AND),
            T::Pipe => (B::BitOr, power::BIT_OR),
            T::Shl => (B::Shl, power::SHIFT),
            T::Shr => (B::Shr, power::SHIFT),
            T::PipePipe if self.mode.pipes_as_concat => (B::Concat, power::CONCAT),
            T::Arrow => (B::JsonExtract, power::UNARY),
            T::LongArrow => (B::JsonUnquote, power::UNARY),
            T::Keyword | T::Ident => return self.word_op(),
            _ => return None,
        })
    }

    fn word_op(&self) -> Option<(BinaryOp, u8)> {
        if self.at("DIV") {
            Some((BinaryOp::IntDiv, power::MUL))
        } else if self.at("MOD") {
            Some((BinaryOp::Mod, power::MUL))
        } else if self.at("XOR") {
            Some((BinaryOp::Xor, power::XOR))
        } else if self.at_words(&["SOUNDS", "LIKE"]) {
            Some((BinaryOp::SoundsLike, power::PREDICATE))
        } else if self.at_words(&["MEMBER", "OF"])
            || (self.at("MEMBER") && self.peek(1).kind == T::LParen)
        {
            Some((BinaryOp::MemberOf, power::PREDICATE))
        } else {
            None
        }
    }

    fn bump_op(&mut self, op: BinaryOp) {
        self.bump();
        if op == BinaryOp::SoundsLike || (op == BinaryOp::MemberOf && self.at("OF")) {
            self.bump();
        }
    }

    fn quantified(&mut self, left: Expr, op: BinaryOp) -> Result<Expr> {
        let start = left.span.start;
        let all = self.at("ALL");
        self.bump();
        let query = Box::new(self.paren_query()?);
        Ok(self.node(ExprKind::Quantified { op, left: Box::new(left), all, query }, start))
    }

    fn is_test(&mut self, left: Expr) -> Result<Expr> {
        let start = left.span.start;
        self.expect("IS")?;
        let not = self.eat("NOT");
        let test = if self.eat("NULL") || self.eat_kind(T::NullLiteral) {
            IsTest::Null
        } else if self.eat("TRUE") {
            IsTest::True
        } else if self.eat("FALSE") {
            IsTest::False
        } else if self.eat("UNKNOWN") {
            IsTest::Unknown
        } else {
            return self.unexpected();
        };
        Ok(self.node(ExprKind::Is { expr: Box::new(left), not, test }, start))
    }

    fn at_predicate(&self) -> bool {
        let after_not = usize::from(self.at("NOT"));
        ["IN", "BETWEEN", "LIKE", "REGEXP", "RLIKE"].iter().any(|word| self.is_at(after_not, word))
    }

    fn predicate(&mut self, left: Expr) -> Result<Expr> {
        let start = left.span.start;
        let not = self.eat("NOT");
        let expr = Box::new(left);
        let kind = if self.eat("IN") {
            if self.at_paren_query() {
                ExprKind::InQuery { expr, not, query: Box::new(self.paren_query()?) }
            } else {
                self.expect_kind(T::LParen)?;
                let mut first = self.expr()?;
                if self.at_query_tail()
                    && let ExprKind::Subquery(query) = first.kind
                {
                    let query = Box::new(self.query_from(*query, first.span)?);
                    first = Expr { kind: ExprKind::Subquery(query), span: first.span };
                }
                let mut list = vec![first];
                while self.eat_kind(T::Comma) {
                    list.push(self.expr()?);
                }
                self.expect_kind(T::RParen)?;
                Self::in_list(expr, not, list)
            }
        } else if self.eat("BETWEEN") {
            let low = Box::new(self.bit_expr()?);
            self.expect("AND")?;
            let high = Box::new(self.binding(power::PREDICATE)?);
            ExprKind::Between { expr, not, low, high }
        } else if self.eat("LIKE") {
            let pattern = Box::new(self.bit_expr()?);
            let escape = if self.eat("ESCAPE") { Some(Box::new(self.bit_expr()?)) } else { None };
            ExprKind::Like { expr, not, pattern, escape }
        } else if self.eat_any(&["REGEXP", "RLIKE"]) {
            ExprKind::Regexp { expr, not, pattern: Box::new(self.bit_expr()?) }
        } else {
            return self.unexpected();
        };
        Ok(self.node(kind, start))
    }

    /// `IN ((SELECT …))` searches the query's rows, as without the second parentheses.
    fn in_list(expr: Box<Expr>, not: bool, mut list: Vec<Expr>) -> ExprKind {
        match list.pop() {
            Some(Expr { kind: ExprKind::Subquery(query), .. }) if list.is_empty() => {
                ExprKind::InQuery { expr, not, query }
            }
            last => {
                list.extend(last);
                ExprKind::InList { expr, not, list }
            }
        }
    }

    /// Prefix operators and what binds tightest.
    fn prefix(&mut self) -> Result<Expr> {
        let start = self.start();
        let (op, bind) = match self.kind() {
            T::Minus => (UnaryOp::Minus, power::UNARY),
            T::Plus => (UnaryOp::Plus, power::UNARY),
            T::Tilde => (UnaryOp::BitNot, power::UNARY),
            T::Bang => (UnaryOp::Bang, power::UNARY),
            T::Keyword if self.at("NOT") && self.mode.high_not_precedence => {
                (UnaryOp::Not, power::UNARY)
            }
            T::Keyword if self.at("NOT") => (UnaryOp::Not, power::NOT),
            T::Keyword if self.at("BINARY") => (UnaryOp::Binary, power::UNARY),
            _ => return self.postfix(),
        };
        self.bump();
        let expr = Box::new(self.binding(bind)?);
        Ok(self.node(ExprKind::Unary { op, expr }, start))
    }

    fn postfix(&mut self) -> Result<Expr> {
        let start = self.start();
        let mut expr = self.primary()?;
        while self.eat("COLLATE") {
            let collation =
                if self.at("BINARY") { self.any_ident() } else { self.ident_or_string()? };
            self.grow()?;
            expr = self.node(ExprKind::Collate { expr: Box::new(expr), collation }, start);
        }
        Ok(expr)
    }

    pub(super) fn primary(&mut self) -> Result<Expr> {
        let start = self.start();
        let kind = match self.kind() {
            T::Int => self.literal(LiteralKind::Int),
            T::Decimal => self.literal(LiteralKind::Decimal),
            T::Float => self.literal(LiteralKind::Float),
            T::String => self.literal(LiteralKind::String),
            T::NString => self.literal(LiteralKind::NationalString),
            T::Hex => self.literal(LiteralKind::Hex),
            T::Bit => self.literal(LiteralKind::Bit),
            T::NullLiteral => self.literal(LiteralKind::Null),
            T::Param => {
                let tok = self.bump();
                self.params.push(tok);
                ExprKind::Param { ordinal: self.params.len() as u32 - 1, tok }
            }
            T::UserVar => self.user_variable()?,
            T::AtAt => ExprKind::SysVar(self.system_variable()?),
            T::LParen => self.parenthesised()?,
            T::LBrace => self.odbc()?,
            T::Keyword | T::Ident | T::QuotedIdent => self.word()?,
            _ => return self.unexpected(),
        };
        Ok(self.node(kind, start))
    }

    /// A constant; adjacent strings are one.
    pub(super) fn literal(&mut self, kind: LiteralKind) -> ExprKind {
        let tok = self.bump();
        let mut tok_count = 1_u16;
        if matches!(kind, LiteralKind::String | LiteralKind::NationalString) {
            while self.is(T::String) && tok_count < u16::MAX {
                self.bump();
                tok_count += 1;
            }
        }
        ExprKind::Literal(Literal { kind, tok, tok_count })
    }

    fn user_variable(&mut self) -> Result<ExprKind> {
        let tok = self.bump();
        if !self.eat_kind(T::Assign) {
            return Ok(ExprKind::UserVar { tok });
        }
        Ok(ExprKind::Assign { tok, value: self.boxed()? })
    }

    /// `@@[scope.]name`.
    pub(super) fn system_variable(&mut self) -> Result<SysVar> {
        self.expect_kind(T::AtAt)?;
        let scope = self.variable_scope();
        if scope != VarScope::Default {
            self.expect_kind(T::Dot)?;
        }
        let first = self.after_dot()?;
        if !self.eat_kind(T::Dot) {
            return Ok(SysVar { scope, base: None, name: first });
        }
        Ok(SysVar { scope, base: Some(first), name: self.after_dot()? })
    }

    fn variable_scope(&mut self) -> VarScope {
        if self.peek(1).kind != T::Dot {
            return VarScope::Default;
        }
        for (word, scope) in [
            ("SESSION", VarScope::Session),
            ("LOCAL", VarScope::Session),
            ("GLOBAL", VarScope::Global),
            ("PERSIST", VarScope::Persist),
            ("PERSIST_ONLY", VarScope::PersistOnly),
        ] {
            if self.eat(word) {
                return scope;
            }
        }
        VarScope::Default
    }

    /// `(a)`, `(a, b)`, `(SELECT …)`.
    fn parenthesised(&mut self) -> Result<ExprKind> {
        if self.at_paren_query() {
            return Ok(ExprKind::Subquery(Box::new(self.paren_query()?)));
        }
        self.expect_kind(T::LParen)?;
        let first = self.expr()?;
        if let ExprKind::Subquery(query) = first.kind {
            if self.at_query_tail() {
                let query = self.query_from(*query, first.span)?;
                self.expect_kind(T::RParen)?;
                return Ok(ExprKind::Subquery(Box::new(query)));
            }
            let inner = Expr { kind: ExprKind::Subquery(query), span: first.span };
            return self.after_first(inner);
        }
        self.after_first(first)
    }

    fn after_first(&mut self, first: Expr) -> Result<ExprKind> {
        if self.eat_kind(T::RParen) {
            return Ok(ExprKind::Paren(Box::new(first)));
        }
        let mut list = vec![first];
        while self.eat_kind(T::Comma) {
            list.push(self.expr()?);
        }
        self.expect_kind(T::RParen)?;
        if list.len() < 2 { self.unexpected() } else { Ok(ExprKind::Row(list)) }
    }

    /// `{d '2024-01-01'}`.
    fn odbc(&mut self) -> Result<ExprKind> {
        self.expect_kind(T::LBrace)?;
        let name = self.ident()?;
        let expr = self.boxed()?;
        self.expect_kind(T::RBrace)?;
        Ok(ExprKind::Odbc { name, expr })
    }

    /// What begins with a word: constants, CASE, functions, columns.
    fn word(&mut self) -> Result<ExprKind> {
        let token = self.peek(0);
        let next = self.peek(1).kind;
        // A name that is no keyword and does not stand before what makes it something else.
        let plain = token.kind == T::Ident
            && !matches!(next, T::LParen | T::String | T::Hex | T::Bit | T::Ident | T::Keyword);
        if token.kind != T::QuotedIdent && !(plain && self.is_plain_name(token)) {
            if let Some(kind) = self.constant_word(next)? {
                return Ok(kind);
            }
            if let Some(kind) = self.special_form(next)? {
                return Ok(kind);
            }
        }
        if next == T::LParen {
            return self.function_call(Vec::new());
        }
        if !self.at_ident() {
            return self.unexpected();
        }
        let first = self.any_ident();
        if !self.is(T::Dot) {
            return Ok(ExprKind::Column(ColumnRef { schema: None, table: None, name: first }));
        }
        self.bump();
        let second = self.after_dot()?;
        if self.is(T::LParen) {
            self.step_back();
            return self.function_call(vec![first]);
        }
        if !self.is(T::Dot) {
            return Ok(ExprKind::Column(ColumnRef {
                schema: None,
                table: Some(first),
                name: second,
            }));
        }
        self.bump();
        let third = self.after_dot()?;
        if self.is(T::LParen) {
            self.step_back();
            return self.function_call(vec![first, second]);
        }
        Ok(ExprKind::Column(ColumnRef { schema: Some(first), table: Some(second), name: third }))
    }

    /// CURRENT_ROLE is a call without parentheses, and no keyword.
    fn is_plain_name(&self, token: Token) -> bool {
        token.end - token.start != 12 || !self.at("CURRENT_ROLE")
    }

    fn step_back(&mut self) {
        self.pos -= 1;
    }

    /// NULL, TRUE, introducers, typed constants.
    fn constant_word(&mut self, next: T) -> Result<Option<ExprKind>> {
        for (word, kind) in [
            ("NULL", LiteralKind::Null),
            ("TRUE", LiteralKind::True),
            ("FALSE", LiteralKind::False),
        ] {
            if self.at(word) {
                return Ok(Some(self.literal(kind)));
            }
        }
        if next == T::String {
            for (word, kind) in [
                ("DATE", LiteralKind::Date),
                ("TIME", LiteralKind::Time),
                ("TIMESTAMP", LiteralKind::Timestamp),
            ] {
                if self.eat(word) {
                    let tok = self.bump();
                    return Ok(Some(ExprKind::Literal(Literal { kind, tok, tok_count: 1 })));
                }
            }
        }
        let introduces = matches!(next, T::String | T::Hex | T::Bit)
            && self.peek(0).span().of(self.src).first() == Some(&b'_');
        if introduces {
            self.bump();
            let kind = match next {
                T::Hex => LiteralKind::Hex,
                T::Bit => LiteralKind::Bit,
                _ => LiteralKind::String,
            };
            return Ok(Some(self.literal(kind)));
        }
        Ok(None)
    }

    /// Forms with syntax of their own.
    fn special_form(&mut self, next: T) -> Result<Option<ExprKind>> {
        if self.at("CASE") {
            return self.case().map(Some);
        }
        if self.at("EXISTS") && next == T::LParen {
            self.bump();
            return Ok(Some(ExprKind::Exists(Box::new(self.paren_query()?))));
        }
        if self.at("ROW") && next == T::LParen {
            self.bump();
            return Ok(Some(ExprKind::Row(self.paren_list(|p| p.expr())?)));
        }
        if self.at("INTERVAL") {
            return self.interval().map(Some);
        }
        if self.at("DEFAULT") {
            self.bump();
            if !self.eat_kind(T::LParen) {
                return Ok(Some(ExprKind::Default(None)));
            }
            let column = self.column_ref()?;
            self.expect_kind(T::RParen)?;
            return Ok(Some(ExprKind::Default(Some(column))));
        }
        if next == T::LParen && self.at_any(&["VALUES", "VALUE"]) {
            self.bump();
            self.expect_kind(T::LParen)?;
            let column = self.column_ref()?;
            self.expect_kind(T::RParen)?;
            return Ok(Some(ExprKind::Values(column)));
        }
        if self.at_words(&["NEXT", "VALUE", "FOR"]) || self.at_words(&["PREVIOUS", "VALUE", "FOR"])
        {
            let next = self.at("NEXT");
            self.pos += 3;
            return Ok(Some(ExprKind::SequenceValue { next, name: self.table_name()? }));
        }
        self.conversion(next)
    }

    pub(crate) fn column_ref(&mut self) -> Result<ColumnRef> {
        let first = self.ident()?;
        if !self.eat_kind(T::Dot) {
            return Ok(ColumnRef { schema: None, table: None, name: first });
        }
        let second = self.after_dot()?;
        if !self.eat_kind(T::Dot) {
            return Ok(ColumnRef { schema: None, table: Some(first), name: second });
        }
        Ok(ColumnRef { schema: Some(first), table: Some(second), name: self.after_dot()? })
    }

    fn case(&mut self) -> Result<ExprKind> {
        self.expect("CASE")?;
        let operand = if self.at("WHEN") { None } else { Some(self.boxed()?) };
        let mut arms = Vec::new();
        while self.eat("WHEN") {
            let when = self.expr()?;
            self.expect("THEN")?;
            arms.push((when, self.expr()?));
        }
        let otherwise = if self.eat("ELSE") { Some(self.boxed()?) } else { None };
        self.expect("END")?;
        if arms.is_empty() {
            self.unexpected()
        } else {
            Ok(ExprKind::Case { operand, arms, otherwise })
        }
    }

    /// `INTERVAL 1 DAY`, or the function INTERVAL(n, …).
    fn interval(&mut self) -> Result<ExprKind> {
        if self.peek(1).kind == T::LParen {
            let name = self.any_ident();
            let start = self.start();
            let mut list = self.paren_list(|p| p.expr())?;
            let unit = list.len() == 1 && matches!(self.kind(), T::Ident | T::Keyword);
            return Ok(match list.pop() {
                Some(value) if unit => {
                    let value = Box::new(self.node(ExprKind::Paren(Box::new(value)), start));
                    ExprKind::Interval { value, unit: self.ident_or_keyword()?.span }
                }
                last => {
                    list.extend(last);
                    Self::plain_call(name, list)
                }
            });
        }
        self.expect("INTERVAL")?;
        let value = self.boxed()?;
        let unit: Span = self.ident_or_keyword()?.span;
        Ok(ExprKind::Interval { value, unit })
    }

    /// A word of any kind.
    pub(super) fn ident_or_keyword(&mut self) -> Result<crate::ast::Ident> {
        match self.kind() {
            T::Ident | T::Keyword => Ok(self.any_ident()),
            _ => self.unexpected(),
        }
    }
}

/// What came of looking for an infix operator.
enum Infix {
    /// One was taken.
    Grown(Expr),
    /// There is none that binds tightly enough.
    Done(Expr),
}
