//! Counters of the kinds of plan: each statement that is run is counted once, by its plan, and one
//! whose source is a query of its own not by that.

use telemetry::metrics::{Counter, Metric, SpreadCounter};

/// All of them, to be registered.
pub static ALL: [&dyn Metric; 13] = [
    &FORWARDS,
    &SCATTERS,
    &SCATTERED_WRITES,
    &EVERYWHERES,
    &SCRATCHES,
    &SCRATCH_WRITES,
    &SCRATCH_INSERTS,
    &SCRATCH_ROWS,
    &INSERTS,
    &INSERT_SELECTS,
    &LOADS,
    &DEFINITIONS,
    &PLACEMENTS,
];

/// Statements of one place.
pub static FORWARDS: SpreadCounter = SpreadCounter::new(
    "ddm_forwarded_statements_total",
    "SELECT, UPDATE and DELETE that ran on one shard as a whole.",
);
/// Statements of listed rows.
pub static INSERTS: SpreadCounter = SpreadCounter::new(
    "ddm_insert_statements_total",
    "INSERT and REPLACE of listed rows, on one or several shards.",
);
/// Writes on several shards.
pub static SCATTERED_WRITES: Counter = Counter::new(
    "ddm_scattered_writes_total",
    "UPDATE and DELETE that ran on several shards, each by itself.",
);
/// Writes over temporary tables.
pub static SCRATCH_WRITES: Counter = Counter::new(
    "ddm_scratch_writes_total",
    "UPDATE and DELETE that ran over temporary tables on one data node.",
);
/// Inserts over temporary tables.
pub static SCRATCH_INSERTS: Counter = Counter::new(
    "ddm_scratch_inserts_total",
    "INSERT and REPLACE that ran over temporary tables on one data node.",
);
/// Inserts of a query's rows.
pub static INSERT_SELECTS: Counter =
    Counter::new("ddm_insert_select_statements_total", "INSERT and REPLACE of a query's rows.");
/// LOAD DATA.
pub static LOADS: Counter = Counter::new("ddm_load_statements_total", "LOAD DATA statements.");
/// DDL.
pub static DEFINITIONS: Counter =
    Counter::new("ddm_definition_statements_total", "Statements that change definitions.");
/// Changes of placement.
pub static PLACEMENTS: Counter =
    Counter::new("ddm_placement_statements_total", "Changes of a table's placement.");

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
