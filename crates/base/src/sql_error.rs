//! The catalogue of errors that a MySQL client can get from a node itself (a data node's own errors
//! are passed on as they are): number, SQLSTATE, kind. Where MySQL has a fitting number we use it,
//! so that drivers and applications react as they do to one server; our own are in 3000–3999.

use crate::error_kind::ErrorKind;
use std::fmt;

/// An error of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SqlErrorCode {
    /// The error number on the wire.
    pub number: u16,
    /// The SQLSTATE on the wire.
    pub sqlstate: &'static [u8; 5],
    /// Whose fault it is.
    pub kind: ErrorKind,
    /// The name under which documents and metrics list it.
    pub name: &'static str,
}

/// An error with its text, ready for a client. The text never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// Which error of the catalogue.
    pub code: SqlErrorCode,
    /// The text for the client.
    pub message: String,
}

impl SqlError {
    /// An error of this code with this text.
    pub fn new(code: SqlErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for SqlErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.number, self.name)
    }
}

macro_rules! catalogue {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $state:literal, $kind:ident;)*) => {
        $(
            $(#[$doc])*
            pub const $name: SqlErrorCode = SqlErrorCode {
                number: $number,
                sqlstate: $state,
                kind: ErrorKind::$kind,
                name: stringify!($name),
            };
        )*
        /// Every error of the catalogue, by number.
        pub const ALL: &[SqlErrorCode] = &[$($name),*];
    };
}

