//! Deadlocks over several data nodes: found in a second or two, through one node and through two; one
//! transaction gives way, on all data nodes, and its client is told what a server tells. Deadlocks of one
//! data node, and waits that are too long, beside them.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use base::id::NodeId;
use mysql_wire::packet::ErrPacket;
use node::RunningNode;
use node_backend::BackendError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{Client, System, TestControl, number, wait_for};
use tokio::sync::{Mutex, MutexGuard};

/// How long finding may take here; the data nodes' own `innodb_lock_wait_timeout` is 50 s.
const FOUND_WITHIN: Duration = Duration::from_secs(10);

const DEADLOCK: &str = "Deadlock found when trying to get lock; try restarting transaction";

/// Three data nodes with a shard each: the row `id` is on the one of number `id % 3`.
struct Test {
    system: System,
    second: Option<RunningNode>,
    admin: Client,
    _alone: MutexGuard<'static, ()>,
}

/// The tests count what the process counts.
static ALONE: Mutex<()> = Mutex::const_new(());

impl Test {
    async fn start() -> Self {
        let alone = ALONE.lock().await;
        let system = System::start(3, 3).await;
        let mut admin = system.client().await;
        admin.ok("CREATE TABLE t (id INT PRIMARY KEY, v INT) DBPARTITION BY MOD_HASH(id)").await;
        admin.ok("INSERT INTO t VALUES (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)").await;
        Self { system, second: None, admin, _alone: alone }
    }

    /// The same with a second node of the instance; they ask each other.
    async fn start_two() -> Self {
        let mut test = Self::start().await;
        let mut config = test.system.config.clone();
        config.node_id = NodeId::from_random([8; 16]);
        config.data_dir = config.data_dir.join("second");
        config.seal_key_file = config.data_dir.join("key");
        std::fs::create_dir_all(&config.data_dir).unwrap();
        let first = test.system.node.as_ref().unwrap().shared.clone();
        let ids = [first.node_id.clone(), config.node_id.clone()];
        test.system.control.change(|snapshot| {
            snapshot.node_count = 2;
            snapshot.node_numbers = ids.into_iter().zip(1..).collect();
        });
        let control = Arc::new(TestControl::default());
        control.peer.set(Arc::downgrade(&first)).unwrap();
        let snapshot = (*first.snapshot().unwrap()).clone();
        let node = RunningNode::start(&config, control, Some(snapshot)).unwrap();
        test.system.control.peer.set(Arc::downgrade(&node.shared)).unwrap();
        test.second = Some(node);
        test
    }

    /// A session through the first node (0) or the second (1).
    async fn client(&self, node: usize) -> Client {
        let mut options = self.system.options("app");
        if node == 1 {
            options.port = self.second.as_ref().unwrap().addresses[0].port();
        }
        Client(node_backend::Connection::connect(&options).await.unwrap())
    }

    /// All rows have this value again.
    async fn set_all(&mut self, v: u32) {
        self.admin.ok(&format!("UPDATE t SET v = {v}")).await;
    }

    async fn values(&mut self) -> String {
        self.admin.ok("SELECT GROUP_CONCAT(v ORDER BY id) FROM t").await.remove(0)
    }

    /// Waits until so many wait for a row lock of a data node.
    async fn wait_for_waits(&self, data_node: usize, count: u64) {
        let mut direct = self.system.direct(data_node).await;
        let sql = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'";
        wait_for("it waits", async || number(&mut direct, sql).await == count).await;
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        if let Some(node) = self.second.take() {
            node.stop().unwrap();
        }
    }
}

/// A session with a statement that it waits with.
type Later = tokio::task::JoinHandle<(Client, Result<Vec<String>, (u16, String)>)>;

fn later(mut client: Client, sql: &'static str) -> Later {
    tokio::spawn(async move {
        let outcome = client.run(sql).await;
        (client, outcome)
    })
}

/// What two sessions say: at first each locks a row, then each wants the other's.
struct Crossing {
    first: [&'static [&'static str]; 2],
    then: [&'static str; 2],
    /// Which of them is the younger: the one that came to a second data node later.
    loser: usize,
    /// The values when the other one has committed.
    values: &'static str,
}

