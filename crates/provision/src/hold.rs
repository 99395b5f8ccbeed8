//! Keeps clients waiting at an address that nobody serves for a moment, because its only node is
//! being replaced. A socket listens there whose filter drops the first packet of each handshake: the
//! client's kernel tries again a second later and then meets the node, instead of being refused.

use crate::error::ProvisionError;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Load the byte with the TCP flags, keep SYN and ACK of it, and drop the packet if that is SYN
/// alone: the first one of a handshake.
const DROP_FIRST_PACKETS: [SockFilter; 5] = [
    SockFilter::new(0x30, 0, 0, 13),
    SockFilter::new(0x54, 0, 0, 0x12),
    SockFilter::new(0x15, 0, 1, 0x02),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

/// Nobody can ever be in this queue.
const BACKLOG: i32 = 1;

/// Clients wait while this lives.
#[derive(Debug, Default)]
#[must_use = "clients wait while it lives"]
pub struct Held(Vec<TcpListener>);

impl Held {
    /// Holds clients at addresses that nodes share.
    pub fn at(addresses: &[SocketAddr]) -> Result<Self, ProvisionError> {
        let held = addresses.iter().map(|address| {
            hold(*address).map_err(|source| ProvisionError::Hold { address: *address, source })
        });
        Ok(Self(held.collect::<Result<_, _>>()?))
    }

    /// Whether anybody is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn hold(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.attach_filter(&DROP_FIRST_PACKETS)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    #[test]
    fn clients_wait_until_somebody_serves() {
        let server = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        server.set_reuse_address(true).unwrap();
        server.set_reuse_port(true).unwrap();
        server.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        let address = server.local_addr().unwrap().as_socket().unwrap();
        assert!(TcpStream::connect(address).is_err(), "nobody listens yet");
        let held = Held::at(&[address]).unwrap();
        assert!(!held.is_empty());
        let begun = Instant::now();
        let client = std::thread::spawn(move || TcpStream::connect(address));
        std::thread::sleep(Duration::from_millis(200));
        assert!(!client.is_finished(), "neither served nor refused");
        server.listen(8).unwrap();
        drop(held);
        client.join().unwrap().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
