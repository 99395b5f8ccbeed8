//! A statement that took long, as a node reports it and the control plane keeps it.

use serde::{Deserialize, Serialize};

/// A statement that took at least `long_query_time`. Its text has no passwords in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowQuery {
    /// Grows on its node, over restarts too: whoever gets one twice can tell.
    pub number: u64,
    /// The account.
    pub user: String,
    /// The schema that it worked in; empty for none.
    pub schema: String,
    /// The text, passwords masked, cut at a bound.
    pub text: String,
    /// The same for all statements that differ in their literals alone.
    pub digest: String,
    /// When it began, UNIX milliseconds.
    pub started_ms: i64,
    /// How long it took.
    pub milliseconds: u64,
    /// The physical databases that it was sent to, a bounded number of them.
    pub shards: Vec<String>,
    /// Rows that data nodes sent or changed for it.
    pub rows_examined: u64,
    /// Rows that the client got, or that were changed.
    pub rows_returned: u64,
    /// The client's address.
    pub client: String,
}
