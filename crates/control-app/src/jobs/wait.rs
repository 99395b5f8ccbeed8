//! Waiting for nodes, with a bound.

use crate::app::App;
use crate::error::AppError;
use crate::greeting;
use base::id::{InstanceId, NodeId};
use control_store::record::Versioned;
use control_store::records::node::NodeRecord;
use job_engine::StepError;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// A node that was started serves within this time.
pub const NODE_START_TIMEOUT: Duration = Duration::from_secs(60);

/// Nodes take a new snapshot within this time.
pub const PUBLISH_TIMEOUT: Duration = Duration::from_secs(15);

/// How often a node that does not answer yet is asked.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

impl App {
    /// Waits until every one of these nodes serves the present snapshot and greets clients. Trying
    /// again would only wait as long again, so a failure is final.
    pub(super) async fn wait_serving(
        &self,
        id: &InstanceId,
        port: u16,
        nodes: &[Versioned<NodeRecord>],
    ) -> Result<(), StepError> {
        let deadline = Instant::now() + NODE_START_TIMEOUT;
        let version = self.snapshot(id).await?.ok_or(AppError::NoInstance)?.version;
        let ids: Vec<NodeId> = nodes.iter().map(|node| node.value.id.clone()).collect();
        self.publisher.publish(id);
        self.publisher.wait_nodes_at(id, &ids, version, NODE_START_TIMEOUT).await.map_err(
            |error| StepError::permanent(format!("{error} ({} s)", NODE_START_TIMEOUT.as_secs())),
        )?;
        for node in nodes {
            let address = SocketAddr::new(IpAddr::V4(node.value.ip), port);
            while let Err(error) = greeting::answers(address).await {
                if Instant::now() > deadline {
                    return Err(StepError::permanent(format!(
                        "node {} does not answer clients at {address}: {error}",
                        node.value.name
                    )));
                }
                tokio::time::sleep(ASK_INTERVAL).await;
            }
        }
        Ok(())
    }

    /// Waits until every node serves `version`, or serves nothing until it does.
    pub(super) async fn wait_published(
        &self,
        id: &InstanceId,
        version: u64,
    ) -> Result<(), StepError> {
        self.publisher.publish(id);
        self.in_force(id, version, PUBLISH_TIMEOUT).await?.map_err(StepError::transient)
    }
}
