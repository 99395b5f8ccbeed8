//! What can go wrong while a plan runs, and how each becomes the one error packet that a client
//! gets: a data node's own error keeps its number and SQLSTATE, everything else is in the catalogue.

use base::sql_error::{self, SqlError, SqlErrorCode};
use mysql_wire::error::DecodeError;
use mysql_wire::packet::ErrPacket;
use node_backend::error::BackendError;

/// Why a plan did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// An error of ours.
    #[error("{0}")]
    Sql(#[from] SqlError),
    /// A data node's error, names already logical.
    #[error("{0}")]
    Server(ErrPacket),
    /// A data node could not be used.
    #[error("{0}")]
    Backend(BackendError),
    /// The client's socket failed: nothing can be told to it.
    #[error("the client is gone: {0}")]
    Client(std::io::Error),
    /// The answer is sent in part already, so no error packet can follow: the connection must end.
    #[error("a result broke off in its middle: {0}")]
    BrokenOff(String),
}

impl From<BackendError> for ExecError {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::Server(packet) => ExecError::Server(packet),
            other => ExecError::Backend(other),
        }
    }
}

impl From<DecodeError> for ExecError {
    fn from(error: DecodeError) -> Self {
        ExecError::Backend(BackendError::Protocol(error))
    }
}

/// An error of the catalogue, as an [`ExecError`].
pub fn sql(code: SqlErrorCode, message: impl Into<String>) -> ExecError {
    ExecError::Sql(SqlError::new(code, message))
}

/// What a server says to the session whose transaction it has rolled back for a deadlock.
pub fn deadlock() -> ExecError {
    let text = "Deadlock found when trying to get lock; try restarting transaction";
    ExecError::Server(catalogue_packet(sql_error::DEADLOCK, text))
}

impl ExecError {
    /// The packet for the client.
    pub fn packet(&self) -> ErrPacket {
        match self {
            ExecError::Sql(error) => catalogue_packet(error.code, &error.message),
            ExecError::Server(packet) => packet.clone(),
            ExecError::Backend(error) => backend_packet(error),
            ExecError::Client(error) => {
                catalogue_packet(sql_error::UNKNOWN_ERROR, &error.to_string())
            }
            ExecError::BrokenOff(reason) => {
                catalogue_packet(sql_error::BACKEND_CONNECTION_LOST, reason)
            }
        }
    }

    /// The data node's error number, if it is one's.
    pub fn server_number(&self) -> Option<u16> {
        match self {
            ExecError::Server(packet) => Some(packet.number),
            _ => None,
        }
    }
}

/// The packet of an error of the catalogue.
pub fn catalogue_packet(code: SqlErrorCode, message: &str) -> ErrPacket {
    ErrPacket {
        number: code.number,
        sqlstate: *code.sqlstate,
        message: message.as_bytes().to_vec(),
    }
}

fn backend_packet(error: &BackendError) -> ErrPacket {
    let code = match error {
        BackendError::Server(packet) => return packet.clone(),
        BackendError::PoolExhausted { .. } => sql_error::BACKEND_CONNECTIONS_EXHAUSTED,
        BackendError::Closed { .. } => sql_error::BACKEND_CONNECTION_LOST,
        BackendError::Unreachable { .. }
        | BackendError::Down { .. }
        | BackendError::Timeout { .. } => sql_error::DATA_NODE_UNREACHABLE,
        BackendError::AuthFailed { .. } | BackendError::AuthUnsupported { .. } => {
            sql_error::DATA_NODE_UNREACHABLE
        }
        BackendError::LocalFilesOff { .. } => sql_error::NOT_ALLOWED,
        BackendError::ResultTooLarge { .. } => sql_error::TEMP_TABLE_LIMIT,
        BackendError::Protocol(_) | BackendError::Unexpected(_) => {
            sql_error::BACKEND_CONNECTION_LOST
        }
    };
    match error {
        BackendError::AuthFailed { source, .. } => {
            catalogue_packet(code, &format!("{error} (error {})", source.number))
        }
        _ => catalogue_packet(code, &error.to_string()),
    }
}
