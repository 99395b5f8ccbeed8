//! control-store.
