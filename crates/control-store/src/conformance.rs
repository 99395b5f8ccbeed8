//! What every form of the store must do. One suite runs on each of them.

use crate::error::StoreError;
use crate::store::{Condition, Store, TxnOutcome, WATCH_QUEUE_MAX, Write};
use std::time::Duration;

/// Runs all checks on an empty store; panics where one fails.
pub async fn check(store: &dyn Store) {
    reads_what_was_written(store).await;
    conditions_hold_or_nothing_is_written(store).await;
    one_of_two_writers_wins(store).await;
    prefixes_are_exact(store).await;
    watchers_see_every_change_in_order(store).await;
    slow_watchers_are_told(store).await;
    leases_end(store).await;
}

fn put(key: &str, value: &str) -> Write {
    Write::Put { key: key.into(), value: value.into(), lease: None }
}

async fn commit(store: &dyn Store, conditions: Vec<Condition>, writes: Vec<Write>) -> u64 {
    match store.txn(conditions, writes).await {
        Ok(TxnOutcome::Committed(revision)) => revision,
        other => panic!("expected a commit, got {other:?}"),
    }
}

async fn reads_what_was_written(store: &dyn Store) {
    assert_eq!(store.get("a/1").await, Ok(None));
    let first = commit(store, vec![], vec![put("a/1", "x")]).await;
    let second = commit(store, vec![], vec![put("a/1", "y"), put("a/2", "z")]).await;
    assert_eq!(second, first + 1);
    let entry = store.get("a/1").await.expect("reads").expect("is there");
    assert_eq!(
        (entry.value.as_slice(), entry.create_revision, entry.mod_revision),
        (&b"y"[..], first, second)
    );
    commit(store, vec![], vec![Write::Delete { key: "a/1".into() }]).await;
    assert_eq!(store.get("a/1").await, Ok(None));
    assert_eq!(store.revision().await, Ok(second + 1));
}

async fn conditions_hold_or_nothing_is_written(store: &dyn Store) {
    let revision =
        commit(store, vec![Condition::Absent("b/1".into())], vec![put("b/1", "1")]).await;
    for condition in [
        Condition::Absent("b/1".into()),
        Condition::Present("b/none".into()),
        Condition::ModRevision("b/1".into(), revision - 1),
        Condition::ModRevision("b/none".into(), revision),
    ] {
        let key = condition.key().to_owned();
        let outcome = store.txn(vec![condition], vec![put("b/1", "2"), put("b/2", "2")]).await;
        assert_eq!(outcome, Ok(TxnOutcome::Conflict { key }));
    }
    assert_eq!(store.get("b/2").await, Ok(None));
    let unchanged = Condition::ModRevision("b/1".into(), revision);
    commit(store, vec![unchanged, Condition::Present("b/1".into())], vec![put("b/1", "3")]).await;
}

async fn one_of_two_writers_wins(store: &dyn Store) {
    let race =
        |value: &'static str| store.txn(vec![Condition::Absent("c".into())], vec![put("c", value)]);
    let (left, right) = tokio::join!(race("left"), race("right"));
    let committed =
        [left, right].iter().filter(|one| matches!(one, Ok(TxnOutcome::Committed(_)))).count();
    assert_eq!(committed, 1);
}

async fn prefixes_are_exact(store: &dyn Store) {
    commit(
        store,
        vec![],
        vec![put("d/1", ""), put("d/2", ""), put("d", ""), put("e/1", ""), put("d%", "")],
    )
    .await;
    let (entries, _) = store.list("d/").await.expect("lists");
    let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["d/1", "d/2"]);
}

async fn watchers_see_every_change_in_order(store: &dyn Store) {
    let first = commit(store, vec![], vec![put("w/1", "old")]).await;
    let mut watch = store.watch("w/", first).await.expect("watches");
    commit(store, vec![], vec![put("w/2", "new"), put("elsewhere", "")]).await;
    commit(store, vec![], vec![Write::Delete { key: "w/1".into() }]).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let change = tokio::time::timeout(Duration::from_secs(5), watch.next())
            .await
            .expect("comes")
            .expect("goes on");
        seen.push((
            change.key,
            change.value.map(|value| String::from_utf8_lossy(&value).into_owned()),
        ));
    }
    let wanted = [("w/1", Some("old")), ("w/2", Some("new")), ("w/1", None)];
    assert_eq!(seen, wanted.map(|(key, value)| (key.to_owned(), value.map(str::to_owned))));
}

async fn slow_watchers_are_told(store: &dyn Store) {
    let from = store.revision().await.expect("answers") + 1;
    let mut watch = store.watch("slow/", from).await.expect("watches");
    let writes =
        |at: usize| (0..100).map(move |i| put(&format!("slow/{at}/{i}"), "")).collect::<Vec<_>>();
    for at in 0..=WATCH_QUEUE_MAX / 100 {
        commit(store, vec![], writes(at)).await;
    }
    let mut seen = 0;
    let end = loop {
        match watch.next().await {
            Ok(_) => seen += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(end, StoreError::Lagged);
    assert!(seen <= WATCH_QUEUE_MAX);
}

async fn leases_end(store: &dyn Store) {
    let lease = store.lease_grant(Duration::from_millis(400)).await.expect("grants");
    let from = commit(
        store,
        vec![],
        vec![Write::Put { key: "l/1".into(), value: vec![], lease: Some(lease) }],
    )
    .await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        store.lease_keep_alive(lease).await.expect("lives");
    }
    assert!(store.get("l/1").await.expect("reads").is_some());
    let mut watch = store.watch("l/", from + 1).await.expect("watches");
    let gone = tokio::time::timeout(Duration::from_secs(5), watch.next())
        .await
        .expect("ends")
        .expect("goes on");
    assert_eq!((gone.key.as_str(), gone.value), ("l/1", None));
    assert_eq!(store.lease_keep_alive(lease).await, Err(StoreError::NoSuchLease));
    let other = store.lease_grant(Duration::from_secs(60)).await.expect("grants");
    commit(
        store,
        vec![],
        vec![Write::Put { key: "l/2".into(), value: vec![], lease: Some(other) }],
    )
    .await;
    store.lease_revoke(other).await.expect("ends");
    assert_eq!(store.get("l/2").await, Ok(None));
}
