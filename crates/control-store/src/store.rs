//! The store: a strongly consistent key-value store with one growing revision. All state of the
//! control plane lives in it; a change of several keys is one transaction with conditions, so two
//! control planes (or two requests) that decide on the same record cannot both win.

use crate::error::StoreError;
use async_trait::async_trait;
use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

/// The store's clock: grows by one with every committed transaction that writes.
pub type Revision = u64;

/// A lease; keys that hang on it go when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseId(pub u64);

/// No value is longer; a record that wants more is two records.
pub const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// No key is longer.
pub const KEY_BYTES_MAX: usize = 2_048;

/// Conditions and writes of one transaction.
pub const TXN_OPERATIONS_MAX: usize = 20_000;

/// Entries of one page.
pub const PAGE_ENTRIES_MAX: usize = 1_000;

/// Ranges that one [`Store::ranges`] reads.
pub const RANGES_MAX: usize = 256;

/// Changes that one watcher may be behind before it is told to list again.
pub const WATCH_QUEUE_MAX: usize = 4_096;

/// Watchers at the same time.
pub const WATCHERS_MAX: usize = 1_024;

/// Leases at the same time.
pub const LEASES_MAX: usize = 10_000;

/// No lease lives longer without being kept alive; a longer time is cut to this.
pub const LEASE_TTL_MAX: Duration = Duration::from_secs(24 * 3_600);

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// When the key came to be.
    pub create_revision: Revision,
    /// When it was written last.
    pub mod_revision: Revision,
    /// How often it was written since it came to be; 1 for a new one.
    pub version: u64,
}

/// Entries in the order of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The entries; at most [`PAGE_ENTRIES_MAX`].
    pub entries: Vec<Entry>,
    /// When the page was so; the next one may be newer.
    pub revision: Revision,
    /// The key after which the next page begins; `None`: there is no more.
    pub next_after: Option<String>,
}

/// Keys from one on, up to another that is not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that can be in it.
    pub from: String,
    /// The first key after it; `None`: it goes to the end of all keys.
    pub to: Option<String>,
}

impl KeyRange {
    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: &str) -> Self {
        Self { from: prefix.to_owned(), to: end_of(prefix) }
    }

    /// One key alone.
    pub fn key(key: &str) -> Self {
        Self { from: key.to_owned(), to: Some(format!("{key}\0")) }
    }
}

/// The first key after all that begin with `prefix`; `None`: there is none.
pub(crate) fn end_of(prefix: &str) -> Option<String> {
    let (at, last) = prefix.char_indices().rfind(|(_, last)| *last != char::MAX)?;
    // U+D800 to U+DFFF are no characters.
    let next = char::from_u32(u32::from(last) + 1).unwrap_or('\u{E000}');
    Some(format!("{}{next}", &prefix[..at]))
}

/// A part of a range, and how many entries the whole range has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The entries; at most [`PAGE_ENTRIES_MAX`].
    pub entries: Vec<Entry>,
    /// Entries of the whole range.
    pub total: u64,
    /// When it was so.
    pub revision: Revision,
}

/// What must hold for a transaction to commit.
#[derive(Clone, PartialEq, Eq)]
pub enum Condition {
    /// The key was written last at this revision.
    ModRevision(String, Revision),
    /// The key is not there.
    Absent(String),
    /// The key is there.
    Present(String),
    /// The key has this value.
    Value(String, Vec<u8>),
}

impl Condition {
    /// The key that it looks at.
    pub fn key(&self) -> &str {
        match self {
            Condition::ModRevision(key, _)
            | Condition::Absent(key)
            | Condition::Present(key)
            | Condition::Value(key, _) => key,
        }
    }

    /// Whether it holds of what the key has.
    pub(crate) fn holds(&self, entry: Option<&Entry>) -> bool {
        match self {
            Condition::ModRevision(_, revision) => {
                entry.is_some_and(|entry| entry.mod_revision == *revision)
            }
            Condition::Absent(_) => entry.is_none(),
            Condition::Present(_) => entry.is_some(),
            Condition::Value(_, value) => entry.is_some_and(|entry| entry.value == *value),
        }
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::ModRevision(key, revision) => write!(f, "ModRevision({key}, {revision})"),
            Condition::Absent(key) => write!(f, "Absent({key})"),
            Condition::Present(key) => write!(f, "Present({key})"),
            Condition::Value(key, value) => write!(f, "Value({key}, {} bytes)", value.len()),
        }
    }
}

/// What a transaction does.
#[derive(Clone, PartialEq, Eq)]
pub enum Write {
    /// Set a key.
    Put {
        /// The key.
        key: String,
        /// Its value.
        value: Vec<u8>,
        /// The lease that it hangs on.
        lease: Option<LeaseId>,
    },
    /// Remove a key; one that is not there is no error.
    Delete {
        /// The key.
        key: String,
    },
}

impl Write {
    /// The key that it writes.
    pub fn key(&self) -> &str {
        match self {
            Write::Put { key, .. } | Write::Delete { key } => key,
        }
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Write::Put { key, value, .. } => write!(f, "Put({key}, {} bytes)", value.len()),
            Write::Delete { key } => write!(f, "Delete({key})"),
        }
    }
}

/// What came of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnOutcome {
    /// All writes are durable, at this revision.
    Committed(Revision),
    /// A condition did not hold; nothing was written.
    Conflict {
        /// The key of the first such condition.
        key: String,
    },
}

