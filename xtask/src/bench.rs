//! `make bench` and its parts: build for speed and run the harnesses of `bench/`. They measure direct
//! access, a TCP relay and DDM in turn; `bench-api` measures the REST API.

use crate::process::{self, cargo, root, target_dir};
use crate::release;
use anyhow::{Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Arguments go to the first harness alone; without any, all parts are measured and written into
/// docs/performance.md.
pub fn run(arguments: &[String]) -> Result<()> {
    if !arguments.is_empty() {
        return harness("bench.py", "python3".into(), arguments);
    }
    let page = root().join("docs/performance.md").display().to_string();
    let write = ["--write".to_owned(), page];
    harness("bench.py", "python3".into(), &write)?;
    run_mixed(&write)?;
    run_consistent(&write)?;
    run_scale(&write)?;
    run_speed(&write)
}

/// `make bench-mixed`: the part of `make bench` about short statements among long ones.
pub fn run_mixed(arguments: &[String]) -> Result<()> {
    harness("mixed.py", "python3".into(), arguments)
}

/// `make bench-consistent`: the part of `make bench` about transactions and reads over data nodes.
pub fn run_consistent(arguments: &[String]) -> Result<()> {
    harness("consistent.py", "python3".into(), arguments)
}

/// `make bench-scale`: the part of `make bench` about many connections.
pub fn run_scale(arguments: &[String]) -> Result<()> {
    harness("scale.py", crate::test::environment()?, arguments)
}

/// `make bench-speed`: the last part of `make bench`, work on many shards.
pub fn run_speed(arguments: &[String]) -> Result<()> {
    let example = ["build", "--release", "-p", "node-session", "--example", "instructions"];
    process::run(&mut cargo(&example))?;
    let steps = built("examples/instructions").display().to_string();
    let with_steps = ["--instructions".to_owned(), steps];
    harness("speed.py", crate::test::environment()?, &[&with_steps, arguments].concat())
}

/// `make bench-api`: the speed of the REST API.
pub fn run_api(arguments: &[String]) -> Result<()> {
    let seed = ["build", "--release", "-p", "test-kit", "--example", "seed_instances"];
    process::run(&mut cargo(&seed))?;
    let with_seed = ["--seed".to_owned(), built("examples/seed_instances").display().to_string()];
    harness("api.py", "python3".into(), &[&with_seed, arguments].concat())
}

/// Runs a harness on the program, which is built now, or with DDM_BENCH_RELEASE=1 is what `make release` built.
/// Arguments go to the harness.
fn harness(file: &str, python: PathBuf, arguments: &[String]) -> Result<()> {
    let released = std::env::var_os("DDM_BENCH_RELEASE").is_some();
    let program = if released { release::optimised() } else { built("ddm") };
    if !released {
        process::run(&mut cargo(&["build", "--release", "--bin", "ddm"]))?;
    } else if !program.exists() {
        bail!("there is no {}: run `make release` first", program.display());
    }
    set_to_work(&program, file, python, arguments)
}

/// Runs a harness on a program.
pub fn set_to_work(
    program: &Path,
    file: &str,
    python: PathBuf,
    arguments: &[impl AsRef<OsStr>],
) -> Result<()> {
    process::run(
        Command::new(python)
            .arg(root().join("bench").join(file))
            .arg("--ddm")
            .arg(program)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("DDM_BINARY", program)
            .args(arguments),
    )
}

fn built(name: &str) -> PathBuf {
    target_dir().join("release").join(name)
}
