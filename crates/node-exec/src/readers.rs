//! A transaction's reads on replicas, before it writes: on each data node one read-only transaction
//! of one replica, so that all of them see the same rows. They are not part of the commit, and the
//! client does not wait for their end.

use crate::backends::BackendNode;
use crate::error::{ExecError, sql};
use crate::members::Member;
use crate::pins::{Pin, PinReason};
use crate::transaction::{Held, Owner, run_all};
use base::id::DataNodeId;
use base::sql_error;
use node_backend::pool::Lease;
use node_backend::session_state::SessionState;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A reader's last word must be answered within this; else its connection is closed.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// What a transaction reads on replicas.
#[derive(Debug, Default)]
pub(crate) struct Readers(Vec<Reader>);

#[derive(Debug)]
struct Reader {
    data_node: DataNodeId,
    /// For texts.
    name: String,
    member: Rc<Member>,
    /// None while a statement uses it; still None afterwards when the connection was lost.
    lease: Option<Lease>,
    /// A statement has read something by it.
    has_read: bool,
}

impl Readers {
    /// The replica that is read on a data node.
    pub fn member_of(&self, id: &DataNodeId) -> Option<Rc<Member>> {
        self.0.iter().find(|reader| reader.data_node == *id).map(|reader| reader.member.clone())
    }

    /// Tells of each connection.
    pub fn each_pin<'s>(&'s self, tell: &mut dyn FnMut(Pin<'s>)) {
        for reader in &self.0 {
            let connection_id = reader.lease.as_ref().map(|lease| lease.thread_id());
            tell(Pin { server: &reader.name, connection_id, reason: PinReason::ReadOnReplica });
        }
    }

    /// The data nodes that are read so.
    pub fn data_nodes(&self) -> impl Iterator<Item = &DataNodeId> {
        self.0.iter().map(|reader| &reader.data_node)
    }

    /// A data node's connection, opened when there is none.
    pub async fn take(
        &mut self,
        node: &BackendNode,
        member: &Rc<Member>,
        state: &Arc<SessionState>,
        found_rows: bool,
        isolation: Option<&'static str>,
    ) -> Result<Held, ExecError> {
        let id = &node.definition.id;
        let at = match self.0.iter().position(|reader| reader.data_node == *id) {
            Some(at) => at,
            None => {
                let lease = begin(member, state, found_rows, isolation).await?;
                self.0.push(Reader {
                    data_node: id.clone(),
                    name: node.definition.name.clone(),
                    member: member.clone(),
                    lease: Some(lease),
                    has_read: false,
                });
                self.0.len() - 1
            }
        };
        let reader = &mut self.0[at];
        let Some(mut lease) = reader.lease.take() else { return Err(reader.lost()) };
        if !lease.session_matches(state) {
            lease.apply_session(state).await?;
        }
        Ok(Held { lease, member: reader.member.clone(), owner: Owner::Reader(at) })
    }

    /// Gives a connection back after its statement; `None` when it was lost.
    pub fn put_back(&mut self, at: usize, lease: Option<Lease>) {
        let reader = &mut self.0[at];
        reader.has_read |= lease.is_some();
        reader.lease = lease;
    }

    /// Whether one was lost.
    pub fn are_lost(&self) -> bool {
        self.0.iter().any(|reader| reader.lease.is_none())
    }

    /// Forgets those that were lost before they read anything; false when one was lost that had.
    pub fn forget_lost(&mut self) -> bool {
        if self.0.iter().any(|reader| reader.lease.is_none() && reader.has_read) {
            return false;
        }
        self.0.retain(|reader| reader.lease.is_some());
        true
    }

    /// Ends them all, in the background.
    pub fn end(&mut self) {
        for reader in std::mem::take(&mut self.0) {
            let Some(mut lease) = reader.lease else { continue };
            tokio::task::spawn_local(async move {
                let word = ["COMMIT".to_owned()];
                match tokio::time::timeout(END_TIMEOUT, run_all(&mut lease, &word)).await {
                    Ok(Ok(())) => drop(lease),
                    Ok(Err(_)) | Err(_) => lease.discard(),
                }
            });
        }
    }

    /// Closes them all.
    pub fn discard(&mut self) {
        for lease in std::mem::take(&mut self.0).into_iter().filter_map(|reader| reader.lease) {
            lease.discard();
        }
    }
}

impl Reader {
    fn lost(&self) -> ExecError {
        sql(
            sql_error::BACKEND_CONNECTION_LOST,
            format!(
                "the connection to a replica of data node {} was lost; the transaction was rolled back",
                self.name
            ),
        )
    }
}

/// Begins a read-only transaction on a replica.
async fn begin(
    member: &Member,
    state: &Arc<SessionState>,
    found_rows: bool,
    isolation: Option<&'static str>,
) -> Result<Lease, ExecError> {
    let mut lease = member.lease(found_rows, state).await?;
    let mut statements = Vec::new();
    if let Some(level) = isolation {
        statements.push(format!("SET TRANSACTION ISOLATION LEVEL {level}"));
    }
    statements.push("START TRANSACTION READ ONLY".to_owned());
    if let Err(error) = run_all(&mut lease, &statements).await {
        if lease.is_broken() {
            member.note_lost();
        }
        lease.discard();
        return Err(error.into());
    }
    Ok(lease)
}
