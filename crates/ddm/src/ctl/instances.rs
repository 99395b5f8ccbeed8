//! `ddm ctl instances`.

use super::Session;
use super::output::Column;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("STATUS", "status"),
    ("ADDRESS", "access_ip"),
    ("PORT", "access_port"),
    ("NODES", "node_count"),
    ("VERSION", "engine_version"),
    ("ID", "id"),
];

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List all instances
    List,
    /// Show one instance
    Show {
        /// Name or id
        instance: String,
    },
    /// Buy an instance
    Create(CreateOptions),
    /// Give an instance another name
    Rename {
        /// Name or id
        instance: String,
        /// The new name
        new_name: String,
    },
    /// Restart the nodes of an instance
    Restart {
        /// Name or id
        instance: String,
        /// Kill the nodes instead of draining them
        #[arg(long, env = "DDM_HARD")]
        hard: bool,
    },
    /// Add nodes to an instance
    Enlarge(ScaleOptions),
    /// Take nodes away from an instance; each is drained first
    Reduce(ScaleOptions),
    /// Give the nodes of an instance another class, one after the other
    ChangeClass {
        /// Name or id
        instance: String,
        /// The class by its code (`ddm ctl flavors list`)
        flavor: String,
        /// The group, when there is more than one
        #[arg(long, env = "DDM_GROUP", value_name = "GROUP")]
        group: Option<String>,
    },
    /// Give an instance another security group
    SetSecurityGroup {
        /// Name or id
        instance: String,
        /// The group's id
        security_group_id: String,
    },
    /// Set how much of the reads each data node and replica gets, 0 to 100
    ReadWeights {
        /// Name or id
        instance: String,
        /// Weights by the ids of data nodes and replicas
        #[arg(required = true, value_parser = parse_weight, value_name = "ID=WEIGHT")]
        weights: Vec<(String, u32)>,
    },
    /// Read the addresses, versions and replicas of the data nodes again
    SyncDataNodes {
        /// Name or id
        instance: String,
    },
    /// Read the tables' definitions from the data nodes again
    Reload {
        /// Name or id
        instance: String,
    },
    /// Delete an instance
    Delete {
        /// Name or id
        instance: String,
        /// Also drop the schemas' databases on the data nodes, with all rows
        #[arg(long, env = "DDM_DELETE_DATA")]
        delete_data: bool,
    },
}

#[derive(Debug, Args)]
pub struct ScaleOptions {
    /// Name or id
    instance: String,

    /// How many nodes more or less
    #[arg(value_parser = clap::value_parser!(u32).range(1..=31), value_name = "N")]
    nodes: u32,

    /// The group, when there is more than one
    #[arg(long, env = "DDM_GROUP", value_name = "GROUP")]
    group: Option<String>,
}

#[derive(Debug, Args)]
pub struct CreateOptions {
    /// Its name
    name: String,

    /// How many nodes
    #[arg(long, env = "DDM_NODE_COUNT", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=32), value_name = "N")]
    nodes: u32,

    /// The node class by its code (`ddm ctl flavors list`); the smallest when not given
    #[arg(long, env = "DDM_FLAVOR", value_name = "CODE")]
    flavor: Option<String>,

    /// The engine's version (`ddm ctl engines list`); the newest when not given
    #[arg(long, env = "DDM_ENGINE_VERSION", value_name = "VERSION")]
    engine_version: Option<String>,

    /// Availability zones; by default the first of endpoints.json
    #[arg(long = "zone", env = "DDM_ZONES", value_delimiter = ',', value_name = "ZONE")]
    zones: Vec<String>,

    /// VPC; by default that of endpoints.json
    #[arg(long, env = "DDM_VPC_ID", value_name = "ID")]
    vpc_id: Option<String>,

    /// Subnet; by default that of endpoints.json
    #[arg(long, env = "DDM_SUBNET_ID", value_name = "ID")]
    subnet_id: Option<String>,

    /// Security group; by default that of endpoints.json
    #[arg(long, env = "DDM_SECURITY_GROUP_ID", value_name = "ID")]
    security_group_id: Option<String>,

    /// Make an administrator of this name, too
    #[arg(long, env = "DDM_ADMIN_USER", requires = "admin_password", value_name = "NAME")]
    admin_user: Option<String>,

    /// The administrator's password
    #[arg(long, env = "DDM_ADMIN_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    admin_password: Option<String>,
}

