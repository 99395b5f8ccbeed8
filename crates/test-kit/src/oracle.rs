//! The differential runner: the same statements on DDM and on one plain server that holds the same
//! rows in one database of the same name, over a layout and a protocol.

use crate::case_file::{sql_dir, statements};
use crate::compare::{Verdict, judge};
use crate::layout::Layout;
use crate::observe::{Observed, Protocol, observe};
use crate::plain_server::PlainServer;
use anyhow::{Result, bail};
use node_backend::ConnectOptions;
use node_backend::Connection;
use std::borrow::Cow;

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

/// The two servers, both with the same empty schema chosen.
#[derive(Debug)]
pub struct Oracle<'a> {
    /// The plain server.
    pub plain: &'a PlainServer,
    /// How to reach DDM, with the schema.
    pub ddm: &'a ConnectOptions,
    /// The schema's name on both.
    pub schema: &'a str,
}

impl Oracle<'_> {
    /// Runs one file of statements over fresh tables.
    pub async fn run_file(
        &self,
        layout: &Layout,
        protocol: Protocol,
        file: &str,
    ) -> Result<Vec<Finding>> {
        let mut plain = self.plain.connect(Some(self.schema)).await?;
        let mut ddm = Connection::connect(self.ddm).await?;
        set_up(layout, &mut plain, &mut ddm).await?;
        let mut findings = Vec::new();
        for sql in statements(&sql_dir().join(file))? {
            // Where the plain server cannot prepare a statement, text is the only protocol.
            let plain_sql = without_sharding(&sql);
            let plain_sql = plain_sql.as_ref();
            let expected = observe(&mut plain, protocol, plain_sql).await;
            let (expected, protocol_used) = match expected {
                Observed::Error { number: 1295, .. } => {
                    (observe(&mut plain, Protocol::Text, plain_sql).await, Protocol::Text)
                }
                other => (other, protocol),
            };
            let seen = observe(&mut ddm, protocol_used, &sql).await;
            let verdict = judge(&sql, &expected, &seen);
            if matches!(verdict, Verdict::Crashed(_)) {
                ddm = Connection::connect(self.ddm).await?;
            }
            let place = format!("{} {protocol:?} {file}", layout.name);
            findings.push(Finding { place, sql, verdict });
        }
        Ok(findings)
    }
}

/// A table's definition as the plain server takes it: without the clause that stands at its end or
/// before its query.
fn without_sharding(sql: &str) -> Cow<'_, str> {
    let is_create =
        sql.starts_with("CREATE TABLE") || sql.starts_with("CREATE OR REPLACE TABLE");
    let at = match is_create {
        true => sql.find(" DBPARTITION BY").or_else(|| sql.find(" BROADCAST")),
        false => None,
    };
    let Some(at) = at else { return Cow::Borrowed(sql) };
    let queries = [" AS SELECT", " IGNORE SELECT", " REPLACE SELECT", " IGNORE AS SELECT", " REPLACE AS SELECT"];
    let query = queries.iter().filter_map(|word| sql[at..].find(word)).min();
    match query {
        Some(query) => Cow::Owned(format!("{}{}", &sql[..at], &sql[at + query..])),
        None => Cow::Borrowed(&sql[..at]),
    }
}

/// Drops what a former file left, and makes the tables and rows that every file starts from.
async fn set_up(layout: &Layout, plain: &mut Connection, ddm: &mut Connection) -> Result<()> {
    let definitions = statements(&sql_dir().join("tables.sql"))?;
    for definition in &definitions {
        let table = definition.split_whitespace().nth(2).unwrap_or_default();
        let drop = format!("DROP TABLE IF EXISTS {table}");
        both(plain, ddm, &drop, &drop).await?;
        both(plain, ddm, &layout.strip(definition), &layout.fill(definition)).await?;
    }
    for rows in statements(&sql_dir().join("rows.sql"))? {
        both(plain, ddm, &rows, &rows).await?;
    }
    Ok(())
}

async fn both(
    plain: &mut Connection,
    ddm: &mut Connection,
    plain_sql: &str,
    ddm_sql: &str,
) -> Result<()> {
    for (connection, sql, who) in [(plain, plain_sql, "the plain server"), (ddm, ddm_sql, "DDM")] {
        if let bad @ (Observed::Error { .. } | Observed::Lost(_)) =
            observe(connection, Protocol::Text, sql).await
        {
            bail!("{who} cannot set up: {bad:?}\n{sql}");
        }
    }
    Ok(())
}
