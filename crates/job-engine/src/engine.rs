//! Runs jobs. One task a job; between two steps the row is written durably, conditional on nobody
//! else having written it. A step that fails transiently is tried again with back-off, a bounded
//! number of times; then, or after a permanent failure, what was done is undone in reverse order.

use crate::definition::{JobDefinition, Step, StepContext, StepError};
use crate::row::{JobRow, JobState, NewJob};
use crate::store::{JobStore, JobStoreError, StoredJob};
use base::backoff::Backoff;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, Semaphore};

/// A step is tried so often before its failure is permanent.
pub const STEP_ATTEMPTS_MAX: u32 = 8;

/// The waits between two tries.
pub const RETRY: Backoff =
    Backoff { first: Duration::from_millis(100), most: Duration::from_secs(5) };

/// Jobs whose steps run at the same time; more wait.
const JOBS_AT_ONCE_MAX: usize = 64;

/// How often a waiting call looks when no signal came (another control plane may run the job).
const WAIT_POLL: Duration = Duration::from_millis(500);

/// Why the engine could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no such job.
    #[error("no job {0}")]
    NoSuchJob(String),
    /// There is no such kind.
    #[error("no kind of job {0}")]
    NoSuchKind(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] JobStoreError),
}

struct Inner<C> {
    store: Arc<dyn JobStore>,
    definitions: HashMap<&'static str, JobDefinition<C>>,
    app: OnceLock<C>,
    running: Mutex<HashSet<String>>,
    changed: Notify,
    places: Semaphore,
}

/// The engine; clones are the same engine.
pub struct JobEngine<C>(Arc<Inner<C>>);

impl<C> Clone for JobEngine<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C> fmt::Debug for JobEngine<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobEngine({} kinds)", self.0.definitions.len())
    }
}

impl<C: Clone + Send + Sync + 'static> JobEngine<C> {
    /// An engine for these kinds; it runs nothing before [`JobEngine::start`].
    pub fn new(store: Arc<dyn JobStore>, definitions: Vec<JobDefinition<C>>) -> Self {
        let definitions = definitions.into_iter().map(|one| (one.kind, one)).collect();
        Self(Arc::new(Inner {
            store,
            definitions,
            app: OnceLock::new(),
            running: Mutex::default(),
            changed: Notify::new(),
            places: Semaphore::new(JOBS_AT_ONCE_MAX),
        }))
    }

    /// Gives the engine the application that its steps work on.
    pub fn start(&self, app: C) {
        self.0.app.set(app).map_err(|_| ()).expect("an engine is started once");
    }

    /// The row of a new job, to be written together with what it belongs to; then
    /// [`JobEngine::launch`] it.
    pub fn new_row(&self, kind: &str, new: NewJob) -> Result<JobRow, EngineError> {
        let definition =
            self.0.definitions.get(kind).ok_or_else(|| EngineError::NoSuchKind(kind.to_owned()))?;
        Ok(JobRow {
            id: uuid::Uuid::new_v4().to_string(),
            kind: kind.to_owned(),
            project_id: new.project_id,
            instance_id: new.instance_id,
            instance_name: new.instance_name,
            schema: new.schema,
            locks: new.locks,
            params: new.params,
            outputs: Default::default(),
            state: JobState::Running { next: 0 },
            attempts: 0,
            fail_reason: None,
            created_ms: now_ms(),
            ended_ms: None,
            step_count: definition.steps.len(),
        })
    }

    /// Runs a stored job in a task of its own, unless this engine does already.
    pub fn launch(&self, id: &str) {
        let fresh = self.running().insert(id.to_owned());
        if !fresh {
            return;
        }
        let engine = self.clone();
        let id = id.to_owned();
        tokio::spawn(async move {
            let permit = engine.0.places.acquire().await;
            if permit.is_ok()
                && let Err(error) = engine.run(&id).await
            {
                tracing::error!(job = %id, %error, "the job stops here until the next start");
            }
            drop(permit);
            engine.running().remove(&id);
            engine.0.changed.notify_waiters();
        });
    }

    /// Goes on with every job that has not ended; returns how many.
    pub async fn recover(&self) -> Result<usize, EngineError> {
        let ids = self.0.store.unfinished().await?;
        for id in &ids {
            self.launch(id);
        }
        Ok(ids.len())
    }

    /// Waits until the job has ended.
    pub async fn wait(&self, id: &str) -> Result<JobRow, EngineError> {
        loop {
            let changed = self.0.changed.notified();
            let job = self.load(id).await?;
            if job.row.state.is_final() {
                return Ok(job.row);
            }
            let _ = tokio::time::timeout(WAIT_POLL, changed).await;
        }
    }

    /// Begins no more steps and waits until those that run have ended.
    pub async fn stop(&self) {
        self.0.places.close();
        self.settle().await;
    }

    /// Waits until no job runs in this engine.
    pub async fn settle(&self) {
        while !self.running().is_empty() {
            let changed = self.0.changed.notified();
            let _ = tokio::time::timeout(WAIT_POLL, changed).await;
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.0.running.lock().expect("nobody panics while holding the set of running jobs")
    }

    async fn load(&self, id: &str) -> Result<StoredJob, EngineError> {
        self.0.store.load(id).await?.ok_or_else(|| EngineError::NoSuchJob(id.to_owned()))
    }

    async fn run(&self, id: &str) -> Result<(), EngineError> {
        let mut job = self.load(id).await?;
        let definition = self
            .0
            .definitions
            .get(job.row.kind.as_str())
            .ok_or_else(|| EngineError::NoSuchKind(job.row.kind.clone()))?;
        let app = self.0.app.get().expect("the engine was started before jobs are launched");
        while !job.row.state.is_final() && !self.0.places.is_closed() {
            let delay = RETRY.delay(job.row.attempts);
            tokio::time::sleep(delay).await;
            advance(app, definition, &mut job.row).await;
            job.revision = self.0.store.save(&job).await?;
            self.0.changed.notify_waiters();
        }
        Ok(())
    }
}

