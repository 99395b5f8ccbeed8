//! Follows a server's answer without decoding its rows, so that a forwarder can pass on raw bytes
//! and still know when the answer is over and what it came to.
//!
//! Two entries. [`ResponseScanner::scan`] works on a read buffer: it gives each packet that is not
//! a row by itself (a forwarder may have to change it) and rows in bursts, as many as the buffer
//! holds, also a part of a long one. [`ResponseScanner::on_packet`] takes one frame at a time.
//!
//! Rows are told from what ends them by their first byte and length alone; a frame that continues
//! a message of 16 MiB or more is never looked at.

use crate::frame::{FRAME_HEADER_LEN, FrameHeader, MAX_FRAME_PAYLOAD};
use crate::lenenc::Reader;
use crate::packet::{EOF_HEADER, EOF_LEN, ERR_HEADER, LOCAL_INFILE_HEADER, OK_HEADER};
use crate::stmt::PrepareOk;
use crate::{DecodeError, StatusFlags};

/// So many first bytes of a payload are enough for [`ResponseScanner::on_packet`].
pub const HEAD_LEN: usize = 32;
/// A frame of a row up to this length is awaited whole; of a longer one parts are passed on.
const WHOLE_ROW_MAX: usize = 16 * 1024;
/// The EOF packet is shorter than this, a row that begins with 0xFE is longer.
const EOF_LEN_LIMIT: usize = 9;

/// What was asked, which decides what an answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseKind {
    /// COM_QUERY.
    Query,
    /// COM_STMT_EXECUTE.
    Execute,
    /// COM_STMT_PREPARE.
    Prepare,
    /// COM_STMT_FETCH.
    Fetch,
    /// COM_FIELD_LIST.
    FieldList,
    /// Commands that are answered by one OK, EOF or ERR packet.
    Simple,
    /// COM_STATISTICS: one packet of text.
    Text,
}

/// The counters and flags of an OK or EOF packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OkHead {
    /// Changed rows; 0 from an EOF packet.
    pub affected_rows: u64,
    /// First generated value; 0 from an EOF packet.
    pub last_insert_id: u64,
    /// The session's state.
    pub status: StatusFlags,
    /// Warnings.
    pub warnings: u16,
}

/// What a packet of the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A result begins; so many columns.
    ColumnCount(u64),
    /// A column's definition.
    Column,
    /// The EOF packet behind the columns. The answer is over if a cursor was opened.
    ColumnsEof(OkHead),
    /// Rows, or a part of one.
    Rows,
    /// The end of a result's rows.
    ResultEnd(OkHead),
    /// A result without rows.
    Ok(OkHead),
    /// An error; it ends the whole answer.
    Err {
        /// MySQL's number.
        number: u16,
        /// SQLSTATE.
        sqlstate: [u8; 5],
    },
    /// The server wants a file from the client and then answers with OK or ERR.
    LocalInfile,
    /// The statement is prepared; definitions of its parameters and columns follow.
    PrepareOk(PrepareOk),
    /// A parameter's definition.
    Param,
    /// The EOF packet behind the parameters.
    ParamsEof,
    /// The text of COM_STATISTICS.
    Text,
}

/// What is at the front of a read buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// Nothing that can be told yet.
    NeedMore {
        /// At least so many bytes are missing.
        need: usize,
    },
    /// The first `len` bytes, headers included.
    Piece {
        /// For [`Event::Rows`]: any number of rows' bytes. Else: exactly one frame.
        len: usize,
        /// What they are.
        event: Event,
        /// Whether the answer is over with them.
        last: bool,
    },
}

/// What is due next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Start,
    Columns(u64),
    ColumnsEof,
    Rows,
    Params { params: u16, columns: u16 },
    ParamsEof { columns: u16 },
    PreparedColumns(u16),
    PreparedColumnsEof,
    Fields,
    File,
    AfterFile,
    Done,
}

/// Follows one answer.
#[derive(Clone, Debug)]
pub struct ResponseScanner {
    kind: ResponseKind,
    deprecate_eof: bool,
    phase: Phase,
    /// The last frame had the greatest length: the next one continues it.
    continued: bool,
    /// Bytes of a row's frame that are still to come.
    frame_left: usize,
    sequence: u8,
    rows: u64,
    /// Of the last burst of rows, see [`ResponseScanner::whole_frames`].
    whole_frames: Option<u64>,
}

impl ResponseScanner {
    /// A scanner for one answer on a connection with or without `DEPRECATE_EOF`.
    pub fn new(kind: ResponseKind, deprecate_eof: bool) -> Self {
        let phase = match kind {
            ResponseKind::Fetch => Phase::Rows,
            ResponseKind::FieldList => Phase::Fields,
            _ => Phase::Start,
        };
        Self {
            kind,
            deprecate_eof,
            phase,
            continued: false,
            frame_left: 0,
            sequence: 1,
            rows: 0,
            whole_frames: None,
        }
    }

