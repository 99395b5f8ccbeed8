//! Which statements are reads of one row, or of a few, by a unique key.
#![allow(clippy::unwrap_used)]

mod world;

use sql_plan::short_reads::ROWS_MAX;
use sql_plan::value::Values;
use sql_plan::{PlanContext, plan};
use sql_syntax::{LexMode, TokenBuf, lex, parse};
use topology::algorithm::SqlValue;

/// How many rows a statement reads, if they are few.
fn short(text: &str, params: &[SqlValue]) -> Option<u16> {
    let mode = LexMode::default();
    let mut tokens = TokenBuf::new();
    lex(text.as_bytes(), 0, &mode, &mut tokens);
    let parsed = parse(text.as_bytes(), &tokens, &mode).unwrap();
    let context =
        PlanContext { current_schema: Some("shop"), mode: &mode, plain_names: false, check: None };
    let mut snapshot = world::snapshot();
    let schema = snapshot.schemas.get_mut("shop").unwrap();
    schema.tables.get_mut("users").unwrap().primary_key = vec!["id".into()];
    let planned = plan(&parsed, text.as_bytes(), &tokens, &snapshot, &context).unwrap();
    let values = Values {
        text: text.as_bytes(),
        tokens: &tokens,
        mode: &mode,
        param_tokens: &parsed.params,
        params,
        evaluated: &[],
        zero_is_a_value: false,
    };
    planned.short.and_then(|short| short.rows(&values))
}

#[test]
fn only_plain_reads_by_a_whole_key_are() {
    for text in [
        "SELECT * FROM users WHERE id = 1",
        "SELECT id + 1 AS n FROM users AS u WHERE (7 = u.id) ORDER BY id LIMIT 1",
        "SELECT id FROM users WHERE id = ? AND id > 3",
    ] {
        assert_eq!(short(text, &[]), Some(1), "{text}");
    }
    for text in [
        "SELECT * FROM users",
        "SELECT * FROM users WHERE id > 1",
        "SELECT * FROM users WHERE id = 1 OR id = 2",
        "SELECT * FROM users WHERE id = 1 FOR UPDATE",
        "SELECT * FROM users WHERE id = 1 LOCK IN SHARE MODE",
        "SELECT SLEEP(1) FROM users WHERE id = 1",
        "SELECT id FROM users WHERE id = 1 AND SLEEP(1)",
        "SELECT id FROM users WHERE id = 1 ORDER BY RAND()",
        "SELECT @x, id FROM users WHERE id = 1",
        "SELECT @@autocommit FROM users WHERE id = 1",
        "SELECT id INTO @x FROM users WHERE id = 1",
        "SELECT SQL_CALC_FOUND_ROWS id FROM users WHERE id = 1",
        "SELECT COUNT(*) FROM users WHERE id = 1",
        "SELECT id FROM users WHERE id = (SELECT 1)",
        "SELECT a.id FROM users a, users b WHERE a.id = 1",
        "SELECT id FROM users WHERE id = 1 UNION SELECT 2",
        "SELECT 1",
        "UPDATE users SET id = id WHERE id = 1",
        "DELETE FROM users WHERE id = 1",
    ] {
        assert_eq!(short(text, &[]), None, "{text}");
    }
}

#[test]
fn rows_that_are_told_are_counted() {
    for (text, rows) in [
        ("SELECT * FROM users WHERE id IN (1, 2, '3')", 3),
        ("SELECT * FROM users WHERE id BETWEEN 5 AND 9 AND name = 'a'", 5),
        ("SELECT * FROM users WHERE (id BETWEEN 9 AND 5)", 0),
        ("SELECT * FROM users WHERE id BETWEEN -1 AND 126", ROWS_MAX),
    ] {
        assert_eq!(short(text, &[]), Some(rows), "{text}");
    }
    for text in [
        "SELECT * FROM users WHERE id BETWEEN 0 AND 128",
        "SELECT * FROM users WHERE id BETWEEN -9223372036854775808 AND 18446744073709551615",
        "SELECT * FROM users WHERE id BETWEEN '5' AND '9'",
        "SELECT * FROM users WHERE id BETWEEN 5 AND NULL",
        "SELECT * FROM users WHERE id BETWEEN 5 AND 9 OR id = 20",
        "SELECT * FROM users WHERE id NOT BETWEEN 5 AND 9",
        "SELECT * FROM users WHERE id NOT IN (5, 9)",
        "SELECT * FROM users WHERE id IN (5, SLEEP(1))",
        "SELECT * FROM users WHERE id + 1 BETWEEN 5 AND 9",
        "SELECT * FROM users WHERE name BETWEEN 5 AND 9",
        "SELECT COUNT(*) FROM users WHERE id BETWEEN 5 AND 9",
    ] {
        assert_eq!(short(text, &[]), None, "{text}");
    }
    let list = |count: u16| {
        let ids: Vec<_> = (0..count).map(|id| id.to_string()).collect();
        format!("SELECT id FROM users WHERE id IN ({})", ids.join(", "))
    };
    assert_eq!(short(&list(ROWS_MAX), &[]), Some(ROWS_MAX));
    assert_eq!(short(&list(ROWS_MAX + 1), &[]), None);
}

#[test]
fn parameters_are_counted_when_they_are_known() {
    let text = "SELECT * FROM users WHERE id BETWEEN ? AND ?";
    let rows = |low: SqlValue, high: SqlValue| short(text, &[low, high]);
    assert_eq!(rows(SqlValue::Integer(5), SqlValue::Integer(9)), Some(5));
    assert_eq!(rows(SqlValue::Integer(5), SqlValue::Integer(5000)), None);
    assert_eq!(rows(SqlValue::Integer(5), SqlValue::Null), None);
    assert_eq!(rows(SqlValue::Text(b"5".to_vec()), SqlValue::Integer(9)), None);
}
