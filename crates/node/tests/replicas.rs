//! Reads on replicas, over real MariaDB servers that replicate: a data node with two replicas and
//! one with a single replica. Each server has rows of its own name, so that an answer tells where it
//! was read.
#![allow(clippy::unwrap_used)]

mod support;

use base::id::{DataNodeId, NodeId};
use mysql_wire::value::Value;
use node_backend::query::StreamHead;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{Client, Server, System, number, wait_for};
use topology::model::Replica;

const SELECTS: &str = "SHOW GLOBAL STATUS LIKE 'Com_select'";

/// Reads whose shares are counted.
const READS: usize = 10_000;

/// How far a share may be off, in hundredths.
const TOLERANCE: f64 = 5.0;

/// A read of one row that tells the server: id 0 and 1 are on the first data node, 2 and 3 on the
/// second.
fn who(id: u32) -> String {
    format!("SELECT name FROM who WHERE id = {id}")
}

/// Prepares and runs a statement; the text of its only row.
async fn prepared(app: &mut Client, sql: &str, values: &[Value]) -> String {
    let statement = app.0.prepare(sql.as_bytes()).await.unwrap();
    let StreamHead::Rows(columns) = app.0.execute(&statement, values).await.unwrap() else {
        panic!("no rows")
    };
    let row = app.0.next_row().await.unwrap().unwrap();
    let values = mysql_wire::row::decode_binary_row(row.payload(), &columns).unwrap();
    assert!(app.0.next_row().await.unwrap().is_none());
    let Value::Bytes(text) = &values[0] else { panic!("{values:?}") };
    String::from_utf8(text.clone()).unwrap()
}

struct World {
    system: System,
    /// Two of the first data node, one of the second.
    replicas: Vec<Server>,
}

impl World {
    async fn start() -> Self {
        let binlog = |id: u32| format!("--server-id={id}");
        let primaries = (1..=2)
            .map(|id| Server::make_with(&["--log-bin=binlog", "--binlog-format=ROW", &binlog(id)]))
            .collect::<Vec<_>>();
        let replicas: Vec<Server> = (11..=13)
            .map(|id| {
                Server::make_with(&[
                    "--skip-log-bin",
                    "--read-only=ON",
                    "--slave-net-timeout=4",
                    &binlog(id),
                ])
            })
            .collect();
        for (replica, primary) in replicas.iter().zip([0, 0, 1]) {
            let port = primaries[primary].port;
            let mut direct = Client(replica.ready().await);
            direct.replicate(port).await;
        }
        let system = System::start_on(primaries, 4, |_| {}).await;
        let world = Self { system, replicas };
        world.make_tables().await;
        world
    }

    async fn make_tables(&self) {
        let mut app = self.system.client().await;
        app.ok(
            "CREATE TABLE who (id INT PRIMARY KEY, name VARCHAR(10)) DBPARTITION BY MOD_HASH(id)",
        )
        .await;
        app.ok("CREATE TABLE t (id INT PRIMARY KEY, v INT) DBPARTITION BY MOD_HASH(id)").await;
        app.ok("INSERT INTO who VALUES (0, 'p'), (1, 'p'), (2, 'p'), (3, 'p')").await;
        app.ok("INSERT INTO t VALUES (0, 0), (1, 0), (2, 0), (3, 0)").await;
        for at in 0..3 {
            let mut direct = self.replica(at).await;
            let shard = if at < 2 { 0 } else { 2 };
            let table = format!("shop_{:04}.t", shard + 1);
            wait_for("the tables replicate", async || {
                direct
                    .run(&format!("SELECT v FROM {table}"))
                    .await
                    .is_ok_and(|rows| !rows.is_empty())
            })
            .await;
            for shard in [shard, shard + 1] {
                direct.ok(&format!("UPDATE shop_{shard:04}.who SET name = 'r{at}'")).await;
            }
        }
    }

    async fn replica(&self, at: usize) -> Client {
        Client(self.replicas[at].ready().await)
    }

