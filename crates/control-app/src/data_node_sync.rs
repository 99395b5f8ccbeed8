//! Synchronising: every data node of an instance is examined, and what changed (address, replicas,
//! version, administrator) is taken over at once, or nothing when one of them does not answer. The
//! job that goes with it ends when the nodes have the new snapshot.

use crate::app::App;
use crate::error::AppError;
use crate::instance::require_running;
use crate::jobs::{DATA_NODES_SYNC, instance_lock};
use base::api_error::{ApiError, DATA_NODE_SYNC_FAILED};
use base::id::ProjectId;
use control_api::data_node::SyncDataNodesResponse;
use futures::future::try_join_all;
use serde_json::json;

/// Data nodes are examined so often while the instance keeps changing.
const SYNC_TRIES_MAX: u32 = 5;

impl App {
    /// `POST /v1/{project_id}/instances/{instance_id}/rds/sync` and the same of v3: answers when
    /// every node that is heard has what was found.
    pub async fn sync_data_nodes(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<SyncDataNodesResponse, ApiError> {
        let done = self.begin_sync_data_nodes(project, id).await?;
        self.require_done(&done.job_id, DATA_NODE_SYNC_FAILED).await?;
        Ok(done)
    }

    /// The same, without waiting for nodes: what was found is written.
    pub async fn begin_sync_data_nodes(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<SyncDataNodesResponse, ApiError> {
        for _ in 0..SYNC_TRIES_MAX {
            let mut change = self.change_of(project, id).await?;
            require_running(&change.instance)?;
            let instance_id = change.instance.id.clone();
            let nodes = self.bound_data_nodes(&instance_id).await?;
            let examined = nodes.iter().map(async |node| {
                let databases = self.served_databases(&instance_id, &node.value.id).await?;
                self.examine(&node.value, &databases).await
            });
            for (node, found) in nodes.iter().zip(try_join_all(examined).await?) {
                if node.value == found {
                    change.require(node);
                } else {
                    change.update(node, &found);
                }
            }
            change.start_job(DATA_NODES_SYNC, instance_lock(&instance_id), None, json!({}))?;
            if let Some(committed) = change.commit().await? {
                return Ok(SyncDataNodesResponse {
                    instance_id: instance_id.to_string(),
                    job_id: committed.into_job_id(),
                });
            }
        }
        Err(AppError::Contended(SYNC_TRIES_MAX).into())
    }
}
