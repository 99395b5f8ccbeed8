//! SHOW: what is about logical things is answered from the snapshot; what is about servers comes from
//! a data node.

use crate::control::text;
use crate::like;
use crate::permission;
use crate::query::Source;
use crate::session::Core;
use base::sql_error;
use mysql_wire::column::{ColumnDefinition, ColumnFlags, ColumnType};
use node_backend::query::{QueryResult, ResultSet};
use node_exec::error::{ExecError, sql};
use node_exec::names::Names;
use node_exec::relay;
use node_exec::rows::{number_column, reply_rows, text_column};
use sql_syntax::LiteralValue;
use sql_syntax::ast::{Expr, Ident, Show, ShowKind, VarScope};
use topology::model::Schema;

/// What a server says for the digits of a text that has no fixed length.
const TEXT_DECIMALS: u8 = 39;

/// One row of an answer of our own.
pub type Row = Vec<Option<Vec<u8>>>;

/// A field of an answer of our own.
pub fn field(value: impl ToString) -> Option<Vec<u8>> {
    Some(value.to_string().into_bytes())
}

impl Core {
    /// SHOW in all forms.
    pub async fn run_show(&mut self, show: &Show, source: Source<'_>) -> Result<(), ExecError> {
        use ShowKind as K;
        self.track_rows();
        // As of a server: what reads no tables leaves the warnings of the statement before.
        let keeps = matches!(show.kind, K::ProcessList | K::Grants | K::CreateDatabase)
            && show.selection.is_none()
            && show.like_tok.is_none();
        if !keeps {
            return self.run_show_of_kind(show, source).await;
        }
        let before = self.exec.last.warnings.clone();
        self.run_show_of_kind(show, source).await?;
        if self.exec.last.warnings.is_empty() {
            self.exec.last.warnings = before;
        }
        Ok(())
    }

    async fn run_show_of_kind(&mut self, show: &Show, source: Source<'_>) -> Result<(), ExecError> {
        use ShowKind as K;
        match show.kind {
            K::Databases if show.selection.is_some() => {
                self.show_databases_where(show, source).await
            }
            K::Databases => self.show_databases(show, source).await,
            K::Tables
                if show.selection.is_some() || self.is_of_information_schema(show, source) =>
            {
                self.show_tables_where(show, source).await
            }
            K::Tables => self.show_tables(show, source).await,
            K::Columns | K::Index => self.show_of_table(show, source).await,
            K::CreateTable | K::CreateView => self.show_create_table(show, source).await,
            K::TableStatus => self.show_table_status(show, source).await,
            K::CreateDatabase => self.show_create_database(show, source).await,
            K::Warnings | K::Errors => self.show_warnings(show, source).await,
            K::ProcessList if show.selection.is_some() || show.like_tok.is_some() => {
                self.show_processes_where(show, source).await
            }
            K::ProcessList => self.show_process_list(show.full).await,
            K::Sequences => self.show_sequences(show, source).await,
            K::Rule => self.show_rule(show, source).await,
            K::Topology => self.show_topology(show, source).await,
            K::DataNode => self.show_data_node().await,
            K::Grants => self.show_grants(show, source).await,
            K::Variables => self.show_variables(source, show.scope).await,
            K::Status => self.show_status(source, show.scope).await,
            K::Engines
            | K::Charset
            | K::Collation
            | K::Plugins
            | K::Privileges
            | K::Profiles
            | K::Thanks => self.pass_to_any(source).await,
            K::Triggers | K::Events => self.show_triggers_or_events(show, source).await,
            K::ProcedureStatus | K::FunctionStatus | K::PackageStatus | K::PackageBodyStatus => {
                self.show_routines(show, source).await
            }
            K::OpenTables => self.show_open_tables(show, source).await,
            K::DdmSessions => self.show_ddm_sessions(show, source).await,
            K::PhysicalProcessList => self.show_physical_processes(show).await,
            K::DbStatus => self.show_db_status(show, source).await,
            K::InnodbStatus => self.show_innodb_status().await,
            K::Engine => self.show_engine(show, source).await,
            K::RecycleBin => self.show_recycle_bin(show, source).await,
            K::MigrateStatus => self.show_migrate_status().await,
            K::Replication => Err(self.show_replication(show, source)),
            K::CreateSequence => self.show_create_sequence(show, source).await,
            _ => Err(sql(
                sql_error::NOT_SUPPORTED,
                "This version doesn't yet support 'this form of SHOW'",
            )),
        }
    }

