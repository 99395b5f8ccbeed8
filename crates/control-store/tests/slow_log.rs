//! The store of slow statements: windows, pages, templates, bounds, and that nothing is kept twice.
#![allow(clippy::unwrap_used)]

use base::id::{InstanceId, NodeId};
use control_store::slow_log::{Bounds, SlowLogStore, SqliteSlowLog, TemplateOrder, Window};
use std::sync::Arc;
use topology::slow_query::SlowQuery;

fn query(number: u64, started_ms: i64, milliseconds: u64, digest: &str) -> SlowQuery {
    SlowQuery {
        number,
        user: "root".to_owned(),
        schema: "shop".to_owned(),
        text: format!("SELECT {number}"),
        digest: digest.to_owned(),
        started_ms,
        milliseconds,
        shards: vec!["shop_0000".to_owned(), "shop_0001".to_owned()],
        rows_examined: number * 10,
        rows_returned: number,
        client: "127.0.0.1".to_owned(),
    }
}

fn open(dir: &tempfile::TempDir, bounds: Bounds) -> Arc<SqliteSlowLog> {
    SqliteSlowLog::open_with(&dir.path().join("slow.db"), bounds).unwrap()
}

fn window(instance: &InstanceId, from_ms: i64, to_ms: i64) -> Window {
    Window { instance: instance.clone(), from_ms, to_ms, offset: 0, limit: 100 }
}

async fn numbers(log: &SqliteSlowLog, window: Window) -> (Vec<u64>, u64) {
    let found = log.list(window).await.unwrap();
    (found.rows.into_iter().map(|row| row.query.number).collect(), found.total)
}

#[tokio::test]
async fn a_window_is_paged_from_the_newest_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other, node) = (InstanceId::random(), InstanceId::random(), NodeId::random());
    let log = open(&dir, Bounds::default());
    let all: Vec<SlowQuery> = (1..=5).map(|n| query(n, n as i64 * 100, 1_000 + n, "d")).collect();
    log.insert(&one, &node, all.clone()).await.unwrap();
    log.insert(&other, &NodeId::random(), vec![query(1, 300, 1, "d")]).await.unwrap();
    // Sent again because the answer was lost.
    log.insert(&one, &node, all.clone()).await.unwrap();
    assert_eq!(numbers(&log, window(&one, 200, 400)).await, (vec![4, 3, 2], 3));
    let page = Window { offset: 1, limit: 1, ..window(&one, 200, 400) };
    assert_eq!(numbers(&log, page).await, (vec![3], 3));
    drop(log);
    let log = open(&dir, Bounds::default());
    let found = log.list(window(&one, 500, 500)).await.unwrap();
    assert_eq!(found.rows[0].query, all[4]);
    assert_eq!(found.rows[0].node, node);
    assert_eq!(log.purge(300).await.unwrap(), 2);
    assert_eq!(numbers(&log, window(&one, 0, i64::MAX)).await, (vec![5, 4, 3], 3));
    assert_eq!(log.forget(&one).await.unwrap(), 3);
    assert_eq!(log.forget(&one).await.unwrap(), 0);
    assert_eq!(numbers(&log, window(&one, 0, i64::MAX)).await, (vec![], 0));
    assert_eq!(numbers(&log, window(&other, 0, i64::MAX)).await.1, 1);
}

#[tokio::test]
async fn the_oldest_go_when_there_are_too_many_or_they_are_too_long() {
    let dir = tempfile::tempdir().unwrap();
    let (instance, node) = (InstanceId::random(), NodeId::random());
    let log = open(&dir, Bounds { rows: 10, bytes: 1_000_000 });
    let mut evicted = 0;
    for n in 1..=25 {
        let inserted =
            log.insert(&instance, &node, vec![query(n, n as i64, 1, "d")]).await.unwrap();
        evicted += inserted.evicted;
    }
    assert_eq!(evicted, 15);
    let (kept, total) = numbers(&log, window(&instance, 0, 100)).await;
    assert_eq!((kept, total), ((16..=25).rev().collect(), 10));
    drop(log);
    let log = open(&dir, Bounds { rows: 10, bytes: 3_000 });
    let long = SlowQuery { text: "x".repeat(2_500), ..query(26, 26, 1, "d") };
    log.insert(&instance, &node, vec![long]).await.unwrap();
    let (kept, _) = numbers(&log, window(&instance, 0, 100)).await;
    assert!(kept.len() <= 3 && kept[0] == 26, "{kept:?}");
}

#[tokio::test]
async fn templates_sum_up_what_differs_in_literals_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (instance, node) = (InstanceId::random(), NodeId::random());
    let log = open(&dir, Bounds::default());
    let all = vec![
        query(1, 100, 5_000, "a"),
        query(2, 200, 1_000, "b"),
        query(3, 300, 1_500, "b"),
        query(4, 400, 9_000, "a"),
        query(5, 900, 9_000, "c"),
        SlowQuery { schema: "other".to_owned(), ..query(6, 350, 100, "b") },
    ];
    log.insert(&instance, &node, all).await.unwrap();
    let ordered = async |order, ascending| {
        let found = log.templates(window(&instance, 0, 500), order, ascending).await.unwrap();
        assert_eq!(found.total, 3);
        found.rows
    };
    let rows = ordered(TemplateOrder::TimeSum, false).await;
    let first = &rows[0];
    assert_eq!(
        (first.sample.as_str(), first.times, first.time_sum, first.time_max),
        ("SELECT 4", 2, 14_000, 9_000)
    );
    assert_eq!((first.rows_sum, first.rows_max), (50, 40));
    assert_eq!(rows[1].sample, "SELECT 3", "the slowest is the sample");
    assert_eq!(ordered(TemplateOrder::TimeAverage, true).await[0].schema, "other");
    assert_eq!(ordered(TemplateOrder::RowsMax, false).await[0].rows_max, 60);
    assert_eq!(ordered(TemplateOrder::Times, true).await[0].times, 1);
    let page = Window { offset: 2, limit: 1, ..window(&instance, 0, 500) };
    let last = log.templates(page, TemplateOrder::TimeSum, false).await.unwrap();
    assert_eq!((last.rows.len(), last.total), (1, 3));
}
