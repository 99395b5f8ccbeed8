//! Why bytes could not be read. The text names the field or packet, never the bytes: they may
//! hold a password.

/// A packet, or the framing around it, breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The payload ends inside the named thing.
    #[error("malformed packet: it ends inside {0}")]
    Truncated(&'static str),
    /// The named thing has a value that the protocol does not allow.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// A message is larger than the reader allows (`max_allowed_packet`).
    #[error("packet is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A frame carries another sequence number than is due.
    #[error("packets out of order: expected number {expected}, got {got}")]
    Sequence {
        /// The number that was due.
        expected: u8,
        /// The number that came.
        got: u8,
    },
}
