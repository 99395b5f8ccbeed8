//! Queries on information_schema, and COM_FIELD_LIST. A data node runs the query on its own
//! catalogue: schema names in it become the first shard's database, and in the answer physical names
//! become logical ones again. Rows about anything that the account does not see, or that has no
//! logical counterpart, are left out.

use crate::control::text;
use crate::like;
use crate::permission;
use crate::query::{Source, fetch};
use crate::session::Core;
use crate::show::{Row, field, literal_text};
use base::id::DataNodeId;
use base::sql_error;
use mysql_wire::column::ColumnDefinition;
use mysql_wire::lenenc;
use mysql_wire::packet::EofPacket;
use node_exec::error::{ExecError, sql};
use sql_syntax::ast::{Parsed, Statement};
use sql_syntax::{Edits, TokenKind};
use std::collections::BTreeSet;
use topology::model::{Schema, physical_database};

/// Catalogue rows of one answer.
const ROWS_MAX: usize = 1_000_000;

/// A NULL default in COM_FIELD_LIST's answer.
const NULL_FIELD: u8 = 0xFB;

/// Columns of information_schema that hold a schema's name.
const SCHEMA_COLUMNS: [&[u8]; 7] = [
    b"TABLE_SCHEMA",
    b"SCHEMA_NAME",
    b"CONSTRAINT_SCHEMA",
    b"INDEX_SCHEMA",
    b"TRIGGER_SCHEMA",
    b"EVENT_SCHEMA",
    b"REFERENCED_TABLE_SCHEMA",
];

/// Columns of information_schema that hold a table's name.
const TABLE_COLUMNS: [&[u8]; 2] = [b"TABLE_NAME", b"REFERENCED_TABLE_NAME"];

/// What one field of an answer is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Schema,
    Table,
    Other,
}

impl Core {
    /// A query that the planner leaves to the session: one on information_schema.
    pub async fn run_catalogue_query(
        &mut self,
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        if !matches!(parsed.stmt, Statement::Query(_))
            || source.input.is_some_and(|input| !input.values.is_empty())
        {
            return Err(sql(
                sql_error::NOT_SUPPORTED,
                "this statement is not supported on information_schema",
            ));
        }
        let (statement, mentioned) = self.physical_query(source);
        let schemas: Vec<Schema> = self
            .visible_schemas()
            .filter(|schema| mentioned.is_empty() || mentioned.contains(&schema.name))
            .cloned()
            .collect();
        let mut places: BTreeSet<DataNodeId> = schemas
            .iter()
            .filter_map(|schema| schema.shards.first())
            .map(|shard| shard.data_node.clone())
            .collect();
        if places.is_empty() {
            places.insert(self.worker.backends.any()?.definition.id.clone());
        }
        let mut columns = Vec::new();
        let mut rows = Vec::new();
        for place in places {
            let (found, mut more) = self.catalogue_rows(&place, &statement).await?;
            let holds: Vec<Holds> = found.iter().map(holds).collect();
            more.retain_mut(|row| make_logical(row, &holds, &schemas));
            columns = found;
            rows.append(&mut more);
        }
        self.reply(&columns, &rows).await
    }

    pub(crate) fn visible_schemas(&self) -> impl Iterator<Item = &Schema> {
        let account = self.account().ok();
        self.snapshot.schemas.values().filter(move |schema| {
            schema.ready && account.is_some_and(|account| permission::sees(account, &schema.name))
        })
    }

    /// The text with physical names, and the schemas that it names.
    fn physical_query(&self, source: Source<'_>) -> (Vec<u8>, BTreeSet<String>) {
        let mut edits = Edits::new();
        let mut mentioned = BTreeSet::new();
        let tokens = source.tokens.tokens();
        let quoted = |schema: &str| format!("'{}'", physical_database(schema, 0)).into_bytes();
        for (at, token) in tokens.iter().enumerate() {
            let span = token.span();
            if token.kind == TokenKind::String {
                let value = literal_text(source, at as u32).to_lowercase();
                if self.snapshot.schemas.contains_key(&value) {
                    edits.replace(span, &quoted(&value));
                    mentioned.insert(value);
                } else if let Some(physical) = self.physical_table(source, at, &value) {
                    edits.replace(span, format!("'{}'", physical.replace('\'', "''")).as_bytes());
                }
                continue;
            }
            let word = span.of(source.text);
            let is_call = matches!(tokens.get(at + 1), Some(next) if next.kind == TokenKind::LParen)
                && matches!(tokens.get(at + 2), Some(next) if next.kind == TokenKind::RParen);
            if is_call
                && (word.eq_ignore_ascii_case(b"database") || word.eq_ignore_ascii_case(b"schema"))
            {
                let whole = span.to(tokens[at + 2].span());
                match &self.exec.identity.schema {
                    Some(schema) if self.snapshot.schemas.contains_key(schema) => {
                        edits.replace(whole, &quoted(schema));
                        mentioned.insert(schema.clone());
                    }
                    Some(other) => edits.replace(whole, format!("'{other}'").as_bytes()),
                    None => edits.replace(whole, b"NULL"),
                }
            }
        }
        let mut out = Vec::new();
        edits.apply_within(source.text, source.tokens.text_span(), &mut out);
        (out, mentioned)
    }

