//! INSERT, REPLACE, UPDATE, DELETE, LOAD.

use super::{Parser, Result};
use crate::ast::{
    Assignment, Delete, Expr, Insert, InsertSource, Limit, Load, LoadDuplicates, LoadFormat,
    SelectItem, Span, Statement, TableExpr, TableName, TableRef, Update, With,
};
use crate::lexer::TokenKind as T;

impl Parser<'_> {
    pub(super) fn insert(&mut self, replace: bool) -> Result<Statement> {
        let start = self.start();
        self.bump();
        let (mut ignore, mut delayed) = (false, false);
        loop {
            if self.eat("IGNORE") {
                ignore = true;
            } else if self.eat("DELAYED") {
                delayed = true;
            } else if !self.eat_any(&["LOW_PRIORITY", "HIGH_PRIORITY"]) {
                break;
            }
        }
        self.eat("INTO");
        let table = self.table_name()?;
        let partitions = self.partitions()?;
        let columns_start = self.start();
        let has_columns = self.is(T::LParen) && !self.at_query_in_parens();
        let columns = if has_columns { self.column_list()? } else { Vec::new() };
        let columns_span = if has_columns {
            self.since(columns_start)
        } else {
            Span::new(columns_start, columns_start)
        };
        let source = self.insert_source()?;
        let row_alias = if self.eat("AS") {
            let alias = self.ident()?;
            Some((alias, if self.is(T::LParen) { self.ident_list()? } else { Vec::new() }))
        } else {
            None
        };
        let duplicate_start = self.start();
        let mut on_duplicate = Vec::new();
        if self.eat_words(&["ON", "DUPLICATE", "KEY", "UPDATE"]) {
            on_duplicate = self.comma_list(|p| p.assignment())?;
        }
        let on_duplicate_span = (!on_duplicate.is_empty()).then(|| self.since(duplicate_start));
        let (returning, returning_span) = self.returning()?;
        Ok(Statement::Insert(Box::new(Insert {
            replace,
            ignore,
            delayed,
            table,
            partitions,
            columns,
            has_columns,
            columns_span,
            source,
            row_alias,
            on_duplicate,
            on_duplicate_span,
            returning,
            returning_span,
            span: self.since(start),
        })))
    }

    /// `((((SELECT` is a query, not a column list.
    pub(super) fn at_query_in_parens(&self) -> bool {
        let mut at = 0;
        while self.peek(at).kind == T::LParen {
            at += 1;
        }
        ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| self.is_at(at, word))
    }

    fn column_list(&mut self) -> Result<Vec<crate::ast::ColumnRef>> {
        self.expect_kind(T::LParen)?;
        if self.eat_kind(T::RParen) {
            return Ok(Vec::new());
        }
        let columns = self.comma_list(|p| p.column_ref())?;
        self.expect_kind(T::RParen)?;
        Ok(columns)
    }

    fn insert_source(&mut self) -> Result<InsertSource> {
        let start = self.start();
        if self.at_any(&["VALUES", "VALUE"]) {
            self.bump();
            let rows = self.insert_rows()?;
            return Ok(InsertSource::Values { rows, span: self.since(start) });
        }
        if self.eat("SET") {
            let assignments = self.comma_list(|p| p.assignment())?;
            return Ok(InsertSource::Set { assignments, span: self.since(start) });
        }
        Ok(InsertSource::Query(Box::new(self.query()?)))
    }

    pub(super) fn assignment(&mut self) -> Result<Assignment> {
        let start = self.start();
        let column = self.column_ref()?;
        if !self.eat_kind(T::Eq) {
            self.expect_kind(T::Assign)?;
        }
        let value = self.value()?;
        Ok(Assignment { column, value, span: self.since(start) })
    }

    /// LIMIT without ROWS EXAMINED, which is for queries alone.
    fn limit_of_rows(&mut self) -> Result<Option<Limit>> {
        let limit = self.limit()?;
        match &limit {
            Some(limit) if limit.rows_examined.is_some() => self.unexpected(),
            _ => Ok(limit),
        }
    }

    fn returning(&mut self) -> Result<(Vec<SelectItem>, Option<Span>)> {
        let start = self.start();
        if !self.eat("RETURNING") {
            return Ok((Vec::new(), None));
        }
        let items = self.comma_list(|p| p.select_item())?;
        Ok((items, Some(self.since(start))))
    }

    pub(super) fn update(&mut self, with: Option<With>) -> Result<Statement> {
        let start = with.as_ref().map_or(self.start(), |with| with.span.start);
        self.expect("UPDATE")?;
        self.eat("LOW_PRIORITY");
        let ignore = self.eat("IGNORE");
        let tables = self.table_exprs()?;
        let set_start = self.start();
        self.expect("SET")?;
        let assignments = self.comma_list(|p| p.assignment())?;
        let set_span = self.since(set_start);
        let (selection, where_span) = self.where_clause()?;
        let (order_by, order_span) = self.order_by()?;
        let limit = self.limit_of_rows()?;
        Ok(Statement::Update(Box::new(Update {
            with,
            ignore,
            tables,
            assignments,
            set_span,
            selection,
            where_span,
            order_by,
            order_span,
            limit,
            span: self.since(start),
        })))
    }

    pub(super) fn delete(&mut self, with: Option<With>) -> Result<Statement> {
        let start = with.as_ref().map_or(self.start(), |with| with.span.start);
        self.expect("DELETE")?;
        let mut ignore = false;
        loop {
            if self.eat("IGNORE") {
                ignore = true;
            } else if !self.eat_any(&["LOW_PRIORITY", "QUICK"]) {
                break;
            }
        }
        if self.at("HISTORY") && self.is_at(1, "FROM") {
            self.bump();
        }
        let (targets, tables) = self.delete_tables()?;
        if self.eat_words(&["BEFORE", "SYSTEM_TIME"]) {
            self.point_in_time()?;
        }
        let (selection, where_span) = self.where_clause()?;
        let (order_by, order_span) = self.order_by()?;
        let limit = self.limit_of_rows()?;
        let (returning, returning_span) = self.returning()?;
        Ok(Statement::Delete(Box::new(Delete {
            with,
            ignore,
            targets,
            tables,
            selection,
            where_span,
            order_by,
            order_span,
            limit,
            returning,
            returning_span,
            span: self.since(start),
        })))
    }

    /// The three forms: `FROM t`, `a, b FROM …`, `FROM a, b USING …`.
    fn delete_tables(&mut self) -> Result<(Vec<TableName>, Vec<TableExpr>)> {
        if !self.eat("FROM") {
            let targets = self.comma_list(|p| p.delete_target())?;
            self.expect("FROM")?;
            return Ok((targets, self.table_exprs()?));
        }
        let back = self.pos;
        let targets = self.comma_list(|p| p.delete_target());
        if let Ok(targets) = targets
            && self.eat("USING")
        {
            return Ok((targets, self.table_exprs()?));
        }
        self.pos = back;
        let table: TableRef = self.table_ref()?;
        Ok((Vec::new(), vec![TableExpr::Table(table)]))
    }

    /// `t`, `db.t`, either with `.*`.
    fn delete_target(&mut self) -> Result<TableName> {
        let first = self.ident()?;
        let mut name = TableName { schema: None, name: first, span: first.span };
        while self.eat_kind(T::Dot) {
            if self.eat_kind(T::Star) {
                break;
            }
            let next = self.after_dot()?;
            name = TableName { schema: Some(first), name: next, span: first.span.to(next.span) };
        }
        Ok(name)
    }

    pub(super) fn load(&mut self) -> Result<Statement> {
        let start = self.start();
        self.expect("LOAD")?;
        if self.at("INDEX") {
            return self.other(crate::ast::OtherKind::Admin, start);
        }
        let xml = self.eat("XML");
        if !xml {
            self.expect("DATA")?;
        }
        let priority_start = self.start();
        let priority =
            self.eat_any(&["LOW_PRIORITY", "CONCURRENT"]).then(|| self.since(priority_start));
        let local = self.eat("LOCAL");
        self.expect("INFILE")?;
        let file_tok = self.string()?;
        let duplicates = if self.eat("REPLACE") {
            LoadDuplicates::Replace
        } else if self.eat("IGNORE") {
            LoadDuplicates::Ignore
        } else {
            LoadDuplicates::Default
        };
        self.expect("INTO")?;
        self.expect("TABLE")?;
        let table = self.table_name()?;
        let partitions = self.partitions()?;
        let charset = if self.at("CHARSET") || self.at_words(&["CHARACTER", "SET"]) {
            Some(self.charset_words()?)
        } else {
            None
        };
        let mut format = self.load_format()?;
        if self.eat_words(&["ROWS", "IDENTIFIED", "BY"]) {
            format.rows_identified = Some(self.string()?);
        }
        let ignore_lines = if self.at("IGNORE") { self.ignore_lines()? } else { None };
        let columns =
            if self.is(T::LParen) { self.paren_list(|p| p.load_column())? } else { Vec::new() };
        let assignments =
            if self.eat("SET") { self.comma_list(|p| p.assignment())? } else { Vec::new() };
        Ok(Statement::Load(Box::new(Load {
            xml,
            local,
            priority,
            file_tok,
            duplicates,
            table,
            partitions,
            charset,
            format,
            ignore_lines,
            columns,
            assignments,
            span: self.since(start),
        })))
    }

    fn ignore_lines(&mut self) -> Result<Option<u32>> {
        self.expect("IGNORE")?;
        let tok = self.tok();
        self.number()?;
        if self.eat_any(&["LINES", "ROWS"]) { Ok(Some(tok)) } else { self.unexpected() }
    }

    fn load_column(&mut self) -> Result<Expr> {
        self.bit_expr()
    }

    /// FIELDS and LINES.
    pub(super) fn load_format(&mut self) -> Result<LoadFormat> {
        let mut format = LoadFormat::default();
        if self.eat_any(&["FIELDS", "COLUMNS"]) {
            loop {
                if self.eat_words(&["TERMINATED", "BY"]) {
                    format.fields_terminated = Some(self.string()?);
                } else if self.eat_words(&["OPTIONALLY", "ENCLOSED", "BY"]) {
                    format.enclosed_optionally = true;
                    format.enclosed = Some(self.string()?);
                } else if self.eat_words(&["ENCLOSED", "BY"]) {
                    format.enclosed = Some(self.string()?);
                } else if self.eat_words(&["ESCAPED", "BY"]) {
                    format.escaped = Some(self.string()?);
                } else {
                    break;
                }
            }
        }
        if self.eat("LINES") {
            loop {
                if self.eat_words(&["TERMINATED", "BY"]) {
                    format.lines_terminated = Some(self.string()?);
                } else if self.eat_words(&["STARTING", "BY"]) {
                    format.lines_starting = Some(self.string()?);
                } else {
                    break;
                }
            }
        }
        Ok(format)
    }
}
