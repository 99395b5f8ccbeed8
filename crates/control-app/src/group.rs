//! Groups of nodes: list, create, delete; and what a group's nodes share. The default group is
//! described by the instance's own record and cannot be deleted, so an instance always has a group
//! that takes writes, and its address stays.

use crate::app::App;
use crate::change::{Change, Tries};
use crate::error::AppError;
use crate::flavor;
use crate::instance::require_running;
use crate::jobs::{GROUP_CREATE, GROUP_DELETE, NodesParams, instance_lock};
use crate::scaling::{check_subnet, check_zones, new_order};
use crate::time::now_ms;
use base::api_error::{ApiError, NOT_FOUND};
use base::id::{GroupId, InstanceId, NodeId, ProjectId};
use control_api::group::{
    CreateGroupResponse, GroupNodeRow, GroupRow, ListGroupsResponse, NewGroup,
};
use control_api::paging::{Page, total};
use control_store::record::Versioned;
use control_store::records::address::AddressRecord;
use control_store::records::group::{DEFAULT_GROUP_NAME, GroupRecord, GroupRole};
use control_store::records::instance::{ChargeRecord, InstanceRecord, InstanceStatus};
use control_store::records::node::{NodeRecord, NodeStage};
use control_store::records::order::Purchase;
use std::collections::BTreeSet;

impl App {
    /// `GET /v3/{project_id}/instances/{instance_id}/groups`
    pub async fn list_groups(
        &self,
        project: &ProjectId,
        instance_id: &str,
        page: Page,
    ) -> Result<ListGroupsResponse, ApiError> {
        let instance = self.instance(project, instance_id).await?.value;
        let groups = self.groups_of(&instance).await?;
        let nodes = self.nodes_of(&instance.id).await?;
        let total_count = total(&groups);
        let row = |group: GroupRecord| {
            let class = flavor::by_code(&group.flavor_code);
            let own = nodes.iter().filter(|node| node.value.group_id == group.id);
            GroupRow {
                id: group.id.to_string(),
                role: group.role.name().to_owned(),
                endpoint: format!("{}:{}", group.access_ip, instance.port),
                is_load_balance: true,
                is_default_group: group.id == instance.group_id,
                cpu_num_per_node: class.map_or(0, |class| class.vcpus),
                mem_num_per_node: class.map_or(0, |class| class.memory_gb),
                architecture: class.map_or("", |class| class.architecture).to_owned(),
                node_list: own
                    .map(|node| GroupNodeRow {
                        id: node.value.id.to_string(),
                        name: node.value.name.clone(),
                        az: node.value.availability_zone.clone(),
                    })
                    .collect(),
                name: group.name,
            }
        };
        Ok(ListGroupsResponse {
            total_count,
            group_list: page.cut(groups).into_iter().map(row).collect(),
        })
    }

