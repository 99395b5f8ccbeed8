//! A change of something that belongs to an instance: read the instance, decide, write all in one
//! transaction that holds only if nobody else changed the instance meanwhile. Every such change
//! writes the instance's record too; so changes of one instance come one after the other, and the
//! record's revision is the version of its snapshot.

use crate::app::App;
use crate::error::AppError;
use crate::time::now_ms;
use base::id::{InstanceId, ProjectId};
use control_store::jobs::{LOCK_PREFIX, creation};
use control_store::record::{Record, Versioned};
use control_store::records::instance::InstanceRecord;
use control_store::{Condition, Revision, TxnOutcome, Write, typed};
use job_engine::NewJob;
use serde_json::Value;

/// A change that others got in the way of is tried so often.
pub const CHANGE_TRIES_MAX: u32 = 32;

/// A change in the making.
#[derive(Debug)]
pub struct Change<'a> {
    app: &'a App,
    before: Versioned<InstanceRecord>,
    /// The instance's record as it will be.
    pub instance: InstanceRecord,
    forget: bool,
    conditions: Vec<Condition>,
    writes: Vec<Write>,
    job_ids: Vec<String>,
}

/// What a committed change came to.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The store's revision; nodes that serve this version have the change.
    pub revision: Revision,
    /// The jobs that it started.
    pub job_ids: Vec<String>,
}

impl Committed {
    /// The one job that it started.
    pub fn into_job_id(self) -> String {
        self.job_ids.into_iter().next().expect("the change started a job")
    }
}

/// Counts the tries of a change.
#[derive(Debug, Default)]
pub struct Tries(u32);

impl Tries {
    /// One more; an error when it was the last.
    pub fn again(&mut self) -> Result<(), AppError> {
        self.0 += 1;
        if self.0 < CHANGE_TRIES_MAX { Ok(()) } else { Err(AppError::Contended(self.0)) }
    }
}

impl App {
    /// Begins a change of an instance of this project.
    pub async fn change_of(&self, project: &ProjectId, id: &str) -> Result<Change<'_>, AppError> {
        let id = InstanceId::parse(id).ok_or(AppError::NoInstance)?;
        let change = self.change(&id).await?;
        if change.instance.project_id == *project { Ok(change) } else { Err(AppError::NoInstance) }
    }

    /// Begins a change of an instance.
    pub async fn change(&self, id: &InstanceId) -> Result<Change<'_>, AppError> {
        let before: Versioned<InstanceRecord> =
            self.get(&InstanceRecord::key_of(id)).await?.ok_or(AppError::NoInstance)?;
        Ok(Change {
            app: self,
            instance: before.value.clone(),
            before,
            forget: false,
            conditions: Vec::new(),
            writes: Vec::new(),
            job_ids: Vec::new(),
        })
    }
}

impl Change<'_> {
    /// Writes a record that must not be there yet.
    pub fn create<T: Record>(&mut self, record: &T) {
        self.conditions.push(typed::absent(record));
        self.writes.push(typed::put(record));
    }

    /// Writes a record that was read as `before`.
    pub fn update<T: Record>(&mut self, before: &Versioned<T>, record: &T) {
        self.conditions.push(before.unchanged());
        self.writes.push(typed::put(record));
    }

    /// Removes a record that was read as `before`.
    pub fn delete<T: Record>(&mut self, before: &Versioned<T>) {
        self.conditions.push(before.unchanged());
        self.writes.push(typed::delete::<T>(&before.value.key()));
    }

    /// The change holds only if this record is as it was read.
    pub fn require<T: Record>(&mut self, read: &Versioned<T>) {
        self.conditions.push(read.unchanged());
    }

    /// Removes the instance's own record.
    pub fn forget_instance(&mut self) {
        self.forget = true;
    }

    /// Makes a job (of possibly several), which is launched when the change is committed.
    pub fn start_job(
        &mut self,
        kind: &str,
        lock: String,
        schema: Option<&str>,
        params: Value,
    ) -> Result<(), AppError> {
        let new = NewJob {
            project_id: self.instance.project_id.to_string(),
            instance_id: Some(self.instance.id.to_string()),
            instance_name: Some(self.instance.name.clone()),
            schema: schema.map(str::to_owned),
            locks: vec![lock],
            params,
        };
        let row = self
            .app
            .jobs
            .new_row(kind, new)
            .map_err(|error| AppError::Broken(error.to_string()))?;
        let (conditions, writes) = creation(&row);
        self.conditions.extend(conditions);
        self.writes.extend(writes);
        self.job_ids.push(row.id);
        Ok(())
    }

    /// Writes all, launches the jobs and tells the nodes; `None`: somebody else was faster, begin
    /// anew.
    pub async fn commit(mut self) -> Result<Option<Committed>, AppError> {
        self.conditions.push(self.before.unchanged());
        if self.forget {
            self.writes.push(typed::delete::<InstanceRecord>(&self.instance.key()));
        } else {
            self.instance.updated_ms = now_ms().max(self.before.value.updated_ms);
            self.writes.push(typed::put(&self.instance));
        }
        match self.app.store.txn(self.conditions, self.writes).await? {
            TxnOutcome::Committed(revision) => {
                for id in &self.job_ids {
                    self.app.jobs.launch(id);
                }
                self.app.publisher.publish(&self.instance.id);
                Ok(Some(Committed { revision, job_ids: self.job_ids }))
            }
            TxnOutcome::Conflict { key } if key.starts_with(LOCK_PREFIX) => Err(AppError::Busy),
            TxnOutcome::Conflict { .. } => Ok(None),
        }
    }
}
