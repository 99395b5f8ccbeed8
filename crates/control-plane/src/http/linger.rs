//! Closing without losing the last answer. A server that closes a connection on which bytes lie
//! unread makes the kernel send a reset, and the client may never see what it was answered, for
//! example that its body is too long. After such an answer the sending side is closed first and
//! what still comes is thrown away, for a bounded time and up to a bounded length.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// The longest time for which what comes late is thrown away.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// The most bytes that are thrown away.
const LINGER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes that are thrown away at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// Says that a connection was answered before its request was read whole.
#[derive(Clone, Debug, Default)]
pub struct Unread(Arc<AtomicBool>);

impl Unread {
    /// Whether the last answer went out while a body was still coming.
    pub fn set(&self, unread: bool) {
        self.0.store(unread, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream that closes so.
#[derive(Debug)]
pub struct Lingering<S> {
    stream: S,
    unread: Unread,
    closing: Option<Closing>,
}

#[derive(Debug)]
struct Closing {
    until: Pin<Box<Sleep>>,
    dropped: usize,
}

impl<S> Lingering<S> {
    /// Closes this stream so when `unread` is set by then.
    pub fn new(stream: S, unread: Unread) -> Self {
        Self { stream, unread, closing: None }
    }
}

impl<S: AsyncRead + Unpin> Lingering<S> {
    /// Ready when nothing more comes or a bound is reached.
    fn poll_drop_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let closing = self.closing.get_or_insert_with(|| Closing {
            until: Box::pin(tokio::time::sleep(LINGER_TIMEOUT)),
            dropped: 0,
        });
        let mut chunk = [0; CHUNK_BYTES];
        while closing.dropped < LINGER_BYTES_MAX && closing.until.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut chunk);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    closing.dropped += buffer.filled().len();
                }
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.is_none() {
            std::task::ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        if self.unread.is_set() {
            std::task::ready!(self.poll_drop_rest(cx));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_comes_after_the_answer_is_taken_until_the_end() {
        let (client, server) = tokio::io::duplex(1024);
        let unread = Unread::default();
        unread.set(true);
        let mut server = Lingering::new(server, unread);
        let (mut from, mut to) = tokio::io::split(client);
        let sending = tokio::spawn(async move {
            for _ in 0..64 {
                to.write_all(&[7; 1024]).await.unwrap();
            }
            to.shutdown().await.unwrap();
        });
        server.write_all(b"too long").await.unwrap();
        server.shutdown().await.unwrap();
        sending.await.unwrap();
        let mut answer = Vec::new();
        from.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"too long");
    }

    #[tokio::test]
    async fn it_ends_though_the_client_does_not() {
        let (_client, server) = tokio::io::duplex(1024);
        let (unread, begun) = (Unread::default(), tokio::time::Instant::now());
        Lingering::new(server, unread.clone()).shutdown().await.unwrap();
        assert!(begun.elapsed() < LINGER_TIMEOUT, "everything was read");
        let (_client, server) = tokio::io::duplex(1024);
        unread.set(true);
        Lingering::new(server, unread).shutdown().await.unwrap();
        assert!((LINGER_TIMEOUT..LINGER_TIMEOUT * 2).contains(&begun.elapsed()));
    }
}
