//! What a machine can check of the rules: formatting, clippy, dependency edges, purity, tidiness.

use crate::process::{self, cargo};
use crate::{edges, purity, tidy};
use anyhow::Result;

/// Runs every check; the first failure ends it.
pub fn run() -> Result<()> {
    process::run(&mut cargo(&["fmt", "--all", "--check"]))?;
    let metadata = edges::metadata()?;
    edges::check(&metadata)?;
    purity::check(&metadata)?;
    tidy::check()?;
    process::run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}