    /// The number that the answer's next frame must carry: 1, but more after a command that took
    /// several frames, or after a file was sent.
    pub fn expect_sequence(&mut self, sequence: u8) {
        self.sequence = sequence;
    }

    /// The number that the next frame of this exchange carries, whoever sends it.
    pub fn next_sequence(&self) -> u8 {
        self.sequence
    }

    /// Whether the answer is over.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// Whether the server waits for a file.
    pub fn needs_file(&self) -> bool {
        self.phase == Phase::File
    }

    /// The file is sent, its closing empty packet included; the answer's next frame carries
    /// `sequence`.
    pub fn file_sent(&mut self, sequence: u8) {
        self.sequence = sequence;
        if self.phase == Phase::File {
            self.phase = Phase::AfterFile;
        }
    }

    /// Whether rows of a result are being received.
    pub fn in_rows(&self) -> bool {
        self.phase == Phase::Rows
    }

    /// Rows that the present or last result had so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How many frames the burst of rows has that [`ResponseScanner::scan`] gave last, if it begins and ends with
    /// whole ones.
    pub fn whole_frames(&self) -> Option<u64> {
        self.whole_frames
    }

    /// The head of a result, the count of its columns to the last frame before its rows, is known to be
    /// at the front of the read buffer, in so many frames, and is taken off unlooked at. False where no
    /// such head can be.
    pub fn skip_head(&mut self, frames: u8) -> bool {
        let begins = matches!(self.kind, ResponseKind::Query | ResponseKind::Execute)
            && self.phase == Phase::Start
            && self.sequence == 1;
        if begins {
            self.sequence = 1 + frames;
            self.rows = 0;
            self.phase = Phase::Rows;
        }
        begins
    }

    /// Rows in so many whole frames are known to be at the front of the read buffer, and are taken off
    /// unlooked at. False where they cannot be.
    pub fn skip_rows(&mut self, frames: u64) -> bool {
        let whole = self.phase == Phase::Rows && self.frame_left == 0 && !self.continued;
        if whole {
            self.sequence = self.sequence.wrapping_add(frames as u8);
            self.rows += frames;
            self.whole_frames = Some(frames);
        }
        whole
    }

    /// Looks at the front of a read buffer. The caller must take a piece off its buffer before it
    /// calls again.
    pub fn scan(&mut self, buf: &[u8]) -> Result<Scan, DecodeError> {
        if self.phase == Phase::Rows {
            let burst = self.scan_rows(buf)?;
            if burst > 0 {
                return Ok(Scan::Piece { len: burst, event: Event::Rows, last: false });
            }
        }
        let Some(head) = buf.first_chunk::<FRAME_HEADER_LEN>() else {
            return Ok(Scan::NeedMore { need: FRAME_HEADER_LEN + 1 - buf.len() });
        };
        let header = FrameHeader::parse(*head);
        let len = FRAME_HEADER_LEN + header.payload_len;
        if buf.len() < len {
            return Ok(Scan::NeedMore { need: len - buf.len() });
        }
        self.check_sequence(header.sequence)?;
        let event = self.on_packet(&buf[FRAME_HEADER_LEN..len], header.payload_len)?;
        Ok(Scan::Piece { len, event, last: self.is_done() })
    }

    /// How many bytes at the front of `buf` are rows that can be passed on.
    #[inline]
    fn scan_rows(&mut self, buf: &[u8]) -> Result<usize, DecodeError> {
        let begins_whole = self.frame_left == 0;
        let mut at = self.frame_left.min(buf.len());
        self.frame_left -= at;
        let mut frames = 0;
        if !self.continued {
            (at, frames) = self.scan_plain_rows(buf, at);
        }
        while let Some(head) = buf[at..].first_chunk::<FRAME_HEADER_LEN>() {
            let header = FrameHeader::parse(*head);
            let len = FRAME_HEADER_LEN + header.payload_len;
            let left = buf.len() - at;
            if left < len && (header.payload_len <= WHOLE_ROW_MAX || left == FRAME_HEADER_LEN) {
                break;
            }
            if !self.continued {
                // An empty packet has no first byte; what follows is another packet's.
                match buf.get(at + FRAME_HEADER_LEN) {
                    Some(first)
                        if header.payload_len > 0
                            && !self.ends_rows(*first, header.payload_len) =>
                    {
                        self.rows += 1
                    }
                    _ => break,
                }
            }
            self.check_sequence(header.sequence)?;
            self.continued = header.payload_len == MAX_FRAME_PAYLOAD;
            let now = len.min(left);
            self.frame_left = len - now;
            at += now;
            frames += 1;
        }
        let whole = begins_whole && self.frame_left == 0 && frames > 0;
        self.whole_frames = whole.then_some(frames);
        Ok(at)
    }

