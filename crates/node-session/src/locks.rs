//! LOCK TABLES and UNLOCK TABLES, named locks, FLUSH. Table locks are real ones: those of the data
//! nodes, on every physical table, taken data node by data node in the order of their ids, so that
//! two sessions never wait for each other in a circle. While they are held, the session's statements
//! run on the connections that hold them.

use crate::control::text;
use crate::permission;
use crate::query::Source;
use crate::session::Core;
use crate::temporary_tables::TemporaryTables;
use base::id::DataNodeId;
use base::sql_error;
use mysql_wire::packet::{ErrPacket, OkPacket};
use node_exec::error::{ExecError, sql};
use node_exec::names::Names;
use node_exec::own_connection::Need;
use sql_plan::plan::{PlanTable, Planned, TablePlace, table_targets};
use sql_plan::template::quoted;
use sql_syntax::ast::{AlterKind, AlterTable, Flush, LockTable, Parsed, TableName};
use sql_syntax::{Edits, LiteralValue, TokenKind};
use std::collections::{BTreeMap, BTreeSet};
use topology::algorithm::SqlValue;
use topology::model::{Placement, Schema, Table};

/// Names of locks that a session is known to hold.
const NAMED_LOCKS_MAX: usize = 1000;

/// The tables that LOCK TABLES has locked: schema and table in lower case, and whether for writing.
#[derive(Debug, Default)]
pub struct TableLocks(BTreeMap<(String, String), bool>);

/// The named locks that a session may hold.
#[derive(Debug, Default)]
pub struct NamedLocks {
    /// Those whose names are known.
    names: BTreeSet<Vec<u8>>,
    /// There may be others.
    others: bool,
}

impl TableLocks {
    /// The tables of a statement must all be locked.
    pub fn check(&self, planned: &Planned, temporary: &TemporaryTables) -> Result<(), ExecError> {
        for access in &planned.access {
            let Some(table) = &access.table else { continue };
            let (schema, name) = (access.schema.to_lowercase(), table.to_lowercase());
            if schema == "information_schema"
                || temporary.contains(&schema, &name)
                || self.0.contains_key(&(schema, name))
            {
                continue;
            }
            return Err(not_locked(table));
        }
        if let sql_plan::Plan::Ddl(_) = planned.plan {
            return Err(sql(
                sql_error::NOT_SUPPORTED,
                "definitions are not changed while LOCK TABLES is in force; UNLOCK TABLES first",
            ));
        }
        Ok(())
    }
}

fn not_locked(table: &str) -> ExecError {
    ExecError::Server(ErrPacket::new(
        1100,
        "HY000",
        format!("Table '{table}' was not locked with LOCK TABLES"),
    ))
}

/// One lock that a data node is asked for.
struct Wanted<'a> {
    schema: &'a Schema,
    table: &'a Table,
    alias: Option<String>,
    write: bool,
}

impl Wanted<'_> {
    /// What each data node gets of it. Physical tables are locked by their own names, for which the
    /// planner leaves them without aliases of ours.
    fn clauses(&self, by_node: &mut BTreeMap<DataNodeId, Vec<Vec<u8>>>) {
        let kind: &[u8] = if self.write { b" WRITE" } else { b" READ" };
        for target in table_targets(self.table, self.schema.shard_count()) {
            let Some(shard) = self.schema.shards.get(target.shard as usize) else { continue };
            let physical = match &self.table.placement {
                Placement::Sharded(_) => self.table.physical_name(target.suffix),
                Placement::Single | Placement::Broadcast => self.table.name.clone(),
            };
            let name = [quoted(&shard.database).as_slice(), b".", &quoted(&physical)].concat();
            let clauses = by_node.entry(shard.data_node.clone()).or_default();
            let alias = self
                .alias
                .as_ref()
                .map_or_else(Vec::new, |alias| [b" AS ".as_slice(), &quoted(alias)].concat());
            clauses.push([name.as_slice(), &alias, kind].concat());
        }
    }

    /// An alias stands for one table in each database, so several parts there cannot have it.
    fn check_alias(&self) -> Result<(), ExecError> {
        let targets = table_targets(self.table, self.schema.shard_count());
        let several = targets.iter().any(|one| {
            targets.iter().any(|other| one.shard == other.shard && one.suffix != other.suffix)
        });
        match self.alias.is_some() && several {
            true => Err(sql(
                sql_error::NOT_SUPPORTED,
                format!(
                    "LOCK TABLES of '{}' by an alias: the table has several parts in one database, \
                     which cannot be locked by one alias; lock it by its name",
                    self.table.name
                ),
            )),
            false => Ok(()),
        }
    }
}

