//! A client's transaction over data nodes. The unit is the data node: all its shards share one
//! connection and one local transaction there. The first data node touched has a plain BEGIN …
//! COMMIT; all others are XA from their first statement on, because a plain transaction cannot become
//! one later. One branch that wrote commits in one phase; two or more go through two phases with a
//! durable decision, which the first one's commit is (see `commit`), so there is never half a commit.

mod commit;
mod open;
pub(crate) mod view;

use crate::backends::BackendNode;
use crate::error::{ExecError, sql};
use crate::in_flight::InFlightGuard;
use crate::members::Member;
use crate::own_connection::Seat;
use crate::pins::{Pin, PinReason};
use crate::readers::Readers;
use crate::spread::{Spread, SpreadGuard};
use base::id::DataNodeId;
use base::sql_error;
use futures::future::join_all;
use mysql_wire::packet::ErrPacket;
use node_backend::connection::Connection;
use node_backend::error::BackendError;
use node_backend::pool::Lease;
use node_backend::query::StreamHead;

use node_backend::session_state::SessionState;
use std::rc::Rc;
use std::sync::Arc;
use topology::peers::DataNodeConnection;

/// Errors after which the data node has rolled the whole branch back: deadlock, and XA's own words
/// for a branch that can only be rolled back.
pub(crate) const BRANCH_IS_GONE: [u16; 4] = [1213, 1402, 1613, 1614];

/// Said where [`Transaction::stay_open`] asks for it.
pub(crate) const STAY_OPEN: &str = "SET autocommit=0";

/// Savepoints in one transaction.
pub const SAVEPOINTS_MAX: usize = 1000;

/// How a transaction was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionOptions {
    /// WITH CONSISTENT SNAPSHOT.
    pub consistent_snapshot: bool,
    /// READ ONLY.
    pub read_only: bool,
    /// `SET TRANSACTION ISOLATION LEVEL …` for this one, as SQL words.
    pub isolation: Option<&'static str>,
}

/// A transaction that has begun.
#[derive(Debug)]
pub struct Transaction {
    /// The global transaction id when branches but the first are XA.
    gtrid: Option<String>,
    options: TransactionOptions,
    found_rows: bool,
    branches: Vec<Branch>,
    /// What is read on replicas.
    pub(crate) readers: Readers,
    wrote: bool,
    savepoints: Vec<String>,
    /// LOCK TABLES is in force; says whether the connections go back to autocommit afterwards.
    under_locks: Option<bool>,
    /// The one shard, where there may be no second.
    only_shard: Option<(DataNodeId, u32)>,
    /// What it reads is locked, as SERIALIZABLE has it.
    reads_lock: bool,
    /// Plain branches are [`Branch::stays_open`] from their beginning.
    stay_open: bool,
    /// It is there for one read that has to see one moment of several data nodes.
    is_of_read: bool,
    /// Takes the id off the list of transactions in flight when the transaction goes.
    in_flight: Option<InFlightGuard>,
    /// Where others see its connections, from the second data node on.
    spread: Option<SpreadGuard>,
}

#[derive(Debug)]
struct Branch {
    node: Rc<BackendNode>,
    /// None while a statement uses it; still None afterwards when the connection was lost.
    lease: Option<Lease>,
    /// The connection's id, also meanwhile.
    connection_id: u32,
    /// Empty where it is a plain transaction.
    xid: String,
    wrote: bool,
    /// The statements of its read are sent on it already, see [`view::Ahead`].
    ahead: bool,
    /// Its connection is without autocommit, see [`Transaction::stay_open`].
    stays_open: bool,
    /// Where the connection goes back to when it is one that the session keeps.
    seat: Option<Seat>,
}

impl Branch {
    /// One that has not begun.
    fn new(node: &Rc<BackendNode>, lease: Lease, seat: &Option<Seat>) -> Self {
        let (node, seat) = (node.clone(), seat.clone());
        let (xid, connection_id) = (String::new(), lease.thread_id());
        let lease = Some(lease);
        Self {
            node,
            lease,
            connection_id,
            xid,
            wrote: false,
            ahead: false,
            stays_open: false,
            seat,
        }
    }
}

/// Whether the data node has rolled the whole branch back with this error.
pub fn ends_branch(error: &ExecError) -> bool {
    error.server_number().is_some_and(|number| BRANCH_IS_GONE.contains(&number))
}

/// A connection that a statement uses: the transaction's own, or one just for the statement.
#[derive(Debug)]
pub struct Held {
    /// The connection.
    pub lease: Lease,
    /// The server.
    pub member: Rc<Member>,
    pub(crate) owner: Owner,
}

