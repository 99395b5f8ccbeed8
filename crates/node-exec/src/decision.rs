//! The decision of a distributed commit: one row on a data node that takes part (the first one
//! touched, named in every branch's id, so that whoever finds a prepared branch knows where to
//! look). The row's primary key settles every race: the coordinator writes `commit`, a recoverer
//! that gives the coordinator up writes `rollback`, and whichever row is there first is the truth.

use crate::backends::BackendNode;
use crate::error::{ExecError, sql};
use base::id::{DataNodeId, NodeId};
use base::sql_error;
use node_backend::query::QueryResult;
use std::time::{Duration, Instant};

/// Our own database on data nodes.
pub const OWN_DATABASE: &str = "_ddm";

/// What every id of ours begins with.
const PREFIX: &str = "ddm-";

/// A decision that cannot be written is tried again for so long.
const DECIDE_FOR: Duration = Duration::from_secs(10);

const DECIDE_PAUSE: Duration = Duration::from_millis(200);

/// Decision rows without branches are kept so long for coordinators that stalled.
const KEEP_HOURS: u32 = 1;

/// What became, or is to become, of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everywhere.
    Commit,
    /// Nowhere.
    Rollback,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Commit => "commit",
            Verdict::Rollback => "rollback",
        }
    }
}

/// A global transaction id: whose, when the process started, which.
pub fn gtrid(node_id: &NodeId, started_unix: u64, number: u64) -> String {
    format!("{PREFIX}{node_id}-{started_unix:x}-{number:x}")
}

/// The id of a branch as XA statements have it. The second part names the data node that holds the
/// decision.
pub fn xid(gtrid: &str, home: &DataNodeId, branch: usize) -> String {
    format!("'{gtrid}','{home}-{branch}',1")
}

/// A branch of ours in a data node's list of prepared ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The transaction.
    pub gtrid: String,
    /// Where its decision is.
    pub home: DataNodeId,
    /// The whole id, for XA statements.
    pub xid: String,
}

impl Prepared {
    /// Reads a row of XA RECOVER: format, lengths, and both parts in one text.
    pub fn parse(gtrid_length: usize, bqual_length: usize, data: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(data).ok()?;
        if text.len() != gtrid_length + bqual_length || !text.is_char_boundary(gtrid_length) {
            return None;
        }
        let (gtrid, bqual) = text.split_at(gtrid_length);
        if !gtrid.starts_with(PREFIX) || text.contains('\'') || text.contains('\\') {
            return None;
        }
        let (home, _) = bqual.rsplit_once('-')?;
        let home = DataNodeId::parse(home)?;
        Some(Self { gtrid: gtrid.to_owned(), home, xid: format!("'{gtrid}','{bqual}',1") })
    }

    /// Whether a process of this node began it.
    pub fn is_of(&self, node_id: &NodeId) -> bool {
        self.gtrid.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with(node_id.as_str()))
    }
}

const CREATE_DATABASE: &str = "CREATE DATABASE IF NOT EXISTS `_ddm`";
const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS `_ddm`.`decisions` (\
    gtrid VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, \
    verdict VARCHAR(8) CHARACTER SET ascii NOT NULL, \
    made TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP) ENGINE=InnoDB";

/// No such table, no such database.
const MISSING: [u16; 2] = [1146, 1049];

/// Settles what becomes of a transaction: the first verdict written is the answer for everybody.
/// Tries again while the data node cannot be asked, up to a bound.
pub async fn decide(
    home: &BackendNode,
    gtrid: &str,
    wanted: Verdict,
) -> Result<Verdict, ExecError> {
    let until = Instant::now() + DECIDE_FOR;
    loop {
        match try_decide(home, gtrid, wanted).await {
            Ok(verdict) => return Ok(verdict),
            Err(error) if Instant::now() >= until => return Err(error),
            Err(error) => {
                tracing::warn!(%error, gtrid, "the decision of a transaction cannot be written yet");
                tokio::time::sleep(DECIDE_PAUSE).await;
            }
        }
    }
}

