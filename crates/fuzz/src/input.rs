//! Takes an input apart: the choices at its front, then the bytes of the stranger.

use mysql_wire::Capabilities;

/// What is left of an input. Where it is too short, the missing bytes are zero.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Any set of capabilities, the extended half too.
    pub(crate) fn capabilities(&mut self) -> Capabilities {
        let low = u32::from_le_bytes(self.array());
        Capabilities::from_halves(low, u32::from(self.byte()))
    }

    /// A piece whose length the next byte says, at most what is left.
    pub(crate) fn piece(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (piece, rest) = self.0.split_at(length);
        self.0 = rest;
        piece
    }
}
