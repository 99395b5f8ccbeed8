//! The statements of the server's own test files, on one server and on DDM: with single tables, with
//! sharded ones and with broadcast ones. What differs must be a refusal that
//! `tests/sql/mtr-known.txt` lists. `make test` runs a part; `DDM_TEST_LONG=1` runs every file that
//! `FAMILIES` names; `DDM_TEST_MTR_FILE` chooses files by a part of their names.
#![allow(clippy::print_stdout)]

use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use test_kit::case_file::sql_dir;
use test_kit::mtr::dir;
use test_kit::mtr_run::{MtrBench, MtrTally, Placement};
use test_kit::plain_server::PlainServer;
use test_kit::system::System;

/// Beginnings of names in the folder `main`.
const FAMILIES: &[&str] = &[
    "select",
    "join",
    "subselect",
    "subquery",
    "func_",
    "union",
    "group_by",
    "group_min_max",
    "order_by",
    "view",
    "cte_",
    "win",
    "json",
    "string",
    "date",
    "type_date",
    "type_time",
    "type_newdecimal",
    "type_decimal",
    "type_float",
    "type_int",
    "type_year",
    "type_bit",
    "type_enum",
    "type_set",
    "type_varchar",
    "type_blob",
    "having",
    "distinct",
    "case",
    "null",
    "limit",
    "insert",
    "update",
    "delete",
    "replace",
    "multi_update",
    "derived",
    "intersect",
    "except",
    "row",
    "count_distinct",
    "aggregate",
    "bigint",
    "comparison",
    "cast",
    "compare",
    "create",
    "alter_table",
    "bool",
    "olap",
    "brackets",
    "default",
    "ctype_utf8mb4",
    "table_value_constr",
    "sum_distinct",
    "in_subq",
    "auto_increment",
    "ps",
    "prepare",
    "range",
    "negation",
    "nested",
    "outer",
    "natural",
    "parser",
    "precedence",
];
/// Those of `make test`, chosen for their width.
const SHORT: &[&str] = &[
    "main/func_if.test",
    "main/func_concat.test",
    "main/win_lead_lag.test",
    "main/except.test",
    "main/except_all.test",
    "main/count_distinct2.test",
    "main/distinct_notembedded.test",
];
/// How long the short form goes on.
const SHORT_TIME: Duration = Duration::from_secs(110);

/// The greatest number of changes of definitions in an hour that an instance allows.
const DEFINITIONS_MAX: &str = "ddl_flowcontrol_threshold=100000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_own_statements_are_as_on_one_server() -> Result<()> {
    let plain = PlainServer::start().await?;
    let system = System::start(&["--demo", "--http"]).await?;
    let instance =
        system.endpoints()["demo"]["instance_id"].as_str().context("no demo instance")?.to_owned();
    // The files of one suite alone have more than an hour's share of definitions.
    system.ctl(&["parameters", "set", &instance, DEFINITIONS_MAX])?;
    let started = Instant::now();
    let bounded = std::env::var_os("DDM_TEST_LONG").is_none()
        && std::env::var_os("DDM_TEST_MTR_FILE").is_none();
    let only = std::env::var("DDM_TEST_MTR_PLACEMENT").unwrap_or_default();
    let known = Known::read()?;
    let mut sums = Vec::new();
    let mut suites: BTreeMap<(&str, String), MtrTally> = BTreeMap::new();
    for (placement, name) in [
        (Placement::Single, "mtr_single"),
        (Placement::Sharded, "mtr_sharded"),
        (Placement::Broadcast, "mtr_broadcast"),
    ] {
        if !name.contains(&only) {
            continue;
        }
        system
            .ctl(&["schemas", "create", &instance, name, "--mode", "cluster", "--shards", "2"])?;
        let ddm = system.administrator(name)?;
        let bench =
            MtrBench { plain: &plain, ddm: &ddm, schema: name, placement, open: &known.open };
        let mut sum = MtrTally::default();
        for file in files()? {
            if bounded && started.elapsed() > SHORT_TIME {
                break;
            }
            let at = Instant::now();
            let tally = bench.run_file(&file).await.with_context(|| file.display().to_string())?;
            println!(
                "{name} {}: {} equal, {} refused, {} wrong, {} crashed, {} left out, {:.1?}",
                file.display(),
                tally.equal,
                tally.refused_count(),
                tally.wrong.len(),
                tally.crashed.len(),
                tally.left_out.values().sum::<usize>(),
                at.elapsed()
            );
            for bad in tally.wrong.iter().chain(&tally.crashed) {
                println!("WRONG [{name}] {}\n  {}\n  {}", bad.place, bad.sql, bad.how);
            }
            suites.entry((name, suite_of(&file))).or_default().add(tally.clone());
            sum.add(tally);
        }
        sums.push((name, sum));
    }
    for ((name, suite), sum) in &suites {
        println!("share {name} {suite}: {}", sum.share());
    }
    let mut all = MtrTally::default();
    sums.iter().for_each(|(_, sum)| all.add(sum.clone()));
    println!("share of all: {}", all.share());
    report(&sums, &known.refused)
}

