//! What the control plane asks of data nodes through their administration account: facts about the
//! server, databases, accounts. A trait, so that jobs and reconcilers depend on the questions and
//! not on the protocol; the one implementation speaks SQL ([`crate::SqlDataNodeAdmin`]).

use crate::sql_text;
use async_trait::async_trait;
use base::error_kind::ErrorKind;
use base::secret::Secret;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Endpoint {
    /// The server at this host and port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// An account on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminLogin {
    /// The server.
    pub endpoint: Endpoint,
    /// The account.
    pub user: String,
    /// Its password.
    pub password: Secret,
}

impl AdminLogin {
    /// This account on this server.
    pub fn new(
        host: impl Into<String>,
        port: u16,
        user: impl Into<String>,
        password: Secret,
    ) -> Self {
        Self { endpoint: Endpoint::new(host, port), user: user.into(), password }
    }
}

/// Administration of data nodes. Every call opens its own connection, is bounded in time, and may
/// be repeated.
#[async_trait]
pub trait DataNodeAdmin: Send + Sync + fmt::Debug {
    /// Facts about the server and the account's rights on it.
    async fn probe(&self, login: &AdminLogin) -> Result<ServerFacts, AdminError>;

    /// Makes a database unless it is there.
    async fn create_database(
        &self,
        login: &AdminLogin,
        name: &str,
        character_set: &str,
        collation: &str,
    ) -> Result<(), AdminError>;

    /// Drops a database if it is there, with all in it.
    async fn drop_database(&self, login: &AdminLogin, name: &str) -> Result<(), AdminError>;

    /// Names of databases that begin with `prefix` (taken literally), without the server's own.
    async fn list_databases(
        &self,
        login: &AdminLogin,
        prefix: &str,
    ) -> Result<Vec<String>, AdminError>;

    /// Makes the account or sets its password, and adds the grants.
    async fn ensure_account(
        &self,
        login: &AdminLogin,
        account: &DataNodeAccount,
    ) -> Result<(), AdminError>;

    /// Drops the account if it is there and ends its connections.
    async fn drop_account(
        &self,
        login: &AdminLogin,
        user: &str,
        host: &str,
    ) -> Result<(), AdminError>;

    /// Runs a statement; answers the number of affected rows.
    async fn execute(&self, login: &AdminLogin, sql: &str) -> Result<u64, AdminError>;

    /// Runs a statement that gives rows.
    async fn query(&self, login: &AdminLogin, sql: &str) -> Result<Rows, AdminError>;

    /// Runs statements one after the other on one connection; the first that fails ends it.
    async fn execute_all(
        &self,
        login: &AdminLogin,
        statements: &[String],
    ) -> Result<(), AdminError>;

    /// Runs statements that give rows, likewise. One that the server refuses gives its error and
    /// the next one is run.
    async fn query_all(
        &self,
        login: &AdminLogin,
        statements: &[String],
    ) -> Result<Vec<Result<Rows, AdminError>>, AdminError>;
}

/// An account that a data node should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataNodeAccount {
    /// Its name.
    pub user: String,
    /// From where it may connect; `%` is everywhere.
    pub host: String,
    /// Its password.
    pub password: Secret,
    /// What it may do.
    pub grants: Vec<Grant>,
}

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// `ALL PRIVILEGES`, `PROCESS, RELOAD`, …
    pub privileges: String,
    /// `*.*`, `` `shop\_%`.* ``, …
    pub on: String,
}

impl Grant {
    /// On everything.
    pub fn everywhere(privileges: impl Into<String>) -> Self {
        Self { privileges: privileges.into(), on: "*.*".to_owned() }
    }

    /// On all databases whose names begin with `prefix`.
    pub fn on_databases_with_prefix(prefix: &str, privileges: impl Into<String>) -> Self {
        let pattern = sql_text::pattern_of_prefix(prefix).replace('`', "``");
        Self { privileges: privileges.into(), on: format!("`{pattern}`.*") }
    }
}

/// The answer to a query, as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Column names.
    pub columns: Vec<String>,
    /// Values; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

impl Rows {
    /// The value in this row and column; `None` also when there is none or it is NULL.
    pub fn get(&self, row: usize, column: &str) -> Option<&str> {
        let at = self.columns.iter().position(|name| name.eq_ignore_ascii_case(column))?;
        self.rows.get(row)?.get(at)?.as_deref()
    }
}

/// What a server says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// `10.11.6-MariaDB-log`.
    pub version: String,
    /// MariaDB, not MySQL.
    pub is_mariadb: bool,
    /// `lower_case_table_names`.
    pub lower_case_table_names: u8,
    /// Whether it writes a binlog.
    pub log_bin: bool,
    /// `ROW`, `MIXED`, `STATEMENT`.
    pub binlog_format: String,
    /// Whether LOAD DATA LOCAL is allowed.
    pub local_infile: bool,
    /// Whether ordinary accounts may only read.
    pub read_only: bool,
    /// MariaDB's `gtid_strict_mode`, or MySQL's `gtid_mode=ON`.
    pub gtid_strict: bool,
    /// The present GTID position or set.
    pub gtid_position: String,
    /// `server_id`.
    pub server_id: u64,
    /// MySQL's `server_uuid`.
    pub server_uuid: Option<String>,
    /// `character_set_server`.
    pub character_set: String,
    /// `max_connections`.
    pub max_connections: u64,
    /// Its time zone as an offset in the form of the API: `UTC`, `UTC+08:00`.
    pub time_zone: String,
    /// How far a running replica is behind, in seconds.
    pub replica_lag: Option<u64>,
    /// Rights that a data node's administrator needs and this account lacks.
    pub missing_privileges: Vec<String>,
}

