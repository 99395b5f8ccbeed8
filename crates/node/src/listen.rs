//! Listening sockets. Every worker has its own socket on every address (SO_REUSEPORT), so the
//! kernel spreads connections and no connection changes threads. A node's own address is probed
//! first without SO_REUSEPORT: otherwise a second process would share the port without a word.
//!
//! A shared address is one that other nodes serve too. A node takes its share of the connections
//! only when it can serve them, so its sockets are bound at the start and opened later; and it gives
//! its share back without losing a connection: what a kernel has already handed to a socket would be
//! reset when the socket is closed, so new handshakes are first turned away (the client's kernel
//! tries again, and then meets another node) while those that are through are still accepted.

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Connections that the kernel holds for us before we accept them.
const BACKLOG: i32 = 4096;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", explain(.source))]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: io::Error,
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process uses this port; stop it or configure another port".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have this address".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not use this port".to_owned(),
        _ => error.to_string(),
    }
}

fn socket(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Connections may come from now on.
pub fn open(listener: &TcpListener) -> io::Result<()> {
    SockRef::from(listener).listen(BACKLOG)
}

/// Load the byte with the TCP flags, keep SYN and ACK of it, and drop the packet if that is SYN
/// alone: the first one of a handshake.
const DROP_FIRST_PACKETS: [SockFilter; 5] = [
    SockFilter::new(0x30, 0, 0, 13),
    SockFilter::new(0x54, 0, 0, 0x12),
    SockFilter::new(0x15, 0, 1, 0x02),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

/// Turns new handshakes away, without a word to the client; those that have begun go on.
pub fn turn_away(listener: &tokio::net::TcpListener) -> io::Result<()> {
    SockRef::from(listener).attach_filter(&DROP_FIRST_PACKETS)
}

/// One listener of an address for each of `workers`, not open yet; port 0 becomes the same free
/// port for all.
pub fn listeners(
    address: SocketAddr,
    workers: usize,
    exclusive: bool,
) -> Result<(SocketAddr, Vec<TcpListener>), ListenError> {
    let fail = |source| ListenError { address, source };
    if exclusive && address.port() != 0 {
        drop(socket(address, false).map_err(fail)?);
    }
    let first = socket(address, true).map_err(fail)?;
    let bound = first.local_addr().map_err(fail)?;
    let mut all = vec![first];
    for _ in 1..workers {
        all.push(socket(bound, true).map_err(fail)?);
    }
    Ok((bound, all))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn workers_share_a_port_and_a_used_one_is_named() {
        let (bound, all) = listeners("127.0.0.1:0".parse().unwrap(), 3, true).unwrap();
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|one| one.local_addr().unwrap() == bound));
        all.iter().for_each(|one| open(one).unwrap());
        let error = listeners(bound, 1, true).unwrap_err().to_string();
        assert!(error.contains(&bound.to_string()) && error.contains("another process"), "{error}");
        assert!(listeners(bound, 1, false).is_ok());
    }

    #[test]
    fn a_socket_that_is_not_open_or_turns_away_gets_no_connection() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (bound, mut sockets) = listeners("127.0.0.1:0".parse().unwrap(), 2, true).unwrap();
            assert!(tokio::net::TcpStream::connect(bound).await.is_err(), "none is open");
            let serves = sockets.pop().unwrap();
            open(&serves).unwrap();
            let serves = tokio::net::TcpListener::from_std(serves).unwrap();
            for _ in 0..50 {
                let (client, server) =
                    tokio::join!(tokio::net::TcpStream::connect(bound), serves.accept());
                client.unwrap();
                server.unwrap();
            }
            turn_away(&serves).unwrap();
            let late = tokio::time::timeout(
                std::time::Duration::from_millis(100),
                tokio::net::TcpStream::connect(bound),
            );
            assert!(late.await.is_err(), "neither accepted nor refused");
            // Another takes over what was turned away, when the client's kernel tries again.
            let client = tokio::spawn(tokio::net::TcpStream::connect(bound));
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            let other = sockets.pop().unwrap();
            open(&other).unwrap();
            let other = tokio::net::TcpListener::from_std(other).unwrap();
            drop(serves);
            other.accept().await.unwrap();
            client.await.unwrap().unwrap();
        });
    }
}
