//! Growing, shrinking and changing the node class of an instance: the v2 calls that count nodes and
//! the v3 calls that name them.

use crate::decode::{flag, required};
use crate::instance::{FlavorChoice, NODES_MAX, check_node_count};
use base::api_error::ApiError;
use base::id::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Body of the v2 call that adds nodes.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct EnlargeRequest {
    /// The node class, which is the group's.
    pub flavor_id: String,
    /// How many nodes are added.
    pub node_number: i64,
    /// The group; needed when there is more than one.
    pub group_id: Option<String>,
    /// The order of a yearly or monthly instance is paid at once.
    #[serde(default, deserialize_with = "flag")]
    #[schema(value_type = Option<bool>)]
    pub is_auto_pay: Option<bool>,
    /// The AZ of each new node.
    pub available_zones: Option<Vec<String>>,
}

/// Body of the v3 call that adds nodes.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct AddNodesRequest {
    /// The group; needed when there is more than one.
    pub group_id: Option<String>,
    /// The subnet, which is the instance's.
    pub subnet_id: Option<String>,
    /// The order of a yearly or monthly instance is paid at once.
    #[serde(default, deserialize_with = "flag")]
    #[schema(value_type = Option<bool>)]
    pub is_auto_pay: Option<bool>,
    /// The new nodes, 1–32.
    pub nodes: Vec<EnlargeNodeInfo>,
}

/// A new node.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct EnlargeNodeInfo {
    /// Its AZ.
    pub available_zone: String,
}

/// Nodes to add, well-formed.
#[derive(Clone, Debug)]
pub struct NewNodes {
    /// The class that the caller believes the group to have.
    pub flavor: Option<FlavorChoice>,
    /// The group.
    pub group_id: Option<String>,
    /// The subnet that the caller names.
    pub subnet_id: Option<String>,
    /// How many nodes.
    pub count: u32,
    /// The AZ of each; without it they are spread.
    pub availability_zones: Option<Vec<String>>,
    /// An order is paid at once.
    pub auto_pay: bool,
    /// The request's field that says how many.
    pub count_field: &'static str,
    /// The request's field that names the AZs.
    pub zones_field: &'static str,
}

impl EnlargeRequest {
    /// The command, if nothing is wrong.
    pub fn check(self) -> Result<NewNodes, ApiError> {
        if self.flavor_id.is_empty() {
            return Err(required("flavor_id"));
        }
        let count = check_node_count("node_number", self.node_number)?;
        let zones = self.available_zones.filter(|zones| !zones.is_empty());
        if zones.as_ref().is_some_and(|zones| zones.len() != count as usize) {
            return Err(ApiError::parameter(
                "available_zones",
                "must have as many entries as there are new nodes",
                "个数必须与node_number一致",
            ));
        }
        Ok(NewNodes {
            flavor: Some(FlavorChoice::Id(self.flavor_id)),
            group_id: self.group_id.filter(|id| !id.is_empty()),
            subnet_id: None,
            count,
            availability_zones: zones,
            auto_pay: self.is_auto_pay.unwrap_or(false),
            count_field: "node_number",
            zones_field: "available_zones",
        })
    }
}

impl AddNodesRequest {
    /// The command, if nothing is wrong.
    pub fn check(self) -> Result<NewNodes, ApiError> {
        let count = check_node_count("nodes", i64::try_from(self.nodes.len()).unwrap_or(i64::MAX))?;
        Ok(NewNodes {
            flavor: None,
            group_id: self.group_id.filter(|id| !id.is_empty()),
            subnet_id: self.subnet_id.filter(|id| !id.is_empty()),
            count,
            availability_zones: Some(
                self.nodes.into_iter().map(|node| node.available_zone).collect(),
            ),
            auto_pay: self.is_auto_pay.unwrap_or(false),
            count_field: "nodes",
            zones_field: "nodes[].available_zone",
        })
    }
}

/// Body of the v2 call that takes nodes away.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ReduceRequest {
    /// How many nodes go; at least one stays.
    pub node_number: i64,
    /// The group; needed when there is more than one.
    pub group_id: Option<String>,
}

/// Body of the v3 calls that take nodes away.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct RemoveNodesRequest {
    /// The nodes, all of one group.
    pub node_ids: Vec<String>,
}

/// Nodes to take away, well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// So many of a group.
    Count {
        /// How many.
        count: u32,
        /// The group.
        group_id: Option<String>,
    },
    /// These.
    Nodes(BTreeSet<NodeId>),
}

impl ReduceRequest {
    /// The command, if nothing is wrong.
    pub fn check(self) -> Result<Removal, ApiError> {
        let most = NODES_MAX - 1;
        let count = u32::try_from(self.node_number)
            .ok()
            .filter(|_| (1..=most).contains(&self.node_number))
            .ok_or_else(|| {
                ApiError::parameter("node_number", "must be from 1 to 31", "取值范围为1~31")
            })?;
        Ok(Removal::Count { count, group_id: self.group_id.filter(|id| !id.is_empty()) })
    }
}

impl RemoveNodesRequest {
    /// The command, if nothing is wrong.
    pub fn check(self) -> Result<Removal, ApiError> {
        if self.node_ids.is_empty() {
            return Err(required("node_ids"));
        }
        let unknown = || ApiError::parameter("node_ids", "names an unknown node", "节点不存在");
        let mut nodes = BTreeSet::new();
        for id in &self.node_ids {
            if !nodes.insert(NodeId::parse(id).ok_or_else(unknown)?) {
                return Err(ApiError::parameter("node_ids", "names a node twice", "节点重复"));
            }
        }
        Ok(Removal::Nodes(nodes))
    }
}

/// Answer of the v2 calls that add nodes and take them away.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleResponse {
    /// The instance.
    pub instance_id: String,
    /// Its name.
    pub instance_name: String,
    /// The job; none when an order was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// The order of a yearly or monthly instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
}

/// Answer of the v3 calls that may make an order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobOrOrder {
    /// The job; none when an order was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// The order of a yearly or monthly instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
}

/// Body of the call that changes the node class.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ChangeFlavorRequest {
    /// The code of the new class.
    pub spec_code: String,
    /// The group; needed when there is more than one.
    pub group_id: Option<String>,
    /// The order of a yearly or monthly instance is paid at once.
    #[serde(default, deserialize_with = "flag")]
    #[schema(value_type = Option<bool>)]
    pub is_auto_pay: Option<bool>,
}

/// A change of node class, well-formed.
#[derive(Clone, Debug)]
pub struct NewFlavor {
    /// The code of the new class.
    pub spec_code: String,
    /// The group.
    pub group_id: Option<String>,
    /// An order is paid at once.
    pub auto_pay: bool,
}

impl ChangeFlavorRequest {
    /// The command, if nothing is wrong.
    pub fn check(self) -> Result<NewFlavor, ApiError> {
        if self.spec_code.is_empty() {
            return Err(required("spec_code"));
        }
        Ok(NewFlavor {
            spec_code: self.spec_code,
            group_id: self.group_id.filter(|id| !id.is_empty()),
            auto_pay: self.is_auto_pay.unwrap_or(false),
        })
    }
}

/// Answer of the calls that have nothing to say: `{}`.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ReloadConfigResponse {}
