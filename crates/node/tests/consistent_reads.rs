//! A commit over two data nodes stands still between its first and its last word. Who reads without
//! the setting sees half of it; with it nobody does, through whichever node, whatever the statement,
//! and whether the coordinator goes on or is gone.
#![allow(clippy::unwrap_used)]

#[path = "support/relay.rs"]
mod relay;
mod support;

use base::id::NodeId;
use node::RunningNode;
use relay::{Fault, Relay};
use std::time::{Duration, Instant};
use support::{Client, Server, System, wait_for};

/// A read that waits for a commit has not answered after this.
const STILL_WAITS: Duration = Duration::from_millis(400);

type Rows = &'static [&'static str];

/// A statement, with its rows before, in the middle of, and after the commit.
type Read = (&'static str, Rows, Rows, Rows);

/// Statements of each kind that read several data nodes, and what a commit of the rows 100 and 103
/// makes of them: nothing, half, and all.
const READS: [Read; 7] = [
    ("SELECT COUNT(*) FROM t WHERE id >= 100", &["0"], &["1"], &["2"]),
    ("SELECT id FROM t WHERE id >= 100 ORDER BY id", &[], &["100"], &["100", "103"]),
    ("SELECT SUM(v) FROM t WHERE id IN (100, 103)", &["NULL"], &["5"], &["10"]),
    ("SELECT v, COUNT(*) FROM t WHERE id >= 100 GROUP BY v", &[], &["5|1"], &["5|2"]),
    // Over temporary tables.
    (
        "SELECT COUNT(*) FROM t a JOIN t b ON b.v = a.v WHERE a.id >= 100 AND b.id >= 100",
        &["0"],
        &["1"],
        &["4"],
    ),
    ("SELECT COUNT(*) FROM (SELECT id FROM t WHERE id >= 100 LIMIT 10) q", &["0"], &["1"], &["2"]),
    (
        "SELECT id FROM t WHERE id = 100 UNION ALL SELECT id FROM t WHERE id = 103",
        &[],
        &["100"],
        &["100", "103"],
    ),
];

struct Test {
    system: System,
    relays: Vec<Relay>,
    second: Option<RunningNode>,
}

impl Test {
    async fn start(value: &str) -> Self {
        Self::start_on((0..2).map(|_| Server::make()).collect(), value).await
    }

    async fn start_on(servers: Vec<Server>, value: &str) -> Self {
        let system = System::start_on(servers, 4, |_| {}).await;
        let relays = Relay::before_all(&system).await;
        system.set("consistent_reads", value);
        let mut app = system.client().await;
        app.ok("CREATE TABLE t (id INT PRIMARY KEY, v INT) DBPARTITION BY MOD_HASH(id)").await;
        app.ok("INSERT INTO t VALUES (0, 1), (3, 1)").await;
        Self { system, relays, second: None }
    }

    /// Another node of the instance.
    fn start_second(&mut self) -> u16 {
        let mut config = self.system.config.clone();
        config.node_id = NodeId::from_random([8; 16]);
        config.data_dir = config.data_dir.join("second");
        config.seal_key_file = config.data_dir.join("key");
        std::fs::create_dir_all(&config.data_dir).unwrap();
        let snapshot = self.system.node.as_ref().unwrap().shared.snapshot().unwrap();
        let node =
            RunningNode::start(&config, self.system.control.clone(), Some((*snapshot).clone()))
                .unwrap();
        let port = node.addresses[0].port();
        self.second = Some(node);
        port
    }

    async fn second_client(&self, port: u16) -> Client {
        let mut options = self.system.options("app");
        options.port = port;
        Client(node_backend::Connection::connect(&options).await.unwrap())
    }

    async fn reader(&self) -> Client {
        let mut reader = self.system.client().await;
        reader.ok("SET ddm_consistent_reads = ON").await;
        reader
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        if let Some(node) = self.second.take() {
            node.stop().unwrap();
        }
    }
}

async fn write(app: &mut Client) {
    app.ok("INSERT INTO t VALUES (100, 5), (103, 5)").await;
}

async fn clear(app: &mut Client) {
    app.ok("DELETE FROM t WHERE id >= 100").await;
}

/// The commit waits before its last statement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_wait_for_a_commit_that_is_half_done() {
    let mut test = Test::start("SESSION").await;
    let port = test.start_second();
    for through_second in [false, true] {
        for (sql, nothing, half, all) in READS {
            let mut app = test.system.client().await;
            let (mut plain, mut reader) = match through_second {
                false => (test.system.client().await, test.system.client().await),
                true => (test.second_client(port).await, test.second_client(port).await),
            };
            reader.ok("SET SESSION ddm_consistent_reads = 1").await;
            for client in [&mut plain, &mut reader] {
                assert_eq!(client.ok(sql).await, nothing, "{sql}");
            }
            let mut met = test.relays[1].trap("XA COMMIT", Fault::Stop);
            let writing = tokio::spawn(async move {
                write(&mut app).await;
                app
            });
            let go_on = met.recv().await.expect("the commit comes");
            assert_eq!(plain.ok(sql).await, half, "{sql}, without the setting");
            let mut reading = tokio::spawn(async move { reader.ok(sql).await });
            let early = tokio::time::timeout(STILL_WAITS, &mut reading).await;
            assert!(early.is_err(), "{sql}: {early:?}");
            go_on.send(()).unwrap();
            assert_eq!(reading.await.unwrap(), all, "{sql}, second {through_second}");
            clear(&mut writing.await.unwrap()).await;
        }
    }
}

