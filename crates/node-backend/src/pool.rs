//! Connections to one server, shared by the sessions of one single-threaded runtime.
//!
//! A connection comes back only when nothing on it is half done; else it is closed. A server that
//! cannot be reached is left alone for a while: callers get an error at once, and one of them at a
//! time may try again.

use crate::connection::Connection;
use crate::error::BackendError;
use crate::kill::{KillTarget, kill};
use crate::link::Cutter;
use crate::options::ConnectOptions;
use crate::quota::Quota;
use crate::session_state::SessionState;
use base::backoff::Backoff;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

/// An idle connection is looked at (one system call) when it was idle for longer than this.
const LOOK_AFTER: Duration = Duration::from_millis(5);
/// A ping of an idle connection must be answered within this time.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// A caller that waits for a place of the quota looks again after this time: places are freed by
/// other threads.
const QUOTA_LOOK: Duration = Duration::from_millis(20);
/// So many callers look that often; where more wait, each looks less often, up to so many times.
const LOOKERS: usize = 64;
const LOOK_FACTOR_MAX: usize = 8;
/// Callers that gave up waiting are swept out of the line when it is twice as long as after the last
/// sweep, and at least so long.
const SWEEP_FROM: usize = 64;
/// So many idle connections are searched for one with the wanted session state.
const MATCH_SEARCH_MAX: usize = 16;

/// Bounds and times of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolOptions {
    /// At most so many connections.
    pub max_connections: usize,
    /// `maintain` keeps so many connections, in use or ready.
    pub min_open: usize,
    /// A connection that was idle for longer is closed by `maintain`.
    pub idle_timeout: Duration,
    /// A caller waits this long for a connection when all are in use.
    pub acquire_timeout: Duration,
    /// At most so many callers wait.
    pub waiting_max: usize,
    /// A connection that was idle for longer is pinged before it is given out.
    pub validate_after: Duration,
    /// How long a server that cannot be reached is left alone.
    pub down_backoff: Backoff,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            max_connections: 64,
            min_open: 0,
            idle_timeout: Duration::from_secs(60),
            acquire_timeout: Duration::from_secs(10),
            waiting_max: 10_000,
            validate_after: Duration::from_secs(30),
            down_backoff: Backoff {
                first: Duration::from_millis(100),
                most: Duration::from_secs(2),
            },
        }
    }
}

/// Numbers of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Connections that exist or are being made.
    pub open: usize,
    /// Those that nobody uses.
    pub idle: usize,
    /// Those that are in use or being made.
    pub in_use: usize,
    /// Callers that wait.
    pub waiting: usize,
}

/// Connections to one server. Clones are the same pool.
#[derive(Clone, Debug)]
pub struct Pool(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    connect: Arc<ConnectOptions>,
    options: Cell<PoolOptions>,
    state: RefCell<State>,
    /// Wakes who is connecting when the server is given up.
    given_up: Notify,
    /// The bound that it shares with other pools.
    quota: Option<Arc<Quota>>,
}

impl Shared {
    fn give_back_places(&self, count: usize) {
        if let Some(quota) = &self.quota {
            (0..count).for_each(|_| quota.give_back());
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.give_back_places(self.state.borrow().idle.len());
        if let Some(quota) = &self.quota {
            quota.leave();
        }
    }
}

#[derive(Debug, Default)]
struct State {
    idle: VecDeque<Idle>,
    open: usize,
    waiting: VecDeque<oneshot::Sender<Lease>>,
    /// The length of the line at which it is swept.
    sweep_at: usize,
    closed: bool,
    down: Down,
    /// Ends the connections that exist, and some that do no longer.
    cutters: Vec<Cutter>,
    /// The length at which those are swept.
    sweep_cutters_at: usize,
}

impl State {
    fn note(&mut self, cutter: Cutter) {
        if self.cutters.len() >= self.sweep_cutters_at {
            self.cutters.retain(|cutter| !cutter.is_done());
            self.sweep_cutters_at = (2 * self.cutters.len()).max(SWEEP_FROM);
        }
        self.cutters.push(cutter);
    }
}

#[derive(Debug)]
struct Idle {
    /// Boxed: it is handed on with each statement, and large.
    connection: Box<Connection>,
    since: Instant,
}

/// Whether the server can be reached.
#[derive(Debug, Default)]
struct Down {
    failures: u32,
    until: Option<Instant>,
    reason: String,
    probing: bool,
}

/// A place among the pool's connections; dropping it frees the place.
#[derive(Debug)]
struct Slot(Option<Rc<Shared>>);

impl Slot {
    fn new(shared: &Rc<Shared>) -> Self {
        Self(Some(shared.clone()))
    }

