//! Standing conditions: each is a pure decision over what should be and what is seen, and a call
//! that acts on it, made again and again.

pub mod backups;
pub mod mirror;
pub mod nodes;
