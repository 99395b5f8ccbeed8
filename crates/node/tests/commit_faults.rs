//! Everything that can go wrong between the first and the last word of a commit over two data nodes:
//! at each step a connection is cut before or after the statement, lost without the data node's
//! knowledge, or the data node is killed. Whatever happens, both data nodes have the transaction or
//! neither has it, what was acknowledged is there, and nothing stays prepared or locked.
#![allow(clippy::unwrap_used)]

#[path = "support/relay.rs"]
mod relay;
mod support;

use base::id::{DataNodeId, NodeId};
use relay::{Fault, Relay};
use std::time::Duration;
use support::{Client, Server, System, wait_for};

/// As a data node keeps what it says it has.
const DURABLE: [&str; 4] =
    ["--innodb-flush-log-at-trx-commit=1", "--log-bin=binlog", "--sync-binlog=1", "--server-id=1"];

/// Steps on the home, in order, and whether the transaction is there when the step was not run and
/// when it was.
const AT_HOME: [(&str, bool, bool); 4] = [
    ("START TRANSACTION", false, false),
    ("RELEASE SAVEPOINT", false, false),
    ("INSERT INTO `_ddm`", false, false),
    ("COMMIT", false, true),
];

/// The same on the other data node.
const AT_OTHER: [(&str, bool, bool); 5] = [
    ("XA START", false, false),
    ("INSERT INTO `shop", false, false),
    ("XA END", false, false),
    ("XA PREPARE", false, false),
    ("XA COMMIT", true, true),
];

const LIST_AGE: Duration = Duration::from_millis(150);

const STEP_COMES: Duration = Duration::from_secs(60);

struct Test {
    system: System,
    relays: Vec<Relay>,
    directs: Vec<Client>,
    next: u32,
}

impl Test {
    async fn start() -> Self {
        let servers = (0..2).map(|_| Server::make_with(&DURABLE)).collect();
        let system = System::start_on(servers, 4, |_| {}).await;
        let relays = Relay::before_all(&system).await;
        let directs = vec![system.direct(0).await, system.direct(1).await];
        let mut app = system.client().await;
        app.ok("CREATE TABLE t (id INT PRIMARY KEY) DBPARTITION BY MOD_HASH(id)").await;
        // The first commit makes the decisions' table.
        app.ok("INSERT INTO t VALUES (0), (3)").await;
        Self { system, relays, directs, next: 100 }
    }

    /// Two rows, of the first and of the second data node.
    fn rows(&mut self) -> (u32, u32) {
        self.next += 4;
        (self.next, self.next + 3)
    }

    /// Waits until nothing of a transaction is left, and says whether the rows are there.
    async fn outcome(&mut self, what: &str, rows: (u32, u32)) -> bool {
        for node in 0..2 {
            let direct = &mut self.directs[node];
            wait_for(&format!("{what}: a branch is left on {node}"), async || {
                // A data node's list of transactions is not renewed for who asks more often.
                tokio::time::sleep(LIST_AGE).await;
                direct.ok("XA RECOVER").await.is_empty()
                    && direct
                        .ok("SELECT trx_id FROM information_schema.innodb_trx")
                        .await
                        .is_empty()
            })
            .await;
        }
        let home = format!("SELECT COUNT(*) FROM shop_0000.t WHERE id = {}", rows.0);
        let other = format!("SELECT COUNT(*) FROM shop_0003.t WHERE id = {}", rows.1);
        let found = (self.directs[0].ok(&home).await, self.directs[1].ok(&other).await);
        assert_eq!(found.0, found.1, "{what}: half a transaction");
        found.0 == ["1"]
    }

    /// One commit with one fault. `explicit` writes in a transaction of the client's.
    async fn meet(&mut self, node: usize, step: &str, fault: Fault, explicit: bool) -> bool {
        let what = format!("{step} on {node}, {fault:?}, explicit {explicit}");
        let rows = self.rows();
        let mut app = self.system.client().await;
        let mut met = self.relays[node].trap(step, fault);
        let acknowledged = write(&mut app, rows, explicit).await;
        assert!(met.try_recv().is_ok(), "{what}: the step was not there");
        let there = self.outcome(&what, rows).await;
        assert_eq!(acknowledged.is_ok(), there, "{what}: {acknowledged:?}");
        there
    }

