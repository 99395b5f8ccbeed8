//! What belongs to a project, the newest first: a key for each object, without a value, written and
//! removed in the transactions that write and remove the object. A list of a project's objects reads
//! its page of these keys and the objects on it, never all objects.
//!
//! Keys are `PREFIX/project/time/id`, where the time counts down, so that the order of the keys is
//! the order of the list.

use crate::error::StoreError;
use crate::record::{Record, Versioned};
use crate::records::instance::InstanceRecord;
use crate::store::{Condition, Entry, KeyRange, Pages, Store, TxnOutcome, Write};
use crate::typed;
use job_engine::JobRow;

/// Entries that one transaction writes while an index is built for objects that had none.
const BUILD_BATCH: usize = 1_000;

/// What keys of marks begin with that say which indexes are complete.
const BUILT_PREFIX: &str = "indexes-built/";

/// An object that is listed by project.
pub trait OfProject: Record {
    /// What the keys of the index begin with; ends in `/`.
    const INDEX: &'static str;

    /// The project.
    fn project(&self) -> &str;

    /// When it came to be, UNIX milliseconds; never changes.
    fn created_ms(&self) -> u64;

    /// Its id, which ends its key.
    fn id(&self) -> &str;

    /// Its key in the index.
    fn index_key(&self) -> String {
        format!("{}{}/{}/{}", Self::INDEX, self.project(), place(self.created_ms()), self.id())
    }

    /// The write that lists it.
    fn listed(&self) -> Write {
        Write::Put { key: self.index_key(), value: Vec::new(), lease: None }
    }

    /// The write that lists it no more.
    fn unlisted(&self) -> Write {
        Write::Delete { key: self.index_key() }
    }
}

/// Sixteen hex digits that fall while the time grows.
fn place(ms: u64) -> String {
    format!("{:016x}", u64::MAX - ms)
}

/// All of a project's objects.
pub fn all<T: OfProject>(project: &str) -> KeyRange {
    KeyRange::prefix(&format!("{}{project}/", T::INDEX))
}

/// Those made at or after `first_ms` and at or before `last_ms`.
pub fn made_between<T: OfProject>(project: &str, first_ms: u64, last_ms: u64) -> KeyRange {
    let at = |ms: u64, after: &str| format!("{}{project}/{}{after}", T::INDEX, place(ms));
    // The character after the slash that ends the time.
    KeyRange { from: at(last_ms, "/"), to: Some(at(first_ms, "0")) }
}

/// A part of a project's list.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// The objects, the newest first.
    pub rows: Vec<Versioned<T>>,
    /// How many the whole list has.
    pub total: u64,
}

/// The objects of a range of the index, without the first `offset`, at most `limit`. One that goes
/// between the two reads is left out.
pub async fn list<T: OfProject>(
    store: &dyn Store,
    range: &KeyRange,
    offset: u64,
    limit: usize,
) -> Result<Listed<T>, StoreError> {
    let slice = store.slice(range, offset, limit).await?;
    let keys: Vec<KeyRange> = slice.entries.iter().map(object_key::<T>).collect();
    let rows = typed::ranges(store, &keys).await?.into_iter().flatten().collect();
    Ok(Listed { rows, total: slice.total })
}

fn object_key<T: OfProject>(entry: &Entry) -> KeyRange {
    let id = entry.key.rsplit('/').next().unwrap_or_default();
    KeyRange::key(&format!("{}{id}", T::PREFIX))
}

/// How many objects a project has.
pub async fn count<T: OfProject>(store: &dyn Store, project: &str) -> Result<u64, StoreError> {
    Ok(store.slice(&all::<T>(project), 0, 0).await?.total)
}

/// [`build`] for every kind that is listed.
pub async fn build_all(store: &dyn Store) -> Result<(), StoreError> {
    build::<InstanceRecord>(store).await?;
    build::<JobRow>(store).await
}

/// Lists the objects of a store that was written before there was the index. Does nothing when that
/// was done.
pub async fn build<T: OfProject>(store: &dyn Store) -> Result<(), StoreError> {
    let mark = format!("{BUILT_PREFIX}{}", T::INDEX);
    if store.get(&mark).await?.is_some() {
        return Ok(());
    }
    let mut pages = Pages::new(store, T::PREFIX);
    while let Some(entries) = pages.next().await? {
        for batch in entries.chunks(BUILD_BATCH) {
            let records: Vec<Versioned<T>> =
                batch.iter().map(typed::read).collect::<Result<_, _>>()?;
            let there = |record: &Versioned<T>| Condition::Present(record.value.key());
            let conditions = records.iter().map(there).collect();
            let writes = records.iter().map(|record| record.value.listed()).collect();
            if let TxnOutcome::Conflict { key } = store.txn(conditions, writes).await? {
                return Err(StoreError::Unavailable(format!("{key} went while it was listed")));
            }
        }
    }
    let built = Write::Put { key: mark, value: Vec::new(), lease: None };
    store.txn(Vec::new(), vec![built]).await.map(drop)
}
