//! Framing: a 3-byte length and a sequence number before each payload, and messages of 16 MiB or
//! more as several frames, of which all but the last have the greatest length.
//!
//! The splitter only looks at headers, so a frame is borrowed from the read buffer; only a message
//! of several frames is joined, which copies it. Writing goes straight into the output buffer: the
//! header's place is kept and filled when the payload's length is known.

use crate::DecodeError;
use std::borrow::Cow;
use std::ops::Range;

/// The greatest payload of one frame. A frame of this length is continued by the next one.
pub const MAX_FRAME_PAYLOAD: usize = 0xFF_FFFF;
/// Bytes before each payload.
pub const FRAME_HEADER_LEN: usize = 4;

/// The four bytes before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The payload's length in bytes.
    pub payload_len: usize,
    /// Counts frames within one exchange, modulo 256.
    pub sequence: u8,
}

impl FrameHeader {
    /// Reads a header.
    #[inline]
    pub fn parse(bytes: [u8; FRAME_HEADER_LEN]) -> Self {
        let [a, b, c, sequence] = bytes;
        Self { payload_len: u32::from_le_bytes([a, b, c, 0]) as usize, sequence }
    }

    /// The header's bytes. `payload_len` must be at most [`MAX_FRAME_PAYLOAD`].
    #[inline]
    pub fn bytes(self) -> [u8; FRAME_HEADER_LEN] {
        debug_assert!(self.payload_len <= MAX_FRAME_PAYLOAD);
        let [a, b, c, _] = (self.payload_len as u32).to_le_bytes();
        [a, b, c, self.sequence]
    }
}

/// What is at the front of a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Not a whole frame yet.
    Incomplete {
        /// At least so many bytes are missing.
        need: usize,
    },
    /// A whole frame.
    Complete {
        /// Its header.
        header: FrameHeader,
        /// Where its payload is in the buffer.
        payload: Range<usize>,
        /// Length of header and payload.
        total: usize,
    },
}

/// Looks at the front of `buf` for a whole frame.
#[inline]
pub fn split_frame(buf: &[u8]) -> Frame {
    let Some(head) = buf.first_chunk::<FRAME_HEADER_LEN>() else {
        return Frame::Incomplete { need: FRAME_HEADER_LEN - buf.len() };
    };
    let header = FrameHeader::parse(*head);
    let total = FRAME_HEADER_LEN + header.payload_len;
    if buf.len() < total {
        return Frame::Incomplete { need: total - buf.len() };
    }
    Frame::Complete { header, payload: FRAME_HEADER_LEN..total, total }
}

/// A message at the front of a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Not a whole message yet.
    Incomplete {
        /// At least so many bytes are missing.
        need: usize,
    },
    /// A whole message.
    Complete {
        /// Borrowed when it was one frame, joined when it was several.
        payload: Cow<'a, [u8]>,
        /// How many bytes of the buffer it took.
        consumed: usize,
        /// The sequence number of the next frame, whoever sends it.
        next_sequence: u8,
    },
}

/// Looks at the front of `buf` for a whole message of at most `max` payload bytes. With
/// `first_sequence` the frames' numbers must count from it. A message that is announced too large
/// is an error as soon as its headers show it, before its bytes are here.
pub fn read_message(
    buf: &[u8],
    first_sequence: Option<u8>,
    max: usize,
) -> Result<Message<'_>, DecodeError> {
    let mut at = 0;
    let mut size = 0;
    let mut sequence = first_sequence;
    let mut ranges: Vec<Range<usize>> = Vec::new();
    loop {
        let Some(head) = buf[at..].first_chunk::<FRAME_HEADER_LEN>() else {
            return Ok(Message::Incomplete { need: FRAME_HEADER_LEN - (buf.len() - at) });
        };
        let header = FrameHeader::parse(*head);
        let expected = sequence.unwrap_or(header.sequence);
        if header.sequence != expected {
            return Err(DecodeError::Sequence { expected, got: header.sequence });
        }
        size += header.payload_len;
        if size > max {
            return Err(DecodeError::TooLarge { limit: max });
        }
        let start = at + FRAME_HEADER_LEN;
        let end = start + header.payload_len;
        if buf.len() < end {
            return Ok(Message::Incomplete { need: end - buf.len() });
        }
        let next_sequence = expected.wrapping_add(1);
        sequence = Some(next_sequence);
        at = end;
        if header.payload_len < MAX_FRAME_PAYLOAD {
            let payload = join(buf, &ranges, start..end, size);
            return Ok(Message::Complete { payload, consumed: at, next_sequence });
        }
        ranges.push(start..end);
    }
}

/// The payload of a message whose last frame is `last`.
fn join<'a>(
    buf: &'a [u8],
    earlier: &[Range<usize>],
    last: Range<usize>,
    size: usize,
) -> Cow<'a, [u8]> {
    if earlier.is_empty() {
        return Cow::Borrowed(&buf[last]);
    }
    let mut joined = Vec::with_capacity(size);
    for range in earlier {
        joined.extend_from_slice(&buf[range.clone()]);
    }
    joined.extend_from_slice(&buf[last]);
    Cow::Owned(joined)
}

/// Where a packet that is being written began.
#[derive(Debug)]
#[must_use = "a begun packet must be ended"]
pub struct PacketStart(usize);

