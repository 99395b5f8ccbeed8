//! `make test`: the workspace's tests, then the whole system as its users meet it, and the REST API
//! against its declaration (Python clients, the official SDK and schemathesis from their registry,
//! in an environment of the build directory).

use crate::process::{self, cargo, root, target_dir};
use anyhow::Result;
use std::path::PathBuf;
use std::process::Command;

/// Every test; with arguments, only `cargo test` with those.
pub fn run(arguments: &[String]) -> Result<()> {
    process::run(&mut cargo(&["build", "--bin", "ddm"]))?;
    process::run(cargo(&["test", "--workspace"]).args(arguments))?;
    if arguments.is_empty() {
        crate::instructions::run()?;
        crate::fuzz::run_short()?;
        return system_tests("short");
    }
    Ok(())
}

/// The long forms of the tests that have one.
pub fn run_long(arguments: &[String]) -> Result<()> {
    process::run(&mut cargo(&["build", "--bin", "ddm"]))?;
    let mut tests = cargo(&["test", "--workspace"]);
    process::run(tests.env("DDM_TEST_LONG", "1").args(arguments))?;
    if arguments.is_empty() { system_tests("long") } else { Ok(()) }
}

/// Rewrites what tests compare with: planner cases and generated documents.
pub fn bless() -> Result<()> {
    process::run(cargo(&["test", "-p", "sql-plan", "-p", "control-api"]).env("UPDATE", "1"))
}

/// The folders of Python tests; each has its own fixtures.
const PYTHON_TESTS: &[&str] = &["tests/system", "tests/api"];

/// Runs the Python tests with pytest against systems that they start themselves.
fn system_tests(form: &str) -> Result<()> {
    PYTHON_TESTS.iter().try_for_each(|folder| pytest(folder, form))
}

fn pytest(folder: &str, form: &str) -> Result<()> {
    let python = environment()?;
    process::run(
        Command::new(python)
            .args(["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", folder])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("DDM_TEST_FORM", form)
            .env("DDM_BINARY", target_dir().join("debug").join("ddm")),
    )
}

/// `make test-api`: the suite of the REST API alone; with `long`, its long form.
pub fn run_api(arguments: &[String]) -> Result<()> {
    process::run(&mut cargo(&["build", "--bin", "ddm"]))?;
    pytest("tests/api", arguments.first().map_or("short", String::as_str))
}

/// Minutes that `make test-faults` injects faults for, without another wish.
const FAULT_MINUTES: &str = "12";

/// `make test-faults`: faults under load for minutes, or (`500x`) until there were so many of each
/// kind, with the figures printed, and written to the document of reliability when the second
/// argument is `report`.
pub fn run_faults(arguments: &[String]) -> Result<()> {
    process::run(&mut cargo(&["build", "--bin", "ddm"]))?;
    let wanted = arguments.first().map_or(FAULT_MINUTES, String::as_str);
    let (variable, amount) = match wanted.strip_suffix('x') {
        Some(each) => ("DDM_TEST_FAULTS_EACH", each),
        None => ("DDM_TEST_FAULT_MINUTES", wanted),
    };
    let mut tests = Command::new(environment()?);
    tests
        .args(["-m", "pytest", "-q", "-x", "-s", "-p", "no:cacheprovider"])
        .args(["tests/system/test_faults.py", "tests/system/test_promotion_faults.py"])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env(variable, amount)
        .env("DDM_BINARY", target_dir().join("debug").join("ddm"));
    if arguments.get(1).is_some_and(|word| word == "report") {
        tests.env("DDM_TEST_REPORT", root().join("docs/reliability.md"));
    }
    process::run(&mut tests)
}

/// A Python environment with the clients, made anew when the list of requirements changes.
pub fn environment() -> Result<PathBuf> {
    let venv = target_dir().join("test-venv");
    let python = venv.join("bin").join("python");
    let requirements = root().join("tests/system/requirements.txt");
    let wanted = std::fs::read_to_string(&requirements)?;
    let stamp = venv.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    process::run(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&requirements),
    )?;
    std::fs::write(&stamp, wanted)?;
    Ok(python)
}
