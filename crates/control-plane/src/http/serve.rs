//! The listening side: connections are taken up to a bound, shake hands and send heads in bounded
//! time, and are let finish what they do when the server stops.

use super::linger::{Lingering, Unread};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tower::Service;

/// Connections at the same time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 1_024;

/// The TLS handshake must be done within this.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A request's head must be there within this, from the end of the one before.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// Requests of one HTTP/2 connection at the same time.
const STREAMS_MAX: u32 = 64;

/// Longest head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Requests that run when the server stops may take so long.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// A running server.
#[derive(Debug)]
pub struct HttpServer {
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    places: Arc<Semaphore>,
}

impl HttpServer {
    /// Serves `router` on this listener; over TLS when there is a set-up for it.
    pub fn start(listener: TcpListener, tls: Option<Arc<ServerConfig>>, router: Router) -> Self {
        let (stop, stopped) = watch::channel(false);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let tls = tls.map(|tls| {
            let mut tls = (*tls).clone();
            tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            TlsAcceptor::from(Arc::new(tls))
        });
        let accepting = tokio::spawn(accept(listener, tls, router, places.clone(), stopped));
        Self { stop, accepting, places }
    }

    /// Takes no more connections and waits, boundedly, for the requests that run.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.accepting.await;
        let all = u32::try_from(CONNECTIONS_MAX).expect("a small constant");
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.places.acquire_many(all)).await;
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    places: Arc<Semaphore>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: give others time to end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (tls, router, stopped) = (tls.clone(), router.clone(), stopped.clone());
        tokio::spawn(async move {
            shake_hands(stream, tls, router, Peer(peer), stopped).await;
            drop(place);
        });
    }
}

async fn shake_hands(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
    peer: Peer,
    stopped: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let unread = Unread::default();
    let stream = Lingering::new(stream, unread.clone());
    let Some(tls) = tls else { return serve(stream, router, peer, unread, stopped).await };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, router, peer, unread, stopped).await,
        Ok(Err(error)) => tracing::debug!(peer = %peer.0, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(peer = %peer.0, "a TLS handshake took too long"),
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    peer: Peer,
    unread: Unread,
    mut stopped: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let answering = router.clone().call(request);
        let unread = unread.clone();
        async move {
            let answer = answering.await;
            let too_long = |answer: &Response| answer.status() == StatusCode::PAYLOAD_TOO_LARGE;
            unread.set(answer.as_ref().is_ok_and(too_long));
            answer
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIMEOUT)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %peer.0, %error, "a connection ended early");
    }
}