    /// The text at `at` as a physical name, when a table's name is compared with it and that table has
    /// other names on the data nodes.
    fn physical_table(&self, source: Source<'_>, at: usize, value: &str) -> Option<String> {
        let tokens = source.tokens.tokens();
        let word = |back: usize| Some(tokens.get(at.checked_sub(back)?)?.span().of(source.text));
        let column = word(2)?;
        let compared =
            word(1)? == b"=" && TABLE_COLUMNS.iter().any(|name| name.eq_ignore_ascii_case(column));
        if !compared {
            return None;
        }
        let chosen = self.exec.identity.schema.as_ref();
        let chosen = chosen.and_then(|name| self.snapshot.schemas.get(name));
        let mut schemas = chosen.into_iter().chain(self.visible_schemas());
        let table = schemas.find_map(|schema| schema.tables.get(value))?;
        let physical = table.physical_name(0);
        (!physical.eq_ignore_ascii_case(value)).then_some(physical)
    }

    async fn catalogue_rows(
        &mut self,
        place: &DataNodeId,
        statement: &[u8],
    ) -> Result<(Vec<ColumnDefinition>, Vec<Row>), ExecError> {
        let node = self.worker.backends.node(place)?;
        // Unqualified names are of information_schema when that is the chosen schema.
        let database =
            self.exec.identity.schema.clone().filter(|name| name == "information_schema");
        let state = std::sync::Arc::new((*self.exec.state).clone().with_database(database));
        let mut lease = node.lease(self.exec.found_rows, &state).await?;
        let head = lease.query_stream(statement).await?;
        let node_backend::query::StreamHead::Rows(columns) = head else {
            return Err(sql(
                sql_error::NOT_SUPPORTED,
                "this statement is not supported on information_schema",
            ));
        };
        let mut rows: Vec<Row> = Vec::new();
        while let Some(row) = lease.next_row().await? {
            if rows.len() >= ROWS_MAX {
                return Err(sql(sql_error::TEMP_TABLE_LIMIT, "Temp table limit exceeded"));
            }
            rows.push((0..columns.len()).map(|at| row.get(at).map(<[u8]>::to_vec)).collect());
        }
        Ok((columns.to_vec(), rows))
    }

    /// COM_FIELD_LIST.
    pub async fn field_list(&mut self, table: &[u8], wildcard: &[u8]) -> Result<(), ExecError> {
        let query =
            [b"SELECT * FROM ", sql_plan::template::quoted(&text(table)).as_slice(), b" LIMIT 0"]
                .concat();
        let (columns, _) = fetch(self, &query).await?;
        let pattern = text(wildcard);
        for column in &columns {
            if !pattern.is_empty() && !like::matches(&pattern, &text(&column.name)) {
                continue;
            }
            self.out.put_with(|out| {
                column.encode(out);
                lenenc::put_int(out, 1);
                out.push(NULL_FIELD);
            });
        }
        let status = self.exec.status(false);
        self.out.put_eof(&EofPacket { warnings: 0, status });
        Ok(())
    }
}

fn holds(column: &ColumnDefinition) -> Holds {
    let is = |names: &[&[u8]]| names.iter().any(|name| column.org_name.eq_ignore_ascii_case(name));
    if is(&SCHEMA_COLUMNS) {
        Holds::Schema
    } else if is(&TABLE_COLUMNS) {
        Holds::Table
    } else {
        Holds::Other
    }
}

/// Puts logical names into a row; false when the row has no logical counterpart.
fn make_logical(row: &mut Row, holds: &[Holds], schemas: &[Schema]) -> bool {
    let mut of: Option<&Schema> = None;
    for (value, holds) in row.iter_mut().zip(holds) {
        let (Holds::Schema, Some(name)) = (holds, value.as_ref().map(|name| text(name))) else {
            continue;
        };
        if name.eq_ignore_ascii_case("information_schema") {
            return true;
        }
        let Some(schema) = schemas.iter().find(|schema| physical_database(&schema.name, 0) == name)
        else {
            return false;
        };
        of = Some(schema);
        *value = field(&schema.name);
    }
    for (value, holds) in row.iter_mut().zip(holds) {
        let (Holds::Table, Some(name)) = (holds, value.as_ref().map(|name| text(name))) else {
            continue;
        };
        let candidates: Vec<&Schema> = match of {
            Some(schema) => vec![schema],
            None => schemas.iter().collect(),
        };
        let logical = candidates
            .iter()
            .flat_map(|schema| schema.tables.values())
            .find(|table| table.physical_name(0).eq_ignore_ascii_case(&name));
        match logical {
            Some(table) => *value = field(&table.name),
            None => return false,
        }
    }
    true
}
