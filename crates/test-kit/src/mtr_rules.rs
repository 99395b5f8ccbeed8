//! What of the server's own test files can be compared, and how their tables are sharded: rules over
//! the text of a statement, each with a name for the report.

use std::collections::BTreeSet;

/// A statement that begins so is left out.
const BEGINNINGS: &[(&str, &[&str])] = &[
    ("explain", &["explain", "analyze", "desc", "describe"]),
    (
        "administration",
        &[
            "flush",
            "reset",
            "install",
            "uninstall",
            "kill",
            "grant",
            "revoke",
            "change",
            "purge",
            "shutdown",
            "binlog",
            "start slave",
            "stop slave",
            "create user",
            "drop user",
            "alter user",
            "create role",
            "drop role",
            "set role",
            "set password",
            "rename user",
            "cache index",
            "load index",
            "set global",
            "set @@global",
            "set default role",
            "show",
            "check table",
            "repair table",
            "optimize table",
            "checksum table",
            "backup",
            "help",
            "create server",
            "drop server",
            "set transaction",
            "set session transaction",
        ],
    ),
    (
        "another database",
        &[
            "use",
            "create database",
            "drop database",
            "create schema",
            "drop schema",
            "alter database",
            "alter schema",
        ],
    ),
    ("files", &["load data", "load xml"]),
    ("handler", &["handler"]),
];

/// A statement that contains one of these words is left out.
const WORDS: &[(&str, &[&str])] = &[
    (
        "clock or chance",
        &[
            "rand",
            "uuid",
            "uuid_short",
            "sys_guid",
            "now",
            "sysdate",
            "curdate",
            "curtime",
            "current_date",
            "current_time",
            "current_timestamp",
            "localtime",
            "localtimestamp",
            "utc_date",
            "utc_time",
            "utc_timestamp",
            "unix_timestamp",
            "connection_id",
            "sleep",
            "benchmark",
            "random_bytes",
            "rand_seed1",
            "rand_seed2",
            "@@rand_seed1",
            "@@rand_seed2",
        ],
    ),
    ("server variables", &["@@"]),
    (
        "who and where",
        &[
            "user",
            "current_user",
            "session_user",
            "system_user",
            "version",
            "database",
            "schema",
            "current_role",
        ],
    ),
    (
        "system schemas",
        &[
            "information_schema",
            "performance_schema",
            "mysql",
            "sys",
            "mysqltest",
            "mysqltest1",
            "db1",
            "db2",
        ],
    ),
    ("files", &["outfile", "dumpfile", "load_file", "infile", "des_encrypt", "des_decrypt"]),
    (
        "locks by name",
        &["get_lock", "release_lock", "is_free_lock", "is_used_lock", "master_pos_wait"],
    ),
    ("administration", &["binlog_format", "sql_log_bin"]),
    ("a bound on examined rows", &["max_join_size", "sql_max_join_size"]),
    ("debug", &["debug", "debug_sync", "debug_dbug", "optimizer_trace", "profiling", "profile"]),
    ("generated ids", &["last_insert_id", "auto_increment_increment", "insert_id"]),
    (
        "engines that data nodes lack",
        &[
            "federated",
            "spider",
            "connect",
            "mroonga",
            "rocksdb",
            "merge",
            "mrg_myisam",
            "archive",
            "blackhole",
            "example",
            "sequence",
            "csv",
            "s3",
        ],
    ),
    (
        "system versioning and partitions by hand",
        &["versioning", "system_time", "partition", "period"],
    ),
];

/// The words of a statement in lower case, quoted strings left out.
pub fn words(sql: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for letter in sql.chars() {
        if let Some(end) = quote {
            if letter == end {
                quote = None;
            }
            continue;
        }
        if letter.is_alphanumeric() || matches!(letter, '_' | '@' | '$') {
            word.extend(letter.to_lowercase());
            continue;
        }
        if !word.is_empty() {
            found.push(std::mem::take(&mut word));
        }
        if letter == '\'' || letter == '"' {
            quote = Some(letter);
        }
    }
    if !word.is_empty() {
        found.push(word);
    }
    found
}

