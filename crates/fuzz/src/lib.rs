//! Fuzz targets: what reads bytes of strangers, with what must hold for any bytes at all. A target
//! is a function over one input; it panics when something does not hold. `make fuzz` searches for
//! inputs with libFuzzer; every change replays the corpus (`tests/corpus.rs`).
//!
//! An input begins with a few bytes that choose the circumstances (capabilities, number of
//! columns); the rest is what the stranger sends.

pub mod authentication;
pub mod client_packets;
pub mod server_packets;
pub mod statements;

mod input;

/// The name and the function of a target.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("authentication", authentication::run),
    ("client_packets", client_packets::run),
    ("server_packets", server_packets::run),
    ("statements", statements::run),
];
