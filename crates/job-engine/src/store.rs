//! What the engine needs of a store.

use crate::row::JobRow;
use async_trait::async_trait;
use std::fmt;
use std::time::Duration;

/// A job as stored: saving it needs the revision at which it was read, so that of two engines that
/// hold the same job only one can take the next step.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredJob {
    /// The row.
    pub row: JobRow,
    /// The store's revision of it.
    pub revision: u64,
}

/// Why a job could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobStoreError {
    /// Another engine changed the job.
    #[error("the job was changed by another control plane")]
    Lost,
    /// Another engine, whose lease lives, runs the job.
    #[error("another control plane runs the job")]
    Held,
    /// The engine's lease has ended.
    #[error("the lease has ended")]
    LeaseEnded,
    /// The store does not answer.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// Where jobs are kept.
#[async_trait]
pub trait JobStore: Send + Sync + fmt::Debug {
    /// The job of this id.
    async fn load(&self, id: &str) -> Result<Option<StoredJob>, JobStoreError>;

    /// Writes the row durably, if nobody else has since `revision`, and gives the new revision. With
    /// a final state the job's locks and its claim go in the same transaction.
    async fn save(&self, job: &StoredJob) -> Result<u64, JobStoreError>;

    /// The ids of all jobs that have not ended.
    async fn unfinished(&self) -> Result<Vec<String>, JobStoreError>;

    /// A lease that ends after `ttl` unless kept, and with it what was claimed under it.
    async fn lease(&self, ttl: Duration) -> Result<u64, JobStoreError>;

    /// Lets the lease live for its whole time again, or says that it has ended.
    async fn keep_lease(&self, lease: u64) -> Result<(), JobStoreError>;

    /// Ends the lease now.
    async fn end_lease(&self, lease: u64) -> Result<(), JobStoreError>;

    /// Claims the job for the lease, unless another lease has, and gives the row a new revision, so
    /// that an engine that still held the old one can no longer save.
    async fn claim(&self, job: &StoredJob, lease: u64) -> Result<u64, JobStoreError>;
}
