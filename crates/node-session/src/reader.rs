//! The reading side of a client's connection: whole messages out of one buffer, and, while a
//! statement runs, the watch for a client that goes away.

use mysql_wire::error::DecodeError;
use mysql_wire::frame::{FRAME_HEADER_LEN, FrameHeader, MAX_FRAME_PAYLOAD, Message, read_message};
use node_exec::buffers;
use node_exec::upload::Upload;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// A message that is longer than the buffer is read in bites of at most this size.
const READ_BYTES_MAX: usize = 64 * 1024;

/// While a statement runs, a client may send so much ahead; then we stop reading, and no longer see
/// it go away.
const AHEAD_BYTES_MAX: usize = 1024 * 1024;

/// A file is read in bites of this size.
const FILE_READ_BYTES: usize = 64 * 1024;

/// A client that sends nothing of its file for this long is given up, as a server does.
const FILE_STALL: Duration = Duration::from_secs(30);

/// Why no message came.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The client closed its end between two messages.
    #[error("the client closed the connection")]
    Closed,
    /// The socket failed, or the client went in the middle of a message.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not a message.
    #[error("{0}")]
    Decode(#[from] DecodeError),
}

/// The reading side of one client.
pub struct ClientReader {
    io: Box<dyn AsyncRead + Unpin>,
    buffer: Vec<u8>,
    start: usize,
    /// Whether numbers of frames are looked at. They are not on a compressed connection, where
    /// client libraries count compressed packets instead.
    numbered: bool,
}

impl std::fmt::Debug for ClientReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientReader").field("buffered", &(self.buffer.len() - self.start)).finish()
    }
}

impl ClientReader {
    /// A reader of `io`.
    pub fn new(io: Box<dyn AsyncRead + Unpin>) -> Self {
        Self { io, buffer: Vec::new(), start: 0, numbered: true }
    }

    /// Reads what is left of the stream through another one, whose frames have no numbers of their
    /// own. Nothing may have been read ahead: the client waits for an answer.
    pub fn unfold_with(
        &mut self,
        wrap: impl FnOnce(Box<dyn AsyncRead + Unpin>) -> Box<dyn AsyncRead + Unpin>,
    ) -> Result<(), ReadError> {
        if !self.buffer.is_empty() {
            return Err(DecodeError::Malformed("a client that did not wait for its login").into());
        }
        self.io = wrap(std::mem::replace(&mut self.io, Box::new(tokio::io::empty())));
        self.numbered = false;
        Ok(())
    }

    /// Reads the next message into `into` and answers the number of the next frame. With
    /// `first_sequence` the frames must count from it. `max` is asked when there is something to
    /// read: a bound that changed while nothing came holds at once.
    pub async fn next(
        &mut self,
        first_sequence: Option<u8>,
        max: impl Fn() -> usize,
        into: &mut Vec<u8>,
    ) -> Result<u8, ReadError> {
        let first_sequence = first_sequence.filter(|_| self.numbered);
        loop {
            let need = match read_message(&self.buffer[self.start..], first_sequence, max())? {
                Message::Complete { payload, consumed, next_sequence } => {
                    into.clear();
                    into.extend_from_slice(&payload);
                    self.consume(consumed);
                    return Ok(next_sequence);
                }
                Message::Incomplete { need } => need,
            };
            self.buffer.drain(..self.start);
            self.start = 0;
            if self.read_some(need.min(READ_BYTES_MAX)).await? == 0 {
                return Err(match self.buffer.is_empty() {
                    true => ReadError::Closed,
                    false => ReadError::Io(io::ErrorKind::UnexpectedEof.into()),
                });
            }
        }
    }

