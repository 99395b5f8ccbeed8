//! What all workers of a node share: the snapshot that is served, the list of sessions, the way to
//! the control plane, and the state of the node's life (fenced, short of memory, draining). Workers
//! look at a version number for each statement and touch the rest only when it changed.

use crate::assured::Assured;
use crate::counts::WorkerCounts;
use crate::deadlocks::{DEADLOCKS, LOOKS};
use crate::processes::Processes;
use crate::slow_log::{SLOW_QUERIES, SLOW_QUERIES_DROPPED, SlowLog};
use arc_swap::ArcSwapOption;
use base::id::NodeId;
use node_backend::dial::Dialler;
use node_backend::members::Standings;
use node_exec::ask::ControlPlane;
use node_exec::in_flight::InFlight;
use node_exec::quotas::Quotas;
use node_exec::sequence::Sequences;
use node_exec::spread::Spread;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use telemetry::metrics::{Counter, Gauge};
use tokio::sync::{Notify, watch};
use topology::model::Snapshot;
use topology::parameters::{ConsistentReads, Settings};

/// Statements run since the start.
pub static STATEMENTS: Counter =
    Counter::new("ddm_statements_total", "Statements received from clients.");
/// Statements that ended in an error.
pub static STATEMENT_ERRORS: Counter =
    Counter::new("ddm_statement_errors_total", "Statements that ended in an error.");
/// Client connections now.
pub static CONNECTIONS: Gauge = Gauge::new("ddm_connections", "Client connections now.");
/// Refused and failed logins.
pub static LOGINS_FAILED: Counter =
    Counter::new("ddm_logins_failed_total", "Connections that did not get through their login.");
/// Connections turned away by the security group's rules.
pub static CLIENTS_REFUSED: Counter = Counter::new(
    "ddm_clients_refused_total",
    "Connections turned away or ended by the security group's rules.",
);
/// Statements whose plan was found.
pub static PLAN_HITS: Counter =
    Counter::new("ddm_plan_cache_hits_total", "Statements whose plan was found in the cache.");
/// Statements that were parsed and planned.
pub static PLAN_MISSES: Counter =
    Counter::new("ddm_plan_cache_misses_total", "Statements that were parsed and planned.");
/// Sessions that ended by a programming error.
pub static SESSION_PANICS: Counter =
    Counter::new("ddm_session_panics_total", "Sessions that ended by a programming error.");

/// A client of a node that has just started waits so long for the node's first snapshot.
const FIRST_SNAPSHOT_WAIT: Duration = Duration::from_secs(5);

/// What a node gives its workers.
#[derive(Debug)]
pub struct SharedOptions {
    /// The node.
    pub node_id: NodeId,
    /// Who records changes of definitions.
    pub control: Arc<dyn ControlPlane>,
    /// TLS for MySQL clients.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Sockets at addresses that other nodes serve too; each is opened when there is a snapshot.
    pub shared_sockets: usize,
    /// Who opens streams to data nodes.
    pub dialler: Dialler,
    /// The time of day: ids of transactions begin with it, so that no process has those of one before.
    pub clock: SystemTime,
    /// The name of the machine, as @@hostname says it.
    pub machine: String,
}

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// The node.
    pub node_id: NodeId,
    /// Who records changes of definitions.
    pub control: Arc<dyn ControlPlane>,
    /// TLS for MySQL clients.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// All sessions.
    pub processes: Processes,
    /// Distributed transactions of this node.
    pub in_flight: InFlight,
    /// Those that may be in deadlocks over several data nodes.
    pub spread: Spread,
    /// Blocks of generated values.
    pub sequences: Sequences,
    /// Slow statements that no control plane has yet.
    pub slow_log: SlowLog,
    /// How many connections there may be to each data node.
    pub quotas: Arc<Quotas>,
    /// Which replicas can be read.
    pub standings: Arc<Standings>,
    /// When the process started.
    pub started: Instant,
    /// Seconds from the start to the last FLUSH STATUS.
    flushed_after: AtomicU64,
    /// One for each worker.
    counts: Mutex<Vec<Arc<WorkerCounts>>>,
    /// Who opens streams to data nodes.
    pub dialler: Dialler,
    /// The name of the machine.
    pub machine: String,
    started_unix_ms: u64,
    snapshot: ArcSwapOption<Snapshot>,
    version: AtomicU64,
    /// Sockets at shared addresses that are not open yet.
    closed_sockets: AtomicUsize,
    /// A snapshot is served, or a socket was opened.
    progress: Notify,
    /// Whether the definitions may be used.
    pub(crate) assured: Assured,
    memory_short: AtomicBool,
    transactions: AtomicU64,
    drain: watch::Sender<bool>,
}

