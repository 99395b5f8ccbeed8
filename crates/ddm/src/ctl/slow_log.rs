//! `ddm ctl slow-log`: the statements of an instance that took long.

use super::Session;
use super::output::Column;
use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const COLUMNS: &[Column] = &[
    ("TIME", "log_time"),
    ("MS", "time"),
    ("USER", "users"),
    ("SCHEMA", "database"),
    ("SHARDS", "shards"),
    ("ROWS", "rows_examined"),
    ("CLIENT", "host"),
    ("STATEMENT", "query_sample"),
];

#[derive(Debug, Args)]
pub struct Options {
    /// The instance's name or id
    instance: String,

    /// How far to look back: 30s, 15m, 24h, 7d
    #[arg(long, env = "DDM_SINCE", default_value = "24h", value_parser = parse_duration, value_name = "TIME")]
    since: Duration,

    /// The most statements
    #[arg(long, env = "DDM_LIMIT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100), value_name = "N")]
    limit: u32,
}

pub async fn run(session: &Session, options: Options) -> Result<()> {
    let path = session.instance_path("v3", &options.instance, &["slow-logs"]).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let query = [
        ("start_date", now.saturating_sub(options.since).as_millis().to_string()),
        ("end_date", now.as_millis().to_string()),
        ("limit", options.limit.to_string()),
    ];
    let mut answer = session.client.get(&path, &query).await?;
    let Value::Array(rows) = answer["slow_log_list"].take() else {
        bail!("the API's answer has no slow log")
    };
    session.printer.list(&rows, COLUMNS);
    Ok(())
}

fn parse_duration(text: &str) -> Result<Duration> {
    let unit = text.chars().last().context("write a number and s, m, h or d")?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => bail!("write a number and s, m, h or d"),
    };
    let number: u64 = text[..text.len() - 1].parse().context("write a number and s, m, h or d")?;
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("90m").unwrap(), Duration::from_secs(5400));
        assert_eq!(parse_duration("7d").unwrap(), Duration::from_secs(604_800));
        for bad in ["", "h", "1", "x1h", "1é"] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }
}
