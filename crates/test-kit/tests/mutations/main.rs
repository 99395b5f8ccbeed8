//! Nothing that a client can send brings the front end down or keeps it busy: statements of the
//! oracle's files, of the server's own test files and of a generator are changed at random (bytes,
//! tokens, truncation, two statements put together) and go through lexer, digest, parser and planner
//! on a thread with an ordinary stack. Answers do not matter; panics and long times do.
//!
//! `DDM_TEST_LONG=1` tries a million; `DDM_TEST_SEED` chooses the changes.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod generate;
#[path = "../../../sql-plan/tests/world/mod.rs"]
mod world;

use generate::{Random, statement};
use sql_plan::value::Values;
use sql_plan::{PlanContext, plan};
use sql_syntax::ast::{Span, Statement};
use sql_syntax::visit::{for_each_column, for_each_table};
use sql_syntax::{
    CharsetClass, Digest, LexMode, TokenBuf, lex, mask_secrets, normalise, parse, parse_one,
};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use test_kit::case_file::{sql_dir, statements};
use test_kit::mtr;
use topology::model::{Column, Placement, Snapshot, Table};

const COUNT: usize = 50_000;
const COUNT_LONG: usize = 1_000_000;

/// What a runtime's worker threads have.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// A statement that takes longer, on a busy machine and without optimisation, hangs.
const STATEMENT_TIME_MAX: Duration = Duration::from_secs(5);

/// Longer ones are cut: a changed statement that grows without end tests nothing new.
const STATEMENT_BYTES_MAX: usize = 8 * 1024;

/// Every so many statements of the server's own are taken.
const MTR_SAMPLE: usize = 40;

/// Bytes that mean something to the lexer.
const SPECIAL: &[u8] = b"'\"`\\;()/*-#@:,.?{}\0\xbf";

/// The statement that is being tried, and how many were.
#[derive(Default)]
struct Progress {
    tried: AtomicUsize,
    statement: Mutex<Vec<u8>>,
}

