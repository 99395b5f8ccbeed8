//! Start and stop. Everything that can be refused is looked at before anything runs; jobs go on only
//! once nodes and callers can reach us.

use crate::authority::Authority;
use crate::closing_store::ClosingStore;
use crate::http::serve::HttpServer;
use crate::http::state::AppState;
use crate::http::throttle::{Limiter, Throttle};
use crate::node_stream::{LiveNodes, NodeStream};
use crate::options::{ControlPlaneOptions, DataNodeRegistration, Endpoints, StartError};
use crate::workers::Workers;
use crate::{http, place, seal_key};
use base::seal::SealKey;
use control_app::data_node::RegistrationError;
use control_app::iam::{FirstStart, Iam};
use control_app::{App, AppParts, Settings};
use control_store::StoreError;
use control_store::by_project;
use control_store::embedded::SqliteStore;
use control_store::slow_log::SqliteSlowLog;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The region, which is the project's name too.
const REGION: &str = "local-1";

/// AZs: names only, since all is on one machine.
const AVAILABILITY_ZONES: [&str; 3] = ["az1", "az2", "az3"];

const SUBNET_NAME: &str = "default";

/// The port of nodes and instances.
const MYSQL_PORT: u16 = 5_066;

/// Most instances of a project.
const INSTANCES_MAX: usize = 100;

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    endpoints: Endpoints,
    api_address: SocketAddr,
    stream_address: SocketAddr,
    app: Arc<App>,
    store: Arc<ClosingStore>,
    http: HttpServer,
    stream: NodeStream,
    workers: Workers,
}

impl ControlPlane {
    /// Starts it; the environment may set the seal key and the throttle.
    pub async fn start(options: ControlPlaneOptions) -> Result<Self, StartError> {
        Self::start_with(options, Throttle::from_environment()?).await
    }

    /// The same with this throttle.
    pub async fn start_with(
        options: ControlPlaneOptions,
        throttle: Throttle,
    ) -> Result<Self, StartError> {
        let api = listen(options.api_listen).await?;
        let api_address = address_of(&api, options.api_listen)?;
        let store = open_store(&options.data_dir)?;
        let key = seal_key::load(&options.data_dir.join("secrets"))?;
        let authority = Arc::new(Authority::open(&options.data_dir.join("tls"))?);
        let api_name = api_address.ip().to_string();
        let tls = match options.http {
            true => None,
            false => Some(authority.server_config(&[&api_name])?),
        };
        let iam = Iam::new(store.clone(), SealKey::from_bytes(*key));
        let first = iam.first_start(REGION).await?;
        by_project::build_all(&*store).await.map_err(StartError::Store)?;
        let mut place = place::load(&*store).await.map_err(StartError::Store)?;
        let stream = place::listen(&*store, &mut place).await?;
        let stream_address = address_of(&stream, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let endpoints = endpoints(&options, api_address, &first, &place.value);

        let live = LiveNodes::new();
        let app = App::start(AppParts {
            settings: settings(&options, &endpoints, stream_address)?,
            store: store.clone(),
            nodes: options.provisioner,
            data_nodes: options.data_node_admin,
            seal: SealKey::from_bytes(*key),
            certificates: authority.clone(),
            publisher: live.clone(),
            slow_log: open_slow_log(&options.data_dir)?,
        });
        app.ensure_default_security_group()
            .await
            .map_err(|error| StartError::Setting(format!("no default security group: {error}")))?;
        live.attach(&app);
        let stream =
            NodeStream::start(stream, authority.stream_config()?, live.clone(), app.clone());
        let state = Arc::new(AppState { app: app.clone(), iam, limiter: Limiter::new(throttle) });
        let http = HttpServer::start(api, tls, http::router(&state));
        resume(&app).await?;
        let workers = Workers::start(&state, &live);
        tracing::info!(api = %endpoints.api, stream = %stream_address, "the control plane serves");
        Ok(Self { endpoints, api_address, stream_address, app, store, http, stream, workers })
    }

    /// Where it is and who may call.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Where the REST API listens.
    pub fn api_address(&self) -> SocketAddr {
        self.api_address
    }

    /// Where the nodes' stream listens.
    pub fn stream_address(&self) -> SocketAddr {
        self.stream_address
    }

    /// What the product does, for callers in the same process.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Registers a data node, or brings a known one up to date.
    pub async fn register_data_node(
        &self,
        new: DataNodeRegistration,
    ) -> Result<(), RegistrationError> {
        let replicas = new
            .replicas
            .into_iter()
            .map(|replica| (replica.id, replica.host, replica.port))
            .collect();
        self.app
            .register_data_node(control_app::data_node::DataNodeRegistration {
                id: new.id,
                name: new.name,
                host: new.host,
                port: new.port,
                admin_user: new.admin_user,
                admin_password: new.admin_password,
                replicas,
                replicas_named: false,
                availability_zone: AVAILABILITY_ZONES[0].to_owned(),
            })
            .await
    }

    /// Stops the API, the workers and the jobs (they go on at the next start); nodes run on. No node
    /// is started after this returned.
    pub async fn shutdown(self) {
        self.http.stop().await;
        self.workers.stop().await;
        self.app.stop().await;
        self.stream.stop().await;
        self.store.close();
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse { address },
        _ => StartError::Listen { address, source },
    })
}

