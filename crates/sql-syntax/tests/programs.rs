//! Stored programs and compound statements: what is one statement although it has `;` inside, where
//! it ends when others follow in the same text, and what is no program.
#![allow(clippy::unwrap_used)]

use sql_syntax::ast::{OtherKind, Statement};
use sql_syntax::{LexMode, TokenBuf, parse_one};

fn mode() -> LexMode {
    LexMode { server_version: 101_119, mariadb: true, ..LexMode::default() }
}

/// The statements of a text; an error says where.
fn split(text: &str) -> Result<Vec<(String, Statement)>, String> {
    let (mut buf, mut from, mut found) = (TokenBuf::new(), 0, Vec::new());
    loop {
        let parsed = parse_one(text.as_bytes(), from, &mode(), &mut buf)
            .map_err(|error| format!("{text}\n{error}"))?;
        let sql = String::from_utf8_lossy(parsed.span.of(text.as_bytes())).into_owned();
        found.push((sql, parsed.stmt));
        match parsed.rest {
            Some(rest) => from = rest,
            None => return Ok(found),
        }
    }
}

const PROGRAMS: &[(&str, OtherKind)] = &[
    ("CREATE PROCEDURE p() SELECT 1", OtherKind::Routine),
    (
        "CREATE PROCEDURE p(IN a INT, OUT b VARCHAR(10)) BEGIN SELECT 1; SELECT 2; END",
        OtherKind::Routine,
    ),
    ("CREATE OR REPLACE PROCEDURE s.p() COMMENT 'c' READS SQL DATA BEGIN END", OtherKind::Routine),
    (
        "CREATE DEFINER=`a`@`%` FUNCTION f(x INT) RETURNS INT DETERMINISTIC RETURN IF(x, 1, 2)",
        OtherKind::Routine,
    ),
    (
        "CREATE FUNCTION f() RETURNS INT IF 1 THEN RETURN 1; ELSE RETURN 2; END IF",
        OtherKind::Routine,
    ),
    (
        "CREATE FUNCTION f() RETURNS TEXT CHARSET utf8mb4 BEGIN DECLARE x, y INT DEFAULT 1; RETURN x; END",
        OtherKind::Routine,
    ),
    (
        "CREATE PROCEDURE p() l: BEGIN DECLARE c CURSOR FOR SELECT a FROM t; DECLARE EXIT HANDLER \
         FOR NOT FOUND, SQLSTATE '42S02' BEGIN LEAVE l; END; OPEN c; m: LOOP FETCH c INTO x; \
         IF x THEN ITERATE m; ELSEIF y THEN LEAVE m; ELSE SET x = 1; END IF; END LOOP m; CLOSE c; END l",
        OtherKind::Routine,
    ),
    (
        "CREATE PROCEDURE p() BEGIN CASE x WHEN 1 THEN SELECT CASE a WHEN 1 THEN 2 END; ELSE BEGIN END; \
         END CASE; WHILE i < 3 DO SET i = i + 1; END WHILE; REPEAT SET i = 1; UNTIL i END REPEAT; \
         FOR i IN 1..10 DO SELECT i; END FOR; FOR r IN (SELECT a FROM t) DO SELECT r.a; END FOR; END",
        OtherKind::Routine,
    ),
    ("CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1", OtherKind::Trigger),
    (
        "CREATE TRIGGER g AFTER UPDATE ON t FOR EACH ROW FOLLOWS h BEGIN UPDATE u SET a = 1; END",
        OtherKind::Trigger,
    ),
    (
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY STARTS NOW() DO BEGIN DELETE FROM t; END",
        OtherKind::Event,
    ),
    ("ALTER EVENT e DISABLE", OtherKind::Event),
    ("DROP PROCEDURE IF EXISTS p", OtherKind::Routine),
    ("BEGIN NOT ATOMIC DECLARE x INT; SET x = 1; END", OtherKind::Compound),
    ("IF 1 THEN SELECT 1; END IF", OtherKind::Compound),
    ("CASE WHEN 1 THEN SELECT 1; END CASE", OtherKind::Compound),
];

#[test]
fn a_program_is_one_statement() {
    for (text, kind) in PROGRAMS {
        let found = split(text).unwrap();
        assert_eq!(found.len(), 1, "{text}");
        assert!(matches!(&found[0].1, Statement::Other(other) if other.kind == *kind), "{text}");
    }
}

#[test]
fn a_program_ends_where_the_next_statement_begins() {
    for (text, _) in PROGRAMS {
        let both = format!("{text}; SELECT ';' AS a; {text} ;");
        let found: Vec<String> = split(&both).unwrap().into_iter().map(|(sql, _)| sql).collect();
        assert_eq!(found, [text, "SELECT ';' AS a", text]);
    }
}

#[test]
fn a_program_that_is_cut_is_an_error() {
    for text in [
        "CREATE PROCEDURE p() BEGIN SELECT 1;",
        "CREATE PROCEDURE p() BEGIN SELECT 1 END",
        "CREATE PROCEDURE p() BEGIN SELEC 1; END",
        "CREATE FUNCTION f() RETURNS INT IF 1 THEN RETURN 1; END",
        "CREATE TRIGGER g BEFORE INSERT ON t SET NEW.a = 1",
        "BEGIN NOT ATOMIC SELECT 1;",
        "CREATE PROCEDURE p() BEGIN SELECT 1; END; SELECT 1 FROM FROM",
    ] {
        assert!(split(text).is_err(), "{text}");
    }
}

#[test]
fn other_statements_end_at_the_first_semicolon() {
    for (text, count) in [
        ("BEGIN; SELECT 1; COMMIT", 3),
        ("BEGIN WORK; END_OF_IT: SELECT 1", 0),
        ("CREATE TABLE event (a INT, `begin` INT); SELECT 1", 2),
        ("CREATE TABLE t (function INT); SELECT `case` FROM t; SELECT 2", 3),
        ("SELECT CASE WHEN 1 THEN 2 END; SELECT IF(1, 2, 3)", 2),
        ("SET @a = 1; SET @b = 2", 2),
        ("DROP TABLE IF EXISTS t; SELECT 1", 2),
    ] {
        let found = split(text);
        assert_eq!(found.as_ref().map_or(0, Vec::len), count, "{text}: {found:?}");
    }
}
