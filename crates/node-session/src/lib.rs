//! One client connection: login, commands, variables, transactions, prepared statements, SHOW. It
//! decides what a statement is and lends its session to the executor; it never talks to a data node
//! itself but through node-exec.

mod analyze;
mod catalogue;
mod catalogue_rows;
mod control;
mod create_from;
mod frozen;
pub mod handshake;
mod kill;
mod like;
mod limits;
mod maintain;
pub mod permission;
pub mod plan_cache;
pub mod prepared;
mod prepared_sequences;
pub mod processes;
mod query;
pub mod reader;
pub mod recovery;
pub mod replicas;
mod sequence_values;
mod sequences;
pub mod session;
pub mod shared;
mod show;
mod show_catalogue;
mod show_grants;
mod show_rule;
mod show_servers;
mod show_table;
pub mod slow_log;
mod statement;
mod variables;
mod views;
pub mod worker;