    /// One commit while a data node, `victim`, is killed when the step comes to one.
    async fn kill(&mut self, node: usize, step: &str, victim: usize) -> (bool, bool) {
        let what = format!("{step} on {node}, {victim} killed");
        let rows = self.rows();
        let mut app = self.system.client().await;
        // One that was killed before is refused at once until a probe has found it again.
        wait_for(&format!("{what}: both data nodes serve"), async || {
            app.run("SELECT COUNT(*) FROM t").await.is_ok()
        })
        .await;
        let mut met = self.relays[node].trap(step, Fault::Stop);
        let running = tokio::spawn(async move { write(&mut app, rows, false).await });
        let comes = tokio::time::timeout(STEP_COMES, met.recv()).await;
        let Ok(Some(go_on)) = comes else { panic!("{what}: the step was not there") };
        self.system.servers[victim].crash();
        go_on.send(()).ok();
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.system.servers[victim].run(rustix::process::geteuid().is_root());
        self.directs[victim] = self.system.direct(victim).await;
        let acknowledged = running.await.unwrap().is_ok();
        let there = self.outcome(&what, rows).await;
        assert!(there || !acknowledged, "{what}: lost");
        (there, acknowledged)
    }
}

async fn write(app: &mut Client, rows: (u32, u32), explicit: bool) -> Result<(), (u16, String)> {
    let (first, second) = rows;
    if !explicit {
        return app.run(&format!("INSERT INTO t VALUES ({first}), ({second})")).await.map(|_| ());
    }
    app.run("BEGIN").await?;
    for row in [first, second] {
        if let Err(error) = app.run(&format!("INSERT INTO t VALUES ({row})")).await {
            app.run("ROLLBACK").await?;
            return Err(error);
        }
    }
    app.run("COMMIT").await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_lost_at_every_step() {
    let mut test = Test::start().await;
    for explicit in [false, true] {
        for (node, steps) in [(0, &AT_HOME[..]), (1, &AT_OTHER[..])] {
            for (step, not_run, run) in steps {
                let cut = test.meet(node, step, Fault::CutBefore, explicit).await;
                assert_eq!(cut, *not_run, "{step} on {node}, cut before");
                let cut = test.meet(node, step, Fault::CutAnswer, explicit).await;
                assert_eq!(cut, *run, "{step} on {node}, answer lost");
            }
        }
    }
    // The data node does not know that nobody will come: whoever settles the matter ends it.
    assert!(!test.meet(0, "COMMIT", Fault::Abandon, false).await);
    // A prepared branch is still tied to the connection that nobody can reach.
    assert!(test.meet(1, "XA COMMIT", Fault::Abandon, false).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_nodes_are_killed_at_every_step() {
    let mut test = Test::start().await;
    for (node, steps) in [(0, &AT_HOME[..]), (1, &AT_OTHER[..])] {
        for (step, not_run, _) in steps {
            let (there, acknowledged) = test.kill(node, step, node).await;
            assert_eq!((there, acknowledged), (*not_run, *not_run), "{step} on {node}");
        }
    }
    // The home before its commit and behind it; the other when it is prepared.
    for (node, step, victim, there) in
        [(1, "XA PREPARE", 0, false), (1, "XA COMMIT", 0, true), (0, "COMMIT", 1, true)]
    {
        assert_eq!(test.kill(node, step, victim).await, (there, there), "{victim} at {step}");
    }
}

/// What a coordinator leaves when it dies, or stands still, at its three last steps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coordinators_die() {
    let mut test = Test::start().await;
    let own = NodeId::from_random([9; 16]);
    let home = DataNodeId::from_random([1; 16]);
    for (number, step) in (1..).zip(["prepared", "decision written", "committed"]) {
        let rows = test.rows();
        let gtrid = node_exec::decision::gtrid(&own, 5, number);
        let xid = node_exec::decision::xid(&gtrid, &home, 1, 1);
        let mut at_home = test.system.direct(0).await;
        at_home.ok("START TRANSACTION").await;
        at_home.ok(&format!("INSERT INTO shop_0000.t VALUES ({})", rows.0)).await;
        if step != "prepared" {
            at_home.ok(&node_exec::decision::commit_row(&gtrid)).await;
        }
        let mut at_other = test.system.direct(1).await;
        at_other.ok(&format!("XA START {xid}")).await;
        at_other.ok(&format!("INSERT INTO shop_0003.t VALUES ({})", rows.1)).await;
        at_other.ok(&format!("XA END {xid}")).await;
        // Before the other is prepared, lest recovery comes between.
        if step == "committed" {
            at_home.ok("COMMIT").await;
        }
        at_other.ok(&format!("XA PREPARE {xid}")).await;
        drop(at_other);
        if step == "prepared" {
            drop(at_home);
            assert!(!test.outcome(step, rows).await);
        } else {
            // Its connection stays: recovery ends the home's transaction itself.
            assert_eq!(test.outcome(step, rows).await, step == "committed", "{step}");
        }
    }
}

/// What a data node ended by itself is not committed elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_that_lost_its_transaction_commits_nothing() {
    let mut test = Test::start().await;
    let rows = test.rows();
    let mut app = test.system.client().await;
    app.ok("BEGIN").await;
    app.ok(&format!("INSERT INTO t VALUES ({})", rows.0)).await;
    app.ok(&format!("INSERT INTO t VALUES ({})", rows.1)).await;
    // Another connection closes the home's, as an administrator may.
    let threads = "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx \
                   WHERE trx_mysql_thread_id > 0";
    for thread in test.directs[0].ok(threads).await {
        test.directs[0].ok(&format!("KILL CONNECTION {thread}")).await;
    }
    assert!(app.run("COMMIT").await.is_err());
    assert!(!test.outcome("killed", rows).await);
}

/// One data node alone decides, and its answer to the commit is lost: the client hears that nobody knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_to_the_only_commit_is_told() {
    let mut test = Test::start().await;
    for (read, node, step) in
        [(None, 0, "COMMIT"), (Some(1), 0, "COMMIT"), (Some(0), 1, "XA COMMIT")]
    {
        for (fault, run) in [(Fault::CutBefore, false), (Fault::CutAnswer, true)] {
            let what = format!("{step} on {node}, {read:?} read, {fault:?}");
            let (first, second) = test.rows();
            let written = [first, second][node];
            let mut app = test.system.client().await;
            app.ok("BEGIN").await;
            if read == Some(0) {
                app.ok(&format!("SELECT id FROM t WHERE id = {first}")).await;
            }
            app.ok(&format!("INSERT INTO t VALUES ({written})")).await;
            if read == Some(1) {
                app.ok(&format!("SELECT id FROM t WHERE id = {second}")).await;
            }
            let mut met = test.relays[node].trap(step, fault);
            let (number, message) = app.run("COMMIT").await.unwrap_err();
            assert!(met.try_recv().is_ok(), "{what}: the step was not there");
            assert_eq!(number, 3108, "{what}: {message}");
            assert!(
                message.contains("the outcome of the commit is not known"),
                "{what}: {message}"
            );
            let ask = format!("SELECT COUNT(*) FROM shop_{:04}.t WHERE id = {written}", 3 * node);
            assert_eq!(test.directs[node].ok(&ask).await == ["1"], run, "{what}");
        }
    }
}

