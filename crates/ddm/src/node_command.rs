//! `ddm node`: one node with the configuration in a file.

use crate::cli::NodeOptions;
use anyhow::{Context, Result};
use node::NodeConfig;
use telemetry::logs::{self, LogFormat};

/// Runs the node until it is told to stop.
pub fn run(options: NodeOptions, log_format: LogFormat) -> Result<()> {
    logs::init(log_format, logs::DEFAULT_FILTER);
    let config = NodeConfig::from_file(&options.config)?;
    node::run(config).context("the node cannot serve")
}
