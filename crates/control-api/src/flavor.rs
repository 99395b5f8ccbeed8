//! Node classes: how many vCPUs and how much memory a node may use.

use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Answer of the v2 call.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListFlavorsResponse {
    /// By architecture.
    pub compute_flavor_groups: Vec<FlavorGroup>,
}

/// The classes of one architecture.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlavorGroup {
    /// `X86` or `ARM`.
    pub group_type: String,
    /// The page's classes.
    pub compute_flavors: Vec<Flavor>,
    /// As asked.
    pub offset: u64,
    /// As asked.
    pub limit: u64,
    /// Classes of this architecture in all.
    pub total: u64,
}

/// A node class.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Flavor {
    /// Its id.
    pub id: String,
    /// `cloudtype.resource.type.ddm`.
    pub type_code: String,
    /// Its code, for example `ddm.c6.2xlarge.2`.
    pub code: String,
    /// The code of the layer below.
    pub iaas_code: String,
    /// vCPUs.
    pub cpu: String,
    /// Memory in GB.
    pub mem: String,
    /// Most connections; the instance's own parameter decides.
    pub max_connections: Option<String>,
    /// What a node runs as.
    pub server_type: String,
    /// `X86` or `ARM`.
    pub architecture: String,
    /// By AZ: `normal`, `unsupported` or `sellout`.
    pub az_status: BTreeMap<String, String>,
    /// `normal`.
    pub region_status: String,
    /// As the group's.
    pub group_type: String,
    /// `DDM`.
    pub db_type: String,
    /// The AZs as text.
    pub extend_fields: BTreeMap<String, String>,
}

/// Answer of the v3 call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListFlavorsV3Response {
    /// By architecture.
    pub flavor_groups: Vec<FlavorGroupV3>,
}

/// The classes of one architecture, v3.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FlavorGroupV3 {
    /// `X86` or `ARM`.
    pub group_type: String,
    /// The page's classes.
    pub flavors: Vec<FlavorV3>,
    /// As asked.
    pub offset: u64,
    /// As asked.
    pub limit: u64,
    /// Classes of this architecture in all.
    pub total: u64,
}

/// A node class, v3.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FlavorV3 {
    /// Its id.
    pub id: String,
    /// Its code.
    pub spec_code: String,
    /// vCPUs.
    pub vcpus: String,
    /// Memory in GB.
    pub ram: String,
    /// The AZs.
    pub az_infos: Vec<FlavorAz>,
}

/// An AZ of a class.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FlavorAz {
    /// Its code.
    pub code: String,
    /// Its description.
    pub description: String,
    /// `normal`, `unsupported` or `sellout`.
    pub status: String,
    /// Whether it has IPv6.
    pub support_ipv6: bool,
}
