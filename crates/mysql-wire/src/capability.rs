//! Capability flags that both sides exchange in the handshake. The low 32 bits are MySQL's; the
//! high 32 bits are MariaDB's extended ones, which are valid only when `LONG_PASSWORD`
//! (called `CLIENT_MYSQL` there) is off in the server's greeting.

use crate::flags::bit_flags;

bit_flags! {
    /// What a peer can do.
    Capabilities(u64) {
        /// MySQL: long passwords; MariaDB: "I am MySQL", no extended capabilities.
        LONG_PASSWORD = 0;
        /// Affected rows count matched rows instead of changed ones.
        FOUND_ROWS = 1;
        /// Column flags have two bytes.
        LONG_FLAG = 2;
        /// A database name is in the handshake response.
        CONNECT_WITH_DB = 3;
        /// `database.table.column` is refused.
        NO_SCHEMA = 4;
        /// The zlib-compressed protocol.
        COMPRESS = 5;
        /// No special meaning any more.
        ODBC = 6;
        /// The client answers LOCAL INFILE requests.
        LOCAL_FILES = 7;
        /// The parser ignores spaces before `(`.
        IGNORE_SPACE = 8;
        /// The protocol of 4.1 and later; without it nobody is served.
        PROTOCOL_41 = 9;
        /// `interactive_timeout` holds instead of `wait_timeout`.
        INTERACTIVE = 10;
        /// The connection changes to TLS after an SSLRequest.
        SSL = 11;
        /// Only of meaning inside client libraries.
        IGNORE_SIGPIPE = 12;
        /// Status flags are in OK and EOF packets.
        TRANSACTIONS = 13;
        /// Named protocol 4.1 once; not used.
        RESERVED = 14;
        /// Authentication of 4.1 and later.
        SECURE_CONNECTION = 15;
        /// Several statements in one COM_QUERY.
        MULTI_STATEMENTS = 16;
        /// Several results for one COM_QUERY.
        MULTI_RESULTS = 17;
        /// Several results for one COM_STMT_EXECUTE.
        PS_MULTI_RESULTS = 18;
        /// Authentication plugins are named and can be switched.
        PLUGIN_AUTH = 19;
        /// Connection attributes are in the handshake response.
        CONNECT_ATTRS = 20;
        /// The authentication answer has a length-encoded length.
        PLUGIN_AUTH_LENENC_CLIENT_DATA = 21;
        /// The client can work with an expired password.
        CAN_HANDLE_EXPIRED_PASSWORDS = 22;
        /// Session state changes are in OK packets.
        SESSION_TRACK = 23;
        /// An OK packet with header 0xFE ends rows; there is no EOF packet.
        DEPRECATE_EOF = 24;
        /// The client can ask for results without column definitions.
        OPTIONAL_RESULTSET_METADATA = 25;
        /// The zstd-compressed protocol.
        ZSTD_COMPRESSION = 26;
        /// COM_QUERY and COM_STMT_EXECUTE carry query attributes.
        QUERY_ATTRIBUTES = 27;
        /// Several factors of authentication.
        MULTI_FACTOR = 28;
        /// Only of meaning inside client libraries.
        REMEMBER_OPTIONS = 31;
        /// MariaDB: progress reports in ERR packets with number 0xFFFF.
        MARIADB_PROGRESS = 32;
        /// MariaDB: a withdrawn batch command.
        MARIADB_COM_MULTI = 33;
        /// MariaDB: COM_STMT_BULK_EXECUTE.
        MARIADB_STMT_BULK = 34;
        /// MariaDB: column definitions have an extended type.
        MARIADB_EXTENDED_METADATA = 35;
        /// MariaDB: column definitions of prepared statements can be left out.
        MARIADB_CACHE_METADATA = 36;
    }
}

impl Capabilities {
    /// The MySQL half, as the wire carries it.
    pub const fn low(self) -> u32 {
        (self.0 & 0xFFFF_FFFF) as u32
    }

    /// MariaDB's extended half, as the wire carries it.
    pub const fn high(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Puts the two halves together.
    pub const fn from_halves(low: u32, high: u32) -> Self {
        Self(low as u64 | (high as u64) << 32)
    }
}
