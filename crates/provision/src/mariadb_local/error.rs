//! What can go wrong with local MariaDB servers, in words that say what to do.

use crate::data_node_admin::AdminError;
use crate::error::ProvisionError;
use std::path::PathBuf;

/// A failure of the local data nodes.
#[derive(Debug, thiserror::Error)]
pub enum LocalMariaDbError {
    /// MariaDB is not installed.
    #[error(
        "no MariaDB server found: {program} is neither on PATH nor in the usual places; install it \
         (Debian and Ubuntu: `apt-get install mariadb-server`), or give `--data-nodes 0` and \
         register servers of your own"
    )]
    NotInstalled {
        /// The missing program.
        program: &'static str,
    },
    /// More than one machine should carry.
    #[error("at most {most} {what} can be made on one machine")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        most: u32,
    },
    /// No free port.
    #[error(
        "no free port found from {from} upwards; free one, or stop programs that are not needed"
    )]
    NoFreePort {
        /// The first port tried.
        from: u16,
    },
    /// The server's own port is taken by another program.
    #[error(
        "port {port} of {name} is in use by another program; stop that program, or change \
         \"port\" in {}", record.display()
    )]
    PortInUse {
        /// Whose port.
        name: String,
        /// Which.
        port: u16,
        /// Where it is written.
        record: PathBuf,
    },
    /// A record of an unknown form.
    #[error("{} cannot be understood: {reason}; it is from a newer version, or was changed by hand", path.display())]
    BadRecord {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Making the data directory failed.
    #[error("{name} cannot be made: {step} failed:\n{output}")]
    Bootstrap {
        /// Which server.
        name: String,
        /// The program.
        step: &'static str,
        /// The end of what it said.
        output: String,
    },
    /// The server ended or does not answer.
    #[error("{name} did not start ({reason}); the end of {}:\n{output}", log.display())]
    NotStarted {
        /// Which server.
        name: String,
        /// What was seen.
        reason: String,
        /// Its log.
        log: PathBuf,
        /// The log's end.
        output: String,
    },
    /// The replica does not replicate.
    #[error("the replica {name} does not follow its primary: {reason}")]
    Replication {
        /// Which server.
        name: String,
        /// What it says.
        reason: String,
    },
    /// A statement failed.
    #[error("{name} refuses its administrator: {source}")]
    Admin {
        /// Which server.
        name: String,
        /// Why.
        source: AdminError,
    },
    /// Files or processes.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
}
