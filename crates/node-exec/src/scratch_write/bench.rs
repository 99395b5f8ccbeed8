//! The connection on which a change runs over temporary tables, and the bounds of what it takes in.

use super::definition::{Form, ROW_COLUMN, temporary};
use crate::error::{ExecError, sql};
use crate::exec::{Exec, Statement, Warning};
use crate::insert::value_of;
use crate::names::Names;
use crate::relay::warnings_of;
use crate::rows::logical;
use crate::scratch::PREFIX;
use crate::streams::{Job, Streams};
use crate::transaction::Held;
use base::sql_error;
use mysql_wire::column::{ColumnDefinition, ColumnType};
use mysql_wire::packet::{ErrPacket, OkPacket};
use node_backend::query::{Row, StreamHead};
use node_backend::session_state::SessionState;
use sql_plan::plan::PlanTable;
use sql_plan::scratch_write::{WriteLoad, Written};
use sql_plan::template::{Fill, Rendered, Template, quoted};
use sql_plan::value::write_literal;
use std::sync::Arc;
use topology::algorithm::{SqlValue, Target};
use topology::model::physical_database;

/// One INSERT of rows is sent when its text is so long.
pub(crate) const BATCH_BYTES: usize = 512 * 1024;

/// The rows of one change that are kept in memory, in bytes; how many they are is bounded by
/// `temp_table_size_limit`.
const KEPT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Rows are stored as they were, whatever the session's mode says.
const STORE_MODE: &str = "'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'";

/// The connection with the temporary tables.
#[derive(Debug)]
pub(crate) struct Bench {
    held: Held,
    /// Quoted.
    database: String,
    client: Arc<SessionState>,
    store: Arc<SessionState>,
    rows_left: u64,
    bytes_left: usize,
}

/// The rows of a table that may change, as they are on the shards.
#[derive(Debug, Default)]
pub(crate) struct Originals {
    /// What they are of.
    pub columns: Arc<[ColumnDefinition]>,
    /// Where each is, and its text; the place in the list is the row's number.
    pub rows: Vec<(Target, Row)>,
}

/// What a statement over temporary tables answered.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Its counts.
    pub ok: OkPacket,
    /// Its rows, if it gives some.
    pub rows: Option<(Vec<ColumnDefinition>, Vec<Row>)>,
    /// Its warnings.
    pub warnings: Vec<Warning>,
}

/// Settings that make a server refuse to sort or to read what is small for us.
const NARROW: [&str; 4] =
    ["sort_buffer_size", "max_join_size", "sql_big_selects", "sql_safe_updates"];

/// The error that a server kept to its list of warnings.
fn untold(told: &Warning) -> ExecError {
    let sqlstate = if told.code == 1242 { "21000" } else { "HY000" };
    ExecError::Server(ErrPacket::new(told.code, sqlstate, told.message.clone()))
}

/// How a session's settings are while rows are stored: texts are utf8mb4, nothing is refused.
pub(crate) fn store_state(client: &SessionState) -> SessionState {
    let names = [
        "names",
        "character_set_client",
        "character_set_connection",
        "character_set_results",
        "collation_connection",
    ];
    names
        .iter()
        .chain(&NARROW)
        .fold(client.clone(), |state, name| state.without(name))
        .with("sql_mode", STORE_MODE)
}

impl Bench {
    /// A connection to the data node of the schema's first shard, apart from the transaction's.
    pub async fn open(exec: &mut Exec<'_>, schema: &str) -> Result<Bench, ExecError> {
        let node = exec.backends.node(&exec.data_node(schema, 0)?)?;
        // Some database must be chosen for the targets of a multi-table DELETE to be found.
        let database = physical_database(schema, 0);
        let chosen = |state: SessionState| Arc::new(state.with_database(Some(database.clone())));
        let client = chosen((*exec.session.state).clone());
        let store = chosen(store_state(&client));
        let lease = node.lease(exec.session.found_rows, &store).await?;
        let database = quote(&database);
        let held = Held::alone(node.primary().clone(), lease);
        let rows_left = exec.settings.temporary_rows_max;
        Ok(Bench { held, database, client, store, rows_left, bytes_left: KEPT_BYTES_MAX })
    }

    /// Gives the connection back; its tables go with its reset.
    pub fn close(mut self) {
        if !self.held.lease.is_broken() {
            self.held.lease.mark_dirty();
        }
        self.held.let_go();
    }

