//! `ddm ctl flavors` and `ddm ctl engines`: what can be bought.

use super::Session;
use super::output::Column;
use anyhow::Result;
use clap::Subcommand;

const FLAVOR_COLUMNS: &[Column] = &[
    ("CODE", "code"),
    ("VCPUS", "cpu"),
    ("MEMORY GB", "mem"),
    ("GROUP", "groupType"),
    ("ID", "id"),
];

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
    session.printer.list(&session.client.flavors().await?, FLAVOR_COLUMNS);
    Ok(())
}

pub async fn engines(session: &Session, verb: EngineVerb) -> Result<()> {
    let EngineVerb::List = verb;
    session.printer.list(&session.client.engines().await?, ENGINE_COLUMNS);
    Ok(())
}
