//! Listening sockets. Every worker has its own socket on every address (SO_REUSEPORT), so the
//! kernel spreads connections and no connection changes threads. A node's own address is probed
//! first without SO_REUSEPORT: otherwise a second process would share the port without a word.

use socket2::{Domain, Protocol, Socket, Type};
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

fn socket(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// One listener of an address for each of `workers`; port 0 becomes the same free port for all.
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
        let error = listeners(bound, 1, true).unwrap_err().to_string();
        assert!(error.contains(&bound.to_string()) && error.contains("another process"), "{error}");
        assert!(listeners(bound, 1, false).is_ok());
    }
}
