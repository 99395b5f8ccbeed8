//! Sequences that are made by CREATE SEQUENCE. Each is one row in the schema's first shard, and that
//! row is the truth: it is there for every node as soon as it is written, and it goes with the schema.
//! A node takes blocks of values in a transaction of its own that is durable before a value is used,
//! and looks at the row's epoch before it goes on with a block that it has: a sequence that was
//! changed, dropped or made anew gets another epoch, so no node goes on with values of the old one.

use crate::backends::{BackendNode, Backends};
use crate::error::{ExecError, sql};
use base::sql_error;
use mysql_wire::packet::ErrPacket;
use node_backend::pool::Lease;
use node_backend::query::Row;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard};
use topology::model::Schema;

mod reserve;

pub use reserve::Reserved;

/// The table in the schema's first shard.
pub const DEFINITION_TABLE: &str = "_ddm_sequence_definition";

/// The most values that a statement can ask for.
pub const VALUES_MAX: u64 = 1_000_000;

/// The longest step of values that a node takes at once.
pub const CACHE_MAX: i64 = 1_000_000_000;

/// Names are of characters of three bytes at most.
const LAST_IN_NAMES: char = '\u{FFFF}';

/// The columns of a definition, in the order of [`Definition::read`].
const COLUMNS: &str =
    "name, epoch, next_value, start_value, increment, min_value, max_value, cache, cycles, run_out";

/// A sequence's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name, lower case.
    pub name: String,
    /// Another one after each change.
    pub epoch: u64,
    /// The first value that no node has taken; the last one when it has run out.
    pub next: i64,
    /// Where it started.
    pub start: i64,
    /// The distance of values; not 0.
    pub increment: i64,
    /// The least value.
    pub min: i64,
    /// The greatest value.
    pub max: i64,
    /// Values that a node takes at once.
    pub cache: i64,
    /// Whether it begins anew at its end.
    pub cycles: bool,
    /// All values are taken.
    pub run_out: bool,
}

/// The node's present blocks, by schema and name (lower case).
#[derive(Debug, Default)]
pub struct NamedSequences {
    blocks: Mutex<HashMap<(String, String), Block>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    epoch: u64,
    next: i64,
    left: u64,
    increment: i64,
}

impl Block {
    /// The next `count` values, if so many are left.
    fn take(&mut self, count: u64) -> Option<Vec<i64>> {
        if self.left < count {
            return None;
        }
        let values: Vec<i64> = (0..i128::from(count))
            .map(|at| i128::from(self.next) + at * i128::from(self.increment))
            .filter_map(|value| i64::try_from(value).ok())
            .collect();
        self.left -= count;
        if self.left > 0 {
            self.next += self.increment * i64::try_from(count).ok()?;
        }
        Some(values)
    }
}

impl Definition {
    /// Whether its values can be what it says.
    pub fn is_possible(&self) -> bool {
        self.increment != 0
            && self.min < self.max
            && (self.min..=self.max).contains(&self.start)
            && (self.min..=self.max).contains(&self.next)
            && (1..=CACHE_MAX).contains(&self.cache)
    }

    fn read(row: &Row) -> Result<Self, ExecError> {
        let number = |at: usize| row.text(at).and_then(|text| text.parse::<i64>().ok());
        let read = || {
            Some(Self {
                name: row.text(0)?,
                epoch: row.text(1)?.parse().ok()?,
                next: number(2)?,
                start: number(3)?,
                increment: number(4)?,
                min: number(5)?,
                max: number(6)?,
                cache: number(7)?,
                cycles: number(8)? != 0,
                run_out: number(9)? != 0,
            })
        };
        read().ok_or_else(|| {
            sql(sql_error::UNKNOWN_ERROR, "a sequence's row in its schema's first shard is damaged")
        })
    }

    /// The value after `value`; none at the end.
    fn after(&self, value: i64, steps: i128) -> Option<i64> {
        let next = i128::from(value) + steps * i128::from(self.increment);
        i64::try_from(next).ok().filter(|next| (self.min..=self.max).contains(next))
    }

    /// How many values there are from `value` on.
    fn count_from(&self, value: i64) -> i128 {
        let end = if self.increment > 0 { self.max } else { self.min };
        (i128::from(end) - i128::from(value)) / i128::from(self.increment) + 1
    }

