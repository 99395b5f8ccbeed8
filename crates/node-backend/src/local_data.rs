//! LOAD DATA LOCAL INFILE: the statement, then the bytes of its "file", then the answer. The bytes
//! come from the caller, never from a disk. A server that asks for a file on any other statement
//! breaks the protocol, and its connection is closed.
//!
//! Also the text form of rows that [`load_statement`] reads: exact for every column type.

use crate::connection::Connection;
use crate::error::BackendError;
use crate::query::StreamHead;
use mysql_wire::frame::put_packet;
use mysql_wire::packet::OkPacket;
use mysql_wire::response::{Event, ResponseScanner};

/// A file's bytes are sent to the server in packets of this size.
const FILE_PACKET: usize = 256 * 1024;
/// What servers answer when `local_infile` is OFF: MariaDB, MySQL 8, older ones.
const LOCAL_FILES_OFF: [u16; 3] = [4166, 3948, 1148];

/// How a statement of [`load_statement`] reads its rows. In hexadecimal, for then sql_mode and the
/// connection's character set have no say.
const FORMAT: &[u8] =
    b" CHARACTER SET utf8mb4 FIELDS TERMINATED BY 0x09 ESCAPED BY 0x5C LINES TERMINATED BY 0x0A";

impl Connection {
    /// Sends a LOAD DATA LOCAL INFILE and waits until the server asks for the file. Its name in the
    /// statement does not matter. Then [`Connection::send_load`] as often as wanted and
    /// [`Connection::finish_load`], always, also when the caller has nothing more to say.
    ///
    /// No answer may be due when it is called. An error of the statement itself (no such table) comes
    /// from here, and the connection is as before; [`BackendError::LocalFilesOff`] says that the
    /// data node has `local_infile` OFF.
    ///
    /// A server gives its client up when nothing comes for `net_read_timeout` (30 seconds): whoever
    /// may pause for longer collects its rows first and sends them by [`Connection::load`], as often
    /// as there are enough of them; in one transaction many loads are as good as one.
    pub async fn begin_load(&mut self, sql: &[u8]) -> Result<(), BackendError> {
        if !self.expected.is_empty() {
            return Err(BackendError::Unexpected("a load behind other statements"));
        }
        self.queue_query(sql);
        self.offers_file = true;
        let head = self.open_stream().await;
        self.offers_file = false;
        match head {
            Ok(StreamHead::LocalInfile(_)) => Ok(()),
            Ok(_) => {
                self.drain().await?;
                Err(BackendError::Unexpected("a load that asks for no file"))
            }
            Err(BackendError::Server(error)) if LOCAL_FILES_OFF.contains(&error.number) => {
                Err(BackendError::LocalFilesOff { address: self.address().to_owned() })
            }
            Err(error) => Err(error),
        }
    }

    /// Sends bytes of the file, cut anywhere. Returns when the system has taken them, so that a
    /// server that is slow makes its caller slow. The server tells errors at the end only.
    pub async fn send_load(&mut self, data: &[u8]) -> Result<(), BackendError> {
        for chunk in data.chunks(FILE_PACKET) {
            let mut sequence = self.file_scanner()?.next_sequence();
            put_packet(&mut self.link.outbox, &mut sequence, chunk);
            self.file_scanner()?.expect_sequence(sequence);
            self.flush().await?;
        }
        Ok(())
    }

    /// Says that the file is over and gives the answer: affected rows, warnings, and the info text
    /// `Records: n  Deleted: n  Skipped: n  Warnings: n`.
    pub async fn finish_load(&mut self) -> Result<OkPacket, BackendError> {
        self.end_load().await?;
        self.load_answer().await
    }

    /// Says that the file is over. The server works on while its client does something else, and
    /// [`Connection::load_answer`] must be asked for before anything else is sent.
    pub async fn end_load(&mut self) -> Result<(), BackendError> {
        self.file_scanner()?;
        self.queue_file_end();
        self.flush().await
    }

    /// The answer to a file that is over.
    pub async fn load_answer(&mut self) -> Result<OkPacket, BackendError> {
        let capabilities = self.capabilities;
        let piece = self.next_piece().await?;
        match (piece.event, piece.error()) {
            (_, Some(error)) => Err(BackendError::Server(error)),
            (Event::Ok(_), None) => Ok(OkPacket::decode(piece.payload(), capabilities)?),
            _ => Err(BackendError::Unexpected("another answer to a file than OK")),
        }
    }

    /// A whole load at once.
    pub async fn load(&mut self, sql: &[u8], data: &[u8]) -> Result<OkPacket, BackendError> {
        self.begin_load(sql).await?;
        self.send_load(data).await?;
        self.finish_load().await
    }

    fn file_scanner(&mut self) -> Result<&mut ResponseScanner, BackendError> {
        self.expected
            .front_mut()
            .filter(|scanner| scanner.needs_file())
            .ok_or(BackendError::Unexpected("the server asked for no file"))
    }

    /// Queues the empty packet that ends a file.
    pub(crate) fn queue_file_end(&mut self) {
        if let Some(scanner) = self.expected.front_mut() {
            let mut sequence = scanner.next_sequence();
            put_packet(&mut self.link.outbox, &mut sequence, b"");
            scanner.file_sent(sequence);
        }
    }
}

/// The statement that loads rows of [`put_row`] into a table: both names come ready for SQL, quoted
/// as they must be.
///
/// Texts are UTF-8 (utf8mb4), as a data node's answers are to a session without `SET NAMES`, and
/// become what the column's character set says; bytes of binary columns, BIT and geometry stay as
/// they are. Values are stored as an INSERT of the same texts does under the session's sql_mode:
/// ALLOW_INVALID_DATES alone takes every value that a column can hold, `0000-00-00` among them.
/// LOCAL means IGNORE: a row whose key is there already is left out, a value that does not fit is
/// changed, each with a warning. Who must know compares the answer's counts with the rows it sent.
pub fn load_statement(table: &[u8], columns: &[Vec<u8>]) -> Vec<u8> {
    let mut sql = b"LOAD DATA LOCAL INFILE 'rows' INTO TABLE ".to_vec();
    sql.extend_from_slice(table);
    sql.extend_from_slice(FORMAT);
    sql.extend_from_slice(b" (");
    sql.extend_from_slice(&columns.join(&b","[..]));
    sql.push(b')');
    sql
}

/// Writes one row for a statement of [`load_statement`]. Fields are texts as a data node answers
/// them in the text protocol, also those of BIT and binary columns; `None` is NULL.
pub fn put_row<'f>(fields: impl IntoIterator<Item = Option<&'f [u8]>>, out: &mut Vec<u8>) {
    for (at, field) in fields.into_iter().enumerate() {
        if at > 0 {
            out.push(b'\t');
        }
        put_field(field, out);
    }
    out.push(b'\n');
}

/// Writes one field, without what parts it from the next.
pub fn put_field(field: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(mut rest) = field else {
        out.extend_from_slice(b"\\N");
        return;
    };
    let is_special = |byte: &u8| matches!(byte, b'\\' | b'\t' | b'\n' | 0);
    while let Some(at) = rest.iter().position(is_special) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'\\' => b"\\\\",
            b'\t' => b"\\t",
            b'\n' => b"\\n",
            _ => b"\\0",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_escaped() {
        let mut out = Vec::new();
        put_row(
            [Some(&b"a\tb\\\n\0"[..]), None, Some(b""), Some(b"\\N"), Some(b"\xff\r")],
            &mut out,
        );
        assert_eq!(out, b"a\\tb\\\\\\n\\0\t\\N\t\t\\\\N\t\xff\r\n");
    }
}
