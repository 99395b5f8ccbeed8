//! CREATE, ALTER, DROP of everything but the parts that tables need, RENAME, TRUNCATE, sequences.

use super::{Parser, Result};
use crate::ast::{
    ConstraintKind, CreateIndex, CreateView, DatabaseStmt, DdlAction, DropIndex, DropTable, Other,
    OtherKind, SequenceStmt, Statement, TableConstraint,
};
use crate::lexer::TokenKind as T;

impl Parser<'_> {
    pub(super) fn create(&mut self) -> Result<Statement> {
        let start = self.start();
        self.expect("CREATE")?;
        let or_replace = self.eat_words(&["OR", "REPLACE"]);
        let temporary = self.eat("TEMPORARY");
        if self.at("TABLE") {
            return self.create_table(start, or_replace, temporary);
        }
        if self.eat("SEQUENCE") {
            return self.sequence(DdlAction::Create, or_replace);
        }
        if self.at_any(&["DATABASE", "SCHEMA"]) {
            return self.database(DdlAction::Create, or_replace);
        }
        if self.at_any(&["UNIQUE", "INDEX", "FULLTEXT", "SPATIAL", "ONLINE", "OFFLINE"]) {
            return self.create_index(start, or_replace);
        }
        if self.at("USER") {
            return self.create_user();
        }
        if self.eat_words(&["ALGORITHM"]) {
            self.eat_kind(T::Eq);
            self.ident_or_keyword()?;
        }
        self.definer()?;
        if self.eat_words(&["SQL", "SECURITY"]) {
            self.ident_or_keyword()?;
        }
        if !temporary && self.eat("VIEW") {
            return self.view(false, or_replace);
        }
        self.other_object(start, DdlAction::Create)
    }

    /// DEFINER = account.
    fn definer(&mut self) -> Result<()> {
        if self.eat("DEFINER") {
            self.expect_kind(T::Eq)?;
            self.account()?;
        }
        Ok(())
    }

    /// What is known by its words alone.
    fn other_object(&mut self, start: u32, action: DdlAction) -> Result<Statement> {
        self.eat("AGGREGATE");
        let kind = self.object_kind()?;
        let program = matches!(kind, OtherKind::Routine | OtherKind::Trigger | OtherKind::Event);
        match action {
            _ if !program || self.at("PACKAGE") => self.other(kind, start),
            DdlAction::Create => self.create_program(start, kind),
            DdlAction::Alter => self.alter_program(start, kind),
            _ => self.drop_program(start, kind),
        }
    }

    fn object_kind(&self) -> Result<OtherKind> {
        let kinds: [(&str, OtherKind); 14] = [
            ("PROCEDURE", OtherKind::Routine),
            ("FUNCTION", OtherKind::Routine),
            ("PACKAGE", OtherKind::Routine),
            ("TRIGGER", OtherKind::Trigger),
            ("EVENT", OtherKind::Event),
            ("SERVER", OtherKind::Server),
            ("TABLESPACE", OtherKind::Tablespace),
            ("LOGFILE", OtherKind::Tablespace),
            ("UNDO", OtherKind::Tablespace),
            ("RESOURCE", OtherKind::Admin),
            ("SPATIAL", OtherKind::Admin),
            ("INSTANCE", OtherKind::Admin),
            ("LIBRARY", OtherKind::Admin),
            ("CATALOG", OtherKind::Admin),
        ];
        match kinds.into_iter().find(|(word, _)| self.at(word)) {
            Some((_, kind)) => Ok(kind),
            None if self.at("ROLE") => Ok(OtherKind::Admin),
            None => self.unexpected(),
        }
    }

    /// A statement kept as text from `start`.
    pub(super) fn other(&mut self, kind: OtherKind, start: u32) -> Result<Statement> {
        self.skip_rest()?;
        Ok(Statement::Other(Other { kind, tables: Vec::new(), span: self.since(start) }))
    }

    fn view(&mut self, alter: bool, or_replace: bool) -> Result<Statement> {
        let if_not_exists = !alter && self.eat_words(&["IF", "NOT", "EXISTS"]);
        let name = self.table_name()?;
        let columns = if self.is(T::LParen) { self.ident_list()? } else { Vec::new() };
        self.expect("AS")?;
        self.inside += 1;
        let query = Box::new(self.query()?);
        self.inside -= 1;
        if self.eat("WITH") {
            self.eat_any(&["CASCADED", "LOCAL"]);
            self.expect("CHECK")?;
            self.expect("OPTION")?;
        }
        Ok(Statement::CreateView(Box::new(CreateView {
            alter,
            or_replace,
            if_not_exists,
            name,
            columns,
            query,
        })))
    }

    fn create_index(&mut self, start: u32, or_replace: bool) -> Result<Statement> {
        self.eat_any(&["ONLINE", "OFFLINE"]);
        let kind = if self.eat("UNIQUE") {
            ConstraintKind::Unique
        } else if self.eat("FULLTEXT") {
            ConstraintKind::Fulltext
        } else if self.eat("SPATIAL") {
            ConstraintKind::Spatial
        } else {
            ConstraintKind::Index
        };
        if kind == ConstraintKind::Spatial && self.at("REFERENCE") {
            return self.other(OtherKind::Admin, start);
        }
        let index_start = self.start();
        self.expect("INDEX")?;
        let if_not_exists = self.eat_words(&["IF", "NOT", "EXISTS"]);
        let name = Some(self.ident()?);
        self.index_type()?;
        self.expect("ON")?;
        let table = self.table_name()?;
        let parts = self.key_parts()?;
        self.index_options()?;
        self.lock_wait()?;
        let index = TableConstraint {
            kind,
            name,
            parts,
            references: None,
            check: None,
            span: self.since(index_start),
        };
        let span = self.since(start);
        Ok(Statement::CreateIndex(Box::new(CreateIndex {
            index,
            or_replace,
            if_not_exists,
            table,
            span,
        })))
    }

    fn database(&mut self, action: DdlAction, or_replace: bool) -> Result<Statement> {
        self.bump();
        let if_clause =
            self.eat_words(&["IF", "NOT", "EXISTS"]) || self.eat_words(&["IF", "EXISTS"]);
        let option =
            action == DdlAction::Alter && self.at_any(&["CHARSET", "COMMENT", "ENCRYPTION"]);
        let name = if self.at_ident() && !option { Some(self.ident()?) } else { None };
        if name.is_none() && action != DdlAction::Alter {
            return self.unexpected();
        }
        let mut options = Vec::new();
        if action != DdlAction::Drop {
            while let Some(option) = self.table_option()? {
                options.push(option);
            }
            self.skip_rest()?;
        }
        Ok(Statement::Database(DatabaseStmt { action, or_replace, if_clause, name, options }))
    }

    pub(super) fn alter(&mut self) -> Result<Statement> {
        let start = self.start();
        self.expect("ALTER")?;
        if self.at("TABLE")
            || self.at_words(&["IGNORE", "TABLE"])
            || self.at_words(&["ONLINE", "TABLE"])
        {
            return self.alter_table(start);
        }
        if self.eat("SEQUENCE") {
            return self.sequence(DdlAction::Alter, false);
        }
        if self.at_any(&["DATABASE", "SCHEMA"]) {
            return self.database(DdlAction::Alter, false);
        }
        if self.at("USER") {
            return self.alter_user();
        }
        if self.eat("ALGORITHM") {
            self.eat_kind(T::Eq);
            self.ident_or_keyword()?;
        }
        self.definer()?;
        if self.eat_words(&["SQL", "SECURITY"]) {
            self.ident_or_keyword()?;
        }
        if self.eat("VIEW") {
            return self.view(true, false);
        }
        self.other_object(start, DdlAction::Alter)
    }

    pub(super) fn drop_statement(&mut self) -> Result<Statement> {
        let start = self.start();
        self.expect("DROP")?;
        let temporary = self.eat("TEMPORARY");
        if self.eat_any(&["TABLE", "TABLES"]) {
            return Ok(Statement::DropTable(self.drop_names(temporary)?));
        }
        if self.eat("VIEW") {
            return Ok(Statement::DropView(self.drop_names(false)?));
        }
        if self.eat("SEQUENCE") {
            return self.sequence(DdlAction::Drop, false);
        }
        if self.at_any(&["DATABASE", "SCHEMA"]) {
            return self.database(DdlAction::Drop, false);
        }
        if self.eat("INDEX") {
            let if_exists = self.eat_words(&["IF", "EXISTS"]);
            let name = if self.at("PRIMARY") { self.any_ident() } else { self.ident()? };
            self.expect("ON")?;
            let table = self.table_name()?;
            self.index_options()?;
            self.lock_wait()?;
            return Ok(Statement::DropIndex(DropIndex { name, if_exists, table }));
        }
        if self.at("USER") {
            return self.drop_user();
        }
        if self.eat("PREPARE") {
            return Ok(Statement::Prepared(crate::ast::PreparedStmt::Deallocate(self.ident()?)));
        }
        self.other_object(start, DdlAction::Drop)
    }

    fn drop_names(&mut self, temporary: bool) -> Result<DropTable> {
        let if_exists = self.eat_words(&["IF", "EXISTS"]);
        let names = self.comma_list(|p| p.table_name())?;
        self.lock_wait()?;
        self.eat_any(&["RESTRICT", "CASCADE"]);
        Ok(DropTable { temporary, if_exists, names })
    }

    /// `WAIT n` or NOWAIT.
    pub(super) fn lock_wait(&mut self) -> Result<()> {
        if self.eat("WAIT") {
            self.lock_wait = Some(self.number()?);
        } else if self.eat("NOWAIT") {
            self.lock_wait = Some(0);
        }
        Ok(())
    }

    pub(super) fn rename(&mut self) -> Result<Statement> {
        self.expect("RENAME")?;
        if self.at("USER") {
            self.skip_rest()?;
            return Ok(Statement::Account(crate::ast::AccountStmt::Other));
        }
        if !self.eat_any(&["TABLE", "TABLES"]) {
            return self.unexpected();
        }
        self.eat_words(&["IF", "EXISTS"]);
        let pairs = self.comma_list(|p| {
            let from = p.table_name()?;
            p.lock_wait()?;
            p.expect("TO")?;
            Ok((from, p.table_name()?))
        })?;
        Ok(Statement::RenameTable(pairs))
    }

    pub(super) fn truncate(&mut self) -> Result<Statement> {
        self.expect("TRUNCATE")?;
        self.eat("TABLE");
        let name = self.table_name()?;
        self.lock_wait()?;
        Ok(Statement::Truncate(name))
    }

    /// FRESH ALL SEQUENCE START VALUE.
    pub(super) fn fresh_sequences(&mut self) -> Result<Statement> {
        if !self.eat_words(&["FRESH", "ALL", "SEQUENCE", "START", "VALUE"]) {
            return self.unexpected();
        }
        Ok(Statement::Sequence(no_sequence(DdlAction::FreshAll, false)))
    }

    fn sequence(&mut self, action: DdlAction, or_replace: bool) -> Result<Statement> {
        let mut sequence = no_sequence(action, or_replace);
        sequence.if_clause =
            self.eat_words(&["IF", "NOT", "EXISTS"]) || self.eat_words(&["IF", "EXISTS"]);
        sequence.names = if action == DdlAction::Drop {
            self.comma_list(|p| p.table_name())?
        } else {
            vec![self.table_name()?]
        };
        while self.sequence_option(&mut sequence)? {}
        if action == DdlAction::Create {
            while self.table_option()?.is_some() {}
        }
        Ok(Statement::Sequence(sequence))
    }

    fn sequence_option(&mut self, sequence: &mut SequenceStmt) -> Result<bool> {
        if self.eat_any(&["START", "RESTART"]) {
            self.eat("WITH");
            self.eat_kind(T::Eq);
            if self.is(T::Int) || self.is(T::Minus) {
                sequence.start = Some(self.signed_number()?);
            }
        } else if self.eat("INCREMENT") {
            self.eat("BY");
            self.eat_kind(T::Eq);
            sequence.increment = Some(self.signed_number()?);
        } else if self.eat("CACHE") {
            self.eat_kind(T::Eq);
            sequence.cache = Some(self.signed_number()?);
        } else if self.eat("MINVALUE") {
            self.eat_kind(T::Eq);
            sequence.min_value = Some(self.signed_number()?);
        } else if self.eat("MAXVALUE") {
            self.eat_kind(T::Eq);
            sequence.max_value = Some(self.signed_number()?);
        } else if self.eat("CYCLE") {
            sequence.cycle = Some(true);
        } else if self.eat_any(&["NOCYCLE"]) || self.eat_words(&["NO", "CYCLE"]) {
            sequence.cycle = Some(false);
        } else if self.at_words(&["NO", "MINVALUE"])
            || self.at_words(&["NO", "MAXVALUE"])
            || self.at_words(&["NO", "CACHE"])
        {
            self.pos += 2;
        } else if !self.eat_any(&["NOCACHE", "NOMINVALUE", "NOMAXVALUE"]) {
            return Ok(false);
        }
        Ok(true)
    }
}

fn no_sequence(action: DdlAction, or_replace: bool) -> SequenceStmt {
    SequenceStmt {
        action,
        or_replace,
        if_clause: false,
        names: Vec::new(),
        start: None,
        increment: None,
        cache: None,
        min_value: None,
        max_value: None,
        cycle: None,
    }
}
