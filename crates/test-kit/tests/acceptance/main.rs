//! What our parser accepts, against the plain server's own: every statement of the server's own test
//! files that is SQL of one server is prepared there (1064 and 1149 are its parser's words for no;
//! whatever else it says, the parser said yes) and parsed here, under the same sql_mode.
//!
//! And whether our tree names every table that the server opens: see `tables`.
//!
//! Left out are, by folder, what is about several servers, plugins, encryption, backups and the
//! Oracle dialect; and, by statement, replication and plugins. `DDM_TEST_LONG=1` takes every file,
//! else it is a sample. `DDM_TEST_REPORT=path` writes every difference there.
#![allow(clippy::print_stdout)]

mod tables;

use anyhow::{Context, Result, ensure};
use node_backend::{BackendError, Connection};
use sql_syntax::ast::Parsed;
use sql_syntax::{CharsetClass, LexMode, SyntaxError, TokenBuf, parse_one};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;
use tables::Naming;
use test_kit::mtr::{self, MtrStatement};
use test_kit::plain_server::PlainServer;

/// One of so many files is in the sample.
const SAMPLE: usize = 12;

/// The share that must be equal, in hundredths of a per cent.
const EQUAL_LEAST: usize = 9_900;

/// Folders that are not about SQL of one server.
const OTHER_FOLDERS: &[&str] = &[
    "suite/binlog",
    "suite/binlog_encryption",
    "suite/compat",
    "suite/encryption",
    "suite/federated",
    "suite/galera",
    "suite/galera_3nodes",
    "suite/galera_3nodes_sr",
    "suite/galera_sr",
    "suite/mariabackup",
    "suite/mtr",
    "suite/mtr2",
    "suite/multi_source",
    "suite/perfschema",
    "suite/perfschema_stress",
    "suite/plugins",
    "suite/rpl",
    "suite/s3",
    "suite/sysschema",
    "suite/unit",
    "suite/wsrep",
];

/// First words of statements that are not SQL of one server.
const OTHER_STATEMENTS: &[&str] = &[
    "CHANGE MASTER",
    "START SLAVE",
    "STOP SLAVE",
    "START ALL",
    "STOP ALL",
    "RESET MASTER",
    "RESET SLAVE",
    "SHOW SLAVE",
    "SHOW MASTER",
    "SHOW BINLOG",
    "SHOW ALL SLAVES",
    "SHOW RELAYLOG",
    "SHOW BINARY",
    "PURGE",
    "BINLOG",
    "INSTALL",
    "UNINSTALL",
    "SHUTDOWN",
];

/// The errors by which the server's parser says no.
const PARSE_ERRORS: [u16; 2] = [1064, 1149];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_own_statements_are_accepted_alike() -> Result<()> {
    let plain = PlainServer::start().await?;
    let mut admin = plain.connect(None).await?;
    admin.execute_sql(b"CREATE DATABASE test").await?;
    for sql in tables::SET_UP {
        admin.execute_sql(sql.as_bytes()).await?;
    }
    let long = std::env::var_os("DDM_TEST_LONG").is_some();
    let only = std::env::var("DDM_TEST_SQL_FILE").unwrap_or_default();
    let mut tally = Tally::default();
    let files = mtr::files()?;
    let files = files.iter().filter(|path| is_single_server(path));
    for (number, path) in files.enumerate() {
        let named = path.to_string_lossy().contains(&only);
        if named && (long || !only.is_empty() || number % SAMPLE == 0) {
            let mut connection = plain.connect(Some("test")).await?;
            tally.file(&plain, &mut connection, path).await?;
        }
    }
    tally.report()
}

/// A byte of a character may be a backslash or a quote; whether it is decides where a string ends.
#[tokio::test]
async fn strings_end_where_the_server_ends_them() -> Result<()> {
    let plain = PlainServer::start().await?;
    let mut connection = plain.connect(None).await?;
    let tails =
        [0x22, 0x27, 0x30, 0x3F, 0x40, 0x5C, 0x60, 0x7C, 0x7E, 0x7F, 0x80, 0xA0, 0xA1, 0xFC, 0xFE];
    let (mut buf, mut strings) = (TokenBuf::new(), [0; 2]);
    for charset in ["gbk", "big5", "sjis", "cp932", "utf8mb4", "latin1"] {
        connection.execute_sql(format!("SET NAMES {charset}").as_bytes()).await?;
        let mode = read_mode(&mut connection).await?.context("not the Oracle dialect")?;
        for lead in 0x7F..=0xFF {
            for tail in tails {
                for quote in [b'\'', b'`'] {
                    let sql = [b"SELECT 1 AS ", &[quote, lead, tail, quote, b' '][..]].concat();
                    // A name that is no text of the character set is refused for that alone.
                    let prepared = connection.prepare(&sql).await;
                    let refused = matches!(&prepared, Err(BackendError::Server(packet))
                        if PARSE_ERRORS.contains(&packet.number));
                    connection.forget_statement(&sql).await?;
                    let ours = parse_one(&sql, 0, &mode, &mut buf);
                    ensure!(ours.is_err() == refused, "{charset} {lead:x} {tail:x} {prepared:?}");
                    strings[usize::from(refused)] += 1;
                }
            }
        }
    }
    ensure!(strings.iter().all(|count| *count > 500), "{strings:?}");
    Ok(())
}