pub async fn run(session: &Session, verb: Verb) -> Result<()> {
    match verb {
        Verb::List => {
            session.printer.list(&session.instances().await?, COLUMNS);
            Ok(())
        }
        Verb::Show { instance } => {
            let path = session.instance_path("v1", &instance, &[]).await?;
            session.printer.object(&session.client.get(&path, &[]).await?);
            Ok(())
        }
        Verb::Create(options) => create(session, options).await,
        Verb::Rename { instance, new_name } => {
            let path = session.instance_path("v1", &instance, &["modify-name"]).await?;
            let answer = session.client.put(&path, json!({ "name": new_name })).await?;
            session.finish(&format!("instance {instance} is now {new_name}"), answer).await
        }
        Verb::Restart { instance, hard } => {
            let path = session.instance_path("v1", &instance, &["action"]).await?;
            let kind = if hard { "hard" } else { "soft" };
            let answer = session.client.post(&path, json!({ "restart": { "type": kind } })).await?;
            session.finish(&format!("instance {instance} is restarted"), answer).await
        }
        Verb::Enlarge(options) => enlarge(session, options).await,
        Verb::Reduce(options) => reduce(session, options).await,
        Verb::ChangeClass { instance, flavor, group } => {
            let mut body = json!({ "spec_code": flavor });
            if let Some(group) = group {
                body["group_id"] = json!(session.group_id(&instance, &group).await?);
            }
            let path = session.instance_path("v3", &instance, &["flavor"]).await?;
            let answer = session.client.put(&path, body).await?;
            session.finish(&format!("nodes of {instance} are {flavor} now"), answer).await
        }
        Verb::SetSecurityGroup { instance, security_group_id } => {
            let path = session.instance_path("v1", &instance, &["modify-security-group"]).await?;
            let body = json!({ "security_group_id": security_group_id });
            let answer = session.client.put(&path, body).await?;
            session.finish(&format!("the security group of {instance} is changed"), answer).await
        }
        Verb::ReadWeights { instance, weights } => {
            let path = ["action", "read-write-strategy"];
            let path = session.instance_path("v2", &instance, &path).await?;
            let weights: std::collections::BTreeMap<_, _> = weights.into_iter().collect();
            let answer = session.client.put(&path, json!({ "read_weight": weights })).await?;
            session.finish(&format!("the read weights of {instance} are set"), answer).await
        }
        Verb::SyncDataNodes { instance } => {
            let path = session.instance_path("v1", &instance, &["rds", "sync"]).await?;
            let answer = session.client.post(&path, json!({})).await?;
            session.finish(&format!("the data nodes of {instance} are synchronised"), answer).await
        }
        Verb::Reload { instance } => {
            let path = session.instance_path("v1", &instance, &["reload-config"]).await?;
            let answer = session.client.post(&path, json!({})).await?;
            session.finish(&format!("the tables of {instance} are reloaded"), answer).await
        }
        Verb::Delete { instance, delete_data } => {
            let path = session.instance_path("v3", &instance, &[]).await?;
            let query = [("delete_dn_data", delete_data.to_string())];
            let answer = session.client.delete(&path, &query).await?;
            session.finish(&format!("instance {instance} is deleted"), answer).await
        }
    }
}

async fn create(session: &Session, options: CreateOptions) -> Result<()> {
    let file = &session.endpoints;
    let known = |key: &str| file[key].as_str().map(str::to_owned);
    let zones = match options.zones.is_empty() {
        false => options.zones,
        true => vec![
            file["availability_zones"][0].as_str().context("which zone? give --zone")?.to_owned(),
        ],
    };
    let flavor = match options.flavor {
        Some(code) => code,
        None => session.client.smallest_flavor().await?,
    };
    let mut body = json!({
        "name": options.name,
        "node_num": options.nodes,
        "flavor_ref": flavor,
        "available_zones": zones,
        "vpc_id": options.vpc_id.or_else(|| known("vpc_id")).context("which VPC? give --vpc-id")?,
        "subnet_id": options.subnet_id.or_else(|| known("subnet_id")).context("which subnet? give --subnet-id")?,
    });
    let mut add = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            body[key] = Value::String(value);
        }
    };
    add("security_group_id", options.security_group_id.or_else(|| known("security_group_id")));
    add("engine_version", options.engine_version);
    add("admin_user_name", options.admin_user);
    add("admin_user_password", options.admin_password);
    let answer = session.client.post("/v3/{project_id}/instances", body).await?;
    let id = answer["id"].as_str().unwrap_or_default().to_owned();
    session.finish(&format!("instance {} ({id}) is made", options.name), answer).await
}

async fn enlarge(session: &Session, options: ScaleOptions) -> Result<()> {
    let groups = session.groups(&options.instance).await?;
    let meant = match &options.group {
        Some(group) => json!(session.group_id(&options.instance, group).await?),
        None => groups.first().context("the instance has no group")?["id"].clone(),
    };
    let group = groups.iter().find(|group| group["id"] == meant).context("the group is gone")?;
    let flavors = session.client.flavors().await?;
    // A group says of its class how many vCPUs of which kind.
    let flavor = flavors.iter().find(|flavor| {
        flavor["architecture"] == group["architecture"]
            && flavor["cpu"].as_str() == Some(&group["cpu_num_per_node"].to_string())
    });
    let flavor = flavor.and_then(|flavor| flavor["id"].as_str());
    let body = json!({
        "flavor_id": flavor.context("the class of the group's nodes is not offered")?,
        "node_number": options.nodes,
    });
    scale(session, options, "enlarge", body).await
}

async fn reduce(session: &Session, options: ScaleOptions) -> Result<()> {
    let body = json!({ "node_number": options.nodes });
    scale(session, options, "reduce", body).await
}

async fn scale(
    session: &Session,
    options: ScaleOptions,
    action: &str,
    mut body: Value,
) -> Result<()> {
    let instance = &options.instance;
    if let Some(group) = &options.group {
        body["group_id"] = json!(session.group_id(instance, group).await?);
    }
    let path = session.instance_path("v2", instance, &["action", action]).await?;
    let answer = session.client.post(&path, body).await?;
    session.finish(&format!("the nodes of {instance} are changed"), answer).await
}

fn parse_weight(text: &str) -> Result<(String, u32)> {
    let (id, weight) = text.split_once('=').context("write ID=WEIGHT")?;
    Ok((id.to_owned(), weight.parse().context("the weight must be a number")?))
}
