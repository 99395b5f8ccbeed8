//! What every form of the store must do. One suite runs on each of them.

use crate::error::StoreError;
use crate::store::{
    Condition, KEY_BYTES_MAX, KeyRange, Pages, RANGES_MAX, Store, TXN_OPERATIONS_MAX, TxnOutcome,
    VALUE_BYTES_MAX, WATCH_QUEUE_MAX, Write,
};
use std::time::Duration;

/// Runs all checks on an empty store; panics where one fails.
pub async fn check(store: &dyn Store) {
    reads_what_was_written(store).await;
    conditions_hold_or_nothing_is_written(store).await;
    one_of_two_writers_wins(store).await;
    prefixes_are_exact(store).await;
    pages_go_on_where_the_last_ended(store).await;
    slices_count_and_skip(store).await;
    many_ranges_are_one_question(store).await;
    the_last_write_of_a_key_counts(store).await;
    no_update_is_lost(store).await;
    what_is_beyond_the_limits_is_refused(store).await;
    watchers_see_every_change_in_order(store).await;
    watchers_may_begin_later(store).await;
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
        (entry.value.as_slice(), entry.create_revision, entry.mod_revision, entry.version),
        (&b"y"[..], first, second, 2)
    );
    commit(store, vec![], vec![Write::Delete { key: "a/1".into() }]).await;
    assert_eq!(store.get("a/1").await, Ok(None));
    assert_eq!(store.revision().await, Ok(second + 1));
    let again = commit(store, vec![], vec![put("a/1", "new")]).await;
    let entry = store.get("a/1").await.expect("reads").expect("is there");
    assert_eq!((entry.create_revision, entry.version), (again, 1), "it is another one");
}

async fn conditions_hold_or_nothing_is_written(store: &dyn Store) {
    let revision =
        commit(store, vec![Condition::Absent("b/1".into())], vec![put("b/1", "1")]).await;
    for condition in [
        Condition::Absent("b/1".into()),
        Condition::Present("b/none".into()),
        Condition::ModRevision("b/1".into(), revision - 1),
        Condition::ModRevision("b/none".into(), revision),
        Condition::Value("b/1".into(), b"other".to_vec()),
        Condition::Value("b/none".into(), vec![]),
    ] {
        let key = condition.key().to_owned();
        let outcome = store.txn(vec![condition], vec![put("b/1", "2"), put("b/2", "2")]).await;
        assert_eq!(outcome, Ok(TxnOutcome::Conflict { key }));
    }
    assert_eq!(store.get("b/2").await, Ok(None));
    let unchanged = Condition::ModRevision("b/1".into(), revision);
    let value = Condition::Value("b/1".into(), b"1".to_vec());
    let all = vec![unchanged, Condition::Present("b/1".into()), value];
    commit(store, all, vec![put("b/1", "3")]).await;
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

async fn pages_go_on_where_the_last_ended(store: &dyn Store) {
    let key = |at: usize| format!("page/{at:02}");
    let mut writes: Vec<Write> = (0..25).map(|at| put(&key(at), "")).collect();
    writes.extend([put("page", ""), put("page0", "")]);
    commit(store, vec![], writes).await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.page("page/", after.as_deref(), 10).await.expect("lists");
        assert!(page.entries.len() <= 10);
        seen.extend(page.entries.into_iter().map(|entry| entry.key));
        after = page.next_after;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..25).map(key).collect::<Vec<_>>());
    let mut pages = Pages::new(store, "page/");
    let mut count = 0;
    while let Some(entries) = pages.next().await.expect("lists") {
        count += entries.len();
    }
    assert_eq!(count, 25);
    let nothing = store.page("page/none", None, 10).await.expect("lists");
    assert_eq!((nothing.entries.len(), nothing.next_after), (0, None));
}

async fn slices_count_and_skip(store: &dyn Store) {
    let key = |at: usize| format!("slice/{at:02}");
    let mut writes: Vec<Write> = (0..25).map(|at| put(&key(at), "v")).collect();
    writes.extend([put("slice", ""), put("slice0", "")]);
    let revision = commit(store, vec![], writes).await;
    let all = KeyRange::prefix("slice/");
    // (offset, limit, the first, how many)
    let cases = [
        (0, 10, 0, 10),
        (20, 10, 20, 5),
        (24, 1, 24, 1),
        (25, 10, 0, 0),
        (0, 0, 0, 0),
        (u64::MAX, 9, 0, 0),
    ];
    for (offset, limit, first, count) in cases {
        let slice = store.slice(&all, offset, limit).await.expect("reads");
        assert_eq!((slice.total, slice.revision), (25, revision));
        let keys: Vec<String> = slice.entries.into_iter().map(|entry| entry.key).collect();
        assert_eq!(keys, (first..first + count).map(key).collect::<Vec<_>>(), "{offset}, {limit}");
    }
    let some = KeyRange { from: key(5), to: Some(key(8)) };
    let slice = store.slice(&some, 1, 10).await.expect("reads");
    assert_eq!((slice.total, slice.entries.len(), slice.entries[0].key.clone()), (3, 2, key(6)));
    assert_eq!(slice.entries[0].value, b"v");
    let rest = KeyRange { from: key(20), to: None };
    assert!(store.slice(&rest, 0, 10).await.expect("reads").total >= 6);
}

