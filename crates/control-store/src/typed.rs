//! Records: a type, a prefix, JSON. Reading gives the revision with the value, so that a change can
//! be made conditional on nobody else having changed it.

use crate::error::StoreError;
use crate::record::{Record, Versioned};
use crate::store::{Condition, Entry, KeyRange, RANGES_MAX, Store, Write};

/// The record of this key.
pub async fn get<T: Record>(
    store: &dyn Store,
    key: &str,
) -> Result<Option<Versioned<T>>, StoreError> {
    let entry = store.get(key).await?;
    entry.as_ref().map(read).transpose()
}

/// All records whose keys begin with `prefix` (`T::PREFIX`, or more of the key).
pub async fn list<T: Record>(
    store: &dyn Store,
    prefix: &str,
) -> Result<Vec<Versioned<T>>, StoreError> {
    let (entries, _) = store.list(prefix).await?;
    entries.iter().map(read).collect()
}

/// The records of each of these ranges, read in as few questions as the store allows.
pub async fn ranges<T: Record>(
    store: &dyn Store,
    ranges: &[KeyRange],
) -> Result<Vec<Vec<Versioned<T>>>, StoreError> {
    let mut all = Vec::with_capacity(ranges.len());
    for part in ranges.chunks(RANGES_MAX) {
        for entries in store.ranges(part.to_vec()).await? {
            all.push(entries.iter().map(read).collect::<Result<_, _>>()?);
        }
    }
    Ok(all)
}

/// The records of a range by key, without the first `offset`, at most `limit`, and how many the range
/// has.
pub async fn slice<T: Record>(
    store: &dyn Store,
    range: &KeyRange,
    offset: u64,
    limit: usize,
) -> Result<(Vec<Versioned<T>>, u64), StoreError> {
    let slice = store.slice(range, offset, limit).await?;
    Ok((slice.entries.iter().map(read).collect::<Result<_, _>>()?, slice.total))
}

/// Writes a record.
pub fn put<T: Record>(record: &T) -> Write {
    let value = serde_json::to_vec(record).expect("records have string keys and serialize");
    Write::Put { key: record.key(), value, lease: None }
}

/// Removes the record of this key.
pub fn delete<T: Record>(key: &str) -> Write {
    debug_assert!(key.starts_with(T::PREFIX), "the key is of another kind of record");
    Write::Delete { key: key.to_owned() }
}

/// There is no record of this one's key.
pub fn absent<T: Record>(record: &T) -> Condition {
    Condition::Absent(record.key())
}

/// The record that an entry holds.
pub fn read<T: Record>(entry: &Entry) -> Result<Versioned<T>, StoreError> {
    let value = serde_json::from_slice(&entry.value).map_err(|error| StoreError::Corrupt {
        key: entry.key.clone(),
        reason: error.to_string(),
    })?;
    Ok(Versioned {
        value,
        create_revision: entry.create_revision,
        mod_revision: entry.mod_revision,
    })
}
