//! Routes of export, import and restore of metadata.

use super::{BASE, POST, Route};
use crate::body;
use crate::{instance_v3, metadata};
use base::api_error::*;

pub(super) const ROUTES: &[Route] = &[
    Route {
        path: "/v3/{project_id}/instances/{instance_id}/schema-metadata",
        operation: "export_metadata",
        summary: "Export the schemas of an instance",
        tag: "metadata",
        response: body!(metadata::ExportMetadataResponse, "ExportMetadataResponse"),
        errors: &[INSTANCE_NOT_AVAILABLE, DATA_NODE_CONNECT_FAILED, DATA_NODE_UNAVAILABLE],
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/instances/{instance_id}/schema-metadata",
        operation: "import_metadata",
        summary: "Import exported schemas on other data nodes",
        tag: "metadata",
        request: body!(metadata::ImportMetadataRequest, "ImportMetadataRequest"),
        response: body!(metadata::ImportMetadataResponse, "ImportMetadataResponse"),
        status: 202,
        errors: &[
            INSTANCE_NOT_AVAILABLE,
            DATA_NODE_COUNT_INVALID,
            DATA_NODE_MISSING,
            DATA_NODES_DUPLICATED,
            SCHEMA_NAME_INVALID,
            DATA_NODE_STATE,
            SCHEMA_EXISTS,
            PHYSICAL_DATABASE_FAILED,
            DATA_NODE_LOGIN_WRONG,
            DATA_NODE_UNAVAILABLE,
            JSON_CONVERT_FAILED,
            DATA_NODE_CONNECT_FAILED,
            LOWER_CASE_NAMES_WRONG,
            SCHEMA_NAME_LENGTH,
            SCHEMA_NAME_KEYWORD,
            SCHEMA_NAME_UPPERCASE,
        ],
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/instances/{instance_id}/backups/metadata-recovery",
        operation: "restore_metadata",
        summary: "Restore schemas from a backup on data nodes that have their databases",
        tag: "metadata",
        request: body!(metadata::RestoreMetadataRequest, "RestoreMetadataRequest"),
        response: body!(instance_v3::JobStarted, "JobStarted"),
        status: 202,
        errors: &[
            INSTANCE_NOT_AVAILABLE,
            DATA_NODE_COUNT_INVALID,
            DATA_NODE_MISSING,
            DATA_NODES_DUPLICATED,
            DATA_NODE_STATE,
            DATA_NODE_UNAVAILABLE,
            PHYSICAL_DATABASE_MISSING,
            DATA_NODE_CONNECT_FAILED,
            DATA_NODE_ADMIN_WRONG,
            LOWER_CASE_NAMES_WRONG,
            DESTINATION_INVALID,
        ],
        ..BASE
    },
];
