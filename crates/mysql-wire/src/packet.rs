//! The short answers: OK, ERR, EOF and the request for a local file.
//!
//! An OK packet has header 0x00, or 0xFE when it ends the rows of a client that asked for
//! `DEPRECATE_EOF`. The text after the counters is a length-encoded string in what servers send,
//! whatever older documents say.

use crate::lenenc::{Reader, put_bytes, put_int};
use crate::{Capabilities, DecodeError, StatusFlags};
use std::fmt;

/// First byte of an OK packet.
pub const OK_HEADER: u8 = 0x00;
/// First byte of an EOF packet, and of the OK packet in its place.
pub const EOF_HEADER: u8 = 0xFE;
/// First byte of an ERR packet.
pub const ERR_HEADER: u8 = 0xFF;
/// First byte of a request for a local file.
pub const LOCAL_INFILE_HEADER: u8 = 0xFB;
/// Length of an EOF packet of the 4.1 protocol.
pub const EOF_LEN: usize = 5;

/// The end of a statement that went well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OkPacket {
    /// Changed rows, or matched rows with `FOUND_ROWS`.
    pub affected_rows: u64,
    /// First generated value of an AUTO_INCREMENT column, or 0.
    pub last_insert_id: u64,
    /// The session's state.
    pub status: StatusFlags,
    /// How many warnings SHOW WARNINGS would list.
    pub warnings: u16,
    /// Text for people, such as `Records: 3  Duplicates: 0  Warnings: 0`.
    pub info: Vec<u8>,
    /// Session changes, still packed (see `session_track`); sent if not empty and negotiated.
    pub session_track: Vec<u8>,
}

impl OkPacket {
    /// Appends the packet with header 0x00.
    pub fn encode(&self, capabilities: Capabilities, out: &mut Vec<u8>) {
        self.encode_with(OK_HEADER, capabilities, out);
    }

    /// Appends the packet as the end of rows for a client with `DEPRECATE_EOF`.
    pub fn encode_eof(&self, capabilities: Capabilities, out: &mut Vec<u8>) {
        self.encode_with(EOF_HEADER, capabilities, out);
    }

    fn encode_with(&self, header: u8, capabilities: Capabilities, out: &mut Vec<u8>) {
        let track =
            capabilities.contains(Capabilities::SESSION_TRACK) && !self.session_track.is_empty();
        let mut status = self.status;
        status.set(StatusFlags::SESSION_STATE_CHANGED, track);
        out.push(header);
        put_int(out, self.affected_rows);
        put_int(out, self.last_insert_id);
        out.extend_from_slice(&status.0.to_le_bytes());
        out.extend_from_slice(&self.warnings.to_le_bytes());
        if track || !self.info.is_empty() {
            put_bytes(out, &self.info);
        }
        if track {
            put_bytes(out, &self.session_track);
        }
    }

    /// Reads an OK packet with either header.
    pub fn decode(payload: &[u8], capabilities: Capabilities) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        if !matches!(reader.u8()?, OK_HEADER | EOF_HEADER) {
            return Err(DecodeError::Malformed("an OK packet's first byte"));
        }
        let mut ok = OkPacket {
            affected_rows: reader.lenenc_int()?,
            last_insert_id: reader.lenenc_int()?,
            status: StatusFlags(reader.u16()?),
            warnings: reader.u16()?,
            ..OkPacket::default()
        };
        if capabilities.contains(Capabilities::SESSION_TRACK) {
            if !reader.is_empty() {
                ok.info = reader.lenenc_bytes()?.to_vec();
            }
            if ok.status.contains(StatusFlags::SESSION_STATE_CHANGED) && !reader.is_empty() {
                ok.session_track = reader.lenenc_bytes()?.to_vec();
            }
        } else {
            ok.info = info_text(reader).to_vec();
        }
        Ok(ok)
    }
}