const CROSSINGS: [Crossing; 5] = [
    Crossing {
        first: [
            &["BEGIN", "UPDATE t SET v = v + 1 WHERE id = 0"],
            &["BEGIN", "UPDATE t SET v = v + 2 WHERE id = 1"],
        ],
        then: ["UPDATE t SET v = v + 1 WHERE id = 1", "UPDATE t SET v = v + 2 WHERE id = 0"],
        loser: 1,
        values: "1,1,0,0,0,0",
    },
    // What one has locked without writing; and the older one closes the circle.
    Crossing {
        first: [
            &["BEGIN", "SELECT v FROM t WHERE id = 0 FOR UPDATE"],
            &["BEGIN", "SELECT v FROM t WHERE id IN (1, 2) FOR UPDATE"],
        ],
        then: ["SELECT v FROM t WHERE id = 1 FOR UPDATE", "UPDATE t SET v = 2 WHERE id = 0"],
        loser: 0,
        values: "2,0,0,0,0,0",
    },
    // Locked for sharing.
    Crossing {
        first: [
            &["BEGIN", "SELECT v FROM t WHERE id = 0 LOCK IN SHARE MODE"],
            &["BEGIN", "SELECT v FROM t WHERE id = 1 LOCK IN SHARE MODE"],
        ],
        then: ["UPDATE t SET v = 1 WHERE id = 1", "UPDATE t SET v = 2 WHERE id = 0"],
        loser: 1,
        values: "0,1,0,0,0,0",
    },
    // A statement that is a transaction by itself, on all data nodes.
    Crossing {
        first: [&["BEGIN", "UPDATE t SET v = v + 1 WHERE id IN (0, 2)"], &[]],
        then: ["UPDATE t SET v = v + 2", "UPDATE t SET v = v + 1 WHERE id = 1"],
        loser: 0,
        values: "1,1,1,0,0,0",
    },
    // Without BEGIN.
    Crossing {
        first: [
            &["SET autocommit = 0", "INSERT INTO t VALUES (6, 6)"],
            &["SET autocommit = 0", "DELETE FROM t WHERE id = 5"],
        ],
        then: ["UPDATE t SET v = 1 WHERE id = 5", "INSERT INTO t VALUES (6, 7)"],
        loser: 1,
        values: "0,0,0,0,0,1,6",
    },
];

async fn cross(test: &mut Test, crossing: &Crossing, nodes: [usize; 2]) {
    test.admin.ok("DELETE FROM t WHERE id > 5").await;
    test.set_all(0).await;
    let mut sessions = [test.client(nodes[0]).await, test.client(nodes[1]).await];
    for (session, statements) in sessions.iter_mut().zip(crossing.first) {
        for statement in statements {
            session.ok(statement).await;
        }
    }
    // Of the one without a BEGIN the statement comes first.
    let [mut a, mut b] = sessions;
    if crossing.first[1].is_empty() {
        std::mem::swap(&mut a, &mut b);
    }
    let a = later(a, crossing.then[0]);
    let waits_at = usize::from(!crossing.first[1].is_empty());
    let waits_at = if crossing.first[0][1].starts_with("INSERT") { 2 } else { waits_at };
    test.wait_for_waits(waits_at, 1).await;
    let before = deadlocks();
    let begun = Instant::now();
    let b = later(b, crossing.then[1]);
    let (a, b) = (a.await.unwrap(), b.await.unwrap());
    let took = begun.elapsed();
    println!("found and ended after {took:?}: {:?} through {nodes:?}", crossing.then);
    assert!(took < FOUND_WITHIN, "{took:?}");
    let ((mut lost, error), (mut won, outcome)) = if crossing.loser == 0 { (a, b) } else { (b, a) };
    assert_eq!(error, Err((1213, DEADLOCK.to_owned())), "{:?}: {outcome:?}", crossing.then);
    outcome.unwrap();
    wait_for("it is counted", async || deadlocks() == before + 1).await;
    lost.ok("DO 1").await;
    won.ok("DO 1").await;
    assert!(!lost.0.in_transaction() && won.0.in_transaction(), "{:?}", crossing.then);
    won.ok("COMMIT").await;
    lost.ok("COMMIT").await;
    assert_eq!(test.values().await, crossing.values, "{:?}", crossing.then);
    // All is free.
    test.admin.ok("UPDATE t SET v = 8").await;
}