impl Core {
    /// LOCK TABLES.
    pub async fn lock_tables(
        &mut self,
        tables: &[LockTable],
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let schema = self.exec.identity.schema.clone();
        let access = sql_plan::access(&parsed.stmt, source.text, schema.as_deref());
        permission::check(self.account()?, &self.host, &access)?;
        self.commit().await?;
        self.unlock_tables().await?;
        let mut named = Vec::new();
        for one in tables {
            // A sequence is a row that is locked for a moment by each who takes values.
            if self.names_sequence(one.table.name, source).await? {
                continue;
            }
            let alias = one.table.alias.map(|alias| text(&alias.name(source.text)));
            named.push((one.table.name, alias, one.write));
        }
        self.take_table_locks(&named, source).await?;
        self.track_locks(true, tables.iter().any(|one| one.write));
        self.exec.last.row_count = 0;
        self.reply_ok_packet(OkPacket::default());
        Ok(())
    }

    async fn take_table_locks(
        &mut self,
        tables: &[(TableName, Option<String>, bool)],
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let mut locked: BTreeMap<(String, String), bool> = BTreeMap::new();
        let mut by_node: BTreeMap<DataNodeId, Vec<Vec<u8>>> = BTreeMap::new();
        let mut plan_tables = Vec::new();
        let mut aliases = BTreeSet::new();
        for (name, alias, write) in tables {
            let schema = self.schema_of(name.schema, source)?;
            let shown = text(&name.name.name(source.text));
            let table = schema.table(&shown).ok_or_else(|| {
                let text = format!("Table '{}.{shown}' doesn't exist", schema.name);
                sql(sql_error::NO_SUCH_TABLE, text)
            })?;
            let by = alias.clone().unwrap_or_else(|| shown.clone()).to_lowercase();
            if !aliases.insert((schema.name.clone(), by.clone())) {
                let text = format!("Not unique table/alias: '{by}'");
                return Err(ExecError::Server(ErrPacket::new(1066, "42000", text)));
            }
            *locked.entry((schema.name.to_lowercase(), table.name.to_lowercase())).or_default() |=
                *write;
            plan_tables.push(PlanTable {
                schema: schema.name.clone(),
                name: table.name.clone(),
                physical_base: table.physical_base.clone(),
                alias: by,
                place: TablePlace::Sharded {
                    suffixed: table.physical_name(0) != table.physical_base(),
                },
            });
            if !self.kept.temporary.contains(&schema.name, &table.name.to_lowercase()) {
                let alias = alias.clone();
                let wanted = Wanted { schema, table, alias, write: *write };
                wanted.check_alias()?;
                wanted.clauses(&mut by_node);
            }
        }
        for (id, clauses) in by_node {
            let statement = [b"LOCK TABLES ".as_slice(), &clauses.join(&b", "[..])].concat();
            if let Err(error) = self.lock_on_node(&id, &statement).await {
                self.unlock_tables().await?;
                return Err(node_exec::rows::logical(error, Names::of(&plan_tables)));
            }
        }
        self.exec.tables_locked = true;
        self.kept.locks = Some(TableLocks(locked));
        self.kept.temporary.note_change();
        Ok(())
    }

    async fn lock_on_node(&mut self, id: &DataNodeId, statement: &[u8]) -> Result<(), ExecError> {
        let node = self.worker.backends.node(id)?;
        self.exec.keep_connection(&node, Need::TableLocks).await?;
        self.run_on_own(&node, statement).await.map(|_| ())
    }

    /// Runs a statement of ours on the session's own connection to a data node.
    pub async fn run_on_own(
        &mut self,
        node: &std::rc::Rc<node_exec::backends::BackendNode>,
        statement: &[u8],
    ) -> Result<OkPacket, ExecError> {
        let mut exec = self.exec();
        let mut held = exec.acquire(node, true).await?;
        let active = exec.enter(&held);
        let ran = held.lease.execute_sql(statement).await;
        drop(active);
        let warned = matches!(&ran, Ok(ok) if ok.warnings > 0);
        exec.session.last.warnings.clear();
        if warned {
            exec.session.last.warnings =
                node_exec::relay::warnings_of(&mut held.lease, Names::of(&[])).await;
        }
        exec.release(held);
        Ok(ran?)
    }

