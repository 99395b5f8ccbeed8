//! The outermost layer: every answer gets a request id, every error its body, every request a line
//! in the log (without query, headers or body, which may hold secrets). A handler that panics is
//! answered with 500. Short bodies are taken off the connection before anything else, so that a
//! request that is refused early does not cost a client its connection; where a longer one was left
//! unread, the answer says that the connection ends.

use super::answer::{Failure, finished};
use super::body;
use super::principal::language_of;
use super::serve::Peer;
use axum::extract::Request;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base::api_error::{ApiError, SERVER_FAILURE};
use base::id::{hex, random_bytes};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

/// The request's id, for handlers.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// The layer's function.
pub async fn frame(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = hex(&random_bytes::<16>());
    request.extensions_mut().insert(RequestId(id.clone()));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let language = language_of(request.headers());
    let peer = request.extensions().get::<Peer>().copied();
    let (version, short) = (request.version(), body::is_short(&request));
    let response = match body::short_taken(request).await {
        Ok(request) => {
            let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
            answered.unwrap_or_else(|_| {
                tracing::error!(request_id = %id, %method, path, "a handler panicked");
                Failure::from(ApiError::new(SERVER_FAILURE)).into_response()
            })
        }
        Err(error) => Failure::from(error).into_response(),
    };
    let mut response = finished(response, &path, language);
    if !short && version < Version::HTTP_2 && !response.status().is_success() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    tracing::info!(
        target: "access",
        request_id = %id,
        peer = peer.map(|peer| tracing::field::display(peer.0)),
        %method,
        path,
        status = response.status().as_u16(),
        took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        "answered"
    );
    let id = HeaderValue::from_str(&id).expect("hex digits are a header value");
    response.headers_mut().insert("x-request-id", id);
    response
}
