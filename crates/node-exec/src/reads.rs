//! Which server of a data node a statement's reads go to. All reads of a statement on one data node
//! go to the same server. In a transaction the first read chooses, and it stays so until the end or
//! the first write, from which on the primary is read. What a replica could not answer, while the
//! client was told nothing yet, is read once more.

use crate::backends::BackendNode;
use crate::error::{ExecError, sql};
use crate::exec::{Exec, ExecSession};
use crate::members::Member;
use crate::transaction::{Held, Transaction};
use base::sql_error;
use node_backend::session_state::SessionState;
use sql_plan::plan::{Home, Plan, Planned};
use sql_plan::reads::Reads;
use std::rc::Rc;
use telemetry::metrics::Counter;

/// Statements that read replicas.
pub static REPLICA_READS: Counter =
    Counter::new("ddm_replica_reads_total", "Statements that read replicas.");
/// Statements that a replica could not answer.
pub static REPLICA_FAILURES: Counter = Counter::new(
    "ddm_replica_failures_total",
    "Statements that a replica could not answer and that were read elsewhere.",
);

/// Errors by which a server says that it cannot be used, or that it does not have yet what its
/// primary has: too many connections, unknown account or rights, unknown database, shutdown,
/// unknown column, unknown table, unknown key, killed connection.
const ANOTHER_MAY_ANSWER: [u16; 10] = [1040, 1044, 1045, 1049, 1053, 1054, 1142, 1146, 1176, 1927];

/// Isolation levels' variable, as the two kinds of servers call it.
const ISOLATION_VARIABLES: [&str; 2] = ["tx_isolation", "transaction_isolation"];

/// Which servers the present statement may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ReadFrom {
    /// The primary.
    #[default]
    Primary,
    /// Any, by their weights.
    Any,
    /// A replica; the primary while none can be read.
    Replica,
    /// A replica, and nothing else: the node is of a read-only group.
    OnlyReplicas {
        /// The statement reads no table, so that the primary will do.
        no_table: bool,
    },
}

/// What the present statement reads, and where.
#[derive(Debug, Default)]
pub struct StatementReads {
    from: ReadFrom,
    /// What was chosen on data nodes that have replicas.
    chosen: Vec<(Rc<BackendNode>, Rc<Member>)>,
    /// A replica is among them.
    from_replica: bool,
}

impl StatementReads {
    /// Nothing chosen yet.
    fn begin(&mut self, from: ReadFrom) {
        self.from = from;
        self.end();
    }

    /// The primary of a data node is read in the place of what was chosen.
    pub(crate) fn read_primary(&mut self, node: &Rc<BackendNode>) {
        let chosen = self.chosen.iter_mut().find(|(known, _)| Rc::ptr_eq(known, node));
        if let Some((_, member)) = chosen {
            *member = node.primary().clone();
        }
    }

    /// Keeps nothing but the memory.
    fn end(&mut self) {
        self.chosen.clear();
        self.from_replica = false;
    }
}

impl ExecSession {
    /// Whether the present transaction reads primaries, whatever the statement would like.
    fn transaction_reads_primary(&self, always: bool) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| {
            let serializable = transaction.isolation() == Some("SERIALIZABLE")
                || (transaction.isolation().is_none() && is_serializable(&self.state));
            always || transaction.has_written() || transaction.has_snapshot() || serializable
        })
    }

    /// The isolation level that the session has set, as its variable has it.
    pub(crate) fn isolation(&self) -> Option<&str> {
        isolation(&self.state)
    }
}

fn isolation(state: &SessionState) -> Option<&str> {
    ISOLATION_VARIABLES.iter().find_map(|name| state.get(name))
}

/// Whether the session has set that what it reads is locked.
pub(crate) fn is_serializable(state: &SessionState) -> bool {
    isolation(state).is_some_and(|level| level.eq_ignore_ascii_case("'SERIALIZABLE'"))
}