    /// Sends the text as it is to any data node.
    pub(crate) async fn pass_to_any(&mut self, source: Source<'_>) -> Result<(), ExecError> {
        let span = source.tokens.text_span();
        if self.form.binary {
            // The data node answers text with text.
            return self.ask_any(span.of(source.text)).await;
        }
        let node = self.worker.backends.any()?;
        relay::pass_through(&mut self.exec(), &node, span.of(source.text), false, Names::of(&[]))
            .await
    }

    async fn show_variables(
        &mut self,
        source: Source<'_>,
        scope: VarScope,
    ) -> Result<(), ExecError> {
        let set = self.names_and_values(source).await?;
        let own = |name: &str| self.own_variable(name, scope == VarScope::Global);
        let rows = with_own(&set, own);
        self.reply(&set.columns, &rows).await
    }

    async fn show_status(&mut self, source: Source<'_>, scope: VarScope) -> Result<(), ExecError> {
        let global = scope == VarScope::Global;
        let set = self.names_and_values(source).await?;
        let names: Vec<String> = set.rows.iter().filter_map(|row| row.text(0)).collect();
        let others = self.others_status(names.iter().map(String::as_str), global).await;
        let rows = with_own(&set, |name| self.own_status(name, global, &others));
        self.reply(&set.columns, &rows).await?;
        self.exec.last.warnings.clear();
        if let Some(missing) = others.missing {
            self.warn_of_missing_counts(missing);
        }
        Ok(())
    }

    /// What a data node answers.
    async fn names_and_values(&mut self, source: Source<'_>) -> Result<ResultSet, ExecError> {
        let span = source.tokens.text_span();
        let node = self.worker.backends.any()?;
        let mut exec = self.exec();
        let mut held = exec.acquire(&node, false).await?;
        let active = exec.enter(&held);
        let result = held.lease.query(span.of(source.text)).await;
        drop(active);
        exec.release(held);
        match result? {
            QueryResult::Rows(set) => Ok(set),
            QueryResult::Ok(_) => {
                Err(sql(sql_error::UNKNOWN_ERROR, "a data node answered SHOW without rows"))
            }
        }
    }

    /// Rows of our own for the client.
    pub async fn reply(
        &mut self,
        columns: &[mysql_wire::column::ColumnDefinition],
        rows: &[Row],
    ) -> Result<(), ExecError> {
        reply_rows(&mut self.exec(), columns, rows).await
    }

    /// LIKE's pattern of a SHOW that we answer ourselves; WHERE is not for those.
    pub fn pattern(&self, show: &Show, source: Source<'_>) -> Result<Option<String>, ExecError> {
        if let Some(selection) = &show.selection {
            return equality(selection, source).map(Some).ok_or_else(|| {
                sql(
                    sql_error::NOT_SUPPORTED,
                    "this SHOW takes LIKE, or WHERE with one comparison by = or LIKE",
                )
            });
        }
        Ok(show.like_tok.map(|token| literal_text(source, token)))
    }

    /// The schema that a SHOW is about.
    pub fn schema_of(
        &self,
        named: Option<Ident>,
        source: Source<'_>,
    ) -> Result<&Schema, ExecError> {
        let name = match named {
            Some(name) => text(&name.name(source.text)).to_lowercase(),
            None => self
                .exec
                .identity
                .schema
                .clone()
                .ok_or_else(|| sql(sql_error::NO_DB_SELECTED, "No database selected"))?,
        };
        let account = self.account()?;
        if crate::catalogue::CLOSED_SCHEMAS.contains(&name.as_str()) {
            return Err(permission::schema_denied(account, &self.host, &name).into());
        }
        let unknown = || sql(sql_error::UNKNOWN_DB, format!("Unknown database '{name}'"));
        let schema = self.snapshot.schemas.get(&name);
        if !permission::sees(account, &name) {
            return Err(match schema {
                Some(_) => permission::schema_denied(account, &self.host, &name).into(),
                None => unknown(),
            });
        }
        schema.ok_or_else(unknown)
    }

