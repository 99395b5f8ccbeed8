//! The compressed protocol toward a client: the two directions of a socket as streams of ordinary
//! frames. Everything above reads and writes as if nothing were compressed.

use mysql_wire::capability::Capabilities;
use mysql_wire::compressed::{
    COMPRESSED_HEADER_LEN, CompressedHeader, MAX_COMPRESSED_PAYLOAD, MIN_COMPRESS_LEN,
};
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A compressed packet of ours holds at most so much: the writer's own bursts, and no more memory.
const PLAIN_BYTES_MAX: usize = 128 * 1024;

/// Buffers that grew beyond this are given back when they are empty.
const KEEP_BYTES: usize = 16 * 1024;

/// One read from the socket.
const READ_BYTES: usize = 16 * 1024;

/// zstd's level when a client names none.
const ZSTD_LEVEL_DEFAULT: i32 = 3;

/// How the contents are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// zlib, at its fastest useful level.
    Zlib,
    /// zstd at a level from 1 to 22.
    Zstd(i32),
}

impl Method {
    /// What both sides agreed on; zlib goes first, as in a server.
    pub fn agreed(capabilities: Capabilities, zstd_level: Option<u8>) -> Option<Self> {
        if capabilities.contains(Capabilities::COMPRESS) {
            return Some(Method::Zlib);
        }
        let level = zstd_level.map_or(ZSTD_LEVEL_DEFAULT, |level| i32::from(level).clamp(1, 22));
        capabilities.contains(Capabilities::ZSTD_COMPRESSION).then_some(Method::Zstd(level))
    }

    fn compress(self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Method::Zlib => {
                let level = flate2::Compression::fast();
                let mut encoder = flate2::write::ZlibEncoder::new(out, level);
                encoder.write_all(plain)?;
                encoder.finish().map(|_| ())
            }
            Method::Zstd(level) => zstd::stream::copy_encode(plain, out, level),
        }
    }

    /// Exactly `plain_len` bytes, or an error: a packet that unfolds into more is garbage.
    fn decompress(self, packed: &[u8], plain_len: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let limit = plain_len as u64 + 1;
        let read = match self {
            Method::Zlib => flate2::read::ZlibDecoder::new(packed).take(limit).read_to_end(out)?,
            Method::Zstd(_) => zstd::Decoder::new(packed)?.take(limit).read_to_end(out)?,
        };
        match read == plain_len {
            true => Ok(()),
            false => Err(garbled("a compressed packet has another length than it says")),
        }
    }
}

fn garbled(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The number of the next compressed packet, whoever sends it: both directions count on.
#[derive(Clone, Debug, Default)]
pub struct Numbers(Rc<Cell<u8>>);

/// The reading direction.
pub struct CompressedRead {
    io: Box<dyn AsyncRead + Unpin>,
    method: Method,
    next: Numbers,
    packed: Vec<u8>,
    plain: Vec<u8>,
    /// So much of `plain` was handed on.
    at: usize,
}

impl std::fmt::Debug for CompressedRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompressedRead").field("method", &self.method).finish_non_exhaustive()
    }
}

impl CompressedRead {
    /// The frames that come folded over `io`.
    pub fn new(io: Box<dyn AsyncRead + Unpin>, method: Method, next: Numbers) -> Self {
        Self { io, method, next, packed: Vec::new(), plain: Vec::new(), at: 0 }
    }

    /// Unfolds the packet at the front of what was read; false when it is not here whole.
    fn unfold(&mut self) -> io::Result<bool> {
        let Some(head) = self.packed.first_chunk::<COMPRESSED_HEADER_LEN>() else {
            return Ok(false);
        };
        let header = CompressedHeader::parse(*head);
        let end = COMPRESSED_HEADER_LEN + header.payload_len;
        if self.packed.len() < end {
            return Ok(false);
        }
        // A number of 0 begins a command; any other continues what the two sides sent before.
        if header.sequence != 0 && header.sequence != self.next.0.get() {
            return Err(garbled("a compressed packet is out of order"));
        }
        self.next.0.set(header.sequence.wrapping_add(1));
        let packed = &self.packed[COMPRESSED_HEADER_LEN..end];
        match header.plain_len {
            0 => self.plain.extend_from_slice(packed),
            plain_len => self.method.decompress(packed, plain_len, &mut self.plain)?,
        }
        self.packed.drain(..end);
        if self.packed.is_empty() && self.packed.capacity() > KEEP_BYTES {
            self.packed = Vec::new();
        }
        Ok(true)
    }
}

impl AsyncRead for CompressedRead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.at < this.plain.len() {
                let count = into.remaining().min(this.plain.len() - this.at);
                into.put_slice(&this.plain[this.at..this.at + count]);
                this.at += count;
                if this.at == this.plain.len() {
                    this.at = 0;
                    this.plain.clear();
                    this.plain.shrink_to(KEEP_BYTES);
                }
                return Poll::Ready(Ok(()));
            }
            if this.unfold()? {
                continue;
            }
            let mut chunk = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.io).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(match this.packed.is_empty() {
                    true => Ok(()),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                });
            }
            this.packed.extend_from_slice(buffer.filled());
        }
    }
}

