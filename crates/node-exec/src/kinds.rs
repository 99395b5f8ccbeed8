//! Counters of the kinds of plan that cost more than one shard's answer.

use telemetry::metrics::Counter;

/// Statements whose answers were merged.
pub static SCATTERS: Counter = Counter::new(
    "ddm_scattered_statements_total",
    "Queries that ran on several shards, whose answers were merged.",
);
/// Statements that ran over temporary tables.
pub static SCRATCHES: Counter = Counter::new(
    "ddm_scratch_statements_total",
    "Queries that ran over temporary tables on one data node.",
);
/// Rows that were brought together for them.
pub static SCRATCH_ROWS: Counter =
    Counter::new("ddm_scratch_rows_total", "Rows that were loaded into temporary tables.");
/// Statements that changed copies on all shards.
pub static EVERYWHERES: Counter = Counter::new(
    "ddm_broadcast_statements_total",
    "Changes of broadcast tables, made on every shard.",
);
