//! Which statements may read replicas.
#![allow(clippy::unwrap_used)]

mod world;

use sql_plan::reads::Reads;
use sql_plan::{PlanContext, plan};
use sql_syntax::{LexMode, TokenBuf, lex, parse};

fn reads(text: &str) -> Reads {
    let mode = LexMode::default();
    let mut tokens = TokenBuf::new();
    lex(text.as_bytes(), 0, &mode, &mut tokens);
    let parsed = parse(text.as_bytes(), &tokens, &mode).unwrap();
    let context =
        PlanContext { current_schema: Some("shop"), mode: &mode, plain_names: false, check: None };
    plan(&parsed, text.as_bytes(), &tokens, &world::snapshot(), &context).unwrap().reads
}

#[test]
fn only_pure_queries_may_read_replicas() {
    for text in [
        "SELECT * FROM users WHERE id = 1",
        "(SELECT id FROM users) UNION (SELECT id FROM users)",
        "SELECT COUNT(*), MAX(id) FROM users WHERE id IN (SELECT id FROM users)",
        "SELECT CONCAT(id, 'x'), NOW(), IFNULL(id, 0), CAST(id AS CHAR) FROM users",
        "SELECT id FROM users WHERE id = @known",
        "SELECT 1",
    ] {
        assert_eq!(reads(text), Reads::Any, "{text}");
    }
    for text in [
        "SELECT * FROM users WHERE id = 1 FOR UPDATE",
        "SELECT * FROM users WHERE id = 1 LOCK IN SHARE MODE",
        "SELECT * FROM users WHERE id = LAST_INSERT_ID()",
        "SELECT LAST_INSERT_ID(id) FROM users",
        "SELECT GET_LOCK('a', 1)",
        "SELECT id FROM users WHERE id IN (SELECT id FROM users WHERE own_function(id) = 1)",
        "SELECT other.now() FROM users",
        "SELECT @@server_id",
        "SELECT id FROM users ORDER BY @@auto_increment_offset",
        "INSERT INTO users (id) VALUES (1)",
        "INSERT INTO users (id) SELECT id + 1 FROM users",
        "UPDATE users SET id = id WHERE id = 1",
        "DELETE FROM users",
        "SHOW TABLES",
        "SELECT * FROM information_schema.TABLES",
    ] {
        assert_eq!(reads(text), Reads::Primary, "{text}");
    }
}

#[test]
fn hints_come_first() {
    for (hint, wanted) in [
        ("/*!mycat:db_type=master*/", Reads::Primary),
        ("/*!mycat:db_type=slave*/", Reads::Replica),
        ("/*!mycat: db_type = SLAVE */", Reads::Replica),
        ("/*+db_type=master*/", Reads::Primary),
        ("/*+ db_type=slave */", Reads::Replica),
        ("/*+split_chunk_size=3, db_type=slave*/", Reads::Replica),
        ("/*+split_chunk_size=3*/", Reads::Primary),
        ("/*!GAUSS:skip_plancache=true*/", Reads::Primary),
        ("/*!GAUSS:skip_plancache=true*/ /*+db_type=slave*/", Reads::Replica),
        ("/* db_type=master */", Reads::Any),
        ("-- db_type=master\n", Reads::Any),
        ("", Reads::Any),
    ] {
        assert_eq!(reads(&format!("{hint} SELECT id FROM users WHERE id = 1")), wanted, "{hint}");
    }
    assert_eq!(reads("SELECT /*+db_type=slave*/ id FROM users"), Reads::Any);
    assert_eq!(reads("/*+db_type=slave*/ DELETE FROM users WHERE id = 1"), Reads::Primary);
    assert_eq!(reads("/*+db_type=slave*/ SELECT id FROM users FOR UPDATE"), Reads::Primary);
}
