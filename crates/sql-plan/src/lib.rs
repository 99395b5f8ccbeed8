//! A statement's tree and the topology snapshot → a plan: plain, printable data that says which
//! shards take part, what text each gets and how their answers become one. It sees values only
//! through the holes of a plan, and it must not know connections, sessions or packets.

mod access;
mod bind;
pub mod catalogue;
mod colocate;
pub mod ddl;
mod explain;
mod expr;
mod hint;
pub mod insert;
mod keys;
pub mod load;
pub mod merge;
mod names;
pub mod number_tables;
pub mod plan;
mod planner;
mod query;
pub mod read_back;
pub mod reads;
pub mod route;
mod scratch;
pub mod scratch_write;
pub mod shape;
pub mod short_reads;
pub mod template;
pub mod trial;
pub mod value;
pub mod variables;
pub mod view;
mod write;

pub use access::access;
pub use names::column_name;
pub use plan::{Action, Place, Plan, Planned};
pub use planner::{PlanContext, is_frozen, plan};
