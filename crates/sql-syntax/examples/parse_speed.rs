//! Prints what lexing, the digest and parsing of frequent statements cost: nanoseconds (the best
//! of several rounds, since others use the machine, too) and allocations.
//!
//! `cargo run --release -p sql-syntax --example parse_speed`
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use sql_syntax::{Digest, LexMode, TokenBuf, lex, normalise, parse, parse_one};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 200;
const RUNS_PER_ROUND: usize = 500;

fn main() {
    let columns: Vec<String> = (1..=20).map(|at| format!("column_{at}")).collect();
    let values: Vec<String> = (1..=20).map(|at| format!("'value {at}'")).collect();
    let insert =
        format!("INSERT INTO wide ({}) VALUES ({})", columns.join(", "), values.join(", "));
    println!("{:>9} {:>9} {:>9} {:>12}", "lex ns", "digest ns", "parse ns", "allocations");
    for (name, sql) in [
        ("point select", "SELECT c FROM sbtest1 WHERE id = 4711"),
        ("range", "SELECT SUM(k) FROM sbtest1 WHERE id BETWEEN 10 AND 109 ORDER BY c LIMIT 5"),
        ("update", "UPDATE sbtest1 SET k = k + 1 WHERE id = 4711"),
        ("insert of 20 columns", &insert),
        (
            "join",
            "SELECT u.name, o.total FROM users AS u JOIN orders o ON o.user = u.id WHERE u.id = 7",
        ),
        ("begin", "BEGIN"),
    ] {
        report(name, sql.as_bytes());
    }
}

fn report(name: &str, src: &[u8]) {
    let (mode, mut buf, mut digest) = (LexMode::default(), TokenBuf::new(), Digest::default());
    let lexing = nanoseconds(|| lex(black_box(src), 0, &mode, &mut buf));
    let digesting = nanoseconds(|| normalise(black_box(src), &buf, &mut digest));
    let parsing = nanoseconds(|| drop(black_box(parse(black_box(src), &buf, &mode).unwrap())));
    let allocations = allocation_counter::measure(|| {
        parse_one(src, 0, &mode, &mut buf).unwrap();
    });
    let count = allocations.count_total;
    println!("{lexing:>9.0} {digesting:>9.0} {parsing:>9.0} {count:>12}  {name}");
}

/// What one run takes: the best of rounds.
fn nanoseconds(mut run: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            (0..RUNS_PER_ROUND).for_each(|_| run());
            begun.elapsed().as_secs_f64() * 1e9 / RUNS_PER_ROUND as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[0]
}
