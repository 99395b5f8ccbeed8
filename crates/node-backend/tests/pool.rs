//! Pools against a real server: bounds, what comes back and what does not, servers that go away.
#![allow(clippy::unwrap_used)]

mod support;

use base::backoff::Backoff;
use node_backend::{BackendError, Pool, PoolOptions, PoolStats, SessionState};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Server, one};
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

fn pool(server: &Server, options: PoolOptions) -> Pool {
    Pool::new(Arc::new(server.options()), options)
}

fn stats(open: usize, idle: usize, in_use: usize, waiting: usize) -> PoolStats {
    PoolStats { open, idle, in_use, waiting }
}

#[tokio::test]
async fn everything_on_one_server() {
    let mut server = Server::start().await;
    LocalSet::new()
        .run_until(async {
            bounds(&server).await;
            returns(&server).await;
            states(&server).await;
            maintenance(&server).await;
            dead_connections(&server).await;
            health(&server).await;
            outages(&mut server).await;
            hangs(&server).await;
        })
        .await;
}

async fn bounds(server: &Server) {
    let acquire_timeout = Duration::from_millis(300);
    let pool = pool(
        server,
        PoolOptions { max_connections: 2, acquire_timeout, waiting_max: 3, ..Default::default() },
    );
    let one = pool.acquire().await.unwrap();
    let two = pool.acquire().await.unwrap();
    assert!(one.is_fresh() && one.thread_id() != two.thread_id());
    assert_eq!(pool.stats(), stats(2, 0, 2, 0));
    let started = Instant::now();
    match pool.acquire().await {
        Err(BackendError::PoolExhausted { limit: 2, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() >= acquire_timeout);
    // Waiting callers get connections in order, and no more of them wait than may.
    let order = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let mut tasks = Vec::new();
    for number in 0..4 {
        let (pool, order) = (pool.clone(), order.clone());
        tasks.push(tokio::task::spawn_local(async move {
            let lease = pool.acquire().await;
            order.borrow_mut().push((number, lease.is_ok()));
            sleep(Duration::from_millis(20)).await;
        }));
        tokio::task::yield_now().await;
    }
    assert_eq!(pool.stats().waiting, 3);
    let id = one.thread_id();
    drop(one);
    two.discard();
    for task in tasks {
        task.await.unwrap();
    }
    let mut got = order.borrow().clone();
    assert_eq!(got.remove(0), (3, false));
    got.sort_unstable();
    assert_eq!(got, [(0, true), (1, true), (2, true)]);
    assert!(pool.stats().idle <= 2 && pool.stats().waiting == 0 && pool.stats().in_use == 0);
    // A caller that goes away while it waits takes nothing with it.
    let (a, b) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    assert!(a.thread_id() == id || b.thread_id() == id);
    assert!(timeout(Duration::from_millis(20), pool.acquire()).await.is_err());
    drop((a, b));
    assert_eq!(pool.stats(), stats(2, 2, 0, 0));
    // A greater bound lets those in who wait.
    let (a, b) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    let waiting = tokio::task::spawn_local({
        let pool = pool.clone();
        async move { pool.acquire().await.map(drop) }
    });
    tokio::task::yield_now().await;
    pool.set_options(PoolOptions { max_connections: 3, ..pool.options() });
    waiting.await.unwrap().unwrap();
    pool.set_options(PoolOptions { max_connections: 2, ..pool.options() });
    drop((a, b));
    assert_eq!(pool.stats(), stats(2, 2, 0, 0));
    // A smaller bound takes hold as connections come back.
    let (a, b) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    pool.set_options(PoolOptions { max_connections: 1, ..pool.options() });
    drop((a, b));
    assert_eq!(pool.stats(), stats(1, 1, 0, 0));
    pool.close();
    assert_eq!(pool.stats(), stats(0, 0, 0, 0));
    assert!(matches!(pool.acquire().await, Err(BackendError::Closed { .. })));
}

/// A connection on which something is half done is closed; one that can be cleaned comes back.
async fn returns(server: &Server) {
    let pool = pool(server, PoolOptions::default());
    let mut lease = pool.acquire().await.unwrap();
    lease.query_stream(b"SELECT seq FROM seq_1_to_10").await.unwrap();
    drop(lease);
    assert_eq!(pool.stats().open, 0, "half-read");
    let mut lease = pool.acquire().await.unwrap();
    lease.execute_sql(b"BEGIN").await.unwrap();
    drop(lease);
    assert_eq!(pool.stats().open, 0, "in a transaction");
    let mut lease = pool.acquire().await.unwrap();
    assert!(timeout(Duration::from_millis(50), lease.query(b"SELECT SLEEP(2)")).await.is_err());
    drop(lease);
    assert_eq!(pool.stats().open, 0, "dropped in the middle");
    let mut lease = pool.acquire().await.unwrap();
    let id = lease.thread_id();
    lease.execute_sql(b"BEGIN").await.unwrap();
    lease.query_stream(b"SELECT seq FROM seq_1_to_10").await.unwrap();
    lease.release().await;
    assert_eq!(pool.stats(), stats(1, 1, 0, 0));
    let mut lease = pool.acquire().await.unwrap();
    assert_eq!((lease.thread_id(), lease.in_transaction(), lease.is_fresh()), (id, false, false));
    assert_eq!(one(&mut lease, "SELECT 7").await, "7");
    lease.queue_query(b"SELECT SLEEP(5)");
    lease.flush().await.unwrap();
    lease.release().await;
    assert_eq!(pool.stats().open, 0, "it took too long to drain");
}

async fn states(server: &Server) {
    let pool = pool(server, PoolOptions::default());
    let red = Arc::new(SessionState::default().with("@color", "'red'"));
    let blue = Arc::new(SessionState::default().with("@color", "'blue'"));
    let (a, b) = (pool.acquire_for(&red).await.unwrap(), pool.acquire_for(&blue).await.unwrap());
    let (red_id, blue_id) = (a.thread_id(), b.thread_id());
    drop((a, b));
    for _ in 0..3 {
        // Each finds the connection that has its state already.
        let mut lease = pool.acquire_for(&red).await.unwrap();
        assert_eq!(lease.thread_id(), red_id);
        assert_eq!(one(&mut lease, "SELECT @color").await, "red");
        let lease = pool.acquire_for(&blue).await.unwrap();
        assert_eq!(lease.thread_id(), blue_id);
    }
    let mut lease = pool.acquire_for(&red).await.unwrap();
    lease.execute_sql(b"SET @more = 1").await.unwrap();
    lease.mark_dirty();
    drop(lease);
    for _ in 0..2 {
        let mut lease = pool.acquire().await.unwrap();
        assert_eq!(one(&mut lease, "SELECT IFNULL(@more, 'none')").await, "none");
        drop(lease);
        let mut lease = pool.acquire_for(&red).await.unwrap();
        assert_eq!(
            one(&mut lease, "SELECT CONCAT(@color, IFNULL(@more, 'none'))").await,
            "rednone"
        );
    }
}

async fn maintenance(server: &Server) {
    let idle_timeout = Duration::from_millis(50);
    let pool = pool(server, PoolOptions { min_open: 2, idle_timeout, ..Default::default() });
    pool.maintain().await;
    assert_eq!(pool.stats(), stats(2, 2, 0, 0));
    let leases = [
        pool.acquire().await.unwrap(),
        pool.acquire().await.unwrap(),
        pool.acquire().await.unwrap(),
        pool.acquire().await.unwrap(),
    ];
    drop(leases);
    assert_eq!(pool.stats(), stats(4, 4, 0, 0));
    pool.maintain().await;
    assert_eq!(pool.stats().idle, 4);
    sleep(idle_timeout * 2).await;
    pool.maintain().await;
    assert_eq!(pool.stats(), stats(2, 2, 0, 0));
}

async fn dead_connections(server: &Server) {
    let pool = pool(server, PoolOptions::default());
    let (a, b) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    let ids = [a.thread_id(), b.thread_id()];
    drop((a, b));
    for id in ids {
        node_backend::kill(&server.options(), id, node_backend::KillTarget::Connection)
            .await
            .unwrap();
    }
    sleep(Duration::from_millis(50)).await;
    let mut lease = pool.acquire().await.unwrap();
    assert!(lease.is_fresh());
    assert_eq!(one(&mut lease, "SELECT 1").await, "1");
    assert_eq!(pool.stats(), stats(1, 0, 1, 0));
    // A lease whose connection dies while it is held can get another in its place.
    let id = lease.thread_id();
    node_backend::kill(&server.options(), id, node_backend::KillTarget::Connection).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    assert!(lease.query(b"SELECT 1").await.is_err());
    let mut lease = lease.reconnect().await.unwrap();
    assert!(lease.thread_id() != id && lease.is_fresh());
    assert_eq!(one(&mut lease, "SELECT 1").await, "1");
    assert_eq!(pool.stats(), stats(1, 0, 1, 0));
    // With a ping before each use, a connection that only seems to be there is found out too.
    pool.set_options(PoolOptions { validate_after: Duration::ZERO, ..pool.options() });
    drop(lease);
    sleep(Duration::from_millis(10)).await;
    assert!(!pool.acquire().await.unwrap().is_fresh());
}

async fn health(server: &Server) {
    let mut connection = server.connect().await;
    let health = node_backend::probe(&mut connection).await.unwrap().health;
    assert!(!health.read_only && !health.is_replica && !health.runs && health.lag.is_none());
    assert!(health.connections_max.is_some_and(|most| most > 10));
    assert!(health.unfit(Duration::from_secs(7_200)).is_some(), "it is no replica");
}

/// A server that is away fails callers fast, is tried again by one at a time, and is found again.
async fn outages(server: &mut Server) {
    let down_backoff =
        Backoff { first: Duration::from_millis(200), most: Duration::from_millis(400) };
    let pool = pool(server, PoolOptions { down_backoff, ..Default::default() });
    drop(pool.acquire().await.unwrap());
    server.stop();
    sleep(Duration::from_millis(20)).await;
    assert!(matches!(pool.acquire().await, Err(BackendError::Unreachable { .. })));
    assert!(pool.is_down());
    let started = Instant::now();
    let error = pool.acquire().await.unwrap_err();
    assert!(
        matches!(&error, BackendError::Down { reason, .. } if reason.contains("refused")),
        "{error}"
    );
    assert!(started.elapsed() < Duration::from_millis(50) && error.is_unreachable());
    sleep(Duration::from_millis(250)).await;
    assert!(
        matches!(pool.acquire().await, Err(BackendError::Unreachable { .. })),
        "it is tried again"
    );
    assert!(matches!(pool.acquire().await, Err(BackendError::Down { .. })));
    assert_eq!(pool.stats(), stats(0, 0, 0, 0));
    server.run().await;
    sleep(Duration::from_millis(450)).await;
    let mut lease = pool.acquire().await.unwrap();
    assert_eq!(one(&mut lease, "SELECT 1").await, "1");
    assert!(!pool.is_down());
}

/// A server that hangs is found out by time limits, and a half-open try lets others fail fast.
async fn hangs(server: &Server) {
    let mut options = server.options();
    options.connect_timeout = Duration::from_millis(300);
    let down_backoff =
        Backoff { first: Duration::from_millis(10), most: Duration::from_millis(10) };
    let pool = Pool::new(Arc::new(options), PoolOptions { down_backoff, ..Default::default() });
    server.signal(rustix::process::Signal::STOP);
    let first = pool.acquire().await;
    sleep(Duration::from_millis(20)).await;
    let probing = tokio::task::spawn_local({
        let pool = pool.clone();
        async move { pool.acquire().await.map(|_| ()) }
    });
    tokio::task::yield_now().await;
    let started = Instant::now();
    let meanwhile = pool.acquire().await;
    let waited = started.elapsed();
    let probed = probing.await.unwrap();
    server.signal(rustix::process::Signal::CONT);
    assert!(matches!(first, Err(BackendError::Timeout { .. })), "{first:?}");
    assert!(matches!(probed, Err(BackendError::Timeout { .. })), "{probed:?}");
    assert!(matches!(meanwhile, Err(BackendError::Down { .. })), "{meanwhile:?}");
    assert!(waited < Duration::from_millis(100));
    sleep(Duration::from_millis(50)).await;
    assert!(pool.acquire().await.is_ok());
}
