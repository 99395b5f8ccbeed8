//! What one worker thread keeps for its sessions: the snapshot as it last looked, the pools, the
//! plans, and the sessions themselves for limits and for the drain.

use crate::handshake::{self, HANDSHAKE_TIMEOUT, LoginError};
use crate::plan_cache::PlanCache;
use crate::processes::{Kill, SessionHandle};
use crate::session::Session;
use crate::shared::{CONNECTIONS, LOGINS_FAILED, SESSION_PANICS, Shared};
use base::sql_error::{self, SqlError};
use node_exec::backends::{Backends, POOL_CONNECTIONS_DEFAULT};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use topology::model::Snapshot;

/// Sessions without a transaction may finish the statement that they run within this when the node
/// stops.
const STATEMENT_GRACE: Duration = Duration::from_secs(2);

/// Killed sessions must be gone within this.
const GONE_WITHIN: Duration = Duration::from_secs(2);

/// One worker thread's state.
#[derive(Debug)]
pub struct Worker {
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// Connections to data nodes.
    pub backends: Rc<Backends>,
    /// Plans of statements seen.
    pub plans: RefCell<PlanCache>,
    snapshot: RefCell<Option<Arc<Snapshot>>>,
    version: Cell<u64>,
    sessions: RefCell<HashMap<u32, Arc<SessionHandle>>>,
}

impl Worker {
    /// A worker without sessions.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            backends: Rc::new(Backends::new()),
            plans: RefCell::default(),
            snapshot: RefCell::default(),
            version: Cell::new(0),
            sessions: RefCell::default(),
        }
    }

    /// The snapshot served now. Costs one atomic load while it stays the same.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let version = self.shared.version();
        if self.version.get() != version || self.snapshot.borrow().is_none() {
            let fresh = self.shared.snapshot();
            if let Some(snapshot) = &fresh {
                self.backends.follow(snapshot);
                let max = snapshot.parameters.get_unsigned("max_backend_connections");
                let max = usize::try_from(max).unwrap_or(0);
                self.backends.set_connections_max(if max == 0 {
                    POOL_CONNECTIONS_DEFAULT
                } else {
                    max
                });
                self.version.set(snapshot.version);
            }
            *self.snapshot.borrow_mut() = fresh;
        }
        self.snapshot.borrow().clone()
    }

    /// Serves a client from login to its end, as a task of this thread.
    pub fn spawn_session(self: Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        let task = tokio::task::spawn_local(self.clone().serve(stream, peer));
        tokio::task::spawn_local(async move {
            if let Err(error) = task.await
                && error.is_panic()
            {
                SESSION_PANICS.increment();
                tracing::error!(%peer, "a session ended by a programming error");
            }
        });
    }

    async fn serve(self: Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        stream.set_nodelay(true).ok();
        let _counted = Counted::new();
        let handle = self.shared.processes.enter(peer.to_string());
        let _listed = Listed { worker: self.clone(), id: handle.id };
        self.sessions.borrow_mut().insert(handle.id, handle.clone());
        let host = peer.ip().to_string();
        let refuse = self.refuse_now();
        let login = handshake::login(stream, &self.shared, handle.id, &host, refuse);
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, login).await {
            Ok(Ok(client)) => Session::new(self.clone(), handle, client, host).run().await,
            Ok(Err(LoginError::Read(crate::reader::ReadError::Closed))) => {}
            Ok(Err(error)) => {
                LOGINS_FAILED.increment();
                tracing::debug!(%peer, %error, "login failed");
            }
            Err(_) => {
                LOGINS_FAILED.increment();
                tracing::debug!(%peer, "login took too long");
            }
        }
    }

    /// Why a new connection is refused now, if it is.
    fn refuse_now(&self) -> Option<SqlError> {
        if self.shared.is_draining() {
            return Some(SqlError::new(sql_error::SERVER_SHUTDOWN, "Server shutdown in progress"));
        }
        let max = self
            .snapshot()
            .map_or(20_000, |snapshot| snapshot.parameters.get_unsigned("max_connections"));
        let full = u64::try_from(self.shared.processes.len()).unwrap_or(u64::MAX) > max;
        (full || self.shared.memory_short())
            .then(|| SqlError::new(sql_error::TOO_MANY_CONNECTIONS, "Too many connections"))
    }

    /// Once a second: pools, idle sessions, statements that run too long.
    pub async fn tick(&self) {
        self.backends.maintain().await;
        let Some(snapshot) = self.snapshot() else { return };
        let idle_max =
            Duration::from_secs(snapshot.parameters.get_unsigned("connection_idle_timeout"));
        let run_max = Duration::from_secs(snapshot.parameters.get_unsigned("sql_execute_timeout"));
        let sessions: Vec<_> = self.sessions.borrow().values().cloned().collect();
        for session in sessions {
            let (running, since) = session.running_since();
            if running && since.elapsed() > run_max {
                session.kill(Kill::Timeout);
            } else if !running && since.elapsed() > idle_max {
                session.kill(Kill::Connection);
            }
        }
    }

    /// Lets sessions end: idle ones now, transactions within their time, the others after their
    /// statement.
    pub async fn drain(&self) {
        let seconds = self.snapshot().map_or(1, |snapshot| {
            snapshot.parameters.get_unsigned("live_transaction_timeout_on_shutdown")
        });
        let transactions_until = Instant::now() + Duration::from_secs(seconds);
        let statements_until = Instant::now() + STATEMENT_GRACE;
        loop {
            let sessions: Vec<_> = self.sessions.borrow().values().cloned().collect();
            if sessions.is_empty() {
                return;
            }
            let now = Instant::now();
            for session in &sessions {
                let (running, _) = session.running_since();
                let until = match (session.in_transaction.load(Ordering::Relaxed), running) {
                    (true, _) => transactions_until,
                    (false, true) => statements_until.max(transactions_until),
                    (false, false) => now,
                };
                if now >= until {
                    session.kill(Kill::Connection);
                }
            }
            if now > transactions_until.max(statements_until) + GONE_WITHIN {
                tracing::warn!(
                    sessions = sessions.len(),
                    "sessions were left when the node stopped"
                );
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Counts a connection while it lives.
struct Counted;

impl Counted {
    fn new() -> Self {
        CONNECTIONS.add(1);
        Counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        CONNECTIONS.add(-1);
    }
}

/// Takes a session off the lists when it ends, however it ends.
struct Listed {
    worker: Rc<Worker>,
    id: u32,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.worker.sessions.borrow_mut().remove(&self.id);
        self.worker.shared.processes.leave(self.id);
    }
}