    /// A table is made only where no others are locked than it.
    pub fn check_locked(&self, schema: &str, table: &str) -> Result<(), ExecError> {
        let Some(locks) = &self.kept.locks else { return Ok(()) };
        match locks.0.get(&(schema.to_lowercase(), table.to_lowercase())) {
            None => Err(not_locked(table)),
            Some(false) => Err(ExecError::Server(ErrPacket::new(
                1099,
                "HY000",
                format!("Table '{table}' was locked with a READ lock and can't be updated"),
            ))),
            Some(true) => Ok(()),
        }
    }

    /// UNLOCK TABLES; what is open of a transaction under the locks is committed.
    pub async fn unlock_tables(&mut self) -> Result<(), ExecError> {
        // Locks of temporary tables are on no data node.
        if !self.keeps(Need::TableLocks) && self.kept.locks.is_none() {
            return Ok(());
        }
        self.commit().await?;
        self.kept.locks = None;
        self.kept.temporary.note_change();
        self.exec.tables_locked = false;
        let mut unlocked = Ok(());
        for node in self.exec.own.nodes_of(Need::TableLocks) {
            let ran = self.run_on_own(&node, b"UNLOCK TABLES").await;
            unlocked = unlocked.and(ran.map(|_| ()));
        }
        self.exec.own.forget(Need::TableLocks);
        self.exec.own.release_unneeded();
        unlocked
    }

    /// ALTER TABLE while tables are locked: only what changes no definition (DISABLE KEYS, as dumps
    /// say it) runs; it runs on the locking connections.
    pub async fn alter_under_locks(
        &mut self,
        alter: &AlterTable,
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<bool, ExecError> {
        if !alter.actions.iter().all(|action| matches!(action.kind, AlterKind::Maintenance)) {
            return Ok(false);
        }
        let schema = self.exec.identity.schema.clone();
        let access = sql_plan::access(&parsed.stmt, source.text, schema.as_deref());
        permission::check(self.account()?, &self.host, &access)?;
        let shown = text(&alter.name.name.name(source.text));
        let schema = self.schema_of(alter.name.schema, source)?;
        let key = (schema.name.to_lowercase(), shown.to_lowercase());
        let (Some(table), Some(locks)) = (schema.table(&shown), &self.kept.locks) else {
            return Err(not_locked(&shown));
        };
        if !locks.0.contains_key(&key) {
            return Err(not_locked(&shown));
        }
        let mut runs = Vec::new();
        for target in table_targets(table, schema.shard_count()) {
            let Some(shard) = schema.shards.get(target.shard as usize) else { continue };
            let physical = table.physical_name(target.suffix);
            let name = [quoted(&shard.database).as_slice(), b".", &quoted(&physical)].concat();
            let mut edits = Edits::new();
            edits.replace(alter.name.span, &name);
            let mut statement = Vec::new();
            edits.apply_within(source.text, parsed.text, &mut statement);
            runs.push((shard.data_node.clone(), statement));
        }
        let mut last = OkPacket::default();
        for (id, statement) in runs {
            let node = self.worker.backends.node(&id)?;
            last = self.run_on_own(&node, &statement).await?;
        }
        self.exec.last.row_count = 0;
        self.reply_ok_packet(OkPacket { session_track: Vec::new(), ..last });
        Ok(true)
    }

    /// FLUSH and RESET. Nothing that a client can see is cached here, so that FLUSH TABLES has no
    /// more to do than on a server; what would lock or touch all of a server needs rights there that
    /// no account here has.
    pub async fn run_flush(&mut self, flush: &Flush, source: Source<'_>) -> Result<(), ExecError> {
        let whole = source.tokens.text_span().of(source.text);
        let words = text(whole).to_ascii_uppercase();
        let has = |word: &str| {
            words.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|one| one == word)
        };
        let tables = has("TABLES") || has("TABLE");
        let harmless = ["STATUS", "PRIVILEGES", "HOSTS", "QUERY", "USER_RESOURCES"];
        if flush.reset || flush.with_lock && flush.tables.is_empty() {
            return Err(reload_denied());
        }
        if !tables && !harmless.iter().any(|word| has(word)) {
            return Err(reload_denied());
        }
        self.commit().await?;
        if has("STATUS") {
            self.flush_status();
        }
        if flush.with_lock {
            self.unlock_tables().await?;
            let named: Vec<_> = flush.tables.iter().map(|name| (*name, None, false)).collect();
            self.take_table_locks(&named, source).await?;
        }
        self.exec.last.row_count = 0;
        self.reply_ok_packet(OkPacket::default());
        Ok(())
    }