/// The text at the end of an OK packet: with a length from today's servers, without from others.
fn info_text(reader: Reader<'_>) -> &[u8] {
    let mut with_length = reader;
    match with_length.lenenc_bytes() {
        Ok(text) if with_length.is_empty() => text,
        _ => reader.clone().rest(),
    }
}

/// The end of a statement that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrPacket {
    /// MySQL's error number.
    pub number: u16,
    /// The five characters of SQLSTATE.
    pub sqlstate: [u8; 5],
    /// Text for people.
    pub message: Vec<u8>,
}

impl ErrPacket {
    /// An error. `sqlstate` is five ASCII characters; another length becomes `HY000`.
    pub fn new(number: u16, sqlstate: &str, message: impl Into<Vec<u8>>) -> Self {
        let sqlstate = sqlstate.as_bytes().try_into().unwrap_or(*b"HY000");
        Self { number, sqlstate, message: message.into() }
    }

    /// Appends the packet.
    pub fn encode(&self, _capabilities: Capabilities, out: &mut Vec<u8>) {
        out.push(ERR_HEADER);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.push(b'#');
        out.extend_from_slice(&self.sqlstate);
        out.extend_from_slice(&self.message);
    }

    /// Reads an ERR packet. Before the handshake is over some servers leave out SQLSTATE, so its
    /// mark decides, not the capabilities.
    pub fn decode(payload: &[u8], _capabilities: Capabilities) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != ERR_HEADER {
            return Err(DecodeError::Malformed("an ERR packet's first byte"));
        }
        let number = reader.u16()?;
        let mut sqlstate = *b"HY000";
        if reader.peek() == Some(b'#') {
            reader.skip(1)?;
            sqlstate = reader.array()?;
        }
        Ok(Self { number, sqlstate, message: reader.rest().to_vec() })
    }

    /// SQLSTATE as text.
    pub fn sqlstate_text(&self) -> &str {
        std::str::from_utf8(&self.sqlstate).unwrap_or("HY000")
    }

    /// The message as text; bytes that are not UTF-8 are replaced.
    pub fn message_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.message)
    }
}

impl fmt::Display for ErrPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.number, self.sqlstate_text(), self.message_text())
    }
}

impl std::error::Error for ErrPacket {}

/// The end of column definitions or rows for a client without `DEPRECATE_EOF`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EofPacket {
    /// How many warnings SHOW WARNINGS would list.
    pub warnings: u16,
    /// The session's state.
    pub status: StatusFlags,
}

impl EofPacket {
    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(EOF_HEADER);
        out.extend_from_slice(&self.warnings.to_le_bytes());
        out.extend_from_slice(&self.status.0.to_le_bytes());
    }

    /// Reads an EOF packet.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != EOF_HEADER || payload.len() != EOF_LEN {
            return Err(DecodeError::Malformed("an EOF packet"));
        }
        Ok(Self { warnings: reader.u16()?, status: StatusFlags(reader.u16()?) })
    }
}

/// What a packet in the place of an answer's first packet is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    /// An OK packet.
    Ok,
    /// An ERR packet: the answer ends here.
    Err,
    /// An EOF packet, or an OK packet in its place.
    Eof,
    /// The server asks for a local file.
    LocalInfile,
    /// The number of columns of a result.
    Columns,
}

/// Classifies the first packet of an answer. An empty payload is none of these.
pub fn classify_answer(payload: &[u8]) -> Option<AnswerKind> {
    Some(match *payload.first()? {
        OK_HEADER => AnswerKind::Ok,
        ERR_HEADER => AnswerKind::Err,
        EOF_HEADER => AnswerKind::Eof,
        LOCAL_INFILE_HEADER => AnswerKind::LocalInfile,
        _ => AnswerKind::Columns,
    })
}

/// Appends a request for a file of the client.
pub fn put_local_infile(out: &mut Vec<u8>, filename: &[u8]) {
    out.push(LOCAL_INFILE_HEADER);
    out.extend_from_slice(filename);
}

