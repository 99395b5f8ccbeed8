//! An answer in pieces: as it comes on a connection, or whole in memory.

use bytes::Bytes;
use mysql_wire::response::{Event, ResponseKind, ResponseScanner, Scan};
use node_backend::answer::RowsAt;
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

/// An answer shorter than this is copied: that is cheaper than to keep the buffer into which it came.
const KEPT_BYTES_MIN: usize = 4 * 1024;

/// An answer that is in memory, whole.
#[derive(Debug, Default)]
pub struct Answer {
    /// A short one.
    copied: Vec<u8>,
    /// A long one.
    kept: Bytes,
    rows: Option<RowsAt>,
}

impl Answer {
    /// An answer of these frames.
    #[cfg(test)]
    pub fn of(frames: &[u8]) -> Self {
        Self { copied: frames.to_vec(), ..Self::default() }
    }

    /// Takes what a connection has given out.
    pub fn take(&mut self, connection: &mut Connection, rows: Option<RowsAt>) {
        self.forget();
        self.rows = rows;
        if connection.given().len() >= KEPT_BYTES_MIN {
            self.kept = connection.keep_given();
            return;
        }
        self.copied.extend_from_slice(connection.given());
    }

    fn frames(&self) -> &[u8] {
        if self.kept.is_empty() { &self.copied } else { &self.kept }
    }

    /// Makes room for the next one. A short one's memory stays: of thousands of sessions each has a few
    /// hundred bytes.
    pub fn forget(&mut self) {
        self.kept = Bytes::new();
        self.copied.clear();
        self.copied.shrink_to(KEPT_BYTES_MIN);
    }
}

/// An [`Answer`] in pieces.
#[derive(Debug)]
pub(crate) struct Buffered<'a> {
    answer: &'a Answer,
    /// Where the piece is that was given last; what is before it is gone.
    given: std::ops::Range<usize>,
    scanner: ResponseScanner,
}

impl<'a> Buffered<'a> {
    /// Reads an answer.
    pub fn new(answer: &'a Answer, kind: ResponseKind, deprecates_eof: bool) -> Self {
        Self { answer, given: 0..0, scanner: ResponseScanner::new(kind, deprecates_eof) }
    }

    fn give(&mut self, bytes: usize) -> &'a [u8] {
        self.given = self.given.end..self.given.end + bytes;
        &self.answer.frames()[self.given.clone()]
    }

    fn rest(&self) -> &'a [u8] {
        &self.answer.frames()[self.given.end..]
    }
}

impl Pieces for Buffered<'_> {
    async fn next_piece(&mut self) -> Result<Piece<'_>, BackendError> {
        let rows = self.answer.rows.filter(|rows| rows.from == self.given.end);
        if let Some(RowsAt { bytes, frames, .. }) = rows
            && self.scanner.skip_rows(frames)
        {
            let whole_frames = Some(frames);
            let frames = self.give(bytes);
            return Ok(Piece { event: Event::Rows, frames, last: false, whole_frames });
        }
        match self.scanner.scan(self.rest()).map_err(BackendError::Protocol)? {
            Scan::Piece { len, event, last } => {
                let frames = self.give(len);
                Ok(Piece { event, frames, last, whole_frames: self.scanner.whole_frames() })
            }
            Scan::NeedMore { .. } => Err(BackendError::Unexpected("an answer that is not whole")),
        }
    }

    fn keep_given(&mut self) -> Bytes {
        match self.answer.kept.is_empty() {
            false => self.answer.kept.slice(self.given.clone()),
            true => Bytes::copy_from_slice(&self.answer.copied[self.given.clone()]),
        }
    }

    async fn front(&mut self) -> Result<&[u8], BackendError> {
        Ok(self.rest())
    }

    fn skip_head(&mut self, bytes: usize, frames: u8) -> bool {
        let skipped = self.scanner.skip_head(frames);
        if skipped {
            self.give(bytes);
        }
        skipped
    }
}
