//! Makes and runs what the control plane decides on: DDM nodes as child processes, MariaDB data
//! nodes on this machine, and databases and accounts on data nodes of any origin. It knows nothing
//! of jobs, the store or the API: callers say what should be, and every call may be repeated.

pub mod data_node_admin;
pub mod error;
mod files;
pub mod hold;
pub mod mariadb_local;
pub mod node;
pub mod process;
pub mod process_nodes;
pub mod replicas;
mod sql_admin;
mod sql_text;

pub use data_node_admin::{
    AdminError, AdminLogin, DataNodeAccount, DataNodeAdmin, Endpoint, Grant, Rows, ServerFacts,
};
pub use error::ProvisionError;
pub use hold::Held;
pub use node::{NodeProvisioner, NodeSpec, NodeStarted, NodeTls, ObservedNode, Stop};
pub use process::Exit;
pub use sql_admin::SqlDataNodeAdmin;
