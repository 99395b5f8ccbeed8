//! Routes of the administrator and passwords.

use super::{BASE, POST, PUT, Route};
use crate::administrator;
use crate::body;
use base::api_error::*;

pub(super) const ROUTES: &[Route] = &[
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
            PASSWORD_RESET_FAILED,
            UNAVAILABLE,
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
];
