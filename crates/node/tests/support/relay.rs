//! A relay before a data node that looks at the statements on their way, and at the one that a test
//! waits for cuts the connection, or keeps it from its sender, or stops.
// Each test has its own faults.
#![allow(dead_code)]

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// So long a data node has for the answer that nobody gets.
const ANSWERS_WITHIN: Duration = Duration::from_millis(300);

/// COM_QUERY.
const QUERY: u8 = 3;

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The statement never arrives, and both sides notice.
    CutBefore,
    /// The statement is run, its answer is lost.
    CutAnswer,
    /// The statement never arrives; its sender notices, the data node does not.
    Abandon,
    /// The statement waits until the test goes on: the data node can be killed meanwhile.
    Stop,
    /// The statement never arrives; its sender gets these bytes for an answer.
    Lie(&'static Lie),
}

/// An answer that no data node gave.
#[derive(Debug, PartialEq, Eq)]
pub struct Lie {
    /// Packets or anything else.
    pub bytes: Vec<u8>,
    pub then: Then,
}

/// What comes behind a lie.
#[derive(Debug, PartialEq, Eq)]
pub enum Then {
    /// The connection ends.
    Close,
    /// Nothing, until the other side goes; who connects meanwhile hears nothing either.
    Silence,
    /// These bytes, again and again, as long as the other side takes them.
    Endless(Vec<u8>),
}

/// A statement of this beginning is met, once.
struct Trap {
    beginning: Vec<u8>,
    fault: Fault,
    met: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

/// What goes through it.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    trap: Option<Trap>,
    /// Connections that the data node shall not know to be cut.
    abandoned: Vec<TcpStream>,
    /// Nobody is listened to.
    silent: bool,
    /// What clients have sent in one piece.
    pieces: usize,
}

/// A relay.
pub struct Relay {
    pub port: u16,
    shared: Shared,
}

impl Relay {
    /// One before each data node, which the system's node then takes for the data node.
    pub async fn before_all(system: &crate::support::System) -> Vec<Self> {
        let mut relays = Vec::new();
        for server in &system.servers {
            relays.push(Self::start(server.port).await);
        }
        let ports: Vec<u16> = relays.iter().map(|relay| relay.port).collect();
        system.control.change(|snapshot| {
            for (node, port) in snapshot.data_nodes.values_mut().zip(ports) {
                node.port = port;
            }
        });
        relays
    }

    pub async fn start(to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Shared::default();
        let own = shared.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = own.clone();
                tokio::spawn(async move {
                    while shared.0.lock().unwrap().silent {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await {
                        shared.pass(client, server).await;
                    }
                });
            }
        });
        Self { port, shared }
    }

    /// How often something came from the data node's clients.
    pub fn pieces(&self) -> usize {
        self.shared.0.lock().unwrap().pieces
    }

    /// Sets a trap. What comes back tells that it was met, and lets a stopped statement go on.
    pub fn trap(
        &self,
        beginning: &str,
        fault: Fault,
    ) -> mpsc::UnboundedReceiver<oneshot::Sender<()>> {
        let (met, seen) = mpsc::unbounded_channel();
        let trap = Trap { beginning: beginning.as_bytes().to_vec(), fault, met };
        self.shared.0.lock().unwrap().trap = Some(trap);
        seen
    }
}

impl Shared {
    fn springs(&self, payload: &[u8]) -> Option<Trap> {
        let text = payload.strip_prefix(&[QUERY])?;
        let trap = &mut self.0.lock().unwrap().trap;
        trap.take_if(|trap| text.starts_with(&trap.beginning))
    }

    async fn pass(&self, mut client: TcpStream, mut server: TcpStream) {
        let mut waiting = Vec::new();
        let (mut from_client, mut from_server) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            tokio::select! {
                read = client.read(&mut from_client) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(length) => {
                        waiting.extend_from_slice(&from_client[..length]);
                        self.0.lock().unwrap().pieces += 1;
                    }
                },
                read = server.read(&mut from_server) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(length) => {
                        if client.write_all(&from_server[..length]).await.is_err() {
                            return;
                        }
                    }
                },
            }
            while let Some(frame) = take_frame(&mut waiting) {
                if let Some(trap) = self.springs(&frame[4..]) {
                    let (go_on, gone_on) = oneshot::channel();
                    trap.met.send(go_on).ok();
                    match trap.fault {
                        Fault::CutBefore => return,
                        Fault::Abandon => {
                            self.0.lock().unwrap().abandoned.push(server);
                            return;
                        }
                        Fault::CutAnswer => {
                            server.write_all(&frame).await.ok();
                            tokio::time::sleep(ANSWERS_WITHIN).await;
                            return;
                        }
                        Fault::Stop => {
                            gone_on.await.ok();
                        }
                        Fault::Lie(lie) => {
                            self.0.lock().unwrap().silent = lie.then == Then::Silence;
                            lie.tell(&mut client).await;
                            self.0.lock().unwrap().silent = false;
                            return;
                        }
                    }
                }
                if server.write_all(&frame).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Lie {
    async fn tell(&self, client: &mut TcpStream) {
        if client.write_all(&self.bytes).await.is_err() {
            return;
        }
        match &self.then {
            Then::Close => {}
            Then::Silence => while client.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {},
            Then::Endless(again) => while client.write_all(again).await.is_ok() {},
        }
    }
}

/// The first whole packet.
fn take_frame(waiting: &mut Vec<u8>) -> Option<Vec<u8>> {
    let head = waiting.first_chunk::<4>()?;
    let length =
        4 + usize::from(head[0]) + (usize::from(head[1]) << 8) + (usize::from(head[2]) << 16);
    (waiting.len() >= length).then(|| waiting.drain(..length).collect())
}