async fn try_decide(
    home: &BackendNode,
    gtrid: &str,
    wanted: Verdict,
) -> Result<Verdict, ExecError> {
    let mut lease = home.own_lease().await?;
    let insert = format!(
        "INSERT IGNORE INTO `_ddm`.`decisions` (gtrid, verdict) VALUES ('{gtrid}', '{}')",
        wanted.word()
    );
    if let Err(error) = lease.execute_sql(insert.as_bytes()).await {
        let missing = error.server().is_some_and(|server| MISSING.contains(&server.number));
        if !missing {
            return Err(error.into());
        }
        lease.execute_sql(CREATE_DATABASE.as_bytes()).await?;
        lease.execute_sql(CREATE_TABLE.as_bytes()).await?;
        lease.execute_sql(insert.as_bytes()).await?;
    }
    let select = format!("SELECT verdict FROM `_ddm`.`decisions` WHERE gtrid = '{gtrid}'");
    match lease.query(select.as_bytes()).await? {
        QueryResult::Rows(set) => match set.rows.first().and_then(|row| row.get(0)) {
            Some(b"commit") => Ok(Verdict::Commit),
            Some(b"rollback") => Ok(Verdict::Rollback),
            _ => Err(sql(sql_error::UNKNOWN_ERROR, "a decision was written and is not there")),
        },
        QueryResult::Ok(_) => Err(sql(sql_error::UNKNOWN_ERROR, "a SELECT gave no rows")),
    }
}

/// Removes a decision that nobody needs any longer. When it cannot be removed it is found by
/// [`sweep`] later.
pub async fn forget(home: &BackendNode, gtrid: &str) {
    let forgetting = async {
        let mut lease = home.own_lease().await?;
        let delete = format!("DELETE FROM `_ddm`.`decisions` WHERE gtrid = '{gtrid}'");
        lease.execute_sql(delete.as_bytes()).await?;
        Ok::<(), ExecError>(())
    };
    if let Err(error) = forgetting.await {
        tracing::debug!(%error, gtrid, "a decision that is done with stays until it is swept");
    }
}

/// Removes old decisions, except those of `prepared` transactions.
pub async fn sweep(node: &BackendNode, prepared: &[Prepared]) -> Result<(), ExecError> {
    let mut lease = node.own_lease().await?;
    let keep: Vec<String> = prepared.iter().map(|one| format!("'{}'", one.gtrid)).collect();
    let condition = if keep.is_empty() {
        String::new()
    } else {
        format!(" AND gtrid NOT IN ({})", keep.join(","))
    };
    let delete = format!(
        "DELETE FROM `_ddm`.`decisions` WHERE made < NOW() - INTERVAL {KEEP_HOURS} HOUR{condition} LIMIT 1000"
    );
    match lease.execute_sql(delete.as_bytes()).await {
        Err(error) if error.server().is_some_and(|server| MISSING.contains(&server.number)) => {
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_fit_xa_and_come_back() {
        let node = NodeId::from_random([0xee; 16]);
        let home = DataNodeId::from_random([0xdd; 16]);
        let gtrid = gtrid(&node, 0xFFFF_FFFF, 0xFFFF_FFFF);
        assert!(gtrid.len() <= 64, "{}", gtrid.len());
        let bqual = format!("{home}-255");
        assert!(bqual.len() <= 64);
        let data = format!("{gtrid}{bqual}");
        let found = Prepared::parse(gtrid.len(), bqual.len(), data.as_bytes()).unwrap();
        assert_eq!(found.home, home);
        assert_eq!(found.xid, xid(&gtrid, &home, 255));
        assert!(found.is_of(&node) && !found.is_of(&NodeId::from_random([1; 16])));
        assert_eq!(Prepared::parse(1, 1, b"xy"), None);
        assert_eq!(Prepared::parse(9, 1, data.as_bytes()), None);
    }
}
