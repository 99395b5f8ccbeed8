//! Who calls, for handlers: put into the request by the layer that authenticates, which has answered
//! everybody else itself.

use super::answer::Failure;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base::api_error::{ApiError, Language, UNAUTHORIZED};
use base::id::{ProjectId, UserId};

/// Who calls, and for which project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The project in the path, which is the caller's.
    pub project_id: ProjectId,
    /// The user.
    pub user_id: UserId,
    /// The user's name.
    pub user_name: String,
    /// The user's domain.
    pub domain_id: String,
    /// The language for texts.
    pub language: Language,
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        // Only a route outside the authenticated ones has none.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Failure::from(ApiError::new(UNAUTHORIZED)))
    }
}

/// The language that the request asks for.
pub fn language_of(headers: &axum::http::HeaderMap) -> Language {
    headers
        .get("x-language")
        .and_then(|value| value.to_str().ok())
        .map(Language::from_header)
        .unwrap_or_default()
}
