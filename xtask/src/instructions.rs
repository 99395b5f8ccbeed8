//! Instruction counts of the hot steps, held by a file: a shared machine's clock says nothing, while
//! these counts are the same on a busy one. Each step runs under valgrind twice, once for long and
//! once for longer, and the difference is divided by the times it ran more: the program's own start
//! falls out. `UPDATE=1` writes the file anew.

use crate::process::{self, cargo, root, target_dir};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// A count may be higher by this part of the one in the file before it is a failure. It covers
/// another compiler's choices, not a lost optimisation.
const TOLERANCE: f64 = 0.03;

/// How often a step runs: few times for what is long.
const TIMES: &[(&str, u64)] = &[("split an insert of 1000 rows", 4), ("plan with", 200)];
/// How often others run.
const USUAL_TIMES: u64 = 2000;

/// The file: a step's name and its instructions on each line.
const BASELINE: &str = "bench/instructions.txt";

/// Counts every step and compares.
pub fn run() -> Result<()> {
    let build = ["build", "--release", "-p", "node-session", "--example", "instructions"];
    process::run(&mut cargo(&build))?;
    let program = target_dir().join("release").join("examples").join("instructions");
    let names = process::output(Command::new(&program).arg("list"))?;
    let counts = names
        .lines()
        .map(|name| Ok((name.to_owned(), count(&program, name)?)))
        .collect::<Result<Vec<_>>>()?;
    let path = root().join(BASELINE);
    if std::env::var_os("UPDATE").is_some() {
        let lines: Vec<String> =
            counts.iter().map(|(name, count)| format!("{name}: {count}\n")).collect();
        std::fs::write(&path, lines.concat())?;
        println!("instructions: {} written", path.display());
        return Ok(());
    }
    let text = std::fs::read_to_string(&path).context("no baseline; make one with UPDATE=1")?;
    compare(&counts, &read(&text)?)
}

fn read(text: &str) -> Result<BTreeMap<&str, u64>> {
    let parsed = |line: &str| -> Option<(usize, u64)> {
        let (name, count) = line.rsplit_once(": ")?;
        Some((name.len(), count.parse().ok()?))
    };
    text.lines()
        .map(|line| {
            let (length, count) = parsed(line).with_context(|| format!("'{line}' is no count"))?;
            Ok((&line[..length], count))
        })
        .collect()
}

fn compare(counts: &[(String, u64)], baseline: &BTreeMap<&str, u64>) -> Result<()> {
    let mut dearer = Vec::new();
    for (name, count) in counts {
        let Some(known) = baseline.get(name.as_str()) else {
            dearer.push(format!("{name}: {count}, not in {BASELINE}"));
            continue;
        };
        let change = *count as f64 / (*known).max(1) as f64 - 1.0;
        println!("{name:32} {count:>10} instructions, {:+.1} %", change * 100.0);
        if change > TOLERANCE {
            dearer.push(format!("{name}: {count} instead of {known}"));
        } else if change < -TOLERANCE {
            println!("    cheaper than in {BASELINE}: write it down with UPDATE=1");
        }
    }
    if dearer.is_empty() {
        return Ok(());
    }
    bail!(
        "steps take more instructions than {BASELINE} allows; where that is meant, write it down \
         with UPDATE=1:\n{}",
        dearer.join("\n")
    )
}

/// Instructions of one time.
fn count(program: &Path, name: &str) -> Result<u64> {
    let slow = TIMES.iter().find(|(start, _)| name.starts_with(start));
    let times = slow.map_or(USUAL_TIMES, |(_, times)| *times);
    let (few, many) = std::thread::scope(|scope| {
        let few = scope.spawn(|| total(program, name, times));
        let many = total(program, name, 2 * times);
        (few.join(), many)
    });
    let few = few.map_err(|_| anyhow::anyhow!("the count of '{name}' was broken off"))??;
    Ok(many?.saturating_sub(few) / times)
}

/// All instructions of the program when it runs a step so often.
fn total(program: &Path, name: &str, times: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["run", name, &times.to_string()])
        .output()
        .context("cannot start valgrind")?;
    let told = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("'{name}' failed under valgrind:\n{told}");
    }
    let collected = told.lines().find_map(|line| line.split("Collected :").nth(1));
    let number = collected.and_then(|number| number.trim().parse().ok());
    number.with_context(|| format!("valgrind counted nothing for '{name}':\n{told}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dearer_steps_fail() {
        let baseline = read("a step: 100\nother: 7\n").expect("both lines are counts");
        let counts = |count| vec![("a step".to_owned(), count)];
        assert!(compare(&counts(103), &baseline).is_ok());
        assert!(compare(&counts(50), &baseline).is_ok());
        assert!(compare(&counts(104), &baseline).is_err());
        assert!(compare(&[("new".to_owned(), 1)], &baseline).is_err());
        assert!(read("no number").is_err());
    }
}
