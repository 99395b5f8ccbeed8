//! A replica that hangs while it is read: soon nobody reads it, what waits for it is read elsewhere
//! where that is safe, and it is read again when it answers.
#![allow(clippy::unwrap_used)]

mod support;

use base::id::DataNodeId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{Client, Server, System, wait_for};
use topology::model::Replica;

/// A replica that hangs takes no reads after this.
const LEFT_WITHIN: Duration = Duration::from_secs(5);

/// From then on nobody waits; machines that run tests may be slow.
const AT_ONCE: Duration = Duration::from_millis(2_500);

const SESSIONS: u32 = 32;

const WHO: &str = "SELECT name FROM who WHERE id = 0";

/// A statement with its begin and its time.
type Read = (Instant, Duration);

async fn world() -> (System, Server) {
    let primary = Server::make_with(&["--log-bin=binlog", "--server-id=1"]);
    let replica = Server::make_with(&["--skip-log-bin", "--server-id=2", "--read-only=ON"]);
    let mut direct = Client(replica.ready().await);
    direct.replicate(primary.port).await;
    let system = System::start_on(vec![primary], 2, |_| {}).await;
    let mut app = system.client().await;
    app.ok("CREATE TABLE who (id INT PRIMARY KEY, name VARCHAR(10)) DBPARTITION BY MOD_HASH(id)")
        .await;
    app.ok("INSERT INTO who VALUES (0, 'primary'), (1, 'primary')").await;
    wait_for("the rows", async || {
        direct
            .run("UPDATE shop_0000.who SET name = 'replica'")
            .await
            .is_ok_and(|done| done == ["ok 1 0"])
    })
    .await;
    let port = replica.port;
    system.control.change(|snapshot| {
        let node = snapshot.data_nodes.values_mut().next().unwrap();
        node.read_weight = 0;
        node.replicas = vec![Replica {
            id: DataNodeId::from_random([101; 16]),
            host: "127.0.0.1".into(),
            port,
            read_weight: 100,
        }];
    });
    wait_for("it is read", async || app.ok(WHO).await == ["replica"]).await;
    (system, replica)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_waits_for_it_is_read_elsewhere() {
    let (system, replica) = world().await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        let (mut client, stop) = (system.client().await, stop.clone());
        sessions.push(tokio::spawn(async move {
            let mut reads: Vec<Read> = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                match number % 4 {
                    0 => assert_eq!(client.ok("SELECT COUNT(*) FROM who").await, ["2"]),
                    1 => assert_eq!(client.ok("SELECT id FROM who ORDER BY id").await, ["0", "1"]),
                    _ => assert_eq!(client.ok(WHO).await.len(), 1),
                }
                reads.push((began, began.elapsed()));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            reads
        }));
    }
    // One has read there already in its transaction: it cannot go on elsewhere.
    let mut reader = system.client().await;
    reader.ok("BEGIN").await;
    assert_eq!(reader.ok(WHO).await, ["replica"]);
    // One waits for an answer that is long in coming.
    let mut slow = system.client().await;
    let slow =
        tokio::spawn(async move { slow.ok("SELECT name, SLEEP(2) FROM who WHERE id = 0").await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    replica.freeze();
    let hangs = Instant::now();
    let in_transaction = tokio::spawn(async move {
        let error = reader.run(WHO).await.unwrap_err();
        let ended = hangs.elapsed();
        (error, ended, reader)
    });
    tokio::time::sleep(2 * LEFT_WITHIN).await;
    replica.thaw();
    let goes_on = Instant::now();
    assert_eq!(slow.await.unwrap(), ["primary|0"]);
    let (error, ended, mut reader) = in_transaction.await.unwrap();
    assert!([1429, 3108].contains(&error.0), "{error:?}");
    assert!(ended < LEFT_WITHIN + AT_ONCE, "{ended:?}");
    reader.ok("ROLLBACK").await;
    wait_for("it is read again", async || reader.ok(WHO).await == ["replica"]).await;
    assert!(goes_on.elapsed() < LEFT_WITHIN, "{:?}", goes_on.elapsed());
    stop.store(true, Ordering::Relaxed);
    for session in sessions {
        for (began, took) in session.await.unwrap() {
            assert!(took < LEFT_WITHIN + AT_ONCE, "{took:?}");
            if began > hangs + LEFT_WITHIN && began < goes_on {
                assert!(took < AT_ONCE, "{took:?} after it was given up");
            }
        }
    }
}
