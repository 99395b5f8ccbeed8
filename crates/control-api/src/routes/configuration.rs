//! Routes of instance parameters and parameter templates.

use super::{BASE, DELETE, INSTANCES_PAGE, PAGE, POST, PUT, Route};
use crate::body;
use crate::configuration;
use base::api_error::*;

const INSTANCE_ERRORS: &[&ApiCode] = &[NAMED_PARAMETER_INVALID, INSTANCE_NOT_AVAILABLE];
const TEMPLATE_ERRORS: &[&ApiCode] = &[NAMED_PARAMETER_INVALID, CONFLICT, QUOTA_EXCEEDED];

pub(super) const ROUTES: &[Route] = &[
    Route {
        path: "/v3/{project_id}/instances/{instance_id}/configurations",
        operation: "list_parameters",
        summary: "List an instance's parameters",
        tag: "configuration",
        query: PAGE,
        response: body!(configuration::InstanceParametersResponse, "InstanceParametersResponse"),
        ..BASE
    },
    Route {
        method: PUT,
        path: "/v3/{project_id}/instances/{instance_id}/configurations",
        operation: "update_parameters",
        summary: "Change an instance's parameters",
        tag: "configuration",
        request: body!(configuration::UpdateParametersRequest, "UpdateParametersRequest"),
        response: body!(configuration::UpdateParametersResponse, "UpdateParametersResponse"),
        errors: INSTANCE_ERRORS,
        ..BASE
    },
    Route {
        method: PUT,
        path: "/v3.1/{project_id}/instances/{instance_id}/configurations",
        operation: "update_parameters_v3_1",
        summary: "Change an instance's parameters",
        tag: "configuration",
        request: body!(configuration::UpdateParametersRequest, "UpdateParametersRequest"),
        response: body!(configuration::NeedRestartResponse, "NeedRestartResponse"),
        errors: INSTANCE_ERRORS,
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/configurations",
        operation: "list_configurations",
        summary: "List parameter templates",
        tag: "configuration",
        query: INSTANCES_PAGE,
        response: body!(configuration::ListConfigurationsResponse, "ListConfigurationsResponse"),
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/configurations",
        operation: "create_configuration",
        summary: "Create a parameter template",
        tag: "configuration",
        request: body!(configuration::CreateConfigurationRequest, "CreateConfigurationRequest"),
        response: body!(configuration::CreateConfigurationResponse, "CreateConfigurationResponse"),
        errors: TEMPLATE_ERRORS,
        ..BASE
    },
    Route {
        method: PUT,
        path: "/v3/{project_id}/configurations/diff",
        operation: "diff_configurations",
        summary: "Compare two parameter templates",
        tag: "configuration",
        request: body!(configuration::DiffConfigurationsRequest, "DiffConfigurationsRequest"),
        response: body!(configuration::DiffConfigurationsResponse, "DiffConfigurationsResponse"),
        errors: &[PARAMETER_TEMPLATE_INVALID],
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/configurations/{config_id}",
        operation: "show_configuration",
        summary: "Show a parameter template",
        tag: "configuration",
        response: body!(configuration::ShowConfigurationResponse, "ShowConfigurationResponse"),
        ..BASE
    },
    Route {
        method: PUT,
        path: "/v3/{project_id}/configurations/{config_id}",
        operation: "update_configuration",
        summary: "Change a parameter template",
        tag: "configuration",
        request: body!(configuration::UpdateConfigurationRequest, "UpdateConfigurationRequest"),
        response: body!(configuration::NeedRestartResponse, "NeedRestartResponse"),
        errors: &[NAMED_PARAMETER_INVALID, CONFLICT, PARAMETER_TEMPLATE_INVALID],
        ..BASE
    },
    Route {
        method: DELETE,
        path: "/v3/{project_id}/configurations/{config_id}",
        operation: "delete_configuration",
        summary: "Delete a parameter template",
        tag: "configuration",
        errors: &[PARAMETER_TEMPLATE_INVALID],
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/configurations/{config_id}/copy",
        operation: "copy_configuration",
        summary: "Copy a parameter template",
        tag: "configuration",
        request: body!(configuration::CopyConfigurationRequest, "CopyConfigurationRequest"),
        errors: &[CONFLICT, QUOTA_EXCEEDED, PARAMETER_TEMPLATE_INVALID],
        ..BASE
    },
    Route {
        method: PUT,
        path: "/v3/{project_id}/configurations/{config_id}/apply",
        operation: "apply_configuration",
        summary: "Apply a parameter template to instances",
        tag: "configuration",
        request: body!(configuration::ApplyConfigurationRequest, "ApplyConfigurationRequest"),
        response: body!(configuration::ApplyConfigurationResponse, "ApplyConfigurationResponse"),
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/configurations/{config_id}/apply-histories",
        operation: "list_apply_histories",
        summary: "List where a parameter template was applied",
        tag: "configuration",
        query: INSTANCES_PAGE,
        response: body!(configuration::ApplyHistoriesResponse, "ApplyHistoriesResponse"),
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/configurations/{config_id}/query-instances",
        operation: "list_applicable_instances",
        summary: "List instances that a parameter template can be applied to",
        tag: "configuration",
        query: INSTANCES_PAGE,
        response: body!(configuration::ApplicableInstancesResponse, "ApplicableInstancesResponse"),
        ..BASE
    },
];
