//! control-app.
