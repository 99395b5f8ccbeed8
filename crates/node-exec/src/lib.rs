//! Runs plans: forwards, scatters and merges, writes on several shards at once, transactions,
//! generated values, changes of definitions. It never looks at SQL but the text that it must send,
//! and it knows nothing of how a client logs in or what it asked before.

pub mod active;
pub mod ask;
pub mod backends;
pub mod client;
pub mod collation;
pub mod collect;
pub mod ddl;
pub mod decision;
mod decision_cleanup;
mod default_database;
pub mod definition;
pub mod error;
pub mod exec;
pub mod in_flight;
pub mod insert;
pub mod insert_counts;
pub mod insert_select;
pub mod kinds;
mod load;
pub mod members;
pub mod merge;
pub mod named_sequence;
pub mod names;
pub mod own_connection;
pub mod placement;
pub mod quotas;
pub mod read_back;
mod readers;
pub mod reads;
pub mod recovery;
pub mod relay;
pub mod rows;
pub mod scratch;
pub mod scratch_insert;
pub mod scratch_write;
pub mod sequence;
pub mod streams;
pub mod touched;
pub mod trace;
pub mod transaction;
mod typed_literal;
pub mod upload;
mod used_ids;
pub mod write;
