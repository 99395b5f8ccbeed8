//! Looking for the node's own fence on a server of a data node, by the connection by which it is asked
//! how it does; what it means is said in [`crate::assurance`].

use crate::assurance::Look;
use base::id::{InstanceId, NodeId};
use node_backend::connection::Connection;
use node_backend::error::BackendError;
use std::time::Instant;
use topology::fence::{self, Fence, MISSING};

/// Whose fence it is.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) instance: InstanceId,
    pub(crate) node: NodeId,
    /// Whether the node has stopped serving because of a fence.
    pub(crate) fenced: bool,
}

/// Looks, and says that the fence is obeyed once it is.
pub(super) async fn look(
    connection: &mut Connection,
    question: &Question,
) -> Result<Look, BackendError> {
    let (instance, node) = (&question.instance, &question.node);
    let sent = Instant::now();
    let rows = match connection.query(fence::look(instance, node).as_bytes()).await {
        Err(BackendError::Server(error)) if MISSING.contains(&error.number) => Vec::new(),
        rows => rows?.into_rows(),
    };
    let Some(row) = rows.first() else { return Ok(Look::Free(sent)) };
    let text = |at| row.text(at).unwrap_or_default();
    let Some(fence) = Fence::parse(&text(0), &text(1)) else {
        return Err(BackendError::Unexpected("a fence that cannot be read"));
    };
    if !fence.obeyed && question.fenced {
        let obey = fence::obey(instance, node, fence.number);
        connection.execute_sql(obey.as_bytes()).await?;
    }
    Ok(Look::Fenced(sent, fence))
}

/// What the looks at a data node's servers come to: one fence is enough, and of those that have none
/// the newest look counts, for a fence comes to replicas as everything does.
pub(super) fn of_all(looks: impl Iterator<Item = Option<Look>>) -> Option<Look> {
    let rank = |look: &Look| match look {
        Look::Fenced(at, _) => (2, Some(*at)),
        Look::Free(at) => (1, Some(*at)),
        Look::Away => (0, None),
    };
    looks.flatten().max_by_key(rank)
}
