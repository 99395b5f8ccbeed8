//! A data node that lies: garbage, halves, wrong numbers, lengths that are never filled, results
//! without end. Whoever asked gets the rows from another connection, or an error of ours, or loses his
//! own, in bounded time; others do not notice; the node's memory stays where it is; and the next
//! statement is answered.
#![allow(clippy::unwrap_used)]

#[path = "support/relay.rs"]
mod relay;
mod support;

use mysql_wire::column::{ColumnDefinition, ColumnFlags, ColumnType};
use mysql_wire::frame::put_packet;
use node_backend::{BackendError, QueryResult};
use relay::{Fault, Lie, Relay, Then};
use std::time::Duration;
use support::{Client, System, wait_for};

/// A statement may take a second; its client waits longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What the node may hold of an answer that never ends, with what else the process needs meanwhile.
const MEMORY_KIB_MAX: u64 = 160 * 1024;

/// Statements by the road that they take: passed on, merged, written.
const STATEMENTS: [(&str, &str); 4] = [
    ("passed on", "SELECT id, v FROM t WHERE id = 1"),
    ("merged in order", "SELECT id, v FROM t ORDER BY v, id"),
    ("merged in groups", "SELECT v, COUNT(*) FROM t GROUP BY v"),
    ("joined here", "SELECT a.id FROM t a JOIN t b ON a.v = b.id ORDER BY 1"),
];

/// Packets with numbers from 1.
fn packets(payloads: &[&[u8]]) -> Vec<u8> {
    let (mut out, mut sequence) = (Vec::new(), 1);
    for payload in payloads {
        put_packet(&mut out, &mut sequence, payload);
    }
    out
}

fn column() -> Vec<u8> {
    let mut packet = Vec::new();
    let column = ColumnDefinition::expression("id", ColumnType::LongLong, 63, 20);
    ColumnDefinition { flags: ColumnFlags::default(), ..column }.encode(&mut packet);
    packet
}

/// Bytes that look random, the same in every run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| byte()).collect()
}

/// Lies that end in silence too.
const SILENCES: [&str; 2] = ["a length that is never filled", "half a row"];
/// How long a login waits for a data node that says nothing.
const LOGINS_FAIL_WITHIN: Duration = Duration::from_secs(5);

/// Every lie, with a name.
fn lies() -> Vec<(&'static str, Lie)> {
    let column = column();
    let head: [&[u8]; 3] = [&[2], &column, &column];
    let with = |rest: &[&[u8]]| packets(&[&head[..], rest].concat());
    let mut out_of_order = with(&[b"\x011\x011", b"\x011\x011"]);
    let last = out_of_order.len() - 5;
    out_of_order[last] ^= 0x40;
    let mut lies = Vec::new();
    for (name, bytes) in [
        ("noise", noise(300)),
        ("a length that is never filled", [&[0xFF, 0xFF, 0xFE, 1][..], &noise(50)].concat()),
        ("half a head", vec![7, 0]),
        ("a wrong first number", vec![1, 0, 0, 9, 1]),
        ("a wrong number among rows", out_of_order),
        ("more columns than there can be", packets(&[&[0xFE, 1, 1, 1, 1, 1, 1, 1, 1]])),
        ("no columns", packets(&[&[0xFC, 0, 0]])),
        ("an empty packet", packets(&[&[]])),
        ("an empty row", with(&[b"", b"\x011\x011"])),
        ("a column that is none", packets(&[&[1], b"\xFE\xFF"])),
        ("half a row", {
            let whole = with(&[b"\x0512345\x011"]);
            whole[..whole.len() - 4].to_vec()
        }),
        ("half an OK", packets(&[&[0, 0]])),
        ("half an error", packets(&[&[0xFF, 1]])),
        ("a wish for a file of the client's", packets(&[b"\xFB/etc/hostname"])),
        ("a wish for another login", packets(&[b"\xFEmysql_clear_password\0"])),
    ] {
        lies.push((name, Lie { bytes: bytes.clone(), then: Then::Close }));
        // Each silence takes as long as a hung data node may.
        if SILENCES.contains(&name) {
            lies.push((name, Lie { bytes, then: Then::Silence }));
        }
    }
    lies
}

struct Test {
    system: System,
    relay: Relay,
}