    /// The place stays taken, by an idle connection.
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else { return };
        shared.state.borrow_mut().open -= 1;
        shared.give_back_places(1);
        // A place is no connection: whoever waits must make one. Waking is enough.
        wake_one(&shared);
    }
}

/// Wakes the caller that waits longest, without a connection: its channel closes.
fn wake_one(shared: &Rc<Shared>) {
    let mut state = shared.state.borrow_mut();
    while let Some(waiting) = state.waiting.pop_front() {
        if !waiting.is_closed() {
            return;
        }
    }
}

/// A connection in one caller's hands. Dropping it gives it back, or closes it when something on
/// it is half done.
#[derive(Debug)]
pub struct Lease {
    connection: Option<Box<Connection>>,
    slot: Option<Slot>,
    fresh: bool,
}

impl Pool {
    /// An empty pool.
    pub fn new(connect: Arc<ConnectOptions>, options: PoolOptions) -> Self {
        Self::make(connect, options, None)
    }

    /// The same, sharing a bound with other pools.
    pub fn with_quota(
        connect: Arc<ConnectOptions>,
        options: PoolOptions,
        quota: Arc<Quota>,
    ) -> Self {
        quota.join();
        Self::make(connect, options, Some(quota))
    }

    fn make(connect: Arc<ConnectOptions>, options: PoolOptions, quota: Option<Arc<Quota>>) -> Self {
        let options = Cell::new(options);
        let (state, given_up) = (RefCell::default(), Notify::new());
        Self(Rc::new(Shared { connect, options, state, given_up, quota }))
    }

    /// Where it connects to.
    pub fn connect_options(&self) -> &Arc<ConnectOptions> {
        &self.0.connect
    }

    /// Its bounds.
    pub fn options(&self) -> PoolOptions {
        self.0.options.get()
    }

    /// Other bounds from now on. Connections beyond a smaller bound go when they come back.
    pub fn set_options(&self, options: PoolOptions) {
        let before = self.0.options.replace(options);
        for _ in before.max_connections..options.max_connections {
            wake_one(&self.0);
        }
    }

    /// Its numbers.
    pub fn stats(&self) -> PoolStats {
        let state = self.0.state.borrow();
        let idle = state.idle.len();
        PoolStats {
            open: state.open,
            idle,
            in_use: state.open - idle,
            waiting: state.waiting.len(),
        }
    }

    /// How many connections could be had now without waiting.
    pub fn free(&self) -> usize {
        let stats = self.stats();
        let own = self.options().max_connections.saturating_sub(stats.in_use);
        match &self.0.quota {
            Some(quota) => own.min(quota.free() + stats.idle),
            None => own,
        }
    }

    /// Whether somebody waits for a connection, of this pool or of one that shares its quota.
    pub fn is_wanted(&self) -> bool {
        let state = self.0.state.borrow();
        state.waiting.iter().any(|waiting| !waiting.is_closed()) || self.is_short()
    }

    /// Whether the server could not be reached when it was tried last.
    pub fn is_down(&self) -> bool {
        self.0.state.borrow().down.failures > 0
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.0.state.borrow().closed
    }

    /// Closes idle connections now and the others when they come back; nothing is given out any more.
    pub fn close(&self) {
        let (idle, waiting) = {
            let mut state = self.0.state.borrow_mut();
            state.closed = true;
            state.open -= state.idle.len();
            (std::mem::take(&mut state.idle), std::mem::take(&mut state.waiting))
        };
        self.0.give_back_places(idle.len());
        drop((idle, waiting));
    }

    /// The server hangs, or is not to be used any longer: every connection ends now, whoever uses it
    /// is told that it is lost, whoever waits for one gets an error, and the server is left alone
    /// until [`Pool::forgive`], or for a while.
    pub fn cut(&self, reason: &str) {
        let backoff = self.0.options.get().down_backoff;
        let (cutters, idle, waiting) = {
            let mut state = self.0.state.borrow_mut();
            state.down.failures = state.down.failures.max(1);
            state.down.until = Some(Instant::now() + backoff.most);
            state.down.reason = reason.to_owned();
            state.open -= state.idle.len();
            let cutters = std::mem::take(&mut state.cutters);
            (cutters, std::mem::take(&mut state.idle), std::mem::take(&mut state.waiting))
        };
        cutters.iter().for_each(Cutter::cut);
        self.0.give_back_places(idle.len());
        self.0.given_up.notify_waiters();
        drop((idle, waiting));
    }

