//! Sessions whose transactions only read (SET SESSION TRANSACTION READ ONLY): a statement of its own
//! is such a transaction, so it may not write. Statements that commit what is open, as changes of
//! definitions do, are measured by the session's setting; others by their transaction's, where there
//! is one.

use crate::session::Core;
use mysql_wire::packet::ErrPacket;
use node_exec::error::ExecError;
use sql_plan::plan::{Plan, Planned};
use sql_syntax::ast::Statement;

/// What a server says.
fn refused() -> ExecError {
    let text = "Cannot execute statement in a READ ONLY transaction";
    ExecError::Server(ErrPacket::new(1792, "25006", text))
}

impl Core {
    /// Refuses a planned statement that writes where it may not.
    pub fn check_read_only(&self, planned: &Planned) -> Result<(), ExecError> {
        let defines = matches!(planned.plan, Plan::Ddl(_) | Plan::Placement(_));
        let read_only = match &self.next_transaction {
            _ if defines => self.exec.transaction_options.read_only,
            _ if self.exec.transaction.is_some() => false,
            Some(next) => next.read_only,
            None => self.exec.transaction_options.read_only,
        };
        match read_only && !planned.read_only && self.kept.temporary.is_empty() {
            true => Err(refused()),
            false => Ok(()),
        }
    }

    /// Refuses a statement of the session's own that writes where it may not.
    pub fn check_read_only_session(&self, statement: &Statement) -> Result<(), ExecError> {
        let writes = || match statement {
            Statement::Sequence(_)
            | Statement::CreateTable(_)
            | Statement::Account(_)
            | Statement::Database(_) => true,
            Statement::LockTables(tables) => tables.iter().any(|table| table.write),
            _ => false,
        };
        match self.exec.transaction_options.read_only && writes() {
            true => Err(refused()),
            false => Ok(()),
        }
    }
}
