//! Requests that the official SDK signed are accepted, and nothing else is. `sdk_vectors.json` was
//! printed by that SDK's own signer.

#![allow(clippy::unwrap_used)]

use super::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    access_key: String,
    secret_key: Secret,
    date: String,
    cases: Vec<Case>,
}

#[derive(Clone, Deserialize)]
struct Case {
    name: String,
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
}

/// What is in the file.
fn vectors() -> Vectors {
    serde_json::from_str(include_str!("sdk_vectors.json")).unwrap()
}

fn verify(case: &Case, secret: &Secret) -> Result<(), SignatureError> {
    let header = |name: &str| {
        case.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    };
    let authorization = Authorization::parse(header("authorization").unwrap()).unwrap()?;
    let now = date_ms("20261121T054000Z").unwrap();
    authorization.check_date(header(DATE_HEADER), now)?;
    let headers: Vec<(String, Vec<u8>)> = case
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
        .collect();
    let (method, path, query, body) = (&case.method, &case.path, &case.query, case.body.as_bytes());
    Signed { authorization: &authorization, method, path, query, headers: &headers, body }
        .verify(secret)
}

#[test]
fn what_the_sdk_signed_is_accepted() {
    let vectors = vectors();
    assert_eq!(date_ms(&vectors.date), Some(1_795_239_000_000));
    assert!(vectors.cases.len() >= 9);
    for case in &vectors.cases {
        assert_eq!(verify(case, &vectors.secret_key), Ok(()), "{}", case.name);
        let header = &case.headers.iter().find(|(name, _)| name == "authorization").unwrap().1;
        assert_eq!(Authorization::parse(header).unwrap().unwrap().access_key, vectors.access_key);
    }
}

#[test]
fn whatever_is_changed_is_refused() {
    let vectors = vectors();
    let mismatch = Err(SignatureError::Mismatch);
    for case in &vectors.cases {
        let changed = |change: &dyn Fn(&mut Case)| {
            let mut case = case.clone();
            change(&mut case);
            verify(&case, &vectors.secret_key)
        };
        assert_eq!(verify(case, &Secret::new("another key")), mismatch, "{}", case.name);
        assert_eq!(changed(&|case| case.method = "PATCH".to_owned()), mismatch, "{}", case.name);
        assert_eq!(changed(&|case| case.path.push_str("/more")), mismatch, "{}", case.name);
        assert_eq!(changed(&|case| case.query.push_str("&more=1")), mismatch, "{}", case.name);
        if case.name != "an unsigned body" {
            assert_eq!(changed(&|case| case.body.push(' ')), mismatch, "{}", case.name);
        }
        for at in 0..case.headers.len() {
            let name = case.headers[at].0.as_str();
            if !["authorization", "x-sdk-content-sha256"].contains(&name) {
                assert!(
                    changed(&|case| case.headers[at].1.push('1')).is_err(),
                    "{}: {name}",
                    case.name
                );
            }
        }
    }
}

#[test]
fn an_unsigned_body_is_no_json() {
    let vectors = vectors();
    let mut case =
        vectors.cases.iter().find(|case| case.name == "an unsigned body").unwrap().clone();
    let content_type = case.headers.iter_mut().find(|(name, _)| name == "content-type").unwrap();
    content_type.1 = "application/json".to_owned();
    assert_eq!(verify(&case, &vectors.secret_key), Err(SignatureError::Mismatch));
}

#[test]
fn the_date_is_near_and_signed() {
    let header = "SDK-HMAC-SHA256 Access=A, SignedHeaders=host;x-sdk-date, Signature=00";
    let authorization = Authorization::parse(header).unwrap().unwrap();
    let now = date_ms("20261121T053000Z").unwrap();
    let check = |date: Option<&str>| authorization.check_date(date, now);
    assert_eq!(check(Some("20261121T053000Z")), Ok(()));
    assert_eq!(check(Some("20261121T054500Z")), Ok(()));
    assert_eq!(check(Some("20261121T051500Z")), Ok(()));
    assert_eq!(check(Some("20261121T054501Z")), Err(SignatureError::Skew));
    assert_eq!(check(Some("20261121T051459Z")), Err(SignatureError::Skew));
    for bad in [None, Some(""), Some("now"), Some("20261321T053000Z"), Some("2026-11-21T05:30:00Z")]
    {
        assert_eq!(check(bad), Err(SignatureError::Date), "{bad:?}");
    }
    let partial = "SDK-HMAC-SHA256 Access=A, SignedHeaders=x-sdk-date, Signature=00";
    let partial = Authorization::parse(partial).unwrap().unwrap();
    assert_eq!(partial.check_date(Some("20261121T053000Z"), now), Err(SignatureError::Headers));
}

#[test]
fn other_headers_are_not_ours_or_malformed() {
    assert_eq!(Authorization::parse("Bearer x"), None);
    assert_eq!(Authorization::parse("SDK-HMAC-SHA256x Access=A"), None);
    for bad in [
        "SDK-HMAC-SHA256 x",
        "SDK-HMAC-SHA256 Access=A, SignedHeaders=host",
        "SDK-HMAC-SHA256 Access=, SignedHeaders=host, Signature=00",
        "SDK-HMAC-SHA256 Access=A, SignedHeaders=host, Signature=0g",
        "SDK-HMAC-SHA256 Access=A, SignedHeaders=host, Signature=00, Other=1",
    ] {
        assert_eq!(Authorization::parse(bad), Some(Err(SignatureError::Malformed)), "{bad}");
    }
}
