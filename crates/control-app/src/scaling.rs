//! Growing and shrinking: nodes are added to a group or taken from it, one is restarted, a group's
//! nodes get another class. An instance that is paid for a time gets an order; one that is not paid
//! at once changes nothing until it is, and what it buys is checked again then.

use crate::app::App;
use crate::change::{Change, Tries};
use crate::error::AppError;
use crate::flavor;
use crate::instance::require_running;
use crate::jobs::{
    FLAVOR_CHANGE, FlavorParams, NODE_RESTART, NODES_ADD, NODES_REMOVE, NodesParams, RestartParams,
    instance_lock,
};
use crate::node::NodeStatus;
use crate::time::now_ms;
use base::api_error::{ApiError, DATA_NODE_CONNECT_FAILED};
use base::id::{GroupId, NodeId, ProjectId, hex, random_bytes};
use control_api::instance::{FlavorChoice, NODES_MAX, RestartKind};
use control_api::scaling::{JobOrOrder, NewFlavor, NewNodes, Removal, ScaleResponse};
use control_store::record::Versioned;
use control_store::records::data_node::DataNodeRecord;
use control_store::records::instance::{ChargeRecord, InstanceRecord, InstanceStatus};
use control_store::records::node::NodeRecord;
use control_store::records::order::{OrderRecord, Purchase};
use futures::future::try_join_all;
use provision::AdminError;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What a call on an instance's nodes began.
#[derive(Clone, Debug)]
pub struct Scaling {
    /// The instance.
    pub instance: InstanceRecord,
    /// The job; none while an order waits to be paid.
    pub job_id: Option<String>,
    /// The order of an instance that is paid for a time.
    pub order_id: Option<String>,
}

impl Scaling {
    /// The job, which is answered when there is no order to ask about.
    fn shown_job(&self) -> Option<String> {
        self.job_id.clone().filter(|_| self.order_id.is_none())
    }

    /// The v2 answer.
    pub fn scale_response(&self) -> ScaleResponse {
        ScaleResponse {
            instance_id: self.instance.id.to_string(),
            instance_name: self.instance.name.clone(),
            job_id: self.shown_job(),
            order_id: self.order_id.clone(),
        }
    }

    /// The v3 answer.
    pub fn job_or_order(&self) -> JobOrOrder {
        JobOrOrder { job_id: self.shown_job(), order_id: self.order_id.clone() }
    }
}

impl App {
    /// `POST /v2/{project_id}/instances/{instance_id}/action/enlarge`,
    /// `POST /v3/{project_id}/instances/{instance_id}/nodes`
    pub async fn add_nodes(
        &self,
        project: &ProjectId,
        id: &str,
        new: NewNodes,
    ) -> Result<Scaling, ApiError> {
        let mut tries = Tries::default();
        loop {
            let change = self.change_of(project, id).await?;
            let purchase = self.nodes_purchase(&change.instance, &new).await?;
            if let Some(started) = self.buy(change, purchase, new.auto_pay).await? {
                return Ok(started);
            }
            tries.again()?;
        }
    }

    async fn nodes_purchase(
        &self,
        instance: &InstanceRecord,
        new: &NewNodes,
    ) -> Result<Purchase, ApiError> {
        require_running(instance)?;
        self.require_data_nodes(instance).await?;
        let group = self.wanted_group(instance, new.group_id.as_deref()).await?;
        if let Some(choice) = &new.flavor {
            let class = flavor::resolve(choice).map_err(|error| error.field("flavor_id"))?;
            if class.code != group.flavor_code {
                return Err(ApiError::parameter(
                    "flavor_id",
                    format!("must be the class of the group's nodes, {}", group.flavor_code),
                    format!("必须与组内节点规格{}一致", group.flavor_code),
                ));
            }
        }
        if let Some(subnet) = &new.subnet_id {
            check_subnet(instance, "subnet_id", subnet)?;
        }
        let count = usize::try_from(new.count).expect("at most 32 nodes");
        self.check_room(instance, count, new.count_field).await?;
        let availability_zones = match &new.availability_zones {
            Some(zones) => {
                check_zones(self, new.zones_field, zones)?;
                zones.clone()
            }
            None => spread(instance, &self.nodes_of(&instance.id).await?, count),
        };
        Ok(Purchase::Nodes { group_id: group.id, availability_zones })
    }

