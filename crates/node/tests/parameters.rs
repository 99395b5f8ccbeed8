//! Each parameter has its effect on sessions that are open already, as soon as a snapshot brings it.
#![allow(clippy::unwrap_used)]

mod support;

use node_backend::{BackendError, Connection, Prepared};
use std::time::{Duration, Instant};
use support::{Client, System, number, wait_for};

/// Workers look at a new snapshot with the next statement, and once a second.
const SEEN_WITHIN: Duration = Duration::from_millis(1_300);

/// Executes a prepared statement and reads its rows away.
async fn execute(app: &mut Client, prepared: &Prepared) -> Result<(), BackendError> {
    app.0.execute(prepared, &[]).await?;
    while app.0.next_row().await?.is_some() {}
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_and_statements() {
    let system = System::start(1, 4).await;
    let mut app = system.client().await;
    app.ok("CREATE TABLE t (id INT PRIMARY KEY, v INT) DBPARTITION BY MOD_HASH(id)").await;
    app.ok("INSERT INTO t VALUES (0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)").await;
    max_connections(&system).await;
    drop(app);
    idle_timeout(&system).await;
    let mut app = system.client().await;
    statement_timeout(&system, &mut app).await;
    max_allowed_packet(&system).await;
    variables(&system, &mut app).await;
    temporary_rows(&system, &mut app).await;
    plans(&system, &mut app).await;
}

async fn max_connections(system: &System) {
    // One session is open.
    system.set("max_connections", "2");
    let second = system.client().await;
    let refused = Connection::connect(&system.options("app")).await.unwrap_err();
    assert!(format!("{refused:?}").contains("1040"), "{refused:?}");
    // Those that are there stay, and a place that is free is given again.
    drop(second);
    wait_for("a place", async || Connection::connect(&system.options("app")).await.is_ok()).await;
    system.set("max_connections", "10");
    let more = [system.client().await, system.client().await, system.client().await];
    system.reset("max_connections");
    drop(more);
}

async fn idle_timeout(system: &System) {
    let mut idle = system.client().await;
    let mut busy = system.client().await;
    let mut in_transaction = system.client().await;
    in_transaction.ok("BEGIN").await;
    in_transaction.ok("INSERT INTO t VALUES (100, 1)").await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(idle.ok("SELECT 1").await, ["1"], "the default leaves it alone");
    system.set("connection_idle_timeout", "1");
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(4_500) {
        busy.ok("SELECT 1").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    system.reset("connection_idle_timeout");
    assert!(idle.0.ping().await.is_err());
    assert!(in_transaction.0.ping().await.is_err());
    // A statement that runs is not idle, however long it takes.
    busy.ok("INSERT INTO t VALUES (100, 2)").await;
    busy.ok("DELETE FROM t WHERE id = 100").await;
}

async fn statement_timeout(system: &System, app: &mut Client) {
    let sums = app.ok("SELECT SUM(v) FROM t").await;
    app.ok("SELECT SLEEP(2)").await;
    system.set("sql_execute_timeout", "1");
    let mut direct = system.direct(0).await;
    for statement in [
        "SELECT SLEEP(30)",
        "SELECT v + SLEEP(30) FROM t WHERE id = 1",
        "SELECT COUNT(*) FROM t WHERE SLEEP(30) = 1",
        "SELECT id FROM t WHERE SLEEP(30) = 0 ORDER BY id",
        "UPDATE t SET v = v + 1 + SLEEP(30)",
    ] {
        let started = Instant::now();
        let message = app.fails(statement, 3024).await;
        assert!(message.contains("sql_execute_timeout is 1 seconds"), "{message}");
        assert!(started.elapsed() < Duration::from_secs(6), "{statement}");
        let running = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%SLEEP(3%' AND ID <> CONNECTION_ID()";
        wait_for(statement, async || number(&mut direct, running).await == 0).await;
        // The session and the pool go on.
        assert_eq!(app.ok("SELECT SUM(v) FROM t").await, sums, "{statement}");
    }
    // In a transaction what was done before stays.
    app.ok("BEGIN").await;
    app.ok("INSERT INTO t VALUES (50, 50)").await;
    app.fails("SELECT v + SLEEP(30) FROM t WHERE id = 1", 3024).await;
    app.ok("COMMIT").await;
    assert_eq!(app.ok("SELECT v FROM t WHERE id = 50").await, ["50"]);
    app.ok("DELETE FROM t WHERE id = 50").await;
    system.reset("sql_execute_timeout");
    app.ok("SELECT SLEEP(2)").await;
}

async fn max_allowed_packet(system: &System) {
    let long = format!("SELECT '{}'", "x".repeat(4_000_000));
    let mut idle = system.client().await;
    idle.ok(&long).await;
    system.set("max_allowed_packet", "2048");
    // It holds for the very next message of a session that said nothing since.
    tokio::time::sleep(SEEN_WITHIN).await;
    idle.fails(&long, 1153).await;
    assert!(idle.0.ping().await.is_err(), "the session is closed");
    let mut fresh = system.client().await;
    fresh.ok("SELECT 1").await;
    system.reset("max_allowed_packet");
    fresh.ok("SELECT 1").await;
    fresh.ok(&long).await;
}

async fn variables(system: &System, app: &mut Client) {
    for (parameter, value, variable) in [
        ("max_allowed_packet", "65536", "max_allowed_packet"),
        ("character_set_server", "utf8", "character_set_server"),
        ("collation_server", "utf8_general_ci", "collation_server"),
        ("connection_idle_timeout", "333", "wait_timeout"),
        ("max_connections", "77", "max_connections"),
        ("long_query_time", "0.25", "long_query_time"),
    ] {
        let show = format!("SHOW VARIABLES LIKE '{variable}'");
        let select = format!("SELECT @@{variable}, @@global.{variable} AS g");
        let prepared = app.0.prepare(select.as_bytes()).await.unwrap();
        let before = app.ok(&show).await;
        system.set(parameter, value);
        assert_ne!(app.ok(&show).await, before);
        assert_eq!(app.ok(&show).await, [format!("{variable}|{value}")]);
        assert_eq!(app.ok(&select).await, [format!("{value}|{value}")]);
        let node_backend::QueryResult::Rows(rows) = app.0.query(select.as_bytes()).await.unwrap()
        else {
            panic!()
        };
        assert_eq!(rows.columns[0].name, format!("@@{variable}").into_bytes());
        execute(app, &prepared).await.unwrap();
        system.reset(parameter);
        assert_eq!(app.ok(&show).await, before);
    }
    assert!(app.ok("SHOW GLOBAL VARIABLES").await.len() > 100);
    assert_eq!(app.ok("SHOW VARIABLES WHERE Variable_name = 'sql_mode'").await.len(), 1);
}

async fn temporary_rows(system: &System, app: &mut Client) {
    // Groups that must be sorted again, a join that no shard can do, rows that wait for others.
    let statements = [
        "SELECT v, COUNT(*) AS c FROM t GROUP BY v ORDER BY c, v",
        "SELECT a.id FROM t a JOIN t b ON a.v = b.v + 1 ORDER BY a.id",
    ];
    for statement in statements {
        app.ok(statement).await;
    }
    system.set("temp_table_size_limit", "3");
    for statement in statements {
        let message = app.fails(statement, 3101).await;
        assert!(message.starts_with("Temp table limit exceeded"), "{message}");
    }
    assert_eq!(app.ok("SELECT id FROM t ORDER BY id").await.len(), 6, "a merge keeps no rows");
    system.reset("temp_table_size_limit");
    for statement in statements {
        app.ok(statement).await;
    }
}

async fn plans(system: &System, app: &mut Client) {
    // contains_shard_key, for texts and prepared statements alike.
    let prepared = app.0.prepare(b"SELECT id FROM t WHERE v = 3").await.unwrap();
    execute(app, &prepared).await.unwrap();
    system.set("contains_shard_key", "ON");
    let error = execute(app, &prepared).await.unwrap_err();
    assert!(matches!(error, BackendError::Server(error) if error.number == 3109));
    for statement in [
        "SELECT id FROM t WHERE v = 3",
        "SELECT COUNT(*) FROM t",
        "UPDATE t SET v = 3 WHERE v = 3",
        "DELETE FROM t WHERE v = 300",
        "SELECT a.id FROM t a JOIN t b ON a.v = b.v WHERE a.id = 1",
    ] {
        app.fails(statement, 3109).await;
    }
    assert_eq!(app.ok("SELECT id FROM t WHERE id = 3").await, ["3"]);
    app.ok("UPDATE t SET v = 3 WHERE id IN (3)").await;
    system.reset("contains_shard_key");
    execute(app, &prepared).await.unwrap();
    assert_eq!(app.ok("SELECT id FROM t WHERE v = 3").await, ["3"]);

    // transfer_hash_to_mod_hash
    for (value, wanted) in [("OFF", "|hash|"), ("ON", "|mod_hash|")] {
        system.set("transfer_hash_to_mod_hash", value);
        app.ok("CREATE TABLE h (id INT PRIMARY KEY) DBPARTITION BY HASH(id)").await;
        assert!(app.ok("SHOW RULE FROM h").await[0].contains(wanted), "{value}");
        app.ok("DROP TABLE h").await;
    }
    system.reset("transfer_hash_to_mod_hash");

    // bind_table: the second table's rows are where the first one's v leads.
    app.ok("CREATE TABLE u (k INT PRIMARY KEY, n INT) DBPARTITION BY MOD_HASH(k)").await;
    app.ok("INSERT INTO u VALUES (0, 10), (1, 11), (2, 12), (3, 13)").await;
    let join = "SELECT t.id, u.n FROM t JOIN u ON t.v = u.k ORDER BY t.id";
    let explain = format!("EXPLAIN {join}");
    let rows = app.ok(join).await;
    let apart = app.ok(&explain).await.join("\n");
    system.set("bind_table", "[{t.v,u.k}]");
    let pushed = app.ok(&explain).await.join("\n");
    assert!(apart.contains("temp_0") && !pushed.contains("temp_0"), "{apart}\n{pushed}");
    assert_eq!(app.ok(join).await, rows);
    system.reset("bind_table");
    assert_eq!(app.ok(&explain).await.join("\n"), apart);

    // ultimate_optimize: values that happen to meet on one shard make one statement for it.
    let meets = "SELECT a.id, b.id FROM t a JOIN t b ON a.v = b.v + 4 WHERE a.id = 4 AND b.id = 0";
    let explain = format!("EXPLAIN {meets}");
    let by_values = app.ok(&explain).await.join("\n");
    system.set("ultimate_optimize", "OFF");
    let by_form = app.ok(&explain).await.join("\n");
    assert!(!by_values.contains("temp_0") && by_form.contains("temp_0"), "{by_values}\n{by_form}");
    assert_eq!(app.ok(meets).await, ["4|0"]);
    let pinned = app.ok("EXPLAIN SELECT * FROM t WHERE id = 4").await.join("\n");
    assert!(pinned.contains("shardCount=1"), "{pinned}");
    system.reset("ultimate_optimize");
    assert_eq!(app.ok(meets).await, ["4|0"]);
}
