//! `ddm ctl groups`: nodes of one class with an address of their own.

use super::Session;
use super::output::Column;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("ROLE", "role"),
    ("ADDRESS", "endpoint"),
    ("NODES", "node_list"),
    ("VCPUS", "cpu_num_per_node"),
    ("DEFAULT", "is_default_group"),
    ("ID", "id"),
];

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the groups of an instance
    List {
        /// The instance's name or id
        instance: String,
    },
    /// Add a group of nodes to an instance
    Create(CreateOptions),
    /// Delete a group with its nodes
    Delete {
        /// The instance's name or id
        instance: String,
        /// The group's name or id
        group: String,
    },
}

/// What a group is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Writes and reads
    Rw,
    /// Reads alone, from replicas
    R,
}

#[derive(Debug, Args)]
pub struct CreateOptions {
    /// The instance's name or id
    instance: String,

    /// The group's name
    name: String,

    /// What it is for
    #[arg(long, env = "DDM_ROLE", value_enum, default_value_t = Role::R)]
    role: Role,

    /// How many nodes
    #[arg(long, env = "DDM_NODE_COUNT", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=32), value_name = "N")]
    nodes: u32,

    /// The node class by its code (`ddm ctl flavors list`)
    #[arg(long, env = "DDM_FLAVOR", value_name = "CODE")]
    flavor: Option<String>,

    /// The availability zone; by default the first of endpoints.json
    #[arg(long, env = "DDM_ZONE", value_name = "ZONE")]
    zone: Option<String>,

    /// Subnet; by default that of endpoints.json
    #[arg(long, env = "DDM_SUBNET_ID", value_name = "ID")]
    subnet_id: Option<String>,
}

pub async fn run(session: &Session, verb: Verb) -> Result<()> {
    match verb {
        Verb::List { instance } => {
            session.printer.list(&session.groups(&instance).await?, COLUMNS);
            Ok(())
        }
        Verb::Create(options) => create(session, options).await,
        Verb::Delete { instance, group } => {
            let id = session.group_id(&instance, &group).await?;
            let path = session.instance_path("v3", &instance, &["groups", &id]).await?;
            let answer = session.client.delete(&path, &[]).await?;
            session.finish(&format!("group {group} is deleted"), answer).await
        }
    }
}

async fn create(session: &Session, options: CreateOptions) -> Result<()> {
    let file = &session.endpoints;
    let known = |value: &Value| value.as_str().map(str::to_owned);
    let zone = options.zone.or_else(|| known(&file["availability_zones"][0]));
    let subnet = options.subnet_id.or_else(|| known(&file["subnet_id"]));
    let node = json!({
        "available_zone": zone.context("which zone? give --zone")?,
        "subnet_id": subnet.context("which subnet? give --subnet-id")?,
    });
    let count = usize::try_from(options.nodes).context("too many nodes")?;
    let flavor = match options.flavor {
        Some(code) => code,
        None => session.client.smallest_flavor().await?,
    };
    let body = json!({
        "name": options.name,
        "type": match options.role { Role::Rw => "rw", Role::R => "r" },
        "flavor_ref": flavor,
        "nodes": vec![node; count],
    });
    let path = session.instance_path("v3", &options.instance, &["groups"]).await?;
    let answer = session.client.post(&path, body).await?;
    session.finish(&format!("group {} is made", options.name), answer).await
}

impl Session {
    /// An instance's groups, the default one first.
    pub async fn groups(&self, instance: &str) -> Result<Vec<Value>> {
        let path = self.instance_path("v3", instance, &["groups"]).await?;
        let mut answer = self.client.get(&path, &[("limit", "128".to_owned())]).await?;
        match answer["group_list"].take() {
            Value::Array(groups) => Ok(groups),
            _ => bail!("the API's answer has no groups"),
        }
    }

    /// The id of the group with this id or name.
    pub async fn group_id(&self, instance: &str, name_or_id: &str) -> Result<String> {
        let groups = self.groups(instance).await?;
        let is_meant = |one: &&Value| one["id"] == name_or_id || one["name"] == name_or_id;
        match groups.iter().find(is_meant).and_then(|one| one["id"].as_str()) {
            Some(id) => Ok(id.to_owned()),
            None => bail!("no group {name_or_id:?}; see `ddm ctl groups list {instance}`"),
        }
    }
}
