//! Metadata of schemas: export, import and restore.
