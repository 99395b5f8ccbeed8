//! The header of the compressed protocol. Behind the login each direction is cut into compressed
//! packets, whose contents, put end to end, are the ordinary frames; a packet and a frame need not
//! begin or end at the same place. Their numbers count by themselves: from 0 with each command.

/// Bytes before the contents of a compressed packet.
pub const COMPRESSED_HEADER_LEN: usize = 7;

/// The greatest contents of a compressed packet, before and after compression.
pub const MAX_COMPRESSED_PAYLOAD: usize = 0xFF_FFFF;

/// Contents shorter than this are sent as they are: compressing them would make them longer.
pub const MIN_COMPRESS_LEN: usize = 50;

/// The seven bytes before the contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressedHeader {
    /// Length of what follows the header, in bytes.
    pub payload_len: usize,
    /// Counts compressed packets within one exchange, modulo 256.
    pub sequence: u8,
    /// Length before compression, in bytes; 0 when the contents are not compressed.
    pub plain_len: usize,
}

impl CompressedHeader {
    /// Reads a header.
    pub fn parse(bytes: [u8; COMPRESSED_HEADER_LEN]) -> Self {
        let [a, b, c, sequence, d, e, f] = bytes;
        Self {
            payload_len: u32::from_le_bytes([a, b, c, 0]) as usize,
            sequence,
            plain_len: u32::from_le_bytes([d, e, f, 0]) as usize,
        }
    }

    /// The header's bytes. Both lengths must be at most [`MAX_COMPRESSED_PAYLOAD`].
    pub fn bytes(self) -> [u8; COMPRESSED_HEADER_LEN] {
        debug_assert!(self.payload_len <= MAX_COMPRESSED_PAYLOAD);
        debug_assert!(self.plain_len <= MAX_COMPRESSED_PAYLOAD);
        let [a, b, c, _] = (self.payload_len as u32).to_le_bytes();
        let [d, e, f, _] = (self.plain_len as u32).to_le_bytes();
        [a, b, c, self.sequence, d, e, f]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back() {
        let header = CompressedHeader { payload_len: 0x01_0203, sequence: 9, plain_len: 0xFF_FFFF };
        assert_eq!(header.bytes(), [3, 2, 1, 9, 255, 255, 255]);
        assert_eq!(CompressedHeader::parse(header.bytes()), header);
    }
}
