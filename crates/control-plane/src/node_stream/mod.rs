//! The nodes' side of the control plane: one stream a node over mutual TLS. Snapshots go out,
//! what nodes serve and that they live comes in, and DDL statements ask their questions.

mod connection;
mod frames;
mod live;
mod peers;

pub use live::LiveNodes;

use control_app::App;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// Streams at the same time; 32 nodes an instance.
const STREAMS_MAX: usize = 4_096;

/// The TLS handshake must be done within this.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the certificate was issued for this node's id.
pub fn is_certificate_of(certificate: &CertificateDer<'_>, node_id: &str) -> bool {
    let (Ok(parsed), Ok(name)) =
        (rustls::server::ParsedCertificate::try_from(certificate), ServerName::try_from(node_id))
    else {
        return false;
    };
    rustls::client::verify_server_name(&parsed, &name).is_ok()
}

/// A running server of the stream.
#[derive(Debug)]
pub struct NodeStream {
    stop: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
}

impl NodeStream {
    /// Serves nodes on this listener.
    pub fn start(
        listener: TcpListener,
        tls: Arc<ServerConfig>,
        live: Arc<LiveNodes>,
        app: Arc<App>,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, TlsAcceptor::from(tls), live, app, stopped));
        Self { stop, accepting }
    }

    /// Accepts no more and ends all streams; nodes go on serving what they have.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.accepting.await;
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    live: Arc<LiveNodes>,
    app: Arc<App>,
    mut stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(STREAMS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a node's connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(limit = STREAMS_MAX, "too many node streams");
            continue;
        };
        let (acceptor, live, app, mut stopped) =
            (acceptor.clone(), live.clone(), app.clone(), stopped.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let serve = async {
                match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => connection::serve(stream, &live, &app).await,
                    Ok(Err(error)) => {
                        tracing::info!(%error, "a peer of the node stream has no valid certificate")
                    }
                    Err(_) => tracing::info!("a peer of the node stream does not shake hands"),
                }
            };
            tokio::select! {
                () = serve => {}
                _ = stopped.changed() => {}
            }
            drop(place);
        });
    }
}
