//! Errors as answers. A handler returns the error; the outermost layer knows path and language and
//! writes the body in the form that the path's version has.

use super::throttle::TooMany;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base::api_error::{
    ApiError, Language, METHOD_NOT_ALLOWED, NOT_FOUND, PARAMETER_ERROR, QUOTA_EXCEEDED,
    SERVER_FAILURE, UNSUPPORTED_MEDIA_TYPE,
};
use control_api::error_body::ErrorForm;
use serde_json::json;

/// An error on its way out.
#[derive(Clone, Debug)]
pub struct Failure {
    error: ApiError,
    retry_after_s: Option<u64>,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self { error, retry_after_s: None }
    }
}

impl From<TooMany> for Failure {
    fn from(early: TooMany) -> Self {
        Self { error: early.into(), retry_after_s: Some(early.retry_after_s) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = status(self.error.status).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

fn status(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The answer as it leaves: an error gets its body, also one that the framework made.
pub fn finished(mut response: Response, path: &str, language: Language) -> Response {
    let failure = response.extensions_mut().remove::<Failure>().or_else(|| unspoken(&response));
    let Some(Failure { error, retry_after_s }) = failure else { return response };
    let mut body = ErrorForm::of_path(path).body(&error, language);
    if is_iam(path) {
        // Keystone's own form beside ours.
        let reason = status(error.status).canonical_reason().unwrap_or_default();
        body["error"] =
            json!({ "code": error.status, "title": reason, "message": error.message(language) });
    }
    let mut out = Response::new(Body::from(body.to_string()));
    *out.status_mut() = status(error.status);
    for name in ["allow", "connection"] {
        if let Some(value) = response.headers_mut().remove(name) {
            out.headers_mut().insert(name, value);
        }
    }
    out.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after_s {
        out.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    out
}

fn is_iam(path: &str) -> bool {
    path.starts_with("/v3/auth/") || path == "/v3/projects"
}

/// The error of an answer that is one and has no body of ours.
fn unspoken(response: &Response) -> Option<Failure> {
    let status = response.status();
    let spoken = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if spoken || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    let code = match status.as_u16() {
        404 => NOT_FOUND,
        405 => METHOD_NOT_ALLOWED,
        413 => QUOTA_EXCEEDED,
        415 => UNSUPPORTED_MEDIA_TYPE,
        400..=499 => PARAMETER_ERROR,
        _ => SERVER_FAILURE,
    };
    Some(ApiError::new(code).with_status(status.as_u16()).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn body(response: Response) -> serde_json::Value {
        serde_json::from_slice(&axum::body::to_bytes(response.into_body(), 10_000).await.unwrap())
            .unwrap()
    }

    #[tokio::test]
    async fn the_path_decides_the_form() {
        let failure =
            || Failure::from(ApiError::parameter("name", "is wrong", "不对")).into_response();
        let english = finished(failure(), "/v1/p/instances", Language::English);
        assert_eq!(english.status(), 400);
        let text = "Parameter error. name: is wrong";
        assert_eq!(body(english).await, json!({"errCode": "DBS.280001", "externalMessage": text}));
        let chinese = body(finished(failure(), "/v3/p/jobs", Language::Chinese)).await;
        assert_eq!(chinese["error_msg"], "参数错误。 name: 不对");
        let keystone = body(finished(failure(), "/v3/auth/tokens", Language::English)).await;
        assert_eq!(
            keystone["error"],
            json!({"code": 400, "title": "Bad Request", "message": text})
        );
    }

    #[tokio::test]
    async fn the_frameworks_own_errors_get_a_body() {
        let plain = (StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET")], "no").into_response();
        let answer = finished(plain, "/v3/p/jobs", Language::English);
        assert_eq!(answer.headers()["allow"], "GET");
        assert_eq!(body(answer).await["error_code"], "DBS.280405");
        let fine = (StatusCode::OK, "text").into_response();
        assert_eq!(
            finished(fine, "/", Language::English).headers()[CONTENT_TYPE],
            "text/plain; charset=utf-8"
        );
    }

    #[test]
    fn who_is_too_early_hears_when_to_come_again() {
        let answer = finished(
            Failure::from(TooMany { retry_after_s: 7 }).into_response(),
            "/v3/p/jobs",
            Language::English,
        );
        assert_eq!(
            (answer.status().as_u16(), answer.headers()[RETRY_AFTER].as_bytes()),
            (429, &b"7"[..])
        );
    }
}
