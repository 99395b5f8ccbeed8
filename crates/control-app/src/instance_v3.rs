//! The v3 views of instances: the same records with other field names.

use crate::app::App;
use crate::engine::ENGINE_NAME;
use crate::time::text;
use base::api_error::ApiError;
use base::id::ProjectId;
use control_api::instance_v3::{
    Action, GroupNodeV3, GroupV3, InstanceV3, InstanceV3Row, ListInstancesV3Response,
    ShowInstanceV3Response,
};
use control_api::paging::Page;
use control_store::by_project::Listed;
use control_store::record::Versioned;
use control_store::records::group::GroupRecord;
use control_store::records::instance::{ChargeRecord, InstanceRecord, InstanceStatus};
use control_store::records::node::NodeRecord;

impl App {
    /// `GET /v3/{project_id}/instances`
    pub async fn list_instances_v3(
        &self,
        project: &ProjectId,
        page: Page,
    ) -> Result<ListInstancesV3Response, ApiError> {
        let Listed { rows, total } = self.instances_of(project, page).await?;
        let nodes = self.wanted_nodes_of(&rows).await?;
        let accounts = self.accounts_of_all(&rows).await?;
        let instances =
            rows.iter().zip(nodes).zip(accounts).map(|((instance, nodes), accounts)| {
                InstanceV3Row {
                    row: self.row(&instance.value, &nodes),
                    admin_user_name: Self::administrator_name(&accounts),
                }
            });
        let instances = instances.collect();
        Ok(ListInstancesV3Response {
            instances,
            instance_num: total,
            page_size: page.limit,
            total,
            total_page: page.count(total),
            page_no: page.number(),
        })
    }

    /// `GET /v3/{project_id}/instances/{instance_id}`
    pub async fn show_instance_v3(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<ShowInstanceV3Response, ApiError> {
        let instance = self.instance(project, id).await?.value;
        let nodes = self.nodes_of(&instance.id).await?;
        let administrator = Self::administrator_name(&self.accounts(&instance.id).await?);
        let groups = self.groups_of(&instance).await?;
        let detail = InstanceV3 {
            id: instance.id.to_string(),
            name: instance.name.clone(),
            project_id: instance.project_id.to_string(),
            status: instance.status.name().to_owned(),
            datastore_version: instance.engine_version.clone(),
            datastore_type: ENGINE_NAME.to_owned(),
            create_at: text(instance.created_ms),
            update_at: text(instance.updated_ms),
            port: instance.port.to_string(),
            time_zone: instance.time_zone.clone(),
            pay_model: match instance.charge {
                ChargeRecord::PostPaid => "postPaid".to_owned(),
                ChargeRecord::PrePaid { .. } => "prePaid".to_owned(),
            },
            order_id: instance.order_id.clone(),
            new_version_available: false,
            rollback_version_available: false,
            degrade_version_available: false,
            is_frozen: false,
            actions: actions(instance.status),
            only_default_group: groups.len() == 1,
            groups: groups.iter().map(|group| self.group_v3(&instance, group, &nodes)).collect(),
            admin_user_name: administrator,
            enable_ssl: u8::from(instance.enable_ssl),
        };
        Ok(ShowInstanceV3Response { instances: vec![detail] })
    }

    fn group_v3(
        &self,
        instance: &InstanceRecord,
        group: &GroupRecord,
        nodes: &[Versioned<NodeRecord>],
    ) -> GroupV3 {
        let nodes: Vec<_> = nodes.iter().filter(|node| node.value.group_id == group.id).collect();
        GroupV3 {
            id: group.id.to_string(),
            name: group.name.clone(),
            role: group.role.name().to_owned(),
            endpoint: format!("{}:{}", group.access_ip, instance.port),
            node_count: u32::try_from(nodes.len()).expect("at most 32 nodes"),
            load_balance: true,
            is_default_group: group.id == instance.group_id,
            nodes: nodes
                .iter()
                .map(|node| GroupNodeV3 {
                    id: node.value.id.to_string(),
                    status: self.node_status(instance, &node.value).name().to_owned(),
                    name: node.value.name.clone(),
                    az_code: node.value.availability_zone.clone(),
                    subnet_id: instance.subnet_id.clone(),
                })
                .collect(),
        }
    }
}

/// What is being done with an instance of this status.
fn actions(status: InstanceStatus) -> Vec<Action> {
    let doing = status.is_busy().then(|| Action { action: status.name().to_owned() });
    doing.into_iter().collect()
}
