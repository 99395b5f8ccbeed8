//! Slow statements in one SQLite file. Calls run one after the other on threads for blocking work;
//! none of them is on a statement's or a job's road.

use super::{Bounds, Found, Inserted, Logged, SlowLogStore, Template, TemplateOrder, Window};
use crate::error::StoreError;
use async_trait::async_trait;
use base::id::{InstanceId, NodeId};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params, params};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use topology::slow_query::SlowQuery;

/// Statements that go at once when there are too many.
const EVICTED_AT_ONCE: u64 = 500;

/// What goes with a statement's text, roughly.
const ROW_BYTES: usize = 200;

/// Another process may hold the file so long (a backup, a curious operator).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const FORM: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS slow_query (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        instance TEXT NOT NULL, node TEXT NOT NULL, number INTEGER NOT NULL,
        started_ms INTEGER NOT NULL, milliseconds INTEGER NOT NULL,
        user TEXT NOT NULL, schema TEXT NOT NULL, text TEXT NOT NULL, digest TEXT NOT NULL,
        shards TEXT NOT NULL, rows_examined INTEGER NOT NULL, rows_returned INTEGER NOT NULL,
        client TEXT NOT NULL, bytes INTEGER NOT NULL,
        UNIQUE (node, number)
    );
    CREATE INDEX IF NOT EXISTS slow_query_time ON slow_query (instance, started_ms, id);
    CREATE INDEX IF NOT EXISTS slow_query_age ON slow_query (started_ms);
    CREATE TABLE IF NOT EXISTS slow_size (
        instance TEXT PRIMARY KEY, rows INTEGER NOT NULL, bytes INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TRIGGER IF NOT EXISTS slow_query_in AFTER INSERT ON slow_query BEGIN
        INSERT INTO slow_size VALUES (new.instance, 1, new.bytes)
        ON CONFLICT (instance) DO UPDATE SET rows = rows + 1, bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER IF NOT EXISTS slow_query_out AFTER DELETE ON slow_query BEGIN
        UPDATE slow_size SET rows = rows - 1, bytes = bytes - old.bytes WHERE instance = old.instance;
    END;
";

const IN_WINDOW: &str = "instance = :instance AND started_ms BETWEEN :from AND :to";

/// The store in one SQLite file.
#[derive(Debug)]
pub struct SqliteSlowLog {
    connection: Arc<Mutex<Connection>>,
    bounds: Bounds,
}

impl SqliteSlowLog {
    /// Opens the file, or makes it for its owner alone; its directory must be there.
    pub fn open(path: &Path) -> Result<Arc<Self>, StoreError> {
        Self::open_with(path, Bounds::default())
    }

    /// The same with these bounds.
    pub fn open_with(path: &Path, bounds: Bounds) -> Result<Arc<Self>, StoreError> {
        let cannot = |error| StoreError::Unavailable(format!("{}: {error}", path.display()));
        let mut options = std::fs::File::options();
        options.create(true).truncate(false).write(true).mode(0o600);
        options.open(path).map_err(cannot)?;
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.execute_batch(FORM)?;
        Ok(Arc::new(Self { connection: Arc::new(Mutex::new(connection)), bounds }))
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = self.connection.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            work(&mut connection)
        });
        let done = done.await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(done?)
    }
}

#[async_trait]
impl SlowLogStore for SqliteSlowLog {
    async fn insert(
        &self,
        instance: &InstanceId,
        node: &NodeId,
        queries: Vec<SlowQuery>,
    ) -> Result<Inserted, StoreError> {
        let (instance, node, bounds) = (instance.to_string(), node.to_string(), self.bounds);
        self.work(move |connection| {
            let transaction = connection.transaction()?;
            for query in &queries {
                insert_one(&transaction, &instance, &node, query)?;
            }
            let evicted = evict(&transaction, &instance, bounds)?;
            transaction.commit()?;
            Ok(Inserted { evicted })
        })
        .await
    }