    /// Refuses to grow or shrink an instance while one of its data nodes does not answer.
    async fn require_data_nodes(&self, instance: &InstanceRecord) -> Result<(), ApiError> {
        let nodes = self.all_data_nodes().await?.into_iter().map(|node| node.value);
        let own: Vec<DataNodeRecord> = nodes
            .filter(|node| {
                node.binding.as_ref().is_some_and(|binding| binding.instance_id == instance.id)
            })
            .collect();
        let answers = own.iter().map(|node| async move {
            let asked = self.data_nodes.probe(&self.admin_login(node)?).await;
            let silent =
                matches!(asked, Err(AdminError::Unreachable { .. } | AdminError::Timeout { .. }));
            Ok::<_, AppError>(silent.then_some(&node.name))
        });
        let silent: Vec<Option<&String>> = try_join_all(answers).await?;
        match silent.into_iter().flatten().next() {
            None => Ok(()),
            Some(name) => Err(ApiError::new(DATA_NODE_CONNECT_FAILED).because(&**name, &**name)),
        }
    }

    /// Refuses what restarts a group's nodes one by one while not all serve: the others could not
    /// do it for them.
    async fn require_normal_nodes(
        &self,
        instance: &InstanceRecord,
        group: &GroupId,
    ) -> Result<(), ApiError> {
        let nodes = self.nodes_of(&instance.id).await?.into_iter().map(|node| node.value);
        let mut own = nodes.filter(|node| node.group_id == *group);
        match own.find(|node| self.node_status(instance, node) != NodeStatus::Normal) {
            None => Ok(()),
            Some(node) => Err(ApiError::state(
                format!("The node {} is not normal.", node.name),
                format!("节点{}状态异常。", node.name),
            )),
        }
    }

    /// Refuses more nodes than an instance may have.
    pub(crate) async fn check_room(
        &self,
        instance: &InstanceRecord,
        count: usize,
        field: &str,
    ) -> Result<(), ApiError> {
        let most = usize::try_from(NODES_MAX).expect("a small number");
        if self.nodes_of(&instance.id).await?.len() + count <= most {
            return Ok(());
        }
        Err(ApiError::parameter(
            field,
            format!("an instance has at most {most} nodes"),
            format!("每个实例最多{most}个节点"),
        ))
    }

    /// `PUT /v3/{project_id}/instances/{instance_id}/flavor`
    pub async fn change_flavor(
        &self,
        project: &ProjectId,
        id: &str,
        new: NewFlavor,
    ) -> Result<Scaling, ApiError> {
        let choice = FlavorChoice::Code(new.spec_code);
        let class = flavor::resolve(&choice).map_err(|error| error.field("spec_code"))?;
        let mut tries = Tries::default();
        loop {
            let change = self.change_of(project, id).await?;
            require_running(&change.instance)?;
            let group = self.wanted_group(&change.instance, new.group_id.as_deref()).await?;
            check_class_change(&group.flavor_code, class.code)?;
            self.require_normal_nodes(&change.instance, &group.id).await?;
            let flavor_code = class.code.to_owned();
            let purchase = Purchase::NodeClass { group_id: group.id, flavor_code };
            if let Some(started) = self.buy(change, purchase, new.auto_pay).await? {
                return Ok(started);
            }
            tries.again()?;
        }
    }

    /// Begins what was asked for, at once or, when it is to be paid first, by an order; `None`:
    /// somebody else was faster.
    async fn buy(
        &self,
        mut change: Change<'_>,
        purchase: Purchase,
        auto_pay: bool,
    ) -> Result<Option<Scaling>, ApiError> {
        self.require_idle_schemas(&change).await?;
        let prepaid = matches!(change.instance.charge, ChargeRecord::PrePaid { .. });
        let order_id = prepaid.then(|| new_order(&mut change, purchase.clone(), auto_pay));
        if !prepaid || auto_pay {
            self.begin_purchase(&mut change, &purchase).await?;
        }
        let instance = change.instance.clone();
        let Some(committed) = change.commit().await? else { return Ok(None) };
        let job_id = committed.job_ids.into_iter().next();
        Ok(Some(Scaling { instance, job_id, order_id }))
    }

