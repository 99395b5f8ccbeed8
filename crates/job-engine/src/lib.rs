//! job-engine.
