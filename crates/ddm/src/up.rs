//! `ddm up`: the whole system on this machine. The order of starting is data nodes, control plane,
//! nodes (by the control plane), demo; stopping goes the other way round. Data nodes and nodes are
//! processes of their own that outlive a kill of this one, and the next start adopts them.

mod comeback;
mod data_dir;
mod demo;
mod endpoints;
mod progress;
mod subnet;
mod summary;

pub use data_dir::DataDir;
pub use subnet::Subnet;

use crate::cli::UpOptions;
use crate::rest::{Client, Credentials};
use anyhow::{Context, Result, bail};
use control_plane::{ControlPlane, ControlPlaneOptions, DataNodeRegistration, ReplicaRegistration};
use demo::Demo;
use progress::Progress;
use provision::mariadb_local::{LocalDataNode, LocalDataNodes, LocalMariaDbOptions};
use provision::process_nodes::ProcessProvisioner;
use provision::{SqlDataNodeAdmin, Stop};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use telemetry::logs::{self, LogFormat};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// What is logged beside the progress display, unless DDM_LOG says otherwise.
const LOG_FILTER: &str = "warn";

/// How long nodes may drain when the system stops.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// The exit code after a second Ctrl-C, as shells have it.
const INTERRUPTED: i32 = 130;

/// Runs the system until it is told to stop.
pub fn run(options: UpOptions, log_format: LogFormat) -> Result<()> {
    logs::init(log_format, LOG_FILTER);
    if options.demo && options.data_nodes == 0 {
        bail!("--demo needs local data nodes; leave --data-nodes 0 out");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(up(options))
}

async fn up(options: UpOptions) -> Result<()> {
    let progress = Progress::new();
    let outcome = serve(options, &progress).await;
    progress.done();
    outcome
}

async fn serve(options: UpOptions, progress: &Progress) -> Result<()> {
    let stop = StopSignal::listen()?;
    let dir = DataDir::open(&options.data_dir)?;
    check_port(options.api_listen)?;
    let mut system = System::new(&dir)?;
    let outcome = system.start(&dir, &options, &stop, progress).await;
    if matches!(outcome, Ok(true)) {
        stop.wait().await;
    }
    let stopped = system.stop(progress).await;
    progress.done();
    outcome?;
    stopped?;
    eprintln!("ddm: stopped");
    Ok(())
}

/// Says it before anything is started.
pub fn check_port(address: SocketAddr) -> Result<()> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => bail!(
            "{address} is in use by another program; stop it, or give another --api-listen (port 0 takes a free one)"
        ),
        Err(error) => Err(error)
            .with_context(|| format!("cannot listen on {address}; give another --api-listen")),
    }
}

/// The parts that run.
#[derive(Debug)]
struct System {
    provisioner: Arc<ProcessProvisioner>,
    data_nodes: Option<LocalDataNodes>,
    plane: Option<ControlPlane>,
}

impl System {
    fn new(dir: &DataDir) -> Result<Self> {
        let binary = std::env::current_exe().context("cannot find the program's own file")?;
        let provisioner = Arc::new(ProcessProvisioner::new(binary, dir.path().to_owned()));
        Ok(Self { provisioner, data_nodes: None, plane: None })
    }

    /// Starts everything; false when told to stop meanwhile.
    async fn start(
        &mut self,
        dir: &DataDir,
        options: &UpOptions,
        stop: &StopSignal,
        progress: &Progress,
    ) -> Result<bool> {
        progress.step("looking for data nodes");
        let local = LocalMariaDbOptions::new(
            dir.path().join("data-nodes"),
            options.data_nodes,
            options.replicas,
        );
        let data_nodes = self
            .data_nodes
            .insert(LocalDataNodes::start(local, progress.line()).await?)
            .data_nodes();
        if stop.is_set() {
            return Ok(false);
        }
        progress.step("starting the control plane");
        let plane = self.plane.insert(self::plane(dir, options, self.provisioner.clone()).await?);
        for node in &data_nodes {
            let registered = plane.register_data_node(registration(node)).await;
            registered.with_context(|| format!("cannot register the data node {}", node.name))?;
        }
        let document = endpoints::document(plane.endpoints(), &data_nodes, None);
        let client = client(plane.endpoints())?;
        let work = async {
            comeback::wait(&client, progress).await?;
            match options.demo {
                true => {
                    demo::ensure(dir, &client, &document, &data_nodes, progress).await.map(Some)
                }
                false => Ok(None),
            }
        };
        // Both ask others for jobs and wait; a stop need not.
        let demo = tokio::select! {
            demo = work => demo?,
            () = stop.wait() => return Ok(false),
        };
        publish(dir, plane, &data_nodes, demo.as_ref(), progress)?;
        Ok(true)
    }

