//! Connections to data nodes that a session keeps while something of it lives there: temporary
//! tables, LOCK TABLES, GET_LOCK, HANDLER. There is at most one to each data node, and while there is
//! one, every statement of the session on that data node runs on it, a transaction's branch too: so
//! a temporary table is seen beside the transaction's own writes, and a session never waits for its
//! own table locks. One that is lost is never replaced: the session is told and ends, as the
//! connections to a server end when it goes.

use crate::backends::BackendNode;
use crate::error::{ExecError, sql};
use crate::exec::{Exec, ExecSession};
use crate::pins::{Pin, PinReason};
use crate::transaction::{Held, Owner};
use base::id::DataNodeId;
use base::sql_error;
use node_backend::pool::Lease;
use node_backend::session_state::SessionState;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A data node takes locks and temporary tables away within this, or the connection is closed.
const RESET_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a session keeps a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Temporary tables.
    TemporaryTables,
    /// LOCK TABLES.
    TableLocks,
    /// GET_LOCK.
    NamedLocks,
    /// HANDLER … OPEN.
    Handlers,
}

/// What a user is told of each.
const NEEDS: [(Need, PinReason); 4] = [
    (Need::TemporaryTables, PinReason::TemporaryTables),
    (Need::TableLocks, PinReason::TableLocks),
    (Need::NamedLocks, PinReason::NamedLocks),
    (Need::Handlers, PinReason::Handlers),
];

/// Needs, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Needs(u8);

impl Needs {
    fn bit(need: Need) -> u8 {
        1 << need as u8
    }

    fn insert(&mut self, need: Need) {
        self.0 |= Self::bit(need);
    }

    fn remove(&mut self, need: Need) {
        self.0 &= !Self::bit(need);
    }

    fn contains(self, need: Need) -> bool {
        self.0 & Self::bit(need) != 0
    }
}

/// Where the connection is.
#[derive(Debug)]
enum Place {
    /// Here, nothing runs on it.
    Idle(Box<Lease>),
    /// A statement or a transaction's branch has it.
    InUse,
    /// Lost.
    Lost,
}

/// The place of one connection; a transaction that uses it shares it.
#[derive(Clone, Debug)]
pub struct Seat(Rc<RefCell<Place>>);

impl Seat {
    /// Takes the connection, if it is here.
    fn take(&self) -> Option<Lease> {
        let mut place = self.0.borrow_mut();
        match std::mem::replace(&mut *place, Place::InUse) {
            Place::Idle(lease) => Some(*lease),
            other => {
                *place = other;
                None
            }
        }
    }

    /// Takes the connection and gives it this state; `None` when it is lost.
    pub async fn take_with(&self, state: &Arc<SessionState>) -> Result<Option<Lease>, ExecError> {
        let Some(mut lease) = self.take() else { return Ok(None) };
        if !lease.session_matches(state)
            && let Err(error) = lease.apply_session(state).await
        {
            self.put_back(lease);
            return Err(error.into());
        }
        Ok(Some(lease))
    }

    /// Gives it back; a broken one is lost.
    pub fn put_back(&self, lease: Lease) {
        *self.0.borrow_mut() = match lease.is_broken() || !lease.is_idle() {
            true => {
                lease.discard();
                Place::Lost
            }
            false => Place::Idle(Box::new(lease)),
        };
    }

    /// It cannot be used any more.
    pub fn lose(&self) {
        *self.0.borrow_mut() = Place::Lost;
    }

    fn is_lost(&self) -> bool {
        matches!(*self.0.borrow(), Place::Lost)
    }
}

/// One connection that a session keeps.
#[derive(Debug)]
struct Own {
    node: Rc<BackendNode>,
    seat: Seat,
    needs: Needs,
}

/// The connections that a session keeps, at most one for each data node.
#[derive(Debug, Default)]
pub struct OwnConnections {
    all: BTreeMap<DataNodeId, Own>,
}

impl OwnConnections {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether there is one to this data node.
    pub fn has(&self, id: &DataNodeId) -> bool {
        !self.all.is_empty() && self.all.contains_key(id)
    }

    /// Whether some connection is kept for this.
    pub fn has_need(&self, need: Need) -> bool {
        self.all.values().any(|own| own.needs.contains(need))
    }

    /// The data nodes of the connections kept for this, in order.
    pub fn nodes_of(&self, need: Need) -> Vec<Rc<BackendNode>> {
        let having = self.all.values().filter(|own| own.needs.contains(need));
        having.map(|own| own.node.clone()).collect()
    }

    /// Whether the session has table locks.
    pub fn has_locks(&self) -> bool {
        self.all.values().any(|own| own.needs.contains(Need::TableLocks))
    }

    /// Whether one was lost.
    pub fn is_lost(&self) -> bool {
        self.all.values().any(|own| own.seat.is_lost())
    }