impl Test {
    async fn start() -> Self {
        let system = System::start(2, 4).await;
        let relay = Relay::start(system.servers[0].port).await;
        let mut app = system.client().await;
        app.ok("CREATE TABLE t (id BIGINT PRIMARY KEY, v INT) DBPARTITION BY MOD_HASH(id)").await;
        app.ok("INSERT INTO t VALUES (1, 1), (2, 2), (3, 1), (4, 2), (5, 5)").await;
        system.set("sql_execute_timeout", "1");
        let port = relay.port;
        system.control.change(|snapshot| {
            let first = snapshot.data_nodes.values_mut().next().unwrap();
            first.port = port;
        });
        Self { system, relay }
    }

    /// Tells one lie to one statement.
    async fn tell(&self, what: &str, sql: &str, lie: Lie) {
        let mut app = self.system.client().await;
        let hung = lie.then == Then::Silence;
        let mut met = self.relay.trap("SELECT", Fault::Lie(Box::leak(Box::new(lie))));
        let answer = tokio::time::timeout(ANSWER_WITHIN, app.0.query(sql.as_bytes())).await;
        let answer = answer.unwrap_or_else(|_| panic!("{what}: no answer"));
        assert!(met.try_recv().is_ok(), "{what}: nothing was asked of the data node");
        match answer {
            Err(BackendError::Server(error)) => {
                assert!(error.number >= 1000, "{what}: {error:?}");
                // A session that was told an error goes on, but for a statement that was given up.
                if !hung {
                    assert_eq!(app.ok("SELECT COUNT(*) FROM t").await, ["5"], "{what}");
                }
            }
            // In the middle of rows that were passed on there is no place for an error.
            Err(BackendError::Closed { .. } | BackendError::Protocol(_)) => {}
            // Nothing had been passed on when the connection was lost: it was asked again.
            Ok(QueryResult::Rows(rows)) => {
                let again = self.system.client().await.ok(sql).await;
                assert_eq!(rows.rows.len(), again.len(), "{what}");
            }
            other => panic!("{what}: {other:?}"),
        }
        let mut other = self.system.client().await;
        if hung {
            // Logins that were under way meanwhile fail now; then it is tried again.
            tokio::time::sleep(LOGINS_FAIL_WITHIN).await;
            wait_for(what, async || other.run("SELECT id FROM t").await.is_ok()).await;
        }
        assert_eq!(other.ok("SELECT id FROM t ORDER BY id").await, ["1", "2", "3", "4", "5"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lies_are_errors() {
    let test = Test::start().await;
    for (road, sql) in STATEMENTS {
        for (name, lie) in lies() {
            // Hung data nodes are met on two roads: each takes a dozen seconds.
            if lie.then == Then::Silence && road.starts_with("joined") | road.ends_with("groups") {
                continue;
            }
            let what = format!("{road}, {name}, then {:?}", lie.then);
            test.tell(&what, sql, lie).await;
        }
    }
}

/// Reads an answer without keeping it; how it ended.
async fn read_away(app: &mut Client, sql: &str) -> BackendError {
    if let Err(error) = app.0.query_stream(sql.as_bytes()).await {
        return error;
    }
    loop {
        match app.0.next_row().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("{sql}: an end"),
            Err(error) => return error,
        }
    }
}

/// What this process, the node in it, has held at most.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_without_end_end() {
    let test = Test::start().await;
    let column = column();
    // Frames are numbered modulo 256: a block of so many goes on where it began.
    let row = [&[0xFC, 0, 1][..], &[b'7'; 256], b"\x011"].concat();
    let (mut block, mut sequence) = (Vec::new(), 4);
    (0..256).for_each(|_| put_packet(&mut block, &mut sequence, &row));
    for (road, sql) in STATEMENTS {
        let before = peak_kib();
        let bytes = packets(&[&[2], &column, &column]);
        let lie = Lie { bytes, then: Then::Endless(block.clone()) };
        let mut app = test.system.client().await;
        let mut met = test.relay.trap("SELECT", Fault::Lie(Box::leak(Box::new(lie))));
        let ended = tokio::time::timeout(ANSWER_WITHIN, read_away(&mut app, sql)).await;
        let ended = ended.unwrap_or_else(|_| panic!("{road}: the answer has no end"));
        assert!(met.try_recv().is_ok(), "{road}: nothing was asked of the data node");
        let grown = peak_kib() - before;
        assert!(grown < MEMORY_KIB_MAX, "{road}: {grown} KiB for {ended:?}");
        let mut other = test.system.client().await;
        assert_eq!(other.ok("SELECT COUNT(*) FROM t").await, ["5"], "{road}");
    }
}
