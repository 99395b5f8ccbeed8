//! The socket and its two buffers. Writing and reading are independent: while bytes wait to be
//! written, what arrives is read, so that a peer that answers early cannot block both sides.
//! Every step leaves its state here, so that a dropped future loses nothing and tears nothing.

use crate::dial;
use crate::error::BackendError;
use crate::options::ConnectOptions;
use bytes::{BufMut, BytesMut};
use socket2::SockRef;
use std::io;
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// First size of the read buffer and least room for a read.
const READ_CHUNK: usize = 16 * 1024;
/// Room for a read when answers come in bulk.
const READ_CHUNK_MAX: usize = 256 * 1024;
/// An idle connection keeps buffers up to this size.
const KEEP_BUFFER: usize = 32 * 1024;
/// So much is read ahead while bytes wait to be written.
const READ_AHEAD_MAX: usize = 16 << 20;
/// A peer that takes no bytes for this long is lost.
const WRITE_STALL: Duration = Duration::from_secs(60);

/// A connected socket with buffers.
#[derive(Debug)]
pub(crate) struct Link {
    stream: Arc<TcpStream>,
    address: String,
    /// Bytes that were read and not yet taken.
    pub(crate) inbox: BytesMut,
    /// Bytes to write, the first `sent` of which are written.
    pub(crate) outbox: Vec<u8>,
    sent: usize,
    chunk: usize,
    /// The largest read.
    chunk_max: usize,
    read_idle: Option<Duration>,
    broken: bool,
}

impl Link {
    /// Connects, without any bound of its own.
    pub(crate) async fn connect(options: &ConnectOptions) -> Result<Self, BackendError> {
        let address = options.address();
        let opened = match &options.dialler {
            None => dial::tcp(&options.host, options.port).await,
            Some(dialler) => dialler.dial(&options.host, options.port).await,
        };
        let stream = opened
            .map_err(|source| BackendError::Unreachable { address: address.clone(), source })?;
        Ok(Self {
            stream: Arc::new(stream),
            address,
            inbox: BytesMut::new(),
            outbox: Vec::new(),
            sent: 0,
            chunk: READ_CHUNK,
            chunk_max: READ_CHUNK_MAX,
            read_idle: None,
            broken: false,
        })
    }

    pub(crate) fn set_read_idle(&mut self, limit: Option<Duration>) {
        self.read_idle = limit;
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// From now on the connection counts as lost.
    pub(crate) fn set_broken(&mut self) {
        self.broken = true;
    }

    /// Whether all queued bytes are written.
    pub(crate) fn is_flushed(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Writes all queued bytes.
    pub(crate) async fn flush(&mut self) -> Result<(), BackendError> {
        if self.broken {
            return Err(self.lost(None));
        }
        while self.sent < self.outbox.len() {
            match self.stream.try_write(&self.outbox[self.sent..]) {
                Ok(0) => return Err(self.lost(None)),
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait_to_write().await?
                }
                Err(error) => return Err(self.lost(Some(error))),
            }
        }
        self.outbox.clear();
        self.outbox.shrink_to(KEEP_BUFFER);
        self.sent = 0;
        Ok(())
    }

    /// Waits until the peer takes bytes; meanwhile reads what it sends.
    async fn wait_to_write(&mut self) -> Result<(), BackendError> {
        let wait = async {
            if self.inbox.len() >= READ_AHEAD_MAX {
                return self.stream.writable().await;
            }
            tokio::select! {
                biased;
                ready = self.stream.writable() => ready,
                ready = self.stream.readable() => {
                    ready?;
                    self.inbox.reserve(READ_CHUNK);
                    match read_now(&self.stream, &mut self.inbox, READ_CHUNK) {
                        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                        _ => Ok(()),
                    }
                }
            }
        };
        match timeout(WRITE_STALL, wait).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.lost(Some(error))),
            Err(_) => Err(self.timed_out("take a statement", WRITE_STALL)),
        }
    }

    /// Reads some bytes; `need` says how many are missing at least.
    pub(crate) async fn fill(&mut self, need: usize) -> Result<(), BackendError> {
        if self.broken {
            return Err(self.lost(None));
        }
        // The buffer may have much more room left from a long row; one bite stays small, so that
        // what is read is passed on soon.
        let room = need.clamp(self.chunk, self.chunk_max);
        self.inbox.reserve(room);
        let target = &mut self.inbox;
        let read = match read_now(&self.stream, target, room) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match self.read_idle {
                None => read_some(&self.stream, target, room).await,
                Some(limit) => match timeout(limit, read_some(&self.stream, target, room)).await {
                    Ok(read) => read,
                    Err(_) => return Err(self.timed_out("answer", limit)),
                },
            },
            read => read,
        };
        match read {
            Ok(0) => Err(self.lost(None)),
            Ok(read) => {
                // A full buffer says that more waits: take larger bites.
                self.chunk =
                    if read == room { (self.chunk * 2).min(self.chunk_max) } else { READ_CHUNK };
                Ok(())
            }
            Err(error) => Err(self.lost(Some(error))),
        }
    }

    /// Gives back large buffers before the connection is put aside.
    pub(crate) fn shrink(&mut self) {
        if self.inbox.is_empty() && self.inbox.capacity() > KEEP_BUFFER {
            self.inbox = BytesMut::new();
        }
        self.chunk = READ_CHUNK;
        self.chunk_max = READ_CHUNK_MAX;
    }

    /// Reads no more at once than this, as far as bounds allow, until it is put aside: one of many
    /// that are read side by side.
    pub(crate) fn limit_reads(&mut self, bytes: usize) {
        self.chunk_max = bytes.clamp(READ_CHUNK, READ_CHUNK_MAX);
        self.chunk = self.chunk.min(self.chunk_max);
    }

    /// Whether an idle peer is still there and silent. Anything that it says unasked is a goodbye.
    pub(crate) fn is_silent(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        match SockRef::from(&*self.stream).peek(&mut byte) {
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            Ok(_) => false,
        }
    }

    /// What ends the connection from outside, whoever waits on it.
    pub(crate) fn cutter(&self) -> Cutter {
        Cutter(Arc::downgrade(&self.stream))
    }

    /// Returns when the peer says something, or has gone.
    pub(crate) async fn heard(&self) {
        // An error is something that it says, too.
        let _ = self.stream.readable().await;
    }

    /// Writes without waiting, as far as it goes.
    pub(crate) fn write_now(&self, bytes: &[u8]) {
        // The connection is closed right after: nobody is left to tell.
        let _ = self.stream.try_write(bytes);
    }

    fn lost(&mut self, source: Option<io::Error>) -> BackendError {
        self.broken = true;
        BackendError::Closed { address: self.address.clone(), source }
    }

    fn timed_out(&mut self, doing: &'static str, after: Duration) -> BackendError {
        self.broken = true;
        BackendError::Timeout { address: self.address.clone(), doing, after }
    }
}

