//! Deadlocks over several data nodes, which none of them sees. While a statement of a transaction with
//! connections to several data nodes takes long, the node looks at the lock waits of all data nodes.
//! Where they may form a circle it asks the other nodes whose connections those are that it does not
//! know, and looks again: waits that are in both looks went on all the time between, in which it was
//! asked whose they are, so a circle of them is a deadlock and no accident of looking. The transaction
//! that gives way (see `node_exec::deadlock`) is ended by the node whose it is, and by no other.

use crate::processes::{Kill, SessionHandle};
use crate::shared::Shared;
use base::id::DataNodeId;
use futures::future::join_all;
use node_exec::backends::{BackendNode, Backends};
use node_exec::deadlock::{Wait, is_possible, lasting, strangers, victims};
use node_exec::error::ExecError;
use node_exec::lock_waits::{self, Age};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use telemetry::metrics::Counter;
use tokio::time::{sleep, timeout};
use topology::peers::{PeerAnswer, PeerAsk, SpreadTransaction};

/// Transactions ended for deadlocks.
pub static DEADLOCKS: Counter = Counter::new(
    "ddm_deadlocks_total",
    "Transactions of this node rolled back for deadlocks over several data nodes.",
);
/// Looks at lock waits.
pub static LOOKS: Counter = Counter::new(
    "ddm_deadlock_looks_total",
    "Looks at the lock waits of all data nodes, in search of deadlocks over several of them.",
);

/// A statement that takes longer may wait for a lock.
const LONG: Duration = Duration::from_millis(500);

/// How often it is seen whether there are such statements.
const TICK: Duration = Duration::from_millis(200);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A data node that has not told within this is looked at the next time: nobody who waits there is
/// found until then.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// A transaction of this node with its session, and the statement that the session runs.
struct Own {
    transaction: SpreadTransaction,
    session: Arc<SessionHandle>,
    statement: u64,
}

/// Searches until the process ends.
pub async fn run(shared: &Shared, backends: &Backends) {
    let mut search = Search { shared, backends, refused: HashSet::new(), missing: None };
    loop {
        sleep(TICK).await;
        if search.somebody_waits() {
            search.round().await;
            sleep(LOOK_EVERY.saturating_sub(TICK)).await;
        }
    }
}

struct Search<'s> {
    shared: &'s Shared,
    backends: &'s Backends,
    /// Data nodes that did not tell of their waits when they were asked last.
    refused: HashSet<DataNodeId>,
    /// Which nodes did not tell of their transactions when they were asked last.
    missing: Option<String>,
}

impl Search<'_> {
    /// Whether a statement that may wait for a lock of another data node takes long.
    fn somebody_waits(&self) -> bool {
        self.shared.spread.sessions().into_iter().any(|session| {
            let session = self.shared.processes.get(session);
            let running = session.and_then(|session| session.running_statement());
            running.is_some_and(|(_, since)| since.elapsed() >= LONG)
        })
    }

    fn own(&self) -> Vec<Own> {
        let own = |listed: node_exec::spread::Listed| {
            let session = self.shared.processes.get(listed.session)?;
            let (statement, _) = session.running_statement()?;
            Some(Own { transaction: listed.transaction, session, statement })
        };
        self.shared.spread.all().into_iter().filter_map(own).collect()
    }

    async fn round(&mut self) {
        LOOKS.increment();
        let before = self.look(Age::Any).await;
        let own = self.own();
        let mut transactions: Vec<_> = own.iter().map(|own| own.transaction.clone()).collect();
        if !is_possible(&before, &transactions) {
            return;
        }
        if victims(&before, &transactions).is_empty() {
            transactions.extend(self.others(&before, &transactions).await);
            if victims(&before, &transactions).is_empty() {
                return;
            }
        }
        let waits = lasting(before, self.look(Age::New).await);
        for victim in victims(&waits, &transactions) {
            if let Some(own) = own.iter().find(|own| own.transaction.key == *victim)
                && own.session.kill_statement(own.statement, Kill::Deadlock)
            {
                DEADLOCKS.increment();
                let data_nodes = own.transaction.connections.len();
                tracing::info!(
                    session = own.session.id,
                    data_nodes,
                    "a transaction is rolled back for a deadlock over several data nodes"
                );
            }
        }
    }

    /// The transactions of other nodes that wait, or are waited for. A node that does not answer is as
    /// one that has none.
    async fn others(
        &mut self,
        waits: &[Wait],
        own: &[SpreadTransaction],
    ) -> Vec<SpreadTransaction> {
        let connections = strangers(waits, own);
        if connections.is_empty() {
            return Vec::new();
        }
        let heard = self.shared.ask_peers(PeerAsk::Owners { connections }).await;
        if let Some(missing) = &heard.missing
            && self.missing != heard.missing
        {
            tracing::warn!(
                missing,
                "deadlocks with transactions of other nodes end by innodb_lock_wait_timeout"
            );
        }
        self.missing = heard.missing;
        let told = heard.answers.into_iter().filter_map(|answer| match answer {
            PeerAnswer::Owners { transactions } => Some(transactions),
            PeerAnswer::Sessions { .. }
            | PeerAnswer::Killed { .. }
            | PeerAnswer::Status { .. }
            | PeerAnswer::Present
            | PeerAnswer::NotOwner => None,
        });
        told.flatten().collect()
    }

    /// The waits on all data nodes that tell.
    async fn look(&mut self, age: Age) -> Vec<Wait> {
        let nodes = self.backends.all();
        let looks = nodes.iter().map(|node| timeout(LOOK_TIMEOUT, lock_waits::look(node, age)));
        let mut waits = Vec::new();
        for (node, told) in nodes.iter().zip(join_all(looks).await) {
            match told {
                Ok(Ok(told)) => {
                    self.refused.remove(&node.definition.id);
                    waits.extend(told.into_iter().flatten());
                }
                Ok(Err(error)) => self.refuse(node, Some(error)),
                Err(_) => self.refuse(node, None),
            }
        }
        waits
    }

    /// Logs once that a data node does not tell.
    fn refuse(&mut self, node: &BackendNode, error: Option<ExecError>) {
        if self.refused.insert(node.definition.id.clone()) {
            let reason = error.map_or_else(|| "no answer".to_owned(), |error| error.to_string());
            tracing::warn!(
                data_node = %node.definition.name,
                reason,
                "a data node does not tell of its lock waits; deadlocks with other data nodes end by \
                 innodb_lock_wait_timeout"
            );
        }
    }
}
