//! What a control plane is started with, what it tells about itself, and why it does not start.

use crate::authority::AuthorityError;
use crate::http::throttle::BadThrottle;
use base::id::DataNodeId;
use base::secret::Secret;
use control_app::iam::IamError;
use control_store::StoreError;
use provision::{DataNodeAdmin, NodeProvisioner};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// What a control plane is started with.
#[derive(Debug)]
pub struct ControlPlaneOptions {
    /// Where everything is kept: `meta/` the store, `tls/` the authority, `secrets/` the seal key.
    pub data_dir: PathBuf,
    /// Where the REST API listens; port 0 takes a free one.
    pub api_listen: SocketAddr,
    /// Without TLS.
    pub http: bool,
    /// Where addresses of nodes and instances are taken from: network and prefix.
    pub node_subnet: (Ipv4Addr, u8),
    /// Runs nodes.
    pub provisioner: Arc<dyn NodeProvisioner>,
    /// Works on data nodes as their administrator.
    pub data_node_admin: Arc<dyn DataNodeAdmin>,
}

/// A data node to register; known ones are brought up to date.
#[derive(Clone, Debug)]
pub struct DataNodeRegistration {
    /// Its id.
    pub id: DataNodeId,
    /// Its name.
    pub name: String,
    /// Where its primary listens.
    pub host: String,
    /// The primary's port.
    pub port: u16,
    /// Its administrator.
    pub admin_user: String,
    /// The administrator's password.
    pub admin_password: Secret,
    /// Its read replicas.
    pub replicas: Vec<ReplicaRegistration>,
}

/// A read replica to register.
#[derive(Clone, Debug)]
pub struct ReplicaRegistration {
    /// Its id.
    pub id: DataNodeId,
    /// Where it listens.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Where the control plane is and who may call it; the same after every restart, but for a port
/// that was left open.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// The REST API's URL.
    pub api: String,
    /// The authority to trust, when the API is served over TLS.
    pub ca_file: Option<PathBuf>,
    /// The region.
    pub region: String,
    /// The project's id.
    pub project_id: String,
    /// The project's name.
    pub project_name: String,
    /// The domain's id.
    pub domain_id: String,
    /// The domain's name.
    pub domain_name: String,
    /// The user's id.
    pub user_id: String,
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: Secret,
    /// The user's access key.
    pub access_key: String,
    /// Its secret key.
    pub secret_key: Secret,
    /// AZs that can be named.
    pub availability_zones: Vec<String>,
    /// The VPC.
    pub vpc_id: String,
    /// The subnet.
    pub subnet_id: String,
    /// The security group.
    pub security_group_id: String,
}

/// Why a control plane does not start. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody else has the port.
    #[error(
        "{address} is in use by another program; stop it, or listen elsewhere (port 0 takes a free one)"
    )]
    PortInUse {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Another control plane has the data directory.
    #[error("another control plane uses {}; stop it, or use another data directory", data_dir.display())]
    InUse {
        /// The directory.
        data_dir: PathBuf,
    },
    /// A file of the data directory.
    #[error("cannot use {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The store.
    #[error("the store cannot be opened: {0}")]
    Store(StoreError),
    /// The certificates.
    #[error("TLS cannot be set up: {0}")]
    Authority(#[from] AuthorityError),
    /// The users.
    #[error("users and keys cannot be read: {0}")]
    Iam(#[from] IamError),
    /// A value of the options or the environment.
    #[error("{0}")]
    Setting(String),
    /// The environment's throttle.
    #[error(transparent)]
    Throttle(#[from] BadThrottle),
}