    async fn list(&self, window: Window) -> Result<Found<Logged>, StoreError> {
        self.work(move |connection| {
            let mut select = connection.prepare_cached(&format!(
                "SELECT node, number, started_ms, milliseconds, user, schema, text, digest, shards,
                    rows_examined, rows_returned, client
                 FROM slow_query WHERE {IN_WINDOW}
                 ORDER BY started_ms DESC, id DESC LIMIT :limit OFFSET :offset"
            ))?;
            let rows = select.query_map(
                named_params! {
                    ":instance": window.instance.as_str(), ":from": window.from_ms, ":to": window.to_ms,
                    ":limit": number(window.limit), ":offset": number(window.offset),
                },
                logged,
            )?;
            let rows = rows.filter_map(Result::transpose).collect::<rusqlite::Result<_>>()?;
            let total = count(connection, "COUNT(*)", &window)?;
            Ok(Found { rows, total })
        })
        .await
    }

    async fn templates(
        &self,
        window: Window,
        order: TemplateOrder,
        ascending: bool,
    ) -> Result<Found<Template>, StoreError> {
        self.work(move |connection| {
            // SQLite takes the bare column `text` from the row that has the maximum.
            let mut select = connection.prepare_cached(&format!(
                "WITH slowest AS (
                    SELECT digest, schema, text, COUNT(*) AS times, SUM(milliseconds) AS time_sum,
                        MAX(milliseconds) AS time_max, SUM(rows_examined) AS rows_sum
                    FROM slow_query WHERE {IN_WINDOW} GROUP BY digest, schema
                 ), largest AS (
                    SELECT digest, schema, MAX(rows_examined) AS rows_max
                    FROM slow_query WHERE {IN_WINDOW} GROUP BY digest, schema
                 )
                 SELECT * FROM slowest JOIN largest USING (digest, schema)
                 ORDER BY {} {}, digest, schema LIMIT :limit OFFSET :offset",
                column(order),
                if ascending { "ASC" } else { "DESC" },
            ))?;
            let rows = select.query_map(
                named_params! {
                    ":instance": window.instance.as_str(), ":from": window.from_ms, ":to": window.to_ms,
                    ":limit": number(window.limit), ":offset": number(window.offset),
                },
                template,
            )?;
            let rows = rows.collect::<rusqlite::Result<_>>()?;
            let total = count(connection, "COUNT(DISTINCT digest || ' ' || schema)", &window)?;
            Ok(Found { rows, total })
        })
        .await
    }

    async fn forget(&self, instance: &InstanceId) -> Result<u64, StoreError> {
        let instance = instance.to_string();
        self.work(move |connection| {
            let transaction = connection.transaction()?;
            let gone =
                transaction.execute("DELETE FROM slow_query WHERE instance = ?1", [&instance])?;
            transaction.execute("DELETE FROM slow_size WHERE instance = ?1", [&instance])?;
            transaction.commit()?;
            Ok(gone as u64)
        })
        .await
    }

    async fn purge(&self, before_ms: i64) -> Result<u64, StoreError> {
        self.work(move |connection| {
            let gone =
                connection.execute("DELETE FROM slow_query WHERE started_ms < ?1", [before_ms])?;
            connection.execute("DELETE FROM slow_size WHERE rows <= 0", [])?;
            Ok(gone as u64)
        })
        .await
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn insert_one(
    transaction: &Transaction<'_>,
    instance: &str,
    node: &str,
    query: &SlowQuery,
) -> rusqlite::Result<()> {
    let shards = query.shards.join(",");
    let texts = [&query.user, &query.schema, &query.text, &query.digest, &shards, &query.client];
    let bytes = ROW_BYTES + texts.iter().map(|text| text.len()).sum::<usize>();
    let mut insert = transaction.prepare_cached(
        "INSERT OR IGNORE INTO slow_query (instance, node, number, started_ms, milliseconds, user,
            schema, text, digest, shards, rows_examined, rows_returned, client, bytes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    insert.execute(params![
        instance,
        node,
        number(query.number),
        query.started_ms,
        number(query.milliseconds),
        query.user,
        query.schema,
        query.text,
        query.digest,
        shards,
        number(query.rows_examined),
        number(query.rows_returned),
        query.client,
        number(bytes as u64),
    ])?;
    Ok(())
}

/// Lets the oldest go until the instance is within its bounds.
fn evict(transaction: &Transaction<'_>, instance: &str, bounds: Bounds) -> rusqlite::Result<u64> {
    let mut evicted = 0;
    loop {
        let size: Option<(i64, i64)> = transaction
            .prepare_cached("SELECT rows, bytes FROM slow_size WHERE instance = ?1")?
            .query_row([instance], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (rows, bytes) = size.unwrap_or((0, 0));
        let over_rows = u64::try_from(rows).unwrap_or(0).saturating_sub(bounds.rows);
        let over_bytes = bytes > number(bounds.bytes);
        if rows == 0 || (over_rows == 0 && !over_bytes) {
            return Ok(evicted);
        }
        // A share of them when they are too long, so that one long text does not cost many others.
        let share = u64::try_from(rows / 8).unwrap_or(1);
        let at_once = if over_bytes { over_rows.max(share) } else { over_rows };
        let gone = transaction
            .prepare_cached(
                "DELETE FROM slow_query WHERE id IN (SELECT id FROM slow_query WHERE instance = ?1
                 ORDER BY started_ms, id LIMIT ?2)",
            )?
            .execute(params![instance, number(at_once.clamp(1, EVICTED_AT_ONCE))])?;
        evicted += gone as u64;
        if gone == 0 {
            return Ok(evicted);
        }
    }
}

fn count(connection: &Connection, what: &str, window: &Window) -> rusqlite::Result<u64> {
    let sql = format!("SELECT {what} FROM slow_query WHERE {IN_WINDOW}");
    let mut select = connection.prepare_cached(&sql)?;
    let parameters = named_params! {
        ":instance": window.instance.as_str(), ":from": window.from_ms, ":to": window.to_ms,
    };
    let count: i64 = select.query_row(parameters, |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

fn column(order: TemplateOrder) -> &'static str {
    match order {
        TemplateOrder::Times => "times",
        TemplateOrder::TimeSum => "time_sum",
        TemplateOrder::TimeAverage => "1.0 * time_sum / times",
        TemplateOrder::TimeMax => "time_max",
        TemplateOrder::RowsSum => "rows_sum",
        TemplateOrder::RowsAverage => "1.0 * rows_sum / times",
        TemplateOrder::RowsMax => "rows_max",
    }
}

fn unsigned(row: &Row<'_>, name: &str) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(name)?.unsigned_abs())
}

/// A row as it was kept; nothing when its node's id is none, which insert does not write.
fn logged(row: &Row<'_>) -> rusqlite::Result<Option<Logged>> {
    let shards: String = row.get("shards")?;
    let Some(node) = NodeId::parse(&row.get::<_, String>("node")?) else { return Ok(None) };
    Ok(Some(Logged {
        node,
        query: SlowQuery {
            number: unsigned(row, "number")?,
            user: row.get("user")?,
            schema: row.get("schema")?,
            text: row.get("text")?,
            digest: row.get("digest")?,
            started_ms: row.get("started_ms")?,
            milliseconds: unsigned(row, "milliseconds")?,
            shards: shards.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect(),
            rows_examined: unsigned(row, "rows_examined")?,
            rows_returned: unsigned(row, "rows_returned")?,
            client: row.get("client")?,
        },
    }))
}

fn template(row: &Row<'_>) -> rusqlite::Result<Template> {
    Ok(Template {
        sample: row.get("text")?,
        schema: row.get("schema")?,
        times: unsigned(row, "times")?,
        time_sum: unsigned(row, "time_sum")?,
        time_max: unsigned(row, "time_max")?,
        rows_sum: unsigned(row, "rows_sum")?,
        rows_max: unsigned(row, "rows_max")?,
    })
}
