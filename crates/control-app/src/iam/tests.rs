//! The service on a real store: what the first start makes, who is let in and who is not.

#![allow(clippy::unwrap_used)]

use super::keystone::{Login, Named, Scope};
use super::*;
use crate::time::now_ms;
use base::api_error::{ApiError, Language};
use control_store::embedded::SqliteStore;

struct World {
    _dir: tempfile::TempDir,
    store: Arc<SqliteStore>,
    iam: Iam,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("store.db")).unwrap();
    let iam = Iam::new(store.clone(), SealKey::from_bytes([7; 32]));
    World { _dir: dir, store, iam }
}

fn named(name: &str) -> Named {
    Named { id: None, name: Some(name.to_owned()) }
}

fn login(password: &str, scope: Scope) -> Login {
    Login {
        user: named("admin"),
        domain: Some(named("default")),
        password: Secret::new(password),
        scope,
    }
}

fn code(error: IamError) -> (u16, &'static str) {
    let error = ApiError::from(error);
    (error.status, error.code.code)
}

const UNAUTHORIZED: (u16, &str) = (401, "DBS.280401");
const FORBIDDEN: (u16, &str) = (403, "DBS.300541");

#[tokio::test]
async fn the_first_start_is_told_again_and_nothing_is_kept_in_the_clear() {
    let world = world();
    let first = world.iam.first_start("local-1").await.unwrap();
    let again = Iam::new(world.store.clone(), SealKey::from_bytes([7; 32]))
        .first_start("other")
        .await
        .unwrap();
    assert_eq!(again.password, first.password);
    assert_eq!(
        (again.access_key, again.secret_key.clone()),
        (first.access_key.clone(), first.secret_key.clone())
    );
    assert_eq!((again.project, again.user_id), (first.project.clone(), first.user_id.clone()));
    assert_eq!(first.project.name, "local-1");
    let issued =
        world.iam.log_in(login(first.password.expose(), Scope::Unsaid), now_ms()).await.unwrap();
    let (entries, _) = world.store.list("iam/").await.unwrap();
    assert!(entries.len() >= 6);
    for entry in entries {
        let text = format!("{} {}", entry.key, String::from_utf8(entry.value).unwrap());
        for secret in [&first.password, &first.secret_key, &issued.token] {
            assert!(!text.contains(secret.expose()), "{}", entry.key);
        }
    }
    // With another seal key the secrets do not open, which is said.
    let wrong = Iam::new(world.store.clone(), SealKey::from_bytes([8; 32]))
        .first_start("x")
        .await
        .unwrap_err();
    assert!(wrong.to_string().contains("key file"), "{wrong}");
}

#[tokio::test]
async fn a_token_is_for_its_scope_and_its_day() {
    let world = world();
    let first = world.iam.first_start("local-1").await.unwrap();
    let password = first.password.expose();
    let now = now_ms();
    let scope = Scope::Project(named("local-1"), Some(named("default")));
    let issued = world.iam.log_in(login(password, scope), now).await.unwrap();
    let view = world.iam.token(issued.token.expose(), now + TOKEN_LIFETIME_MS - 1).await.unwrap();
    assert_eq!(view.caller.project.as_ref(), Some(&first.project));
    let document = view.document();
    let token = &document["token"];
    assert_eq!(token["project"]["id"], first.project.id.as_str());
    assert_eq!(token["user"]["domain"]["name"], "default");
    assert_eq!(token["methods"], serde_json::json!(["password"]));
    assert!(token["roles"][0]["name"].is_string() && token.get("domain").is_none());

    let ended = world.iam.token(issued.token.expose(), now + TOKEN_LIFETIME_MS).await.unwrap_err();
    assert_eq!(code(ended), UNAUTHORIZED);
    let mut other = issued.token.expose().to_owned();
    other.replace_range(0..1, if other.starts_with('A') { "B" } else { "A" });
    assert_eq!(code(world.iam.token(&other, now).await.unwrap_err()), UNAUTHORIZED);

    let domain =
        world.iam.log_in(login(password, Scope::Domain(named("default"))), now).await.unwrap();
    let document = domain.view.document();
    assert_eq!(document["token"]["domain"]["id"], first.domain.id.as_str());
    assert!(domain.view.caller.project.is_none() && document["token"].get("project").is_none());

    assert_eq!(world.iam.purge_tokens(now).await.unwrap(), 0);
    assert_eq!(world.iam.purge_tokens(now + TOKEN_LIFETIME_MS).await.unwrap(), 2);
}

#[tokio::test]
async fn a_revoked_token_is_good_for_nothing_at_once() {
    let world = world();
    let first = world.iam.first_start("local-1").await.unwrap();
    let issued = world.iam.log_in(login(first.password.expose(), Scope::Unsaid), 0).await.unwrap();
    let token = issued.token.expose();
    world.iam.token(token, 0).await.unwrap();
    let stranger = UserId::random();
    let refused = world.iam.revoke_token(&stranger, token, 0).await.unwrap_err();
    assert_eq!(code(refused), FORBIDDEN);
    world.iam.token(token, 0).await.unwrap();
    world.iam.revoke_token(&first.user_id, token, 0).await.unwrap();
    assert_eq!(code(world.iam.token(token, 0).await.unwrap_err()), UNAUTHORIZED);
    let again = world.iam.revoke_token(&first.user_id, token, 0).await.unwrap_err();
    assert_eq!(code(again), UNAUTHORIZED);
}