/// Reads what there is, at most `room` bytes, for which there is place. A read that leaves room has taken
/// everything: the socket counts as empty from then on, so that the next statement waits for its answer
/// instead of asking the system in vain first.
fn read_now(stream: &TcpStream, inbox: &mut BytesMut, room: usize) -> io::Result<usize> {
    let mut target = inbox.limit(room);
    let mut read = 0;
    let looked = stream.try_io(Interest::READABLE, || {
        read = stream.try_read_buf(&mut target)?;
        let is_empty = read > 0 && target.has_remaining_mut();
        if is_empty { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match looked {
        Err(error) if read == 0 => Err(error),
        _ => Ok(read),
    }
}

async fn read_some(stream: &TcpStream, inbox: &mut BytesMut, room: usize) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        match read_now(stream, inbox, room) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

/// Ends a connection that somebody else holds: he finds it closed by its peer.
#[derive(Debug)]
pub(crate) struct Cutter(Weak<TcpStream>);

impl Cutter {
    /// Whether the connection is gone already.
    pub(crate) fn is_done(&self) -> bool {
        self.0.strong_count() == 0
    }

    /// Ends it.
    pub(crate) fn cut(&self) {
        if let Some(stream) = self.0.upgrade() {
            // One that is closed already needs no more.
            let _ = SockRef::from(&*stream).shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use base::secret::Secret;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    const FULL_READS: usize = 3;
    const REST: usize = 5;

    /// A socket counts as empty when a read left room, and not before: no news would come of what is
    /// still in it.
    #[tokio::test]
    async fn what_has_come_is_read_to_its_end_without_news() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let options = ConnectOptions::new("127.0.0.1", port, "", Secret::new(""));
        let (link, accepted) = tokio::join!(Link::connect(&options), listener.accept());
        let (link, mut peer) = (link.unwrap(), accepted.unwrap().0);
        peer.write_all(&vec![7; FULL_READS * READ_CHUNK + REST]).await.unwrap();
        link.heard().await;
        let mut waiting = vec![MaybeUninit::uninit(); FULL_READS * READ_CHUNK + REST];
        while SockRef::from(&*link.stream).peek(&mut waiting).unwrap() < waiting.len() {
            tokio::task::yield_now().await;
        }
        let mut inbox = BytesMut::new();
        // A long row has left much more place than one read takes.
        inbox.reserve(2 * READ_CHUNK);
        for wanted in [READ_CHUNK; FULL_READS].into_iter().chain([REST]) {
            inbox.reserve(READ_CHUNK);
            assert_eq!(read_now(&link.stream, &mut inbox, READ_CHUNK).unwrap(), wanted);
        }
        let empty = read_now(&link.stream, &mut inbox, READ_CHUNK).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        peer.write_all(&[7; REST]).await.unwrap();
        assert_eq!(read_some(&link.stream, &mut inbox, READ_CHUNK).await.unwrap(), REST);
    }
}
