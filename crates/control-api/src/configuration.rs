//! Instance parameters and parameter templates: list and change an instance's parameters; list,
//! make, change, copy, compare, apply and delete templates. Which parameters there are, and which
//! values they take, is not known here.

use crate::decode::required;
use base::api_error::{ApiError, PARAMETER_TEMPLATE_INVALID};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// Most templates that a project makes.
pub const CONFIGURATIONS_MAX: usize = 100;

/// Longest name of a template.
pub const NAME_LENGTH_MAX: usize = 64;

/// Longest description.
pub const DESCRIPTION_LENGTH_MAX: usize = 256;

/// Most values in one request.
pub const VALUES_MAX: usize = 100;

/// Most instances that one call applies a template to.
pub const APPLY_INSTANCES_MAX: usize = 50;

/// Characters that a description must not have, besides line breaks.
const DESCRIPTION_FORBIDDEN: &[char] = &['>', '!', '<', '"', '&', '\'', '=', '\r', '\n'];

/// Body of the calls that change an instance's parameters.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct UpdateParametersRequest {
    /// The new values by the parameters' names; at least one.
    pub values: BTreeMap<String, String>,
    /// A new name for the instance's parameters (v3.1).
    pub name: Option<String>,
    /// A new description (v3.1).
    pub description: Option<String>,
}

/// A change of parameters, checked as far as the request alone tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParametersChange {
    /// The new values.
    pub values: BTreeMap<String, String>,
    /// The new name.
    pub name: Option<String>,
    /// The new description.
    pub description: Option<String>,
}

/// Body of the call that makes a template.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CreateConfigurationRequest {
    /// 1–64 letters, digits, dots, hyphens and underscores.
    pub name: String,
    /// At most 256 characters.
    pub description: Option<String>,
    /// Values that differ from the defaults.
    pub values: Option<BTreeMap<String, String>>,
}

/// A template to make, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewConfiguration {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Its values.
    pub values: BTreeMap<String, String>,
}

/// Body of the call that changes a template.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct UpdateConfigurationRequest {
    /// A new name.
    pub name: Option<String>,
    /// A new description.
    pub description: Option<String>,
    /// New values; those that are not named stay. May be empty when something else changes.
    pub values: BTreeMap<String, String>,
}

/// Body of the call that copies a template.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CopyConfigurationRequest {
    /// The copy's name.
    pub new_name: String,
    /// The copy's description; without one that of the original.
    pub description: Option<String>,
}

/// A copy to make, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationCopy {
    /// Its name.
    pub name: String,
    /// Its description, if it gets one of its own.
    pub description: Option<String>,
}

/// Body of the call that compares templates.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct DiffConfigurationsRequest {
    /// The one.
    pub source_id: String,
    /// The other.
    pub target_id: String,
}

/// Body of the call that applies a template.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ApplyConfigurationRequest {
    /// 1–50 instances, each once.
    pub instance_ids: Vec<String>,
}

impl UpdateParametersRequest {
    /// The change, if nothing is wrong. The v3 call has no name and no description.
    pub fn check(self, names_group: bool) -> Result<ParametersChange, ApiError> {
        let values = check_values(self.values)?;
        if values.is_empty() {
            return Err(ApiError::parameter(
                "values",
                "must have at least one parameter",
                "至少需要一个参数",
            ));
        }
        let (name, description) = match names_group {
            true => (self.name, self.description),
            false => (None, None),
        };
        name.as_deref().map_or(Ok(()), |name| check_name("name", name))?;
        description.as_deref().map_or(Ok(()), check_description)?;
        Ok(ParametersChange { values, name, description })
    }
}

impl CreateConfigurationRequest {
    /// The template, if nothing is wrong.
    pub fn check(self) -> Result<NewConfiguration, ApiError> {
        check_name("name", &self.name)?;
        let description = self.description.unwrap_or_default();
        check_description(&description)?;
        let values = check_values(self.values.unwrap_or_default())?;
        Ok(NewConfiguration { name: self.name, description, values })
    }
}

