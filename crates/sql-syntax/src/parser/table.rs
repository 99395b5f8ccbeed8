//! Table references: names with aliases and index hints, joins, derived tables.

use super::{Parser, Result};
use crate::ast::{Ident, IndexHint, Join, JoinKind, TableExpr, TableRef};
use crate::keyword::Keyword;
use crate::lexer::TokenKind as T;

/// Words that end a table reference although they could be names.
const NOT_ALIASES: &[&str] = &[
    "OFFSET",
    "FETCH",
    "WINDOW",
    "SYSTEM_TIME",
    "SKIP",
    "NOWAIT",
    "WAIT",
    "RETURNING",
    "SET",
    "VALUES",
    "VALUE",
];

impl Parser<'_> {
    pub(super) fn table_exprs(&mut self) -> Result<Vec<TableExpr>> {
        self.comma_list(|p| p.table_expr())
    }

    /// One reference with all joins to its right.
    pub(super) fn table_expr(&mut self) -> Result<TableExpr> {
        self.nested(|p| {
            let mut left = p.table_primary()?;
            while let Some((kind, natural)) = p.join_words() {
                left = p.join(left, kind, natural)?;
                p.grow()?;
            }
            Ok(left)
        })
    }

    /// Takes the words of a join, if one stands here.
    fn join_words(&mut self) -> Option<(JoinKind, bool)> {
        use Keyword as K;
        let first = self.peek(0).keyword;
        if !matches!(
            first,
            K::Join | K::Inner | K::Cross | K::StraightJoin | K::Left | K::Right | K::Natural
        ) {
            return None;
        }
        let forms: [(&[&str], JoinKind, bool); 15] = [
            (&["JOIN"], JoinKind::Inner, false),
            (&["INNER", "JOIN"], JoinKind::Inner, false),
            (&["CROSS", "JOIN"], JoinKind::Inner, false),
            (&["STRAIGHT_JOIN"], JoinKind::Straight, false),
            (&["LEFT", "JOIN"], JoinKind::Left, false),
            (&["LEFT", "OUTER", "JOIN"], JoinKind::Left, false),
            (&["RIGHT", "JOIN"], JoinKind::Right, false),
            (&["RIGHT", "OUTER", "JOIN"], JoinKind::Right, false),
            (&["NATURAL", "JOIN"], JoinKind::Inner, true),
            (&["NATURAL", "STRAIGHT_JOIN"], JoinKind::Straight, true),
            (&["NATURAL", "INNER", "JOIN"], JoinKind::Inner, true),
            (&["NATURAL", "LEFT", "JOIN"], JoinKind::Left, true),
            (&["NATURAL", "LEFT", "OUTER", "JOIN"], JoinKind::Left, true),
            (&["NATURAL", "RIGHT", "JOIN"], JoinKind::Right, true),
            (&["NATURAL", "RIGHT", "OUTER", "JOIN"], JoinKind::Right, true),
        ];
        forms
            .into_iter()
            .find(|(words, ..)| self.eat_words(words))
            .map(|(_, kind, natural)| (kind, natural))
    }

    fn join(&mut self, left: TableExpr, kind: JoinKind, natural: bool) -> Result<TableExpr> {
        let start = left.span().start;
        let mut right = self.table_primary()?;
        // An outer join's condition may stand behind further joins to its right.
        if !natural && matches!(kind, JoinKind::Left | JoinKind::Right) {
            while !self.at_any(&["ON", "USING"]) {
                let Some((inner, inner_natural)) = self.join_words() else {
                    return self.unexpected();
                };
                right = self.nested(|p| p.join(right, inner, inner_natural))?;
                self.grow()?;
            }
        }
        // After `INSERT … SELECT … FROM a JOIN b` it may be the INSERT's own ON that follows.
        let condition = !natural && !self.at_words(&["ON", "DUPLICATE", "KEY"]) && self.eat("ON");
        let on = if condition { Some(self.expr()?) } else { None };
        let using = if !natural && on.is_none() && self.eat("USING") {
            self.ident_list()?
        } else {
            Vec::new()
        };
        let span = self.since(start);
        Ok(TableExpr::Join(Box::new(Join { left, right, kind, natural, on, using, span })))
    }

    fn table_primary(&mut self) -> Result<TableExpr> {
        let start = self.start();
        if self.eat("LATERAL") {
            return self.derived(true, start);
        }
        if self.at_paren_query() {
            return self.derived(false, start);
        }
        if self.is(T::LParen) {
            return self.nested(|p| p.nested_tables(start));
        }
        if self.eat_kind(T::LBrace) {
            self.expect("OJ")?;
            let tables = vec![self.table_expr()?];
            self.expect_kind(T::RBrace)?;
            return Ok(TableExpr::Nested { tables, span: self.since(start) });
        }
        if self.at("JSON_TABLE") && self.peek(1).kind == T::LParen {
            return self.json_table(start);
        }
        Ok(TableExpr::Table(self.table_ref()?))
    }

    fn derived(&mut self, lateral: bool, start: u32) -> Result<TableExpr> {
        let query = Box::new(self.paren_query()?);
        self.derived_tail(lateral, query, start)
    }

    fn derived_tail(
        &mut self,
        lateral: bool,
        query: Box<crate::ast::Query>,
        start: u32,
    ) -> Result<TableExpr> {
        self.system_time()?;
        let alias = self.table_alias()?;
        let columns =
            if alias.is_some() && self.is(T::LParen) { self.ident_list()? } else { Vec::new() };
        Ok(TableExpr::Derived { lateral, query, alias, columns, span: self.since(start) })
    }

    /// `(a, b)`, `(a JOIN b)`, or `((SELECT …) UNION …) alias`.
    fn nested_tables(&mut self, start: u32) -> Result<TableExpr> {
        self.expect_kind(T::LParen)?;
        let mut tables = self.table_exprs()?;
        if self.at_query_tail()
            && let [TableExpr::Derived { alias: None, .. }] = tables.as_slice()
            && let Some(TableExpr::Derived { query, span, .. }) = tables.pop()
        {
            let query = Box::new(self.query_from(*query, span)?);
            self.expect_kind(T::RParen)?;
            return self.derived_tail(false, query, start);
        }
        self.expect_kind(T::RParen)?;
        // `((SELECT …)) alias`: the outer parentheses are the query's, too.
        if let [TableExpr::Derived { lateral: false, alias: None, .. }] = tables.as_slice()
            && let Some(TableExpr::Derived { query, .. }) = tables.pop()
        {
            return self.derived_tail(false, query, start);
        }
        Ok(TableExpr::Nested { tables, span: self.since(start) })
    }

    fn json_table(&mut self, start: u32) -> Result<TableExpr> {
        self.bump();
        self.expect_kind(T::LParen)?;
        let expr = self.boxed()?;
        while !self.is(T::RParen) {
            match self.kind() {
                T::LParen => {
                    self.skip_parens()?;
                }
                T::Eof | T::Semi | T::Invalid => return self.unexpected(),
                _ => self.skip_one(),
            }
        }
        self.bump();
        let alias = self.table_alias()?;
        Ok(TableExpr::JsonTable { expr, alias, span: self.since(start) })
    }

    pub(super) fn table_ref(&mut self) -> Result<TableRef> {
        let start = self.start();
        let name = self.table_name()?;
        let partitions = self.partitions()?;
        let system_time = self.system_time()?;
        let alias = self.table_alias()?;
        let mut index_hints = Vec::new();
        while self.at_any(&["USE", "FORCE", "IGNORE"])
            && (self.is_at(1, "INDEX") || self.is_at(1, "KEY"))
        {
            index_hints.push(self.index_hint()?);
        }
        Ok(TableRef { name, partitions, system_time, alias, index_hints, span: self.since(start) })
    }

    pub(super) fn partitions(&mut self) -> Result<Vec<Ident>> {
        if self.at("PARTITION") && self.peek(1).kind == T::LParen {
            self.bump();
            return self.ident_list();
        }
        Ok(Vec::new())
    }

    fn system_time(&mut self) -> Result<Option<crate::ast::Span>> {
        let start = self.start();
        if self.eat_words(&["FOR", "PORTION", "OF"]) {
            self.ident()?;
            self.expect("FROM")?;
            self.bit_expr()?;
            self.expect("TO")?;
            self.bit_expr()?;
            return Ok(Some(self.since(start)));
        }
        if !self.eat_words(&["FOR", "SYSTEM_TIME"]) {
            return Ok(None);
        }
        if self.eat_words(&["AS", "OF"]) {
            self.point_in_time()?;
        } else if self.eat("BETWEEN") {
            self.point_in_time()?;
            self.expect("AND")?;
            self.point_in_time()?;
        } else if self.eat("FROM") {
            self.point_in_time()?;
            self.expect("TO")?;
            self.point_in_time()?;
        } else {
            self.expect("ALL")?;
        }
        Ok(Some(self.since(start)))
    }

    /// `[TIMESTAMP | TRANSACTION] expression`.
    pub(super) fn point_in_time(&mut self) -> Result<()> {
        let literal_or_call = matches!(self.peek(1).kind, T::String | T::LParen);
        if !self.eat("TRANSACTION") && !literal_or_call {
            self.eat("TIMESTAMP");
        }
        self.bit_expr().map(|_| ())
    }

    pub(super) fn table_alias(&mut self) -> Result<Option<Ident>> {
        if self.eat("AS") {
            return self.ident_or_string().map(Some);
        }
        let free = self.at_ident() && (self.is(T::QuotedIdent) || !self.at_any(NOT_ALIASES));
        if free { Ok(Some(self.any_ident())) } else { Ok(None) }
    }

    fn index_hint(&mut self) -> Result<IndexHint> {
        let start = self.start();
        let use_none = self.at("USE");
        self.bump();
        self.bump();
        if self.eat("FOR") {
            let words: [&[&str]; 3] = [&["JOIN"], &["ORDER", "BY"], &["GROUP", "BY"]];
            if !words.iter().any(|words| self.eat_words(words)) {
                return self.unexpected();
            }
        }
        self.expect_kind(T::LParen)?;
        let indexes = if use_none && self.is(T::RParen) {
            Vec::new()
        } else {
            self.comma_list(|p| if p.at("PRIMARY") { Ok(p.any_ident()) } else { p.ident() })?
        };
        self.expect_kind(T::RParen)?;
        Ok(IndexHint { indexes, span: self.since(start) })
    }
}