#[test]
fn changed_statements_do_no_harm() {
    let long = std::env::var_os("DDM_TEST_LONG").is_some();
    let count = if long { COUNT_LONG } else { COUNT };
    let seed = std::env::var("DDM_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let progress = Arc::new(Progress::default());
    let worker = std::thread::Builder::new().stack_size(STACK_BYTES).spawn({
        let progress = progress.clone();
        move || run(seed, count, &progress)
    });
    let worker = worker.unwrap();
    let mut seen = (usize::MAX, Instant::now());
    while !worker.is_finished() {
        std::thread::sleep(Duration::from_millis(100));
        let tried = progress.tried.load(Ordering::Relaxed);
        if tried != seen.0 {
            seen = (tried, Instant::now());
        } else if tried > 0 && seen.1.elapsed() > 2 * STATEMENT_TIME_MAX {
            let statement = progress.statement.lock().unwrap();
            panic!("hangs (seed {seed}): {}", String::from_utf8_lossy(&statement));
        }
    }
    let outcome = worker.join().unwrap();
    println!(
        "{count} changed statements: {} parsed, {} planned, the longest took {:?}: {}",
        outcome.parsed,
        outcome.planned,
        outcome.longest.0,
        String::from_utf8_lossy(&outcome.longest.1)
    );
    let panics: Vec<String> =
        outcome.panics.iter().map(|(what, sql)| format!("{what}\n    {sql}")).collect();
    assert!(panics.is_empty(), "seed {seed}:\n{}", panics.join("\n"));
    assert!(outcome.longest.0 < STATEMENT_TIME_MAX, "{:?}", outcome.longest.0);
    assert!(outcome.parsed > count / 20 && outcome.planned > count / 200, "too few are statements");
}

#[test]
fn the_generator_makes_statements() {
    let (mut random, mut buf) = (Random::new(1), TokenBuf::new());
    for _ in 0..1_000 {
        let sql = statement(&mut random);
        parse_one(sql.as_bytes(), 0, &LexMode::default(), &mut buf)
            .unwrap_or_else(|error| panic!("{sql}\n{error}"));
    }
}

#[derive(Default)]
struct Outcome {
    parsed: usize,
    planned: usize,
    longest: (Duration, Vec<u8>),
    /// The first statement for each message.
    panics: BTreeMap<String, String>,
}

fn run(seed: u64, count: usize, progress: &Progress) -> Outcome {
    let (corpus, snapshot) = (corpus(), snapshot());
    let (mut random, mut outcome) = (Random::new(seed), Outcome::default());
    for _ in 0..count {
        let sql = changed(&corpus, &mut random);
        let mode = mode(&mut random);
        progress.statement.lock().unwrap().clone_from(&sql);
        let begun = Instant::now();
        let went = catch_unwind(AssertUnwindSafe(|| go(&sql, &mode, &snapshot)));
        let took = begun.elapsed();
        progress.tried.fetch_add(1, Ordering::Relaxed);
        match went {
            Ok((parsed, planned)) => {
                outcome.parsed += usize::from(parsed);
                outcome.planned += usize::from(planned);
            }
            Err(panic) => {
                let what = panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                let sql = String::from_utf8_lossy(&sql).into_owned();
                outcome.panics.entry(what.unwrap_or_default()).or_insert(sql);
            }
        }
        if took > outcome.longest.0 {
            outcome.longest = (took, sql);
        }
    }
    outcome
}

/// The whole way of a text, every statement of it; whether the first was parsed and planned.
fn go(src: &[u8], mode: &LexMode, snapshot: &Snapshot) -> (bool, bool) {
    let (mut buf, mut digest, mut masked) = (TokenBuf::new(), Digest::default(), Vec::new());
    let (mut from, mut first) = (0, None);
    loop {
        lex(src, from, mode, &mut buf);
        normalise(src, &buf, &mut digest);
        mask_secrets(src, &buf, &mut masked);
        let mut done = (false, false);
        if let Ok(parsed) = parse(src, &buf, mode) {
            for_each_column(&parsed.stmt, |column| assert!(!column.span().of(src).is_empty()));
            for_each_table(&parsed.stmt, src, |table| {
                assert_eq!(buf.span(table.name.name.tok), table.name.name.span);
            });
            assert_eq!(parsed.rest, buf.rest());
            let context =
                PlanContext { current_schema: Some("shop"), mode, plain_names: false, check: None };
            let planned = plan(&parsed, src, &buf, snapshot, &context);
            if let Ok(planned) = &planned {
                let _ = planned.explain(&Values {
                    text: src,
                    tokens: &buf,
                    mode,
                    param_tokens: &parsed.params,
                    params: &[],
                    evaluated: &[],
                    zero_is_a_value: false,
                });
            }
            done = (true, planned.is_ok());
        }
        let done = *first.get_or_insert(done);
        match buf.rest() {
            Some(rest) => {
                assert!(rest > from, "a statement without bytes");
                from = rest;
            }
            None => return done,
        }
    }
}

fn mode(random: &mut Random) -> LexMode {
    let mut mode = LexMode { server_version: 101_119, mariadb: true, ..LexMode::default() };
    if random.below(4) == 0 {
        mode.ansi_quotes = random.below(2) == 0;
        mode.no_backslash_escapes = random.below(2) == 0;
        mode.pipes_as_concat = random.below(2) == 0;
        mode.ignore_space = random.below(2) == 0;
        mode.high_not_precedence = random.below(2) == 0;
        mode.mariadb = random.below(2) == 0;
        let charsets = ["utf8mb4", "gbk", "big5", "sjis", "gb18030"];
        mode.charset = CharsetClass::of_charset(charsets[random.below(charsets.len())].as_bytes());
    }
    mode
}

/// Statements of the oracle, of the system itself and of the server's own files.
fn corpus() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for entry in std::fs::read_dir(sql_dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "test" || end == "sql") {
            all.extend(statements(&path).unwrap().into_iter().map(String::into_bytes));
        }
    }
    let theirs = mtr::files().unwrap();
    let theirs = theirs.iter().flat_map(|path| mtr::statements(path).unwrap());
    all.extend(theirs.step_by(MTR_SAMPLE).map(|one| one.sql));
    all.retain(|sql| sql.len() < STATEMENT_BYTES_MAX);
    assert!(all.len() > 2_000, "{}", all.len());
    all
}

/// One statement with one change or two.
fn changed(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut sql = taken(corpus, random);
    for _ in 0..=random.below(2) {
        sql = change(sql, corpus, random);
        sql.truncate(STATEMENT_BYTES_MAX);
    }
    sql
}

