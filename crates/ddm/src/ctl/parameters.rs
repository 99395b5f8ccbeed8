//! `ddm ctl parameters`.

use super::Session;
use super::output::Column;
use anyhow::Result;
use clap::Subcommand;
use serde_json::{Map, Value, json};

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("VALUE", "value"),
    ("RANGE", "value_range"),
    ("READ-ONLY", "read_only"),
    ("DESCRIPTION", "description"),
];

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the parameters of an instance
    List {
        /// The instance's name or id
        instance: String,
    },
    /// Change parameters of an instance
    Set {
        /// The instance's name or id
        instance: String,
        /// The new values
        #[arg(required = true, value_parser = parse_value, value_name = "PARAMETER=VALUE")]
        values: Vec<(String, String)>,
    },
}

pub async fn run(session: &Session, verb: Verb) -> Result<()> {
    match verb {
        Verb::List { instance } => {
            let path = session.instance_path("v3", &instance, &["configurations"]).await?;
            let rows = session.client.list(&path, "configuration_parameter").await?;
            session.printer.list(&rows, COLUMNS);
            Ok(())
        }
        Verb::Set { instance, values } => {
            let path = session.instance_path("v3", &instance, &["configurations"]).await?;
            let values: Map<String, Value> =
                values.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
            let answer = session.client.put(&path, json!({ "values": values })).await?;
            session.finish(&format!("the parameters of instance {instance} are set"), answer).await
        }
    }
}

fn parse_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write PARAMETER=VALUE".to_owned()),
    }
}
