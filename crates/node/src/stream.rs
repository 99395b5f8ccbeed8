//! The one stream to the control plane: frames of a four-byte length and JSON over mutual TLS. It
//! brings snapshots, says that the node lives, and carries the questions of DDL statements. When it
//! breaks, the node goes on serving and the stream is tried again for ever.

use crate::config::NodeConfig;
use crate::slow_queries::SlowQueries;
use crate::snapshot_file::{self, SnapshotFile};
use crate::tls::CONTROL_PLANE_NAME;
use base::backoff::Backoff;
use futures::future::BoxFuture;
use node_exec::ask::{AskError, ControlPlane};
use node_session::shared::Shared;
use rustls::pki_types::ServerName;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use topology::model::Snapshot;
use topology::stream::{
    Answer, Ask, FRAME_BYTES_MAX, FromNode, HEARTBEAT_INTERVAL_MS, HEARTBEAT_TIMEOUT_MS, ToNode,
};

/// Questions that may wait for the stream; more are refused at once.
const ASKS_WAITING_MAX: usize = 256;

/// An answer that is not there within this is not waited for. A commit waits for every live node.
const ASK_TIMEOUT: Duration = Duration::from_secs(60);

/// Connecting and the TLS handshake must be done within this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits between attempts.
const RECONNECT: Backoff =
    Backoff { first: Duration::from_millis(100), most: Duration::from_secs(3) };

/// A control plane that says nothing for so long, answers to heartbeats included, is called anew.
const SILENCE_MAX: Duration = Duration::from_millis(HEARTBEAT_TIMEOUT_MS);

/// The moments of so many heartbeats are kept until they are answered.
const BEATS_MAX: usize = 16;

/// One question on its way.
#[derive(Debug)]
pub struct Question {
    ask: Ask,
    reply: oneshot::Sender<Result<Answer, AskError>>,
}

/// The asking side of the stream, for the workers.
#[derive(Clone, Debug)]
pub struct StreamControl {
    questions: mpsc::Sender<Question>,
}

impl ControlPlane for StreamControl {
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Answer, AskError>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            self.questions.try_send(Question { ask, reply }).map_err(|_| AskError::Away)?;
            match tokio::time::timeout(ASK_TIMEOUT, answer).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) | Err(_) => Err(AskError::Lost),
            }
        })
    }
}

/// The two ends of the questions' queue.
pub fn questions() -> (StreamControl, mpsc::Receiver<Question>) {
    let (sender, receiver) = mpsc::channel(ASKS_WAITING_MAX);
    (StreamControl { questions: sender }, receiver)
}

/// Everything that the stream's task needs.
#[derive(Debug)]
pub struct StreamTask {
    /// Whom to call.
    pub config: NodeConfig,
    /// How to prove who we are.
    pub tls: Arc<rustls::ClientConfig>,
    /// Where snapshots go.
    pub shared: Arc<Shared>,
    /// Where they are kept.
    pub file: Arc<SnapshotFile>,
    /// What the workers ask.
    pub questions: mpsc::Receiver<Question>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the control plane sent something that is no message: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the control plane announced a frame of {0} bytes, more than {FRAME_BYTES_MAX}")]
    TooLong(usize),
    #[error("the control plane closed the stream")]
    Closed,
    #[error("the control plane is silent")]
    Silent,
}

impl StreamTask {
    /// Keeps the stream up until the task is dropped. From its beginning on the node serves only what
    /// it is assured of.
    pub async fn run(mut self) {
        self.shared.want_assurance();
        let addresses = self.config.control_plane.clone();
        let mut failures = 0;
        for address in addresses.iter().cycle() {
            match self.connect(*address).await {
                Ok(stream) => {
                    tracing::info!(%address, "connected to the control plane");
                    let error = match self.talk(stream).await {
                        Ok(()) => StreamError::Closed,
                        Err(error) => error,
                    };
                    tracing::info!(%address, %error, "the control plane's stream ended");
                    failures = 1;
                }
                Err(error) => {
                    tracing::debug!(%address, %error, "cannot connect to the control plane");
                    failures += 1;
                }
            }
            self.refuse_waiting();
            tokio::time::sleep(RECONNECT.delay(failures)).await;
            self.refuse_waiting();
        }
    }

