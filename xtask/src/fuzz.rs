//! `make fuzz`: searches for inputs that break what reads bytes of strangers, with libFuzzer over
//! instrumented code, one target after the other. It begins with the corpus of the repository and
//! what earlier searches found in the build directory. `KEEP=1` writes the smallest set of inputs
//! that reaches the same code back into the repository.

use crate::process::{self, cargo, root, target_dir};
use anyhow::{Context, Result, bail};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Inputs that each target tries in every run of the tests.
const RUNS_SHORT: u64 = 100_000;
/// And in the long form: ten million over the four targets and more.
const RUNS_LONG: u64 = 10_000_000;
/// Longer inputs find nothing new, but slower.
const INPUT_BYTES_MAX: &str = "4096";
/// One input may take so many seconds on a busy machine.
const INPUT_SECONDS_MAX: &str = "20";
/// Memory of a whole search; an absurd length that is believed goes beyond it.
const MEMORY_MIB_MAX: &str = "1024";

/// The repository keeps so many inputs of a target at most, the shortest.
const CORPUS_INPUTS_MAX: usize = 1_000;

/// Of rustc: code that tells which edges an input takes and what it compares with. All of it is in
/// the stable compiler; there is no unsafe code of ours that a sanitizer would watch.
const INSTRUMENTED: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks",
    "-Ccodegen-units=1",
];

/// `make fuzz ARGS="TARGET RUNS"`: both may be left out.
pub fn run(arguments: &[String]) -> Result<()> {
    let name = arguments.first().map(String::as_str);
    let runs = match arguments.get(1) {
        Some(runs) => runs.parse().with_context(|| format!("'{runs}' is no number of runs"))?,
        None => RUNS_LONG,
    };
    search(name, runs, std::env::var_os("KEEP").is_some())
}

/// The part of the search that every run of the tests does.
pub fn run_short() -> Result<()> {
    search(None, RUNS_SHORT, false)
}

fn search(only: Option<&str>, runs: u64, keep: bool) -> Result<()> {
    let programs = build()?;
    let mut known = false;
    for target in targets()? {
        if only.is_none_or(|name| name == target) {
            known = true;
            Search { program: programs.join(&target), target }.run(runs, keep)?;
        }
    }
    match only {
        Some(name) if !known => bail!("no target '{name}'; there are {}", targets()?.join(", ")),
        _ => Ok(()),
    }
}

/// Builds the instrumented programs; where they are. The explicit platform keeps the flags away
/// from build scripts and macros.
fn build() -> Result<PathBuf> {
    let version = process::output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc does not name its platform")?;
    let folder = target_dir().join("fuzz");
    let arguments = ["build", "--release", "-p", "fuzz", "--features", "libfuzzer", "--bins"];
    process::run(
        cargo(&arguments)
            .args(["--target", host, "--target-dir"])
            .arg(&folder)
            .env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only")
            .env("RUSTFLAGS", INSTRUMENTED.join(" ")),
    )?;
    Ok(folder.join(host).join("release"))
}

/// The targets' names: a file of the corpus each.
fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(corpus_folder())? {
        let path = entry?.path();
        if let Some(name) = path.file_stem().filter(|_| path.extension().is_some()) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn corpus_folder() -> PathBuf {
    root().join("crates/fuzz/corpus")
}

/// One target's search.
struct Search {
    target: String,
    program: PathBuf,
}

impl Search {
    fn run(&self, runs: u64, keep: bool) -> Result<()> {
        let found = self.folder("found")?;
        let seeds = self.folder("seeds")?;
        let file = corpus_folder().join(format!("{}.txt", self.target));
        unpack(&std::fs::read_to_string(&file)?, &seeds)?;
        let broken = self.folder("broken")?;
        process::run(
            self.limited()
                .arg(format!("-runs={runs}"))
                .arg(format!("-artifact_prefix={}/", broken.display()))
                .arg(&found)
                .arg(&seeds),
        )?;
        if keep {
            let smallest = self.folder("smallest")?;
            process::run(self.limited().arg("-merge=1").arg(&smallest).arg(&seeds).arg(&found))?;
            std::fs::write(&file, pack(&smallest)?)?;
            std::fs::remove_dir_all(&smallest)?;
        }
        Ok(())
    }

    fn limited(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(format!("-max_len={INPUT_BYTES_MAX}"))
            .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
            .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
            .args(["-verbosity=0", "-print_final_stats=1"]);
        command
    }

    fn folder(&self, what: &str) -> Result<PathBuf> {
        let folder = target_dir().join("fuzz").join(what).join(&self.target);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

/// Lines of hexadecimal digits as files, which libFuzzer wants.
fn unpack(text: &str, folder: &Path) -> Result<()> {
    for (number, line) in text.lines().enumerate() {
        let bytes: Option<Vec<u8>> = (0..line.len())
            .step_by(2)
            .map(|at| line.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok()))
            .collect();
        let bytes = bytes.with_context(|| format!("line {} is not hexadecimal", number + 1))?;
        std::fs::write(folder.join(number.to_string()), bytes)?;
    }
    Ok(())
}

/// Files as sorted lines, so that a new input is one new line.
fn pack(folder: &Path) -> Result<String> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let bytes = std::fs::read(entry?.path())?;
        let mut line = String::with_capacity(2 * bytes.len());
        bytes.iter().try_for_each(|byte| write!(line, "{byte:02x}"))?;
        lines.push(line);
    }
    lines.retain(|line| !line.is_empty());
    lines.sort_by_key(|line| (line.len(), line.clone()));
    lines.truncate(CORPUS_INPUTS_MAX);
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corpus_comes_back() {
        let folder = tempfile_dir();
        let text = "00\nff\n0a0b\n";
        unpack(text, &folder).expect("three inputs");
        assert_eq!(pack(&folder).expect("three files"), text);
        assert!(unpack("0", &folder).is_err() && unpack("zz", &folder).is_err());
        std::fs::remove_dir_all(&folder).expect("it was made here");
    }

    fn tempfile_dir() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("ddm-test-corpus-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the folder for temporary files is there");
        folder
    }
}