/// The writing direction.
pub struct CompressedWrite {
    io: Box<dyn AsyncWrite + Unpin>,
    method: Method,
    next: Numbers,
    packed: Vec<u8>,
    /// So much of `packed` was written.
    at: usize,
}

impl std::fmt::Debug for CompressedWrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompressedWrite").field("method", &self.method).finish_non_exhaustive()
    }
}

impl CompressedWrite {
    /// Folds frames onto `io`.
    pub fn new(io: Box<dyn AsyncWrite + Unpin>, method: Method, next: Numbers) -> Self {
        Self { io, method, next, packed: Vec::new(), at: 0 }
    }

    /// Makes one packet of the front of `plain`, and says how much of it went in.
    fn fold(&mut self, plain: &[u8]) -> io::Result<usize> {
        let plain = &plain[..plain.len().min(PLAIN_BYTES_MAX)];
        self.packed.extend_from_slice(&[0; COMPRESSED_HEADER_LEN]);
        let mut plain_len = 0;
        if plain.len() >= MIN_COMPRESS_LEN {
            self.method.compress(plain, &mut self.packed)?;
            plain_len = plain.len();
        }
        if plain_len == 0 || self.packed.len() - COMPRESSED_HEADER_LEN >= plain.len() {
            self.packed.truncate(COMPRESSED_HEADER_LEN);
            self.packed.extend_from_slice(plain);
            plain_len = 0;
        }
        let payload_len = self.packed.len() - COMPRESSED_HEADER_LEN;
        let sequence = self.next.0.get();
        self.next.0.set(sequence.wrapping_add(1));
        let header = CompressedHeader { payload_len, sequence, plain_len };
        self.packed[..COMPRESSED_HEADER_LEN].copy_from_slice(&header.bytes());
        Ok(plain.len())
    }

    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.at < self.packed.len() {
            let written =
                ready!(Pin::new(&mut self.io).poll_write(context, &self.packed[self.at..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.at += written;
        }
        self.at = 0;
        self.packed.clear();
        self.packed.shrink_to(KEEP_BYTES);
        Poll::Ready(Ok(()))
    }
}

const _: () = assert!(PLAIN_BYTES_MAX <= MAX_COMPRESSED_PAYLOAD);

impl AsyncWrite for CompressedWrite {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        plain: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(context))?;
        let taken = self.fold(plain)?;
        // What the socket does not take now goes with the next write or the flush.
        match self.poll_drain(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(context))?;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(context))?;
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    type Folded = (CompressedRead, CompressedWrite);

    fn folded(io: tokio::io::DuplexStream, method: Method) -> Folded {
        let (read, write) = tokio::io::split(io);
        let numbers = Numbers::default();
        let read = CompressedRead::new(Box::new(read), method, numbers.clone());
        (read, CompressedWrite::new(Box::new(write), method, numbers))
    }

    fn pair(method: Method) -> (Folded, Folded) {
        let (client, server) = tokio::io::duplex(1000);
        (folded(client, method), folded(server, method))
    }

    #[tokio::test]
    async fn what_goes_in_comes_out() {
        let mixed: Vec<u8> = (0..300_000u64).map(|at| (at * at / 7) as u8).collect();
        let texts: [&[u8]; 4] = [b"short", &[b'a'; 5000], &mixed, b"x"];
        for method in [Method::Zlib, Method::Zstd(3)] {
            let ((mut from_server, mut to_server), (mut from_client, mut to_client)) = pair(method);
            for text in texts {
                let ask = async {
                    to_server.write_all(text).await.unwrap();
                    to_server.flush().await.unwrap();
                };
                let mut got = vec![0; text.len()];
                let hear = async { from_client.read_exact(&mut got).await.unwrap() };
                tokio::join!(ask, hear);
                assert!(got == text, "{method:?}");
                let mut back = vec![0; text.len()];
                let answer = async {
                    to_client.write_all(&got).await.unwrap();
                    to_client.flush().await.unwrap();
                };
                tokio::join!(answer, async { from_server.read_exact(&mut back).await.unwrap() });
                assert!(back == text, "{method:?}");
            }
        }
    }

    async fn read_all(packed: Vec<u8>) -> io::Result<Vec<u8>> {
        let io = Box::new(std::io::Cursor::new(packed));
        let mut reader = CompressedRead::new(io, Method::Zlib, Numbers::default());
        let mut out = Vec::new();
        reader.read_to_end(&mut out).await.map(|_| out)
    }

    #[tokio::test]
    async fn garbage_is_an_error() {
        let mut packed = Vec::new();
        Method::Zlib.compress(&[7; 1000], &mut packed).unwrap();
        let with = |sequence, plain_len, packed: &[u8]| {
            let header = CompressedHeader { payload_len: packed.len(), sequence, plain_len };
            [&header.bytes()[..], packed].concat()
        };
        assert_eq!(read_all(with(0, 1000, &packed)).await.unwrap(), [7; 1000]);
        for wrong in [
            with(0, 999, &packed),
            with(0, 1001, &packed),
            with(3, 1000, &packed),
            with(0, 1000, &packed[1..]),
            with(0, 1000, &packed)[..20].to_vec(),
            with(0, 10, b"no zlib at all"),
        ] {
            read_all(wrong).await.unwrap_err();
        }
    }
}
