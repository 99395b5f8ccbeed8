//! A node: the product's own code of a worker, its sessions and its recovery, in one set of tasks that
//! can be dropped at any of their awaits, as a killed process drops what it is doing.

use crate::network::Arrivals;
use crate::world::World;
use base::id::NodeId;
use node_exec::ask::NoControlPlane;
use node_session::shared::{Shared, SharedOptions};
use node_session::worker::Worker;
use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::task::{AbortHandle, LocalSet};
use topology::model::Snapshot;

/// The time of day at which runs begin, in seconds after 1970.
const BEGAN_UNIX: u64 = 1_700_000_000;

/// How often a worker looks after its pools, as in the product.
const TICK: Duration = Duration::from_secs(1);

/// One node. Clones are the same.
#[derive(Clone, Debug)]
pub struct Node(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    port: u16,
    id: NodeId,
    world: World,
    running: RefCell<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    tasks: AbortHandle,
    worker: Rc<Worker>,
}

impl Node {
    /// One that is not running yet.
    pub fn new(world: &World, port: u16) -> Self {
        let id = NodeId::from_random([port as u8; 16]);
        Self(Rc::new(Inner { port, id, world: world.clone(), running: RefCell::default() }))
    }

    /// Where clients find it.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// Starts its process.
    pub fn start(&self, snapshot: &Arc<Snapshot>) {
        let world = &self.0.world;
        world.trace().note(&format!("node {} starts", self.0.port));
        let since = Duration::from_millis(world.trace().now_ms());
        let shared = Shared::new(SharedOptions {
            node_id: self.0.id.clone(),
            control: Arc::new(NoControlPlane),
            tls: None,
            shared_sockets: 0,
            dialler: Some(Arc::new(world.network().clone())),
            clock: UNIX_EPOCH + Duration::from_secs(BEGAN_UNIX) + since,
            machine: "simulated".to_owned(),
        });
        shared.serve_snapshot(snapshot.clone());
        let worker = Rc::new(Worker::new(shared.clone()));
        let process = LocalSet::new();
        process.spawn_local(serve(worker.clone(), world.network().open(self.0.port)));
        process.spawn_local(node_session::recovery::run(shared));
        let tasks = tokio::task::spawn_local(process).abort_handle();
        *self.0.running.borrow_mut() = Some(Running { tasks, worker });
    }

    /// Ends its process at once, as `kill -9` does.
    pub fn crash(&self) {
        self.0.world.trace().note(&format!("node {} is killed", self.0.port));
        self.0.world.network().close(self.0.port);
        if let Some(running) = self.0.running.borrow_mut().take() {
            running.tasks.abort();
        }
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.0.running.borrow().is_some()
    }

    /// What is wrong with the pools of a node that nobody uses, if anything is.
    pub fn pools_in_use(&self) -> Vec<String> {
        let running = self.0.running.borrow();
        let Some(running) = &*running else { return Vec::new() };
        let mut wrong = Vec::new();
        for node in running.worker.backends.all() {
            let quota = running.worker.shared.quotas.of(&node.definition.id);
            let pools = [node.pool(false).stats(), node.pool(true).stats()];
            let open: usize = pools.iter().map(|stats| stats.open).sum();
            if pools.iter().any(|stats| stats.in_use > 0) || quota.open() != open {
                let name = &node.definition.name;
                wrong.push(format!(
                    "node {}, data node {name}: {pools:?}, quota {}",
                    self.0.port,
                    quota.open()
                ));
            }
        }
        wrong
    }

    /// Sessions that it has.
    pub fn sessions(&self) -> usize {
        let running = self.0.running.borrow();
        running.as_ref().map_or(0, |running| running.worker.shared.processes.len())
    }

    /// Connections of its worker to data nodes.
    pub fn open_connections(&self) -> usize {
        let running = self.0.running.borrow();
        running.as_ref().map_or(0, |running| running.worker.backends.open_connections())
    }
}

/// What a worker's thread does in the product.
async fn serve(worker: Rc<Worker>, mut arrivals: Arrivals) {
    let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            biased;
            Some(stream) = arrivals.recv() => worker.clone().spawn_session(stream, client),
            _ = tick.tick() => worker.tick(),
            () = worker.backends.pressed() => worker.backends.shed(),
        }
    }
}
