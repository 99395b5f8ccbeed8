//! Applying a template to instances: a job for each, and a history that says what came of it. The
//! history is written in the transactions that begin and end the job, so both tell the same.

use super::instance::Wanted;
use super::{Template, missing};
use crate::app::App;
use crate::change::{Change, Tries};
use crate::error::AppError;
use crate::jobs::ApplicationParams;
use crate::time::{now_ms, text};
use base::api_error::{ApiError, Language};
use base::id::{ConfigurationId, ProjectId, hex, random_bytes};
use control_api::configuration::{
    ApplicableInstance, ApplicableInstancesResponse, ApplyConfigurationResponse,
    ApplyHistoriesResponse, ApplyHistory, ApplyResult,
};
use control_api::paging::{Page, total};
use control_store::record::Versioned;
use control_store::records::configuration::{
    ApplicationRecord, ApplicationResult, ConfigurationHistoryRecord,
};
use control_store::records::instance::{InstanceRecord, InstanceStatus};
use control_store::typed;

/// A template's history keeps so many applications; then the oldest goes.
pub const HISTORY_MAX: usize = 500;

impl App {
    /// `PUT /v3/{project_id}/configurations/{config_id}/apply`
    pub async fn apply_configuration(
        &self,
        project: &ProjectId,
        id: &str,
        instance_ids: Vec<String>,
        language: Language,
    ) -> Result<ApplyConfigurationResponse, ApiError> {
        let template = self.template(project, id).await?.ok_or_else(missing)?;
        let mut results = Vec::with_capacity(instance_ids.len());
        for instance_id in instance_ids {
            results.push(self.apply_to(project, &template, instance_id, language).await?);
        }
        Ok(ApplyConfigurationResponse {
            configuration_id: template.id.to_string(),
            configuration_name: template.name,
            success: results.iter().all(|result| result.success),
            apply_results: results,
        })
    }

    /// One instance; that it refuses is a result, too.
    async fn apply_to(
        &self,
        project: &ProjectId,
        template: &Template,
        instance_id: String,
        language: Language,
    ) -> Result<ApplyResult, ApiError> {
        let wanted = Wanted::Template(template);
        let error = match self.begin_configuration(project, &instance_id, &wanted).await {
            Ok(begun) => {
                return Ok(ApplyResult {
                    instance_id,
                    instance_name: begun.instance.name,
                    restart_required: begun.need_restart,
                    success: true,
                    job_id: Some(begun.job_id),
                    error_code: None,
                    error_msg: None,
                });
            }
            Err(error) => error,
        };
        let mut instance_name = String::new();
        if let Ok(instance) = self.instance(project, &instance_id).await {
            let reason = error.message(Language::English);
            self.note_refusal(project, &template.id, &instance.value, reason).await?;
            instance_name = instance.value.name;
        }
        Ok(ApplyResult {
            instance_id,
            instance_name,
            restart_required: false,
            success: false,
            job_id: None,
            error_code: Some(error.code.code.to_owned()),
            error_msg: Some(error.message(language)),
        })
    }

    /// `GET /v3/{project_id}/configurations/{config_id}/apply-histories`
    pub async fn list_apply_histories(
        &self,
        project: &ProjectId,
        id: &str,
        page: Page,
    ) -> Result<ApplyHistoriesResponse, ApiError> {
        let template = self.template(project, id).await?.ok_or_else(missing)?;
        let history = self.history(project, &template.id).await?;
        let mut all = history.map(|history| history.value.applications).unwrap_or_default();
        all.reverse();
        let total = total(&all);
        let rows = page.cut(all).into_iter().map(|application| ApplyHistory {
            target_id: application.instance_id.to_string(),
            target_name: application.instance_name,
            apply_result: application.result.name().to_owned(),
            applied_at: text(application.applied_ms),
            error_message: application.reason.unwrap_or_default(),
        });
        Ok(ApplyHistoriesResponse { histories: rows.collect(), total })
    }