    async fn show_databases(&mut self, show: &Show, source: Source<'_>) -> Result<(), ExecError> {
        let pattern = self.pattern(show, source)?;
        let account = self.account()?;
        let mut names: Vec<&str> = vec!["information_schema"];
        names.extend(
            self.snapshot
                .schemas
                .values()
                .filter(|schema| schema.ready && permission::sees(account, &schema.name))
                .map(|schema| schema.name.as_str()),
        );
        names.sort_unstable();
        let rows: Vec<Row> = names
            .into_iter()
            .filter(|name| pattern.as_ref().is_none_or(|pattern| like::matches(pattern, name)))
            .map(|name| vec![field(name)])
            .collect();
        let title = match (&pattern, show.like_tok) {
            (Some(pattern), Some(_)) => format!("Database ({pattern})"),
            _ => "Database".to_owned(),
        };
        self.reply(&[catalogue_column(&title, "SCHEMATA", "SCHEMA_NAME", 256)], &rows).await
    }

    async fn show_tables(&mut self, show: &Show, source: Source<'_>) -> Result<(), ExecError> {
        let pattern = self.pattern(show, source)?;
        let schema = self.schema_of(show.schema, source)?;
        let mut title = format!("Tables_in_{}", schema.name);
        if let (Some(pattern), Some(_)) = (&pattern, show.like_tok) {
            title = format!("{title} ({pattern})");
        }
        let mut columns = vec![catalogue_column(&title, "TABLE_NAMES", "TABLE_NAME", 292)];
        if show.full {
            columns.push(catalogue_column("Table_type", "TABLE_NAMES", "TABLE_TYPE", 256));
        }
        let account = self.account()?;
        let mut rows: Vec<Row> = schema
            .tables
            .values()
            .filter(|table| !self.kept.temporary.is_unlisted(&schema.name, &table.name))
            .filter(|table| permission::sees_table(account, &schema.name, &table.name))
            .filter(|table| {
                pattern.as_ref().is_none_or(|pattern| like::matches(pattern, &table.name))
            })
            .map(|table| {
                let mut row = vec![field(&table.name)];
                if show.full {
                    row.push(field(if table.view.is_some() { "VIEW" } else { "BASE TABLE" }));
                }
                row
            })
            .collect();
        let matches =
            |name: &str| pattern.as_ref().is_none_or(|pattern| like::matches(pattern, name));
        for sequence in self.sequences_of(schema).await? {
            let sees = permission::sees_table(account, &schema.name, &sequence.name);
            if sees && matches(&sequence.name) {
                let kind = show.full.then(|| field("SEQUENCE"));
                rows.push([field(&sequence.name)].into_iter().chain(kind).collect());
            }
        }
        let name = |row: &Row| row.first().cloned().flatten().map(|name| name.to_ascii_lowercase());
        rows.sort_by_key(name);
        self.reply(&columns, &rows).await
    }

    async fn show_create_database(
        &mut self,
        show: &Show,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let name = show.schema.or(show.table.map(|table| table.name));
        let schema = self.schema_of(name, source)?;
        let create = format!(
            "CREATE DATABASE `{}` /*!40100 DEFAULT CHARACTER SET {} COLLATE {} */",
            schema.name, schema.character_set, schema.collation
        );
        let row = vec![field(&schema.name), field(create)];
        let column = |name: &str, length| ColumnDefinition {
            decimals: TEXT_DECIMALS,
            length,
            flags: ColumnFlags::NOT_NULL,
            ..text_column(name)
        };
        self.reply(&[column("Database", 256), column("Create Database", 4096)], &[row]).await
    }

