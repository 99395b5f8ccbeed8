//! The parameters of an instance: list them, and begin to change them. The job does the rest, so
//! that whoever sees the instance RUNNING again finds the new values on every node.

use super::{Template, description, edit};
use crate::app::App;
use crate::change::Tries;
use crate::instance::require_running;
use crate::jobs::{CONFIGURATION_CHANGE, ConfigurationParams, instance_lock};
use crate::time::{now_ms, plain_text};
use base::api_error::{ApiError, Language};
use base::id::{ConfigurationId, InstanceId, ProjectId};
use control_api::configuration::{
    InstanceParameter, InstanceParametersResponse, NeedRestartResponse, ParametersChange,
    UpdateParametersResponse,
};
use control_api::paging::{Page, total};
use control_store::records::instance::{InstanceConfiguration, InstanceRecord, InstanceStatus};
use serde::{Deserialize, Serialize};
use topology::parameters::{DEFINITIONS, Parameters};

/// What an instance's parameters are described as when nobody said otherwise.
const DESCRIPTION: &str = "ParamGroup for instance";

/// All that a change of an instance's parameters writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Values {
    parameters: Parameters,
    configuration: InstanceConfiguration,
}

impl Values {
    fn of(instance: &InstanceRecord) -> Self {
        Self {
            parameters: instance.parameters.clone(),
            configuration: instance.configuration.clone(),
        }
    }

    /// Puts them into the record.
    pub(crate) fn put_into(&self, instance: &mut InstanceRecord) {
        instance.parameters = self.parameters.clone();
        instance.configuration = self.configuration.clone();
    }
}

/// What an instance's parameters shall be.
pub(super) enum Wanted<'a> {
    /// Some values become others.
    Edit(&'a ParametersChange),
    /// All values become the template's.
    Template(&'a Template),
}

impl Wanted<'_> {
    fn after(&self, before: &Values) -> Result<Values, ApiError> {
        let mut after = before.clone();
        after.configuration.changed_ms = Some(now_ms());
        match self {
            Wanted::Edit(change) => {
                edit(&mut after.parameters, &change.values)?;
                let configuration = &mut after.configuration;
                configuration.name = change.name.clone().or(configuration.name.take());
                configuration.description =
                    change.description.clone().or(configuration.description.take());
            }
            Wanted::Template(template) => after.parameters = template.parameters.clone(),
        }
        Ok(after)
    }
}

/// A change that has begun.
pub(super) struct Begun {
    pub(super) instance: InstanceRecord,
    pub(super) name: String,
    pub(super) need_restart: bool,
    pub(super) job_id: String,
}

impl App {
    /// `GET /v3/{project_id}/instances/{instance_id}/configurations`
    pub async fn list_parameters(
        &self,
        project: &ProjectId,
        instance_id: &str,
        language: Language,
        page: Page,
    ) -> Result<InstanceParametersResponse, ApiError> {
        let instance = self.instance(project, instance_id).await?.value;
        let values = values_of(&instance);
        let bit = |set: bool| if set { "1" } else { "0" }.to_owned();
        let all: Vec<InstanceParameter> = DEFINITIONS
            .iter()
            .map(|definition| InstanceParameter {
                name: definition.name.to_owned(),
                value: instance.parameters.get(definition.name).to_owned(),
                need_restart: bit(definition.need_restart),
                read_only: bit(!definition.editable),
                value_range: definition.kind.value_range(),
                data_type: definition.kind.data_type().to_owned(),
                description: description(definition, language),
            })
            .collect();
        Ok(InstanceParametersResponse {
            id: values.id.to_string(),
            name: values.name,
            description: values.description,
            updated: plain_text(values.updated_ms),
            total: total(&all),
            configuration_parameter: page.cut(all),
            offset: page.offset,
            limit: page.limit,
        })
    }

    /// `PUT /v3/{project_id}/instances/{instance_id}/configurations`
    pub async fn update_parameters(
        &self,
        project: &ProjectId,
        instance_id: &str,
        wanted: ParametersChange,
    ) -> Result<UpdateParametersResponse, ApiError> {
        let begun = self.begin_configuration(project, instance_id, &Wanted::Edit(&wanted)).await?;
        let nodes = self.nodes_of(&begun.instance.id).await?;
        let nodes: Vec<&str> = nodes.iter().map(|node| node.value.id.as_str()).collect();
        Ok(UpdateParametersResponse {
            node_list: nodes.join(","),
            need_restart: begun.need_restart,
            job_id: begun.job_id,
            config_id: id_of(&begun.instance.id).to_string(),
            config_name: begun.name,
        })
    }

    /// `PUT /v3.1/{project_id}/instances/{instance_id}/configurations`
    pub async fn update_parameters_v3_1(
        &self,
        project: &ProjectId,
        instance_id: &str,
        wanted: ParametersChange,
    ) -> Result<NeedRestartResponse, ApiError> {
        let begun = self.begin_configuration(project, instance_id, &Wanted::Edit(&wanted)).await?;
        Ok(NeedRestartResponse { need_restart: begun.need_restart })
    }

    /// Makes the job that changes an instance's parameters.
    pub(super) async fn begin_configuration(
        &self,
        project: &ProjectId,
        instance_id: &str,
        wanted: &Wanted<'_>,
    ) -> Result<Begun, ApiError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, instance_id).await?;
            require_running(&change.instance)?;
            let before = Values::of(&change.instance);
            let after = wanted.after(&before)?;
            let need_restart = before.parameters.need_restart_for(&after.parameters);
            let name = name_of(&change.instance.id, &after.configuration);
            let application = match wanted {
                Wanted::Edit(_) => None,
                Wanted::Template(template) => {
                    Some(self.note_application(&mut change, &template.id).await?)
                }
            };
            let params = ConfigurationParams { before, after, application };
            change.instance.status = InstanceStatus::SetConfiguration;
            change.instance.error = None;
            change.start_job(
                CONFIGURATION_CHANGE,
                instance_lock(&change.instance.id.clone()),
                None,
                serde_json::to_value(params).expect("parameters are plain data"),
            )?;
            let instance = change.instance.clone();
            if let Some(committed) = change.commit().await? {
                let job_id = committed.into_job_id();
                return Ok(Begun { instance, name, need_restart, job_id });
            }
            tries.again()?;
        }
    }
}

/// The id of an instance's parameters.
fn id_of(id: &InstanceId) -> ConfigurationId {
    let digits = id.as_str().strip_suffix(InstanceId::SUFFIX).unwrap_or_default();
    ConfigurationId::parse(&format!("{digits}{}", ConfigurationId::SUFFIX))
        .expect("an instance's id has the digits of one")
}

/// Their name: one that they were given, or `ddm_` and eight and three digits of the instance's id.
fn name_of(id: &InstanceId, configuration: &InstanceConfiguration) -> String {
    let digits = id.as_str();
    configuration.name.clone().unwrap_or_else(|| format!("ddm_{}-{}", &digits[..8], &digits[8..11]))
}

/// An instance's parameters as a set of values with an id.
pub(super) fn values_of(instance: &InstanceRecord) -> Template {
    let configuration = &instance.configuration;
    Template {
        id: id_of(&instance.id),
        name: name_of(&instance.id, configuration),
        description: configuration.description.clone().unwrap_or(DESCRIPTION.to_owned()),
        created_ms: instance.created_ms,
        updated_ms: configuration.changed_ms.unwrap_or(instance.created_ms),
        parameters: instance.parameters.clone(),
    }
}
