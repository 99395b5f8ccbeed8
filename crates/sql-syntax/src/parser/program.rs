//! Stored programs: routines, triggers, events and compound statements. They run whole on a data
//! node, so no tree is made of their bodies; but a body is read by the grammar, since only that tells
//! where in a text of several statements it ends, and that it can run at all.

use super::{Parser, Result};
use crate::ast::{Other, OtherKind, Statement, TableName};
use crate::lexer::{LexMode, TokenBuf, TokenKind as T};

/// The index of the `;` that ends the statement whose tokens, and those of all that follows, are in
/// `buf`; None when nothing follows or it cannot be read.
pub(crate) fn end_of_program(src: &[u8], buf: &TokenBuf, mode: &LexMode) -> Option<usize> {
    let mut parser = Parser::new(src, buf, mode);
    parser.statement().ok()?;
    parser.is(T::Semi).then_some(parser.pos)
}

/// Words that begin a compound statement without BEGIN.
const COMPOUND: &[&str] = &["IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR"];

impl Parser<'_> {
    pub(super) fn at_compound(&self) -> bool {
        self.at_any(COMPOUND) || self.at_words(&["BEGIN", "NOT", "ATOMIC"])
    }

    /// A compound statement that stands alone.
    pub(super) fn compound(&mut self) -> Result<Statement> {
        let start = self.start();
        self.program_statement()?;
        let span = self.since(start);
        Ok(Statement::Other(Other { kind: OtherKind::Compound, tables: Vec::new(), span }))
    }

    /// CREATE of a routine, trigger or event, from the word that says which.
    pub(super) fn create_program(&mut self, start: u32, kind: OtherKind) -> Result<Statement> {
        let mut tables = Vec::new();
        let function = self.at("FUNCTION");
        self.bump();
        self.eat_words(&["IF", "NOT", "EXISTS"]);
        self.table_name()?;
        match kind {
            OtherKind::Trigger => tables.push(self.trigger_head()?),
            OtherKind::Event => self.event_clauses(false)?,
            _ if function && self.at("RETURNS") => {
                self.skip_rest()?;
            }
            _ => {
                self.parameters()?;
                if function {
                    self.expect("RETURNS")?;
                    self.program_type()?;
                }
                while self.characteristic()? {}
            }
        }
        if !self.at_end() || kind != OtherKind::Routine {
            self.program_statement()?;
        }
        Ok(Statement::Other(Other { kind, tables, span: self.since(start) }))
    }

    /// ALTER of one.
    pub(super) fn alter_program(&mut self, start: u32, kind: OtherKind) -> Result<Statement> {
        self.bump();
        self.table_name()?;
        if kind == OtherKind::Event {
            self.event_clauses(true)?;
        } else {
            while self.characteristic()? {}
        }
        Ok(Statement::Other(Other { kind, tables: Vec::new(), span: self.since(start) }))
    }

    /// DROP of one.
    pub(super) fn drop_program(&mut self, start: u32, kind: OtherKind) -> Result<Statement> {
        self.bump();
        self.eat_words(&["IF", "EXISTS"]);
        self.table_name()?;
        Ok(Statement::Other(Other { kind, tables: Vec::new(), span: self.since(start) }))
    }

    /// From after a trigger's name to its body; the table.
    fn trigger_head(&mut self) -> Result<TableName> {
        if !self.eat_any(&["BEFORE", "AFTER"]) || !self.eat_any(&["INSERT", "UPDATE", "DELETE"]) {
            return self.unexpected();
        }
        self.expect("ON")?;
        let table = self.table_name()?;
        if !self.eat_words(&["FOR", "EACH", "ROW"]) {
            return self.unexpected();
        }
        if self.eat_any(&["FOLLOWS", "PRECEDES"]) {
            self.ident()?;
        }
        Ok(table)
    }

    /// An event's clauses up to DO, which ALTER may leave out.
    fn event_clauses(&mut self, alter: bool) -> Result<()> {
        let scheduled = self.eat_words(&["ON", "SCHEDULE"]);
        if scheduled {
            self.schedule()?;
        } else if !alter {
            return self.unexpected();
        }
        if self.eat_words(&["ON", "COMPLETION"]) {
            self.eat("NOT");
            self.expect("PRESERVE")?;
        }
        if alter && self.eat_words(&["RENAME", "TO"]) {
            self.table_name()?;
        }
        if self.eat("DISABLE") {
            self.eat_words(&["ON", "SLAVE"]);
            self.eat_words(&["ON", "REPLICA"]);
        } else {
            self.eat("ENABLE");
        }
        if self.eat("COMMENT") {
            self.string()?;
        }
        if self.eat("DO") {
            if alter {
                self.program_statement()?;
            }
            return Ok(());
        }
        if alter { Ok(()) } else { self.unexpected() }
    }

    fn schedule(&mut self) -> Result<()> {
        if self.eat("AT") {
            self.expr()?;
            return Ok(());
        }
        self.expect("EVERY")?;
        self.expr()?;
        self.ident_or_keyword()?;
        if self.eat("STARTS") {
            self.expr()?;
        }
        if self.eat("ENDS") {
            self.expr()?;
        }
        Ok(())
    }

    fn parameters(&mut self) -> Result<()> {
        self.expect_kind(T::LParen)?;
        if !self.is(T::RParen) {
            self.comma_list(|p| {
                p.eat_any(&["IN", "OUT", "INOUT"]);
                p.ident()?;
                p.program_type()
            })?;
        }
        self.expect_kind(T::RParen)?;
        Ok(())
    }

    /// A type of a variable: a column's, or one that refers to tables.
    fn program_type(&mut self) -> Result<()> {
        if self.eat_words(&["TYPE", "OF"]) || self.eat_words(&["ROW", "TYPE", "OF"]) {
            self.column_ref()?;
            return Ok(());
        }
        if self.at("ROW") && self.peek(1).kind == T::LParen {
            self.bump();
            self.paren_list(|p| {
                p.ident()?;
                p.program_type()
            })?;
            return Ok(());
        }
        self.data_type().map(|_| ())
    }

    fn characteristic(&mut self) -> Result<bool> {
        if self.eat("COMMENT") {
            self.string()?;
            return Ok(true);
        }
        let forms: [&[&str]; 9] = [
            &["LANGUAGE", "SQL"],
            &["NOT", "DETERMINISTIC"],
            &["DETERMINISTIC"],
            &["CONTAINS", "SQL"],
            &["NO", "SQL"],
            &["READS", "SQL", "DATA"],
            &["MODIFIES", "SQL", "DATA"],
            &["SQL", "SECURITY", "DEFINER"],
            &["SQL", "SECURITY", "INVOKER"],
        ];
        Ok(forms.iter().any(|words| self.eat_words(words)))
    }

    /// One statement of a program, without its `;`.
    fn program_statement(&mut self) -> Result<()> {
        self.nested(|p| p.one_program_statement())
    }

    fn one_program_statement(&mut self) -> Result<()> {
        let labelled = self.at_ident() && self.peek(1).kind == T::Colon;
        if labelled {
            self.pos += 2;
        }
        if self.eat("BEGIN") {
            self.eat_words(&["NOT", "ATOMIC"]);
            self.block()?;
        } else if self.eat("LOOP") {
            self.statements(&["END"])?;
            self.expect_words(&["END", "LOOP"])?;
        } else if self.eat("WHILE") {
            self.expr()?;
            self.expect("DO")?;
            self.statements(&["END"])?;
            self.expect_words(&["END", "WHILE"])?;
        } else if self.eat("REPEAT") {
            self.statements(&["UNTIL"])?;
            self.expect("UNTIL")?;
            self.expr()?;
            self.expect_words(&["END", "REPEAT"])?;
        } else if self.eat("FOR") {
            self.for_loop()?;
        } else if labelled {
            return self.unexpected();
        } else {
            return self.simple_statement();
        }
        // The label again, which may be left out.
        if self.at_ident() && !self.at("END") {
            self.bump();
        }
        Ok(())
    }

    fn simple_statement(&mut self) -> Result<()> {
        if self.eat("IF") {
            self.expr()?;
            self.expect("THEN")?;
            self.statements(&["ELSEIF", "ELSE", "END"])?;
            while self.eat("ELSEIF") {
                self.expr()?;
                self.expect("THEN")?;
                self.statements(&["ELSEIF", "ELSE", "END"])?;
            }
            if self.eat("ELSE") {
                self.statements(&["END"])?;
            }
            self.expect_words(&["END", "IF"])
        } else if self.eat("CASE") {
            self.case_statement()
        } else if self.eat("RETURN") {
            self.expr().map(|_| ())
        } else if self.eat_any(&["LEAVE", "ITERATE", "CLOSE"]) {
            self.ident().map(|_| ())
        } else if self.eat("OPEN") {
            self.ident()?;
            if self.is(T::LParen) {
                self.paren_list(|p| p.expr())?;
            }
            Ok(())
        } else if self.eat("FETCH") {
            if self.eat_words(&["GROUP", "NEXT", "ROW"]) {
                return Ok(());
            }
            if self.eat("NEXT") {
                self.expect("FROM")?;
            } else {
                self.eat("FROM");
            }
            self.ident()?;
            self.expect("INTO")?;
            self.comma_list(|p| p.receiver()).map(|_| ())
        } else if self.at_end() {
            self.unexpected()
        } else {
            self.statement().map(|_| ())
        }
    }

    fn expect_words(&mut self, words: &[&str]) -> Result<()> {
        words.iter().try_for_each(|word| self.expect(word))
    }

    /// Statements up to one of these words; at least one.
    fn statements(&mut self, until: &[&str]) -> Result<()> {
        loop {
            self.program_statement()?;
            self.expect_kind(T::Semi)?;
            if self.at_any(until) {
                return Ok(());
            }
        }
    }

    /// From after BEGIN to END.
    fn block(&mut self) -> Result<()> {
        while self.eat("DECLARE") {
            self.declaration()?;
            self.expect_kind(T::Semi)?;
        }
        if !self.at("END") {
            self.statements(&["END"])?;
        }
        self.expect("END")
    }

    fn declaration(&mut self) -> Result<()> {
        if self.at_any(&["CONTINUE", "EXIT"]) && self.is_at(1, "HANDLER") {
            self.pos += 2;
            self.expect("FOR")?;
            self.comma_list(|p| p.handled_condition())?;
            return self.program_statement();
        }
        let names = self.comma_list(|p| p.ident())?;
        if names.len() == 1 && self.eat("CONDITION") {
            self.expect("FOR")?;
            return self.condition_value();
        }
        if names.len() == 1 && self.eat("CURSOR") {
            if self.is(T::LParen) {
                self.parameters()?;
            }
            self.expect("FOR")?;
            return if self.at_ident() {
                self.ident().map(|_| ())
            } else {
                self.statement().map(|_| ())
            };
        }
        self.program_type()?;
        if self.eat("DEFAULT") || self.eat_kind(T::Assign) {
            self.expr()?;
        }
        Ok(())
    }

    fn handled_condition(&mut self) -> Result<()> {
        if self.eat_any(&["SQLWARNING", "SQLEXCEPTION"]) || self.eat_words(&["NOT", "FOUND"]) {
            return Ok(());
        }
        if !self.at("SQLSTATE") && self.at_ident() {
            return self.ident().map(|_| ());
        }
        self.condition_value()
    }

    fn condition_value(&mut self) -> Result<()> {
        if self.eat("SQLSTATE") {
            self.eat("VALUE");
            return self.string().map(|_| ());
        }
        self.number().map(|_| ())
    }

    fn case_statement(&mut self) -> Result<()> {
        if !self.at("WHEN") {
            self.expr()?;
        }
        if !self.at("WHEN") {
            return self.unexpected();
        }
        while self.eat("WHEN") {
            self.expr()?;
            self.expect("THEN")?;
            self.statements(&["WHEN", "ELSE", "END"])?;
        }
        if self.eat("ELSE") {
            self.statements(&["END"])?;
        }
        self.expect_words(&["END", "CASE"])
    }

    /// `FOR i IN [REVERSE] 1..10 DO`, `FOR r IN (SELECT …) DO`, `FOR r IN cursor(…) DO`.
    fn for_loop(&mut self) -> Result<()> {
        self.ident()?;
        self.expect("IN")?;
        if self.at_paren_query() {
            self.paren_query()?;
        } else {
            self.eat("REVERSE");
            self.expr()?;
            if self.eat_kind(T::DotDot) {
                self.expr()?;
            }
        }
        self.expect("DO")?;
        self.statements(&["END"])?;
        self.expect_words(&["END", "FOR"])
    }
}
