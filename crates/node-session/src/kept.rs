//! What a session keeps from statement to statement besides its variables and its transaction:
//! temporary tables, table locks, names of open handlers, statements prepared as text.

use crate::handler::Handlers;
use crate::locks::{NamedLocks, TableLocks};
use crate::prepared_text::NamedStatements;
use crate::query::Source;
use crate::session::Core;
use crate::temporary_tables::TemporaryTables;
use node_exec::error::ExecError;
use node_exec::exec::Warning;
use node_exec::own_connection::Need;
use sql_plan::plan::{Plan, Planned};

/// What a session keeps.
#[derive(Debug, Default)]
pub struct Kept {
    /// Temporary tables.
    pub temporary: TemporaryTables,
    /// LOCK TABLES.
    pub locks: Option<TableLocks>,
    /// GET_LOCK.
    pub named_locks: NamedLocks,
    /// HANDLER … OPEN.
    pub handlers: Handlers,
    /// sql_select_limit, where it limits anything.
    pub select_limit: Option<u64>,
    /// PREPARE … FROM.
    pub statements: NamedStatements,
    /// What data nodes said of the values of the present SET.
    pub set_warnings: Vec<Warning>,
}

impl Kept {
    /// Whether plans hold for this session alone: it has temporary tables, or table locks, under
    /// which physical tables are named in another way.
    pub fn plans_alone(&self) -> bool {
        !self.temporary.is_empty() || self.locks.is_some()
    }
}

impl Core {
    /// What must be so before a planned statement runs: the tables are locked that it uses under
    /// LOCK TABLES, and there is a connection for named locks.
    pub async fn before_planned(
        &mut self,
        planned: &Planned,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        if let Some(locks) = &self.kept.locks {
            locks.check(planned, &self.kept.temporary)?;
        }
        if matches!(planned.plan, Plan::Ddl(_) | Plan::Placement(_)) {
            Box::pin(self.check_programs(planned)).await?;
        }
        if planned.uses.named_locks {
            Box::pin(self.before_named_locks(source)).await?;
        }
        Ok(())
    }

    /// After each statement: connections that nothing needs any longer go back, and a session one of
    /// whose own connections was lost ends, as it would when its server went away.
    pub fn after_statement(&mut self) {
        self.look_after_own_connections();
        self.tell_pins();
        self.tell_prepared();
    }

    fn look_after_own_connections(&mut self) {
        if self.exec.own.is_empty() {
            return;
        }
        if self.exec.own.is_lost() {
            tracing::info!(session = self.handle.id, "a session ends that lost its own connection");
            self.ending = true;
        }
        self.exec.own.release_unneeded();
    }

    /// Everything is as in the beginning.
    pub async fn forget_kept(&mut self) {
        if let Some(base) = self.kept.temporary.clear() {
            self.snapshot = base;
        }
        self.kept = Kept::default();
        self.exec.tables_locked = false;
        self.exec.own.clear().await;
    }

    /// Whether the session keeps a connection for this.
    pub fn keeps(&self, need: Need) -> bool {
        self.exec.own.has_need(need)
    }
}
