//! The file, opened: reads, and transactions that move the revision by one. Nothing here is shared;
//! the worker calls one thing after the other.

use super::form;
use crate::error::StoreError;
use crate::store::{
    Change, Condition, Entry, KeyRange, LeaseId, Page, Revision, Slice, TxnOutcome,
    WATCH_QUEUE_MAX, Write, end_of,
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::path::Path;

/// The changes of so many revisions are kept for watchers that begin in the past.
pub const HISTORY_MAX: u64 = 10_000;

/// So many revisions more may be there before old ones are removed, which is then done in one go.
const HISTORY_SLACK: u64 = 500;

const COLUMNS: &str = "key, value, create_revision, mod_revision, version";

/// The file, opened.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    revision: Revision,
    /// Changes up to this revision are no longer kept.
    compacted: Revision,
    history_max: u64,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::Unavailable(error.to_string())
    }
}

impl Database {
    /// Opens or makes the file. Leases do not outlive a process, and their keys go here.
    pub fn open(path: &Path, history_max: u64) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path)?;
        form::prepare(&mut connection)?;
        let number = |name| Ok::<_, StoreError>(form::meta(&connection, name)?.unwrap_or(0));
        let (revision, compacted) = (number("revision")?, number("compacted")?);
        let mut database = Self { connection, revision, compacted, history_max };
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
        let sql = format!("SELECT {COLUMNS} FROM entry WHERE key = ?1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row([key], entry).optional()?)
    }

    /// All entries below a prefix.
    pub fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.range(prefix, None, usize::MAX)
    }

    /// At most `limit` entries below a prefix, after a key.
    pub fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut entries = self.range(prefix, after, limit + 1)?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next_after = entries.last().filter(|_| more).map(|last| last.key.clone());
        Ok(Page { entries, revision: self.revision, next_after })
    }

    /// Keys compare as bytes of UTF-8, so those below a prefix are one range of the table.
    fn range(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        // The first key that can come after another is that one with a zero byte more.
        let lower = after.map_or(String::new(), |after| format!("{after}\0"));
        let from = lower.as_str().max(prefix).to_owned();
        self.entries(&KeyRange { from, to: end_of(prefix) }, 0, limit)
    }

    /// At most `limit` entries of a range, without its first `offset`.
    pub fn entries(
        &self,
        range: &KeyRange,
        offset: u64,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM entry WHERE {} ORDER BY key LIMIT ?3 OFFSET ?4",
            bounds(range)
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![range.from, range.to, limit, offset], entry)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All entries of each of these ranges. The file is looked at once for all of them, which costs
    /// more than reading a small range does.
    pub fn ranges(&self, ranges: &[KeyRange]) -> Result<Vec<Vec<Entry>>, StoreError> {
        let transaction = self.connection.unchecked_transaction()?;
        let all: Result<_, StoreError> =
            ranges.iter().map(|range| self.entries(range, 0, usize::MAX)).collect();
        transaction.commit()?;
        all
    }

    /// A part of a range, and how many entries it has.
    pub fn slice(&self, range: &KeyRange, offset: u64, limit: usize) -> Result<Slice, StoreError> {
        let sql = format!("SELECT count(*) FROM entry WHERE {}", bounds(range));
        let mut statement = self.connection.prepare_cached(&sql)?;
        let total: i64 = statement.query_row(params![range.from, range.to], |row| row.get(0))?;
        let total = total as u64;
        let entries = if limit == 0 || offset >= total {
            Vec::new()
        } else {
            self.entries(range, offset, limit)?
        };
        Ok(Slice { entries, total, revision: self.revision })
    }

    /// Commits or refuses; returns the changes for watchers. Each key is written once at most.
    pub fn txn(
        &mut self,
        conditions: &[Condition],
        writes: Vec<Write>,
    ) -> Result<(TxnOutcome, Vec<Change>), StoreError> {
        for condition in conditions {
            if !condition.holds(self.get(condition.key())?.as_ref()) {
                return Ok((TxnOutcome::Conflict { key: condition.key().to_owned() }, Vec::new()));
            }
        }
        if writes.is_empty() {
            return Ok((TxnOutcome::Committed(self.revision), Vec::new()));
        }
        let revision = self.revision + 1;
        let mut compacted = self.compacted;
        let transaction = self.connection.transaction()?;
        let mut changes = Vec::with_capacity(writes.len());
        for write in writes {
            changes.extend(apply(&transaction, revision, write)?);
        }
        set_meta(&transaction, "revision", revision)?;
        if revision - compacted > self.history_max + HISTORY_SLACK.min(self.history_max) {
            compacted = revision - self.history_max;
            transaction.execute("DELETE FROM history WHERE revision <= ?1", [compacted as i64])?;
            set_meta(&transaction, "compacted", compacted)?;
        }
        transaction.commit()?;
        (self.revision, self.compacted) = (revision, compacted);
        Ok((TxnOutcome::Committed(revision), changes))
    }

    /// Changes at or after `from` below a prefix; no more than a watcher's queue may hold.
    pub fn changes_since(&self, prefix: &str, from: Revision) -> Result<Vec<Change>, StoreError> {
        if from.max(1) <= self.compacted {
            return Err(StoreError::Compacted { oldest: self.compacted + 1 });
        }
        let mut statement = self.connection.prepare_cached(
            "SELECT revision, key, value FROM history WHERE revision >= ?1 AND key >= ?2
             AND (?3 IS NULL OR key < ?3) ORDER BY revision, key LIMIT ?4",
        )?;
        let limit = WATCH_QUEUE_MAX as i64 + 1;
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![from, prefix, end_of(prefix), limit], |row| {
            let revision: i64 = row.get(0)?;
            Ok(Change { revision: revision as u64, key: row.get(1)?, value: row.get(2)? })
        })?;
        let changes = rows.collect::<Result<Vec<_>, _>>()?;
        if changes.len() > WATCH_QUEUE_MAX { Err(StoreError::Lagged) } else { Ok(changes) }
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
    let number = |at| row.get::<_, i64>(at).map(|number| number as u64);
    Ok(Entry {
        key: row.get(0)?,
        value: row.get(1)?,
        create_revision: number(2)?,
        mod_revision: number(3)?,
        version: number(4)?,
    })
}

