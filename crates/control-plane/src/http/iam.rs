//! The calls of IAM that clients of the API need, in the forms of Keystone v3.

use super::answer::Failure;
use super::state::AppState;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use base::api_error::{ApiError, NOT_FOUND, SERVER_FAILURE};
use control_api::decode::{decode, required};
use control_api::query::Query;
use control_app::iam::{AuthRequest, Caller, IamError, TokenView, project_document};
use control_app::time::now_ms;
use serde_json::{Value, json};
use std::sync::Arc;

const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

/// Calls that need a known caller.
pub fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/v3/auth/tokens", get(show_token).delete(revoke_token))
        .route("/v3/auth/projects", get(list_projects))
        .route("/v3/auth/domains", get(list_domains))
        .route("/v3/projects", get(list_projects))
}

/// Calls that anybody may make.
pub fn open_routes() -> Router<Arc<AppState>> {
    Router::new().route("/v3/auth/tokens", post(create_token))
}

async fn create_token(
    State(state): State<Arc<AppState>>,
    body: Bytes,
) -> Result<Response, Failure> {
    let login = decode::<AuthRequest>(&body)?.check()?;
    let issued = state.iam.log_in(login, now_ms()).await.map_err(ApiError::from)?;
    let mut token =
        HeaderValue::from_str(issued.token.expose()).map_err(|_| ApiError::new(SERVER_FAILURE))?;
    token.set_sensitive(true);
    Ok((StatusCode::CREATED, [(SUBJECT_TOKEN, token)], Json(issued.view.document()))
        .into_response())
}

/// What the token in `X-Subject-Token` says; a token that is not good is not found.
async fn show_token(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let subject = subject(&headers)?;
    let token = subject.to_str().unwrap_or_default();
    let view: TokenView = state.iam.token(token, now_ms()).await.map_err(of_subject)?;
    Ok(([(SUBJECT_TOKEN, subject.clone())], Json(view.document())).into_response())
}

/// Ends the token in `X-Subject-Token`, which must be the caller's own.
async fn revoke_token(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    let token = subject(&headers)?.to_str().unwrap_or_default();
    state.iam.revoke_token(&caller.user.id, token, now_ms()).await.map_err(of_subject)?;
    Ok(StatusCode::NO_CONTENT)
}

fn subject(headers: &HeaderMap) -> Result<&HeaderValue, ApiError> {
    headers.get(&SUBJECT_TOKEN).ok_or_else(|| required("X-Subject-Token"))
}

/// The error of a call on a token: one that is not good is not found.
fn of_subject(error: IamError) -> ApiError {
    match error {
        IamError::Unauthorized(_) => {
            ApiError::not_found(NOT_FOUND, "The token does not exist.", "Token不存在。")
        }
        error => ApiError::from(error),
    }
}

/// The projects of the caller's domain; `name`, `domain_id`, `enabled`, `page` and `per_page` choose.
async fn list_projects(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Failure> {
    /// Projects on a page when it is not said, and at most.
    const PER_PAGE_MAX: i64 = 5_000;
    let query = Query::parse(query.as_deref());
    let page = positive(&query, "page")?.unwrap_or(1);
    let per_page = positive(&query, "per_page")?.unwrap_or(PER_PAGE_MAX).min(PER_PAGE_MAX);
    let enabled = query.get("enabled").is_none() || query.flag("enabled")?;
    let projects = state.iam.projects_of(&caller.domain.id).await.map_err(ApiError::from)?;
    let chosen = projects
        .iter()
        .filter(|project| query.get("name").is_none_or(|name| name == project.name))
        .filter(|project| query.get("domain_id").is_none_or(|id| id == project.domain_id))
        .filter(|_| enabled);
    let skipped = usize::try_from((page - 1).saturating_mul(per_page)).unwrap_or(usize::MAX);
    let taken = usize::try_from(per_page).unwrap_or(usize::MAX);
    let documents: Vec<Value> = chosen.skip(skipped).take(taken).map(project_document).collect();
    Ok(Json(json!({ "projects": documents, "links": links("/v3/projects") })))
}

fn positive(query: &Query, name: &str) -> Result<Option<i64>, ApiError> {
    match query.integer(name)? {
        Some(number) if number < 1 => {
            Err(ApiError::parameter(name, "must be at least 1", "必须大于等于1"))
        }
        number => Ok(number),
    }
}

/// The caller's domain, as clients of domain scope look for it.
async fn list_domains(Extension(caller): Extension<Caller>) -> Json<Value> {
    let domain = json!({
        "id": caller.domain.id,
        "name": caller.domain.name,
        "enabled": true,
        "description": "",
        "links": { "self": format!("/v3/domains/{}", caller.domain.id) },
    });
    Json(json!({ "domains": [domain], "links": links("/v3/auth/domains") }))
}

fn links(path: &str) -> Value {
    json!({ "self": path, "next": null, "previous": null })
}
