//! SHOW forms that tell what information_schema tells, with LIKE and with WHERE of any kind: each is
//! a query on information_schema's logical rows, with the columns named as SHOW names them.

use crate::control::text;
use crate::query::{self, Source};
use crate::session::Core;
use crate::show::literal_text;
use base::sql_error;
use node_exec::error::{ExecError, sql};
use sql_plan::catalogue::INFORMATION_SCHEMA;
use sql_syntax::ast::{Show, ShowKind};

/// A column of information_schema's table and its name in SHOW.
type Column = (&'static str, &'static str);

const TABLE_STATUS: &[Column] = &[
    ("TABLE_NAME", "Name"),
    ("ENGINE", "Engine"),
    ("VERSION", "Version"),
    ("ROW_FORMAT", "Row_format"),
    ("TABLE_ROWS", "Rows"),
    ("AVG_ROW_LENGTH", "Avg_row_length"),
    ("DATA_LENGTH", "Data_length"),
    ("MAX_DATA_LENGTH", "Max_data_length"),
    ("INDEX_LENGTH", "Index_length"),
    ("DATA_FREE", "Data_free"),
    ("AUTO_INCREMENT", "Auto_increment"),
    ("CREATE_TIME", "Create_time"),
    ("UPDATE_TIME", "Update_time"),
    ("CHECK_TIME", "Check_time"),
    ("TABLE_COLLATION", "Collation"),
    ("CHECKSUM", "Checksum"),
    ("CREATE_OPTIONS", "Create_options"),
    ("TABLE_COMMENT", "Comment"),
];

/// What MariaDB tells besides.
const TABLE_STATUS_MARIADB: &[Column] =
    &[("MAX_INDEX_LENGTH", "Max_index_length"), ("TEMPORARY", "Temporary")];

const TRIGGERS: &[Column] = &[
    ("TRIGGER_NAME", "Trigger"),
    ("EVENT_MANIPULATION", "Event"),
    ("EVENT_OBJECT_TABLE", "Table"),
    ("ACTION_STATEMENT", "Statement"),
    ("ACTION_TIMING", "Timing"),
    ("CREATED", "Created"),
    ("SQL_MODE", "sql_mode"),
    ("DEFINER", "Definer"),
    ("CHARACTER_SET_CLIENT", "character_set_client"),
    ("COLLATION_CONNECTION", "collation_connection"),
    ("DATABASE_COLLATION", "Database Collation"),
];

const EVENTS: &[Column] = &[
    ("EVENT_SCHEMA", "Db"),
    ("EVENT_NAME", "Name"),
    ("DEFINER", "Definer"),
    ("TIME_ZONE", "Time zone"),
    ("EVENT_TYPE", "Type"),
    ("EXECUTE_AT", "Execute at"),
    ("INTERVAL_VALUE", "Interval value"),
    ("INTERVAL_FIELD", "Interval field"),
    ("STARTS", "Starts"),
    ("ENDS", "Ends"),
    ("STATUS", "Status"),
    ("ORIGINATOR", "Originator"),
    ("CHARACTER_SET_CLIENT", "character_set_client"),
    ("COLLATION_CONNECTION", "collation_connection"),
    ("DATABASE_COLLATION", "Database Collation"),
];

const ROUTINES: &[Column] = &[
    ("ROUTINE_SCHEMA", "Db"),
    ("ROUTINE_NAME", "Name"),
    ("ROUTINE_TYPE", "Type"),
    ("DEFINER", "Definer"),
    ("LAST_ALTERED", "Modified"),
    ("CREATED", "Created"),
    ("SECURITY_TYPE", "Security_type"),
    ("ROUTINE_COMMENT", "Comment"),
    ("CHARACTER_SET_CLIENT", "character_set_client"),
    ("COLLATION_CONNECTION", "collation_connection"),
    ("DATABASE_COLLATION", "Database Collation"),
];

const PROCESSES: &[Column] = &[
    ("ID", "Id"),
    ("USER", "User"),
    ("HOST", "Host"),
    ("DB", "db"),
    ("COMMAND", "Command"),
    ("TIME", "Time"),
    ("STATE", "State"),
    ("INFO", "Info"),
];

