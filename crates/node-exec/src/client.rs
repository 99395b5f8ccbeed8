//! The writing side of a client's connection. Packets gather in one buffer and leave in one write
//! for each burst; a data node's frames are appended as they are when their numbers fit, and only
//! renumbered when something of ours was sent before them in the same answer. Long bursts of rows are
//! not even copied: they are written from where they were read.

use crate::buffers;
use crate::error::ExecError;
use bytes::Bytes;
use mysql_wire::capability::Capabilities;
use mysql_wire::column::ColumnDefinition;
use mysql_wire::frame::{FRAME_HEADER_LEN, FrameHeader, begin_packet, end_packet, put_packet};
use mysql_wire::lenenc::put_int;
use mysql_wire::packet::{EofPacket, ErrPacket, OkPacket};
use std::io::{self, IoSlice};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// What is put is written out when it is this much, whether the burst is over or not.
const FLUSH_BYTES: usize = 64 * 1024;

/// Bursts of rows from this length on are written from where they are.
const INSERTED_BYTES_MIN: usize = 4 * 1024;

/// So many of them at most go into one write.
const INSERTED_MAX: usize = 7;

/// The writing side of one client.
pub struct ClientWriter {
    io: Box<dyn AsyncWrite + Unpin>,
    out: Vec<u8>,
    /// Rows that are written where they are, each with its place in `out`; up to [`INSERTED_MAX`].
    inserted: Vec<(usize, Bytes)>,
    /// The number of the next frame.
    sequence: u8,
    /// What the client can do.
    pub capabilities: Capabilities,
    relay: Relay,
    /// How often something was written out.
    writes: u64,
    /// Bytes written since they were asked for last.
    written: u64,
    metadata: Metadata,
    /// Changes of the session that the next end of an answer tells.
    tail: Vec<u8>,
}

/// What a client that keeps the columns of prepared statements knows of the one that runs.
#[derive(Debug, Default)]
struct Metadata {
    /// The columns as it was told them last.
    known: Vec<u8>,
    /// They may be left out.
    usable: bool,
    /// A result with columns was in this answer.
    seen: bool,
    /// Where the present result begins, and its first frame's number.
    begin: Option<(usize, u8)>,
    /// They were left out.
    left_out: bool,
}

/// The head of a result as it was put for a client: the count of its columns and their definitions.
#[derive(Debug)]
pub struct Head {
    /// The frames of both.
    frames: Vec<u8>,
    /// How many they are.
    number: u8,
    /// The definitions as [`Metadata::known`] has them.
    told: Vec<u8>,
    /// The packet behind them, for a client that is told where they end.
    end: Option<Vec<u8>>,
}

impl Head {
    /// A head of these frames.
    pub fn new(frames: &[u8], number: u8, end: Option<Vec<u8>>) -> Self {
        let told = without_numbers(&frames[first_end(frames)..]);
        Self { frames: frames.to_vec(), number, told, end }
    }

    /// The payload of the first frame.
    fn count(&self) -> &[u8] {
        &self.frames[FRAME_HEADER_LEN..first_end(&self.frames)]
    }

    /// The length of its columns' frames.
    pub fn bytes(&self) -> usize {
        self.frames.len()
    }
}

/// Where the first of some frames ends.
fn first_end(frames: &[u8]) -> usize {
    let head = frames.first_chunk().map(|head| FrameHeader::parse(*head).payload_len);
    head.map_or(0, |payload| FRAME_HEADER_LEN + payload).min(frames.len())
}

/// A place in what is written to a client.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    writes: u64,
    length: usize,
    inserted: usize,
    sequence: u8,
}

/// Where the relay stands inside the data node's frames.
#[derive(Debug, Default)]
struct Relay {
    /// Bytes of the present frame's payload that are still to come.
    left: usize,
    /// A header of which not all bytes have come yet.
    header: [u8; FRAME_HEADER_LEN],
    have: usize,
    /// Every frame of this answer has passed with its own number.
    aligned: bool,
}

impl std::fmt::Debug for ClientWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientWriter")
            .field("buffered", &self.out.len())
            .field("sequence", &self.sequence)
            .finish()
    }
}

impl ClientWriter {
    /// A writer onto `io`.
    pub fn new(io: Box<dyn AsyncWrite + Unpin>) -> Self {
        Self {
            io,
            out: Vec::new(),
            inserted: Vec::new(),
            sequence: 0,
            capabilities: Capabilities(0),
            relay: Relay::default(),
            writes: 0,
            written: 0,
            metadata: Metadata::default(),
            tail: Vec::new(),
        }
    }

