//! Reads of many sessions over shared connections to a data node: the answers are right, whatever
//! happens to a statement happens to it alone, and nothing is lost when a connection is.
#![allow(clippy::unwrap_used)]

#[path = "support/relay.rs"]
mod relay;
mod support;

use mysql_wire::value::Value;
use node_backend::{Connection, StreamHead};
use node_exec::pipeline::{BURSTS, SENT_AGAIN, STATEMENTS};
use relay::{Fault, Relay};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{Client, Server, System, wait_for};
use tokio::task::JoinHandle;

const ROWS: u32 = 500;
/// Rows of a range, at most.
const SOME: u32 = 120;
const PAD: &str = "q";
/// As long as a padded row is, at least.
const PADDED: usize = 100;
const SESSIONS: u32 = 24;
/// What a statement that waits for nothing takes at most here, on a busy machine.
const SOON: Duration = Duration::from_secs(3);
/// A column that is longer than what is kept of an answer on a shared connection.
const LONG: usize = 200_000;

/// A node with one worker that shares connections from the first read on, over one data node.
async fn start() -> System {
    let servers = vec![Server::make()];
    let system = System::start_on(servers, 1, |config| config.worker_threads = 1).await;
    system.set("pipelining_threshold", "1");
    let mut app = system.client().await;
    for table in ["t", "locked"] {
        app.ok(&format!(
            "CREATE TABLE {table} (id INT PRIMARY KEY, v VARCHAR(20), b LONGTEXT, pad VARCHAR(100)) DBPARTITION BY MOD_HASH(id)"
        ))
        .await;
        let rows: Vec<String> =
            (1..=ROWS).map(|id| format!("({id}, 'v{id}', 'x', '{PAD:p>100}')")).collect();
        app.ok(&format!("INSERT INTO {table} VALUES {}", rows.join(", "))).await;
    }
    system
}

