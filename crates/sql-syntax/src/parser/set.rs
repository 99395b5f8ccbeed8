//! SET.

use super::{Parser, Result};
use crate::ast::{
    ColumnRef, Expr, ExprKind, Isolation, SetItem, SetStmt, SetTarget, Statement, VarScope,
};
use crate::lexer::TokenKind as T;

impl Parser<'_> {
    pub(super) fn set(&mut self) -> Result<Statement> {
        let start = self.start();
        self.expect("SET")?;
        let transaction = self.at("TRANSACTION")
            || (self.at_any(&["SESSION", "GLOBAL", "LOCAL"]) && self.is_at(1, "TRANSACTION"));
        let set = if transaction {
            self.set_transaction()?
        } else if self.at("PASSWORD") && self.peek(1).kind != T::Dot {
            self.set_password()?
        } else if self.at("ROLE")
            || self.at_words(&["DEFAULT", "ROLE"])
            || self.at_words(&["RESOURCE", "GROUP"])
        {
            self.skip_rest()?;
            SetStmt::Other(self.since(start))
        } else if self.eat("STATEMENT") {
            let items = self.comma_list(|p| p.set_item())?;
            self.expect("FOR")?;
            let start = self.start();
            let stmt = Box::new(self.statement()?);
            SetStmt::Statement { items, stmt, stmt_span: self.since(start) }
        } else {
            SetStmt::Items(self.comma_list(|p| p.set_item())?)
        };
        Ok(Statement::Set(Box::new(set)))
    }

    fn set_transaction(&mut self) -> Result<SetStmt> {
        let scope = if self.eat("GLOBAL") {
            VarScope::Global
        } else if self.eat_any(&["SESSION", "LOCAL"]) {
            VarScope::Session
        } else {
            VarScope::Default
        };
        self.expect("TRANSACTION")?;
        let (mut isolation, mut read_only) = (None, None);
        self.comma_list(|p| {
            if p.eat_words(&["READ", "ONLY"]) {
                read_only = Some(true);
            } else if p.eat_words(&["READ", "WRITE"]) {
                read_only = Some(false);
            } else {
                p.expect("ISOLATION")?;
                p.expect("LEVEL")?;
                isolation = Some(p.isolation()?);
            }
            Ok(())
        })?;
        Ok(SetStmt::Transaction { scope, isolation, read_only })
    }

    fn isolation(&mut self) -> Result<Isolation> {
        let levels: [(&[&str], Isolation); 4] = [
            (&["READ", "UNCOMMITTED"], Isolation::ReadUncommitted),
            (&["READ", "COMMITTED"], Isolation::ReadCommitted),
            (&["REPEATABLE", "READ"], Isolation::RepeatableRead),
            (&["SERIALIZABLE"], Isolation::Serializable),
        ];
        match levels.into_iter().find(|(words, _)| self.eat_words(words)) {
            Some((_, level)) => Ok(level),
            None => self.unexpected(),
        }
    }

    fn set_password(&mut self) -> Result<SetStmt> {
        self.expect("PASSWORD")?;
        let account = if self.eat("FOR") { Some(self.account()?) } else { None };
        let value = if self.eat_kind(T::Eq) || self.eat_kind(T::Assign) {
            Some(self.expr()?)
        } else {
            self.skip_rest()?;
            None
        };
        Ok(SetStmt::Password { account, value })
    }

    fn set_item(&mut self) -> Result<SetItem> {
        let start = self.start();
        if self.at("NAMES") && !matches!(self.peek(1).kind, T::Eq | T::Assign) {
            self.bump();
            let value = self.word_value()?;
            let collation = if self.eat("COLLATE") { Some(self.collation()?) } else { None };
            return Ok(SetItem {
                target: SetTarget::Names { collation },
                value,
                span: self.since(start),
            });
        }
        if self.at("CHARSET") || self.at_words(&["CHARACTER", "SET"]) {
            self.pos += if self.at("CHARSET") { 1 } else { 2 };
            let value = self.word_value()?;
            return Ok(SetItem { target: SetTarget::CharacterSet, value, span: self.since(start) });
        }
        let target = self.set_target()?;
        if !self.eat_kind(T::Eq) {
            self.expect_kind(T::Assign)?;
        }
        let bare = ["DEFAULT", "ON", "ALL", "BINARY", "ROW", "SYSTEM"];
        let value = if bare.iter().any(|word| self.at(word))
            && matches!(self.peek(1).kind, T::Eof | T::Semi | T::Comma | T::Keyword)
        {
            self.word_value()?
        } else {
            self.expr()?
        };
        Ok(SetItem { target, value, span: self.since(start) })
    }

    fn set_target(&mut self) -> Result<SetTarget> {
        if self.is(T::UserVar) {
            return Ok(SetTarget::UserVar(self.bump()));
        }
        if self.is(T::AtAt) {
            let variable = self.system_variable()?;
            return Ok(SetTarget::System {
                scope: variable.scope,
                base: variable.base,
                name: variable.name,
            });
        }
        let scopes = [
            ("SESSION", VarScope::Session),
            ("LOCAL", VarScope::Session),
            ("GLOBAL", VarScope::Global),
            ("PERSIST", VarScope::Persist),
            ("PERSIST_ONLY", VarScope::PersistOnly),
        ];
        let named = matches!(self.peek(1).kind, T::Ident | T::QuotedIdent | T::Keyword);
        let scope = match scopes.into_iter().find(|(word, _)| named && self.eat(word)) {
            Some((_, scope)) => scope,
            None => VarScope::Default,
        };
        let first = self.ident()?;
        if self.eat_kind(T::Dot) {
            return Ok(SetTarget::System { scope, base: Some(first), name: self.after_dot()? });
        }
        Ok(SetTarget::System { scope, base: None, name: first })
    }

    /// A bare word as a value: DEFAULT, or a name.
    fn word_value(&mut self) -> Result<Expr> {
        let start = self.start();
        if self.is(T::String) {
            return self.bit_expr();
        }
        if self.eat("DEFAULT") {
            return Ok(Expr { kind: ExprKind::Default(None), span: self.since(start) });
        }
        let name = self.ident_or_keyword()?;
        let kind = ExprKind::Column(ColumnRef { schema: None, table: None, name });
        Ok(Expr { kind, span: self.since(start) })
    }
}
