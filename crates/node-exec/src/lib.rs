//! node-exec.
