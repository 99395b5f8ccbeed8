//! The embedded store: one SQLite file, written ahead and synced before a transaction is answered.
//! One thread owns the connection and does one command after the other, which makes the store
//! linear; watchers hear of a change after it is durable.

mod database;
mod hub;
mod worker;

use crate::error::StoreError;
use crate::store::{
    Condition, Entry, LeaseId, Revision, Store, TxnOutcome, VALUE_BYTES_MAX, WatchStream, Write,
};
use async_trait::async_trait;
use database::Database;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use worker::{Command, Reply};

/// Commands that wait for the worker; a caller beyond that waits for a place.
const COMMAND_QUEUE_MAX: usize = 256;

/// The store in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    commands: mpsc::Sender<Command>,
    /// Held for life, so that no second process opens the file.
    _lock: File,
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
        let database = Database::open(path)?;
        let (commands, queue) = mpsc::channel(COMMAND_QUEUE_MAX);
        std::thread::Builder::new()
            .name("store".into())
            .spawn(move || worker::run(database, queue))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Arc::new(Self { path: path.to_owned(), commands, _lock: lock }))
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let name = path.with_extension("lock");
    let cannot =
        |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", name.display()));
    let file =
        File::options().create(true).truncate(false).write(true).open(&name).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(std::fs::TryLockError::Error(error)) => Err(cannot(error)),
    }
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

    async fn txn(
        &self,
        conditions: Vec<Condition>,
        writes: Vec<Write>,
    ) -> Result<TxnOutcome, StoreError> {
        for write in &writes {
            if let Write::Put { key, value, .. } = write
                && value.len() > VALUE_BYTES_MAX
            {
                return Err(StoreError::TooLarge { key: key.clone(), bytes: value.len() });
            }
        }
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