    /// The many rows of which nothing has to be known but where they end: whole, of one frame, in order. Up to
    /// where they are, and how many.
    #[inline]
    fn scan_plain_rows(&mut self, buf: &[u8], from: usize) -> (usize, u64) {
        let (mut at, mut frames) = (from, 0);
        while let Some(&[a, b, c, sequence, first]) =
            buf.get(at..).and_then(|rest| rest.first_chunk())
        {
            let header = FrameHeader::parse([a, b, c, sequence]);
            let end = at + FRAME_HEADER_LEN + header.payload_len;
            let plain = (1..MAX_FRAME_PAYLOAD).contains(&header.payload_len)
                && first < EOF_HEADER
                && header.sequence == self.sequence
                && end <= buf.len();
            if !plain {
                break;
            }
            self.sequence = self.sequence.wrapping_add(1);
            frames += 1;
            at = end;
        }
        self.rows += frames;
        (at, frames)
    }

    /// Whether a packet in the place of a row is the end of the rows.
    #[inline]
    fn ends_rows(&self, first: u8, payload_len: usize) -> bool {
        match first {
            ERR_HEADER => true,
            EOF_HEADER if self.deprecate_eof => payload_len < MAX_FRAME_PAYLOAD,
            EOF_HEADER => payload_len < EOF_LEN_LIMIT,
            _ => false,
        }
    }

    #[inline]
    fn check_sequence(&mut self, got: u8) -> Result<(), DecodeError> {
        if got != self.sequence {
            return Err(DecodeError::Sequence { expected: self.sequence, got });
        }
        self.sequence = self.sequence.wrapping_add(1);
        Ok(())
    }

    /// Takes one whole frame and checks its number.
    #[inline]
    pub fn on_frame(&mut self, header: FrameHeader, payload: &[u8]) -> Result<Event, DecodeError> {
        self.check_sequence(header.sequence)?;
        self.on_packet(payload, header.payload_len)
    }

    /// Takes one frame: the first bytes of its payload (all, or at least [`HEAD_LEN`]) and its
    /// payload's length. A frame that continues a row is [`Event::Rows`] like the row.
    pub fn on_packet(&mut self, head: &[u8], payload_len: usize) -> Result<Event, DecodeError> {
        if self.continued {
            self.continued = payload_len == MAX_FRAME_PAYLOAD;
            return Ok(Event::Rows);
        }
        let first = *head.first().ok_or(DecodeError::Malformed("an empty packet in an answer"))?;
        if self.phase == Phase::Rows && !self.ends_rows(first, payload_len) {
            self.rows += 1;
            self.continued = payload_len == MAX_FRAME_PAYLOAD;
            return Ok(Event::Rows);
        }
        if payload_len >= MAX_FRAME_PAYLOAD {
            return Err(DecodeError::Malformed("a packet of 16 MiB that is not a row"));
        }
        if first == ERR_HEADER && self.phase != Phase::Done {
            return self.on_error(head);
        }
        match self.phase {
            Phase::Start | Phase::File | Phase::AfterFile => {
                self.on_start(first, head, payload_len)
            }
            Phase::Columns(left) => Ok(self.on_column(left)),
            Phase::ColumnsEof => self.on_columns_eof(first, head),
            Phase::Rows => {
                let end = self.read_end(head, payload_len)?;
                self.finish(end);
                Ok(Event::ResultEnd(end))
            }
            Phase::Params { params, columns } => Ok(self.on_param(params, columns)),
            Phase::ParamsEof { columns } => {
                self.phase = prepared_columns(columns);
                eof_only(first, Event::ParamsEof)
            }
            Phase::PreparedColumns(left) => Ok(self.on_prepared_column(left)),
            Phase::PreparedColumnsEof => {
                self.phase = Phase::Done;
                eof_only(first, Event::ColumnsEof(read_eof(head)?))
            }
            Phase::Fields if first == EOF_HEADER => {
                self.phase = Phase::Done;
                Ok(Event::ResultEnd(self.read_end(head, payload_len)?))
            }
            Phase::Fields => Ok(Event::Column),
            Phase::Done => Err(DecodeError::Malformed("a packet after the end of the answer")),
        }
    }

    fn on_error(&mut self, head: &[u8]) -> Result<Event, DecodeError> {
        self.phase = Phase::Done;
        let mut reader = Reader::new(&head[1..]);
        let number = reader.u16()?;
        let mut sqlstate = *b"HY000";
        if reader.peek() == Some(b'#') {
            reader.skip(1)?;
            sqlstate = reader.array()?;
        }
        Ok(Event::Err { number, sqlstate })
    }

