//! Starting: again on the same directory, twice at the same time, on a port that is taken.

#![allow(clippy::unwrap_used)]

mod support;

use control_plane::{ControlPlane, StartError, Throttle};
use std::os::unix::fs::PermissionsExt;
use support::{Caller, options, start};

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_the_same_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let plane = start(dir.path(), Throttle::off()).await.unwrap();
    let first = plane.endpoints().clone();
    let stream = plane.stream_address();
    let token = Caller::logged_in(&plane).await.token;
    let mode =
        |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("tls/ca.key"), mode("secrets/seal.key"), mode("meta")), (0o600, 0o600, 0o700));
    plane.shutdown().await;

    let plane = again(dir.path()).await;
    let second = plane.endpoints().clone();
    assert_eq!(plane.stream_address(), stream);
    assert_eq!((&second.project_id, &second.access_key), (&first.project_id, &first.access_key));
    assert_eq!((&second.password, &second.secret_key), (&first.password, &first.secret_key));
    assert_eq!((second.vpc_id, second.subnet_id), (first.vpc_id, first.subnet_id));
    // A token outlives the process.
    let caller = Caller { token, ..Caller::new(&plane) };
    assert_eq!(caller.get("/v1/{project_id}/instances").await.status(), 200);
    plane.shutdown().await;
}

/// The store's thread gives the file up a moment after the last handle is gone.
async fn again(dir: &std::path::Path) -> ControlPlane {
    for _ in 0..50 {
        match start(dir, Throttle::off()).await {
            Err(StartError::InUse { .. }) => {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await
            }
            other => return other.unwrap(),
        }
    }
    panic!("the store is still in use");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let plane = start(dir.path(), Throttle::off()).await.unwrap();
    let second = start(dir.path(), Throttle::off()).await.unwrap_err();
    assert!(matches!(second, StartError::InUse { .. }), "{second:?}");
    assert!(second.to_string().contains(&dir.path().display().to_string()), "{second}");

    let other = tempfile::tempdir().unwrap();
    let mut taken = options(other.path());
    taken.api_listen = plane.api_address();
    let error = ControlPlane::start_with(taken, Throttle::off()).await.unwrap_err();
    assert!(
        error.to_string().contains("in use") && error.to_string().contains("port 0"),
        "{error}"
    );
    plane.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_works_too() {
    let dir = tempfile::tempdir().unwrap();
    let plain = control_plane::ControlPlaneOptions { http: true, ..options(dir.path()) };
    let plane = ControlPlane::start_with(plain, Throttle::off()).await.unwrap();
    assert!(plane.endpoints().api.starts_with("http://") && plane.endpoints().ca_file.is_none());
    let caller = Caller::logged_in(&plane).await;
    assert_eq!(caller.get("/v2/{project_id}/engines").await.status(), 200);
    plane.shutdown().await;
}
