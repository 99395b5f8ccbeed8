//! Groups: nodes of one class that take writes and reads, or reads alone.
