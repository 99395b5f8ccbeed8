//! What a job meets when things around it fail: another control plane, a panic, a store that does
//! not answer, a stop while it waits, an undo that cannot be done, kill -9 in every step.
#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use control_store::embedded::SqliteStore;
use control_store::jobs::{LOCK_PREFIX, StoreJobs, creation, holder};
use control_store::{Store, TxnOutcome, Write};
use job_engine::{
    JobDefinition, JobEngine, JobState, JobStore, JobStoreError, NewJob, OUTPUT_BYTES_MAX, Step,
    StepContext, StepError, StoredJob,
};
use serde_json::{Value, json};
use std::io::BufRead;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// What the steps of these tests do; the counters say how often.
#[derive(Debug)]
struct World {
    store: Arc<dyn Store>,
    runs: AtomicUsize,
    undos: AtomicUsize,
    began: Notify,
    gate: Semaphore,
}

type App = Arc<World>;

#[derive(Clone, Copy)]
enum Does {
    Succeeds,
    WaitsAtTheGate,
    FailsTransiently,
    FailsForGood,
    Panics,
    GivesTooMuch,
    CannotBeUndone,
}

struct Toy(&'static str, Does);

#[async_trait]
impl Step<App> for Toy {
    fn name(&self) -> &'static str {
        self.0
    }

    async fn run(&self, cx: &StepContext<'_, App>) -> Result<Value, StepError> {
        cx.app.runs.fetch_add(1, Ordering::SeqCst);
        cx.app.began.notify_one();
        match self.1 {
            Does::Succeeds | Does::CannotBeUndone => Ok(Value::Null),
            Does::WaitsAtTheGate => {
                cx.app.gate.acquire().await.unwrap().forget();
                Ok(Value::Null)
            }
            Does::FailsTransiently => Err(StepError::transient("not yet")),
            Does::FailsForGood => Err(StepError::permanent("never")),
            Does::Panics => panic!("a programmer's error"),
            Does::GivesTooMuch => Ok(json!("x".repeat(OUTPUT_BYTES_MAX))),
        }
    }

    async fn undo(&self, cx: &StepContext<'_, App>) -> Result<(), StepError> {
        cx.app.undos.fetch_add(1, Ordering::SeqCst);
        match self.1 {
            Does::CannotBeUndone => Err(StepError::permanent("it stays")),
            _ => Ok(()),
        }
    }
}

fn definition(steps: &[(&'static str, Does)]) -> JobDefinition<App> {
    let steps = steps.iter().map(|(name, does)| Box::new(Toy(name, *does)) as Box<dyn Step<App>>);
    JobDefinition { kind: "toy", steps: steps.collect() }
}

fn world() -> (tempfile::TempDir, App) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("store.db")).unwrap();
    let world = World {
        store,
        runs: AtomicUsize::new(0),
        undos: AtomicUsize::new(0),
        began: Notify::new(),
        gate: Semaphore::new(0),
    };
    (dir, Arc::new(world))
}

