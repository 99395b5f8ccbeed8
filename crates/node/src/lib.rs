//! One DDM node: listeners, worker threads, the stream to the control plane, the admin endpoint and
//! the drain at its end. It knows how a node lives, not what a statement is: that is node-session's.

pub mod admin;
pub mod config;
pub mod listen;
pub mod memory;
pub mod slow_queries;
pub mod snapshot_file;
pub mod stream;
pub mod tls;
pub mod worker;

pub use config::NodeConfig;
use node_exec::ask::{ControlPlane, NoControlPlane};
use node_session::shared::{Shared, SharedOptions};
use snapshot_file::SnapshotFile;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use topology::model::Snapshot;
use worker::Bound;

/// Between the last connection and the drain: who has just come in gets an answer.
const HANDOVER_TIME: Duration = Duration::from_millis(250);

/// A node that starts and hears no control plane for so long serves what it served before.
const ALONE_AFTER: Duration = Duration::from_secs(3);

/// Why a node cannot run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration.
    #[error("{0}")]
    Config(#[from] config::ConfigError),
    /// An address.
    #[error("{0}")]
    Listen(#[from] listen::ListenError),
    /// A certificate or key.
    #[error("{0}")]
    Tls(#[from] tls::TlsError),
    /// The data directory or the snapshot in it.
    #[error("{0}")]
    Snapshot(#[from] snapshot_file::SnapshotError),
    /// A thread or runtime cannot be started.
    #[error("cannot start: {0}")]
    Start(std::io::Error),
    /// A worker ended by itself.
    #[error("a worker thread ended unexpectedly; the log says why")]
    WorkerEnded,
}

/// Runs a node until SIGTERM or SIGINT, then drains it.
pub fn run(config: NodeConfig) -> Result<(), NodeError> {
    config.check()?;
    let file = Arc::new(SnapshotFile::new(&config.data_dir, &config.node_id, config.seal_key()?)?);
    let snapshot = known_snapshot(&config, &file);
    let (control, questions) = stream::questions();
    let control: Arc<dyn ControlPlane> =
        if config.control_plane.is_empty() { Arc::new(NoControlPlane) } else { Arc::new(control) };
    let stream_tls = match (&config.ca_file, &config.cert_file, &config.key_file) {
        (Some(ca), Some(cert), Some(key)) if !config.control_plane.is_empty() => {
            Some(tls::stream_client(ca, cert, key)?)
        }
        _ => None,
    };
    // Definitions may have changed while the node was down: the control plane is heard first.
    let (at_once, when_alone) = match stream_tls {
        Some(_) => (None, snapshot),
        None => (snapshot, None),
    };
    let node = RunningNode::start(&config, control, at_once)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(NodeError::Start)?;
    let shared = node.shared.clone();
    runtime.block_on(async {
        if let Some(tls) = stream_tls {
            let task = stream::StreamTask { config: config.clone(), tls, shared, file, questions };
            tokio::spawn(task.run());
        }
        if let Some(snapshot) = when_alone {
            tokio::spawn(serve_when_alone(snapshot, node.shared.clone()));
        }
        memory::watch(config.memory_limit_mb, node.shared.clone());
        wait_for_stop().await.map_err(NodeError::Start)?;
        tracing::info!("stopping: no new connections, transactions may end");
        // The stream goes on: transactions that still run must not use an old definition.
        let stopped = tokio::task::spawn_blocking(move || node.stop()).await;
        stopped.map_err(|_| NodeError::WorkerEnded)?
    })
}

/// Serves the snapshot on disk when no control plane has sent one in time.
async fn serve_when_alone(snapshot: Snapshot, shared: Arc<Shared>) {
    tokio::time::sleep(ALONE_AFTER).await;
    if shared.version() == 0 {
        let version = snapshot.version;
        tracing::warn!(version, "no control plane answers; serving the snapshot on disk");
        shared.serve_snapshot(Arc::new(snapshot));
    }
}

/// The snapshot on disk, when it is there and can be served.
fn known_snapshot(config: &NodeConfig, file: &SnapshotFile) -> Option<Snapshot> {
    match file.load() {
        Ok(None) => None,
        Ok(Some(snapshot)) => match snapshot_file::check(&snapshot, &config.instance_id) {
            Ok(()) => Some(snapshot),
            Err(error) => {
                tracing::warn!(%error, "the snapshot on disk is not used");
                None
            }
        },
        Err(error) => {
            tracing::warn!(%error, "the snapshot on disk is not used");
            None
        }
    }
}

async fn wait_for_stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// A node whose workers run.
#[derive(Debug)]
pub struct RunningNode {
    /// What the workers share.
    pub shared: Arc<Shared>,
    /// Where it listens, in the order of `listen`, then `shared_listen`.
    pub addresses: Vec<SocketAddr>,
    /// Where the admin endpoint listens.
    pub admin_address: Option<SocketAddr>,
    /// Says that no more connections are accepted.
    closing: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
}

impl RunningNode {
    /// Opens every socket and starts the workers. Definitions are changed through `control`.
    pub fn start(
        config: &NodeConfig,
        control: Arc<dyn ControlPlane>,
        snapshot: Option<Snapshot>,
    ) -> Result<Self, NodeError> {
        let threads = config.threads();
        let mut addresses = Vec::new();
        let mut sockets: Vec<Vec<Bound>> = (0..threads).map(|_| Vec::new()).collect();
        let own = config.listen.iter().map(|address| (*address, true));
        let shared_ones = config.shared_listen.iter().map(|address| (*address, false));
        for (address, exclusive) in own.chain(shared_ones) {
            let (bound, listeners) = listen::listeners(address, threads, exclusive)?;
            tracing::info!(address = %bound, "listening for MySQL clients");
            addresses.push(bound);
            for (worker, listener) in sockets.iter_mut().zip(listeners) {
                if exclusive {
                    listen::open(&listener)
                        .map_err(|source| listen::ListenError { address: bound, source })?;
                }
                worker.push(Bound { listener, shared: !exclusive });
            }
        }
        let admin = config.admin_listen.map(admin::bind).transpose()?;
        let admin_address = admin.as_ref().and_then(|listener| listener.local_addr().ok());
        let shared = Shared::new(shared_options(config, control)?);
        if let Some(snapshot) = snapshot {
            tracing::info!(version = snapshot.version, "serving the snapshot on disk");
            shared.serve_snapshot(Arc::new(snapshot));
        }
        let (closing, closed) = watch::channel(false);
        let mut workers = Vec::new();
        for (number, listeners) in sockets.into_iter().enumerate() {
            let started = worker::start(number, listeners, shared.clone(), closed.clone());
            workers.push(started.map_err(NodeError::Start)?);
        }
        start_background(admin, shared.clone()).map_err(NodeError::Start)?;
        Ok(Self { shared, addresses, admin_address, closing, workers })
    }

    /// Hands its share of new connections to others, then drains and ends the workers.
    pub fn stop(self) -> Result<(), NodeError> {
        self.closing.send_replace(true);
        std::thread::sleep(HANDOVER_TIME);
        self.shared.start_drain();
        for worker in self.workers {
            worker.join().map_err(|_| NodeError::WorkerEnded)?;
        }
        Ok(())
    }
}

fn shared_options(
    config: &NodeConfig,
    control: Arc<dyn ControlPlane>,
) -> Result<SharedOptions, NodeError> {
    let tls = match (&config.mysql_cert_file, &config.mysql_key_file) {
        (Some(cert), Some(key)) => Some(tls::mysql_server(cert, key)?),
        _ => None,
    };
    let shared_sockets = config.shared_listen.len() * config.threads();
    Ok(SharedOptions {
        node_id: config.node_id.clone(),
        control,
        tls,
        shared_sockets,
        dialler: None,
        clock: SystemTime::now(),
        machine: rustix::system::uname().nodename().to_string_lossy().into_owned(),
    })
}

/// The thread of what is not a client's: the admin endpoint and the recovery of transactions whose
/// coordinator is gone. It ends with the process.
fn start_background(
    admin: Option<std::net::TcpListener>,
    shared: Arc<Shared>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("background".into()).spawn(move || {
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            if let Some(listener) = admin {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => {
                        tokio::task::spawn_local(admin::serve(listener, shared.clone()));
                    }
                    Err(error) => tracing::error!(%error, "the admin endpoint cannot be served"),
                }
            }
            tokio::task::spawn_local(node_session::watch::run(shared.clone()));
            node_session::recovery::run(shared).await;
        });
    })?;
    Ok(())
}

/// Reads the configuration and runs a node: what `ddm node --config FILE` does.
pub fn run_file(path: &std::path::Path) -> Result<(), NodeError> {
    run(NodeConfig::from_file(&PathBuf::from(path))?)
}