    /// `POST /v3/{project_id}/instances/{instance_id}/groups`
    pub async fn create_group(
        &self,
        project: &ProjectId,
        instance_id: &str,
        new: NewGroup,
    ) -> Result<CreateGroupResponse, ApiError> {
        let class = flavor::resolve(&new.flavor).map_err(|error| error.field(new.flavor_field))?;
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, instance_id).await?;
            require_running(&change.instance)?;
            self.require_idle_schemas(&change).await?;
            check_zones(self, "nodes[].available_zone", &new.availability_zones)?;
            for subnet in &new.subnet_ids {
                check_subnet(&change.instance, "nodes[].subnet_id", subnet)?;
            }
            self.check_free_name(&change.instance, &new.name).await?;
            let count = new.availability_zones.len();
            self.check_room(&change.instance, count, "nodes").await?;
            let addresses = self.unused_addresses(count + 1).await?;
            let group = GroupRecord {
                id: GroupId::random(),
                instance_id: change.instance.id.clone(),
                name: new.name.clone(),
                role: if new.read_only { GroupRole::ReadOnly } else { GroupRole::ReadWrite },
                flavor_code: class.code.to_owned(),
                access_ip: addresses[0],
                created_ms: now_ms(),
            };
            change.create(&AddressRecord {
                ip: group.access_ip,
                instance_id: group.instance_id.clone(),
            });
            change.create(&group);
            let zones = &new.availability_zones;
            let node_ids =
                self.add_node_records(&mut change, &group.id, zones, &addresses[1..]).await?;
            let order_id = match change.instance.charge {
                ChargeRecord::PostPaid => None,
                // The call has no field that says "not now", so the order is paid with it.
                ChargeRecord::PrePaid { .. } => {
                    let what = Purchase::Group { group_id: group.id.clone() };
                    Some(new_order(&mut change, what, true))
                }
            };
            change.instance.status = InstanceStatus::Growing;
            start(&mut change, GROUP_CREATE, node_ids, &group.id)?;
            if let Some(committed) = change.commit().await? {
                return Ok(CreateGroupResponse {
                    instance_id: group.instance_id.to_string(),
                    job_id: committed.into_job_id(),
                    group_id: group.id.to_string(),
                    order_id,
                });
            }
            tries.again()?;
        }
    }

    /// `DELETE /v3/{project_id}/instances/{instance_id}/groups/{group_id}`
    pub async fn delete_group(
        &self,
        project: &ProjectId,
        instance_id: &str,
        group_id: &str,
    ) -> Result<String, ApiError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, instance_id).await?;
            let groups = self.groups_of(&change.instance).await?;
            let group = groups.into_iter().find(|group| group.id.as_str() == group_id);
            let group = group.ok_or_else(|| {
                ApiError::not_found(NOT_FOUND, "The group does not exist.", "组不存在。")
            })?;
            if group.id == change.instance.group_id {
                return Err(ApiError::parameter(
                    "group_id",
                    "is the default group, which stays as long as the instance",
                    "默认组不能删除",
                ));
            }
            require_running(&change.instance)?;
            self.require_idle_schemas(&change).await?;
            let nodes = self.nodes_of(&change.instance.id).await?;
            let own = nodes.iter().filter(|node| node.value.group_id == group.id);
            let node_ids: BTreeSet<NodeId> = own.map(|node| node.value.id.clone()).collect();
            change.instance.status = InstanceStatus::Reducing;
            start(&mut change, GROUP_DELETE, node_ids, &group.id)?;
            if let Some(committed) = change.commit().await? {
                return Ok(committed.into_job_id());
            }
            tries.again()?;
        }
    }

    async fn check_free_name(&self, instance: &InstanceRecord, name: &str) -> Result<(), ApiError> {
        let groups = self.groups_of(instance).await?;
        if name != DEFAULT_GROUP_NAME && groups.iter().all(|group| group.name != name) {
            return Ok(());
        }
        Err(ApiError::parameter("name", "is the name of another group", "组名称已存在"))
    }

    /// An instance's groups, the default one first.
    pub(crate) async fn groups_of(
        &self,
        instance: &InstanceRecord,
    ) -> Result<Vec<GroupRecord>, AppError> {
        let mut groups = vec![GroupRecord::default_of(instance)];
        let further: Vec<Versioned<GroupRecord>> =
            self.list(&GroupRecord::prefix_of(&instance.id)).await?;
        groups.extend(further.into_iter().map(|group| group.value));
        groups[1..].sort_by(|a, b| a.created_ms.cmp(&b.created_ms).then_with(|| a.id.cmp(&b.id)));
        Ok(groups)
    }

    /// The group that a request means: the one that it names, or the only one.
    pub(crate) async fn wanted_group(
        &self,
        instance: &InstanceRecord,
        group_id: Option<&str>,
    ) -> Result<GroupRecord, ApiError> {
        let mut groups = self.groups_of(instance).await?;
        match group_id {
            None if groups.len() == 1 => Ok(groups.remove(0)),
            None => Err(ApiError::parameter(
                "group_id",
                "is required when an instance has more than one group",
                "实例的组大于1时必填",
            )),
            Some(id) => groups.into_iter().find(|group| group.id.as_str() == id).ok_or_else(|| {
                ApiError::parameter("group_id", "is no group of the instance", "组不存在")
            }),
        }
    }

    /// The group of a node.
    pub(crate) async fn group_of(
        &self,
        instance: &InstanceRecord,
        node: &NodeRecord,
    ) -> Result<GroupRecord, AppError> {
        if node.group_id == instance.group_id {
            return Ok(GroupRecord::default_of(instance));
        }
        let found: Option<Versioned<GroupRecord>> =
            self.get(&GroupRecord::key_of(&instance.id, &node.group_id)).await?;
        let missing = || AppError::Broken(format!("node {} has no group", node.id));
        Ok(found.ok_or_else(missing)?.value)
    }

    /// The nodes of groups that take reads alone.
    pub(crate) async fn read_only_nodes(
        &self,
        id: &InstanceId,
    ) -> Result<BTreeSet<NodeId>, AppError> {
        let groups: Vec<Versioned<GroupRecord>> = self.list(&GroupRecord::prefix_of(id)).await?;
        let read_only: BTreeSet<GroupId> = groups
            .into_iter()
            .filter(|group| group.value.role == GroupRole::ReadOnly)
            .map(|group| group.value.id)
            .collect();
        if read_only.is_empty() {
            return Ok(BTreeSet::new());
        }
        let nodes = self.nodes_of(id).await?;
        let own = nodes.into_iter().filter(|node| read_only.contains(&node.value.group_id));
        Ok(own.map(|node| node.value.id).collect())
    }

    /// Adds records of new nodes, which a job then brings up, and takes their addresses.
    pub(crate) async fn add_node_records(
        &self,
        change: &mut Change<'_>,
        group_id: &GroupId,
        zones: &[String],
        addresses: &[std::net::Ipv4Addr],
    ) -> Result<BTreeSet<NodeId>, AppError> {
        let instance = change.instance.clone();
        let nodes = self.nodes_of(&instance.id).await?;
        let last = nodes.iter().filter_map(|node| node.value.number()).max().unwrap_or(0);
        let mut ids = BTreeSet::new();
        for ((number, zone), ip) in (last + 1..).zip(zones).zip(addresses) {
            let node = NodeRecord {
                id: NodeId::random(),
                instance_id: instance.id.clone(),
                name: format!("{}_node_{number:02}", instance.name),
                group_id: group_id.clone(),
                availability_zone: zone.clone(),
                ip: *ip,
                stage: NodeStage::Creating,
                flavor_code: None,
                should_run: false,
                certificates: None,
            };
            change.create(&AddressRecord { ip: *ip, instance_id: instance.id.clone() });
            change.create(&node);
            ids.insert(node.id);
        }
        Ok(ids)
    }
}

fn start(
    change: &mut Change<'_>,
    kind: &str,
    node_ids: BTreeSet<NodeId>,
    group_id: &GroupId,
) -> Result<(), AppError> {
    let params = NodesParams { node_ids, group_id: Some(group_id.clone()) };
    let lock = instance_lock(&change.instance.id);
    let params = serde_json::to_value(params).expect("parameters are plain data");
    change.start_job(kind, lock, None, params)
}
