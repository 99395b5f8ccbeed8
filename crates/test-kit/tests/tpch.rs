//! TPC-H: the 22 queries over tables that are sharded by their order, customer and part keys give
//! what a plain server gives. `DDM_TEST_TPCH_SCALE` sets the scale (0.01). The time of each query as
//! a ratio to the plain server's is printed.
#![allow(clippy::print_stdout)]

use anyhow::{Context, Result, ensure};
use node_backend::Connection;
use std::fmt::{Display, Write};
use std::time::{Duration, Instant};
use test_kit::case_file::{sql_dir, statements};
use test_kit::observe::{Observed, Protocol, observe};
use test_kit::plain_server::PlainServer;
use test_kit::system::System;
use tpchgen::generators as tpch;

const SCHEMA: &str = "tpch";
const SHARDS: &str = "4";
const QUERIES: usize = 22;

/// Rows of one INSERT.
const BATCH_ROWS: usize = 500;

/// How often a query is timed; the best counts.
const ROUNDS: usize = 2;

fn scale() -> f64 {
    let scale = std::env::var("DDM_TEST_TPCH_SCALE").ok().and_then(|scale| scale.parse().ok());
    scale.unwrap_or(0.01)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_queries_are_equal() -> Result<()> {
    let plain = PlainServer::start().await?;
    let system = System::start(&["--demo", "--http"]).await?;
    let demo = &system.endpoints()["demo"];
    let instance = demo["instance_id"].as_str().context("no demo instance")?;
    system.ctl(&["schemas", "create", instance, SCHEMA, "--mode", "cluster", "--shards", SHARDS])?;
    let mut admin = plain.connect(None).await?;
    let create =
        format!("CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci");
    admin.execute_sql(create.as_bytes()).await?;
    let mut plain = plain.connect(Some(SCHEMA)).await?;
    let mut ddm = Connection::connect(&system.administrator(SCHEMA)?).await?;
    load(&mut plain, &mut ddm).await?;

    let queries = statements(&sql_dir().join("tpch/queries.sql"))?;
    ensure!(queries.len() == QUERIES, "{} queries", queries.len());
    let (mut wrong, mut totals) = (Vec::new(), (Duration::ZERO, Duration::ZERO));
    for (number, query) in (1..).zip(&queries) {
        let (expected, plain_time) = timed(&mut plain, query).await;
        let (seen, ddm_time) = timed(&mut ddm, query).await;
        let ratio = ddm_time.as_secs_f64() / plain_time.as_secs_f64();
        let rows = if let Observed::Rows { rows, .. } = &expected { rows.len() } else { 0 };
        println!("Q{number}: {rows} rows, plain {plain_time:.1?}, DDM {ddm_time:.1?}, {ratio:.2} x");
        totals = (totals.0 + plain_time, totals.1 + ddm_time);
        match (&expected, &seen) {
            (
                Observed::Rows { columns: a, rows: r, .. },
                Observed::Rows { columns: b, rows: s, .. },
            ) if a == b && r == s => {}
            _ => wrong.push(format!("Q{number}\n  plain {expected:?}\n  ddm   {seen:?}")),
        }
    }
    let ratio = totals.1.as_secs_f64() / totals.0.as_secs_f64();
    println!("all: plain {:.1?}, DDM {:.1?}, {ratio:.2} x", totals.0, totals.1);
    let texts: Vec<String> = wrong.iter().map(|text| text.chars().take(1500).collect()).collect();
    ensure!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), texts.join("\n"));
    Ok(())
}

async fn timed(connection: &mut Connection, query: &str) -> (Observed, Duration) {
    let mut best = Duration::MAX;
    let mut observed = Observed::Lost("not run".to_owned());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        observed = observe(connection, Protocol::Text, query).await;
        best = best.min(started.elapsed());
    }
    (observed, best)
}

async fn load(plain: &mut Connection, ddm: &mut Connection) -> Result<()> {
    for definition in statements(&sql_dir().join("tpch/tables.sql"))? {
        let columns = definition.rfind(')').filter(|_| definition.contains("BROADCAST"));
        let end = definition.find(" DBPARTITION").or(columns.map(|at| at + 1));
        plain.execute_sql(&definition.as_bytes()[..end.context("no placement")?]).await?;
        ddm.execute_sql(definition.as_bytes()).await?;
    }
    let scale = scale();
    let mut both = Both { plain, ddm };
    both.fill("region", tpch::RegionGenerator::new(scale, 1, 1).iter()).await?;
    both.fill("nation", tpch::NationGenerator::new(scale, 1, 1).iter()).await?;
    both.fill("supplier", tpch::SupplierGenerator::new(scale, 1, 1).iter()).await?;
    both.fill("part", tpch::PartGenerator::new(scale, 1, 1).iter()).await?;
    both.fill("partsupp", tpch::PartSuppGenerator::new(scale, 1, 1).iter()).await?;
    both.fill("customer", tpch::CustomerGenerator::new(scale, 1, 1).iter()).await?;
    both.fill("orders", tpch::OrderGenerator::new(scale, 1, 1).iter()).await?;
    both.fill("lineitem", tpch::LineItemGenerator::new(scale, 1, 1).iter()).await?;
    for table in ["supplier", "part", "partsupp", "customer", "orders", "lineitem"] {
        both.plain.execute_sql(format!("ANALYZE TABLE {table}").as_bytes()).await?;
    }
    Ok(())
}

/// The two that are filled alike.
struct Both<'b> {
    plain: &'b mut Connection,
    ddm: &'b mut Connection,
}

impl Both<'_> {
    /// Inserts rows that print with `|` behind each field.
    async fn fill(&mut self, table: &str, rows: impl Iterator<Item = impl Display>) -> Result<()> {
        let mut text = String::new();
        let mut count = 0;
        for row in rows {
            text.push_str(if count == 0 { "" } else { "," });
            if count == 0 {
                write!(text, "INSERT INTO {table} VALUES ")?;
            }
            let row = row.to_string();
            let fields = row.trim_end_matches('|').split('|');
            let quoted: Vec<String> =
                fields.map(|field| format!("'{}'", field.replace('\'', "''"))).collect();
            write!(text, "({})", quoted.join(","))?;
            count += 1;
            if count == BATCH_ROWS {
                self.send(&text).await?;
                (text, count) = (String::new(), 0);
            }
        }
        if count > 0 {
            self.send(&text).await?;
        }
        Ok(())
    }

    async fn send(&mut self, text: &str) -> Result<()> {
        self.plain.execute_sql(text.as_bytes()).await?;
        self.ddm.execute_sql(text.as_bytes()).await?;
        Ok(())
    }
}
