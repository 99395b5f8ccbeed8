//! `ddm ctl data-nodes`.

use super::Session;
use super::output::Column;
use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("STATUS", "status"),
    ("ENGINE", "engineName"),
    ("VERSION", "engineSoftwareVersion"),
    ("ADDRESS", "privateIp"),
    ("PORT", "port"),
    ("ID", "id"),
];

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the data nodes that an instance can make schemas on
    List {
        /// The instance's name or id
        instance: String,
    },
}

pub async fn run(session: &Session, verb: Verb) -> Result<()> {
    let Verb::List { instance } = verb;
    session.printer.list(&session.available_data_nodes(&instance).await?, COLUMNS);
    Ok(())
}

impl Session {
    /// Data nodes that the instance can use.
    pub async fn available_data_nodes(&self, instance: &str) -> Result<Vec<Value>> {
        let path = self.instance_path("v1", instance, &["rds"]).await?;
        self.client.list(&path, "instances").await
    }
}
