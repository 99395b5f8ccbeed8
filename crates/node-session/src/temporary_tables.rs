//! Temporary tables. Each is a real one on the session's own connection to the data node that holds
//! its schema's first shard, under its own name. To the planner it is a single table of a snapshot
//! that this session alone sees, so that it hides a base table of its name and takes part in every
//! kind of statement; plans made by that snapshot go into no cache.

mod catalogue;
mod create;
mod definition;

use crate::control::text;
use crate::query::Source;
use crate::session::Core;
use base::id::DataNodeId;
use base::sql_error;
use mysql_wire::packet::{ErrPacket, OkPacket};
use node_exec::backends::BackendNode;
use node_exec::error::{ExecError, sql};
use node_exec::exec::Warning;
use node_exec::own_connection::Need;
use sql_plan::template::quoted;
use sql_syntax::Edits;
use sql_syntax::ast::{AlterKind, DropTable, Parsed, Statement, TableName};
use sql_syntax::visit::{TableUse, for_each_table};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use topology::model::{Placement, Snapshot, Table};

/// Temporary tables of one session.
const TEMPORARY_TABLES_MAX: usize = 1000;

/// Definitions that hold for one session alone are numbered from here.
const FIRST_STAMP: u64 = 1 << 63;

/// ER_BAD_TABLE_ERROR
const UNKNOWN_TABLE: u16 = 1051;

/// One session's temporary tables.
#[derive(Debug, Default)]
pub struct TemporaryTables {
    /// By schema and name, in lower case.
    tables: BTreeMap<(String, String), Temporary>,
    /// The snapshot without them.
    base: Option<Arc<Snapshot>>,
    /// Counts the changes of what this session sees.
    changes: u64,
}

#[derive(Debug)]
struct Temporary {
    data_node: DataNodeId,
    table: Table,
}

/// A temporary table's place.
#[derive(Clone, Debug)]
struct Place {
    schema: String,
    name: String,
    data_node: DataNodeId,
    database: String,
}

impl Place {
    fn qualified(&self) -> Vec<u8> {
        [quoted(&self.database).as_slice(), b".", &quoted(&self.name)].concat()
    }

    fn key(&self) -> (String, String) {
        (self.schema.to_lowercase(), self.name.to_lowercase())
    }
}

impl TemporaryTables {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Whether this is one (both names in lower case).
    pub fn contains(&self, schema: &str, table: &str) -> bool {
        !self.tables.is_empty() && self.tables.contains_key(&(schema.to_owned(), table.to_owned()))
    }

    /// Whether a table of the session's snapshot is not shown among the schema's tables: it is a
    /// temporary one that hides none.
    pub fn is_unlisted(&self, schema: &str, table: &str) -> bool {
        self.contains(&schema.to_lowercase(), &table.to_lowercase())
            && self.base.as_ref().is_some_and(|base| {
                base.schema(schema).is_none_or(|schema| schema.table(table).is_none())
            })
    }

    /// The session's statements mean something else from now on.
    pub fn note_change(&mut self) {
        self.changes += 1;
    }

    /// Forgets all; gives the snapshot without them, if there were any.
    pub fn clear(&mut self) -> Option<Arc<Snapshot>> {
        self.tables.clear();
        self.changes += 1;
        self.base.take()
    }

    /// What the session sees: the snapshot with its temporary tables in it.
    fn over(&mut self, base: Arc<Snapshot>) -> Arc<Snapshot> {
        self.changes += 1;
        if self.tables.is_empty() {
            self.base = None;
            return base;
        }
        let mut seen = (*base).clone();
        for ((schema, name), temporary) in &self.tables {
            if let Some(schema) = seen.schemas.get_mut(schema) {
                schema.tables.insert(name.clone(), temporary.table.clone());
            }
        }
        self.base = Some(base);
        Arc::new(seen)
    }
}

