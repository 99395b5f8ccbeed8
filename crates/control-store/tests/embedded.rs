//! The embedded store: the conformity suite, and what is its own: a file that outlives kill -9, a
//! second process that is refused, a newer form that is refused, history that is bounded.
#![allow(clippy::unwrap_used)]

use control_store::embedded::SqliteStore;
use control_store::{Store, StoreError, TxnOutcome, Write, conformance};
use std::io::BufRead;
use std::process::{Command, Stdio};

fn put(key: String, value: &str) -> Write {
    Write::Put { key, value: value.into(), lease: None }
}

#[tokio::test]
async fn conforms() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("store.db")).unwrap();
    conformance::check(&*store).await;
}

/// Not a test of its own: the process that the next test kills.
#[tokio::test]
async fn child_that_commits_until_killed() {
    let Some(path) = std::env::var_os("DDM_TEST_STORE") else { return };
    let store = SqliteStore::open(path.as_ref()).unwrap();
    for i in 0.. {
        let outcome =
            store.txn(vec![], vec![put(format!("a/{i}"), "x"), put(format!("b/{i}"), "x")]).await;
        assert!(matches!(outcome, Ok(TxnOutcome::Committed(_))));
        // One line an acknowledged commit, past the test harness's capture.
        std::io::Write::write_all(&mut std::io::stdout(), format!("committed {i}\n").as_bytes())
            .unwrap();
    }
}

#[tokio::test]
async fn what_was_acknowledged_outlives_kill_nine() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let mut acknowledged = None;
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_commits_until_killed", "--nocapture"])
            .env("DDM_TEST_STORE", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let mut last = None;
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("committed ") {
                last = number.parse::<usize>().ok();
                if last == Some(40 * round) {
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        acknowledged = acknowledged.max(last);
        let store = SqliteStore::open(&path).unwrap();
        for i in 0..=acknowledged.unwrap() {
            for table in ["a", "b"] {
                assert!(
                    store.get(&format!("{table}/{i}")).await.unwrap().is_some(),
                    "{table}/{i} is lost"
                );
            }
        }
        let (a, _) = store.list("a/").await.unwrap();
        let (b, _) = store.list("b/").await.unwrap();
        assert_eq!(a.len(), b.len(), "a transaction is whole or not there");
    }
}

#[tokio::test]
async fn a_second_opening_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let first = SqliteStore::open(&path).unwrap();
    assert_eq!(SqliteStore::open(&path).unwrap_err(), StoreError::InUse { path: path.clone() });
    drop(first);
    SqliteStore::open(&path).unwrap();
}

#[tokio::test]
async fn a_newer_form_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    drop(SqliteStore::open(&path).unwrap());
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute("UPDATE meta SET value = 99 WHERE name = 'form'", []).unwrap();
    drop(file);
    let refused = SqliteStore::open(&path).unwrap_err();
    assert_eq!(refused, StoreError::NewerVersion { found: 99, supported: 2 });
}

#[tokio::test]
async fn revisions_and_history_go_on_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let before = {
        let store = SqliteStore::open(&path).unwrap();
        store.txn(vec![], vec![put("k".into(), "1")]).await.unwrap();
        store.revision().await.unwrap()
    };
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.revision().await, Ok(before));
    let mut watch = store.watch("k", 1).await.unwrap();
    assert_eq!(watch.next().await.unwrap().value.as_deref(), Some(&b"1"[..]));
    store.txn(vec![], vec![put("k".into(), "2")]).await.unwrap();
    assert_eq!(watch.next().await.unwrap().revision, before + 1);
}