fn engine(app: &App, jobs: Arc<dyn JobStore>, steps: &[(&'static str, Does)]) -> JobEngine<App> {
    let engine = JobEngine::new(jobs, vec![definition(steps)]);
    engine.start(app.clone());
    engine
}

fn jobs(app: &App) -> Arc<StoreJobs> {
    Arc::new(StoreJobs(app.store.clone()))
}

async fn create(app: &App, engine: &JobEngine<App>) -> String {
    let new = NewJob { locks: vec!["thing".into()], ..NewJob::default() };
    let row = engine.new_row("toy", new).unwrap();
    let (conditions, writes) = creation(&row);
    assert!(matches!(app.store.txn(conditions, writes).await, Ok(TxnOutcome::Committed(_))));
    row.id
}

/// A job store whose lease ends early and is not kept alive, as that of a control plane that hangs,
/// and that can refuse records.
#[derive(Debug)]
struct Weak {
    inner: Arc<StoreJobs>,
    lease: Option<Duration>,
    refusals: AtomicUsize,
}

#[async_trait]
impl JobStore for Weak {
    async fn load(&self, id: &str) -> Result<Option<StoredJob>, JobStoreError> {
        self.inner.load(id).await
    }

    async fn save(&self, job: &StoredJob) -> Result<u64, JobStoreError> {
        let left = self
            .refusals
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(_) => Err(JobStoreError::Unavailable("the disk is full".into())),
            Err(_) => self.inner.save(job).await,
        }
    }

    async fn unfinished(&self) -> Result<Vec<String>, JobStoreError> {
        self.inner.unfinished().await
    }

    async fn lease(&self, ttl: Duration) -> Result<u64, JobStoreError> {
        self.inner.lease(self.lease.unwrap_or(ttl)).await
    }

    async fn keep_lease(&self, _lease: u64) -> Result<(), JobStoreError> {
        Ok(())
    }

    async fn end_lease(&self, lease: u64) -> Result<(), JobStoreError> {
        self.inner.end_lease(lease).await
    }

    async fn claim(&self, job: &StoredJob, lease: u64) -> Result<u64, JobStoreError> {
        self.inner.claim(job, lease).await
    }
}

#[tokio::test]
async fn a_job_is_run_by_who_claimed_it_until_his_lease_ends() {
    let (_dir, app) = world();
    let hanging =
        Weak { inner: jobs(&app), lease: Some(Duration::from_millis(600)), refusals: 0.into() };
    let first = engine(&app, Arc::new(hanging), &[("step", Does::WaitsAtTheGate)]);
    let second = engine(&app, jobs(&app), &[("step", Does::Succeeds)]);
    let id = create(&app, &first).await;
    first.launch(&id);
    app.began.notified().await;
    second.launch(&id);
    second.settle().await;
    assert_eq!(app.runs.load(Ordering::SeqCst), 1, "the job is another's");
    tokio::time::sleep(Duration::from_millis(900)).await;
    second.launch(&id);
    let ended = second.wait(&id).await.unwrap();
    assert_eq!((ended.state.clone(), app.runs.load(Ordering::SeqCst)), (JobState::Completed, 2));
    // The first wakes up and may not write any more.
    app.gate.add_permits(1);
    first.settle().await;
    assert_eq!(first.wait(&id).await.unwrap(), ended);
}

#[tokio::test]
async fn a_stopped_engine_leaves_its_jobs_to_others_at_once() {
    let (_dir, app) = world();
    let first = engine(&app, jobs(&app), &[("one", Does::WaitsAtTheGate), ("two", Does::Succeeds)]);
    let second =
        engine(&app, jobs(&app), &[("one", Does::WaitsAtTheGate), ("two", Does::Succeeds)]);
    let id = create(&app, &first).await;
    first.launch(&id);
    app.began.notified().await;
    let stop = first.stop();
    app.gate.add_permits(1);
    stop.await;
    assert_eq!(app.runs.load(Ordering::SeqCst), 1, "the second step is not begun");
    assert_eq!(second.recover().await.unwrap(), 1);
    assert_eq!(second.wait(&id).await.unwrap().state, JobState::Completed);
    assert_eq!(app.runs.load(Ordering::SeqCst), 2, "the first step is not repeated");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_the_next_try() {
    let (_dir, app) = world();
    let engine = engine(&app, jobs(&app), &[("step", Does::FailsTransiently)]);
    let id = create(&app, &engine).await;
    engine.launch(&id);
    while app.runs.load(Ordering::SeqCst) < 4 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let begun = std::time::Instant::now();
    engine.stop().await;
    assert!(begun.elapsed() < Duration::from_millis(700), "{:?}", begun.elapsed());
    assert_eq!(app.runs.load(Ordering::SeqCst), 4);
    let row = engine.new_row("toy", NewJob::default()).unwrap();
    assert_eq!(engine.current_step(&row), Some("step"));
}

#[tokio::test]
async fn failures_of_a_programmer_undo_the_job() {
    for (does, reason) in [
        (Does::Panics, "two: an internal error"),
        (Does::GivesTooMuch, "two: an internal error: 1048578 bytes of output"),
    ] {
        let (_dir, app) = world();
        let engine = engine(&app, jobs(&app), &[("one", Does::Succeeds), ("two", does)]);
        let id = create(&app, &engine).await;
        engine.launch(&id);
        let row = engine.wait(&id).await.unwrap();
        assert_eq!((row.state, row.fail_reason.as_deref()), (JobState::Failed, Some(reason)));
        assert_eq!(app.undos.load(Ordering::SeqCst), 2);
        engine.stop().await;
    }
}

#[tokio::test]
async fn what_cannot_be_undone_is_told_and_the_rest_is_undone() {
    let (_dir, app) = world();
    let steps =
        [("one", Does::Succeeds), ("two", Does::CannotBeUndone), ("three", Does::FailsForGood)];
    let engine = engine(&app, jobs(&app), &steps);
    let id = create(&app, &engine).await;
    engine.launch(&id);
    let row = engine.wait(&id).await.unwrap();
    assert_eq!(row.fail_reason.as_deref(), Some("three: never; left behind by two: it stays"));
    assert_eq!((row.state, app.undos.load(Ordering::SeqCst)), (JobState::Failed, 3));
    assert_eq!(holder(&*app.store, "thing").await, Ok(None), "the object is free");
}

#[tokio::test]
async fn a_job_goes_on_when_the_store_answers_again() {
    let (_dir, app) = world();
    let refusing = Weak { inner: jobs(&app), lease: None, refusals: 2.into() };
    let engine =
        engine(&app, Arc::new(refusing), &[("one", Does::Succeeds), ("two", Does::Succeeds)]);
    let id = create(&app, &engine).await;
    assert_eq!(engine.recover().await.unwrap(), 1);
    // From here time passes as fast as nothing happens.
    tokio::time::pause();
    assert_eq!(engine.wait(&id).await.unwrap().state, JobState::Completed);
    assert_eq!(app.runs.load(Ordering::SeqCst), 4, "two records were refused, two steps repeated");
}

#[tokio::test]
async fn a_job_of_an_unknown_kind_stays_as_it_is() {
    let (_dir, app) = world();
    let knows = engine(&app, jobs(&app), &[("one", Does::Succeeds)]);
    let id = create(&app, &knows).await;
    let older: JobEngine<App> = JobEngine::new(jobs(&app), vec![]);
    older.start(app.clone());
    assert_eq!(older.recover().await.unwrap(), 1);
    older.settle().await;
    assert_eq!(older.recover().await.unwrap(), 0);
    assert_eq!(knows.recover().await.unwrap(), 1);
    assert_eq!(knows.wait(&id).await.unwrap().state, JobState::Completed);
}

#[test]
#[should_panic(expected = "two steps of toy have one name")]
fn two_steps_of_one_name_are_a_programmers_error() {
    let (_dir, app) = world();
    engine(&app, jobs(&app), &[("one", Does::Succeeds), ("one", Does::Succeeds)]);
}

const STEPS: [&str; 4] = ["a", "b", "c", "d"];

/// In which step the child stands still until it is killed.
const STAND_STILL: &str = "DDM_TEST_STAND_STILL";

/// Writes a key and says so, past the test harness's capture.
struct Announce(&'static str);

#[async_trait]
impl Step<Arc<dyn Store>> for Announce {
    fn name(&self) -> &'static str {
        self.0
    }

    async fn run(&self, cx: &StepContext<'_, Arc<dyn Store>>) -> Result<Value, StepError> {
        let write = Write::Put { key: format!("made/{}", self.0), value: vec![], lease: None };
        cx.app.txn(vec![], vec![write]).await.map_err(StepError::transient)?;
        std::io::Write::write_all(
            &mut std::io::stdout(),
            format!("\nmade {}\n", self.0).as_bytes(),
        )
        .unwrap();
        if std::env::var(STAND_STILL).is_ok_and(|step| step == self.0) {
            std::future::pending::<()>().await;
        }
        Ok(json!(self.0))
    }
}

fn announcing(store: &Arc<dyn Store>) -> JobEngine<Arc<dyn Store>> {
    let steps = STEPS.map(|name| Box::new(Announce(name)) as Box<dyn Step<Arc<dyn Store>>>);
    let definition = JobDefinition { kind: "announce", steps: steps.into() };
    let engine = JobEngine::new(Arc::new(StoreJobs(store.clone())), vec![definition]);
    engine.start(store.clone());
    engine
}

/// Not a test of its own: the process that the next test kills.
#[tokio::test]
async fn child_that_runs_a_job() {
    let Some(path) = std::env::var_os("DDM_TEST_JOB_STORE") else { return };
    let store: Arc<dyn Store> = SqliteStore::open(path.as_ref()).unwrap();
    let engine = announcing(&store);
    engine.recover().await.unwrap();
    engine.settle().await;
}

#[tokio::test]
async fn a_job_outlives_kill_nine_in_every_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let id = {
        let store: Arc<dyn Store> = SqliteStore::open(&path).unwrap();
        let new = NewJob { locks: vec!["thing".into()], ..NewJob::default() };
        let row = announcing(&store).new_row("announce", new).unwrap();
        let (conditions, writes) = creation(&row);
        store.txn(conditions, writes).await.unwrap();
        row.id
    };
    for step in STEPS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_runs_a_job", "--nocapture"])
            .env("DDM_TEST_JOB_STORE", &path)
            .env(STAND_STILL, step)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let mut made = Vec::new();
        for line in lines.map_while(Result::ok) {
            made.extend(line.strip_prefix("made ").map(str::to_owned));
            if made.last().is_some_and(|last| last == step) {
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success());
        // Each process repeats the step in which the one before was killed, and none before it.
        let at = STEPS.iter().position(|one| *one == step).unwrap();
        assert_eq!(made, STEPS[at.saturating_sub(1)..=at]);
    }
    let store: Arc<dyn Store> = SqliteStore::open(&path).unwrap();
    let engine = announcing(&store);
    engine.recover().await.unwrap();
    let row = engine.wait(&id).await.unwrap();
    assert_eq!((row.state.clone(), row.progress()), (JobState::Completed, 100));
    assert_eq!(row.outputs.keys().collect::<Vec<_>>(), STEPS);
    assert_eq!(store.list("made/").await.unwrap().0.len(), STEPS.len());
    let (left, _) = store.list("").await.unwrap();
    let beside = ["made/", "jobs-by-project/"];
    let job_keys =
        left.iter().filter(|entry| !beside.iter().any(|prefix| entry.key.starts_with(prefix)));
    assert_eq!(job_keys.map(|entry| &entry.key).collect::<Vec<_>>(), [&format!("jobs/{id}")]);
    assert!(store.list(LOCK_PREFIX).await.unwrap().0.is_empty());
}
