//! What is done for the whole node on its background thread: the recovery of distributed
//! transactions, the questions how much data nodes allow, and the search for deadlocks.

use crate::shared::Shared;
use node_exec::backends::Backends;
use node_exec::recovery::{LOOK_EVERY, Recovery};
use std::sync::Arc;

/// Looks for abandoned branches until the process ends. With one data node there is nothing
/// distributed to look for.
pub async fn run(shared: Arc<Shared>) {
    let backends = Backends::with_standings(&shared.standings).dialling(&shared.dialler);
    // A data node that hangs must not hold up the others' recovery.
    let searching = crate::deadlocks::run(&shared, &backends);
    futures::future::join3(rounds(shared.clone(), &backends), obey(&backends), searching).await;
}

async fn obey(backends: &Backends) {
    let Some(mut news) = backends.news() else { return };
    while news.changed().await.is_ok() {
        backends.obey();
    }
}

async fn rounds(shared: Arc<Shared>, backends: &Backends) {
    backends.set_connections_max(3);
    let mut recovery = Recovery::new(shared.node_id.clone(), shared.in_flight.clone());
    for number in 0.. {
        if let Some(snapshot) = shared.snapshot() {
            backends.follow(&snapshot);
            crate::limits::round(&shared, backends, number).await;
            if snapshot.data_nodes.len() > 1 {
                recovery.round(backends).await;
            }
            backends.maintain().await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
