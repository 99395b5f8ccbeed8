//! One worker thread: a single-threaded runtime with its own listeners, sessions and back-end
//! pools. Nothing on a statement's road leaves it.

use crate::listen;

use node_session::shared::Shared;
use node_session::worker::Worker;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::{Instant, timeout_at};

/// How often a worker looks after its pools and its idle sessions.
const TICK: Duration = Duration::from_secs(1);

/// After an accept error (no file descriptors left, mostly) the worker waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often a worker looks whether the node serves by now.
const SERVING_INTERVAL: Duration = Duration::from_millis(10);

/// Handshakes that have begun when a listener closes are through within this.
const HANDSHAKE_TIME: Duration = Duration::from_millis(20);

/// A worker's stack: expressions nest deeply, and a statement that EXECUTE runs may itself run
/// others. Only the pages that are used take memory.
const STACK_BYTES: usize = 16 << 20;

/// One of a worker's sockets, bound but not open.
#[derive(Debug)]
pub struct Bound {
    /// The socket.
    pub listener: TcpListener,
    /// Other nodes serve the address too.
    pub shared: bool,
}

/// Starts a worker; it accepts no more connections when `closing` says so, and ends when the node
/// has drained.
pub fn start(
    number: usize,
    listeners: Vec<Bound>,
    shared: Arc<Shared>,
    closing: watch::Receiver<bool>,
) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name(format!("worker-{number}"));
    thread.stack_size(STACK_BYTES).spawn(move || {
        let local = LocalSet::new();
        local.block_on(&runtime, serve(listeners, shared, closing));
    })
}

async fn serve(listeners: Vec<Bound>, shared: Arc<Shared>, closing: watch::Receiver<bool>) {
    let worker = Rc::new(Worker::new(shared.clone()));
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|listener| tokio::task::spawn_local(accept(listener, worker.clone(), closing.clone())))
        .collect();
    let mut tick = tokio::time::interval(TICK);
    let mut drain = shared.drain_signal();
    let mut news = shared.standings.subscribe();
    loop {
        tokio::select! {
            _ = tick.tick() => worker.tick(),
            Ok(()) = news.changed() => worker.backends.obey(),
            () = worker.backends.pressed() => worker.backends.shed(),
            _ = drain.wait_for(|draining| *draining) => break,
        }
    }
    for task in accepting {
        task.abort();
    }
    worker.drain().await;
}

async fn accept(bound: Bound, worker: Rc<Worker>, mut closing: watch::Receiver<bool>) {
    let shared = bound.shared;
    let opened = open(bound, &worker, &mut closing).await;
    if shared {
        worker.shared.socket_opened();
    }
    let listener = match opened {
        Ok(Some(listener)) => listener,
        Ok(None) => return,
        Err(error) => {
            tracing::error!(%error, "a listener cannot be used");
            return;
        }
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        match accepted {
            Ok((stream, peer)) => worker.clone().spawn_session(stream, peer),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    if let Err(error) = listen::turn_away(&listener) {
        tracing::warn!(%error, "connections that come this moment may be reset");
    }
    let until = Instant::now() + HANDSHAKE_TIME;
    while let Ok(Ok((stream, peer))) = timeout_at(until, listener.accept()).await {
        worker.clone().spawn_session(stream, peer);
    }
}

/// Opens a socket, one of a shared address when the node serves; `None` when it is to close before.
async fn open(
    bound: Bound,
    worker: &Worker,
    closing: &mut watch::Receiver<bool>,
) -> std::io::Result<Option<tokio::net::TcpListener>> {
    while bound.shared && !worker.shared.is_serving() {
        if *closing.borrow() {
            return Ok(None);
        }
        tokio::time::sleep(SERVING_INTERVAL).await;
    }
    listen::open(&bound.listener)?;
    tokio::net::TcpListener::from_std(bound.listener).map(Some)
}