fn is_single_server(path: &Path) -> bool {
    let path = path.to_string_lossy();
    !OTHER_FOLDERS.iter().any(|folder| path.contains(&format!("/{folder}/")))
}

/// What a statement came to on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Equal,
    /// We refuse what the server takes.
    Stricter,
    /// We take what the server refuses.
    Laxer,
}

#[derive(Default)]
struct Tally {
    seen: HashSet<(LexMode, Vec<u8>)>,
    counts: BTreeMap<Outcome, usize>,
    /// Examples by what is common to them.
    groups: BTreeMap<(Outcome, String), Vec<String>>,
    /// Statements whose tables were checked, and those that open one that the tree does not name.
    named: usize,
    missed: Vec<String>,
}

impl Tally {
    async fn file(
        &mut self,
        plain: &PlainServer,
        connection: &mut Connection,
        path: &Path,
    ) -> Result<()> {
        let statements = mtr::statements(path)?;
        let utf8 = statements.iter().all(|one| one.text().is_some());
        connection
            .execute_sql(if utf8 { b"SET NAMES utf8mb4" } else { b"SET NAMES latin1" })
            .await?;
        let mut mode = read_mode(connection).await?;
        for statement in statements {
            if is_other_statement(&statement.sql) {
                continue;
            }
            if let Some(mode) = &mode
                && self.seen.insert((*mode, statement.sql.clone()))
            {
                let place = format!("{}:{}", path.display(), statement.line);
                self.statement(connection, mode, &statement, &place).await?;
            }
            if connection.is_broken() {
                *connection = plain.connect(Some("test")).await?;
            }
            if changes_mode(&statement.sql) {
                let _ = connection.execute_sql(&statement.sql).await;
                mode = read_mode(connection).await?;
            }
        }
        Ok(())
    }

    /// A packet may hold several statements, which the server prepares one by one only.
    async fn statement(
        &mut self,
        connection: &mut Connection,
        mode: &LexMode,
        statement: &MtrStatement,
        place: &str,
    ) -> Result<()> {
        let src = statement.sql.as_slice();
        let mut buf = TokenBuf::new();
        let mut from = 0;
        loop {
            let ours = parse_one(src, from, mode, &mut buf);
            let piece = buf.text_span();
            let whole = buf.rest().is_none() && from == 0;
            let text = if whole { src } else { piece.of(src) };
            let server = accepts(connection, text).await?;
            if let (None, Ok(parsed)) = (&server, &ours) {
                match tables::check(connection, src, parsed).await? {
                    Naming::Whole => self.named += 1,
                    Naming::Missed(what) => self.missed.push(format!("{place}: {what}")),
                    Naming::Unknown => {}
                }
            }
            self.compare(server, &ours, text, place);
            if !whole && from == 0 && accepts(connection, src).await?.is_none() {
                self.count(Outcome::Stricter, "cut where it does not end", src, place);
            }
            match buf.rest() {
                Some(rest) => from = rest,
                None => return Ok(()),
            }
        }
    }

    fn compare(
        &mut self,
        server: Option<String>,
        ours: &Result<Parsed, SyntaxError>,
        text: &[u8],
        place: &str,
    ) {
        match (server, ours) {
            (None, Ok(_)) | (Some(_), Err(_)) => {
                *self.counts.entry(Outcome::Equal).or_default() += 1;
            }
            (None, Err(error)) => {
                let near = String::from_utf8_lossy(&error.near);
                let start = String::from_utf8_lossy(text);
                let group = format!("{} … {}", words(&start, 2), words(&near, 2));
                self.count(Outcome::Stricter, &group, text, &format!("{place}: near {near}"));
            }
            (Some(message), Ok(_)) => {
                let near = message.split(" near ").nth(1).unwrap_or_default();
                let start = String::from_utf8_lossy(text);
                let group = format!("{} … {}", words(&start, 2), words(near, 2));
                self.count(Outcome::Laxer, &group, text, &format!("{place}: near {near}"));
            }
        }
    }

