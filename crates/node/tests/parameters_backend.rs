//! Parameters of what a node does on its data nodes: connections, scans, inserts, changes of
//! definitions, transactions, and the end of the node itself.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};
use support::{Client, System, number, wait_for};

const OPEN: &str = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'ddmrw' AND ID <> CONNECTION_ID()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_data_node() {
    let system = System::start(1, 4).await;
    let mut app = system.client().await;
    app.ok("CREATE TABLE t (id INT PRIMARY KEY, v INT) DBPARTITION BY MOD_HASH(id)").await;
    app.ok("CREATE TABLE p (id INT PRIMARY KEY) DBPARTITION BY MOD_HASH(id) TBPARTITION BY MOD_HASH(id) TBPARTITIONS 2").await;
    connections_kept(&system).await;
    connections_bounded(&system).await;
    execution_level(&system, &mut app).await;
    inserts(&system, &mut app).await;
    metadata_locks(&system, &mut app).await;
    shutdown(system, app).await;
}

async fn connections_kept(system: &System) {
    let mut direct = system.direct(0).await;
    // The default is 10.
    wait_for("ten connections", async || number(&mut direct, OPEN).await >= 10).await;
    system.set("min_backend_connections", "17");
    wait_for("seventeen", async || number(&mut direct, OPEN).await >= 17).await;
    // They are warm: those that a data node closes are replaced.
    let ids = direct.ok("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'ddmrw' AND ID <> CONNECTION_ID()").await;
    for id in &ids {
        direct.run(&format!("KILL CONNECTION {id}")).await.ok();
    }
    wait_for("seventeen again", async || number(&mut direct, OPEN).await >= 17).await;
    system.reset("min_backend_connections");
}

async fn connections_bounded(system: &System) {
    let node = system.node.as_ref().unwrap();
    let id = node.shared.snapshot().unwrap().data_nodes.keys().next().unwrap().clone();
    let quota = node.shared.quotas.of(&id);
    // By default what the data node allows without its reserve, over the number of nodes.
    wait_for("the data node's own bound", async || quota.most() == 131).await;
    system.control.change(|snapshot| snapshot.node_count = 2);
    assert_eq!(quota.most(), 65);
    system.control.change(|snapshot| snapshot.node_count = 1);

    system.set("max_backend_connections", "3");
    assert_eq!(quota.most(), 3);
    wait_for("too many go", async || quota.open() <= 3).await;
    let mut direct = system.direct(0).await;
    let mut clients = Vec::new();
    for _ in 0..12 {
        clients.push(system.client().await);
    }
    let started = Instant::now();
    let runs: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            tokio::spawn(async move {
                for _ in 0..2 {
                    client.ok("SELECT SLEEP(0.2)").await;
                }
            })
        })
        .collect();
    let mut most = 0;
    while runs.iter().any(|run| !run.is_finished()) {
        let sql =
            "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT SLEEP%'";
        most = most.max(number(&mut direct, sql).await);
        assert!(quota.open() <= 3);
    }
    for run in runs {
        run.await.unwrap();
    }
    assert!((2..=3).contains(&most), "{most} at once");
    assert!(started.elapsed() >= Duration::from_millis(1_500), "24 sleeps, three at a time");
    // One for all workers and both ways of counting rows: it wanders.
    system.set("max_backend_connections", "1");
    wait_for("one is left", async || quota.open() <= 1).await;
    let mut found = system.options("app");
    found.found_rows = true;
    for round in 0..6 {
        let mut one = Client(node_backend::Connection::connect(&found).await.unwrap());
        let mut two = system.client().await;
        let started = Instant::now();
        one.ok("SELECT 1").await;
        two.ok("SELECT 1").await;
        assert!(started.elapsed() < Duration::from_secs(1), "round {round}");
        assert!(quota.open() <= 1);
    }
    system.reset("max_backend_connections");
    assert_eq!(quota.most(), 131);
}

