//! Tables made from others: CREATE TABLE … SELECT and CREATE TABLE … LIKE a table of another schema.
//! The definition is told by a data node, then the table is made by a CREATE TABLE of its own and its
//! rows come by an INSERT … SELECT of its own; when the rows fail the table goes again.

use crate::control::text;
use crate::permission;
use crate::query::{Source, fetch, parse_source, plan_parsed, run_planned, values_of};
use crate::session::Core;
use crate::user_variables::inlined;
use base::sql_error;
use mysql_wire::packet::OkPacket;
use node_backend::query::StreamHead;
use node_exec::client::ClientWriter;
use node_exec::error::{ExecError, sql};
use node_exec::exec::Warning;
use sql_plan::PlanContext;
use sql_plan::number_tables::{NUMBERS, is_number_table, planned_over};
use sql_plan::plan::PlanTable;
use sql_plan::shape::{Duplicates, Shape};
use sql_plan::template::{Fill, Rendered, Template, quoted};
use sql_syntax::ast::{CreateTable, Parsed, TableName};
use sql_syntax::{LexMode, TokenBuf, lex};
use topology::algorithm::Target;

/// What the empty copies are called, with their number behind.
const PREFIX: &str = "_ddm_shape_";

/// The note of IF NOT EXISTS.
const NOTE_TABLE_EXISTS: u16 = 1050;

/// A made-up statement's name for a table.
fn qualified(schema: &str, table: &str) -> String {
    let name = [quoted(schema), b".".to_vec(), quoted(table)].concat();
    text(&name)
}

impl Core {
    /// CREATE TABLE … SELECT.
    pub async fn create_from_query(
        &mut self,
        create: &CreateTable,
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let current = self.exec.identity.schema.clone();
        let access = sql_plan::access(&parsed.stmt, source.text, current.as_deref());
        permission::check(self.account()?, &self.host, &access)?;
        let (schema, name) = self.new_name(create.name, source)?;
        self.check_locked(&schema, &name)?;
        let known = self.known(create, &schema, &name)?;
        if known && !create.or_replace {
            return self.is_there(&name, create.if_not_exists);
        }
        let context = PlanContext {
            current_schema: current.as_deref(),
            mode: source.mode,
            plain_names: false,
            check: None,
        };
        let shape = planned_over(&self.snapshot, &access, source.mode, |snapshot| {
            let (text, tokens) = (source.text, source.tokens);
            sql_plan::shape::shape(parsed, create, text, tokens, snapshot, &context)
        })?;
        let Some(shape) = shape else { return Err(sql(sql_error::SYNTAX_ERROR, "no query")) };
        self.check_not_hidden(&schema, &name)?;
        if known && sql_plan::shape::reads(&shape.tables, &schema, &name, &self.snapshot) {
            return Err(sql(
                sql_error::TARGET_IS_SOURCE,
                format!(
                    "Table '{name}' is specified twice, both as a target for 'CREATE' and as a \
                     separate source for data"
                ),
            ));
        }
        self.commit().await?;
        let (definition, columns) = self.shape_of(&schema, &shape, source).await?;
        let clause = shape.sharding.map(|span| text(span.of(source.text))).unwrap_or_default();
        let table = qualified(&schema, &name);
        let words = if create.or_replace { "CREATE OR REPLACE TABLE" } else { "CREATE TABLE" };
        self.run_inner(format!("{words} {table} {definition} {clause}").as_bytes(), true).await?;
        let mut warned = std::mem::take(&mut self.exec.last.warnings);
        let verb = match shape.duplicates {
            Duplicates::Error => "INSERT INTO",
            Duplicates::Ignore => "INSERT IGNORE INTO",
            Duplicates::Replace => "REPLACE INTO",
        };
        let head = match self.has_columns(&schema, &name, &columns) {
            // What a server warns of is not the same with a list of columns.
            true => format!("{verb} {table} "),
            false => {
                let names: Vec<String> = columns.iter().map(|name| text(&quoted(name))).collect();
                format!("{verb} {table} ({}) ", names.join(", "))
            }
        };
        let insert = [head.as_bytes(), &inlined(source, shape.query_span)].concat();
        let last_id = std::mem::take(&mut self.exec.last.insert_id);
        let filled = self.fill_new(&insert).await;
        self.exec.last.insert_id = last_id;
        warned.append(&mut self.exec.last.warnings);
        let affected_rows = match filled {
            Ok(rows) => rows,
            Err(error) => {
                if let Some(transaction) = self.exec.transaction.take() {
                    transaction.rollback().await;
                }
                self.undo_creation(&table).await;
                return Err(error);
            }
        };
        let told = self.exec.last.told_id;
        let first = self.first_id(&schema, &name, &columns).await?;
        if first != 0 {
            self.exec.last.insert_id = first;
        }
        let last_insert_id = if first != 0 { first } else { told };
        self.exec.last.row_count = i64::try_from(affected_rows).unwrap_or(i64::MAX);
        let warnings = u16::try_from(warned.len()).unwrap_or(u16::MAX);
        self.exec.last.warnings = warned;
        let ok = OkPacket { affected_rows, last_insert_id, warnings, ..OkPacket::default() };
        self.reply_ok_packet(ok);
        Ok(())
    }

