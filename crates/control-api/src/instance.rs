//! Instances: buy, list, detail, rename, restart, delete (v1). A request that passed `check` is a
//! command in plain types, the same for both versions of the API; what it names (class, engine,
//! VPC …) is looked up elsewhere.

use crate::administrator::{self, NewAdministrator};
use crate::decode::{flag, required};
use base::api_error::{ApiError, TIME_ZONE_INVALID};
use base::secret::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most nodes of one instance.
pub const NODES_MAX: i64 = 32;

/// The time zones that an instance may have. The documents leave out UTC+04:00.
pub const TIME_ZONES: [&str; 24] = [
    "UTC",
    "UTC-12:00",
    "UTC-11:00",
    "UTC-10:00",
    "UTC-09:00",
    "UTC-08:00",
    "UTC-07:00",
    "UTC-06:00",
    "UTC-05:00",
    "UTC-04:00",
    "UTC-03:00",
    "UTC-02:00",
    "UTC-01:00",
    "UTC+01:00",
    "UTC+02:00",
    "UTC+03:00",
    "UTC+05:00",
    "UTC+06:00",
    "UTC+07:00",
    "UTC+08:00",
    "UTC+09:00",
    "UTC+10:00",
    "UTC+11:00",
    "UTC+12:00",
];

/// Body of the buy call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CreateInstanceRequest {
    /// What to buy.
    pub instance: CreateInstanceDetail,
    /// How to pay.
    pub extend_param: Option<CreateInstanceExtendParam>,
}

/// What to buy.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CreateInstanceDetail {
    /// 4–64 letters, digits and hyphens, a letter first.
    pub name: String,
    /// The node class.
    pub flavor_id: String,
    /// How many nodes, 1–32.
    pub node_num: i64,
    /// The engine.
    pub engine_id: String,
    /// The enterprise project.
    pub enterprise_project_id: Option<String>,
    /// AZs, at least one.
    pub available_zones: Vec<String>,
    /// The VPC.
    pub vpc_id: String,
    /// The security group.
    pub security_group_id: String,
    /// The subnet.
    pub subnet_id: String,
    /// The parameter template.
    pub param_group_id: Option<String>,
    /// UTC, or UTC and an offset.
    pub time_zone: Option<String>,
    /// The administrator's name.
    pub admin_username: Option<String>,
    /// The administrator's password.
    #[schema(value_type = Option<String>)]
    pub admin_password: Option<Secret>,
    /// The administrator's name, as the SDK spells it.
    pub admin_user_name: Option<String>,
    /// The administrator's password, as the SDK spells it.
    #[schema(value_type = Option<String>)]
    pub admin_user_password: Option<Secret>,
}

/// How to pay.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct CreateInstanceExtendParam {
    /// `prePaid` or `postPaid` (default).
    pub charge_mode: Option<String>,
    /// `month` or `year`.
    pub period_type: Option<String>,
    /// 1–9 months or 1 year.
    pub period_num: Option<i64>,
    /// `true` or `false` (default).
    #[serde(default, deserialize_with = "flag")]
    #[schema(value_type = Option<String>)]
    pub is_auto_renew: Option<bool>,
    /// `true` or `false` (default).
    #[serde(default, deserialize_with = "flag")]
    #[schema(value_type = Option<String>)]
    pub is_auto_pay: Option<bool>,
}

/// An instance to buy, well-formed.
#[derive(Clone, Debug)]
pub struct NewInstance {
    /// Its name.
    pub name: String,
    /// Its node class.
    pub flavor: FlavorChoice,
    /// How many nodes, 1–32.
    pub node_count: u32,
    /// Its engine.
    pub engine: EngineChoice,
    /// The enterprise project; `0` is the default one.
    pub enterprise_project_id: String,
    /// AZs, at least one.
    pub availability_zones: Vec<String>,
    /// The VPC.
    pub vpc_id: String,
    /// The subnet.
    pub subnet_id: String,
    /// The security group; without one the default.
    pub security_group_id: Option<String>,
    /// The parameter template.
    pub parameter_template_id: Option<String>,
    /// One of [`TIME_ZONES`].
    pub time_zone: String,
    /// The administrator, if one is wanted at once.
    pub administrator: Option<NewAdministrator>,
    /// How it is paid.
    pub charge: Charge,
}

