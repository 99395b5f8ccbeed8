//! A replica is promoted in the place of its primary, over real MariaDB servers that replicate: writes
//! follow it, the old primary is never written to again however it comes back, what was acknowledged
//! is there, and distributed transactions are whole. A replica that lacks something is not followed.
#![allow(clippy::unwrap_used)]

mod support;

use base::id::{DataNodeId, NodeId};
use node::{NodeConfig, RunningNode};
use node_backend::{BackendError, Connection};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{Client, Server, System, TestControl, wait_for};
use topology::model::Replica;

/// A promoted server is written to within this.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(5);

const SESSIONS: u64 = 8;

/// A data node with a replica, the first, and one without.
struct World {
    system: System,
    replica: Server,
}

impl World {
    async fn start(semi_sync: bool) -> Self {
        let replicates = |id: &str| {
            let id = format!("--server-id={id}");
            [
                &id,
                "--log-bin=binlog",
                "--log-slave-updates=ON",
                "--innodb-flush-log-at-trx-commit=2",
            ]
            .map(str::to_owned)
            .to_vec()
        };
        let make = |id: &str, more: &[&str]| {
            let all = replicates(id);
            let all: Vec<&str> =
                all.iter().map(String::as_str).chain(more.iter().copied()).collect();
            Server::make_with(&all)
        };
        let primary = make("1", &[]);
        let other = Server::make_with(&["--skip-log-bin", "--innodb-flush-log-at-trx-commit=2"]);
        let replica = make("2", &["--read-only=ON", "--rpl-semi-sync-slave-enabled=ON"]);
        let mut direct = Client(replica.ready().await);
        direct.ok("RESET MASTER").await;
        direct.replicate(primary.port).await;
        let mut direct = Client(primary.ready().await);
        if semi_sync {
            direct.ok("SET GLOBAL rpl_semi_sync_master_timeout = 20000").await;
            direct.ok("SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC").await;
            direct.ok("SET GLOBAL rpl_semi_sync_master_enabled = ON").await;
        }
        let system = System::start_on(vec![primary, other], 4, |_| {}).await;
        let port = replica.port;
        system.control.change(|snapshot| {
            let node = snapshot.data_nodes.values_mut().next().unwrap();
            node.replicas = vec![Replica {
                id: DataNodeId::from_random([101; 16]),
                host: "127.0.0.1".into(),
                port,
                read_weight: 0,
            }];
        });
        let mut app = system.client().await;
        app.ok("CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT) DBPARTITION BY MOD_HASH(id)")
            .await;
        Self { system, replica }
    }

    async fn replica(&self) -> Client {
        Client(self.replica.ready().await)
    }

    /// What an operator or his tool does.
    async fn promote(&self) {
        let mut direct = self.replica().await;
        wait_for("all that came is applied", async || {
            let io = direct.ok("SHOW SLAVE STATUS").await[0].clone();
            let position = direct.ok("SELECT @@gtid_slave_pos").await[0].clone();
            io.split('|').any(|field| field == position)
        })
        .await;
        for sql in ["STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0"] {
            direct.ok(sql).await;
        }
    }

    /// A second node, which has seen nothing of all that.
    fn another_node(&self) -> (RunningNode, Arc<TestControl>) {
        let dir = self.system.servers[0].dir.join("node-2");
        std::fs::create_dir_all(&dir).unwrap();
        let config = NodeConfig {
            node_id: NodeId::from_random([8; 16]),
            data_dir: dir.clone(),
            seal_key_file: dir.join("key"),
            ..self.system.config.clone()
        };
        let node = self.system.node.as_ref().unwrap();
        let snapshot = (*node.shared.snapshot().unwrap()).clone();
        let control = Arc::new(TestControl::default());
        (RunningNode::start(&config, control.clone(), Some(snapshot)).unwrap(), control)
    }
}

/// Sessions that insert rows, half of them pairs over both data nodes.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    sessions: Vec<tokio::task::JoinHandle<(Vec<u64>, Vec<u64>)>>,
}

impl Load {
    async fn start(system: &System) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut sessions = Vec::new();
        for number in 0..SESSIONS {
            let (options, stop, done) = (system.options("app"), stop.clone(), done.clone());
            sessions.push(tokio::spawn(async move {
                let mut client = Connection::connect(&options).await.unwrap();
                let (mut acknowledged, mut tried) = (Vec::new(), Vec::new());
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let key = 4 * (number + SESSIONS * round);
                    // Homes are on either data node.
                    let pair = match number % 4 {
                        0 => vec![key, key + 2],
                        1 => vec![key + 2, key],
                        _ => vec![key],
                    };
                    tried.push(key);
                    match write(&mut client, &pair).await {
                        Ok(()) => {
                            acknowledged.push(key);
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(BackendError::Server(_)) => {
                            client.execute_sql(b"ROLLBACK").await.unwrap();
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        Err(BackendError::Closed { .. }) => {
                            client = Connection::connect(&options).await.unwrap();
                        }
                        Err(other) => panic!("{other:?}"),
                    }
                }
                (acknowledged, tried)
            }));
        }
        Self { stop, done, sessions }
    }