    /// The rows would go into a temporary table of the new table's name.
    fn check_not_hidden(&self, schema: &str, name: &str) -> Result<(), ExecError> {
        if !self.kept.temporary.contains(&schema.to_lowercase(), &name.to_lowercase()) {
            return Ok(());
        }
        Err(sql(
            sql_error::NOT_SUPPORTED,
            format!(
                "CREATE TABLE ... SELECT of a table that the temporary table '{name}' would hide is \
                 not supported: drop or rename the temporary table first"
            ),
        ))
    }

    /// Drops a table whose rows failed.
    async fn undo_creation(&mut self, table: &str) {
        let mut undo = vec![format!("DROP TABLE IF EXISTS {table}")];
        // Nobody misses it.
        if self.snapshot.parameters.get_boolean("enable_table_recycle") {
            undo.push(format!("PURGE TABLE {table}"));
        }
        for one in undo {
            if let Err(undo) = self.run_inner(one.as_bytes(), true).await {
                tracing::warn!(%undo, table, "a table whose rows failed could not be dropped");
            }
        }
    }

    /// Whether a table has these columns and no others.
    fn has_columns(&self, schema: &str, name: &str, columns: &[String]) -> bool {
        let table = self.snapshot.schemas.get(schema).and_then(|one| one.table(name));
        table.is_some_and(|table| {
            table.columns.len() == columns.len()
                && table
                    .columns
                    .iter()
                    .zip(columns)
                    .all(|(has, named)| has.name.eq_ignore_ascii_case(named))
        })
    }

    /// The first id that the new table's rows were given; 0 when the query gave them, or none.
    async fn first_id(
        &mut self,
        schema: &str,
        name: &str,
        columns: &[String],
    ) -> Result<u64, ExecError> {
        let table = self.snapshot.schemas.get(schema).and_then(|one| one.table(name));
        let Some(column) = table
            .and_then(|table| table.columns.iter().find(|column| column.auto_increment))
            .map(|column| column.name.clone())
            .filter(|column| !columns.iter().any(|given| given.eq_ignore_ascii_case(column)))
        else {
            return Ok(0);
        };
        let ask =
            format!("SELECT MIN({}) FROM {}", text(&quoted(&column)), qualified(schema, name));
        let (_, records) = fetch(self, ask.as_bytes()).await?;
        let value = records.first().and_then(|record| record.get(0)).map(text);
        self.commit().await?;
        Ok(value.and_then(|value| value.parse().ok()).unwrap_or(0))
    }

    async fn fill_new(&mut self, insert: &[u8]) -> Result<u64, ExecError> {
        let rows = self.run_inner(insert, false).await?;
        self.commit().await?;
        Ok(rows)
    }

    /// CREATE TABLE … LIKE; of another schema it is made from that table's definition.
    pub async fn create_like(
        &mut self,
        create: &CreateTable,
        like: TableName,
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let (schema, name) = self.new_name(create.name, source)?;
        self.check_locked(&schema, &name)?;
        let other = self.schema_of(like.schema, source)?.name.clone();
        let shown = text(&like.name.name(source.text)).to_lowercase();
        let is_temporary = self.kept.temporary.contains(&other.to_lowercase(), &shown);
        if other == schema && !is_temporary {
            let planned = plan_parsed(self, parsed, source)?;
            return run_planned(self, &planned, source).await;
        }
        let current = self.exec.identity.schema.clone();
        let access = sql_plan::access(&parsed.stmt, source.text, current.as_deref());
        permission::check(self.account()?, &self.host, &access)?;
        let known = self.known(create, &schema, &name)?;
        if known && !create.or_replace {
            return self.is_there(&name, create.if_not_exists);
        }
        let definition = self.definition_of(like, source).await?;
        let words = if create.or_replace { "CREATE OR REPLACE TABLE" } else { "CREATE TABLE" };
        let made =
            format!("{words} {} {}", qualified(&schema, &name), without_references(&definition));
        self.run_inner(made.as_bytes(), true).await?;
        self.reply_ok_packet(OkPacket::default());
        Ok(())
    }

