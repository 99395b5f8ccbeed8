//! `ddm control-plane`: the control plane alone, with the store in a file; data nodes are registered
//! by hand, nodes are child processes of this machine.

use crate::cli;
use crate::up::{DataDir, StopSignal, check_port};
use anyhow::{Context, Result};
use control_plane::{ControlPlane, ControlPlaneOptions};
use provision::SqlDataNodeAdmin;
use provision::process_nodes::ProcessProvisioner;
use std::sync::Arc;
use telemetry::logs::{self, LogFormat};

/// Runs it until it is told to stop. Nodes run on: they serve without a control plane.
pub fn run(options: cli::ControlPlaneOptions, log_format: LogFormat) -> Result<()> {
    logs::init(log_format, logs::DEFAULT_FILTER);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(options))
}

async fn serve(options: cli::ControlPlaneOptions) -> Result<()> {
    let stop = StopSignal::listen()?;
    let dir = DataDir::open(&options.data_dir)?;
    check_port(options.api_listen)?;
    let binary = std::env::current_exe().context("cannot find the program's own file")?;
    let provisioner = Arc::new(ProcessProvisioner::new(binary, dir.path().to_owned()));
    let plane = ControlPlaneOptions {
        data_dir: dir.path().to_owned(),
        api_listen: options.api_listen,
        http: options.http,
        node_subnet: (options.node_subnet.network, options.node_subnet.prefix),
        provisioner,
        data_node_admin: Arc::new(SqlDataNodeAdmin::new()),
    };
    let started = ControlPlane::start_with(plane, options.throttle.into()).await;
    let plane = started.context("cannot start the control plane")?;
    dir.write("endpoints.json", format!("{:#}\n", crate::up::endpoints_of(&plane)).as_bytes())?;
    tracing::info!(api = %plane.endpoints().api, data_dir = %dir.path().display(), "the control plane serves");
    stop.wait().await;
    plane.shutdown().await;
    Ok(())
}
