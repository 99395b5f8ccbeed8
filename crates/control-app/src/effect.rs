//! When a change is in force: the nodes that are heard serve it. One that is not heard gets the
//! newest snapshot before it serves again, so nobody waits for it.

use crate::app::App;
use crate::error::AppError;
use crate::ports::NodesBehind;
use base::id::{InstanceId, NodeId};
use control_store::Revision;
use std::time::Duration;

/// A call that is done with its transaction waits so long until its change is in force. What is
/// late then takes effect later, as after a lost connection.
pub(crate) const EFFECT_TIMEOUT: Duration = Duration::from_secs(3);

impl App {
    /// Waits until every node that is heard serves `version`; those that do not in time.
    pub(crate) async fn behind(
        &self,
        id: &InstanceId,
        version: Revision,
        timeout: Duration,
    ) -> Result<Option<NodesBehind>, AppError> {
        let nodes = self.nodes_of(id).await?.into_iter().map(|node| node.value.id);
        let heard: Vec<NodeId> = nodes.filter(|node| self.publisher.is_heard(node)).collect();
        Ok(self.publisher.wait_nodes_at(id, &heard, version, timeout).await.err())
    }

    /// The same for a change that holds whether or not every node has heard of it yet.
    pub(crate) async fn wait_effect(
        &self,
        id: &InstanceId,
        version: Revision,
        timeout: Duration,
    ) -> Result<(), AppError> {
        if let Some(late) = self.behind(id, version, timeout).await? {
            tracing::warn!(instance = %id, error = %late, "a change takes effect late");
        }
        Ok(())
    }
}
