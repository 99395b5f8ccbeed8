//! The embedded store: one SQLite file, written ahead and synced before a transaction is answered.
//! One thread owns the connection and does one command after the other, which makes the store
//! linear; watchers hear of a change after it is durable.

mod database;
mod form;
mod hub;
mod worker;

use crate::error::StoreError;
use crate::store::{
    Condition, Entry, KeyRange, LeaseId, PAGE_ENTRIES_MAX, Page, RANGES_MAX, Revision, Slice,
    Store, TxnOutcome, WatchStream, Write, checked_writes,
};
use async_trait::async_trait;
use database::Database;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use worker::{Command, Reply};

/// Commands that wait for the worker; a caller beyond that waits for a place.
const COMMAND_QUEUE_MAX: usize = 256;

/// The store in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    /// Taken when the store is closed.
    commands: Option<mpsc::Sender<Command>>,
    /// Holds the file, and the lock that keeps other processes from it.
    worker: Option<JoinHandle<()>>,
}

impl Drop for SqliteStore {
    /// Waits until what was asked is done and the file is closed, so that it can be opened again.
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(worker) = self.worker.take()
            && worker.join().is_err()
        {
            tracing::error!("the store's thread panicked");
        }
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SqliteStore({})", self.path.display())
    }
}

impl SqliteStore {
    /// Opens the file, or makes it; its directory must be there.
    pub fn open(path: &Path) -> Result<Arc<Self>, StoreError> {
        let lock = lock(path)?;
        drop(make(path)?);
        let database = Database::open(path, database::HISTORY_MAX)?;
        let (commands, queue) = mpsc::channel(COMMAND_QUEUE_MAX);
        let worker = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || worker::run(database, lock, queue))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Arc::new(Self { path: path.to_owned(), commands: Some(commands), worker: Some(worker) }))
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let (reply, answer) = oneshot::channel();
        let commands = self.commands.as_ref().ok_or_else(closed)?;
        commands.send(command(reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let name = path.with_extension("lock");
    let file = make(&name)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(std::fs::TryLockError::Error(error)) => Err(cannot(&name, &error)),
    }
}

/// Opens the file, or makes it for its owner alone; SQLite's files beside it get the same mode.
fn make(path: &Path) -> Result<File, StoreError> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| cannot(path, &error))
}

fn cannot(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

#[async_trait]
impl Store for SqliteStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let key = key.to_owned();
        self.ask(|reply| Command::Get { key, reply }).await
    }

    async fn list(&self, prefix: &str) -> Result<(Vec<Entry>, Revision), StoreError> {
        let prefix = prefix.to_owned();
        self.ask(|reply| Command::List { prefix, reply }).await
    }

    async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        let limit = limit.clamp(1, PAGE_ENTRIES_MAX);
        self.ask(|reply| Command::Page { prefix, after, limit, reply }).await
    }

    async fn slice(
        &self,
        range: &KeyRange,
        offset: u64,
        limit: usize,
    ) -> Result<Slice, StoreError> {
        let range = range.clone();
        let limit = limit.min(PAGE_ENTRIES_MAX);
        self.ask(|reply| Command::Slice { range, offset, limit, reply }).await
    }

    async fn ranges(&self, ranges: Vec<KeyRange>) -> Result<Vec<Vec<Entry>>, StoreError> {
        if ranges.len() > RANGES_MAX {
            return Err(StoreError::TooManyRanges { ranges: ranges.len() });
        }
        self.ask(|reply| Command::Ranges { ranges, reply }).await
    }

    async fn txn(
        &self,
        conditions: Vec<Condition>,
        writes: Vec<Write>,
    ) -> Result<TxnOutcome, StoreError> {
        let writes = checked_writes(&conditions, writes)?;
        self.ask(|reply| Command::Txn { conditions, writes, reply }).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<WatchStream, StoreError> {
        let prefix = prefix.to_owned();
        self.ask(|reply| Command::Watch { prefix, from, reply }).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.ask(|reply| Command::Revision { reply }).await
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.ask(|reply| Command::LeaseGrant { ttl, reply }).await
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.ask(|reply| Command::LeaseKeepAlive { lease, reply }).await
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.ask(|reply| Command::LeaseRevoke { lease, reply }).await
    }
}
