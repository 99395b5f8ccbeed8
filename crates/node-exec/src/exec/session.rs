//! What of a session outlives a statement.

use crate::active::Active;
use crate::in_flight::InFlightGuard;
use crate::own_connection::OwnConnections;
use crate::read_back::ReadBack;
use crate::reads::StatementReads;
use crate::spread::Spread;
use crate::touched::Touched;
use crate::transaction::{Transaction, TransactionOptions};
use crate::upload::Upload;
use mysql_wire::packet::ErrPacket;
use mysql_wire::status::StatusFlags;
use node_backend::session_state::SessionState;
use sql_plan::template::{IdleTimeout, Rendered, SessionValue};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Warnings kept of one statement.
pub const WARNINGS_MAX: usize = 64;

/// What of a session outlives a statement.
pub struct ExecSession {
    /// Settings that data nodes get replayed.
    pub state: Arc<SessionState>,
    /// The client counts found rows instead of changed ones.
    pub found_rows: bool,
    /// `autocommit`.
    pub autocommit: bool,
    /// `NO_BACKSLASH_ESCAPES` is in sql_mode.
    pub no_backslash_escapes: bool,
    /// `ANSI_QUOTES` is, and data nodes tell so in their flags.
    pub ansi_quotes: bool,
    /// How transactions of this session begin.
    pub transaction_options: TransactionOptions,
    /// The open transaction.
    pub transaction: Option<Transaction>,
    /// What runs on data nodes now.
    pub active: Active,
    /// For statements on connections that sessions share.
    pub ticket: Option<Rc<crate::pipeline::ticket::Ticket>>,
    /// What the last statement came to.
    pub last: Last,
    /// The present statement changed nothing yet, for its definitions are just being changed or have
    /// been: how long it waits until it is planned anew.
    pub outrun: Option<Duration>,
    /// Who the session is, for functions that ask.
    pub identity: Identity,
    /// Where transactions over several data nodes are seen by others.
    pub spread: Spread,
    /// Ids for distributed transactions.
    pub gtrids: Rc<dyn Fn() -> (String, InFlightGuard)>,
    /// Memory for the text that is sent.
    pub rendered: Rendered,
    /// What the present statement has to do with, for the slow log.
    pub touched: Touched,
    /// Which servers the present statement reads.
    pub reads: StatementReads,
    /// What the session has written, for reads of replicas that must see it.
    pub own_writes: crate::own_writes::OwnWrites,
    /// The present statement wants connections with a current database.
    pub wants_database: bool,
    /// The texts of all warnings are needed, also of statements that share a connection.
    pub keeps_warnings: bool,
    /// What the parts of the present statement take, while it is analysed.
    pub trace: Option<crate::trace::Trace>,
    /// Connections that the session keeps.
    pub own: OwnConnections,
    /// LOCK TABLES is in force: transactions are no XA ones then, which exclude table locks.
    pub tables_locked: bool,
    /// What the present statement changes of the session on the connection that it runs on.
    pub read_back: Option<Arc<ReadBack>>,
    /// User variables that it has assigned so far, with their values as SQL.
    pub assigned: Vec<(String, String)>,
    /// The file that a LOAD DATA LOCAL gets from the client.
    pub upload: Rc<Upload>,
    /// How long the client may be idle, where it has said so.
    pub idle_timeouts: IdleTimeouts,
    /// `ddm_consistent_reads`, where the session has set it.
    pub consistent_reads: Option<bool>,
    /// What the node knows of commits' marks.
    pub marks: crate::commit_marks::CommitMarks,
}

impl std::fmt::Debug for ExecSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecSession")
            .field("identity", &self.identity)
            .field("transaction", &self.transaction)
            .finish_non_exhaustive()
    }
}

/// Who a session is.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The account.
    pub user: String,
    /// The client's address.
    pub host: String,
    /// The connection's id.
    pub connection_id: u32,
    /// The chosen schema.
    pub schema: Option<String>,
    /// What VERSION() says.
    pub version: String,
    /// The port that the client came to.
    pub port: u16,
    /// The name of the machine that the node runs on.
    pub machine: Rc<str>,
    /// The node's number within the instance, from 1.
    pub node_number: u32,
}

/// What the last statement came to.
#[derive(Clone, Debug, Default)]
pub struct Last {
    /// LAST_INSERT_ID()
    pub insert_id: u64,
    /// The id that the client was told with OK, which may be one that it gave itself.
    pub told_id: u64,
    /// ROW_COUNT()
    pub row_count: i64,
    /// FOUND_ROWS()
    pub found_rows: u64,
    /// SHOW WARNINGS
    pub warnings: Vec<Warning>,
}