/// The name of the rule that leaves a statement out.
pub fn left_out(sql: &str, words: &[String]) -> Option<&'static str> {
    let start = words.iter().take(4).map(String::as_str).collect::<Vec<_>>().join(" ");
    if words.first().is_some_and(|word| word == "prepare") && prepares_left_out(sql) {
        return Some("a prepared statement of those left out");
    }
    for (rule, beginnings) in BEGINNINGS {
        let fits = |b: &&str| {
            start == **b || start.strip_prefix(*b).is_some_and(|rest| rest.starts_with(' '))
        };
        if beginnings.iter().any(fits) {
            return Some(rule);
        }
    }
    let is_set = words.first().is_some_and(|word| word == "set");
    for (rule, listed) in WORDS {
        let hit = |word: &String| {
            listed.contains(&word.as_str()) || (listed.contains(&"@@") && word.starts_with("@@"))
        };
        if !(is_set && *rule == "server variables") && words.iter().any(hit) {
            return Some(rule);
        }
    }
    if words.iter().any(|word| word.starts_with("seq_") && word.contains("_to_")) {
        return Some("engines that data nodes lack");
    }
    if words.windows(2).any(|two| two[0] == "rows" && two[1] == "examined") {
        return Some("a bound on examined rows");
    }
    let writes =
        ["insert", "replace", "create"].contains(&words.first().map_or("", |w| w.as_str()));
    let has = |word: &str| words.iter().any(|w| w == word);
    if writes && has("limit") && !has("order") {
        return Some("a write of rows that LIMIT picks without an order");
    }
    if sql.contains("/*!") || sql.contains("/*M!") {
        return Some("version comments");
    }
    several_statements(sql, words).then_some("several statements in one text")
}

/// Whether a text has a second statement; the bodies of routines have many.
fn several_statements(sql: &str, words: &[String]) -> bool {
    if ["create", "alter", "begin"].contains(&words.first().map_or("", String::as_str)) {
        return false;
    }
    let mut quote = None;
    let mut letters = sql.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some(_), '\\') => drop(letters.next()),
            (Some(end), _) if letter == end => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"' | '`') => quote = Some(letter),
            (None, ';') => return !self::words(&sql[at..]).is_empty(),
            _ => {}
        }
    }
    false
}

/// Whether a PREPARE's text begins as a statement that is left out.
fn prepares_left_out(sql: &str) -> bool {
    let Some(at) = sql.find(['\'', '"']) else { return false };
    let inner = &sql[at + 1..];
    left_out(inner, &words(inner)).is_some()
}

/// Whether a statement only reads.
pub fn reads(words: &[String]) -> bool {
    let first = words.first().map_or("", String::as_str);
    matches!(first, "select" | "with" | "values" | "table") && !words.iter().any(|w| w == "into")
}

/// The objects that a statement makes, changes or drops, as far as its first words tell.
pub fn targets(words: &[String]) -> BTreeSet<String> {
    const SKIPPED: &[&str] = &[
        "if",
        "not",
        "exists",
        "ignore",
        "low_priority",
        "quick",
        "only",
        "delayed",
        "high_priority",
    ];
    let mut found = BTreeSet::new();
    let first = words.first().map_or("", String::as_str);
    for (at, word) in words.iter().enumerate().take(14) {
        let names = matches!(
            (first, word.as_str()),
            (
                "create" | "alter" | "drop" | "truncate" | "rename" | "lock",
                "table"
                    | "tables"
                    | "view"
                    | "procedure"
                    | "function"
                    | "trigger"
                    | "sequence"
                    | "event"
                    | "to"
                    | "on",
            ) | ("insert" | "replace", "into" | "insert" | "replace")
                | ("update", "update" | "join")
                | ("delete", "from" | "delete")
                | ("truncate", "truncate")
                | ("prepare", "prepare")
        );
        if names {
            let mut rest = words[at + 1..].iter().filter(|w| !SKIPPED.contains(&w.as_str()));
            let many = matches!(first, "drop" | "update" | "rename" | "lock");
            let take = if many { 8 } else { 1 };
            found.extend(rest.by_ref().take(take).cloned());
        }
    }
    for noise in ["table", "set", "into", "from", "to", "where"] {
        found.remove(noise);
    }
    found
}

