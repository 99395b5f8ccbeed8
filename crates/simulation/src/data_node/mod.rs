//! A data node: rows that last, connections that do not. It can be killed at any moment and started
//! again; what a server keeps on disk is there then, prepared branches with their locks among it.

mod connection;
mod run;
pub mod statement;
pub mod store;

use crate::world::World;
use connection::Serving;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;
use store::Store;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// A data node. Clones are the same.
#[derive(Clone, Debug)]
pub struct DataNode(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    port: u16,
    world: World,
    store: RefCell<Store>,
    /// A lock was released, or somebody was killed.
    changed: Notify,
    connections: RefCell<BTreeMap<u32, AbortHandle>>,
    killed_queries: RefCell<BTreeSet<u32>>,
    last_thread: Cell<u32>,
    listener: RefCell<Option<AbortHandle>>,
    /// Its clock is ahead by so many milliseconds.
    ahead_ms: Cell<u64>,
}

impl DataNode {
    /// One that is not running yet, at this port.
    pub fn new(world: &World, port: u16) -> Self {
        Self(Rc::new(Inner {
            port,
            world: world.clone(),
            store: RefCell::default(),
            changed: Notify::new(),
            connections: RefCell::default(),
            killed_queries: RefCell::default(),
            last_thread: Cell::new(0),
            listener: RefCell::default(),
            ahead_ms: Cell::new(0),
        }))
    }

    /// Its port, which is its name.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// Looks at what it has, or changes it.
    pub fn with<R>(&self, look: impl FnOnce(&mut Store) -> R) -> R {
        look(&mut self.0.store.borrow_mut())
    }

    /// Starts it.
    pub fn start(&self) {
        let mut arrivals = self.0.world.network().open(self.0.port);
        self.note("starts");
        let node = self.clone();
        let listener = tokio::task::spawn_local(async move {
            while let Some(stream) = arrivals.recv().await {
                node.accept(stream);
            }
        });
        *self.0.listener.borrow_mut() = Some(listener.abort_handle());
    }

    fn accept(&self, stream: TcpStream) {
        let thread = self.0.last_thread.get() + 1;
        self.0.last_thread.set(thread);
        let serving = Serving::new(self.clone(), thread);
        let task = tokio::task::spawn_local(serving.run(stream));
        self.0.connections.borrow_mut().insert(thread, task.abort_handle());
    }

    /// Ends it at once, as `kill -9` does.
    pub fn crash(&self) {
        self.note("is killed");
        self.0.world.network().close(self.0.port);
        if let Some(listener) = self.0.listener.borrow_mut().take() {
            listener.abort();
        }
        self.cut_all();
        self.with(Store::crash);
    }

    /// Ends all its connections.
    pub fn cut_all(&self) {
        let connections = std::mem::take(&mut *self.0.connections.borrow_mut());
        for (thread, connection) in connections {
            connection.abort();
            self.disconnected(thread);
        }
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.0.listener.borrow().is_some()
    }

    /// Connections that it has.
    pub fn connections(&self) -> usize {
        self.0.connections.borrow().len()
    }

    /// Its clock goes ahead.
    pub fn advance_clock(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or_default();
        self.0.ahead_ms.set(self.0.ahead_ms.get() + by);
    }

    fn now_ms(&self) -> u64 {
        self.0.world.trace().now_ms() + self.0.ahead_ms.get()
    }

    /// A connection has ended, by itself or not.
    fn disconnected(&self, thread: u32) {
        self.0.connections.borrow_mut().remove(&thread);
        self.0.store.borrow_mut().disconnect(thread);
        self.0.changed.notify_waiters();
    }

    /// Ends another connection, or what it runs; false when there is none.
    fn kill(&self, thread: u32, connection: bool) -> bool {
        let task = self.0.connections.borrow().get(&thread).cloned();
        let Some(task) = task else { return false };
        if connection {
            task.abort();
            self.disconnected(thread);
        } else {
            self.0.killed_queries.borrow_mut().insert(thread);
            self.0.changed.notify_waiters();
        }
        true
    }

    fn note(&self, what: &str) {
        self.0.world.trace().note(&format!("data node {} {what}", self.0.port));
    }
}
