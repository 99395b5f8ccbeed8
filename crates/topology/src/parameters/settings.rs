//! The parameters that a node looks at while it serves, read once for each snapshot: a statement
//! costs no search, no text and no allocation for them. Parameters that only planning asks for are
//! read from the snapshot there, for a plan is made once for each snapshot.

use super::Parameters;
use std::time::Duration;

/// What a node does by its instance's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `connection_idle_timeout`
    pub idle_timeout: Duration,
    /// `sql_execute_timeout`
    pub statement_timeout: Duration,
    /// `long_query_time`: statements that take so long or longer are slow.
    pub slow_after: Duration,
    /// `max_allowed_packet`
    pub packet_bytes_max: usize,
    /// `max_connections`
    pub connections_max: u64,
    /// `max_backend_connections`; 0: by the data node's own bound.
    pub backend_connections_max: usize,
    /// `min_backend_connections`
    pub backend_connections_min: usize,
    /// `temp_table_size_limit`
    pub temporary_rows_max: u64,
    /// `concurrent_execution_level`
    pub execution_level: ExecutionLevel,
    /// `batch_insert_policy` is SPLIT.
    pub splits_inserts: bool,
    /// `ddl_precheck_mdl_threshold_time`
    pub lock_held_max: Duration,
    /// `live_transaction_timeout_on_shutdown`
    pub shutdown_timeout: Duration,
    /// `transaction_policy`
    pub transaction_policy: TransactionPolicy,
    /// `seconds_behind_master`: a replica that lags by more takes no reads.
    pub replica_lag_max: Duration,
    /// `force_read_master_in_transaction`
    pub transactions_read_primary: bool,
    /// `pipelining_threshold`: so many short reads at once on a worker and data node share
    /// connections; 0: none does.
    pub pipelining_from: usize,
    /// `read_own_writes`: reads of replicas wait for what their session has written.
    pub reads_own_writes: bool,
    /// `consistent_reads`
    pub consistent_reads: ConsistentReads,
}

/// Which reads over several data nodes never see half of a distributed commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsistentReads {
    /// None; commits leave no marks.
    Off,
    /// Those of sessions that ask for it.
    Session,
    /// Those of all sessions that do not refuse it.
    On,
}

/// What of a scan runs in parallel on one data node; data nodes always do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionLevel {
    /// Nothing: its shards come one after the other.
    DataNode,
    /// Its shards; the physical tables of a shard come one after the other.
    Shard,
    /// All physical tables.
    Table,
}

/// How a transaction over several shards ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionPolicy {
    /// All or none, in two phases.
    TwoPhases,
    /// Each data node by itself.
    Apart,
    /// There is none: a transaction has one shard.
    OneShard,
}

impl Settings {
    /// What these parameters say.
    pub fn of(parameters: &Parameters) -> Self {
        let seconds = |name: &str| Duration::from_secs(parameters.get_unsigned(name));
        let count =
            |name: &str| usize::try_from(parameters.get_unsigned(name)).unwrap_or(usize::MAX);
        Self {
            idle_timeout: seconds("connection_idle_timeout"),
            statement_timeout: seconds("sql_execute_timeout"),
            slow_after: Duration::try_from_secs_f64(parameters.get_float("long_query_time"))
                .unwrap_or(Duration::from_secs(1)),
            packet_bytes_max: count("max_allowed_packet"),
            connections_max: parameters.get_unsigned("max_connections"),
            backend_connections_max: count("max_backend_connections"),
            backend_connections_min: count("min_backend_connections"),
            temporary_rows_max: parameters.get_unsigned("temp_table_size_limit"),
            execution_level: match parameters.get("concurrent_execution_level") {
                "RDS_INSTANCE" => ExecutionLevel::DataNode,
                "PHY_TABLE" => ExecutionLevel::Table,
                _ => ExecutionLevel::Shard,
            },
            splits_inserts: parameters.get("batch_insert_policy") == "SPLIT",
            lock_held_max: seconds("ddl_precheck_mdl_threshold_time"),
            shutdown_timeout: seconds("live_transaction_timeout_on_shutdown"),
            transaction_policy: match parameters.get("transaction_policy") {
                "FREE" => TransactionPolicy::Apart,
                "NO_DTX" => TransactionPolicy::OneShard,
                _ => TransactionPolicy::TwoPhases,
            },
            replica_lag_max: seconds("seconds_behind_master"),
            transactions_read_primary: parameters.get("force_read_master_in_transaction") == "ON",
            pipelining_from: count("pipelining_threshold"),
            reads_own_writes: parameters.get("read_own_writes") == "ON",
            consistent_reads: match parameters.get("consistent_reads") {
                "SESSION" => ConsistentReads::Session,
                "ON" => ConsistentReads::On,
                _ => ConsistentReads::Off,
            },
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::of(&Parameters::default())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_follows_its_parameter() {
        let before = Settings::default();
        assert_eq!(before.idle_timeout, Duration::from_secs(28_800));
        assert_eq!(before.execution_level, ExecutionLevel::Shard);
        assert_eq!(before.transaction_policy, TransactionPolicy::TwoPhases);
        for (name, value, changed) in [
            (
                "connection_idle_timeout",
                "60",
                (|s| s.idle_timeout.as_secs() == 60) as fn(Settings) -> bool,
            ),
            ("sql_execute_timeout", "100", |s| s.statement_timeout.as_secs() == 100),
            ("max_allowed_packet", "2048", |s| s.packet_bytes_max == 2048),
            ("max_connections", "10", |s| s.connections_max == 10),
            ("max_backend_connections", "7", |s| s.backend_connections_max == 7),
            ("min_backend_connections", "3", |s| s.backend_connections_min == 3),
            ("temp_table_size_limit", "500000", |s| s.temporary_rows_max == 500_000),
            ("concurrent_execution_level", "RDS_INSTANCE", |s| {
                s.execution_level == ExecutionLevel::DataNode
            }),
            ("concurrent_execution_level", "PHY_TABLE", |s| {
                s.execution_level == ExecutionLevel::Table
            }),
            ("batch_insert_policy", "SPLIT", |s| s.splits_inserts),
            ("ddl_precheck_mdl_threshold_time", "5", |s| s.lock_held_max.as_secs() == 5),
            ("live_transaction_timeout_on_shutdown", "9", |s| s.shutdown_timeout.as_secs() == 9),
            ("transaction_policy", "FREE", |s| s.transaction_policy == TransactionPolicy::Apart),
            ("transaction_policy", "NO_DTX", |s| {
                s.transaction_policy == TransactionPolicy::OneShard
            }),
            ("seconds_behind_master", "7", |s| s.replica_lag_max.as_secs() == 7),
            ("force_read_master_in_transaction", "ON", |s| s.transactions_read_primary),
            ("pipelining_threshold", "7", |s| s.pipelining_from == 7),
            ("read_own_writes", "ON", |s| s.reads_own_writes),
            ("consistent_reads", "SESSION", |s| s.consistent_reads == ConsistentReads::Session),
            ("consistent_reads", "ON", |s| s.consistent_reads == ConsistentReads::On),
        ] {
            let mut parameters = Parameters::default();
            parameters.set(name, value).unwrap();
            let after = Settings::of(&parameters);
            assert!(changed(after) && !changed(before), "{name}");
        }
    }
}
