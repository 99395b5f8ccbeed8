//! The store as the control plane hands it out: closed for everybody at once when it stops. What
//! still holds a handle then (a job that waits for its next try) can write no more, and the file is
//! free for the next start.

use async_trait::async_trait;
use control_store::{
    Condition, Entry, KeyRange, LeaseId, Page, Revision, Slice, Store, StoreError, TxnOutcome,
    WatchStream, Write,
};
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// A store that can be closed.
#[derive(Debug)]
pub struct ClosingStore(RwLock<Option<Arc<dyn Store>>>);

impl ClosingStore {
    /// Open.
    pub fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Some(inner))))
    }

    /// From now on every call fails; calls that run are let finish.
    pub fn close(&self) {
        self.0.write().expect("nobody panics while holding the store").take();
    }

    fn inner(&self) -> Result<Arc<dyn Store>, StoreError> {
        let inner = self.0.read().expect("nobody panics while holding the store");
        inner.clone().ok_or_else(|| StoreError::Unavailable("the control plane is stopping".into()))
    }
}

#[async_trait]
impl Store for ClosingStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.inner()?.get(key).await
    }

    async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.inner()?.page(prefix, after, limit).await
    }

    async fn list(&self, prefix: &str) -> Result<(Vec<Entry>, Revision), StoreError> {
        self.inner()?.list(prefix).await
    }

    async fn slice(
        &self,
        range: &KeyRange,
        offset: u64,
        limit: usize,
    ) -> Result<Slice, StoreError> {
        self.inner()?.slice(range, offset, limit).await
    }

    async fn ranges(&self, ranges: Vec<KeyRange>) -> Result<Vec<Vec<Entry>>, StoreError> {
        self.inner()?.ranges(ranges).await
    }

    async fn txn(
        &self,
        conditions: Vec<Condition>,
        writes: Vec<Write>,
    ) -> Result<TxnOutcome, StoreError> {
        self.inner()?.txn(conditions, writes).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<WatchStream, StoreError> {
        self.inner()?.watch(prefix, from).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.inner()?.revision().await
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.inner()?.lease_grant(ttl).await
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner()?.lease_keep_alive(lease).await
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner()?.lease_revoke(lease).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use control_store::embedded::SqliteStore;

    #[tokio::test]
    async fn it_passes_the_stores_suite_until_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        let store = ClosingStore::new(SqliteStore::open(&path).unwrap());
        control_store::conformance::check(&*store).await;
        store.close();
        assert!(matches!(store.get("a").await, Err(StoreError::Unavailable(_))));
        SqliteStore::open(&path).unwrap();
    }
}
