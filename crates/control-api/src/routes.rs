//! The routes as data: what the server mounts, what OpenAPI says and what the tests walk are this
//! one table.

use crate::body;
use crate::paging::{INSTANCES_LIMIT_DEFAULT, LIMIT_DEFAULT};
use crate::{
    account, administrator, data_node, engine, flavor, instance, instance_v3, job, node, order,
    schema, schema_v3,
};
use base::api_error::*;
use utoipa::openapi::{RefOr, Schema};

/// What collects the schemas of a type.
pub type Collect = fn(&mut Vec<(String, RefOr<Schema>)>);

/// The type of a request or response body.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    /// Its name in the document.
    pub name: &'static str,
    /// Its schema and all that it uses.
    pub collect: Collect,
}

/// A query parameter.
#[derive(Clone, Copy, Debug)]
pub enum Parameter {
    /// Rows to leave out.
    Offset,
    /// The most rows, and how many when it is not given.
    Limit(u64),
    /// `true` or `false`.
    Flag(&'static str),
    /// Any text.
    Text {
        /// Its name.
        name: &'static str,
        /// It must be given.
        required: bool,
    },
    /// A UNIX time.
    Milliseconds(&'static str),
}

impl Parameter {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Parameter::Offset => "offset",
            Parameter::Limit(_) => "limit",
            Parameter::Flag(name)
            | Parameter::Milliseconds(name)
            | Parameter::Text { name, .. } => name,
        }
    }

    /// Whether it must be given.
    pub fn required(&self) -> bool {
        matches!(self, Parameter::Text { required: true, .. })
    }
}

/// One call of the API.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// GET, POST, PUT or DELETE.
    pub method: &'static str,
    /// With `{name}` for what varies.
    pub path: &'static str,
    /// Unique; the name of the function that serves it.
    pub operation: &'static str,
    /// One line about it.
    pub summary: &'static str,
    /// The noun.
    pub tag: &'static str,
    /// Query parameters.
    pub query: &'static [Parameter],
    /// The request's body.
    pub request: Option<Body>,
    /// The body may be left out.
    pub request_optional: bool,
    /// The answer's body.
    pub response: Option<Body>,
    /// The HTTP status of success.
    pub status: u16,
    /// Errors of this call beyond those of every call.
    pub errors: &'static [&'static ApiCode],
}

/// Errors that every call may answer.
pub const COMMON_ERRORS: &[&ApiCode] =
    &[PARAMETER_ERROR, UNAUTHORIZED, INSUFFICIENT_PERMISSIONS, TOO_MANY_REQUESTS, SERVER_FAILURE];

impl Route {
    /// The names in braces, in order.
    pub fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    /// Whether errors have the v1 spelling.
    pub fn is_legacy(&self) -> bool {
        crate::error_body::ErrorForm::of_path(self.path) == crate::error_body::ErrorForm::Legacy
    }

    /// All errors that it may answer.
    pub fn error_codes(&self) -> impl Iterator<Item = &'static ApiCode> {
        COMMON_ERRORS.iter().chain(self.errors).copied()
    }

    /// All HTTP statuses of its errors.
    pub fn error_statuses(&self) -> impl Iterator<Item = u16> {
        let names_object = self.path_parameters().count() > 1;
        let takes_body = self.request.is_some();
        self.error_codes()
            .map(|code| code.status)
            .chain(names_object.then_some(404))
            .chain([413, 415].into_iter().filter(move |_| takes_body))
    }
}

const GET: &str = "GET";
const POST: &str = "POST";
const PUT: &str = "PUT";
const DELETE: &str = "DELETE";
const PAGE: &[Parameter] = &[Parameter::Offset, Parameter::Limit(LIMIT_DEFAULT)];
const INSTANCES_PAGE: &[Parameter] =
    &[Parameter::Offset, Parameter::Limit(INSTANCES_LIMIT_DEFAULT)];

const CREATE_INSTANCE_ERRORS: &[&ApiCode] = &[
    PARAMETER_TEMPLATE_INVALID,
    SECURITY_GROUP_INVALID,
    TIME_ZONE_INVALID,
    ACCOUNT_NAME_INVALID,
    ACCOUNT_PASSWORD_INVALID,
    QUOTA_EXCEEDED,
];
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
const CREATE_ACCOUNT_ERRORS: &[&ApiCode] = &[
    INSTANCE_NOT_AVAILABLE,
    ACCOUNTS_DUPLICATED,
    ACCOUNT_CREATE_FAILED,
    ACCOUNT_NAME_INVALID,
    ACCOUNT_PASSWORD_INVALID,
    ACCOUNT_DESCRIPTION_INVALID,
    ACCOUNT_AUTHORITY_INVALID,
    ACCOUNT_EXISTS,
];
const UPDATE_ACCOUNT_ERRORS: &[&ApiCode] = &[
    INSTANCE_NOT_AVAILABLE,
    ACCOUNT_UPDATE_FAILED,
    ACCOUNT_DESCRIPTION_INVALID,
    ACCOUNT_AUTHORITY_INVALID,
    ACCOUNT_MISSING,
];
const PASSWORD_ERRORS: &[&ApiCode] =
    &[INSTANCE_NOT_AVAILABLE, ACCOUNT_MISSING, ACCOUNT_PASSWORD_INVALID];

