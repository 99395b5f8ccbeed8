//! Metadata of an instance's schemas: what shards and tables there are and where, without any row
//! and without any secret. It is exported and imported, backed up and restored; [`document`] is the
//! form that all of these share.

pub mod create_text;
pub mod document;
pub(crate) mod export;
mod import;
pub mod matching;
pub(crate) mod restore;
pub mod sequences;
mod target;
