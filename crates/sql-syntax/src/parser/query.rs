//! SELECT, VALUES, TABLE, set operations, and what applies to the whole query.

use super::{Parser, Result};
use crate::ast::{
    Cte, Expr, Ident, IntoKind, Limit, LimitForm, LockClause, LockStrength, LockWait, OrderItem,
    Query, Select, SelectInto, SelectItem, SetChain, SetExpr, SetOp, SetOperand, Span, Statement,
    TableList, With,
};
use crate::lexer::TokenKind as T;

/// Words between SELECT and the first item.
const OPTIONS: &[&str] = &[
    "ALL",
    "DISTINCT",
    "DISTINCTROW",
    "HIGH_PRIORITY",
    "STRAIGHT_JOIN",
    "SQL_SMALL_RESULT",
    "SQL_BIG_RESULT",
    "SQL_BUFFER_RESULT",
    "SQL_CACHE",
    "SQL_NO_CACHE",
    "SQL_CALC_FOUND_ROWS",
];

impl Parser<'_> {
    /// `WITH …` before a query, UPDATE or DELETE.
    pub(super) fn with_statement(&mut self) -> Result<Statement> {
        let start = self.start();
        let with = self.with()?;
        if self.at("UPDATE") {
            return self.update(Some(with));
        }
        if self.at("DELETE") {
            return self.delete(Some(with));
        }
        let body = self.set_expr()?;
        Ok(Statement::Query(Box::new(self.query_tail(Some(with), body, start)?)))
    }

    /// A query without parentheses around it.
    pub(crate) fn query(&mut self) -> Result<Query> {
        self.nested(|p| {
            let start = p.start();
            let with = if p.at("WITH") { Some(p.with()?) } else { None };
            let body = p.set_expr()?;
            p.query_tail(with, body, start)
        })
    }

    /// Whether `(` here begins a query.
    pub(super) fn at_paren_query(&self) -> bool {
        self.is(T::LParen)
            && (self.is_at(1, "SELECT")
                || self.is_at(1, "WITH")
                || (self.is_at(1, "VALUES")
                    && (self.is_at(2, "ROW") || self.peek(2).kind == T::LParen))
                || (self.is_at(1, "TABLE") && self.is_ident(self.peek(2))))
    }

    /// `(query)`.
    pub(super) fn paren_query(&mut self) -> Result<Query> {
        self.expect_kind(T::LParen)?;
        self.inside += 1;
        let query = if self.is(T::LParen) && !self.at_paren_query() {
            self.nested(|p| {
                let span = p.start();
                let inner = p.paren_query()?;
                let span = p.since(span);
                p.query_from(inner, span)
            })?
        } else {
            self.query()?
        };
        self.inside -= 1;
        self.expect_kind(T::RParen)?;
        Ok(query)
    }

    /// Whether something follows that belongs to a query whose first operand was in parentheses.
    pub(super) fn at_query_tail(&self) -> bool {
        self.at_any(&["UNION", "EXCEPT", "INTERSECT", "ORDER", "LIMIT"])
    }

    /// The query whose first operand, in parentheses at `span`, is already read.
    pub(super) fn query_from(&mut self, first: Query, span: Span) -> Result<Query> {
        let first = SetExpr::Paren(Box::new(first), span);
        let intersected = self.operators(first, true)?;
        let body = self.operators(intersected, false)?;
        self.query_tail(None, body, span.start)
    }

    fn with(&mut self) -> Result<With> {
        let start = self.start();
        self.expect("WITH")?;
        let recursive = self.eat("RECURSIVE");
        let ctes = self.comma_list(|p| {
            let start = p.start();
            let name = p.ident()?;
            let columns = if p.is(T::LParen) { p.ident_list()? } else { Vec::new() };
            p.expect("AS")?;
            let query = Box::new(p.paren_query()?);
            if recursive && p.eat("CYCLE") {
                p.comma_list(|p| p.ident())?;
                p.expect("RESTRICT")?;
            }
            Ok(Cte { name, columns, query, span: p.since(start) })
        })?;
        Ok(With { recursive, ctes, span: self.since(start) })
    }

    fn set_expr(&mut self) -> Result<SetExpr> {
        let first = self.operand()?;
        let first = self.operators(first, true)?;
        self.operators(first, false)
    }

    /// A chain of INTERSECT, or of UNION and EXCEPT, to the right of `first`.
    fn operators(&mut self, first: SetExpr, intersect: bool) -> Result<SetExpr> {
        let start = first.span().start;
        let mut rest = Vec::new();
        let closed = |operand: &SetExpr| matches!(operand, SetExpr::Select(one) if one.into.is_some() || one.procedure.is_some());
        if closed(&first) {
            return Ok(first);
        }
        loop {
            let op = if intersect && self.eat("INTERSECT") {
                SetOp::Intersect
            } else if !intersect && self.eat("UNION") {
                SetOp::Union
            } else if !intersect && self.eat("EXCEPT") {
                SetOp::Except
            } else {
                break;
            };
            let all = self.eat("ALL");
            if !all {
                self.eat("DISTINCT");
            }
            let operand = self.operand()?;
            let operand = if intersect { operand } else { self.operators(operand, true)? };
            rest.push(SetOperand { op, all, operand });
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(SetExpr::SetOp(Box::new(SetChain { first, rest, span: self.since(start) })))
    }

    fn operand(&mut self) -> Result<SetExpr> {
        let start = self.start();
        if self.at("SELECT") {
            return Ok(SetExpr::Select(Box::new(self.select()?)));
        }
        if self.is(T::LParen) {
            let query = self.nested(|p| p.paren_query())?;
            return Ok(SetExpr::Paren(Box::new(query), self.since(start)));
        }
        if self.eat("TABLE") {
            let name = self.table_name()?;
            return Ok(SetExpr::Table(name, self.since(start)));
        }
        if self.eat("VALUES") {
            let rows = self.comma_list(|p| {
                p.eat("ROW");
                p.paren_list(|p| p.value())
            })?;
            return Ok(SetExpr::Values(rows, self.since(start)));
        }
        self.unexpected()
    }

    fn query_tail(&mut self, with: Option<With>, body: SetExpr, start: u32) -> Result<Query> {
        if self.at_end() || self.is(T::RParen) {
            return Ok(Query {
                with,
                body,
                order_by: Vec::new(),
                order_span: None,
                limit: None,
                locks: Vec::new(),
                into: None,
                span: self.since(start),
            });
        }
        let (order_by, order_span) = self.order_by()?;
        let limit = self.limit()?;
        // There is one INTO or PROCEDURE, wherever it stands.
        let given = is_closed(&body) || self.procedure()?.is_some();
        let mut into = if given { None } else { self.select_into()? };
        let mut locks = Vec::new();
        while let Some(lock) = self.lock_clause()? {
            locks.push(lock);
        }
        if into.is_none() && !given {
            into = self.select_into()?;
        }
        Ok(Query { with, body, order_by, order_span, limit, locks, into, span: self.since(start) })
    }

    fn select(&mut self) -> Result<Select> {
        let start = self.start();
        let select_tok = self.tok();
        self.expect("SELECT")?;
        let options_start = self.start();
        let (mut distinct, mut calc_found_rows, mut straight_join) = (false, false, false);
        let mut any = false;
        while let Some(word) = OPTIONS.iter().find(|word| self.at(word)) {
            any = true;
            distinct |= word.starts_with("DISTINCT");
            calc_found_rows |= *word == "SQL_CALC_FOUND_ROWS";
            straight_join |= *word == "STRAIGHT_JOIN";
            self.bump();
        }
        let options = any.then(|| self.since(options_start));
        let items_start = self.start();
        let items = self.comma_list(|p| p.select_item())?;
        let items_span = self.since(items_start);
        let mut select = Select {
            span: items_span,
            select_tok,
            distinct,
            calc_found_rows,
            straight_join,
            options,
            items,
            items_span,
            into: self.select_into()?,
            from: TableList::new(),
            from_span: None,
            selection: None,
            where_span: None,
            group_by: Vec::new(),
            group_span: None,
            rollup: false,
            having: None,
            having_span: None,
            windows: Vec::new(),
            window_span: None,
            procedure: None,
        };
        self.select_clauses(&mut select)?;
        select.span = self.since(start);
        Ok(select)
    }

    fn select_clauses(&mut self, select: &mut Select) -> Result<()> {
        let start = self.start();
        if self.eat("FROM") {
            if !self.eat("DUAL") {
                select.from.push(self.table_expr()?);
                while self.eat_kind(T::Comma) {
                    select.from.push(self.table_expr()?);
                }
            }
            select.from_span = Some(self.since(start));
        }
        (select.selection, select.where_span) = self.where_clause()?;
        if self.at_end() || self.is(T::RParen) {
            return Ok(());
        }
        let start = self.start();
        if self.eat_words(&["GROUP", "BY"]) {
            select.group_by = self.comma_list(|p| p.order_item())?;
            // Servers read CUBE, too, and then refuse it.
            select.rollup =
                self.eat_words(&["WITH", "ROLLUP"]) || self.eat_words(&["WITH", "CUBE"]);
            select.group_span = Some(self.since(start));
        }
        let start = self.start();
        if self.eat("HAVING") {
            select.having = Some(self.expr()?);
            select.having_span = Some(self.since(start));
        }
        let start = self.start();
        if self.at("WINDOW") && self.is_at(2, "AS") {
            self.bump();
            select.windows = self.comma_list(|p| {
                let name = p.ident()?;
                p.expect("AS")?;
                Ok((name, p.window_spec()?))
            })?;
            select.window_span = Some(self.since(start));
        }
        if select.into.is_none() {
            select.procedure = self.procedure()?;
        }
        Ok(())
    }

    /// PROCEDURE ANALYSE(…).
    fn procedure(&mut self) -> Result<Option<Span>> {
        let start = self.start();
        if self.inside > 0 || !self.eat("PROCEDURE") {
            return Ok(None);
        }
        self.ident_or_keyword()?;
        self.skip_parens()?;
        Ok(Some(self.since(start)))
    }

    pub(super) fn where_clause(&mut self) -> Result<(Option<Expr>, Option<Span>)> {
        let start = self.start();
        if !self.eat("WHERE") {
            return Ok((None, None));
        }
        let condition = self.expr()?;
        Ok((Some(condition), Some(self.since(start))))
    }

    pub(super) fn select_item(&mut self) -> Result<SelectItem> {
        let start = self.start();
        if self.eat_kind(T::Star) {
            return Ok(SelectItem::Star { schema: None, table: None, span: self.since(start) });
        }
        let named = |p: &Self, at: usize| p.is_ident(p.peek(at)) && p.peek(at + 1).kind == T::Dot;
        if named(self, 0) && self.peek(2).kind == T::Star {
            let table = Some(self.ident()?);
            self.bump();
            self.bump();
            return Ok(SelectItem::Star { schema: None, table, span: self.since(start) });
        }
        if named(self, 0) && self.peek(3).kind == T::Dot && self.peek(4).kind == T::Star {
            let schema = Some(self.ident()?);
            self.bump();
            let table = Some(self.after_dot()?);
            self.bump();
            self.bump();
            return Ok(SelectItem::Star { schema, table, span: self.since(start) });
        }
        let expr = self.expr()?;
        let alias = self.select_alias()?;
        Ok(SelectItem::Expr { expr, alias, span: self.since(start) })
    }

    fn select_alias(&mut self) -> Result<Option<Ident>> {
        if self.eat("AS") {
            return self.ident_or_string().map(Some);
        }
        let free =
            self.at_ident() && !self.at_any(&["OFFSET", "FETCH", "WINDOW"]) || self.is(T::String);
        if free { Ok(Some(self.any_ident())) } else { Ok(None) }
    }

    pub(super) fn order_by(&mut self) -> Result<(Vec<OrderItem>, Option<Span>)> {
        let start = self.start();
        if !self.eat_words(&["ORDER", "BY"]) {
            return Ok((Vec::new(), None));
        }
        let items = self.comma_list(|p| p.order_item())?;
        Ok((items, Some(self.since(start))))
    }

    pub(super) fn order_item(&mut self) -> Result<OrderItem> {
        let start = self.start();
        let expr = self.expr()?;
        let desc = self.eat("DESC");
        if !desc {
            self.eat("ASC");
        }
        Ok(OrderItem { expr, desc, span: self.since(start) })
    }

    pub(super) fn limit(&mut self) -> Result<Option<Limit>> {
        let start = self.start();
        if self.eat("LIMIT") {
            return self.limit_numbers(start).map(Some);
        }
        if self.at("OFFSET") || self.at("FETCH") {
            return self.fetch(start).map(Some);
        }
        Ok(None)
    }

    fn limit_numbers(&mut self, start: u32) -> Result<Limit> {
        let mut limit = Limit {
            count: None,
            offset: None,
            form: LimitForm::Count,
            with_ties: false,
            rows_examined: None,
            span: Span::default(),
        };
        if !self.at_words(&["ROWS", "EXAMINED"]) {
            let first = self.limit_number()?;
            if self.eat_kind(T::Comma) {
                limit.form = LimitForm::Comma;
                limit.offset = Some(first);
                limit.count = Some(self.limit_number()?);
            } else {
                limit.count = Some(first);
                if self.eat("OFFSET") {
                    limit.form = LimitForm::Offset;
                    limit.offset = Some(self.limit_number()?);
                }
            }
        }
        if self.eat_words(&["ROWS", "EXAMINED"]) {
            limit.rows_examined = Some(self.limit_number()?);
        }
        limit.span = self.since(start);
        Ok(limit)
    }

    /// A number, parameter or (in stored programs) variable.
    fn limit_number(&mut self) -> Result<Expr> {
        match self.kind() {
            T::Int | T::Param => self.primary(),
            _ if self.at_ident() => self.primary(),
            _ => self.unexpected(),
        }
    }

    fn fetch(&mut self, start: u32) -> Result<Limit> {
        let mut offset = None;
        if self.eat("OFFSET") {
            offset = Some(self.limit_number()?);
            self.eat_any(&["ROW", "ROWS"]);
        }
        let (mut count, mut with_ties) = (None, false);
        if self.eat("FETCH") {
            if !self.eat_any(&["FIRST", "NEXT"]) {
                return self.unexpected();
            }
            if !self.at_any(&["ROW", "ROWS"]) {
                count = Some(self.limit_number()?);
            }
            self.eat_any(&["ROW", "ROWS"]);
            with_ties = self.eat_words(&["WITH", "TIES"]);
            if !with_ties {
                self.expect("ONLY")?;
            }
        }
        let form = LimitForm::Fetch;
        Ok(Limit { count, offset, form, with_ties, rows_examined: None, span: self.since(start) })
    }

    fn lock_clause(&mut self) -> Result<Option<LockClause>> {
        let start = self.start();
        let strength = if self.eat_words(&["FOR", "UPDATE"]) {
            LockStrength::Update
        } else if self.eat_words(&["FOR", "SHARE"]) {
            LockStrength::Share
        } else if self.eat_words(&["LOCK", "IN", "SHARE", "MODE"]) {
            LockStrength::ShareMode
        } else {
            return Ok(None);
        };
        let of = if self.eat("OF") { self.comma_list(|p| p.table_name())? } else { Vec::new() };
        let wait = if self.eat("NOWAIT") {
            LockWait::NoWait
        } else if self.eat_words(&["SKIP", "LOCKED"]) {
            LockWait::SkipLocked
        } else if self.eat("WAIT") {
            self.number()?;
            LockWait::Seconds
        } else {
            LockWait::Default
        };
        Ok(Some(LockClause { strength, of, wait, span: self.since(start) }))
    }

    /// `@name`, or a variable of a stored program with or without a field.
    pub(super) fn receiver(&mut self) -> Result<u32> {
        if self.is(T::UserVar) {
            return Ok(self.bump());
        }
        let name = self.ident()?;
        if self.eat_kind(T::Dot) {
            self.after_dot()?;
        }
        Ok(name.tok)
    }

    fn select_into(&mut self) -> Result<Option<SelectInto>> {
        let start = self.start();
        if self.inside > 0 || !self.eat("INTO") {
            return Ok(None);
        }
        let kind = if self.eat("OUTFILE") {
            self.string()?;
            if self.at("CHARSET") || self.at_words(&["CHARACTER", "SET"]) {
                self.charset_words()?;
            }
            self.load_format()?;
            IntoKind::Outfile
        } else if self.eat("DUMPFILE") {
            self.string()?;
            IntoKind::Dumpfile
        } else {
            IntoKind::Vars(self.comma_list(|p| p.receiver())?)
        };
        Ok(Some(SelectInto { kind, span: self.since(start) }))
    }
}

/// A SELECT with INTO or PROCEDURE, after which no set operation and none of the two may follow.
fn is_closed(body: &SetExpr) -> bool {
    matches!(body, SetExpr::Select(one) if one.into.is_some() || one.procedure.is_some())
}
