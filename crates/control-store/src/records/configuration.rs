//! Instance parameters and parameter templates.
