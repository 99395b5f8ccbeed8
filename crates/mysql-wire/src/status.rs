//! Server status flags, which OK and EOF packets carry.

use crate::flags::bit_flags;

bit_flags! {
    /// The state of the session at the end of a statement.
    StatusFlags(u16) {
        /// A transaction is open.
        IN_TRANS = 0;
        /// `autocommit` is on.
        AUTOCOMMIT = 1;
        /// Another result follows this one.
        MORE_RESULTS = 3;
        /// No good index was found.
        NO_GOOD_INDEX_USED = 4;
        /// No index was used.
        NO_INDEX_USED = 5;
        /// A cursor is open: rows are fetched by COM_STMT_FETCH.
        CURSOR_EXISTS = 6;
        /// The cursor has no more rows.
        LAST_ROW_SENT = 7;
        /// A database was dropped.
        DB_DROPPED = 8;
        /// `NO_BACKSLASH_ESCAPES` is in `sql_mode`.
        NO_BACKSLASH_ESCAPES = 9;
        /// A prepared statement's columns changed.
        METADATA_CHANGED = 10;
        /// The statement took longer than `long_query_time`.
        QUERY_WAS_SLOW = 11;
        /// This result has the OUT parameters of a procedure.
        PS_OUT_PARAMS = 12;
        /// The open transaction is read-only.
        IN_TRANS_READONLY = 13;
        /// Session state changes are in this OK packet.
        SESSION_STATE_CHANGED = 14;
        /// MariaDB: `ANSI_QUOTES` is in `sql_mode`.
        ANSI_QUOTES = 15;
    }
}
