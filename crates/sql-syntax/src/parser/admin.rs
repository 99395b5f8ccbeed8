//! Transactions, prepared statements, locks, maintenance, and what is known by its words alone.

use super::{Parser, Result};
use crate::ast::{
    Call, Describe, Explain, Flush, Handler, Kill, KillKind, LockTable, Maintain, MaintainKind,
    OtherKind, PreparedStmt, Span, Statement, TransactionStmt, XaKind,
};
use crate::lexer::TokenKind as T;

impl Parser<'_> {
    /// Statements that neither read, change nor define rows.
    pub(super) fn administration(&mut self, word: &[u8]) -> Result<Statement> {
        let start = self.start();
        if self.at_compound() {
            return self.compound();
        }
        match word {
            b"USE" => {
                self.bump();
                Ok(Statement::Use(self.ident()?))
            }
            b"BEGIN" | b"START" | b"COMMIT" | b"ROLLBACK" | b"SAVEPOINT" | b"RELEASE" | b"XA" => {
                self.transaction(word)
            }
            b"LOCK" => self.lock_tables(),
            b"UNLOCK" => {
                self.bump();
                if self.eat_any(&["TABLES", "TABLE"]) {
                    Ok(Statement::UnlockTables)
                } else {
                    self.unlock_other(start)
                }
            }
            b"PREPARE" | b"EXECUTE" | b"DEALLOCATE" => self.prepared(word),
            b"KILL" => self.kill(),
            b"CALL" => self.call(),
            b"DO" => {
                self.bump();
                Ok(Statement::Do(self.comma_list(|p| p.expr())?))
            }
            b"HANDLER" => {
                self.bump();
                let table = self.table_name()?;
                let rest = self.skip_rest()?.unwrap_or_default();
                Ok(Statement::Handler(Handler { table, rest }))
            }
            b"ANALYZE" | b"CHECK" | b"OPTIMIZE" | b"REPAIR" | b"CHECKSUM" => self.maintain(word),
            b"FLUSH" | b"RESET" => self.flush(),
            b"GRANT" | b"REVOKE" => self.grant(),
            _ => self.by_word(word, start),
        }
    }

    fn unlock_other(&mut self, start: u32) -> Result<Statement> {
        if self.at("INSTANCE") { self.other(OtherKind::Admin, start) } else { self.unexpected() }
    }

    fn by_word(&mut self, word: &[u8], start: u32) -> Result<Statement> {
        if self.at_recycle() {
            return self.recycle();
        }
        let kind = match word {
            b"CHANGE" | b"STOP" | b"PURGE" | b"BINLOG" => OtherKind::Replication,
            b"INSTALL" | b"UNINSTALL" => OtherKind::Plugin,
            b"HELP" => OtherKind::Help,
            b"SIGNAL" | b"RESIGNAL" | b"GET" => return self.diagnostics(),
            b"SHUTDOWN" | b"RESTART" | b"CLONE" | b"CACHE" | b"IMPORT" | b"BACKUP" | b"RESTORE" => {
                OtherKind::Admin
            }
            _ => return self.unexpected(),
        };
        self.bump();
        if self.at_end() && !matches!(word, b"SHUTDOWN" | b"RESTART") {
            return self.unexpected();
        }
        self.other(kind, start)
    }

    fn transaction(&mut self, word: &[u8]) -> Result<Statement> {
        let start = self.start();
        self.bump();
        let stmt = match word {
            b"BEGIN" => {
                self.eat("WORK");
                TransactionStmt::Begin { consistent_snapshot: false, read_only: None }
            }
            b"START" => {
                if !self.eat("TRANSACTION") {
                    return self.other(OtherKind::Replication, start);
                }
                self.begin_options()?
            }
            b"COMMIT" => {
                let (chain, release) = self.completion()?;
                TransactionStmt::Commit { chain, release }
            }
            b"ROLLBACK" => self.rollback()?,
            b"SAVEPOINT" => TransactionStmt::Savepoint(self.ident()?),
            b"RELEASE" => {
                self.expect("SAVEPOINT")?;
                TransactionStmt::Release(self.ident()?)
            }
            _ => self.xa()?,
        };
        Ok(Statement::Transaction(stmt))
    }

    fn begin_options(&mut self) -> Result<TransactionStmt> {
        let (mut consistent_snapshot, mut read_only) = (false, None);
        if !self.at_end() {
            self.comma_list(|p| {
                if p.eat_words(&["WITH", "CONSISTENT", "SNAPSHOT"]) {
                    consistent_snapshot = true;
                } else if read_only.is_none() && p.eat_words(&["READ", "ONLY"]) {
                    read_only = Some(true);
                } else if read_only.is_none() && p.eat_words(&["READ", "WRITE"]) {
                    read_only = Some(false);
                } else {
                    return p.unexpected();
                }
                Ok(())
            })?;
        }
        Ok(TransactionStmt::Begin { consistent_snapshot, read_only })
    }

    fn completion(&mut self) -> Result<(Option<bool>, Option<bool>)> {
        self.eat("WORK");
        let mut chain = None;
        if self.eat("AND") {
            let no = self.eat("NO");
            self.expect("CHAIN")?;
            chain = Some(!no);
        }
        let release = if self.eat_words(&["NO", "RELEASE"]) {
            Some(false)
        } else if chain == Some(true) && self.at("RELEASE") {
            return self.unexpected();
        } else {
            self.eat("RELEASE").then_some(true)
        };
        Ok((chain, release))
    }

    fn rollback(&mut self) -> Result<TransactionStmt> {
        let to = self.at("TO") || self.at_words(&["WORK", "TO"]);
        if to {
            self.eat("WORK");
            self.bump();
            self.eat("SAVEPOINT");
            return Ok(TransactionStmt::RollbackTo(self.ident()?));
        }
        let (chain, release) = self.completion()?;
        Ok(TransactionStmt::Rollback { chain, release })
    }

    fn xa(&mut self) -> Result<TransactionStmt> {
        let kinds = [
            ("START", XaKind::Start),
            ("BEGIN", XaKind::Start),
            ("END", XaKind::End),
            ("PREPARE", XaKind::Prepare),
            ("COMMIT", XaKind::Commit),
            ("ROLLBACK", XaKind::Rollback),
            ("RECOVER", XaKind::Recover),
        ];
        let Some((_, kind)) = kinds.into_iter().find(|(word, _)| self.eat(word)) else {
            return self.unexpected();
        };
        Ok(TransactionStmt::Xa { kind, rest: self.skip_rest()? })
    }

    fn lock_tables(&mut self) -> Result<Statement> {
        let start = self.start();
        self.bump();
        if self.at("INSTANCE") {
            return self.other(OtherKind::Admin, start);
        }
        if !self.eat_any(&["TABLES", "TABLE"]) {
            return self.unexpected();
        }
        let tables = self.comma_list(|p| {
            let table = p.table_ref()?;
            let write = if p.eat("READ") {
                p.eat("LOCAL");
                false
            } else {
                p.eat("LOW_PRIORITY");
                p.expect("WRITE")?;
                p.eat("CONCURRENT");
                true
            };
            Ok(LockTable { table, write })
        })?;
        self.lock_wait()?;
        Ok(Statement::LockTables(tables))
    }

    fn prepared(&mut self, word: &[u8]) -> Result<Statement> {
        self.bump();
        let stmt = match word {
            b"PREPARE" => {
                let name = self.ident()?;
                self.expect("FROM")?;
                PreparedStmt::Prepare { name, from: self.expr()? }
            }
            b"EXECUTE" if self.eat("IMMEDIATE") => {
                let from = self.expr()?;
                PreparedStmt::ExecuteImmediate { from, using: self.using()? }
            }
            b"EXECUTE" => {
                let name = self.ident()?;
                PreparedStmt::Execute { name, using: self.using()? }
            }
            _ => {
                self.expect("PREPARE")?;
                PreparedStmt::Deallocate(self.ident()?)
            }
        };
        Ok(Statement::Prepared(stmt))
    }

    fn using(&mut self) -> Result<Vec<crate::ast::Expr>> {
        if self.eat("USING") { self.comma_list(|p| p.value()) } else { Ok(Vec::new()) }
    }

    fn kill(&mut self) -> Result<Statement> {
        self.expect("KILL")?;
        if self.eat("PHYSICAL") {
            let target = self.skip_rest()?;
            if target.is_none() {
                return self.unexpected();
            }
            return Ok(Statement::Kill(Kill { kind: KillKind::Physical, id: None, target }));
        }
        self.eat_any(&["HARD", "SOFT"]);
        let kind = if self.eat("QUERY") {
            self.eat("ID");
            KillKind::Query
        } else {
            self.eat("CONNECTION");
            KillKind::Connection
        };
        if self.eat("WHERE") {
            let condition = self.expr()?.span;
            return Ok(Statement::Kill(Kill { kind, id: None, target: Some(condition) }));
        }
        if self.eat("USER") {
            let start = self.start();
            self.account()?;
            let target = Some(self.since(start));
            return Ok(Statement::Kill(Kill { kind: KillKind::User, id: None, target }));
        }
        Ok(Statement::Kill(Kill { kind, id: Some(self.expr()?), target: None }))
    }

    fn call(&mut self) -> Result<Statement> {
        self.expect("CALL")?;
        let name = self.table_name()?;
        let mut args = Vec::new();
        if self.eat_kind(T::LParen) {
            if !self.is(T::RParen) {
                args = self.comma_list(|p| p.expr())?;
            }
            self.expect_kind(T::RParen)?;
        }
        Ok(Statement::Call(Box::new(Call { name, args })))
    }

    fn maintain(&mut self, word: &[u8]) -> Result<Statement> {
        let start = self.start();
        self.bump();
        let kind = match word {
            b"ANALYZE" => MaintainKind::Analyze,
            b"CHECK" => MaintainKind::Check,
            b"OPTIMIZE" => MaintainKind::Optimize,
            b"REPAIR" => MaintainKind::Repair,
            _ => MaintainKind::Checksum,
        };
        self.eat_any(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
        if !self.eat_any(&["TABLE", "TABLES"]) {
            if kind == MaintainKind::Analyze {
                return self.explained(start, true);
            }
            if kind == MaintainKind::Check && self.at("VIEW")
                || kind == MaintainKind::Repair && self.at("VIEW")
            {
                return self.other(OtherKind::Admin, start);
            }
            return self.unexpected();
        }
        let tables = if self.at_end() && kind == MaintainKind::Check {
            Vec::new()
        } else {
            self.comma_list(|p| p.table_name())?
        };
        Ok(Statement::Maintain(Maintain { kind, tables, rest: self.skip_rest()? }))
    }

    fn flush(&mut self) -> Result<Statement> {
        let reset = self.at("RESET");
        self.bump();
        self.eat_any(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
        if self.at_end() {
            return self.unexpected();
        }
        let (mut tables, mut with_lock) = (Vec::new(), false);
        if !reset && self.eat_any(&["TABLES", "TABLE"]) {
            if self.at_ident() {
                tables = self.comma_list(|p| p.table_name())?;
            }
            with_lock = self.at("WITH") || self.at("FOR");
        }
        self.skip_rest()?;
        Ok(Statement::Flush(Flush { reset, tables, with_lock }))
    }

    /// DESCRIBE, DESC, EXPLAIN.
    pub(super) fn explain(&mut self) -> Result<Statement> {
        let start = self.start();
        self.bump();
        let statement = [
            "SELECT",
            "INSERT",
            "REPLACE",
            "UPDATE",
            "DELETE",
            "WITH",
            "ANALYZE",
            "EXTENDED",
            "PARTITIONS",
            "FORMAT",
            "FOR",
            "TABLE",
            "VALUES",
        ];
        let describes = self.at_ident() && !self.at_any(&statement);
        if describes {
            let table = self.table_name()?;
            let free = self.at_ident() || self.is(T::String);
            let column = free.then(|| self.any_ident());
            return Ok(Statement::Describe(Describe { table, column }));
        }
        let analyze = self.eat("ANALYZE");
        self.explained(start, analyze)
    }

    fn explained(&mut self, _start: u32, analyze: bool) -> Result<Statement> {
        let mut explain = Explain {
            analyze,
            extended: false,
            format: None,
            stmt: None,
            stmt_span: Span::default(),
            connection: None,
        };
        loop {
            if self.eat_any(&["EXTENDED", "PARTITIONS"]) {
                explain.extended = true;
            } else if self.at("FORMAT") && self.peek(1).kind == T::Eq {
                self.pos += 2;
                explain.format = Some(self.ident_or_string()?);
            } else {
                break;
            }
        }
        if self.eat_words(&["FOR", "CONNECTION"]) {
            explain.connection = Some(self.expr()?);
            return Ok(Statement::Explain(Box::new(explain)));
        }
        if self.at_end() {
            return self.unexpected();
        }
        let start = self.start();
        explain.stmt = Some(Box::new(self.statement()?));
        explain.stmt_span = self.since(start);
        Ok(Statement::Explain(Box::new(explain)))
    }
}