/// How a request names a node class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlavorChoice {
    /// By id (v1).
    Id(String),
    /// By code, for example `ddm.c6.2xlarge.2` (v3).
    Code(String),
}

/// How a request names an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineChoice {
    /// By id (v1).
    Id(String),
    /// By version (v3).
    Version(String),
    /// The newest.
    Newest,
}

/// How an instance is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charge {
    /// For its use.
    PostPaid,
    /// For a time, before it is made.
    PrePaid {
        /// Months that it is bought for.
        months: u32,
        /// Bought again at the end.
        auto_renew: bool,
        /// Paid at once.
        auto_pay: bool,
    },
}

/// The parts of a request about payment, in either version's spelling.
#[derive(Debug)]
pub(crate) struct ChargeFields<'a> {
    pub at: &'static str,
    pub charge_mode: Option<&'a str>,
    pub period_type: Option<&'a str>,
    pub period_num: Option<i64>,
    pub auto_renew: bool,
    pub auto_pay: bool,
}

impl ChargeFields<'_> {
    pub(crate) fn check(&self) -> Result<Charge, ApiError> {
        let field = |name: &str| format!("{}.{name}", self.at);
        match self.charge_mode {
            None | Some("postPaid") => return Ok(Charge::PostPaid),
            Some("prePaid") => {}
            Some(_) => {
                let values = "must be prePaid or postPaid";
                return Err(ApiError::parameter(
                    field("charge_mode"),
                    values,
                    "取值为prePaid或postPaid",
                ));
            }
        }
        let unit_months = match self.period_type {
            Some("month") => 1,
            Some("year") => 12,
            Some(_) => {
                return Err(ApiError::parameter(
                    field("period_type"),
                    "must be month or year",
                    "取值为month或year",
                ));
            }
            None => return Err(required(&field("period_type"))),
        };
        let number = self.period_num.ok_or_else(|| required(&field("period_num")))?;
        let most = if unit_months == 1 { 9 } else { 1 };
        let Some(number) = u32::try_from(number).ok().filter(|number| (1..=most).contains(number))
        else {
            let values = "must be from 1 to 9 months or 1 year";
            return Err(ApiError::parameter(field("period_num"), values, "按月为1~9，按年为1"));
        };
        Ok(Charge::PrePaid {
            months: number * unit_months,
            auto_renew: self.auto_renew,
            auto_pay: self.auto_pay,
        })
    }
}

impl CreateInstanceRequest {
    /// The command, if nothing is wrong.
    pub fn check(self) -> Result<NewInstance, ApiError> {
        let detail = self.instance;
        check_name("instance.name", &detail.name, false)?;
        let extend = self.extend_param.unwrap_or_default();
        let charge = ChargeFields {
            at: "extend_param",
            charge_mode: extend.charge_mode.as_deref(),
            period_type: extend.period_type.as_deref(),
            period_num: extend.period_num,
            auto_renew: extend.is_auto_renew.unwrap_or(false),
            auto_pay: extend.is_auto_pay.unwrap_or(false),
        };
        for (field, value) in [
            ("instance.flavor_id", &detail.flavor_id),
            ("instance.engine_id", &detail.engine_id),
            ("instance.vpc_id", &detail.vpc_id),
            ("instance.subnet_id", &detail.subnet_id),
            ("instance.security_group_id", &detail.security_group_id),
        ] {
            if value.is_empty() {
                return Err(required(field));
            }
        }
        Ok(NewInstance {
            node_count: check_node_count("instance.node_num", detail.node_num)?,
            availability_zones: check_zones("instance.available_zones", detail.available_zones)?,
            time_zone: check_time_zone("instance.time_zone", detail.time_zone)?,
            administrator: check_administrator(
                ("instance.admin_username", "instance.admin_password"),
                either("instance.admin_user_name", detail.admin_username, detail.admin_user_name)?,
                either(
                    "instance.admin_user_password",
                    detail.admin_password.map(Plain),
                    detail.admin_user_password.map(Plain),
                )?
                .map(|Plain(password)| password),
            )?,
            charge: charge.check()?,
            name: detail.name,
            flavor: FlavorChoice::Id(detail.flavor_id),
            engine: EngineChoice::Id(detail.engine_id),
            enterprise_project_id: detail.enterprise_project_id.unwrap_or_else(|| "0".to_owned()),
            vpc_id: detail.vpc_id,
            subnet_id: detail.subnet_id,
            security_group_id: Some(detail.security_group_id),
            parameter_template_id: detail.param_group_id.filter(|id| !id.is_empty()),
        })
    }
}

