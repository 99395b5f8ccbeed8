//! Where and how to connect.

use crate::dial::Dialler;
use crate::session_state::SessionState;
use base::secret::Secret;
use std::sync::Arc;
use std::time::Duration;

/// A login takes at most this long, the connecting included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest row or packet that is put together in memory.
const MAX_PACKET_BYTES: usize = 1 << 30;

/// Where and how to connect to a data node.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Account.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// The first current database.
    pub database: Option<String>,
    /// Affected rows count matched rows; must be what the client asked for.
    pub found_rows: bool,
    /// Rows end with an OK packet instead of EOF packets, where the server can.
    pub deprecate_eof: bool,
    /// OK packets tell of changed session state, where the server can.
    pub session_track: bool,
    /// The server may ask for files (LOAD DATA LOCAL).
    pub local_files: bool,
    /// Several statements in one text.
    pub multi_statements: bool,
    /// Connection attributes beside our own.
    pub attributes: Vec<(String, String)>,
    /// Bound of connecting and logging in.
    pub connect_timeout: Duration,
    /// Bound of waiting for the next bytes of an answer; none for statements that may run long.
    pub read_idle_timeout: Option<Duration>,
    /// Bound of one row or packet that is put together in memory.
    pub max_packet: usize,
    /// Session state that each fresh connection gets.
    pub session: Arc<SessionState>,
    /// Who opens its streams.
    pub dialler: Dialler,
}

impl ConnectOptions {
    /// Options with the usual choices: DEPRECATE_EOF, several statements, five seconds.
    pub fn new(
        host: impl Into<String>,
        port: u16,
        user: impl Into<String>,
        password: Secret,
    ) -> Self {
        Self {
            host: host.into(),
            port,
            user: user.into(),
            password,
            database: None,
            found_rows: false,
            deprecate_eof: true,
            session_track: false,
            local_files: true,
            multi_statements: true,
            attributes: Vec::new(),
            connect_timeout: CONNECT_TIMEOUT,
            read_idle_timeout: None,
            max_packet: MAX_PACKET_BYTES,
            session: Arc::default(),
            dialler: None,
        }
    }

    /// Host and port as text.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}