/// Takes one step forward or back, and notes in the row what came of it.
async fn advance<C: Send + Sync>(app: &C, definition: &JobDefinition<C>, row: &mut JobRow) {
    let result = match row.state {
        JobState::Running { next } => match definition.steps.get(next) {
            Some(step) => forward(app, step.as_ref(), row, next).await,
            None => Ok(JobState::Completed),
        },
        JobState::Undoing { next: 0 } => Ok(JobState::Failed),
        JobState::Undoing { next } => backward(app, definition, row, next).await,
        JobState::Completed | JobState::Failed => return,
    };
    match result {
        Ok(state) => {
            row.attempts = 0;
            row.ended_ms = state.is_final().then(now_ms);
            row.state = state;
        }
        Err(error) => {
            tracing::info!(job = %row.id, kind = %row.kind, attempts = row.attempts, %error, "a step is tried again");
            row.attempts += 1;
        }
    }
}

async fn forward<C: Send + Sync>(
    app: &C,
    step: &dyn Step<C>,
    row: &mut JobRow,
    at: usize,
) -> Result<JobState, StepError> {
    let outcome = step.run(&StepContext { app, job: row }).await;
    match outcome {
        Ok(output) => {
            row.outputs.insert(step.name().to_owned(), output);
            Ok(JobState::Running { next: at + 1 })
        }
        Err(StepError::Transient(text)) if row.attempts + 1 < STEP_ATTEMPTS_MAX => {
            Err(StepError::Transient(text))
        }
        Err(error) => {
            tracing::info!(job = %row.id, kind = %row.kind, step = step.name(), %error, "the job is undone");
            row.fail_reason = Some(format!("{}: {error}", step.name()));
            // The failed step may have run in part, so its undo comes first.
            Ok(JobState::Undoing { next: at + 1 })
        }
    }
}

async fn backward<C: Send + Sync>(
    app: &C,
    definition: &JobDefinition<C>,
    row: &mut JobRow,
    next: usize,
) -> Result<JobState, StepError> {
    let Some(step) = definition.steps.get(next - 1) else {
        return Ok(JobState::Undoing { next: next - 1 });
    };
    match step.undo(&StepContext { app, job: row }).await {
        Ok(()) => Ok(JobState::Undoing { next: next - 1 }),
        Err(error) if row.attempts + 1 < STEP_ATTEMPTS_MAX => Err(error),
        Err(error) => {
            tracing::warn!(job = %row.id, kind = %row.kind, step = step.name(), %error, "a step could not be undone");
            let reason = row.fail_reason.take().unwrap_or_default();
            row.fail_reason = Some(format!("{reason}; left behind by {}: {error}", step.name()));
            Ok(JobState::Undoing { next: next - 1 })
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
