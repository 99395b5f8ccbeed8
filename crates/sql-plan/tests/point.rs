//! Which statements are reads of one row by a unique key.
#![allow(clippy::unwrap_used)]

mod world;

use sql_plan::{PlanContext, plan};
use sql_syntax::{LexMode, TokenBuf, lex, parse};

fn is_point(text: &str) -> bool {
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
    planned.point.is_some()
}

#[test]
fn only_plain_reads_by_a_whole_key_are() {
    for text in [
        "SELECT * FROM users WHERE id = 1",
        "SELECT id + 1 AS n FROM users AS u WHERE (7 = u.id) ORDER BY id LIMIT 1",
        "SELECT id FROM users WHERE id = ? AND id > 3",
    ] {
        assert!(is_point(text), "{text}");
    }
    for text in [
        "SELECT * FROM users",
        "SELECT * FROM users WHERE id > 1",
        "SELECT * FROM users WHERE id IN (1, 2)",
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
        assert!(!is_point(text), "{text}");
    }
}