/// The coordinator is gone before its last statement, so that the branch stays prepared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_finish_a_commit_that_is_left_alone() {
    let mut test = Test::start("ON").await;
    let port = test.start_second();
    for (sql, _, half, all) in READS {
        let mut app = test.system.client().await;
        let mut reader = test.second_client(port).await;
        let mut met = test.relays[1].trap("XA COMMIT", Fault::CutBefore);
        write(&mut app).await;
        met.try_recv().expect("the commit was cut");
        let mut plain = test.second_client(port).await;
        plain.ok("SET ddm_consistent_reads = OFF").await;
        let seen = plain.ok(sql).await;
        assert!(seen == half || seen == all, "{sql}: {seen:?}");
        assert_eq!(reader.ok(sql).await, all, "{sql}");
        clear(&mut app).await;
    }
    // Without that, nothing of it would be seen before recovery's time.
    let counted = test.system.direct(1).await.ok("XA RECOVER").await;
    assert!(counted.is_empty(), "{counted:?}");
}

/// The home is committed only when the read has begun: old values, and no waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_do_not_wait_for_what_is_not_decided() {
    let test = Test::start("ON").await;
    let mut app = test.system.client().await;
    let mut reader = test.system.client().await;
    for (node, step) in [(0, "COMMIT"), (1, "XA PREPARE")] {
        let mut met = test.relays[node].trap(step, Fault::Stop);
        let writing = tokio::spawn(async move {
            write(&mut app).await;
            app
        });
        let go_on = met.recv().await.expect("the commit comes");
        for (sql, nothing, ..) in READS {
            assert_eq!(reader.ok(sql).await, nothing, "{sql} at {step}");
        }
        go_on.send(()).unwrap();
        app = writing.await.unwrap();
        clear(&mut app).await;
    }
}

