//! What the first start decides about the surroundings and every later one keeps: the ids of the
//! one VPC, subnet and security group, and the port of the nodes' stream, at which nodes look for
//! us after a restart.

use crate::options::StartError;
use base::id::{hex, random_bytes};
use control_store::record::{Record, Versioned};
use control_store::{Store, StoreError, typed};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;

/// Ports to choose from at first: below those that systems give to outgoing connections, so that
/// none of these takes it while we are down.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// Chosen ports that may turn out to be in use.
const PORT_TRIES_MAX: usize = 32;

/// The record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The VPC.
    pub vpc_id: String,
    /// The subnet.
    pub subnet_id: String,
    /// The security group.
    pub security_group_id: String,
    /// Where the nodes' stream listens.
    pub stream_port: Option<u16>,
}

impl Record for Place {
    const PREFIX: &'static str = "control-plane/place/";

    fn key(&self) -> String {
        Self::PREFIX.to_owned()
    }
}

/// The place as kept; made when there is none.
pub async fn load(store: &dyn Store) -> Result<Versioned<Place>, StoreError> {
    loop {
        if let Some(place) = typed::get::<Place>(store, Place::PREFIX).await? {
            return Ok(place);
        }
        let place = Place {
            vpc_id: uuid(),
            subnet_id: uuid(),
            security_group_id: uuid(),
            stream_port: None,
        };
        // On a conflict somebody else was first; the next look finds theirs.
        store.txn(vec![typed::absent(&place)], vec![typed::put(&place)]).await?;
    }
}

/// Listens for nodes: at the kept port, or at a new one that is kept from now on.
pub async fn listen(
    store: &dyn Store,
    place: &mut Versioned<Place>,
) -> Result<TcpListener, StartError> {
    let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if let Some(port) = place.value.stream_port {
        match TcpListener::bind(at(port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => {
                tracing::warn!(port, %error, "the port of the node stream is taken; another is used")
            }
        }
    }
    let listener =
        new_listener().await.map_err(|source| StartError::Listen { address: at(0), source })?;
    let port = listener
        .local_addr()
        .map_err(|source| StartError::Listen { address: at(0), source })?
        .port();
    place.value.stream_port = Some(port);
    let unchanged = vec![place.unchanged()];
    store.txn(unchanged, vec![typed::put(&place.value)]).await.map_err(StartError::Store)?;
    Ok(listener)
}

async fn new_listener() -> std::io::Result<TcpListener> {
    for _ in 0..PORT_TRIES_MAX {
        let port = PORTS.start + u16::from_be_bytes(random_bytes()) % (PORTS.end - PORTS.start);
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            return Ok(listener);
        }
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

/// A random id in the form of a UUID.
fn uuid() -> String {
    let digits = hex(&random_bytes::<16>());
    format!(
        "{}-{}-4{}-a{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[13..16],
        &digits[17..20],
        &digits[20..]
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use control_store::embedded::SqliteStore;

    #[tokio::test]
    async fn ids_and_port_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("store.db")).unwrap();
        let mut first = load(&*store).await.unwrap();
        assert_eq!(first.value.vpc_id.len(), 36);
        let listener = listen(&*store, &mut first).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut again = load(&*store).await.unwrap();
        assert_eq!(again.value, first.value);
        assert_eq!(again.value.stream_port, Some(port));
        // While somebody else has the port, another is taken and kept.
        let other = listen(&*store, &mut again).await.unwrap();
        assert_ne!(other.local_addr().unwrap().port(), port);
        assert_eq!(load(&*store).await.unwrap().value, again.value);
    }
}
