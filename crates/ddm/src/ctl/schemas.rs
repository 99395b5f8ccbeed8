//! `ddm ctl schemas`.

use super::Session;
use super::output::Column;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("STATUS", "status"),
    ("MODE", "shard_mode"),
    ("SHARDS", "shard_number"),
    ("DATA NODES", "used_rds"),
];

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the schemas of an instance
    List {
        /// The instance's name or id
        instance: String,
    },
    /// Show one schema with its shards
    Show {
        /// The instance's name or id
        instance: String,
        /// The schema's name
        schema: String,
    },
    /// Make a schema
    Create(CreateOptions),
    /// Delete a schema
    Delete {
        /// The instance's name or id
        instance: String,
        /// The schema's name
        schema: String,
        /// Also drop its databases on the data nodes, with all rows
        #[arg(long, env = "DDM_DELETE_DATA")]
        delete_data: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Sharded over the data nodes
    Cluster,
    /// One shard on one data node
    Single,
}

#[derive(Debug, Args)]
pub struct CreateOptions {
    /// The instance's name or id
    instance: String,

    /// The schema's name
    schema: String,

    /// Sharded or not
    #[arg(long, env = "DDM_SHARD_MODE", value_enum, default_value_t = Mode::Cluster)]
    mode: Mode,

    /// How many shards over all data nodes; by default 8 on each, or 1 for single
    #[arg(long, env = "DDM_SHARDS", value_name = "N")]
    shards: Option<u32>,

    /// A data node by id or name; all of endpoints.json when not given
    #[arg(long = "data-node", env = "DDM_DATA_NODE", value_delimiter = ',', value_name = "NODE")]
    data_nodes: Vec<String>,

    /// The data nodes' administration account; by default that of endpoints.json
    #[arg(long, env = "DDM_DATA_NODE_USER", requires = "data_node_password", value_name = "NAME")]
    data_node_user: Option<String>,

    /// That account's password
    #[arg(long, env = "DDM_DATA_NODE_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    data_node_password: Option<String>,
}

/// Shards on each data node when the caller does not say.
const DEFAULT_SHARDS_PER_DATA_NODE: usize = 8;

pub async fn run(session: &Session, verb: Verb) -> Result<()> {
    match verb {
        Verb::List { instance } => {
            let path = session.instance_path("v1", &instance, &["databases"]).await?;
            session.printer.list(&session.client.list(&path, "databases").await?, COLUMNS);
            Ok(())
        }
        Verb::Show { instance, schema } => {
            let path = session.instance_path("v1", &instance, &["databases", &schema]).await?;
            let mut answer = session.client.get(&path, &[]).await?;
            session.printer.object(&answer["database"].take());
            Ok(())
        }
        Verb::Create(options) => create(session, options).await,
        Verb::Delete { instance, schema, delete_data } => {
            let path = session.instance_path("v3", &instance, &["databases", &schema]).await?;
            let query = [("delete_dn_data", delete_data.to_string())];
            let answer = session.client.delete(&path, &query).await?;
            session.finish(&format!("schema {schema} is deleted"), answer).await
        }
    }
}

async fn create(session: &Session, options: CreateOptions) -> Result<()> {
    let nodes = data_nodes(session, &options).await?;
    let (mode, default_shards) = match options.mode {
        Mode::Cluster => ("cluster", nodes.len() * DEFAULT_SHARDS_PER_DATA_NODE),
        Mode::Single => ("single", 1),
    };
    let shards = options.shards.map_or_else(|| json!(default_shards), |shards| json!(shards));
    let body = json!({
        "name": options.schema, "shard_mode": mode, "shard_number": shards, "dn_instances": nodes,
    });
    let path = session.instance_path("v3", &options.instance, &["databases"]).await?;
    let answer = session.client.post(&path, body).await?;
    session.finish(&format!("schema {} is made", options.schema), answer).await
}

/// The data nodes of the request with their logins.
async fn data_nodes(session: &Session, options: &CreateOptions) -> Result<Vec<Value>> {
    let known = session.endpoints["data_nodes"].as_array().cloned().unwrap_or_default();
    let available = session.available_data_nodes(&options.instance).await?;
    // A data node of another instance is known here, too, but cannot be used.
    let usable =
        known.iter().filter(|node| available.iter().any(|other| other["id"] == node["id"]));
    let usable = usable.filter_map(|node| node["id"].as_str()).map(str::to_owned);
    let wanted: Vec<String> = match (options.data_nodes.is_empty(), options.mode) {
        (false, _) => options.data_nodes.clone(),
        (true, Mode::Cluster) => usable.collect(),
        (true, Mode::Single) => usable.take(1).collect(),
    };
    if wanted.is_empty() {
        bail!(
            "no data node of endpoints.json is free for the instance {name}; see `ddm ctl data-nodes list`, register \
             one with `ddm ctl data-nodes register`, or give --data-node",
            name = options.instance
        );
    }
    wanted.iter().map(|name| login(name, &known, &available, options)).collect()
}

fn login(
    name: &str,
    known: &[Value],
    available: &[Value],
    options: &CreateOptions,
) -> Result<Value> {
    let is_meant = |node: &&Value| node["id"] == name || node["name"] == name;
    let node = available.iter().chain(known).find(is_meant);
    let id = node.and_then(|node| node["id"].as_str()).unwrap_or(name);
    let file = known.iter().find(|node| node["id"] == id);
    let from_file = |key: &str| file.and_then(|node| node[key].as_str()).map(str::to_owned);
    let user = options.data_node_user.clone().or_else(|| from_file("admin_user"));
    let password = options.data_node_password.clone().or_else(|| from_file("admin_password"));
    let missing = || {
        format!(
            "the administrator of the data node {name}? give --data-node-user and --data-node-password"
        )
    };
    Ok(json!({
        "id": id,
        "user_name": user.with_context(missing)?,
        "user_password": password.with_context(missing)?,
    }))
}