fn taken(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    if random.below(3) == 0 {
        statement(random).into_bytes()
    } else {
        corpus[random.below(corpus.len())].clone()
    }
}

fn change(mut sql: Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut buf = TokenBuf::new();
    lex(&sql, 0, &LexMode::default(), &mut buf);
    let tokens: Vec<Span> = buf.tokens().iter().map(|token| token.span()).collect();
    let (a, b) = (tokens[random.below(tokens.len())], tokens[random.below(tokens.len())]);
    let (first, second) = if a.start <= b.start { (a, b) } else { (b, a) };
    match random.below(12) {
        0 if !sql.is_empty() => {
            let at = random.below(sql.len());
            sql[at] ^= 1 << random.below(8);
        }
        1 if !sql.is_empty() => {
            let at = random.below(sql.len());
            sql[at] = SPECIAL[random.below(SPECIAL.len())];
        }
        2 => drop(sql.splice(a.start as usize..a.end as usize, [])),
        3 => drop(sql.splice(a.end as usize..a.end as usize, [b" ", a.of(&sql.clone())].concat())),
        4 if first.end <= second.start => {
            let (one, two) = (first.of(&sql).to_vec(), second.of(&sql).to_vec());
            sql.splice(second.start as usize..second.end as usize, one);
            sql.splice(first.start as usize..first.end as usize, two);
        }
        5 => sql.truncate(a.end as usize),
        6 => {
            // The beginning of this one and the end of another.
            let other = taken(corpus, random);
            sql.truncate(a.end as usize);
            sql.push(b' ');
            sql.extend_from_slice(&other[random.below(other.len() + 1)..]);
        }
        7 => {
            // A part of it once more, where it does not belong.
            let part = sql[first.start as usize..second.end.max(first.start) as usize].to_vec();
            let at = b.start as usize;
            sql.splice(at..at, part);
        }
        8 => {
            let other = taken(corpus, random);
            sql.splice(a.start as usize..a.end as usize, [b"(", &other[..], b")"].concat());
        }
        _ => {
            // Another token of the same kind, so that the whole is often a statement still.
            let kind = buf.tokens().iter().find(|token| token.span() == a).map(|token| token.kind);
            let other = taken(corpus, random);
            lex(&other, 0, &LexMode::default(), &mut buf);
            let skipped = random.below(buf.tokens().len());
            let alike = buf.tokens().iter().cycle().skip(skipped).take(buf.tokens().len());
            if let Some(found) = alike.into_iter().find(|token| Some(token.kind) == kind) {
                let text = found.span().of(&other).to_vec();
                sql.splice(a.start as usize..a.end as usize, text);
            }
        }
    }
    sql
}

/// The planner's small world with the oracle's tables in it.
fn snapshot() -> Snapshot {
    let mut snapshot = world::snapshot();
    let schema = snapshot.schemas.get_mut("shop").unwrap();
    let sharded = schema.tables["users"].placement.clone();
    let mut buf = TokenBuf::new();
    for sql in statements(&sql_dir().join("tables.sql")).unwrap() {
        let sql = &sql[..sql.rfind('{').unwrap_or(sql.len())];
        let src = sql.as_bytes();
        let parsed = parse_one(src, 0, &LexMode::default(), &mut buf).unwrap();
        let Statement::CreateTable(create) = &parsed.stmt else { panic!("{sql}") };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let column = |column: &sql_syntax::ast::ColumnDef| {
            let kind = text(column.ty.span.of(src)).to_lowercase();
            Column::plain(&text(&column.name.name(src)), &kind)
        };
        let columns: Vec<Column> = create.columns.iter().map(column).collect();
        let name = text(&create.name.name.name(src));
        let placement = match (name.as_str(), sharded.clone()) {
            ("dim", _) => Placement::Broadcast,
            ("kinds", _) => Placement::Single,
            (_, Placement::Sharded(mut rule)) => {
                rule.database.column.clone_from(&columns[0].name);
                Placement::Sharded(rule)
            }
            (_, other) => other,
        };
        let table =
            Table { name: name.clone(), placement, columns, ..schema.tables["users"].clone() };
        schema.tables.insert(name, table);
    }
    snapshot
}
