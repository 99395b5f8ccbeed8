//! Jobs as the API shows them.

use crate::app::App;
use crate::error::AppError;
use crate::time;
use base::api_error::{ApiCode, ApiError, TASK_MISSING, UNAVAILABLE};
use base::id::ProjectId;
use control_api::job::{
    Job, JobInstance, JobRow as ApiRow, ListJobsResponse, ShowJobResponse, TimeRange,
};
use control_api::paging::Page;
use control_store::by_project::{self, Listed};
use control_store::jobs::key_of;
use control_store::record::Versioned;
use job_engine::{JobRow, JobState};
use std::time::Duration;

/// A call that answers only when its job has ended waits no longer.
pub const CALL_WAIT: Duration = Duration::from_secs(20);

impl App {
    /// Waits, for a call that is short as a rule, until its job has ended well. A job that takes
    /// longer goes on by itself.
    pub(crate) async fn require_done(
        &self,
        job_id: &str,
        failure: &'static ApiCode,
    ) -> Result<(), ApiError> {
        match tokio::time::timeout(CALL_WAIT, self.jobs.wait(job_id)).await {
            Ok(Ok(row)) if row.state == JobState::Completed => Ok(()),
            Ok(Ok(row)) => {
                tracing::warn!(job = job_id, reason = ?row.fail_reason, "a call failed");
                Err(ApiError::new(failure))
            }
            Ok(Err(_)) | Err(_) => Err(ApiError::new(UNAVAILABLE).because(
                format!("It goes on as job {job_id}."),
                format!("操作仍在进行，任务ID为{job_id}。"),
            )),
        }
    }

    /// `GET /v3/{project_id}/jobs/{job_id}`
    pub async fn show_job(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<ShowJobResponse, ApiError> {
        let missing = || ApiError::new(TASK_MISSING).with_status(404);
        let job: Versioned<JobRow> = self.get(&key_of(id)).await?.ok_or_else(missing)?;
        if job.value.project_id != project.as_str() {
            return Err(missing());
        }
        let row = job.value;
        Ok(ShowJobResponse {
            job: Job {
                status: row.state.status().to_owned(),
                created_time: time_of(row.created_ms),
                end_time: row.ended_ms.map(time_of).unwrap_or_default(),
                process: process(&row),
                id: row.id,
                name: row.kind,
                instance: JobInstance {
                    id: row.instance_id.unwrap_or_default(),
                    name: row.instance_name.unwrap_or_default(),
                },
                fail_reason: row.fail_reason,
            },
        })
    }

    /// `GET /v3/{project_id}/jobs`
    pub async fn list_jobs(
        &self,
        project: &ProjectId,
        range: TimeRange,
        page: Page,
    ) -> Result<ListJobsResponse, ApiError> {
        let ms = |time: i64| u64::try_from(time).unwrap_or(0);
        let made =
            by_project::made_between::<JobRow>(project.as_str(), ms(range.start), ms(range.end));
        let listed = by_project::list(&*self.store, &made, page.offset, page.rows()).await;
        let Listed { rows, total } = listed.map_err(AppError::from)?;
        let jobs = rows.into_iter().map(|row| api_row(row.value)).collect();
        Ok(ListJobsResponse { offset: page.offset, limit: page.limit, total, jobs })
    }
}

fn api_row(row: JobRow) -> ApiRow {
    ApiRow {
        status: row.state.status().to_owned(),
        created_time: time_of(row.created_ms),
        end_time: row.ended_ms.map(time_of).unwrap_or_default(),
        process: process(&row),
        id: row.id,
        name: row.kind,
        instance_name: row.instance_name.unwrap_or_default(),
        instance_id: row.instance_id.unwrap_or_default(),
        operations: Vec::new(),
        database_name: row.schema.unwrap_or_default(),
        fail_reason: row.fail_reason.unwrap_or_default(),
    }
}

fn process(row: &JobRow) -> String {
    if row.state.is_final() { String::new() } else { format!("{}%", row.progress()) }
}

fn to_i64(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn time_of(ms: u64) -> String {
    time::text(to_i64(ms))
}
