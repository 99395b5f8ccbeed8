//! What the engine needs of a store.

use crate::row::JobRow;
use async_trait::async_trait;
use std::fmt;

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
    /// a final state the job's locks go in the same transaction.
    async fn save(&self, job: &StoredJob) -> Result<u64, JobStoreError>;
    /// The ids of all jobs that have not ended.
    async fn unfinished(&self) -> Result<Vec<String>, JobStoreError>;
}