#[tokio::test]
async fn who_may_not_in_stays_out() {
    let world = world();
    let first = world.iam.first_start("local-1").await.unwrap();
    let password = first.password.expose();
    let refused = async |login: Login| code(world.iam.log_in(login, 0).await.unwrap_err());
    assert_eq!(refused(login("wrong", Scope::Unsaid)).await, UNAUTHORIZED);
    assert_eq!(refused(login(&"x".repeat(10_000), Scope::Unsaid)).await, UNAUTHORIZED);
    let nobody = Login { user: named("nobody"), ..login(password, Scope::Unsaid) };
    assert_eq!(refused(nobody).await, UNAUTHORIZED);
    let elsewhere = Login { domain: Some(named("elsewhere")), ..login(password, Scope::Unsaid) };
    assert_eq!(refused(elsewhere).await, UNAUTHORIZED);
    assert_eq!(refused(login(password, Scope::Project(named("other"), None))).await, FORBIDDEN);
    assert_eq!(
        refused(login(password, Scope::Project(named("local-1"), Some(named("other"))))).await,
        FORBIDDEN
    );
    assert_eq!(refused(login(password, Scope::Domain(named("other")))).await, FORBIDDEN);
    let english =
        ApiError::from(world.iam.token("x", 0).await.unwrap_err()).message(Language::English);
    assert_eq!(english, "A valid token or signature is required.");
}

#[tokio::test]
async fn a_crowd_at_the_door_is_sent_away() {
    let world = world();
    let first = world.iam.first_start("local-1").await.unwrap();
    let count = u32::try_from(PASSWORD_CHECKS_WAITING_MAX).unwrap();
    let crowd = world.iam.password_queue.acquire_many(count).await.unwrap();
    let log_in = || world.iam.log_in(login(first.password.expose(), Scope::Unsaid), 0);
    assert_eq!(code(log_in().await.unwrap_err()).0, 429);
    drop(crowd);
    log_in().await.unwrap();
}

#[tokio::test]
async fn a_signer_has_the_project_that_it_asks_for() {
    let world = world();
    let first = world.iam.first_start("local-1").await.unwrap();
    assert_eq!(code(world.iam.access_key("AKUNKNOWN").await.unwrap_err()), UNAUTHORIZED);
    let key = world.iam.access_key(&first.access_key).await.unwrap();
    assert!(!format!("{key:?}").contains(first.secret_key.expose()));
    let headers = vec![
        ("host".to_owned(), b"h".to_vec()),
        ("x-sdk-date".to_owned(), b"20261121T053000Z".to_vec()),
    ];
    let signature = signature_of(&first.secret_key);
    let text = format!(
        "SDK-HMAC-SHA256 Access={}, SignedHeaders=host;x-sdk-date, Signature={signature}",
        first.access_key
    );
    let authorization = signature::Authorization::parse(&text).unwrap().unwrap();
    let request = Signed {
        authorization: &authorization,
        method: "GET",
        path: "/",
        query: "",
        headers: &headers,
        body: b"",
    };
    let signer = async |project: Option<&str>, domain: Option<&str>| {
        world.iam.signer(&key, &request, project, domain).map(|caller| caller.project).map_err(code)
    };
    assert_eq!(signer(None, None).await, Ok(Some(first.project.clone())));
    assert_eq!(
        signer(Some(first.project.id.as_str()), None).await,
        Ok(Some(first.project.clone()))
    );
    assert_eq!(signer(None, Some(&first.domain.id)).await, Ok(None));
    assert_eq!(signer(Some("0123456789abcdef0123456789abcdef"), None).await, Err(FORBIDDEN));
    assert_eq!(signer(None, Some("other")).await, Err(FORBIDDEN));
    let other = Signed { method: "PUT", ..request };
    let refused = world.iam.signer(&key, &other, None, None).map(|_| ()).map_err(code);
    assert_eq!(refused, Err(UNAUTHORIZED));
}

/// The signature of `GET /` with the headers above, worked out step by step.
fn signature_of(secret: &Secret) -> String {
    use aws_lc_rs::digest::{SHA256, digest};
    use aws_lc_rs::hmac;
    use base::id::hex;
    let empty = hex(digest(&SHA256, b"").as_ref());
    let canonical =
        format!("GET\n/\n\nhost:h\nx-sdk-date:20261121T053000Z\n\nhost;x-sdk-date\n{empty}");
    let to_sign = format!(
        "SDK-HMAC-SHA256\n20261121T053000Z\n{}",
        hex(digest(&SHA256, canonical.as_bytes()).as_ref())
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    hex(hmac::sign(&key, to_sign.as_bytes()).as_ref())
}
