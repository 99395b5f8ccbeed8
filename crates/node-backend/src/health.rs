//! What a data node's member says of itself: whether it may be written to, whether it follows its
//! primary and how far it is behind, and how many connections it allows.

use crate::connection::Connection;
use crate::error::BackendError;
use crate::gtid::Gtids;
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

/// What a member says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its state.
    pub health: MemberHealth,
    /// Its transactions; nothing where they are not numbered.
    pub gtids: Gtids,
}

/// Its variables, in one statement that is none of those that are counted as reads.
const VARIABLES: &[u8] = b"SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', \
    'max_connections', 'gtid_binlog_state', 'gtid_slave_pos', 'gtid_executed')";

/// Asks a member for its state.
pub async fn probe(connection: &mut Connection) -> Result<Told, BackendError> {
    let rows = connection.query(VARIABLES).await?.into_rows();
    let variable = |name: &str| {
        let row = rows.iter().find(|row| row.text(0).is_some_and(|text| text == name));
        row.and_then(|row| row.text(1)).unwrap_or_default()
    };
    let read_only = !matches!(variable("read_only").as_str(), "OFF" | "0" | "");
    let connections_max = variable("max_connections").parse().ok();
    let gtids = match connection.is_mariadb() {
        true => Gtids::of_mariadb(&variable("gtid_binlog_state"), &variable("gtid_slave_pos")),
        false => Gtids::of_mysql(&variable("gtid_executed")),
    };
    let gtids = gtids.unwrap_or_default();
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
    let health = MemberHealth {
        read_only,
        connections_max,
        is_replica: !status.rows.is_empty(),
        runs: runs(["Slave_IO_Running", "Replica_IO_Running"])
            && runs(["Slave_SQL_Running", "Replica_SQL_Running"]),
        lag: text_of(&status, ["Seconds_Behind_Master", "Seconds_Behind_Source"])
            .and_then(|text| text.parse().ok())
            .map(Duration::from_secs),
    };
    Ok(Told { health, gtids })
}

/// Where whoever follows a promoted server leaves a mark. It replicates with everything else.
const MARK: &str = "`_ddm`.`primaries`";

/// No such table, no such database.
const MISSING: [u16; 2] = [1146, 1049];

/// The highest mark that a member has, and the server that it names.
pub type Mark = (u64, String);

/// Asks a member for its mark.
pub async fn mark(connection: &mut Connection) -> Result<Option<Mark>, BackendError> {
    let select = format!("SELECT generation, server FROM {MARK} ORDER BY generation DESC LIMIT 1");
    let rows = match connection.query(select.as_bytes()).await {
        Err(BackendError::Server(error)) if MISSING.contains(&error.number) => Vec::new(),
        rows => rows?.into_rows(),
    };
    Ok(rows.first().and_then(|row| Some((row.text(0)?.parse().ok()?, row.text(1)?))))
}

/// Leaves a mark on a member that is the primary from now on; whether it has it: another node may
/// have named another server by the same mark.
pub async fn leave_mark(
    connection: &mut Connection,
    generation: u64,
    server: &str,
) -> Result<bool, BackendError> {
    let server = server.replace(['\'', '\\'], "");
    for statement in [
        "CREATE DATABASE IF NOT EXISTS `_ddm`".to_owned(),
        format!(
            "CREATE TABLE IF NOT EXISTS {MARK} (generation BIGINT UNSIGNED NOT NULL PRIMARY KEY, \
             server VARCHAR(300) CHARACTER SET utf8mb4 NOT NULL, \
             made TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP) ENGINE=InnoDB"
        ),
        format!("INSERT IGNORE INTO {MARK} (generation, server) VALUES ({generation}, '{server}')"),
    ] {
        connection.execute_sql(statement.as_bytes()).await?;
    }
    let select = format!("SELECT server FROM {MARK} WHERE generation = {generation}");
    let rows = connection.query(select.as_bytes()).await?.into_rows();
    Ok(rows.first().and_then(|row| row.text(0)) == Some(server))
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