impl UpdateConfigurationRequest {
    /// The change, if nothing is wrong.
    pub fn check(self) -> Result<ParametersChange, ApiError> {
        let values = check_values(self.values)?;
        if values.is_empty() && self.name.is_none() && self.description.is_none() {
            return Err(ApiError::parameter(
                "values",
                "must have at least one parameter, unless name or description changes",
                "未修改name或description时，至少需要一个参数",
            ));
        }
        self.name.as_deref().map_or(Ok(()), |name| check_name("name", name))?;
        self.description.as_deref().map_or(Ok(()), check_description)?;
        Ok(ParametersChange { values, name: self.name, description: self.description })
    }
}

impl CopyConfigurationRequest {
    /// The copy, if nothing is wrong.
    pub fn check(self) -> Result<ConfigurationCopy, ApiError> {
        check_name("new_name", &self.new_name)?;
        self.description.as_deref().map_or(Ok(()), check_description)?;
        Ok(ConfigurationCopy { name: self.new_name, description: self.description })
    }
}

impl DiffConfigurationsRequest {
    /// The two ids, if both are given.
    pub fn check(self) -> Result<(String, String), ApiError> {
        for (field, id) in [("source_id", &self.source_id), ("target_id", &self.target_id)] {
            if id.is_empty() {
                return Err(required(field));
            }
        }
        Ok((self.source_id, self.target_id))
    }
}

impl ApplyConfigurationRequest {
    /// The instances' ids, if nothing is wrong.
    pub fn check(self) -> Result<Vec<String>, ApiError> {
        let distinct: BTreeSet<&String> = self.instance_ids.iter().collect();
        let count = self.instance_ids.len();
        if (1..=APPLY_INSTANCES_MAX).contains(&count) && distinct.len() == count {
            return Ok(self.instance_ids);
        }
        Err(ApiError::parameter(
            "instance_ids",
            "must be 1 to 50 instances, each once",
            "必须为1~50个互不相同的实例",
        ))
    }
}

/// A template that is named by a request and does not exist.
pub fn unknown(field: &str) -> ApiError {
    ApiError::new(PARAMETER_TEMPLATE_INVALID).field(field)
}

/// An entry without a name changes nothing.
fn check_values(values: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ApiError> {
    if values.len() > VALUES_MAX {
        return Err(ApiError::parameter(
            "values",
            "must have at most 100 parameters",
            "不能超过100个参数",
        ));
    }
    Ok(values.into_iter().filter(|(name, _)| !name.is_empty()).collect())
}

fn check_name(field: &str, name: &str) -> Result<(), ApiError> {
    let good = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    if (1..=NAME_LENGTH_MAX).contains(&name.len()) && name.bytes().all(good) {
        return Ok(());
    }
    Err(ApiError::parameter(
        field,
        "must be 1 to 64 letters, digits, hyphens, underscores and dots",
        "必须为1~64个字母、数字、中划线、下划线或句点",
    ))
}

fn check_description(text: &str) -> Result<(), ApiError> {
    if text.chars().count() <= DESCRIPTION_LENGTH_MAX && !text.contains(DESCRIPTION_FORBIDDEN) {
        return Ok(());
    }
    Err(ApiError::parameter(
        "description",
        "must have at most 256 characters, without line breaks and > ! < \" & ' =",
        "不能超过256个字符，且不能包含回车和 > ! < \" & ' =",
    ))
}

/// Answer of the call that lists an instance's parameters.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InstanceParametersResponse {
    /// The id of the instance's parameters.
    pub id: String,
    /// Their name.
    pub name: String,
    /// Their description.
    pub description: String,
    /// When they last changed, `2021-11-09 03:26:52`.
    pub updated: String,
    /// The page's parameters.
    pub configuration_parameter: Vec<InstanceParameter>,
    /// Parameters left out at the start.
    pub offset: u64,
    /// The most parameters on the page.
    pub limit: u64,
    /// Parameters in all.
    pub total: u64,
}

/// A parameter of an instance.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InstanceParameter {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// `1` when a change needs a restart, else `0`.
    pub need_restart: String,
    /// `1` when users cannot change it, else `0`.
    pub read_only: String,
    /// What it takes.
    pub value_range: String,
    /// `string`, `integer`, `boolean`, `list` or `float`.
    pub data_type: String,
    /// What it does.
    pub description: String,
}

