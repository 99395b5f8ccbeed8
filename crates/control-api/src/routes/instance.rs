//! Routes of instances.

use super::{BASE, DELETE, INSTANCES_PAGE, POST, PUT, Parameter, Route};
use crate::body;
use crate::instance;
use crate::instance_v3;
use crate::scaling;
use base::api_error::*;

const CREATE_INSTANCE_ERRORS: &[&ApiCode] = &[
    PARAMETER_TEMPLATE_INVALID,
    SECURITY_GROUP_INVALID,
    TIME_ZONE_INVALID,
    ACCOUNT_NAME_INVALID,
    ACCOUNT_PASSWORD_INVALID,
    QUOTA_EXCEEDED,
];

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: POST,
        path: "/v1/{project_id}/instances",
        operation: "create_instance",
        summary: "Buy an instance",
        tag: "instance",
        request: body!(instance::CreateInstanceRequest, "CreateInstanceRequest"),
        response: body!(instance::CreateInstanceResponse, "CreateInstanceResponse"),
        errors: CREATE_INSTANCE_ERRORS,
        ..BASE
    },
    Route {
        path: "/v1/{project_id}/instances",
        operation: "list_instances",
        summary: "List instances",
        tag: "instance",
        query: INSTANCES_PAGE,
        response: body!(instance::ListInstancesResponse, "ListInstancesResponse"),
        ..BASE
    },
    Route {
        path: "/v1/{project_id}/instances/{instance_id}",
        operation: "show_instance",
        summary: "Show an instance",
        tag: "instance",
        response: body!(instance::ShowInstanceResponse, "ShowInstanceResponse"),
        ..BASE
    },
    Route {
        method: PUT,
        path: "/v1/{project_id}/instances/{instance_id}/modify-name",
        operation: "rename_instance",
        summary: "Rename an instance",
        tag: "instance",
        request: body!(instance::RenameInstanceRequest, "RenameInstanceRequest"),
        response: body!(instance::RenameInstanceResponse, "RenameInstanceResponse"),
        errors: &[INSTANCE_NOT_AVAILABLE, UNAVAILABLE],
        ..BASE
    },
    Route {
        method: POST,
        path: "/v1/{project_id}/instances/{instance_id}/action",
        operation: "restart_instance",
        summary: "Restart an instance",
        tag: "instance",
        request: body!(instance::RestartInstanceRequest, "RestartInstanceRequest"),
        request_optional: true,
        response: body!(instance::RestartInstanceResponse, "RestartInstanceResponse"),
        errors: &[INSTANCE_NOT_AVAILABLE],
        ..BASE
    },
    Route {
        method: DELETE,
        path: "/v1/{project_id}/instances/{instance_id}",
        operation: "delete_instance",
        summary: "Delete an instance",
        tag: "instance",
        query: &[Parameter::Flag("delete_rds_data")],
        response: body!(instance::DeleteInstanceResponse, "DeleteInstanceResponse"),
        errors: &[INSTANCE_NOT_AVAILABLE],
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/instances",
        operation: "create_instance_v3",
        summary: "Buy an instance",
        tag: "instance",
        request: body!(instance_v3::CreateInstanceV3Request, "CreateInstanceV3Request"),
        response: body!(instance::CreateInstanceResponse, "CreateInstanceResponse"),
        status: 202,
        errors: CREATE_INSTANCE_ERRORS,
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/instances",
        operation: "list_instances_v3",
        summary: "List instances",
        tag: "instance",
        query: INSTANCES_PAGE,
        response: body!(instance_v3::ListInstancesV3Response, "ListInstancesV3Response"),
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/instances/{instance_id}",
        operation: "show_instance_v3",
        summary: "Show an instance",
        tag: "instance",
        response: body!(instance_v3::ShowInstanceV3Response, "ShowInstanceV3Response"),
        ..BASE
    },
    Route {
        method: DELETE,
        path: "/v3/{project_id}/instances/{instance_id}",
        operation: "delete_instance_v3",
        summary: "Delete an instance",
        tag: "instance",
        query: &[Parameter::Flag("delete_dn_data")],
        response: body!(instance_v3::JobStarted, "JobStarted"),
        status: 202,
        errors: &[INSTANCE_NOT_AVAILABLE],
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/instances/{instance_id}/restart",
        operation: "restart_instance_v3",
        summary: "Restart an instance",
        tag: "instance",
        response: body!(instance_v3::JobStarted, "JobStarted"),
        status: 202,
        errors: &[INSTANCE_NOT_AVAILABLE],
        ..BASE
    },
    Route {
        method: PUT,
        path: "/v3/{project_id}/instances/{instance_id}/name",
        operation: "rename_instance_v3",
        summary: "Rename an instance",
        tag: "instance",
        request: body!(instance::RenameInstanceRequest, "RenameInstanceRequest"),
        response: body!(instance_v3::JobStarted, "JobStarted"),
        status: 202,
        errors: &[INSTANCE_NOT_AVAILABLE],
        ..BASE
    },
    Route {
        method: PUT,
        path: "/v3/{project_id}/instances/{instance_id}/flavor",
        operation: "change_flavor",
        summary: "Change the node class of an instance",
        tag: "instance",
        request: body!(scaling::ChangeFlavorRequest, "ChangeFlavorRequest"),
        response: body!(scaling::JobOrOrder, "JobOrOrder"),
        status: 202,
        errors: &[INSTANCE_NOT_AVAILABLE],
        ..BASE
    },
    Route {
        method: POST,
        path: "/v1/{project_id}/instances/{instance_id}/reload-config",
        operation: "reload_config",
        summary: "Read the definitions of tables anew",
        tag: "instance",
        response: body!(scaling::ReloadConfigResponse, "ReloadConfigResponse"),
        errors: &[INSTANCE_NOT_AVAILABLE],
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/instances/{instance_id}/reload-config",
        operation: "reload_config_v3",
        summary: "Read the definitions of tables anew",
        tag: "instance",
        response: body!(scaling::ReloadConfigResponse, "ReloadConfigResponse"),
        errors: &[INSTANCE_NOT_AVAILABLE],
        ..BASE
    },
];