impl Shared {
    /// Nothing served yet.
    pub fn new(options: SharedOptions) -> Arc<Self> {
        telemetry::metrics::register(&[
            &STATEMENTS,
            &STATEMENT_ERRORS,
            &CONNECTIONS,
            &LOGINS_FAILED,
            &PLAN_HITS,
            &PLAN_MISSES,
            &SESSION_PANICS,
            &SLOW_QUERIES,
            &SLOW_QUERIES_DROPPED,
            &CLIENTS_REFUSED,
            &node_exec::reads::REPLICA_READS,
            &node_exec::reads::REPLICA_FAILURES,
            &node_exec::own_writes::OWN_WRITE_WAITS,
            &node_exec::own_writes::OWN_WRITE_MISSES,
            &DEADLOCKS,
            &LOOKS,
        ]);
        telemetry::metrics::register(&crate::assurance::ALL);
        telemetry::metrics::register(&node_exec::kinds::ALL);
        telemetry::metrics::register(&node_exec::pipeline::ALL);
        telemetry::metrics::register(&node_exec::consistent_reads::ALL);
        let started_unix_ms = options
            .clock
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        Arc::new(Self {
            spread: Spread::new(options.node_id.clone()),
            node_id: options.node_id,
            control: options.control,
            tls: options.tls,
            processes: Processes::default(),
            in_flight: InFlight::default(),
            sequences: Sequences::default(),
            slow_log: SlowLog::default(),
            quotas: Arc::default(),
            standings: Arc::default(),
            started: Instant::now(),
            flushed_after: AtomicU64::new(0),
            counts: Mutex::default(),
            dialler: options.dialler,
            machine: options.machine,
            started_unix_ms,
            snapshot: ArcSwapOption::empty(),
            version: AtomicU64::new(0),
            closed_sockets: AtomicUsize::new(options.shared_sockets),
            progress: Notify::new(),
            assured: Assured::default(),
            memory_short: AtomicBool::new(false),
            transactions: AtomicU64::new(0),
            drain: watch::channel(false).0,
        })
    }

    /// The version served, 0 for none.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The snapshot served.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.load_full()
    }

    /// Serves a snapshot from now on, as far as its use is assured.
    pub fn serve_snapshot(&self, snapshot: Arc<Snapshot>) {
        let version = snapshot.version;
        if let Some(number) = snapshot.node_numbers.get(&self.node_id) {
            self.processes.set_number(*number);
        }
        self.sequences.follow(&snapshot);
        let settings = Settings::of(&snapshot.parameters);
        self.quotas.follow(&snapshot, &settings);
        self.in_flight.marks().want(settings.consistent_reads != ConsistentReads::Off);
        self.snapshot.store(Some(snapshot));
        self.version.store(version, Ordering::Release);
        self.assure_snapshot();
        self.made_progress();
    }

    /// A socket at a shared address is open, or never will be.
    pub fn socket_opened(&self) {
        self.closed_sockets.fetch_sub(1, Ordering::Release);
        self.progress.notify_waiters();
    }

    /// Waits, for a node that has just started, until it has a snapshot and its shared addresses
    /// take connections: who is greeted at the node's own address may count on both. Not for ever.
    pub async fn wait_until_open(&self) {
        let open = async {
            loop {
                let mut progress = pin!(self.progress.notified());
                // Registered before looking, so that none is missed.
                progress.as_mut().enable();
                let is_open = self.is_serving() && self.closed_sockets.load(Ordering::Acquire) == 0;
                if is_open || self.is_shut() {
                    break;
                }
                progress.await;
            }
        };
        tokio::time::timeout(FIRST_SNAPSHOT_WAIT, open).await.ok();
    }

    /// Whoever waits for the node to be open looks again.
    pub(crate) fn made_progress(&self) {
        self.progress.notify_waiters();
    }

    /// Whether it serves clients.
    pub fn is_serving(&self) -> bool {
        self.version() != 0 && self.is_assured(Instant::now())
    }

    /// Why the node serves no clients now, if it does not.
    pub fn not_serving_reason(&self) -> Option<String> {
        if *self.drain.borrow() {
            return Some("stopping".to_owned());
        }
        if let Some(reason) = self.fenced_reason() {
            return Some(format!("fenced: {reason}"));
        }
        (self.version() == 0).then(|| "no snapshot yet".to_owned())
    }

    /// Client connections now and statements since the start.
    pub fn load(&self) -> (u64, u64) {
        (u64::try_from(CONNECTIONS.get()).unwrap_or(0), STATEMENTS.get())
    }

    fn counts(&self) -> MutexGuard<'_, Vec<Arc<WorkerCounts>>> {
        self.counts.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The counts of a new worker.
    pub fn new_counts(&self) -> Arc<WorkerCounts> {
        let counts = Arc::<WorkerCounts>::default();
        self.counts().push(counts.clone());
        counts
    }

    /// A number of all workers.
    pub fn counts_of_workers(&self, of: impl Fn(&WorkerCounts) -> u64) -> u64 {
        self.counts().iter().map(|worker| of(worker)).sum()
    }

    /// FLUSH STATUS: what is counted since then is counted from now.
    pub fn status_flushed(&self) {
        self.flushed_after.store(self.started.elapsed().as_secs(), Ordering::Relaxed);
        self.processes.flush_most();
    }

    /// Seconds since the last FLUSH STATUS, or since the start.
    pub fn seconds_since_flush(&self) -> u64 {
        let flushed = self.flushed_after.load(Ordering::Relaxed);
        self.started.elapsed().as_secs().saturating_sub(flushed)
    }

    /// New connections are refused while this is set.
    pub fn set_memory_short(&self, short: bool) {
        self.memory_short.store(short, Ordering::Relaxed);
    }

    /// Whether new connections are refused for want of memory.
    pub fn memory_short(&self) -> bool {
        self.memory_short.load(Ordering::Relaxed)
    }

    /// The id of a new distributed transaction.
    pub fn new_gtrid(&self) -> String {
        let number = self.transactions.fetch_add(1, Ordering::Relaxed);
        node_exec::decision::gtrid(&self.node_id, self.started_unix_ms, number)
    }

    /// Becomes true when the node is to stop.
    pub fn drain_signal(&self) -> watch::Receiver<bool> {
        self.drain.subscribe()
    }

    /// Whether the node is stopping.
    pub fn is_draining(&self) -> bool {
        *self.drain.borrow()
    }

    /// Tells every worker to drain and end.
    pub fn start_drain(&self) {
        self.drain.send_replace(true);
    }
}
