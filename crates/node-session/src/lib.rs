//! One client connection: login, commands, variables, transactions, prepared statements, SHOW. It
//! decides what a statement is and lends its session to the executor; it never talks to a data node
//! itself but through node-exec.

mod catalogue;
mod catalogue_rows;
mod control;
mod create_from;
mod diagnostics;
mod handler;
pub mod handshake;
mod kept;
mod kill;
mod like;
mod limits;
mod locks;
pub mod permission;
pub mod plan_cache;
pub mod prepared;
mod prepared_sequences;
mod prepared_text;
pub mod processes;
mod query;
pub mod reader;
pub mod recovery;
pub mod replicas;
mod select_limit;
mod sequence_values;
mod sequences;
pub mod session;
mod set_statement;
pub mod shared;
mod show;
mod show_rule;
mod show_table;
pub mod slow_log;
mod statement;
mod temporary_tables;
mod user_variables;
mod variables;
mod views;
pub mod worker;
