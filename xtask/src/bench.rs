//! `make bench` and `make bench-api`: build for speed and run the harnesses of `bench/`: one measures
//! direct access, a TCP relay and DDM in turn, the other the REST API.

use crate::process::{self, cargo, root, target_dir};
use anyhow::Result;
use std::process::Command;

/// Arguments go to the harness.
pub fn run(arguments: &[String]) -> Result<()> {
    process::run(&mut cargo(&["build", "--release", "--bin", "ddm"]))?;
    process::run(
        Command::new("python3")
            .arg(root().join("bench/bench.py"))
            .arg("--ddm")
            .arg(target_dir().join("release").join("ddm"))
            .args(arguments),
    )?;
    if arguments.is_empty() { run_speed(arguments) } else { Ok(()) }
}

/// `make bench-speed`: the second part of `make bench`, work on many shards. Arguments go to the
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