/// Whose a connection is, while a statement uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The statement's own.
    Statement,
    /// The transaction's branch of this number.
    Branch(usize),
    /// The transaction's reader of this number.
    Reader(usize),
    /// The session's own, see [`crate::own_connection`].
    Session,
}

impl Held {
    /// A connection that no transaction owns.
    pub fn alone(member: Rc<Member>, lease: Lease) -> Self {
        Self { lease, member, owner: Owner::Statement }
    }

    /// Whether a transaction owns it.
    pub fn is_of_transaction(&self) -> bool {
        matches!(self.owner, Owner::Branch(_) | Owner::Reader(_))
    }

    /// Nobody needs it any longer: back to its pool, or closed when a transaction that is over
    /// owned it.
    pub fn let_go(self) {
        match self.owner {
            Owner::Statement => drop(self.lease),
            Owner::Branch(_) | Owner::Reader(_) | Owner::Session => self.lease.discard(),
        }
    }
}

/// Queues a text statement; nothing is sent yet.
pub fn queue_sql(connection: &mut Connection, sql: &[u8]) {
    connection.queue_query(sql);
}

/// Runs statements that answer OK, in one burst. Every answer is read; the first error is told.
pub async fn run_all(
    connection: &mut Connection,
    statements: &[String],
) -> Result<(), BackendError> {
    let answers = run_each(connection, statements).await?;
    let first_error = answers.into_iter().find_map(Result::err);
    first_error.map_or(Ok(()), |error| Err(BackendError::Server(error)))
}

/// As [`run_all`], with each statement's own answer.
async fn run_each(
    connection: &mut Connection,
    statements: &[String],
) -> Result<Vec<Result<(), ErrPacket>>, BackendError> {
    for statement in statements {
        queue_sql(connection, statement.as_bytes());
    }
    connection.flush().await?;
    let mut answers = Vec::with_capacity(statements.len());
    for _ in statements {
        answers.push(match connection.open_stream().await {
            Ok(StreamHead::Ok { .. }) => Ok(()),
            Ok(_) => {
                while connection.next_row().await?.is_some() {}
                Ok(())
            }
            Err(BackendError::Server(error)) => Err(error),
            Err(other) => return Err(other),
        });
    }
    Ok(answers)
}

impl Drop for Transaction {
    /// A transaction that nobody ends is rolled back by its data nodes: connections with an open
    /// branch must not get back to a pool.
    fn drop(&mut self) {
        for branch in &mut self.branches {
            if let Some(lease) = branch.lease.take() {
                lease.discard();
            }
            if let Some(seat) = &branch.seat {
                seat.lose();
            }
        }
        self.readers.discard();
    }
}

impl Transaction {
    /// Begins; nothing is sent before the first statement. With `gtrid` the branches but the first
    /// are XA.
    pub fn begin(
        gtrid: Option<(String, InFlightGuard)>,
        options: TransactionOptions,
        found_rows: bool,
    ) -> Self {
        let (gtrid, guard) = gtrid.unzip();
        Self {
            gtrid,
            options,
            found_rows,
            branches: Vec::new(),
            readers: Readers::default(),
            wrote: false,
            savepoints: Vec::new(),
            under_locks: None,
            only_shard: None,
            reads_lock: false,
            stay_open: false,
            is_of_read: false,
            in_flight: guard,
            spread: None,
        }
    }

    /// Begins while LOCK TABLES is in force. Neither BEGIN nor XA can be said then: both end table
    /// locks or are refused. The branches go without autocommit instead.
    pub fn begin_under_locks(
        options: TransactionOptions,
        found_rows: bool,
        autocommit: bool,
    ) -> Self {
        let mut transaction = Self::begin(None, options, found_rows);
        transaction.under_locks = Some(autocommit);
        transaction
    }

    /// The transaction of one statement that writes several parts, see [`Self::stay_open`].
    pub fn of_statement(mut self) -> Self {
        self.stay_open = true;
        self
    }

    /// A connection of a branch becomes one that the session keeps; false when there is none.
    pub fn adopt(&mut self, id: &DataNodeId, seat: &Seat) -> bool {
        let branch = self.branches.iter_mut().find(|branch| branch.node.definition.id == *id);
        let Some(branch) = branch else { return false };
        if let Some(lease) = &mut branch.lease {
            lease.pin();
        }
        branch.seat = Some(seat.clone());
        true
    }

    /// How it began.
    pub fn options(&self) -> &TransactionOptions {
        &self.options
    }

