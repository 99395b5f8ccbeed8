//! Cursors of prepared statements: with a cursor flag COM_STMT_EXECUTE answers the columns alone, and
//! COM_STMT_FETCH the next rows. The statement runs to its end at once, as on a server, which keeps
//! the rows too: they wait in a spool, and the connections to the data nodes are free.

use crate::prepared::unknown;
use crate::session::Core;
use crate::spool::{Messages, Spool, SpoolWriter};
use crate::statement::Prepared;
use base::sql_error;
use mysql_wire::capability::Capabilities;
use mysql_wire::frame::FRAME_HEADER_LEN;
use mysql_wire::lenenc::Reader;
use mysql_wire::packet::{EOF_HEADER, ERR_HEADER, EofPacket, ErrPacket, OK_HEADER, OkPacket};
use mysql_wire::status::StatusFlags;
use node_exec::error::{ExecError, sql};
use std::io;
use tokio::io::AsyncWrite;

/// The flag of COM_STMT_EXECUTE with which rows are to be fetched. Servers have no other cursors.
const CURSOR_READ_ONLY: u8 = 1;

/// An answer's last packet is not longer.
const LAST_BYTES_MAX: u64 = 64 * 1024;

/// Open cursors of one session: each has its rows in 16 KiB of memory, and the rest in a file.
const CURSORS_MAX: usize = 2048;

/// The rows that are still to be fetched.
#[derive(Debug)]
pub struct Cursor {
    spool: Spool,
    /// Where the next row begins, and where the rows end.
    at: u64,
    end: u64,
    warnings: u16,
}

/// The client's own stream, while the answer goes into a spool.
pub struct Diverted {
    io: Box<dyn AsyncWrite + Unpin>,
    spool: SpoolWriter,
    sequence: u8,
}

impl std::fmt::Debug for Diverted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Diverted").field("spool", &self.spool).finish_non_exhaustive()
    }
}

/// What was captured of an answer.
struct Captured {
    columns_end: u64,
    rows_end: u64,
    last: EofPacket,
}

impl Core {
    /// Lets the coming answer go into a spool if the client wants a cursor.
    pub fn divert_to_cursor(
        &mut self,
        flags: u8,
        prepared: &Prepared,
    ) -> Result<Option<Diverted>, ExecError> {
        if flags & CURSOR_READ_ONLY == 0 {
            return Ok(None);
        }
        if prepared.selects_into() {
            let message = "Cursor SELECT must not have INTO";
            return Err(ExecError::Server(ErrPacket::new(1323, "42000", message)));
        }
        if self.statements.cursors() >= CURSORS_MAX {
            return Err(sql(
                sql_error::TOO_MANY_CURSORS,
                format!(
                    "a session can have {CURSORS_MAX} open cursors; close or reset a statement"
                ),
            ));
        }
        let spool = SpoolWriter::default();
        let mut io: Option<Box<dyn AsyncWrite + Unpin>> = None;
        self.out.wrap_io(|client| {
            io = Some(client);
            Box::new(spool.clone())
        });
        let io = io.expect("wrap_io hands the stream over");
        Ok(Some(Diverted { io, spool, sequence: self.out.sequence() }))
    }

    /// Sends the columns of a captured answer and keeps its rows. An answer that is not one result
    /// set goes to the client as it is.
    pub async fn open_cursor(
        &mut self,
        diverted: Diverted,
        prepared: &mut Prepared,
        result: Result<(), ExecError>,
    ) -> Result<(), ExecError> {
        let Diverted { io, spool, sequence } = diverted;
        let result = match result {
            Ok(()) => self.out.flush().await,
            failed => failed,
        };
        self.out.forget();
        self.out.wrap_io(|_| io);
        self.out.begin_answer(sequence);
        let mut spool = spool.0.take();
        match result {
            Ok(()) => {}
            Err(ExecError::Client(error)) => return Err(not_kept(&spool, &error)),
            // None of it has reached the client.
            Err(ExecError::BrokenOff(reason)) => {
                return Err(sql(sql_error::BACKEND_CONNECTION_LOST, reason));
            }
            Err(error) => return Err(error),
        }
        let captured = self.captured(&mut spool).await.map_err(|error| not_kept(&spool, &error))?;
        let Some(Captured { columns_end, rows_end, last }) = captured else {
            let end = spool.length();
            return self.send(&mut spool, 0, end).await;
        };
        self.send(&mut spool, 0, columns_end).await?;
        let EofPacket { warnings, mut status } = last;
        status.set(StatusFlags::CURSOR_EXISTS, true);
        self.out.put_rows_end(&EofPacket { warnings, status });
        let at = match self.out.capabilities.contains(Capabilities::DEPRECATE_EOF) {
            true => columns_end,
            false => self.pass(&mut spool, columns_end, 1).await?,
        };
        spool.rest();
        prepared.cursor = Some(Cursor { spool, at, end: rows_end, warnings });
        Ok(())
    }

