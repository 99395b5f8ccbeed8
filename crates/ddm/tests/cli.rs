//! The command line from outside: exit codes, errors that say what to do, help pages.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Set to rewrite the help pages under `tests/help`.
const BLESS: &str = "DDM_BLESS";

fn ddm(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddm"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DDM_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).current_dir(std::env::temp_dir()).output().unwrap()
}

#[track_caller]
fn check(arguments: &[&str], code: i32, words: &[&str]) {
    let output = ddm(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    for word in words {
        assert!(errors.contains(word), "{arguments:?} does not say {word:?}: {errors}");
    }
    assert!(output.stdout.is_empty(), "{arguments:?} wrote to standard output");
}

struct TestDir(PathBuf);

impl TestDir {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("ddm-cli-{}", base::id::NodeId::random()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn bad_usage_ends_with_2() {
    check(&[], 2, &["Usage"]);
    check(&["fly"], 2, &["unrecognized subcommand", "fly"]);
    check(&["up", "--colour"], 2, &["unexpected argument", "--colour"]);
    check(&["up", "--node-subnet", "10.0.0.0/16"], 2, &["loopback"]);
    check(&["up", "--data-nodes", "many"], 2, &["many"]);
    check(&["up", "--data-nodes", "17"], 2, &["0..=16"]);
    check(&["up", "--api-listen", "nowhere"], 2, &["HOST:PORT"]);
    check(&["up", "--log-format", "xml"], 2, &["text", "json"]);
    check(&["node"], 2, &["--config"]);
    check(&["ctl", "instances"], 2, &["Usage"]);
    check(&["ctl", "accounts", "create", "i", "a"], 2, &["--password"]);
    check(&["ctl", "accounts", "update", "i", "a"], 2, &["--schema"]);
    check(&["ctl", "instances", "create", "x", "--admin-user", "a"], 2, &["--admin-password"]);
    check(&["ctl", "--output", "yaml", "jobs", "list"], 2, &["yaml"]);
}

#[test]
fn failures_end_with_1_and_say_what_to_do() {
    let dir = TestDir::new();
    check(&["ctl", "--data-dir", dir.text(), "instances", "list"], 1, &["ddm up", "--endpoint"]);
    check(
        &["ctl", "--endpoint", "http://127.0.0.1:1", "--data-dir", dir.text(), "jobs", "list"],
        1,
        &["--project-id"],
    );
    let unreachable =
        ["ctl", "--endpoint", "http://127.0.0.1:1", "--project-id", "p", "--token", "t"];
    check(
        &[&unreachable[..], &["--data-dir", dir.text(), "jobs", "list"]].concat(),
        1,
        &["is it running?", "ddm up"],
    );
    check(
        &["up", "--demo", "--data-nodes", "0", "--data-dir", dir.text()],
        1,
        &["--demo needs local data nodes"],
    );
    check(&["node", "--config", "/nonexistent/node.toml"], 1, &["/nonexistent/node.toml"]);
}

#[test]
fn up_refuses_what_it_cannot_use() {
    let dir = TestDir::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let up = |extra: &[&str]| -> Vec<String> {
        ["up", "--data-dir", dir.text()]
            .iter()
            .chain(extra)
            .map(|text| (*text).to_owned())
            .collect()
    };
    let run = |arguments: Vec<String>, words: &[&str]| {
        check(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), 1, words);
    };
    run(up(&["--api-listen", &address]), &["in use", "--api-listen"]);
    std::fs::write(dir.0.join("form"), "99\n").unwrap();
    run(up(&[]), &["newer version", "--data-dir"]);
    std::fs::write(dir.0.join("form"), "1\n").unwrap();
    let lock = std::fs::OpenOptions::new().write(true).open(dir.0.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    run(up(&[]), &["another ddm", "--data-dir"]);
}

#[test]
fn help_pages() {
    let pages: &[&[&str]] = &[
        &[],
        &["up"],
        &["control-plane"],
        &["node"],
        &["ctl"],
        &["ctl", "instances", "create"],
        &["ctl", "schemas", "create"],
        &["ctl", "accounts", "create"],
    ];
    for page in pages {
        let output = ddm(&[*page, &["--help"]].concat());
        assert_eq!(output.status.code(), Some(0), "{page:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let name = if page.is_empty() { "ddm".to_owned() } else { page.join("-") };
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help").join(format!("{name}.txt"));
        if std::env::var_os(BLESS).is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(text, expected, "{name}: the help page changed; set {BLESS}=1 to accept it");
    }
}
