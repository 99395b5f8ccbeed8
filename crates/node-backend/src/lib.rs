//! Connections to data nodes: login, the pipeline of statements and answers, prepared statements,
//! session state, pools, the choice of a replica, KILL. It moves bytes and follows answers; it
//! knows nothing of routing, plans or clients.
//!
//! [`Connection`] can be used from any runtime. [`Pool`] and what is built of it belong to one
//! single-threaded runtime, so that taking a connection costs neither a lock nor a hand-over
//! between threads.

pub mod answer;
pub mod connection;
pub mod dial;
pub mod error;
pub mod gtid;
pub mod health;
pub mod kill;
pub mod lead;
mod link;
pub mod local_data;
mod login;
pub mod members;
pub mod options;
pub mod pool;
pub mod primary;
pub mod query;
pub mod quota;
mod rsa_password;
pub mod session_state;
pub mod statement;

pub use connection::{Connection, Piece};
pub use dial::{Dial, Dialler};
pub use error::BackendError;
pub use health::{MemberHealth, probe};
pub use kill::{KillTarget, kill};
pub use lead::{Gate, Lead};
pub use members::{Rotation, Standing, Standings};
pub use options::ConnectOptions;
pub use pool::{Lease, Pool, PoolOptions, PoolStats};
pub use query::{QueryResult, ResultSet, Row, StreamHead};
pub use quota::Quota;
pub use session_state::SessionState;
pub use statement::Prepared;
