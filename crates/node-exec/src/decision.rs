//! The decision of a distributed commit: one row on a data node that takes part (the first one
//! touched, named in every other branch's id, so that whoever finds a prepared branch knows where to
//! look). The row is a part of that data node's own transaction, so it is there from the moment on at
//! which this one is committed. Who gives a coordinator up, or lost its answer, writes `rollback`
//! under the same key: as long as the commit may still come he waits for it, and then the row that
//! is there is the truth for everybody.

use crate::backends::BackendNode;
use crate::error::{ExecError, sql};
use base::id::{DataNodeId, NodeId};
use base::sql_error;
use node_backend::error::BackendError;
use node_backend::pool::Lease;
use node_backend::query::QueryResult;
use std::time::Duration;
use tokio::time::Instant;

/// Our own database on data nodes.
pub const OWN_DATABASE: &str = "_ddm";

/// What every id of ours begins with.
const PREFIX: &str = "ddm-";

/// A data node that cannot be asked is asked again for so long.
const SETTLE_FOR: Duration = Duration::from_secs(10);

const SETTLE_PAUSE: Duration = Duration::from_millis(200);

/// A commit that may still come is awaited so long before its connection is closed; so often its
/// connection is looked for, until the row's wait is over.
const HOLDER_MAY_FINISH: Duration = Duration::from_millis(500);

/// So many seconds a row is awaited at once.
const ROW_WAIT_SECONDS: u32 = 2;

/// What became, or is to become, of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everywhere.
    Commit,
    /// Nowhere.
    Rollback,
}

/// A global transaction id: whose, when the process started (to the millisecond, lest one that is
/// started again at once has ids of the one before), which.
pub fn gtrid(node_id: &NodeId, started_unix_ms: u64, number: u64) -> String {
    format!("{PREFIX}{node_id}-{started_unix_ms:x}-{number:x}")
}

/// The id of a branch as XA statements have it. The second part names the data node that holds the
/// decision; the third, a number without a meaning to data nodes, is the connection's on which the
/// branch began, which is to be closed when nobody can reach it any more.
pub fn xid(gtrid: &str, home: &DataNodeId, branch: usize, connection: u32) -> String {
    format!("'{gtrid}','{home}-{branch}',{connection}")
}

/// A branch of ours in a data node's list of prepared ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The transaction.
    pub gtrid: String,
    /// Where its decision is.
    pub home: DataNodeId,
    /// The connection on which it began.
    pub connection: u32,
    /// The whole id, for XA statements.
    pub xid: String,
}

impl Prepared {
    /// Reads a row of XA RECOVER: format, lengths, and both parts in one text.
    pub fn parse(
        format: u32,
        gtrid_length: usize,
        bqual_length: usize,
        data: &[u8],
    ) -> Option<Self> {
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
        let xid = format!("'{gtrid}','{bqual}',{format}");
        Some(Self { gtrid: gtrid.to_owned(), home, connection: format, xid })
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

/// Whether the table is not there yet.
pub fn is_missing(error: &BackendError) -> bool {
    error.server().is_some_and(|server| MISSING.contains(&server.number))
}

/// Makes the table, by a connection of its own: a transaction that waits for it goes on.
pub async fn make_table(node: &BackendNode) -> Result<(), ExecError> {
    let mut lease = node.own_lease().await?;
    lease.execute_sql(CREATE_DATABASE.as_bytes()).await?;
    lease.execute_sql(CREATE_TABLE.as_bytes()).await?;
    Ok(())
}

/// The statement that makes the decision a part of the home's transaction. The session is a client's,
/// which may have a clock of its own: hence not NOW().
pub fn commit_row(gtrid: &str) -> String {
    format!(
        "INSERT INTO `_ddm`.`decisions` (gtrid, verdict, made) VALUES ('{gtrid}', 'commit', SYSDATE())"
    )
}

/// Settles what becomes of a transaction whose coordinator is gone or has lost its answer: it is
/// rolled back unless it is committed. Tries again while the data node cannot be asked, up to a bound.
pub async fn settle(home: &BackendNode, gtrid: &str) -> Result<Verdict, ExecError> {
    let until = Instant::now() + SETTLE_FOR;
    loop {
        match try_settle(home, gtrid).await {
            Ok(verdict) => return Ok(verdict),
            // Where another server is the primary by now, recovery settles it there.
            Err(error) if Instant::now() >= until || home.has_moved() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, gtrid, "what becomes of a transaction cannot be settled yet");
                tokio::time::sleep(SETTLE_PAUSE).await;
            }
        }
    }
}

