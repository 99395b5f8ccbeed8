//! The store: a strongly consistent key-value store with one growing revision. All state of the
//! control plane lives in it; a change of several keys is one transaction with conditions, so two
//! control planes (or two requests) that decide on the same record cannot both win.

use crate::error::StoreError;
use async_trait::async_trait;
use std::fmt;
use std::time::Duration;

/// The store's clock: grows by one with every committed transaction that writes.
pub type Revision = u64;

/// A lease; keys that hang on it go when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseId(pub u64);

/// No value is longer; a record that wants more is two records.
pub const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Changes that one watcher may be behind before it is told to list again.
pub const WATCH_QUEUE_MAX: usize = 4_096;

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
}

/// What must hold for a transaction to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The key was written last at this revision.
    ModRevision(String, Revision),
    /// The key is not there.
    Absent(String),
    /// The key is there.
    Present(String),
}

impl Condition {
    /// The key that it looks at.
    pub fn key(&self) -> &str {
        match self {
            Condition::ModRevision(key, _) | Condition::Absent(key) | Condition::Present(key) => {
                key
            }
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
}

/// A strongly consistent key-value store.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// The entry of this key.
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError>;

    /// All entries whose keys begin with `prefix`, by key, and the revision at which this was so.
    async fn list(&self, prefix: &str) -> Result<(Vec<Entry>, Revision), StoreError>;

    /// Writes all if all conditions hold, durably, or nothing.
    async fn txn(
        &self,
        conditions: Vec<Condition>,
        writes: Vec<Write>,
    ) -> Result<TxnOutcome, StoreError>;

    /// Every change at or after `from` of keys that begin with `prefix`.
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
