//! What a node and a control plane say to each other over their one internal stream: frames of a
//! four-byte big-endian length and a JSON message. The node connects (mutual TLS, its certificate's
//! common name is the node id), says hello, and gets the snapshot and every later one.

use crate::account::Authority;
use crate::model::{Snapshot, Table};
use crate::peers::{PeerAnswer, PeerAsk};
use crate::slow_query::SlowQuery;
use base::id::{InstanceId, NodeId};
use base::secret::Secret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// No frame is longer: a snapshot of 10,000 tables with 50 columns each stays below it.
pub const FRAME_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How often a node says that it lives.
pub const HEARTBEAT_INTERVAL_MS: u64 = 1_000;

/// Who was not heard for so long is taken as dead, by either side: the stream is ended.
pub const HEARTBEAT_TIMEOUT_MS: u64 = 5_000;

/// What a node says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromNode {
    /// First message of a connection.
    Hello {
        /// Who speaks.
        node_id: NodeId,
        /// Whose node it is.
        instance_id: InstanceId,
        /// The version that it serves now (0: none).
        at_version: u64,
        /// The process, for the supervisor.
        pid: u32,
    },
    /// The node serves this version now.
    AtVersion {
        /// The snapshot's version.
        version: u64,
    },
    /// The node lives. Answered by [`ToNode::Heard`], which tells whether its
    /// definitions are in force.
    Heartbeat {
        /// Which, counted from 1 on this connection; 0 wants no answer.
        #[serde(default)]
        beat: u64,
        /// Client connections now.
        connections: u64,
        /// Statements since the start.
        statements: u64,
    },
    /// A statement that changes definitions asks for something; answered by [`ToNode::Answer`] with
    /// the same `request`.
    Ask {
        /// Chosen by the node, unique on this connection.
        request: u64,
        /// What it asks.
        ask: Ask,
    },
    /// Statements that were slow, the oldest first; answered by [`ToNode::SlowQueriesKept`]. The
    /// same ones may come again when the answer was lost.
    SlowQueries {
        /// The statements.
        queries: Vec<SlowQuery>,
        /// How many were lost since the process's start because more waited than may wait.
        dropped: u64,
    },
    /// The answer to a [`ToNode::PeerAsk`].
    PeerAnswer {
        /// The request's number.
        request: u64,
        /// What it says.
        answer: PeerAnswer,
    },
}

/// What a control plane says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToNode {
    /// Serve this from now on, then answer [`FromNode::AtVersion`].
    Snapshot {
        /// The whole document.
        snapshot: Arc<Snapshot>,
    },
    /// The answer to an [`FromNode::Ask`].
    Answer {
        /// The request's number.
        request: u64,
        /// What came of it.
        answer: Answer,
    },
    /// This heartbeat came.
    Heard {
        /// Its number.
        beat: u64,
        /// The node served the newest version then: it may serve for [`crate::fence::ASSURED_FOR`]
        /// from the moment on at which it sent it.
        vouched: bool,
        /// Where it is vouched for, fences up to this number are void, though their rows be there yet.
        fences: u64,
    },
    /// The node is none of the instance's and must not serve.
    Refused {
        /// Why, safe to show.
        reason: String,
    },
    /// These slow statements are kept; the node may forget them.
    SlowQueriesKept {
        /// The greatest number among them.
        up_to: u64,
    },
    /// Another node of the instance asks; answered by [`FromNode::PeerAnswer`] with the same `request`.
    PeerAsk {
        /// Chosen by the control plane, unique on this connection.
        request: u64,
        /// What it asks.
        ask: PeerAsk,
    },
}

