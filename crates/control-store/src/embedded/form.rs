//! The form of the file: its tables, its version, and the way from older versions. A file of a newer
//! version is refused before anything of it is touched.
//!
//! Tables: `entry` (what is now), `history` (what changed, for watchers that begin in the past;
//! bounded), `meta` (`form`, `revision`, and `compacted`: changes up to it are no longer kept).

use crate::error::StoreError;
use rusqlite::{Connection, OptionalExtension};

/// The newest form, which this program writes. 1 had no `entry.version` and no `compacted`.
const FORM: u32 = 2;

const TABLES: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE entry (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, create_revision INTEGER NOT NULL,
    mod_revision INTEGER NOT NULL, lease INTEGER, version INTEGER NOT NULL DEFAULT 1
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_lease ON entry (lease) WHERE lease IS NOT NULL;
CREATE TABLE history (
    revision INTEGER NOT NULL, key TEXT NOT NULL, value BLOB, PRIMARY KEY (revision, key)
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('form', 2), ('revision', 0), ('compacted', 0);";

const FROM_1: &str = "
ALTER TABLE entry ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
INSERT INTO meta SELECT 'compacted', coalesce((SELECT min(revision) - 1 FROM history),
    (SELECT value FROM meta WHERE name = 'revision'));
UPDATE meta SET value = 2 WHERE name = 'form';";

/// How much of the file is kept in memory at most; a store of 10,000 instances fits.
const CACHE_KIB: i64 = 96 * 1024;

/// Makes the tables, or brings them to the newest form, or refuses the file.
pub fn prepare(connection: &mut Connection) -> Result<(), StoreError> {
    let found = found(connection)?;
    if let Some(found) = found
        && found > FORM
    {
        return Err(StoreError::NewerVersion { found, supported: FORM });
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A negative number counts KiB, a positive one pages.
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    let change = match found {
        None => TABLES,
        Some(1) => FROM_1,
        Some(_) => return Ok(()),
    };
    let transaction = connection.transaction()?;
    transaction.execute_batch(change)?;
    Ok(transaction.commit()?)
}

/// One of the numbers that the file keeps of itself.
pub fn meta(connection: &Connection, name: &str) -> Result<Option<u64>, StoreError> {
    let value: Option<i64> = connection
        .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
        .optional()?;
    Ok(value.map(|value| value as u64))
}

fn found(connection: &Connection) -> Result<Option<u32>, StoreError> {
    let made: bool = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'meta'",
        [],
        |row| row.get(0),
    )?;
    if !made {
        return Ok(None);
    }
    let form = meta(connection, "form")?.ok_or_else(|| {
        StoreError::Unavailable("the file is a database, but not one of this store".into())
    })?;
    Ok(Some(u32::try_from(form).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FORM_1: &str = "
        CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE entry (
            key TEXT PRIMARY KEY, value BLOB NOT NULL, create_revision INTEGER NOT NULL,
            mod_revision INTEGER NOT NULL, lease INTEGER
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX entry_lease ON entry (lease) WHERE lease IS NOT NULL;
        CREATE TABLE history (
            revision INTEGER NOT NULL, key TEXT NOT NULL, value BLOB, PRIMARY KEY (revision, key)
        ) STRICT, WITHOUT ROWID;
        INSERT INTO meta VALUES ('form', 1), ('revision', 7);
        INSERT INTO entry VALUES ('k', x'01', 6, 7, NULL);
        INSERT INTO history VALUES (6, 'k', x'00'), (7, 'k', x'01');";

    fn columns(connection: &Connection) -> Vec<String> {
        let mut statement = connection.prepare("SELECT * FROM entry").unwrap();
        let names = statement.column_names().map(str::to_owned).collect();
        drop(statement.query([]).unwrap());
        names
    }

    #[test]
    fn an_older_form_becomes_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let mut old = Connection::open(dir.path().join("old.db")).unwrap();
        old.execute_batch(FORM_1).unwrap();
        prepare(&mut old).unwrap();
        prepare(&mut old).unwrap();
        let mut new = Connection::open(dir.path().join("new.db")).unwrap();
        prepare(&mut new).unwrap();
        assert_eq!(columns(&old), columns(&new));
        for name in ["form", "revision", "compacted"] {
            let wanted = [("form", 2), ("revision", 7), ("compacted", 5)];
            let wanted = wanted.iter().find(|(one, _)| *one == name).unwrap().1;
            assert_eq!(meta(&old, name).unwrap(), Some(wanted), "{name}");
        }
        let version: i64 =
            old.query_row("SELECT version FROM entry", [], |row| row.get(0)).unwrap();
        assert_eq!(version, 1);
    }

    #[test]
    fn a_newer_form_is_left_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("newer.db");
        let file = Connection::open(&path).unwrap();
        file.execute_batch(
            "CREATE TABLE meta (name TEXT, value INTEGER); INSERT INTO meta VALUES ('form', 3)",
        )
        .unwrap();
        drop(file);
        let before = std::fs::read(&path).unwrap();
        let refused = prepare(&mut Connection::open(&path).unwrap()).unwrap_err();
        assert_eq!(refused, StoreError::NewerVersion { found: 3, supported: FORM });
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
