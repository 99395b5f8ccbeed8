//! The command line as data. Every option has an environment variable `DDM_*`; clap answers wrong
//! usage with exit code 2.

use crate::up::Subnet;
use clap::{Args, Parser, Subcommand};
use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroU32;
use std::path::PathBuf;
use telemetry::logs::LogFormat;

pub use crate::ctl::CtlOptions;

/// Distributed database middleware: one MySQL address in front of many data nodes.
#[derive(Debug, Parser)]
#[command(
    name = "ddm",
    version,
    propagate_version = true,
    after_help = "The environment variable DDM_LOG says what is logged (debug, node=trace, …)."
)]
pub struct Cli {
    /// How log lines look: text or json
    #[arg(long, env = "DDM_LOG_FORMAT", global = true, help_heading = "Logging", default_value = "text", value_parser = parse_log_format, value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole system on this machine until Ctrl-C
    Up(UpOptions),
    /// Run the control plane alone
    ControlPlane(ControlPlaneOptions),
    /// Run one DDM node
    Node(NodeOptions),
    /// Ask and tell the control plane: instances, schemas, accounts, jobs, …
    Ctl(Box<CtlOptions>),
}

/// Options of `ddm up`.
#[derive(Debug, Args)]
pub struct UpOptions {
    /// Where everything is kept; started again on the same directory, everything comes back
    #[arg(long, env = "DDM_DATA_DIR", default_value = "./ddm-data", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// Where the REST API listens; port 0 takes a free one
    #[arg(long, env = "DDM_API_LISTEN", default_value = "127.0.0.1:8635", value_parser = parse_listen, value_name = "HOST:PORT")]
    pub api_listen: SocketAddr,

    /// Local MariaDB data nodes to make and run; 0: none, register your own
    #[arg(long, env = "DDM_DATA_NODES", default_value_t = 2, value_parser = clap::value_parser!(u32).range(..=16), value_name = "N")]
    pub data_nodes: u32,

    /// Read replicas of each local data node
    #[arg(long, env = "DDM_REPLICAS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=4), value_name = "N")]
    pub replicas: u32,

    /// Loopback addresses from which nodes and instances get theirs
    #[arg(long, env = "DDM_NODE_SUBNET", default_value = "127.77.0.0/16", value_parser = parse_subnet, value_name = "CIDR")]
    pub node_subnet: Subnet,

    /// Also buy an instance and make a schema, an account and a filled sample table
    #[arg(long, env = "DDM_DEMO")]
    pub demo: bool,

    /// Serve the REST API over plain HTTP instead of HTTPS
    #[arg(long, env = "DDM_HTTP")]
    pub http: bool,

    /// Limits of the API.
    #[command(flatten)]
    pub throttle: ThrottleOptions,
}

/// Options of `ddm control-plane`.
#[derive(Debug, Args)]
pub struct ControlPlaneOptions {
    /// Where the store, keys, certificates and the nodes' directories are kept
    #[arg(long, env = "DDM_DATA_DIR", default_value = "./ddm-data", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// Where the REST API listens; port 0 takes a free one
    #[arg(long, env = "DDM_API_LISTEN", default_value = "127.0.0.1:8635", value_parser = parse_listen, value_name = "HOST:PORT")]
    pub api_listen: SocketAddr,

    /// Loopback addresses from which nodes and instances get theirs
    #[arg(long, env = "DDM_NODE_SUBNET", default_value = "127.77.0.0/16", value_parser = parse_subnet, value_name = "CIDR")]
    pub node_subnet: Subnet,

    /// Serve the REST API over plain HTTP instead of HTTPS
    #[arg(long, env = "DDM_HTTP")]
    pub http: bool,

    /// Limits of the API.
    #[command(flatten)]
    pub throttle: ThrottleOptions,
}

/// How many calls the API takes.
#[derive(Clone, Copy, Debug, Args)]
pub struct ThrottleOptions {
    /// Calls of one operation by one user that are taken in a minute; 0: no limit
    #[arg(long, env = "DDM_API_CALLS_PER_MINUTE_USER", default_value_t = 60, value_name = "N")]
    pub user_calls_per_minute: u32,

    /// Calls of one operation that are taken in a minute; 0: no limit
    #[arg(long, env = "DDM_API_CALLS_PER_MINUTE_API", default_value_t = 8000, value_name = "N")]
    pub api_calls_per_minute: u32,
}

impl From<ThrottleOptions> for control_plane::Throttle {
    fn from(options: ThrottleOptions) -> Self {
        Self {
            per_user_minute: NonZeroU32::new(options.user_calls_per_minute),
            per_api_minute: NonZeroU32::new(options.api_calls_per_minute),
        }
    }
}

/// Options of `ddm node`.
#[derive(Debug, Args)]
pub struct NodeOptions {
    /// The node's configuration (TOML)
    #[arg(long, env = "DDM_NODE_CONFIG", value_name = "FILE")]
    pub config: PathBuf,
}

fn parse_log_format(text: &str) -> Result<LogFormat, String> {
    text.parse().map_err(|error: telemetry::logs::UnknownLogFormat| error.to_string())
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let mut addresses =
        text.to_socket_addrs().map_err(|error| format!("{error}; write HOST:PORT"))?;
    addresses.next().ok_or_else(|| "the host has no address".to_owned())
}

fn parse_subnet(text: &str) -> Result<Subnet, String> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_has_a_variable_and_a_help_text() {
        fn walk(command: &clap::Command) {
            for argument in command.get_arguments() {
                let id = argument.get_id().as_str();
                if matches!(id, "help" | "version") {
                    continue;
                }
                assert!(argument.get_help().is_some(), "{} {id}: no help", command.get_name());
                let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned());
                if !argument.is_positional() {
                    let named = variable.as_deref().is_some_and(|name| name.starts_with("DDM_"));
                    assert!(named, "{} --{id}: {variable:?}", command.get_name());
                }
            }
            command.get_subcommands().filter(|sub| sub.get_name() != "help").for_each(walk);
        }
        walk(&Cli::command());
    }
}
