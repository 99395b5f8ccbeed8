//! Nodes: their status as seen now, and what each is started with.

use crate::app::App;
use crate::error::AppError;
use crate::flavor;
use crate::ports::IssuedCertificates;
use crate::reconcile::mirror::WantedNode;
use base::api_error::{ApiError, NOT_FOUND};
use base::id::{InstanceId, NodeId, ProjectId};
use base::secret::Secret;
use control_api::node::{ListNodesResponse, NodeRow, ShowNodeResponse, ShowNodeV3Response};
use control_api::paging::{Page, total};
use control_store::record::Versioned;
use control_store::records::Sealed;
use control_store::records::instance::{InstanceRecord, InstanceStatus};
use control_store::records::node::{NodeRecord, NodeStage};
use provision::{NodeSpec, NodeTls, Stop};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long a node may take to stop: what its transactions get, but never less than the statements
/// that run, and what it takes to hand its share of new connections to the others.
pub(crate) fn drain(instance: &InstanceRecord) -> Stop {
    let seconds = instance.parameters.get_unsigned("live_transaction_timeout_on_shutdown");
    Stop::Drain(Duration::from_secs(seconds).max(STATEMENT_TIME) + HANDOVER_TIME)
}

/// Statements that run when a node is stopped get so long.
const STATEMENT_TIME: Duration = Duration::from_secs(2);

/// A node hands its share of new connections to the others within this.
const HANDOVER_TIME: Duration = Duration::from_secs(1);

/// What a node is now, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeStatus {
    /// It serves.
    Normal,
    /// It is stopped or started on purpose.
    Restarting,
    /// It comes up for the first time.
    Creating,
    /// It gets another class.
    Resizing,
    /// It should serve and is not heard.
    Abnormal,
    /// It could not join and is being taken away again.
    EnlargeFail,
    /// It never came up.
    CreateFail,
}

impl NodeStatus {
    /// Its name in calls about nodes.
    pub fn name(self) -> &'static str {
        match self {
            NodeStatus::Normal => "normal",
            NodeStatus::Restarting | NodeStatus::Abnormal => "abnormal",
            NodeStatus::Creating => "creating",
            NodeStatus::Resizing => "resizing",
            NodeStatus::EnlargeFail => "enlargefail",
            NodeStatus::CreateFail => "createfail",
        }
    }

    /// Its name in calls about instances.
    pub fn in_instance_calls(self) -> &'static str {
        match self {
            NodeStatus::Normal => "RUNNING",
            NodeStatus::Restarting => "RESTARTING",
            NodeStatus::Abnormal => "ERROR",
            NodeStatus::Creating => "CREATING",
            NodeStatus::Resizing => "RESIZING",
            NodeStatus::EnlargeFail => "ENLARGEFAILED",
            NodeStatus::CreateFail => "CREATEFAILED",
        }
    }
}

/// What is sealed of a node's certificates: texts alone, so that it can be kept as one secret.
#[derive(Serialize, Deserialize)]
struct KeptCertificates {
    ca: String,
    cert: String,
    key: Secret,
    mysql_cert: String,
    mysql_key: Secret,
}

impl App {
    /// `GET /v1/{project_id}/instances/{instance_id}/nodes`
    pub async fn list_nodes(
        &self,
        project: &ProjectId,
        instance_id: &str,
        page: Page,
    ) -> Result<ListNodesResponse, ApiError> {
        let instance = self.instance(project, instance_id).await?.value;
        let all = self.nodes_of(&instance.id).await?;
        let total = total(&all);
        let nodes = page.cut(all).into_iter().map(|node| NodeRow {
            port: instance.port.to_string(),
            status: self.node_status(&instance, &node.value).name().to_owned(),
            node_id: node.value.id.to_string(),
            ip: node.value.ip.to_string(),
            group_id: node.value.group_id.to_string(),
        });
        Ok(ListNodesResponse {
            nodes: nodes.collect(),
            offset: page.offset,
            limit: page.limit,
            total,
        })
    }

