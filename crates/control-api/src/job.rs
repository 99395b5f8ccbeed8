//! Jobs: what a call that takes time started.

use base::api_error::{ApiError, TIME_RANGE_INVALID};
use serde::Serialize;
use utoipa::ToSchema;

/// How far back the list reaches, in milliseconds.
pub const HISTORY_MS: i64 = 30 * 24 * 3600 * 1000;

/// How far back it reaches when no start is given.
pub const HISTORY_DEFAULT_MS: i64 = 7 * 24 * 3600 * 1000;

/// Answer of the call for one job.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShowJobResponse {
    /// The job.
    pub job: Job,
}

/// A job.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// What it does.
    pub name: String,
    /// Running, Completed or Failed.
    pub status: String,
    /// When it was made.
    pub created_time: String,
    /// When it ended, or nothing.
    pub end_time: String,
    /// `60%` while it runs, else nothing.
    pub process: String,
    /// What it works on.
    pub instance: JobInstance,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_reason: Option<String>,
}

/// The instance of a job.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobInstance {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// Answer of the list call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListJobsResponse {
    /// As asked.
    pub offset: u64,
    /// As asked.
    pub limit: u64,
    /// Jobs in all.
    pub total: u64,
    /// The page's jobs, newest first.
    pub jobs: Vec<JobRow>,
}

/// A job in the list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobRow {
    /// Its id.
    pub id: String,
    /// What it does.
    pub name: String,
    /// Running, Completed or Failed.
    pub status: String,
    /// When it was made.
    pub created_time: String,
    /// When it ended, or nothing.
    pub end_time: String,
    /// `60%` while it runs, else nothing.
    pub process: String,
    /// What it works on.
    pub instance_name: String,
    /// What it works on.
    pub instance_id: String,
    /// What a person may ask of it.
    pub operations: Vec<String>,
    /// The schema, for jobs on one.
    pub database_name: String,
    /// Why it failed, or nothing.
    pub fail_reason: String,
}

/// A time range of the list, in UNIX milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// First moment.
    pub start: i64,
    /// Last moment.
    pub end: i64,
}

impl TimeRange {
    /// The range that a request asks for at the time `now`.
    pub fn new(start: Option<i64>, end: Option<i64>, now: i64) -> Result<Self, ApiError> {
        let end = end.unwrap_or(now);
        let start = start.unwrap_or(now - HISTORY_DEFAULT_MS).max(now - HISTORY_MS);
        if start > end {
            return Err(ApiError::new(TIME_RANGE_INVALID).field("start_time").because(
                "must not be later than end_time, nor end_time 30 days ago",
                "不能晚于end_time，且只能查询30天内的任务",
            ));
        }
        Ok(Self { start, end })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_list_reaches_thirty_days_back() {
        let now = 1_700_000_000_000;
        assert_eq!(TimeRange::new(None, None, now).unwrap().start, now - HISTORY_DEFAULT_MS);
        assert_eq!(TimeRange::new(Some(0), None, now).unwrap().start, now - HISTORY_MS);
        assert_eq!(TimeRange::new(Some(5), Some(3), now).unwrap_err().code.code, "DBS.300377");
        assert_eq!(
            TimeRange::new(Some(now), Some(now - 1), now).unwrap_err().code.code,
            "DBS.300377"
        );
    }
}
