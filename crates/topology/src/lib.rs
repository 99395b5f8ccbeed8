//! The one document that both planes share: an instance's schemas, shards, tables with their
//! rules, data nodes, accounts and parameters; and the sharding algorithms that turn a key into a
//! shard. It is plain, versioned, validated data. It must not know how it travels or is kept.

pub mod access;
pub mod account;
pub mod algorithm;
pub mod column;
pub mod definition;
pub mod fence;
pub mod model;
pub mod move_names;
pub mod parameters;
pub mod peers;
pub mod recycle;
pub mod rename_mark;
pub mod rule;
pub mod slow_query;
pub mod stream;
pub mod validate;