    /// Stops what runs: first the control plane, so that nobody starts nodes again.
    async fn stop(self, progress: &Progress) -> Result<()> {
        if let Some(plane) = self.plane {
            progress.step("stopping the control plane");
            plane.shutdown().await;
        }
        progress.step("stopping nodes");
        let nodes = self.provisioner.stop_all(Stop::Drain(DRAIN_TIME)).await;
        if let Some(data_nodes) = self.data_nodes {
            progress.step("stopping data nodes");
            data_nodes.stop().await.context("cannot stop the data nodes")?;
        }
        nodes.context("cannot stop the nodes")
    }
}

async fn plane(
    dir: &DataDir,
    options: &UpOptions,
    provisioner: Arc<ProcessProvisioner>,
) -> Result<ControlPlane> {
    let plane = ControlPlaneOptions {
        data_dir: dir.path().to_owned(),
        api_listen: options.api_listen,
        http: options.http,
        node_subnet: (options.node_subnet.network, options.node_subnet.prefix),
        provisioner,
        data_node_admin: Arc::new(SqlDataNodeAdmin::new()),
    };
    let started = ControlPlane::start_with(plane, options.throttle.into()).await;
    started.context("cannot start the control plane")
}

fn registration(node: &LocalDataNode) -> DataNodeRegistration {
    let replica = |replica: &provision::mariadb_local::LocalReplica| ReplicaRegistration {
        id: replica.id.clone(),
        host: replica.host.clone(),
        port: replica.port,
    };
    DataNodeRegistration {
        id: node.id.clone(),
        name: node.name.clone(),
        host: node.host.clone(),
        port: node.port,
        admin_user: node.admin_user.clone(),
        admin_password: node.admin_password.clone(),
        replicas: node.replicas.iter().map(replica).collect(),
    }
}

/// `endpoints.json` of a control plane that has no local data nodes.
pub fn endpoints_of(plane: &ControlPlane) -> serde_json::Value {
    endpoints::document(plane.endpoints(), &[], None)
}

/// A client of our own API.
fn client(endpoints: &control_plane::Endpoints) -> Result<Client> {
    let credentials = Credentials::AccessKey {
        access_key: endpoints.access_key.clone(),
        secret_key: endpoints.secret_key.clone(),
    };
    let ca_file: Option<PathBuf> =
        endpoints.ca_file.clone().filter(|_| endpoints.api.starts_with("https:"));
    Client::new(&endpoints.api, ca_file.as_deref(), &endpoints.project_id, credentials)
}

/// Tells programs, then people.
fn publish(
    dir: &DataDir,
    plane: &ControlPlane,
    data_nodes: &[LocalDataNode],
    demo: Option<&Demo>,
    progress: &Progress,
) -> Result<()> {
    let document = endpoints::document(plane.endpoints(), data_nodes, demo);
    dir.write(endpoints::FILE_NAME, format!("{document:#}\n").as_bytes())?;
    progress.done();
    println!("{}", summary::text(dir.path(), plane.endpoints(), data_nodes, demo));
    Ok(())
}

/// Ctrl-C or SIGTERM; the first asks for an orderly stop, a second one of Ctrl-C ends at once.
#[derive(Clone, Debug)]
pub struct StopSignal {
    inner: Arc<(AtomicBool, Notify)>,
}

impl StopSignal {
    /// Begins to listen.
    pub fn listen() -> Result<Self> {
        let stop = Self { inner: Arc::default() };
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let told = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            told.inner.0.store(true, Ordering::SeqCst);
            told.inner.1.notify_waiters();
            interrupt.recv().await;
            eprintln!("ddm: ended at once; what still runs is adopted by the next start");
            std::process::exit(INTERRUPTED);
        });
        Ok(stop)
    }

    /// Whether we were told to stop.
    pub fn is_set(&self) -> bool {
        self.inner.0.load(Ordering::SeqCst)
    }

    /// Waits until we are.
    pub async fn wait(&self) {
        let notified = self.inner.1.notified();
        tokio::pin!(notified);
        // Registered before the look, so that a signal between the two is not missed.
        notified.as_mut().enable();
        if !self.is_set() {
            notified.await;
        }
    }
}
