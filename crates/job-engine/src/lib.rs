//! Durable jobs: fixed sequences of named steps, each idempotent, each with its undo beside it. A
//! step's output is stored under its name before the next step begins, so a job goes on or undoes
//! itself whenever the process dies. The engine knows no product: what a step does, and what objects
//! a job locks, is its user's.

mod advance;
mod claims;
mod definition;
mod engine;
pub mod kit;
mod row;
mod store;

pub use advance::{OUTPUT_BYTES_MAX, REASON_CHARS_MAX, STEP_ATTEMPTS_MAX};
pub use claims::LEASE_TTL;
pub use definition::{JobDefinition, Step, StepContext, StepError};
pub use engine::{EngineError, JobEngine, RETRY};
pub use row::{JobRow, JobState, NewJob};
pub use store::{JobStore, JobStoreError, StoredJob};
