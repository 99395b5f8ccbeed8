//! Backups of metadata.
