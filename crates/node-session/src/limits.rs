//! Asks data nodes how many connections they allow, which bounds the pools where the parameter
//! `max_backend_connections` leaves it open. Asked once for each data node, and again now and then,
//! for an administrator may change it.

use crate::shared::Shared;
use node_backend::query::QueryResult;
use node_exec::backends::{BackendNode, Backends};
use node_exec::error::ExecError;

/// What a data node told is asked again after so many rounds of the background task.
const ASK_AGAIN_ROUNDS: u64 = 20;

/// One round over all data nodes.
pub async fn round(shared: &Shared, backends: &Backends, number: u64) {
    for node in backends.all() {
        let id = &node.definition.id;
        if shared.quotas.knows(id) && !number.is_multiple_of(ASK_AGAIN_ROUNDS) {
            continue;
        }
        match ask(&node).await {
            Ok(Some(most)) => shared.quotas.learn(id, most),
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, data_node = %node.definition.name, "max_connections cannot be read");
            }
        }
    }
}

async fn ask(node: &BackendNode) -> Result<Option<usize>, ExecError> {
    let mut lease = node.own_lease_to_read().await?;
    let result = lease.query(b"SELECT @@GLOBAL.max_connections").await?;
    let QueryResult::Rows(set) = result else { return Ok(None) };
    Ok(set.rows.first().and_then(|row| row.text(0)).and_then(|text| text.parse().ok()))
}