/// Snapshot, marks, rows and end of a read go to a data node in one piece, whatever comes of it, and
/// the next statement finds a connection in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_sends_all_at_once() {
    let test = Test::start("ON").await;
    let mut reader = test.reader().await;
    let all = "SELECT SUM(v) FROM t";
    // Connections are open, and marks known.
    for _ in 0..3 {
        assert_eq!(reader.ok(all).await, ["2"]);
    }
    let before: Vec<usize> = test.relays.iter().map(Relay::pieces).collect();
    for _ in 0..100 {
        assert_eq!(reader.ok(all).await, ["2"]);
    }
    for (relay, before) in test.relays.iter().zip(before) {
        // Beside them the node looks after its data nodes.
        let pieces = relay.pieces() - before;
        assert!((100..200).contains(&pieces), "{pieces} pieces for 100 reads");
    }
    reader.ok("SELECT SUM(v + 'x') FROM t").await;
    let warnings = reader.ok("SHOW WARNINGS").await;
    assert!(!warnings.is_empty() && warnings[0].contains("1292"), "{warnings:?}");
    for _ in 0..3 {
        reader.fails("SELECT v FROM t WHERE v = (SELECT 1 UNION SELECT 2)", 1242).await;
        assert_eq!(reader.ok("SELECT id FROM t LIMIT 1").await.len(), 1);
        assert_eq!(reader.ok(all).await, ["2"]);
    }
    let open = "SELECT COUNT(*) FROM information_schema.innodb_trx";
    for node in 0..2 {
        let mut direct = test.system.direct(node).await;
        wait_for("no snapshot stays", async || direct.ok(open).await == ["0"]).await;
    }
}

/// Rows that were asked for ahead by a snapshot that turned out to be behind: many of them, and slow
/// ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_for_in_vain_is_asked_for_again() {
    let test = Test::start("ON").await;
    let mut app = test.system.client().await;
    let rows: Vec<String> = (0..96).map(|id| format!("({id}, 1)")).collect();
    app.ok("DELETE FROM t").await;
    app.ok(&format!("INSERT INTO t VALUES {}", rows.join(","))).await;
    for (sql, count) in [
        ("SELECT id, REPEAT('x', 100000) FROM t WHERE id < 96 OR v = 5", 98),
        ("SELECT id, SLEEP(0.03) FROM t WHERE id < 16 OR v = 5", 18),
    ] {
        let mut reader = test.system.client().await;
        assert_eq!(reader.ok("SELECT COUNT(*) FROM t").await, ["96"]);
        let mut met = test.relays[1].trap("XA COMMIT", Fault::Stop);
        let writing = tokio::spawn(async move {
            write(&mut app).await;
            app
        });
        let go_on = met.recv().await.expect("the commit comes");
        let reading = tokio::spawn(async move { reader.ok(sql).await.len() });
        tokio::time::sleep(STILL_WAITS).await;
        go_on.send(()).unwrap();
        assert_eq!(reading.await.unwrap(), count, "{sql}");
        app = writing.await.unwrap();
        clear(&mut app).await;
        app.ok("INSERT INTO t VALUES (0, 1) ON DUPLICATE KEY UPDATE v = 1").await;
    }
}

/// All reads of START TRANSACTION WITH CONSISTENT SNAPSHOT see the moment of its beginning.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_of_all_data_nodes() {
    let test = Test::start("SESSION").await;
    let mut app = test.system.client().await;
    let mut plain = test.system.client().await;
    let mut reader = test.reader().await;
    for client in [&mut plain, &mut reader] {
        client.ok("START TRANSACTION WITH CONSISTENT SNAPSHOT").await;
        assert_eq!(client.ok("SELECT COUNT(*) FROM t WHERE id = 0").await, ["1"]);
    }
    write(&mut app).await;
    // Without the setting a data node's snapshot is taken when it is read first.
    assert_eq!(plain.ok("SELECT COUNT(*) FROM t WHERE id = 103").await, ["1"]);
    assert_eq!(plain.ok("SELECT COUNT(*) FROM t WHERE id = 100").await, ["0"]);
    for (sql, nothing, ..) in READS {
        assert_eq!(reader.ok(sql).await, nothing, "{sql}");
    }
    // It may write too, on all of them.
    reader.ok("INSERT INTO t VALUES (104, 1), (107, 1)").await;
    assert_eq!(reader.ok("SELECT COUNT(*) FROM t WHERE id >= 100").await, ["2"]);
    reader.ok("COMMIT").await;
    for (sql, .., all) in &READS[2..3] {
        assert_eq!(reader.ok(sql).await, *all, "{sql}");
    }
    assert_eq!(plain.ok("SELECT COUNT(*) FROM t WHERE id IN (100, 104)").await, ["0"]);
    plain.ok("COMMIT").await;
    reader.ok("SET autocommit = 0").await;
    assert_eq!(reader.ok("SELECT COUNT(*) FROM t WHERE id >= 100").await, ["4"]);
    clear(&mut app).await;
    // What a transaction reads first over data nodes is its moment.
    assert_eq!(reader.ok("SELECT COUNT(*) FROM t WHERE id >= 100").await, ["4"]);
    assert_eq!(reader.ok("SELECT COUNT(*) FROM t WHERE id = 103").await, ["1"]);
    reader.ok("COMMIT").await;
    assert_eq!(reader.ok("SELECT COUNT(*) FROM t WHERE id >= 100").await, ["0"]);
    reader.ok("SET autocommit = 1").await;
    write(&mut app).await;
    reader.ok("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await;
    reader.fails("DELETE FROM t", 1792).await;
    assert_eq!(reader.ok("SELECT COUNT(*) FROM t WHERE id >= 100").await, ["2"]);
    reader.ok("ROLLBACK").await;
}

