//! sql-plan.
