//! Routes of accounts.

use super::{BASE, DELETE, PAGE, POST, PUT, Route};
use crate::account;
use crate::body;
use base::api_error::*;

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
const PASSWORD_ERRORS: &[&ApiCode] = &[
    INSTANCE_NOT_AVAILABLE,
    ACCOUNT_MISSING,
    ACCOUNT_PASSWORD_INVALID,
    PASSWORD_RESET_FAILED,
    UNAVAILABLE,
];

pub(super) const ROUTES: &[Route] = &[
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
