//! Admission: who may call. A token, or a signature with an access key; then the project in the
//! path must be the caller's, the caller not too early, and the body complete and JSON.

use super::answer::Failure;
use super::body;
use super::principal::{Principal, language_of};
use super::serve::Peer;
use super::state::AppState;
use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base::api_error::{ApiError, INSUFFICIENT_PERMISSIONS, UNAUTHORIZED};
use control_app::iam::signature::{Authorization, DATE_HEADER, Signed};
use control_app::iam::{Caller, IamError};
use control_app::time::now_ms;
use std::sync::Arc;

/// The header with a token.
pub const TOKEN_HEADER: &str = "x-auth-token";

/// What paths of projects name the project.
const PROJECT_PARAMETER: &str = "{project_id}";

/// The layer of calls that need a known caller. They find the [`Caller`] among the extensions, and
/// the [`Principal`] where the path names a project.
pub async fn admit_known(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    match known(&state, request).await {
        Ok(request) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

/// The layer of calls that anybody may make: to log in.
pub async fn admit_anyone(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    match anyone(&state, request).await {
        Ok(request) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

async fn known(state: &AppState, request: Request) -> Result<Request, Failure> {
    let operation = operation_of(&request);
    state.limiter.of_api(&operation)?;
    let project = path_project(&request);
    let (parts, content) = request.into_parts();
    let (caller, bytes) = identify(state, &parts, content, project.as_deref()).await?;
    let principal =
        project.map(|project| principal(&caller, &project, &parts.headers)).transpose()?;
    state.limiter.of_user(caller.user.id.as_str(), &operation)?;
    body::check_type(&parts.headers, &bytes)?;
    let mut request = Request::from_parts(parts, Body::from(bytes));
    request.extensions_mut().insert(caller);
    if let Some(principal) = principal {
        request.extensions_mut().insert(principal);
    }
    Ok(request)
}

async fn anyone(state: &AppState, request: Request) -> Result<Request, Failure> {
    let operation = operation_of(&request);
    state.limiter.of_api(&operation)?;
    if let Some(peer) = request.extensions().get::<Peer>() {
        state.limiter.of_user(&peer.0.ip().to_string(), &operation)?;
    }
    let (parts, content) = request.into_parts();
    let bytes = body::read(&parts.headers, content).await?;
    body::check_type(&parts.headers, &bytes)?;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// The call: its method and its path as the table of routes has it.
fn operation_of(request: &Request) -> String {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    format!("{} {path}", request.method())
}

/// The project that the path names, if it is a path of a project.
fn path_project(request: &Request) -> Option<String> {
    let template = request.extensions().get::<MatchedPath>()?.as_str();
    let at = template.split('/').position(|part| part == PROJECT_PARAMETER)?;
    let given = request.uri().path().split('/').nth(at)?;
    Some(control_api::query::percent_decode(given))
}

/// Who calls, and the request's body. A token is looked up before the body is read; a signature
/// covers the body.
async fn identify(
    state: &AppState,
    parts: &Parts,
    content: Body,
    project: Option<&str>,
) -> Result<(Caller, Bytes), ApiError> {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(token) = text(TOKEN_HEADER) {
        let caller = state.iam.token(token, now_ms()).await?.caller;
        return Ok((caller, body::read(&parts.headers, content).await?));
    }
    let header = text(AUTHORIZATION.as_str()).ok_or_else(|| ApiError::new(UNAUTHORIZED))?;
    let authorization = Authorization::parse(header).ok_or_else(|| ApiError::new(UNAUTHORIZED))?;
    let authorization = authorization.map_err(IamError::from)?;
    authorization.check_date(text(DATE_HEADER), now_ms()).map_err(IamError::from)?;
    let key = state.iam.access_key(&authorization.access_key).await?;
    let bytes = body::read(&parts.headers, content).await?;
    let headers = plain_headers(parts);
    let signed = Signed {
        authorization: &authorization,
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &headers,
        body: &bytes,
    };
    let asked = text("x-project-id").or(project);
    let caller = state.iam.signer(&key, &signed, asked, text("x-domain-id"))?;
    Ok((caller, bytes))
}

/// Headers as the signature sees them. HTTP/2 has the host in the request line.
fn plain_headers(parts: &Parts) -> Vec<(String, Vec<u8>)> {
    let mut headers: Vec<(String, Vec<u8>)> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    if let (false, Some(authority)) = (parts.headers.contains_key(HOST), parts.uri.authority()) {
        headers.push((HOST.as_str().to_owned(), authority.as_str().as_bytes().to_vec()));
    }
    headers
}

/// The caller of a path of a project, which must be the one that the credential is for.
fn principal(caller: &Caller, project: &str, headers: &HeaderMap) -> Result<Principal, ApiError> {
    let own = caller.project.as_ref().filter(|own| own.id.as_str() == project);
    let own = own.ok_or_else(|| ApiError::new(INSUFFICIENT_PERMISSIONS))?;
    Ok(Principal {
        project_id: own.id.clone(),
        user_id: caller.user.id.clone(),
        user_name: caller.user.name.clone(),
        domain_id: caller.domain.id.clone(),
        language: language_of(headers),
    })
}
