//! The MySQL client/server protocol as plain data, both roles: the server's role towards our
//! clients and the client's role towards data nodes. It knows bytes only: no socket, no runtime,
//! no clock, and nothing of routing or SQL.
//!
//! Every decoder takes a packet payload (the bytes after the 4-byte frame header), every encoder
//! appends one. Garbage is answered by [`DecodeError`], never by a panic. `frame` puts headers
//! around payloads, `response` follows an answer without decoding its rows.

mod flags;

pub mod attributes;
pub mod auth;
pub mod bulk;
pub mod capability;
pub mod column;
pub mod command;
pub mod compressed;
pub mod error;
pub mod frame;
pub mod handshake;
pub mod lenenc;
pub mod packet;
pub mod response;
pub mod row;
pub mod session_track;
pub mod status;
pub mod stmt;
pub mod temporal;
pub mod text_to_binary;
pub mod value;

pub use capability::Capabilities;
pub use error::DecodeError;
pub use status::StatusFlags;
