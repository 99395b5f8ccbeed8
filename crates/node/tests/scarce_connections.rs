//! Many sessions and few connections to a data node: reads of one row share what there is, and whoever
//! wants a connection for itself gets one too.
#![allow(clippy::unwrap_used)]

mod support;

use node_exec::pipeline::STATEMENTS;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use support::{Client, Server, System, wait_for};
use tokio::task::JoinHandle;

const READERS: u32 = 48;
const WRITERS: u32 = 8;

/// Sessions of one kind, until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    async fn start(system: &System, sessions: u32, text: fn(u32) -> String) -> Self {
        let (stop, done) = <(Arc<AtomicBool>, Arc<AtomicU64>)>::default();
        let mut tasks = Vec::new();
        for number in 1..=sessions {
            let client = system.client().await;
            tasks.push(tokio::spawn(repeat(client, text(number), stop.clone(), done.clone())));
        }
        Self { stop, done, tasks }
    }

    fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

async fn repeat(mut client: Client, text: String, stop: Arc<AtomicBool>, done: Arc<AtomicU64>) {
    while !stop.load(Ordering::Relaxed) {
        client.ok(&text).await;
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Somebody waits for one of the two connections all the time. Were the reads to stand in line for one
/// each because of that, everybody would wait for many turns in place of a few.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_share_connections_that_others_want_too() {
    let servers = vec![Server::make()];
    let system = System::start_on(servers, 1, |config| config.worker_threads = 1).await;
    system.set("max_backend_connections", "2");
    let mut app = system.client().await;
    app.ok("CREATE TABLE t (id INT PRIMARY KEY, v INT) DBPARTITION BY MOD_HASH(id)").await;
    let rows: Vec<String> = (1..=READERS).map(|id| format!("({id}, 0)")).collect();
    app.ok(&format!("INSERT INTO t VALUES {}", rows.join(", "))).await;
    let write = |number| format!("UPDATE t SET v = v + 1 WHERE id = {number}");
    let writers = Load::start(&system, WRITERS, write).await;
    let read = |number| format!("SELECT v FROM t WHERE id = {number}");
    let readers = Load::start(&system, READERS, read).await;
    wait_for("both go on", async || readers.done() > 200 && writers.done() > 20).await;
    let (read, written, shared) = (readers.done(), writers.done(), STATEMENTS.get());
    let go_on = async || readers.done() > read + 3000 && writers.done() > written + 50;
    wait_for("both go on for a while", go_on).await;
    let (read, shared) = (readers.done() - read, STATEMENTS.get() - shared);
    writers.end().await;
    readers.end().await;
    assert!(shared * 3 > read, "{shared} of {read} reads were sent on shared connections");
}
