//! The oracle's run over all files, layouts and protocols. Wrong and crashed must be none; what is
//! refused must stand in `tests/sql/refused.txt`, which only shrinks.
#![allow(clippy::print_stdout)]

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use test_kit::case_file::sql_dir;
use test_kit::compare::Verdict;
use test_kit::layout::Layout;
use test_kit::observe::Protocol;
use test_kit::oracle::{Finding, Place, run_file};
use test_kit::plain_server::PlainServer;
use test_kit::system::System;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const SHARDS: &str = "4";
/// Layouts that are run at the same time.
const AT_A_TIME: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_statement_is_as_on_one_server() -> Result<()> {
    let plain = PlainServer::start().await?;
    let started = Instant::now();
    let system = System::start(&["--demo", "--http"]).await?;
    let mut admin = plain.connect(None).await?;
    let mut pairs = Vec::new();
    for layout in Layout::all()? {
        let schema = format!("orc_{}", layout.name);
        make_schema(&system, &schema)?;
        // The plain server's database has the logical schema's name and defaults: names show.
        let make =
            format!("CREATE DATABASE {schema} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci");
        admin.execute_sql(make.as_bytes()).await?;
        let one = Place::plain(&plain, &schema)?;
        pairs.push((one, Place::ddm(layout, system.administrator(&schema)?)?));
    }
    let findings = run(pairs, files()?).await?;
    println!("oracle: {} statements in {:.0?}", findings.len(), started.elapsed());
    report(&findings)
}

/// Runs all files in all layouts, some layouts at a time.
async fn run(pairs: Vec<(Place, Place)>, files: Vec<String>) -> Result<Vec<Finding>> {
    let room = Arc::new(Semaphore::new(AT_A_TIME));
    let mut tasks = JoinSet::new();
    for (mut one, mut ddm) in pairs {
        let (files, room) = (files.clone(), room.clone());
        tasks.spawn(async move {
            let _room = room.acquire().await?;
            let mut findings = Vec::new();
            for file in &files {
                for protocol in [Protocol::Text, Protocol::Binary] {
                    findings.extend(run_file(&mut one, &mut ddm, protocol, file).await?);
                }
            }
            anyhow::Ok(findings)
        });
    }
    let mut findings = Vec::new();
    while let Some(done) = tasks.join_next().await {
        findings.extend(done??);
    }
    Ok(findings)
}

fn make_schema(system: &System, schema: &str) -> Result<()> {
    let demo = &system.endpoints()["demo"];
    let instance = demo["instance_id"].as_str().context("no demo instance")?;
    system
        .ctl(&["schemas", "create", instance, schema, "--mode", "cluster", "--shards", SHARDS])?;
    Ok(())
}

fn files() -> Result<Vec<String>> {
    let only = std::env::var("DDM_TEST_SQL_FILE").unwrap_or_default();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(sql_dir())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".test") && name.contains(&only) {
            files.push(name);
        }
    }
    files.sort();
    Ok(files)
}

fn report(findings: &[Finding]) -> Result<()> {
    let list = std::fs::read_to_string(sql_dir().join("refused.txt"))?;
    let listed: BTreeSet<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
    let (mut equal, mut refused, mut bad) = (0, BTreeSet::new(), Vec::new());
    for finding in findings {
        let line = finding.sql.replace('\n', " ");
        match &finding.verdict {
            Verdict::Equal => equal += 1,
            Verdict::Refused(reason) => {
                refused.insert(line.clone());
                if !listed.contains(line.as_str()) {
                    bad.push(format!(
                        "[{}] refused, not listed: {line}\n  {reason}",
                        finding.place
                    ));
                }
            }
            Verdict::Wrong(how) => bad.push(format!("[{}] WRONG: {line}\n  {how}", finding.place)),
            Verdict::Crashed(how) => {
                bad.push(format!("[{}] CRASHED: {line}\n  {how}", finding.place))
            }
        }
    }
    for line in listed.iter().filter(|line| !refused.contains(**line) && !line.is_empty()) {
        if std::env::var_os("DDM_TEST_SQL_FILE").is_none() {
            bad.push(format!("no longer refused, take it out of refused.txt: {line}"));
        }
    }
    println!(
        "oracle: {} runs, {equal} equal, {} statements refused, {} bad",
        findings.len(),
        refused.len(),
        bad.len()
    );
    anyhow::ensure!(bad.is_empty(), "{} of {}:\n{}", bad.len(), findings.len(), bad.join("\n"));
    Ok(())
}
