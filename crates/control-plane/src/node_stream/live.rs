//! What is known of the nodes that speak with this control plane: which version each serves, when it
//! was last heard. It is observed state, so it is in memory alone; after a restart nodes say hello
//! again. It is also how a change reaches nodes: `publish` makes the instance's snapshot anew and
//! hands it to every stream of the instance.

use super::peers::Peers;
use async_trait::async_trait;
use base::id::{InstanceId, NodeId};
use control_app::App;
use control_app::ports::{NodesBehind, SnapshotPublisher};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use topology::model::Snapshot;
use topology::peers::{PeerAnswer, PeerAsk};
use topology::stream::HEARTBEAT_TIMEOUT_MS;

/// A snapshot that could not be built is tried again after this.
const BUILD_AGAIN: Duration = Duration::from_millis(500);

/// The newest snapshot of an instance; every stream of it watches one.
pub type Newest = watch::Sender<Option<Arc<Snapshot>>>;

#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Instant,
    version: u64,
    /// Which of the node's streams this is about: an old one that ends late must not count.
    stream: u64,
    pid: u32,
}

#[derive(Debug, Default)]
struct State {
    nodes: HashMap<NodeId, Heard>,
    newest: HashMap<InstanceId, Newest>,
    /// Nobody vouches for a node of the instance with an older version, whether or not its snapshot
    /// is made; with the number of the last fence that was made for it.
    required: HashMap<InstanceId, (u64, u64)>,
    /// When somebody last vouched for a node.
    vouched: HashMap<NodeId, Instant>,
    dirty: HashSet<InstanceId>,
    next_stream: u64,
}

/// The nodes that are heard.
#[derive(Debug, Default)]
pub struct LiveNodes {
    state: Mutex<State>,
    app: OnceLock<Weak<App>>,
    /// Something is to be built.
    work: Notify,
    /// A node serves another version, or came or went.
    moved: Notify,
    /// The way from node to node.
    pub peers: Peers,
}

impl LiveNodes {
    /// Nobody is heard yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Gives it the application, whose records snapshots are made of, and starts building.
    pub fn attach(self: &Arc<Self>, app: &Arc<App>) {
        self.app.set(Arc::downgrade(app)).expect("the application is attached once");
        tokio::spawn(build(self.clone()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the nodes' state")
    }

    /// A node says hello: the number of its stream, and where its snapshots come from.
    pub fn hello(
        &self,
        node: &NodeId,
        instance: &InstanceId,
        version: u64,
        pid: u32,
    ) -> (u64, watch::Receiver<Option<Arc<Snapshot>>>) {
        let mut state = self.state();
        state.next_stream += 1;
        let stream = state.next_stream;
        state.nodes.insert(node.clone(), Heard { at: Instant::now(), version, stream, pid });
        let newest = state
            .newest
            .entry(instance.clone())
            .or_insert_with(|| watch::Sender::new(None))
            .subscribe();
        drop(state);
        self.moved.notify_waiters();
        self.publish(instance);
        (stream, newest)
    }

    /// The node serves this version.
    pub fn serves_now(&self, node: &NodeId, stream: u64, version: u64) {
        if let Some(heard) = self.state().nodes.get_mut(node)
            && heard.stream == stream
        {
            heard.at = Instant::now();
            heard.version = version;
        }
        self.moved.notify_waiters();
    }

    /// The node lives: whether the definitions that it serves are in force. They are when it has the
    /// newest snapshot, and no change without it is under way. Gives the number of the last fence that
    /// is void then.
    pub fn vouch(&self, node: &NodeId, stream: u64, instance: &InstanceId) -> Option<u64> {
        let mut state = self.state();
        let heard = state.nodes.get_mut(node).filter(|heard| heard.stream == stream)?;
        heard.at = Instant::now();
        let serves = heard.version;
        let newest = state.newest.get(instance);
        let newest = newest.and_then(|newest| Some(newest.borrow().as_ref()?.version))?;
        let (required, fence) = state.required.get(instance).copied().unwrap_or_default();
        if serves < newest.max(required) {
            return None;
        }
        state.vouched.insert(node.clone(), Instant::now());
        Some(fence)
    }

    /// The stream ended.
    pub fn gone(&self, node: &NodeId, stream: u64) {
        let mut state = self.state();
        if state.nodes.get(node).is_some_and(|heard| heard.stream == stream) {
            state.nodes.remove(node);
        }
        drop(state);
        self.moved.notify_waiters();
    }

    /// The version that a live node serves.
    pub fn version_of(&self, node: &NodeId) -> Option<u64> {
        self.state().nodes.get(node).filter(|heard| is_fresh(heard)).map(|heard| heard.version)
    }

    fn take_dirty(&self) -> Vec<InstanceId> {
        self.state().dirty.drain().collect()
    }

    /// Hands a snapshot to the instance's streams, unless they have a newer one.
    fn hand_out(&self, instance: &InstanceId, snapshot: Arc<Snapshot>) {
        let state = self.state();
        if let Some(newest) = state.newest.get(instance) {
            newest.send_if_modified(|current| {
                let newer =
                    current.as_ref().is_none_or(|current| current.version < snapshot.version);
                if newer {
                    *current = Some(snapshot.clone());
                }
                newer
            });
        }
    }
}

fn is_fresh(heard: &Heard) -> bool {
    heard.at.elapsed() < Duration::from_millis(HEARTBEAT_TIMEOUT_MS)
}

/// Builds what is to be built, one instance after the other, until the application is gone.
async fn build(live: Arc<LiveNodes>) {
    loop {
        let work = live.work.notified();
        let instances = live.take_dirty();
        if instances.is_empty() {
            work.await;
            continue;
        }
        for instance in instances {
            let Some(app) = live.app.get().and_then(Weak::upgrade) else { return };
            match app.snapshot(&instance).await {
                Ok(Some(snapshot)) => live.hand_out(&instance, Arc::new(snapshot)),
                Ok(None) => {
                    // Its streams end with their source; who says hello again is refused.
                    tracing::info!(%instance, "the instance is gone");
                    let mut state = live.state();
                    state.newest.remove(&instance);
                    state.required.remove(&instance);
                }
                Err(error) => {
                    tracing::warn!(%instance, %error, "the snapshot could not be built and is tried again");
                    let live = live.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(BUILD_AGAIN).await;
                        live.publish(&instance);
                    });
                }
            }
        }
    }
}