/// What a node asks of the control plane while it runs a DDL statement. `Begin` is durable before
/// any data node is touched; `Commit` answers only when every live node serves the new definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Ask {
    /// Record a change before it starts and lock the tables for it.
    DdlBegin {
        /// The logical schema.
        schema: String,
        /// The tables that it changes.
        changes: Vec<TableChange>,
        /// How, so that it can be finished when the node cannot.
        #[serde(default)]
        work: DdlWork,
    },
    /// The physical tables are changed; publish.
    DdlCommit {
        /// From [`Answer::DdlBegun`].
        ddl_id: String,
        /// The tables' definitions after the change, as the data nodes report them.
        changes: Vec<TableChange>,
    },
    /// Statements on the tables of a [`TableChange::Move`] wait from now on, or go on. Answered when
    /// every live node knows.
    DdlFreeze {
        /// From [`Answer::DdlBegun`].
        ddl_id: String,
        /// Whether they wait.
        frozen: bool,
    },
    /// What a committed [`TableChange::Move`] left behind is gone; forget it.
    DdlEnd {
        /// From [`Answer::DdlBegun`].
        ddl_id: String,
    },
    /// Change an account; answered by [`Answer::Published`] when every live node knows of it.
    Account {
        /// Its name.
        name: String,
        /// How.
        change: AccountAsk,
    },
    /// Nothing was changed, or everything was undone; forget it.
    DdlAbort {
        /// From [`Answer::DdlBegun`].
        ddl_id: String,
    },
    /// What was changed is not known, or could not be undone; somebody else finishes it or undoes it.
    DdlAbandon {
        /// From [`Answer::DdlBegun`].
        ddl_id: String,
    },
    /// Ask all other nodes of the instance; changes no definition. Answered by [`Answer::Peers`].
    Peers {
        /// What.
        ask: PeerAsk,
    },
}

/// What a change of definitions does on the data nodes, as far as somebody else could go on with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DdlWork {
    /// The session's `sql_mode`, where it is not the data node's.
    pub sql_mode: Option<String>,
    /// The physical tables' definition before, as [`crate::definition::comparable`] has it: one that
    /// still has it was not reached. `None`: none was there, or the change does not show in it.
    pub before: Option<String>,
    /// One for each physical table.
    pub steps: Vec<DdlStep>,
}

/// One statement on one physical table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DdlStep {
    /// The shard.
    pub shard: u32,
    /// The physical table, as it is called before.
    pub table: String,
    /// The statement, complete.
    pub statement: String,
}

/// A change of an account by SQL. Passwords are never shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "account", rename_all = "snake_case")]
pub enum AccountAsk {
    /// CREATE USER; must not exist.
    Create {
        /// Its password.
        password: Secret,
    },
    /// DROP USER; must exist.
    Drop,
    /// SET PASSWORD, ALTER USER.
    Password {
        /// Its new password.
        password: Secret,
    },
    /// GRANT on a schema; makes the account when a password is given and it does not exist.
    Grant {
        /// The schema.
        schema: String,
        /// What it may do there besides.
        authorities: BTreeSet<Authority>,
        /// IDENTIFIED BY.
        password: Option<Secret>,
        /// The one table that it is about, lower case; the whole schema without.
        #[serde(default)]
        table: Option<String>,
    },
    /// REVOKE on a schema.
    Revoke {
        /// The schema.
        schema: String,
        /// What it may no longer do there.
        authorities: BTreeSet<Authority>,
        /// The one table that it is about, lower case; the whole schema without.
        #[serde(default)]
        table: Option<String>,
    },
}

/// A change of one logical table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant)] // A statement has a few: a box would save nothing.
pub enum TableChange {
    /// The table comes to be; must not exist at `DdlBegin`.
    Create {
        /// Its definition; columns may be empty until `DdlCommit`.
        table: Table,
    },
    /// The definition changes (also TRUNCATE, which changes rows only).
    Alter {
        /// The definition after.
        table: Table,
    },
    /// The name changes.
    Rename {
        /// The name before.
        from: String,
        /// The definition with the new name.
        table: Table,
        /// The schema that it goes into, where that is another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to_schema: Option<String>,
    },
    /// The table goes.
    Drop {
        /// Its name.
        name: String,
    },
    /// The rows are copied to other physical tables, which then serve. Until
    /// [`Ask::DdlEnd`] both definitions may have physical tables.
    Move {
        /// The definition before.
        from: Table,
        /// The definition after, with a `physical_base` of its own.
        table: Table,
    },
}

/// What came of an [`Ask`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Answer {
    /// The change is recorded and its tables are locked.
    DdlBegun {
        /// To name it later.
        ddl_id: String,
    },
    /// Every live node serves this version, which has the change.
    Published {
        /// The snapshot's version.
        version: u64,
    },
    /// Forgotten.
    Aborted,
    /// What the other nodes said.
    Peers {
        /// One for each that answered.
        answers: Vec<PeerAnswer>,
        /// Names of those that did not in time.
        silent: Vec<String>,
    },
    /// Refused; nothing was recorded.
    Refused {
        /// A number of `base::sql_error`.
        sql_error: u16,
        /// Safe to show.
        message: String,
    },
}
