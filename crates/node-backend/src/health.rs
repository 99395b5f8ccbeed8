//! What a data node's member says of itself: whether it may be written to and how far it lags.

use crate::connection::Connection;
use crate::error::BackendError;
use crate::query::{QueryResult, ResultSet};
use std::time::Duration;

/// "Syntax error": the server does not know the newer of the two spellings.
const SYNTAX_ERROR: u16 = 1064;

/// A member's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberHealth {
    /// Writes are refused.
    pub read_only: bool,
    /// Whether it replicates from another server.
    pub is_replica: bool,
    /// How far it is behind; unknown while replication does not run.
    pub lag: Option<Duration>,
}

/// Asks a member for its state.
pub async fn probe(connection: &mut Connection) -> Result<MemberHealth, BackendError> {
    let rows = connection.query(b"SELECT @@global.read_only").await?.into_rows();
    let read_only = rows.first().and_then(|row| row.text(0)).is_some_and(|value| value != "0");
    let status = match connection.query(b"SHOW REPLICA STATUS").await {
        Err(BackendError::Server(error)) if error.number == SYNTAX_ERROR => {
            connection.query(b"SHOW SLAVE STATUS").await?
        }
        status => status?,
    };
    let QueryResult::Rows(status) = status else {
        return Err(BackendError::Unexpected("a replication status without rows"));
    };
    Ok(MemberHealth { read_only, is_replica: !status.rows.is_empty(), lag: lag(&status) })
}

/// The seconds behind the primary, by either name of the column.
fn lag(status: &ResultSet) -> Option<Duration> {
    let names: [&[u8]; 2] = [b"Seconds_Behind_Master", b"Seconds_Behind_Source"];
    let column =
        status.columns.iter().position(|column| names.contains(&column.name.as_slice()))?;
    let seconds = status.rows.first()?.text(column)?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