/// A call without bodies and with status 200; the others say what differs.
const BASE: Route = Route {
    method: GET,
    path: "",
    operation: "",
    summary: "",
    tag: "",
    query: &[],
    request: None,
    request_optional: false,
    response: None,
    status: 200,
    errors: &[],
};

/// Every call that is served.
pub static ROUTES: &[Route] = &[
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
        errors: &[INSTANCE_NOT_AVAILABLE],
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
        path: "/v1/{project_id}/instances/{instance_id}/nodes",
        operation: "list_nodes",
        summary: "List an instance's nodes",
        tag: "node",
        query: PAGE,
        response: body!(node::ListNodesResponse, "ListNodesResponse"),
        ..BASE
    },
    Route {
        path: "/v1/{project_id}/instances/{instance_id}/nodes/{node_id}",
        operation: "show_node",
        summary: "Show a node",
        tag: "node",
        response: body!(node::ShowNodeResponse, "ShowNodeResponse"),
        ..BASE
    },
    Route {
        path: "/v2/{project_id}/engines",
        operation: "list_engines",
        summary: "List engines",
        tag: "engine",
        query: PAGE,
        response: body!(engine::ListEnginesResponse, "ListEnginesResponse"),
        ..BASE
    },
    Route {
        path: "/v2/{project_id}/flavors",
        operation: "list_flavors",
        summary: "List node classes",
        tag: "flavor",
        query: &[
            Parameter::Text { name: "engine_id", required: true },
            Parameter::Offset,
            Parameter::Limit(LIMIT_DEFAULT),
        ],
        response: body!(flavor::ListFlavorsResponse, "ListFlavorsResponse"),
        ..BASE
    },
    Route {
        path: "/v1/{project_id}/instances/{instance_id}/rds",
        operation: "list_available_data_nodes",
        summary: "List data nodes on which a schema can be made",
        tag: "data_node",
        query: PAGE,
        response: body!(data_node::AvailableDataNodesResponse, "AvailableDataNodesResponse"),
        ..BASE
    },
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
        path: "/v1/{project_id}/instances/{instance_id}/users",
        operation: "create_accounts",
        summary: "Create accounts",
        tag: "account",
        request: body!(account::CreateUsersRequest, "CreateUsersRequest"),
        response: body!(account::CreateUsersResponse, "CreateUsersResponse"),
        errors: CREATE_ACCOUNT_ERRORS,
        ..BASE
    },
    Route {
        path: "/v1/{project_id}/instances/{instance_id}/users",
        operation: "list_accounts",
        summary: "List accounts",
        tag: "account",
        query: PAGE,
        response: body!(account::ListUsersResponse, "ListUsersResponse"),
        ..BASE
    },
    Route {
        method: PUT,
        path: "/v1/{project_id}/instances/{instance_id}/users/{username}",
        operation: "update_account",
        summary: "Change an account",
        tag: "account",
        request: body!(account::UpdateUserRequest, "UpdateUserRequest"),
        response: body!(account::UserName, "UserName"),
        errors: UPDATE_ACCOUNT_ERRORS,
        ..BASE
    },
    Route {
        method: DELETE,
        path: "/v1/{project_id}/instances/{instance_id}/users/{username}",
        operation: "delete_account",
        summary: "Delete an account",
        tag: "account",
        response: body!(account::UserName, "UserName"),
        errors: &[INSTANCE_NOT_AVAILABLE, ACCOUNT_MISSING],
        ..BASE
    },
    Route {
        method: POST,
        path: "/v2/{project_id}/instances/{instance_id}/users/{username}/password",
        operation: "reset_password",
        summary: "Reset an account's password",
        tag: "account",
        request: body!(account::ResetPasswordRequest, "ResetPasswordRequest"),
        response: body!(account::ResetPasswordResponse, "ResetPasswordResponse"),
        errors: PASSWORD_ERRORS,
        ..BASE
    },
    Route {
        method: PUT,
        path: "/v3/{project_id}/instances/{instance_id}/admin-user",
        operation: "set_administrator",
        summary: "Make the administrator or change its password",
        tag: "administrator",
        request: body!(administrator::AdministratorRequest, "AdministratorRequest"),
        status: 202,
        errors: &[
            INSTANCE_NOT_AVAILABLE,
            ACCOUNT_NAME_INVALID,
            ACCOUNT_PASSWORD_INVALID,
            ACCOUNT_EXISTS,
        ],
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/weak-password-verification",
        operation: "verify_password",
        summary: "Say whether a password is easy to guess",
        tag: "administrator",
        request: body!(administrator::WeakPasswordRequest, "WeakPasswordRequest"),
        response: body!(administrator::WeakPasswordResponse, "WeakPasswordResponse"),
        ..BASE
    },
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
    Route {
        method: POST,
        path: "/v3/{project_id}/orders/{order_id}/pay",
        operation: "pay_order",
        summary: "Pay an order (our own call)",
        tag: "order",
        response: body!(order::PayOrderResponse, "PayOrderResponse"),
        errors: &[CONFLICT],
        status: 202,
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
        path: "/v3/{project_id}/instances/{instance_id}/nodes/{node_id}",
        operation: "show_node_v3",
        summary: "Show a node",
        tag: "node",
        response: body!(node::ShowNodeV3Response, "ShowNodeV3Response"),
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/engines",
        operation: "list_engines_v3",
        summary: "List engines",
        tag: "engine",
        query: PAGE,
        response: body!(engine::ListEnginesV3Response, "ListEnginesV3Response"),
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/flavors",
        operation: "list_flavors_v3",
        summary: "List node classes",
        tag: "flavor",
        query: &[
            Parameter::Text { name: "engine_id", required: false },
            Parameter::Text { name: "engine_version", required: false },
            Parameter::Text { name: "available_zones", required: false },
            Parameter::Offset,
            Parameter::Limit(LIMIT_DEFAULT),
        ],
        response: body!(flavor::ListFlavorsV3Response, "ListFlavorsV3Response"),
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/instances/{instance_id}/available-data-nodes",
        operation: "list_available_data_nodes_v3",
        summary: "List data nodes on which a schema can be made",
        tag: "data_node",
        query: PAGE,
        response: body!(data_node::AvailableDataNodesV3Response, "AvailableDataNodesV3Response"),
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
    Route {
        method: POST,
        path: "/v3/{project_id}/instances/{instance_id}/users",
        operation: "create_account_v3",
        summary: "Create an account",
        tag: "account",
        request: body!(account::CreateUser, "CreateUser"),
        errors: CREATE_ACCOUNT_ERRORS,
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/instances/{instance_id}/users",
        operation: "list_accounts_v3",
        summary: "List accounts",
        tag: "account",
        query: PAGE,
        response: body!(account::ListUsersV3Response, "ListUsersV3Response"),
        ..BASE
    },
    Route {
        method: PUT,
        path: "/v3/{project_id}/instances/{instance_id}/users/{username}",
        operation: "update_account_v3",
        summary: "Change an account",
        tag: "account",
        request: body!(account::UpdateUser, "UpdateUser"),
        errors: UPDATE_ACCOUNT_ERRORS,
        ..BASE
    },
    Route {
        method: DELETE,
        path: "/v3/{project_id}/instances/{instance_id}/users/{username}",
        operation: "delete_account_v3",
        summary: "Delete an account",
        tag: "account",
        errors: &[INSTANCE_NOT_AVAILABLE, ACCOUNT_MISSING],
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/instances/{instance_id}/users/{username}/password",
        operation: "reset_password_v3",
        summary: "Reset an account's password",
        tag: "account",
        request: body!(account::ResetPasswordRequest, "ResetPasswordRequest"),
        errors: PASSWORD_ERRORS,
        ..BASE
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn operations_and_paths_are_unique_and_bodies_are_named_as_their_types() {
        let operations: BTreeSet<&str> = ROUTES.iter().map(|route| route.operation).collect();
        assert_eq!(operations.len(), ROUTES.len());
        let paths: BTreeSet<(&str, &str)> =
            ROUTES.iter().map(|route| (route.method, route.path)).collect();
        assert_eq!(paths.len(), ROUTES.len());
        for route in ROUTES {
            for body in [route.request, route.response].into_iter().flatten() {
                assert!(crate::openapi::name_matches(body), "{}", body.name);
            }
            assert!(route.path.contains("{project_id}"), "{}", route.path);
        }
    }

    #[test]
    fn the_document_has_every_route_and_no_dangling_reference() {
        let document = crate::openapi();
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.method.to_ascii_lowercase()];
            assert_eq!(operation["operationId"], route.operation);
            assert!(operation["responses"][route.status.to_string()].is_object());
            assert!(operation["responses"]["401"].is_object());
        }
        let text = document.to_string();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap_or_default();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