impl Core {
    /// Takes a newer snapshot.
    pub fn see_snapshot(&mut self, snapshot: Arc<Snapshot>) {
        self.snapshot = match self.kept.temporary.is_empty() {
            true => snapshot,
            false => self.kept.temporary.over(snapshot),
        };
    }

    /// The snapshot without temporary tables.
    pub fn base_snapshot(&self) -> &Arc<Snapshot> {
        self.kept.temporary.base.as_ref().unwrap_or(&self.snapshot)
    }

    /// A number for the definitions that this session's plans are made by.
    pub fn definitions(&self) -> u64 {
        match self.kept.plans_alone() {
            false => self.snapshot.version,
            true => FIRST_STAMP + self.kept.temporary.changes,
        }
    }

    fn temporary_changed(&mut self) {
        let base = self.base_snapshot().clone();
        self.snapshot = self.kept.temporary.over(base);
    }

    /// Whether a statement defines, changes or drops temporary tables.
    pub fn is_of_temporary(&self, statement: &Statement, src: &[u8]) -> bool {
        match statement {
            Statement::CreateTable(create) => create.temporary,
            Statement::DropTable(drop) => drop.temporary || self.names_temporary(&drop.names, src),
            _ if self.kept.temporary.is_empty() => false,
            Statement::AlterTable(alter) => self.names_temporary(&[alter.name], src),
            Statement::Truncate(name) => self.names_temporary(&[*name], src),
            Statement::RenameTable(pairs) => {
                pairs.iter().any(|(from, _)| self.names_temporary(&[*from], src))
            }
            Statement::CreateIndex(create) => self.names_temporary(&[create.table], src),
            Statement::DropIndex(drop) => self.names_temporary(&[drop.table], src),
            _ => false,
        }
    }

    /// A view lives longer than the temporary tables that it would read.
    pub fn check_view_of_temporary(
        &self,
        statement: &Statement,
        src: &[u8],
    ) -> Result<(), ExecError> {
        let Statement::CreateView(_) = statement else { return Ok(()) };
        let mut found = None;
        for_each_table(statement, src, |site| {
            if !site.is_cte
                && site.usage == TableUse::Read
                && self.names_temporary(&[*site.name], src)
            {
                found.get_or_insert(text(&site.name.name.name(src)));
            }
        });
        match found {
            None => Ok(()),
            Some(name) => Err(ExecError::Server(ErrPacket::new(
                1352,
                "HY000",
                format!("View's SELECT refers to a temporary table '{name}'"),
            ))),
        }
    }

    fn names_temporary(&self, names: &[TableName], src: &[u8]) -> bool {
        !self.kept.temporary.is_empty()
            && names.iter().any(|name| {
                self.full_name(*name, src).is_ok_and(|(schema, table)| {
                    self.kept.temporary.contains(&schema, &table.to_lowercase())
                })
            })
    }

    /// Schema (in lower case) and table of a name.
    fn full_name(&self, name: TableName, src: &[u8]) -> Result<(String, String), ExecError> {
        let schema = match name.schema {
            Some(schema) => text(&schema.name(src)),
            None => self
                .exec
                .identity
                .schema
                .clone()
                .ok_or_else(|| sql(sql_error::NO_DB_SELECTED, "No database selected"))?,
        };
        Ok((schema.to_lowercase(), text(&name.name.name(src))))
    }

    /// Where a temporary table of this name is, or would be.
    fn temporary_place(&self, name: TableName, src: &[u8]) -> Result<Place, ExecError> {
        let (schema_name, table) = self.full_name(name, src)?;
        let schema = self.snapshot.schema(&schema_name).ok_or_else(|| {
            sql(sql_error::UNKNOWN_DB, format!("Unknown database '{schema_name}'"))
        })?;
        let first = schema.shards.first().filter(|_| schema.ready).ok_or_else(|| {
            sql(sql_error::SCHEMA_NOT_READY, format!("schema '{schema_name}' is not ready"))
        })?;
        Ok(Place {
            schema: schema.name.clone(),
            name: table,
            data_node: first.data_node.clone(),
            database: first.database.clone(),
        })
    }

