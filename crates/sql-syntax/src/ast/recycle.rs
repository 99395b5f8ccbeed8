//! Statements about the recycle bin.

use super::{Ident, TableName};

/// RESTORE and PURGE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecycleStmt {
    /// RESTORE TABLE: by the name that the table had, or its name in the bin.
    Restore(TableName),
    /// PURGE TABLE: those in the bin, by either name.
    Purge(Vec<TableName>),
    /// PURGE RECYCLEBIN \[FROM schema\].
    PurgeAll(Option<Ident>),
}
