//! `make bench` and `make bench-api`: build for speed and run the harnesses of `bench/`: one measures
//! direct access, a TCP relay and DDM in turn, the other the REST API.

use crate::process::{self, cargo, root, target_dir};
use anyhow::Result;
use std::process::Command;

/// Arguments go to the harness; without any, all of it is measured and written into
/// docs/performance.md.
pub fn run(arguments: &[String]) -> Result<()> {
    process::run(&mut cargo(&["build", "--release", "--bin", "ddm"]))?;
    let page = root().join("docs/performance.md").display().to_string();
    let write = ["--write".to_owned(), page];
    let all = arguments.is_empty();
    let arguments = if all { &write[..] } else { arguments };
    process::run(
        Command::new("python3")
            .arg(root().join("bench/bench.py"))
            .arg("--ddm")
            .arg(target_dir().join("release").join("ddm"))
            .args(arguments),
    )?;
    if !all {
        return Ok(());
    }
    run_scale(arguments)?;
    run_speed(arguments)
}

/// `make bench-scale`: the part of `make bench` about many connections. Arguments go to the harness.
pub fn run_scale(arguments: &[String]) -> Result<()> {
    process::run(&mut cargo(&["build", "--release", "--bin", "ddm"]))?;
    process::run(
        Command::new(crate::test::environment()?)
            .arg(root().join("bench/scale.py"))
            .arg("--ddm")
            .arg(target_dir().join("release").join("ddm"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .args(arguments),
    )
}

/// `make bench-speed`: the last part of `make bench`, work on many shards. Arguments go to the
/// harness.
pub fn run_speed(arguments: &[String]) -> Result<()> {
    let build = ["build", "--release", "--bin", "ddm"];
    process::run(&mut cargo(&build))?;
    let example = ["build", "--release", "-p", "node-session", "--example", "instructions"];
    process::run(&mut cargo(&example))?;
    let built = target_dir().join("release");
    process::run(
        Command::new(crate::test::environment()?)
            .arg(root().join("bench/speed.py"))
            .arg("--ddm")
            .arg(built.join("ddm"))
            .arg("--instructions")
            .arg(built.join("examples").join("instructions"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("DDM_BINARY", built.join("ddm"))
            .args(arguments),
    )
}

/// `make bench-api`: the speed of the REST API. Arguments go to the harness.
pub fn run_api(arguments: &[String]) -> Result<()> {
    process::run(&mut cargo(&["build", "--release", "--bin", "ddm"]))?;
    let seed = ["build", "--release", "-p", "test-kit", "--example", "seed_instances"];
    process::run(&mut cargo(&seed))?;
    let built = target_dir().join("release");
    process::run(
        Command::new("python3")
            .arg(root().join("bench/api.py"))
            .arg("--ddm")
            .arg(built.join("ddm"))
            .arg("--seed")
            .arg(built.join("examples").join("seed_instances"))
            .args(arguments),
    )
}
