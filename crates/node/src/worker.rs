//! One worker thread: a single-threaded runtime with its own listeners, sessions and back-end
//! pools. Nothing on a statement's road leaves it.

use node_session::shared::Shared;
use node_session::worker::Worker;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::task::LocalSet;

/// How often a worker looks after its pools and its idle sessions.
const TICK: Duration = Duration::from_secs(1);

/// After an accept error (no file descriptors left, mostly) the worker waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Starts a worker; it ends when the node has drained.
pub fn start(
    number: usize,
    listeners: Vec<TcpListener>,
    shared: Arc<Shared>,
) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let local = LocalSet::new();
        local.block_on(&runtime, serve(listeners, shared));
    })
}

async fn serve(listeners: Vec<TcpListener>, shared: Arc<Shared>) {
    let worker = Rc::new(Worker::new(shared.clone()));
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|listener| tokio::task::spawn_local(accept(listener, worker.clone())))
        .collect();
    let mut tick = tokio::time::interval(TICK);
    let mut drain = shared.drain_signal();
    loop {
        tokio::select! {
            _ = tick.tick() => worker.tick(),
            () = worker.backends.pressed() => worker.backends.shed(),
            _ = drain.wait_for(|draining| *draining) => break,
        }
    }
    for task in accepting {
        task.abort();
    }
    worker.drain().await;
}

async fn accept(listener: TcpListener, worker: Rc<Worker>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "a listener cannot be used");
            return;
        }
    };
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => worker.clone().spawn_session(stream, peer),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
