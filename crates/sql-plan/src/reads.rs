//! Which servers of a data node a statement may read: its primary alone, or replicas too. A replica
//! gets queries only that change nothing, whose answer is the same on every server that has the same
//! rows, and that carry no hint to the contrary. Hints count where they stand before everything else.

use crate::plan::{Plan, RowKind};
use crate::planner::Made;
use sql_syntax::{Hint, HintKind, TokenBuf};

/// The hint that names a kind of server.
const HINT: &str = "db_type";

/// Which servers of a data node a statement reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reads {
    /// The primary: writes, reads that lock or ask for a server's own state, and queries with any
    /// other hint than that for a replica.
    #[default]
    Primary,
    /// Any, by their weights.
    Any,
    /// A replica, while one can be read: `/*+db_type=slave*/`.
    Replica,
}

/// What a statement may read.
pub(crate) fn of(made: &Made, tokens: &TokenBuf, text: &[u8]) -> Reads {
    let is_query = matches!(&made.plan, Plan::Routed(plan) if plan.kind == RowKind::Read);
    let uses = made.uses;
    if !is_query
        || !made.read_only
        || uses.system_variables
        || uses.connection_state
        || uses.other_functions
    {
        return Reads::Primary;
    }
    let mut leading = tokens.hints().iter().filter(|hint| hint.before_tok == 0).peekable();
    if leading.peek().is_none() {
        return Reads::Any;
    }
    let wants_replica = leading.any(|hint| kind_of_server(*hint, text).is_some_and(is_replica));
    if wants_replica { Reads::Replica } else { Reads::Primary }
}

fn is_replica(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("slave")
}

/// The value of `db_type` in a hint.
fn kind_of_server(hint: Hint, text: &[u8]) -> Option<&str> {
    if hint.kind == HintKind::Gauss {
        return None;
    }
    let body = std::str::from_utf8(hint.body(text)).ok()?;
    body.split(',')
        .filter_map(|part| part.split_once('='))
        .find_map(|(name, value)| name.trim().eq_ignore_ascii_case(HINT).then(|| value.trim()))
}

