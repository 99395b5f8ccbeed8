//! Answers that are taken off a connection whole, so that whoever they are for need not be there while
//! they come. What has come of one stays in the read buffer until its end is there.

use crate::connection::Connection;
use crate::error::BackendError;
use bytes::Buf;
use mysql_wire::response::{Event, ResponseScanner, Scan};

/// Where an answer's rows are, if they are all of its rows and none is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowsAt {
    /// The first byte.
    pub from: usize,
    /// So many bytes.
    pub bytes: usize,
    /// So many frames.
    pub frames: u64,
}

/// What [`Connection::try_answer`] has given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What the last packet of it is.
    pub event: Event,
    /// The answer is whole.
    pub last: bool,
    /// Its rows.
    pub rows: Option<RowsAt>,
}

/// What was seen of an answer that is not whole.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The bytes at the front of the read buffer that the scanner is through with.
    pub(crate) bytes: usize,
    rows: Option<RowsAt>,
    /// Rows came that are not one block.
    scattered: bool,
    /// At least so many bytes are missing.
    need: usize,
}

impl Seen {
    fn add(&mut self, len: usize, event: Event, frames: Option<u64>) {
        if event == Event::Rows {
            self.rows = match (frames, self.rows) {
                _ if self.scattered => None,
                (Some(frames), None) => Some(RowsAt { from: self.bytes, bytes: len, frames }),
                (Some(frames), Some(rows)) if rows.from + rows.bytes == self.bytes => {
                    Some(RowsAt { bytes: rows.bytes + len, frames: rows.frames + frames, ..rows })
                }
                _ => None,
            };
            self.scattered = self.rows.is_none();
        }
        self.bytes += len;
    }
}

impl Connection {
    /// The oldest answer that is due, if it is in the buffer whole; of one that is longer than `max`, or has
    /// a packet that is not `plain`, the part up to there. It is given out ([`Connection::given`],
    /// [`Connection::keep_given`]); every other call that reads takes what this has seen as given out too.
    pub fn try_answer(
        &mut self,
        max: usize,
        plain: impl Fn(Event) -> bool,
    ) -> Result<Option<Taken>, BackendError> {
        self.link.inbox.advance(std::mem::take(&mut self.given));
        loop {
            match self.scan_behind(self.seen.bytes)? {
                Scan::Piece { len, event, last } => {
                    let frames = self.expected.front().and_then(ResponseScanner::whole_frames);
                    self.seen.add(len, event, frames);
                    if last || !plain(event) || self.seen.bytes > max {
                        let seen = std::mem::take(&mut self.seen);
                        self.given = seen.bytes;
                        return Ok(Some(Taken { event, last, rows: seen.rows }));
                    }
                }
                Scan::NeedMore { need } => {
                    self.seen.need = need;
                    return Ok(None);
                }
            }
        }
    }

    /// Writes what is queued, and reads more of the oldest answer that is due.
    pub async fn read_more(&mut self) -> Result<(), BackendError> {
        self.flush().await?;
        self.link.fill(self.seen.need).await
    }
}
