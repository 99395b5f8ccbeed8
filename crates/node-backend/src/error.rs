//! What can go wrong with a data node, by what the caller can do about it.

use base::error_kind::ErrorKind;
use mysql_wire::DecodeError;
use mysql_wire::packet::ErrPacket;
use std::io;
use std::time::Duration;

/// A failure of a connection or pool.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// No connection could be made.
    #[error("data node {address} cannot be reached")]
    Unreachable {
        /// Host and port.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The data node refused the account.
    #[error("data node {address} refused the login")]
    AuthFailed {
        /// Host and port.
        address: String,
        /// What it said.
        source: ErrPacket,
    },
    /// The data node wants a way of logging in that we do not have.
    #[error("data node {address} cannot be logged in to: {reason}")]
    AuthUnsupported {
        /// Host and port.
        address: String,
        /// What is missing and what to do.
        reason: String,
    },
    /// The data node answered with an error; the connection is still good.
    #[error(transparent)]
    Server(ErrPacket),
    /// The data node's bytes break the protocol; the connection is lost.
    #[error(transparent)]
    Protocol(#[from] DecodeError),
    /// The call does not fit what the connection is doing.
    #[error("connection used out of turn: {0}")]
    Unexpected(&'static str),
    /// Nothing came in time; the connection is lost.
    #[error("data node {address} took longer than {after:?} to {doing}")]
    Timeout {
        /// Host and port.
        address: String,
        /// What was awaited.
        doing: &'static str,
        /// The limit.
        after: Duration,
    },
    /// All connections are in use and stayed so.
    #[error("all {limit} connections to data node {address} are in use")]
    PoolExhausted {
        /// Host and port.
        address: String,
        /// The pool's size.
        limit: usize,
    },
    /// The data node did not answer a moment ago; the next try comes soon.
    #[error("data node {address} is down: {reason}")]
    Down {
        /// Host and port.
        address: String,
        /// The last failure.
        reason: String,
    },
    /// The data node closed the connection, or it broke.
    #[error("connection to data node {address} was lost")]
    Closed {
        /// Host and port.
        address: String,
        /// What the system said, if anything.
        source: Option<io::Error>,
    },
    /// The data node takes no LOAD DATA LOCAL; the connection is still good.
    #[error("LOAD DATA LOCAL needs local_infile=ON on data node {address}, where it is OFF")]
    LocalFilesOff {
        /// Host and port.
        address: String,
    },
    /// An answer is larger than the caller's bound; the rest was left unread.
    #[error("answer is larger than the limit of {limit} bytes")]
    ResultTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

impl BackendError {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            BackendError::Server(_) => ErrorKind::User,
            BackendError::PoolExhausted { .. } | BackendError::ResultTooLarge { .. } => {
                ErrorKind::Limit
            }
            BackendError::Unexpected(_) => ErrorKind::Internal,
            _ => ErrorKind::Dependency,
        }
    }

    /// The data node's own error, if it is one.
    pub fn server(&self) -> Option<&ErrPacket> {
        match self {
            BackendError::Server(error) | BackendError::AuthFailed { source: error, .. } => {
                Some(error)
            }
            _ => None,
        }
    }

    /// Whether the data node itself seems to be away, so that trying again at once is in vain.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            BackendError::Unreachable { .. }
                | BackendError::Timeout { .. }
                | BackendError::Down { .. }
        )
    }

    /// Whether the connection on which it happened can be used further.
    pub fn keeps_connection(&self) -> bool {
        matches!(
            self,
            BackendError::Server(_)
                | BackendError::Unexpected(_)
                | BackendError::LocalFilesOff { .. }
        )
    }
}