    /// The session gets the connection that its named locks are on: that of the first data node, so
    /// that all sessions of the instance mean the same locks.
    pub async fn before_named_locks(&mut self, source: Source<'_>) -> Result<(), ExecError> {
        let node = match self.exec.own.nodes_of(Need::NamedLocks).into_iter().next() {
            Some(node) => node,
            None => self.worker.backends.any()?,
        };
        self.exec.keep_connection(&node, Need::NamedLocks).await?;
        self.note_named_locks(source);
        Ok(())
    }

    /// Remembers the names that a statement may take.
    fn note_named_locks(&mut self, source: Source<'_>) {
        let tokens = source.tokens.tokens();
        for (at, token) in tokens.iter().enumerate() {
            if !token.span().of(source.text).eq_ignore_ascii_case(b"get_lock") {
                continue;
            }
            let argument = at as u32 + 2;
            let name = match tokens.get(at + 2).map(|token| token.kind) {
                Some(TokenKind::String) => {
                    match source.tokens.value(source.text, argument, source.mode) {
                        LiteralValue::String(bytes) => Some(bytes.into_owned()),
                        _ => None,
                    }
                }
                Some(TokenKind::Param) => {
                    let ordinal = source.param_tokens.binary_search(&argument).ok();
                    match ordinal.and_then(|ordinal| source.params.get(ordinal)) {
                        Some(SqlValue::Text(bytes)) => Some(bytes.clone()),
                        _ => None,
                    }
                }
                _ => None,
            };
            let followed = tokens.get(at + 3).is_some_and(|token| token.kind == TokenKind::Comma);
            match name {
                Some(name) if followed && self.kept.named_locks.names.len() < NAMED_LOCKS_MAX => {
                    self.kept.named_locks.names.insert(name);
                }
                _ => self.kept.named_locks.others = true,
            }
        }
    }

    /// After a statement on named locks: when none is held any longer the connection is let go.
    pub async fn after_named_locks(&mut self, source: Source<'_>) -> Result<(), ExecError> {
        let all = text(source.text).to_ascii_lowercase();
        if all.contains("release_all_locks") && !all.contains("get_lock") {
            self.kept.named_locks = NamedLocks::default();
        } else if self.kept.named_locks.others {
            return Ok(());
        } else {
            let mut held = BTreeSet::new();
            for name in std::mem::take(&mut self.kept.named_locks.names) {
                if self.holds_named_lock(&name).await? {
                    held.insert(name);
                }
            }
            self.kept.named_locks.names = held;
        }
        if self.kept.named_locks.names.is_empty() {
            self.exec.own.forget(Need::NamedLocks);
        }
        Ok(())
    }

    async fn holds_named_lock(&mut self, name: &[u8]) -> Result<bool, ExecError> {
        let Some(node) = self.exec.own.nodes_of(Need::NamedLocks).into_iter().next() else {
            return Ok(false);
        };
        let ask = format!(
            "SELECT IS_USED_LOCK(CONVERT(X'{}' USING utf8mb4)) = CONNECTION_ID()",
            base::id::hex(name)
        );
        let mut exec = self.exec();
        let mut held = exec.acquire(&node, false).await?;
        let answer = held.lease.query(ask.as_bytes()).await;
        exec.release(held);
        let rows = answer?.into_rows();
        Ok(rows.first().and_then(|row| row.text(0)).as_deref() == Some("1"))
    }
}

pub(crate) fn reload_denied() -> ExecError {
    sql(
        sql_error::SPECIFIC_ACCESS_DENIED,
        "Access denied; you need (at least one of) the RELOAD privilege(s) for this operation",
    )
}
