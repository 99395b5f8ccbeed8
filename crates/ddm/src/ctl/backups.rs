//! `ddm ctl backups`.

use super::Session;
use super::output::Column;
use crate::rest::encode;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("NAME", "name"),
    ("STATUS", "status"),
    ("TYPE", "backup_type"),
    ("INSTANCE", "instance_name"),
    ("KB", "file_size"),
    ("CREATED", "created"),
];

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List all backups, the newest first
    List,
    /// Show one backup with its data nodes
    Show {
        /// The backup's id
        backup: String,
    },
    /// Delete a backup
    Delete {
        /// The backup's id
        backup: String,
    },
    /// Serve the schemas of a backup from data nodes that still have their databases
    Restore(RestoreOptions),
}

#[derive(Debug, Args)]
pub struct RestoreOptions {
    /// The backup's id
    backup: String,

    /// The instance to restore to, by name or id; by default the one that was backed up
    #[arg(long, env = "DDM_INSTANCE", value_name = "INSTANCE")]
    instance: Option<String>,

    /// The id of a data node that has the databases; by default those of the backup
    #[arg(long = "data-node", env = "DDM_DATA_NODE", value_delimiter = ',', value_name = "NODE")]
    data_nodes: Vec<String>,
}

pub async fn run(session: &Session, verb: Verb) -> Result<()> {
    match verb {
        Verb::List => {
            session.printer.list(&backups(session).await?, COLUMNS);
            Ok(())
        }
        Verb::Show { backup } => {
            session.printer.object(&show(session, &backup).await?.1);
            Ok(())
        }
        Verb::Delete { backup } => {
            let path = format!("/v3/{{project_id}}/backups/{}", encode(&backup));
            let answer = session.client.delete(&path, &[]).await?;
            session.finish(&format!("backup {backup} is deleted"), answer).await
        }
        Verb::Restore(options) => restore(session, options).await,
    }
}

async fn backups(session: &Session) -> Result<Vec<Value>> {
    session.client.list("/v3/{project_id}/backups", "backups").await
}

/// The instance that was backed up, and the backup with its data nodes.
async fn show(session: &Session, backup: &str) -> Result<(String, Value)> {
    let all = backups(session).await?;
    let found = all.iter().find(|one| one["id"] == backup);
    let instance = found
        .and_then(|one| one["instance_id"].as_str())
        .with_context(|| format!("no backup {backup:?}; see `ddm ctl backups list`"))?;
    let path = session.instance_path("v3", instance, &["backups", backup]).await?;
    Ok((instance.to_owned(), session.client.get(&path, &[]).await?))
}

async fn restore(session: &Session, options: RestoreOptions) -> Result<()> {
    let (source, shown) = show(session, &options.backup).await?;
    let target = match &options.instance {
        Some(name) => session.instance_id(name).await?,
        None => source.clone(),
    };
    let data_nodes: Vec<Value> = if options.data_nodes.is_empty() {
        let related = shown["related_data_nodes"].as_array().into_iter().flatten();
        related.map(|node| node["instance_id"].clone()).collect()
    } else {
        options.data_nodes.iter().map(|id| json!(id)).collect()
    };
    let body = json!({
        "source": { "backup_id": options.backup },
        "target": { "instance_id": target, "data_nodes": data_nodes },
    });
    let path = session.instance_path("v3", &source, &["backups", "metadata-recovery"]).await?;
    let answer = session.client.post(&path, body).await?;
    session.finish("the schemas are served again", answer).await
}