    /// Waits until so many more are acknowledged.
    async fn goes_on(&self, count: u64, within: Duration) {
        let (before, began) = (self.done.load(Ordering::Relaxed), Instant::now());
        while self.done.load(Ordering::Relaxed) < before + count {
            assert!(
                began.elapsed() < within,
                "{} since",
                self.done.load(Ordering::Relaxed) - before
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn end(self) -> (BTreeSet<u64>, BTreeSet<u64>) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut acknowledged, mut tried) = (BTreeSet::new(), BTreeSet::new());
        for session in self.sessions {
            let ended = tokio::time::timeout(Duration::from_secs(30), session);
            let (mine, all) = ended.await.expect("no session is stuck").unwrap();
            acknowledged.extend(mine);
            tried.extend(all);
        }
        (acknowledged, tried)
    }
}

async fn write(client: &mut Connection, ids: &[u64]) -> Result<(), BackendError> {
    if let [id] = ids {
        client.execute_sql(format!("INSERT INTO t VALUES ({id}, 0)").as_bytes()).await?;
        return Ok(());
    }
    client.execute_sql(b"BEGIN").await?;
    for id in ids {
        client.execute_sql(format!("INSERT INTO t VALUES ({id}, 1)").as_bytes()).await?;
    }
    client.execute_sql(b"COMMIT").await.map(|_| ())
}

const STATE: &str = "SELECT @@gtid_binlog_state";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writes_follow_a_promoted_replica() {
    let mut world = World::start(true).await;
    let load = Load::start(&world.system).await;
    load.goes_on(200, Duration::from_secs(30)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.system.servers[0].crash();
    world.promote().await;
    load.goes_on(20, FOLLOWED_WITHIN).await;
    // The old one comes back as it was, and anybody may write to it.
    world.system.servers[0].run_again();
    let mut old = world.system.direct(0).await;
    let state = old.ok(STATE).await;
    let (_, row_count) = (old.ok("SELECT @@read_only").await, "SELECT COUNT(*) FROM shop_0000.t");
    let rows = old.ok(row_count).await;
    load.goes_on(100, Duration::from_secs(30)).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    // A node that has seen nothing finds the same.
    let (second, control) = world.another_node();
    let options = node_backend::ConnectOptions {
        port: second.addresses[0].port(),
        ..world.system.options("app")
    };
    let mut app = Client(Connection::connect(&options).await.unwrap());
    app.ok("INSERT INTO t VALUES (400000001, 0)").await;
    let mut new = world.replica().await;
    let found = new.ok("SELECT id FROM shop_0001.t WHERE id = 400000001").await;
    assert_eq!(found, ["400000001"]);
    let (acknowledged, tried) = load.end().await;
    assert_eq!(old.ok(STATE).await, state, "nothing was written to the old one");
    assert_eq!(old.ok(row_count).await, rows);
    whole(&world, &acknowledged, &tried).await;
    switch_back(&mut world, &mut app).await;
    second.stop().unwrap();
    drop(control);
}

/// Acknowledged rows are there, and pairs are on both data nodes or on none.
async fn whole(world: &World, acknowledged: &BTreeSet<u64>, tried: &BTreeSet<u64>) {
    let (mut new, mut other) = (world.replica().await, world.system.direct(1).await);
    wait_for("prepared branches are finished", async || {
        let mut prepared = new.ok("XA RECOVER").await;
        prepared.extend(other.ok("XA RECOVER").await);
        prepared.is_empty()
    })
    .await;
    let ids = |rows: Vec<String>| -> BTreeSet<u64> {
        rows.iter().map(|id| id.parse().unwrap()).collect()
    };
    let first = ids(new.ok("SELECT id FROM shop_0000.t").await);
    let pairs = ids(new.ok("SELECT id FROM shop_0000.t WHERE v = 1").await);
    let second = ids(other.ok("SELECT id - 2 FROM shop_0002.t").await);
    let lost: Vec<_> = acknowledged.difference(&first).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), acknowledged.len());
    assert!(first.is_subset(tried));
    let half: Vec<_> = pairs.symmetric_difference(&second).collect();
    assert!(half.is_empty(), "half done: {half:?}");
    assert!(pairs.len() > 50, "{}", pairs.len());
}