    /// The server answers again: it may be tried at once.
    pub fn forgive(&self) {
        self.0.state.borrow_mut().down = Down::default();
    }

    /// A connection, in whatever session state it is; a dirty one is reset.
    pub async fn acquire(&self) -> Result<Lease, BackendError> {
        let mut lease = self.take(None).await?;
        if lease.is_dirty() && lease.reset().await.is_err() {
            return lease.reconnect().await;
        }
        Ok(lease)
    }

    /// A connection with this session state, best one that has it already. A pooled connection
    /// that turns out dead is replaced by a fresh one, once.
    pub async fn acquire_for(&self, session: &Arc<SessionState>) -> Result<Lease, BackendError> {
        let mut lease = self.take(Some(session)).await?;
        if lease.session_matches(session) {
            return Ok(lease);
        }
        // Rare, and large: idle sessions would keep room for it.
        Box::pin(async move {
            match lease.apply_session(session).await {
                Err(error) if !lease.fresh && !error.keeps_connection() => {
                    let mut lease = lease.reconnect().await?;
                    lease.apply_session(session).await?;
                    Ok(lease)
                }
                applied => applied.map(|()| lease),
            }
        })
        .await
    }

    /// Ends the running statement of a connection of this server.
    pub async fn kill_query(&self, thread_id: u32) -> Result<(), BackendError> {
        kill(&self.0.connect, thread_id, KillTarget::Query).await
    }

    async fn take(&self, session: Option<&Arc<SessionState>>) -> Result<Lease, BackendError> {
        let options = self.options();
        let deadline = Instant::now() + options.acquire_timeout;
        loop {
            while let Some((idle, slot)) = self.pop_idle(session) {
                let Idle { mut connection, since } = idle;
                if is_alive(&mut connection, since, options.validate_after).await {
                    return Ok(Lease {
                        connection: Some(connection),
                        slot: Some(slot),
                        fresh: false,
                    });
                }
            }
            if let Some(slot) = self.free_slot()? {
                return Box::pin(self.connect(slot)).await;
            }
            if let Some(lease) = Box::pin(self.wait_for_lease(deadline)).await? {
                return Ok(lease);
            }
        }
    }

    /// An idle connection: the one that came back last, or a near one with the wanted state.
    fn pop_idle(&self, session: Option<&Arc<SessionState>>) -> Option<(Idle, Slot)> {
        let mut state = self.0.state.borrow_mut();
        let last = state.idle.len().checked_sub(1)?;
        let fits =
            |idle: &&Idle| session.is_none_or(|wanted| idle.connection.session_matches(wanted));
        let back = state.idle.iter().rev().take(MATCH_SEARCH_MAX).position(|idle| fits(&idle));
        let idle = state.idle.remove(last - back.unwrap_or(0))?;
        Some((idle, Slot::new(&self.0)))
    }

    /// A place for a new connection, if there is one and the server may be tried.
    fn free_slot(&self) -> Result<Option<Slot>, BackendError> {
        let mut state = self.0.state.borrow_mut();
        if state.closed {
            return Err(BackendError::Closed { address: self.0.connect.address(), source: None });
        }
        if state.open >= self.options().max_connections {
            return Ok(None);
        }
        let now = Instant::now();
        let down = &mut state.down;
        if down.probing || down.until.is_some_and(|until| now < until) {
            let reason = down.reason.clone();
            return Err(BackendError::Down { address: self.0.connect.address(), reason });
        }
        let probing = down.failures > 0;
        let own = state.open;
        if self.0.quota.as_ref().is_some_and(|quota| !quota.take(own)) {
            return Ok(None);
        }
        state.down.probing = probing;
        state.open += 1;
        Ok(Some(Slot::new(&self.0)))
    }