/// `main`, or the name of a suite.
fn suite_of(file: &Path) -> String {
    let path = file.to_string_lossy();
    let suite = path.rsplit_once("/suite/").and_then(|(_, rest)| rest.split('/').next());
    suite.unwrap_or("main").to_owned()
}

fn files() -> Result<Vec<PathBuf>> {
    let root = dir()?;
    let long = std::env::var_os("DDM_TEST_LONG").is_some();
    let only = std::env::var("DDM_TEST_MTR_FILE").ok();
    if !long && only.is_none() {
        return Ok(SHORT.iter().map(|file| root.join(file)).filter(|f| f.is_file()).collect());
    }
    let mut found = Vec::new();
    for folder in ["main", "suite/engines/funcs/t", "suite/engines/iuds/t", "suite/json/t"] {
        let Ok(read) = std::fs::read_dir(root.join(folder)) else { continue };
        for entry in read {
            let path = entry?.path();
            let name =
                path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            let family = folder != "main" || FAMILIES.iter().any(|f| name.starts_with(f));
            let asked = only.as_ref().is_none_or(|only| {
                only.split(',').any(|part| path.to_string_lossy().contains(part))
            });
            if name.ends_with(".test") && family && asked {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// `tests/sql/mtr-known.txt`.
struct Known {
    /// Parts of the texts of refusals.
    refused: Vec<String>,
    /// Statements whose answer is open.
    open: BTreeSet<String>,
}

impl Known {
    fn read() -> Result<Self> {
        let text = std::fs::read_to_string(sql_dir().join("mtr-known.txt"))?;
        let mut known = Known { refused: Vec::new(), open: BTreeSet::new() };
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            if let Some(refused) = line.strip_prefix("refused ") {
                known.refused.push(refused.to_owned());
            } else if let Some(open) = line.strip_prefix("open ") {
                known.open.extend(open.split_whitespace().next().map(str::to_owned));
            } else {
                anyhow::bail!("mtr-known.txt: neither `refused` nor `open`: {line}");
            }
        }
        Ok(known)
    }
}

fn report(sums: &[(&str, MtrTally)], known: &[String]) -> Result<()> {
    let (mut text, mut bad) = (String::new(), 0);
    for (name, sum) in sums {
        writeln!(text, "{name}: {} ({} tables kept single)", sum.share(), sum.kept_single)?;
        for (rule, count) in &sum.left_out {
            writeln!(text, "  left out {count}: {rule}")?;
        }
        let mut refused: Vec<_> = sum.refused.iter().collect();
        refused.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        for (reason, (count, example)) in refused {
            let listed = known.iter().any(|part| reason.contains(part.as_str()));
            bad += usize::from(!listed);
            let mark = if listed { "" } else { " (not listed in mtr-known.txt)" };
            let example = example.replace('\n', " ");
            writeln!(text, "  refused {count}{mark}: {reason}\n      {:.300}", example)?;
        }
        bad += sum.wrong.len() + sum.crashed.len();
    }
    println!("{text}");
    anyhow::ensure!(bad == 0, "{bad} statements or kinds of refusals are bad");
    Ok(())
}
