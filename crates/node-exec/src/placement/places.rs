//! The physical tables of a change of placement: those that are read and those that are made.

use super::create_text::{counter, renamed};
use super::shown;
use crate::error::{ExecError, sql};
use crate::exec::Exec;
use base::id::DataNodeId;
use base::sql_error;
use node_backend::connection::Connection;
use node_backend::pool::Lease;
use node_backend::query::Row;
use sql_plan::ddl::placement::PlacementPlan;
use sql_plan::template::quoted;
use topology::algorithm::Target;
use topology::definition::with_auto_increment;
use topology::model::Table;
use topology::move_names::Capture;

/// Values are written as they are read, whatever the session's modes say, and zero is a value.
const EXACT: &str = "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', \
                     time_zone = '+00:00', foreign_key_checks = 0";

/// One physical table.
#[derive(Clone, Debug)]
pub(super) struct Physical {
    pub data_node: DataNodeId,
    pub target: Target,
    pub database: String,
    pub name: String,
    /// `` `database`.`name` ``
    pub qualified: String,
}

impl Physical {
    fn of(exec: &Exec<'_>, schema: &str, table: &Table, target: Target) -> Result<Self, ExecError> {
        let database = topology::model::physical_database(schema, target.shard);
        let name = table.physical_name(target.suffix);
        Ok(Self {
            data_node: exec.data_node(schema, target.shard)?,
            target,
            qualified: format!("{}.{}", in_quotes(&database), in_quotes(&name)),
            database,
            name,
        })
    }

    /// What catches its changes.
    pub fn capture(&self) -> Capture {
        Capture::of(&self.name)
    }

    /// A name in its database, qualified.
    pub fn beside(&self, name: &str) -> String {
        format!("{}.{}", in_quotes(&self.database), in_quotes(name))
    }
}

/// Both sides of the change.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub sources: Vec<Physical>,
    pub targets: Vec<Physical>,
    /// All physical tables of the old placement: those that are not read go too.
    pub old: Vec<Physical>,
}

impl Places {
    pub fn of(exec: &Exec<'_>, plan: &PlacementPlan) -> Result<Self, ExecError> {
        let of = |table: &Table, targets: &[Target]| -> Result<Vec<Physical>, ExecError> {
            targets.iter().map(|target| Physical::of(exec, &plan.schema, table, *target)).collect()
        };
        let shards = exec.schema(&plan.schema)?.shard_count();
        Ok(Self {
            sources: of(&plan.from, &plan.sources)?,
            targets: of(&plan.to, &plan.targets)?,
            old: of(&plan.from, &sql_plan::plan::table_targets(&plan.from, shards))?,
        })
    }

    /// Refuses what would be lost on the way.
    pub async fn check(&self, exec: &Exec<'_>, plan: &PlacementPlan) -> Result<(), ExecError> {
        for source in &self.old {
            let mut lease = exec.backends.node(&source.data_node)?.own_lease().await?;
            let of =
                format!("'{}' AND {{}} = '{}'", source.database, source.name.replace('\'', "''"));
            let at = |schema: &str, table: &str| format!("{schema} = {}", of.replace("{}", table));
            let keys = format!(
                "SELECT 1 FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_NAME IS NOT NULL AND ({} OR {}) LIMIT 1",
                at("TABLE_SCHEMA", "TABLE_NAME"),
                at("REFERENCED_TABLE_SCHEMA", "REFERENCED_TABLE_NAME"),
            );
            let triggers = format!(
                "SELECT 1 FROM information_schema.TRIGGERS WHERE {} LIMIT 1",
                at("EVENT_OBJECT_SCHEMA", "EVENT_OBJECT_TABLE")
            );
            for (ask, what) in [(keys, "foreign keys"), (triggers, "triggers")] {
                if !rows(&mut lease, &ask).await?.is_empty() {
                    let text = format!(
                        "table '{}' has {what}; its placement cannot be changed while it has",
                        shown(plan)
                    );
                    return Err(sql(sql_error::NOT_SUPPORTED, text));
                }
            }
        }
        Ok(())
    }

