//! node-session.
