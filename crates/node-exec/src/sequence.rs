//! Generated values: a node takes blocks of a table's global sequence from one row in the schema's
//! first shard, in a statement of its own that is durable before a value of it is used. So values are
//! unique for ever, also when the node dies with half a block unused; there are gaps then, as in one
//! server.

use crate::backends::{BackendNode, Backends};
use crate::error::{ExecError, sql};
use crate::named_sequence::{NamedSequences, table_cache};
use base::sql_error;
use mysql_wire::packet::ErrPacket;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard};
use topology::model::{Schema, Snapshot};

/// Values taken at once.
pub const BLOCK: u64 = 1000;

/// The table in the schema's first shard.
pub const SEQUENCE_TABLE: &str = "_ddm_sequence";

/// The node's present blocks, by schema and table (lower case).
#[derive(Debug, Default)]
pub struct Sequences {
    blocks: Mutex<HashMap<(String, String), Block>>,
    /// Those that CREATE SEQUENCE made.
    pub named: NamedSequences,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    next: u64,
    /// After the last value.
    end: u64,
    /// Of the table; another one means another sequence.
    definition_version: u64,
}

/// The most that a statement can ask for.
const WANTED_MAX: u64 = 1_000_000;

impl Sequences {
    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Block>> {
        self.blocks.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Forgets blocks of tables that are gone or were emptied.
    pub fn follow(&self, snapshot: &Snapshot) {
        self.lock().retain(|(schema, table), block| {
            snapshot
                .schemas
                .get(schema)
                .and_then(|schema| schema.tables.get(table))
                .is_some_and(|table| table.definition_version == block.definition_version)
        });
    }

    /// Forgets a table's block.
    pub fn forget(&self, schema: &str, table: &str) {
        self.lock().remove(&key(schema, table));
    }

    /// Takes `count` values that follow each other.
    pub async fn take(
        &self,
        backends: &Backends,
        schema: &Schema,
        table: &str,
        count: u64,
        max: u64,
    ) -> Result<Vec<u64>, ExecError> {
        if count > WANTED_MAX {
            return Err(sql(
                sql_error::NOT_SUPPORTED,
                format!("more than {WANTED_MAX} generated values in one statement"),
            ));
        }
        let key = key(&schema.name, table);
        let version = schema.table(table).map_or(0, |table| table.definition_version);
        let start = match self.take_known(&key, version, count) {
            Some(start) => start,
            None => {
                let step = table_cache(backends, schema, &key.1).await?.unwrap_or(BLOCK);
                let size = count.max(step);
                let start = take_block(backends, schema, &key.1, size).await?;
                self.keep_rest(key, version, start + count, start + size);
                start
            }
        };
        values(start, count, max).map_err(|row| exhausted(schema, table, max, row))
    }

    /// Takes `count` values in a block of their own: they are above every value that was given by
    /// hand before, at whatever node.
    pub async fn take_fresh(
        &self,
        backends: &Backends,
        schema: &Schema,
        table: &str,
        count: u64,
        max: u64,
    ) -> Result<Vec<u64>, ExecError> {
        let key = key(&schema.name, table);
        let start = take_block(backends, schema, &key.1, count).await?;
        values(start, count, max).map_err(|row| exhausted(schema, table, max, row))
    }

    fn take_known(&self, key: &(String, String), version: u64, count: u64) -> Option<u64> {
        let mut blocks = self.lock();
        let block = blocks.get_mut(key).filter(|block| block.definition_version == version)?;
        let start = block.next;
        if block.end - start < count {
            return None;
        }
        block.next += count;
        Some(start)
    }

    /// Keeps what is left of a fresh block, unless another statement keeps more already.
    fn keep_rest(&self, key: (String, String), version: u64, next: u64, end: u64) {
        let mut blocks = self.lock();
        let left = blocks
            .get(&key)
            .filter(|block| block.definition_version == version)
            .map_or(0, |block| block.end - block.next);
        if end - next > left {
            blocks.insert(key, Block { next, end, definition_version: version });
        }
    }

    /// A value was given by hand: later generated ones are above it.
    pub async fn move_past(
        &self,
        backends: &Backends,
        schema: &Schema,
        table: &str,
        given: u64,
    ) -> Result<(), ExecError> {
        let key = key(&schema.name, table);
        let inside = {
            let mut blocks = self.lock();
            match blocks.get_mut(&key) {
                Some(block) if given < block.next => true,
                Some(block) if given < block.end => {
                    block.next = given + 1;
                    true
                }
                _ => {
                    blocks.remove(&key);
                    false
                }
            }
        };
        if inside || given == u64::MAX {
            return Ok(());
        }
        let next = given + 1;
        let (node, place) = place(backends, schema)?;
        let statement = format!(
            "INSERT INTO {place} (name, next) VALUES ({name}, {next}) ON DUPLICATE KEY UPDATE next = GREATEST(next, {next})",
            name = quoted(&key.1),
        );
        run(&node, &place, &statement).await?;
        Ok(())
    }

    /// Where the next block of each table's sequence begins; tables that took none are not among them.
    pub async fn positions(
        &self,
        backends: &Backends,
        schema: &Schema,
    ) -> Result<HashMap<String, u64>, ExecError> {
        let (node, place) = place(backends, schema)?;
        let mut lease = node.own_lease().await?;
        let ask = format!("SELECT name, next FROM {place}");
        match lease.query(ask.as_bytes()).await {
            Ok(result) => Ok(result
                .into_rows()
                .iter()
                .filter_map(|row| Some((row.text(0)?, row.text(1)?.parse().ok()?)))
                .collect()),
            Err(error) if error.server().is_some_and(|server| server.number == 1146) => {
                Ok(HashMap::new())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A table's sequence begins at `start` again.
    pub async fn restart(
        &self,
        backends: &Backends,
        schema: &Schema,
        table: &str,
        start: u64,
    ) -> Result<(), ExecError> {
        let key = key(&schema.name, table);
        self.lock().remove(&key);
        let (node, place) = place(backends, schema)?;
        let statement = format!(
            "INSERT INTO {place} (name, next) VALUES ({name}, {start}) ON DUPLICATE KEY UPDATE next = {start}",
            name = quoted(&key.1),
        );
        run(&node, &place, &statement).await?;
        Ok(())
    }

    /// Where the next block begins: above every value that was ever given.
    pub async fn next_block(
        &self,
        backends: &Backends,
        schema: &Schema,
        table: &str,
    ) -> Result<u64, ExecError> {
        let key = key(&schema.name, table);
        let (node, place) = place(backends, schema)?;
        let ask = format!("SELECT next FROM {place} WHERE name = {}", quoted(&key.1));
        let mut lease = node.own_lease().await?;
        let found = match lease.query(ask.as_bytes()).await {
            Ok(found) => found.into_rows(),
            Err(error) if error.server().is_some_and(|server| server.number == 1146) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let next = found.first().and_then(|row| row.text(0)).and_then(|next| next.parse().ok());
        Ok(next.unwrap_or(1))
    }

    /// A table that is gone for good, and its sequence.
    pub async fn remove(
        &self,
        backends: &Backends,
        schema: &Schema,
        table: &str,
    ) -> Result<(), ExecError> {
        let key = key(&schema.name, table);
        self.lock().remove(&key);
        let (node, place) = place(backends, schema)?;
        let delete = format!("DELETE FROM {place} WHERE name = {}", quoted(&key.1));
        run(&node, &place, &delete).await?;
        Ok(())
    }

    /// A table's sequence goes on under another name.
    pub async fn rename(
        &self,
        backends: &Backends,
        schema: &Schema,
        from: &str,
        to: &str,
    ) -> Result<(), ExecError> {
        let (from, to) = (key(&schema.name, from), key(&schema.name, to));
        self.lock().remove(&from);
        let (node, place) = place(backends, schema)?;
        let delete = format!("DELETE FROM {place} WHERE name = {}", quoted(&to.1));
        run(&node, &place, &delete).await?;
        let update =
            format!("UPDATE {place} SET name = {} WHERE name = {}", quoted(&to.1), quoted(&from.1));
        run(&node, &place, &update).await?;
        Ok(())
    }
}

/// `count` values from `start` on; else the row, counted from 1, whose value the column cannot hold.
fn values(start: u64, count: u64, max: u64) -> Result<Vec<u64>, u64> {
    if start.saturating_add(count).saturating_sub(1) > max {
        return Err(max.saturating_add(1).saturating_sub(start) + 1);
    }
    Ok((start..start + count).collect())
}

/// The error of a column that is full: of the largest ones servers cannot even count further.
fn exhausted(schema: &Schema, table: &str, max: u64, row: u64) -> ExecError {
    let column = schema.table(table).and_then(|table| table.sequence_column.as_deref());
    match column.filter(|_| max < i64::MAX.unsigned_abs()) {
        Some(column) => ExecError::Server(ErrPacket::new(
            167,
            "22003",
            format!("Out of range value for column '{column}' at row {row}"),
        )),
        None => ExecError::Server(ErrPacket::new(
            1467,
            "HY000",
            "Failed to read auto-increment value from storage engine",
        )),
    }
}

fn key(schema: &str, table: &str) -> (String, String) {
    (schema.to_lowercase(), table.to_lowercase())
}

fn quoted(name: &str) -> String {
    format!("'{}'", name.replace('\'', "''").replace('\\', "\\\\"))
}

/// The data node and the qualified name of the schema's sequence table.
fn place(backends: &Backends, schema: &Schema) -> Result<(Rc<BackendNode>, String), ExecError> {
    let first = schema.shards.first().ok_or_else(|| {
        sql(sql_error::SCHEMA_NOT_READY, format!("schema '{}' has no shards", schema.name))
    })?;
    Ok((backends.node(&first.data_node)?, format!("`{}`.`{SEQUENCE_TABLE}`", first.database)))
}

async fn take_block(
    backends: &Backends,
    schema: &Schema,
    name: &str,
    size: u64,
) -> Result<u64, ExecError> {
    let (node, place) = place(backends, schema)?;
    let statement = format!(
        "INSERT INTO {place} (name, next) VALUES ({}, LAST_INSERT_ID(1) + {size}) \
         ON DUPLICATE KEY UPDATE next = LAST_INSERT_ID(next) + {size}",
        quoted(name),
    );
    run(&node, &place, &statement).await
}

/// Runs a statement on the sequence table, making the table when it is missing; answers the
/// statement's insert id.
async fn run(node: &BackendNode, place: &str, statement: &str) -> Result<u64, ExecError> {
    let mut lease = node.own_lease().await?;
    match lease.execute_sql(statement.as_bytes()).await {
        Ok(ok) => Ok(ok.last_insert_id),
        Err(error) if error.server().is_some_and(|server| server.number == 1146) => {
            let create = format!(
                "CREATE TABLE IF NOT EXISTS {place} (name VARCHAR(64) CHARACTER SET utf8 COLLATE utf8_bin NOT NULL PRIMARY KEY, \
                 next BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB"
            );
            lease.execute_sql(create.as_bytes()).await?;
            Ok(lease.execute_sql(statement.as_bytes()).await?.last_insert_id)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_block_is_used_up_in_order_and_never_twice() {
        let sequences = Sequences::default();
        let key = key("S", "T");
        sequences.keep_rest(key.clone(), 1, 5, 8);
        assert_eq!(sequences.take_known(&key, 1, 2), Some(5));
        assert_eq!(sequences.take_known(&key, 1, 2), None, "one is left");
        assert_eq!(sequences.take_known(&key, 2, 1), None, "another definition");
        assert_eq!(sequences.take_known(&key, 1, 1), Some(7));
        assert_eq!(sequences.take_known(&key, 1, 1), None);
    }
}
