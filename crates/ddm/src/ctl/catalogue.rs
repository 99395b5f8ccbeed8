//! `ddm ctl flavors` and `ddm ctl engines`: what can be bought.

use super::Session;
use super::output::Column;
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde_json::Value;

const FLAVOR_COLUMNS: &[Column] =
    &[("CODE", "code"), ("VCPUS", "cpu"), ("MEMORY GB", "mem"), ("GROUP", "groupType"), ("ID", "id")];

const ENGINE_COLUMNS: &[Column] = &[("NAME", "name"), ("VERSION", "version"), ("ID", "id")];

#[derive(Debug, Subcommand)]
pub enum FlavorVerb {
    /// List the classes that a node can have
    List,
}

#[derive(Debug, Subcommand)]
pub enum EngineVerb {
    /// List the versions that an instance can have
    List,
}

pub async fn flavors(session: &Session, verb: FlavorVerb) -> Result<()> {
    let FlavorVerb::List = verb;
    session.printer.list(&session.all_flavors().await?, FLAVOR_COLUMNS);
    Ok(())
}

pub async fn engines(session: &Session, verb: EngineVerb) -> Result<()> {
    let EngineVerb::List = verb;
    let rows = session.client.list("/v2/{project_id}/engines", "engineGroups").await?;
    session.printer.list(&rows, ENGINE_COLUMNS);
    Ok(())
}

impl Session {
    async fn all_flavors(&self) -> Result<Vec<Value>> {
        crate::rest::flavors(&self.client).await
    }

    /// The code of the smallest class.
    pub async fn smallest_flavor(&self) -> Result<String> {
        let flavors = self.all_flavors().await?;
        let Some(smallest) = smallest(&flavors) else { bail!("the API offers no node class") };
        Ok(smallest["code"].as_str().context("a node class has no code")?.to_owned())
    }
}

/// The class with the fewest vCPUs, then the least memory.
fn smallest(flavors: &[Value]) -> Option<&Value> {
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or(u64::MAX);
    flavors.iter().min_by_key(|flavor| (number(&flavor["cpu"]), number(&flavor["mem"])))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn the_smallest_class() {
        let flavors = [
            json!({"code": "b", "cpu": "16", "mem": "32"}),
            json!({"code": "a", "cpu": "8", "mem": "32"}),
            json!({"code": "c", "cpu": "8", "mem": "16"}),
        ];
        assert_eq!(smallest(&flavors).unwrap()["code"], "c");
        assert_eq!(smallest(&[]), None);
    }
}