/// Four shards with two physical tables each, a row in each of the eight: how long a scan sleeps
/// tells what ran side by side.
async fn execution_level(system: &System, app: &mut Client) {
    app.ok("INSERT INTO p VALUES (0), (1), (2), (3), (4), (5), (6), (7)").await;
    let places = app.ok("SHOW TOPOLOGY FROM p").await.len();
    assert_eq!(places, 8);
    for (level, low, high) in
        [("RDS_INSTANCE", 1_600, 9_000), ("DATA_NODE", 400, 1_590), ("PHY_TABLE", 200, 390)]
    {
        system.set("concurrent_execution_level", level);
        app.ok("SELECT COUNT(*) FROM p").await;
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let started = Instant::now();
            assert_eq!(app.ok("SELECT id FROM p WHERE SLEEP(0.2) = 0").await.len(), 8);
            best = best.min(started.elapsed());
        }
        let took = best.as_millis();
        assert!((low..high).contains(&took), "{level}: {took} ms");
    }
    system.reset("concurrent_execution_level");
}

async fn inserts(system: &System, app: &mut Client) {
    const COUNT: &str = "SHOW GLOBAL STATUS LIKE 'Com_insert'";
    let mut direct = system.direct(0).await;
    let insert = |hint: &str, ids: std::ops::Range<u32>| {
        let rows: Vec<String> = ids.map(|id| format!("({id}, 1)")).collect();
        format!("{hint} INSERT INTO t VALUES {}", rows.join(", "))
    };
    for (policy, hint, statements) in [
        ("NONE", "", 4),
        ("SPLIT", "", 3 * 4),
        ("SPLIT", "/*+split_chunk_size=500*/", 5 * 4),
        ("SPLIT", "/*+split_chunk_size=9999*/", 4),
        ("NONE", "/*+split_chunk_size=500*/", 4),
    ] {
        system.set("batch_insert_policy", policy);
        app.ok("DELETE FROM t").await;
        let before = number(&mut direct, COUNT).await;
        assert_eq!(app.ok(&insert(hint, 0..2_500)).await, ["ok 2500 0"]);
        assert_eq!(number(&mut direct, COUNT).await - before, statements, "{policy} {hint}");
        assert_eq!(app.ok("SELECT COUNT(*) FROM t").await, ["2500"]);
    }
    system.set("batch_insert_policy", "SPLIT");
    app.fails(&insert("/*+split_chunk_size=0*/", 0..2), 1210).await;
    // All chunks are one statement: what the first ones wrote goes when the last one fails.
    app.ok("DELETE FROM t WHERE id < 2400").await;
    app.fails(&insert("", 0..2_500), 1062).await;
    assert_eq!(app.ok("SELECT COUNT(*) FROM t").await, ["100"]);
    app.ok("BEGIN").await;
    app.ok("INSERT INTO t VALUES (5000, 1), (5001, 1)").await;
    app.fails(&insert("", 0..2_500), 1062).await;
    app.ok("COMMIT").await;
    assert_eq!(app.ok("SELECT COUNT(*) FROM t").await, ["102"]);
    system.reset("batch_insert_policy");
}

async fn metadata_locks(system: &System, app: &mut Client) {
    let alter = |name: &str| format!("ALTER TABLE t ADD COLUMN {name} INT");
    // Another program's transaction on one of the shards, two seconds old.
    let mut direct = system.direct(0).await;
    direct.ok("BEGIN").await;
    direct.ok("SELECT * FROM shop_0002.t").await;
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    system.set("ddl_precheck_mdl_threshold_time", "1");
    let started = Instant::now();
    let message = app.fails(&alter("a"), 3111).await;
    assert!(started.elapsed() < Duration::from_secs(2) && message.contains("metadata lock"));
    // It does not hinder other tables, nor new ones.
    app.ok("ALTER TABLE p ADD COLUMN a INT").await;
    app.ok("CREATE TABLE q (id INT)").await;
    // One that is not that old yet is waited for, as long as it may last.
    system.set("ddl_precheck_mdl_threshold_time", "4");
    let started = Instant::now();
    app.fails(&alter("b"), 3111).await;
    assert!((1_000..4_000).contains(&started.elapsed().as_millis()));
    // A statement or a session that says how long to wait is told what a server tells.
    system.set("ddl_precheck_mdl_threshold_time", "60");
    let started = Instant::now();
    app.fails("ALTER TABLE t NOWAIT ADD COLUMN d INT", 1205).await;
    app.fails("TRUNCATE TABLE t WAIT 1", 1205).await;
    app.ok("SET lock_wait_timeout = 1").await;
    app.fails(&alter("d"), 1205).await;
    app.ok("SET lock_wait_timeout = DEFAULT").await;
    assert!((2_000..20_000).contains(&started.elapsed().as_millis()));
    direct.ok("ROLLBACK").await;
    direct.ok("BEGIN").await;
    direct.ok("SELECT * FROM shop_0001.t").await;
    let release = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        direct.ok("ROLLBACK").await;
    });
    app.ok(&alter("c")).await;
    release.await.unwrap();
    // Neither of those that failed left anything.
    let columns = app.ok("DESC t").await;
    assert_eq!(columns.len(), 3, "{columns:?}");
    let mut direct = system.direct(0).await;
    for shard in 0..4 {
        let sql = format!(
            "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'shop_000{shard}' AND TABLE_NAME = 't'"
        );
        assert_eq!(number(&mut direct, &sql).await, 3);
    }
    system.reset("ddl_precheck_mdl_threshold_time");
}

