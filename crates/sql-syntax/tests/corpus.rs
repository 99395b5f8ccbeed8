//! The front end over a corpus of the dialect: what parses, whether names are found where they stand,
//! whether an expression's span is the expression, and that no change of the text makes it panic.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use sql_syntax::ast::{Expr, Span, Statement};
use sql_syntax::visit::{self, Visitor};
use sql_syntax::{LexMode, TokenBuf, lex, parse_one};

struct Case {
    text: String,
}

fn corpus() -> Vec<Case> {
    include_str!("corpus.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let text = line.splitn(3, ' ').nth(2).unwrap();
            Case { text: text.to_owned() }
        })
        .collect()
}

fn mode() -> LexMode {
    LexMode { server_version: 101_119, mariadb: true, ..LexMode::default() }
}

#[test]
fn the_corpus_parses() {
    let mut buf = TokenBuf::new();
    let cases = corpus();
    assert_eq!(cases.len(), 227);
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            parse_one(case.text.as_bytes(), 0, &mode(), &mut buf)
                .err()
                .map(|e| format!("{}\n  {e}", case.text))
        })
        .collect();
    println!("{} of {} parse", cases.len() - failed.len(), cases.len());
    assert!(failed.len() <= 2, "{} fail:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn tables_are_found_where_they_stand() {
    let mut buf = TokenBuf::new();
    for case in corpus() {
        let src = case.text.as_bytes();
        let Ok(parsed) = parse_one(src, 0, &mode(), &mut buf) else { continue };
        if matches!(parsed.stmt, Statement::Other(_) | Statement::Account(_) | Statement::Set(_)) {
            continue;
        }
        visit::for_each_table(&parsed.stmt, src, |site| {
            let name = site.name.name.name(src);
            assert!(case.text.contains(std::str::from_utf8(&name).unwrap()), "{}", case.text);
            let quotes = site.name.name.raw(src).len() - name.len();
            assert!(quotes == 0 || quotes >= 2);
            assert_eq!(buf.span(site.name.name.tok), site.name.name.span, "{}", case.text);
        });
    }
}

struct Expressions(Vec<Span>);

impl Visitor for Expressions {
    fn expr(&mut self, expr: &Expr) -> bool {
        self.0.push(expr.span);
        true
    }
}

#[test]
fn an_expressions_span_is_the_expression() {
    let (mut buf, mut again) = (TokenBuf::new(), TokenBuf::new());
    let mut checked = 0;
    for case in corpus() {
        let src = case.text.as_bytes();
        let Ok(parsed) = parse_one(src, 0, &mode(), &mut buf) else { continue };
        let mut found = Expressions(Vec::new());
        visit::walk_statement(&parsed.stmt, &mut found);
        for span in found.0 {
            let text = String::from_utf8_lossy(span.of(src)).into_owned();
            let wrapped = format!("SELECT f({text})");
            let special =
                text.eq_ignore_ascii_case("DEFAULT") || text.to_uppercase().starts_with("INTERVAL");
            let is_row_or_bare =
                text.eq_ignore_ascii_case("binary") || text.eq_ignore_ascii_case("on");
            let cuts_a_comment = text.contains("*/") && !text.contains("/*");
            if !special && !is_row_or_bare && !cuts_a_comment {
                parse_one(wrapped.as_bytes(), 0, &mode(), &mut again)
                    .unwrap_or_else(|e| panic!("{text}\nin {}\n{e}", case.text));
                checked += 1;
            }
        }
    }
    assert!(checked > 400, "{checked}");
}

#[test]
fn deep_nesting_is_an_error() {
    let mut buf = TokenBuf::new();
    for (open, close) in [
        ("(", ")"),
        ("CONCAT(", ")"),
        ("(SELECT ", ")"),
        ("NOT ", ""),
        ("- ", ""),
        ("INTERVAL(", ",1)"),
        ("CASE WHEN 1 THEN ", " END"),
    ] {
        let text = format!("SELECT {}1{}", open.repeat(10_000), close.repeat(10_000));
        assert!(parse_one(text.as_bytes(), 0, &mode(), &mut buf).is_err(), "{open}");
        let text = format!("SELECT {}1{}", open.repeat(30), close.repeat(30));
        parse_one(text.as_bytes(), 0, &mode(), &mut buf).unwrap_or_else(|e| panic!("{open}: {e}"));
    }
    let long = format!("SELECT 1{}", " OR a = 1".repeat(5_000));
    parse_one(long.as_bytes(), 0, &mode(), &mut buf).unwrap();
    let long = format!("SELECT 1{}", " + 1".repeat(400));
    parse_one(long.as_bytes(), 0, &mode(), &mut buf).unwrap();
}

/// A small generator of its own, so that a failure repeats.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }
}

#[test]
fn no_change_of_the_text_makes_it_panic() {
    let (mut buf, mut numbers) = (TokenBuf::new(), Numbers(7));
    let cases = corpus();
    for round in 0..25_000 {
        let src = cases[round % cases.len()].text.as_bytes();
        lex(src, 0, &mode(), &mut buf);
        let spans: Vec<Span> = buf.tokens().iter().map(|token| token.span()).collect();
        let (a, b) = (spans[numbers.below(spans.len())], spans[numbers.below(spans.len())]);
        let mut changed = src.to_vec();
        match numbers.below(4) {
            0 => drop(changed.splice(a.start as usize..a.end as usize, [])),
            1 => drop(changed.splice(a.start as usize..a.end as usize, b.of(src).to_vec())),
            2 => changed.truncate(a.end as usize),
            _ => {
                let at = numbers.below(changed.len());
                changed[at] = numbers.below(256) as u8;
            }
        }
        let _ = parse_one(&changed, 0, &mode(), &mut buf);
    }
}

#[test]
fn ddms_own_statements() {
    let mut buf = TokenBuf::new();
    for text in [
        "SHOW RULE",
        "SHOW RULE FROM t",
        "SHOW TOPOLOGY FROM t",
        "SHOW DATA NODE",
        "SHOW PHYSICAL PROCESSLIST WITH INFO",
        "CHECK TABLE",
        "CHECK TABLE t",
        "CREATE TABLE t (a INT) DBPARTITION BY HASH(a)",
        "CREATE TABLE t (a INT) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 dbpartition by mod_hash(a) tbpartition by mod_hash(b) tbpartitions 4",
        "CREATE TABLE t (a INT) BROADCAST",
        "CREATE TABLE t (a DATE) DBPARTITION BY RANGE(MONTH(a)) {1-2=0, 3-4=1, default=7}",
        "CREATE TABLE t (a BIGINT) DBPARTITION BY RIGHT_SHIFT(a, 4)",
        "CREATE SEQUENCE s",
        "FRESH ALL SEQUENCE START VALUE",
    ] {
        parse_one(text.as_bytes(), 0, &mode(), &mut buf).unwrap_or_else(|e| panic!("{text}: {e}"));
    }
}

#[test]
fn statements_are_taken_one_by_one() {
    let mut buf = TokenBuf::new();
    let src = b"SELECT 1; SELECT ';' ; SELECT 3";
    let first = parse_one(src, 0, &mode(), &mut buf).unwrap();
    let second = parse_one(src, first.rest.unwrap(), &mode(), &mut buf).unwrap();
    assert_eq!(second.span.of(src), b"SELECT ';'");
    let third = parse_one(src, second.rest.unwrap(), &mode(), &mut buf).unwrap();
    assert_eq!(third.rest, None);
}