    /// Whether a statement can open a temporary table twice.
    pub fn opens_twice(&self) -> bool {
        self.held.lease.is_mariadb()
    }

    /// The qualified name of a temporary table.
    pub fn name(&self, number: usize) -> String {
        format!("{}.`{PREFIX}{number}`", self.database)
    }

    /// The connection itself.
    pub fn held(&mut self) -> &mut Held {
        &mut self.held
    }

    /// So much can still be taken in, in bytes.
    pub fn bytes_left(&self) -> usize {
        self.bytes_left
    }

    /// Takes so much in.
    pub fn charge(&mut self, rows: u64, bytes: usize) -> Result<(), ExecError> {
        let left = self.rows_left.checked_sub(rows).zip(self.bytes_left.checked_sub(bytes));
        let (rows_left, bytes_left) = left.ok_or_else(|| {
            sql(
                sql_error::TEMP_TABLE_LIMIT,
                "Temp table limit exceeded: the statement takes in too many rows; change fewer at \
                 once, or raise temp_table_size_limit",
            )
        })?;
        (self.rows_left, self.bytes_left) = (rows_left, bytes_left);
        Ok(())
    }

    /// The session's own settings from here on.
    pub async fn as_client(&mut self) -> Result<(), ExecError> {
        Ok(self.held.lease.apply_session(&self.client).await?)
    }

    /// Settings for storing and reading rows from here on.
    pub async fn as_store(&mut self) -> Result<(), ExecError> {
        Ok(self.held.lease.apply_session(&self.store).await?)
    }

    /// Runs a statement for its effect.
    pub async fn execute(&mut self, text: impl AsRef<[u8]>) -> Result<OkPacket, ExecError> {
        Ok(self.held.lease.execute_sql(text.as_ref()).await?)
    }

    /// The one number that a query gives.
    pub async fn count(&mut self, ask: &[u8]) -> Result<u64, ExecError> {
        let rows = self.held.lease.query(ask).await?.into_rows();
        let count = rows.first().and_then(|row| row.text(0)).and_then(|text| text.parse().ok());
        Ok(count.unwrap_or_default())
    }

    /// Makes the temporary table of a table that is written.
    pub async fn make(
        &mut self,
        exec: &mut Exec<'_>,
        number: usize,
        table: &PlanTable,
        written: &Written,
        form: Form,
    ) -> Result<(), ExecError> {
        let first = Target { shard: 0, suffix: 0 };
        let node = exec.backends.node(&exec.data_node(&table.schema, 0)?)?;
        let ask = format!(
            "SHOW CREATE TABLE {}.{}",
            String::from_utf8_lossy(&quoted(&table.physical_database(first))),
            String::from_utf8_lossy(&quoted(&table.physical_name(first)))
        );
        let mut lease = node.own_lease().await?;
        let rows = lease.query(ask.as_bytes()).await?.into_rows();
        drop(lease);
        let printed = rows.first().and_then(|row| row.text(1)).unwrap_or_default();
        let text = temporary(&printed, &self.name(number), form, &|columns| {
            written.holds_everywhere(columns)
        });
        let text = text.ok_or_else(|| {
            sql(
                sql_error::NOT_SUPPORTED,
                format!("the definition of table '{}' cannot be understood", table.name),
            )
        })?;
        self.execute(&text).await?;
        Ok(())
    }

    /// Brings the rows of a table that is only read.
    pub async fn read_table(
        &mut self,
        exec: &mut Exec<'_>,
        number: usize,
        load: &WriteLoad,
        targets: &[Target],
        tables: &[PlanTable],
        statement: &Statement<'_>,
    ) -> Result<(), ExecError> {
        self.execute(&format!("CREATE TEMPORARY TABLE {} {}", self.name(number), load.definition))
            .await?;
        let names: Vec<String> = load.columns.iter().map(|name| quote(name)).collect();
        let mut batch =
            Batch::new(format!("INSERT INTO {} ({})", self.name(number), names.join(",")));
        let jobs = exec.jobs(&load.schema, targets, &load.text, tables, statement)?;
        let mut streams = Streams::open(exec, &jobs, false).await?;
        let columns = streams.columns().clone();
        let outcome = async {
            while let Some(stream) = streams.first_open() {
                let Some(row) = streams.next(stream).await? else { continue };
                self.charge(1, 0)?;
                batch.add(values(&row, &columns).iter());
                if batch.is_long() {
                    self.execute(batch.take()).await?;
                }
            }
            Ok::<_, ExecError>(())
        }
        .await;
        streams.close(exec).await;
        outcome?;
        if !batch.is_empty() {
            self.execute(batch.take()).await?;
        }
        Ok(())
    }