    /// Makes the new tables, empty.
    pub async fn create(&self, exec: &Exec<'_>, plan: &PlacementPlan) -> Result<(), ExecError> {
        let Some(first) = self.sources.first() else { return Ok(()) };
        let mut lease = exec.backends.node(&first.data_node)?.own_lease().await?;
        let ask = format!("SHOW CREATE TABLE {}", first.qualified);
        let found = rows(&mut lease, &ask).await?;
        let create = found.first().and_then(|row| row.text(1)).unwrap_or_default();
        drop(lease);
        let create = match &plan.from.sequence_column {
            Some(column) => with_auto_increment(&create, column),
            None => create,
        };
        for target in &self.targets {
            let text = renamed(&create, &target.qualified).ok_or_else(|| {
                let text = format!("the definition of '{}' is not understood", shown(plan));
                sql(sql_error::UNKNOWN_ERROR, text)
            })?;
            let mut lease = exact_lease(exec, &target.data_node).await?;
            // Left by a change that was given up: nobody reads it.
            lease
                .execute_sql(format!("DROP TABLE IF EXISTS {}", target.qualified).as_bytes())
                .await?;
            lease.execute_sql(text.as_bytes()).await?;
        }
        Ok(())
    }

    /// The counter of AUTO_INCREMENT of the one old table, over the connection that holds it.
    pub async fn counter(&self, lease: &mut Connection) -> Result<Option<u64>, ExecError> {
        let Some(first) = self.sources.first() else { return Ok(None) };
        let found = rows(lease, &format!("SHOW CREATE TABLE {}", first.qualified)).await?;
        Ok(found.first().and_then(|row| row.text(1)).and_then(|create| counter(&create)))
    }

    /// The counter of the one new table.
    pub async fn set_counter(&self, exec: &Exec<'_>, next: u64) -> Result<(), ExecError> {
        for target in &self.targets {
            let text = format!("ALTER TABLE {} AUTO_INCREMENT = {next}", target.qualified);
            exact_lease(exec, &target.data_node).await?.execute_sql(text.as_bytes()).await?;
        }
        Ok(())
    }

    /// As if nothing had been begun.
    pub async fn undo(&self, exec: &Exec<'_>) -> Result<(), ExecError> {
        for source in &self.sources {
            let capture = source.capture();
            let mut lease = exact_lease(exec, &source.data_node).await?;
            for trigger in &capture.triggers {
                let drop = format!("DROP TRIGGER IF EXISTS {}", source.beside(trigger));
                lease.execute_sql(drop.as_bytes()).await?;
            }
            let drop = format!("DROP TABLE IF EXISTS {}", source.beside(&capture.log));
            lease.execute_sql(drop.as_bytes()).await?;
        }
        for target in &self.targets {
            let drop = format!("DROP TABLE IF EXISTS {}", target.qualified);
            exact_lease(exec, &target.data_node).await?.execute_sql(drop.as_bytes()).await?;
        }
        Ok(())
    }
}

/// A connection that reads and writes values as they are.
pub(super) async fn exact_lease(
    exec: &Exec<'_>,
    data_node: &DataNodeId,
) -> Result<Lease, ExecError> {
    let mut lease = exec.backends.node(data_node)?.own_lease().await?;
    lease.mark_dirty();
    lease.execute_sql(EXACT.as_bytes()).await?;
    Ok(lease)
}

pub(super) async fn rows(lease: &mut Connection, ask: &str) -> Result<Vec<Row>, ExecError> {
    Ok(lease.query(ask.as_bytes()).await?.into_rows())
}

/// A name as the data nodes take it.
pub(super) fn in_quotes(name: &str) -> String {
    String::from_utf8_lossy(&quoted(name)).into_owned()
}
