//! A whole system in one thread, under a clock that stands still while anybody works: the real code
//! of nodes, from the client's connection down to the connections to data nodes, with data nodes,
//! clients and misfortunes made here. Everything that happens follows from one number, the seed, so
//! what was found once is found again. Only `tests/seeds.rs` runs it.
//!
//! What is made here is as little as the code under test can be told by: [`data_node`] keeps rows,
//! locks and prepared branches as a server does, and speaks its protocol; it plans nothing and
//! checks nothing. [`history`] says what must hold in the end.

pub mod chaos;
pub mod client;
pub mod data_node;
pub mod history;
pub mod network;
pub mod node;
pub mod numbers;
pub mod run;
pub mod system;
pub mod trace;
pub mod world;
