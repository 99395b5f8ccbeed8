//! Seeds: each is a run of a whole system that is the same whenever it is run. `DDM_TEST_SEED=n` runs
//! one and prints all that happened in it; `DDM_TEST_SEEDS=n` chooses how many. `make test` runs 200,
//! `make test-long` 10,000.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use simulation::run::{Report, run};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::LocalSet;

const SEEDS: u64 = 200;
const SEEDS_LONG: u64 = 10_000;

/// So many seeds are run twice.
const SEEDS_TWICE: u64 = 12;

/// So much of what happened is shown of a run that failed; all of it is, when it is run alone.
const LINES_SHOWN: usize = 200;

/// Sessions have stacks of this size in the product, too.
const STACK_BYTES: usize = 16 << 20;

/// One run, in a thread of its own: what the product keeps by thread is new in each.
fn play(seed: u64) -> Report {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let running = thread.spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        LocalSet::new().block_on(&runtime, run(seed))
    });
    running.unwrap().join().unwrap_or_else(|_| panic!("seed {seed} panicked"))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// How many seeds are run, from 1 on.
fn seeds() -> u64 {
    let long = std::env::var_os("DDM_TEST_LONG").is_some();
    number("DDM_TEST_SEEDS").unwrap_or(if long { SEEDS_LONG } else { SEEDS })
}

fn check(seed: u64, report: &Report, lines: usize) {
    if !report.wrong.is_empty() {
        println!("{}", report.trace[report.trace.len().saturating_sub(lines)..].join("\n"));
    }
    assert!(
        report.wrong.is_empty(),
        "seed {seed} ({:?}; DDM_TEST_SEED={seed} replays it): {:#?}",
        report.scenario,
        report.wrong
    );
}

#[test]
fn what_is_promised_holds_whatever_happens() {
    if let Some(seed) = number("DDM_TEST_SEED") {
        let report = play(seed);
        println!("{}", report.trace.join("\n"));
        return check(seed, &report, 0);
    }
    let (seeds, next) = (seeds(), AtomicU64::new(1));
    let failed: Mutex<Vec<(u64, Report)>> = Mutex::default();
    let operations = [const { AtomicU64::new(0) }; 3];
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while failed.lock().unwrap().is_empty() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds {
                        return;
                    }
                    let report = play(seed);
                    for (sum, count) in operations.iter().zip(report.operations) {
                        sum.fetch_add(count as u64, Ordering::Relaxed);
                    }
                    if !report.wrong.is_empty() {
                        failed.lock().unwrap().push((seed, report));
                    }
                }
            });
        }
    });
    println!("{seeds} seeds; operations done, failed, not known: {operations:?}");
    for (seed, report) in failed.into_inner().unwrap() {
        check(seed, &report, LINES_SHOWN);
    }
    // All kinds of ends must have been met, or nothing was tried.
    let met = |at: usize| operations[at].load(Ordering::Relaxed) > 0;
    assert!(seeds < SEEDS || (met(0) && met(1) && met(2)));
}

/// Else no seed would mean anything.
#[test]
fn a_seed_is_always_the_same_run() {
    for seed in 1..=SEEDS_TWICE {
        let (one, two) = (play(seed).trace, play(seed).trace);
        let differs = one.iter().zip(&two).find(|(one, two)| one != two);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(one.len(), two.len(), "seed {seed}");
    }
}