    fn new_name(&self, name: TableName, source: Source<'_>) -> Result<(String, String), ExecError> {
        let schema = self.schema_of(name.schema, source)?.name.clone();
        Ok((schema, text(&name.name.name(source.text))))
    }

    /// Whether there is something of this name; a view is not replaced by a table.
    fn known(&self, create: &CreateTable, schema: &str, name: &str) -> Result<bool, ExecError> {
        let known = self.base_snapshot().schemas.get(schema).and_then(|one| one.table(name));
        match known {
            Some(known) if known.view.is_some() && create.or_replace => {
                Err(sql(sql_error::IS_A_VIEW, format!("'{schema}.{name}' is a view")))
            }
            known => Ok(known.is_some()),
        }
    }

    fn is_there(&mut self, name: &str, if_not_exists: bool) -> Result<(), ExecError> {
        let message = format!("Table '{name}' already exists");
        if !if_not_exists {
            return Err(sql(sql_error::TABLE_EXISTS, message));
        }
        self.exec.last.warnings = vec![Warning {
            level: "Note".to_owned(),
            code: NOTE_TABLE_EXISTS,
            message: message.into_bytes(),
        }];
        self.reply_ok_packet(OkPacket { warnings: 1, ..OkPacket::default() });
        Ok(())
    }

    /// Runs a statement of our own making and forgets its answer; gives the rows that it changed.
    /// `plain` reads it as data nodes write definitions, whatever the session's sql_mode says.
    pub async fn run_inner(&mut self, text: &[u8], plain: bool) -> Result<u64, ExecError> {
        self.follow_snapshot();
        let mode = match plain {
            true => LexMode { ansi_quotes: false, no_backslash_escapes: false, ..self.lex },
            false => self.lex,
        };
        let mut tokens = TokenBuf::new();
        lex(text, 0, &mode, &mut tokens);
        let source = Source {
            text,
            tokens: &tokens,
            mode: &mode,
            param_tokens: &[],
            params: &[],
            input: None,
        };
        let parsed = parse_source(source, 0)?;
        let planned = plan_parsed(self, &parsed, source)?;
        // Its answer goes nowhere: the client gets that of the whole statement.
        let mut nowhere = ClientWriter::new(Box::new(tokio::io::sink()));
        nowhere.capabilities = self.out.capabilities;
        nowhere.begin_answer(1);
        let client = std::mem::replace(&mut self.out, nowhere);
        let result = Box::pin(run_planned(self, &planned, source)).await;
        self.out = client;
        result?;
        self.follow_snapshot();
        Ok(u64::try_from(self.exec.last.row_count).unwrap_or(0))
    }

    /// The new table's definition, from its bracket on, and the names of the query's columns.
    async fn shape_of(
        &mut self,
        schema: &str,
        shape: &Shape,
        source: Source<'_>,
    ) -> Result<(String, Vec<String>), ExecError> {
        let mut copies = Vec::new();
        for (number, table) in shape.tables.iter().enumerate() {
            copies.push(self.copy_of(table, number, schema).await?);
        }
        let state = self.exec.state.clone();
        let exec = self.exec();
        let node = exec.backends.node(&exec.data_node(schema, 0)?)?;
        let mut lease = node.lease(exec.session.found_rows, &state).await?;
        lease.mark_dirty();
        for copy in &copies {
            lease.execute_sql(copy.as_bytes()).await?;
        }
        let database = topology::model::physical_database(schema, 0);
        let render = |template: &Template| {
            let values = values_of(source);
            let temporary = |number: u32, out: &mut Vec<u8>| {
                out.extend(temporary_name(&database, number).into_bytes());
            };
            let fill = Fill {
                values: &values,
                tables: &shape.tables,
                session: &|what, out| exec.session.write_value(what, out),
                temporary: &temporary,
                inline_params: true,
            };
            let mut rendered = Rendered::default();
            template.render(&fill, Target { shard: 0, suffix: 0 }, &mut rendered);
            rendered.text
        };
        lease.execute_sql(&render(&shape.create)).await.map_err(hide_names)?;
        let mut columns = Vec::new();
        if let StreamHead::Rows(found) =
            lease.query_stream(&render(&shape.query)).await.map_err(hide_names)?
        {
            columns.extend(found.iter().map(|column| text(&column.name)));
            while lease.next_row().await?.is_some() {}
        }
        lease.execute_sql(b"SET SESSION sql_mode = ''").await?;
        let new = temporary_name(&database, u32::try_from(copies.len()).unwrap_or(u32::MAX));
        let rows = lease.query(format!("SHOW CREATE TABLE {new}").as_bytes()).await?.into_rows();
        let create = rows.first().and_then(|row| row.text(1)).unwrap_or_default();
        let definition = create.find(" (").map(|at| create[at + 1..].to_owned());
        let definition = definition.ok_or_else(|| {
            sql(sql_error::UNKNOWN_ERROR, "a data node did not tell the new table's definition")
        })?;
        Ok((topology::definition::without_counter(&definition), columns))
    }