    /// Makes a connection and learns from it whether the server can be reached.
    async fn connect(&self, slot: Slot) -> Result<Lease, BackendError> {
        let probe = self.0.state.borrow().down.probing;
        let mut attempt = Attempt { shared: &self.0, reached: None, probe };
        let connected = tokio::select! {
            biased;
            connected = Connection::connect(&self.0.connect) => connected,
            () = self.0.given_up.notified() => {
                let reason = self.0.state.borrow().down.reason.clone();
                return Err(BackendError::Down { address: self.0.connect.address(), reason });
            }
        };
        match connected {
            Ok(connection) => {
                attempt.reached = Some(Ok(()));
                self.0.state.borrow_mut().note(connection.cutter());
                let connection = Some(Box::new(connection));
                Ok(Lease { connection, slot: Some(slot), fresh: true })
            }
            Err(error) => {
                let away = error.is_unreachable() || matches!(error, BackendError::Closed { .. });
                attempt.reached = Some(if away { Err(reason(&error)) } else { Ok(()) });
                Err(error)
            }
        }
    }

    /// Waits for a connection that comes back; none: there may be a place for a new one, or the pool
    /// was closed.
    async fn wait_for_lease(&self, deadline: Instant) -> Result<Option<Lease>, BackendError> {
        let mut waiting = self.wait_in_line()?;
        let Some(quota) = &self.0.quota else {
            return match timeout_at(deadline, waiting).await {
                Ok(lease) => Ok(lease.ok()),
                Err(_) => Err(self.exhausted()),
            };
        };
        let mut waits = quota.wait(self.0.state.borrow().open);
        loop {
            let look = Instant::now() + self.look_again_after();
            if let Ok(lease) = timeout_at(deadline.min(look), &mut waiting).await {
                return Ok(lease.ok());
            }
            // What was sent in this moment is not lost.
            if let Ok(lease) = waiting.try_recv() {
                return Ok(Some(lease));
            }
            if Instant::now() >= deadline {
                return Err(self.exhausted());
            }
            if waits.could_take(self.0.state.borrow().open) {
                return Ok(None);
            }
        }
    }

    /// The place in the line stays, however often a caller looks.
    fn look_again_after(&self) -> Duration {
        let waiting = self.0.state.borrow().waiting.len();
        QUOTA_LOOK * (waiting / LOOKERS + 1).min(LOOK_FACTOR_MAX) as u32
    }

    fn wait_in_line(&self) -> Result<oneshot::Receiver<Lease>, BackendError> {
        let mut state = self.0.state.borrow_mut();
        let most = self.options().waiting_max;
        // Those that gave up waiting leave their places behind.
        if state.waiting.len() >= state.sweep_at.min(most) {
            state.waiting.retain(|waiting| !waiting.is_closed());
            state.sweep_at = (2 * state.waiting.len()).max(SWEEP_FROM);
        }
        if state.waiting.len() >= most {
            return Err(self.exhausted());
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting.push_back(sender);
        Ok(receiver)
    }

    fn exhausted(&self) -> BackendError {
        let own = self.options().max_connections;
        let limit = self.0.quota.as_ref().map_or(own, |quota| own.min(quota.most()));
        BackendError::PoolExhausted { address: self.0.connect.address(), limit }
    }

    /// Closes connections that were idle for too long or are beyond the bound, and makes some
    /// ready. Call it every second or so.
    pub async fn maintain(&self) {
        let options = self.options();
        while let Some(gone) = self.pop_stale(&options) {
            drop(gone);
        }
        self.drop_dead();
        while self.stats().open < options.min_open && !self.is_short() {
            let Ok(Some(slot)) = self.free_slot() else { return };
            if let Err(error) = self.connect(slot).await {
                tracing::warn!(address = self.0.connect.address(), %error, "no connection to keep ready");
                return;
            }
        }
    }

    /// Closes idle connections while other pools want places.
    pub fn shed(&self) {
        while self.is_short() {
            let Some(idle) = self.0.state.borrow_mut().idle.pop_front() else { return };
            drop((idle, Slot::new(&self.0)));
        }
    }

    fn is_short(&self) -> bool {
        self.0.quota.as_ref().is_some_and(|quota| quota.is_short())
    }

    /// Closes idle connections that their server has closed.
    fn drop_dead(&self) {
        let idle = std::mem::take(&mut self.0.state.borrow_mut().idle);
        let (alive, dead): (VecDeque<Idle>, VecDeque<Idle>) =
            idle.into_iter().partition(|idle| idle.connection.idle_socket_alive());
        self.0.state.borrow_mut().idle = alive;
        for one in dead {
            drop((one, Slot::new(&self.0)));
        }
    }

    /// The idle connection that came back first, if it must go.
    fn pop_stale(&self, options: &PoolOptions) -> Option<(Idle, Slot)> {
        let mut state = self.0.state.borrow_mut();
        let oldest = state.idle.front()?;
        let stale = oldest.since.elapsed() > options.idle_timeout && state.open > options.min_open;
        if !stale && !self.is_short() && state.open <= options.max_connections {
            return None;
        }
        let idle = state.idle.pop_front()?;
        Some((idle, Slot::new(&self.0)))
    }
}

/// An attempt to connect. Also one that is dropped in the middle must let the next one try.
struct Attempt<'a> {
    shared: &'a Rc<Shared>,
    reached: Option<Result<(), String>>,
    /// It is the one that tries whether a server is back.
    probe: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let backoff = self.shared.options.get().down_backoff;
        let mut state = self.shared.state.borrow_mut();
        let down = &mut state.down;
        if self.probe {
            down.probing = false;
        }
        match self.reached.take() {
            None => {}
            Some(Ok(())) => *down = Down::default(),
            // Of many attempts that fail together only the first counts.
            Some(Err(_)) if down.failures > 0 && !self.probe => {}
            Some(Err(reason)) => {
                down.failures = down.failures.saturating_add(1);
                down.until = Some(Instant::now() + backoff.delay(down.failures));
                down.reason = reason;
            }
        }
    }
}

