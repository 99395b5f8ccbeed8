//! Sequences as tables: MariaDB's are tables of one row, so that clients find them in
//! information_schema and SHOW TABLES, and read their positions by SELECT.

use crate::catalogue_rows::Needed;
use crate::control::text;
use crate::query::Source;
use crate::session::Core;
use crate::show::{Row, field};
use node_exec::error::ExecError;
use node_exec::named_sequence::Definition;
use sql_plan::catalogue::CatalogueTable;
use sql_plan::value::Values;
use sql_syntax::ast::TableName;
use std::collections::BTreeSet;
use topology::model::Schema;

/// The greatest value that MariaDB shows.
const MAX_SHOWN: i64 = i64::MAX - 1;

/// The type of a sequence's table.
const TABLE_TYPE: &str = "SEQUENCE";

/// What a server says of a sequence's table in information_schema.
const TABLE_VALUES: [(&str, &str); 15] = [
    ("TABLE_CATALOG", "def"),
    ("TABLE_TYPE", TABLE_TYPE),
    ("ENGINE", "InnoDB"),
    ("VERSION", "10"),
    ("ROW_FORMAT", "Fixed"),
    ("TABLE_ROWS", "1"),
    ("AVG_ROW_LENGTH", "16384"),
    ("DATA_LENGTH", "16384"),
    ("MAX_DATA_LENGTH", "0"),
    ("INDEX_LENGTH", "0"),
    ("DATA_FREE", "0"),
    ("MAX_INDEX_LENGTH", "0"),
    ("CREATE_OPTIONS", ""),
    ("TABLE_COMMENT", ""),
    ("TEMPORARY", "N"),
];

/// The statement that makes a sequence.
pub(crate) fn create_text(one: &Definition) -> String {
    let cycle = if one.cycles { "cycle" } else { "nocycle" };
    // A server says 0 of a sequence that keeps nothing.
    let cache = if one.cache == 1 { "nocache".to_owned() } else { format!("cache {}", one.cache) };
    format!(
        "CREATE SEQUENCE `{}` start with {} minvalue {} maxvalue {} increment by {} {cache} {cycle} ENGINE=InnoDB",
        one.name,
        one.start,
        one.min,
        one.max.min(MAX_SHOWN),
        one.increment
    )
}

/// The columns and the row of a sequence as a table.
pub(crate) fn as_table(one: &Definition) -> (&'static str, String) {
    let columns = "(next_not_cached_value BIGINT(21) NOT NULL, minimum_value BIGINT(21) NOT NULL, \
                   maximum_value BIGINT(21) NOT NULL, start_value BIGINT(21) NOT NULL, \
                   increment BIGINT(21) NOT NULL, cache_size BIGINT(21) UNSIGNED NOT NULL, \
                   cycle_option TINYINT(1) UNSIGNED NOT NULL, cycle_count BIGINT(21) NOT NULL)";
    let row = format!(
        "({}, {}, {}, {}, {}, {}, {}, 0)",
        one.next,
        one.min,
        one.max.min(MAX_SHOWN),
        one.start,
        one.increment,
        if one.cache == 1 { 0 } else { one.cache },
        u8::from(one.cycles)
    );
    (columns, row)
}

impl Core {
    /// The sequences of a schema that CREATE SEQUENCE made.
    pub(crate) async fn sequences_of(&self, schema: &Schema) -> Result<Vec<Definition>, ExecError> {
        let worker = self.worker.clone();
        worker.shared.sequences.named.list(&worker.backends, schema).await
    }

    /// Their rows of information_schema.TABLES, as far as a query may want them.
    pub(crate) async fn sequence_table_rows(
        &self,
        schema: &Schema,
        table: &CatalogueTable,
        wanted: Option<&BTreeSet<String>>,
        needed: &Needed,
        values: &Values<'_>,
    ) -> Result<Vec<Row>, ExecError> {
        let types = table.wanted("TABLE_TYPE", values, None);
        let is_asked = types.is_none_or(|types| types.contains(&TABLE_TYPE.to_lowercase()));
        let are_tables =
            wanted.is_some_and(|names| names.iter().all(|name| schema.table(name).is_some()));
        if !is_asked || are_tables || schema.shards.is_empty() {
            return Ok(Vec::new());
        }
        let all = self.sequences_of(schema).await?;
        let is_wanted = |one: &&Definition| {
            wanted.is_none_or(|names| names.iter().any(|name| name.eq_ignore_ascii_case(&one.name)))
        };
        let row = |one: &Definition| -> Row {
            let value = |column: &String| match column.as_str() {
                "TABLE_SCHEMA" => field(&schema.name),
                "TABLE_NAME" => field(&one.name),
                "TABLE_COLLATION" => field(&schema.collation),
                other => {
                    let known = TABLE_VALUES.iter().find(|(column, _)| *column == other);
                    known.and_then(|(_, value)| field(value))
                }
            };
            needed.columns.iter().map(value).collect()
        };
        Ok(all.iter().filter(is_wanted).map(row).collect())
    }

    /// Whether a name is that of a sequence.
    pub(crate) async fn names_sequence(
        &self,
        name: TableName,
        source: Source<'_>,
    ) -> Result<bool, ExecError> {
        Ok(self.sequence_named(name, source).await?.is_some())
    }

    /// The sequence that a name means, where no table has the name.
    pub(crate) async fn sequence_named(
        &self,
        name: TableName,
        source: Source<'_>,
    ) -> Result<Option<Definition>, ExecError> {
        let Ok(schema) = self.schema_of(name.schema, source) else { return Ok(None) };
        let shown = text(&name.name.name(source.text));
        if !schema.ready || schema.table(&shown).is_some() {
            return Ok(None);
        }
        let worker = &self.worker;
        worker.shared.sequences.named.find(&worker.backends, schema, &shown).await
    }
}
