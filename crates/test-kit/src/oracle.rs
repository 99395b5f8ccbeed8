//! The differential runner: the same statements on DDM, in a layout, and on one plain server that
//! holds the same rows in one database of the same name.
//!
//! Every file starts from the same rows. Only the tables that the file before has written are filled
//! again, and only those that it has defined anew are made again: definitions are what takes time.

use crate::case_file::{sql_dir, statements};
use crate::compare::{Verdict, judge};
use crate::layout::Layout;
use crate::mtr_rules::words;
use crate::observe::{Observed, Protocol, observe};
use crate::plain_server::PlainServer;
use crate::table_set::TableSet;
use anyhow::Result;
use node_backend::ConnectOptions;
use node_backend::Connection;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// One statement's end.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Layout, protocol and file, for people.
    pub place: String,
    /// The statement.
    pub sql: String,
    /// How it went.
    pub verdict: Verdict,
}

/// Which tables the file before has left otherwise than they began.
#[derive(Clone, Debug)]
struct Touched {
    /// Must be made again; `None`: all.
    made: Option<BTreeSet<String>>,
    /// Must be filled again.
    written: BTreeSet<String>,
}

/// One server with the tables: the plain one, or DDM in a layout.
#[derive(Debug)]
pub struct Place {
    layout: Option<Layout>,
    options: ConnectOptions,
    tables: TableSet,
    touched: Touched,
}

impl Place {
    /// The plain server, with an empty database of this name.
    pub fn plain(server: &PlainServer, schema: &str) -> Result<Self> {
        Self::new(None, server.options(Some(schema)))
    }

    /// DDM, with an empty schema chosen.
    pub fn ddm(layout: Layout, options: ConnectOptions) -> Result<Self> {
        Self::new(Some(layout), options)
    }

    fn new(layout: Option<Layout>, options: ConnectOptions) -> Result<Self> {
        let touched = Touched { made: None, written: BTreeSet::new() };
        let tables = TableSet::common()?;
        Ok(Self { layout, options, tables, touched })
    }

    /// A connection to the tables' first state, which these statements are about to change.
    async fn open(&mut self, coming: &[String]) -> Result<Connection> {
        let mut connection = Connection::connect(&self.options).await?;
        let layout = self.layout.clone();
        let fill = |definition: &str| match &layout {
            Some(layout) => layout.fill(definition),
            None => crate::layout::strip_clauses(definition),
        };
        match &self.touched.made {
            None => self.tables.make(&mut connection, None, fill).await?,
            Some(made) => {
                if !made.is_empty() {
                    self.tables.make(&mut connection, Some(made), fill).await?;
                }
                let written: Vec<&str> =
                    self.touched.written.difference(made).map(String::as_str).collect();
                self.tables.refill(&mut connection, &written).await?;
            }
        }
        self.touched = self.will_touch(coming);
        Ok(connection)
    }

    fn will_touch(&self, coming: &[String]) -> Touched {
        let (mut made, mut written) = (BTreeSet::new(), BTreeSet::new());
        for sql in coming {
            let list = words(sql);
            let first = list.first().map_or("", String::as_str);
            let named = list.iter().filter(|word| self.tables.has(word)).cloned();
            match first {
                "select" | "with" | "values" | "show" | "explain" | "desc" | "begin" | "commit" => {
                }
                // Numbers that were given to rows of s1 come back with its definition only.
                "insert" | "replace" if list.iter().any(|word| word == "s1") => made.extend(named),
                "insert" | "replace" | "update" | "delete" => written.extend(named),
                _ => made.extend(named),
            }
        }
        Touched { made: Some(made), written }
    }
}

/// Runs one file of statements over fresh tables, each statement on the plain server and then on DDM.
pub async fn run_file(
    plain: &mut Place,
    ddm: &mut Place,
    protocol: Protocol,
    file: &str,
) -> Result<Vec<Finding>> {
    let all = statements(&sql_dir().join(file))?;
    let mut one = plain.open(&all).await?;
    let mut many = ddm.open(&all).await?;
    let layout = ddm.layout.as_ref().map_or("plain", |layout| &layout.name).to_owned();
    let place = format!("{layout} {protocol:?} {file}");
    let mut findings = Vec::new();
    for sql in all {
        let plain_sql = without_sharding(&sql);
        let plain_sql = plain_sql.as_ref();
        let expected = observe(&mut one, protocol, plain_sql).await;
        // Where the plain server cannot prepare a statement, text is the only protocol.
        let (expected, used) = match expected {
            Observed::Error { number: 1295, .. } => {
                (observe(&mut one, Protocol::Text, plain_sql).await, Protocol::Text)
            }
            other => (other, protocol),
        };
        let seen = observe(&mut many, used, &sql).await;
        let mut verdict = judge(&sql, &expected, &seen);
        if let Verdict::Wrong(how) = &mut verdict
            && how.starts_with("warnings")
        {
            let warnings = observe(&mut many, Protocol::Text, "SHOW WARNINGS").await;
            *how = format!("{how}: {warnings:?}");
        }
        if matches!(verdict, Verdict::Crashed(_)) {
            many = Connection::connect(&ddm.options).await?;
        }
        findings.push(Finding { place: place.clone(), sql, verdict });
    }
    Ok(findings)
}

/// A table's definition as the plain server takes it: without the clause that stands at its end or
/// before its query.
fn without_sharding(sql: &str) -> Cow<'_, str> {
    let is_create = sql.starts_with("CREATE TABLE") || sql.starts_with("CREATE OR REPLACE TABLE");
    let at = match is_create {
        true => sql.find(" DBPARTITION BY").or_else(|| sql.find(" BROADCAST")),
        false => None,
    };
    let Some(at) = at else { return Cow::Borrowed(sql) };
    let queries = [" AS SELECT", " IGNORE SELECT", " REPLACE SELECT"];
    match queries.iter().filter_map(|word| sql[at..].find(word)).min() {
        Some(query) => Cow::Owned(format!("{}{}", &sql[..at], &sql[at + query..])),
        None => Cow::Borrowed(&sql[..at]),
    }
}
