//! `ddm ctl security-groups`: which clients may connect to which instances.

use super::Session;
use super::output::Column;
use crate::rest::encode;
use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::{Value, json};

const COLUMNS: &[Column] = &[("NAME", "name"), ("DESCRIPTION", "description"), ("ID", "id")];

const RULES: &[Column] = &[
    ("CLIENTS", "remote_ip_prefix"),
    ("FIRST PORT", "port_range_min"),
    ("LAST PORT", "port_range_max"),
    ("DESCRIPTION", "description"),
    ("ID", "id"),
];

const PATH: &str = "/v3/{project_id}/security-groups";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the security groups
    List,
    /// Make a security group; nobody may connect until it has a rule
    Create {
        /// Its name
        name: String,
    },
    /// Delete a security group that no instance has
    Delete {
        /// Its name or id
        group: String,
    },
    /// List the rules of a security group
    Rules {
        /// Its name or id
        group: String,
    },
    /// Let clients of a network connect
    Allow {
        /// The group's name or id
        group: String,
        /// The network, for example 10.1.0.0/16
        network: String,
    },
    /// Take a rule away
    Revoke {
        /// The group's name or id
        group: String,
        /// The rule's id
        rule: String,
    },
}

pub async fn run(session: &Session, verb: Verb) -> Result<()> {
    match verb {
        Verb::List => {
            session.printer.list(&session.client.list(PATH, "security_groups").await?, COLUMNS);
            Ok(())
        }
        Verb::Create { name } => {
            let answer = session.client.post(PATH, json!({ "name": name })).await?;
            session.finish(&format!("security group {name} is made"), answer).await
        }
        Verb::Delete { group } => {
            let path = session.security_group_path(&group).await?;
            let answer = session.client.delete(&path, &[]).await?;
            session.finish(&format!("security group {group} is deleted"), answer).await
        }
        Verb::Rules { group } => {
            let path = format!("{}/rules", session.security_group_path(&group).await?);
            session.printer.list(&session.client.list(&path, "rules").await?, RULES);
            Ok(())
        }
        Verb::Allow { group, network } => {
            let path = format!("{}/rules", session.security_group_path(&group).await?);
            let answer = session.client.post(&path, json!({ "remote_ip_prefix": network })).await?;
            session.finish(&format!("clients of {network} may connect"), answer).await
        }
        Verb::Revoke { group, rule } => {
            let path =
                format!("{}/rules/{}", session.security_group_path(&group).await?, encode(&rule));
            let answer = session.client.delete(&path, &[]).await?;
            session.finish(&format!("rule {rule} is gone"), answer).await
        }
    }
}

impl Session {
    async fn security_group_path(&self, name_or_id: &str) -> Result<String> {
        let groups = self.client.list(PATH, "security_groups").await?;
        let is_meant = |one: &&Value| one["id"] == name_or_id || one["name"] == name_or_id;
        match groups.iter().find(is_meant).and_then(|one| one["id"].as_str()) {
            Some(id) => Ok(format!("{PATH}/{}", encode(id))),
            None => bail!("no security group {name_or_id:?}; see `ddm ctl security-groups list`"),
        }
    }
}
