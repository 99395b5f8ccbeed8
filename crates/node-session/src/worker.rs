//! What one worker thread keeps for its sessions: the snapshot as it last looked, the pools, the
//! plans, and the sessions themselves for limits and for the drain.

use crate::counts::WorkerCounts;
use crate::handshake::{self, HANDSHAKE_TIMEOUT, LoginError};
use crate::plan_cache::PlanCache;
use crate::processes::{Kill, SessionHandle};
use crate::session::Session;
use crate::shared::{CLIENTS_REFUSED, CONNECTIONS, LOGINS_FAILED, SESSION_PANICS, Shared};
use base::id::NodeId;
use base::sql_error::{self, SqlError};
use node_backend::session_state::SessionState;
use node_exec::backends::Backends;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use topology::model::Snapshot;
use topology::parameters::Settings;

/// Sessions without a transaction may finish the statement that they run within this when the node
/// stops, or within the time of transactions if that is longer.
const STATEMENT_GRACE: Duration = Duration::from_secs(1);

/// Killed sessions must be gone within this. Together with the above it is less than what whoever
/// stops the node waits beyond the time of transactions.
const GONE_WITHIN: Duration = Duration::from_millis(700);

/// So many states that sessions begin with are kept: there are a few collations and time zones.
const STATES_MAX: usize = 32;

/// So many connections beyond `max_connections` an administrator may have, as on a server: to look
/// what the others do.
const ADMINISTRATORS_EXTRA: u64 = 1;

/// One worker thread's state.
#[derive(Debug)]
pub struct Worker {
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// Connections to data nodes.
    pub backends: Rc<Backends>,
    /// Plans of statements seen.
    pub plans: RefCell<PlanCache>,
    /// What SHOW STATUS counts of this thread's sessions.
    pub counts: Arc<WorkerCounts>,
    snapshot: RefCell<Option<Arc<Snapshot>>>,
    version: Cell<u64>,
    settings: Cell<Settings>,
    maintaining: Cell<bool>,
    sessions: RefCell<HashMap<u32, Arc<SessionHandle>>>,
    /// The name of the machine, for all sessions.
    pub machine: Rc<str>,
    /// Each session's client, and the port that it came to.
    clients: RefCell<HashMap<u32, (IpAddr, u16)>>,
    /// The snapshot's version whose access rules all sessions were checked by.
    access_version: Cell<u64>,
    /// States that sessions begin with.
    states: RefCell<Vec<Arc<SessionState>>>,
}

