//! Instance parameters and parameter templates: a project's own templates, the names that they
//! have taken, and where each was applied. The values of an instance stand in its own record.

use crate::record::Record;
use base::id::{ConfigurationId, InstanceId, ProjectId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use topology::parameters::Parameters;

/// A template that somebody made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationRecord {
    /// Its id.
    pub id: ConfigurationId,
    /// Whose it is.
    pub project_id: ProjectId,
    /// Its name, unique in the project.
    pub name: String,
    /// Its description.
    pub description: String,
    /// When it was made, UNIX milliseconds.
    pub created_ms: i64,
    /// When it last changed, UNIX milliseconds.
    pub updated_ms: i64,
    /// Its values, those that differ from the defaults.
    pub parameters: Parameters,
}

impl ConfigurationRecord {
    /// The prefix of a project's templates.
    pub fn prefix_of(project_id: &ProjectId) -> String {
        format!("{}{project_id}/", Self::PREFIX)
    }

    /// The key of one template.
    pub fn key_of(project_id: &ProjectId, id: &ConfigurationId) -> String {
        format!("{}{id}", Self::prefix_of(project_id))
    }
}

impl Record for ConfigurationRecord {
    const PREFIX: &'static str = "configurations/";

    fn key(&self) -> String {
        Self::key_of(&self.project_id, &self.id)
    }
}

/// The names that a project's templates have: written with every change of one, so that names stay
/// unique and templates few although calls come at the same time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationNamesRecord {
    /// Whose they are.
    pub project_id: ProjectId,
    /// Which template has which name.
    pub names: BTreeMap<String, ConfigurationId>,
}

impl ConfigurationNamesRecord {
    /// The key of a project's names.
    pub fn key_of(project_id: &ProjectId) -> String {
        format!("{}{project_id}", Self::PREFIX)
    }
}

impl Record for ConfigurationNamesRecord {
    const PREFIX: &'static str = "configuration-names/";

    fn key(&self) -> String {
        Self::key_of(&self.project_id)
    }
}

/// Where a template was applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationHistoryRecord {
    /// Whose it is.
    pub project_id: ProjectId,
    /// The template; the default one has a history in each project.
    pub configuration_id: ConfigurationId,
    /// The newest last.
    pub applications: Vec<ApplicationRecord>,
}

/// One template applied to one instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApplicationRecord {
    /// Its id.
    pub id: String,
    /// To which instance.
    pub instance_id: InstanceId,
    /// The instance's name then.
    pub instance_name: String,
    /// When, UNIX milliseconds.
    pub applied_ms: i64,
    /// What came of it.
    pub result: ApplicationResult,
    /// Why it failed.
    pub reason: Option<String>,
}

/// What came of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ApplicationResult {
    /// It goes on.
    Applying,
    /// All nodes serve the values.
    Success,
    /// The instance has its old values.
    Failed,
}

impl ApplicationResult {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            ApplicationResult::Applying => "APPLYING",
            ApplicationResult::Success => "SUCCESS",
            ApplicationResult::Failed => "FAILED",
        }
    }
}

impl ConfigurationHistoryRecord {
    /// The key of one template's history in a project.
    pub fn key_of(project_id: &ProjectId, id: &ConfigurationId) -> String {
        format!("{}{project_id}/{id}", Self::PREFIX)
    }
}

impl Record for ConfigurationHistoryRecord {
    const PREFIX: &'static str = "configuration-histories/";

    fn key(&self) -> String {
        Self::key_of(&self.project_id, &self.configuration_id)
    }
}
