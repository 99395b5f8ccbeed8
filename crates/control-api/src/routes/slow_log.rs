//! Routes of the slow log.

use super::{BASE, Parameter, Route};
use crate::body;
use crate::slow_log;

pub(super) const ROUTES: &[Route] = &[
    Route {
        path: "/v2/{project_id}/instances/{instance_id}/slowlog",
        operation: "show_slow_log",
        summary: "List slow statements",
        tag: "slow_log",
        query: &[
            Parameter::Counted { name: "curPage", max: slow_log::PAGE_NUMBER_MAX },
            Parameter::Counted { name: "perPage", max: slow_log::LIMIT_MAX },
            Parameter::MillisecondsNeeded("startDate"),
            Parameter::MillisecondsNeeded("endDate"),
        ],
        response: body!(slow_log::ShowSlowLogResponse, "ShowSlowLogResponse"),
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/instances/{instance_id}/slow-logs",
        operation: "list_slow_logs",
        summary: "List slow statements",
        tag: "slow_log",
        query: &[
            Parameter::MillisecondsNeeded("start_date"),
            Parameter::MillisecondsNeeded("end_date"),
            Parameter::Offset,
            Parameter::LimitUpTo { default: slow_log::LIMIT_DEFAULT, max: slow_log::LIMIT_MAX },
        ],
        response: body!(slow_log::ListSlowLogsResponse, "ListSlowLogsResponse"),
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/instances/{instance_id}/slow-log-analysis",
        operation: "analyse_slow_log",
        summary: "Sum up slow statements by template",
        tag: "slow_log",
        query: &[
            Parameter::MillisecondsNeeded("start_date"),
            Parameter::MillisecondsNeeded("end_date"),
            Parameter::Offset,
            Parameter::LimitUpTo {
                default: slow_log::LIMIT_DEFAULT,
                max: slow_log::TEMPLATES_LIMIT_MAX,
            },
            Parameter::OneOf { name: "order", values: slow_log::ORDERS },
        ],
        response: body!(slow_log::AnalyseSlowLogResponse, "AnalyseSlowLogResponse"),
        ..BASE
    },
];