impl Exec<'_> {
    /// A statement begins.
    pub(crate) fn begin_reads(&mut self, planned: &Planned) {
        let from = if self.backends.is_read_only() {
            let no_table = matches!(
                &planned.plan,
                Plan::Routed(plan) if plan.home == (Home::Any { schema: None })
            );
            ReadFrom::OnlyReplicas { no_table }
        } else {
            match planned.reads {
                Reads::Primary => ReadFrom::Primary,
                Reads::Any => ReadFrom::Any,
                Reads::Replica => ReadFrom::Replica,
            }
        };
        self.session.reads.begin(from);
    }

    /// The statement is over.
    pub(crate) fn end_reads(&mut self) {
        if self.session.reads.from_replica {
            REPLICA_READS.increment();
        }
        self.session.reads.begin(ReadFrom::Primary);
    }

    /// The server that this statement reads on a data node.
    pub fn read_member(&mut self, node: &Rc<BackendNode>) -> Result<Rc<Member>, ExecError> {
        if self.session.own.has(&node.definition.id) {
            return Ok(node.primary().clone());
        }
        let from = match self.session.reads.from {
            // A query inside of something else.
            ReadFrom::Primary if self.backends.is_read_only() => {
                ReadFrom::OnlyReplicas { no_table: false }
            }
            from => from,
        };
        let only_replicas = matches!(from, ReadFrom::OnlyReplicas { .. });
        if from == ReadFrom::Primary || (!node.has_replicas() && !only_replicas) {
            node.check_read()?;
            return Ok(node.primary().clone());
        }
        if let Some(known) = self.chosen_before(node, only_replicas) {
            return Ok(known);
        }
        let always = self.settings.transactions_read_primary;
        let primary_now = !only_replicas && self.session.transaction_reads_primary(always);
        let member = if primary_now { node.primary() } else { choose(node, from)? };
        if !member.is_replica() {
            node.check_read()?;
        }
        let reads = &mut self.session.reads;
        reads.from_replica |= member.is_replica();
        reads.chosen.push((node.clone(), member.clone()));
        Ok(member.clone())
    }

    /// What the statement, or its transaction, reads already.
    fn chosen_before(&mut self, node: &Rc<BackendNode>, only_replicas: bool) -> Option<Rc<Member>> {
        let chosen = self.session.reads.chosen.iter().find(|(known, _)| Rc::ptr_eq(known, node));
        if let Some((_, member)) = chosen {
            return Some(member.clone());
        }
        let transaction = self.session.transaction.as_ref()?;
        let member = transaction.reads_from(node, only_replicas)?;
        self.session.reads.from_replica |= member.is_replica();
        self.session.reads.chosen.push((node.clone(), member.clone()));
        Some(member)
    }

    /// A connection for a read: to the server that this statement reads on the data node.
    pub async fn acquire_read(&mut self, node: &Rc<BackendNode>) -> Result<Held, ExecError> {
        let member = self.reader(node).await?;
        if !member.is_replica() {
            return self.acquire(node, false).await;
        }
        let state = self.session.state.clone();
        match &mut self.session.transaction {
            Some(transaction) => Box::pin(transaction.take_reader(node, &member, &state)).await,
            None => {
                let lease = member.lease(self.session.found_rows, &state).await?;
                Ok(Held::alone(member, lease))
            }
        }
    }

    /// A connection on which the primary is asked what a statement looks like. That alone does not
    /// make a transaction read the primary from then on.
    pub async fn acquire_to_describe(&mut self, node: &Rc<BackendNode>) -> Result<Held, ExecError> {
        let id = &node.definition.id;
        let takes_part = |transaction: &Transaction| transaction.has_branch(id);
        if !node.has_replicas() || self.session.transaction.as_ref().is_none_or(takes_part) {
            return self.acquire(node, false).await;
        }
        let lease = node.lease(self.session.found_rows, &self.session.state).await?;
        Ok(Held::alone(node.primary().clone(), lease))
    }

    /// Whether the statement can be tried once more elsewhere after this error, provided that the
    /// client was told nothing.
    pub(crate) fn may_read_again(&mut self, error: &ExecError) -> bool {
        let elsewhere = match error {
            ExecError::Backend(_) | ExecError::BrokenOff(_) => true,
            ExecError::Server(packet) => ANOTHER_MAY_ANSWER.contains(&packet.number),
            ExecError::Sql(_) | ExecError::Client(_) => false,
        };
        elsewhere
            && self.session.reads.from_replica
            // What a transaction has read is a view that no other server has.
            && self.session.transaction.as_mut().is_none_or(|one| one.forget_lost_readers())
    }

    /// The statement begins once more: with the primary, or with another replica where only they
    /// are read.
    pub(crate) fn read_again(&mut self) {
        REPLICA_FAILURES.increment();
        let from = match self.session.reads.from {
            only @ ReadFrom::OnlyReplicas { .. } => only,
            _ => ReadFrom::Primary,
        };
        self.session.reads.begin(from);
    }
}

fn choose(node: &Rc<BackendNode>, from: ReadFrom) -> Result<&Rc<Member>, ExecError> {
    match from {
        ReadFrom::Primary => Ok(node.primary()),
        ReadFrom::Any => Ok(node.next_by_weight()),
        ReadFrom::Replica => Ok(node.next_replica().unwrap_or(node.primary())),
        ReadFrom::OnlyReplicas { no_table } => match node.next_replica() {
            Some(replica) => Ok(replica),
            None if no_table => Ok(node.primary()),
            None => Err(no_replica(node)),
        },
    }
}

fn no_replica(node: &BackendNode) -> ExecError {
    let name = &node.definition.name;
    let text = match node.has_replicas() {
        false => format!("execute error: No read-only node: data node {name} has no read replica"),
        true => format!(
            "backend database connection error; no read replica of data node {name} can be read \
             now: each is down, does not replicate, or lags by more than seconds_behind_master"
        ),
    };
    sql(sql_error::NO_READ_REPLICA, text)
}
