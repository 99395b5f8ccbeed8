//! The application: what every call and job works with. It holds no state of its own but handles;
//! everything that must last is in the store.

use crate::addresses::Subnet;
use crate::ddl::flow::DdlFlow;
use crate::error::AppError;
use crate::fences::Fences;
use crate::jobs;
use crate::ports::{NodeCertificates, SnapshotPublisher};
use crate::reconcile::mirror::NodeMirror;
use base::seal::SealKey;
use base::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control_store::jobs::StoreJobs;
use control_store::record::{Record, Versioned};
use control_store::records::Sealed;
use control_store::slow_log::SlowLogStore;
use control_store::{Condition, Store, TxnOutcome, Write, typed};
use job_engine::JobEngine;
use provision::{DataNodeAdmin, NodeProvisioner};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use tokio::sync::Mutex;

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The AZs that can be named.
    pub availability_zones: Vec<String>,
    /// The one VPC.
    pub vpc_id: String,
    /// The one subnet.
    pub subnet_id: String,
    /// The subnet's name.
    pub subnet_name: String,
    /// The security group that instances get.
    pub security_group_id: String,
    /// Where addresses of nodes and instances are taken from.
    pub node_subnet: Subnet,
    /// The port that nodes listen on.
    pub mysql_port: u16,
    /// Where nodes reach the control planes' stream.
    pub control_plane: Vec<SocketAddr>,
    /// Most instances of one project.
    pub instances_max: usize,
}

/// What an application is made of.
#[derive(Debug)]
pub struct AppParts {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// Makes and runs nodes.
    pub nodes: Arc<dyn NodeProvisioner>,
    /// Works on data nodes as their administrator.
    pub data_nodes: Arc<dyn DataNodeAdmin>,
    /// Seals secrets at rest.
    pub seal: SealKey,
    /// Issues nodes' certificates.
    pub certificates: Arc<dyn NodeCertificates>,
    /// Hands snapshots to nodes.
    pub publisher: Arc<dyn SnapshotPublisher>,
    /// Where slow statements are kept.
    pub slow_log: Arc<dyn SlowLogStore>,
    /// What the operator decides.
    pub settings: Settings,
}

/// The application.
#[derive(Debug)]
pub struct App {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) nodes: Arc<dyn NodeProvisioner>,
    pub(crate) data_nodes: Arc<dyn DataNodeAdmin>,
    seal: SealKey,
    pub(crate) certificates: Arc<dyn NodeCertificates>,
    pub(crate) publisher: Arc<dyn SnapshotPublisher>,
    pub(crate) slow_log: Arc<dyn SlowLogStore>,
    /// What the operator decides.
    pub settings: Settings,
    pub(crate) jobs: JobEngine<Arc<App>>,
    /// Held while the account of an instance on a data node is made or taken away, so that of two
    /// schemas on one data node one cannot take away what the other has just made.
    pub(crate) data_node_accounts: Mutex<()>,
    /// The DDL statements of the last hour.
    pub(crate) ddl_flow: DdlFlow,
    /// The nodes that should run, for the reconciler.
    pub(crate) node_mirror: Mutex<NodeMirror>,
    /// Nodes that certainly serve nothing.
    pub(crate) fences: Fences,
    /// Where the search for a free address begins.
    pub(crate) next_host: AtomicU32,
}

impl App {
    /// The application, with its job engine started. Call [`App::recover`] once everything that
    /// jobs need is up.
    pub fn start(parts: AppParts) -> Arc<Self> {
        let engine = JobEngine::new(Arc::new(StoreJobs(parts.store.clone())), jobs::definitions());
        Self::with_engine(parts, engine)
    }

    /// The same with an engine of the caller's making, which this starts.
    pub fn with_engine(parts: AppParts, engine: JobEngine<Arc<App>>) -> Arc<Self> {
        let app = Self::unstarted(parts, engine);
        app.jobs.start(app.clone());
        app
    }

    /// The same with an engine that is started elsewhere.
    pub fn unstarted(parts: AppParts, engine: JobEngine<Arc<App>>) -> Arc<Self> {
        Arc::new(Self {
            store: parts.store,
            nodes: parts.nodes,
            data_nodes: parts.data_nodes,
            seal: parts.seal,
            certificates: parts.certificates,
            publisher: parts.publisher,
            slow_log: parts.slow_log,
            settings: parts.settings,
            jobs: engine,
            data_node_accounts: Mutex::new(()),
            ddl_flow: DdlFlow::default(),
            node_mirror: Mutex::default(),
            fences: Fences::default(),
            next_host: AtomicU32::new(0),
        })
    }

    /// Goes on with every job that an earlier process left; returns how many.
    pub async fn recover(&self) -> Result<usize, job_engine::EngineError> {
        self.jobs.recover().await
    }

    /// Begins no more steps and waits for those that run.
    pub async fn stop(&self) {
        self.jobs.stop().await;
    }

    /// The job engine.
    pub fn jobs(&self) -> &JobEngine<Arc<App>> {
        &self.jobs
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub(crate) async fn get<T: Record>(&self, key: &str) -> Result<Option<Versioned<T>>, AppError> {
        Ok(typed::get(&*self.store, key).await?)
    }

    pub(crate) async fn list<T: Record>(
        &self,
        prefix: &str,
    ) -> Result<Vec<Versioned<T>>, AppError> {
        Ok(typed::list(&*self.store, prefix).await?)
    }

    /// Writes what belongs to no instance's snapshot; false: a condition did not hold, begin anew.
    pub(crate) async fn write(
        &self,
        conditions: Vec<Condition>,
        writes: Vec<Write>,
    ) -> Result<bool, AppError> {
        let outcome = self.store.txn(conditions, writes).await?;
        Ok(matches!(outcome, TxnOutcome::Committed(_)))
    }

    /// Seals `text` for `context`.
    pub(crate) fn seal(&self, context: &str, text: &str) -> Sealed {
        Sealed(STANDARD.encode(self.seal.seal(context, text.as_bytes())))
    }

    /// Opens what [`App::seal`] made for the same context.
    pub(crate) fn unseal(&self, context: &str, sealed: &Sealed) -> Result<Secret, AppError> {
        let broken = |_| AppError::Broken(format!("the secret of {context} is not readable"));
        let bytes = STANDARD.decode(&sealed.0).map_err(|_| broken(()))?;
        let plain = self.seal.open(context, &bytes)?;
        Ok(Secret::new(std::str::from_utf8(&plain).map_err(|_| broken(()))?))
    }
}
