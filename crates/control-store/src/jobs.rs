//! Jobs in the store: the row, its place in its project's list, its mark among the unfinished ones, a key for each object that it
//! locks, and the claim of the engine that runs it, which hangs on the engine's lease. Row, mark and
//! locks come in one transaction with what the job's maker writes; mark, locks and claim go in one
//! transaction with the job's end.

use crate::by_project::OfProject;
use crate::error::StoreError;
use crate::record::Record;
use crate::store::{Condition, LeaseId, Pages, Store, TxnOutcome, Write};
use crate::typed;
use async_trait::async_trait;
use job_engine::{JobRow, JobStore, JobStoreError, StoredJob};
use std::sync::Arc;
use std::time::Duration;

/// What keys of locks begin with.
pub const LOCK_PREFIX: &str = "locks/";
/// What keys of unfinished jobs' marks begin with.
const UNFINISHED_PREFIX: &str = "jobs-unfinished/";
/// What keys of claims begin with; the value is the lease of who runs the job.
const CLAIM_PREFIX: &str = "jobs-claimed/";

impl Record for JobRow {
    const PREFIX: &'static str = "jobs/";

    fn key(&self) -> String {
        key_of(&self.id)
    }
}

impl OfProject for JobRow {
    const INDEX: &'static str = "jobs-by-project/";

    fn project(&self) -> &str {
        &self.project_id
    }

    fn created_ms(&self) -> u64 {
        self.created_ms
    }

    fn id(&self) -> &str {
        &self.id
    }
}

/// The key of the job of this id.
pub fn key_of(id: &str) -> String {
    format!("{}{id}", JobRow::PREFIX)
}

/// Conditions and writes that make the job; a conflict on a key below [`LOCK_PREFIX`] means that
/// another job works on the object.
pub fn creation(row: &JobRow) -> (Vec<Condition>, Vec<Write>) {
    let locks: Vec<String> =
        row.locks.iter().map(|object| format!("{LOCK_PREFIX}{object}")).collect();
    let mut conditions = vec![typed::absent(row)];
    conditions.extend(locks.iter().cloned().map(Condition::Absent));
    let mut writes = vec![typed::put(row), row.listed(), mark(row)];
    writes.extend(locks.into_iter().map(|key| Write::Put {
        key,
        value: row.id.clone().into_bytes(),
        lease: None,
    }));
    (conditions, writes)
}

fn mark(row: &JobRow) -> Write {
    Write::Put { key: format!("{UNFINISHED_PREFIX}{}", row.id), value: Vec::new(), lease: None }
}

/// The job that holds an object, if one does.
pub async fn holder(store: &dyn Store, object: &str) -> Result<Option<String>, StoreError> {
    let entry = store.get(&format!("{LOCK_PREFIX}{object}")).await?;
    Ok(entry.map(|entry| String::from_utf8_lossy(&entry.value).into_owned()))
}

/// Removes jobs that ended before `before_ms`; returns how many.
pub async fn purge(store: &dyn Store, before_ms: u64) -> Result<usize, StoreError> {
    let mut removed = 0;
    let mut pages = Pages::new(store, JobRow::PREFIX);
    while let Some(entries) = pages.next().await? {
        for entry in &entries {
            let job = typed::read::<JobRow>(entry)?;
            if job.value.ended_ms.is_some_and(|ended| ended < before_ms) {
                let writes = vec![typed::delete::<JobRow>(&entry.key), job.value.unlisted()];
                store.txn(vec![job.unchanged()], writes).await?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

/// The engine's view of the store.
#[derive(Debug)]
pub struct StoreJobs(pub Arc<dyn Store>);

#[async_trait]
impl JobStore for StoreJobs {
    async fn load(&self, id: &str) -> Result<Option<StoredJob>, JobStoreError> {
        let job = typed::get::<JobRow>(&*self.0, &key_of(id)).await.map_err(unavailable)?;
        Ok(job.map(|job| StoredJob { row: job.value, revision: job.mod_revision }))
    }

    async fn save(&self, job: &StoredJob) -> Result<u64, JobStoreError> {
        let row = &job.row;
        let mut writes = vec![typed::put(row)];
        if row.state.is_final() {
            writes.push(Write::Delete { key: format!("{UNFINISHED_PREFIX}{}", row.id) });
            writes.push(Write::Delete { key: format!("{CLAIM_PREFIX}{}", row.id) });
            writes.extend(
                row.locks
                    .iter()
                    .map(|object| Write::Delete { key: format!("{LOCK_PREFIX}{object}") }),
            );
        }
        let conditions = vec![Condition::ModRevision(row.key(), job.revision)];
        match self.0.txn(conditions, writes).await.map_err(unavailable)? {
            TxnOutcome::Committed(revision) => Ok(revision),
            TxnOutcome::Conflict { .. } => Err(JobStoreError::Lost),
        }
    }

    async fn unfinished(&self) -> Result<Vec<String>, JobStoreError> {
        let (marks, _) = self.0.list(UNFINISHED_PREFIX).await.map_err(unavailable)?;
        Ok(marks
            .iter()
            .filter_map(|mark| mark.key.strip_prefix(UNFINISHED_PREFIX))
            .map(str::to_owned)
            .collect())
    }

    async fn lease(&self, ttl: Duration) -> Result<u64, JobStoreError> {
        Ok(self.0.lease_grant(ttl).await.map_err(unavailable)?.0)
    }

    async fn keep_lease(&self, lease: u64) -> Result<(), JobStoreError> {
        self.0.lease_keep_alive(LeaseId(lease)).await.map_err(unavailable)
    }

    async fn end_lease(&self, lease: u64) -> Result<(), JobStoreError> {
        self.0.lease_revoke(LeaseId(lease)).await.map_err(unavailable)
    }

    async fn claim(&self, job: &StoredJob, lease: u64) -> Result<u64, JobStoreError> {
        let key = format!("{CLAIM_PREFIX}{}", job.row.id);
        let value = lease.to_string().into_bytes();
        let free = match self.0.get(&key).await.map_err(unavailable)? {
            None => Condition::Absent(key.clone()),
            Some(claim) if claim.value == value => {
                Condition::ModRevision(key.clone(), claim.mod_revision)
            }
            Some(_) => return Err(JobStoreError::Held),
        };
        let unchanged = Condition::ModRevision(job.row.key(), job.revision);
        let claim = Write::Put { key: key.clone(), value, lease: Some(LeaseId(lease)) };
        let writes = vec![claim, typed::put(&job.row)];
        match self.0.txn(vec![unchanged, free], writes).await.map_err(unavailable)? {
            TxnOutcome::Committed(revision) => Ok(revision),
            TxnOutcome::Conflict { key: conflict } if conflict == key => Err(JobStoreError::Held),
            TxnOutcome::Conflict { .. } => Err(JobStoreError::Lost),
        }
    }
}

fn unavailable(error: StoreError) -> JobStoreError {
    match error {
        StoreError::NoSuchLease => JobStoreError::LeaseEnded,
        error => JobStoreError::Unavailable(error.to_string()),
    }
}