/// A change that a watcher sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub revision: Revision,
    /// Which key.
    pub key: String,
    /// Its value now; `None`: it is gone.
    pub value: Option<Vec<u8>>,
}

/// Changes in order of their revisions, none left out; ends with an error when it cannot go on.
#[derive(Debug)]
pub struct WatchStream {
    /// Changes from before the watch began.
    pub(crate) replay: std::vec::IntoIter<Change>,
    /// Changes since.
    pub(crate) live: tokio::sync::mpsc::Receiver<Change>,
}

impl WatchStream {
    /// The next change; an error means: list again, then watch from there.
    pub async fn next(&mut self) -> Result<Change, StoreError> {
        match self.replay.next() {
            Some(change) => Ok(change),
            None => self.live.recv().await.ok_or(StoreError::Lagged),
        }
    }

    /// The next change if it has come already.
    pub fn try_next(&mut self) -> Result<Option<Change>, StoreError> {
        use tokio::sync::mpsc::error::TryRecvError;
        if let Some(change) = self.replay.next() {
            return Ok(Some(change));
        }
        match self.live.try_recv() {
            Ok(change) => Ok(Some(change)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(StoreError::Lagged),
        }
    }
}

/// Refuses what is beyond the limits; of several writes of one key leaves the last, so that a
/// revision changes a key at most once and every watcher sees the same.
pub(crate) fn checked_writes(
    conditions: &[Condition],
    mut writes: Vec<Write>,
) -> Result<Vec<Write>, StoreError> {
    let operations = conditions.len() + writes.len();
    if operations > TXN_OPERATIONS_MAX {
        return Err(StoreError::TooManyOperations { operations });
    }
    for write in &writes {
        let bytes = match write {
            Write::Put { value, .. } => value.len(),
            Write::Delete { .. } => 0,
        };
        let key = write.key();
        if bytes > VALUE_BYTES_MAX || key.len() > KEY_BYTES_MAX {
            return Err(StoreError::TooLarge { key: key.to_owned(), bytes: bytes + key.len() });
        }
    }
    let mut seen = HashSet::new();
    let last: Vec<bool> = writes.iter().rev().map(|write| seen.insert(write.key())).collect();
    let mut last = last.into_iter().rev();
    writes.retain(|_| last.next().unwrap_or(true));
    Ok(writes)
}

/// Goes through all entries below a prefix page by page, for families that may be large. Each page
/// is consistent in itself; an entry that comes or goes meanwhile may be seen or not.
#[derive(Debug)]
pub struct Pages<'a> {
    store: &'a dyn Store,
    prefix: &'a str,
    after: Option<String>,
    ended: bool,
}

impl<'a> Pages<'a> {
    /// From the first entry on.
    pub fn new(store: &'a dyn Store, prefix: &'a str) -> Self {
        Self { store, prefix, after: None, ended: false }
    }

    /// The next entries; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<Entry>>, StoreError> {
        if self.ended {
            return Ok(None);
        }
        let page = self.store.page(self.prefix, self.after.as_deref(), PAGE_ENTRIES_MAX).await?;
        self.ended = page.next_after.is_none();
        self.after = page.next_after;
        Ok(Some(page.entries))
    }
}

/// A strongly consistent key-value store.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// The entry of this key.
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError>;

    /// Entries whose keys begin with `prefix` and come after the key `after`, by key, at most
    /// `limit` (and never more than [`PAGE_ENTRIES_MAX`]).
    async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError>;

    /// All entries whose keys begin with `prefix`, by key, and the revision at which all of this was
    /// so. For families that are small by nature; others are read by [`Pages`].
    async fn list(&self, prefix: &str) -> Result<(Vec<Entry>, Revision), StoreError>;

    /// Entries of a range by key, without its first `offset`, at most `limit` (0 counts only; never
    /// more than [`PAGE_ENTRIES_MAX`]), and how many the range has. What is left out and what is
    /// only counted is read as keys, without values.
    async fn slice(&self, range: &KeyRange, offset: u64, limit: usize)
    -> Result<Slice, StoreError>;

    /// The entries of each of these ranges, by key, all at one revision: one question instead of
    /// many. For ranges that are small by nature, at most [`RANGES_MAX`] of them.
    async fn ranges(&self, ranges: Vec<KeyRange>) -> Result<Vec<Vec<Entry>>, StoreError>;

    /// Writes all if all conditions hold, durably, or nothing. Of several writes of one key the last
    /// counts.
    async fn txn(
        &self,
        conditions: Vec<Condition>,
        writes: Vec<Write>,
    ) -> Result<TxnOutcome, StoreError>;

    /// Every change at or after `from` of keys that begin with `prefix`. When those of the past are
    /// no longer kept ([`StoreError::Compacted`]) or too many ([`StoreError::Lagged`]), list and
    /// watch from the list's revision + 1.
    async fn watch(&self, prefix: &str, from: Revision) -> Result<WatchStream, StoreError>;

    /// The present revision.
    async fn revision(&self) -> Result<Revision, StoreError>;

    /// A lease that ends after `ttl` unless kept alive.
    async fn lease_grant(&self, ttl: Duration) -> Result<LeaseId, StoreError>;

    /// Lets the lease live for its whole time again.
    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// Ends the lease now.
    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), StoreError>;
}