    /// Puts another stream around the present one; nothing may be buffered.
    pub fn wrap_io(
        &mut self,
        wrap: impl FnOnce(Box<dyn AsyncWrite + Unpin>) -> Box<dyn AsyncWrite + Unpin>,
    ) {
        debug_assert!(self.out.is_empty(), "what is buffered would go past the new stream");
        self.io = wrap(std::mem::replace(&mut self.io, Box::new(tokio::io::sink())));
    }

    /// The next frame has this number: called when a command was read.
    pub fn begin_answer(&mut self, sequence: u8) {
        self.sequence = sequence;
        self.relay = Relay { aligned: true, ..Relay::default() };
        self.metadata.begin = None;
    }

    /// The present place, to come back to.
    pub fn mark(&self) -> Mark {
        let (length, inserted) = (self.out.len(), self.inserted.len());
        Mark { writes: self.writes, length, inserted, sequence: self.sequence }
    }

    /// Whether the next packet is an answer's first.
    pub fn begins(&self) -> bool {
        self.sequence == 1 && self.relay.aligned
    }

    /// The frames that were put after a mark, and how many they are; none when some have been written
    /// out, or are in somebody else's memory.
    pub fn put_after(&self, mark: Mark) -> Option<(&[u8], u8)> {
        let frames = self.sequence.wrapping_sub(mark.sequence);
        let here = self.writes == mark.writes && self.inserted.len() == mark.inserted;
        here.then(|| (&self.out[mark.length..], frames))
    }

    /// Puts the head of another answer again, which began with the same number.
    pub fn put_head(&mut self, head: &Head) {
        self.ready();
        match self.metadata.usable && self.leaves_out(&head.told) {
            true => self.put_with(|out| {
                out.extend_from_slice(head.count());
                if let Some(follow) = out.last_mut() {
                    *follow = 0;
                }
            }),
            false => {
                self.out.extend_from_slice(&head.frames);
                self.sequence = self.sequence.wrapping_add(head.number);
            }
        }
        if let Some(end) = &head.end {
            self.put(end);
        }
    }

    /// Forgets what was put after a mark; false when some of it has been written out already.
    pub fn take_back(&mut self, mark: Mark) -> bool {
        let can = self.writes == mark.writes;
        if can {
            self.out.truncate(mark.length);
            self.inserted.truncate(mark.inserted);
            self.begin_answer(mark.sequence);
        }
        can
    }

    /// Forgets everything that was put and not written out.
    pub fn forget(&mut self) {
        self.out.clear();
        self.inserted.clear();
    }

