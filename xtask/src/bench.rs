//! `make bench`: builds for speed and runs the harness of `bench/`, which measures direct access,
//! a TCP relay and DDM in turn.

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
    )
}
