//! Processes outlive their parent, are adopted by the next one, and a recycled pid is never hit.
#![allow(clippy::unwrap_used)]

mod common;

use common::TestDir;
use provision::process::{Exit, ManagedProcess, ProcessIdentity, ProcessSpec};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Under this variable the helper below gets its directory from the test that runs it.
const HELPER_DIR: &str = "DDM_TEST_HELPER_DIR";

fn spec(directory: &Path, script: &str) -> ProcessSpec {
    ProcessSpec {
        name: "test child".to_owned(),
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into(), directory.as_os_str().to_owned()],
        directory: directory.to_owned(),
        file_stem: "child",
    }
}

const OBEDIENT: &str = "echo started; trap 'exit 3' TERM; while :; do sleep 0.05; done";
const HALF_DEAF: &str =
    "trap 'trap \"exit 4\" TERM' TERM; echo started; while :; do sleep 0.05; done";
const DEAF: &str = "trap '' TERM; echo started; while :; do sleep 0.05; done";

async fn until_log_has(spec: &ProcessSpec, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !spec.log().tail_since(0).contains(text) {
        assert!(Instant::now() < deadline, "no {text:?} in the log");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn start_is_idempotent_and_stop_asks_first() {
    let dir = TestDir::new("process");
    let spec = spec(dir.path(), OBEDIENT);
    let mut first = ManagedProcess::start(spec.clone()).unwrap();
    until_log_has(&spec, "started").await;
    let mut second = ManagedProcess::start(spec.clone()).unwrap();
    assert!(!first.is_adopted() && second.is_adopted());
    assert_eq!(first.pid(), second.pid());
    assert_eq!(first.stop(Duration::from_secs(10)).await.unwrap(), Exit::Code(3));
    assert_eq!(second.wait().await, Exit::Unknown);
    assert_eq!(spec.find_running().unwrap(), None);
}

#[tokio::test]
async fn one_that_missed_the_signal_gets_another() {
    let dir = TestDir::new("process");
    let spec = spec(dir.path(), HALF_DEAF);
    let mut process = ManagedProcess::start(spec.clone()).unwrap();
    until_log_has(&spec, "started").await;
    assert_eq!(process.stop(Duration::from_secs(20)).await.unwrap(), Exit::Code(4));
}

#[tokio::test]
async fn one_that_does_not_listen_is_killed() {
    let dir = TestDir::new("process");
    let spec = spec(dir.path(), DEAF);
    let mut process = ManagedProcess::start(spec.clone()).unwrap();
    until_log_has(&spec, "started").await;
    let started = Instant::now();
    assert_eq!(process.stop(Duration::from_millis(300)).await.unwrap(), Exit::Signal(9));
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_recycled_pid_is_neither_adopted_nor_hit() {
    let dir = TestDir::new("process");
    let spec = spec(dir.path(), OBEDIENT);
    let mut stranger = Command::new("sleep").arg("300").spawn().unwrap();
    let identity = ProcessIdentity::of(stranger.id().cast_signed()).unwrap();
    // The pid file of a process that ended; its number now belongs to the stranger.
    let stale = ProcessIdentity { start_ticks: identity.start_ticks - 1, ..identity.clone() };
    std::fs::write(dir.path().join("child.pid"), serde_json::to_vec(&stale).unwrap()).unwrap();
    assert_eq!(spec.find_running().unwrap(), None);
    let mut process = ManagedProcess::start(spec).unwrap();
    assert_ne!(process.pid(), identity.pid);
    process.stop(Duration::from_secs(10)).await.unwrap();
    assert!(identity.is_alive());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn found_without_its_pid_file() {
    let dir = TestDir::new("process");
    let spec = spec(dir.path(), OBEDIENT);
    let process = ManagedProcess::start(spec.clone()).unwrap();
    until_log_has(&spec, "started").await;
    std::fs::remove_file(dir.path().join("child.pid")).unwrap();
    let mut found = ManagedProcess::adopt(&spec).unwrap().unwrap();
    assert_eq!(found.pid(), process.pid());
    found.kill().await.unwrap();
}

#[tokio::test]
#[ignore = "not a test: the parent that the next test starts and kills"]
async fn helper_parent() {
    let directory = std::env::var_os(HELPER_DIR).unwrap();
    let process = ManagedProcess::start(spec(Path::new(&directory), OBEDIENT)).unwrap();
    std::fs::write(Path::new(&directory).join("child-started"), process.pid().to_string()).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn a_child_survives_the_kill_of_its_parent_and_is_adopted() {
    let dir = TestDir::new("process");
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_parent", "--ignored"])
        .env(HELPER_DIR, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap());
    lines.read_line(&mut String::new()).unwrap();
    let note = dir.path().join("child-started");
    let deadline = Instant::now() + Duration::from_secs(20);
    let pid: i32 = loop {
        if let Ok(pid) = std::fs::read_to_string(&note).unwrap_or_default().parse() {
            break pid;
        }
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    parent.kill().unwrap();
    parent.wait().unwrap();
    let spec = spec(dir.path(), OBEDIENT);
    let mut adopted = ManagedProcess::start(spec.clone()).unwrap();
    assert!(adopted.is_adopted());
    assert_eq!(adopted.pid(), pid);
    assert_eq!(adopted.stop(Duration::from_secs(10)).await.unwrap(), Exit::Unknown);
    assert_eq!(spec.find_running().unwrap(), None);
}
