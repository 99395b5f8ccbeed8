//! node-backend.