    /// Questions that nobody can be asked are answered at once.
    fn refuse_waiting(&mut self) {
        while let Ok(question) = self.questions.try_recv() {
            question.reply.send(Err(AskError::Away)).ok();
        }
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(CONTROL_PLANE_NAME).expect("a constant name is valid");
        let connecting = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            TlsConnector::from(self.tls.clone()).connect(name, stream).await
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn talk(&mut self, stream: TlsStream<TcpStream>) -> Result<(), StreamError> {
        let (reader, mut writer) = tokio::io::split(stream);
        let mut frames = FrameReader { reader, buffer: Vec::new(), heard: Instant::now() };
        let hello = FromNode::Hello {
            node_id: self.config.node_id.clone(),
            instance_id: self.config.instance_id.clone(),
            at_version: self.shared.version(),
            pid: std::process::id(),
        };
        send(&mut writer, &hello).await?;
        let mut asked: HashMap<u64, oneshot::Sender<Result<Answer, AskError>>> = HashMap::new();
        let mut last_request = 0;
        let mut beat = tokio::time::interval(Duration::from_millis(HEARTBEAT_INTERVAL_MS));
        let mut slow_queries = SlowQueries::default();
        let mut beats = Beats::default();
        let outcome = loop {
            tokio::select! {
                message = frames.next() => {
                    match message {
                        Ok(ToNode::SlowQueriesKept { up_to }) => {
                            slow_queries.kept(&self.shared.slow_log, up_to);
                            continue;
                        }
                        Ok(ToNode::Heard { beat, vouched, fences }) => {
                            if let (true, Some(sent)) = (vouched, beats.sent(beat)) {
                                self.shared.vouched(sent, fences);
                            }
                            continue;
                        }
                        // Sooner than the next heartbeat would it is known that this is the newest.
                        Ok(ToNode::Snapshot { .. }) => beat.reset_immediately(),
                        _ => {}
                    }
                    let step = match message {
                        Ok(message) => self.receive(message, &mut writer, &mut asked).await,
                        Err(error) => Err(error),
                    };
                    if let Err(error) = step { break Err(error); }
                    // What it took to keep a snapshot was not the control plane's silence.
                    frames.heard = Instant::now();
                }
                _ = beat.tick() => {
                    if frames.heard.elapsed() >= SILENCE_MAX { break Err(StreamError::Silent); }
                    if let Err(error) = send(&mut writer, &beats.next(&self.shared)).await {
                        break Err(error);
                    }
                }
                batch = slow_queries.next(&self.shared.slow_log) => {
                    if let Err(error) = send(&mut writer, &batch).await { break Err(error); }
                }
                question = self.questions.recv() => {
                    let Some(question) = question else { break Ok(()) };
                    last_request += 1;
                    asked.retain(|_, reply| !reply.is_closed());
                    asked.insert(last_request, question.reply);
                    if let Err(error) = send(&mut writer, &FromNode::Ask { request: last_request, ask: question.ask }).await {
                        break Err(error);
                    }
                }
            }
        };
        for (_, reply) in asked {
            reply.send(Err(AskError::Lost)).ok();
        }
        outcome
    }

    async fn receive(
        &self,
        message: ToNode,
        writer: &mut (impl tokio::io::AsyncWrite + Unpin),
        asked: &mut HashMap<u64, oneshot::Sender<Result<Answer, AskError>>>,
    ) -> Result<(), StreamError> {
        match message {
            ToNode::Snapshot { snapshot } => {
                let version = snapshot.version;
                if self.adopt(snapshot).await {
                    send(writer, &FromNode::AtVersion { version }).await?;
                }
            }
            ToNode::Answer { request, answer } => {
                if let Some(reply) = asked.remove(&request) {
                    reply.send(Ok(answer)).ok();
                }
            }
            ToNode::SlowQueriesKept { .. } | ToNode::Heard { .. } => {}
            ToNode::PeerAsk { request, ask } => {
                let answer = self.shared.answer_peer(&ask);
                send(writer, &FromNode::PeerAnswer { request, answer }).await?;
            }
            ToNode::Refused { reason } => {
                tracing::warn!(%reason, "the control plane does not want this node");
                self.shared.fence(reason);
            }
        }
        Ok(())
    }

    /// Serves a snapshot, after keeping it: what was served must survive a restart.
    async fn adopt(&self, snapshot: Arc<Snapshot>) -> bool {
        if let Err(error) = snapshot_file::check(&snapshot, &self.config.instance_id) {
            tracing::error!(%error, version = snapshot.version, "refused a snapshot");
            return false;
        }
        let (file, kept) = (self.file.clone(), snapshot.clone());
        let stored = tokio::task::spawn_blocking(move || file.store(&kept)).await;
        if let Ok(Err(error)) = stored {
            tracing::error!(%error, "cannot keep the snapshot on disk; serving it nevertheless");
        }
        tracing::debug!(version = snapshot.version, "serving a new snapshot");
        self.shared.serve_snapshot(snapshot);
        true
    }
}

async fn send(
    writer: &mut (impl tokio::io::AsyncWrite + Unpin),
    message: &FromNode,
) -> Result<(), StreamError> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).map_err(|_| StreamError::TooLong(body.len()))?;
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(&body);
    writer.write_all(&frame).await?;
    writer.flush().await?;
    Ok(())
}

/// When heartbeats were sent.
#[derive(Debug, Default)]
struct Beats {
    last: u64,
    sent: VecDeque<(u64, Instant)>,
}

impl Beats {
    fn next(&mut self, shared: &Shared) -> FromNode {
        self.last += 1;
        if self.sent.len() >= BEATS_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((self.last, Instant::now()));
        let (connections, statements) = shared.load();
        FromNode::Heartbeat { beat: self.last, connections, statements }
    }

    /// When this one was sent, if that is still known.
    fn sent(&self, beat: u64) -> Option<Instant> {
        self.sent.iter().find(|(number, _)| *number == beat).map(|(_, sent)| *sent)
    }
}

/// Reads frames; keeps what it has when it is not waited for any longer.
struct FrameReader {
    reader: ReadHalf<TlsStream<TcpStream>>,
    buffer: Vec<u8>,
    /// When the last byte came.
    heard: Instant,
}

impl FrameReader {
    async fn next(&mut self) -> Result<ToNode, StreamError> {
        loop {
            if let Some(head) = self.buffer.first_chunk::<4>() {
                let length = u32::from_be_bytes(*head) as usize;
                if length > FRAME_BYTES_MAX {
                    return Err(StreamError::TooLong(length));
                }
                if self.buffer.len() >= 4 + length {
                    let message = serde_json::from_slice(&self.buffer[4..4 + length])?;
                    self.buffer.drain(..4 + length);
                    return Ok(message);
                }
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Err(StreamError::Closed);
            }
            self.heard = Instant::now();
        }
    }
}
