//! The tables: `entry` (what is now), `history` (what changed, for watchers that begin in the past;
//! bounded), `meta` (form and revision).

use crate::error::StoreError;
use crate::store::{Change, Condition, Entry, LeaseId, Revision, TxnOutcome, Write};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::path::Path;

/// The form of the file.
const FORM: u32 = 1;

/// So many changes are kept for watchers that begin in the past.
const HISTORY_MAX: u64 = 20_000;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entry (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, create_revision INTEGER NOT NULL,
    mod_revision INTEGER NOT NULL, lease INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entry_lease ON entry (lease) WHERE lease IS NOT NULL;
CREATE TABLE IF NOT EXISTS history (
    revision INTEGER NOT NULL, key TEXT NOT NULL, value BLOB, PRIMARY KEY (revision, key)
) STRICT, WITHOUT ROWID;";

/// The file, opened.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    revision: Revision,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::Unavailable(error.to_string())
    }
}

impl Database {
    /// Opens or makes the file. Leases do not outlive a process, and their keys go here.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(TABLES)?;
        let meta = |name: &str| -> Result<Option<u64>, StoreError> {
            let value: Option<i64> = connection
                .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
                .optional()?;
            Ok(value.map(|value| value as u64))
        };
        match meta("form")? {
            None => {
                connection
                    .execute("INSERT INTO meta VALUES ('form', ?1), ('revision', 0)", [FORM])?;
            }
            Some(found) if found > u64::from(FORM) => {
                let found = u32::try_from(found).unwrap_or(u32::MAX);
                return Err(StoreError::NewerVersion { found, supported: FORM });
            }
            Some(_) => {}
        }
        let revision = meta("revision")?.unwrap_or(0);
        let mut database = Self { connection, revision };
        let orphans = database.keys_of_leases(None)?;
        database.delete_all(orphans)?;
        Ok(database)
    }

    /// The present revision.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The entry of this key.
    pub fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT key, value, create_revision, mod_revision FROM entry WHERE key = ?1",
        )?;
        Ok(statement.query_row([key], entry).optional()?)
    }

    /// All entries below a prefix.
    pub fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT key, value, create_revision, mod_revision FROM entry
             WHERE key >= ?1 AND substr(key, 1, length(?1)) = ?1 AND (?2 IS NULL OR key < ?2) ORDER BY key",
        )?;
        let rows = statement.query_map(params![prefix, after(prefix)], entry)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Commits or refuses; returns the changes for watchers.
    pub fn txn(
        &mut self,
        conditions: &[Condition],
        writes: Vec<Write>,
    ) -> Result<(TxnOutcome, Vec<Change>), StoreError> {
        for condition in conditions {
            let revision = self.get(condition.key())?.map(|entry| entry.mod_revision);
            let holds = match condition {
                Condition::ModRevision(_, wanted) => revision == Some(*wanted),
                Condition::Absent(_) => revision.is_none(),
                Condition::Present(_) => revision.is_some(),
            };
            if !holds {
                return Ok((TxnOutcome::Conflict { key: condition.key().to_owned() }, Vec::new()));
            }
        }
        if writes.is_empty() {
            return Ok((TxnOutcome::Committed(self.revision), Vec::new()));
        }
        let revision = self.revision + 1;
        let transaction = self.connection.transaction()?;
        let mut changes = Vec::with_capacity(writes.len());
        for write in writes {
            if let Some(change) = apply(&transaction, revision, write)? {
                changes.push(change);
            }
        }
        transaction
            .execute("UPDATE meta SET value = ?1 WHERE name = 'revision'", [revision as i64])?;
        if revision % 1_000 == 0 {
            let oldest = revision.saturating_sub(HISTORY_MAX);
            transaction.execute("DELETE FROM history WHERE revision < ?1", [oldest as i64])?;
        }
        transaction.commit()?;
        self.revision = revision;
        Ok((TxnOutcome::Committed(revision), changes))
    }

    /// Changes at or after `from` below a prefix.
    pub fn changes_since(&self, prefix: &str, from: Revision) -> Result<Vec<Change>, StoreError> {
        let oldest: Option<i64> =
            self.connection.query_row("SELECT MIN(revision) FROM history", [], |row| row.get(0))?;
        let oldest = oldest.map_or(self.revision + 1, |revision| revision as u64);
        if from < oldest && oldest > 1 {
            return Err(StoreError::Compacted { oldest });
        }
        let mut statement = self.connection.prepare_cached(
            "SELECT revision, key, value FROM history
             WHERE revision >= ?1 AND substr(key, 1, length(?2)) = ?2 ORDER BY revision, key",
        )?;
        let rows = statement.query_map(params![from as i64, prefix], |row| {
            let revision: i64 = row.get(0)?;
            Ok(Change { revision: revision as u64, key: row.get(1)?, value: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keys that hang on this lease, or on any.
    pub fn keys_of_leases(&self, lease: Option<LeaseId>) -> Result<Vec<String>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT key FROM entry WHERE lease IS NOT NULL AND (?1 IS NULL OR lease = ?1)",
        )?;
        let rows = statement.query_map([lease.map(|lease| lease.0 as i64)], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Removes these keys.
    pub fn delete_all(&mut self, keys: Vec<String>) -> Result<Vec<Change>, StoreError> {
        let writes: Vec<Write> = keys.into_iter().map(|key| Write::Delete { key }).collect();
        Ok(self.txn(&[], writes)?.1)
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let (create, modified): (i64, i64) = (row.get(2)?, row.get(3)?);
    Ok(Entry {
        key: row.get(0)?,
        value: row.get(1)?,
        create_revision: create as u64,
        mod_revision: modified as u64,
    })
}

/// The first key after all that begin with `prefix`, if there is one.
fn after(prefix: &str) -> Option<String> {
    let (last_at, last) = prefix.char_indices().last()?;
    let next = char::from_u32(last as u32 + 1)?;
    Some(format!("{}{next}", &prefix[..last_at]))
}

fn apply(
    transaction: &Transaction<'_>,
    revision: Revision,
    write: Write,
) -> Result<Option<Change>, StoreError> {
    let (key, value) = match write {
        Write::Put { key, value, lease } => {
            transaction
                .prepare_cached(
                    "INSERT INTO entry VALUES (?1, ?2, ?3, ?3, ?4) ON CONFLICT (key) DO UPDATE
                     SET value = excluded.value, mod_revision = excluded.mod_revision, lease = excluded.lease",
                )?
                .execute(params![key, value, revision as i64, lease.map(|lease| lease.0 as i64)])?;
            (key, Some(value))
        }
        Write::Delete { key } => {
            let gone =
                transaction.prepare_cached("DELETE FROM entry WHERE key = ?1")?.execute([&key])?;
            if gone == 0 {
                return Ok(None);
            }
            (key, None)
        }
    };
    transaction
        .prepare_cached("INSERT OR REPLACE INTO history VALUES (?1, ?2, ?3)")?
        .execute(params![revision as i64, key, value])?;
    Ok(Some(Change { revision, key, value }))
}