/// Refuses a name that is not 4–64 letters, digits and hyphens with a letter first; v3 allows
/// underscores too.
pub(crate) fn check_name(field: &str, name: &str, underscores: bool) -> Result<(), ApiError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || (underscores && b == b'_');
    let good = (4..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(allowed);
    if good {
        return Ok(());
    }
    Err(ApiError::parameter(
        field,
        "must be 4 to 64 letters, digits and hyphens, starting with a letter",
        "必须为4~64个字母、数字或中划线，且以字母开头",
    ))
}

/// A password that can be compared with another one of the same request.
struct Plain(Secret);

impl PartialEq for Plain {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose() == other.0.expose()
    }
}

/// The one of two spellings of a field that is given. Both may be, if they say the same.
fn either<T: PartialEq>(
    field: &str,
    documented: Option<T>,
    other: Option<T>,
) -> Result<Option<T>, ApiError> {
    match (documented, other) {
        (Some(one), Some(two)) if one != two => Err(ApiError::parameter(
            field,
            "contradicts its other spelling",
            "与另一种写法的取值不一致",
        )),
        (one, two) => Ok(one.or(two)),
    }
}

pub(crate) fn check_node_count(field: &str, count: i64) -> Result<u32, ApiError> {
    u32::try_from(count)
        .ok()
        .filter(|_| (1..=NODES_MAX).contains(&count))
        .ok_or_else(|| ApiError::parameter(field, "must be from 1 to 32", "取值范围为1~32"))
}

pub(crate) fn check_zones(field: &str, zones: Vec<String>) -> Result<Vec<String>, ApiError> {
    if zones.is_empty() || zones.iter().any(String::is_empty) {
        return Err(ApiError::parameter(field, "must not be empty", "不能为空"));
    }
    Ok(zones)
}

pub(crate) fn check_time_zone(field: &str, given: Option<String>) -> Result<String, ApiError> {
    let zone = given.filter(|zone| !zone.is_empty()).unwrap_or_else(|| "UTC".to_owned());
    if TIME_ZONES.contains(&zone.as_str()) {
        Ok(zone)
    } else {
        Err(ApiError::new(TIME_ZONE_INVALID).field(field))
    }
}

pub(crate) fn check_administrator(
    fields: (&str, &str),
    name: Option<String>,
    password: Option<Secret>,
) -> Result<Option<NewAdministrator>, ApiError> {
    match (name, password) {
        (None, None) => Ok(None),
        (Some(name), Some(password)) => administrator::check(fields, name, password).map(Some),
        (Some(_), None) => Err(required(fields.1)),
        (None, Some(_)) => Err(required(fields.0)),
    }
}

/// Answer of the buy call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CreateInstanceResponse {
    /// The instance.
    pub id: String,
    /// The job that makes it; null while the order is not paid.
    pub job_id: Option<String>,
    /// The order; null when it is paid for its use.
    pub order_id: Option<String>,
}