    /// `GET /v3/{project_id}/configurations/{config_id}/query-instances`
    pub async fn list_applicable_instances(
        &self,
        project: &ProjectId,
        id: &str,
        page: Page,
    ) -> Result<ApplicableInstancesResponse, ApiError> {
        self.template(project, id).await?.ok_or_else(missing)?;
        let mut all = self.instances_of(project).await?;
        all.retain(|instance| instance.status == InstanceStatus::Running);
        let total = total(&all);
        let rows = page.cut(all).into_iter().map(|instance| ApplicableInstance {
            instance_id: instance.id.to_string(),
            instance_name: instance.name,
        });
        Ok(ApplicableInstancesResponse { entities: rows.collect(), total })
    }

    /// Adds to the change that a template is being applied to its instance.
    pub(super) async fn note_application(
        &self,
        change: &mut Change<'_>,
        template: &ConfigurationId,
    ) -> Result<ApplicationParams, AppError> {
        let application = application(&change.instance, ApplicationResult::Applying, None);
        let params =
            ApplicationParams { configuration_id: template.clone(), id: application.id.clone() };
        let project = change.instance.project_id.clone();
        match self.history(&project, template).await? {
            Some(before) => {
                let after = with(before.value.clone(), application);
                change.update(&before, &after);
            }
            None => change.create(&new_history(&project, template, application)),
        }
        Ok(params)
    }

    /// Adds to the change what came of an application. A history that is gone with its template
    /// stays gone.
    pub(crate) async fn note_result(
        &self,
        change: &mut Change<'_>,
        params: &ApplicationParams,
        result: ApplicationResult,
        reason: Option<String>,
    ) -> Result<(), AppError> {
        let project = change.instance.project_id.clone();
        let Some(before) = self.history(&project, &params.configuration_id).await? else {
            return Ok(());
        };
        let mut after = before.value.clone();
        if let Some(own) = after.applications.iter_mut().find(|one| one.id == params.id) {
            (own.result, own.reason) = (result, reason);
            change.update(&before, &after);
        }
        Ok(())
    }

    /// An instance did not take the template at all.
    async fn note_refusal(
        &self,
        project: &ProjectId,
        template: &ConfigurationId,
        instance: &InstanceRecord,
        reason: String,
    ) -> Result<(), AppError> {
        let refused = application(instance, ApplicationResult::Failed, Some(reason));
        let mut tries = Tries::default();
        loop {
            let (condition, after) = match self.history(project, template).await? {
                Some(before) => (before.unchanged(), with(before.value.clone(), refused.clone())),
                None => {
                    let new = new_history(project, template, refused.clone());
                    (typed::absent(&new), new)
                }
            };
            if self.write(vec![condition], vec![typed::put(&after)]).await? {
                return Ok(());
            }
            tries.again()?;
        }
    }

    async fn history(
        &self,
        project: &ProjectId,
        template: &ConfigurationId,
    ) -> Result<Option<Versioned<ConfigurationHistoryRecord>>, AppError> {
        self.get(&ConfigurationHistoryRecord::key_of(project, template)).await
    }
}

fn application(
    instance: &InstanceRecord,
    result: ApplicationResult,
    reason: Option<String>,
) -> ApplicationRecord {
    ApplicationRecord {
        id: hex(&random_bytes::<16>()),
        instance_id: instance.id.clone(),
        instance_name: instance.name.clone(),
        applied_ms: now_ms(),
        result,
        reason,
    }
}

fn new_history(
    project: &ProjectId,
    template: &ConfigurationId,
    first: ApplicationRecord,
) -> ConfigurationHistoryRecord {
    ConfigurationHistoryRecord {
        project_id: project.clone(),
        configuration_id: template.clone(),
        applications: vec![first],
    }
}

/// The history with one more; the oldest go when there are too many.
fn with(
    mut history: ConfigurationHistoryRecord,
    application: ApplicationRecord,
) -> ConfigurationHistoryRecord {
    history.applications.push(application);
    let excess = history.applications.len().saturating_sub(HISTORY_MAX);
    history.applications.drain(..excess);
    history
}