catalogue! {
    /// CREATE DATABASE of a schema that is there.
    SCHEMA_EXISTS = 1007, b"HY000", User;
    /// DROP DATABASE of a schema that is not there.
    UNKNOWN_SCHEMA_TO_DROP = 1008, b"HY000", User;
    /// `max_connections` is reached.
    TOO_MANY_CONNECTIONS = 1040, b"08004", Limit;
    /// A packet that the handshake does not allow.
    HANDSHAKE_ERROR = 1043, b"08S01", User;
    /// The account has no right on the schema.
    DB_ACCESS_DENIED = 1044, b"42000", User;
    /// Unknown account, wrong password.
    ACCESS_DENIED = 1045, b"28000", User;
    /// A statement needs a schema and none is chosen.
    NO_DB_SELECTED = 1046, b"3D000", User;
    /// A command byte that no server knows.
    UNKNOWN_COMMAND = 1047, b"08S01", User;
    /// No such schema.
    UNKNOWN_DB = 1049, b"42000", User;
    /// CREATE TABLE of a table that is there.
    TABLE_EXISTS = 1050, b"42S01", User;
    /// DROP of a table that is not there.
    UNKNOWN_TABLE = 1051, b"42S02", User;
    /// A column name that more than one table has.
    AMBIGUOUS_COLUMN = 1052, b"23000", User;
    /// The node is stopping.
    SERVER_SHUTDOWN = 1053, b"08S01", Dependency;
    /// No such column.
    UNKNOWN_COLUMN = 1054, b"42S22", User;
    /// A column is named twice.
    DUPLICATE_COLUMN = 1060, b"42S21", User;
    /// Two rows have the same value in a unique key.
    DUPLICATE_ENTRY = 1062, b"23000", User;
    /// The statement cannot be parsed.
    SYNTAX_ERROR = 1064, b"42000", User;
    /// Nothing to run.
    EMPTY_QUERY = 1065, b"42000", User;
    /// A table is named twice where each is named once.
    NOT_UNIQUE_TABLE = 1066, b"42000", User;
    /// ENCLOSED BY or ESCAPED BY of more than one character.
    WRONG_FIELD_SEPARATOR = 1083, b"42000", User;
    /// CREATE OR REPLACE of a table that its own query reads.
    TARGET_IS_SOURCE = 1093, b"HY000", User;
    /// KILL of a connection that is not there.
    NO_SUCH_THREAD = 1094, b"HY000", User;
    /// A schema's name that cannot be one, or is another's.
    WRONG_DB_NAME = 1102, b"42000", User;
    /// A table's name that cannot be one.
    WRONG_TABLE_NAME = 1103, b"42000", User;
    /// Something that the catalogue has no better error for.
    UNKNOWN_ERROR = 1105, b"HY000", Internal;
    /// A table that the clause needs and the statement does not have.
    UNKNOWN_TABLE_IN_CLAUSE = 1109, b"42S02", User;
    /// No rule of the security group lets the client in.
    HOST_NOT_PRIVILEGED = 1130, b"HY000", User;
    /// More or fewer values than columns.
    VALUE_COUNT_MISMATCH = 1136, b"21S01", User;
    /// The account may not run this command on this table.
    TABLE_ACCESS_DENIED = 1142, b"42000", User;
    /// DROP of a view that is not there.
    UNKNOWN_VIEW = 4092, b"42S02", User;
    /// A table where a view is wanted, or the other way round.
    WRONG_OBJECT = 1347, b"HY000", User;
    /// DROP TABLE of a view.
    IS_A_VIEW = 1965, b"42S02", User;
    /// A view whose tables or columns are gone.
    VIEW_INVALID = 1356, b"HY000", User;
    /// A row that misses a column behind a view.
    NO_DEFAULT_FOR_VIEW_FIELD = 1423, b"HY000", User;
    /// COM_STMT_FETCH of a statement without a cursor, or behind its last row.
    NO_OPEN_CURSOR = 1421, b"HY000", User;
    /// A view that reads itself.
    VIEW_RECURSIVE = 1462, b"HY000", User;
    /// A view whose rows cannot be changed through it.
    NON_UPDATABLE_TABLE = 1288, b"HY000", User;
    /// A view that no row can be inserted through.
    NON_INSERTABLE_TABLE = 1471, b"HY000", User;
    /// No such table.
    NO_SUCH_TABLE = 1146, b"42S02", User;
    /// The statement is refused by a rule.
    NOT_ALLOWED = 1148, b"42000", User;
    /// A packet longer than `max_allowed_packet`.
    PACKET_TOO_LARGE = 1153, b"08S01", Limit;
    /// Packets in a wrong order or of a wrong form.
    PACKETS_OUT_OF_ORDER = 1156, b"08S01", User;
    /// No such system variable.
    UNKNOWN_SYSTEM_VARIABLE = 1193, b"HY000", User;
    /// A variable that cannot have this value.
    WRONG_VALUE_FOR_VARIABLE = 1231, b"42000", User;
    /// A right that the account lacks for the whole statement.
    SPECIFIC_ACCESS_DENIED = 1227, b"42000", User;
    /// The transaction waited in a circle with others and was rolled back.
    DEADLOCK = 1213, b"40001", Conflict;
    /// A kind of statement that is not supported; the text says which and why.
    NOT_SUPPORTED = 1235, b"42000", User;
    /// A prepared statement that is not there.
    UNKNOWN_PREPARED_STATEMENT = 1243, b"HY000", User;
    /// A data node cannot be reached.
    DATA_NODE_UNREACHABLE = 1429, b"HY000", Dependency;
    /// A key that no range of a RANGE rule holds.
    NO_RANGE_FOR_VALUE = 1526, b"HY000", User;
    /// The statement was killed or ran too long.
    QUERY_INTERRUPTED = 1317, b"70100", User;
    /// The statement ran longer than `sql_execute_timeout`.
    QUERY_TIMEOUT = 3024, b"HY000", Limit;
    /// A character set that no server knows.
    UNKNOWN_CHARACTER_SET = 1115, b"42000", User;
    /// A value that does not fit its parameter.
    WRONG_ARGUMENTS = 1210, b"HY000", User;
    /// A savepoint that is not there.
    NO_SUCH_SAVEPOINT = 1305, b"42000", User;
    /// INSERT DELAYED, which the data nodes' engine does not have.
    DELAYED_NOT_SUPPORTED = 1616, b"HY000", User;
    /// EXPLAIN FORMAT = something else.
    UNKNOWN_EXPLAIN_FORMAT = 1791, b"HY000", User;
    /// The account's password is too old.
    PASSWORD_EXPIRED = 1862, b"HY000", User;
    /// The transaction would touch a second shard and the policy does not allow it.
    TRANSACTION_SPANS_SHARDS = 3100, b"HY000", User;
    /// A temporary result passed `temp_table_size_limit`.
    TEMP_TABLE_LIMIT = 3101, b"HY000", Limit;
    /// The control plane cannot be asked, so nothing can be changed.
    CONTROL_PLANE_AWAY = 3102, b"HY000", Dependency;
    /// A definition is being changed by another statement.
    DDL_CONFLICT = 3103, b"HY000", Conflict;
    /// A DDL statement failed on some shards; the text says where it stands.
    DDL_INCOMPLETE = 3104, b"HY000", Dependency;
    /// The rule of a sharded table is wrong; the text says how.
    WRONG_SHARDING_RULE = 3105, b"HY000", User;
    /// The schema is being made or deleted.
    SCHEMA_NOT_READY = 3106, b"HY000", Conflict;
    /// All connections to a data node are taken.
    BACKEND_CONNECTIONS_EXHAUSTED = 3107, b"HY000", Limit;
    /// The connection to a data node was lost while a statement ran.
    BACKEND_CONNECTION_LOST = 3108, b"HY000", Dependency;
    /// A statement without its sharding key while `contains_shard_key` is on.
    SHARDING_KEY_MISSING = 3109, b"HY000", User;
    /// The node was cut off from the control plane too long to be sure of its definitions.
    NODE_FENCED = 3110, b"HY000", Dependency;
    /// A metadata lock is held longer than `ddl_precheck_mdl_threshold_time` on a table that a DDL
    /// statement would change.
    METADATA_LOCK_HELD = 3111, b"HY000", Conflict;
    /// More DDL statements within an hour than `ddl_flowcontrol_threshold` allows.
    TOO_MANY_DDL = 3112, b"HY000", Limit;
    /// A node of a read-only group found no replica to read from.
    NO_READ_REPLICA = 3113, b"HY000", Dependency;
    /// A table that is not, or cannot be, in the recycle bin.
    NOT_IN_RECYCLE_BIN = 3114, b"HY000", User;
    /// The rows of a cursor could not be put aside; the text says why.
    CURSOR_NOT_KEPT = 3115, b"HY000", Dependency;
    /// More cursors than one session may have open.
    TOO_MANY_CURSORS = 3116, b"HY000", Limit;
    /// A read waited too long for a moment at which several data nodes show the same commits.
    NO_CONSISTENT_VIEW = 3117, b"HY000", Dependency;
    /// A hint that is not known, or does not fit its statement; the text says why.
    WRONG_HINT = 3120, b"HY000", User;
    /// A write on a node of a read-only group.
    NODE_IS_READ_ONLY = 1290, b"HY000", User;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_and_names_are_unique() {
        let numbers: HashSet<u16> = ALL.iter().map(|code| code.number).collect();
        let names: HashSet<&str> = ALL.iter().map(|code| code.name).collect();
        assert_eq!(numbers.len(), ALL.len());
        assert_eq!(names.len(), ALL.len());
    }
}