/// Answer of the list call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListInstancesResponse {
    /// The page's instances.
    pub instances: Vec<InstanceRow>,
    /// Instances in all.
    pub instance_num: u64,
    /// The page, from 1.
    pub page_no: u64,
    /// Instances on a page.
    pub page_size: u64,
    /// Instances in all.
    pub total_record: u64,
    /// Pages in all.
    pub total_page: u64,
}

/// An instance in the list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InstanceRow {
    /// Its id.
    pub id: String,
    /// CREATING, RUNNING …
    pub status: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: String,
    /// When it last changed.
    pub updated: String,
    /// Its AZs.
    pub available_zone: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Its subnet.
    pub subnet_id: String,
    /// Its security group.
    pub security_group_id: String,
    /// How many nodes.
    pub node_count: u32,
    /// The address that all its nodes share.
    pub access_ip: String,
    /// Its port.
    pub access_port: String,
    /// vCPUs of a node.
    pub core_count: String,
    /// Memory of a node in GB.
    pub ram_capacity: String,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_msg: Option<String>,
    /// The worst of its nodes' statuses.
    pub node_status: String,
    /// The enterprise project.
    pub enterprise_project_id: String,
    /// The project.
    pub project_id: String,
    /// Its engine's version.
    pub engine_version: String,
    /// Its order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// Whether clients may use TLS.
    pub enable_ssl: bool,
    /// The code of its node class.
    pub flavor_ref: String,
}

/// Answer of the detail call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShowInstanceResponse {
    /// What the list says too.
    #[serde(flatten)]
    pub row: InstanceRow,
    /// Its nodes.
    pub nodes: Vec<InstanceNode>,
    /// Its administrator, as the documents' table spells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_username: Option<String>,
    /// The same, as their example and the SDK spell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_user_name: Option<String>,
}

/// A node in the detail.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InstanceNode {
    /// Its status, in the spelling of instances.
    pub status: String,
    /// Its port.
    pub port: String,
    /// Its address.
    pub ip: String,
    /// Its group.
    pub group_id: String,
    /// Its id.
    pub node_id: String,
}

/// Body of the rename call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct RenameInstanceRequest {
    /// The new name.
    pub name: String,
}

impl RenameInstanceRequest {
    /// The new name, if nothing is wrong.
    pub fn check(self) -> Result<String, ApiError> {
        check_name("name", &self.name, false)?;
        Ok(self.name)
    }

    /// The same for v3, which takes underscores, too.
    pub fn check_v3(self) -> Result<String, ApiError> {
        check_name("name", &self.name, true)?;
        Ok(self.name)
    }
}

/// Answer of the rename call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RenameInstanceResponse {
    /// The new name.
    pub name: String,
}

/// Body of the restart call.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct RestartInstanceRequest {
    /// How.
    pub restart: Option<RestartInstanceInfo>,
}

/// How to restart.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct RestartInstanceInfo {
    /// `soft` (default) or `hard`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// How to restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestartKind {
    /// Connections are drained first.
    Soft,
    /// At once.
    Hard,
}

impl RestartInstanceRequest {
    /// How to restart, if nothing is wrong.
    pub fn check(self) -> Result<RestartKind, ApiError> {
        match self.restart.and_then(|restart| restart.kind).as_deref() {
            None | Some("soft") => Ok(RestartKind::Soft),
            Some("hard") => Ok(RestartKind::Hard),
            Some(_) => {
                Err(ApiError::parameter("restart.type", "must be soft or hard", "取值为soft或hard"))
            }
        }
    }
}

/// Answer of the restart call.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestartInstanceResponse {
    /// The instance.
    pub instance_id: String,
    /// Its name.
    pub instance_name: String,
    /// The job.
    pub job_id: String,
}

/// Answer of the delete call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeleteInstanceResponse {
    /// The instance.
    pub id: String,
    /// The job, which the documents' example has and their table has not.
    pub job_id: String,
}