/// A CREATE TABLE with a sharding clause by its first column of a fitting type that is part of every
/// unique key; `None` when there is none or the statement is not such a definition.
pub fn sharded(sql: &str, words: &[String]) -> Option<String> {
    if words.first()? != "create" || words.get(1)? != "table" {
        return None;
    }
    let open = sql.find('(')?;
    let close = closing(sql, open)?;
    let tail = sql[close + 1..].to_lowercase();
    if tail.contains("select") || sql[..open].to_lowercase().contains(" like ") {
        return None;
    }
    let definitions = parts(&sql[open + 1..close]);
    let mut columns: Vec<(String, &'static str)> = Vec::new();
    let mut keys: Vec<Vec<String>> = Vec::new();
    for definition in &definitions {
        let lower = definition.to_lowercase();
        let list = self::words(&lower);
        let (Some(name), Some(kind)) = (list.first(), list.get(1)) else { continue };
        let is_key = matches!(name.as_str(), "primary" | "unique" | "constraint");
        if is_key && (lower.contains("primary key") || lower.contains("unique")) {
            let from = lower.find('(')?;
            keys.push(self::words(lower[from..].split(')').next()?));
        } else if !is_key
            && !matches!(
                name.as_str(),
                "key" | "index" | "fulltext" | "spatial" | "check" | "foreign"
            )
        {
            if lower.contains("primary key")
                || list.iter().any(|w| w == "unique")
                || list.last().is_some_and(|w| w == "key")
            {
                keys.push(vec![name.clone()]);
            }
            if let Some(algorithm) = algorithm(kind)
                && !list.iter().any(|w| w == "as")
            {
                columns.push((name.clone(), algorithm));
            }
        }
    }
    let (name, algorithm) =
        columns.iter().find(|(name, _)| keys.iter().all(|key| key.contains(name)))?;
    Some(format!("{sql} DBPARTITION BY {algorithm}(`{name}`)"))
}

fn algorithm(kind: &str) -> Option<&'static str> {
    match kind {
        "int" | "integer" | "bigint" | "smallint" | "mediumint" | "tinyint" => Some("MOD_HASH"),
        "date" | "datetime" => Some("YYYYMM"),
        _ => None,
    }
}

/// Where the parenthesis that opens at `open` closes.
fn closing(sql: &str, open: usize) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (at, letter) in sql.char_indices().skip_while(|(at, _)| *at < open) {
        match (quote, letter) {
            (Some(end), _) if letter == end => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"' | '`') => quote = Some(letter),
            (None, '(') => depth += 1,
            (None, ')') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Splits at the commas outside of parentheses and quotes.
pub fn parts(text: &str) -> Vec<String> {
    let (mut found, mut part) = (Vec::new(), String::new());
    let (mut depth, mut quote) = (0, None);
    for letter in text.chars() {
        match (quote, letter) {
            (Some(end), _) if letter == end => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"' | '`') => quote = Some(letter),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, ',') if depth == 0 => {
                found.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(letter);
    }
    if !part.trim().is_empty() {
        found.push(part);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_sharded_by_a_column_of_all_unique_keys() {
        let clause = |sql: &str| {
            sharded(sql, &words(sql)).map(|text| text[text.rfind("DB").unwrap_or(0)..].to_owned())
        };
        assert_eq!(
            clause("create table t (a int, b char(3))").as_deref(),
            Some("DBPARTITION BY MOD_HASH(`a`)")
        );
        // A text key is routed by its bytes, whatever its collation says is equal.
        assert_eq!(clause("create table t (a int, b char(3), primary key (b))"), None);
        assert_eq!(clause("create table t (a int primary key, b int, unique (b))"), None);
        assert_eq!(
            clause("create table t (a text, d date)").as_deref(),
            Some("DBPARTITION BY YYYYMM(`d`)")
        );
        assert_eq!(clause("create table t (a int) select 1 as a"), None);
    }

    #[test]
    fn what_is_not_comparable_is_named() {
        let rule = |sql: &str| left_out(sql, &words(sql));
        assert_eq!(rule("select now(), 1"), Some("clock or chance"));
        assert_eq!(rule("SELECT 'now'"), None);
        assert_eq!(rule("explain select 1"), Some("explain"));
        assert_eq!(rule("select @@sql_mode"), Some("server variables"));
        assert_eq!(rule("set @@sql_mode = ''"), None);
        assert_eq!(rule("select 'a;b' ;"), None);
        assert_eq!(rule("select 1; select 2"), Some("several statements in one text"));
    }

    #[test]
    fn a_write_names_its_targets() {
        let of = |sql: &str| targets(&words(sql)).into_iter().collect::<Vec<_>>();
        assert_eq!(of("insert ignore into t1 select * from t2"), ["t1"]);
        assert_eq!(of("drop table if exists t1, t2"), ["t1", "t2"]);
        assert_eq!(of("create table if not exists t3 (a int)"), ["t3"]);
        assert_eq!(of("delete from t1 where a = 1"), ["t1"]);
    }
}
