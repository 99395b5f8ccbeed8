//! Bodies of requests: read whole, within a size and a time.

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use base::api_error::{ApiError, PARAMETER_ERROR, QUOTA_EXCEEDED, UNSUPPORTED_MEDIA_TYPE};
use futures::StreamExt;
use std::time::Duration;

/// No body is longer.
pub const BODY_BYTES_MAX: usize = 12 * 1024 * 1024;

/// A body must be there within this.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// What is reserved for a body before its first byte is there, and the longest body that is read
/// before anything is known about its caller.
const RESERVED_BYTES_MAX: usize = 64 * 1024;

/// Whether the request has no body, or says that it is a short one.
pub fn is_short(request: &Request) -> bool {
    let longest = request.body().size_hint().upper();
    longest.is_some_and(|longest| longest <= RESERVED_BYTES_MAX as u64)
}

/// The request with its body in memory, if that is short.
pub async fn short_taken(request: Request) -> Result<Request, ApiError> {
    if !is_short(&request) {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let bytes = read(&parts.headers, body).await?;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// The body.
pub async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
    let announced =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX as u64) {
        return Err(too_long());
    }
    let reserved = announced
        .and_then(|length| usize::try_from(length).ok())
        .unwrap_or(0)
        .min(RESERVED_BYTES_MAX);
    let collect = async {
        let mut bytes = Vec::with_capacity(reserved);
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| broken())?;
            if bytes.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(too_long());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Bytes::from(bytes))
    };
    tokio::time::timeout(BODY_TIMEOUT, collect).await.unwrap_or_else(|_| Err(broken()))
}

/// Refuses a body that is not said to be JSON.
pub fn check_type(headers: &HeaderMap, body: &[u8]) -> Result<(), ApiError> {
    if body.is_empty() || is_json(headers) {
        Ok(())
    } else {
        Err(ApiError::new(UNSUPPORTED_MEDIA_TYPE))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

fn too_long() -> ApiError {
    ApiError::new(QUOTA_EXCEEDED).because("The body has more than 12 MB.", "请求体超过12 MB。")
}

fn broken() -> ApiError {
    ApiError::new(PARAMETER_ERROR).because("The body did not arrive whole.", "请求体不完整。")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::http::HeaderValue;

    #[tokio::test]
    async fn the_limit_holds_whatever_is_announced() {
        let none = HeaderMap::new();
        let fits = vec![b'x'; BODY_BYTES_MAX];
        assert_eq!(read(&none, Body::from(fits)).await.unwrap().len(), BODY_BYTES_MAX);
        assert_eq!(
            read(&none, Body::from(vec![b'x'; BODY_BYTES_MAX + 1])).await.unwrap_err().status,
            413
        );
        let announced =
            HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(BODY_BYTES_MAX as u64 + 1))]);
        assert_eq!(read(&announced, Body::from("{}")).await.unwrap_err().status, 413);
    }

    #[test]
    fn only_json_is_taken() {
        let of = |kind: &'static str, body: &[u8]| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
            check_type(&headers, body).map_err(|error| error.status)
        };
        assert_eq!(of("application/json; charset=utf-8", b"{}"), Ok(()));
        assert_eq!(of("Application/JSON", b"{}"), Ok(()));
        assert_eq!(of("text/plain", b""), Ok(()));
        for bad in ["text/plain", "application/jsonx", "application/x-www-form-urlencoded"] {
            assert_eq!(of(bad, b"{}"), Err(415), "{bad}");
        }
        assert_eq!(check_type(&HeaderMap::new(), b"{}").map_err(|error| error.status), Err(415));
    }
}