    /// Whether anything was put since the writer was flushed last.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty() && self.inserted.is_empty()
    }

    /// The number of the next frame.
    pub fn sequence(&self) -> u8 {
        self.sequence
    }

    /// Something is to be put: the buffer is there from the first to the last byte of an answer.
    fn ready(&mut self) {
        if self.out.capacity() == 0 {
            self.out = buffers::take();
        }
    }

    /// Appends one packet.
    pub fn put(&mut self, payload: &[u8]) {
        self.ready();
        put_packet(&mut self.out, &mut self.sequence, payload);
    }

    /// Appends one packet that `encode` writes.
    pub fn put_with<R>(&mut self, encode: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        self.ready();
        let start = begin_packet(&mut self.out);
        let result = encode(&mut self.out);
        end_packet(&mut self.out, start, &mut self.sequence);
        result
    }

    /// Appends an OK packet.
    pub fn put_ok(&mut self, ok: &OkPacket) {
        if !self.tail.is_empty() {
            let mut told = ok.clone();
            told.session_track.append(&mut self.tail);
            let capabilities = self.capabilities;
            return self.put_with(|out| told.encode(capabilities, out));
        }
        let capabilities = self.capabilities;
        self.put_with(|out| ok.encode(capabilities, out));
    }

    /// Whether the client takes column definitions with extended types.
    pub fn tells_extended(&self) -> bool {
        self.capabilities.contains(Capabilities::MARIADB_EXTENDED_METADATA)
    }

    /// Whether the client is told with each result if columns follow.
    pub fn tells_metadata(&self) -> bool {
        self.capabilities.contains(Capabilities::MARIADB_CACHE_METADATA)
    }

    /// Begins a result: so many column definitions follow.
    pub fn begin_columns(&mut self, count: u64) {
        let begin = (self.out.len(), self.sequence);
        let tells = self.tells_metadata();
        self.put_with(|out| {
            put_int(out, count);
            if tells {
                out.push(1);
            }
        });
        self.metadata.begin = tells.then_some(begin);
    }

    /// Appends a column definition.
    pub fn put_column(&mut self, column: &ColumnDefinition) {
        match self.tells_extended() {
            true => self.put_with(|out| column.encode_extended(out)),
            false => self.put_with(|out| column.encode(out)),
        }
    }

    /// What [`Self::know_metadata`] takes, of columns that the client was told in another answer.
    pub fn metadata_of(&self, columns: &[ColumnDefinition]) -> Vec<u8> {
        let (mut frames, mut sequence) = (Vec::new(), 0);
        for column in columns {
            let start = begin_packet(&mut frames);
            match self.tells_extended() {
                true => column.encode_extended(&mut frames),
                false => column.encode(&mut frames),
            }
            end_packet(&mut frames, start, &mut sequence);
        }
        without_numbers(&frames)
    }

    /// The coming answer is of a prepared statement whose columns the client knows already.
    pub fn know_metadata(&mut self, known: Vec<u8>) {
        self.metadata = Metadata { known, usable: true, ..Metadata::default() };
    }

    /// Whether the answer has left out columns that the client knew.
    pub fn left_out_metadata(&self) -> bool {
        self.metadata.left_out
    }

    /// What the client knows after the answer.
    pub fn known_metadata(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.metadata).known
    }

    /// All column definitions of a result are put: they are left out where the client has them.
    pub fn columns_done(&mut self) {
        let Some((begin, sequence)) = self.metadata.begin.take() else { return };
        if !self.metadata.usable {
            return;
        }
        let end = begin + first_end(&self.out[begin..]);
        let told = without_numbers(&self.out[end..]);
        if self.leaves_out(&told) {
            self.out.truncate(end);
            self.out[end - 1] = 0;
            self.sequence = sequence.wrapping_add(1);
        }
    }

    /// Whether a result's columns are left out for a client that keeps those of prepared statements;
    /// else it knows these from now on.
    fn leaves_out(&mut self, told: &[u8]) -> bool {
        if std::mem::replace(&mut self.metadata.seen, true) {
            // Of several results a client keeps one; which, is not ours to say.
            self.metadata.known.clear();
            return false;
        }
        let known = told == self.metadata.known;
        self.metadata.left_out = known;
        if !known {
            self.metadata.known = told.to_vec();
        }
        known
    }

    /// Ends the column definitions of a result; nothing for a client with DEPRECATE_EOF.
    pub fn put_columns_end(&mut self, eof: &EofPacket) {
        self.columns_done();
        if !self.capabilities.contains(Capabilities::DEPRECATE_EOF) {
            self.put_with(|out| eof.encode(out));
        }
    }

    /// Ends rows: an EOF packet, or for a client with DEPRECATE_EOF an OK packet in its place.
    pub fn put_rows_end(&mut self, eof: &EofPacket) {
        let capabilities = self.capabilities;
        if capabilities.contains(Capabilities::DEPRECATE_EOF) {
            let EofPacket { warnings, status } = *eof;
            let session_track = std::mem::take(&mut self.tail);
            let ok = OkPacket { warnings, status, session_track, ..OkPacket::default() };
            self.put_with(|out| ok.encode_eof(capabilities, out));
        } else {
            self.put_with(|out| eof.encode(out));
        }
    }

    /// Changes of the session that the next end of an answer tells.
    pub fn tell_with_end(&mut self, packed: Vec<u8>) {
        self.tail = packed;
    }

    /// Whether the next end of an answer tells something.
    pub fn has_to_tell(&self) -> bool {
        !self.tail.is_empty()
    }

    /// Whether rows end with a packet that can tell changes of the session.
    pub fn ends_with_ok(&self) -> bool {
        self.capabilities.contains(Capabilities::DEPRECATE_EOF)
    }

    /// Appends an error packet.
    pub fn put_err(&mut self, error: &ErrPacket) {
        let capabilities = self.capabilities;
        self.put_with(|out| error.encode(capabilities, out));
    }

    /// Appends whole frames of a data node that make one message.
    pub fn relay_message(&mut self, frames: &[u8]) {
        self.ready();
        let own = frames.get(3).copied();
        if self.relay.aligned && own == Some(self.sequence) {
            self.out.extend_from_slice(frames);
            let count =
                frames.len() / (FRAME_HEADER_LEN + mysql_wire::frame::MAX_FRAME_PAYLOAD) + 1;
            self.sequence = self.sequence.wrapping_add(count as u8);
            return;
        }
        self.relay_rows(frames, None);
    }

    /// Whether frames can go out as they are: the first has the next number.
    fn fits(&self, burst: &[u8]) -> bool {
        let begins = self.relay.left == 0 && self.relay.have == 0;
        begins && burst.get(FRAME_HEADER_LEN - 1) == Some(&self.sequence)
    }

    /// How many frames a burst is that need not be copied: as long as it is, of so many whole frames, it can be
    /// [inserted](Self::insert).
    pub fn inserts(&self, burst: &[u8], whole_frames: Option<u64>) -> Option<u64> {
        let long = burst.len() >= INSERTED_BYTES_MIN && self.inserted.len() < INSERTED_MAX;
        whole_frames.filter(|_| long && self.fits(burst))
    }

    /// As [`Self::relay_rows`], of a burst that stays where it is until it is written.
    pub fn insert(&mut self, burst: Bytes, frames: u64) -> u64 {
        self.inserted.push((self.out.len(), burst));
        self.sequence = self.sequence.wrapping_add(frames as u8);
        frames
    }

    /// Appends a burst of a data node's frames, of which the first and the last may be parts where it is not
    /// known how many whole ones they are, and answers how many frames begin in it.
    pub fn relay_rows(&mut self, burst: &[u8], whole_frames: Option<u64>) -> u64 {
        self.ready();
        let from = self.out.len();
        self.out.extend_from_slice(burst);
        if let Some(frames) = whole_frames
            && self.fits(burst)
        {
            self.sequence = self.sequence.wrapping_add(frames as u8);
            return frames;
        }
        let out = &mut self.out[from..];
        let relay = &mut self.relay;
        let mut begun = 0;
        let mut at = relay.left.min(out.len());
        relay.left -= at;
        while at < out.len() {
            let header = match out[at..].first_chunk_mut::<FRAME_HEADER_LEN>() {
                Some(head) if relay.have == 0 => {
                    let header = FrameHeader::parse(*head);
                    head[FRAME_HEADER_LEN - 1] = self.sequence;
                    at += FRAME_HEADER_LEN;
                    header
                }
                // A header that came in two pieces.
                _ => {
                    relay.header[relay.have] = out[at];
                    relay.have += 1;
                    at += 1;
                    if relay.have < FRAME_HEADER_LEN {
                        continue;
                    }
                    relay.have = 0;
                    out[at - 1] = self.sequence;
                    FrameHeader::parse(relay.header)
                }
            };
            self.sequence = self.sequence.wrapping_add(1);
            begun += 1;
            let step = header.payload_len.min(out.len() - at);
            relay.left = header.payload_len - step;
            at += step;
        }
        begun
    }

    /// How much was put and not written out.
    fn len(&self) -> usize {
        self.out.len() + self.inserted.iter().map(|(_, burst)| burst.len()).sum::<usize>()
    }

    /// Writes out what was put when it has become long, and lets the other sessions of this thread come
    /// first then: a long answer that never waits would keep them waiting.
    pub async fn flush_if_long(&mut self) -> Result<(), ExecError> {
        if self.len() < FLUSH_BYTES {
            return Ok(());
        }
        // More follows, into the same buffer.
        self.write_out().await?;
        self.io.flush().await.map_err(ExecError::Client)?;
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn write_out(&mut self) -> Result<(), ExecError> {
        self.writes += 1;
        self.written += self.len() as u64;
        match self.inserted.is_empty() {
            true => self.io.write_all(&self.out).await,
            false => write_parts(&mut *self.io, &self.out, &self.inserted).await,
        }
        .map_err(ExecError::Client)?;
        self.out.clear();
        self.inserted.clear();
        Ok(())
    }

    /// How many bytes were written since this was asked last, before compression.
    pub fn take_written(&mut self) -> u64 {
        std::mem::take(&mut self.written)
    }

    /// Writes the buffer out.
    pub async fn flush(&mut self) -> Result<(), ExecError> {
        if !self.is_empty() {
            self.write_out().await?;
        }
        buffers::give(std::mem::take(&mut self.out));
        self.io.flush().await.map_err(ExecError::Client)
    }

    /// Ends the stream for the client.
    pub async fn shutdown(&mut self) {
        self.io.shutdown().await.ok();
    }
}

