//! An answer in pieces: as it comes on a connection, or whole in memory.

use bytes::Bytes;
use mysql_wire::response::{ResponseKind, ResponseScanner, Scan};
use node_backend::connection::{Connection, Piece};
use node_backend::error::BackendError;

/// Where the pieces of an answer come from.
pub(crate) trait Pieces {
    /// The next piece; the bytes are gone at the next call.
    async fn next_piece(&mut self) -> Result<Piece<'_>, BackendError>;

    /// The bytes of the piece that was given last, to be kept.
    fn keep_given(&mut self) -> Bytes;

    /// What there is of the answer, at its beginning; waits until that is something.
    async fn front(&mut self) -> Result<&[u8], BackendError>;

    /// Takes a result's head of so many bytes and frames off the front; false: it stays.
    fn skip_head(&mut self, bytes: usize, frames: u8) -> bool;
}

impl Pieces for Connection {
    async fn next_piece(&mut self) -> Result<Piece<'_>, BackendError> {
        Connection::next_piece(self).await
    }

    fn keep_given(&mut self) -> Bytes {
        Connection::keep_given(self)
    }

    async fn front(&mut self) -> Result<&[u8], BackendError> {
        Connection::front(self).await
    }

    fn skip_head(&mut self, bytes: usize, frames: u8) -> bool {
        Connection::skip_head(self, bytes, frames)
    }
}

/// An answer that is in memory, whole.
#[derive(Debug)]
pub(crate) struct Buffered<'a> {
    /// The piece that was given last.
    given: &'a [u8],
    rest: &'a [u8],
    scanner: ResponseScanner,
}

impl<'a> Buffered<'a> {
    /// The frames of an answer.
    pub fn new(frames: &'a [u8], kind: ResponseKind, deprecates_eof: bool) -> Self {
        Self { given: &[], rest: frames, scanner: ResponseScanner::new(kind, deprecates_eof) }
    }
}

impl Pieces for Buffered<'_> {
    async fn next_piece(&mut self) -> Result<Piece<'_>, BackendError> {
        match self.scanner.scan(self.rest).map_err(BackendError::Protocol)? {
            Scan::Piece { len, event, last } => {
                (self.given, self.rest) = self.rest.split_at(len);
                let whole_frames = self.scanner.whole_frames();
                Ok(Piece { event, frames: self.given, last, whole_frames })
            }
            Scan::NeedMore { .. } => Err(BackendError::Unexpected("an answer that is not whole")),
        }
    }

    fn keep_given(&mut self) -> Bytes {
        Bytes::copy_from_slice(self.given)
    }

    async fn front(&mut self) -> Result<&[u8], BackendError> {
        Ok(self.rest)
    }

    fn skip_head(&mut self, bytes: usize, frames: u8) -> bool {
        let skipped = self.scanner.skip_head(frames);
        if skipped {
            self.rest = &self.rest[bytes..];
        }
        skipped
    }
}