    /// Runs a statement that defines, changes or drops temporary tables.
    pub async fn run_temporary(
        &mut self,
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let schema = self.exec.identity.schema.clone();
        let access = sql_plan::access(&parsed.stmt, source.text, schema.as_deref());
        crate::permission::check(self.account()?, &self.host, &access)?;
        if self.worker.backends.is_read_only() {
            return Err(sql(
                sql_error::NODE_IS_READ_ONLY,
                "The DDM node is running in read-only mode so it cannot execute this statement",
            ));
        }
        match &parsed.stmt {
            Statement::CreateTable(create) => self.create_temporary(create, parsed, source).await,
            Statement::DropTable(drop) => self.drop_temporary(drop, source).await,
            Statement::AlterTable(alter) => {
                let renamed = alter.actions.iter().find_map(|action| match &action.kind {
                    AlterKind::RenameTo(name) => Some(*name),
                    _ => None,
                });
                self.commit().await?;
                self.change_temporary(&[(alter.name, renamed)], parsed, source).await
            }
            Statement::Truncate(name) => {
                self.change_temporary(&[(*name, None)], parsed, source).await
            }
            Statement::CreateIndex(create) => {
                self.change_temporary(&[(create.table, None)], parsed, source).await
            }
            Statement::DropIndex(drop) => {
                self.change_temporary(&[(drop.table, None)], parsed, source).await
            }
            Statement::RenameTable(pairs) => {
                let changes: Vec<_> = pairs.iter().map(|(from, to)| (*from, Some(*to))).collect();
                self.change_temporary(&changes, parsed, source).await
            }
            _ => {
                Err(sql(sql_error::NOT_SUPPORTED, "this statement is not one on temporary tables"))
            }
        }
    }

    /// ALTER, TRUNCATE, RENAME, CREATE and DROP INDEX of temporary tables: the statement with
    /// physical names, and the definition read anew.
    async fn change_temporary(
        &mut self,
        changes: &[(TableName, Option<TableName>)],
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let mut edits = Edits::new();
        let mut places = Vec::new();
        for (name, to) in changes {
            let place = self.temporary_place(*name, source.text)?;
            if !self.names_temporary(&[*name], source.text) {
                return Err(sql(
                    sql_error::NOT_SUPPORTED,
                    "temporary and other tables are not renamed in one statement",
                ));
            }
            edits.replace(name.span, &place.qualified());
            let after = match to {
                Some(to) => {
                    let after = self.temporary_place(*to, source.text)?;
                    if after.schema != place.schema {
                        return Err(sql(
                            sql_error::NOT_SUPPORTED,
                            "a temporary table is not moved to another schema",
                        ));
                    }
                    edits.replace(to.span, &after.qualified());
                    after
                }
                None => place.clone(),
            };
            places.push((place, after));
        }
        let mut statement = Vec::new();
        edits.apply_within(source.text, parsed.text, &mut statement);
        let Some((first, _)) = places.first().cloned() else { return Ok(()) };
        let node = self.worker.backends.node(&first.data_node)?;
        let ok =
            self.run_on_own(&node, &statement).await.map_err(|error| logical(error, &first))?;
        for (before, after) in places {
            let table = self.read_temporary(&node, &after).await?;
            self.kept.temporary.tables.remove(&before.key());
            let temporary = Temporary { data_node: after.data_node.clone(), table };
            self.kept.temporary.tables.insert(after.key(), temporary);
        }
        self.temporary_changed();
        self.reply_done(ok);
        Ok(())
    }

