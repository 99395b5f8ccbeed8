//! A client of the system: it connects to any node, says one statement after the other, and notes what
//! it was told.

use crate::system::{PASSWORD, System, USER};
use crate::world::World;
use base::secret::Secret;
use node_backend::{BackendError, ConnectOptions, Connection};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A client waits so long for an answer; then it goes away.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It went well; with rows.
    Done(Vec<Vec<String>>),
    /// An error.
    Refused(u16, String),
    /// Nothing: the connection is lost.
    Nothing,
}

impl Told {
    /// Whether it went well.
    pub fn is_done(&self) -> bool {
        matches!(self, Told::Done(_))
    }
}

/// One client.
#[derive(Debug)]
pub struct Client {
    world: World,
    system: System,
    name: u64,
    connection: Option<Connection>,
}

impl Client {
    /// A client that is not connected yet.
    pub fn new(world: &World, system: &System, name: u64) -> Self {
        Self { world: world.clone(), system: system.clone(), name, connection: None }
    }

    /// Connects, if it is not connected; whether it is then.
    pub async fn connect(&mut self) -> bool {
        if self.connection.is_some() {
            return true;
        }
        let node = self.world.numbers().pick(&self.system.nodes);
        let mut options =
            ConnectOptions::new("simulated", node.port(), USER, Secret::new(PASSWORD));
        options.database = Some("shop".to_owned());
        options.dialler = Some(Arc::new(self.world.network().clone()));
        self.connection = Connection::connect(&options).await.ok();
        self.connection.is_some()
    }

    /// Goes away without a word.
    pub fn leave(&mut self) {
        self.connection = None;
    }

    /// Says a statement; while it has no connection nothing comes of it.
    pub async fn say(&mut self, text: &str) -> Told {
        let told = match &mut self.connection {
            None => Told::Nothing,
            Some(connection) => match timeout(PATIENCE, connection.query(text.as_bytes())).await {
                Ok(Ok(result)) => {
                    let columns = 0..8;
                    let rows = result.into_rows();
                    let row = |row: &node_backend::Row| {
                        columns.clone().map_while(|at| row.text(at)).collect()
                    };
                    Told::Done(rows.iter().map(row).collect())
                }
                Ok(Err(BackendError::Server(error))) => {
                    Told::Refused(error.number, error.message_text().into_owned())
                }
                Ok(Err(_)) | Err(_) => Told::Nothing,
            },
        };
        if told == Told::Nothing {
            self.connection = None;
        }
        self.world.trace().note(&format!("client {}: {text} -> {told:?}", self.name));
        told
    }

    /// The same, but goes away when there is no answer within a time.
    pub async fn say_within(&mut self, text: &str, time: Duration) -> Told {
        match timeout(time, self.say(text)).await {
            Ok(told) => told,
            Err(_) => {
                self.world.trace().note(&format!("client {}: {text} -> goes away", self.name));
                self.leave();
                Told::Nothing
            }
        }
    }
}
