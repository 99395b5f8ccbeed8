//! How often lexing, the digest and the parser ask for memory: none of the first two once their
//! buffers have grown, and few times for statements that come by the thousand. Counts do not wobble
//! as times do; `examples/parse_speed.rs` prints both.
#![allow(clippy::unwrap_used)]

use sql_syntax::{Digest, LexMode, TokenBuf, lex, normalise, parse};

/// Statements with the most allocations that parsing one may need.
fn statements() -> Vec<(String, u64)> {
    let columns: Vec<String> = (1..=20).map(|at| format!("column_{at}")).collect();
    let values: Vec<String> = (1..=20).map(|at| format!("'value {at}'")).collect();
    let insert =
        format!("INSERT INTO wide ({}) VALUES ({})", columns.join(", "), values.join(", "));
    vec![
        ("SELECT c FROM sbtest1 WHERE id = 4711".to_owned(), 5),
        ("SELECT name, age FROM users WHERE id = ?".to_owned(), 6),
        ("UPDATE sbtest1 SET k = k + 1 WHERE id = 4711".to_owned(), 7),
        ("DELETE FROM sbtest1 WHERE id = 4711".to_owned(), 5),
        ("INSERT INTO t (id, k) VALUES (1, 2)".to_owned(), 5),
        (insert, 4),
        ("BEGIN".to_owned(), 0),
        ("COMMIT".to_owned(), 0),
    ]
}

fn count(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

#[test]
fn frequent_statements_need_few_allocations() {
    let (mode, mut buf, mut digest) = (LexMode::default(), TokenBuf::new(), Digest::default());
    for (sql, most) in statements() {
        let src = sql.as_bytes();
        lex(src, 0, &mode, &mut buf);
        normalise(src, &buf, &mut digest);
        let lexing = count(|| lex(src, 0, &mode, &mut buf));
        let digesting = count(|| normalise(src, &buf, &mut digest));
        let parsing = count(|| drop(parse(src, &buf, &mode).unwrap()));
        assert_eq!((lexing, digesting), (0, 0), "{sql}");
        assert!(parsing <= most, "{parsing} allocations, at most {most}: {sql}");
    }
}
