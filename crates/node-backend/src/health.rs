//! What a data node's member says of itself: whether it may be written to, whether it follows its
//! primary and how far it is behind, and how many connections it allows.

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
    /// How many connections it allows in all.
    pub connections_max: Option<usize>,
    /// Whether it replicates from another server.
    pub is_replica: bool,
    /// Both threads of the replication run.
    pub runs: bool,
    /// How far it is behind; unknown while replication does not run.
    pub lag: Option<Duration>,
}

impl MemberHealth {
    /// Why a replica in this state takes no reads, if it takes none.
    pub fn unfit(&self, lag_max: Duration) -> Option<&'static str> {
        match self.lag {
            _ if !self.is_replica => Some("it replicates from no server"),
            _ if !self.runs => Some("its replication does not run"),
            None => Some("its lag is not known"),
            Some(lag) if lag > lag_max => Some("it lags by more than seconds_behind_master"),
            Some(_) => None,
        }
    }
}

/// Asks a member for its state.
pub async fn probe(connection: &mut Connection) -> Result<MemberHealth, BackendError> {
    let asked = b"SELECT @@global.read_only, @@global.max_connections";
    let rows = connection.query(asked).await?.into_rows();
    let first = rows.first();
    let read_only = first.and_then(|row| row.text(0)).is_some_and(|value| value != "0");
    let connections_max = first.and_then(|row| row.text(1)).and_then(|text| text.parse().ok());
    let status = match connection.query(b"SHOW REPLICA STATUS").await {
        Err(BackendError::Server(error)) if error.number == SYNTAX_ERROR => {
            connection.query(b"SHOW SLAVE STATUS").await?
        }
        status => status?,
    };
    let QueryResult::Rows(status) = status else {
        return Err(BackendError::Unexpected("a replication status without rows"));
    };
    let runs = |names| text_of(&status, names).is_some_and(|text| text == "Yes");
    Ok(MemberHealth {
        read_only,
        connections_max,
        is_replica: !status.rows.is_empty(),
        runs: runs(["Slave_IO_Running", "Replica_IO_Running"])
            && runs(["Slave_SQL_Running", "Replica_SQL_Running"]),
        lag: text_of(&status, ["Seconds_Behind_Master", "Seconds_Behind_Source"])
            .and_then(|text| text.parse().ok())
            .map(Duration::from_secs),
    })
}

/// A column by either of its names.
fn text_of(status: &ResultSet, names: [&str; 2]) -> Option<String> {
    let named = |name: &[u8]| names.iter().any(|one| one.as_bytes() == name);
    let column = status.columns.iter().position(|column| named(&column.name))?;
    status.rows.first()?.text(column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_replica_that_follows_closely_is_fit() {
        let fit = MemberHealth {
            read_only: true,
            connections_max: Some(151),
            is_replica: true,
            runs: true,
            lag: Some(Duration::from_secs(30)),
        };
        let most = Duration::from_secs(30);
        assert_eq!(fit.unfit(most), None);
        assert!(fit.unfit(Duration::from_secs(29)).is_some());
        for unfit in [
            MemberHealth { is_replica: false, ..fit },
            MemberHealth { runs: false, ..fit },
            MemberHealth { lag: None, ..fit },
        ] {
            assert!(unfit.unfit(most).is_some(), "{unfit:?}");
        }
    }
}
