//! What can go wrong while something is made, started or stopped on this machine.

use base::error_kind::ErrorKind;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A failed operation on this machine's processes or files.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// A file or directory refuses.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// A verb: "write", "make".
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program is not on this machine.
    #[error("the program {} is missing; install it or give the right path", program.display())]
    ProgramMissing {
        /// Its path.
        program: PathBuf,
    },
    /// The process did not start.
    #[error("{name} did not start: {reason}")]
    Start {
        /// What was started.
        name: String,
        /// Why not.
        reason: String,
    },
    /// Clients cannot be kept waiting.
    #[error("cannot keep clients of {address} waiting")]
    Hold {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The process lives after SIGKILL: it hangs in the kernel.
    #[error("{name} (process {pid}) does not end, not even on SIGKILL; look for a hanging disk")]
    NotStopped {
        /// What was stopped.
        name: String,
        /// Its process.
        pid: i32,
    },
    /// A configuration that cannot be written.
    #[error("the configuration of {name} cannot be written: {reason}")]
    BadConfig {
        /// Whose.
        name: String,
        /// Why.
        reason: String,
    },
}

impl ProvisionError {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            ProvisionError::BadConfig { .. } => ErrorKind::Internal,
            _ => ErrorKind::Dependency,
        }
    }

    /// For `map_err` on file operations.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| ProvisionError::Io { doing, path, source }
    }
}