/// Sessions that read rows, one or some, until they are told to stop; each answer is checked.
struct Readers {
    stop: Arc<AtomicBool>,
    /// The longest that one of them waited, in milliseconds.
    longest: Arc<AtomicU64>,
    done: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Readers {
    async fn start(system: &System, sessions: u32) -> Self {
        let (stop, longest, done) = <(Arc<AtomicBool>, Arc<AtomicU64>, Arc<AtomicU64>)>::default();
        let mut tasks = Vec::new();
        for number in 0..sessions {
            let mut client = system.client().await;
            let (stop, longest, done) = (stop.clone(), longest.clone(), done.clone());
            tasks.push(tokio::spawn(async move {
                let mut id = number;
                while !stop.load(Ordering::Relaxed) {
                    id = (id * 7 + 13) % (ROWS + 20);
                    let began = Instant::now();
                    if number % 3 == 0 {
                        read_some(&mut client, id).await;
                    } else {
                        let rows = client.ok(&format!("SELECT v FROM t WHERE id = {id}")).await;
                        assert_eq!(rows, row(id));
                    }
                    longest.fetch_max(began.elapsed().as_millis() as u64, Ordering::Relaxed);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        Self { stop, longest, done, tasks }
    }

    /// They go on: each has had some more answers.
    async fn go_on(&self) {
        let before = self.done.load(Ordering::Relaxed);
        wait_for("readers go on", async || self.done.load(Ordering::Relaxed) > before + 200).await;
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        let longest = Duration::from_millis(self.longest.load(Ordering::Relaxed));
        assert!(longest < SOON, "a reader waited for {longest:?}");
    }
}

/// Reads a range of rows, long and short answers, or some of a list.
async fn read_some(client: &mut Client, id: u32) {
    let (last, columns) = (id + id % SOME, if id.is_multiple_of(2) { "v, pad" } else { "v" });
    let padded = |v: String| if columns == "v" { v } else { format!("{v}|{PAD:p>100}") };
    let text = match id % 5 {
        0 => {
            let ids: Vec<_> = (id..=last).map(|id| id.to_string()).collect();
            format!("SELECT {columns} FROM t WHERE id IN ({})", ids.join(", "))
        }
        _ => format!("SELECT {columns} FROM t WHERE id BETWEEN {id} AND {last}"),
    };
    let expected: Vec<_> = (id..=last).flat_map(row).map(padded).collect();
    assert!(client.ok(&text).await == expected, "{text}");
}

fn row(id: u32) -> Vec<String> {
    if (1..=ROWS).contains(&id) { vec![format!("v{id}")] } else { Vec::new() }
}

async fn prepared_reader(mut client: Connection, number: u32) {
    let text = b"SELECT v, id FROM t WHERE id = ?";
    let range = b"SELECT v, pad FROM t WHERE id BETWEEN ? AND ?";
    for turn in 0..100 {
        let id = (number * 31 + turn * 7) % (ROWS + 20);
        let prepared = client.prepare(text).await.unwrap();
        let head = client.execute(&prepared, &[Value::Int(i64::from(id))]).await.unwrap();
        assert!(matches!(head, StreamHead::Rows(_)));
        let mut rows = 0;
        while let Some(row) = client.next_row().await.unwrap() {
            rows += 1;
            let text = format!("v{id}");
            assert!(row.payload().windows(text.len()).any(|part| part == text.as_bytes()));
        }
        assert_eq!(rows, row(id).len());
        let prepared = client.prepare(range).await.unwrap();
        let bounds = [id, id + SOME].map(|id| Value::Int(i64::from(id)));
        let head = client.execute(&prepared, &bounds).await.unwrap();
        assert!(matches!(head, StreamHead::Rows(_)));
        let expected = (id..=id + SOME).flat_map(row).count();
        let mut rows = 0;
        while let Some(row) = client.next_row().await.unwrap() {
            rows += 1;
            assert!(row.payload().len() > PADDED);
        }
        assert_eq!(rows, expected);
    }
}

/// Text and prepared reads, their errors and warnings, rows that are long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_those_of_a_connection_of_ones_own() {
    let system = start().await;
    let mut app = system.client().await;
    app.ok(&format!("UPDATE t SET b = REPEAT('y', {LONG}) WHERE id = 9")).await;
    let readers = Readers::start(&system, SESSIONS).await;
    let (before, bursts) = (STATEMENTS.get(), BURSTS.get());
    let mut tasks = Vec::new();
    for number in 0..SESSIONS {
        let client = Connection::connect(&system.options("app")).await.unwrap();
        tasks.push(tokio::spawn(prepared_reader(client, number)));
    }
    for turn in 0..20 {
        // A warning is read where the statement ran.
        assert_eq!(app.ok("SELECT id + 'a' FROM t WHERE id = 3").await, ["3"]);
        let warnings = app.ok("SHOW WARNINGS").await;
        assert!(warnings.len() == 1 && warnings[0].contains("1292"), "{warnings:?}");
        assert_eq!(app.ok("SELECT v FROM t WHERE id = 4").await, ["v4"]);
        assert!(app.ok("SHOW WARNINGS").await.is_empty());
        // An error is told to the one who made it, with logical names.
        let message =
            app.fails("SELECT id - 9223372036854775807 - 9 FROM t WHERE id = 1", 1690).await;
        assert!(!message.contains("shop_0000"), "{message}");
        let long = app.ok("SELECT b, v FROM t WHERE id = 9").await;
        assert_eq!(long[0].len(), LONG + 3);
        // Its own writes are seen at once.
        app.ok(&format!("UPDATE t SET b = 'n{turn}' WHERE id = 5")).await;
        assert_eq!(app.ok("SELECT b FROM t WHERE id = 5").await, [format!("n{turn}")]);
        // In a transaction it is the transaction's connection.
        app.ok("BEGIN").await;
        app.ok("UPDATE t SET b = 'open' WHERE id = 6").await;
        assert_eq!(app.ok("SELECT b FROM t WHERE id = 6").await, ["open"]);
        app.ok("ROLLBACK").await;
        assert_eq!(app.ok("SELECT b FROM t WHERE id = 6").await, ["x"]);
        // Settings are those of the session.
        app.ok("SET sql_mode = 'PIPES_AS_CONCAT'").await;
        assert_eq!(app.ok("SELECT v || 'z' FROM t WHERE id = 7").await, ["v7z"]);
        app.ok("SET sql_mode = DEFAULT").await;
        assert_eq!(app.ok("SELECT v || 'z' FROM t WHERE id = 7").await, ["0"]);
    }
    for task in tasks {
        task.await.unwrap();
    }
    readers.end().await;
    let (statements, bursts) = (STATEMENTS.get() - before, BURSTS.get() - bursts);
    assert!(statements > u64::from(SESSIONS) * 100, "{statements}");
    assert!(bursts * 2 < statements, "{statements} in {bursts} bursts");
}

/// A statement that has to wait keeps nobody waiting, and can be killed, timed out and left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_waits_alone() {
    let system = start().await;
    let readers = Readers::start(&system, SESSIONS).await;
    let mut direct = system.direct(0).await;
    direct.ok("LOCK TABLES shop_0000.locked WRITE").await;
    let mut killer = system.client().await;
    for number in 1..=5 {
        let mut victim = system.client().await;
        let id = victim.ok("SELECT CONNECTION_ID()").await[0].clone();
        let sql = format!("SELECT v FROM locked WHERE id = {number}");
        let waits = tokio::spawn(async move { (victim.run(&sql).await, victim) });
        readers.go_on().await;
        assert!(!waits.is_finished());
        killer.ok(&format!("KILL QUERY {id}")).await;
        let (killed, mut victim) = waits.await.unwrap();
        assert_eq!(killed.unwrap_err().0, 1317);
        assert_eq!(victim.ok("SELECT v FROM t WHERE id = 8").await, ["v8"]);
    }
    // One whose client goes away, and one that takes too long.
    let mut gone = Connection::connect(&system.options("app")).await.unwrap();
    gone.queue_query(b"SELECT v FROM locked WHERE id = 50");
    gone.flush().await.unwrap();
    readers.go_on().await;
    drop(gone);
    system.set("sql_execute_timeout", "1");
    let mut late = system.client().await;
    late.fails("SELECT v FROM locked WHERE id = 60", 3024).await;
    system.reset("sql_execute_timeout");
    readers.go_on().await;
    // Nothing of them is left on the data node, and then nobody waits any more.
    let mut other = system.direct(0).await;
    wait_for("statements are killed on the data node", async || {
        let list =
            "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT v FROM%locked%'";
        other.ok(list).await.is_empty()
    })
    .await;
    direct.ok("UNLOCK TABLES").await;
    assert_eq!(late.ok("SELECT v FROM locked WHERE id = 60").await, ["v60"]);
    readers.end().await;
}

/// A client that does not read its answers holds up nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_holds_up_nobody() {
    let system = start().await;
    let mut app = system.client().await;
    app.ok("UPDATE t SET b = REPEAT('y', 60000) WHERE id = 9").await;
    let readers = Readers::start(&system, SESSIONS).await;
    let mut lazy = Vec::new();
    for _ in 0..4 {
        let mut client = Connection::connect(&system.options("app")).await.unwrap();
        for _ in 0..400 {
            client.queue_query(b"SELECT b FROM t WHERE id = 9");
        }
        client.flush().await.unwrap();
        lazy.push(client);
    }
    for _ in 0..10 {
        readers.go_on().await;
    }
    for client in &mut lazy {
        for _ in 0..400 {
            assert!(matches!(client.open_stream().await.unwrap(), StreamHead::Rows(_)));
            assert!(client.next_row().await.unwrap().unwrap().payload().len() > 60_000);
            assert!(client.next_row().await.unwrap().is_none());
        }
    }
    readers.end().await;
}

/// A connection that breaks with a burst on it: all of them are answered, none is told. The one that
/// breaks it may have stalled its line on a busy machine; then it meets the fault alone, and is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_told_to_nobody() {
    let system = start().await;
    let relay = Relay::start(system.servers[0].port).await;
    system.control.change(|snapshot| {
        for node in snapshot.data_nodes.values_mut() {
            node.port = relay.port;
        }
    });
    let readers = Readers::start(&system, SESSIONS).await;
    let mut app = system.client().await;
    let before = SENT_AGAIN.get();
    let mut told = 0;
    for round in 0..12 {
        let fault = if round % 2 == 0 { Fault::CutAnswer } else { Fault::CutBefore };
        let mut met = relay.trap(&format!("SELECT v, {round}"), fault);
        match app.run(&format!("SELECT v, {round} FROM t WHERE id = 11")).await {
            Ok(rows) => assert_eq!(rows, [format!("v11|{round}")]),
            Err((number, message)) => {
                assert_eq!(number, 3108, "{message}");
                told += 1;
            }
        }
        assert!(met.try_recv().is_ok(), "round {round}");
        readers.go_on().await;
    }
    assert!(told <= 6, "{told} were told");
    assert!(SENT_AGAIN.get() > before, "they were on shared connections");
    readers.end().await;
}

/// A data node that is killed: whoever asked is told so at once, and later all goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_data_node_is_told_and_comes_back() {
    let mut system = start().await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for number in 0..SESSIONS {
        let mut client = system.client().await;
        let stop = stop.clone();
        tasks.push(tokio::spawn(async move {
            let mut failed = 0;
            while !stop.load(Ordering::Relaxed) {
                let id = number + 1;
                match client.run(&format!("SELECT v FROM t WHERE id = {id}")).await {
                    Ok(rows) => assert_eq!(rows, row(id)),
                    Err(_) => {
                        failed += 1;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
            assert!(failed > 0);
            assert_eq!(client.ok("SELECT v FROM t WHERE id = 1").await, ["v1"]);
        }));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    system.servers[0].crash();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    system.servers[0].run(rustix::process::geteuid().is_root());
    drop(system.servers[0].ready().await);
    let mut app = system.client().await;
    wait_for("the data node is back", async || {
        app.run("SELECT v FROM t WHERE id = 1").await.is_ok()
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        tokio::time::timeout(Duration::from_secs(20), task).await.expect("nobody hangs").unwrap();
    }
}

/// Where there is one connection for all, it is not the readers' alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_connection_is_given_back_when_others_want_one() {
    let system = start().await;
    system.set("max_backend_connections", "1");
    let readers = Readers::start(&system, SESSIONS).await;
    let mut app = system.client().await;
    for turn in 0..20 {
        let began = Instant::now();
        app.ok(&format!("UPDATE t SET b = 'w{turn}' WHERE id = 5")).await;
        assert!(began.elapsed() < SOON, "turn {turn}");
    }
    readers.end().await;
}

/// Switched off, nothing is shared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_parameter_switches_it_off() {
    let system = start().await;
    let mut off = Client(Connection::connect(&system.options("app")).await.unwrap());
    system.set("pipelining_threshold", "0");
    assert_eq!(off.ok("SELECT v FROM t WHERE id = 1").await, ["v1"]);
    let mut direct = system.direct(0).await;
    direct.ok("LOCK TABLES shop_0000.locked WRITE").await;
    let mut waiting = Vec::new();
    for id in 1..=5 {
        let mut client = system.client().await;
        waiting.push(tokio::spawn(async move {
            client.run(&format!("SELECT v FROM locked WHERE id = {id}")).await
        }));
    }
    let list = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT v FROM%locked%'";
    let mut other = system.direct(0).await;
    wait_for("each has its connection", async || support::number(&mut other, list).await == 5)
        .await;
    direct.ok("UNLOCK TABLES").await;
    for one in waiting {
        assert_eq!(one.await.unwrap().unwrap().len(), 1);
    }
}