#[async_trait]
impl SnapshotPublisher for LiveNodes {
    fn publish(&self, instance_id: &InstanceId) {
        let mut state = self.state();
        // Without a stream nobody needs it; who says hello later asks for it then.
        if state.newest.contains_key(instance_id) {
            state.dirty.insert(instance_id.clone());
            drop(state);
            self.work.notify_one();
        }
    }

    async fn wait_nodes_at(
        &self,
        _instance_id: &InstanceId,
        nodes: &[NodeId],
        version: u64,
        timeout: Duration,
    ) -> Result<(), NodesBehind> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            // Registered before looking, so that no move is missed.
            moved.as_mut().enable();
            let behind: Vec<NodeId> = nodes
                .iter()
                .filter(|node| self.version_of(node).is_none_or(|serves| serves < version))
                .cloned()
                .collect();
            if behind.is_empty() {
                return Ok(());
            }
            if tokio::time::timeout_at(deadline, moved).await.is_err() {
                return Err(NodesBehind { behind });
            }
        }
    }

    fn require(&self, instance_id: &InstanceId, version: u64, fence: u64) {
        let mut state = self.state();
        let required = state.required.entry(instance_id.clone()).or_default();
        *required = (version.max(required.0), fence.max(required.1));
    }

    fn is_vouched_since(&self, node_id: &NodeId, since: Instant) -> bool {
        self.state().vouched.get(node_id).is_some_and(|vouched| *vouched >= since)
    }

    fn serves(&self, node_id: &NodeId, version: u64) -> bool {
        self.version_of(node_id).is_some_and(|serves| serves >= version)
    }

    async fn reaches(&self, node_id: &NodeId) -> bool {
        self.is_heard(node_id) && self.peers.ask(node_id, PeerAsk::Presence).await.is_some()
    }

    fn is_heard(&self, node_id: &NodeId) -> bool {
        self.version_of(node_id).is_some()
    }

    fn process_of(&self, node_id: &NodeId) -> Option<u32> {
        self.state().nodes.get(node_id).filter(|heard| is_fresh(heard)).map(|heard| heard.pid)
    }

    async fn ask_node(&self, node_id: &NodeId, ask: PeerAsk) -> Option<PeerAnswer> {
        self.peers.ask(node_id, ask).await
    }
}
