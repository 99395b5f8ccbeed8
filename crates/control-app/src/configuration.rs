//! Parameter templates: the default one, which always is, and those that a project made. What is
//! done with an instance's own parameters, and how a template gets there, stands in `configuration/`.

mod apply;
mod instance;

pub use instance::Values;

use crate::app::App;
use crate::change::Tries;
use crate::engine::ENGINE_NAME;
use crate::error::AppError;
use crate::time::{now_ms, text};
use base::api_error::{
    ApiError, CONFLICT, Language, NAMED_PARAMETER_INVALID, PARAMETER_TEMPLATE_INVALID,
    QUOTA_EXCEEDED,
};
use base::id::{ConfigurationId, InstanceId, ProjectId};
use control_api::configuration::{
    CONFIGURATIONS_MAX, ConfigurationCopy, ConfigurationParameter, ConfigurationRow,
    CreateConfigurationResponse, DiffConfigurationsResponse, ListConfigurationsResponse,
    NeedRestartResponse, NewConfiguration, ParameterDifference, ParametersChange,
    ShowConfigurationResponse, unknown,
};
use control_api::paging::{Page, total};
use control_store::record::Versioned;
use control_store::records::configuration::{
    ConfigurationHistoryRecord, ConfigurationNamesRecord, ConfigurationRecord,
};
use control_store::{Condition, typed};
use std::collections::BTreeMap;
use topology::parameters::{DEFINITIONS, ParameterDef, ParameterError, Parameters};

/// The default template's id; it is the same in every project.
const DEFAULT_ID: &str = "5e1b7c40d9a24f3c8b06a1e47f92d035pr09";

/// The default template's name, which no other may have.
pub const DEFAULT_NAME: &str = "Default-DDM";

/// When the default template's values were last settled: 2026-01-01, UNIX milliseconds.
const DEFAULT_SINCE_MS: i64 = 1_767_225_600_000;

/// Longest part of an unknown parameter's name that an answer repeats, in characters.
const NAME_SHOWN_MAX: usize = 64;

/// Values that have an id.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) id: ConfigurationId,
    pub(crate) name: String,
    description: String,
    created_ms: i64,
    updated_ms: i64,
    pub(crate) parameters: Parameters,
}

impl Template {
    fn default_one() -> Self {
        Self {
            id: ConfigurationId::parse(DEFAULT_ID).expect("the constant is an id"),
            name: DEFAULT_NAME.to_owned(),
            description: "Default values of all parameters".to_owned(),
            created_ms: DEFAULT_SINCE_MS,
            updated_ms: DEFAULT_SINCE_MS,
            parameters: Parameters::default(),
        }
    }

    fn row(self) -> ConfigurationRow {
        ConfigurationRow {
            user_defined: self.id.as_str() != DEFAULT_ID,
            id: self.id.to_string(),
            name: self.name,
            description: self.description,
            datastore_name: ENGINE_NAME.to_owned(),
            created: text(self.created_ms),
            updated: text(self.updated_ms),
        }
    }
}

impl From<ConfigurationRecord> for Template {
    fn from(record: ConfigurationRecord) -> Self {
        Self {
            id: record.id,
            name: record.name,
            description: record.description,
            created_ms: record.created_ms,
            updated_ms: record.updated_ms,
            parameters: record.parameters,
        }
    }
}

/// The names of a project's templates, while one of them changes.
struct Names {
    before: Option<Versioned<ConfigurationNamesRecord>>,
    after: ConfigurationNamesRecord,
}

impl Names {
    /// Nobody has changed a name meanwhile.
    fn unchanged(&self) -> Condition {
        match &self.before {
            Some(before) => before.unchanged(),
            None => typed::absent(&self.after),
        }
    }

