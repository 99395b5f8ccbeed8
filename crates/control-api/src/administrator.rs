//! The administrator of an instance: made by its first call, afterwards only its password changes.

use crate::{account, password};
use base::api_error::ApiError;
use base::secret::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of the administrator call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct AdministratorRequest {
    /// 1–32 letters, digits and underscores, a letter first.
    pub name: String,
    /// 8–32 characters of three classes.
    #[schema(value_type = String)]
    pub password: Secret,
}

/// An administrator's name and password, well-formed.
#[derive(Clone, Debug)]
pub struct NewAdministrator {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Secret,
}

impl AdministratorRequest {
    /// The administrator, if nothing is wrong.
    pub fn check(self) -> Result<NewAdministrator, ApiError> {
        check(("name", "password"), self.name, self.password)
    }
}

/// The administrator, if nothing is wrong; `fields` are the names for errors.
pub fn check(
    fields: (&str, &str),
    name: String,
    password: Secret,
) -> Result<NewAdministrator, ApiError> {
    account::check_name(fields.0, &name)?;
    password::check(fields.1, &name, password.expose())?;
    Ok(NewAdministrator { name, password })
}

/// Body of the call that asks whether a password is easy to guess.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct WeakPasswordRequest {
    /// The password.
    #[schema(value_type = String)]
    pub password: Secret,
}

/// Its answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WeakPasswordResponse {
    /// Whether it is easy to guess.
    pub is_weak_password: bool,
}
