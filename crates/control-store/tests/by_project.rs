//! The lists of a project's objects: exactly its own, the newest first, through everything that makes
//! and removes them, and for stores that were written before there were such lists.
#![allow(clippy::unwrap_used)]

use control_store::by_project::{self, OfProject};
use control_store::embedded::SqliteStore;
use control_store::jobs::{StoreJobs, creation, purge};
use control_store::{Store, typed};
use job_engine::{JobDefinition, JobEngine, JobRow, JobState, JobStore, NewJob, StoredJob};
use std::sync::Arc;

fn row(engine: &JobEngine<()>, project: &str, created_ms: u64) -> JobRow {
    let new = NewJob { project_id: project.into(), ..NewJob::default() };
    JobRow { created_ms, ..engine.new_row("nothing", new).unwrap() }
}

async fn world() -> (tempfile::TempDir, Arc<dyn Store>, JobEngine<()>) {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = SqliteStore::open(&directory.path().join("store.db")).unwrap();
    let nothing = JobDefinition { kind: "nothing", steps: vec![] };
    let engine = JobEngine::new(Arc::new(StoreJobs(store.clone())), vec![nothing]);
    (directory, store, engine)
}

#[tokio::test]
async fn a_list_is_its_projects_and_its_times() {
    let (_directory, store, engine) = world().await;
    for (project, created) in [("p", 10), ("p", 30), ("q", 20), ("p", 20), ("pp", 25), ("p", 40)] {
        let (conditions, writes) = creation(&row(&engine, project, created));
        store.txn(conditions, writes).await.unwrap();
    }
    let times = async |range, offset, limit| {
        let listed = by_project::list::<JobRow>(&*store, &range, offset, limit).await.unwrap();
        let times = listed.rows.iter().map(|row| row.value.created_ms).collect::<Vec<_>>();
        (times, listed.total)
    };
    let all = by_project::all::<JobRow>("p");
    assert_eq!(times(all.clone(), 0, 10).await, (vec![40, 30, 20, 10], 4));
    assert_eq!(times(all, 1, 2).await, (vec![30, 20], 4));
    let some = |first, last| by_project::made_between::<JobRow>("p", first, last);
    assert_eq!(times(some(20, 30), 0, 10).await, (vec![30, 20], 2));
    assert_eq!(times(some(21, 29), 0, 10).await, (vec![], 0));
    assert_eq!(times(some(0, u64::MAX), 3, 10).await, (vec![10], 4));
    assert_eq!(by_project::count::<JobRow>(&*store, "q").await, Ok(1));
    assert_eq!(by_project::count::<JobRow>(&*store, "none").await, Ok(0));
}

#[tokio::test]
async fn what_is_purged_is_listed_no_more() {
    let (_directory, store, engine) = world().await;
    let (conditions, writes) = creation(&row(&engine, "p", 10));
    store.txn(conditions, writes).await.unwrap();
    let jobs = StoreJobs(store.clone());
    let id = jobs.unfinished().await.unwrap().remove(0);
    let StoredJob { row, revision } = jobs.load(&id).await.unwrap().unwrap();
    let ended = JobRow { state: JobState::Completed, ended_ms: Some(11), ..row };
    jobs.save(&StoredJob { row: ended, revision }).await.unwrap();
    assert_eq!(by_project::count::<JobRow>(&*store, "p").await, Ok(1));
    assert_eq!(purge(&*store, 12).await, Ok(1));
    assert_eq!(by_project::count::<JobRow>(&*store, "p").await, Ok(0));
    assert_eq!(store.list("").await.unwrap().0, []);
}

#[tokio::test]
async fn an_older_store_gets_its_lists_once() {
    let (_directory, store, engine) = world().await;
    let rows: Vec<JobRow> = (1..=3).map(|created| row(&engine, "p", created)).collect();
    store.txn(vec![], rows.iter().map(typed::put).collect()).await.unwrap();
    assert_eq!(by_project::count::<JobRow>(&*store, "p").await, Ok(0));
    by_project::build::<JobRow>(&*store).await.unwrap();
    assert_eq!(by_project::count::<JobRow>(&*store, "p").await, Ok(3));
    let revision = store.revision().await;
    by_project::build::<JobRow>(&*store).await.unwrap();
    assert_eq!(store.revision().await, revision, "the second time there is nothing to do");
    assert!(rows[0].index_key().starts_with("jobs-by-project/p/ffff"));
}