/// As much of a statement is shown without FULL.
const SHORT_INFO: u32 = 100;

/// A SHOW as a query.
struct AsQuery<'a> {
    table: &'static str,
    columns: Vec<(String, String)>,
    /// What holds for all its rows.
    condition: String,
    /// What the answer's columns say that they are of.
    shown_as: &'a str,
    /// The column that LIKE is about.
    like: &'a str,
    order: &'a str,
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn named(columns: &[Column]) -> Vec<(String, String)> {
    columns.iter().map(|(from, to)| (quoted(from), (*to).to_owned())).collect()
}

impl AsQuery<'_> {
    /// The query, with the filter that was written.
    fn text(&self, show: &Show, source: Source<'_>) -> Vec<u8> {
        let columns: Vec<String> =
            self.columns.iter().map(|(from, to)| format!("{from} AS {}", quoted(to))).collect();
        let head = format!(
            "SELECT * FROM (SELECT {} FROM information_schema.{} WHERE {}) AS {}",
            columns.join(", "),
            self.table,
            self.condition,
            quoted(self.shown_as),
        );
        let mut query = head.into_bytes();
        if let Some(token) = show.like_tok {
            query.extend_from_slice(format!(" WHERE {} LIKE ", quoted(self.like)).as_bytes());
            query.extend_from_slice(source.tokens.bytes(source.text, token));
        } else if let Some(selection) = &show.selection {
            query.extend_from_slice(b" WHERE ");
            query.extend_from_slice(selection.span.of(source.text));
        }
        if !self.order.is_empty() {
            query.extend_from_slice(format!(" ORDER BY {}", self.order).as_bytes());
        }
        query
    }
}

impl Core {
    /// The schema of a SHOW, which may be information_schema itself.
    fn shown_schema(&self, show: &Show, source: Source<'_>) -> Result<String, ExecError> {
        let written = show.schema.map(|schema| text(&schema.name(source.text)));
        let chosen = self.exec.identity.schema.clone();
        match written.or(chosen).map(|name| name.to_lowercase()) {
            Some(name) if name == INFORMATION_SCHEMA => Ok(name),
            _ => Ok(self.schema_of(show.schema, source)?.name.clone()),
        }
    }

    /// Whether a SHOW is about the tables of information_schema.
    pub fn is_of_information_schema(&self, show: &Show, source: Source<'_>) -> bool {
        self.shown_schema(show, source).is_ok_and(|schema| schema == INFORMATION_SCHEMA)
    }

    async fn run_show_query(
        &mut self,
        show: &Show,
        source: Source<'_>,
        query: &AsQuery<'_>,
    ) -> Result<(), ExecError> {
        query::run_shown(self, &query.text(show, source), source).await
    }

    /// SHOW TABLE STATUS: rows and sizes of all physical tables together.
    pub async fn show_table_status(
        &mut self,
        show: &Show,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let schema = self.shown_schema(show, source)?;
        let mut columns = named(TABLE_STATUS);
        if self.exec.identity.version.contains("MariaDB") {
            columns.extend(named(TABLE_STATUS_MARIADB));
        }
        let condition = format!("TABLE_SCHEMA = {}", literal(&schema));
        let query = AsQuery {
            table: "TABLES",
            columns,
            condition,
            shown_as: "TABLES",
            like: "Name",
            order: "`Name`",
        };
        self.run_show_query(show, source, &query).await
    }

    /// SHOW \[FULL\] TABLES with a WHERE, and of information_schema.
    pub async fn show_tables_where(
        &mut self,
        show: &Show,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let schema = self.shown_schema(show, source)?;
        let mut title = format!("Tables_in_{schema}");
        if let Some(token) = show.like_tok {
            title = format!("{title} ({})", literal_text(source, token));
        }
        let mut columns = vec![(quoted("TABLE_NAME"), title.clone())];
        if show.full {
            columns.push((quoted("TABLE_TYPE"), "Table_type".to_owned()));
        }
        let condition = format!("TABLE_SCHEMA = {}", literal(&schema));
        let query = AsQuery {
            table: "TABLES",
            columns,
            condition,
            shown_as: "TABLE_NAMES",
            like: &title,
            order: "1",
        };
        self.run_show_query(show, source, &query).await
    }