    /// Takes `count` values out of the row; what is left of the block besides them is for later.
    fn cut(&mut self, count: u64) -> Option<(Vec<i64>, Block)> {
        let mut next = (!self.run_out).then_some(self.next);
        let mut values = Vec::new();
        let mut last = self.next;
        while (values.len() as u64) < count {
            let first = if self.increment > 0 { self.min } else { self.max };
            last = match next {
                Some(value) => value,
                None if self.cycles => first,
                None => return None,
            };
            values.push(last);
            next = self.after(last, 1);
        }
        let spare = i128::from(self.cache) - i128::from(count);
        let left = next.map_or(0, |next| spare.clamp(0, self.count_from(next)));
        let block = Block {
            epoch: self.epoch,
            next: next.unwrap_or(last),
            left: u64::try_from(left).unwrap_or(0),
            increment: self.increment,
        };
        let end = next.and_then(|next| self.after(next, left));
        self.run_out = end.is_none();
        self.next = end.or(next.and_then(|next| self.after(next, left - 1))).unwrap_or(last);
        Some((values, block))
    }
}

impl NamedSequences {
    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Block>> {
        self.blocks.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn forget(&self, schema: &Schema, name: &str) {
        self.lock().remove(&(schema.name.clone(), name.to_owned()));
    }

    /// All sequences of a schema, by name.
    pub async fn list(
        &self,
        backends: &Backends,
        schema: &Schema,
    ) -> Result<Vec<Definition>, ExecError> {
        let (node, place) = place(backends, schema)?;
        let mut lease = node.own_lease().await?;
        let ask = format!("SELECT {COLUMNS} FROM {place} WHERE of_table = 0 ORDER BY name");
        read_rows(&mut lease, &ask).await?.iter().map(Definition::read).collect()
    }

    /// The sequence of this name.
    pub async fn find(
        &self,
        backends: &Backends,
        schema: &Schema,
        name: &str,
    ) -> Result<Option<Definition>, ExecError> {
        let (node, place) = place(backends, schema)?;
        let mut lease = node.own_lease().await?;
        find_with(&mut lease, &place, &name.to_lowercase(), "").await
    }

    /// Writes a new sequence; false when there is one of this name.
    pub async fn create(
        &self,
        backends: &Backends,
        schema: &Schema,
        made: &Definition,
        replace: bool,
    ) -> Result<bool, ExecError> {
        let verb = if replace { "REPLACE" } else { "INSERT IGNORE" };
        let (node, place) = place(backends, schema)?;
        let statement = format!(
            "{verb} INTO {place} (of_table, {COLUMNS}) VALUES (0, {}, UUID_SHORT(), {}, {}, {}, {}, {}, {}, {}, {})",
            quoted(&made.name),
            made.next,
            made.start,
            made.increment,
            made.min,
            made.max,
            made.cache,
            u8::from(made.cycles),
            u8::from(made.run_out),
        );
        let affected = write(&node, &place, &statement).await?;
        self.forget(schema, &made.name);
        Ok(affected > 0)
    }

    /// Writes a changed sequence; false when it is gone.
    pub async fn change(
        &self,
        backends: &Backends,
        schema: &Schema,
        to: &Definition,
        keeps_place: bool,
    ) -> Result<bool, ExecError> {
        let (node, place) = place(backends, schema)?;
        let position = match keeps_place {
            true => String::new(),
            false => format!("next_value = {}, run_out = {}, ", to.next, u8::from(to.run_out)),
        };
        let statement = format!(
            "UPDATE {place} SET {position}epoch = UUID_SHORT(), start_value = {}, increment = {}, min_value = {}, \
             max_value = {}, cache = {}, cycles = {} WHERE of_table = 0 AND name = {}",
            to.start,
            to.increment,
            to.min,
            to.max,
            to.cache,
            u8::from(to.cycles),
            quoted(&to.name),
        );
        let affected = write(&node, &place, &statement).await?;
        self.forget(schema, &to.name);
        Ok(affected > 0)
    }

    /// Deletes a sequence; false when there is none.
    pub async fn drop(
        &self,
        backends: &Backends,
        schema: &Schema,
        name: &str,
    ) -> Result<bool, ExecError> {
        let name = name.to_lowercase();
        let (node, place) = place(backends, schema)?;
        let statement =
            format!("DELETE FROM {place} WHERE of_table = 0 AND name = {}", quoted(&name));
        let affected = write(&node, &place, &statement).await?;
        self.forget(schema, &name);
        Ok(affected > 0)
    }

    /// Takes `count` values; `None` when there is no such sequence.
    pub async fn take(
        &self,
        backends: &Backends,
        schema: &Schema,
        name: &str,
        count: u64,
    ) -> Result<Option<Vec<i64>>, ExecError> {
        if count > VALUES_MAX {
            let text = format!("more than {VALUES_MAX} values of a sequence in one statement");
            return Err(sql(sql_error::NOT_SUPPORTED, text));
        }
        let name = name.to_lowercase();
        let key = (schema.name.clone(), name.clone());
        let (node, place) = place(backends, schema)?;
        let mut lease = node.own_lease().await?;
        let known = self.lock().get(&key).map(|block| block.epoch);
        if let Some(known) = known {
            match epoch_of(&mut lease, &place, &name).await? {
                None => {
                    self.lock().remove(&key);
                    return Ok(None);
                }
                Some(epoch) if epoch == known => {
                    let mut blocks = self.lock();
                    let block = blocks.get_mut(&key).filter(|block| block.epoch == epoch);
                    if let Some(values) = block.and_then(|block| block.take(count)) {
                        return Ok(Some(values));
                    }
                }
                Some(_) => {}
            }
        }
        let Some((values, rest)) = take_block(&mut lease, &place, schema, &name, count).await?
        else {
            return Ok(None);
        };
        let mut blocks = self.lock();
        let more =
            blocks.get(&key).is_none_or(|old| old.epoch != rest.epoch || old.left < rest.left);
        if more {
            blocks.insert(key, rest);
        }
        Ok(Some(values))
    }
}

/// How many values of a table's own sequence a node takes at once; `None`: as usual.
pub async fn table_cache(
    backends: &Backends,
    schema: &Schema,
    table: &str,
) -> Result<Option<u64>, ExecError> {
    let (node, place) = place(backends, schema)?;
    let mut lease = node.own_lease().await?;
    let ask = format!(
        "SELECT cache FROM {place} WHERE of_table = 1 AND name = {}",
        quoted(&table.to_lowercase())
    );
    let rows = read_rows(&mut lease, &ask).await?;
    Ok(rows.first().and_then(|row| row.text(0)).and_then(|text| text.parse().ok()))
}

/// The same of all tables of a schema that have another step than the usual one.
pub async fn table_caches(
    backends: &Backends,
    schema: &Schema,
) -> Result<HashMap<String, u64>, ExecError> {
    let (node, place) = place(backends, schema)?;
    let mut lease = node.own_lease().await?;
    let ask = format!("SELECT name, cache FROM {place} WHERE of_table = 1");
    let rows = read_rows(&mut lease, &ask).await?;
    Ok(rows.iter().filter_map(|row| Some((row.text(0)?, row.text(1)?.parse().ok()?))).collect())
}

/// Sets how many values of a table's own sequence a node takes at once.
pub async fn set_table_cache(
    backends: &Backends,
    schema: &Schema,
    table: &str,
    cache: i64,
) -> Result<(), ExecError> {
    let (node, place) = place(backends, schema)?;
    let statement = format!(
        "INSERT INTO {place} (of_table, {COLUMNS}) VALUES (1, {}, 0, 1, 1, 1, 1, 1, {cache}, 0, 0) \
         ON DUPLICATE KEY UPDATE cache = {cache}",
        quoted(&table.to_lowercase())
    );
    write(&node, &place, &statement).await?;
    Ok(())
}

async fn take_block(
    lease: &mut Lease,
    place: &str,
    schema: &Schema,
    name: &str,
    count: u64,
) -> Result<Option<(Vec<i64>, Block)>, ExecError> {
    // A connection with an open transaction is not used again as it is.
    lease.mark_dirty();
    lease.execute_sql(b"START TRANSACTION").await?;
    let Some(mut definition) = find_with(lease, place, name, " FOR UPDATE").await? else {
        lease.execute_sql(b"ROLLBACK").await?;
        return Ok(None);
    };
    let Some(cut) = definition.cut(count) else {
        lease.execute_sql(b"ROLLBACK").await?;
        return Err(ExecError::Server(ErrPacket::new(
            4084,
            "HY000",
            format!("Sequence '{}.{name}' has run out", schema.name),
        )));
    };
    let update = format!(
        "UPDATE {place} SET next_value = {}, run_out = {} WHERE of_table = 0 AND name = {}",
        definition.next,
        u8::from(definition.run_out),
        quoted(name)
    );
    lease.execute_sql(update.as_bytes()).await?;
    lease.execute_sql(b"COMMIT").await?;
    Ok(Some(cut))
}

async fn epoch_of(lease: &mut Lease, place: &str, name: &str) -> Result<Option<u64>, ExecError> {
    let ask = format!("SELECT epoch FROM {place} WHERE of_table = 0 AND name = {}", quoted(name));
    let rows = read_rows(lease, &ask).await?;
    Ok(rows.first().and_then(|row| row.text(0)).and_then(|text| text.parse().ok()))
}

async fn find_with(
    lease: &mut Lease,
    place: &str,
    name: &str,
    lock: &str,
) -> Result<Option<Definition>, ExecError> {
    // No name has such characters, and the server compares them with none.
    if name.chars().any(|one| one > LAST_IN_NAMES) {
        return Ok(None);
    }
    let ask = format!(
        "SELECT {COLUMNS} FROM {place} WHERE of_table = 0 AND name = {}{lock}",
        quoted(name)
    );
    read_rows(lease, &ask).await?.first().map(Definition::read).transpose()
}

/// Rows of the table; none when the table was not made yet.
async fn read_rows(lease: &mut Lease, ask: &str) -> Result<Vec<Row>, ExecError> {
    match lease.query(ask.as_bytes()).await {
        Ok(result) => Ok(result.into_rows()),
        Err(error) if error.server().is_some_and(|server| server.number == 1146) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Changes the table, making it when it is missing; answers how many rows were changed.
async fn write(node: &BackendNode, place: &str, statement: &str) -> Result<u64, ExecError> {
    let mut lease = node.own_lease().await?;
    match lease.execute_sql(statement.as_bytes()).await {
        Ok(ok) => Ok(ok.affected_rows),
        Err(error) if error.server().is_some_and(|server| server.number == 1146) => {
            let create = format!(
                "CREATE TABLE IF NOT EXISTS {place} (of_table TINYINT NOT NULL, \
                 name VARCHAR(64) CHARACTER SET utf8 COLLATE utf8_bin NOT NULL, epoch BIGINT UNSIGNED NOT NULL, \
                 next_value BIGINT NOT NULL, start_value BIGINT NOT NULL, increment BIGINT NOT NULL, \
                 min_value BIGINT NOT NULL, max_value BIGINT NOT NULL, cache BIGINT NOT NULL, \
                 cycles TINYINT NOT NULL, run_out TINYINT NOT NULL, PRIMARY KEY (of_table, name)) ENGINE=InnoDB"
            );
            lease.execute_sql(create.as_bytes()).await?;
            Ok(lease.execute_sql(statement.as_bytes()).await?.affected_rows)
        }
        Err(error) => Err(error.into()),
    }
}

/// The data node and the qualified name of the schema's table of sequences.
fn place(backends: &Backends, schema: &Schema) -> Result<(Rc<BackendNode>, String), ExecError> {
    let first = schema.shards.first().ok_or_else(|| {
        sql(sql_error::SCHEMA_NOT_READY, format!("schema '{}' has no shards", schema.name))
    })?;
    Ok((backends.node(&first.data_node)?, format!("`{}`.`{DEFINITION_TABLE}`", first.database)))
}

fn quoted(name: &str) -> String {
    format!("'{}'", name.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn definition(next: i64, increment: i64, min: i64, max: i64, cache: i64) -> Definition {
        Definition {
            name: "s".into(),
            epoch: 7,
            next,
            start: next,
            increment,
            min,
            max,
            cache,
            cycles: false,
            run_out: false,
        }
    }

    #[test]
    fn blocks_are_cut_from_the_row() {
        let mut row = definition(1, 1, 1, i64::MAX, 1000);
        let (values, mut rest) = row.cut(3).unwrap();
        assert_eq!((values, row.next, rest.left), (vec![1, 2, 3], 1001, 997));
        assert_eq!(rest.take(2), Some(vec![4, 5]));
        assert_eq!(rest.take(996), None);
        let (values, rest) = row.cut(2000).unwrap();
        assert_eq!((values.len(), row.next, rest.left), (2000, 3001, 0));
    }

    #[test]
    fn a_sequence_ends_or_begins_anew() {
        let mut row = definition(8, 1, 1, 10, 5);
        let (values, mut rest) = row.cut(1).unwrap();
        assert_eq!((values, rest.left, row.run_out), (vec![8], 2, true));
        assert_eq!(rest.take(2), Some(vec![9, 10]));
        assert!(row.cut(1).is_none());
        row.cycles = true;
        assert_eq!(row.cut(2).unwrap().0, [1, 2]);
        assert!(!row.run_out);
        let mut down = definition(-1, -3, -8, -1, 1);
        assert_eq!(down.cut(3).unwrap().0, [-1, -4, -7]);
        assert!(down.run_out && down.cut(1).is_none());
        let mut top = definition(i64::MAX, 1, 1, i64::MAX, 1000);
        assert_eq!(top.cut(1).unwrap().0, [i64::MAX]);
        assert!(top.run_out);
    }
}
