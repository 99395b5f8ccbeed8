//! Where slow statements are kept: a store of their own beside the store of records, because they
//! are many, small, and worth losing before anything else is. Bounded for each instance; what is
//! over the bound or too old goes, the oldest first.

mod sqlite;

pub use sqlite::SqliteSlowLog;

use crate::error::StoreError;
use async_trait::async_trait;
use base::id::{InstanceId, NodeId};
use topology::slow_query::SlowQuery;

/// How long slow statements are kept: seven days, and one more so that a window of seven days that
/// ends now is whole.
pub const KEPT_MS: i64 = 8 * 24 * 60 * 60 * 1_000;

/// Slow statements of one instance.
pub const ROWS_PER_INSTANCE_MAX: u64 = 200_000;

/// The texts of one instance's slow statements, and what goes with each.
pub const BYTES_PER_INSTANCE_MAX: u64 = 128 * 1024 * 1024;

/// The bounds of one instance.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Statements.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { rows: ROWS_PER_INSTANCE_MAX, bytes: BYTES_PER_INSTANCE_MAX }
    }
}

/// A part of an instance's slow log.
#[derive(Clone, Debug)]
pub struct Window {
    /// Whose.
    pub instance: InstanceId,
    /// Statements that began at this time or later, UNIX milliseconds.
    pub from_ms: i64,
    /// Statements that began at this time or earlier.
    pub to_ms: i64,
    /// Rows to leave out.
    pub offset: u64,
    /// The most rows.
    pub limit: u64,
}

/// A slow statement with the node that ran it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Where it ran.
    pub node: NodeId,
    /// The statement.
    pub query: SlowQuery,
}

/// Statements that differ in their literals alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// One of them, the slowest.
    pub sample: String,
    /// The schema.
    pub schema: String,
    /// How many there were.
    pub times: u64,
    /// Milliseconds of all.
    pub time_sum: u64,
    /// Milliseconds of the slowest.
    pub time_max: u64,
    /// Rows examined by all.
    pub rows_sum: u64,
    /// Rows examined by the one that examined most.
    pub rows_max: u64,
}

/// What templates are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateOrder {
    /// How many there were.
    Times,
    /// Milliseconds of all.
    TimeSum,
    /// Milliseconds on average.
    TimeAverage,
    /// Milliseconds of the slowest.
    TimeMax,
    /// Rows examined by all.
    RowsSum,
    /// Rows examined on average.
    RowsAverage,
    /// Rows examined by the one that examined most.
    RowsMax,
}

/// A page of rows and how many there are in all.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<T> {
    /// The page.
    pub rows: Vec<T>,
    /// All of the window.
    pub total: u64,
}

/// What inserting came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// Statements that had to go to make room.
    pub evicted: u64,
}

/// The store of slow statements.
#[async_trait]
pub trait SlowLogStore: Send + Sync + std::fmt::Debug {
    /// Keeps what a node reports. What is kept already is not kept twice.
    async fn insert(
        &self,
        instance: &InstanceId,
        node: &NodeId,
        queries: Vec<SlowQuery>,
    ) -> Result<Inserted, StoreError>;

    /// The statements of a window, the newest first.
    async fn list(&self, window: Window) -> Result<Found<Logged>, StoreError>;

    /// The templates of a window in this order, which is descending unless said otherwise.
    async fn templates(
        &self,
        window: Window,
        order: TemplateOrder,
        ascending: bool,
    ) -> Result<Found<Template>, StoreError>;

    /// Forgets an instance; says how many statements that were.
    async fn forget(&self, instance: &InstanceId) -> Result<u64, StoreError>;

    /// Forgets all that began before this time; says how many statements that were.
    async fn purge(&self, before_ms: i64) -> Result<u64, StoreError>;
}
