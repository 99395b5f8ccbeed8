//! Every automation of the repository: `cargo run -p xtask -- lint|test|test-long|test-api|test-faults|bench|bench-mixed|bench-consistent|bench-scale|bench-speed|bench-api|release|instructions|fuzz|bless`.
//! The Makefile only calls it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod edges;
mod fuzz;
mod instructions;
mod lint;
mod process;
mod purity;
mod release;
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
        "test-faults" => test::run_faults(&rest),
        "bench" => bench::run(&rest),
        "bench-mixed" => bench::run_mixed(&rest),
        "bench-consistent" => bench::run_consistent(&rest),
        "bench-scale" => bench::run_scale(&rest),
        "bench-speed" => bench::run_speed(&rest),
        "bench-api" => bench::run_api(&rest),
        "release" => release::run(),
        "instructions" => instructions::run(),
        "fuzz" => fuzz::run(&rest),
        "bless" => test::bless(),
        _ => {
            bail!(
                "usage: cargo run -p xtask -- lint|test|test-long|test-api|test-faults|bench|bench-mixed|bench-consistent|bench-scale|bench-speed|bench-api|release|instructions|fuzz|bless"
            )
        }
    }
}
