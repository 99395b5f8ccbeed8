//! The store of the control plane: one trait with the operations of a strongly consistent key-value
//! store, its embedded form (one SQLite file), and typed access. What the records of nouns hold is
//! their users' business.

pub mod conformance;
pub mod embedded;
pub mod error;
pub mod jobs;
pub mod record;
pub mod records;
pub mod slow_log;
pub mod store;
pub mod typed;

pub use error::StoreError;
pub use store::{
    Change, Condition, Entry, LeaseId, Page, Pages, Revision, Store, TxnOutcome, WatchStream, Write,
};