async fn try_settle(home: &BackendNode, gtrid: &str) -> Result<Verdict, ExecError> {
    let mut lease = home.own_lease().await?;
    lease.mark_dirty();
    let wait = format!("SET innodb_lock_wait_timeout = {ROW_WAIT_SECONDS}");
    lease.execute_sql(wait.as_bytes()).await?;
    match insert_when_free(home, &mut lease, gtrid).await {
        Err(error) if is_missing(&error) => {
            make_table(home).await?;
            insert_when_free(home, &mut lease, gtrid).await?;
        }
        outcome => outcome?,
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

/// Writes the row. While the home's transaction is open the data node lets nobody write it; when
/// that lasts, its connection belongs to a coordinator that cannot be reached, and is closed: then
/// its data node rolls it back, unless its commit is under way, which goes on to its end.
async fn insert_when_free(
    home: &BackendNode,
    lease: &mut Lease,
    gtrid: &str,
) -> Result<(), BackendError> {
    let waiting = lease.thread_id();
    let insert = format!(
        "INSERT IGNORE INTO `_ddm`.`decisions` (gtrid, verdict) VALUES ('{gtrid}', 'rollback')"
    );
    let mut written = std::pin::pin!(lease.execute_sql(insert.as_bytes()));
    loop {
        if let Ok(done) = tokio::time::timeout(HOLDER_MAY_FINISH, &mut written).await {
            return done.map(|_| ());
        }
        if let Err(error) = close_holder(home, waiting, gtrid).await {
            tracing::debug!(%error, "who holds a decision cannot be told");
        }
    }
}

/// Closes the connection of the transaction that has written the row and is open.
async fn close_holder(home: &BackendNode, waiting: u32, gtrid: &str) -> Result<(), ExecError> {
    let holders = format!(
        "SELECT DISTINCT b.trx_mysql_thread_id FROM information_schema.innodb_lock_waits w \
         JOIN information_schema.innodb_trx r ON r.trx_id = w.requesting_trx_id \
         JOIN information_schema.innodb_trx b ON b.trx_id = w.blocking_trx_id \
         WHERE r.trx_mysql_thread_id = {waiting} AND b.trx_state = 'RUNNING' AND b.trx_mysql_thread_id > 0"
    );
    let mut lease = home.own_lease().await?;
    lease.execute_sql(b"SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED").await?;
    let row = format!("SELECT 1 FROM `_ddm`.`decisions` WHERE gtrid = '{gtrid}'");
    if lease.query(row.as_bytes()).await?.into_rows().is_empty() {
        // Somebody else is in the way, and not for long.
        return Ok(());
    }
    let QueryResult::Rows(set) = lease.query(holders.as_bytes()).await? else { return Ok(()) };
    for row in &set.rows {
        let Some(thread) = row.text(0) else { continue };
        tracing::warn!(thread, data_node = %home.definition.name, "closing a connection that holds a decision");
        lease.execute_sql(format!("KILL CONNECTION {thread}").as_bytes()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_fit_xa_and_come_back() {
        let node = NodeId::from_random([0xee; 16]);
        let home = DataNodeId::from_random([0xdd; 16]);
        let gtrid = gtrid(&node, 0xFFF_FFFF_FFFF, 0xFFFF_FFFF);
        assert!(gtrid.len() <= 64, "{}", gtrid.len());
        let bqual = format!("{home}-255");
        assert!(bqual.len() <= 64);
        let data = format!("{gtrid}{bqual}");
        let found = Prepared::parse(77, gtrid.len(), bqual.len(), data.as_bytes()).unwrap();
        assert_eq!(found.home, home);
        assert_eq!((&found.xid, found.connection), (&xid(&gtrid, &home, 255, 77), 77));
        assert!(found.is_of(&node) && !found.is_of(&NodeId::from_random([1; 16])));
        assert_eq!(Prepared::parse(1, 1, 1, b"xy"), None);
        assert_eq!(Prepared::parse(1, 9, 1, data.as_bytes()), None);
    }
}
