//! Logs and metrics of every process of the product. It sets up `tracing` once and keeps a small
//! registry of counters and gauges that prints itself in Prometheus' text form. It must not know
//! what is logged or counted: each crate declares its own metrics as statics.

pub mod logs;
pub mod metrics;
