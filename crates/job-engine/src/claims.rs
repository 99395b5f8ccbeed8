//! The engine's lease, and the jobs that it claims under it. The lease is taken with the first job
//! and kept alive by a task of its own, because a step may take much longer than a lease lives. When
//! the lease ends all the same (the machine slept), the next claim takes a new one; what was claimed
//! goes on only if nobody else claimed it, which the row's revision tells at the next save.

use crate::store::{JobStore, JobStoreError, StoredJob};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Mutex;

/// How long the jobs of a control plane that is gone wait for another.
pub const LEASE_TTL: Duration = Duration::from_secs(15);

/// How often the lease is kept alive.
const KEEP_EVERY: Duration = Duration::from_secs(5);

/// The engine's lease, if it has one.
#[derive(Debug)]
pub struct Claims {
    store: Arc<dyn JobStore>,
    lease: Mutex<Option<u64>>,
}

impl Claims {
    pub fn new(store: Arc<dyn JobStore>) -> Self {
        Self { store, lease: Mutex::default() }
    }

    /// Claims the job; returns the row's new revision.
    pub async fn claim(self: &Arc<Self>, job: &StoredJob) -> Result<u64, JobStoreError> {
        let lease = self.lease().await?;
        match self.store.claim(job, lease).await {
            Err(JobStoreError::LeaseEnded) => {
                self.forget(lease).await;
                self.store.claim(job, self.lease().await?).await
            }
            claimed => claimed,
        }
    }

    /// Ends the lease, and with it all claims. What fails here ends by itself a little later.
    pub async fn give_up(&self) {
        if let Some(lease) = self.lease.lock().await.take()
            && let Err(error) = self.store.end_lease(lease).await
        {
            tracing::debug!(%error, "the lease is left to end by itself");
        }
    }

    async fn lease(self: &Arc<Self>) -> Result<u64, JobStoreError> {
        let mut lease = self.lease.lock().await;
        if let Some(lease) = *lease {
            return Ok(lease);
        }
        let fresh = self.store.lease(LEASE_TTL).await?;
        *lease = Some(fresh);
        tokio::spawn(keep(Arc::downgrade(self), fresh));
        Ok(fresh)
    }

    async fn forget(&self, ended: u64) {
        let mut lease = self.lease.lock().await;
        if *lease == Some(ended) {
            *lease = None;
        }
    }
}

/// Keeps one lease alive until it has ended, was given up, or the engine is gone.
async fn keep(claims: Weak<Claims>, lease: u64) {
    loop {
        tokio::time::sleep(KEEP_EVERY).await;
        let Some(claims) = claims.upgrade() else { return };
        if *claims.lease.lock().await != Some(lease) {
            return;
        }
        match claims.store.keep_lease(lease).await {
            Err(JobStoreError::LeaseEnded) => return claims.forget(lease).await,
            Err(error) => tracing::warn!(%error, "the lease of the jobs could not be kept alive"),
            Ok(()) => {}
        }
    }
}
