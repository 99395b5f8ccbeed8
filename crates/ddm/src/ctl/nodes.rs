//! `ddm ctl nodes`.

use super::Session;
use super::output::Column;
use anyhow::Result;
use clap::Subcommand;

const COLUMNS: &[Column] = &[
    ("ID", "node_id"),
    ("STATUS", "status"),
    ("ADDRESS", "ip"),
    ("PORT", "port"),
    ("GROUP", "group_id"),
];

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the nodes of an instance
    List {
        /// The instance's name or id
        instance: String,
    },
    /// Show one node
    Show {
        /// The instance's name or id
        instance: String,
        /// The node's id
        node: String,
    },
}

pub async fn run(session: &Session, verb: Verb) -> Result<()> {
    match verb {
        Verb::List { instance } => {
            let path = session.instance_path("v1", &instance, &["nodes"]).await?;
            session.printer.list(&session.client.list(&path, "nodes").await?, COLUMNS);
        }
        Verb::Show { instance, node } => {
            let path = session.instance_path("v1", &instance, &["nodes", &node]).await?;
            session.printer.object(&session.client.get(&path, &[]).await?);
        }
    }
    Ok(())
}
