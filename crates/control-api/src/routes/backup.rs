//! Routes of backups.

use super::{BASE, DELETE, PAGE, Parameter, Route};
use crate::body;
use crate::paging::LIMIT_DEFAULT;
use crate::{backup, instance_v3};
use base::api_error::*;

const fn text(name: &'static str) -> Parameter {
    Parameter::Text { name, required: false }
}

pub(super) const ROUTES: &[Route] = &[
    Route {
        path: "/v3/{project_id}/backups",
        operation: "list_backups",
        summary: "List backups",
        tag: "backup",
        query: &[
            text("instance_id"),
            text("instance_name"),
            text("backup_name"),
            Parameter::Offset,
            Parameter::Limit(LIMIT_DEFAULT),
        ],
        response: body!(backup::ListBackupsResponse, "ListBackupsResponse"),
        ..BASE
    },
    Route {
        method: DELETE,
        path: "/v3/{project_id}/backups/{backup_id}",
        operation: "delete_backup",
        summary: "Delete a backup",
        tag: "backup",
        response: body!(instance_v3::JobStarted, "JobStarted"),
        status: 202,
        errors: &[INSTANCE_NOT_AVAILABLE],
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/instances/{instance_id}/backups/{backup_id}",
        operation: "show_backup",
        summary: "Show a backup",
        tag: "backup",
        response: body!(backup::ShowBackupResponse, "ShowBackupResponse"),
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/instances/{instance_id}/backups/restorable-time-interval",
        operation: "list_restorable_times",
        summary: "Show which times can be restored",
        tag: "backup",
        query: PAGE,
        response: body!(backup::RestorableTimesResponse, "RestorableTimesResponse"),
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/instances/{instance_id}/backups/restorable-instances",
        operation: "list_restorable_instances",
        summary: "List instances that can be restored to",
        tag: "backup",
        query: PAGE,
        response: body!(backup::RestorableInstancesResponse, "RestorableInstancesResponse"),
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/instances/{instance_id}/backups/restorable-data-node",
        operation: "list_restorable_data_nodes",
        summary: "List data nodes that can be restored to",
        tag: "backup",
        query: &[
            text("target_instance_id"),
            text("source_dn_instance_id"),
            Parameter::Milliseconds("restore_time"),
            Parameter::Offset,
            Parameter::Limit(LIMIT_DEFAULT),
        ],
        response: body!(backup::RestorableDataNodesResponse, "RestorableDataNodesResponse"),
        errors: &[DATA_NODE_MISSING, DESTINATION_INVALID],
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/instances/{instance_id}/backups/related-dn",
        operation: "list_related_data_nodes",
        summary: "List the data nodes that the instance had at a time",
        tag: "backup",
        query: &[
            Parameter::Milliseconds("restore_time"),
            Parameter::Offset,
            Parameter::Limit(LIMIT_DEFAULT),
        ],
        response: body!(backup::RelatedDataNodesResponse, "RelatedDataNodesResponse"),
        ..BASE
    },
];