impl Worker {
    /// A worker without sessions.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            counts: shared.new_counts(),
            backends: Rc::new(
                Backends::with_quotas(&shared.quotas, &shared.standings).dialling(&shared.dialler),
            ),
            machine: shared.machine.as_str().into(),
            shared,
            plans: RefCell::default(),
            snapshot: RefCell::default(),
            version: Cell::new(0),
            settings: Cell::default(),
            maintaining: Cell::new(false),
            sessions: RefCell::default(),
            clients: RefCell::default(),
            access_version: Cell::new(0),
            states: RefCell::default(),
        }
    }

    /// The one state that all sessions with these settings have: connections are then compared with
    /// it by address, and idle sessions do not keep copies.
    pub fn same_state(&self, state: SessionState) -> Arc<SessionState> {
        let mut states = self.states.borrow_mut();
        if let Some(known) = states.iter().find(|known| ***known == state) {
            return known.clone();
        }
        if states.len() >= STATES_MAX {
            states.clear();
        }
        let state = Arc::new(state);
        states.push(state.clone());
        state
    }

    /// The snapshot served now. Costs one atomic load while it stays the same.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let version = self.shared.version();
        if self.version.get() != version || self.snapshot.borrow().is_none() {
            let fresh = self.shared.snapshot();
            if let Some(snapshot) = &fresh {
                self.backends.follow(snapshot);
                let read_only = snapshot.read_only_nodes.contains(&self.shared.node_id);
                self.backends.set_read_only(read_only);
                self.settings.set(Settings::of(&snapshot.parameters));
                self.version.set(snapshot.version);
            }
            *self.snapshot.borrow_mut() = fresh;
        }
        self.snapshot.borrow().clone()
    }

    /// What the parameters of the snapshot say that was looked at last: at most a tick ago.
    pub fn settings(&self) -> Settings {
        self.settings.get()
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
        let port = stream.local_addr().map_or(0, |address| address.port());
        let client = (peer.ip().to_canonical(), port);
        self.clients.borrow_mut().insert(handle.id, client);
        let host = client.0.to_string();
        let refuse = self.refuse_client(client).or_else(|| self.refuse_now());
        let extra = self.over_limit() > 0;
        let login = handshake::login(stream, &self.shared, handle.id, &host, refuse);
        match Box::pin(tokio::time::timeout(HANDSHAKE_TIMEOUT, login)).await {
            Ok(Ok(mut client)) => match self.refuse_user(&client.user, extra) {
                None => Session::new(self.clone(), handle, client, host).run().await,
                Some(error) => {
                    LOGINS_FAILED.increment();
                    Box::pin(handshake::refuse_with(&mut client.writer, error)).await;
                }
            },
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

    /// The port that a client came to.
    pub fn port_of(&self, connection_id: u32) -> u16 {
        self.clients.borrow().get(&connection_id).map_or(0, |client| client.1)
    }

    /// Why a client is turned away, if no rule of the security group lets it in.
    fn refuse_client(&self, (client, port): (IpAddr, u16)) -> Option<SqlError> {
        let snapshot = self.snapshot()?;
        if is_let_in(&snapshot, &self.shared.node_id, client, port) {
            return None;
        }
        CLIENTS_REFUSED.increment();
        let text = format!("Host '{client}' is not allowed to connect to this MySQL server");
        Some(SqlError::new(sql_error::HOST_NOT_PRIVILEGED, text))
    }

    /// Ends the sessions of clients that the rules no longer let in.
    fn end_refused_clients(&self, snapshot: &Snapshot) {
        if self.access_version.replace(snapshot.version) == snapshot.version {
            return;
        }
        let clients = self.clients.borrow();
        let node = &self.shared.node_id;
        let refused =
            clients.iter().filter(|(_, client)| !is_let_in(snapshot, node, client.0, client.1));
        for (id, _) in refused {
            if let Some(session) = self.sessions.borrow().get(id) {
                CLIENTS_REFUSED.increment();
                session.kill(Kill::Connection);
            }
        }
    }

    /// Why a new connection is refused now, if it is.
    fn refuse_now(&self) -> Option<SqlError> {
        if self.shared.is_draining() {
            return Some(SqlError::new(sql_error::SERVER_SHUTDOWN, "Server shutdown in progress"));
        }
        self.snapshot();
        let full = self.over_limit() > ADMINISTRATORS_EXTRA;
        (full || self.shared.memory_short()).then(too_many_connections)
    }

    /// How many connections there are beyond `max_connections`.
    fn over_limit(&self) -> u64 {
        let open = u64::try_from(self.shared.processes.len()).unwrap_or(u64::MAX);
        open.saturating_sub(self.settings().connections_max)
    }

    /// Why an account that has just logged in is refused, if it is: a connection that was beyond the
    /// limit when it came is for administrators.
    fn refuse_user(&self, user: &str, extra: bool) -> Option<SqlError> {
        if !extra {
            return None;
        }
        let snapshot = self.snapshot()?;
        let administrator = snapshot.accounts.get(user).is_some_and(|one| one.administrator);
        (!administrator).then(too_many_connections)
    }

    /// Once a second: clients that may no longer come, idle sessions, statements that run too long,
    /// pools.
    pub fn tick(self: &Rc<Self>) {
        let Some(snapshot) = self.snapshot() else { return };
        self.end_refused_clients(&snapshot);
        self.end_overdue(&self.settings());
        // A data node that does not answer must not hold up the next tick.
        if !self.maintaining.replace(true) {
            let worker = self.clone();
            tokio::task::spawn_local(async move {
                worker.backends.maintain().await;
                worker.maintaining.set(false);
            });
        }
    }

    /// Ends idle sessions and statements that run too long.
    fn end_overdue(&self, settings: &Settings) {
        let now = Instant::now();
        for session in self.sessions.borrow().values() {
            let (running, since) = session.running_since();
            let own = session.idle_seconds.load(Ordering::Relaxed);
            let idle = if own == 0 { settings.idle_timeout } else { Duration::from_secs(own) };
            let since = now.saturating_duration_since(since);
            if let Some(kill) = overdue(running, since, idle, settings) {
                session.kill(kill);
            }
        }
    }

    /// Lets sessions end: idle ones now, transactions within their time, the others after their
    /// statement.
    pub async fn drain(&self) {
        self.snapshot();
        let transactions_until = Instant::now() + self.settings().shutdown_timeout;
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

fn too_many_connections() -> SqlError {
    SqlError::new(sql_error::TOO_MANY_CONNECTIONS, "Too many connections")
}

/// Whether the rules and the node's list let a client come to a port; without any everybody may.
fn is_let_in(snapshot: &Snapshot, node: &NodeId, client: IpAddr, port: u16) -> bool {
    let rules = snapshot.client_access.as_ref();
    rules.is_none_or(|rules| rules.iter().any(|rule| rule.allows(client, port)))
        && snapshot.access_lists.get(node).is_none_or(|list| list.allows(client, port))
}

/// What is to be ended of a session that has run a statement, or been idle, for so long.
fn overdue(
    running: bool,
    since: Duration,
    idle_timeout: Duration,
    settings: &Settings,
) -> Option<Kill> {
    match running {
        true => (since > settings.statement_timeout).then_some(Kill::Timeout),
        false => (since > idle_timeout).then_some(Kill::Connection),
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
        self.worker.clients.borrow_mut().remove(&self.id);
        self.worker.shared.processes.leave(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a session's task may take, waiting or not: of what a statement may wait for, all but the
    /// one-shard road is in boxes.
    const SESSION_BYTES_MAX: usize = 12 * 1024;

    #[test]
    fn a_session_that_waits_is_small() {
        fn size<F: Future>(_: impl Fn(Rc<Worker>, TcpStream, SocketAddr) -> F) -> usize {
            size_of::<F>()
        }
        let bytes = size(Worker::serve);
        assert!(bytes <= SESSION_BYTES_MAX, "{bytes} bytes");
    }

    #[test]
    fn sessions_end_by_the_clock() {
        let settings = Settings {
            statement_timeout: Duration::from_secs(100),
            idle_timeout: Duration::from_secs(60),
            ..Settings::default()
        };
        for (running, seconds, wanted) in [
            (true, 100, None),
            (true, 101, Some(Kill::Timeout)),
            (false, 60, None),
            (false, 61, Some(Kill::Connection)),
            (true, 61, None),
        ] {
            assert_eq!(
                overdue(running, Duration::from_secs(seconds), settings.idle_timeout, &settings),
                wanted
            );
        }
    }
}