    /// Whether statements may write.
    pub fn is_read_only(&self) -> bool {
        self.options.read_only
    }

    /// From now on the primary is read.
    pub fn note_write(&mut self) {
        self.wrote = true;
    }

    /// Whether a statement of it wrote, or locked what it read.
    pub fn has_written(&self) -> bool {
        self.wrote
    }

    /// Whether all its reads see one moment of all data nodes' primaries.
    pub fn has_snapshot(&self) -> bool {
        self.options.consistent_snapshot
    }

    /// The isolation level that was chosen for it alone, as SQL words.
    pub fn isolation(&self) -> Option<&'static str> {
        self.options.isolation
    }

    /// Whether it has a part on a data node's primary.
    pub fn has_branch(&self, id: &DataNodeId) -> bool {
        self.branches.iter().any(|branch| branch.node.definition.id == *id)
    }

    /// The server that it reads on a data node, if it does already.
    pub fn reads_from(&self, node: &BackendNode, only_replicas: bool) -> Option<Rc<Member>> {
        let id = &node.definition.id;
        let reader = if self.wrote { None } else { self.readers.member_of(id) };
        if reader.is_some() || only_replicas {
            return reader;
        }
        let branch = self.branches.iter().find(|branch| branch.node.definition.id == *id)?;
        Some(branch.node.primary().clone())
    }

    /// Forgets readers that were lost before they read anything; false when one was lost that had.
    pub fn forget_lost_readers(&mut self) -> bool {
        self.readers.forget_lost()
    }

    /// The connection by which it reads a data node's replica, opened when there is none; given back
    /// by [`Self::put_back`].
    pub async fn take_reader(
        &mut self,
        node: &BackendNode,
        member: &Rc<Member>,
        state: &Arc<SessionState>,
    ) -> Result<Held, ExecError> {
        let isolation = self.options.isolation;
        self.readers.take(node, member, state, self.found_rows, isolation).await
    }

    /// Tells of the connections of its branches and readers.
    pub(crate) fn each_pin<'s>(&'s self, tell: &mut dyn FnMut(Pin<'s>)) {
        for branch in &self.branches {
            let reason = match branch.xid.is_empty() {
                true => PinReason::Transaction,
                false => PinReason::DistributedTransaction,
            };
            let connection_id = branch.lease.as_ref().map(|lease| lease.thread_id());
            tell(Pin { server: &branch.node.definition.name, connection_id, reason });
        }
        self.readers.each_pin(tell);
    }

    /// The id of its connection to a data node.
    pub(crate) fn connection_of(&self, id: &DataNodeId) -> Option<u32> {
        let branch = self.branches.iter().find(|branch| branch.node.definition.id == *id)?;
        branch.lease.as_ref().map(|lease| lease.thread_id())
    }

    /// Lets others see its connections, from the second data node on: who waits for it on one of them
    /// may be what it waits for on another. A read's own transaction locks nothing.
    pub(crate) fn tell_spread(&mut self, spread: &Spread, session: u32) {
        let told = self.spread.as_ref().map_or(1, SpreadGuard::width);
        if self.branches.len() <= told || self.is_of_read {
            return;
        }
        let connection = |branch: &Branch| DataNodeConnection {
            data_node: branch.node.definition.id.clone(),
            id: branch.connection_id,
        };
        let connections = self.branches.iter().map(connection).collect();
        match &mut self.spread {
            Some(known) => known.widen(connections),
            None => self.spread = Some(spread.enter(session, connections)),
        }
    }

    /// Takes part in a shard; a second one is refused.
    pub fn claim(&mut self, data_node: &DataNodeId, shard: u32) -> Result<(), ExecError> {
        match &self.only_shard {
            Some((node, known)) if node == data_node && *known == shard => Ok(()),
            Some(_) => Err(sql(
                sql_error::TRANSACTION_SPANS_SHARDS,
                "The transaction would touch a second shard, which transaction_policy=NO_DTX does not allow",
            )),
            None => {
                self.only_shard = Some((data_node.clone(), shard));
                Ok(())
            }
        }
    }

    /// Whether some data node has a part in it.
    pub fn is_active(&self) -> bool {
        !self.branches.is_empty()
    }

    /// The connection of a data node, opened when it has none; given back by [`Self::put_back`].
    pub async fn take(
        &mut self,
        node: &Rc<BackendNode>,
        state: &Arc<SessionState>,
        writes: bool,
        seat: Option<Seat>,
    ) -> Result<Held, ExecError> {
        let id = &node.definition.id;
        let at = match self.branches.iter().position(|branch| branch.node.definition.id == *id) {
            Some(at) => at,
            None => {
                self.open_all(&[(node.clone(), seat)], state).await?;
                self.branches.len() - 1
            }
        };
        let branch = &mut self.branches[at];
        let Some(mut lease) = branch.lease.take() else {
            return Err(lost(&branch.node));
        };
        branch.wrote |= writes;
        if !lease.session_matches(state) {
            lease.apply_session(state).await?;
        }
        Ok(Held { lease, member: branch.node.primary().clone(), owner: Owner::Branch(at) })
    }

    /// Whether autocommit must be turned off on a plain branch before several writes are sent ahead:
    /// when a deadlock rolls the branch back, those behind it would else be committed one by one. An
    /// XA branch refuses them by itself.
    pub fn stay_open(&mut self, held: &Held) -> bool {
        let (Owner::Branch(at), None) = (held.owner, self.under_locks) else { return false };
        let branch = &mut self.branches[at];
        branch.xid.is_empty() && !std::mem::replace(&mut branch.stays_open, true)
    }

    /// Gives a connection back after its statement.
    pub fn put_back(&mut self, held: Held) {
        let lease = match held.lease.is_broken() {
            true => {
                held.lease.discard();
                None
            }
            false => Some(held.lease),
        };
        match held.owner {
            Owner::Branch(at) => {
                let branch = &mut self.branches[at];
                if lease.is_none()
                    && let Some(seat) = &branch.seat
                {
                    seat.lose();
                }
                branch.lease = lease;
            }
            Owner::Reader(at) => self.readers.put_back(at, lease),
            Owner::Statement | Owner::Session => {}
        }
    }

    /// Whether after this error nothing is left of the transaction on some data node.
    pub fn is_gone_after(&self, error: &ExecError) -> bool {
        ends_branch(error)
            || self.branches.iter().any(|branch| branch.lease.is_none())
            || self.readers.are_lost()
    }

    /// SAVEPOINT on every branch; later branches make it when they open.
    pub async fn savepoint(&mut self, name: &str) -> Result<(), ExecError> {
        if self.savepoints.len() >= SAVEPOINTS_MAX {
            return Err(sql(
                sql_error::NOT_SUPPORTED,
                format!("more than {SAVEPOINTS_MAX} savepoints in one transaction"),
            ));
        }
        self.everywhere(&format!("SAVEPOINT {name}")).await?;
        self.savepoints.retain(|known| !known.eq_ignore_ascii_case(name));
        self.savepoints.push(name.to_owned());
        Ok(())
    }

    /// ROLLBACK TO SAVEPOINT.
    pub async fn rollback_to(&mut self, name: &str) -> Result<(), ExecError> {
        let at = self.find_savepoint(name)?;
        self.everywhere(&format!("ROLLBACK TO SAVEPOINT {name}")).await?;
        self.savepoints.truncate(at + 1);
        Ok(())
    }

    /// RELEASE SAVEPOINT.
    pub async fn release(&mut self, name: &str) -> Result<(), ExecError> {
        let at = self.find_savepoint(name)?;
        self.everywhere(&format!("RELEASE SAVEPOINT {name}")).await?;
        self.savepoints.truncate(at);
        Ok(())
    }

    fn find_savepoint(&self, name: &str) -> Result<usize, ExecError> {
        self.savepoints.iter().position(|known| known.eq_ignore_ascii_case(name)).ok_or_else(|| {
            let shown = name.trim_matches('`');
            sql(sql_error::NO_SUCH_SAVEPOINT, format!("SAVEPOINT {shown} does not exist"))
        })
    }

    /// Runs one statement on every branch, in parallel.
    async fn everywhere(&mut self, statement: &str) -> Result<(), ExecError> {
        let statements = [statement.to_owned()];
        let runs = self.branches.iter_mut().map(|branch| async {
            match &mut branch.lease {
                Some(lease) => Ok(run_all(lease, &statements).await?),
                None => Err(lost(&branch.node)),
            }
        });
        join_all(runs).await.into_iter().collect()
    }

    /// The data nodes that have a part in it.
    pub fn data_nodes(&self) -> impl Iterator<Item = &DataNodeId> {
        let written = self.branches.iter().map(|branch| &branch.node.definition.id);
        written.chain(self.readers.data_nodes())
    }
}

fn lost(node: &BackendNode) -> ExecError {
    sql(
        sql_error::BACKEND_CONNECTION_LOST,
        format!(
            "the connection to data node {} was lost; the transaction was rolled back",
            node.definition.name
        ),
    )
}
