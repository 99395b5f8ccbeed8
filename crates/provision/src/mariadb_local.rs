//! MariaDB servers of our own on this machine, as data nodes with their replicas: each has a
//! directory `<root>/<n>` (a replica `<root>/<n>-replica-<m>`) with data, configuration, socket,
//! log and pid file, and a port on loopback. Other MariaDB servers, their data and their
//! configuration files are never read or touched. The servers outlive us: after a kill the next
//! start adopts those that run and starts the rest.

mod bootstrap;
mod config_file;
mod error;
mod ports;
mod programs;
mod record;
mod replication;
mod server;

pub use error::LocalMariaDbError;

use crate::data_node_admin::AdminLogin;
use base::id::DataNodeId;
use base::secret::Secret;
use futures::future::{join_all, try_join_all};
use programs::Programs;
use record::{Record, Role};
use server::LocalServer;
use std::path::PathBuf;
use std::sync::Arc;

/// The address that local data nodes listen on.
pub const LOCAL_HOST: &str = "127.0.0.1";

/// The first local data node's port, if it is free.
pub const DEFAULT_FIRST_PORT: u16 = 13306;

/// More servers than this on one machine are refused.
pub const LOCAL_DATA_NODES_MAX: u32 = 16;

/// More replicas of one data node than this are refused.
pub const LOCAL_REPLICAS_MAX: u32 = 4;

/// Gets a line for people at each step.
pub type ProgressLine = Arc<dyn Fn(&str) + Send + Sync>;

/// What servers there should be.
#[derive(Clone, Debug)]
pub struct LocalMariaDbOptions {
    /// Where they live.
    pub root_dir: PathBuf,
    /// How many primaries at least; those that are on disk are started in any case.
    pub count: u32,
    /// How many replicas of each at least.
    pub replicas: u32,
    /// The first port to try; 0 takes any free ones.
    pub first_port: u16,
    /// InnoDB's buffer pool of each.
    pub buffer_pool_mb: u32,
    /// Connections that each accepts.
    pub max_connections: u32,
}

impl LocalMariaDbOptions {
    /// So many servers in this directory, otherwise by default.
    pub fn new(root_dir: PathBuf, count: u32, replicas: u32) -> Self {
        Self {
            root_dir: std::path::absolute(&root_dir).unwrap_or(root_dir),
            count,
            replicas,
            first_port: DEFAULT_FIRST_PORT,
            buffer_pool_mb: 128,
            max_connections: 1000,
        }
    }
}

/// A local data node as its users see it.
#[derive(Clone, Debug)]
pub struct LocalDataNode {
    /// Its id, the same after every restart.
    pub id: DataNodeId,
    /// `local-1`, `local-2`, …
    pub name: String,
    /// Where it listens.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The administration account.
    pub admin_user: String,
    /// Its password.
    pub admin_password: Secret,
    /// Its replicas; the same account.
    pub replicas: Vec<LocalReplica>,
}

impl LocalDataNode {
    /// The administration account on the primary.
    pub fn login(&self) -> AdminLogin {
        AdminLogin::new(&self.host, self.port, &self.admin_user, self.admin_password.clone())
    }
}

/// A replica of a local data node.
#[derive(Clone, Debug)]
pub struct LocalReplica {
    /// Its id.
    pub id: DataNodeId,
    /// Where it listens.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// All local servers, running and supervised. Dropping it leaves them running, to be adopted.
#[derive(Debug)]
pub struct LocalDataNodes {
    servers: Vec<LocalServer>,
}

impl LocalDataNodes {
    /// Makes what is missing, starts or adopts all, and waits until the administrator can log in
    /// everywhere and replicas replicate. After a failure what was started is stopped again.
    pub async fn start(
        options: LocalMariaDbOptions,
        progress: ProgressLine,
    ) -> Result<Self, LocalMariaDbError> {
        check_counts(&options)?;
        let records = plan_servers(&options)?;
        if records.is_empty() {
            return Ok(Self { servers: Vec::new() });
        }
        let programs = Programs::find()?;
        // Making a server is a second of work for a processor; they do not wait for each other.
        let made = records
            .iter()
            .map(|record| bootstrap::ensure_made(&programs, &options, record, &progress));
        join_all(made).await.into_iter().collect::<Result<(), _>>()?;
        let starts = records
            .into_iter()
            .map(|record| LocalServer::start(&programs, &options, record, &progress));
        let mut servers = Vec::new();
        let mut failure = None;
        for started in join_all(starts).await {
            match started {
                Ok(server) => servers.push(server),
                Err(error) => failure = Some(error),
            }
        }
        let all = Self { servers };
        let outcome = match failure {
            Some(error) => Err(error),
            None => all.ensure_replication().await,
        };
        match outcome {
            Ok(()) => Ok(all),
            Err(error) => {
                if let Err(stop_error) = all.stop().await {
                    tracing::warn!(error = %stop_error, "cannot stop the local data nodes");
                }
                Err(error)
            }
        }
    }