    /// COM_STMT_FETCH.
    pub async fn fetch(&mut self, id: u32, count: u32) -> Result<(), ExecError> {
        let statement = self.statements.get_mut(id).ok_or_else(|| unknown(id, "fetch"))?;
        let Some(mut cursor) = statement.cursor.take() else {
            return Err(sql(
                sql_error::NO_OPEN_CURSOR,
                format!("The statement ({id}) has no open cursor."),
            ));
        };
        let mut messages = Messages::default();
        let mut wanted = u64::from(count);
        while wanted > 0 && cursor.at < cursor.end {
            let piece = cursor.spool.read(cursor.at).await.map_err(|error| lost(&error))?;
            let most = usize::try_from(cursor.end - cursor.at).unwrap_or(usize::MAX);
            let piece = &piece[..piece.len().min(most)];
            if piece.is_empty() {
                return Err(lost(&io::ErrorKind::UnexpectedEof.into()));
            }
            let (passed, still) = messages.pass(piece, wanted);
            self.out.relay_rows(&piece[..passed], None);
            (cursor.at, wanted) = (cursor.at + passed as u64, still);
            self.out.flush_if_long().await?;
        }
        let mut status = self.exec.status(false);
        // As on a server, a client learns of the end when it asks for more than there is.
        let over = wanted > 0;
        status.set(StatusFlags::CURSOR_EXISTS, !over);
        status.set(StatusFlags::LAST_ROW_SENT, over);
        self.out.put_rows_end(&EofPacket { warnings: cursor.warnings, status });
        cursor.spool.rest();
        if !over && let Some(statement) = self.statements.get_mut(id) {
            statement.cursor = Some(cursor);
        }
        Ok(())
    }

    /// Where columns and rows of a captured answer are, if it is one result set.
    async fn captured(&self, spool: &mut Spool) -> io::Result<Option<Captured>> {
        let first = spool.read(0).await?;
        let Some(&kind) = first.get(FRAME_HEADER_LEN) else { return Ok(None) };
        if matches!(kind, OK_HEADER | ERR_HEADER | mysql_wire::packet::LOCAL_INFILE_HEADER) {
            return Ok(None);
        }
        let mut reader = Reader::new(&first[FRAME_HEADER_LEN..]);
        let Ok(mut columns) = reader.lenenc_int() else { return Ok(None) };
        if self.out.tells_metadata() && reader.u8() == Ok(0) {
            columns = 0;
        }
        let rows_end = spool.last_message();
        let mut last = Vec::new();
        let (mut at, end) = (rows_end + FRAME_HEADER_LEN as u64, spool.length());
        while at < end && end - at <= LAST_BYTES_MAX {
            let piece = spool.read(at).await?;
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            last.extend_from_slice(piece);
            at = rows_end + (FRAME_HEADER_LEN + last.len()) as u64;
        }
        let capabilities = self.out.capabilities;
        let last = match last.first() {
            Some(&EOF_HEADER) if capabilities.contains(Capabilities::DEPRECATE_EOF) => {
                OkPacket::decode(&last, capabilities)
                    .ok()
                    .map(|OkPacket { warnings, status, .. }| EofPacket { warnings, status })
            }
            Some(&EOF_HEADER) => EofPacket::decode(&last).ok(),
            _ => None,
        };
        // An error in place of the end, or several results: told as they are.
        let Some(last) = last.filter(|last| !last.status.contains(StatusFlags::MORE_RESULTS))
        else {
            return Ok(None);
        };
        let columns_end = skip(spool, 0, columns + 1).await?;
        Ok(Some(Captured { columns_end, rows_end, last }))
    }

    async fn pass(&self, spool: &mut Spool, at: u64, count: u64) -> Result<u64, ExecError> {
        skip(spool, at, count).await.map_err(|error| lost(&error))
    }

    /// Sends a part of a spool to the client.
    async fn send(&mut self, spool: &mut Spool, mut at: u64, end: u64) -> Result<(), ExecError> {
        while at < end {
            let piece = spool.read(at).await.map_err(|error| lost(&error))?;
            let most = usize::try_from(end - at).unwrap_or(usize::MAX);
            let piece = &piece[..piece.len().min(most)];
            if piece.is_empty() {
                return Err(lost(&io::ErrorKind::UnexpectedEof.into()));
            }
            self.out.relay_rows(piece, None);
            at += piece.len() as u64;
            self.out.flush_if_long().await?;
        }
        Ok(())
    }
}

/// The place behind so many messages.
async fn skip(spool: &mut Spool, mut at: u64, mut count: u64) -> io::Result<u64> {
    let mut messages = Messages::default();
    while count > 0 {
        let piece = spool.read(at).await?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (passed, still) = messages.pass(piece, count);
        (at, count) = (at + passed as u64, still);
    }
    Ok(at)
}

/// The rows could not be put aside: nothing was sent yet.
fn not_kept(spool: &Spool, error: &io::Error) -> ExecError {
    let why = match spool.too_long() {
        true => "they are longer than 4 GiB".to_owned(),
        false => format!("the node's temporary file failed: {error}"),
    };
    sql(
        sql_error::CURSOR_NOT_KEPT,
        format!("the cursor's rows cannot be kept: {why}; run the statement without a cursor"),
    )
}

/// The rows could not be read again, perhaps in the middle of an answer.
fn lost(error: &io::Error) -> ExecError {
    ExecError::BrokenOff(format!("the cursor's rows cannot be read: {error}"))
}