/// The error and its cause in one line, for whoever is told "down" later.
fn reason(error: &BackendError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Whether an idle connection can be given out.
async fn is_alive(connection: &mut Connection, since: Instant, validate_after: Duration) -> bool {
    let idle = since.elapsed();
    if idle < LOOK_AFTER {
        return true;
    }
    if !connection.idle_socket_alive() {
        return false;
    }
    idle < validate_after
        || matches!(Box::pin(timeout(PING_TIMEOUT, connection.ping())).await, Ok(Ok(())))
}

impl Lease {
    /// Whether the connection was made for this lease. On one from the pool, a statement that
    /// found it closed may be tried again on a fresh one, if repeating it is safe.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Reads what is left of an answer (bounded), rolls back an open transaction, and gives the
    /// connection back. What cannot be cleaned is closed.
    pub async fn release(mut self) {
        if !self.is_idle() && !self.is_broken() && self.drain().await.is_err() {
            return self.discard();
        }
        if self.is_idle() && self.in_transaction() && self.execute_sql(b"ROLLBACK").await.is_err() {
            self.discard();
        }
    }

    /// Closes the connection.
    pub fn discard(mut self) {
        self.connection = None;
    }

    /// The same place in the pool with a fresh connection, after the old one was found dead.
    pub async fn reconnect(mut self) -> Result<Lease, BackendError> {
        self.connection = None;
        let slot = self.slot.take().expect("a lease has its place until it is dropped");
        let shared = slot.0.clone().expect("a place in a lease was not given away");
        Pool(shared).connect(slot).await
    }

    /// The connection, if it can be used by another.
    fn reusable(&mut self) -> Option<Box<Connection>> {
        let connection = self.connection.take()?;
        (connection.is_idle() && !connection.in_transaction() && !connection.is_pinned())
            .then_some(connection)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        let Some(mut connection) = self.reusable() else { return };
        connection.shrink();
        let Some(shared) = slot.0.clone() else { return };
        let within = {
            let state = shared.state.borrow();
            !state.closed
                && state.down.failures == 0
                && state.open <= shared.options.get().max_connections
                && !shared.quota.as_ref().is_some_and(|quota| quota.wants_back(state.open))
        };
        if !within {
            return;
        }
        let mut lease = Lease { connection: Some(connection), slot: Some(slot), fresh: false };
        loop {
            let waiting = shared.state.borrow_mut().waiting.pop_front();
            let Some(waiting) = waiting else { break };
            match waiting.send(lease) {
                Ok(()) => return,
                Err(back) => lease = back,
            }
        }
        if shared.quota.as_ref().is_some_and(|quota| quota.is_short()) {
            lease.connection = None;
            return;
        }
        // From here on the place belongs to the idle connection: `open` counts it still.
        if let (Some(connection), Some(slot)) = (lease.connection.take(), lease.slot.take()) {
            slot.keep();
            shared.state.borrow_mut().idle.push_back(Idle { connection, since: Instant::now() });
        }
    }
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a lease has its connection until it is dropped")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("a lease has its connection until it is dropped")
    }
}
