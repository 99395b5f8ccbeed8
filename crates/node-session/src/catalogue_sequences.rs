//! Sequences as rows of information_schema.TABLES: of type SEQUENCE there, as MariaDB has them. Tools
//! ask so whether a sequence is there before they make or drop it.

use crate::catalogue_rows::{Needed, set};
use crate::session::Core;
use crate::show::Row;
use node_exec::error::ExecError;
use sql_plan::catalogue::CatalogueTable;
use sql_plan::value::Values;
use std::collections::BTreeSet;
use topology::model::Schema;

/// The type of their rows.
const TABLE_TYPE: &str = "SEQUENCE";

/// What is the same in each row.
const FIXED: [(&str, &str); 13] = [
    ("TABLE_CATALOG", "def"),
    ("TABLE_TYPE", TABLE_TYPE),
    ("ENGINE", "InnoDB"),
    ("VERSION", "10"),
    ("ROW_FORMAT", "Fixed"),
    ("TABLE_ROWS", "1"),
    ("MAX_DATA_LENGTH", "0"),
    ("INDEX_LENGTH", "0"),
    ("DATA_FREE", "0"),
    ("CREATE_OPTIONS", ""),
    ("TABLE_COMMENT", ""),
    ("MAX_INDEX_LENGTH", "0"),
    ("TEMPORARY", "N"),
];

impl Core {
    /// The rows of a schema's sequences that the query on TABLES may want.
    pub(crate) async fn sequence_table_rows(
        &mut self,
        schema: &Schema,
        table: &CatalogueTable,
        names: Option<&BTreeSet<String>>,
        needed: &Needed,
        values: &Values<'_>,
    ) -> Result<Vec<Row>, ExecError> {
        let types = table.wanted("TABLE_TYPE", values, None);
        let is_asked = types.is_none_or(|types| types.contains(&TABLE_TYPE.to_lowercase()));
        let are_tables =
            names.is_some_and(|names| names.iter().all(|name| schema.table(name).is_some()));
        if !is_asked || are_tables || schema.shards.is_empty() {
            return Ok(Vec::new());
        }
        let worker = self.worker.clone();
        let sequences = worker.shared.sequences.named.list(&worker.backends, schema).await?;
        let wanted = |name: &str| names.is_none_or(|names| names.contains(&name.to_lowercase()));
        Ok(sequences
            .iter()
            .filter(|sequence| wanted(&sequence.name))
            .map(|sequence| {
                let mut row: Row = vec![None; needed.columns.len()];
                for (column, value) in FIXED {
                    set(&mut row, needed.at(column), value);
                }
                set(&mut row, needed.at("TABLE_SCHEMA"), &schema.name);
                set(&mut row, needed.at("TABLE_NAME"), &sequence.name);
                row
            })
            .collect())
    }
}
