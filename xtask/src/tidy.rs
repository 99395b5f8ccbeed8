//! Tidiness that clippy does not know: every source file opens with its header, and no file grows
//! beyond the ratchet. The ratchet lists the files that were long when it was set; they may shrink.

use crate::process::root;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// No source file is longer, unless the ratchet lists it.
const LINES_MAX: usize = 700;

/// The list of long files with their lengths: `path lines`.
const RATCHET: &str = "xtask/long-files.txt";

/// Every `.rs` file below a directory.
pub fn rust_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut queue = vec![dir.to_path_buf()];
    while let Some(dir) = queue.pop() {
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_dir() {
                queue.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Fails on a file without a header or beyond the ratchet.
pub fn check() -> Result<()> {
    let ratchet = std::fs::read_to_string(root().join(RATCHET))?;
    let mut wrong = Vec::new();
    let mut files = rust_files(&root().join("crates"))?;
    files.extend(rust_files(&root().join("xtask"))?);
    for file in &files {
        let text = std::fs::read_to_string(file)?;
        let path = file.strip_prefix(root())?.display().to_string();
        if !text.trim_start().starts_with("//!") {
            wrong.push(format!("{path} has no header that says what it is and why"));
        }
        let lines = text.lines().count();
        if lines > most_lines(&ratchet, &path) {
            wrong.push(format!(
                "{path} has {lines} lines; split it by concept (limit {})",
                most_lines(&ratchet, &path)
            ));
        }
    }
    if !wrong.is_empty() {
        bail!("tidiness:\n  {}", wrong.join("\n  "));
    }
    println!("tidiness: {} files", files.len());
    Ok(())
}

/// How long this file may be.
fn most_lines(ratchet: &str, path: &str) -> usize {
    ratchet
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(listed, _)| *listed == path)
        .and_then(|(_, lines)| lines.trim().parse().ok())
        .unwrap_or(LINES_MAX)
}
