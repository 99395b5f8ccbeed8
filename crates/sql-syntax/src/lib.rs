//! sql-syntax.