    fn count(&mut self, outcome: Outcome, group: &str, text: &[u8], place: &str) {
        *self.counts.entry(outcome).or_default() += 1;
        let example = format!("{place}\n    {}", String::from_utf8_lossy(text));
        self.groups.entry((outcome, group.to_owned())).or_default().push(example);
    }

    fn report(&self) -> Result<()> {
        let total: usize = self.counts.values().sum();
        let equal = self.counts.get(&Outcome::Equal).copied().unwrap_or(0);
        let share = equal * 10_000 / total.max(1);
        let mut text = format!(
            "{equal} of {total} statements accepted or refused alike: {}.{:02} %; {:?}\n",
            share / 100,
            share % 100,
            self.counts
        );
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(_, examples)| std::cmp::Reverse(examples.len()));
        for ((outcome, group), examples) in &groups {
            writeln!(text, "{outcome:?} {} × {group}\n  {}", examples.len(), examples[0])?;
        }
        if let Some(path) = std::env::var_os("DDM_TEST_REPORT") {
            let mut all = text.clone();
            for ((outcome, group), examples) in &groups {
                for example in *examples {
                    writeln!(all, "=== {outcome:?} {group}\n{example}")?;
                }
            }
            std::fs::write(path, all)?;
        }
        println!("{text}");
        let (named, missed) = (self.named, self.missed.len());
        println!("the tables of {named} statements are named, of {missed} they are not");
        ensure!(missed == 0, "{missed} of {}:\n{}", named + missed, self.missed.join("\n"));
        ensure!(total > 1_000, "only {total} statements were found");
        ensure!(share >= EQUAL_LEAST, "{text}");
        Ok(())
    }
}

/// What the server's parser has against a text; None: nothing.
async fn accepts(connection: &mut Connection, text: &[u8]) -> Result<Option<String>> {
    match connection.prepare(text).await {
        Ok(_) => {
            connection.forget_statement(text).await?;
            Ok(None)
        }
        Err(BackendError::Server(packet)) if PARSE_ERRORS.contains(&packet.number) => {
            Ok(Some(String::from_utf8_lossy(&packet.message).into_owned()))
        }
        Err(BackendError::Server(_)) => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("preparing {}", String::from_utf8_lossy(text)))
        }
    }
}

fn upper(sql: &[u8]) -> String {
    String::from_utf8_lossy(sql).to_ascii_uppercase()
}

fn words(text: &str, count: usize) -> String {
    text.split_whitespace().take(count).collect::<Vec<_>>().join(" ")
}

fn is_other_statement(sql: &[u8]) -> bool {
    let start = words(&upper(&sql[..sql.len().min(60)]), 4);
    OTHER_STATEMENTS.iter().any(|other| start.starts_with(other))
}

/// Statements that change how later ones are read; they run on the plain server, too.
fn changes_mode(sql: &[u8]) -> bool {
    let text = upper(&sql[..sql.len().min(400)]);
    text.starts_with("SET")
        && !text.contains("GLOBAL")
        && !text.contains("PASSWORD")
        && ["SQL_MODE", "NAMES", "CHARACTER SET", "CHARSET", "CHARACTER_SET"]
            .iter()
            .any(|word| text.contains(word))
}

/// How the session reads text now; None in the Oracle dialect, which is not ours.
async fn read_mode(connection: &mut Connection) -> Result<Option<LexMode>> {
    let result = connection.query(b"SELECT @@sql_mode, @@character_set_client, @@version").await?;
    let node_backend::query::QueryResult::Rows(set) = result else {
        anyhow::bail!("no row");
    };
    let row = set.rows.first().context("no row")?;
    let field = |at| String::from_utf8_lossy(row.get(at).unwrap_or_default()).into_owned();
    let sql_mode = field(0);
    let version = field(2);
    let mut numbers = version.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let mut next = || numbers.next().unwrap_or(0);
    let server_version = next() * 10_000 + next() * 100 + next();
    let mut mode = LexMode { server_version, mariadb: true, ..LexMode::default() };
    mode.follow_sql_mode(&sql_mode);
    mode.charset = CharsetClass::of_charset(field(1).as_bytes());
    Ok((!sql_mode.split(',').any(|one| one == "ORACLE")).then_some(mode))
}