/// The file name in a request for a file of the client.
pub fn parse_local_infile(payload: &[u8]) -> Result<&[u8], DecodeError> {
    match payload.split_first() {
        Some((&LOCAL_INFILE_HEADER, filename)) => Ok(filename),
        _ => Err(DecodeError::Malformed("a LOCAL INFILE request")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_packets() {
        let mut out = Vec::new();
        let ok = OkPacket {
            affected_rows: 3,
            last_insert_id: 300,
            status: StatusFlags::AUTOCOMMIT,
            warnings: 1,
            info: b"hi".to_vec(),
            session_track: Vec::new(),
        };
        ok.encode(Capabilities::PROTOCOL_41, &mut out);
        assert_eq!(out, b"\x00\x03\xfc\x2c\x01\x02\x00\x01\x00\x02hi");
        out.clear();
        ErrPacket::new(1146, "42S02", "gone").encode(Capabilities::PROTOCOL_41, &mut out);
        assert_eq!(out, b"\xff\x7a\x04#42S02gone");
        out.clear();
        EofPacket { warnings: 2, status: StatusFlags::AUTOCOMMIT }.encode(&mut out);
        assert_eq!(out, b"\xfe\x02\x00\x02\x00");
        assert!(EofPacket::decode(b"\xfe\x02\x00\x02\x00\x00").is_err());
    }

    #[test]
    fn an_error_before_the_handshake_has_no_sqlstate() {
        let err = ErrPacket::decode(b"\xff\x10\x04Too many connections", Capabilities::default())
            .unwrap();
        assert_eq!((err.number, err.sqlstate_text()), (1040, "HY000"));
        assert_eq!(err.to_string(), "1040 (HY000): Too many connections");
    }

    #[test]
    fn info_is_read_with_and_without_its_length() {
        for tail in [&b"\x02hi"[..], b"hi"] {
            let payload = [b"\x00\x00\x00\x02\x00\x00\x00", tail].concat();
            assert_eq!(OkPacket::decode(&payload, Capabilities::PROTOCOL_41).unwrap().info, b"hi");
        }
    }

    proptest! {
        #[test]
        fn ok_round_trip(affected_rows: u64, last_insert_id: u64, status: u16, warnings: u16,
                         info in proptest::collection::vec(any::<u8>(), 0..300),
                         session_track in proptest::collection::vec(any::<u8>(), 0..300), eof: bool) {
            let mut status = StatusFlags(status);
            status.set(StatusFlags::SESSION_STATE_CHANGED, !session_track.is_empty());
            let ok = OkPacket { affected_rows, last_insert_id, status, warnings, info, session_track };
            let mut out = Vec::new();
            if eof {
                ok.encode_eof(Capabilities::SESSION_TRACK, &mut out);
            } else {
                ok.encode(Capabilities::SESSION_TRACK, &mut out);
            }
            prop_assert_eq!(OkPacket::decode(&out, Capabilities::SESSION_TRACK).unwrap(), ok);
        }

        #[test]
        fn err_round_trip(number: u16, message in proptest::collection::vec(any::<u8>(), 0..100)) {
            let err = ErrPacket { number, sqlstate: *b"23000", message };
            let mut out = Vec::new();
            err.encode(Capabilities::default(), &mut out);
            prop_assert_eq!(ErrPacket::decode(&out, Capabilities::default()).unwrap(), err);
        }

        #[test]
        fn garbage_never_panics(payload in proptest::collection::vec(any::<u8>(), 0..64), capabilities: u64) {
            let capabilities = Capabilities(capabilities);
            let _ = OkPacket::decode(&payload, capabilities);
            let _ = ErrPacket::decode(&payload, capabilities);
            let _ = EofPacket::decode(&payload);
            let _ = parse_local_infile(&payload);
            let _ = classify_answer(&payload);
        }
    }
}
