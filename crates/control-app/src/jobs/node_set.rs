//! What several jobs do with some of an instance's nodes: change their records, issue certificates,
//! start them, and make them forgotten.

use crate::app::App;
use crate::change::{Change, Tries};
use crate::error::AppError;
use base::id::{GroupId, InstanceId, NodeId};
use control_store::record::Versioned;
use control_store::records::address::AddressRecord;
use control_store::records::group::GroupRecord;
use control_store::records::instance::{InstanceRecord, InstanceStatus};
use control_store::records::node::NodeRecord;
use job_engine::StepError;
use provision::Held;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

impl App {
    /// Nodes of an instance: these, as far as they are there, or all.
    pub(super) async fn some_nodes(
        &self,
        id: &InstanceId,
        only: Option<&BTreeSet<NodeId>>,
    ) -> Result<Vec<Versioned<NodeRecord>>, AppError> {
        let nodes = self.nodes_of(id).await?;
        let meant = |node: &NodeRecord| only.is_none_or(|only| only.contains(&node.id));
        Ok(nodes.into_iter().filter(|node| meant(&node.value)).collect())
    }

    /// Changes these nodes of an instance, or all, in one transaction.
    pub(super) async fn edit_nodes(
        &self,
        id: &InstanceId,
        only: Option<&BTreeSet<NodeId>>,
        edit: impl Fn(&mut NodeRecord) + Send + Sync,
    ) -> Result<(), AppError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change(id).await?;
            for node in self.some_nodes(id, only).await? {
                let mut record = node.value.clone();
                edit(&mut record);
                change.update(&node, &record);
            }
            if change.commit().await?.is_some() {
                return Ok(());
            }
            tries.again()?;
        }
    }

    /// Gives certificates to those of these nodes (or of all) that have none.
    pub(super) async fn issue_certificates(
        &self,
        id: &InstanceId,
        only: Option<&BTreeSet<NodeId>>,
    ) -> Result<(), AppError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change(id).await?;
            for node in self.some_nodes(id, only).await? {
                if node.value.certificates.is_some() {
                    continue;
                }
                let group = self.group_of(&change.instance, &node.value).await?;
                let mut record = node.value.clone();
                let addresses = [IpAddr::V4(record.ip), IpAddr::V4(group.access_ip)];
                let issued = self.certificates.issue(&record.id, &addresses);
                let issued = issued.map_err(|error| AppError::Broken(error.to_string()))?;
                record.certificates = Some(self.seal_certificates(&record.id, issued));
                change.update(&node, &record);
            }
            if change.commit().await?.is_some() {
                return Ok(());
            }
            tries.again()?;
        }
    }

    /// Starts a node unless it runs.
    pub(super) async fn start_node(
        &self,
        instance: &InstanceRecord,
        node: &NodeRecord,
    ) -> Result<provision::NodeStarted, StepError> {
        let spec = self.node_spec(instance, node).await?;
        let spec = spec.ok_or_else(|| StepError::permanent("a node has no certificates"))?;
        self.nodes.start_node(&spec).await.map_err(StepError::transient)
    }

    /// Keeps new clients waiting, while these nodes are replaced, at the addresses of groups that
    /// have no other node that serves.
    pub(super) async fn hold_clients(
        &self,
        instance: &InstanceRecord,
        replaced: &[Versioned<NodeRecord>],
    ) -> Result<Held, StepError> {
        let mut addresses = BTreeSet::new();
        let nodes = self.nodes_of(&instance.id).await?;
        for node in replaced.iter().map(|node| &node.value) {
            let serves_for_it = |other: &NodeRecord| {
                other.group_id == node.group_id
                    && self.publisher.is_heard(&other.id)
                    && replaced.iter().all(|node| node.value.id != other.id)
            };
            if !nodes.iter().any(|other| serves_for_it(&other.value)) {
                let ip = IpAddr::V4(self.group_of(instance, node).await?.access_ip);
                addresses.insert(SocketAddr::new(ip, instance.port));
            }
        }
        let addresses: Vec<SocketAddr> = addresses.into_iter().collect();
        Ok(self.nodes.hold(&addresses).unwrap_or_else(|error| {
            tracing::warn!(instance = %instance.id, %error, "clients are refused for a moment");
            Held::default()
        }))
    }

    /// Takes away processes and directories of nodes, then, in one transaction, their records and
    /// addresses, and those of `group`; the instance is RUNNING again.
    pub(super) async fn forget_nodes(
        &self,
        id: &InstanceId,
        node_ids: &BTreeSet<NodeId>,
        group: Option<&GroupId>,
    ) -> Result<(), StepError> {
        for node in node_ids {
            self.nodes.remove_node(node).await.map_err(StepError::transient)?;
        }
        let mut tries = Tries::default();
        loop {
            let mut change = self.change(id).await?;
            for node in self.some_nodes(id, Some(node_ids)).await? {
                self.release(&mut change, node.value.ip).await?;
                change.delete(&node);
            }
            if let Some(group) = group
                && let Some(group) =
                    self.get::<GroupRecord>(&GroupRecord::key_of(id, group)).await?
            {
                self.release(&mut change, group.value.access_ip).await?;
                if let Some(list) = self.access_list(id, &group.value.id).await? {
                    change.delete(&list);
                }
                change.delete(&group);
            }
            change.instance.status = InstanceStatus::Running;
            change.instance.error = None;
            if change.commit().await?.is_some() {
                return Ok(());
            }
            tries.again()?;
        }
    }

    async fn release(&self, change: &mut Change<'_>, ip: Ipv4Addr) -> Result<(), AppError> {
        let address: Option<Versioned<AddressRecord>> =
            self.get(&AddressRecord::key_of(ip)).await?;
        if let Some(address) = address {
            change.delete(&address);
        }
        Ok(())
    }
}