    /// A statement that makes an empty copy of a table.
    async fn copy_of(
        &mut self,
        table: &PlanTable,
        number: usize,
        schema: &str,
    ) -> Result<String, ExecError> {
        let target = Target { shard: 0, suffix: 0 };
        let name = temporary_name(
            &topology::model::physical_database(schema, 0),
            u32::try_from(number).unwrap_or(u32::MAX),
        );
        let known = self.snapshot.schemas.get(&table.schema).and_then(|one| one.table(&table.name));
        if let Some(view) = known.filter(|known| known.view.is_some()) {
            let columns: Vec<String> = view.columns.iter().map(column_text).collect();
            return Ok(format!("CREATE TEMPORARY TABLE {name} ({})", columns.join(", ")));
        }
        if known.is_none() && is_number_table(&table.name) {
            return Ok(format!("CREATE TEMPORARY TABLE {name} {NUMBERS}"));
        }
        let ask = [
            b"SHOW CREATE TABLE ".as_slice(),
            &quoted(&table.physical_database(target)),
            b".",
            &quoted(&table.physical_name(target)),
        ]
        .concat();
        let is_temporary =
            self.kept.temporary.contains(&table.schema.to_lowercase(), &table.name.to_lowercase());
        let mut exec = self.exec();
        let node = exec.backends.node(&exec.data_node(&table.schema, 0)?)?;
        let rows = if is_temporary {
            let mut held = exec.acquire(&node, false).await?;
            let rows = held.lease.query(&ask).await.map(|answer| answer.into_rows());
            exec.release(held);
            rows?
        } else {
            node.own_lease().await?.query(&ask).await?.into_rows()
        };
        let create = rows.first().and_then(|row| row.text(1)).unwrap_or_default();
        let body = create.find(" (").map(|at| &create[at..]).unwrap_or_default();
        Ok(format!("CREATE TEMPORARY TABLE {name}{}", without_references(body)))
    }
}

fn temporary_name(database: &str, number: u32) -> String {
    qualified(database, &format!("{PREFIX}{number}"))
}

/// A view's column for a copy of it.
fn column_text(column: &topology::model::Column) -> String {
    let collation = column.collation.as_ref().map(|name| format!(" COLLATE {name}"));
    let null = if column.nullable { "NULL" } else { "NOT NULL" };
    let name = text(&quoted(&column.name));
    format!("{name} {}{} {null}", column.column_type, collation.unwrap_or_default())
}

/// An error of the shape's making, without the copies' names.
fn hide_names(error: node_backend::error::BackendError) -> ExecError {
    error.into()
}

/// A definition without its foreign keys, which a copy does not have.
fn without_references(definition: &str) -> String {
    if !definition.contains(" FOREIGN KEY ") {
        return definition.to_owned();
    }
    let lines: Vec<&str> = definition
        .split('\n')
        .filter(|line| {
            !(line.trim_start().starts_with("CONSTRAINT ") && line.contains(" FOREIGN KEY "))
        })
        .collect();
    lines.join("\n").replace(",\n)", "\n)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_have_no_foreign_keys() {
        let create = "(\n  `a` int,\n  CONSTRAINT `x` FOREIGN KEY (`a`) REFERENCES `p` (`a`)\n) ENGINE=InnoDB";
        assert_eq!(without_references(create), "(\n  `a` int\n) ENGINE=InnoDB");
        assert_eq!(without_references("(\n  `a` int\n)"), "(\n  `a` int\n)");
    }
}