    /// Reads rows that may change, and locks them.
    pub async fn read_originals(
        &mut self,
        exec: &mut Exec<'_>,
        jobs: &[Job],
        targets: &[Target],
        into: &mut Originals,
    ) -> Result<(), ExecError> {
        let mut streams = Streams::open(exec, jobs, true).await?;
        into.columns = streams.columns().clone();
        let outcome = async {
            while let Some(stream) = streams.first_open() {
                let Some(row) = streams.next(stream).await? else { continue };
                let row = row.detach();
                self.charge(1, row.payload().len())?;
                into.rows.push((targets[stream], row));
            }
            Ok::<_, ExecError>(())
        }
        .await;
        streams.close(exec).await;
        outcome
    }

    /// Puts rows that may change into their temporary table. Where keys that are unique in one shard
    /// only do not hold over all of them, they are given up.
    pub async fn put_originals(
        &mut self,
        exec: &mut Exec<'_>,
        number: usize,
        table: &PlanTable,
        written: &Written,
        originals: &Originals,
    ) -> Result<(), ExecError> {
        self.make(exec, number, table, written, Form::Changed).await?;
        match self.insert_originals(number, written, originals).await {
            Err(error) if error.server_number() == Some(1062) => {}
            done => return done,
        }
        self.execute(&format!("DROP TEMPORARY TABLE {}", self.name(number))).await?;
        self.make(exec, number, table, written, Form::ChangedLoosely).await?;
        self.insert_originals(number, written, originals).await
    }

    async fn insert_originals(
        &mut self,
        number: usize,
        written: &Written,
        originals: &Originals,
    ) -> Result<(), ExecError> {
        let mut names: Vec<String> = stored(written).map(|(_, name)| quote(name)).collect();
        names.push(quote(ROW_COLUMN));
        let mut batch =
            Batch::new(format!("INSERT INTO {} ({})", self.name(number), names.join(",")));
        for (at, (_, row)) in originals.rows.iter().enumerate() {
            let all = values(row, &originals.columns);
            let at = SqlValue::Integer(i128::try_from(at).unwrap_or(i128::MAX));
            batch.add(stored(written).map(|(place, _)| &all[place]).chain(std::iter::once(&at)));
            if batch.is_long() {
                self.execute(batch.take()).await?;
            }
        }
        if !batch.is_empty() {
            self.execute(batch.take()).await?;
        }
        Ok(())
    }

    /// Renders a statement over the temporary tables; `number` says which table a reference has.
    pub fn render(
        &self,
        exec: &Exec<'_>,
        text: &Template,
        tables: &[PlanTable],
        statement: &Statement<'_>,
        number: &dyn Fn(u32) -> usize,
    ) -> Vec<u8> {
        let mut rendered = Rendered::default();
        let fill = Fill {
            values: &statement.values,
            tables,
            session: &|what, out| exec.session.write_value(what, out),
            temporary: &|reference, out| {
                out.extend_from_slice(self.name(number(reference)).as_bytes());
            },
            inline_params: true,
        };
        text.render(&fill, Target { shard: 0, suffix: 0 }, &mut rendered);
        rendered.text
    }

    /// Runs the client's statement and keeps its answer.
    pub async fn run(
        &mut self,
        exec: &mut Exec<'_>,
        text: &[u8],
        names: Names<'_>,
    ) -> Result<Answer, ExecError> {
        let active = exec.enter(&self.held);
        let outcome = self.run_entered(text, names).await;
        drop(active);
        if exec.session.read_back.is_some() {
            crate::read_back::run(exec.session, &mut self.held.lease).await?;
            // What follows writes the rows that were made.
            exec.session.read_back = None;
        }
        outcome.map_err(|error| logical(error, names))
    }