    /// DROP \[TEMPORARY\] TABLE of temporary tables.
    async fn drop_temporary(
        &mut self,
        drop: &DropTable,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let is_one = |name: &&TableName| self.names_temporary(&[**name], source.text);
        let found: Vec<TableName> = drop.names.iter().filter(is_one).copied().collect();
        if !drop.temporary {
            self.commit().await?;
        }
        self.exec.last.warnings.clear();
        for name in &found {
            let place = self.temporary_place(*name, source.text)?;
            let node = self.worker.backends.node(&place.data_node)?;
            let statement = [b"DROP TEMPORARY TABLE ".as_slice(), &place.qualified()].concat();
            self.run_on_own(&node, &statement).await.map_err(|error| logical(error, &place))?;
            self.forget_temporary(&place);
        }
        let others: Vec<&TableName> =
            drop.names.iter().filter(|name| !found.contains(name)).collect();
        if !drop.temporary && !others.is_empty() {
            let mut statement = b"DROP TABLE ".to_vec();
            statement.extend_from_slice(if drop.if_exists { b"IF EXISTS " } else { b"" });
            let names: Vec<&[u8]> = others.iter().map(|name| name.span.of(source.text)).collect();
            statement.extend(names.join(&b", "[..]));
            return Box::pin(crate::query::run_made(self, &statement, source.mode)).await;
        }
        let mut missing = Vec::new();
        for name in others {
            let (schema, table) = self.full_name(*name, source.text)?;
            missing.push(format!("{schema}.{table}"));
        }
        if missing.is_empty() {
            self.reply_done(OkPacket::default());
            return Ok(());
        }
        let unknown = |names: &str| format!("Unknown table '{names}'");
        if !drop.if_exists {
            let text = unknown(&missing.join(","));
            return Err(ExecError::Server(ErrPacket::new(UNKNOWN_TABLE, "42S02", text)));
        }
        let notes = vec![Warning {
            level: "Note".to_owned(),
            code: UNKNOWN_TABLE,
            message: unknown(&missing.join(",")).into_bytes(),
        }];
        let warnings = u16::try_from(notes.len()).unwrap_or(u16::MAX);
        self.exec.last.warnings = notes;
        self.reply_done(OkPacket { warnings, ..OkPacket::default() });
        Ok(())
    }

    fn forget_temporary(&mut self, place: &Place) {
        self.kept.temporary.tables.remove(&place.key());
        let id = &place.data_node;
        if self.kept.temporary.tables.values().all(|other| other.data_node != *id) {
            self.exec.own.forget_on(id, Need::TemporaryTables);
        }
        self.temporary_changed();
    }

    async fn read_temporary(
        &mut self,
        node: &Rc<BackendNode>,
        place: &Place,
    ) -> Result<Table, ExecError> {
        let mut exec = self.exec();
        let mut held = exec.acquire(node, false).await?;
        let read = definition::read(&mut held.lease, &place.qualified()).await;
        exec.release(held);
        let (columns, primary_key, unique_keys) = read?;
        Ok(Table {
            name: place.name.clone(),
            placement: Placement::Single,
            columns,
            primary_key,
            unique_keys,
            sequence_column: None,
            view: None,
            definition_version: 0,
            physical_base: None,
            frozen: false,
            recycled: None,
        })
    }

    /// Answers OK for a statement of the session's own that may have told warnings.
    fn reply_done(&mut self, ok: OkPacket) {
        let ok = OkPacket { session_track: Vec::new(), ..ok };
        self.exec.last.row_count = i64::try_from(ok.affected_rows).unwrap_or(i64::MAX);
        self.reply_ok_packet(ok);
    }
}

/// A data node's error with the logical schema's name.
fn logical(error: ExecError, place: &Place) -> ExecError {
    use sql_plan::plan::{PlanTable, TablePlace};
    let table = PlanTable {
        schema: place.schema.clone(),
        name: place.name.clone(),
        physical_base: None,
        alias: place.name.clone(),
        place: TablePlace::Fixed { shard: 0 },
    };
    node_exec::rows::logical(error, node_exec::names::Names::of(&[table]))
}
