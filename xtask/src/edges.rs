//! Dependencies in one direction: which of our crates may use which. The table is the one of
//! ARCHITECTURE.md; an edge that is not in it fails the lint.

use crate::process::{cargo, output};
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Crate → the crates of ours that it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("telemetry", &["base"]),
    ("mysql-wire", &["base"]),
    ("sql-syntax", &[]),
    ("topology", &["base"]),
    ("sql-plan", &["base", "sql-syntax", "topology"]),
    ("node-backend", &["base", "mysql-wire", "topology", "telemetry"]),
    (
        "node-exec",
        &["base", "sql-plan", "sql-syntax", "node-backend", "mysql-wire", "topology", "telemetry"],
    ),
    (
        "node-session",
        &[
            "base",
            "node-exec",
            "node-backend",
            "sql-plan",
            "sql-syntax",
            "mysql-wire",
            "topology",
            "telemetry",
        ],
    ),
    (
        "node",
        &[
            "base",
            "node-session",
            "node-exec",
            "node-backend",
            "mysql-wire",
            "topology",
            "telemetry",
        ],
    ),
    ("fuzz", &["mysql-wire", "sql-syntax"]),
    (
        "simulation",
        &["base", "mysql-wire", "node-backend", "node-exec", "node-session", "topology"],
    ),
    ("control-api", &["base"]),
    ("job-engine", &["base", "telemetry"]),
    ("control-store", &["base", "topology", "job-engine"]),
    ("provision", &["base", "topology", "node-backend", "telemetry"]),
    (
        "control-app",
        &[
            "base",
            "control-api",
            "control-store",
            "job-engine",
            "provision",
            "topology",
            "telemetry",
        ],
    ),
    (
        "control-plane",
        &[
            "base",
            "control-api",
            "control-app",
            "control-store",
            "job-engine",
            "provision",
            "topology",
            "telemetry",
        ],
    ),
];

/// Crates that may use everything: the binary, what tests use, the automation.
const FREE: &[&str] = &["ddm", "test-kit", "xtask"];

/// What `cargo metadata` says of the workspace.
pub fn metadata() -> Result<Value> {
    let text = output(&mut cargo(&["metadata", "--format-version", "1", "--locked"]))?;
    serde_json::from_str(&text).context("cargo metadata printed something else than JSON")
}

/// Fails on an edge that the table does not allow. Edges of tests (dev-dependencies) are free.
pub fn check(metadata: &Value) -> Result<()> {
    let packages = metadata["packages"].as_array().context("no packages in cargo metadata")?;
    let ours: Vec<&Value> = packages.iter().filter(|package| package["source"].is_null()).collect();
    let names: Vec<&str> = ours.iter().filter_map(|package| package["name"].as_str()).collect();
    let mut wrong = Vec::new();
    for package in &ours {
        let name = package["name"].as_str().unwrap_or_default();
        if FREE.contains(&name) {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(crate_name, _)| *crate_name == name) else {
            wrong.push(format!("{name} is not in the table of allowed edges"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = dependency["name"].as_str().unwrap_or_default();
            let only_for_tests = dependency["kind"] == "dev";
            if names.contains(&used) && !only_for_tests && !allowed.contains(&used) {
                wrong.push(format!("{name} must not use {used}"));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("dependency edges (see ARCHITECTURE.md):\n  {}", wrong.join("\n  "));
    }
    println!("edges: {} crates, all as in the table", ours.len());
    Ok(())
}
