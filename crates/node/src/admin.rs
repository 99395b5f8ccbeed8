//! The node's own small HTTP endpoint: health for supervisors, metrics for collectors, the version
//! served for tests. Three fixed GET paths, one request a connection; anything more would deserve
//! a framework.

use node_session::shared::Shared;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request head longer than this is refused.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// A request must be there within this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers requests until the process ends.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let done = tokio::time::timeout(REQUEST_TIMEOUT, answer(stream, &shared)).await;
                    if !matches!(done, Ok(Ok(()))) {
                        tracing::debug!(%peer, "an admin request was not finished");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the admin endpoint cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Opens the endpoint's socket.
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, crate::listen::ListenError> {
    let (bound, mut sockets) = crate::listen::listeners(address, 1, true)?;
    let socket = sockets.remove(0);
    crate::listen::open(&socket)
        .map_err(|source| crate::listen::ListenError { address: bound, source })?;
    Ok(socket)
}

async fn answer(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if head.len() > HEAD_BYTES_MAX || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (status, kind, body) = match (words.next(), words.next()) {
        (Some(b"GET"), Some(path)) => respond(path, shared),
        _ => ("405 Method Not Allowed", "text/plain", "only GET\n".to_owned()),
    };
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

fn respond(path: &[u8], shared: &Shared) -> (&'static str, &'static str, String) {
    match path {
        b"/healthz" => match shared.not_serving_reason() {
            None => ("200 OK", "text/plain", "ok\n".to_owned()),
            Some(reason) => ("503 Service Unavailable", "text/plain", format!("{reason}\n")),
        },
        b"/metrics" => ("200 OK", "text/plain; version=0.0.4", telemetry::metrics::text()),
        b"/version-of-snapshot" => ("200 OK", "text/plain", format!("{}\n", shared.version())),
        _ => {
            ("404 Not Found", "text/plain", "/healthz, /metrics, /version-of-snapshot\n".to_owned())
        }
    }
}
