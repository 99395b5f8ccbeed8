//! Read weights: which share of the reads each server of an instance's data nodes gets. They belong
//! to the instance's use of the data node and are part of its snapshot, so that all nodes follow
//! the new ones at once.

use crate::app::App;
use crate::change::Tries;
use crate::instance::require_running;
use base::api_error::{ApiError, READ_POLICY_UPDATE_FAILED, READ_WEIGHT_INVALID, UNAVAILABLE};
use base::id::{DataNodeId, InstanceId, ProjectId};
use control_api::read_weight::NewWeights;
use control_store::Revision;
use control_store::record::Versioned;
use control_store::records::data_node::{DataNodeRecord, PRIMARY_WEIGHT};
use std::collections::BTreeSet;
use std::time::Duration;

/// The nodes take new weights within this time.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(15);

impl App {
    /// `PUT /v2/{project_id}/instances/{instance_id}/action/read-write-strategy` and the same of
    /// v3: answers when every node that is heard follows them. Servers that are not named keep
    /// their weights.
    pub async fn set_read_weights(
        &self,
        project: &ProjectId,
        instance_id: &str,
        weights: &NewWeights,
    ) -> Result<InstanceId, ApiError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, instance_id).await?;
            require_running(&change.instance)?;
            let id = change.instance.id.clone();
            let nodes = self.bound_data_nodes(&id).await?;
            let mut after: Vec<DataNodeRecord> =
                nodes.iter().map(|node| node.value.clone()).collect();
            set_weights(&mut after, weights)?;
            for (node, after) in nodes.iter().zip(&after).filter(|(node, to)| node.value != **to) {
                change.update(node, after);
            }
            if let Some(committed) = change.commit().await? {
                self.wait_followed(&id, committed.revision).await?;
                return Ok(id);
            }
            tries.again()?;
        }
    }

    async fn wait_followed(&self, id: &InstanceId, version: Revision) -> Result<(), ApiError> {
        let Err(late) = self.in_force(id, version, PUBLISH_TIMEOUT).await? else { return Ok(()) };
        tracing::warn!(instance = %id, error = %late, "new read weights are not everywhere");
        Err(ApiError::new(UNAVAILABLE).because(
            "The weights are set, but not every node has taken them yet.",
            "权重已设置，但部分节点尚未生效。",
        ))
    }

    /// The data nodes that an instance uses.
    pub(crate) async fn bound_data_nodes(
        &self,
        id: &InstanceId,
    ) -> Result<Vec<Versioned<DataNodeRecord>>, crate::error::AppError> {
        let all = self.all_data_nodes().await?;
        Ok(all.into_iter().filter(|node| node.value.is_bound_to(id)).collect())
    }
}

/// Sets the weights on these data nodes, which are all that the instance uses.
fn set_weights(nodes: &mut [DataNodeRecord], weights: &NewWeights) -> Result<(), ApiError> {
    let refused = |english: String, chinese: String| {
        ApiError::new(READ_POLICY_UPDATE_FAILED).field(weights.field).because(english, chinese)
    };
    let mut touched = BTreeSet::new();
    for entry in &weights.entries {
        let mut of_entry = BTreeSet::new();
        for (id, weight) in entry {
            let at = nodes.iter().position(|node| has_server(node, id)).ok_or_else(|| {
                let id = DataNodeId::parse(id).map(|id| id.to_string()).unwrap_or_default();
                refused(
                    format!("{id} is no data node of the instance and no replica of one"),
                    format!("{id}不是该实例的数据节点或其只读节点"),
                )
            })?;
            set_weight(&mut nodes[at], id, *weight);
            of_entry.insert(at);
        }
        if weights.one_data_node_each && of_entry.len() > 1 {
            return Err(refused(
                "each entry must be about one data node and its replicas".to_owned(),
                "每个条目只能包含一个数据节点及其只读节点".to_owned(),
            ));
        }
        touched.extend(of_entry);
    }
    for node in touched.into_iter().map(|at| &nodes[at]) {
        if node.replicas.is_empty() && node.read_weight != PRIMARY_WEIGHT {
            return Err(refused(
                format!("{} has no read replica: all reads go to it", node.name),
                format!("{}没有只读节点，不能设置读权重", node.name),
            ));
        }
        if total(node) == 0 {
            return Err(ApiError::new(READ_WEIGHT_INVALID).field(weights.field).because(
                format!("one server of {} must have a weight above 0", node.name),
                format!("{}至少有一个节点的权重大于0", node.name),
            ));
        }
    }
    Ok(())
}

fn has_server(node: &DataNodeRecord, id: &str) -> bool {
    node.id.as_str() == id || node.replicas.iter().any(|replica| replica.id.as_str() == id)
}

/// Sets one server's weight, also where it is registered anew and not yet in use.
fn set_weight(node: &mut DataNodeRecord, id: &str, weight: u32) {
    if node.id.as_str() == id {
        node.read_weight = weight;
    }
    let pending = node.pending.iter_mut().flat_map(|pending| &mut pending.replicas);
    for replica in node.replicas.iter_mut().chain(pending) {
        if replica.id.as_str() == id {
            replica.read_weight = weight;
        }
    }
}

/// The weights of all servers of a data node together.
pub(crate) fn total(node: &DataNodeRecord) -> u32 {
    node.replicas.iter().map(|replica| replica.read_weight).sum::<u32>() + node.read_weight
}

/// Reads must go somewhere: without a replica, or with no weight at all, to the primary.
pub(crate) fn mend_weights(node: &mut DataNodeRecord) {
    if node.replicas.is_empty() || total(node) == 0 {
        node.read_weight = PRIMARY_WEIGHT;
    }
}