/// Data nodes whose sessions begin at another level, also from some moment on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_nodes_may_have_another_level() {
    let other = ["--skip-log-bin", "--transaction-isolation=READ-COMMITTED"];
    for changes_later in [false, true] {
        let servers = match changes_later {
            false => (0..2).map(|_| Server::make_with(&other)).collect(),
            true => (0..2).map(|_| Server::make()).collect(),
        };
        let test = Test::start_on(servers, "ON").await;
        let mut app = test.system.client().await;
        let (sql, nothing, _, all) = READS[0];
        let mut reader = test.system.client().await;
        if changes_later {
            assert_eq!(reader.ok(sql).await, nothing);
            for node in 0..2 {
                let mut direct = test.system.direct(node).await;
                direct.ok("SET GLOBAL TRANSACTION ISOLATION LEVEL READ COMMITTED").await;
                let ours = "SELECT id FROM information_schema.processlist \
                            WHERE command = 'Sleep' AND id <> CONNECTION_ID()";
                for thread in direct.ok(ours).await {
                    direct.ok(&format!("KILL {thread}")).await;
                }
            }
            wait_for("connections are opened again", async || {
                reader.run("SELECT COUNT(*) FROM t WHERE id = 0").await.is_ok()
                    && reader.run("SELECT COUNT(*) FROM t WHERE id = 3").await.is_ok()
            })
            .await;
        }
        let mut met = test.relays[1].trap("XA COMMIT", Fault::Stop);
        let writing = tokio::spawn(async move { write(&mut app).await });
        let go_on = met.recv().await.expect("the commit comes");
        let mut reading = tokio::spawn(async move {
            let rows = reader.ok(sql).await;
            (reader, rows)
        });
        assert!(tokio::time::timeout(STILL_WAITS, &mut reading).await.is_err());
        go_on.send(()).unwrap();
        let (mut reader, rows) = reading.await.unwrap();
        assert_eq!(rows, all, "changes later {changes_later}");
        writing.await.unwrap();
        // As on such a server, it begins without a snapshot.
        reader.ok("START TRANSACTION WITH CONSISTENT SNAPSHOT").await;
        assert_eq!(reader.ok(sql).await, all);
        reader.ok("COMMIT").await;
    }
}