    /// SHOW DATABASES with a WHERE.
    pub async fn show_databases_where(
        &mut self,
        show: &Show,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let columns = vec![(quoted("SCHEMA_NAME"), "Database".to_owned())];
        let condition = "1 = 1".to_owned();
        let query = AsQuery {
            table: "SCHEMATA",
            columns,
            condition,
            shown_as: "SCHEMATA",
            like: "Database",
            order: "1",
        };
        self.run_show_query(show, source, &query).await
    }

    /// SHOW TRIGGERS, SHOW EVENTS.
    pub async fn show_triggers_or_events(
        &mut self,
        show: &Show,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let schema = literal(&self.shown_schema(show, source)?);
        let query = match show.kind {
            ShowKind::Triggers => AsQuery {
                table: "TRIGGERS",
                columns: named(TRIGGERS),
                condition: format!("TRIGGER_SCHEMA = {schema}"),
                shown_as: "TRIGGERS",
                like: "Table",
                order: "",
            },
            _ => AsQuery {
                table: "EVENTS",
                columns: named(EVENTS),
                condition: format!("EVENT_SCHEMA = {schema}"),
                shown_as: "EVENTS",
                like: "Name",
                order: "",
            },
        };
        self.run_show_query(show, source, &query).await
    }

    /// SHOW PROCEDURE STATUS, SHOW FUNCTION STATUS.
    pub async fn show_routines(
        &mut self,
        show: &Show,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let kind = match show.kind {
            ShowKind::ProcedureStatus => "PROCEDURE",
            ShowKind::PackageStatus => "PACKAGE",
            ShowKind::PackageBodyStatus => "PACKAGE BODY",
            _ => "FUNCTION",
        };
        let condition = format!("ROUTINE_TYPE = {}", literal(kind));
        let columns = named(ROUTINES);
        let query = AsQuery {
            table: "ROUTINES",
            columns,
            condition,
            shown_as: "ROUTINES",
            like: "Name",
            order: "`Db`, `Name`",
        };
        self.run_show_query(show, source, &query).await
    }

    /// SHOW \[FULL\] PROCESSLIST with LIKE (of the statement) or WHERE.
    pub async fn show_processes_where(
        &mut self,
        show: &Show,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let columns = process_columns(show.full);
        let condition = "1 = 1".to_owned();
        let query = AsQuery {
            table: "PROCESSLIST",
            columns,
            condition,
            shown_as: "PROCESSLIST",
            like: "Info",
            order: "`Id`",
        };
        self.run_show_query(show, source, &query).await
    }

    /// The ids of the sessions that a condition on SHOW PROCESSLIST's columns chooses.
    pub async fn chosen_processes(
        &mut self,
        condition: &[u8],
        source: Source<'_>,
    ) -> Result<Vec<u64>, ExecError> {
        let columns: Vec<String> = process_columns(true)
            .iter()
            .map(|(from, to)| format!("{from} AS {}", quoted(to)))
            .collect();
        let head = format!(
            "SELECT `Id` FROM (SELECT {} FROM information_schema.PROCESSLIST) AS `shown` WHERE ",
            columns.join(", ")
        );
        let query = [head.as_bytes(), condition].concat();
        let rows = self.fetch_catalogue(&query, source.mode).await?;
        let ids = rows.iter().map(|row| {
            let id = row.first().and_then(|id| id.as_deref());
            id.and_then(|id| std::str::from_utf8(id).ok()?.parse().ok())
                .ok_or_else(|| sql(sql_error::UNKNOWN_ERROR, "a session without an id"))
        });
        ids.collect()
    }
}

fn process_columns(full: bool) -> Vec<(String, String)> {
    let mut columns = named(PROCESSES);
    if let (false, Some(last)) = (full, columns.last_mut()) {
        last.0 = format!("LEFT(`INFO`, {SHORT_INFO})");
    }
    columns
}