    /// The seat of a data node's connection.
    pub fn seat(&self, id: &DataNodeId) -> Option<Seat> {
        if self.all.is_empty() {
            return None;
        }
        self.all.get(id).map(|own| own.seat.clone())
    }

    /// Takes the connection of a data node for a statement.
    pub async fn take(
        &self,
        id: &DataNodeId,
        state: &Arc<SessionState>,
    ) -> Result<Option<Lease>, ExecError> {
        let Some(own) = self.all.get(id) else { return Ok(None) };
        match own.seat.take_with(state).await? {
            Some(lease) => Ok(Some(lease)),
            None => Err(lost(&own.node)),
        }
    }

    /// Gives it back.
    pub fn put_back(&self, id: &DataNodeId, lease: Lease) {
        match self.all.get(id) {
            Some(own) => own.seat.put_back(lease),
            None => lease.discard(),
        }
    }

    /// Tells of each connection and need; the id of one that a transaction uses is known there.
    pub(crate) fn each_pin<'s>(
        &'s self,
        in_use: impl Fn(&DataNodeId) -> Option<u32>,
        tell: &mut dyn FnMut(Pin<'s>),
    ) {
        for (id, own) in &self.all {
            let connection_id = match &*own.seat.0.borrow() {
                Place::Idle(lease) => Some(lease.thread_id()),
                Place::InUse => in_use(id),
                Place::Lost => None,
            };
            let server = own.node.definition.name.as_str();
            for (_, reason) in NEEDS.iter().filter(|(need, _)| own.needs.contains(*need)) {
                tell(Pin { server, connection_id, reason: *reason });
            }
        }
    }

    /// Something is needed no longer.
    pub fn forget(&mut self, need: Need) {
        self.all.values_mut().for_each(|own| own.needs.remove(need));
    }

    /// The same on one data node.
    pub fn forget_on(&mut self, id: &DataNodeId, need: Need) {
        if let Some(own) = self.all.get_mut(id) {
            own.needs.remove(need);
        }
    }

    /// Connections that nothing needs go back to their pools, which reset them. One that a
    /// transaction uses stays until that is over.
    pub fn release_unneeded(&mut self) {
        self.all.retain(|_, own| {
            if own.needs != Needs::default() {
                return true;
            }
            match own.seat.take() {
                Some(mut lease) => {
                    lease.unpin();
                    false
                }
                None => !own.seat.is_lost(),
            }
        });
    }

    /// Everything is over: the session ends or is reset. Locks and temporary tables are gone when
    /// this returns, unless a data node does not answer in time.
    pub async fn clear(&mut self) {
        for own in std::mem::take(&mut self.all).into_values() {
            let Some(mut lease) = own.seat.take() else { continue };
            lease.unpin();
            match tokio::time::timeout(RESET_TIMEOUT, lease.reset()).await {
                Ok(Ok(())) => drop(lease),
                Ok(Err(_)) | Err(_) => lease.discard(),
            }
        }
    }
}

/// What a session is told whose connection is gone.
fn lost(node: &BackendNode) -> ExecError {
    sql(
        sql_error::BACKEND_CONNECTION_LOST,
        format!(
            "the session's own connection to data node {} was lost, and with it the session's \
             temporary tables and locks; connect again",
            node.definition.name
        ),
    )
}

impl ExecSession {
    /// From now on the session has a connection of its own to this data node.
    pub async fn keep_connection(
        &mut self,
        node: &Rc<BackendNode>,
        need: Need,
    ) -> Result<(), ExecError> {
        let id = node.definition.id.clone();
        if let Some(own) = self.own.all.get_mut(&id) {
            own.needs.insert(need);
            return Ok(());
        }
        let seat = Seat(Rc::new(RefCell::new(Place::InUse)));
        let adopted =
            self.transaction.as_mut().is_some_and(|transaction| transaction.adopt(&id, &seat));
        if !adopted {
            let mut lease = node.lease(self.found_rows, &self.state).await?;
            lease.pin();
            seat.put_back(lease);
        }
        let mut needs = Needs::default();
        needs.insert(need);
        self.own.all.insert(id, Own { node: node.clone(), seat, needs });
        Ok(())
    }
}

impl Exec<'_> {
    /// The session's own connection to a data node for one statement outside of a transaction, if it
    /// keeps one.
    pub(crate) async fn take_own(
        &mut self,
        node: &Rc<BackendNode>,
    ) -> Result<Option<Held>, ExecError> {
        if self.session.own.is_empty() {
            return Ok(None);
        }
        let state = self.session.state.clone();
        let lease = Box::pin(self.session.own.take(&node.definition.id, &state)).await?;
        Ok(lease.map(|lease| Held { lease, member: node.primary().clone(), owner: Owner::Session }))
    }
}