    /// Starts the job that makes what was bought, in `change`. It is checked here, since an order
    /// may have waited long.
    pub(crate) async fn begin_purchase(
        &self,
        change: &mut Change<'_>,
        purchase: &Purchase,
    ) -> Result<(), ApiError> {
        require_running(&change.instance)?;
        self.require_idle_schemas(change).await?;
        match purchase {
            Purchase::Nodes { group_id, availability_zones } => {
                let group = self.wanted_group(&change.instance, Some(group_id.as_str())).await?;
                let count = availability_zones.len();
                self.check_room(&change.instance, count, "node_number").await?;
                let addresses = self.unused_addresses(count).await?;
                let node_ids = self
                    .add_node_records(change, &group.id, availability_zones, &addresses)
                    .await?;
                change.instance.status = InstanceStatus::Growing;
                start(change, NODES_ADD, &NodesParams { node_ids, group_id: None })?;
            }
            Purchase::NodeClass { group_id, flavor_code } => {
                let group = self.wanted_group(&change.instance, Some(group_id.as_str())).await?;
                check_class_change(&group.flavor_code, flavor_code)?;
                self.require_normal_nodes(&change.instance, &group.id).await?;
                change.instance.status = InstanceStatus::Resizing;
                let params = FlavorParams {
                    group_id: group.id,
                    from: group.flavor_code,
                    to: flavor_code.clone(),
                };
                start(change, FLAVOR_CHANGE, &params)?;
            }
            Purchase::Instance | Purchase::Group { .. } => {
                return Err(AppError::Broken("such an order is begun elsewhere".to_owned()).into());
            }
        }
        Ok(())
    }

    /// `POST /v2/{project_id}/instances/{instance_id}/action/reduce`,
    /// `POST /v3/{project_id}/instances/{instance_id}/nodes/batch-delete`,
    /// `DELETE /v3/{project_id}/instances/{instance_id}/nodes`
    pub async fn remove_nodes(
        &self,
        project: &ProjectId,
        id: &str,
        removal: Removal,
    ) -> Result<Scaling, ApiError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, id).await?;
            require_running(&change.instance)?;
            self.require_idle_schemas(&change).await?;
            self.require_data_nodes(&change.instance).await?;
            let node_ids = self.leaving(&change.instance, &removal).await?;
            change.instance.status = InstanceStatus::Reducing;
            start(&mut change, NODES_REMOVE, &NodesParams { node_ids, group_id: None })?;
            let instance = change.instance.clone();
            if let Some(committed) = change.commit().await? {
                let job_id = Some(committed.into_job_id());
                return Ok(Scaling { instance, job_id, order_id: None });
            }
            tries.again()?;
        }
    }

    /// `POST /v3/{project_id}/instances/{instance_id}/nodes/{node_id}/restart`
    pub async fn restart_node(
        &self,
        project: &ProjectId,
        id: &str,
        node_id: &str,
    ) -> Result<String, ApiError> {
        let (_, node) = self.instance_and_node(project, id, node_id).await?;
        let params = RestartParams { kind: RestartKind::Soft, node_id: Some(node.id) };
        let params = serde_json::to_value(params).expect("parameters are plain data");
        let status = InstanceStatus::Restarting;
        let (_, job_id) =
            self.start_instance_job(project, id, status, NODE_RESTART, params).await?;
        Ok(job_id)
    }

    /// The nodes that go.
    async fn leaving(
        &self,
        instance: &InstanceRecord,
        removal: &Removal,
    ) -> Result<BTreeSet<NodeId>, ApiError> {
        let nodes = self.nodes_of(&instance.id).await?;
        let (field, group_id) = match removal {
            Removal::Count { group_id, .. } => {
                ("node_number", self.wanted_group(instance, group_id.as_deref()).await?.id)
            }
            Removal::Nodes(ids) => ("node_ids", common_group(&nodes, ids)?),
        };
        let mut own: Vec<&NodeRecord> =
            nodes.iter().map(|node| &node.value).filter(|node| node.group_id == group_id).collect();
        let leaving: BTreeSet<NodeId> = match removal {
            Removal::Count { count, .. } => {
                // Those that do not serve go first, then the youngest.
                own.sort_by_key(|node| {
                    (self.publisher.is_heard(&node.id), Reverse(node.name.clone()))
                });
                let count = usize::try_from(*count).expect("at most 31");
                own.iter().take(count).map(|node| node.id.clone()).collect()
            }
            Removal::Nodes(ids) => ids.clone(),
        };
        let wanted = match removal {
            Removal::Count { count, .. } => usize::try_from(*count).expect("at most 31"),
            Removal::Nodes(ids) => ids.len(),
        };
        if wanted >= own.len() {
            return Err(ApiError::parameter(
                field,
                "at least one node of the group must stay",
                "组内至少保留一个节点",
            ));
        }
        Ok(leaving)
    }
}

