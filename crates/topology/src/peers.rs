//! What the nodes of an instance ask each other, by way of the control plane: a client of one node sees
//! and ends the sessions of all.

use base::id::{DataNodeId, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Connection ids of a node begin with its number, so no two nodes give the same one: so many low bits
/// are counted by the node itself.
pub const CONNECTION_ID_BITS: u32 = 22;

/// A node tells of so many sessions; of more, of those that are connected longest.
pub const SESSIONS_MAX: usize = 10_000;

/// A node that has not answered within this is told of as silent.
pub const PEER_TIMEOUT_MS: u64 = 2_000;

/// A node is asked for the owners of so many connections at once.
pub const OWNERS_MAX: usize = 1_000;

/// What one node asks another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "peer", rename_all = "snake_case")]
pub enum PeerAsk {
    /// Which sessions are there?
    Sessions {
        /// Only those of this account.
        user: Option<String>,
    },
    /// End a session or its statement.
    Kill {
        /// The session.
        connection_id: u32,
        /// The statement alone.
        statement_only: bool,
        /// Only if it is this account's.
        user: Option<String>,
    },
    /// End all sessions of an account.
    KillUser {
        /// The account.
        user: String,
    },
    /// Asked by the control plane alone: can the node be told of something?
    Presence,
    /// What does the node count, that the instance's SHOW GLOBAL STATUS is the sum of?
    Status,
    /// Whose are these connections to data nodes?
    Owners {
        /// At most [`OWNERS_MAX`].
        connections: Vec<DataNodeConnection>,
    },
}

/// What a node answers another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "peer", rename_all = "snake_case")]
pub enum PeerAnswer {
    /// Its sessions.
    Sessions {
        /// In the order of their ids.
        sessions: Vec<SessionRow>,
    },
    /// So many sessions or statements were told to end: none when no such one is there.
    Killed {
        /// How many.
        count: u64,
    },
    /// What the node counts.
    Status {
        /// By the names of SHOW STATUS in lower case; what is not named is 0.
        counts: BTreeMap<String, u64>,
    },
    /// The node hears.
    Present,
    /// The session is another account's.
    NotOwner,
    /// Those of the asked connections' transactions that have connections to several data nodes.
    Owners {
        /// Each with all its connections.
        transactions: Vec<SpreadTransaction>,
    },
}

/// A connection to a data node, as that one calls it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DataNodeConnection {
    /// The data node.
    pub data_node: DataNodeId,
    /// The connection's id there.
    pub id: u32,
}

/// A transaction with connections to several data nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpreadTransaction {
    /// Which.
    pub key: SpreadKey,
    /// One for each data node.
    pub connections: Vec<DataNodeConnection>,
}

/// Names a [`SpreadTransaction`] among those of all nodes; the greatest is the youngest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SpreadKey {
    /// When it came to its second data node, by its node's clock: microseconds since 1970.
    pub since_us: u64,
    /// Its node.
    pub node: NodeId,
    /// Its number there.
    pub number: u64,
}

/// A session as SHOW PROCESSLIST shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Its connection id.
    pub id: u32,
    /// The account.
    pub user: String,
    /// `ip:port` of the client.
    pub host: String,
    /// The chosen schema.
    pub schema: Option<String>,
    /// Whether a statement runs.
    pub running: bool,
    /// Since when it does, or does not, in milliseconds.
    pub milliseconds: u64,
    /// The statement that runs, cut, without passwords.
    pub statement: Option<String>,
    /// What the client said of itself when it logged in.
    #[serde(default)]
    pub attributes: Vec<(String, String)>,
    /// The connections to data nodes that it holds between statements.
    #[serde(default)]
    pub pins: Vec<PinRow>,
}

/// A connection that a session holds, as SHOW DDM SESSIONS shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRow {
    /// The data node's or replica's name.
    pub server: String,
    /// The connection's id there; none when it was lost.
    pub connection_id: Option<u32>,
    /// Why, in words, several with commas.
    pub reasons: String,
    /// Since when, in milliseconds.
    pub milliseconds: u64,
}
