//! Queries on information_schema, and COM_FIELD_LIST. Each table of information_schema in a query is
//! filled with logical rows: a temporary table on one data node gets them, and the query runs there
//! under the server's own rules, so that joins, aggregates and sub-queries are what they are on one
//! server. Tables that say nothing of schemas, tables or accounts are read where they are.

use crate::catalogue_rows::{Kind, Needed, kind_of};
use crate::control::text;
use crate::like;
use crate::permission;
use crate::query::{Source, fetch, values_of};
use crate::session::Core;
use crate::show::Row;
use base::sql_error;
use mysql_wire::column::ColumnDefinition;
use mysql_wire::lenenc;
use mysql_wire::packet::{EofPacket, OkPacket};
use node_backend::query::StreamHead;
use node_backend::session_state::SessionState;
use node_exec::decision::OWN_DATABASE;
use node_exec::error::{ExecError, sql};
use node_exec::exec::Exec;
use node_exec::rows;
use node_exec::transaction::Held;
use sql_plan::PlanContext;
use sql_plan::catalogue::{CataloguePlan, CatalogueTable, INFORMATION_SCHEMA, system_tables};
use sql_plan::template::{Fill, Rendered, quoted};
use sql_plan::value::Values;
use sql_syntax::ast::Parsed;
use std::sync::Arc;
use topology::algorithm::Target;
use topology::model::Schema;

/// What the temporary tables are called, with their number behind.
const PREFIX: &str = "_ddm_catalogue_";

/// One INSERT of rows is sent when its text is so long.
const BATCH_BYTES: usize = 512 * 1024;

/// A NULL default in COM_FIELD_LIST's answer.
const NULL_FIELD: u8 = 0xFB;

/// Schemas of a server itself that an account has no right on.
pub(crate) const CLOSED_SCHEMAS: [&str; 3] = ["mysql", "performance_schema", "sys"];

/// The session's settings, without its character sets: for rows of our own.
pub(crate) fn load_state(state: &SessionState) -> Arc<SessionState> {
    let names = [
        "names",
        "character_set_client",
        "character_set_connection",
        "character_set_results",
        "collation_connection",
    ];
    let plain = names.iter().fold(state.clone(), |state, name| state.without(name));
    Arc::new(plain.with("sql_mode", "'ALLOW_INVALID_DATES'").with_database(None))
}

impl Core {
    /// A query that the planner leaves to the session: one on a server's own schemas.
    pub async fn run_catalogue_query(
        &mut self,
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let plan = self.plan_catalogue(parsed, source)?;
        let mut held = self.catalogue_connection().await?;
        let outcome = self.run_catalogue_plan(&plan, source, &mut held).await;
        // The temporary tables go with the connection's reset.
        if !held.lease.is_broken() {
            held.lease.mark_dirty();
        }
        held.let_go();
        if let Some(missing) = self.uncounted_nodes.take() {
            self.warn_of_missing_counts(missing);
        }
        outcome
    }