fn common_group(
    nodes: &[Versioned<NodeRecord>],
    ids: &BTreeSet<NodeId>,
) -> Result<GroupId, ApiError> {
    let named: Vec<&NodeRecord> =
        nodes.iter().map(|node| &node.value).filter(|node| ids.contains(&node.id)).collect();
    let groups: BTreeSet<&GroupId> = named.iter().map(|node| &node.group_id).collect();
    match (named.len() == ids.len(), groups.into_iter().collect::<Vec<_>>().as_slice()) {
        (false, _) => Err(ApiError::parameter("node_ids", "names an unknown node", "节点不存在")),
        (true, [group]) => Ok((*group).clone()),
        (true, _) => Err(ApiError::parameter(
            "node_ids",
            "must name nodes of one group",
            "节点必须属于同一个组",
        )),
    }
}

/// The series of a class: `c6` of `ddm.c6.large.2`.
fn series(code: &str) -> &str {
    code.split('.').nth(1).unwrap_or_default()
}

/// Refuses a change of class that the product does not have.
fn check_class_change(from: &str, to: &str) -> Result<(), ApiError> {
    if from == to {
        return Err(ApiError::parameter(
            "spec_code",
            "is the class that the nodes have already",
            "新规格不能与原规格相同",
        ));
    }
    if series(from) == "c6s" && series(to) == "c6" {
        return Err(ApiError::parameter(
            "spec_code",
            "nodes of the c6s series cannot become nodes of the c6 series",
            "c6s系列规格不支持变更为c6系列规格",
        ));
    }
    Ok(())
}

/// AZs for `count` more nodes: each goes where the fewest are.
fn spread(instance: &InstanceRecord, nodes: &[Versioned<NodeRecord>], count: usize) -> Vec<String> {
    let mut load: BTreeMap<usize, usize> = (0..instance.availability_zones.len())
        .map(|index| {
            let zone = &instance.availability_zones[index];
            let there = nodes.iter().filter(|node| node.value.availability_zone == *zone).count();
            (index, there)
        })
        .collect();
    (0..count)
        .filter_map(|_| {
            let (index, there) = load.iter_mut().min_by_key(|(index, there)| (**there, **index))?;
            *there += 1;
            Some(instance.availability_zones[*index].clone())
        })
        .collect()
}

/// Refuses AZs that there are not.
pub(crate) fn check_zones(app: &App, field: &str, zones: &[String]) -> Result<(), ApiError> {
    match zones.iter().find(|zone| !app.settings.availability_zones.contains(zone)) {
        None => Ok(()),
        Some(_) => Err(ApiError::parameter(field, "names an unknown AZ", "可用区不存在")),
    }
}

/// Refuses another subnet than the instance's.
pub(crate) fn check_subnet(
    instance: &InstanceRecord,
    field: &str,
    subnet: &str,
) -> Result<(), ApiError> {
    if subnet == instance.subnet_id {
        return Ok(());
    }
    Err(ApiError::parameter(field, "must be the instance's subnet", "必须为实例的子网"))
}

/// Adds an order to the change; its id.
pub(crate) fn new_order(change: &mut Change<'_>, purchase: Purchase, paid: bool) -> String {
    let now = now_ms();
    let order = OrderRecord {
        id: hex(&random_bytes::<16>()),
        project_id: change.instance.project_id.clone(),
        instance_id: change.instance.id.clone(),
        purchase,
        created_ms: now,
        paid_ms: paid.then_some(now),
    };
    change.create(&order);
    order.id
}

fn start<T: Serialize>(change: &mut Change<'_>, kind: &str, params: &T) -> Result<(), AppError> {
    let lock = instance_lock(&change.instance.id);
    let params = serde_json::to_value(params).expect("parameters are plain data");
    change.start_job(kind, lock, None, params)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn some_changes_of_class_are_not_sold() {
        for (from, to, allowed) in [
            ("ddm.c6.large.2", "ddm.c6.xlarge.2", true),
            ("ddm.c6.xlarge.2", "ddm.c6.large.2", true),
            ("ddm.c6.xlarge.2", "ddm.kc1.2xlarge.2", true),
            ("ddm.c6.large.2", "ddm.c6s.xlarge.2", true),
            ("ddm.c6s.xlarge.2", "ddm.c6s.2xlarge.2", true),
            ("ddm.c6s.xlarge.2", "ddm.c6.2xlarge.2", false),
            ("ddm.c6.large.2", "ddm.c6.large.2", false),
        ] {
            let error = check_class_change(from, to).err().map(|error| error.field.unwrap());
            let field = (!allowed).then(|| "spec_code".to_owned());
            assert_eq!(error, field, "{from} to {to}");
        }
    }
}
