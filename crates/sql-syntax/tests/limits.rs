//! A statement comes from whoever may log in: no text may exhaust the stack of the node that reads it,
//! be it nested deeply or a long row of operators, whose tree is as deep as the row is long. A tree
//! that is accepted must also be walked, copied and dropped on a thread of ordinary size.
#![allow(clippy::unwrap_used)]

use sql_syntax::{HEIGHT_MAX, LexMode, SyntaxErrorKind, TokenBuf, parse_one, visit};

/// What a runtime's worker threads have.
const STACK_BYTES: usize = 2 * 1024 * 1024;

fn mode() -> LexMode {
    LexMode { server_version: 101_119, mariadb: true, ..LexMode::default() }
}

/// Parses; what is accepted is walked, copied and dropped. True when it is accepted.
fn survives(text: &str) -> bool {
    let mut buf = TokenBuf::new();
    match parse_one(text.as_bytes(), 0, &mode(), &mut buf) {
        Ok(parsed) => {
            visit::for_each_column(&parsed.stmt, |_| {});
            visit::for_each_table(&parsed.stmt, text.as_bytes(), |_| {});
            assert_eq!(parsed.stmt.clone(), parsed.stmt);
            true
        }
        Err(error) => {
            assert_eq!(error.kind, SyntaxErrorKind::TooDeep, "{error}");
            assert!(error.to_string().contains("at line 1"), "{error}");
            false
        }
    }
}

fn on_an_ordinary_stack(check: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(check).unwrap().join().unwrap();
}

/// Rows of operators whose trees lean to the left, which nesting alone does not bound.
const ROWS: &[(&str, &str, &str)] = &[
    ("SELECT 1", " + 1", ""),
    ("SELECT 1", " = 1", ""),
    ("SELECT 1", " IS NULL", ""),
    ("SELECT a", " COLLATE utf8mb4_bin", ""),
    ("SELECT a", "->'$.x'", ""),
    ("SELECT a", " LIKE a", ""),
    ("SELECT a", " IN (1)", ""),
    ("SELECT 1", " /*!40000 + 1 */", ""),
    ("SELECT * FROM a", " JOIN b", ""),
    ("SELECT * FROM a", " LEFT JOIN b ON 1", ""),
    ("SELECT * FROM a LEFT JOIN b", " JOIN c", " ON 1 ON 1"),
    ("UPDATE a SET b = 1", " + 1", ""),
    ("INSERT INTO a VALUES (1", " + 1", ")"),
];

#[test]
fn a_row_of_operators_has_a_limit() {
    on_an_ordinary_stack(|| {
        for (head, link, tail) in ROWS {
            let row = |count: usize| format!("{head}{}{tail}", link.repeat(count));
            assert!(!survives(&row(50_000)), "{head}{link}");
            assert!(!survives(&row(HEIGHT_MAX as usize + 1)), "{head}{link}");
            assert!(survives(&row(HEIGHT_MAX as usize - 20)), "{head}{link}");
        }
    });
}

/// The left operand of each row is the row inside: the heights add up although no row is too long.
#[test]
fn rows_within_rows_count_together() {
    on_an_ordinary_stack(|| {
        let row = |rows: usize| {
            format!(
                "SELECT {}1{}",
                "(".repeat(rows),
                format!("{})", " + 1".repeat(100)).repeat(rows)
            )
        };
        assert!(survives(&row(3)));
        assert!(!survives(&row(6)));
        // Side by side they do not.
        let beside = vec![format!("1{}", " + 1".repeat(100)); 50].join(", ");
        assert!(survives(&format!("SELECT {beside}")));
        assert!(survives(&format!("SELECT f({beside})")));
    });
}

#[test]
fn lists_have_no_limit() {
    on_an_ordinary_stack(|| {
        for (head, link, tail) in [
            ("SELECT 1", " OR a = 1", ""),
            ("SELECT 1", " AND a = 1", ""),
            ("SELECT 1", " OR a AND b", ""),
            ("SELECT 1", " UNION SELECT 1", ""),
            ("SELECT a IN (1", ", 1", ")"),
            ("SELECT f(1", ", 1", ")"),
            ("INSERT INTO t VALUES (1)", ", (1)", ""),
            ("SELECT CASE", " WHEN a THEN b", " END"),
            ("SELECT * FROM a", ", b", ""),
        ] {
            assert!(survives(&format!("{head}{}{tail}", link.repeat(10_000))), "{head}{link}");
        }
    });
}

#[test]
fn nesting_has_a_limit() {
    on_an_ordinary_stack(|| {
        for (head, open) in [
            ("SELECT ", "("),
            ("SELECT ", "EXISTS (SELECT "),
            ("SELECT ", "a IN (SELECT "),
            ("SELECT ", "CASE "),
            ("SELECT ", "CAST("),
            ("SELECT ", "f("),
            ("SELECT ", "INTERVAL "),
            ("SELECT ", "@a := "),
            ("SELECT ", "f() OVER (PARTITION BY "),
            ("SELECT ", "{d "),
            ("SELECT * FROM ", "("),
            ("SELECT * FROM ", "(SELECT * FROM "),
            ("SELECT * FROM ", "{OJ "),
            ("SELECT * FROM a", " LEFT JOIN b"),
            ("INSERT INTO t SELECT ", "("),
            ("", "("),
            ("", "WITH a AS ("),
            ("", "EXPLAIN "),
            ("", "SET STATEMENT a = 1 FOR "),
            ("CREATE TABLE t (a INT CHECK ", "("),
            ("CREATE TABLE t (a INT AS ", "("),
            ("CREATE VIEW v AS SELECT ", "("),
        ] {
            assert!(!survives(&format!("{head}{}SELECT 1", open.repeat(10_000))), "{head}{open}");
        }
    });
}