    async fn run_entered(&mut self, text: &[u8], names: Names<'_>) -> Result<Answer, ExecError> {
        let mut answer = Answer::default();
        match self.held.lease.query_stream(text).await? {
            StreamHead::Ok { ok, .. } => answer.ok = ok,
            StreamHead::Rows(columns) => {
                let mut logical = Vec::with_capacity(columns.len());
                for column in columns.iter() {
                    logical.push(names.logical_column(column)?);
                }
                let mut rows = Vec::new();
                while let Some(row) = self.held.lease.next_row().await? {
                    let row = row.detach();
                    self.charge(0, row.payload().len())?;
                    rows.push(row);
                }
                answer.ok.warnings = self.held.lease.stream_end().map_or(0, |end| end.warnings);
                answer.ok.affected_rows = rows.len() as u64;
                answer.rows = Some((logical, rows));
            }
            StreamHead::LocalInfile(_) => {
                self.held.lease.drain().await?;
                return Err(sql(
                    sql_error::NOT_SUPPORTED,
                    "a change of rows cannot ask for a file",
                ));
            }
        }
        if answer.ok.warnings > 0 {
            answer.warnings = warnings_of(&mut self.held.lease, names).await;
        }
        match answer.warnings.iter().find(|warning| warning.level == "Error") {
            // With a binary log a server ends the rows of RETURNING as if nothing had happened.
            Some(told) if answer.rows.is_some() => Err(untold(told)),
            _ => Ok(answer),
        }
    }

    /// All rows of a temporary table of a written table, in their order, each with its number.
    pub async fn read_back(
        &mut self,
        number: usize,
        written: &Written,
    ) -> Result<(Arc<[ColumnDefinition]>, Vec<Row>), ExecError> {
        let text = format!(
            "SELECT {}, `{ROW_COLUMN}` FROM {} ORDER BY `{ROW_COLUMN}` IS NULL, `{ROW_COLUMN}`",
            String::from_utf8_lossy(&written.select_list()),
            self.name(number)
        );
        let StreamHead::Rows(columns) = self.held.lease.query_stream(text.as_bytes()).await? else {
            return Err(sql(sql_error::UNKNOWN_ERROR, "a query without rows"));
        };
        let mut rows = Vec::new();
        while let Some(row) = self.held.lease.next_row().await? {
            let row = row.detach();
            self.charge(0, row.payload().len())?;
            rows.push(row);
        }
        Ok((columns, rows))
    }
}

/// The columns whose values are given when a row is stored, with their places.
pub(crate) fn stored(written: &Written) -> impl Iterator<Item = (usize, &str)> {
    let columns = written.columns.iter().enumerate();
    columns
        .filter(|(_, column)| !column.generated)
        .map(|(place, column)| (place, column.name.as_str()))
}

/// A name in backquotes.
pub(crate) fn quote(name: &str) -> String {
    String::from_utf8_lossy(&quoted(name)).into_owned()
}

/// A text in quotes.
pub(crate) fn quote_text(text: &str) -> String {
    let mut out = Vec::new();
    write_literal(&SqlValue::Text(text.as_bytes().to_vec()), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// A row's values.
pub(crate) fn values(row: &Row, columns: &[ColumnDefinition]) -> Vec<SqlValue> {
    let mut fields = row.fields();
    columns
        .iter()
        .map(|column| match fields.next().and_then(Result::ok).flatten() {
            Some(bytes) if column.column_type == ColumnType::Json => SqlValue::Text(bytes.to_vec()),
            field => value_of(field, column),
        })
        .collect()
}

/// `INSERT … VALUES (…), (…)` while it grows.
#[derive(Debug)]
pub(crate) struct Batch {
    text: Vec<u8>,
    head: usize,
}

impl Batch {
    /// `head` is all before VALUES.
    pub fn new(head: String) -> Batch {
        let text = [head.as_bytes(), b" VALUES "].concat();
        Batch { head: text.len(), text }
    }

    /// Adds a row.
    pub fn add<'v>(&mut self, row: impl Iterator<Item = &'v SqlValue>) {
        if !self.is_empty() {
            self.text.push(b',');
        }
        put_row(row, &mut self.text);
    }

    /// Whether no row was added.
    pub fn is_empty(&self) -> bool {
        self.text.len() == self.head
    }

    /// Whether it should be sent.
    pub fn is_long(&self) -> bool {
        self.text.len() > BATCH_BYTES
    }

    /// The text; the batch begins anew with what is added next.
    pub fn take(&mut self) -> Vec<u8> {
        let head = self.text[..self.head].to_vec();
        std::mem::replace(&mut self.text, head)
    }
}

/// `(literals)`
pub(crate) fn put_row<'v>(row: impl Iterator<Item = &'v SqlValue>, out: &mut Vec<u8>) {
    out.push(b'(');
    for (at, value) in row.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_literal(value, out);
    }
    out.push(b')');
}