/// The setting, and what is in its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_chooses_where_the_instance_lets_it() {
    let test = Test::start("OFF").await;
    let mut app = test.system.client().await;
    app.fails("SET ddm_consistent_reads = ON", 3117).await;
    app.ok("SET ddm_consistent_reads = OFF").await;
    assert_eq!(app.ok("SELECT @@ddm_consistent_reads").await, ["0"]);
    test.system.set("consistent_reads", "ON");
    let mut other = test.system.client().await;
    assert_eq!(other.ok("SELECT @@ddm_consistent_reads").await, ["1"]);
    assert_eq!(app.ok("SELECT @@SESSION.ddm_consistent_reads").await, ["0"]);
    app.ok("SET ddm_consistent_reads = DEFAULT").await;
    assert_eq!(app.ok("SELECT @@ddm_consistent_reads, COUNT(*) FROM t").await, ["1|2"]);
    app.fails("SET ddm_consistent_reads = 7", 1231).await;
    app.ok("SET ddm_consistent_reads = 1").await;
    test.system.set("consistent_reads", "OFF");
    // It was promised, so it is not silently forgotten.
    app.fails("SELECT COUNT(*) FROM t", 3117).await;
    assert_eq!(app.ok("SELECT COUNT(*) FROM t WHERE id = 3").await, ["1"]);
    app.ok("SET ddm_consistent_reads = OFF").await;
    assert_eq!(app.ok("SELECT COUNT(*) FROM t").await, ["2"]);
    test.system.set("consistent_reads", "SESSION");
    test.system.set("transaction_policy", "NO_DTX");
    app.ok("SET STATEMENT ddm_consistent_reads = ON FOR SELECT COUNT(*) FROM t").await;
    assert_eq!(app.ok("SELECT @@ddm_consistent_reads").await, ["0"]);
    test.system.reset("transaction_policy");
    // What a statement fails with stays what it is, and no transaction is left.
    app.ok("SET ddm_consistent_reads = ON, sql_select_limit = 1").await;
    app.fails("SELECT COUNT(*) FROM t WHERE JSON_EXTRACT('{', '$') OR nothing = 1", 1054).await;
    assert_eq!(app.ok("SELECT SUM(v) FROM t").await, ["2"]);
    app.ok("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE").await;
    app.ok("SET SESSION tx_isolation = 'READ-COMMITTED'").await;
    assert_eq!(app.ok("SELECT SUM(v) FROM t").await, ["2"]);
}

/// Commits come without a pause from several sessions while others read: a table's total is right in
/// every answer, and both sides go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn totals_are_right_among_many_commits() {
    let mut test = Test::start("ON").await;
    let mut app = test.system.client().await;
    app.ok("CREATE TABLE bank (id INT PRIMARY KEY, v INT) DBPARTITION BY MOD_HASH(id)").await;
    let rows: Vec<String> = (0..64).map(|id| format!("({id}, 100)")).collect();
    app.ok(&format!("INSERT INTO bank VALUES {}", rows.join(","))).await;
    let port = test.start_second();
    let until = Instant::now() + Duration::from_secs(6);
    let mut writers = Vec::new();
    for number in 0..8u32 {
        let mut client = match number % 2 {
            0 => test.system.client().await,
            _ => test.second_client(port).await,
        };
        writers.push(tokio::spawn(async move {
            let mut done = 0u32;
            while Instant::now() < until {
                // Each session has its own rows, on both data nodes, either first.
                let (from, to) = (number * 8 + done % 4, number * 8 + (done + 2) % 4);
                client.ok("BEGIN").await;
                client.ok(&format!("UPDATE bank SET v = v - 1 WHERE id = {from}")).await;
                client.ok(&format!("UPDATE bank SET v = v + 1 WHERE id = {to}")).await;
                client.ok("COMMIT").await;
                done += 1;
            }
            done
        }));
    }
    let mut readers = Vec::new();
    for number in 0..4 {
        let mut client = match number % 2 {
            0 => test.system.client().await,
            _ => test.second_client(port).await,
        };
        readers.push(tokio::spawn(async move {
            let mut done = 0u32;
            while Instant::now() < until {
                assert_eq!(client.ok("SELECT SUM(v) FROM bank").await, ["6400"]);
                done += 1;
            }
            done
        }));
    }
    let (mut written, mut read) = (0, 0);
    for writer in writers {
        written += writer.await.unwrap();
    }
    for reader in readers {
        read += reader.await.unwrap();
    }
    assert!(written > 50 && read > 20, "{written} commits, {read} reads");
    wait_for("the sum stays", async || app.ok("SELECT SUM(v) FROM bank").await == ["6400"]).await;
}
