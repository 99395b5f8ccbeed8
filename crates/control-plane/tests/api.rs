//! The API's frame over real HTTPS: who is let in, what is refused and in which form.

#![allow(clippy::unwrap_used)]

mod support;

use base::id::hex;
use control_plane::Throttle;
use reqwest::Method;
use serde_json::json;
use std::num::NonZeroU32;
use support::{Caller, login, start, told};

const INSTANCES: &str = "/v1/{project_id}/instances";

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_the_project_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let plane = start(dir.path(), Throttle::off()).await.unwrap();
    let caller = Caller::new(&plane);
    assert!(caller.api.starts_with("https://127.0.0.1:"));
    let (status, body) = told(caller.get(INSTANCES).await).await;
    assert_eq!((status, &body["errCode"]), (401, &json!("DBS.280401")));
    assert!(body["externalMessage"].as_str().unwrap().starts_with("A valid token"));

    let caller = Caller::logged_in(&plane).await;
    let (status, body) = told(caller.get(INSTANCES).await).await;
    assert_eq!((status, &body["instances"], &body["instance_num"]), (200, &json!([]), &json!(0)));
    let other = "0123456789abcdef0123456789abcdef";
    let (status, body) = told(caller.get(&format!("/v3/{other}/jobs")).await).await;
    assert_eq!((status, &body["error_code"]), (403, &json!("DBS.300541")));

    // A token for the domain opens no project.
    let answer = caller.log_in(login(&plane, json!({ "domain": { "name": "default" } }))).await;
    let domain = Caller {
        token: Some(answer.headers()["x-subject-token"].to_str().unwrap().to_owned()),
        ..caller
    };
    assert_eq!(domain.get(INSTANCES).await.status(), 403);
    let (status, body) = told(domain.get("/v3/projects?name=local-1").await).await;
    assert_eq!((status, &body["projects"][0]["id"]), (200, &json!(plane.endpoints().project_id)));
    let (_, body) = told(domain.get("/v3/projects?name=other").await).await;
    assert_eq!(body["projects"], json!([]));
    let (_, body) = told(domain.get("/v3/auth/projects").await).await;
    assert_eq!(body["projects"].as_array().unwrap().len(), 1);
    let (_, body) = told(domain.get("/v3/auth/domains").await).await;
    assert_eq!(body["domains"][0]["name"], "default");
    plane.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_say_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let plane = start(dir.path(), Throttle::off()).await.unwrap();
    let caller = Caller::logged_in(&plane).await;
    let token = caller.token.clone().unwrap();
    let show = async |subject: &str| {
        told(
            caller
                .send(
                    Method::GET,
                    "/v3/auth/tokens",
                    &[("x-subject-token", subject)],
                    String::new(),
                )
                .await,
        )
        .await
    };
    let (status, body) = show(&token).await;
    assert_eq!((status, &body["token"]["project"]["id"]), (200, &json!(caller.project)));
    assert_eq!(body["token"]["user"]["name"], "admin");
    let (status, body) = show("nonsense").await;
    assert_eq!(
        (status, &body["error"]["code"], &body["error_code"]),
        (404, &json!(404), &json!("DBS.280404"))
    );
    assert_eq!(caller.get("/v3/auth/tokens").await.status(), 400);

    let mut wrong = login(&plane, json!({ "project": { "name": "local-1" } }));
    wrong["auth"]["identity"]["password"]["user"]["password"] = json!("wrong");
    let (status, body) = told(caller.log_in(wrong).await).await;
    assert_eq!((status, &body["error"]["title"]), (401, &json!("Unauthorized")));
    let (status, body) = told(caller.log_in(json!({ "auth": {} })).await).await;
    assert_eq!(
        (status, &body["error_msg"]),
        (400, &json!("Parameter error. auth.identity: is required"))
    );
    plane.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_http_can_get_wrong_is_answered_in_the_paths_form() {
    let dir = tempfile::tempdir().unwrap();
    let plane = start(dir.path(), Throttle::off()).await.unwrap();
    let caller = Caller::logged_in(&plane).await;
    let answer = caller.get("/v3/nothing/here").await;
    assert_eq!(answer.headers()["x-request-id"].len(), 32);
    assert_eq!(told(answer).await.1["error_code"], "DBS.280404");
    let (status, body) =
        told(caller.send(Method::PATCH, INSTANCES, &[], String::new()).await).await;
    assert_eq!((status, &body["errCode"]), (405, &json!("DBS.280405")));
    let text = [("content-type", "text/plain")];
    let (status, body) =
        told(caller.send(Method::POST, INSTANCES, &text, "{}".to_owned()).await).await;
    assert_eq!((status, &body["errCode"]), (415, &json!("DBS.280415")));
    let (status, body) = told(caller.post(INSTANCES, "{").await).await;
    assert_eq!((status, &body["errCode"]), (400, &json!("DBS.280001")));
    let (status, body) = told(caller.post(INSTANCES, "{\"instance\":{\"name\":7}}").await).await;
    assert_eq!(
        (status, body["externalMessage"].as_str().unwrap().contains("instance.name")),
        (400, true),
        "{body}"
    );
    let large = format!("\"{}\"", "x".repeat(12 * 1024 * 1024));
    let (status, body) = told(caller.post(INSTANCES, large).await).await;
    assert_eq!((status, &body["errCode"]), (413, &json!("DBS.280413")));
    assert_eq!(told(caller.get("/healthz").await).await, (200, json!("ok\n")));
    plane.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_opens_the_project() {
    let dir = tempfile::tempdir().unwrap();
    let plane = start(dir.path(), Throttle::off()).await.unwrap();
    let caller = Caller::new(&plane);
    let signed = async |secret: &str, date: &str, tampered: bool| {
        let path = INSTANCES.replace("{project_id}", &caller.project);
        let host = caller.api.strip_prefix("https://").unwrap();
        let authorization = sign(
            &plane.endpoints().access_key,
            secret,
            "GET",
            &path,
            "limit=5&offset=0",
            host,
            date,
        );
        let query = if tampered { "offset=0&limit=6" } else { "offset=0&limit=5" };
        let headers =
            [("x-sdk-date", date), ("authorization", authorization.as_str()), ("host", host)];
        told(
            caller
                .send(Method::GET, &format!("{INSTANCES}?{query}"), &headers, String::new())
                .await,
        )
        .await
    };
    let secret = plane.endpoints().secret_key.expose();
    let now = jiff::Timestamp::now();
    let date = |at: jiff::Timestamp| at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let (status, body) = signed(secret, &date(now), false).await;
    assert_eq!((status, &body["instances"]), (200, &json!([])), "{body}");
    assert_eq!(signed(secret, &date(now), true).await.0, 401);
    assert_eq!(signed("another", &date(now), false).await.0, 401);
    let old = now - std::time::Duration::from_secs(16 * 60);
    let (status, body) = signed(secret, &date(old), false).await;
    assert_eq!(status, 401);
    assert!(body["externalMessage"].as_str().unwrap().contains("15 minutes"), "{body}");
    plane.shutdown().await;
}

/// A signature with the headers host and x-sdk-date, for a request without a body.
fn sign(
    key: &str,
    secret: &str,
    method: &str,
    path: &str,
    query: &str,
    host: &str,
    date: &str,
) -> String {
    use aws_lc_rs::digest::{SHA256, digest};
    use aws_lc_rs::hmac;
    let sha256 = |text: &str| hex(digest(&SHA256, text.as_bytes()).as_ref());
    let names = "host;x-sdk-date";
    let canonical = format!(
        "{method}\n{path}/\n{query}\nhost:{host}\nx-sdk-date:{date}\n\n{names}\n{}",
        sha256("")
    );
    let to_sign = format!("SDK-HMAC-SHA256\n{date}\n{}", sha256(&canonical));
    let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hex(hmac::sign(&hmac_key, to_sign.as_bytes()).as_ref());
    format!("SDK-HMAC-SHA256 Access={key}, SignedHeaders={names}, Signature={signature}")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_too_often_is_told_when_to_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let throttle = Throttle { per_user_minute: NonZeroU32::new(5), per_api_minute: None };
    let plane = start(dir.path(), throttle).await.unwrap();
    let caller = Caller::logged_in(&plane).await;
    for _ in 0..5 {
        assert_eq!(caller.get(INSTANCES).await.status(), 200);
    }
    let answer = caller.get(INSTANCES).await;
    let seconds: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    let (status, body) = told(answer).await;
    assert_eq!((status, &body["errCode"]), (429, &json!("DBS.280429")));
    assert_eq!(
        caller.get("/v3/{project_id}/jobs").await.status(),
        200,
        "another call is counted apart"
    );
    plane.shutdown().await;
}