    fn plan_catalogue(
        &self,
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<CataloguePlan, ExecError> {
        let schema = self.exec.identity.schema.as_deref();
        let closed = system_tables(&parsed.stmt, source.text, schema)
            .into_iter()
            .find(|table| CLOSED_SCHEMAS.contains(&table.schema.as_str()));
        if let Some(table) = closed {
            let name = format!("{}`.`{}", table.schema, table.table);
            let account = self.account()?;
            let host = &self.host;
            let message = format!(
                "SELECT command denied to user '{}'@'{host}' for table `{name}`",
                account.name
            );
            return Err(sql(sql_error::TABLE_ACCESS_DENIED, message));
        }
        let context = PlanContext {
            current_schema: schema,
            mode: source.mode,
            plain_names: false,
            check: None,
        };
        let (text, tokens) = (source.text, source.tokens);
        Ok(sql_plan::catalogue::plan(parsed, text, tokens, &self.snapshot, &context)?)
    }

    async fn catalogue_connection(&mut self) -> Result<Held, ExecError> {
        let node = self.worker.backends.any()?;
        let lease = node.lease(self.exec.found_rows, &load_state(&self.exec.state)).await?;
        Ok(Held::alone(node.primary().clone(), lease))
    }

    async fn run_catalogue_plan(
        &mut self,
        plan: &CataloguePlan,
        source: Source<'_>,
        held: &mut Held,
    ) -> Result<(), ExecError> {
        let rendered = self.fill_catalogue(plan, source, held).await?;
        self.answer_catalogue(plan, &rendered, held).await
    }

    /// Makes and fills the temporary tables; gives the text that reads them.
    async fn fill_catalogue(
        &mut self,
        plan: &CataloguePlan,
        source: Source<'_>,
        held: &mut Held,
    ) -> Result<Rendered, ExecError> {
        let values = Values { zero_is_a_value: self.zero_is_a_value, ..values_of(source) };
        let mut budget = self.worker.settings().temporary_rows_max;
        for (number, table) in plan.tables.iter().enumerate() {
            match kind_of(&table.name) {
                Kind::InPlace => {}
                Kind::Denied => {
                    return Err(sql(
                        sql_error::SPECIFIC_ACCESS_DENIED,
                        "Access denied; you need (at least one of) the PROCESS privilege(s) for this operation",
                    ));
                }
                kind => {
                    let columns = make_table(held, number, &table.name).await?;
                    let needed = Needed::of(kind, columns, plan.names.as_ref());
                    let rows = self.catalogue_rows(table, kind, &needed, &values).await?;
                    budget = budget.checked_sub(rows.len() as u64).ok_or_else(|| {
                        sql(sql_error::TEMP_TABLE_LIMIT, "Temp table limit exceeded")
                    })?;
                    insert_rows(held, number, &needed.columns, &rows).await?;
                }
            }
        }
        held.lease.apply_session(&self.exec.state).await?;
        let mut rendered = Rendered::default();
        let session = &self.exec;
        let fill = Fill {
            values: &values,
            tables: &[],
            session: &|what, out| session.write_value(what, out),
            temporary: &|number, out| out.extend(place_of(&plan.tables, number as usize)),
            inline_params: true,
        };
        plan.text.render(&fill, Target { shard: 0, suffix: 0 }, &mut rendered);
        Ok(rendered)
    }

    async fn answer_catalogue(
        &mut self,
        plan: &CataloguePlan,
        rendered: &Rendered,
        held: &mut Held,
    ) -> Result<(), ExecError> {
        let mut exec = self.exec();
        let active = exec.enter(held);
        let head = held.lease.query_stream(&rendered.text).await;
        let outcome = match head {
            Ok(StreamHead::Rows(columns)) => {
                let columns: Vec<_> =
                    columns.iter().map(|column| logical_column(&plan.tables, column)).collect();
                pass_rows(&mut exec, held, &columns).await
            }
            Ok(StreamHead::Ok { .. }) => {
                exec.reply_ok(OkPacket::default());
                Ok(())
            }
            Ok(StreamHead::LocalInfile(_)) => {
                Err(sql(sql_error::NOT_SUPPORTED, "a query cannot ask for a file"))
            }
            Err(error) => Err(logical_error(&plan.tables, error.into())),
        };
        drop(active);
        outcome
    }

    /// The rows of a query on information_schema, for the session's own use.
    pub async fn fetch_catalogue(
        &mut self,
        query: &[u8],
        mode: &sql_syntax::LexMode,
    ) -> Result<Vec<Row>, ExecError> {
        let tokens = crate::sequence_values::lexed(query, mode);
        let source = Source {
            text: query,
            tokens: &tokens,
            mode,
            param_tokens: &[],
            params: &[],
            input: None,
        };
        let parsed = crate::query::parse_source(source, 0)?;
        let plan = self.plan_catalogue(&parsed, source)?;
        let mut held = self.catalogue_connection().await?;
        let outcome = async {
            let rendered = self.fill_catalogue(&plan, source, &mut held).await?;
            let result = held.lease.query(&rendered.text).await;
            let rows =
                result.map_err(|error| logical_error(&plan.tables, error.into()))?.into_rows();
            let fields = |row: &node_backend::query::Row| -> Row {
                row.fields().map(|field| field.ok().flatten().map(<[u8]>::to_vec)).collect()
            };
            Ok(rows.iter().map(fields).collect())
        }
        .await;
        if !held.lease.is_broken() {
            held.lease.mark_dirty();
        }
        held.let_go();
        outcome
    }

    /// The columns of a query on information_schema, for PREPARE.
    pub async fn describe_catalogue(
        &mut self,
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<Vec<ColumnDefinition>, ExecError> {
        let plan = self.plan_catalogue(parsed, source)?;
        let mut held = self.catalogue_connection().await?;
        let outcome = async {
            for (number, table) in plan.tables.iter().enumerate() {
                if !matches!(kind_of(&table.name), Kind::InPlace | Kind::Denied) {
                    make_table(&mut held, number, &table.name).await?;
                }
            }
            held.lease.apply_session(&self.exec.state).await?;
            let session = &self.exec;
            let values = values_of(source);
            let fill = Fill {
                values: &values,
                tables: &[],
                session: &|what, out| session.write_value(what, out),
                temporary: &|number, out| out.extend(place_of(&plan.tables, number as usize)),
                inline_params: false,
            };
            let mut rendered = Rendered::default();
            plan.text.render(&fill, Target { shard: 0, suffix: 0 }, &mut rendered);
            let described = held.lease.prepare(&rendered.text).await;
            let described = described.map_err(|error| logical_error(&plan.tables, error.into()))?;
            let logical = |column| logical_column(&plan.tables, column);
            Ok(described.columns.iter().map(logical).collect())
        }
        .await;
        if !held.lease.is_broken() {
            held.lease.mark_dirty();
        }
        held.let_go();
        outcome
    }

    /// The schemas that the account sees.
    pub(crate) fn visible_schemas(&self) -> impl Iterator<Item = &Schema> {
        let account = self.account().ok();
        self.snapshot.schemas.values().filter(move |schema| {
            schema.ready && account.is_some_and(|account| permission::sees(account, &schema.name))
        })
    }

    /// COM_FIELD_LIST.
    pub async fn field_list(&mut self, table: &[u8], wildcard: &[u8]) -> Result<(), ExecError> {
        crate::query::check_not_fenced(self)?;
        let query =
            [b"SELECT * FROM ", sql_plan::template::quoted(&text(table)).as_slice(), b" LIMIT 0"]
                .concat();
        let columns = match self.exec.identity.schema.as_deref() {
            Some(INFORMATION_SCHEMA) => {
                let mode = self.lex;
                let tokens = crate::sequence_values::lexed(&query, &mode);
                let source = Source {
                    text: &query,
                    tokens: &tokens,
                    mode: &mode,
                    param_tokens: &[],
                    params: &[],
                    input: None,
                };
                let parsed = crate::query::parse_source(source, 0)?;
                self.describe_catalogue(&parsed, source).await?
            }
            _ => fetch(self, &query).await?.0,
        };
        let pattern = text(wildcard);
        for column in &columns {
            if !pattern.is_empty() && !like::matches(&pattern, &text(&column.name)) {
                continue;
            }
            let extended = self.out.tells_extended();
            self.out.put_with(|out| {
                match extended {
                    true => column.encode_extended(out),
                    false => column.encode(out),
                }
                lenenc::put_int(out, 1);
                out.push(NULL_FIELD);
            });
        }
        let status = self.exec.status(false);
        self.out.put_rows_end(&EofPacket { warnings: 0, status });
        Ok(())
    }
}

/// Where a query reads a table.
fn place_of(tables: &[CatalogueTable], number: usize) -> Vec<u8> {
    let name = tables.get(number).map_or("", |table| table.name.as_str());
    let (schema, name) = match kind_of(name) {
        Kind::InPlace | Kind::Denied => (INFORMATION_SCHEMA, name.to_owned()),
        _ => (OWN_DATABASE, format!("{PREFIX}{number}")),
    };
    [quoted(schema), b".".to_vec(), quoted(&name)].concat()
}

/// Makes an empty temporary table with the columns of one of information_schema; gives their names.
async fn make_table(held: &mut Held, number: usize, name: &str) -> Result<Vec<String>, ExecError> {
    let own = format!("`{OWN_DATABASE}`.`{PREFIX}{number}`");
    let of = String::from_utf8_lossy(&quoted(name)).into_owned();
    let create =
        format!("CREATE TEMPORARY TABLE {own} AS SELECT * FROM information_schema.{of} LIMIT 0");
    let made = held.lease.execute_sql(create.as_bytes()).await;
    if let Err(error) = made {
        if error.server().is_none_or(|server| server.number != sql_error::UNKNOWN_DB.number) {
            return Err(error.into());
        }
        let database = format!("CREATE DATABASE IF NOT EXISTS `{OWN_DATABASE}`");
        held.lease.execute_sql(database.as_bytes()).await?;
        held.lease.execute_sql(create.as_bytes()).await?;
    }
    let ask = format!("SELECT * FROM {own} LIMIT 0");
    match held.lease.query(ask.as_bytes()).await? {
        node_backend::query::QueryResult::Rows(set) => {
            Ok(set.columns.iter().map(|column| text(&column.name).to_uppercase()).collect())
        }
        node_backend::query::QueryResult::Ok(_) => Ok(Vec::new()),
    }
}

async fn insert_rows(
    held: &mut Held,
    number: usize,
    columns: &[String],
    rows: &[Row],
) -> Result<(), ExecError> {
    let own = format!("`{OWN_DATABASE}`.`{PREFIX}{number}`");
    for statement in insert_text(&own, columns, rows) {
        held.lease.execute_sql(&statement).await?;
    }
    Ok(())
}

/// The statements that put rows into a table of this quoted name.
pub(crate) fn insert_text(own: &str, columns: &[String], rows: &[Row]) -> Vec<Vec<u8>> {
    let names: Vec<Vec<u8>> = columns.iter().map(|column| quoted(column)).collect();
    let head =
        [format!("INSERT INTO {own} (").into_bytes(), names.join(&b","[..]), b") VALUES ".to_vec()]
            .concat();
    let mut statements = Vec::new();
    let mut statement = head.clone();
    for row in rows {
        if statement.len() > head.len() {
            statement.push(b',');
        }
        statement.push(b'(');
        for (at, field) in row.iter().enumerate() {
            if at > 0 {
                statement.push(b',');
            }
            match field {
                Some(bytes) => mysql_wire::value::put_quoted(&mut statement, bytes, false),
                None => statement.extend_from_slice(b"NULL"),
            }
        }
        statement.push(b')');
        if statement.len() > BATCH_BYTES {
            statements.push(std::mem::replace(&mut statement, head.clone()));
        }
    }
    if statement.len() > head.len() {
        statements.push(statement);
    }
    statements
}

async fn pass_rows(
    exec: &mut Exec<'_>,
    held: &mut Held,
    columns: &[ColumnDefinition],
) -> Result<(), ExecError> {
    let mut next = held.lease.next_row().await?;
    rows::put_columns(exec, columns);
    let mut sent = 0;
    while let Some(row) = next {
        rows::put_text_row(exec, row.payload(), columns)?;
        sent += 1;
        exec.out.flush_if_long().await?;
        next = match held.lease.next_row().await {
            Ok(row) => row,
            // Rows may end in an error, as a server's do.
            Err(error) if error.server().is_some() => return Err(error.into()),
            Err(error) => return Err(ExecError::BrokenOff(error.to_string())),
        };
    }
    let warnings = held.lease.stream_end().map_or(0, |end| u64::from(end.warnings));
    rows::end_rows(exec, sent, warnings);
    Ok(())
}

/// The number in a temporary table's name.
fn number_in(name: &[u8]) -> Option<usize> {
    std::str::from_utf8(name.strip_prefix(PREFIX.as_bytes())?).ok()?.parse().ok()
}

fn logical_column(tables: &[CatalogueTable], column: &ColumnDefinition) -> ColumnDefinition {
    let mut logical = column.clone();
    if logical.schema == OWN_DATABASE.as_bytes() {
        logical.schema = INFORMATION_SCHEMA.as_bytes().to_vec();
    }
    let Some(table) = number_in(&column.org_table).and_then(|number| tables.get(number)) else {
        return logical;
    };
    logical.org_table = table.name.clone().into_bytes();
    logical
}

/// A data node's error without the names of temporary tables.
fn logical_error(tables: &[CatalogueTable], error: ExecError) -> ExecError {
    let ExecError::Server(mut packet) = error else { return error };
    let mut message = text(&packet.message);
    for (number, table) in tables.iter().enumerate().rev() {
        message = message.replace(&format!("{PREFIX}{number}"), &table.name);
    }
    packet.message = message.replace(OWN_DATABASE, INFORMATION_SCHEMA).into_bytes();
    ExecError::Server(packet)
}
