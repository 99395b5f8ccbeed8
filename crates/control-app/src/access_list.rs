//! Access lists of groups: shown and set. A change acts on the group's nodes when the call answers,
//! and ends the sessions of clients that may no longer come, as the security group's rules do.

use crate::app::App;
use crate::change::Tries;
use crate::effect::EFFECT_TIMEOUT;
use crate::error::AppError;
use crate::instance::require_running;
use base::api_error::{ApiError, NOT_FOUND};
use base::id::{GroupId, InstanceId, NodeId, ProjectId};
use control_api::access_list::{
    AccessEntry, AccessListChange, AccessListRow, NewAccessEntry, SetAccessListResponse,
    ShowAccessListResponse,
};
use control_store::record::Versioned;
use control_store::records::access_list::{AccessEntryRecord, AccessListRecord};
use control_store::records::instance::InstanceRecord;
use std::collections::BTreeMap;
use topology::access::{AccessList, AccessRule};

impl App {
    /// `GET /v3/{project_id}/instances/{instance_id}/groups/{group_id}/acls`
    pub async fn show_access_list(
        &self,
        project: &ProjectId,
        instance_id: &str,
        group_id: &str,
    ) -> Result<ShowAccessListResponse, ApiError> {
        let instance = self.instance(project, instance_id).await?.value;
        let group_id = self.group_in_path(&instance, group_id).await?;
        let known = self.access_list(&instance.id, &group_id).await?;
        let list = known.map_or_else(|| new_list(&instance.id, &group_id), |list| list.value);
        let entry = |entry: AccessEntryRecord| AccessEntry {
            ip: entry.ip,
            description: Some(entry.description),
        };
        Ok(ShowAccessListResponse {
            instance_id: instance.id.to_string(),
            group_id: group_id.to_string(),
            enable_ipgroup: list.enabled,
            kind: if list.only_listed { "white" } else { "black" }.to_owned(),
            ipgroup: AccessListRow {
                id: group_id.to_string(),
                name: list.name,
                ip_list: list.entries.into_iter().map(entry).collect(),
            },
        })
    }

    /// `POST /v3/{project_id}/instances/{instance_id}/groups/{group_id}/acls`
    pub async fn set_access_list(
        &self,
        project: &ProjectId,
        instance_id: &str,
        group_id: &str,
        wanted: AccessListChange,
    ) -> Result<SetAccessListResponse, ApiError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, instance_id).await?;
            let id = change.instance.id.clone();
            let group_id = self.group_in_path(&change.instance, group_id).await?;
            if wanted.group_id.as_ref().is_some_and(|given| given != group_id.as_str()) {
                return Err(ApiError::parameter("group_id", "must be the group", "必须为该组"));
            }
            require_running(&change.instance)?;
            let known = self.access_list(&id, &group_id).await?;
            let before = known.as_ref().map(|known| known.value.clone());
            let list = changed(before.unwrap_or_else(|| new_list(&id, &group_id)), &wanted)?;
            match &known {
                Some(known) => change.update(known, &list),
                None => change.create(&list),
            }
            if let Some(committed) = change.commit().await? {
                self.wait_effect(&id, committed.revision, EFFECT_TIMEOUT).await?;
                return Ok(SetAccessListResponse { enable_ipgroup: list.enabled });
            }
            tries.again()?;
        }
    }

    /// The lists that are switched on, by the nodes that they belong to.
    pub(crate) async fn access_lists(
        &self,
        id: &InstanceId,
    ) -> Result<BTreeMap<NodeId, AccessList>, AppError> {
        let lists: Vec<Versioned<AccessListRecord>> =
            self.list(&AccessListRecord::prefix_of(id)).await?;
        let in_force = lists.into_iter().filter_map(|list| {
            let list = list.value;
            list.in_force().map(|rules| (list.group_id, rules))
        });
        let in_force: BTreeMap<GroupId, AccessList> = in_force.collect();
        if in_force.is_empty() {
            return Ok(BTreeMap::new());
        }
        let nodes = self.nodes_of(id).await?.into_iter().map(|node| node.value);
        Ok(nodes
            .filter_map(|node| Some((node.id, in_force.get(&node.group_id)?.clone())))
            .collect())
    }

    /// A group's list, if it ever had one.
    pub(crate) async fn access_list(
        &self,
        id: &InstanceId,
        group_id: &GroupId,
    ) -> Result<Option<Versioned<AccessListRecord>>, AppError> {
        self.get(&AccessListRecord::key_of(id, group_id)).await
    }

    async fn group_in_path(
        &self,
        instance: &InstanceRecord,
        group_id: &str,
    ) -> Result<GroupId, ApiError> {
        let groups = self.groups_of(instance).await?;
        let group = groups.into_iter().find(|group| group.id.as_str() == group_id);
        let missing = || ApiError::not_found(NOT_FOUND, "The group does not exist.", "组不存在。");
        Ok(group.ok_or_else(missing)?.id)
    }
}

/// The list of a group that never had one.
fn new_list(instance_id: &InstanceId, group_id: &GroupId) -> AccessListRecord {
    AccessListRecord {
        instance_id: instance_id.clone(),
        group_id: group_id.clone(),
        name: String::new(),
        enabled: false,
        only_listed: true,
        entries: Vec::new(),
    }
}

fn changed(
    mut list: AccessListRecord,
    wanted: &AccessListChange,
) -> Result<AccessListRecord, ApiError> {
    list.only_listed = wanted.only_listed.unwrap_or(list.only_listed);
    list.enabled = wanted.enabled.unwrap_or(list.enabled);
    if let Some(name) = &wanted.name {
        list.name.clone_from(name);
    }
    if let Some(entries) = &wanted.entries {
        list.entries = entries.iter().map(entry_record).collect();
    }
    if list.enabled && list.entries.is_empty() {
        return Err(ApiError::parameter(
            "ip_list",
            "must have an entry while the list is switched on",
            "开启时不能为空",
        ));
    }
    Ok(list)
}

fn entry_record(entry: &NewAccessEntry) -> AccessEntryRecord {
    AccessEntryRecord {
        ip: entry.ip.clone(),
        access: AccessRule {
            network: entry.network,
            prefix: entry.prefix,
            port_min: 1,
            port_max: u16::MAX,
        },
        description: entry.description.clone(),
    }
}
