//! Random statements that know the tables: a seed becomes a tree, the tree becomes text (with or
//! without parameters), and a tree on which the servers differ is made smaller while they still do.
//!
//! Only statements with one right answer are made: a row order is asked for only when it is total,
//! text that several spellings stand for is never the representative of a group, and numbers whose
//! last digits depend on the order of additions are marked.

pub mod choice;
pub mod compound;
pub mod episode;
pub mod query;
pub mod run;
pub mod scalar;
pub mod schema;
pub mod select;
pub mod settings;
pub mod shrink;
pub mod source;
pub mod tree;
pub mod truth;
pub mod wide;
pub mod write;
pub mod write_more;
