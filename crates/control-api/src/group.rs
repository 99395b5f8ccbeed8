//! Groups: nodes of one class that take writes and reads, or reads alone.

use crate::decode::required;
use crate::instance::{FlavorChoice, check_node_count};
use base::api_error::ApiError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest name of a group.
pub const GROUP_NAME_CHARS_MAX: usize = 64;

/// Body of the call that makes a group.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CreateGroupRequest {
    /// 1–64 letters, digits, hyphens and underscores, a letter first.
    pub name: String,
    /// `rw` or `r`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The node class by id; either this or the code.
    pub flavor_id: Option<String>,
    /// The node class by code.
    pub flavor_ref: Option<String>,
    /// The nodes, 1–32.
    pub nodes: Vec<GroupNodeRequest>,
}

/// A node of a new group.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct GroupNodeRequest {
    /// Its AZ.
    pub available_zone: String,
    /// Its subnet, which is the instance's.
    pub subnet_id: Option<String>,
}

/// A group to make, well-formed.
#[derive(Clone, Debug)]
pub struct NewGroup {
    /// Its name.
    pub name: String,
    /// Its nodes take reads alone.
    pub read_only: bool,
    /// Its node class.
    pub flavor: FlavorChoice,
    /// The request's field that names the class.
    pub flavor_field: &'static str,
    /// The AZ of each node.
    pub availability_zones: Vec<String>,
    /// The subnets that the request names.
    pub subnet_ids: Vec<String>,
}

impl CreateGroupRequest {
    /// The command, if nothing is wrong.
    pub fn check(self) -> Result<NewGroup, ApiError> {
        check_group_name(&self.name)?;
        let read_only = match self.kind.as_str() {
            "rw" => false,
            "r" => true,
            _ => return Err(ApiError::parameter("type", "must be rw or r", "取值为rw或r")),
        };
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let (flavor, flavor_field) = match (given(self.flavor_id), given(self.flavor_ref)) {
            (_, Some(code)) => (FlavorChoice::Code(code), "flavor_ref"),
            (Some(id), None) => (FlavorChoice::Id(id), "flavor_id"),
            (None, None) => return Err(required("flavor_ref")),
        };
        check_node_count("nodes", i64::try_from(self.nodes.len()).unwrap_or(i64::MAX))?;
        let (zones, subnets): (Vec<_>, Vec<_>) =
            self.nodes.into_iter().map(|node| (node.available_zone, node.subnet_id)).unzip();
        Ok(NewGroup {
            name: self.name,
            read_only,
            flavor,
            flavor_field,
            availability_zones: zones,
            subnet_ids: subnets.into_iter().flatten().filter(|id| !id.is_empty()).collect(),
        })
    }
}

fn check_group_name(name: &str) -> Result<(), ApiError> {
    let good = (1..=GROUP_NAME_CHARS_MAX).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if good {
        return Ok(());
    }
    Err(ApiError::parameter(
        "name",
        "must be 1 to 64 letters, digits, hyphens and underscores, starting with a letter",
        "必须为1~64个字母、数字、中划线或下划线，且以字母开头",
    ))
}

/// Answer of the call that makes a group.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CreateGroupResponse {
    /// The instance.
    pub instance_id: String,
    /// The job.
    pub job_id: String,
    /// The group.
    pub group_id: String,
    /// The order of a yearly or monthly instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
}

/// Answer of the list call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListGroupsResponse {
    /// Groups in all.
    pub total_count: u64,
    /// The page's groups.
    pub group_list: Vec<GroupRow>,
}

/// A group in the list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GroupRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `rw` or `r`.
    pub role: String,
    /// Its address and port.
    pub endpoint: String,
    /// Its nodes share an address.
    pub is_load_balance: bool,
    /// Whether it is the one that the instance began with.
    pub is_default_group: bool,
    /// vCPUs of a node.
    pub cpu_num_per_node: u32,
    /// Memory of a node in GB.
    pub mem_num_per_node: u32,
    /// `X86` or `ARM`.
    pub architecture: String,
    /// Its nodes.
    pub node_list: Vec<GroupNodeRow>,
}

/// A node of a group in the list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GroupNodeRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its AZ.
    pub az: String,
}