    async fn ensure_replication(&self) -> Result<(), LocalMariaDbError> {
        let pairs = self.servers.iter().filter_map(|replica| match &replica.record().role {
            Role::Primary => None,
            Role::ReplicaOf { number } => {
                let primary =
                    self.servers.iter().find(|server| server.record().is_primary(*number))?;
                Some(replication::ensure(primary.record(), replica.record()))
            }
        });
        try_join_all(pairs).await.map(drop)
    }

    /// All data nodes, in order.
    pub fn data_nodes(&self) -> Vec<LocalDataNode> {
        let records = || self.servers.iter().map(LocalServer::record);
        let mut nodes: Vec<&Record> =
            records().filter(|record| record.role == Role::Primary).collect();
        nodes.sort_by_key(|record| record.number);
        nodes
            .into_iter()
            .map(|primary| {
                let role = Role::ReplicaOf { number: primary.number };
                let mut replicas: Vec<&Record> =
                    records().filter(|record| record.role == role).collect();
                replicas.sort_by_key(|record| record.number);
                LocalDataNode {
                    id: primary.id.clone(),
                    name: primary.name.clone(),
                    host: LOCAL_HOST.to_owned(),
                    port: primary.port,
                    admin_user: primary.admin_user.clone(),
                    admin_password: primary.admin_password.clone(),
                    replicas: replicas
                        .into_iter()
                        .map(|record| LocalReplica {
                            id: record.id.clone(),
                            host: LOCAL_HOST.to_owned(),
                            port: record.port,
                        })
                        .collect(),
                }
            })
            .collect()
    }

    /// Shuts all servers down in order and waits for them: replicas first, so that none of them
    /// sees its primary go.
    pub async fn stop(self) -> Result<(), LocalMariaDbError> {
        let (primaries, replicas): (Vec<_>, Vec<_>) =
            self.servers.into_iter().partition(|server| server.record().role == Role::Primary);
        let first: Result<(), _> =
            join_all(replicas.into_iter().map(LocalServer::stop)).await.into_iter().collect();
        let second: Result<(), _> =
            join_all(primaries.into_iter().map(LocalServer::stop)).await.into_iter().collect();
        first.and(second)
    }
}

fn check_counts(options: &LocalMariaDbOptions) -> Result<(), LocalMariaDbError> {
    if options.count > LOCAL_DATA_NODES_MAX {
        return Err(LocalMariaDbError::TooMany {
            what: "local data nodes",
            most: LOCAL_DATA_NODES_MAX,
        });
    }
    if options.replicas > LOCAL_REPLICAS_MAX {
        return Err(LocalMariaDbError::TooMany {
            what: "replicas of a local data node",
            most: LOCAL_REPLICAS_MAX,
        });
    }
    Ok(())
}

/// The servers on disk and those that are wanted beyond, whose records are written here: ids, ports
/// and passwords are durable before anything uses them.
fn plan_servers(options: &LocalMariaDbOptions) -> Result<Vec<Record>, LocalMariaDbError> {
    let mut records = Record::load_all(&options.root_dir)?;
    let mut taken: Vec<u16> = records.iter().map(|record| record.port).collect();
    let missing: Vec<u32> = (1..=options.count)
        .filter(|number| !records.iter().any(|record| record.is_primary(*number)))
        .collect();
    for number in missing {
        let port = ports::choose(options.first_port, &taken)?;
        taken.push(port);
        let record = Record::new_primary(number, port);
        record.save(&options.root_dir)?;
        records.push(record);
    }
    let primaries: Vec<Record> =
        records.iter().filter(|record| record.role == Role::Primary).cloned().collect();
    for primary in primaries {
        let role = Role::ReplicaOf { number: primary.number };
        for number in 1..=options.replicas {
            if records.iter().any(|record| record.role == role && record.number == number) {
                continue;
            }
            let port = ports::choose(options.first_port, &taken)?;
            taken.push(port);
            let record = Record::new_replica(&primary, number, port);
            record.save(&options.root_dir)?;
            records.push(record);
        }
    }
    Ok(records)
}
