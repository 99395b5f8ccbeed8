//! Length-encoded integers and strings, and the cursor with which every decoder reads. The cursor
//! checks each length against what is left, so that no decoder can index out of its payload.

use crate::DecodeError;

/// Appends a length-encoded integer.
#[inline]
pub fn put_int(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0xFA => out.push(value as u8),
        0xFB..=0xFFFF => {
            out.push(0xFC);
            out.extend_from_slice(&(value as u16).to_le_bytes());
        }
        0x1_0000..=0xFF_FFFF => {
            out.push(0xFD);
            out.extend_from_slice(&(value as u32).to_le_bytes()[..3]);
        }
        _ => {
            out.push(0xFE);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Appends a string with its length-encoded length.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_int(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a string and its closing zero byte.
pub fn put_nul(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
    out.push(0);
}

/// A cursor over a payload.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `payload`.
    #[inline]
    pub fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// How many bytes are left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether nothing is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte, which stays unread.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next `n` bytes.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(n) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(DecodeError::Truncated("a field")),
        }
    }

    /// Leaves out `n` bytes.
    pub fn skip(&mut self, n: usize) -> Result<(), DecodeError> {
        self.take(n).map(|_| ())
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// The next `N` bytes as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(*head)
            }
            None => Err(DecodeError::Truncated("a number")),
        }
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes, little-endian.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    /// Three bytes, little-endian.
    #[inline]
    pub fn u24(&mut self) -> Result<u32, DecodeError> {
        self.array::<3>().map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
    }

    /// Four bytes, little-endian.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, little-endian.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A float of four bytes.
    pub fn f32(&mut self) -> Result<f32, DecodeError> {
        self.array().map(f32::from_le_bytes)
    }

    /// A float of eight bytes.
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        self.array().map(f64::from_le_bytes)
    }

    /// A length-encoded integer. 0xFB (NULL in rows) and 0xFF (an error) are refused.
    #[inline]
    pub fn lenenc_int(&mut self) -> Result<u64, DecodeError> {
        match self.u8()? {
            0xFC => self.u16().map(u64::from),
            0xFD => self.u24().map(u64::from),
            0xFE => self.u64(),
            0xFB | 0xFF => Err(DecodeError::Malformed("0xFB or 0xFF as a length")),
            small => Ok(u64::from(small)),
        }
    }

    /// A string with a length-encoded length.
    #[inline]
    pub fn lenenc_bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.lenenc_int()?;
        let length = usize::try_from(length).map_err(|_| DecodeError::Malformed("a length"))?;
        self.take(length)
    }

    /// A string with a one-byte length.
    pub fn short_bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    /// A string up to its closing zero byte, which is read and left out.
    pub fn nul_bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let end = memchr::memchr(0, self.rest)
            .ok_or(DecodeError::Truncated("a zero-terminated string"))?;
        let text = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Ok(text)
    }

    /// As [`Reader::nul_bytes`], but the end of the payload closes the string too: some clients
    /// leave out the last zero byte.
    pub fn nul_or_rest(&mut self) -> &'a [u8] {
        self.nul_bytes().unwrap_or_else(|_| self.rest())
    }

    /// A field of a text row: `None` is NULL.
    #[inline]
    pub fn text_field(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        if self.peek() == Some(0xFB) {
            self.rest = &self.rest[1..];
            return Ok(None);
        }
        self.lenenc_bytes().map(Some)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn borders_of_the_integer_widths() {
        let cases = [
            (0u64, 1usize),
            (0xFA, 1),
            (0xFB, 3),
            (0xFFFF, 3),
            (0x1_0000, 4),
            (0xFF_FFFF, 4),
            (0x100_0000, 9),
            (u64::MAX, 9),
        ];
        for (value, width) in cases {
            let mut out = Vec::new();
            put_int(&mut out, value);
            assert_eq!(out.len(), width, "{value:#x}");
            let mut reader = Reader::new(&out);
            assert_eq!(reader.lenenc_int(), Ok(value));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn a_length_beyond_the_payload_is_an_error() {
        assert!(
            Reader::new(&[0xFE, 255, 255, 255, 255, 255, 255, 255, 255]).lenenc_bytes().is_err()
        );
        assert!(Reader::new(&[5, 1, 2]).lenenc_bytes().is_err());
        assert!(Reader::new(&[]).u8().is_err());
        assert!(Reader::new(b"abc").nul_bytes().is_err());
        assert_eq!(Reader::new(b"abc").nul_or_rest(), b"abc");
    }

    proptest! {
        #[test]
        fn strings_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..70_000)) {
            let mut out = Vec::new();
            put_bytes(&mut out, &bytes);
            prop_assert_eq!(Reader::new(&out).lenenc_bytes().unwrap(), &bytes[..]);
        }
    }
}
