//! One server of a data node as one worker sees it: a pool for each way of counting affected rows
//! (the client chooses at its handshake, and the server takes it at ours), and for a replica what
//! the process knows of it.

use crate::error::ExecError;
use crate::pipeline::Pipes;
use base::id::DataNodeId;
use base::secret::Secret;
use node_backend::dial::Dialler;
use node_backend::error::BackendError;
use node_backend::members::{Standing, Standings};
use node_backend::options::ConnectOptions;
use node_backend::pool::{Lease, Pool, PoolOptions};
use node_backend::quota::Quota;
use node_backend::session_state::SessionState;
use std::cell::Cell;
use std::sync::Arc;
use topology::model::{DataNode, Replica};

/// Where a server is, and how to log in there.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    id: DataNodeId,
    host: String,
    port: u16,
    user: String,
    password: Secret,
}

/// One server of a data node.
#[derive(Debug)]
pub struct Member {
    login: Login,
    /// Counting changed rows.
    changed_rows: Pool,
    /// Counting found rows (CLIENT_FOUND_ROWS).
    found_rows: Pool,
    /// Which of the two was used last: that one is kept warm.
    used_found_rows: Cell<bool>,
    is_replica: bool,
    /// What the process knows of it, where it looks.
    standing: Option<Arc<Standing>>,
    /// Its connections were ended because it is given up.
    is_cut: Cell<bool>,
    /// Connections that sessions share.
    pipes: Pipes,
}

impl Login {
    /// A data node's primary.
    pub fn of_primary(node: &DataNode) -> Self {
        Self {
            id: node.id.clone(),
            host: node.host.clone(),
            port: node.port,
            user: node.user.clone(),
            password: node.password.clone(),
        }
    }

    /// A replica; its account is the data node's.
    pub fn of_replica(node: &DataNode, replica: &Replica) -> Self {
        Self {
            id: replica.id.clone(),
            host: replica.host.clone(),
            port: replica.port,
            ..Self::of_primary(node)
        }
    }

    /// How to connect there.
    pub fn options(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new(
            self.host.clone(),
            self.port,
            self.user.clone(),
            self.password.clone(),
        );
        options.deprecate_eof = false;
        options.session_track = false;
        options
    }

    /// What the process knows of the server, which is one of this data node's.
    pub fn standing(&self, all: &Standings, data_node: &DataNodeId) -> Arc<Standing> {
        all.of(data_node, &self.host, self.port)
    }

    /// Host and port.
    pub fn place(&self) -> (String, u16) {
        (self.host.clone(), self.port)
    }

    /// Host and port, for texts.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The server's id.
    pub fn id(&self) -> &DataNodeId {
        &self.id
    }
}

impl Member {
    /// A server that nothing is connected to yet.
    pub fn new(
        login: Login,
        limits: PoolOptions,
        quota: Option<&Arc<Quota>>,
        is_replica: bool,
        standing: Option<Arc<Standing>>,
        dialler: &Dialler,
    ) -> Self {
        let pool = |found_rows: bool| {
            let dialler = dialler.clone();
            let options = Arc::new(ConnectOptions { found_rows, dialler, ..login.options() });
            match quota {
                Some(quota) => Pool::with_quota(options, limits, quota.clone()),
                None => Pool::new(options, limits),
            }
        };
        Self {
            changed_rows: pool(false),
            found_rows: pool(true),
            used_found_rows: Cell::new(false),
            is_replica,
            standing,
            is_cut: Cell::new(false),
            pipes: Pipes::default(),
            login,
        }
    }

    /// Connections that sessions share.
    pub fn pipes(&self) -> &Pipes {
        &self.pipes
    }

    /// Where it is.
    pub fn login(&self) -> &Login {
        &self.login
    }

    /// Whether it is a replica.
    pub fn is_replica(&self) -> bool {
        self.is_replica
    }

    /// Whether it can be read.
    pub fn is_usable(&self) -> bool {
        let fits = |standing: &Arc<Standing>| {
            !standing.is_down() && (!self.is_replica || standing.is_usable())
        };
        self.standing.as_ref().is_none_or(fits)
    }

    /// Does what the process has learned of it: ends what waits for one that is given up.
    pub fn obey(&self) {
        let Some(standing) = &self.standing else { return };
        match (standing.is_down(), self.is_cut.get()) {
            (true, false) => self.cut(&standing.reason()),
            (false, true) => {
                self.changed_rows.forgive();
                self.found_rows.forgive();
                self.is_cut.set(false);
            }
            _ => {}
        }
    }

    /// Ends all its connections, whoever uses them.
    pub fn cut(&self, reason: &str) {
        self.is_cut.set(true);
        self.changed_rows.cut(reason);
        self.found_rows.cut(reason);
    }

    /// A server that is given up is not waited for.
    fn check_up(&self) -> Result<(), ExecError> {
        match &self.standing {
            Some(standing) if standing.is_down() => {
                let (address, reason) = (self.login.address(), standing.reason());
                Err(ExecError::Backend(BackendError::Down { address, reason }))
            }
            _ => Ok(()),
        }
    }

    /// The pool of a session that counts rows this way.
    pub fn pool(&self, found_rows: bool) -> &Pool {
        if found_rows { &self.found_rows } else { &self.changed_rows }
    }

    /// A connection with the session's state applied.
    pub async fn lease(
        &self,
        found_rows: bool,
        state: &Arc<SessionState>,
    ) -> Result<Lease, ExecError> {
        self.check_up()?;
        self.used_found_rows.set(found_rows);
        let leased = self.pool(found_rows).acquire_for(state).await;
        if let Err(error) = &leased
            && is_lost(error)
        {
            self.note_lost();
        }
        Ok(leased?)
    }

    /// A connection in its default state, whatever sessions have used it, for statements of our own.
    pub async fn own_lease(&self) -> Result<Lease, ExecError> {
        self.check_up()?;
        Ok(self.changed_rows.acquire_for(&Arc::default()).await?)
    }

    /// A connection broke: a replica gets no reads before it was asked again.
    pub fn note_lost(&self) {
        if let (Some(standing), true) = (&self.standing, self.is_replica)
            && standing.set(false)
        {
            let server = self.login.address();
            tracing::warn!(server, "a replica was lost while it was read");
        }
    }

    /// How many connections each pool may have from now on.
    pub fn set_connections_max(&self, max: usize) {
        for pool in [&self.changed_rows, &self.found_rows] {
            pool.set_options(PoolOptions { max_connections: max, ..pool.options() });
        }
    }

    /// Trims idle connections and keeps so many open, in use or not.
    pub async fn maintain(&self, keep: usize) {
        let (warm, other) = match self.used_found_rows.get() {
            true => (&self.found_rows, &self.changed_rows),
            false => (&self.changed_rows, &self.found_rows),
        };
        let min_open = keep.saturating_sub(other.stats().in_use);
        for (pool, min_open) in [(other, 0), (warm, min_open)] {
            pool.set_options(PoolOptions { min_open, ..pool.options() });
            pool.maintain().await;
        }
    }

    /// Closes idle connections while others want their places.
    pub fn shed(&self) {
        self.changed_rows.shed();
        self.found_rows.shed();
    }

    /// Open connections.
    pub fn open_connections(&self) -> usize {
        self.changed_rows.stats().open + self.found_rows.stats().open
    }

    /// Nothing is given out any more.
    pub fn close(&self) {
        self.changed_rows.close();
        self.found_rows.close();
    }
}

/// Whether the server could not be reached, or the connection broke.
fn is_lost(error: &BackendError) -> bool {
    error.is_unreachable() || matches!(error, BackendError::Closed { .. })
}
