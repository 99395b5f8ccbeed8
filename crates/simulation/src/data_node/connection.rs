//! The server's side of one connection: login, commands and answers as bytes, and what can happen to
//! them on the way.

use super::DataNode;
use super::run::Session;
use super::statement::{self, Statement};
use crate::world::World;
use mysql_wire::capability::Capabilities;
use mysql_wire::column::{ColumnDefinition, ColumnType};
use mysql_wire::command::CommandCode;
use mysql_wire::frame::{Message, put_packet, read_message};
use mysql_wire::handshake::{HandshakeResponse, HandshakeV10};
use mysql_wire::lenenc::put_int;
use mysql_wire::packet::{EofPacket, ErrPacket, OkPacket};
use mysql_wire::row::put_text_field;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// utf8mb4_general_ci.
const COLLATION: u8 = 45;
const NONCE: [u8; 20] = *b"abcdefghijklmnopqrst";
const PACKET_MAX: usize = 1 << 20;

/// A data node that was not told that its client has gone finds out after this. Until then what was
/// open stays open, whoever the client was.
const ABANDONED_FOR: Duration = Duration::from_secs(25);
/// It is longer for a branch that is prepared: there are those who must end it without this.
const PREPARED_ABANDONED_FOR: Duration = Duration::from_secs(8 * 3_600);

/// An answer.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Ok { affected: u64, warnings: u16 },
    Rows { columns: Vec<&'static str>, rows: Vec<Vec<String>> },
    Err { number: u16, text: String },
}

impl Answer {
    pub(super) fn ok() -> Self {
        Answer::Ok { affected: 0, warnings: 0 }
    }

    pub(super) fn err(number: u16, text: &str) -> Self {
        Answer::Err { number, text: text.to_owned() }
    }
}

/// What happens to one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Good,
    /// The connection ends and the statement was not run.
    CutBefore,
    /// It was run, and nobody hears of it.
    CutAfter,
    /// The connection ends in the middle of the answer.
    CutInAnswer,
    /// The client loses the connection before the statement, and the data node does not know.
    AbandonedBefore,
    /// The same after the statement.
    AbandonedAfter,
    /// It takes long.
    Slow,
}

const MISFORTUNES: [Fate; 7] = [
    Fate::CutBefore,
    Fate::CutAfter,
    Fate::CutAfter,
    Fate::CutInAnswer,
    Fate::AbandonedBefore,
    Fate::AbandonedAfter,
    Fate::Slow,
];

/// The end of a connection.
struct Ended;

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Ended
    }
}

impl From<mysql_wire::DecodeError> for Ended {
    fn from(_: mysql_wire::DecodeError) -> Self {
        Ended
    }
}

/// One connection.
pub(super) struct Serving {
    world: World,
    session: Session,
    inbox: Vec<u8>,
    out: Vec<u8>,
    sequence: u8,
}

impl Serving {
    pub(super) fn new(node: DataNode, thread: u32) -> Self {
        let world = node.0.world.clone();
        let session = Session::new(node, thread);
        Self { world, session, inbox: Vec::new(), out: Vec::new(), sequence: 0 }
    }

    /// Serves until either side ends it.
    pub(super) async fn run(mut self, mut stream: TcpStream) {
        // However it ends, there is nobody to tell.
        let _ended = self.serve(&mut stream).await;
    }

    async fn serve(&mut self, stream: &mut TcpStream) -> Result<(), Ended> {
        self.world.travel().await;
        self.log_in(stream).await?;
        loop {
            let command = self.read(stream).await?;
            self.world.travel().await;
            let Some((code, body)) = command.split_first() else { return Err(Ended) };
            let code = CommandCode::from_u8(*code).ok_or(Ended)?;
            match code {
                CommandCode::Quit => return Ok(()),
                CommandCode::Query => {
                    let text = String::from_utf8_lossy(body).into_owned();
                    self.query(stream, &text).await?;
                }
                CommandCode::Ping | CommandCode::InitDb => {
                    self.answer(stream, Answer::ok()).await?
                }
                CommandCode::ResetConnection => {
                    self.session.reset();
                    self.answer(stream, Answer::ok()).await?;
                }
                other => {
                    self.world.wrong(format!("a data node got the command {other:?}"));
                    return Err(Ended);
                }
            }
        }
    }

    async fn log_in(&mut self, stream: &mut TcpStream) -> Result<(), Ended> {
        let greeting = HandshakeV10 {
            server_version: b"5.5.5-10.11.6-MariaDB".to_vec(),
            connection_id: self.session.thread(),
            nonce: NONCE,
            capabilities: Capabilities::PROTOCOL_41
                | Capabilities::LONG_PASSWORD
                | Capabilities::SECURE_CONNECTION
                | Capabilities::TRANSACTIONS
                | Capabilities::FOUND_ROWS
                | Capabilities::CONNECT_WITH_DB
                | Capabilities::CONNECT_ATTRS
                | Capabilities::PLUGIN_AUTH,
            collation: COLLATION,
            status: self.session.status(),
            auth_plugin: b"mysql_native_password".to_vec(),
        };
        let mut payload = Vec::new();
        greeting.encode(&mut payload);
        put_packet(&mut self.out, &mut self.sequence, &payload);
        self.write(stream).await?;
        let response = self.read(stream).await?;
        HandshakeResponse::decode(&response)?;
        self.answer(stream, Answer::ok()).await
    }

