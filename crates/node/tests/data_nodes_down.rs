//! A data node that dies, or hangs, under the load of many sessions: what concerns the other data node
//! goes on as before, what concerns this one ends soon with an error that is always the same, nobody
//! piles up, and it is used again as soon as it answers. What was acknowledged is there.
#![allow(clippy::unwrap_used)]

mod support;

use node_backend::{BackendError, Connection};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{Server, System, wait_for};

/// Sessions for each data node; as many again have transactions over both divided by four.
const SESSIONS: u64 = 16;

/// A statement that waits for a server that hangs is told within this: three answers are missed first.
const TOLD_WITHIN: Duration = Duration::from_secs(7);

/// From then on nobody waits; machines that run tests may be slow.
const AT_ONCE: Duration = Duration::from_millis(2_500);

/// A server that is back is used within this.
const USED_WITHIN: Duration = Duration::from_secs(5);

/// Data node unreachable, connection to a data node lost.
const ERRORS: [u16; 2] = [1429, 3108];

/// What a session's statement came to.
#[derive(Debug)]
struct Done {
    shards: &'static [u64],
    began: Instant,
    took: Duration,
    ids: Vec<u64>,
    error: Option<(u16, String)>,
}

struct Load {
    stop: Arc<AtomicBool>,
    sessions: Vec<tokio::task::JoinHandle<Vec<Done>>>,
}

impl Load {
    async fn start(system: &System, next: &Arc<AtomicU64>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut sessions = Vec::new();
        for number in 0..2 * SESSIONS + SESSIONS / 4 {
            let shards: &'static [u64] = match number / SESSIONS {
                0 => &[0],
                1 => &[2],
                _ => &[2, 0],
            };
            let (options, next, stop) = (system.options("app"), next.clone(), stop.clone());
            let client = Connection::connect(&options).await.unwrap();
            sessions.push(tokio::spawn(async move {
                let mut client = Some(client);
                let mut done = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let ids: Vec<u64> = shards
                        .iter()
                        .map(|shard| 4 * next.fetch_add(1, Ordering::Relaxed) + shard)
                        .collect();
                    let one = match &mut client {
                        Some(client) => client,
                        // Rows that break off in their middle end a session.
                        none => none.insert(Connection::connect(&options).await.unwrap()),
                    };
                    let began = Instant::now();
                    let outcome = insert(one, &ids).await;
                    let took = began.elapsed();
                    let error = match outcome {
                        Ok(()) => None,
                        Err(BackendError::Server(error)) => {
                            Some((error.number, error.message_text().into_owned()))
                        }
                        Err(BackendError::Closed { .. }) => {
                            client = None;
                            Some((ERRORS[1], "the session was closed".to_owned()))
                        }
                        Err(other) => panic!("{other:?}"),
                    };
                    done.push(Done { shards, began, took, ids, error });
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                done
            }));
        }
        Self { stop, sessions }
    }

    async fn end(self) -> Vec<Vec<Done>> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = futures::future::join_all(self.sessions);
        let all = tokio::time::timeout(2 * TOLD_WITHIN, ended).await.expect("no session is stuck");
        all.into_iter().map(Result::unwrap).collect()
    }
}

/// Inserts rows, in a transaction when they are several, and reads the first.
async fn insert(client: &mut Connection, ids: &[u64]) -> Result<(), BackendError> {
    let several = ids.len() > 1;
    let run = async {
        if several {
            client.execute_sql(b"BEGIN").await?;
        }
        for id in ids {
            let sql = format!("INSERT INTO t VALUES ({id}, {id})");
            client.execute_sql(sql.as_bytes()).await?;
        }
        if several {
            client.execute_sql(b"COMMIT").await?;
        }
        let sql = format!("SELECT v FROM t WHERE id = {}", ids[0]);
        assert_eq!(client.query(sql.as_bytes()).await?.into_rows().len(), 1, "{sql}");
        Ok(())
    };
    let done: Result<(), BackendError> = run.await;
    if let (Err(BackendError::Server(_)), true) = (&done, several) {
        client.execute_sql(b"ROLLBACK").await?;
    }
    done
}