/// Transactions get the time of the parameter, idle sessions none.
async fn shutdown(mut system: System, mut app: Client) {
    system.set("live_transaction_timeout_on_shutdown", "3");
    let mut slow = system.client().await;
    for client in [&mut app, &mut slow] {
        client.ok("BEGIN").await;
    }
    app.ok("INSERT INTO t (id, v) VALUES (7000, 1)").await;
    slow.ok("INSERT INTO t (id, v) VALUES (7001, 1)").await;
    let mut idle = system.client().await;
    let node = system.node.take().unwrap();
    let started = Instant::now();
    let stopping = tokio::task::spawn_blocking(move || node.stop().unwrap());
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(idle.0.ping().await.is_err());
    app.ok("INSERT INTO t (id, v) VALUES (7002, 1)").await;
    app.ok("COMMIT").await;
    stopping.await.unwrap();
    let took = started.elapsed();
    assert!((Duration::from_millis(2_900)..Duration::from_secs(5)).contains(&took), "{took:?}");
    assert!(slow.0.ping().await.is_err());
    let mut direct = system.direct(0).await;
    let mut rows = 0;
    for shard in 0..4 {
        rows += number(
            &mut direct,
            &format!("SELECT COUNT(*) FROM shop_000{shard}.t WHERE id >= 7000"),
        )
        .await;
    }
    assert_eq!(rows, 2, "what was committed is there, what was not is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_of_transactions() {
    let system = System::start(2, 4).await;
    let mut app = system.client().await;
    app.ok("CREATE TABLE t (id INT PRIMARY KEY) DBPARTITION BY MOD_HASH(id)").await;
    // The first data node touched is the home of the transaction, which prepares nothing.
    let mut direct = system.direct(1).await;
    const PREPARED: &str = "SHOW GLOBAL STATUS LIKE 'Com_xa_prepare'";
    for (policy, first, prepares) in [("XA", 0, true), ("FREE", 100, false)] {
        system.set("transaction_policy", policy);
        let before = number(&mut direct, PREPARED).await;
        app.ok("BEGIN").await;
        app.ok(&format!("INSERT INTO t VALUES ({first})")).await;
        app.ok(&format!("INSERT INTO t VALUES ({})", first + 3)).await;
        app.ok("COMMIT").await;
        app.ok(&format!("INSERT INTO t VALUES ({}), ({})", first + 4, first + 7)).await;
        let after = number(&mut direct, PREPARED).await;
        assert_eq!(after > before, prepares, "{policy}");
        assert_eq!(app.ok(&format!("SELECT COUNT(*) FROM t WHERE id >= {first}")).await, ["4"]);
    }
    system.set("transaction_policy", "NO_DTX");
    app.ok("BEGIN").await;
    app.ok("INSERT INTO t VALUES (200)").await;
    app.ok("INSERT INTO t VALUES (204)").await;
    app.fails("INSERT INTO t VALUES (201)", 3100).await;
    app.fails("SELECT COUNT(*) FROM t", 3100).await;
    app.ok("COMMIT").await;
    app.fails("INSERT INTO t VALUES (300), (301)", 3100).await;
    app.fails("UPDATE t SET id = id", 3100).await;
    app.fails("DELETE FROM t", 3100).await;
    assert_eq!(app.ok("SELECT COUNT(*) FROM t WHERE id >= 200").await, ["2"]);
    system.reset("transaction_policy");
    app.ok("DELETE FROM t").await;
}
