//! Recovery of distributed transactions: every few seconds each node reads every data node's list
//! of prepared branches and finishes those whose coordinator is gone, by the decision on their home
//! data node. Any number of nodes may do so at once: the decision row's key makes them agree. The home
//! itself has no prepared branch: its transaction ended with its connection, or is ended then.

use crate::backends::{BackendNode, Backends};
use crate::decision::{self, Prepared, Verdict};
use crate::decision_cleanup;
use crate::error::{ExecError, sql};
use crate::in_flight::InFlight;
use base::id::NodeId;
use base::sql_error;
use node_backend::error::BackendError;
use node_backend::query::{QueryResult, Row};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// How often the lists are read.
pub const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Another node's branch that stays prepared so long has lost its coordinator. A coordinator that
/// was only slow finds the `rollback` decision and obeys it.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

/// XAER_NOTA: a branch that is not prepared, or that another connection has.
const UNKNOWN_XID: u16 = 1397;

/// How often old decisions are removed, in rounds of looking.
const SWEEP_EVERY_ROUNDS: u64 = 100;

/// What one node remembers between rounds.
#[derive(Debug)]
pub struct Recovery {
    node_id: NodeId,
    in_flight: InFlight,
    first_seen: HashMap<String, Instant>,
    rounds: u64,
}

impl Recovery {
    /// Nothing seen yet.
    pub fn new(node_id: NodeId, in_flight: InFlight) -> Self {
        Self { node_id, in_flight, first_seen: HashMap::new(), rounds: 0 }
    }

    /// One round over all data nodes; answers how many branches it finished.
    pub async fn round(&mut self, backends: &Backends) -> u64 {
        self.rounds += 1;
        let mut finished = 0;
        let mut seen = HashMap::new();
        let mut everywhere = Vec::new();
        let mut heard_all = true;
        for node in backends.all() {
            let prepared = match prepared_on(&node).await {
                Ok(prepared) => prepared,
                Err(error) => {
                    tracing::debug!(%error, data_node = %node.definition.name, "XA RECOVER failed");
                    heard_all = false;
                    continue;
                }
            };
            for branch in &prepared {
                let since =
                    self.first_seen.get(&branch.gtrid).copied().unwrap_or_else(Instant::now);
                seen.insert(branch.gtrid.clone(), since);
                if !self.is_abandoned(branch, since) {
                    continue;
                }
                match finish(backends, &node, branch).await {
                    Ok(()) => finished += 1,
                    Err(error) => {
                        tracing::warn!(%error, xid = branch.xid, "a prepared branch cannot be finished yet");
                    }
                }
            }
            everywhere.extend(prepared);
        }
        self.first_seen = seen;
        if heard_all && self.rounds.is_multiple_of(SWEEP_EVERY_ROUNDS) {
            for node in backends.all() {
                if let Err(error) = decision_cleanup::sweep(&node, &everywhere).await {
                    tracing::debug!(%error, "old decisions cannot be removed now");
                }
            }
        }
        finished
    }

    fn is_abandoned(&self, branch: &Prepared, since: Instant) -> bool {
        if self.in_flight.contains(&branch.gtrid) {
            return false;
        }
        branch.is_of(&self.node_id) || since.elapsed() >= GIVE_UP_AFTER
    }
}

pub(crate) async fn prepared_on(node: &Rc<BackendNode>) -> Result<Vec<Prepared>, ExecError> {
    let mut lease = node.own_lease_to_read().await?;
    let QueryResult::Rows(set) = lease.query(b"XA RECOVER").await? else { return Ok(Vec::new()) };
    let parse = |row: &Row| {
        let format = row.text(0)?.parse().ok()?;
        let lengths = (row.text(1)?.parse().ok()?, row.text(2)?.parse().ok()?);
        Prepared::parse(format, lengths.0, lengths.1, row.get(3)?)
    };
    Ok(set.rows.iter().filter_map(parse).collect())
}

/// A branch that is prepared and unknown is still tied to the connection on which it began: whoever
/// had that is away, and the data node was not told, which may last for hours. The connection is
/// closed, and a later round finds the branch free. Where it was finished in this moment there is
/// nothing to do.
async fn free(node: &Rc<BackendNode>, branch: &Prepared) -> Result<(), ExecError> {
    if !prepared_on(node).await?.contains(branch) {
        return Ok(());
    }
    let (thread, data_node) = (branch.connection, &node.definition.name);
    tracing::warn!(thread, %data_node, xid = branch.xid, "closing a connection that has a prepared branch");
    let kill = format!("KILL CONNECTION {thread}");
    node.own_lease().await?.execute_sql(kill.as_bytes()).await?;
    Err(sql(
        sql_error::UNKNOWN_ERROR,
        format!("it was tied to connection {thread}, which is closed now"),
    ))
}

async fn finish(
    backends: &Backends,
    node: &Rc<BackendNode>,
    branch: &Prepared,
) -> Result<(), ExecError> {
    let home = backends.node(&branch.home)?;
    let verdict = decision::settle(&home, &branch.gtrid).await?;
    let verb = match verdict {
        Verdict::Commit => "COMMIT",
        Verdict::Rollback => "ROLLBACK",
    };
    let mut lease = node.own_lease().await?;
    match lease.execute_sql(format!("XA {verb} {}", branch.xid).as_bytes()).await {
        Err(BackendError::Server(error)) if error.number == UNKNOWN_XID => {
            drop(lease);
            return free(node, branch).await;
        }
        ended => ended?,
    };
    tracing::info!(xid = branch.xid, verb, data_node = %node.definition.name, "finished an abandoned branch");
    Ok(())
}
