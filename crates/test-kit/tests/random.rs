//! Random statements from seeds: on one server and on DDM in four layouts and both protocols the
//! answers are the same. `DDM_TEST_SEED` and `DDM_TEST_QUERIES` choose; `DDM_TEST_LONG=1` runs
//! 100,000.
#![allow(clippy::print_stdout)]

use anyhow::{Context, Result};
use std::time::{Duration, Instant};
use test_kit::generate::episode::Episode;
use test_kit::generate::run::{Bench, Difference, Tally};
use test_kit::layout::Layout;
use test_kit::plain_server::PlainServer;
use test_kit::system::System;

/// Episodes of `make test`, and of the long form.
const SHORT: u64 = 300;
const LONG: u64 = 100_000;
/// How long the short form goes on.
const SHORT_TIME: Duration = Duration::from_secs(60);
/// The seed of `make test`.
const SEED: u64 = 1;
/// A line is printed each time so many episodes are through.
const PROGRESS: u64 = 250;
/// After so many differences the rest would only repeat them.
const ENOUGH: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_statements_are_as_on_one_server() -> Result<()> {
    let long = std::env::var_os("DDM_TEST_LONG").is_some();
    let first = number("DDM_TEST_SEED")?.unwrap_or(SEED);
    let asked = number("DDM_TEST_QUERIES")?;
    let count = asked.unwrap_or(if long { LONG } else { SHORT });
    let plain = PlainServer::start().await?;
    let system = System::start(&["--demo", "--http"]).await?;
    let mut admin = plain.connect(None).await?;
    admin
        .execute_sql(b"CREATE DATABASE rnd CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        .await?;
    let demo = &system.endpoints()["demo"];
    let instance = demo["instance_id"].as_str().context("no demo instance")?;
    let mut places = Vec::new();
    for mut layout in Layout::all()? {
        // A unique key that lacks a sharding key holds inside one physical table only.
        if let Some(clause) = layout.clauses.get_mut("t1") {
            *clause = clause.replace("MOD_HASH(grp)", "MOD_HASH(id)");
        }
        let schema = format!("rnd_{}", layout.name);
        system
            .ctl(&["schemas", "create", instance, &schema, "--mode", "cluster", "--shards", "4"])?;
        let options = system.administrator(&schema)?;
        places.push((layout, options, schema));
    }
    let mut bench = Bench::open(&plain, "rnd", places).await?;
    let mut tally = Tally::default();
    let started = Instant::now();
    let mut run = 0;
    for seed in first..first + count {
        if !long && asked.is_none() && started.elapsed() > SHORT_TIME {
            break;
        }
        let before = tally.differences.len();
        bench.run(&Episode::of(seed), &mut tally).await?;
        run += 1;
        tally.differences[before..].iter().for_each(show);
        if run % PROGRESS == 0 {
            println!("random: {run} episodes, {} equal, {:.0?}", tally.equal, started.elapsed());
        }
        if tally.differences.len() >= ENOUGH {
            break;
        }
    }
    println!(
        "random: {run} episodes from seed {first} in {:.0?}: {} equal ({} of them errors), {} refused, {} differences",
        started.elapsed(),
        tally.equal,
        tally.errors,
        tally.refused.values().map(|(count, _)| count).sum::<usize>(),
        tally.differences.len()
    );
    for (reason, (count, example)) in &tally.refused {
        println!("refused {count} times: {reason}\n    {example}");
    }
    anyhow::ensure!(run > 0, "nothing was run");
    anyhow::ensure!(tally.differences.is_empty(), "{} differences", tally.differences.len());
    Ok(())
}

fn show(difference: &Difference) {
    println!(
        "DIFFERENCE seed {} [{}]\n  {};\n  {}",
        difference.seed,
        difference.place,
        difference.statements.join(";\n  "),
        difference.how
    );
}

fn number(name: &str) -> Result<Option<u64>> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text.parse().with_context(|| format!("{name}={text}"))?)),
        Err(_) => Ok(None),
    }
}
