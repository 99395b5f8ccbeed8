//! What every other room may use: typed ids, error kinds and the one error catalogue, back-off,
//! sealing of secrets. It is pure: it knows no runtime, clock, socket, file, and no noun's rules.

pub mod api_error;
pub mod backoff;
pub mod disk_full;
pub mod error_kind;
pub mod id;
pub mod seal;
pub mod secret;
pub mod sql_error;
