//! Free ports on loopback. A port can be taken by somebody else between the look and the start of
//! the server; the server's first start tries again with another one then.

use super::LOCAL_HOST;
use super::error::LocalMariaDbError;
use std::net::TcpListener;

/// How many ports are tried.
const TRIES: u16 = 1000;

/// Whether nobody listens on the port.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((LOCAL_HOST, port)).is_ok()
}

/// The first free port from `first` upwards that is not in `taken`; with `first` 0 any free one.
pub fn choose(first: u16, taken: &[u16]) -> Result<u16, LocalMariaDbError> {
    let none = LocalMariaDbError::NoFreePort { from: first };
    if first == 0 {
        return (0..TRIES).find_map(|_| any_free(taken)).ok_or(none);
    }
    let last = first.saturating_add(TRIES);
    (first..=last).find(|port| !taken.contains(port) && is_free(*port)).ok_or(none)
}

fn any_free(taken: &[u16]) -> Option<u16> {
    let port = TcpListener::bind((LOCAL_HOST, 0)).ok()?.local_addr().ok()?.port();
    (!taken.contains(&port)).then_some(port)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn used_and_taken_ports_are_passed_over() {
        let used = TcpListener::bind((LOCAL_HOST, 0)).unwrap();
        let port = used.local_addr().unwrap().port();
        assert!(!is_free(port));
        let chosen = choose(port, &[]).unwrap();
        assert!(chosen > port);
        assert!(choose(chosen, &[chosen]).unwrap() > chosen);
        assert_ne!(choose(0, &[]).unwrap(), 0);
    }
}
