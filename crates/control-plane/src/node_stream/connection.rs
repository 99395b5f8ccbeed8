//! One node's stream, from its hello to its end.

use super::frames;
use super::live::LiveNodes;
use base::id::{InstanceId, NodeId};
use control_app::App;
use control_app::error::AppError;
use control_app::ports::SnapshotPublisher;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::server::TlsStream;
use topology::model::Snapshot;
use topology::slow_query::SlowQuery;
use topology::stream::{Answer, Ask, FromNode, HEARTBEAT_TIMEOUT_MS, ToNode};

/// Messages that wait for a slow node, snapshots not counted.
const OUT_QUEUE_MAX: usize = 64;

/// Questions of one node that are worked on at the same time.
const ASKS_AT_ONCE_MAX: usize = 32;

/// A node that says nothing for so long, heartbeats included, is cut off.
const SILENCE_MAX: Duration = Duration::from_millis(HEARTBEAT_TIMEOUT_MS);

/// Writing one message must be done within this.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves one node until its stream ends.
pub async fn serve(mut stream: TlsStream<TcpStream>, live: &Arc<LiveNodes>, app: &Arc<App>) {
    let hello = tokio::time::timeout(SILENCE_MAX, frames::read::<FromNode>(&mut stream)).await;
    let Ok(Ok(Some(FromNode::Hello { node_id, instance_id, at_version, pid }))) = hello else {
        tracing::info!("a peer of the node stream says no hello");
        return;
    };
    match refusal(&stream, app, &node_id, &instance_id).await {
        Ok(None) => {}
        Ok(Some(reason)) => {
            tracing::warn!(node = %node_id, instance = %instance_id, %reason, "a node is refused");
            let _ = frames::write(&mut stream, &ToNode::Refused { reason }).await;
            return;
        }
        // That is our trouble and not the node's: it comes again, and serves meanwhile.
        Err(error) => {
            tracing::warn!(node = %node_id, %error, "the store does not tell whose a node is");
            return;
        }
    }
    tracing::info!(node = %node_id, instance = %instance_id, at_version, "a node said hello");
    let (number, snapshots) = live.hello(&node_id, &instance_id, at_version, pid);
    let (reader, writer) = tokio::io::split(stream);
    let (out, queue) = mpsc::channel(OUT_QUEUE_MAX);
    live.peers.enter(&node_id, number, out.clone());
    let peer = Peer {
        node_id,
        instance_id,
        number,
        live: live.clone(),
        app: app.clone(),
        out,
        dropped: AtomicU64::new(0),
    };
    let ended = tokio::select! {
        ended = peer.listen(reader) => ended,
        ended = speak(writer, queue, snapshots) => ended,
    };
    peer.live.peers.leave(&peer.node_id, number);
    peer.live.gone(&peer.node_id, number);
    match ended {
        Ok(()) => tracing::info!(node = %peer.node_id, "the node closed its stream"),
        Err(error) => tracing::info!(node = %peer.node_id, %error, "the node's stream ended"),
    }
}

/// Why this node must not be served, if so.
async fn refusal(
    stream: &TlsStream<TcpStream>,
    app: &App,
    node_id: &NodeId,
    instance_id: &InstanceId,
) -> Result<Option<String>, AppError> {
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates().and_then(|chain| chain.first());
    if !shown.is_some_and(|certificate| super::is_certificate_of(certificate, node_id.as_str())) {
        return Ok(Some("the certificate belongs to another node".into()));
    }
    let is_one = app.is_node_of(instance_id, node_id).await?;
    Ok((!is_one).then(|| "the instance has no such node".into()))
}

struct Peer {
    node_id: NodeId,
    instance_id: InstanceId,
    number: u64,
    live: Arc<LiveNodes>,
    app: Arc<App>,
    out: mpsc::Sender<ToNode>,
    /// Slow statements that the node had to drop.
    dropped: AtomicU64,
}

