//! Pure crates have no async runtime, clock, socket or file: neither in their dependency tree
//! (only the listed foreign crates may be in it) nor in their own source.

use crate::process::root;
use crate::tidy::rust_files;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// The pure crates.
pub const PURE: &[&str] =
    &["base", "mysql-wire", "sql-syntax", "topology", "sql-plan", "control-api"];

/// Foreign crates that may be in a pure crate's tree: data formats, digests, arithmetic, macros.
const FOREIGN: &[&str] = &[
    "aws-lc-rs",
    "aws-lc-sys",
    "block-buffer",
    "cfg-if",
    "const-oid",
    "cpufeatures",
    "crc32fast",
    "crypto-common",
    "digest",
    "equivalent",
    "foldhash",
    "hashbrown",
    "hybrid-array",
    "indexmap",
    "itoa",
    "memchr",
    "ryu",
    "serde",
    "serde_core",
    "serde_json",
    "sha1",
    "sha2",
    "smallvec",
    "thiserror",
    "typenum",
    "untrusted",
    "utoipa",
    "zeroize",
    "zmij",
    "libc",
    "serde_path_to_error",
];

/// Paths of the standard library that a pure crate's source must not name. Addresses of `std::net`
/// are plain data; its sockets and resolvers are not.
const FORBIDDEN: &[&str] = &[
    "std::net::{",
    "std::net::Tcp",
    "std::net::Udp",
    "ToSocketAddrs",
    "std::fs",
    "std::thread",
    "std::process",
    "SystemTime",
    "Instant::",
    "std::io::std",
];

/// Fails on a foreign crate or a path that is not allowed.
pub fn check(metadata: &Value) -> Result<()> {
    let mut wrong = Vec::new();
    for name in PURE {
        for foreign in tree(metadata, name)? {
            if !FOREIGN.contains(&foreign.as_str()) && !PURE.contains(&foreign.as_str()) {
                wrong.push(format!("{name} depends on {foreign}, which is not listed as pure"));
            }
        }
        for file in rust_files(&root().join("crates").join(name).join("src"))? {
            let text = std::fs::read_to_string(&file)?;
            for path in FORBIDDEN {
                if text.contains(path) {
                    wrong.push(format!("{} names {path}", file.display()));
                }
            }
        }
    }
    if !wrong.is_empty() {
        bail!("purity:\n  {}", wrong.join("\n  "));
    }
    println!("purity: {} crates", PURE.len());
    Ok(())
}

/// The names of all crates that `name` needs at run time, itself left out.
fn tree(metadata: &Value, name: &str) -> Result<BTreeSet<String>> {
    let nodes = metadata["resolve"]["nodes"].as_array().context("no resolve in cargo metadata")?;
    let by_id: HashMap<&str, &Value> =
        nodes.iter().filter_map(|node| Some((node["id"].as_str()?, node))).collect();
    let packages = metadata["packages"].as_array().context("no packages in cargo metadata")?;
    let package_by_id: HashMap<&str, &Value> =
        packages.iter().filter_map(|package| Some((package["id"].as_str()?, package))).collect();
    let start = packages
        .iter()
        .find(|package| package["name"] == *name && package["source"].is_null())
        .and_then(|package| package["id"].as_str())
        .with_context(|| format!("no crate {name}"))?;
    let mut names = BTreeSet::new();
    let mut seen = BTreeSet::from([start]);
    let mut queue = vec![start];
    while let Some(id) = queue.pop() {
        let Some(node) = by_id.get(id) else { continue };
        for dependency in node["deps"].as_array().into_iter().flatten() {
            let normal = dependency["dep_kinds"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|kind| kind["kind"].is_null());
            let Some(next) = dependency["pkg"].as_str() else { continue };
            let package = package_by_id.get(next).context("a dependency without a package")?;
            if !normal || is_macro(package) || !seen.insert(next) {
                continue;
            }
            names.insert(package["name"].as_str().unwrap_or_default().to_owned());
            queue.push(next);
        }
    }
    Ok(names)
}

/// A procedural macro runs in the compiler, not in the crate.
fn is_macro(package: &Value) -> bool {
    package["targets"].as_array().into_iter().flatten().any(|target| {
        target["kind"].as_array().into_iter().flatten().any(|kind| kind == "proc-macro")
    })
}