    /// Takes `name` (of the request's field `field`) for the template `id`.
    fn take(&mut self, field: &str, name: &str, id: &ConfigurationId) -> Result<(), ApiError> {
        let names = &mut self.after.names;
        if name == DEFAULT_NAME || names.get(name).is_some_and(|holder| holder != id) {
            return Err(ApiError::new(CONFLICT)
                .field(field)
                .because("another parameter template has this name", "参数模板名称已存在"));
        }
        names.retain(|_, holder| holder != id);
        if names.len() >= CONFIGURATIONS_MAX {
            return Err(ApiError::new(QUOTA_EXCEEDED).because(
                format!("A project has at most {CONFIGURATIONS_MAX} parameter templates."),
                format!("每个项目最多{CONFIGURATIONS_MAX}个参数模板。"),
            ));
        }
        names.insert(name.to_owned(), id.clone());
        Ok(())
    }
}

impl App {
    /// `GET /v3/{project_id}/configurations`
    pub async fn list_configurations(
        &self,
        project: &ProjectId,
        page: Page,
    ) -> Result<ListConfigurationsResponse, ApiError> {
        let mut own: Vec<Versioned<ConfigurationRecord>> =
            self.list(&ConfigurationRecord::prefix_of(project)).await?;
        own.sort_by_key(|record| std::cmp::Reverse(record.create_revision));
        let mut all = vec![Template::default_one()];
        all.extend(own.into_iter().map(|record| Template::from(record.value)));
        Ok(ListConfigurationsResponse {
            total: total(&all),
            configurations: page.cut(all).into_iter().map(Template::row).collect(),
            offset: page.offset,
            limit: page.limit,
        })
    }

    /// `POST /v3/{project_id}/configurations`
    pub async fn create_configuration(
        &self,
        project: &ProjectId,
        new: NewConfiguration,
    ) -> Result<CreateConfigurationResponse, ApiError> {
        let mut parameters = Parameters::default();
        edit(&mut parameters, &new.values)?;
        let record = new_record(project, new.name, new.description, parameters);
        let mut tries = Tries::default();
        loop {
            if self.add_configuration("name", &record, Vec::new()).await? {
                return Ok(CreateConfigurationResponse {
                    id: record.id.to_string(),
                    name: record.name,
                });
            }
            tries.again()?;
        }
    }

    /// `POST /v3/{project_id}/configurations/{config_id}/copy`
    pub async fn copy_configuration(
        &self,
        project: &ProjectId,
        id: &str,
        copy: ConfigurationCopy,
    ) -> Result<(), ApiError> {
        let mut tries = Tries::default();
        loop {
            let source = self.own_configuration(project, id).await?;
            let description = copy.description.clone().unwrap_or(source.value.description.clone());
            let record = new_record(
                project,
                copy.name.clone(),
                description,
                source.value.parameters.clone(),
            );
            if self.add_configuration("new_name", &record, vec![source.unchanged()]).await? {
                return Ok(());
            }
            tries.again()?;
        }
    }

    /// Writes a new template; false: somebody else was faster.
    async fn add_configuration(
        &self,
        field: &str,
        record: &ConfigurationRecord,
        mut conditions: Vec<Condition>,
    ) -> Result<bool, ApiError> {
        let mut names = self.configuration_names(&record.project_id).await?;
        names.take(field, &record.name, &record.id)?;
        conditions.extend([names.unchanged(), typed::absent(record)]);
        Ok(self.write(conditions, vec![typed::put(record), typed::put(&names.after)]).await?)
    }

    /// `GET /v3/{project_id}/configurations/{config_id}`
    pub async fn show_configuration(
        &self,
        project: &ProjectId,
        id: &str,
        language: Language,
    ) -> Result<ShowConfigurationResponse, ApiError> {
        let template = self.named_values(project, id).await?.ok_or_else(missing)?;
        Ok(ShowConfigurationResponse {
            configuration_parameters: DEFINITIONS
                .iter()
                .map(|definition| ConfigurationParameter {
                    name: definition.name.to_owned(),
                    value: template.parameters.get(definition.name).to_owned(),
                    restart_required: definition.need_restart,
                    readonly: !definition.editable,
                    value_range: definition.kind.value_range(),
                    kind: definition.kind.data_type().to_owned(),
                    description: description(definition, language),
                })
                .collect(),
            id: template.id.to_string(),
            name: template.name,
            datastore_name: ENGINE_NAME.to_owned(),
            description: template.description,
            created: text(template.created_ms),
            updated: text(template.updated_ms),
        })
    }

