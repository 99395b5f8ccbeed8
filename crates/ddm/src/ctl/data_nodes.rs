//! `ddm ctl data-nodes`.

use super::Session;
use super::output::Column;
use crate::rest::encode;
use anyhow::{Context, Result, bail};
use base::id::DataNodeId;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// Columns of all registered data nodes.
const REGISTERED: &[Column] = &[
    ("NAME", "name"),
    ("HOST", "host"),
    ("PORT", "port"),
    ("VERSION", "engine_version"),
    ("REPLICAS", "replicas"),
    ("INSTANCE", "instance_id"),
    ("ID", "id"),
];

/// Columns of the data nodes that one instance can use.
const AVAILABLE: &[Column] = &[
    ("NAME", "name"),
    ("STATUS", "status"),
    ("ENGINE", "engineName"),
    ("VERSION", "engineSoftwareVersion"),
    ("ADDRESS", "privateIp"),
    ("PORT", "port"),
    ("ID", "id"),
];

const PATH: &str = "/v3/{project_id}/data-nodes";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List all data nodes, or those that an instance can make schemas on
    List {
        /// An instance's name or id
        instance: Option<String>,
    },
    /// Register a server of your own as a data node
    Register(RegisterOptions),
    /// Forget a data node; nothing on it is changed
    Remove {
        /// Its name or id
        data_node: String,
    },
}

#[derive(Debug, Args)]
pub struct RegisterOptions {
    /// A name for it
    name: String,

    /// Where it listens
    #[arg(long, env = "DDM_DATA_NODE_ADDRESS", value_parser = parse_address, value_name = "HOST:PORT")]
    address: (String, u16),

    /// Its administration account
    #[arg(long, env = "DDM_DATA_NODE_USER", value_name = "NAME")]
    user: String,

    /// That account's password
    #[arg(long, env = "DDM_DATA_NODE_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    password: String,

    /// A read replica of it
    #[arg(long = "replica", env = "DDM_DATA_NODE_REPLICAS", value_delimiter = ',', value_parser = parse_address, value_name = "HOST:PORT")]
    replicas: Vec<(String, u16)>,
}

pub async fn run(session: &Session, verb: Verb) -> Result<()> {
    match verb {
        Verb::List { instance: None } => {
            session.printer.list(&session.client.list(PATH, "data_nodes").await?, REGISTERED);
            Ok(())
        }
        Verb::List { instance: Some(instance) } => {
            session.printer.list(&session.available_data_nodes(&instance).await?, AVAILABLE);
            Ok(())
        }
        Verb::Register(options) => register(session, options).await,
        Verb::Remove { data_node } => {
            let id = session.data_node_id(&data_node).await?;
            let answer = session.client.delete(&format!("{PATH}/{}", encode(&id)), &[]).await?;
            session.finish(&format!("data node {data_node} is removed"), answer).await
        }
    }
}

async fn register(session: &Session, options: RegisterOptions) -> Result<()> {
    let (host, port) = options.address;
    let replicas: Vec<Value> =
        options.replicas.iter().map(|(host, port)| json!({ "host": host, "port": port })).collect();
    let mut body = json!({
        "name": options.name, "host": host, "port": port, "admin_user": options.user,
        "admin_password": options.password,
    });
    // Without any the servers are asked who replicates.
    if !replicas.is_empty() {
        body["replicas"] = replicas.into();
    }
    let answer = session.client.post(PATH, body).await?;
    let id = answer["id"].as_str().unwrap_or_default().to_owned();
    session.finish(&format!("data node {} ({id}) is registered", options.name), answer).await
}

impl Session {
    /// Data nodes that the instance can use.
    pub async fn available_data_nodes(&self, instance: &str) -> Result<Vec<Value>> {
        let path = self.instance_path("v1", instance, &["rds"]).await?;
        self.client.list(&path, "instances").await
    }

    async fn data_node_id(&self, name_or_id: &str) -> Result<String> {
        if DataNodeId::parse(name_or_id).is_some() {
            return Ok(name_or_id.to_owned());
        }
        let nodes = self.client.list(PATH, "data_nodes").await?;
        let found = nodes
            .iter()
            .find(|node| node["name"] == name_or_id)
            .and_then(|node| node["id"].as_str());
        match found {
            Some(id) => Ok(id.to_owned()),
            None => bail!("no data node {name_or_id:?}; see `ddm ctl data-nodes list`"),
        }
    }
}

fn parse_address(text: &str) -> Result<(String, u16)> {
    let (host, port) = text.rsplit_once(':').context("write HOST:PORT")?;
    Ok((
        host.trim_matches(['[', ']']).to_owned(),
        port.parse().context("the port must be a number up to 65535")?,
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(parse_address("db.example:3306").unwrap(), ("db.example".to_owned(), 3306));
        assert_eq!(parse_address("[::1]:3306").unwrap(), ("::1".to_owned(), 3306));
        assert!(parse_address("db.example").is_err());
        assert!(parse_address("db:x").is_err());
    }
}
