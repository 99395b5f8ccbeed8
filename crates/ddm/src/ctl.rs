//! `ddm ctl`: the REST API for people. Objects are named by name or id, lists are tables, calls that
//! take time are waited for with a progress bar. With `--output json` standard output holds one JSON
//! document and nothing else.

mod access;
mod accounts;
mod backups;
mod call;
mod catalogue;
mod data_nodes;
mod groups;
mod instances;
mod jobs;
mod lookup;
mod nodes;
mod output;
mod parameters;
mod schemas;
mod security_groups;
mod slow_log;
mod wait;

use access::AccessOptions;
use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use output::Printer;
use std::time::Duration;

/// Where help pages list these options.
const HEADING: &str = "Output and waiting";

/// Options of `ddm ctl`.
#[derive(Debug, Args)]
pub struct CtlOptions {
    #[command(flatten)]
    access: AccessOptions,

    /// How answers are printed
    #[arg(long, env = "DDM_OUTPUT", global = true, help_heading = HEADING, value_enum, default_value_t = Output::Table)]
    output: Output,

    /// Return at once and do not wait for jobs
    #[arg(long, env = "DDM_NO_WAIT", global = true, help_heading = HEADING)]
    no_wait: bool,

    /// How long to wait for a job, in seconds
    #[arg(long, env = "DDM_TIMEOUT", global = true, help_heading = HEADING, default_value_t = 1800, value_name = "SECONDS")]
    timeout: u64,

    #[command(subcommand)]
    noun: Noun,
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Instances: list, show, create, rename, restart, enlarge, reduce, change-class, …
    #[command(subcommand)]
    Instances(instances::Verb),
    /// Nodes of an instance: list, show
    #[command(subcommand)]
    Nodes(nodes::Verb),
    /// Groups of an instance's nodes: list, create, delete
    #[command(subcommand)]
    Groups(groups::Verb),
    /// Schemas of an instance: list, show, create, delete
    #[command(subcommand)]
    Schemas(schemas::Verb),
    /// Accounts of an instance: list, create, update, delete, reset-password, set-administrator
    #[command(subcommand)]
    Accounts(accounts::Verb),
    /// Parameters of an instance: list, set
    #[command(subcommand)]
    Parameters(parameters::Verb),
    /// Parameter templates: list, show, create, set, copy, compare, apply, delete
    #[command(subcommand)]
    Templates(parameters::TemplateVerb),
    /// Slow statements of an instance
    SlowLog(slow_log::Options),
    /// Backups of metadata: list, delete, restore
    #[command(subcommand)]
    Backups(backups::Verb),
    /// Metadata of an instance's schemas: export, import
    #[command(subcommand)]
    Metadata(backups::MetadataVerb),
    /// Security groups: list, create, delete, rules, allow, revoke
    #[command(subcommand)]
    SecurityGroups(security_groups::Verb),
    /// Jobs: list, show, wait
    #[command(subcommand)]
    Jobs(jobs::Verb),
    /// Data nodes: list, register, remove
    #[command(subcommand)]
    DataNodes(data_nodes::Verb),
    /// Node classes: list
    #[command(subcommand)]
    Flavors(catalogue::FlavorVerb),
    /// Engine versions: list
    #[command(subcommand)]
    Engines(catalogue::EngineVerb),
    /// Any call of the API
    Call(call::Options),
}

/// What a verb works with.
#[derive(Debug)]
struct Session {
    client: crate::rest::Client,
    /// `endpoints.json`, when there is one: defaults for what a person would have to look up.
    endpoints: serde_json::Value,
    printer: Printer,
    /// How long to wait for jobs; `None`: not at all.
    wait: Option<Duration>,
}

/// Runs one call.
pub fn run(options: CtlOptions) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(call(options))
}

async fn call(options: CtlOptions) -> Result<()> {
    let endpoints = options.access.endpoints()?;
    let session = Session {
        client: options.access.client(&endpoints)?,
        endpoints,
        printer: Printer::new(options.output == Output::Json),
        wait: (!options.no_wait).then(|| Duration::from_secs(options.timeout)),
    };
    match options.noun {
        Noun::Instances(verb) => instances::run(&session, verb).await,
        Noun::Nodes(verb) => nodes::run(&session, verb).await,
        Noun::Schemas(verb) => schemas::run(&session, verb).await,
        Noun::Accounts(verb) => accounts::run(&session, verb).await,
        Noun::Jobs(verb) => jobs::run(&session, verb).await,
        Noun::DataNodes(verb) => data_nodes::run(&session, verb).await,
        Noun::Flavors(verb) => catalogue::flavors(&session, verb).await,
        Noun::Engines(verb) => catalogue::engines(&session, verb).await,
        Noun::Groups(verb) => groups::run(&session, verb).await,
        Noun::Parameters(verb) => parameters::run(&session, verb).await,
        Noun::Templates(verb) => parameters::run_template(&session, verb).await,
        Noun::SlowLog(options) => slow_log::run(&session, options).await,
        Noun::Backups(verb) => backups::run(&session, verb).await,
        Noun::Metadata(verb) => backups::run_metadata(&session, verb).await,
        Noun::SecurityGroups(verb) => security_groups::run(&session, verb).await,
        Noun::Call(options) => call::run(&session, options).await,
    }
}
