//! What makes a type a record of the store.

use crate::store::{Condition, Revision};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A kind of record.
pub trait Record: Serialize + DeserializeOwned {
    /// What the keys of all records of this kind begin with; ends in `/`.
    const PREFIX: &'static str;

    /// The record's key.
    fn key(&self) -> String;
}

/// A record as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The record.
    pub value: T,
    /// When it came to be.
    pub create_revision: Revision,
    /// When it was written last.
    pub mod_revision: Revision,
}

impl<T: Record> Versioned<T> {
    /// Nobody has written it since.
    pub fn unchanged(&self) -> Condition {
        Condition::ModRevision(self.value.key(), self.mod_revision)
    }
}