    async fn read(&mut self, stream: &mut TcpStream) -> Result<Vec<u8>, Ended> {
        loop {
            if let Message::Complete { payload, consumed, next_sequence } =
                read_message(&self.inbox, None, PACKET_MAX)?
            {
                let payload = payload.into_owned();
                self.inbox.drain(..consumed);
                self.sequence = next_sequence;
                return Ok(payload);
            }
            if stream.read_buf(&mut self.inbox).await? == 0 {
                return Err(Ended);
            }
        }
    }

    async fn write(&mut self, stream: &mut TcpStream) -> Result<(), Ended> {
        stream.write_all(&self.out).await?;
        self.out.clear();
        Ok(())
    }

    async fn query(&mut self, stream: &mut TcpStream, text: &str) -> Result<(), Ended> {
        let fate = match self.world.is_misfortune() {
            true => *self.world.numbers().pick(&MISFORTUNES),
            false => Fate::Good,
        };
        let said = if fate == Fate::Good { String::new() } else { format!(" ({fate:?})") };
        self.session.note(&format!("< {text}{said}"));
        match fate {
            Fate::CutBefore => return Err(Ended),
            Fate::AbandonedBefore => return self.abandon(stream).await,
            Fate::Slow => tokio::time::sleep(self.world.numbers().millis(5, 2_000)).await,
            _ => {}
        }
        let Some(statement) = statement::parse(text, self.session.now_ms()) else {
            self.world.wrong(format!("a data node does not understand: {text}"));
            return Err(Ended);
        };
        if is_told_once(&statement) {
            self.world.received(text);
        }
        let answer = self.session.run(statement).await;
        self.session.note(&format!("> {answer:?}"));
        match fate {
            Fate::CutAfter => return Err(Ended),
            Fate::AbandonedAfter => return self.abandon(stream).await,
            _ => {}
        }
        self.world.travel().await;
        self.encode(answer);
        if fate == Fate::CutInAnswer {
            self.out.truncate(self.out.len() / 2);
            self.write(stream).await?;
            return Err(Ended);
        }
        self.write(stream).await
    }

    /// The client finds the connection lost; here all is as it was, until somebody kills it.
    async fn abandon(&mut self, stream: &mut TcpStream) -> Result<(), Ended> {
        stream.shutdown().await?;
        tokio::time::sleep(ABANDONED_FOR).await;
        if self.session.is_prepared() {
            tokio::time::sleep(PREPARED_ABANDONED_FOR).await;
        }
        Err(Ended)
    }

    async fn answer(&mut self, stream: &mut TcpStream, answer: Answer) -> Result<(), Ended> {
        self.encode(answer);
        self.write(stream).await
    }

    fn encode(&mut self, answer: Answer) {
        let status = self.session.status();
        let capabilities = Capabilities::PROTOCOL_41;
        let mut packets: Vec<Vec<u8>> = Vec::new();
        let mut packet = |encode: &dyn Fn(&mut Vec<u8>)| {
            let mut payload = Vec::new();
            encode(&mut payload);
            packets.push(payload);
        };
        match &answer {
            Answer::Ok { affected, warnings } => {
                let (affected_rows, warnings) = (*affected, *warnings);
                let ok = OkPacket { affected_rows, warnings, status, ..OkPacket::default() };
                packet(&|out| ok.encode(capabilities, out));
            }
            Answer::Err { number, text } => {
                packet(&|out| {
                    ErrPacket::new(*number, "HY000", text.as_str()).encode(capabilities, out)
                });
            }
            Answer::Rows { columns, rows } => {
                let end = EofPacket { warnings: 0, status };
                packet(&|out| put_int(out, columns.len() as u64));
                for name in columns {
                    let kind = ColumnType::VarString;
                    let column = ColumnDefinition::expression(*name, kind, COLLATION.into(), 1024);
                    packet(&|out| column.encode(out));
                }
                packet(&|out| end.encode(out));
                for row in rows {
                    packet(&|out| {
                        row.iter().for_each(|field| put_text_field(out, Some(field.as_bytes())))
                    });
                }
                packet(&|out| end.encode(out));
            }
        }
        for payload in packets {
            put_packet(&mut self.out, &mut self.sequence, &payload);
        }
    }
}

/// Writes of clients name their operation, and are told once.
fn is_told_once(statement: &Statement) -> bool {
    match statement {
        Statement::Insert { table, .. } => table.ends_with(".moves"),
        Statement::Add { .. } => true,
        _ => false,
    }
}