/// Answer of the v3 call that changes an instance's parameters.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateParametersResponse {
    /// The nodes that get the new values, by id, with commas between.
    pub node_list: String,
    /// Whether the instance must be restarted.
    pub need_restart: bool,
    /// The job.
    pub job_id: String,
    /// The id of the instance's parameters.
    pub config_id: String,
    /// Their name.
    pub config_name: String,
}

/// Answer of the calls that change parameters of a template, and of an instance in v3.1.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NeedRestartResponse {
    /// Whether an instance with these parameters must be restarted.
    pub need_restart: bool,
}

/// Answer of the call that makes a template.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CreateConfigurationResponse {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// Answer of the call that lists templates.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListConfigurationsResponse {
    /// The page's templates, the default one first.
    pub configurations: Vec<ConfigurationRow>,
    /// Templates in all.
    pub total: u64,
    /// Templates left out at the start.
    pub offset: u64,
    /// The most templates on the page.
    pub limit: u64,
}

/// A template in the list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConfigurationRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// `ddm`.
    pub datastore_name: String,
    /// When it was made.
    pub created: String,
    /// When it last changed.
    pub updated: String,
    /// Whether somebody made it; the default one was not.
    pub user_defined: bool,
}

/// Answer of the call that shows a template.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShowConfigurationResponse {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `ddm`.
    pub datastore_name: String,
    /// Its description.
    pub description: String,
    /// When it was made.
    pub created: String,
    /// When it last changed.
    pub updated: String,
    /// All its parameters.
    pub configuration_parameters: Vec<ConfigurationParameter>,
}

/// A parameter of a template.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConfigurationParameter {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether a change needs a restart.
    pub restart_required: bool,
    /// Whether users cannot change it.
    pub readonly: bool,
    /// What it takes.
    pub value_range: String,
    /// `string`, `integer`, `boolean`, `list` or `float`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it does.
    pub description: String,
}

/// Answer of the call that compares templates.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DiffConfigurationsResponse {
    /// The one.
    pub source_id: String,
    /// Its name.
    pub source_name: String,
    /// The other.
    pub target_id: String,
    /// Its name.
    pub target_name: String,
    /// The parameters that differ.
    pub parameters: Vec<ParameterDifference>,
}

/// A parameter with two values.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ParameterDifference {
    /// Its name.
    pub name: String,
    /// In the one.
    pub source_value: String,
    /// In the other.
    pub target_value: String,
}

/// Answer of the call that applies a template.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ApplyConfigurationResponse {
    /// The template.
    pub configuration_id: String,
    /// Its name.
    pub configuration_name: String,
    /// What was begun, for each instance.
    pub apply_results: Vec<ApplyResult>,
    /// Whether it was begun for every one.
    pub success: bool,
}

/// One instance that a template is applied to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ApplyResult {
    /// Its id.
    pub instance_id: String,
    /// Its name.
    pub instance_name: String,
    /// Whether it must be restarted afterwards.
    pub restart_required: bool,
    /// Whether it was begun.
    pub success: bool,
    /// The job that does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Why it was not begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_msg: Option<String>,
}

/// Answer of the call that lists where a template was applied.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ApplyHistoriesResponse {
    /// The page's applications, the newest first.
    pub histories: Vec<ApplyHistory>,
    /// Applications in all.
    pub total: u64,
}

/// One application.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ApplyHistory {
    /// The instance.
    pub target_id: String,
    /// Its name.
    pub target_name: String,
    /// `APPLYING`, `SUCCESS` or `FAILED`.
    pub apply_result: String,
    /// When.
    pub applied_at: String,
    /// Why it failed; empty if it did not.
    pub error_message: String,
}

/// Answer of the call that lists the instances that a template can be applied to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ApplicableInstancesResponse {
    /// The page's instances.
    pub entities: Vec<ApplicableInstance>,
    /// Instances in all.
    pub total: u64,
}

/// An instance that a template can be applied to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ApplicableInstance {
    /// Its id.
    pub instance_id: String,
    /// Its name.
    pub instance_name: String,
}