/// Whether a function (in capitals) changes nothing and answers alike on every server of a data
/// node. Whatever is not listed, stored functions among it, is left to the primary.
pub(crate) fn is_pure_function(name: &str) -> bool {
    crate::expr::is_aggregate(name)
        || PURE.binary_search(&name).is_ok()
        || PURE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a function may be a stored one: no server has it of itself.
pub(crate) fn may_be_stored(name: &str) -> bool {
    !is_pure_function(name) && OTHERS.binary_search(&name).is_err()
}

/// What servers have of themselves besides, sorted; what is missing here goes to the first shard
/// without need.
const OTHERS: &[&str] = &[
    "BENCHMARK",
    "DECODE",
    "ENCODE",
    "ENCRYPT",
    "GEOMETRYCOLLECTION",
    "GET_LOCK",
    "IS_FREE_LOCK",
    "IS_USED_LOCK",
    "LASTVAL",
    "LAST_INSERT_ID",
    "LINESTRING",
    "LOAD_FILE",
    "MASTER_GTID_WAIT",
    "MASTER_POS_WAIT",
    "NAME_CONST",
    "NEXTVAL",
    "OLD_PASSWORD",
    "PASSWORD",
    "POINT",
    "POLYGON",
    "RANDOM_BYTES",
    "RELEASE_ALL_LOCKS",
    "RELEASE_LOCK",
    "SETVAL",
    "SYS_GUID",
    "UUID_SHORT",
];

/// Families of functions on values.
const PURE_PREFIXES: [&str; 2] = ["JSON_", "ST_"];

/// Functions on values, sorted.
const PURE: &[&str] = &[
    "ABS",
    "ACOS",
    "ADDDATE",
    "ADDTIME",
    "AES_DECRYPT",
    "AES_ENCRYPT",
    "ANY_VALUE",
    "ASCII",
    "ASIN",
    "ATAN",
    "ATAN2",
    "BIN",
    "BIN_TO_UUID",
    "BIT_COUNT",
    "BIT_LENGTH",
    "CEIL",
    "CEILING",
    "CHAR",
    "CHARACTER_LENGTH",
    "CHARSET",
    "CHAR_LENGTH",
    "CHR",
    "COALESCE",
    "COERCIBILITY",
    "COLLATION",
    "COMPRESS",
    "CONCAT",
    "CONCAT_WS",
    "CONNECTION_ID",
    "CONV",
    "CONVERT",
    "CONVERT_TZ",
    "COS",
    "COT",
    "CRC32",
    "CRC32C",
    "CUME_DIST",
    "CURDATE",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "CURTIME",
    "DATABASE",
    "DATE",
    "DATEDIFF",
    "DATE_ADD",
    "DATE_FORMAT",
    "DATE_SUB",
    "DAY",
    "DAYNAME",
    "DAYOFMONTH",
    "DAYOFWEEK",
    "DAYOFYEAR",
    "DEGREES",
    "DENSE_RANK",
    "ELT",
    "EXP",
    "EXPORT_SET",
    "EXTRACT",
    "EXTRACTVALUE",
    "FIELD",
    "FIND_IN_SET",
    "FIRST_VALUE",
    "FLOOR",
    "FORMAT",
    "FORMAT_BYTES",
    "FORMAT_PICO_TIME",
    "FOUND_ROWS",
    "FROM_BASE64",
    "FROM_DAYS",
    "FROM_UNIXTIME",
    "GET_FORMAT",
    "GREATEST",
    "GROUPING",
    "HEX",
    "HOUR",
    "IF",
    "IFNULL",
    "INET6_ATON",
    "INET6_NTOA",
    "INET_ATON",
    "INET_NTOA",
    "INSERT",
    "INSTR",
    "ISNULL",
    "IS_IPV4",
    "IS_IPV4_COMPAT",
    "IS_IPV4_MAPPED",
    "IS_IPV6",
    "IS_UUID",
    "LAG",
    "LAST_DAY",
    "LAST_VALUE",
    "LCASE",
    "LEAD",
    "LEAST",
    "LEFT",
    "LENGTH",
    "LENGTHB",
    "LN",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "LOCATE",
    "LOG",
    "LOG10",
    "LOG2",
    "LOWER",
    "LPAD",
    "LTRIM",
    "MAKEDATE",
    "MAKETIME",
    "MAKE_SET",
    "MD5",
    "MEDIAN",
    "MICROSECOND",
    "MID",
    "MINUTE",
    "MOD",
    "MONTH",
    "MONTHNAME",
    "NATURAL_SORT_KEY",
    "NOW",
    "NTH_VALUE",
    "NTILE",
    "NULLIF",
    "NVL",
    "NVL2",
    "OCT",
    "OCTET_LENGTH",
    "ORD",
    "PERCENTILE_CONT",
    "PERCENTILE_DISC",
    "PERCENT_RANK",
    "PERIOD_ADD",
    "PERIOD_DIFF",
    "PI",
    "POSITION",
    "POW",
    "POWER",
    "QUARTER",
    "QUOTE",
    "RADIANS",
    "RAND",
    "RANK",
    "REGEXP_INSTR",
    "REGEXP_LIKE",
    "REGEXP_REPLACE",
    "REGEXP_SUBSTR",
    "REPEAT",
    "REPLACE",
    "REVERSE",
    "RIGHT",
    "ROUND",
    "ROW_COUNT",
    "ROW_NUMBER",
    "RPAD",
    "RTRIM",
    "SCHEMA",
    "SECOND",
    "SEC_TO_TIME",
    "SESSION_USER",
    "SFORMAT",
    "SHA",
    "SHA1",
    "SHA2",
    "SIGN",
    "SIN",
    "SLEEP",
    "SOUNDEX",
    "SPACE",
    "SQRT",
    "STRCMP",
    "STR_TO_DATE",
    "SUBDATE",
    "SUBSTR",
    "SUBSTRING",
    "SUBSTRING_INDEX",
    "SUBTIME",
    "SYSDATE",
    "SYSTEM_USER",
    "TAN",
    "TIME",
    "TIMEDIFF",
    "TIMESTAMP",
    "TIMESTAMPADD",
    "TIMESTAMPDIFF",
    "TIME_FORMAT",
    "TIME_TO_SEC",
    "TO_BASE64",
    "TO_CHAR",
    "TO_DAYS",
    "TO_SECONDS",
    "TRIM",
    "TRUNCATE",
    "UCASE",
    "UNCOMPRESS",
    "UNCOMPRESSED_LENGTH",
    "UNHEX",
    "UNIX_TIMESTAMP",
    "UPDATEXML",
    "UPPER",
    "USER",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
    "UUID",
    "UUID_TO_BIN",
    "VALUES",
    "VERSION",
    "WEEK",
    "WEEKDAY",
    "WEEKOFYEAR",
    "WEIGHT_STRING",
    "YEAR",
    "YEARWEEK",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted() {
        assert!(PURE.is_sorted() && OTHERS.is_sorted());
        assert!(may_be_stored("OWN") && !may_be_stored("LAST_INSERT_ID"));
        assert!(is_pure_function("CONCAT") && is_pure_function("COUNT"));
        assert!(is_pure_function("JSON_EXTRACT"));
        for name in ["GET_LOCK", "LAST_INSERT_ID", "NEXTVAL", "SETVAL", "MASTER_POS_WAIT", ""] {
            assert!(!is_pure_function(name), "{name}");
        }
    }
}
