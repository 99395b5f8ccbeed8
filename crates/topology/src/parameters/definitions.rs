//! The product's parameters. Where the documents give no default, the one chosen here is what keeps
//! data safest or changes least.

use super::ParameterDef;
use super::ParameterKind::{BindTable, Boolean, Float, Integer, List};

const fn editable(
    name: &'static str,
    default: &'static str,
    kind: super::ParameterKind,
    description_en: &'static str,
    description_zh: &'static str,
) -> ParameterDef {
    ParameterDef {
        name,
        default,
        kind,
        editable: true,
        need_restart: false,
        description_en,
        description_zh,
    }
}

const fn fixed(
    name: &'static str,
    default: &'static str,
    kind: super::ParameterKind,
    description_en: &'static str,
    description_zh: &'static str,
) -> ParameterDef {
    ParameterDef {
        editable: false,
        ..editable(name, default, kind, description_en, description_zh)
    }
}

const fn integer(min: i64, max: i64) -> super::ParameterKind {
    Integer { min, max, multiple_of: 1 }
}

/// Every parameter, in the documents' order.
pub const DEFINITIONS: &[ParameterDef] = &[
    editable(
        "bind_table",
        "",
        BindTable,
        "Table columns that are placed alike, so that joins on them run on the shards.",
        "声明数据分布一致的表列，使其上的关联查询下推到分片执行。",
    ),
    editable(
        "character_set_server",
        "utf8mb4",
        List(&["gbk", "utf8", "utf8mb4"]),
        "Character set of the server; it changes together with collation_server.",
        "服务器字符集，须与collation_server一起修改。",
    ),
    editable(
        "collation_server",
        "utf8mb4_unicode_ci",
        List(&[
            "utf8mb4_unicode_ci",
            "utf8mb4_bin",
            "utf8mb4_general_ci",
            "utf8_unicode_ci",
            "utf8_bin",
            "utf8_general_ci",
            "gbk_chinese_ci",
            "gbk_bin",
        ]),
        "Collation of the server and of new schemas.",
        "服务器以及新建逻辑库的排序规则。",
    ),
    editable(
        "concurrent_execution_level",
        "DATA_NODE",
        List(&["RDS_INSTANCE", "DATA_NODE", "PHY_TABLE"]),
        "What a scan runs in parallel: data nodes, shards or physical tables.",
        "扫描的并发级别：数据节点、分片或物理表。",
    ),
    editable(
        "connection_idle_timeout",
        "28800",
        integer(60, 86_400),
        "Seconds after which an idle client connection is closed.",
        "空闲客户端连接的关闭时间，单位秒。",
    ),
    editable(
        "contains_shard_key",
        "OFF",
        Boolean,
        "Whether SELECT, UPDATE and DELETE must have a condition on the sharding key.",
        "SELECT、UPDATE、DELETE语句是否必须包含拆分键条件。",
    ),
    editable(
        "ddl_precheck_mdl_threshold_time",
        "120",
        integer(1, 3_600),
        "A DDL fails if a metadata lock is held for longer, in seconds.",
        "元数据锁持有超过该时间（秒）时DDL失败。",
    ),
    editable(
        "enable_table_recycle",
        "OFF",
        Boolean,
        "Whether dropped tables are kept in the recycle bin for 7 days.",
        "是否将删除的表在回收站保留7天。",
    ),
    editable(
        "long_query_time",
        "1",
        Float { min: 0.01, max: 10.0 },
        "Statements that take at least so many seconds are logged as slow.",
        "执行时间不小于该值（秒）的语句记为慢SQL。",
    ),
    editable(
        "max_allowed_packet",
        "1073741824",
        Integer { min: 1_024, max: 1_073_741_824, multiple_of: 1_024 },
        "Longest packet in bytes.",
        "数据包的最大字节数。",
    ),
    editable(
        "max_backend_connections",
        "0",
        integer(0, 10_000_000),
        "Most connections of a node to a data node; 0 means (its max_connections - 20) / number of nodes.",
        "单个节点到单个数据节点的最大连接数；0表示（其最大连接数-20）/节点数。",
    ),
    editable(
        "max_connections",
        "20000",
        integer(10, 40_000),
        "Most client connections of a node.",
        "单个节点的最大客户端连接数。",
    ),
    editable(
        "min_backend_connections",
        "10",
        integer(0, 10_000_000),
        "Connections of a node to a data node that are kept open.",
        "单个节点到单个数据节点保持的最小连接数。",
    ),
    editable(
        "seconds_behind_master",
        "30",
        integer(0, 7_200),
        "A read replica that lags by more seconds is not read.",
        "延迟超过该秒数的只读副本不参与读。",
    ),
    editable(
        "sql_execute_timeout",
        "28800",
        integer(100, 28_800),
        "Seconds after which a statement is stopped.",
        "语句执行的超时时间，单位秒。",
    ),
    editable(
        "temp_table_size_limit",
        "1000000",
        integer(500_000, 2_000_000_000),
        "Most rows of a temporary result.",
        "临时表的最大行数。",
    ),
    editable(
        "transfer_hash_to_mod_hash",
        "OFF",
        Boolean,
        "Whether HASH in CREATE TABLE becomes MOD_HASH.",
        "建表时是否将HASH转换为MOD_HASH。",
    ),
    editable(
        "ultimate_optimize",
        "ON",
        Boolean,
        "Whether plans are optimised for the values of parameters.",
        "是否按参数值优化执行计划。",
    ),
    editable(
        "force_read_master_in_transaction",
        "OFF",
        Boolean,
        "Whether all statements of a transaction read the primary.",
        "事务中的语句是否全部读主节点。",
    ),
    editable(
        "ddl_flowcontrol_threshold",
        "10000",
        integer(10, 100_000),
        "Most DDL statements in an hour.",
        "每小时允许执行的DDL语句数。",
    ),
    editable(
        "batch_insert_policy",
        "NONE",
        List(&["NONE", "SPLIT"]),
        "Whether an INSERT of many rows is split into chunks.",
        "是否拆分批量插入。",
    ),
    fixed(
        "transaction_policy",
        "XA",
        List(&["XA", "FREE", "NO_DTX"]),
        "How transactions over several shards commit.",
        "跨分片事务的提交策略。",
    ),
    fixed(
        "live_transaction_timeout_on_shutdown",
        "1",
        integer(0, 100),
        "Seconds that a stop waits for running transactions.",
        "停止时等待运行中事务的秒数。",
    ),
    fixed(
        "insert_to_load_data",
        "OFF",
        Boolean,
        "Whether inserts of constants run as LOAD DATA.",
        "常量插入是否以LOAD DATA方式执行。",
    ),
    fixed(
        "not_from_pushdown",
        "OFF",
        Boolean,
        "Whether SELECT without FROM runs on a data node.",
        "无FROM的SELECT是否下推到数据节点。",
    ),
    fixed(
        "support_ddl_binlog_hint",
        "OFF",
        Boolean,
        "Whether a binlog hint is added to DDL statements.",
        "DDL语句是否添加binlog hint。",
    ),
    fixed("sql_audit", "OFF", Boolean, "Whether statements are audited.", "是否开启SQL审计。"),
    fixed(
        "auto_increment_increment",
        "1",
        integer(1, 65_535),
        "Step of AUTO_INCREMENT on data nodes.",
        "数据节点自增列的步长。",
    ),
    fixed(
        "autocommit",
        "ON",
        Boolean,
        "Whether each statement commits by itself.",
        "是否自动提交。",
    ),
    editable(
        "pipelining_threshold",
        "3",
        integer(0, 100_000),
        "Reads of one row at once on a worker and data node from which on they share connections, of more rows in proportion; 0: never.",
        "同一工作线程和数据节点上并发的单行读达到该数量后共享连接，多行读按行数成比例提高，0表示不共享。",
    ),
    editable(
        "read_own_writes",
        "OFF",
        Boolean,
        "Whether reads on replicas wait until these have what their session has written.",
        "只读实例上的读是否等待本会话的写入同步完成。",
    ),
    editable(
        "consistent_reads",
        "OFF",
        List(&["OFF", "SESSION", "ON"]),
        "Whether a read over several data nodes never sees half of a distributed commit: never, in sessions with ddm_consistent_reads=ON, always.",
        "跨数据节点的读是否保证不会看到分布式事务的一半：不保证、会话设置ddm_consistent_reads=ON时保证、始终保证。",
    ),
];