fn deadlocks() -> u64 {
    metric("ddm_deadlocks_total")
}

fn metric(name: &str) -> u64 {
    let text = telemetry::metrics::text();
    let line = text.lines().find(|line| line.split(' ').next() == Some(name)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_sessions_gives_way() {
    let mut test = Test::start_two().await;
    for crossing in &CROSSINGS {
        cross(&mut test, crossing, [0, 0]).await;
        cross(&mut test, crossing, [0, 1]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_of_three_loses_one() {
    let mut test = Test::start_two().await;
    for nodes in [[0, 0, 0], [0, 1, 0]] {
        test.set_all(0).await;
        let mut sessions = Vec::new();
        for (id, node) in nodes.into_iter().enumerate() {
            let mut session = test.client(node).await;
            session.ok("BEGIN").await;
            session.ok(&format!("UPDATE t SET v = 1 WHERE id = {id}")).await;
            sessions.push(session);
        }
        let wanted = [
            "UPDATE t SET v = 2 WHERE id = 1",
            "UPDATE t SET v = 2 WHERE id = 2",
            "UPDATE t SET v = 2 WHERE id = 0",
        ];
        let begun = Instant::now();
        let mut waiting = Vec::new();
        for (at, session) in sessions.into_iter().enumerate() {
            waiting.push(later(session, wanted[at]));
            if at < 2 {
                test.wait_for_waits(at + 1, 1).await;
            }
        }
        let (_, youngest) = waiting.pop().unwrap().await.unwrap();
        assert_eq!(youngest, Err((1213, DEADLOCK.to_owned())));
        println!("a ring of three through {nodes:?}: {:?}", begun.elapsed());
        // The row 2 is free now, and then the row 1.
        let (mut second, outcome) = waiting.pop().unwrap().await.unwrap();
        outcome.unwrap();
        assert!(begun.elapsed() < FOUND_WITHIN, "{:?}", begun.elapsed());
        second.ok("COMMIT").await;
        let (mut first, outcome) = waiting.pop().unwrap().await.unwrap();
        outcome.unwrap();
        first.ok("COMMIT").await;
        assert_eq!(test.values().await, "1,2,2,0,0,0");
    }
}

/// What is no circle is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_wait_is_no_deadlock() {
    let mut test = Test::start_two().await;
    let before = deadlocks();
    let mut holder = test.client(0).await;
    holder.ok("BEGIN").await;
    for id in 0..3 {
        holder.ok(&format!("UPDATE t SET v = 1 WHERE id = {id}")).await;
    }
    let mut waiting = Vec::new();
    for (node, id) in [(0, 3), (1, 4)] {
        let mut session = test.client(node).await;
        session.ok("BEGIN").await;
        session.ok(&format!("UPDATE t SET v = 2 WHERE id = {id}")).await;
        waiting.push(later(session, "UPDATE t SET v = 2 WHERE id = 2"));
    }
    test.wait_for_waits(2, 2).await;
    let looks = metric("ddm_deadlock_looks_total");
    wait_for("it was looked at", async || metric("ddm_deadlock_looks_total") > looks + 3).await;
    assert!(waiting.iter().all(|one| !one.is_finished()));
    holder.ok("COMMIT").await;
    for one in waiting {
        let (mut session, outcome) = one.await.unwrap();
        outcome.unwrap();
        session.ok("COMMIT").await;
    }
    assert_eq!(test.values().await, "1,1,2,2,2,0");
    assert_eq!(deadlocks(), before);
}

/// Transactions that lock in one order wait long for each other, and no two looks are alike; there is no
/// deadlock among them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_locks_in_order_is_never_in_a_deadlock() {
    let mut test = Test::start_two().await;
    let looks = metric("ddm_deadlock_looks_total");
    let enough = Arc::new(AtomicBool::new(false));
    let mut sessions = Vec::new();
    for number in 0..8 {
        // Its own row is on one data node, the others, which it locks from the lowest on, are on two.
        let own = 30 + 3 * number;
        test.admin.ok(&format!("INSERT INTO t VALUES ({own}, 0)")).await;
        let (mut session, enough) = (test.client(number % 2).await, enough.clone());
        sessions.push(tokio::spawn(async move {
            let mut done = 0;
            while !enough.load(Ordering::Relaxed) {
                session.ok("BEGIN").await;
                let from = [1, 2, 4][(number + done) % 3];
                for id in [own, 1, 2, 4, 5].into_iter().filter(|id| *id >= from) {
                    session.ok(&format!("UPDATE t SET v = v + 1 WHERE id = {id}")).await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                session.ok("COMMIT").await;
                done += 1;
            }
            done
        }));
    }
    wait_for("it was looked at", async || metric("ddm_deadlock_looks_total") > looks + 8).await;
    enough.store(true, Ordering::Relaxed);
    let mut done = 0;
    for session in sessions {
        done += session.await.unwrap();
    }
    let own = test.admin.ok("SELECT SUM(v) FROM t WHERE id IN (5)").await;
    assert_eq!(own, [done.to_string()]);
}

/// A data node that is asked all the time tells of waits that are over. With a wait of now on another one
/// such a wait looks like a circle, and is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_that_is_over_is_no_part_of_a_deadlock() {
    let test = Test::start().await;
    let before = deadlocks();
    let (mut a, mut b, mut c) = (test.client(0).await, test.client(0).await, test.client(0).await);
    for (session, id) in [(&mut a, 2), (&mut b, 1), (&mut c, 5)] {
        session.ok("BEGIN").await;
        session.ok(&format!("UPDATE t SET v = 1 WHERE id = {id}")).await;
    }
    a.ok("SET innodb_lock_wait_timeout = 3").await;
    let waiting = later(a, "UPDATE t SET v = 2 WHERE id = 1");
    test.wait_for_waits(1, 1).await;
    let mut direct = test.system.direct(1).await;
    let is_told = "SELECT COUNT(*) FROM information_schema.INNODB_LOCK_WAITS";
    wait_for("the wait is told", async || {
        tokio::time::sleep(Duration::from_millis(150)).await;
        number(&mut direct, is_told).await == 1
    })
    .await;
    let over = Arc::new(AtomicBool::new(false));
    let keeps_old = over.clone();
    let asking = tokio::spawn(async move {
        while !keeps_old.load(Ordering::Relaxed) {
            direct.ok(is_told).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let (mut a, outcome) = waiting.await.unwrap();
    assert_eq!(outcome.unwrap_err().0, 1205);
    a.ok("SET innodb_lock_wait_timeout = 50").await;
    let b = later(b, "UPDATE t SET v = 2 WHERE id = 2");
    let a = later(a, "UPDATE t SET v = 2 WHERE id = 5");
    let looks = metric("ddm_deadlock_looks_total");
    wait_for("it was looked at", async || metric("ddm_deadlock_looks_total") > looks + 3).await;
    over.store(true, Ordering::Relaxed);
    asking.await.unwrap();
    c.ok("ROLLBACK").await;
    for waiting in [a, b] {
        let (mut session, outcome) = waiting.await.unwrap();
        outcome.unwrap();
        session.ok("COMMIT").await;
    }
    assert_eq!(deadlocks(), before);
}

/// A data node that finds a deadlock itself rolls back one branch; the others go with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_of_one_data_node_ends_the_whole_transaction() {
    let mut test = Test::start().await;
    // The data node of the deadlock has a transaction's first part, or a later one.
    for home in [true, false] {
        test.set_all(0).await;
        let mut sessions = Vec::new();
        for (one, other) in [(0, 1), (3, 2)] {
            let mut session = test.client(0).await;
            session.ok("BEGIN").await;
            for id in if home { [one, other] } else { [other, one] } {
                session.ok(&format!("UPDATE t SET v = 1 WHERE id = {id}")).await;
            }
            sessions.push(session);
        }
        let b = sessions.pop().unwrap();
        let a = later(sessions.pop().unwrap(), "UPDATE t SET v = 1 WHERE id = 3");
        test.wait_for_waits(0, 1).await;
        let b = later(b, "UPDATE t SET v = 1 WHERE id = 0");
        let (a, b) = (a.await.unwrap(), b.await.unwrap());
        let (values, (mut lost, error), (mut won, outcome)) = match a.1.is_err() {
            true => ("1,0,1,1,0,0", a, b),
            false => ("1,1,0,1,0,0", b, a),
        };
        assert_eq!(error, Err((1213, DEADLOCK.to_owned())));
        outcome.unwrap();
        lost.ok("DO 1").await;
        assert!(!lost.0.in_transaction());
        won.ok("COMMIT").await;
        assert_eq!(test.values().await, values);
        test.admin.ok("UPDATE t SET v = 8").await;
    }
}

/// `innodb_lock_wait_timeout`: the statement is undone on all data nodes, the transaction goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_that_is_too_long_undoes_the_statement_alone() {
    let mut test = Test::start().await;
    let mut holder = test.client(0).await;
    holder.ok("BEGIN").await;
    holder.ok("UPDATE t SET v = 5 WHERE id = 1").await;
    let mut session = test.client(0).await;
    session.ok("SET innodb_lock_wait_timeout = 1").await;
    session.fails("UPDATE t SET v = v + 100", 1205).await;
    assert_eq!(test.values().await, "0,0,0,0,0,0");
    session.ok("BEGIN").await;
    session.ok("UPDATE t SET v = 7 WHERE id = 2").await;
    for statement in [
        "UPDATE t SET v = v + 100",
        "INSERT INTO t VALUES (6, 6), (1, 6) ON DUPLICATE KEY UPDATE v = 6",
        "DELETE FROM t WHERE v < 10",
        "UPDATE t SET v = v + 1 WHERE id = 1",
        "UPDATE t SET v = v + 100 ORDER BY v LIMIT 5",
    ] {
        session.fails(statement, 1205).await;
        let rows = session.ok("SELECT GROUP_CONCAT(v ORDER BY id) FROM t").await;
        assert_eq!(rows, ["0,0,7,0,0,0"], "{statement}");
        assert!(session.0.in_transaction(), "{statement}");
    }
    session.ok("UPDATE t SET v = 8 WHERE id = 3").await;
    session.ok("COMMIT").await;
    holder.ok("ROLLBACK").await;
    assert_eq!(test.values().await, "0,0,7,8,0,0");
}

/// The packet, and what SHOW WARNINGS says afterwards, are a server's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loser_is_told_what_a_server_tells() {
    let test = Test::start().await;
    let mut told: Vec<(ErrPacket, Vec<String>)> = Vec::new();
    // On one data node, which tells it itself, and on two.
    for (one, other) in [(0, 3), (0, 1)] {
        let (mut a, mut b) = (test.client(0).await, test.client(0).await);
        for (session, id) in [(&mut a, one), (&mut b, other)] {
            session.ok("BEGIN").await;
            session.ok(&format!("UPDATE t SET v = 1 WHERE id = {id}")).await;
        }
        // The one that has written more is not chosen by the data node.
        a.ok("INSERT INTO t VALUES (9, 9), (12, 12), (15, 15), (18, 18)").await;
        let wanted = if other == 3 {
            "UPDATE t SET v = 1 WHERE id = 3"
        } else {
            "UPDATE t SET v = 1 WHERE id = 1"
        };
        let a = later(a, wanted);
        test.wait_for_waits(other % 3, 1).await;
        let Err(BackendError::Server(error)) = b.0.query(b"UPDATE t SET v = 1 WHERE id = 0").await
        else {
            panic!("a deadlock");
        };
        told.push((error, b.ok("SHOW WARNINGS").await));
        let (mut a, outcome) = a.await.unwrap();
        outcome.unwrap();
        a.ok("ROLLBACK").await;
    }
    assert_eq!(told[0], told[1]);
    assert_eq!((told[1].0.number, &told[1].0.sqlstate), (1213, b"40001"));
}