    /// `GET /v1/{project_id}/instances/{instance_id}/nodes/{node_id}`
    pub async fn show_node(
        &self,
        project: &ProjectId,
        instance_id: &str,
        node_id: &str,
    ) -> Result<ShowNodeResponse, ApiError> {
        let (instance, node) = self.instance_and_node(project, instance_id, node_id).await?;
        Ok(ShowNodeResponse {
            status: self.node_status(&instance, &node).name().to_owned(),
            name: node.name.clone(),
            private_ip: node.ip.to_string(),
            floating_ip: node.ip.to_string(),
            server_id: derived_id(&node.id, 'a'),
            subnet_name: self.settings.subnet_name.clone(),
            datavolume_id: derived_id(&node.id, 'b'),
            res_subnet_ip: node.ip.to_string(),
            systemvolume_id: derived_id(&node.id, 'c'),
            group_id: node.group_id.to_string(),
            subnet_id: instance.subnet_id,
            node_id: node.id.to_string(),
        })
    }

    /// `GET /v3/{project_id}/instances/{instance_id}/nodes/{node_id}`
    pub async fn show_node_v3(
        &self,
        project: &ProjectId,
        instance_id: &str,
        node_id: &str,
    ) -> Result<ShowNodeV3Response, ApiError> {
        let (instance, node) = self.instance_and_node(project, instance_id, node_id).await?;
        Ok(ShowNodeV3Response {
            status: self.node_status(&instance, &node).name().to_owned(),
            id: node.id.to_string(),
            private_ip: node.ip.to_string(),
            name: node.name,
            subnet_id: instance.subnet_id,
            az_code: node.availability_zone,
            group_id: node.group_id.to_string(),
        })
    }

    pub(crate) async fn instance_and_node(
        &self,
        project: &ProjectId,
        instance_id: &str,
        node_id: &str,
    ) -> Result<(InstanceRecord, NodeRecord), ApiError> {
        let missing = || ApiError::not_found(NOT_FOUND, "The node does not exist.", "节点不存在。");
        let instance = self.instance(project, instance_id).await?.value;
        let node_id = NodeId::parse(node_id).ok_or_else(missing)?;
        let node: Option<Versioned<NodeRecord>> =
            self.get(&NodeRecord::key_of(&instance.id, &node_id)).await?;
        Ok((instance, node.ok_or_else(missing)?.value))
    }

    /// Whether the instance has this node.
    pub async fn is_node_of(
        &self,
        instance_id: &InstanceId,
        node_id: &NodeId,
    ) -> Result<bool, AppError> {
        let node: Option<Versioned<NodeRecord>> =
            self.get(&NodeRecord::key_of(instance_id, node_id)).await?;
        Ok(node.is_some())
    }

    /// The nodes of an instance, by name.
    pub(crate) async fn nodes_of(
        &self,
        id: &InstanceId,
    ) -> Result<Vec<Versioned<NodeRecord>>, AppError> {
        Ok(by_name(self.list(&NodeRecord::prefix_of(id)).await?))
    }

    /// What lists say of the nodes of each of these instances; their records, which are long, are
    /// not read for that.
    pub(crate) async fn wanted_nodes_of(
        &self,
        instances: &[Versioned<InstanceRecord>],
    ) -> Result<Vec<Vec<WantedNode>>, AppError> {
        let mut mirror = self.node_mirror.lock().await;
        Ok(mirror.of_each(&*self.store, instances.iter().map(|one| &one.value.id)).await?)
    }

    /// What the node is now.
    pub(crate) fn node_status(&self, instance: &InstanceRecord, node: &NodeRecord) -> NodeStatus {
        self.status_of(instance, &node.id, node.stage)
    }

