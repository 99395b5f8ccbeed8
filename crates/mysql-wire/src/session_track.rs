//! Session changes in the tail of an OK packet: what a statement changed in its session, told by
//! the server to a client that asked for `SESSION_TRACK`.

use crate::DecodeError;
use crate::lenenc::{Reader, put_bytes, put_int};

/// Type byte of a changed system variable.
const VARIABLE: u8 = 0;
/// Type byte of a changed current database.
const SCHEMA: u8 = 1;
/// Type byte of "something changed".
const STATE_CHANGE: u8 = 2;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionChange {
    /// A system variable has a new value.
    Variable {
        /// Its name.
        name: Vec<u8>,
        /// Its new value as text.
        value: Vec<u8>,
    },
    /// The current database is now this.
    Schema(Vec<u8>),
    /// Whether anything of the session's state changed at all.
    StateChanged(bool),
    /// GTIDs, transaction state and characteristics, and whatever comes later.
    Other {
        /// Type byte.
        kind: u8,
        /// The bytes as they came.
        data: Vec<u8>,
    },
}

/// Reads the packed changes of `OkPacket::session_track`.
pub fn parse_session_track(packed: &[u8]) -> Result<Vec<SessionChange>, DecodeError> {
    let mut reader = Reader::new(packed);
    let mut changes = Vec::new();
    while !reader.is_empty() {
        let kind = reader.u8()?;
        let data = reader.lenenc_bytes()?;
        let mut fields = Reader::new(data);
        match kind {
            // MariaDB can put several pairs into one entry.
            VARIABLE => {
                while !fields.is_empty() {
                    let name = fields.lenenc_bytes()?.to_vec();
                    let value = fields.lenenc_bytes()?.to_vec();
                    changes.push(SessionChange::Variable { name, value });
                }
            }
            SCHEMA => changes.push(SessionChange::Schema(fields.lenenc_bytes()?.to_vec())),
            STATE_CHANGE => {
                changes.push(SessionChange::StateChanged(data == b"1"));
            }
            _ => changes.push(SessionChange::Other { kind, data: data.to_vec() }),
        }
    }
    Ok(changes)
}

/// Appends changes in packed form, for `OkPacket::session_track`.
pub fn put_session_track(changes: &[SessionChange], out: &mut Vec<u8>) {
    for change in changes {
        let mut data = Vec::new();
        let kind = match change {
            SessionChange::Variable { name, value } => {
                put_bytes(&mut data, name);
                put_bytes(&mut data, value);
                VARIABLE
            }
            SessionChange::Schema(name) => {
                put_bytes(&mut data, name);
                SCHEMA
            }
            SessionChange::StateChanged(changed) => {
                data.push(if *changed { b'1' } else { b'0' });
                STATE_CHANGE
            }
            SessionChange::Other { kind, data: raw } => {
                data.extend_from_slice(raw);
                *kind
            }
        };
        out.push(kind);
        put_int(out, data.len() as u64);
        out.extend_from_slice(&data);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn changes_round_trip() {
        let changes = vec![
            SessionChange::Variable { name: b"autocommit".to_vec(), value: b"ON".to_vec() },
            SessionChange::Schema(b"shop".to_vec()),
            SessionChange::StateChanged(true),
            SessionChange::StateChanged(false),
            SessionChange::Other { kind: 5, data: b"\x08T_______".to_vec() },
        ];
        let mut packed = Vec::new();
        put_session_track(&changes, &mut packed);
        assert_eq!(parse_session_track(&packed).unwrap(), changes);
        assert_eq!(&packed[..4], b"\x00\x0e\x0aa");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(packed in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse_session_track(&packed);
        }
    }
}
