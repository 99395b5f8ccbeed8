//! How the stream to a server is opened: by TCP, or by whoever runs the whole program with streams
//! and servers of his own. After it is open nobody asks how it came about.

use socket2::{SockRef, TcpKeepalive};
use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// A peer that says nothing is asked whether it lives after this long.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A stream that is being opened.
pub type Dialling<'d> = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send + 'd>>;

/// Opens streams to servers; none stands for TCP.
pub type Dialler = Option<Arc<dyn Dial>>;

/// Opens streams to servers. Any connected stream socket will do.
pub trait Dial: Send + Sync + Debug {
    /// Opens one, without any bound of its own.
    fn dial<'d>(&'d self, host: &'d str, port: u16) -> Dialling<'d>;
}

/// Opens a stream by TCP.
pub(crate) async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    Ok(stream)
}