    /// What the node of this id is now that is so far.
    pub(crate) fn status_of(
        &self,
        instance: &InstanceRecord,
        node: &NodeId,
        stage: NodeStage,
    ) -> NodeStatus {
        match stage {
            NodeStage::Creating => NodeStatus::Creating,
            NodeStage::CreateFailed => NodeStatus::CreateFail,
            NodeStage::EnlargeFailed => NodeStatus::EnlargeFail,
            NodeStage::Resizing => NodeStatus::Resizing,
            NodeStage::Made | NodeStage::Leaving if self.publisher.is_heard(node) => {
                NodeStatus::Normal
            }
            NodeStage::Leaving => NodeStatus::Restarting,
            NodeStage::Made if instance.status == InstanceStatus::Restarting => {
                NodeStatus::Restarting
            }
            NodeStage::Made => NodeStatus::Abnormal,
        }
    }

    /// What the node is started with; `None` while it has no certificates.
    pub(crate) async fn node_spec(
        &self,
        instance: &InstanceRecord,
        node: &NodeRecord,
    ) -> Result<Option<NodeSpec>, AppError> {
        let Some(sealed) = &node.certificates else { return Ok(None) };
        let group = self.group_of(instance, node).await?;
        let code = node.flavor_code.as_deref().unwrap_or(&group.flavor_code);
        let class = flavor::by_code(code)
            .ok_or_else(|| AppError::Broken(format!("there is no node class {code}")))?;
        let at = |ip: std::net::Ipv4Addr| SocketAddr::new(IpAddr::V4(ip), instance.port);
        Ok(Some(NodeSpec {
            node_id: node.id.clone(),
            instance_id: instance.id.clone(),
            listen: vec![at(node.ip)],
            shared_listen: vec![at(group.access_ip)],
            control_plane: self.settings.control_plane.clone(),
            tls: self.open_certificates(&node.id, sealed)?,
            worker_threads: class.vcpus,
            memory_limit_mb: u64::from(class.memory_gb) * 1024,
            admin_listen: instance
                .port
                .checked_add(1)
                .map(|port| SocketAddr::new(IpAddr::V4(node.ip), port)),
        }))
    }

    pub(crate) fn seal_certificates(&self, id: &NodeId, issued: IssuedCertificates) -> Sealed {
        let kept = KeptCertificates {
            ca: issued.ca_pem,
            cert: issued.cert_pem,
            key: issued.key_pem,
            mysql_cert: issued.mysql_cert_pem,
            mysql_key: issued.mysql_key_pem,
        };
        let text = serde_json::to_string(&kept).expect("certificates are plain text");
        self.seal(&certificates_context(id), &text)
    }

    fn open_certificates(&self, id: &NodeId, sealed: &Sealed) -> Result<NodeTls, AppError> {
        let text = self.unseal(&certificates_context(id), sealed)?;
        let kept: KeptCertificates = serde_json::from_str(text.expose()).map_err(|_| {
            AppError::Broken(format!("the certificates of node {id} are not readable"))
        })?;
        Ok(NodeTls {
            ca_pem: kept.ca,
            cert_pem: kept.cert,
            key_pem: kept.key,
            mysql_cert_pem: kept.mysql_cert,
            mysql_key_pem: kept.mysql_key,
        })
    }
}

fn by_name(mut nodes: Vec<Versioned<NodeRecord>>) -> Vec<Versioned<NodeRecord>> {
    nodes.sort_by(|a, b| a.value.name.cmp(&b.value.name).then_with(|| a.value.id.cmp(&b.value.id)));
    nodes
}

fn certificates_context(id: &NodeId) -> String {
    format!("node/{id}/certificates")
}

/// An id in the form of a UUID for something that the node alone has: a node is a process with a
/// directory, and neither has an id of its own.
fn derived_id(id: &NodeId, variant: char) -> String {
    let digits = id.as_str();
    format!(
        "{}-{}-{}-{variant}{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[17..20],
        &digits[20..32]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_have_the_form_of_uuids() {
        let id = NodeId::from_random([0x12; 16]);
        assert_eq!(derived_id(&id, 'a'), "12121212-1212-1212-a212-121212121212");
        assert_ne!(derived_id(&id, 'a'), derived_id(&id, 'b'));
    }

    #[test]
    fn the_worst_status_is_the_greatest() {
        assert!(
            NodeStatus::Normal < NodeStatus::Abnormal
                && NodeStatus::Abnormal < NodeStatus::CreateFail
        );
    }
}
