//! The v3 variants of the instance calls that the official SDK has: the same commands with other
//! field names.

use crate::decode::{flag, required};
use crate::instance::{
    ChargeFields, EngineChoice, FlavorChoice, NewInstance, check_administrator, check_name,
    check_node_count, check_time_zone, check_zones,
};
use base::api_error::ApiError;
use base::secret::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of the buy call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CreateInstanceV3Request {
    /// 4–64 letters, digits, hyphens and underscores, a letter first.
    pub name: String,
    /// AZs, at least one.
    pub available_zones: Vec<String>,
    /// How many nodes, 1–32.
    pub node_num: i64,
    /// The engine's version; without one the newest.
    pub engine_version: Option<String>,
    /// The code of the node class.
    pub flavor_ref: String,
    /// The VPC.
    pub vpc_id: String,
    /// The subnet.
    pub subnet_id: String,
    /// The security group; without one the default.
    pub security_group_id: Option<String>,
    /// The parameter template.
    pub param_group_id: Option<String>,
    /// The enterprise project.
    pub enterprise_project_id: Option<String>,
    /// UTC, or UTC and an offset.
    pub time_zone: Option<String>,
    /// The administrator's name.
    pub admin_user_name: Option<String>,
    /// The administrator's password.
    #[schema(value_type = Option<String>)]
    pub admin_user_password: Option<Secret>,
    /// How to pay.
    pub charge_info: Option<ChargeInfo>,
}

/// How to pay.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct ChargeInfo {
    /// `prePaid` or `postPaid` (default).
    pub charge_mode: Option<String>,
    /// 1–9 months or 1 year.
    pub period_num: Option<i64>,
    /// `month` or `year`.
    pub period_type: Option<String>,
    /// Paid at once.
    #[serde(default, deserialize_with = "flag")]
    #[schema(value_type = Option<bool>)]
    pub is_auto_pay: Option<bool>,
    /// Bought again at the end.
    #[serde(default, deserialize_with = "flag")]
    #[schema(value_type = Option<bool>)]
    pub is_auto_renew: Option<bool>,
}

impl CreateInstanceV3Request {
    /// The command, if nothing is wrong.
    pub fn check(self) -> Result<NewInstance, ApiError> {
        check_name("name", &self.name, true)?;
        let info = self.charge_info.unwrap_or_default();
        let charge = ChargeFields {
            at: "charge_info",
            charge_mode: info.charge_mode.as_deref(),
            period_type: info.period_type.as_deref(),
            period_num: info.period_num,
            auto_renew: info.is_auto_renew.unwrap_or(false),
            auto_pay: info.is_auto_pay.unwrap_or(false),
        };
        for (field, value) in [
            ("flavor_ref", &self.flavor_ref),
            ("vpc_id", &self.vpc_id),
            ("subnet_id", &self.subnet_id),
        ] {
            if value.is_empty() {
                return Err(required(field));
            }
        }
        Ok(NewInstance {
            node_count: check_node_count("node_num", self.node_num)?,
            availability_zones: check_zones("available_zones", self.available_zones)?,
            time_zone: check_time_zone("time_zone", self.time_zone)?,
            administrator: check_administrator(
                ("admin_user_name", "admin_user_password"),
                self.admin_user_name,
                self.admin_user_password,
            )?,
            charge: charge.check()?,
            name: self.name,
            flavor: FlavorChoice::Code(self.flavor_ref),
            engine: self.engine_version.map_or(EngineChoice::Newest, EngineChoice::Version),
            enterprise_project_id: self.enterprise_project_id.unwrap_or_else(|| "0".to_owned()),
            vpc_id: self.vpc_id,
            subnet_id: self.subnet_id,
            security_group_id: self.security_group_id.filter(|id| !id.is_empty()),
            parameter_template_id: self.param_group_id.filter(|id| !id.is_empty()),
        })
    }
}

/// Answer of the list call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListInstancesV3Response {
    /// Instances in all.
    pub instance_num: u64,
    /// The page's instances.
    pub instances: Vec<InstanceV3Row>,
    /// Instances on a page.
    pub page_size: u64,
    /// Instances in all.
    pub total: u64,
    /// Pages in all.
    pub total_page: u64,
    /// The page, from 1.
    pub page_no: u64,
}

/// An instance in the list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InstanceV3Row {
    /// What the v1 list says too.
    #[serde(flatten)]
    pub row: crate::instance::InstanceRow,
    /// Its administrator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_user_name: Option<String>,
}

/// Answer of the detail call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShowInstanceV3Response {
    /// The one instance.
    pub instances: Vec<InstanceV3>,
}

/// An instance in detail.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InstanceV3 {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The project.
    pub project_id: String,
    /// Its status.
    pub status: String,
    /// The engine's version.
    pub datastore_version: String,
    /// `ddm`.
    pub datastore_type: String,
    /// When it was made.
    pub create_at: String,
    /// When it last changed.
    pub update_at: String,
    /// Its port.
    pub port: String,
    /// Its time zone.
    pub time_zone: String,
    /// `prePaid` or `postPaid`.
    pub pay_model: String,
    /// Its order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// Whether nodes could be of a newer version: no, they are the program's.
    pub new_version_available: bool,
    /// Whether they could go back to the version before.
    pub rollback_version_available: bool,
    /// Whether they could go back to an older version.
    pub degrade_version_available: bool,
    /// Never.
    pub is_frozen: bool,
    /// What is being done with it.
    pub actions: Vec<Action>,
    /// Whether its only group is the default one.
    pub only_default_group: bool,
    /// Its groups.
    pub groups: Vec<GroupV3>,
    /// Its administrator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_user_name: Option<String>,
    /// 1 when clients may use TLS.
    pub enable_ssl: u8,
}

/// Something that is being done.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Action {
    /// Its name.
    pub action: String,
}

/// A group of nodes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GroupV3 {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `rw` or `r`.
    pub role: String,
    /// Its address and port.
    pub endpoint: String,
    /// How many nodes.
    pub node_count: u32,
    /// Its nodes share an address.
    pub load_balance: bool,
    /// Whether it is the first.
    pub is_default_group: bool,
    /// Its nodes.
    pub nodes: Vec<GroupNodeV3>,
}

/// A node of a group.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GroupNodeV3 {
    /// Its id.
    pub id: String,
    /// Its status.
    pub status: String,
    /// Its name.
    pub name: String,
    /// Its AZ.
    pub az_code: String,
    /// Its subnet.
    pub subnet_id: String,
}

/// A job by id: the answer of most v3 calls that take time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobStarted {
    /// The job.
    pub job_id: String,
}