/// Writes `out` with what is inserted in its places, in one go where the stream takes several parts.
async fn write_parts(
    io: &mut (dyn AsyncWrite + Unpin),
    out: &[u8],
    inserted: &[(usize, Bytes)],
) -> io::Result<()> {
    let mut parts = [IoSlice::new(&[]); 2 * INSERTED_MAX + 1];
    let mut from = 0;
    for (pair, (place, burst)) in parts.as_chunks_mut::<2>().0.iter_mut().zip(inserted) {
        *pair = [IoSlice::new(&out[from..*place]), IoSlice::new(burst)];
        from = *place;
    }
    parts[2 * inserted.len()] = IoSlice::new(&out[from..]);
    let mut left = &mut parts[..=2 * inserted.len()];
    // Takes off empty parts at the front.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match io.write_vectored(left).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => IoSlice::advance_slices(&mut left, written),
        }
    }
    Ok(())
}

/// Frames without their numbers, which differ from answer to answer.
fn without_numbers(frames: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(frames.len()), frames);
    while let Some((head, behind)) = rest.split_first_chunk::<FRAME_HEADER_LEN>() {
        let length = FrameHeader::parse(*head).payload_len.min(behind.len());
        out.extend_from_slice(&head[..FRAME_HEADER_LEN - 1]);
        out.extend_from_slice(&behind[..length]);
        rest = &behind[length..];
    }
    out
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