async fn many_ranges_are_one_question(store: &dyn Store) {
    commit(store, vec![], vec![put("many/1/a", "1"), put("many/1/b", "2"), put("many/2/a", "3")])
        .await;
    let asked = vec![
        KeyRange::prefix("many/1/"),
        KeyRange::key("many/2/a"),
        KeyRange::key("many/2/"),
        KeyRange::prefix("many/3/"),
    ];
    let answers = store.ranges(asked).await.expect("reads");
    let values: Vec<Vec<&[u8]>> = answers
        .iter()
        .map(|entries| entries.iter().map(|entry| entry.value.as_slice()).collect())
        .collect();
    let wanted: [Vec<&[u8]>; 4] = [vec![b"1", b"2"], vec![b"3"], vec![], vec![]];
    assert_eq!(values, wanted);
    let refused = store.ranges(vec![KeyRange::key("many/1/a"); RANGES_MAX + 1]).await;
    assert!(matches!(refused, Err(StoreError::TooManyRanges { .. })), "{refused:?}");
}

async fn the_last_write_of_a_key_counts(store: &dyn Store) {
    let delete = Write::Delete { key: "twice".into() };
    let revision =
        commit(store, vec![], vec![put("twice", "1"), delete.clone(), put("twice", "2")]).await;
    let entry = store.get("twice").await.expect("reads").expect("is there");
    assert_eq!((entry.value.as_slice(), entry.version), (&b"2"[..], 1));
    commit(store, vec![], vec![put("twice", "3"), delete]).await;
    let mut watch = store.watch("twice", revision).await.expect("watches");
    let changes = [watch.next().await.expect("goes on"), watch.next().await.expect("goes on")];
    assert_eq!(changes.map(|change| change.value), [Some(b"2".to_vec()), None]);
}

/// Many read, add one and write on condition that nobody has written: every addition is there.
async fn no_update_is_lost(store: &dyn Store) {
    const WRITERS: usize = 4;
    const ADDITIONS: usize = 10;
    commit(store, vec![], vec![put("sum", "0")]).await;
    let add = || async {
        for _ in 0..ADDITIONS {
            loop {
                let entry = store.get("sum").await.expect("reads").expect("is there");
                let number: usize =
                    String::from_utf8_lossy(&entry.value).parse().expect("is a number");
                let unchanged = Condition::ModRevision("sum".into(), entry.mod_revision);
                let write = put("sum", &(number + 1).to_string());
                match store.txn(vec![unchanged], vec![write]).await.expect("answers") {
                    TxnOutcome::Committed(_) => break,
                    TxnOutcome::Conflict { .. } => {}
                }
            }
        }
    };
    tokio::join!(add(), add(), add(), add());
    let entry = store.get("sum").await.expect("reads").expect("is there");
    assert_eq!(entry.value, (WRITERS * ADDITIONS).to_string().into_bytes());
}

async fn what_is_beyond_the_limits_is_refused(store: &dyn Store) {
    let before = store.revision().await;
    let big = Write::Put { key: "big".into(), value: vec![0; VALUE_BYTES_MAX + 1], lease: None };
    let long = put(&"k".repeat(KEY_BYTES_MAX + 1), "");
    for write in [big, long] {
        let refused = store.txn(vec![], vec![put("beside", ""), write]).await;
        assert!(matches!(refused, Err(StoreError::TooLarge { .. })), "{refused:?}");
    }
    let many = vec![put("beside", ""); TXN_OPERATIONS_MAX + 1];
    let refused = store.txn(vec![], many).await;
    assert!(matches!(refused, Err(StoreError::TooManyOperations { .. })), "{refused:?}");
    assert_eq!(store.get("beside").await, Ok(None));
    assert_eq!(store.revision().await, before);
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

async fn watchers_may_begin_later(store: &dyn Store) {
    let from = store.revision().await.expect("answers") + 2;
    let mut watch = store.watch("later/", from).await.expect("watches");
    commit(store, vec![], vec![put("later/1", "")]).await;
    commit(store, vec![], vec![put("later/2", "")]).await;
    let first = watch.next().await.expect("goes on");
    assert_eq!((first.revision, first.key.as_str()), (from, "later/2"));
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