/// The old primary is made a replica, and later the primary again, without a crash.
async fn switch_back(world: &mut World, app: &mut Client) {
    let mut old = world.system.direct(0).await;
    let mut new = world.replica().await;
    // What was prepared there when it was killed is finished elsewhere.
    for row in old.ok("XA RECOVER FORMAT = 'SQL'").await {
        old.ok(&format!("XA ROLLBACK {}", row.rsplit('|').next().unwrap())).await;
    }
    // What its restart logged is nobody else's.
    old.ok("RESET MASTER").await;
    let position = new.ok("SELECT @@gtid_binlog_pos").await.remove(0);
    old.ok("SET GLOBAL read_only = 1").await;
    // It is made from a copy of the other.
    let rows = new.ok("SELECT id, v FROM shop_0000.t").await;
    old.ok("DELETE FROM shop_0000.t").await;
    for some in rows.chunks(500) {
        let values: Vec<String> =
            some.iter().map(|row| format!("({})", row.replace('|', ","))).collect();
        old.ok(&format!("INSERT INTO shop_0000.t VALUES {}", values.join(", "))).await;
    }
    old.ok("REPLACE INTO shop_0001.t VALUES (400000001, 0)").await;
    old.ok("CREATE DATABASE IF NOT EXISTS _ddm").await;
    old.ok("CREATE TABLE IF NOT EXISTS _ddm.primaries (generation BIGINT UNSIGNED NOT NULL PRIMARY KEY, server VARCHAR(300) NOT NULL, made TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)").await;
    for row in new.ok("SELECT generation, server FROM _ddm.primaries").await {
        let (generation, server) = row.split_once('|').unwrap();
        old.ok(&format!(
            "REPLACE INTO _ddm.primaries (generation, server) VALUES ({generation}, '{server}')"
        ))
        .await;
    }
    old.ok("RESET MASTER").await;
    old.ok(&format!("SET GLOBAL gtid_slave_pos = '{position}'")).await;
    old.replicate(world.replica.port).await;
    app.ok("INSERT INTO t VALUES (400000005, 0)").await;
    let last = "SELECT id FROM shop_0001.t WHERE id = 400000005";
    wait_for("it follows", async || old.ok(last).await == ["400000005"]).await;
    // Now nobody is written to, although our account could.
    new.ok("SET GLOBAL read_only = 1").await;
    wait_for("no writes", async || {
        app.run("UPDATE t SET v = v + 1 WHERE id = 400000005")
            .await
            .is_err_and(|error| error.0 == 1290)
    })
    .await;
    assert_eq!(app.ok("SELECT id FROM t WHERE id = 400000001").await, ["400000001"]);
    let position = new.ok("SELECT @@gtid_binlog_pos").await.remove(0);
    assert_eq!(old.ok(&format!("SELECT MASTER_GTID_WAIT('{position}', 10)")).await, ["0"]);
    for sql in ["STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0"] {
        old.ok(sql).await;
    }
    let promoted = Instant::now();
    wait_for("writes", async || app.run("INSERT INTO t VALUES (400000009, 0)").await.is_ok()).await;
    assert!(promoted.elapsed() < FOLLOWED_WITHIN, "{:?}", promoted.elapsed());
    assert_eq!(old.ok("SELECT COUNT(*) FROM shop_0001.t WHERE id = 400000009").await, ["1"]);
    assert_eq!(new.ok("SELECT COUNT(*) FROM shop_0001.t WHERE id = 400000009").await, ["0"]);
    assert_eq!(new.ok("SELECT @@gtid_binlog_pos").await, [position]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_that_lacks_transactions_is_not_followed() {
    let mut world = World::start(false).await;
    let mut app = world.system.client().await;
    let mut replica = world.replica().await;
    app.ok("INSERT INTO t VALUES (0, 0)").await;
    wait_for("it follows", async || {
        replica.run("SELECT id FROM shop_0000.t").await.is_ok_and(|rows| rows == ["0"])
    })
    .await;
    replica.ok("STOP SLAVE").await;
    app.ok("INSERT INTO t VALUES (4, 0)").await;
    // What was acknowledged is seen by then.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    world.system.servers[0].crash();
    replica.ok("RESET SLAVE ALL").await;
    replica.ok("SET GLOBAL read_only = 0").await;
    let until = Instant::now() + FOLLOWED_WITHIN;
    while Instant::now() < until {
        let error = app.run("INSERT INTO t VALUES (8, 0)").await.unwrap_err();
        assert!([1429, 3108].contains(&error.0), "{error:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let message = app.fails("INSERT INTO t VALUES (8, 0)", 1429).await;
    assert!(message.contains("no replica was promoted that has all its transactions"), "{message}");
    assert_eq!(replica.ok("SELECT id FROM shop_0000.t").await, ["0"]);
    app.ok("INSERT INTO t VALUES (2, 0)").await;
    // The primary comes back: it has all.
    world.system.servers[0].run_again();
    wait_for("the primary is back", async || app.run("INSERT INTO t VALUES (8, 0)").await.is_ok())
        .await;
    assert_eq!(app.ok("SELECT id FROM t WHERE id IN (0, 4, 8) ORDER BY id").await, ["0", "4", "8"]);
}
