//! The connections to data nodes that a session holds between its statements, and why it must: a
//! transaction's branches and readers, and what lives on a connection of its own. Everything else of
//! a session is replayed on whatever connection the next statement gets, and holds none.

use crate::exec::ExecSession;

/// Why nothing but this connection will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinReason {
    /// A branch of the transaction.
    Transaction,
    /// A branch that commits with others, by XA.
    DistributedTransaction,
    /// The transaction's reads on a replica.
    ReadOnReplica,
    /// Temporary tables.
    TemporaryTables,
    /// LOCK TABLES.
    TableLocks,
    /// GET_LOCK.
    NamedLocks,
    /// HANDLER … OPEN.
    Handlers,
}

impl PinReason {
    /// As SHOW DDM SESSIONS says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transaction => "transaction",
            Self::DistributedTransaction => "distributed transaction",
            Self::ReadOnReplica => "transaction's reads on a replica",
            Self::TemporaryTables => "temporary table",
            Self::TableLocks => "LOCK TABLES",
            Self::NamedLocks => "GET_LOCK",
            Self::Handlers => "HANDLER",
        }
    }
}

/// One reason for one connection; a connection may have several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin<'s> {
    /// The data node's or replica's name.
    pub server: &'s str,
    /// The connection's id there; none when it was lost.
    pub connection_id: Option<u32>,
    /// Why.
    pub reason: PinReason,
}

impl ExecSession {
    /// Whether it holds any connection now.
    pub fn has_pins(&self) -> bool {
        self.transaction.is_some() || !self.own.is_empty()
    }

    /// Tells of each connection that it holds, in an order that stays the same.
    pub fn each_pin<'s>(&'s self, tell: &mut dyn FnMut(Pin<'s>)) {
        let transaction = self.transaction.as_ref();
        if let Some(transaction) = transaction {
            transaction.each_pin(tell);
        }
        self.own
            .each_pin(|id| transaction.and_then(|transaction| transaction.connection_of(id)), tell);
    }
}