fn address_of(listener: &TcpListener, asked: SocketAddr) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Listen { address: asked, source })
}

fn open_store(data_dir: &Path) -> Result<Arc<ClosingStore>, StartError> {
    let dir = data_dir.join("meta");
    seal_key::make_private_dir(&dir)?;
    match SqliteStore::open(&dir.join("store.db")) {
        Ok(store) => Ok(ClosingStore::new(store)),
        Err(StoreError::InUse { .. }) => Err(StartError::InUse { data_dir: data_dir.to_owned() }),
        Err(error) => Err(StartError::Store(error)),
    }
}

fn open_slow_log(data_dir: &Path) -> Result<Arc<SqliteSlowLog>, StartError> {
    SqliteSlowLog::open(&data_dir.join("meta").join("slow-log.db")).map_err(StartError::Store)
}

fn endpoints(
    options: &ControlPlaneOptions,
    address: SocketAddr,
    first: &FirstStart,
    place: &place::Place,
) -> Endpoints {
    let scheme = if options.http { "http" } else { "https" };
    // Who listens everywhere is reached here.
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Endpoints {
        api: format!("{scheme}://{}", SocketAddr::new(host, address.port())),
        ca_file: (!options.http).then(|| options.data_dir.join("tls").join("ca.pem")),
        region: REGION.to_owned(),
        project_id: first.project.id.to_string(),
        project_name: first.project.name.clone(),
        domain_id: first.domain.id.clone(),
        domain_name: first.domain.name.clone(),
        user_id: first.user_id.to_string(),
        username: first.user_name.clone(),
        password: first.password.clone(),
        access_key: first.access_key.clone(),
        secret_key: first.secret_key.clone(),
        availability_zones: AVAILABILITY_ZONES.map(str::to_owned).to_vec(),
        vpc_id: place.vpc_id.clone(),
        subnet_id: place.subnet_id.clone(),
        security_group_id: place.security_group_id.clone(),
    }
}

fn settings(
    options: &ControlPlaneOptions,
    endpoints: &Endpoints,
    stream: SocketAddr,
) -> Result<Settings, StartError> {
    let (network, prefix) = options.node_subnet;
    let node_subnet = format!("{network}/{prefix}").parse();
    Ok(Settings {
        availability_zones: endpoints.availability_zones.clone(),
        vpc_id: endpoints.vpc_id.clone(),
        subnet_id: endpoints.subnet_id.clone(),
        subnet_name: SUBNET_NAME.to_owned(),
        security_group_id: endpoints.security_group_id.clone(),
        node_subnet: node_subnet.map_err(|error: control_app::addresses::BadSubnet| {
            StartError::Setting(error.to_string())
        })?,
        mysql_port: MYSQL_PORT,
        control_plane: vec![stream],
        instances_max: INSTANCES_MAX,
    })
}

/// Goes on with what an earlier process left: its nodes, and its jobs.
async fn resume(app: &Arc<App>) -> Result<(), StartError> {
    if let Err(error) = app.resume_nodes().await {
        tracing::warn!(%error, "nodes cannot be resumed now; the workers try again");
    }
    let jobs = app
        .recover()
        .await
        .map_err(|error| StartError::Setting(format!("jobs cannot be resumed: {error}")))?;
    if jobs > 0 {
        tracing::info!(jobs, "unfinished jobs go on");
    }
    Ok(())
}
