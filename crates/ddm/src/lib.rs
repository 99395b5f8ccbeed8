//! The subcommands of `ddm`: `up` (the whole system on this machine), `control-plane`, `node`, and
//! `ctl` (a client of the REST API for people). Each reads its options and calls the library that
//! does the work; what a person sees (progress, tables, errors with advice) is here and only here.
#![allow(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
mod control_plane_command;
mod ctl;
mod node_command;
mod rest;
mod up;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

/// The exit code of a failed operation; clap uses 2 for bad usage.
const FAILED: u8 = 1;

/// Runs the program with its command line.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    // Fails only when a provider is there already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let outcome = match cli.command {
        Command::Up(options) => up::run(options, cli.log_format),
        Command::ControlPlane(options) => control_plane_command::run(options, cli.log_format),
        Command::Node(options) => node_command::run(options, cli.log_format),
        Command::Ctl(options) => ctl::run(*options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ddm: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}