/// At SERIALIZABLE a data node that lost what was read there, and its locks, lets nothing be committed elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_of_reads_that_are_lost_commit_nothing() {
    let mut test = Test::start().await;
    for reader in [0, 1] {
        let rows = test.rows();
        let ids = [rows.0, rows.1];
        let mut app = test.system.client().await;
        app.ok("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE").await;
        app.ok("BEGIN").await;
        let read = format!("SELECT id FROM t WHERE id = {}", ids[reader]);
        let write = format!("INSERT INTO t VALUES ({})", ids[1 - reader]);
        for statement in if reader == 0 { [&read, &write] } else { [&write, &read] } {
            app.ok(statement).await;
        }
        let threads = "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx \
                       WHERE trx_mysql_thread_id > 0";
        let direct = &mut test.directs[reader];
        wait_for("nothing is locked", async || {
            // As above.
            tokio::time::sleep(LIST_AGE).await;
            let found = direct.ok(threads).await;
            for thread in &found {
                direct.ok(&format!("KILL CONNECTION {thread}")).await;
            }
            !found.is_empty()
        })
        .await;
        let (number, message) = app.run("COMMIT").await.unwrap_err();
        assert_eq!(number, 3108, "{message}");
        assert!(message.contains("rolled back"), "{message}");
        assert!(!test.outcome("locks lost", rows).await);
    }
}

/// Decisions go when they are done with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_are_removed() {
    let mut test = Test::start().await;
    let mut app = test.system.client().await;
    for _ in 0..20 {
        let rows = test.rows();
        write(&mut app, rows, false).await.unwrap();
    }
    let rows = test.rows();
    write(&mut app, rows, false).await.unwrap();
    let direct = &mut test.directs[0];
    // They go together with those of the same second.
    assert_ne!(direct.ok("SELECT COUNT(*) FROM _ddm.decisions").await, ["0"]);
    wait_for("decisions are left", async || {
        direct.ok("SELECT COUNT(*) FROM _ddm.decisions").await == ["0"]
    })
    .await;
}