    fn on_start(
        &mut self,
        first: u8,
        head: &[u8],
        payload_len: usize,
    ) -> Result<Event, DecodeError> {
        let after_file = self.phase != Phase::Start;
        match (self.kind, first) {
            (ResponseKind::Text, _) => {
                self.phase = Phase::Done;
                Ok(Event::Text)
            }
            (ResponseKind::Prepare, OK_HEADER) => self.on_prepare_ok(head),
            (ResponseKind::Simple, EOF_HEADER) => {
                let end = self.read_end(head, payload_len)?;
                self.phase = Phase::Done;
                Ok(Event::Ok(end))
            }
            (ResponseKind::Simple | ResponseKind::Query | ResponseKind::Execute, OK_HEADER) => {
                let ok = read_ok(head)?;
                self.finish(ok);
                Ok(Event::Ok(ok))
            }
            (ResponseKind::Query | ResponseKind::Execute, LOCAL_INFILE_HEADER) if !after_file => {
                self.phase = Phase::File;
                Ok(Event::LocalInfile)
            }
            (ResponseKind::Query | ResponseKind::Execute, 1..=0xFD) if !after_file => {
                let columns = Reader::new(head).lenenc_int()?;
                if columns == 0 {
                    return Err(DecodeError::Malformed("a result without columns"));
                }
                self.rows = 0;
                self.phase = Phase::Columns(columns);
                Ok(Event::ColumnCount(columns))
            }
            _ => Err(DecodeError::Malformed("the first packet of an answer")),
        }
    }

    fn on_prepare_ok(&mut self, head: &[u8]) -> Result<Event, DecodeError> {
        let ok = PrepareOk::decode(head)?;
        self.phase = match ok.params {
            0 => prepared_columns(ok.columns),
            params => Phase::Params { params, columns: ok.columns },
        };
        Ok(Event::PrepareOk(ok))
    }

    fn on_column(&mut self, left: u64) -> Event {
        self.phase = match (left, self.deprecate_eof) {
            (2.., _) => Phase::Columns(left - 1),
            (_, true) => Phase::Rows,
            (_, false) => Phase::ColumnsEof,
        };
        Event::Column
    }

    fn on_columns_eof(&mut self, first: u8, head: &[u8]) -> Result<Event, DecodeError> {
        let end = read_eof(head)?;
        // The flag of a cursor may be that of a procedure's own, behind which rows follow; nobody asks a
        // data node for one to be fetched.
        self.phase = Phase::Rows;
        eof_only(first, Event::ColumnsEof(end))
    }

    fn on_param(&mut self, params: u16, columns: u16) -> Event {
        self.phase = match (params, self.deprecate_eof) {
            (2.., _) => Phase::Params { params: params - 1, columns },
            (_, true) => prepared_columns(columns),
            (_, false) => Phase::ParamsEof { columns },
        };
        Event::Param
    }

    fn on_prepared_column(&mut self, left: u16) -> Event {
        self.phase = match (left, self.deprecate_eof) {
            (2.., _) => Phase::PreparedColumns(left - 1),
            (_, true) => Phase::Done,
            (_, false) => Phase::PreparedColumnsEof,
        };
        Event::Column
    }

    /// The packet that ends rows: EOF, or an OK packet in its place.
    fn read_end(&self, head: &[u8], payload_len: usize) -> Result<OkHead, DecodeError> {
        if payload_len == EOF_LEN { read_eof(head) } else { read_ok(head) }
    }

    fn finish(&mut self, end: OkHead) {
        let more = end.status.contains(StatusFlags::MORE_RESULTS)
            && matches!(self.kind, ResponseKind::Query | ResponseKind::Execute);
        self.phase = if more { Phase::Start } else { Phase::Done };
    }
}

fn prepared_columns(columns: u16) -> Phase {
    if columns == 0 { Phase::Done } else { Phase::PreparedColumns(columns) }
}

fn eof_only(first: u8, event: Event) -> Result<Event, DecodeError> {
    if first == EOF_HEADER {
        Ok(event)
    } else {
        Err(DecodeError::Malformed("another packet than EOF"))
    }
}

fn read_ok(head: &[u8]) -> Result<OkHead, DecodeError> {
    let mut reader = Reader::new(head);
    reader.skip(1)?;
    Ok(OkHead {
        affected_rows: reader.lenenc_int()?,
        last_insert_id: reader.lenenc_int()?,
        status: StatusFlags(reader.u16()?),
        warnings: reader.u16()?,
    })
}

fn read_eof(head: &[u8]) -> Result<OkHead, DecodeError> {
    let mut reader = Reader::new(head);
    reader.skip(1)?;
    let warnings = reader.u16()?;
    Ok(OkHead { warnings, status: StatusFlags(reader.u16()?), ..OkHead::default() })
}

#[cfg(test)]
mod tests;