/// The condition of a range: parameters 1 and 2 are its ends.
fn bounds(range: &KeyRange) -> &'static str {
    if range.to.is_some() { "key >= ?1 AND key < ?2" } else { "key >= ?1 AND ?2 IS NULL" }
}

fn set_meta(transaction: &Transaction<'_>, name: &str, value: u64) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached("UPDATE meta SET value = ?1 WHERE name = ?2")?;
    statement.execute(params![value as i64, name])?;
    Ok(())
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
                    "INSERT INTO entry (key, value, create_revision, mod_revision, lease, version)
                     VALUES (?1, ?2, ?3, ?3, ?4, 1) ON CONFLICT (key) DO UPDATE
                     SET value = excluded.value, mod_revision = excluded.mod_revision,
                         lease = excluded.lease, version = version + 1",
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
    transaction.prepare_cached("INSERT INTO history VALUES (?1, ?2, ?3)")?.execute(params![
        revision as i64,
        key,
        value
    ])?;
    Ok(Some(Change { revision, key, value }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn put(key: &str, bytes: usize) -> Write {
        Write::Put { key: key.into(), value: vec![b'x'; bytes], lease: None }
    }

    #[test]
    fn the_end_of_a_prefix_is_exact() {
        let cases = [
            ("a/", Some("a0")),
            ("", None),
            ("\u{D7FF}", Some("\u{E000}")),
            ("b\u{10FFFF}", Some("c")),
            ("\u{10FFFF}", None),
        ];
        for (prefix, end) in cases {
            assert_eq!(end_of(prefix).as_deref(), end, "{prefix:?}");
        }
    }

    #[test]
    fn a_list_reads_its_range_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(&dir.path().join("store.db"), HISTORY_MAX).unwrap();
        let plan = "EXPLAIN QUERY PLAN SELECT key FROM entry WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3 OFFSET 4";
        let plan: String = database
            .connection
            .query_row(plan, params!["a", "b", 1], |row| row.get("detail"))
            .unwrap();
        assert!(plan.contains("SEARCH") && plan.contains("key<?"), "{plan}");
    }

    #[test]
    fn history_is_bounded_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        let mut database = Database::open(&path, 10).unwrap();
        for _ in 0..35 {
            database.txn(&[], vec![put("k", 1)]).unwrap();
        }
        let rows = |database: &Database| -> u64 {
            let sql = "SELECT count(*) FROM history";
            database.connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as u64
        };
        assert!((10..=20).contains(&rows(&database)), "{} are kept", rows(&database));
        let Err(StoreError::Compacted { oldest }) = database.changes_since("k", 1) else {
            panic!("what is no longer kept is asked for")
        };
        assert_eq!(database.changes_since("k", 0).unwrap_err(), StoreError::Compacted { oldest });
        let changes = database.changes_since("k", oldest).unwrap();
        assert_eq!(changes.len() as u64, 36 - oldest);
        drop(database);
        let database = Database::open(&path, 10).unwrap();
        assert_eq!(database.changes_since("k", 1).unwrap_err(), StoreError::Compacted { oldest });
    }

    #[test]
    fn a_replay_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut database = Database::open(&dir.path().join("store.db"), HISTORY_MAX).unwrap();
        let writes = (0..=WATCH_QUEUE_MAX).map(|at| put(&format!("k/{at}"), 1)).collect();
        database.txn(&[], writes).unwrap();
        assert_eq!(database.changes_since("k/", 1), Err(StoreError::Lagged));
        assert_eq!(database.changes_since("k/1", 2), Ok(vec![]));
    }

    #[test]
    fn a_full_disk_is_told_and_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        let mut database = Database::open(&path, HISTORY_MAX).unwrap();
        database.txn(&[], vec![put("before", 10)]).unwrap();
        // The engine's own limit answers as a full disk does, with SQLITE_FULL.
        database.connection.pragma_update(None, "max_page_count", 20).unwrap();
        let refused = database.txn(&[], vec![put("small", 10), put("big", 1 << 20)]).unwrap_err();
        assert!(
            matches!(&refused, StoreError::Unavailable(text) if text.contains("full")),
            "{refused}"
        );
        assert_eq!(database.revision(), 1);
        assert!(database.get("before").unwrap().is_some());
        assert!(database.get("small").unwrap().is_none());
        database.connection.pragma_update(None, "max_page_count", 1 << 20).unwrap();
        database.txn(&[], vec![put("after", 1 << 20)]).unwrap();
        drop(database);
        let database = Database::open(&path, HISTORY_MAX).unwrap();
        let keys: Vec<String> =
            database.list("").unwrap().into_iter().map(|entry| entry.key).collect();
        assert_eq!((database.revision(), keys), (2, vec!["after".to_owned(), "before".to_owned()]));
    }
}