/// Binlogs are wanted in this format.
const BINLOG_FORMAT: &str = "ROW";

impl ServerFacts {
    /// What keeps the server from being a data node's primary, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.version_problem();
        let mut check = |fine: bool, problem: &str| {
            if !fine {
                problems.push(problem.to_owned());
            }
        };
        check(self.lower_case_table_names == 1, "lower_case_table_names must be 1");
        check(self.local_infile, "local_infile must be ON");
        check(self.log_bin, "the binlog must be on (log_bin)");
        check(self.binlog_format.eq_ignore_ascii_case(BINLOG_FORMAT), "binlog_format must be ROW");
        check(!self.read_only, "read_only must be OFF on a primary");
        if !self.missing_privileges.is_empty() {
            problems.push(format!("the account lacks {}", self.missing_privileges.join(", ")));
        }
        problems
    }

    fn version_problem(&self) -> Vec<String> {
        let mut numbers =
            self.version.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let (oldest, name) =
            if self.is_mariadb { ((10, 5), "MariaDB 10.5") } else { ((5, 7), "MySQL 5.7") };
        if version >= oldest {
            return Vec::new();
        }
        vec![format!("version {} is too old: {name} or newer is needed", self.version)]
    }
}

/// Why a data node did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// No connection, or it broke.
    #[error("the data node {endpoint} cannot be reached: {reason}")]
    Unreachable {
        /// Which.
        endpoint: Endpoint,
        /// Why.
        reason: String,
    },
    /// Account or password is wrong.
    #[error("the data node {endpoint} refuses the account {user:?}: check its name and password")]
    AuthFailed {
        /// Which.
        endpoint: Endpoint,
        /// The account.
        user: String,
    },
    /// The account lacks a right.
    #[error("the data node's account lacks a right: {message}")]
    Denied {
        /// The server's error number.
        number: u16,
        /// The server's text.
        message: String,
    },
    /// The server refuses the statement.
    #[error("the data node answers error {number} ({sqlstate}): {message}")]
    Server {
        /// The server's error number.
        number: u16,
        /// Its SQLSTATE.
        sqlstate: String,
        /// Its text.
        message: String,
    },
    /// No answer in time.
    #[error("the data node {endpoint} did not answer in time while we tried to {doing}")]
    Timeout {
        /// Which.
        endpoint: Endpoint,
        /// A verb phrase.
        doing: &'static str,
    },
    /// An answer that makes no sense.
    #[error("the data node {endpoint} answers something unexpected: {reason}")]
    Protocol {
        /// Which.
        endpoint: Endpoint,
        /// What.
        reason: String,
    },
    /// A name that no server takes.
    #[error("{0:?} cannot be a name")]
    BadName(String),
}

impl AdminError {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            AdminError::AuthFailed { .. } | AdminError::Denied { .. } | AdminError::BadName(_) => {
                ErrorKind::User
            }
            _ => ErrorKind::Dependency,
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            AdminError::Unreachable { .. }
                | AdminError::Timeout { .. }
                // Too many connections; lock wait timeout; deadlock; shutdown in progress.
                | AdminError::Server { number: 1040 | 1205 | 1213 | 1053, .. }
        )
    }

    /// The server's error number, if the server answered.
    pub fn number(&self) -> Option<u16> {
        match self {
            AdminError::Denied { number, .. } | AdminError::Server { number, .. } => Some(*number),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit() -> ServerFacts {
        ServerFacts {
            version: "10.11.6-MariaDB-log".to_owned(),
            is_mariadb: true,
            lower_case_table_names: 1,
            log_bin: true,
            binlog_format: "ROW".to_owned(),
            local_infile: true,
            ..ServerFacts::default()
        }
    }

    #[test]
    fn problems_are_named() {
        assert_eq!(fit().problems(), Vec::<String>::new());
        let cases = [
            (ServerFacts { lower_case_table_names: 0, ..fit() }, "lower_case_table_names"),
            (ServerFacts { log_bin: false, ..fit() }, "log_bin"),
            (ServerFacts { binlog_format: "MIXED".to_owned(), ..fit() }, "binlog_format"),
            (ServerFacts { local_infile: false, ..fit() }, "local_infile"),
            (ServerFacts { read_only: true, ..fit() }, "read_only"),
            (ServerFacts { version: "10.3.2-MariaDB".to_owned(), ..fit() }, "10.5"),
            (ServerFacts { missing_privileges: vec!["RELOAD".to_owned()], ..fit() }, "RELOAD"),
        ];
        for (facts, word) in cases {
            let problems = facts.problems();
            assert!(problems.len() == 1 && problems[0].contains(word), "{word}: {problems:?}");
        }
    }

    #[test]
    fn a_prefix_is_literal_in_a_grant() {
        let grant = Grant::on_databases_with_prefix("my_shop_", "SELECT");
        assert_eq!(grant.on, "`my\\_shop\\_%`.*");
    }
}