    /// Gives the first data node's servers these weights, and the second's these.
    fn weigh(&self, first: [u32; 3], second: [u32; 2]) {
        let place = |at: usize, weight: u32| Replica {
            id: DataNodeId::from_random([at as u8 + 101; 16]),
            host: "127.0.0.1".into(),
            port: self.replicas[at].port,
            read_weight: weight,
        };
        self.system.control.change(|snapshot| {
            let mut nodes = snapshot.data_nodes.values_mut();
            let node = nodes.next().unwrap();
            node.read_weight = first[0];
            node.replicas = vec![place(0, first[1]), place(1, first[2])];
            let node = nodes.next().unwrap();
            node.read_weight = second[0];
            node.replicas = vec![place(2, second[1])];
        });
    }

    /// Waits until a read of `id` comes from `name`, twenty times in a row.
    async fn settles(&self, id: u32, name: &str) {
        let mut app = self.system.client().await;
        wait_for(name, async || {
            for _ in 0..20 {
                if app.ok(&who(id)).await != [name] {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// Waits until `name` takes part in reads of `id`.
    async fn takes_part(&self, id: u32, name: &str) {
        let mut app = self.system.client().await;
        wait_for(name, async || {
            let mut seen = false;
            for _ in 0..10 {
                seen |= app.ok(&who(id)).await == [name];
            }
            seen
        })
        .await;
    }

    /// Who answers `count` reads.
    async fn answers(&self, app: &mut Client, sql: &str, count: usize) -> BTreeMap<String, usize> {
        let mut answers = BTreeMap::new();
        for _ in 0..count {
            for row in app.ok(sql).await {
                *answers.entry(row).or_default() += 1;
            }
        }
        answers
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reads_go_where_they_may() {
    let mut world = World::start().await;
    let mut app = world.system.client().await;
    assert_eq!(app.ok(&who(0)).await, ["p"], "no replica is known");
    world.weigh([100, 0, 0], [100, 0]);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(world.answers(&mut app, &who(0), 50).await, BTreeMap::from([("p".into(), 50)]));
    shares(&world).await;
    statements(&world).await;
    hints(&world).await;
    transactions(&world).await;
    lag(&world).await;
    own_writes(&world).await;
    definitions_lag(&world).await;
    read_only_node(&world).await;
    moved(&world).await;
    crash(&mut world).await;
}

/// 10,000 reads of single shards are spread as the weights say, by the servers' own counters.
async fn shares(world: &World) {
    world.weigh([20, 30, 50], [100, 0]);
    world.takes_part(0, "r0").await;
    world.takes_part(0, "r1").await;
    let mut counters =
        [world.system.direct(0).await, world.replica(0).await, world.replica(1).await];
    // What is counted while nobody reads.
    let mut noise = [0.0; 3];
    for (counter, noise) in counters.iter_mut().zip(&mut noise) {
        let (before, started) = (number(counter, SELECTS).await, Instant::now());
        tokio::time::sleep(Duration::from_secs(1)).await;
        *noise = (number(counter, SELECTS).await - before) as f64 / started.elapsed().as_secs_f64();
    }
    let mut before = [0; 3];
    for (counter, before) in counters.iter_mut().zip(&mut before) {
        *before = number(counter, SELECTS).await;
    }
    let started = Instant::now();
    let mut runs = Vec::new();
    for number in 0..8 {
        let mut client = world.system.client().await;
        runs.push(tokio::spawn(async move {
            for at in 0..READS / 8 {
                client.ok(&who((number + at as u32) % 2)).await;
            }
        }));
    }
    for run in runs {
        run.await.unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    let mut total = 0.0;
    for (at, wanted) in [20.0, 30.0, 50.0].into_iter().enumerate() {
        let counted = (number(&mut counters[at], SELECTS).await - before[at]) as f64;
        let reads = counted - noise[at] * seconds;
        let share = 100.0 * reads / READS as f64;
        let told = format!("server {at}: {counted} selects, {share:.2} % of the reads");
        assert!((share - wanted).abs() <= TOLERANCE, "{told}");
        total += share;
    }
    assert!((total - 100.0).abs() <= TOLERANCE, "{total} %");
    // Other weights open no connection.
    let opened = "SHOW GLOBAL STATUS LIKE 'Connections'";
    let before = number(&mut counters[2], opened).await;
    world.weigh([0, 0, 100], [100, 0]);
    world.settles(0, "r1").await;
    assert_eq!(number(&mut counters[2], opened).await, before);
    // Without any weight the primary reads.
    world.weigh([0, 0, 0], [0, 0]);
    world.settles(0, "p").await;
    world.settles(2, "p").await;
}

/// Which statements replicas get.
async fn statements(world: &World) {
    world.weigh([0, 50, 50], [0, 100]);
    world.takes_part(0, "r0").await;
    world.settles(2, "r2").await;
    let mut app = world.system.client().await;
    // All of a data node's shards are read on one server in one statement, also through temporary
    // tables.
    for sql in [
        "SELECT id, name FROM who ORDER BY id",
        "SELECT a.id, b.name FROM who a JOIN who b ON a.id + 0 = b.id + 0 WHERE a.name = b.name ORDER BY 1",
    ] {
        let mut seen = BTreeMap::<String, usize>::new();
        for _ in 0..12 {
            let rows = app.ok(sql).await;
            assert_eq!(rows.len(), 4, "{sql}: {rows:?}");
            assert_eq!(rows[0][2..], rows[1][2..], "{sql}: {rows:?}");
            assert_eq!(rows[2..], ["2|r2", "3|r2"], "{sql}");
            *seen.entry(rows[0][2..].to_owned()).or_default() += 1;
        }
        assert_eq!(seen, BTreeMap::from([("r0".into(), 6), ("r1".into(), 6)]), "{sql}");
    }
    // Prepared statements too.
    let mut seen = BTreeMap::<String, usize>::new();
    for _ in 0..10 {
        let name = prepared(&mut app, "SELECT name FROM who WHERE id = ?", &[Value::Int(1)]).await;
        *seen.entry(name).or_default() += 1;
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    // These need the primary.
    for sql in [
        "SELECT name FROM who WHERE id = 0 FOR UPDATE",
        "SELECT name FROM who WHERE id = 0 LOCK IN SHARE MODE",
        "SELECT name FROM who WHERE id = 0 AND LAST_INSERT_ID() >= 0",
        "SELECT name FROM who WHERE id = 0 AND @@server_id > 0",
        "SELECT name FROM who WHERE id = 0 AND LOAD_FILE('x') IS NULL",
        "INSERT INTO t SELECT id + 10, 0 FROM who WHERE name = 'p' ON DUPLICATE KEY UPDATE v = 0",
    ] {
        let rows = app.ok(sql).await;
        assert!(rows == ["p"] || rows == ["ok 4 0"], "{sql}: {rows:?}");
    }
    app.ok("SET @name = (SELECT name FROM who WHERE id = 0)").await;
    assert_eq!(app.ok("SELECT @name").await, ["p"]);
}

async fn hints(world: &World) {
    world.weigh([100, 0, 0], [0, 100]);
    world.settles(0, "p").await;
    let mut app = world.system.client().await;
    for (hint, id, names) in [
        ("/*!mycat:db_type=master*/", 2, &["p"][..]),
        ("/*!mycat:db_type=slave*/", 0, &["r0", "r1"]),
        ("/*+db_type=master*/", 2, &["p"]),
        ("/*+ db_type=master */", 2, &["p"]),
        ("/*+db_type=slave*/", 0, &["r0", "r1"]),
        ("/*+ DB_TYPE = SLAVE */", 1, &["r0", "r1"]),
        ("/*+ split_chunk_size=5 */", 2, &["p"]),
        ("/*!GAUSS:skip_plancache=true*/", 2, &["p"]),
        ("/* db_type=master */", 2, &["r2"]),
    ] {
        let seen = world.answers(&mut app, &format!("{hint} {}", who(id)), 10).await;
        assert_eq!(seen.keys().collect::<Vec<_>>(), names, "{hint}");
    }
    // It must come first.
    assert_eq!(app.ok("SELECT /*+db_type=master*/ name FROM who WHERE id = 2").await, ["r2"]);
    // Only queries look at it.
    assert_eq!(app.ok("/*+db_type=slave*/ UPDATE t SET v = 0 WHERE id = 0").await, ["ok 0 0"]);
    let sql = "/*+db_type=master*/ SELECT name FROM who WHERE id = 2";
    assert_eq!(prepared(&mut app, sql, &[]).await, "p");
}

async fn transactions(world: &World) {
    world.weigh([0, 50, 50], [0, 100]);
    world.takes_part(0, "r0").await;
    world.settles(2, "r2").await;
    let mut app = world.system.client().await;
    let mut other = world.system.client().await;
    let (mut on_r0, mut on_r1) = (world.replica(0).await, world.replica(1).await);
    for begin in ["BEGIN", "START TRANSACTION READ ONLY", "SET autocommit = 0"] {
        let mut servers = std::collections::BTreeSet::new();
        for round in 0..4 {
            app.ok(begin).await;
            let server = app.ok(&who(0)).await;
            let before = app.ok("SELECT v FROM t WHERE id = 0").await;
            // Another one's change arrives everywhere, and is not seen.
            let value = round + 1 + servers.len() * 100 + before[0].parse::<usize>().unwrap();
            other.ok(&format!("UPDATE t SET v = {value} WHERE id = 0")).await;
            for replica in [&mut on_r0, &mut on_r1] {
                wait_for("the change arrives", async || {
                    replica.ok("SELECT v FROM shop_0000.t WHERE id = 0").await
                        == [value.to_string()]
                })
                .await;
            }
            for _ in 0..4 {
                assert_eq!(app.ok(&who(1)).await, server, "{begin}");
                assert_eq!(app.ok("SELECT v FROM t WHERE id = 0").await, before, "{begin}");
            }
            assert_eq!(app.ok("SELECT name FROM who ORDER BY id").await[2..], ["r2", "r2"]);
            app.ok("COMMIT").await;
            assert_eq!(app.ok("SELECT v FROM t WHERE id = 0").await, [value.to_string()]);
            app.ok("ROLLBACK").await;
            servers.extend(server);
            // Servers take turns: one more read makes the next round begin elsewhere.
            app.ok(&who(0)).await;
            app.ok("ROLLBACK").await;
        }
        assert_eq!(servers.len(), 2, "each transaction chooses: {servers:?}");
    }
    app.ok("SET autocommit = 1").await;
    // From the first write on it is the primary, on every data node.
    app.ok("BEGIN").await;
    assert_eq!(app.ok(&who(2)).await, ["r2"]);
    app.ok("UPDATE t SET v = 7 WHERE id = 1").await;
    assert_eq!(app.ok(&who(0)).await, ["p"]);
    assert_eq!(app.ok(&who(2)).await, ["p"]);
    assert_eq!(app.ok("SELECT v FROM t WHERE id = 1").await, ["7"]);
    assert_eq!(app.ok(&format!("/*+db_type=slave*/ {}", who(2))).await, ["p"]);
    app.ok("COMMIT").await;
    app.ok("BEGIN").await;
    app.ok("SELECT * FROM t WHERE id = 0 FOR UPDATE").await;
    assert_eq!(app.ok(&who(2)).await, ["p"]);
    app.ok("ROLLBACK").await;
    assert_eq!(app.ok(&who(2)).await, ["r2"]);
    // A prepared statement in a transaction is no write.
    app.ok("BEGIN").await;
    assert_eq!(prepared(&mut app, &who(3), &[]).await, "r2");
    app.ok("COMMIT").await;
    // These always read the primary.
    app.ok("START TRANSACTION WITH CONSISTENT SNAPSHOT").await;
    assert_eq!(app.ok(&who(0)).await, ["p"]);
    app.ok("COMMIT").await;
    app.ok("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE").await;
    app.ok("BEGIN").await;
    assert_eq!(app.ok(&who(0)).await, ["p"]);
    app.ok("COMMIT").await;
    app.ok("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE").await;
    app.ok("BEGIN").await;
    assert_eq!(app.ok(&who(0)).await, ["p"]);
    app.ok("COMMIT").await;
    assert_eq!(app.ok(&who(2)).await, ["r2"], "outside of a transaction a level says nothing");
    app.ok("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await;
    world.system.set("force_read_master_in_transaction", "ON");
    app.ok("BEGIN").await;
    assert_eq!(app.ok(&who(2)).await, ["p"]);
    app.ok("COMMIT").await;
    assert_eq!(app.ok(&who(2)).await, ["r2"]);
    world.system.reset("force_read_master_in_transaction");
}

/// A replica that does not replicate, or is too far behind, gets no reads before it caught up.
async fn lag(world: &World) {
    world.weigh([0, 100, 0], [0, 100]);
    world.settles(0, "r0").await;
    let mut replica = world.replica(0).await;
    for stop in ["STOP SLAVE SQL_THREAD", "STOP SLAVE IO_THREAD", "STOP SLAVE"] {
        replica.ok(stop).await;
        world.settles(0, "p").await;
        replica.ok("START SLAVE").await;
        world.settles(0, "r0").await;
    }
    // The others take over what one cannot.
    world.weigh([0, 50, 50], [0, 100]);
    world.takes_part(0, "r0").await;
    replica.ok("STOP SLAVE SQL_THREAD").await;
    world.settles(0, "r1").await;
    replica.ok("START SLAVE").await;
    world.takes_part(0, "r0").await;
    // One that is late by five seconds, where two are allowed.
    world.weigh([0, 100, 0], [0, 100]);
    world.system.set("seconds_behind_master", "2");
    replica.ok("STOP SLAVE").await;
    replica.ok("CHANGE MASTER TO MASTER_DELAY = 5").await;
    replica.ok("START SLAVE").await;
    world.settles(0, "r0").await;
    let mut app = world.system.client().await;
    app.ok("UPDATE t SET v = 4711 WHERE id = 0").await;
    let mut seen = Vec::new();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(9) {
        let name = app.ok(&who(0)).await.remove(0);
        if seen.last() != Some(&name) {
            seen.push(name);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(seen.first() == Some(&"r0".to_owned()) && seen.last() == seen.first(), "{seen:?}");
    assert!(seen.contains(&"p".to_owned()), "while it was late the primary was read: {seen:?}");
    assert_eq!(app.ok("SELECT v FROM t WHERE id = 0").await, ["4711"]);
    world.system.reset("seconds_behind_master");
}

/// Where a parameter says so a session's reads wait for what it has written; the replica is late by
/// five seconds, or stands still for a moment.
async fn own_writes(world: &World) {
    let mut replica = world.replica(0).await;
    world.settles(0, "r0").await;
    let mut app = world.system.client().await;
    let value = "SELECT v FROM t WHERE id = 0";
    let behind = async |app: &mut Client, v: u32| {
        app.ok(&format!("UPDATE t SET v = {v} WHERE id = 0")).await;
        app.ok(value).await
    };
    assert_ne!(behind(&mut app, 501).await, ["501"], "nobody waits by default");
    world.system.set("read_own_writes", "ON");
    assert_eq!(behind(&mut app, 502).await, ["502"]);
    assert_eq!(app.ok("SELECT id, v FROM t WHERE id < 2 ORDER BY id").await[0], "0|502");
    assert_eq!(
        app.ok("SELECT MAX(a.v) FROM t a JOIN t b ON a.id + 0 = b.id + 0 WHERE a.id = 0").await,
        ["502"]
    );
    assert_eq!(
        prepared(&mut app, "SELECT name FROM who WHERE id = ?", &[Value::Int(0)]).await,
        "p"
    );
    // A session that has written nothing does not wait.
    let mut other = world.system.client().await;
    assert_eq!(other.ok(&who(0)).await, ["r0"]);
    // One that follows closely is read as soon as it has the write, in and after transactions.
    for sql in ["STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY = 0", "START SLAVE"] {
        replica.ok(sql).await;
    }
    wait_for("it has caught up", async || {
        replica.ok("SELECT v FROM shop_0000.t WHERE id = 0").await == ["502"]
    })
    .await;
    world.settles(0, "r0").await;
    for v in 600..700 {
        assert_eq!(behind(&mut app, v).await, [v.to_string()]);
        app.ok("BEGIN").await;
        app.ok("UPDATE t SET v = v + 1000 WHERE id IN (0, 3)").await;
        app.ok("COMMIT").await;
        assert_eq!(app.ok(value).await, [(v + 1000).to_string()]);
        assert_eq!(app.ok(&who(0)).await, ["r0"], "the replica is read, not the primary");
    }
    world.system.set("pipelining_threshold", "1");
    for v in 700..720 {
        assert_eq!(behind(&mut app, v).await, [v.to_string()]);
    }
    world.system.reset("pipelining_threshold");
    world.system.reset("read_own_writes");
    for sql in ["STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY = 5", "START SLAVE"] {
        replica.ok(sql).await;
    }
    world.settles(0, "r0").await;
}

/// What a replica does not know yet is read on the primary.
async fn definitions_lag(world: &World) {
    let mut app = world.system.client().await;
    world.settles(0, "r0").await;
    app.ok("CREATE TABLE young (id INT PRIMARY KEY) DBPARTITION BY MOD_HASH(id)").await;
    assert!(app.ok("SELECT * FROM young").await.is_empty());
    app.ok("INSERT INTO young VALUES (0)").await;
    app.ok("ALTER TABLE t ADD COLUMN young INT DEFAULT 3").await;
    assert_eq!(app.ok("SELECT young FROM t WHERE id = 0").await, ["3"]);
    app.ok("BEGIN").await;
    assert_eq!(app.ok(&who(0)).await, ["r0"]);
    assert_eq!(app.ok("SELECT young FROM t WHERE id = 0").await, ["3"]);
    app.ok("COMMIT").await;
    assert_eq!(app.ok(&who(0)).await, ["r0"], "that is no reason to leave it alone");
    let mut replica = world.replica(0).await;
    replica.ok("STOP SLAVE").await;
    replica.ok("CHANGE MASTER TO MASTER_DELAY = 0").await;
    replica.ok("START SLAVE").await;
    world.settles(0, "r0").await;
}

/// A node of a read-only group.
async fn read_only_node(world: &World) {
    let own = NodeId::from_random([9; 16]);
    world.weigh([100, 0, 0], [100, 0]);
    world.system.control.change(|snapshot| {
        snapshot.read_only_nodes.insert(own.clone());
    });
    world.settles(2, "r2").await;
    world.takes_part(0, "r0").await;
    world.takes_part(0, "r1").await;
    let mut app = world.system.client().await;
    for sql in [
        "UPDATE t SET v = 1 WHERE id = 0",
        "INSERT INTO t (id, v) VALUES (77, 1)",
        "DELETE FROM t",
        "CREATE TABLE no (id INT)",
        "SELECT * FROM t WHERE id = 0 FOR UPDATE",
    ] {
        assert!(app.fails(sql, 1290).await.contains("read-only mode"), "{sql}");
    }
    app.ok("BEGIN").await;
    let server = app.ok(&who(0)).await;
    assert!(server == ["r0"] || server == ["r1"]);
    assert_eq!(app.ok(&who(1)).await, server);
    app.fails("DELETE FROM t WHERE id = 0", 1290).await;
    assert_eq!(app.ok(&who(1)).await, server);
    app.ok("COMMIT").await;
    assert_eq!(app.ok(&format!("/*+db_type=master*/ {}", who(2))).await, ["r2"]);
    assert_eq!(app.ok("SELECT 1").await, ["1"]);
    app.ok("SET @name = (SELECT name FROM who WHERE id = 2)").await;
    assert_eq!(app.ok("SELECT @name").await, ["r2"]);
    // A replica that cannot be read is not replaced by the primary here.
    let mut replica = world.replica(2).await;
    replica.ok("STOP SLAVE").await;
    wait_for("no replica", async || app.run(&who(2)).await.is_err()).await;
    let message = app.fails(&who(2), 3113).await;
    assert!(message.contains("backend database connection error"), "{message}");
    assert_eq!(app.ok("SELECT 1").await, ["1"]);
    replica.ok("START SLAVE").await;
    wait_for("a replica", async || app.run(&who(2)).await.is_ok()).await;
    world.system.control.change(|snapshot| {
        snapshot.data_nodes.values_mut().nth(1).unwrap().replicas.clear();
    });
    let message = app.fails(&who(2), 3113).await;
    assert!(message.contains("No read-only node"), "{message}");
    assert_eq!(app.ok("SELECT 1").await, ["1"]);
    world.system.control.change(|snapshot| snapshot.read_only_nodes.clear());
    assert_eq!(app.ok(&who(2)).await, ["p"]);
    app.ok("UPDATE t SET v = 1 WHERE id = 0").await;
}

/// A replica that is gone from the list, or moves, takes effect at once.
async fn moved(world: &World) {
    world.weigh([0, 0, 100], [0, 100]);
    world.settles(0, "r1").await;
    world.settles(2, "r2").await;
    let port = world.replicas[0].port;
    // The server at that port is known to be in order.
    world.system.control.change(|snapshot| {
        snapshot.data_nodes.values_mut().next().unwrap().replicas[1].port = port;
    });
    let mut app = world.system.client().await;
    world.settles(0, "r0").await;
    world.system.control.change(|snapshot| {
        snapshot.data_nodes.values_mut().next().unwrap().replicas.clear();
    });
    assert_eq!(app.ok(&who(0)).await, ["p"]);
    assert_eq!(app.ok(&who(2)).await, ["r2"]);
    let mut replica = world.replica(1).await;
    let open = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'ddmrw' AND ID <> CONNECTION_ID() AND COMMAND <> 'Binlog Dump'";
    wait_for("its connections are closed", async || number(&mut replica, open).await == 0).await;
}

/// A replica that dies while it is read costs no client an error, and is read again when it is back.
async fn crash(world: &mut World) {
    world.weigh([10, 40, 50], [50, 50]);
    for (id, name) in [(0, "r0"), (0, "r1"), (2, "r2")] {
        world.takes_part(id, name).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut runs = Vec::new();
    for number in 0..8_u32 {
        let mut client = world.system.client().await;
        let stop = stop.clone();
        runs.push(tokio::spawn(async move {
            let mut reads = 0;
            let scan = "SELECT id, v FROM t WHERE id < 4 ORDER BY id";
            let join = "SELECT COUNT(*) FROM t a JOIN t b ON a.id + 0 = b.id + 0 WHERE a.id < 4";
            while !stop.load(Ordering::Relaxed) {
                match (number, reads % 4) {
                    (0, 1) => assert_eq!(client.ok(scan).await.len(), 4),
                    (1, 1) => assert_eq!(client.ok(join).await, ["4"]),
                    _ => assert_eq!(client.ok(&who(number % 4)).await.len(), 1),
                }
                reads += 1;
            }
            reads
        }));
    }
    for at in [1, 2, 0] {
        tokio::time::sleep(Duration::from_millis(700)).await;
        world.replicas[at].crash();
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let root = rustix::process::geteuid().is_root();
    for replica in &mut world.replicas {
        replica.run(root);
        replica.ready().await;
    }
    for (id, name) in [(0, "r0"), (0, "r1"), (2, "r2")] {
        world.takes_part(id, name).await;
    }
    stop.store(true, Ordering::Relaxed);
    for run in runs {
        assert!(run.await.unwrap() > 100);
    }
}