    /// `PUT /v3/{project_id}/configurations/{config_id}`: instances keep their values until the
    /// template is applied again.
    pub async fn update_configuration(
        &self,
        project: &ProjectId,
        id: &str,
        wanted: ParametersChange,
    ) -> Result<NeedRestartResponse, ApiError> {
        let mut tries = Tries::default();
        loop {
            let before = self.own_configuration(project, id).await?;
            let mut record = before.value.clone();
            edit(&mut record.parameters, &wanted.values)?;
            if let Some(description) = &wanted.description {
                record.description = description.clone();
            }
            let mut conditions = vec![before.unchanged()];
            let mut writes = Vec::new();
            if let Some(name) = wanted.name.as_ref().filter(|name| **name != record.name) {
                let mut names = self.configuration_names(project).await?;
                names.take("name", name, &record.id)?;
                record.name = name.clone();
                conditions.push(names.unchanged());
                writes.push(typed::put(&names.after));
            }
            record.updated_ms = now_ms().max(record.updated_ms);
            writes.push(typed::put(&record));
            if self.write(conditions, writes).await? {
                let need_restart = before.value.parameters.need_restart_for(&record.parameters);
                return Ok(NeedRestartResponse { need_restart });
            }
            tries.again()?;
        }
    }

    /// `DELETE /v3/{project_id}/configurations/{config_id}`: instances keep their values.
    pub async fn delete_configuration(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<(), ApiError> {
        let mut tries = Tries::default();
        loop {
            let before = self.own_configuration(project, id).await?;
            let record = &before.value;
            let mut names = self.configuration_names(project).await?;
            names.after.names.remove(&record.name);
            let history = ConfigurationHistoryRecord::key_of(project, &record.id);
            let writes = vec![
                typed::delete::<ConfigurationRecord>(&ConfigurationRecord::key_of(
                    project, &record.id,
                )),
                typed::delete::<ConfigurationHistoryRecord>(&history),
                if names.after.names.is_empty() {
                    typed::delete::<ConfigurationNamesRecord>(&ConfigurationNamesRecord::key_of(
                        project,
                    ))
                } else {
                    typed::put(&names.after)
                },
            ];
            if self.write(vec![before.unchanged(), names.unchanged()], writes).await? {
                return Ok(());
            }
            tries.again()?;
        }
    }

    /// `PUT /v3/{project_id}/configurations/diff`
    pub async fn diff_configurations(
        &self,
        project: &ProjectId,
        source: &str,
        target: &str,
    ) -> Result<DiffConfigurationsResponse, ApiError> {
        let named = |field: &'static str| move || unknown(field);
        let source = self.named_values(project, source).await?.ok_or_else(named("source_id"))?;
        let target = self.named_values(project, target).await?.ok_or_else(named("target_id"))?;
        let differences = DEFINITIONS.iter().filter_map(|definition| {
            let name = definition.name;
            let (one, other) = (source.parameters.get(name), target.parameters.get(name));
            (one != other).then(|| ParameterDifference {
                name: name.to_owned(),
                source_value: one.to_owned(),
                target_value: other.to_owned(),
            })
        });
        Ok(DiffConfigurationsResponse {
            parameters: differences.collect(),
            source_id: source.id.to_string(),
            source_name: source.name,
            target_id: target.id.to_string(),
            target_name: target.name,
        })
    }

    /// The values that an instance is bought with.
    pub(crate) async fn bought_parameters(
        &self,
        project: &ProjectId,
        template_id: Option<&str>,
    ) -> Result<Parameters, ApiError> {
        let Some(id) = template_id else { return Ok(Parameters::default()) };
        let template = self.template(project, id).await?;
        Ok(template.ok_or_else(|| unknown("param_group_id"))?.parameters)
    }

    /// The default template, or one of the project.
    pub(crate) async fn template(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<Option<Template>, AppError> {
        if id == DEFAULT_ID {
            return Ok(Some(Template::default_one()));
        }
        let Some(id) = ConfigurationId::parse(id) else { return Ok(None) };
        let record: Option<Versioned<ConfigurationRecord>> =
            self.get(&ConfigurationRecord::key_of(project, &id)).await?;
        Ok(record.map(|record| record.value.into()))
    }

    /// A template, or the values of one of the project's instances.
    async fn named_values(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<Option<Template>, AppError> {
        if let Some(template) = self.template(project, id).await? {
            return Ok(Some(template));
        }
        let digits = id.strip_suffix(ConfigurationId::SUFFIX).unwrap_or_default();
        let instance_id = format!("{digits}{}", InstanceId::SUFFIX);
        match self.change_of(project, &instance_id).await {
            Ok(change) => Ok(Some(instance::values_of(&change.instance))),
            Err(AppError::NoInstance) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A template that somebody made and may change.
    async fn own_configuration(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<Versioned<ConfigurationRecord>, ApiError> {
        if id == DEFAULT_ID {
            return Err(ApiError::new(PARAMETER_TEMPLATE_INVALID).field("config_id").because(
                "the default template cannot be changed, copied or deleted",
                "默认参数模板不能修改、复制或删除",
            ));
        }
        let id = ConfigurationId::parse(id).ok_or_else(missing)?;
        self.get(&ConfigurationRecord::key_of(project, &id)).await?.ok_or_else(missing)
    }

    async fn configuration_names(&self, project: &ProjectId) -> Result<Names, AppError> {
        let before: Option<Versioned<ConfigurationNamesRecord>> =
            self.get(&ConfigurationNamesRecord::key_of(project)).await?;
        let after = match &before {
            Some(before) => before.value.clone(),
            None => {
                ConfigurationNamesRecord { project_id: project.clone(), names: BTreeMap::new() }
            }
        };
        Ok(Names { before, after })
    }
}

fn new_record(
    project: &ProjectId,
    name: String,
    description: String,
    parameters: Parameters,
) -> ConfigurationRecord {
    let now = now_ms();
    ConfigurationRecord {
        id: ConfigurationId::random(),
        project_id: project.clone(),
        name,
        description,
        created_ms: now,
        updated_ms: now,
        parameters,
    }
}

/// The answer for a template of the path that is not there.
fn missing() -> ApiError {
    unknown("config_id").with_status(404)
}

/// Sets what a request wants; what is wrong is named.
fn edit(parameters: &mut Parameters, values: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let values = values.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    parameters.edit(values).map_err(|error| refused(&error))
}

fn refused(error: &ParameterError) -> ApiError {
    let (english, chinese) = match error {
        ParameterError::Unknown(_) => {
            ("There is no such parameter.".to_owned(), "参数不存在。".to_owned())
        }
        ParameterError::WrongValue { range, .. } => {
            (format!("It takes {range}."), format!("取值范围为{range}。"))
        }
        ParameterError::NotEditable(_) => {
            ("It cannot be changed.".to_owned(), "该参数不可修改。".to_owned())
        }
        ParameterError::DoesNotFit { other, .. } => (
            format!("It must fit {other}; change both together."),
            format!("须与{other}匹配，请同时修改。"),
        ),
    };
    let shown: String = error.name().chars().take(NAME_SHOWN_MAX).collect();
    ApiError::new(NAMED_PARAMETER_INVALID).field(shown).because(english, chinese)
}

fn description(definition: &ParameterDef, language: Language) -> String {
    match language {
        Language::Chinese => definition.description_zh.to_owned(),
        Language::English => definition.description_en.to_owned(),
    }
}