    /// Reads what there is, with room for so much at least. There is a buffer only while it holds
    /// something: a client that is waited for keeps none.
    async fn read_some(&mut self, room: usize) -> io::Result<usize> {
        poll_fn(|context| {
            if self.buffer.capacity() == 0 {
                self.buffer = buffers::take();
            }
            self.buffer.reserve(room);
            let read = pin!(self.io.read_buf(&mut self.buffer)).poll(context);
            if read.is_pending() && self.buffer.is_empty() {
                buffers::give(std::mem::take(&mut self.buffer));
            }
            read
        })
        .await
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        if self.start == self.buffer.len() {
            self.start = 0;
            buffers::give(std::mem::take(&mut self.buffer));
        }
    }

    /// Reads what still comes and forgets it, until the client has closed its end.
    pub async fn discard(&mut self) {
        loop {
            self.buffer.clear();
            self.start = 0;
            if !matches!(self.read_some(1).await, Ok(1..)) {
                return;
            }
        }
    }

    /// While a statement runs: passes on the file that it asks the client for, and returns when the
    /// client has closed its end or says what it must not.
    pub async fn watch(&mut self, upload: &Upload) {
        loop {
            let sequence = tokio::select! {
                biased;
                sequence = upload.wanted() => sequence,
                () = self.closed() => return,
            };
            if let Err(error) = self.pass_file(upload, sequence).await {
                tracing::debug!(%error, "a client's file broke off");
                return;
            }
        }
    }

    /// Passes on a file: frames until an empty one.
    async fn pass_file(&mut self, upload: &Upload, mut sequence: u8) -> Result<(), ReadError> {
        let mut continued = false;
        loop {
            self.fill_for_file(FRAME_HEADER_LEN).await?;
            let head = self.buffer[self.start..].first_chunk().expect("a header was read");
            let header = FrameHeader::parse(*head);
            if self.numbered && header.sequence != sequence {
                let expected = sequence;
                return Err(DecodeError::Sequence { expected, got: header.sequence }.into());
            }
            self.consume(FRAME_HEADER_LEN);
            sequence = sequence.wrapping_add(1);
            if header.payload_len == 0 && !continued {
                upload.end(sequence);
                return Ok(());
            }
            continued = header.payload_len == MAX_FRAME_PAYLOAD;
            let mut left = header.payload_len;
            while left > 0 {
                self.fill_for_file(1).await?;
                let have = &self.buffer[self.start..];
                let piece = have[..have.len().min(left)].to_vec();
                left -= piece.len();
                self.consume(piece.len());
                upload.put(piece).await;
            }
        }
    }

    /// Reads until so many bytes are in the buffer.
    async fn fill_for_file(&mut self, wanted: usize) -> Result<(), ReadError> {
        while self.buffer.len() - self.start < wanted {
            self.buffer.drain(..self.start);
            self.start = 0;
            let read = tokio::time::timeout(FILE_STALL, self.read_some(FILE_READ_BYTES)).await;
            if read.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? == 0 {
                return Err(ReadError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Ok(())
    }

    /// Returns when the client has closed its end or its socket failed.
    pub async fn closed(&mut self) {
        while self.buffer.len() - self.start < AHEAD_BYTES_MAX {
            match self.read_some(1).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use mysql_wire::frame::put_packet;

    #[tokio::test]
    async fn messages_come_whole_and_garbage_is_an_error() {
        let mut bytes = Vec::new();
        put_packet(&mut bytes, &mut 0, b"\x03SELECT 1");
        put_packet(&mut bytes, &mut 0, b"\x0e");
        bytes.extend_from_slice(&[9, 0, 0, 7, 1]);
        let mut reader = ClientReader::new(Box::new(std::io::Cursor::new(bytes)));
        let mut into = Vec::new();
        assert_eq!(reader.next(Some(0), || 100, &mut into).await.unwrap(), 1);
        assert_eq!(into, b"\x03SELECT 1");
        assert_eq!(reader.next(Some(0), || 100, &mut into).await.unwrap(), 1);
        assert_eq!(into, b"\x0e");
        assert!(matches!(reader.next(Some(0), || 100, &mut into).await, Err(ReadError::Decode(_))));
    }
}
