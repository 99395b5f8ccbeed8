//! Routes of schemas.

use super::{BASE, DELETE, PAGE, POST, Parameter, Route};
use crate::body;
use crate::schema;
use crate::schema_v3;
use base::api_error::*;

const CREATE_SCHEMA_ERRORS: &[&ApiCode] = &[
    INSTANCE_NOT_AVAILABLE,
    DATA_NODE_COUNT_INVALID,
    DATA_NODE_MISSING,
    SHARDING_RULE_INVALID,
    SHARD_UNIT_INVALID,
    DATA_NODES_DUPLICATED,
    SCHEMA_NAME_INVALID,
    DATA_NODE_STATE,
    SCHEMA_EXISTS,
    PHYSICAL_DATABASE_FAILED,
    DATA_NODE_LOGIN_WRONG,
    SHARD_NUMBER_INVALID,
    DATA_NODE_UNAVAILABLE,
    DATA_NODE_CONNECT_FAILED,
    LOWER_CASE_NAMES_WRONG,
    SCHEMA_NAME_LENGTH,
    SCHEMA_NAME_KEYWORD,
    SCHEMA_NAME_UPPERCASE,
];
const DELETE_SCHEMA_ERRORS: &[&ApiCode] = &[INSTANCE_NOT_AVAILABLE, SCHEMA_MISSING, SCHEMA_STATE];

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: POST,
        path: "/v1/{project_id}/instances/{instance_id}/databases",
        operation: "create_schema",
        summary: "Create a schema",
        tag: "schema",
        request: body!(schema::CreateDatabasesRequest, "CreateDatabasesRequest"),
        response: body!(schema::CreateDatabasesResponse, "CreateDatabasesResponse"),
        errors: CREATE_SCHEMA_ERRORS,
        ..BASE
    },
    Route {
        path: "/v1/{project_id}/instances/{instance_id}/databases",
        operation: "list_schemas",
        summary: "List schemas",
        tag: "schema",
        query: PAGE,
        response: body!(schema::ListDatabasesResponse, "ListDatabasesResponse"),
        ..BASE
    },
    Route {
        path: "/v1/{project_id}/instances/{instance_id}/databases/{ddm_dbname}",
        operation: "show_schema",
        summary: "Show a schema",
        tag: "schema",
        response: body!(schema::ShowDatabaseResponse, "ShowDatabaseResponse"),
        errors: &[SCHEMA_MISSING],
        ..BASE
    },
    Route {
        method: DELETE,
        path: "/v1/{project_id}/instances/{instance_id}/databases/{ddm_dbname}",
        operation: "delete_schema",
        summary: "Delete a schema",
        tag: "schema",
        query: &[Parameter::Flag("delete_rds_data")],
        response: body!(schema::Empty, "Empty"),
        errors: DELETE_SCHEMA_ERRORS,
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/instances/{instance_id}/databases",
        operation: "create_schema_v3",
        summary: "Create a schema",
        tag: "schema",
        request: body!(schema_v3::CreateDatabaseV3Request, "CreateDatabaseV3Request"),
        response: body!(schema_v3::CreateDatabaseV3Response, "CreateDatabaseV3Response"),
        status: 202,
        errors: CREATE_SCHEMA_ERRORS,
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/instances/{instance_id}/databases/{database_name}",
        operation: "show_schema_v3",
        summary: "Show a schema",
        tag: "schema",
        response: body!(schema_v3::ShowDatabaseV3Response, "ShowDatabaseV3Response"),
        errors: &[SCHEMA_MISSING],
        ..BASE
    },
    Route {
        method: DELETE,
        path: "/v3/{project_id}/instances/{instance_id}/databases/{database_name}",
        operation: "delete_schema_v3",
        summary: "Delete a schema",
        tag: "schema",
        query: &[Parameter::Flag("delete_dn_data")],
        response: body!(schema_v3::DeleteDatabaseV3Response, "DeleteDatabaseV3Response"),
        status: 202,
        errors: DELETE_SCHEMA_ERRORS,
        ..BASE
    },
];
