//! The network: doors by port, and streams to whoever stands behind one. A stream is a pair of Unix
//! sockets, which the system moves bytes between at once and in order, so that nothing but the run's
//! own clock and numbers decides when something arrives.

use node_backend::dial::{Dial, Dialling};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What comes through a door.
pub type Arrivals = UnboundedReceiver<TcpStream>;

/// Who listens where. Clones are the same network.
#[derive(Clone, Debug, Default)]
pub struct Network(Arc<Mutex<BTreeMap<u16, UnboundedSender<TcpStream>>>>);

impl Network {
    /// Listens from now on, until [`Network::close`].
    pub fn open(&self, port: u16) -> Arrivals {
        let (sender, arrivals) = unbounded_channel();
        self.doors().insert(port, sender);
        arrivals
    }

    /// Nobody listens any longer.
    pub fn close(&self, port: u16) {
        self.doors().remove(&port);
    }

    fn doors(&self) -> MutexGuard<'_, BTreeMap<u16, UnboundedSender<TcpStream>>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn connect(&self, port: u16) -> io::Result<TcpStream> {
        let door = self.doors().get(&port).cloned();
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let door = door.ok_or_else(refused)?;
        let (near, far) = UnixStream::pair()?;
        door.send(as_stream(far)?).map_err(|_| refused())?;
        as_stream(near)
    }
}

/// Nothing that is asked of a stream depends on what kind of stream socket it is.
fn as_stream(socket: UnixStream) -> io::Result<TcpStream> {
    socket.set_nonblocking(true)?;
    TcpStream::from_std(std::net::TcpStream::from(OwnedFd::from(socket)))
}

impl Dial for Network {
    fn dial<'d>(&'d self, _: &'d str, port: u16) -> Dialling<'d> {
        Box::pin(async move { self.connect(port) })
    }
}