impl Peer {
    async fn listen(&self, mut reader: impl AsyncRead + Unpin) -> io::Result<()> {
        let places = Arc::new(Semaphore::new(ASKS_AT_ONCE_MAX));
        loop {
            let message = tokio::time::timeout(SILENCE_MAX, frames::read::<FromNode>(&mut reader))
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the node is silent"))??;
            match message {
                None => return Ok(()),
                Some(FromNode::AtVersion { version }) => {
                    self.live.serves_now(&self.node_id, self.number, version)
                }
                Some(FromNode::Heartbeat { beat, .. }) => {
                    let vouched = self.live.vouch(&self.node_id, self.number, &self.instance_id);
                    if beat > 0 {
                        // A queue that is full is no place to wait in: the next one is answered.
                        let heard = ToNode::Heard {
                            beat,
                            vouched: vouched.is_some(),
                            fences: vouched.unwrap_or_default(),
                        };
                        self.out.try_send(heard).ok();
                    }
                }
                Some(FromNode::Ask { request, ask }) => {
                    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
                    let (app, live, out) = (self.app.clone(), self.live.clone(), self.out.clone());
                    let (node_id, instance_id) = (self.node_id.clone(), self.instance_id.clone());
                    // The work goes on when the stream ends: what was asked is done or recorded.
                    tokio::spawn(async move {
                        let heard: &dyn SnapshotPublisher = &*live;
                        let answer =
                            control_app::ddl::answer(&app, heard, &instance_id, &node_id, ask)
                                .await;
                        let begun = match &answer {
                            Answer::DdlBegun { ddl_id } => Some(ddl_id.clone()),
                            _ => None,
                        };
                        let lost = out.send(ToNode::Answer { request, answer }).await.is_err();
                        if let (true, Some(ddl_id)) = (lost, begun) {
                            // The node never learns the id, so nobody else could end the change.
                            let ask = Ask::DdlAbort { ddl_id };
                            control_app::ddl::answer(&app, heard, &instance_id, &node_id, ask)
                                .await;
                        }
                        drop(place);
                    });
                }
                Some(FromNode::PeerAnswer { request, answer }) => {
                    self.live.peers.answered(&self.node_id, request, answer);
                }
                Some(FromNode::SlowQueries { queries, dropped }) => {
                    self.keep_slow_queries(queries, dropped);
                }
                Some(FromNode::Hello { .. }) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a second hello"));
                }
            }
        }
    }
}

impl Peer {
    /// Keeps a node's slow statements and says so. A node sends the next ones after that, so there
    /// is one such task.
    fn keep_slow_queries(&self, queries: Vec<SlowQuery>, dropped: u64) {
        if self.dropped.swap(dropped, Ordering::Relaxed) < dropped {
            tracing::warn!(node = %self.node_id, dropped, "slow statements were lost: more waited than may");
        }
        let (app, out) = (self.app.clone(), self.out.clone());
        let (node_id, instance_id) = (self.node_id.clone(), self.instance_id.clone());
        tokio::spawn(async move {
            match app.keep_slow_queries(&instance_id, &node_id, queries).await {
                Ok(up_to) => {
                    out.send(ToNode::SlowQueriesKept { up_to }).await.ok();
                }
                Err(error) => {
                    tracing::warn!(node = %node_id, %error, "slow statements cannot be kept now; the node sends them again")
                }
            }
        });
    }
}

/// Writes answers and every new snapshot; of several new ones only the newest.
async fn speak(
    mut writer: impl AsyncWrite + Unpin,
    mut queue: mpsc::Receiver<ToNode>,
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
) -> io::Result<()> {
    snapshots.mark_changed();
    loop {
        let message = tokio::select! {
            message = queue.recv() => message.ok_or(io::ErrorKind::BrokenPipe)?,
            changed = snapshots.changed() => {
                changed.map_err(io::Error::other)?;
                let newest = snapshots.borrow_and_update().clone();
                match newest {
                    Some(snapshot) => ToNode::Snapshot { snapshot },
                    None => continue,
                }
            }
        };
        tokio::time::timeout(WRITE_TIMEOUT, frames::write(&mut writer, &message))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the node does not read"))??;
    }
}