fn median(of: impl Iterator<Item = Duration>) -> Duration {
    let mut all: Vec<Duration> = of.collect();
    all.sort_unstable();
    all[all.len() / 2]
}

/// The fault began, was taken away, and the server answered at these times.
fn judge(what: &str, all: &[Vec<Done>], [began, ended, over]: [Instant; 3]) {
    let each = || all.iter().flatten();
    let before = |one: &&Done| one.began + one.took < began;
    let meanwhile = |one: &&Done| one.began > began && one.began < ended;
    assert!(each().filter(before).all(|one| one.error.is_none()), "{what}");
    // The other data node's statements.
    let others = || each().filter(|one| one.shards == [0]);
    assert!(others().all(|one| one.error.is_none()), "{what}");
    let usual = median(others().filter(before).map(|one| one.took));
    let then = median(others().filter(meanwhile).map(|one| one.took));
    assert!(then < 3 * usual + Duration::from_millis(20), "{what}: {usual:?}, then {then:?}");
    let worst = others().filter(meanwhile).map(|one| one.took).max().unwrap();
    assert!(worst < AT_ONCE, "{what}: {worst:?}");
    // This one's.
    let touched = || each().filter(|one| one.shards != [0]);
    let failed = touched().filter(|one| one.error.is_some()).count();
    assert!(failed > 100, "{what}: {failed}");
    for one in touched() {
        assert!(one.took < 2 * TOLD_WITHIN, "{what}: {one:?}");
        if let Some((number, _)) = &one.error {
            assert!(ERRORS.contains(number), "{what}: {one:?}");
        }
        let long_down = one.began > began + TOLD_WITHIN && one.began + AT_ONCE < ended;
        if long_down {
            assert!(one.took < AT_ONCE, "{what}: {one:?}");
            assert_eq!(one.error.as_ref().map(|error| error.0), Some(1429), "{what}: {one:?}");
        }
    }
    // Every session is served again.
    for session in all {
        let served = session.iter().find(|one| one.error.is_none() && one.began > over);
        let served = served.unwrap_or_else(|| panic!("{what}: a session was not served again"));
        assert!(served.began < over + USED_WITHIN, "{what}: {served:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn others_do_not_notice() {
    let durable = ["--skip-log-bin", "--innodb-flush-log-at-trx-commit=2"];
    let servers = vec![Server::make_with(&durable), Server::make_with(&durable)];
    let mut system = System::start_on(servers, 4, |_| {}).await;
    let mut app = system.client().await;
    app.ok("CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT) DBPARTITION BY MOD_HASH(id)").await;
    let next = Arc::new(AtomicU64::new(0));
    let mut acknowledged = BTreeSet::new();
    for what in ["killed", "hung"] {
        let load = Load::start(&system, &next).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let began = Instant::now();
        match what {
            "killed" => system.servers[1].crash(),
            _ => system.servers[1].freeze(),
        }
        tokio::time::sleep(TOLD_WITHIN + Duration::from_secs(4)).await;
        let ended = Instant::now();
        match what {
            "killed" => system.servers[1].run_again(),
            _ => system.servers[1].thaw(),
        }
        drop(system.servers[1].ready().await);
        let over = Instant::now();
        tokio::time::sleep(USED_WITHIN + Duration::from_secs(1)).await;
        let all = load.end().await;
        judge(what, &all, [began, ended, over]);
        let done = all.into_iter().flatten().filter(|one| one.error.is_none());
        acknowledged.extend(done.flat_map(|one| one.ids));
    }
    // What was acknowledged is there, and transactions are whole.
    let mut there = BTreeSet::new();
    wait_for("branches are finished", async || {
        let rows = app.run("SELECT id FROM t").await.unwrap_or_default();
        there = rows.iter().map(|id| id.parse::<u64>().unwrap()).collect();
        let mut prepared = system.direct(1).await.ok("XA RECOVER").await;
        prepared.extend(system.direct(0).await.ok("XA RECOVER").await);
        prepared.is_empty()
    })
    .await;
    let lost: Vec<_> = acknowledged.difference(&there).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), acknowledged.len());
    assert!(acknowledged.len() > 1_000, "{}", acknowledged.len());
}
