//! What the product does: one file per noun with the calls on it, `jobs/` with what takes time,
//! `reconcile/` with what must always hold. It knows neither HTTP nor SQL clients nor processes:
//! those are behind the API's types, the store and the provisioners.

mod access_list;
pub mod account;
mod account_sql;
pub mod addresses;
pub mod administrator;
pub mod app;
pub mod backup;
pub mod backup_restorable;
pub mod change;
pub mod configuration;
pub mod data_node;
mod data_node_connection;
mod data_node_examine;
pub mod data_node_register;
mod data_node_sync;
mod data_node_update;
mod data_node_weights;
pub mod ddl;
mod effect;
pub mod engine;
pub mod error;
mod fences;
pub mod flavor;
mod free_addresses;
pub mod greeting;
pub mod group;
pub mod iam;
pub mod instance;
pub mod instance_v3;
pub mod job;
pub mod jobs;
pub mod metadata;
pub mod node;
pub mod order;
pub mod password;
mod peers;
pub mod ports;
pub mod reconcile;
mod reload;
pub mod scaling;
pub mod schema;
pub mod security_group;
pub mod slow_log;
pub mod snapshot;
pub mod time;

pub use app::{App, AppParts, Settings};
pub use error::AppError;
