//! Why the store could not do what was asked.

use std::path::PathBuf;

/// An error of the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process has the file.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer version of the program.
    #[error(
        "the store has form {found}, and this version knows forms up to {supported}; use the newer version"
    )]
    NewerVersion {
        /// The file's form.
        found: u32,
        /// The newest that this program knows.
        supported: u32,
    },
    /// The changes that a watcher asks for are no longer kept; list again.
    #[error("changes before revision {oldest} are no longer kept")]
    Compacted {
        /// The oldest that is.
        oldest: u64,
    },
    /// The watcher was too slow; list again.
    #[error("the watcher fell behind")]
    Lagged,
    /// A key or a value beyond the limit.
    #[error("the record {key} has {bytes} bytes, more than a record may have")]
    TooLarge {
        /// Its key.
        key: String,
        /// Its length.
        bytes: usize,
    },
    /// A transaction beyond the limit.
    #[error("the transaction has {operations} conditions and writes, more than one may have")]
    TooManyOperations {
        /// How many.
        operations: usize,
    },
    /// A read beyond the limit.
    #[error("the read asks for {ranges} ranges, more than one may")]
    TooManyRanges {
        /// How many.
        ranges: usize,
    },
    /// A record that cannot be read.
    #[error("the record {key} cannot be read: {reason}")]
    Corrupt {
        /// Its key.
        key: String,
        /// Why.
        reason: String,
    },
    /// A lease that is not there, or has ended.
    #[error("the lease has ended")]
    NoSuchLease,
    /// The store failed or has been closed.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}