/// wait_timeout and interactive_timeout where the session has set them, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdleTimeouts([Option<u32>; 2]);

impl IdleTimeouts {
    /// One of them.
    pub fn get(self, which: IdleTimeout) -> Option<u32> {
        self.0[which as usize]
    }

    /// The same with another value; none stands for the instance's.
    pub fn with(mut self, which: IdleTimeout, seconds: Option<u32>) -> Self {
        self.0[which as usize] = seconds;
        self
    }
}

/// One row of SHOW WARNINGS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Note, Warning, Error
    pub level: String,
    /// The number.
    pub code: u16,
    /// The text.
    pub message: Vec<u8>,
}

impl ExecSession {
    /// The flags of an OK packet of our own.
    pub fn status(&self, more: bool) -> StatusFlags {
        let mut status = StatusFlags::default();
        if self.autocommit {
            status.insert(StatusFlags::AUTOCOMMIT);
        }
        if let Some(transaction) = &self.transaction
            && !transaction.is_of_read()
        {
            status.insert(StatusFlags::IN_TRANS);
            status.set(StatusFlags::IN_TRANS_READONLY, transaction.is_read_only());
        }
        if self.no_backslash_escapes {
            status.insert(StatusFlags::NO_BACKSLASH_ESCAPES);
        }
        status.set(StatusFlags::ANSI_QUOTES, self.ansi_quotes);
        if more {
            status.insert(StatusFlags::MORE_RESULTS);
        }
        status
    }

    /// A new transaction; nothing is sent before its first statement.
    pub fn new_transaction(&self, distributed: bool, options: TransactionOptions) -> Transaction {
        if self.tables_locked {
            return Transaction::begin_under_locks(options, self.found_rows, self.autocommit);
        }
        let gtrid = distributed.then(|| (self.gtrids)());
        Transaction::begin(gtrid, options, self.found_rows)
    }

    /// Writes what the session knows as an SQL expression.
    pub fn write_value(&self, what: SessionValue, out: &mut Vec<u8>) {
        let quote = |text: &str, out: &mut Vec<u8>| {
            mysql_wire::value::put_quoted(out, text.as_bytes(), self.no_backslash_escapes);
        };
        match what {
            SessionValue::Database => match &self.identity.schema {
                Some(schema) => quote(schema, out),
                None => out.extend_from_slice(b"NULL"),
            },
            SessionValue::User => {
                quote(&format!("{}@{}", self.identity.user, self.identity.host), out)
            }
            SessionValue::CurrentUser => quote(&format!("{}@%", self.identity.user), out),
            SessionValue::ConnectionId => {
                out.extend_from_slice(self.identity.connection_id.to_string().as_bytes())
            }
            SessionValue::LastInsertId => {
                // Unsigned and of 64 bits, as the servers' own.
                out.extend_from_slice(format!("({}|0)", self.last.insert_id).as_bytes())
            }
            SessionValue::RowCount => {
                let count = self.last.row_count;
                out.extend_from_slice(format!("IF(TRUE,{count},{})", i64::MAX).as_bytes())
            }
            SessionValue::FoundRows => {
                let found = self.last.found_rows;
                out.extend_from_slice(format!("IF(TRUE,{found},{})", i64::MAX).as_bytes())
            }
            SessionValue::Port => {
                out.extend_from_slice(format!("({}|0)", self.identity.port).as_bytes())
            }
            SessionValue::Hostname => quote(&self.identity.machine, out),
            SessionValue::ServerId => {
                out.extend_from_slice(format!("({}|0)", self.identity.node_number).as_bytes())
            }
            SessionValue::Version => quote(&self.identity.version, out),
            SessionValue::WarningCount => {
                let count = self.last.warnings.len();
                out.extend_from_slice(format!("({count}|0)").as_bytes());
            }
            SessionValue::IdleTimeout { which, instance } => {
                let seconds = self.idle_timeouts.get(which).unwrap_or(instance);
                out.extend_from_slice(format!("({seconds}|0)").as_bytes());
            }
            SessionValue::ConsistentReads { instance } => {
                let on = self.consistent_reads.unwrap_or(instance);
                out.extend_from_slice(format!("({}|0)", u8::from(on)).as_bytes());
            }
            SessionValue::ErrorCount => {
                let errors = self.last.warnings.iter().filter(|one| one.level == "Error").count();
                out.extend_from_slice(format!("({errors}|0)").as_bytes());
            }
        }
    }

    /// An error becomes what SHOW WARNINGS shows.
    pub fn note_error(&mut self, error: &ErrPacket) {
        self.last.row_count = -1;
        self.last.warnings = vec![Warning {
            level: "Error".to_owned(),
            code: error.number,
            message: error.message.clone(),
        }];
    }
}
