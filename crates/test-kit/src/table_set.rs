//! The tables that statements start from: made once, filled again as often as needed.

use crate::case_file::{sql_dir, statements};
use crate::observe::{Observed, Protocol, observe};
use anyhow::{Result, bail};
use node_backend::Connection;
use std::collections::BTreeSet;

/// Definitions and rows.
#[derive(Clone, Debug)]
pub struct TableSet {
    definitions: Vec<String>,
    rows: Vec<String>,
}

impl TableSet {
    /// The tables of every file of statements.
    pub fn common() -> Result<Self> {
        Ok(Self {
            definitions: statements(&sql_dir().join("tables.sql"))?,
            rows: statements(&sql_dir().join("rows.sql"))?,
        })
    }

    /// Those, and the random statements' own.
    pub fn random() -> Result<Self> {
        let mut all = Self::common()?;
        all.definitions.extend(statements(&sql_dir().join("random_tables.sql"))?);
        all.rows.extend(statements(&sql_dir().join("random_rows.sql"))?);
        Ok(all)
    }

    /// Whether a table of this name is one of them.
    pub fn has(&self, name: &str) -> bool {
        self.definitions.iter().any(|definition| table_of(definition) == name)
    }

    /// Makes the tables (all, or those named) anew, with rows; `fill` puts a layout's clauses into a
    /// definition.
    pub async fn make(
        &self,
        connection: &mut Connection,
        only: Option<&BTreeSet<String>>,
        fill: impl Fn(&str) -> String,
    ) -> Result<()> {
        let wanted = |table: &str| only.is_none_or(|only| only.contains(table));
        for definition in self.definitions.iter().filter(|text| wanted(table_of(text))) {
            let table = table_of(definition);
            run(connection, &format!("DROP TABLE IF EXISTS {table}")).await?;
            run(connection, &fill(definition)).await?;
        }
        for rows in self.rows.iter().filter(|text| wanted(table_of(text))) {
            run(connection, rows).await?;
        }
        Ok(())
    }

    /// Gives these tables their first rows again, whatever transaction is open.
    pub async fn refill(&self, connection: &mut Connection, tables: &[&str]) -> Result<()> {
        run(connection, "ROLLBACK").await?;
        for table in tables {
            run(connection, &format!("DELETE FROM {table}")).await?;
            let into = format!("INSERT INTO {table} ");
            for rows in self.rows.iter().filter(|rows| rows.starts_with(&into)) {
                run(connection, rows).await?;
            }
        }
        Ok(())
    }
}

/// The table that a statement `CREATE TABLE name …` or `INSERT INTO name …` names.
fn table_of(sql: &str) -> &str {
    sql.split_whitespace().nth(2).unwrap_or_default()
}

async fn run(connection: &mut Connection, sql: &str) -> Result<()> {
    match observe(connection, Protocol::Text, sql).await {
        bad @ (Observed::Error { .. } | Observed::Lost(_)) => {
            bail!("cannot set up: {bad:?}\n{sql}")
        }
        Observed::Done { .. } | Observed::Rows { .. } => Ok(()),
    }
}