/// Keeps room for a header; the payload is appended to `out` by the caller.
#[inline]
pub fn begin_packet(out: &mut Vec<u8>) -> PacketStart {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_LEN]);
    PacketStart(start)
}

/// Fills in the header of a begun packet and counts `sequence` on. A payload that is too long for
/// one frame is split, which moves it once.
#[inline]
pub fn end_packet(out: &mut Vec<u8>, start: PacketStart, sequence: &mut u8) {
    let payload_len = out.len() - start.0 - FRAME_HEADER_LEN;
    if payload_len < MAX_FRAME_PAYLOAD {
        let header = FrameHeader { payload_len, sequence: *sequence };
        out[start.0..start.0 + FRAME_HEADER_LEN].copy_from_slice(&header.bytes());
        *sequence = sequence.wrapping_add(1);
        return;
    }
    let payload = out.split_off(start.0 + FRAME_HEADER_LEN);
    out.truncate(start.0);
    put_packet(out, sequence, &payload);
}

/// Appends a payload with its header, split where it must be, and counts `sequence` on.
#[inline]
pub fn put_packet(out: &mut Vec<u8>, sequence: &mut u8, payload: &[u8]) {
    put_packet_parts(out, sequence, &[payload]);
}

/// As [`put_packet`], with a payload that lies in pieces.
pub fn put_packet_parts(out: &mut Vec<u8>, sequence: &mut u8, parts: &[&[u8]]) {
    let mut left: usize = parts.iter().map(|part| part.len()).sum();
    out.reserve(left + FRAME_HEADER_LEN * (left / MAX_FRAME_PAYLOAD + 1));
    let mut parts = parts.iter().copied();
    let mut piece: &[u8] = &[];
    loop {
        let mut frame = left.min(MAX_FRAME_PAYLOAD);
        let continued = frame == MAX_FRAME_PAYLOAD;
        left -= frame;
        out.extend_from_slice(&FrameHeader { payload_len: frame, sequence: *sequence }.bytes());
        *sequence = sequence.wrapping_add(1);
        while frame > 0 {
            if piece.is_empty() {
                piece = parts.next().expect("the pieces' lengths add up to the total");
                continue;
            }
            let (now, later) = piece.split_at(piece.len().min(frame));
            out.extend_from_slice(now);
            frame -= now.len();
            piece = later;
        }
        if !continued {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn long_messages_are_split_and_joined() {
        for extra in [-1i64, 0, 1, MAX_FRAME_PAYLOAD as i64, MAX_FRAME_PAYLOAD as i64 + 7] {
            let size = (MAX_FRAME_PAYLOAD as i64 + extra) as usize;
            let payload: Vec<u8> = (0..size).map(|i| ((i * 31) >> 3) as u8).collect();
            let mut out = Vec::new();
            let mut sequence = 255;
            put_packet_parts(&mut out, &mut sequence, &[&payload[..9], &[], &payload[9..]]);
            let mut built = Vec::new();
            let mut sequence_built = 255;
            let start = begin_packet(&mut built);
            built.extend_from_slice(&payload);
            end_packet(&mut built, start, &mut sequence_built);
            assert!(out == built && sequence == sequence_built);
            match read_message(&out, Some(255), usize::MAX).unwrap() {
                Message::Complete { payload: read, consumed, next_sequence } => {
                    assert!(read == payload);
                    assert_eq!((consumed, next_sequence), (out.len(), sequence));
                    assert_eq!(matches!(read, Cow::Borrowed(_)), size < MAX_FRAME_PAYLOAD);
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(
                read_message(&out[..5], None, 100),
                Err(DecodeError::TooLarge { limit: 100 }),
            );
        }
    }

    #[test]
    fn every_cut_is_incomplete_and_says_what_is_missing() {
        let mut out = Vec::new();
        put_packet(&mut out, &mut 3, b"hello");
        for cut in 0..out.len() {
            match split_frame(&out[..cut]) {
                Frame::Incomplete { need } => assert!(need > 0 && cut + need <= out.len()),
                other => panic!("{other:?}"),
            }
            assert!(matches!(
                read_message(&out[..cut], Some(3), 100).unwrap(),
                Message::Incomplete { .. }
            ));
        }
        let header = FrameHeader { payload_len: 5, sequence: 3 };
        assert_eq!(split_frame(&out), Frame::Complete { header, payload: 4..9, total: 9 });
        assert_eq!(
            read_message(&out, Some(0), 100),
            Err(DecodeError::Sequence { expected: 0, got: 3 })
        );
    }

    proptest! {
        #[test]
        fn garbage_never_panics(buf in proptest::collection::vec(any::<u8>(), 0..64), max in 0usize..100) {
            let _ = split_frame(&buf);
            let _ = read_message(&buf, None, max);
            let _ = read_message(&buf, Some(0), max);
        }

        #[test]
        fn parts_equal_the_whole(parts in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..50), 0..6)) {
            let pieces: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let (mut whole, mut split) = (Vec::new(), Vec::new());
            put_packet(&mut whole, &mut 0, &parts.concat());
            put_packet_parts(&mut split, &mut 0, &pieces);
            prop_assert_eq!(whole, split);
        }
    }
}
