//! Every automation of the repository: `cargo run -p xtask -- lint|test|test-long|test-api|bench|bench-speed|bench-api|instructions|bless`.
//! The Makefile only calls it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod edges;
mod instructions;
mod lint;
mod process;
mod purity;
mod test;
mod tidy;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    match command.as_str() {
        "lint" => lint::run(),
        "test" => test::run(&rest),
        "test-long" => test::run_long(&rest),
        "test-api" => test::run_api(&rest),
        "bench" => bench::run(&rest),
        "bench-speed" => bench::run_speed(&rest),
        "bench-api" => bench::run_api(&rest),
        "instructions" => instructions::run(),
        "bless" => test::bless(),
        _ => {
            bail!(
                "usage: cargo run -p xtask -- lint|test|test-long|test-api|bench|bench-speed|bench-api|instructions|bless"
            )
        }
    }
}
