//! `ddm ctl metadata`: an instance's schemas as a file, and back on another instance.

use super::Session;
use super::schemas::login;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write the schemas of an instance, their shards and tables, to a file; no rows
    Export {
        /// The instance's name or id
        instance: String,
        /// The file to write
        file: PathBuf,
    },
    /// Make the schemas of such a file on other data nodes
    Import(ImportOptions),
}

#[derive(Debug, Args)]
pub struct ImportOptions {
    /// The instance's name or id
    instance: String,

    /// The file that was exported
    file: PathBuf,

    /// A data node by id or name, in the order of the exported ones; as many as were exported
    #[arg(
        long = "data-node",
        env = "DDM_DATA_NODE",
        value_delimiter = ',',
        value_name = "NODE",
        required = true
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
        Verb::Export { instance, file } => {
            let path = session.instance_path("v3", &instance, &["schema-metadata"]).await?;
            let answer = session.client.get(&path, &[]).await?;
            std::fs::write(&file, answer.to_string())
                .with_context(|| format!("cannot write {}", file.display()))?;
            let nodes = &answer["data_nodes"];
            let done = json!({ "file": file.display().to_string(), "data_nodes": nodes });
            session.printer.done(&format!("written to {}", file.display()), &done);
            Ok(())
        }
        Verb::Import(options) => import(session, options).await,
    }
}

async fn import(session: &Session, options: ImportOptions) -> Result<()> {
    let (instance, file) = (&options.instance, &options.file);
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let exported: Value = serde_json::from_str(&text)
        .with_context(|| format!("{} was not written by an export", file.display()))?;
    let known = session.endpoints["data_nodes"].as_array().cloned().unwrap_or_default();
    let available = session.available_data_nodes(instance).await?;
    let account = (options.data_node_user.as_deref(), options.data_node_password.as_deref());
    let nodes = options.data_nodes.iter().map(|name| {
        let login = login(name, &known, &available, account)?;
        Ok(json!({
            "dn_instance_id": login["id"],
            "admin_user": login["user_name"],
            "admin_password": login["user_password"],
        }))
    });
    let body = json!({
        "compressed_databases_info": exported["compressed_databases_info"],
        "dn_instance": nodes.collect::<Result<Vec<Value>>>()?,
    });
    let path = session.instance_path("v3", instance, &["schema-metadata"]).await?;
    let answer = session.client.post(&path, body).await?;
    session.finish(&format!("the schemas are on instance {instance}"), answer).await
}
