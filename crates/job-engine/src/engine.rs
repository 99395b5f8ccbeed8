//! Runs jobs. One task a job; between two steps the row is written durably, conditional on nobody
//! else having written it. An engine runs only jobs that it has claimed under its lease (`claims`),
//! so of several control planes one runs a job, and another goes on with it when that one is gone.

use crate::advance::advance;
use crate::claims::Claims;
use crate::definition::JobDefinition;
use crate::row::{JobRow, JobState, NewJob};
use crate::store::{JobStore, JobStoreError, StoredJob};
use base::backoff::Backoff;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// The waits between two tries of a step.
pub const RETRY: Backoff =
    Backoff { first: Duration::from_millis(100), most: Duration::from_secs(5) };

/// Jobs whose steps run at the same time; more wait.
const JOBS_AT_ONCE_MAX: usize = 64;

/// How often a waiting call looks when no signal came (another control plane may run the job).
const WAIT_POLL: Duration = Duration::from_millis(500);

/// How often, after [`JobEngine::recover`], unfinished jobs that nobody runs are looked for: those
/// of a control plane that is gone, and own ones that a failure of the store stopped.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

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
    claims: Arc<Claims>,
    store: Arc<dyn JobStore>,
    definitions: HashMap<&'static str, JobDefinition<C>>,
    app: OnceLock<C>,
    running: Mutex<HashSet<String>>,
    /// Jobs of kinds that this program does not know; they stay as they are.
    unknown: Mutex<HashSet<String>>,
    sweeps: AtomicBool,
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
        let count = definitions.len();
        definitions.iter().for_each(JobDefinition::assert_names_differ);
        let definitions: HashMap<_, _> =
            definitions.into_iter().map(|one| (one.kind, one)).collect();
        assert_eq!(definitions.len(), count, "two definitions are of one kind");
        Self(Arc::new(Inner {
            claims: Arc::new(Claims::new(store.clone())),
            store,
            definitions,
            app: OnceLock::new(),
            running: Mutex::default(),
            unknown: Mutex::default(),
            sweeps: AtomicBool::new(false),
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
        Ok(JobRow::new(kind, new, self.definition(kind)?.steps.len()))
    }

    /// The name of the step that a job does or undoes now; `None` when it has ended.
    pub fn current_step(&self, row: &JobRow) -> Option<&'static str> {
        let at = match row.state {
            JobState::Running { next } => next,
            JobState::Undoing { next } => next.checked_sub(1)?,
            JobState::Completed | JobState::Failed => return None,
        };
        self.definition(&row.kind).ok()?.step_name(at)
    }

    /// Runs a stored job in a task of its own, unless this engine does already.
    pub fn launch(&self, id: &str) {
        let fresh = lock(&self.0.running).insert(id.to_owned());
        if !fresh {
            return;
        }
        let engine = self.clone();
        let id = id.to_owned();
        tokio::spawn(async move {
            if let Ok(_place) = engine.0.places.acquire().await {
                match engine.run(&id).await {
                    Ok(()) => {}
                    Err(EngineError::Store(JobStoreError::Held | JobStoreError::Lost)) => {
                        tracing::debug!(job = %id, "another control plane runs the job");
                    }
                    Err(error) => tracing::error!(job = %id, %error, "the job stops here for now"),
                }
            }
            lock(&engine.0.running).remove(&id);
            engine.0.changed.notify_waiters();
        });
    }

    /// Goes on with every job that has not ended; returns how many. From then on the engine also
    /// takes over jobs that nobody runs any more.
    pub async fn recover(&self) -> Result<usize, EngineError> {
        let found = self.launch_unfinished().await?;
        if !self.0.sweeps.swap(true, Ordering::SeqCst) {
            tokio::spawn(sweep(Arc::downgrade(&self.0)));
        }
        Ok(found)
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

    /// Begins no more steps, waits until those that run have ended, and gives up its claims, so that
    /// another control plane can go on at once.
    pub async fn stop(&self) {
        self.0.places.close();
        self.0.changed.notify_waiters();
        self.settle().await;
        self.0.claims.give_up().await;
    }

    /// Waits until no job runs in this engine.
    pub async fn settle(&self) {
        loop {
            let changed = self.0.changed.notified();
            if lock(&self.0.running).is_empty() {
                return;
            }
            let _ = tokio::time::timeout(WAIT_POLL, changed).await;
        }
    }

    async fn launch_unfinished(&self) -> Result<usize, EngineError> {
        let mut ids = self.0.store.unfinished().await?;
        ids.retain(|id| !lock(&self.0.unknown).contains(id));
        for id in &ids {
            self.launch(id);
        }
        Ok(ids.len())
    }

    fn definition(&self, kind: &str) -> Result<&JobDefinition<C>, EngineError> {
        self.0.definitions.get(kind).ok_or_else(|| EngineError::NoSuchKind(kind.to_owned()))
    }

    async fn load(&self, id: &str) -> Result<StoredJob, EngineError> {
        self.0.store.load(id).await?.ok_or_else(|| EngineError::NoSuchJob(id.to_owned()))
    }

    async fn run(&self, id: &str) -> Result<(), EngineError> {
        let mut job = self.load(id).await?;
        if job.row.state.is_final() {
            return Ok(());
        }
        let definition = self.definition(&job.row.kind).inspect_err(|_| {
            lock(&self.0.unknown).insert(id.to_owned());
        })?;
        let app = self.0.app.get().expect("the engine was started before jobs are launched");
        job.revision = self.0.claims.claim(&job).await?;
        while !job.row.state.is_final() {
            self.pause(RETRY.delay(job.row.attempts)).await;
            if self.0.places.is_closed() {
                return Ok(());
            }
            advance(app, definition, &mut job.row).await;
            job.revision = self.0.store.save(&job).await?;
            self.0.changed.notify_waiters();
        }
        Ok(())
    }

    /// Waits, but not when the engine is being stopped.
    async fn pause(&self, delay: Duration) {
        let over = tokio::time::Instant::now() + delay;
        loop {
            let changed = self.0.changed.notified();
            if self.0.places.is_closed() || tokio::time::timeout_at(over, changed).await.is_err() {
                return;
            }
        }
    }
}

/// Launches what nobody runs, until the engine is gone or stopped.
async fn sweep<C: Clone + Send + Sync + 'static>(engine: Weak<Inner<C>>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(engine) = engine.upgrade().map(JobEngine) else { return };
        if engine.0.places.is_closed() {
            return;
        }
        if let Err(error) = engine.launch_unfinished().await {
            tracing::warn!(%error, "unfinished jobs could not be listed");
        }
    }
}

fn lock(set: &Mutex<HashSet<String>>) -> MutexGuard<'_, HashSet<String>> {
    set.lock().expect("nobody panics while holding a set of jobs")
}
