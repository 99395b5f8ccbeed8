//! Answers of statements that are steps of one command: each goes into memory instead of to the
//! client, is read, and becomes part of the command's own answer.

use crate::session::Core;
use base::sql_error;
use mysql_wire::capability::Capabilities;
use mysql_wire::frame::{Message, read_message};
use mysql_wire::packet::{EOF_HEADER, ERR_HEADER, ErrPacket, OK_HEADER, OkPacket};
use node_exec::collect::Memory;
use node_exec::error::{ExecError, sql};
use tokio::io::AsyncWrite;

/// An EOF packet is shorter than this.
const EOF_LENGTH_LIMIT: usize = 9;

/// The client's own stream, while an answer goes into memory.
pub struct Capture {
    io: Box<dyn AsyncWrite + Unpin>,
    memory: Memory,
    sequence: u8,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capture").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

/// Messages of an answer.
pub type Messages = Vec<Vec<u8>>;

/// A step's answer.
#[derive(Debug)]
pub enum Captured {
    /// It has no rows.
    Ok(OkPacket),
    /// A result's messages before its rows, and its rows.
    Rows(Messages, Messages),
}

impl Core {
    /// Lets the coming answer go into memory.
    pub fn begin_capture(&mut self) -> Capture {
        let memory = Memory::default();
        let mut io: Option<Box<dyn AsyncWrite + Unpin>> = None;
        self.out.wrap_io(|client| {
            io = Some(client);
            Box::new(memory.clone())
        });
        let io = io.expect("wrap_io hands the stream over");
        Capture { io, memory, sequence: self.out.sequence() }
    }

    /// Reads the answer; what follows goes to the client again.
    pub async fn end_capture(
        &mut self,
        capture: Capture,
        ran: Result<(), ExecError>,
    ) -> Result<Captured, ExecError> {
        let Capture { io, memory, sequence } = capture;
        let ran = match ran {
            Ok(()) => self.out.flush().await,
            failed => failed,
        };
        self.out.forget();
        self.out.wrap_io(|_| io);
        self.out.begin_answer(sequence);
        match ran {
            Ok(()) => read(&memory.take(), self.out.capabilities),
            // It is the memory that takes no more, not the client.
            Err(ExecError::Client(_)) => {
                Err(sql(sql_error::TEMP_TABLE_LIMIT, "Temp table limit exceeded"))
            }
            Err(error) => Err(error),
        }
    }
}

fn read(bytes: &[u8], capabilities: Capabilities) -> Result<Captured, ExecError> {
    let (mut head, mut rows) = (Vec::new(), Vec::new());
    let (mut at, mut columns) = (0, None);
    while let Message::Complete { payload, consumed, .. } =
        read_message(&bytes[at..], None, usize::MAX)?
    {
        at += consumed;
        let first = payload.first().copied();
        if first == Some(ERR_HEADER) {
            return Err(ExecError::Server(ErrPacket::decode(&payload, capabilities)?));
        }
        let Some(left) = &mut columns else {
            if first == Some(OK_HEADER) {
                return Ok(Captured::Ok(OkPacket::decode(&payload, capabilities)?));
            }
            let mut reader = mysql_wire::lenenc::Reader::new(&payload);
            let mut count = reader.lenenc_int()?;
            if capabilities.contains(Capabilities::MARIADB_CACHE_METADATA) && reader.u8() == Ok(0) {
                count = 0;
            }
            let eof = !capabilities.contains(Capabilities::DEPRECATE_EOF);
            columns = Some(count + u64::from(eof));
            head.push(payload.into_owned());
            continue;
        };
        if *left > 0 {
            *left -= 1;
            head.push(payload.into_owned());
        } else if first == Some(EOF_HEADER) && payload.len() < EOF_LENGTH_LIMIT {
            break;
        } else {
            rows.push(payload.into_owned());
        }
    }
    Ok(Captured::Rows(head, rows))
}
