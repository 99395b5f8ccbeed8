//! The fault kit: every kind of job is put through it. It runs the job with a failure at each step
//! (all must be undone), with each step and undo repeated, and with a stop after each record and a
//! fresh engine that goes on, while it does its steps and while it undoes them. The world (store,
//! data nodes, …) is the caller's and real.

use crate::definition::{JobDefinition, Step, StepContext, StepError};
use crate::engine::JobEngine;
use crate::row::{JobRow, JobState};
use crate::store::{JobStore, JobStoreError, StoredJob};
use async_trait::async_trait;
use serde_json::Value;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What the kit does to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// This step does its work and then reports a permanent failure.
    FailAfter(usize),
    /// This step reports a permanent failure without having done anything.
    FailBefore(usize),
    /// Every step, and every undo, runs twice.
    Twice,
    /// Every undo runs twice after this step failed.
    FailAfterTwice(usize),
    /// The process "dies" before this many records more are written.
    StopAfter(usize),
    /// The last of so many steps does its work and then fails, and the process "dies" when this
    /// many steps are undone.
    StopUndoing {
        /// How many steps the job has.
        steps: usize,
        /// How many undos are recorded.
        undone: usize,
    },
}

impl Fault {
    /// After how many records the process dies, if it does.
    fn records(self) -> Option<usize> {
        match self {
            Fault::StopAfter(records) => Some(records),
            // The steps before the last, the failure of the last, and the undos.
            Fault::StopUndoing { steps, undone } => Some(steps + undone),
            _ => None,
        }
    }

    /// Whether this step does its work and then fails.
    fn fails_after(self, at: usize) -> bool {
        match self {
            Fault::FailAfter(step) | Fault::FailAfterTwice(step) => step == at,
            Fault::StopUndoing { steps, .. } => steps == at + 1,
            _ => false,
        }
    }
}

/// All faults for a job of `steps` steps.
pub fn faults(steps: usize) -> Vec<Fault> {
    let mut all = vec![Fault::None, Fault::Twice];
    for step in 0..steps {
        all.extend([Fault::FailBefore(step), Fault::FailAfter(step), Fault::FailAfterTwice(step)]);
    }
    all.extend((0..=steps).map(Fault::StopAfter));
    if steps > 0 {
        all.extend((0..=steps).map(|undone| Fault::StopUndoing { steps, undone }));
    }
    all
}

/// Puts the fault into a definition.
pub fn with_fault<C: Send + Sync + 'static>(
    definition: JobDefinition<C>,
    fault: Fault,
) -> JobDefinition<C> {
    let kind = definition.kind;
    let steps = definition
        .steps
        .into_iter()
        .enumerate()
        .map(|(at, inner)| Box::new(Faulty { at, inner, fault }) as Box<dyn Step<C>>)
        .collect();
    JobDefinition { kind, steps }
}

struct Faulty<C> {
    at: usize,
    inner: Box<dyn Step<C>>,
    fault: Fault,
}

#[async_trait]
impl<C: Send + Sync> Step<C> for Faulty<C> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn run(&self, cx: &StepContext<'_, C>) -> Result<Value, StepError> {
        if self.fault == Fault::FailBefore(self.at) {
            return Err(StepError::permanent("injected before the step"));
        }
        if self.fault == Fault::Twice {
            self.inner.run(cx).await?;
        }
        let output = self.inner.run(cx).await?;
        if self.fault.fails_after(self.at) {
            return Err(StepError::permanent("injected after the step"));
        }
        Ok(output)
    }

    async fn undo(&self, cx: &StepContext<'_, C>) -> Result<(), StepError> {
        if matches!(self.fault, Fault::FailAfterTwice(_)) {
            self.inner.undo(cx).await?;
        }
        self.inner.undo(cx).await
    }
}

/// A job store that stops accepting records, as a process that died does.
#[derive(Debug)]
struct Dying {
    inner: Arc<dyn JobStore>,
    left: AtomicUsize,
}

#[async_trait]
impl JobStore for Dying {
    async fn load(&self, id: &str) -> Result<Option<StoredJob>, JobStoreError> {
        self.inner.load(id).await
    }

    async fn save(&self, job: &StoredJob) -> Result<u64, JobStoreError> {
        let left =
            self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(_) => self.inner.save(job).await,
            Err(_) => Err(JobStoreError::Unavailable("the process died here".into())),
        }
    }

    async fn unfinished(&self) -> Result<Vec<String>, JobStoreError> {
        self.inner.unfinished().await
    }

    async fn lease(&self, ttl: Duration) -> Result<u64, JobStoreError> {
        self.inner.lease(ttl).await
    }

    async fn keep_lease(&self, lease: u64) -> Result<(), JobStoreError> {
        self.inner.keep_lease(lease).await
    }

    async fn end_lease(&self, lease: u64) -> Result<(), JobStoreError> {
        self.inner.end_lease(lease).await
    }

    async fn claim(&self, job: &StoredJob, lease: u64) -> Result<u64, JobStoreError> {
        self.inner.claim(job, lease).await
    }
}

/// Runs one job under one fault and returns its row at the end. `create` stores the row (with what
/// belongs to it) and must work with any engine; it is called once.
pub async fn run<C, F, Fut>(
    store: Arc<dyn JobStore>,
    app: C,
    definition: impl Fn() -> JobDefinition<C>,
    fault: Fault,
    create: F,
) -> JobRow
where
    C: Clone + Send + Sync + 'static,
    F: FnOnce(JobEngine<C>) -> Fut,
    Fut: Future<Output = String>,
{
    let left = AtomicUsize::new(fault.records().unwrap_or(usize::MAX));
    let dying = Arc::new(Dying { inner: store.clone(), left });
    let engine = JobEngine::new(dying, vec![with_fault(definition(), fault)]);
    engine.start(app.clone());
    let id = create(engine.clone()).await;
    engine.launch(&id);
    if fault.records().is_none() {
        let row = engine.wait(&id).await.expect("the job is stored");
        engine.stop().await;
        return row;
    }
    engine.settle().await;
    // Ends the lease, as its time does when the process is gone.
    engine.stop().await;
    let fresh = JobEngine::new(store, vec![definition()]);
    fresh.start(app);
    fresh.recover().await.expect("the store answers");
    let row = fresh.wait(&id).await.expect("the job is stored");
    fresh.stop().await;
    row
}

/// Whether a job under this fault must complete; otherwise it must fail and leave nothing.
pub fn completes(fault: Fault) -> bool {
    matches!(fault, Fault::None | Fault::Twice | Fault::StopAfter(_))
}

/// Fails unless the row ended as the fault demands.
pub fn assert_ended(row: &JobRow, fault: Fault) {
    let wanted = if completes(fault) { JobState::Completed } else { JobState::Failed };
    assert_eq!(row.state, wanted, "under {fault:?}: {:?}", row.fail_reason);
    assert_eq!(row.fail_reason.is_some(), wanted == JobState::Failed, "a failure has a reason");
}
