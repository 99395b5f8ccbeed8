//! SIGNAL, RESIGNAL and GET DIAGNOSTICS. They speak of the session's last errors and are kept as
//! text; only what they may name is checked.

use super::{Parser, Result};
use crate::ast::{Other, OtherKind, Statement};
use crate::lexer::TokenKind as T;

/// What SIGNAL may set and GET DIAGNOSTICS may ask for.
const ITEMS: &[&str] = &[
    "CLASS_ORIGIN",
    "SUBCLASS_ORIGIN",
    "CONSTRAINT_CATALOG",
    "CONSTRAINT_SCHEMA",
    "CONSTRAINT_NAME",
    "CATALOG_NAME",
    "SCHEMA_NAME",
    "TABLE_NAME",
    "COLUMN_NAME",
    "CURSOR_NAME",
    "MESSAGE_TEXT",
    "MYSQL_ERRNO",
    "ROW_NUMBER",
];

impl Parser<'_> {
    pub(super) fn diagnostics(&mut self) -> Result<Statement> {
        let start = self.start();
        if self.eat("GET") {
            self.get_diagnostics()?;
        } else {
            let again = self.at("RESIGNAL");
            self.bump();
            self.signal(again)?;
        }
        let span = self.since(start);
        Ok(Statement::Other(Other { kind: OtherKind::Diagnostics, tables: Vec::new(), span }))
    }

    fn signal(&mut self, again: bool) -> Result<()> {
        if self.eat("SQLSTATE") {
            self.eat("VALUE");
            self.string()?;
        } else if !again || (self.at_ident() && !self.at("SET")) {
            self.ident()?;
        }
        if self.eat("SET") {
            self.comma_list(|p| {
                if !p.eat_any(ITEMS) {
                    return p.unexpected();
                }
                p.expect_kind(T::Eq)?;
                p.plain_value()
            })?;
        }
        Ok(())
    }

    fn get_diagnostics(&mut self) -> Result<()> {
        self.eat_any(&["CURRENT", "STACKED"]);
        self.expect("DIAGNOSTICS")?;
        let condition = self.eat("CONDITION");
        if condition {
            self.plain_value()?;
        }
        self.comma_list(|p| {
            p.receiver()?;
            p.expect_kind(T::Eq)?;
            let known = if condition {
                p.eat_any(ITEMS) || p.eat("RETURNED_SQLSTATE")
            } else {
                p.eat_any(&["NUMBER", "ROW_COUNT"])
            };
            if known { Ok(()) } else { p.unexpected() }
        })
        .map(|_| ())
    }

    /// A constant or a variable.
    fn plain_value(&mut self) -> Result<()> {
        let signed = matches!(self.kind(), T::Minus | T::Plus | T::Tilde | T::Bang);
        let computed = matches!(self.kind(), T::LParen | T::LBrace | T::Param);
        if signed || computed || self.peek(1).kind == T::LParen {
            return self.unexpected();
        }
        self.primary().map(|_| ())
    }
}
