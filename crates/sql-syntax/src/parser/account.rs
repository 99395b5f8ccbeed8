//! Accounts: CREATE, ALTER, DROP USER, GRANT, REVOKE.

use super::{Parser, Result};
use crate::ast::{Account, AccountStmt, Grant, GrantLevel, Span, Statement, TableName};
use crate::lexer::TokenKind as T;

impl Parser<'_> {
    /// `name[@host]`, CURRENT_USER.
    pub(super) fn account(&mut self) -> Result<Account> {
        let start = self.start();
        if self.eat_any(&["CURRENT_USER", "CURRENT_ROLE"]) {
            if self.is(T::LParen) {
                self.skip_parens()?;
            }
            return Ok(Account { user: None, host: None, span: self.since(start) });
        }
        let user = Some(self.ident_or_string()?);
        let mut host = None;
        if self.is(T::UserVar) {
            // The lexer takes `@host` and `@'host'` as one token, and a lone `@` before a space.
            let host_start = self.start();
            let lone = self.peek(0).end - self.peek(0).start == 1;
            self.bump();
            if lone && (self.at_ident() || self.is(T::String)) {
                self.bump();
            }
            while self.eat_kind(T::Dot) {
                self.bump();
            }
            host = Some(self.since(host_start));
        }
        Ok(Account { user, host, span: self.since(start) })
    }

    /// An account with IDENTIFIED BY.
    fn identified(&mut self) -> Result<(Account, Option<u32>)> {
        let account = self.account()?;
        if !self.eat("IDENTIFIED") {
            return Ok((account, None));
        }
        if self.eat("BY") {
            self.eat("PASSWORD");
            if self.eat_words(&["RANDOM", "PASSWORD"]) {
                return Ok((account, None));
            }
            return Ok((account, Some(self.string()?)));
        }
        if !self.eat_any(&["WITH", "VIA"]) {
            return self.unexpected();
        }
        self.ident_or_string()?;
        let mut password = None;
        if self.eat_any(&["BY", "AS", "USING"]) {
            let hashed = self.at("PASSWORD") && self.peek(1).kind == T::LParen;
            if hashed {
                self.pos += 2;
            }
            password = Some(self.string()?);
            if hashed {
                self.expect_kind(T::RParen)?;
                password = None;
            }
        }
        Ok((account, password))
    }

    pub(super) fn create_user(&mut self) -> Result<Statement> {
        self.expect("USER")?;
        let if_not_exists = self.eat_words(&["IF", "NOT", "EXISTS"]);
        let users = self.comma_list(|p| p.identified())?;
        self.skip_rest()?;
        Ok(Statement::Account(AccountStmt::CreateUser { if_not_exists, users }))
    }

    pub(super) fn alter_user(&mut self) -> Result<Statement> {
        self.expect("USER")?;
        self.eat_words(&["IF", "EXISTS"]);
        let users = self.comma_list(|p| p.identified())?;
        self.skip_rest()?;
        Ok(Statement::Account(AccountStmt::AlterUser { users }))
    }

    pub(super) fn drop_user(&mut self) -> Result<Statement> {
        self.expect("USER")?;
        let if_exists = self.eat_words(&["IF", "EXISTS"]);
        let users = self.comma_list(|p| p.account())?;
        Ok(Statement::Account(AccountStmt::DropUser { if_exists, users }))
    }

    pub(super) fn grant(&mut self) -> Result<Statement> {
        let revoke = self.at("REVOKE");
        self.bump();
        self.eat_words(&["IF", "EXISTS"]);
        let mut privileges = Vec::new();
        loop {
            privileges.push(self.privilege()?);
            if !self.eat_kind(T::Comma) {
                break;
            }
        }
        let proxy = privileges.len() == 1
            && privileges[0].of(self.src).eq_ignore_ascii_case(b"PROXY")
            && self.at("ON");
        if proxy {
            self.bump();
            self.account()?;
            self.expect(if revoke { "FROM" } else { "TO" })?;
            self.skip_rest()?;
            return Ok(Statement::Account(AccountStmt::Other));
        }
        let level = if self.eat("ON") { self.grant_level()? } else { GrantLevel::None };
        let to = if revoke { "FROM" } else { "TO" };
        self.expect(to)?;
        let users = self.comma_list(|p| p.identified())?;
        let grant_option = self.at_words(&["WITH", "GRANT", "OPTION"]);
        self.skip_rest()?;
        if level == GrantLevel::None && !revoke {
            // Without ON it grants roles.
            return Ok(Statement::Account(AccountStmt::Other));
        }
        let grant = Grant { privileges, level, users, grant_option };
        Ok(Statement::Account(if revoke {
            AccountStmt::Revoke(grant)
        } else {
            AccountStmt::Grant(grant)
        }))
    }

    /// The words of one privilege; a column list is passed over.
    fn privilege(&mut self) -> Result<Span> {
        let start = self.start();
        let mut words = 0;
        loop {
            let role = words == 0 && matches!(self.kind(), T::String | T::QuotedIdent);
            let word =
                matches!(self.kind(), T::Ident | T::Keyword) && !self.at_any(&["ON", "TO", "FROM"]);
            if !role && !word {
                break;
            }
            self.bump();
            words += 1;
        }
        if words == 0 {
            return self.unexpected();
        }
        let span = self.since(start);
        if self.is(T::UserVar) {
            self.bump();
        }
        if self.is(T::LParen) {
            self.skip_parens()?;
        }
        Ok(span)
    }

    fn grant_level(&mut self) -> Result<GrantLevel> {
        self.eat_any(&["TABLE", "FUNCTION", "PROCEDURE", "PACKAGE"]);
        if self.eat_kind(T::Star) {
            if self.eat_kind(T::Dot) {
                self.expect_kind(T::Star)?;
                return Ok(GrantLevel::Global);
            }
            return Ok(GrantLevel::CurrentSchema);
        }
        let first = self.ident()?;
        if !self.eat_kind(T::Dot) {
            return Ok(GrantLevel::Table(TableName {
                schema: None,
                name: first,
                span: first.span,
            }));
        }
        if self.eat_kind(T::Star) {
            return Ok(GrantLevel::Schema(first));
        }
        let name = self.after_dot()?;
        Ok(GrantLevel::Table(TableName {
            schema: Some(first),
            name,
            span: first.span.to(name.span),
        }))
    }
}
