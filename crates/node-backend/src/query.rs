//! The convenient road: statements whose rows are wanted as values, whole or one by one.
//!
//! A row is a slice of the read buffer that is shared, not copied. Whoever keeps single rows for
//! long should [`Row::detach`] them, else a small row holds a large buffer.

use crate::connection::Connection;
use crate::error::BackendError;
use bytes::Bytes;
use mysql_wire::column::ColumnDefinition;
use mysql_wire::frame::{FRAME_HEADER_LEN, Frame, MAX_FRAME_PAYLOAD, split_frame};
use mysql_wire::packet::{ErrPacket, OkPacket, parse_local_infile};
use mysql_wire::response::{Event, OkHead};
use mysql_wire::row::{TextFields, text_fields};
use mysql_wire::{Capabilities, DecodeError, StatusFlags};
use std::sync::Arc;

/// [`Connection::query`] is for small answers; larger ones are streamed.
const QUERY_BYTES_MAX: usize = 64 << 20;

/// A row as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(Bytes);

impl Row {
    /// A row of these bytes.
    pub fn new(payload: Bytes) -> Self {
        Self(payload)
    }

    /// The packet's payload.
    pub fn payload(&self) -> &Bytes {
        &self.0
    }

    /// The fields of a text row.
    pub fn fields(&self) -> TextFields<'_> {
        text_fields(&self.0)
    }

    /// A field of a text row by its position; `None` is NULL, and also a field that is not there.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.fields().nth(index)?.ok()?
    }

    /// A field of a text row as text, what is not UTF-8 replaced; `None` is NULL.
    pub fn text(&self, index: usize) -> Option<String> {
        self.get(index).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// The same row in memory of its own.
    pub fn detach(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

/// A result with rows.
#[derive(Clone, Debug)]
pub struct ResultSet {
    /// The columns.
    pub columns: Arc<[ColumnDefinition]>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Warnings.
    pub warnings: u16,
    /// The session's state.
    pub status: StatusFlags,
}

/// The answer to a statement.
#[derive(Clone, Debug)]
pub enum QueryResult {
    /// Without rows.
    Ok(OkPacket),
    /// With rows.
    Rows(ResultSet),
}

impl QueryResult {
    /// The rows; none if the statement gave none.
    pub fn into_rows(self) -> Vec<Row> {
        match self {
            QueryResult::Ok(_) => Vec::new(),
            QueryResult::Rows(set) => set.rows,
        }
    }
}

/// How an answer that is streamed begins.
#[derive(Clone, Debug)]
pub enum StreamHead {
    /// A result without rows.
    Ok {
        /// Its counters.
        ok: OkPacket,
        /// Whether no other result follows.
        last: bool,
    },
    /// Rows follow, for [`Connection::next_row`].
    Rows(Arc<[ColumnDefinition]>),
    /// The server wants this file; told to [`Connection::begin_load`] alone.
    LocalInfile(Vec<u8>),
}

/// Where in a streamed answer a connection is.
#[derive(Debug, Default)]
pub(crate) struct StreamState {
    in_rows: bool,
    /// Another result of the same answer follows.
    more: bool,
    end: Option<OkHead>,
    /// The first frames of a row of 16 MiB or more.
    long_row: Vec<u8>,
}

impl Connection {
    /// Runs a text statement and gives its first result whole; further results are read and
    /// forgotten, an error among them is given.
    pub async fn query(&mut self, sql: &[u8]) -> Result<QueryResult, BackendError> {
        self.queue_query(sql);
        let first = match self.open_stream().await? {
            StreamHead::Ok { ok, .. } => QueryResult::Ok(ok),
            StreamHead::Rows(columns) => QueryResult::Rows(self.collect(columns).await?),
            StreamHead::LocalInfile(_) => {
                return Err(BackendError::Unexpected("a file was asked for"));
            }
        };
        while let Some(head) = self.next_result().await? {
            if let StreamHead::Rows(_) = head {
                while self.next_row().await?.is_some() {}
            }
        }
        Ok(first)
    }

    async fn collect(
        &mut self,
        columns: Arc<[ColumnDefinition]>,
    ) -> Result<ResultSet, BackendError> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        while let Some(row) = self.next_row().await? {
            bytes += row.payload().len();
            if bytes > QUERY_BYTES_MAX {
                return Err(BackendError::ResultTooLarge { limit: QUERY_BYTES_MAX });
            }
            rows.push(row);
        }
        let end = self.stream_end().unwrap_or_default();
        Ok(ResultSet { columns, rows, warnings: end.warnings, status: end.status })
    }

    /// Runs a text statement for its effect; rows are read and forgotten. Gives the last OK.
    pub async fn execute_sql(&mut self, sql: &[u8]) -> Result<OkPacket, BackendError> {
        self.queue_query(sql);
        let mut result = OkPacket::default();
        let mut head = Some(self.open_stream().await?);
        while let Some(one) = head {
            match one {
                StreamHead::Ok { ok, .. } => result = ok,
                StreamHead::Rows(_) => while self.next_row().await?.is_some() {},
                StreamHead::LocalInfile(_) => {
                    return Err(BackendError::Unexpected("a file was asked for"));
                }
            }
            head = self.next_result().await?;
        }
        Ok(result)
    }

    /// Sends a text statement and reads the beginning of its answer.
    pub async fn query_stream(&mut self, sql: &[u8]) -> Result<StreamHead, BackendError> {
        self.queue_query(sql);
        self.open_stream().await
    }

    /// Reads the beginning of the oldest answer that is due (its statement was queued before), up
    /// to and with its columns.
    pub async fn open_stream(&mut self) -> Result<StreamHead, BackendError> {
        self.stream = StreamState::default();
        let mut columns = Vec::new();
        let mut count = 0;
        loop {
            let (capabilities, deprecates_eof) = (self.capabilities, self.deprecates_eof());
            let piece = self.next_piece().await?;
            let (event, payload, last) = (piece.event, piece.payload(), piece.last);
            let head = match event {
                Event::ColumnCount(announced) => {
                    count = announced;
                    Ok(None)
                }
                Event::Column => ColumnDefinition::decode(payload).map(|column| {
                    columns.push(column);
                    None
                }),
                Event::ColumnsEof(_) => Ok(None),
                _ => first_packet(event, payload, last, capabilities).map(Some),
            };
            let at_rows = match event {
                Event::ColumnsEof(_) => true,
                Event::Column => deprecates_eof && columns.len() as u64 == count,
                _ => false,
            };
            match head {
                Ok(Some(Ok(head))) => {
                    self.stream.more = !last;
                    return Ok(head);
                }
                Ok(Some(Err(error))) => return Err(BackendError::Server(error)),
                Ok(None) if at_rows => {
                    self.stream.in_rows = !last;
                    return Ok(StreamHead::Rows(columns.into()));
                }
                Ok(None) => {}
                Err(error) => return Err(self.garbled(error)),
            }
        }
    }

    /// The next row of a streamed result; `None` at its end.
    pub async fn next_row(&mut self) -> Result<Option<Row>, BackendError> {
        while self.stream.in_rows {
            match self.step_row()? {
                Step::Row(row) => return Ok(Some(row)),
                Step::Again => {}
                Step::Need(need) => {
                    if !self.link.is_flushed() {
                        self.link.flush().await?;
                    }
                    self.link.fill(need).await?;
                }
            }
        }
        Ok(None)
    }

    /// Whether the next row, or the end of the rows, was read already.
    pub fn has_next_row(&self) -> bool {
        !self.stream.in_rows || matches!(split_frame(&self.link.inbox), Frame::Complete { .. })
    }

    /// Rows are read in smaller bites, of about so many bytes, until the connection is put aside.
    pub fn limit_reads(&mut self, bytes: usize) {
        self.link.limit_reads(bytes);
    }

    /// The counters at the end of a streamed result's rows, once [`Connection::next_row`] gave `None`.
    pub fn stream_end(&self) -> Option<OkHead> {
        self.stream.end
    }

    /// The beginning of the same answer's next result, if there is one. Rows that were not read
    /// are left out.
    pub async fn next_result(&mut self) -> Result<Option<StreamHead>, BackendError> {
        while self.next_row().await?.is_some() {}
        if !self.stream.more {
            return Ok(None);
        }
        self.open_stream().await.map(Some)
    }

    /// Takes one frame among the rows.
    fn step_row(&mut self) -> Result<Step, BackendError> {
        self.take_given();
        let scanner =
            self.expected.front_mut().ok_or(BackendError::Unexpected("no answer is due"))?;
        let (header, total) = match split_frame(&self.link.inbox) {
            Frame::Incomplete { need } => return Ok(Step::Need(need)),
            Frame::Complete { header, total, .. } => (header, total),
        };
        let payload = &self.link.inbox[FRAME_HEADER_LEN..total];
        let event = match scanner.on_frame(header, payload) {
            Ok(event) => event,
            Err(error) => return Err(self.garbled(error)),
        };
        let last = scanner.is_done();
        let mut frame = self.link.inbox.split_to(total);
        self.note(event, last);
        match event {
            Event::Rows => {
                bytes::Buf::advance(&mut frame, FRAME_HEADER_LEN);
                self.join_row(frame.freeze(), header.payload_len)
            }
            Event::ResultEnd(end) => {
                self.stream = StreamState { end: Some(end), more: !last, ..StreamState::default() };
                Ok(Step::Again)
            }
            Event::Err { .. } => {
                self.stream = StreamState::default();
                let payload = &frame[FRAME_HEADER_LEN..];
                Err(BackendError::Server(ErrPacket::decode(payload, self.capabilities)?))
            }
            _ => Err(self.garbled(DecodeError::Malformed("a packet among rows"))),
        }
    }

    /// Puts the frames of a long row together.
    fn join_row(&mut self, payload: Bytes, payload_len: usize) -> Result<Step, BackendError> {
        let continued = payload_len == MAX_FRAME_PAYLOAD;
        if !continued && self.stream.long_row.is_empty() {
            return Ok(Step::Row(Row(payload)));
        }
        if self.stream.long_row.len() + payload_len > self.max_packet {
            self.link.set_broken();
            return Err(BackendError::ResultTooLarge { limit: self.max_packet });
        }
        self.stream.long_row.extend_from_slice(&payload);
        if continued {
            return Ok(Step::Again);
        }
        Ok(Step::Row(Row(std::mem::take(&mut self.stream.long_row).into())))
    }
}

/// What [`Connection::step_row`] found.
enum Step {
    Row(Row),
    Again,
    Need(usize),
}

/// The packet that is an answer's only one, or its end.
fn first_packet(
    event: Event,
    payload: &[u8],
    last: bool,
    capabilities: Capabilities,
) -> Result<Result<StreamHead, ErrPacket>, DecodeError> {
    match event {
        Event::Ok(_) => {
            OkPacket::decode(payload, capabilities).map(|ok| Ok(StreamHead::Ok { ok, last }))
        }
        Event::LocalInfile => {
            parse_local_infile(payload).map(|name| Ok(StreamHead::LocalInfile(name.to_vec())))
        }
        Event::Err { .. } => ErrPacket::decode(payload, capabilities).map(Err),
        _ => Err(DecodeError::Malformed("the beginning of an answer")),
    }
}
