//! Routes of jobs.

use super::{BASE, Parameter, Route};
use crate::body;
use crate::job;
use crate::paging::INSTANCES_LIMIT_DEFAULT;
use base::api_error::*;

pub(super) const ROUTES: &[Route] = &[
    Route {
        path: "/v3/{project_id}/jobs/{job_id}",
        operation: "show_job",
        summary: "Show a job",
        tag: "job",
        response: body!(job::ShowJobResponse, "ShowJobResponse"),
        errors: &[TASK_MISSING],
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/jobs",
        operation: "list_jobs",
        summary: "List jobs",
        tag: "job",
        query: &[
            Parameter::Milliseconds("start_time"),
            Parameter::Milliseconds("end_time"),
            Parameter::Offset,
            Parameter::Limit(INSTANCES_LIMIT_DEFAULT),
        ],
        response: body!(job::ListJobsResponse, "ListJobsResponse"),
        errors: &[TIME_RANGE_INVALID],
        ..BASE
    },
];
