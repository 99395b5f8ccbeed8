//! `ddm ctl backups` and `ddm ctl metadata`: what an instance's schemas are, kept and carried over.

use super::Session;
use super::output::Column;
use crate::rest::encode;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("STATUS", "status"),
    ("TYPE", "backup_type"),
    ("INSTANCE", "instance_name"),
    ("CREATED", "created"),
    ("KB", "file_size"),
    ("ID", "id"),
];

const PATH: &str = "/v3/{project_id}/backups";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the backups of metadata
    List,
    /// Delete a backup
    Delete {
        /// Its id
        backup: String,
    },
    /// Give an instance the schemas of a backup, on data nodes that hold their databases
    Restore(RestoreOptions),
}

#[derive(Debug, Args)]
pub struct RestoreOptions {
    /// The name or id of the instance that gets the schemas
    instance: String,

    /// The backup's id
    backup: String,

    /// A data node by its id
    #[arg(
        long = "data-node",
        env = "DDM_DATA_NODE",
        required = true,
        value_delimiter = ',',
        value_name = "ID"
    )]
    data_nodes: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum MetadataVerb {
    /// Print what the schemas of an instance are (no rows), for import elsewhere
    Export {
        /// The instance's name or id
        instance: String,
    },
    /// Make the schemas of an export on data nodes of this instance
    Import(ImportOptions),
}

#[derive(Debug, Args)]
pub struct ImportOptions {
    /// The instance's name or id
    instance: String,

    /// What `export` printed
    file: PathBuf,

    /// A data node by its id
    #[arg(
        long = "data-node",
        env = "DDM_DATA_NODE",
        required = true,
        value_delimiter = ',',
        value_name = "ID"
    )]
    data_nodes: Vec<String>,

    /// The data nodes' administration account; by default that of endpoints.json
    #[arg(long, env = "DDM_DATA_NODE_USER", requires = "data_node_password", value_name = "NAME")]
    data_node_user: Option<String>,

    /// That account's password
    #[arg(long, env = "DDM_DATA_NODE_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    data_node_password: Option<String>,
}

pub async fn run(session: &Session, verb: Verb) -> Result<()> {
    match verb {
        Verb::List => {
            session.printer.list(&session.client.list(PATH, "backups").await?, COLUMNS);
            Ok(())
        }
        Verb::Delete { backup } => {
            let answer = session.client.delete(&format!("{PATH}/{}", encode(&backup)), &[]).await?;
            session.finish(&format!("backup {backup} is deleted"), answer).await
        }
        Verb::Restore(options) => {
            let id = session.instance_id(&options.instance).await?;
            let source = backed_up(session, &options.backup).await?;
            let path =
                session.instance_path("v3", &source, &["backups", "metadata-recovery"]).await?;
            let body = json!({
                "source": { "backup_id": options.backup },
                "target": { "instance_id": id, "data_nodes": options.data_nodes },
            });
            let answer = session.client.post(&path, body).await?;
            session.finish(&format!("instance {} is restored", options.instance), answer).await
        }
    }
}

/// The id of the instance that was backed up; it may be gone.
async fn backed_up(session: &Session, backup: &str) -> Result<String> {
    let backups = session.client.list(PATH, "backups").await?;
    let found = backups.iter().find(|one| one["id"] == backup);
    let instance = found.and_then(|one| one["instance_id"].as_str()).map(str::to_owned);
    instance.with_context(|| format!("no backup {backup:?}; see `ddm ctl backups list`"))
}

pub async fn run_metadata(session: &Session, verb: MetadataVerb) -> Result<()> {
    match verb {
        MetadataVerb::Export { instance } => {
            let path = session.instance_path("v3", &instance, &["schema-metadata"]).await?;
            let answer = session.client.get(&path, &[]).await?;
            crate::ctl::output::print_json(&answer);
            Ok(())
        }
        MetadataVerb::Import(options) => import(session, options).await,
    }
}

async fn import(session: &Session, options: ImportOptions) -> Result<()> {
    let export = read_export(&options.file)?;
    let known = session.endpoints["data_nodes"].as_array().cloned().unwrap_or_default();
    let mut data_nodes = Vec::new();
    for id in &options.data_nodes {
        let file = known.iter().find(|node| node["id"] == **id);
        let from_file = |key: &str| file.and_then(|node| node[key].as_str()).map(str::to_owned);
        let missing =
            "the administrator of the data node? give --data-node-user and --data-node-password";
        let user = options.data_node_user.clone().or_else(|| from_file("admin_user"));
        let password = options.data_node_password.clone().or_else(|| from_file("admin_password"));
        data_nodes.push(json!({
            "dn_instance_id": id,
            "admin_user": user.context(missing)?,
            "admin_password": password.context(missing)?,
        }));
    }
    let path = session.instance_path("v3", &options.instance, &["schema-metadata"]).await?;
    let body = json!({ "compressed_databases_info": export, "dn_instance": data_nodes });
    let answer = session.client.post(&path, body).await?;
    session.finish(&format!("schemas are imported into {}", options.instance), answer).await
}

/// The document of an export file.
fn read_export(file: &Path) -> Result<String> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let export: Value = serde_json::from_str(&text)
        .with_context(|| format!("{} is not what export printed", file.display()))?;
    match export["compressed_databases_info"].as_str() {
        Some(document) => Ok(document.to_owned()),
        None => bail!("{} has no compressed_databases_info", file.display()),
    }
}