    async fn show_warnings(&mut self, show: &Show, source: Source<'_>) -> Result<(), ExecError> {
        let errors_only = show.kind == ShowKind::Errors;
        let warnings = self.exec.last.warnings.clone();
        let listed = warnings.iter().filter(|warning| !errors_only || warning.level == "Error");
        if show.count {
            let (name, count) = match errors_only {
                true => ("@@session.error_count", listed.count()),
                false => ("@@session.warning_count", listed.count()),
            };
            self.reply(&[unsigned(number_column(name))], &[vec![field(count)]]).await?;
        } else {
            let (skip, most) = self.limit_of(show, source)?;
            let rows: Vec<Row> = listed
                .skip(skip)
                .take(most)
                .map(|warning| {
                    vec![field(&warning.level), field(warning.code), Some(warning.message.clone())]
                })
                .collect();
            let columns = warning_columns();
            self.reply(&columns, &rows).await?;
        }
        // Looking at warnings does not clear them.
        self.exec.last.warnings = warnings;
        Ok(())
    }

    /// Rows to leave out and rows to show.
    fn limit_of(&self, show: &Show, source: Source<'_>) -> Result<(usize, usize), ExecError> {
        let Some(limit) = &show.limit else { return Ok((0, usize::MAX)) };
        let number = |expr: &Expr| {
            text(&crate::user_variables::inlined(source, expr.span)).trim().parse::<usize>()
        };
        let read = |expr: Option<&Expr>, default: usize| {
            expr.map_or(Ok(default), number)
                .map_err(|_| sql(sql_error::WRONG_ARGUMENTS, "Incorrect arguments to LIMIT"))
        };
        Ok((read(limit.offset.as_ref(), 0)?, read(limit.count.as_ref(), usize::MAX)?))
    }
}

/// A data node's names and values, with our own values where they are ours.
fn with_own(set: &ResultSet, own: impl Fn(&str) -> Option<String>) -> Vec<Row> {
    let row = |row: &node_backend::query::Row| {
        let name = row.text(0).unwrap_or_default();
        let value = own(&name).map(String::into_bytes);
        vec![field(name), value.or_else(|| row.get(1).map(<[u8]>::to_vec))]
    };
    set.rows.iter().map(row).collect()
}

/// A text column that says it is of a table of information_schema, as one server's SHOW does.
fn catalogue_column(name: &str, table: &str, own: &str, bytes: u32) -> ColumnDefinition {
    let mut column = text_column(name);
    column.schema = sql_plan::catalogue::INFORMATION_SCHEMA.as_bytes().to_vec();
    column.table = table.as_bytes().to_vec();
    column.org_table = table.as_bytes().to_vec();
    column.org_name = own.as_bytes().to_vec();
    column.length = bytes;
    column.flags = ColumnFlags::NOT_NULL | ColumnFlags::NO_DEFAULT_VALUE;
    column
}

/// The columns of SHOW WARNINGS, as a server describes them.
fn warning_columns() -> [ColumnDefinition; 3] {
    let word = |name: &str, bytes: u32| ColumnDefinition {
        decimals: TEXT_DECIMALS,
        length: bytes,
        flags: ColumnFlags::NOT_NULL,
        ..text_column(name)
    };
    let code = ColumnDefinition {
        column_type: ColumnType::Long,
        length: 4,
        flags: ColumnFlags::NOT_NULL | ColumnFlags::UNSIGNED | ColumnFlags::BINARY,
        ..number_column("Code")
    };
    [word("Level", 28), code, word("Message", 2048)]
}

/// A column of numbers without sign.
fn unsigned(mut column: ColumnDefinition) -> ColumnDefinition {
    column.flags.insert(ColumnFlags::UNSIGNED);
    column.flags.insert(ColumnFlags::BINARY);
    column
}

/// A string literal's text.
pub fn literal_text(source: Source<'_>, token: u32) -> String {
    match source.tokens.value(source.text, token, source.mode) {
        LiteralValue::String(bytes) => text(&bytes),
        _ => text(source.tokens.bytes(source.text, token)),
    }
}

/// The literal of `column = 'x'` or `column LIKE 'x'`.
fn equality(expr: &Expr, source: Source<'_>) -> Option<String> {
    use sql_syntax::ast::{BinaryOp, ExprKind};
    match &expr.unparen().kind {
        ExprKind::Binary { op: BinaryOp::Eq, left, right } if left.as_column().is_some() => {
            let exact = literal_text(source, right.as_literal()?.tok);
            Some(exact.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
        }
        ExprKind::Like { expr, not: false, pattern, .. } if expr.as_column().is_some() => {
            Some(literal_text(source, pattern.as_literal()?.tok))
        }
        _ => None,
    }
}
