//! Where the answer of a cursor waits until it is fetched: its first bytes in memory, what is more in
//! a file without a name, which goes when the session does. The writing side is a stream in the place
//! of the client's socket; it finds where the last message begins while the bytes pass.

use mysql_wire::frame::{FRAME_HEADER_LEN, FrameHeader, MAX_FRAME_PAYLOAD};
use std::cell::RefCell;
use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWrite};

/// So much of an answer stays in memory.
const MEMORY_BYTES_MAX: usize = 16 * 1024;

/// No answer is longer.
const SPOOL_BYTES_MAX: u64 = 4 << 30;

/// One read from the file.
const READ_BYTES: usize = 64 * 1024;

/// Counts messages in a run of frames, wherever the run is cut.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    header: [u8; FRAME_HEADER_LEN],
    have: usize,
    /// Bytes of the present frame's payload that are still to come.
    left: usize,
    /// The present frame goes on in another one.
    continued: bool,
}

impl Messages {
    /// Passes bytes until `wanted` messages have ended; answers how many were passed, and how many
    /// messages are still wanted.
    pub fn pass(&mut self, bytes: &[u8], mut wanted: u64) -> (usize, u64) {
        let mut at = 0;
        while at < bytes.len() && wanted > 0 {
            if self.left == 0 {
                self.header[self.have] = bytes[at];
                self.have += 1;
                at += 1;
                if self.have < FRAME_HEADER_LEN {
                    continue;
                }
                self.have = 0;
                self.left = FrameHeader::parse(self.header).payload_len;
                self.continued = self.left == MAX_FRAME_PAYLOAD;
            } else {
                let step = self.left.min(bytes.len() - at);
                self.left -= step;
                at += step;
            }
            wanted -= u64::from(self.left == 0 && !self.continued);
        }
        (at, wanted)
    }
}

/// An answer that waits.
#[derive(Debug, Default)]
pub struct Spool {
    memory: Vec<u8>,
    file: Option<File>,
    length: u64,
    messages: Messages,
    /// Where the message begins that the next byte may belong to, and where the one before it.
    next_message: u64,
    last_message: u64,
    too_long: bool,
    piece: Vec<u8>,
}

impl Spool {
    /// Where the last message begins.
    pub fn last_message(&self) -> u64 {
        self.last_message
    }

    /// The length of all, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether the answer was longer than what is kept.
    pub fn too_long(&self) -> bool {
        self.too_long
    }

    /// Some bytes from a place on, none at the end.
    pub async fn read(&mut self, at: u64) -> io::Result<&[u8]> {
        if let Ok(at) = usize::try_from(at)
            && at < self.memory.len()
        {
            return Ok(&self.memory[at..]);
        }
        let Some(file) = &mut self.file else { return Ok(&[]) };
        self.piece.resize(READ_BYTES, 0);
        file.seek(SeekFrom::Start(at - self.memory.len() as u64)).await?;
        let read = file.read(&mut self.piece).await?;
        Ok(&self.piece[..read])
    }

    /// Gives back what a read needed.
    pub fn rest(&mut self) {
        self.piece = Vec::new();
    }

    fn note(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (passed, wanted) = self.messages.pass(bytes, 1);
            self.length += passed as u64;
            bytes = &bytes[passed..];
            if wanted == 0 {
                self.last_message = self.next_message;
                self.next_message = self.length;
            }
        }
    }
}

/// The writing side of a [`Spool`].
#[derive(Clone, Debug, Default)]
pub struct SpoolWriter(pub Rc<RefCell<Spool>>);

impl AsyncWrite for SpoolWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut spool = self.0.borrow_mut();
        if spool.length + bytes.len() as u64 > SPOOL_BYTES_MAX {
            spool.too_long = true;
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        let fits = spool.memory.len() + bytes.len() <= MEMORY_BYTES_MAX;
        let written = match &mut spool.file {
            None if fits => {
                spool.memory.extend_from_slice(bytes);
                bytes.len()
            }
            None => {
                let mut file = File::from_std(tempfile::tempfile()?);
                let written = ready!(Pin::new(&mut file).poll_write(cx, bytes))?;
                spool.file = Some(file);
                written
            }
            Some(file) => ready!(Pin::new(file).poll_write(cx, bytes))?,
        };
        spool.note(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0.borrow_mut().file {
            Some(file) => Pin::new(file).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use mysql_wire::frame::put_packet;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn what_is_written_is_read_from_every_place() {
        let mut whole = Vec::new();
        let mut sequence = 0;
        let mut begins = Vec::new();
        for length in [1, 0, 20_000, 5, 40_000, 300] {
            begins.push(whole.len() as u64);
            put_packet(&mut whole, &mut sequence, &vec![7; length]);
        }
        for cut in [1, 3, 4096, 100_000] {
            let mut writer = SpoolWriter::default();
            for piece in whole.chunks(cut) {
                writer.write_all(piece).await.unwrap();
                writer.flush().await.unwrap();
            }
            let mut spool = writer.0.take();
            assert_eq!(spool.length(), whole.len() as u64);
            assert_eq!(Some(&spool.last_message()), begins.last(), "written by {cut}");
            let mut read = Vec::new();
            loop {
                let piece = spool.read(read.len() as u64).await.unwrap();
                if piece.is_empty() {
                    break;
                }
                let step = piece.len().min(777);
                read.extend_from_slice(&piece[..step]);
            }
            assert!(read == whole, "written by {cut}");
        }
    }

    #[test]
    fn a_message_of_several_frames_is_one() {
        let mut frames = Vec::new();
        let mut sequence = 0;
        put_packet(&mut frames, &mut sequence, &vec![1; MAX_FRAME_PAYLOAD + 10]);
        let first = frames.len();
        put_packet(&mut frames, &mut sequence, b"two");
        let mut messages = Messages::default();
        assert_eq!(messages.pass(&frames, 1), (first, 0));
        assert_eq!(messages.pass(&frames[first..], 5), (frames.len() - first, 4));
    }
}
