//! Jobs on the real store, with a small job of three steps put through the fault kit: what its steps
//! made is whole when it completed and gone when it failed, whatever happened meanwhile.
#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use control_store::embedded::SqliteStore;
use control_store::jobs::{LOCK_PREFIX, StoreJobs, creation, holder, purge};
use control_store::{Store, TxnOutcome, Write};
use job_engine::{JobDefinition, JobEngine, JobState, NewJob, Step, StepContext, StepError, kit};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

type App = Arc<dyn Store>;

/// Makes one key; idempotent, as steps are.
struct Make(&'static str);

#[async_trait]
impl Step<App> for Make {
    fn name(&self) -> &'static str {
        self.0
    }

    async fn run(&self, cx: &StepContext<'_, App>) -> Result<Value, StepError> {
        let before = match self.0 {
            "one" => 0,
            "two" => cx.output::<u32>("one")?,
            _ => cx.output::<u32>("two")?,
        };
        let write = Write::Put { key: format!("made/{}", self.0), value: vec![], lease: None };
        cx.app.txn(vec![], vec![write]).await.map_err(StepError::transient)?;
        Ok(json!(before + 1))
    }

    async fn undo(&self, cx: &StepContext<'_, App>) -> Result<(), StepError> {
        let write = Write::Delete { key: format!("made/{}", self.0) };
        cx.app.txn(vec![], vec![write]).await.map_err(StepError::transient).map(|_| ())
    }
}

fn definition() -> JobDefinition<App> {
    JobDefinition {
        kind: "make",
        steps: vec![Box::new(Make("one")), Box::new(Make("two")), Box::new(Make("three"))],
    }
}

fn new_job() -> NewJob {
    NewJob { project_id: "p".into(), locks: vec!["thing".into()], ..NewJob::default() }
}

async fn create(store: &dyn Store, engine: &JobEngine<App>) -> String {
    let row = engine.new_row("make", new_job()).unwrap();
    let (conditions, writes) = creation(&row);
    assert!(matches!(store.txn(conditions, writes).await, Ok(TxnOutcome::Committed(_))));
    row.id
}

#[tokio::test]
async fn every_fault_ends_whole_or_undone() {
    for fault in kit::faults(3) {
        let dir = tempfile::tempdir().unwrap();
        let store: App = SqliteStore::open(&dir.path().join("store.db")).unwrap();
        let jobs = Arc::new(StoreJobs(store.clone()));
        let creator = store.clone();
        let row = kit::run(jobs, store.clone(), definition, fault, |engine| async move {
            create(&*creator, &engine).await
        })
        .await;
        kit::assert_ended(&row, fault);
        let (made, _) = store.list("made/").await.unwrap();
        assert_eq!(made.len(), if kit::completes(fault) { 3 } else { 0 }, "under {fault:?}");
        let (locks, _) = store.list(LOCK_PREFIX).await.unwrap();
        assert!(locks.is_empty(), "under {fault:?}");
        assert!(row.ended_ms.is_some());
        assert_eq!(row.progress(), if kit::completes(fault) { 100 } else { 0 });
    }
}

#[tokio::test]
async fn two_jobs_never_work_on_one_object() {
    let dir = tempfile::tempdir().unwrap();
    let store: App = SqliteStore::open(&dir.path().join("store.db")).unwrap();
    let engine = JobEngine::new(Arc::new(StoreJobs(store.clone())), vec![definition()]);
    engine.start(store.clone());
    let first = create(&*store, &engine).await;
    let second = engine.new_row("make", new_job()).unwrap();
    let (conditions, writes) = creation(&second);
    let refused = store.txn(conditions.clone(), writes.clone()).await;
    assert_eq!(refused, Ok(TxnOutcome::Conflict { key: "locks/thing".into() }));
    assert_eq!(holder(&*store, "thing").await, Ok(Some(first.clone())));
    engine.launch(&first);
    assert_eq!(engine.wait(&first).await.unwrap().state, JobState::Completed);
    assert!(matches!(store.txn(conditions, writes).await, Ok(TxnOutcome::Committed(_))));
}

/// Fails transiently some times, then succeeds.
struct Flaky(AtomicU32);

#[async_trait]
impl Step<App> for Flaky {
    fn name(&self) -> &'static str {
        "flaky"
    }

    async fn run(&self, _cx: &StepContext<'_, App>) -> Result<Value, StepError> {
        match self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Err(StepError::transient("not yet")),
            Err(_) => Ok(Value::Null),
        }
    }
}

#[tokio::test]
async fn a_transient_failure_is_tried_again_within_a_bound() {
    for (failures, ends) in [(2, JobState::Completed), (u32::MAX, JobState::Failed)] {
        if failures == u32::MAX {
            tokio::time::pause();
        }
        let dir = tempfile::tempdir().unwrap();
        let store: App = SqliteStore::open(&dir.path().join("store.db")).unwrap();
        let steps: Vec<Box<dyn Step<App>>> = vec![Box::new(Flaky(AtomicU32::new(failures)))];
        let engine = JobEngine::new(
            Arc::new(StoreJobs(store.clone())),
            vec![JobDefinition { kind: "make", steps }],
        );
        engine.start(store.clone());
        let id = create(&*store, &engine).await;
        engine.launch(&id);
        assert_eq!(engine.wait(&id).await.unwrap().state, ends);
    }
}

#[tokio::test]
async fn old_jobs_are_purged() {
    let dir = tempfile::tempdir().unwrap();
    let store: App = SqliteStore::open(&dir.path().join("store.db")).unwrap();
    let engine = JobEngine::new(Arc::new(StoreJobs(store.clone())), vec![definition()]);
    engine.start(store.clone());
    let id = create(&*store, &engine).await;
    assert_eq!(purge(&*store, u64::MAX).await, Ok(0), "a running job stays");
    engine.launch(&id);
    engine.wait(&id).await.unwrap();
    assert_eq!(purge(&*store, 0).await, Ok(0));
    assert_eq!(purge(&*store, u64::MAX).await, Ok(1));
}
