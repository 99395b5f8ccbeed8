//! RESTORE TABLE, PURGE TABLE and PURGE RECYCLEBIN.

use super::{Parser, Result};
use crate::ast::{RecycleStmt, Statement};

impl Parser<'_> {
    /// Whether a statement about the recycle bin stands here.
    pub(super) fn at_recycle(&self) -> bool {
        self.at_words(&["RESTORE", "TABLE"])
            || self.at_words(&["PURGE", "TABLE"])
            || self.at_words(&["PURGE", "RECYCLEBIN"])
    }

    pub(super) fn recycle(&mut self) -> Result<Statement> {
        let statement = if self.eat_words(&["RESTORE", "TABLE"]) {
            RecycleStmt::Restore(self.table_name()?)
        } else if self.eat_words(&["PURGE", "RECYCLEBIN"]) {
            let named = self.eat_any(&["FROM", "IN"]);
            RecycleStmt::PurgeAll(if named { Some(self.ident()?) } else { None })
        } else {
            self.eat_words(&["PURGE", "TABLE"]);
            RecycleStmt::Purge(self.comma_list(|p| p.table_name())?)
        };
        Ok(Statement::Recycle(statement))
    }
}
