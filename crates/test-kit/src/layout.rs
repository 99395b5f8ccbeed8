//! The layouts of the oracle's tables: which clause ends each table's CREATE TABLE.

use crate::case_file::sql_dir;
use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// One way to place the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its name, also the end of its schema's name.
    pub name: String,
    /// Table → clause.
    pub clauses: BTreeMap<String, String>,
}

impl Layout {
    /// All layouts of `tests/sql/layouts.txt`.
    pub fn all() -> Result<Vec<Layout>> {
        let path = sql_dir().join("layouts.txt");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let mut layouts: Vec<Layout> = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                layouts.push(Layout { name: name.to_owned(), clauses: BTreeMap::new() });
                continue;
            }
            let (table, clause) = line.split_once(' ').unwrap_or((line, ""));
            let layout = layouts.last_mut().context("a table before the first layout")?;
            layout.clauses.insert(table.to_owned(), clause.to_owned());
        }
        Ok(layouts)
    }

    /// A table definition with this layout's clauses filled in.
    pub fn fill(&self, definition: &str) -> String {
        self.clauses.iter().fold(definition.to_owned(), |text, (table, clause)| {
            text.replace(&format!("{{{table}}}"), clause)
        })
    }
}

/// A table definition for the plain server: without the place of a layout's clause.
pub fn strip_clauses(definition: &str) -> String {
    match (definition.find('{'), definition.find('}')) {
        (Some(from), Some(to)) => format!("{}{}", &definition[..from], &definition[to + 1..]),
        _ => definition.to_owned(),
    }
}
