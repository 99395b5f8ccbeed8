//! `make release`: the program made faster by what it does. A first build counts how often each part of the
//! code runs; short runs of the harnesses of `bench/` give it the work of a node; the second build lays what runs
//! often side by side and makes the rest small. A statement touches some hundred functions, so how many lines of
//! code it brings into the caches matters more than how many instructions it takes.

use crate::bench::set_to_work;
use crate::process::{self, cargo, output, target_dir};
use crate::test::environment;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a node does on one shard, and on many: names of harnesses with their arguments.
const WORK: &[(&str, &[&str])] = &[
    ("bench.py", &["--rounds", "1", "--seconds", "2"]),
    (
        "speed.py",
        &[
            "--rounds",
            "1",
            "--rows",
            "20000",
            "--join-rows",
            "5000",
            "--inserts",
            "5",
            "--memory-power",
            "4",
        ],
    ),
];

/// Builds, counts, and builds again; takes two long builds and some minutes.
pub fn run() -> Result<()> {
    let merge = profdata()?;
    let place = target_dir().join("profile");
    let (counts, profile) = (place.join("counts"), place.join("ddm.profdata"));
    let counting = build("profile", &format!("-Cprofile-generate={}", shown(&counts)?))?;
    // The build's own programs have counted, too; and so has the program, if this was done before.
    if counts.exists() {
        std::fs::remove_dir_all(&counts).context("old counts are in the way")?;
    }
    for (harness, arguments) in WORK {
        set_to_work(&counting, harness, environment()?, arguments)?;
    }
    process::run(Command::new(merge).arg("merge").arg("-o").arg(&profile).arg(&counts))?;
    let built = build("optimised", &format!("-Cprofile-use={}", shown(&profile)?))?;
    println!("built {}", built.display());
    Ok(())
}

/// Where `make release` puts the program.
pub fn optimised() -> PathBuf {
    target_dir().join("optimised/release/ddm")
}

/// Builds the program with a flag of rustc, which may have spaces in it, in a directory of its own.
fn build(directory: &str, flag: &str) -> Result<PathBuf> {
    let target = target_dir().join(directory);
    let build = ["build", "--release", "--bin", "ddm"];
    process::run(
        cargo(&build).env("CARGO_ENCODED_RUSTFLAGS", flag).env("CARGO_TARGET_DIR", &target),
    )?;
    Ok(target.join("release/ddm"))
}

fn shown(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is no text", path.display()))
}

/// The program that reads what rustc's own LLVM counts: a component of its toolchain.
fn profdata() -> Result<PathBuf> {
    let rustc = |what: &str| output(Command::new("rustc").args(["--print", what]));
    let (sysroot, host) = (rustc("sysroot")?, rustc("host-tuple")?);
    let tools = Path::new(sysroot.trim()).join("lib/rustlib").join(host.trim()).join("bin");
    let program = tools.join("llvm-profdata");
    if !program.exists() {
        process::run(Command::new("rustup").args(["component", "add", "llvm-tools"]))?;
    }
    if !program.exists() {
        bail!("there is no {}: it comes with rustup's component llvm-tools", program.display());
    }
    Ok(program)
}
