//! CREATE, ALTER, DROP SEQUENCE, SHOW SEQUENCES and FRESH ALL SEQUENCE START VALUE. A sequence is of
//! its schema; the one that feeds a table's AUTO_INCREMENT has the table's name and lives and dies
//! with it. What a name means: a sequence that was made under it, else the table's own.

use crate::control::text;
use crate::like;
use crate::permission;
use crate::query::Source;
use crate::session::Core;
use crate::show::{Row, field};
use base::sql_error;
use mysql_wire::packet::{ErrPacket, OkPacket};
use node_exec::error::{ExecError, sql};
use node_exec::exec::Warning;
use node_exec::named_sequence::{self, CACHE_MAX, Definition};
use node_exec::rows::{number_column, text_column};
use node_exec::sequence::BLOCK;
use sql_plan::plan::Access;
use sql_syntax::ast::{DdlAction, SequenceStmt, Show, TableName};
use topology::account::Authority;
use topology::model::{Schema, Table};

/// What a server says of texts that it makes.
const EXPRESSION_DECIMALS: u8 = 39;

/// Characters of a sequence's name.
const NAME_CHARS_MAX: usize = 64;

/// A sequence's name with its schema.
pub(crate) struct SequenceName {
    /// The schema.
    pub schema: Schema,
    /// The sequence, as written.
    pub name: String,
}

impl SequenceName {
    /// The table whose own sequence has this name.
    pub fn table(&self) -> Option<&Table> {
        self.schema.table(&self.name).filter(|table| table.sequence_column.is_some())
    }
}

/// There is no such sequence.
pub(crate) fn unknown(schema: &str, name: &str) -> ExecError {
    ExecError::Server(ErrPacket::new(4091, "42S02", format!("Unknown SEQUENCE: '{schema}.{name}'")))
}

fn out_of_range(schema: &str, name: &str) -> ExecError {
    let message = format!("Sequence '{schema}.{name}' has out of range value for options");
    ExecError::Server(ErrPacket::new(4085, "HY000", message))
}

fn note(code: u16, message: String) -> Warning {
    Warning { level: "Note".to_owned(), code, message: message.into_bytes() }
}

impl Core {
    /// The sequence that a name means, if the account may do this with it.
    pub(crate) fn sequence_name(
        &self,
        schema: Option<&str>,
        name: &str,
        authority: Authority,
    ) -> Result<SequenceName, ExecError> {
        let schema = match (schema, &self.exec.identity.schema) {
            (Some(schema), _) => schema.to_lowercase(),
            (None, Some(schema)) => schema.clone(),
            (None, None) => return Err(sql(sql_error::NO_DB_SELECTED, "No database selected")),
        };
        let access = Access { schema, table: Some(name.to_owned()), authority };
        permission::check(self.account()?, &self.host, std::slice::from_ref(&access))?;
        let found = self.snapshot.schemas.get(&access.schema).cloned().ok_or_else(|| {
            sql(sql_error::UNKNOWN_DB, format!("Unknown database '{}'", access.schema))
        })?;
        if !found.ready {
            let text = format!("schema '{}' is being created or deleted", found.name);
            return Err(sql(sql_error::SCHEMA_NOT_READY, text));
        }
        Ok(SequenceName { schema: found, name: name.to_owned() })
    }

    fn named(
        &self,
        name: TableName,
        authority: Authority,
        source: Source<'_>,
    ) -> Result<SequenceName, ExecError> {
        let schema = name.schema.map(|schema| text(&schema.name(source.text)));
        self.sequence_name(schema.as_deref(), &text(&name.name.name(source.text)), authority)
    }

    /// CREATE, ALTER, DROP SEQUENCE, FRESH ALL SEQUENCE START VALUE.
    pub async fn run_sequence(
        &mut self,
        statement: &SequenceStmt,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        if self.worker.backends.is_read_only() {
            return Err(sql(
                sql_error::NODE_IS_READ_ONLY,
                "The DDM node is running in read-only mode so it cannot execute this statement",
            ));
        }
        self.commit().await?;
        let mut notes = Vec::new();
        match (statement.action, statement.names.first()) {
            (DdlAction::FreshAll, _) => self.fresh_sequences().await?,
            (DdlAction::Create, Some(name)) => {
                let name = self.named(*name, Authority::Create, source)?;
                notes.extend(self.create_sequence(&name, statement, source).await?);
            }
            (DdlAction::Alter, Some(name)) => {
                let name = self.named(*name, Authority::Alter, source)?;
                notes.extend(self.alter_sequence(&name, statement, source).await?);
            }
            (DdlAction::Drop, _) => {
                for name in &statement.names {
                    let name = self.named(*name, Authority::Drop, source)?;
                    notes.extend(self.drop_sequence(&name, statement.if_clause).await?);
                }
            }
            (DdlAction::Create | DdlAction::Alter, None) => {}
        }
        let warnings = u16::try_from(notes.len()).unwrap_or(u16::MAX);
        self.exec.last.warnings = notes;
        self.exec.last.row_count = 0;
        self.reply_ok_packet(OkPacket { warnings, ..OkPacket::default() });
        Ok(())
    }

    async fn create_sequence(
        &mut self,
        of: &SequenceName,
        statement: &SequenceStmt,
        source: Source<'_>,
    ) -> Result<Option<Warning>, ExecError> {
        check_name(&of.name)?;
        let exists = format!("Table '{}' already exists", of.name);
        if of.schema.table(&of.name).is_some() {
            return Err(sql(sql_error::TABLE_EXISTS, exists));
        }
        let increment = statement.increment.unwrap_or(1);
        let (min, max) = if increment > 0 { (1, i64::MAX) } else { (-i64::MAX, -1) };
        let (min, max) = (statement.min_value.unwrap_or(min), statement.max_value.unwrap_or(max));
        let start = statement.start.unwrap_or(if increment > 0 { min } else { max });
        let definition = Definition {
            name: of.name.to_lowercase(),
            epoch: 0,
            next: start,
            start,
            increment,
            min,
            max,
            cache: cache_of(statement, source).unwrap_or(BLOCK as i64),
            cycles: statement.cycle.unwrap_or(false),
            run_out: false,
        };
        if !definition.is_possible() {
            return Err(out_of_range(&of.schema.name, &of.name));
        }
        let (worker, replace) = (self.worker.clone(), statement.or_replace);
        let named = &worker.shared.sequences.named;
        match named.create(&worker.backends, &of.schema, &definition, replace).await? {
            true => Ok(None),
            false if statement.if_clause => Ok(Some(note(1050, exists))),
            false => Err(sql(sql_error::TABLE_EXISTS, exists)),
        }
    }

    async fn alter_sequence(
        &mut self,
        of: &SequenceName,
        statement: &SequenceStmt,
        source: Source<'_>,
    ) -> Result<Option<Warning>, ExecError> {
        let (worker, schema) = (self.worker.clone(), &of.schema);
        let named = &worker.shared.sequences.named;
        let Some(before) = named.find(&worker.backends, schema, &of.name).await? else {
            if of.table().is_some() {
                self.alter_table_sequence(of, statement, source).await?;
                return Ok(None);
            }
            return match statement.if_clause {
                true => {
                    Ok(Some(note(4091, format!("Unknown SEQUENCE: '{}.{}'", schema.name, of.name))))
                }
                false => Err(unknown(&schema.name, &of.name)),
            };
        };
        let start = statement.start.unwrap_or(before.start);
        let restarts = statement.start.is_some() || has_word(source, b"RESTART");
        let after = Definition {
            next: if restarts { start } else { before.next },
            start,
            increment: statement.increment.unwrap_or(before.increment),
            min: statement.min_value.unwrap_or(before.min),
            max: statement.max_value.unwrap_or(before.max),
            cache: cache_of(statement, source).unwrap_or(before.cache),
            cycles: statement.cycle.unwrap_or(before.cycles),
            run_out: before.run_out && !restarts,
            ..before
        };
        if !after.is_possible() {
            return Err(out_of_range(&schema.name, &of.name));
        }
        match named.change(&worker.backends, schema, &after, !restarts).await? {
            true => Ok(None),
            false => Err(unknown(&schema.name, &of.name)),
        }
    }

    /// A table's own sequence: where it goes on, and how many values a node takes at once.
    async fn alter_table_sequence(
        &mut self,
        of: &SequenceName,
        statement: &SequenceStmt,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let others = statement.increment.is_some()
            || statement.min_value.is_some()
            || statement.max_value.is_some()
            || statement.cycle.is_some();
        if others {
            return Err(sql(
                sql_error::NOT_SUPPORTED,
                "the sequence of a table's AUTO_INCREMENT takes START WITH and CACHE only",
            ));
        }
        if let Some(cache) = cache_of(statement, source) {
            if !(1..=CACHE_MAX).contains(&cache) {
                return Err(out_of_range(&of.schema.name, &of.name));
            }
            let worker = self.worker.clone();
            named_sequence::set_table_cache(&worker.backends, &of.schema, &of.name, cache).await?;
        }
        if let Some(start) = statement.start {
            if start < 1 {
                return Err(out_of_range(&of.schema.name, &of.name));
            }
            self.restart_table_sequence(of, u64::try_from(start).unwrap_or(1)).await?;
        }
        Ok(())
    }

    /// As ALTER TABLE … AUTO_INCREMENT: every node serves the table's new definition, and so has
    /// forgotten its block, before this is over.
    async fn restart_table_sequence(
        &mut self,
        of: &SequenceName,
        start: u64,
    ) -> Result<(), ExecError> {
        let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
        let (schema, table) = (quoted(&of.schema.name), quoted(&of.name));
        let statement = format!("ALTER TABLE {schema}.{table} AUTO_INCREMENT = {start}");
        crate::query::run_quietly(self, statement.as_bytes()).await
    }

    async fn drop_sequence(
        &mut self,
        of: &SequenceName,
        if_exists: bool,
    ) -> Result<Option<Warning>, ExecError> {
        let worker = self.worker.clone();
        let named = &worker.shared.sequences.named;
        if named.drop(&worker.backends, &of.schema, &of.name).await? {
            return Ok(None);
        }
        if of.table().is_some() {
            return Err(sql(
                sql_error::NOT_ALLOWED,
                format!(
                    "sequence '{}' belongs to the AUTO_INCREMENT column of table '{}' and is dropped with it",
                    of.name, of.name
                ),
            ));
        }
        match if_exists {
            true => {
                let message = format!("Unknown SEQUENCE: '{}.{}'", of.schema.name, of.name);
                Ok(Some(note(4091, message)))
            }
            false => Err(unknown(&of.schema.name, &of.name)),
        }
    }

    /// SHOW SEQUENCES \[FROM schema\] \[LIKE pattern\].
    pub async fn show_sequences(
        &mut self,
        show: &Show,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let pattern = self.pattern(show, source)?.map(|pattern| pattern.to_uppercase());
        let schemas: Vec<Schema> = match show.schema {
            Some(_) => vec![self.schema_of(show.schema, source)?.clone()],
            None => self.visible_schemas().cloned().collect(),
        };
        let mut rows: Vec<Row> = Vec::new();
        for schema in &schemas {
            for line in self.sequence_lines(schema).await? {
                if pattern.as_ref().is_none_or(|pattern| like::matches(pattern, &line.name)) {
                    rows.push(line.row());
                }
            }
        }
        let columns = [
            text_column("NAME"),
            number_column("START_WITH"),
            number_column("INCREMENT"),
            number_column("MAX_VALUE"),
            text_column("USAGE_PERCENT(%)"),
        ];
        self.reply(&columns, &rows).await
    }

    /// SHOW CREATE SEQUENCE.
    pub async fn show_create_sequence(
        &mut self,
        show: &Show,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let name = show.table.ok_or_else(|| sql(sql_error::SYNTAX_ERROR, "a name is missing"))?;
        let of = self.named(name, Authority::Select, source)?;
        let worker = self.worker.clone();
        let named = &worker.shared.sequences.named;
        let Some(one) = named.find(&worker.backends, &of.schema, &of.name).await? else {
            let message = format!("'{}.{}' is not a SEQUENCE", of.schema.name, of.name);
            return Err(match of.schema.table(&of.name) {
                Some(_) => ExecError::Server(ErrPacket::new(4089, "42S02", message)),
                None => unknown(&of.schema.name, &of.name),
            });
        };
        let create = crate::sequence_tables::create_text(&one);
        let columns = ["Table", "Create Table"].map(|name| {
            let column = text_column(name);
            mysql_wire::column::ColumnDefinition { decimals: EXPRESSION_DECIMALS, ..column }
        });
        self.reply(&columns, &[vec![field(one.name), field(create)]]).await
    }

    async fn sequence_lines(&mut self, schema: &Schema) -> Result<Vec<Line>, ExecError> {
        let worker = self.worker.clone();
        let sequences = &worker.shared.sequences;
        let line = |name: &str| format!("{}.{name}", schema.name).to_uppercase();
        let mut lines: Vec<Line> = sequences
            .named
            .list(&worker.backends, schema)
            .await?
            .into_iter()
            .map(|one| Line {
                name: line(&one.name),
                next: i128::from(one.next),
                step: one.cache.to_string(),
                max: i128::from(one.max),
                used: used(&one),
            })
            .collect();
        if schema.tables.values().any(|table| table.sequence_column.is_some()) {
            let next = sequences.positions(&worker.backends, schema).await?;
            let steps = named_sequence::table_caches(&worker.backends, schema).await?;
            for (key, table) in &schema.tables {
                let Some(column) = table.sequence_column.as_deref() else { continue };
                let bounds = table.column(column).and_then(|(_, column)| column.integer_bounds());
                let max = bounds.map_or(i128::from(i64::MAX), |(_, high)| high);
                let next = i128::from(next.get(key).copied().unwrap_or(1));
                let step = steps.get(key).copied().unwrap_or(BLOCK).to_string();
                let used = (next - 1) as f64 / max.max(1) as f64;
                lines.push(Line { name: line(&table.name), next, step, max, used });
            }
        }
        lines.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(lines)
    }

    /// Every table's sequence goes on behind the greatest value that its table has.
    async fn fresh_sequences(&mut self) -> Result<(), ExecError> {
        let account = self.account()?;
        let may = |schema: &Schema| {
            let access =
                Access { schema: schema.name.clone(), table: None, authority: Authority::Alter };
            permission::check(account, &self.host, &[access]).is_ok()
        };
        let schemas: Vec<Schema> =
            self.snapshot.schemas.values().filter(|one| one.ready && may(one)).cloned().collect();
        if schemas.is_empty() && !self.snapshot.schemas.is_empty() {
            return Err(sql(
                sql_error::SPECIFIC_ACCESS_DENIED,
                "Access denied; you need (at least one of) the ALTER privilege(s) for this operation",
            ));
        }
        for schema in schemas {
            let worker = self.worker.clone();
            let next = worker.shared.sequences.positions(&worker.backends, &schema).await?;
            for (key, table) in &schema.tables {
                let Some(column) = table.sequence_column.clone() else { continue };
                let of = SequenceName { schema: schema.clone(), name: table.name.clone() };
                let Some(greatest) = self.greatest(&of, &column).await? else { continue };
                if greatest >= next.get(key).copied().unwrap_or(1) {
                    self.restart_table_sequence(&of, greatest.saturating_add(1)).await?;
                }
            }
        }
        Ok(())
    }

    /// The greatest value of a column; none when there is no positive one.
    async fn greatest(
        &mut self,
        of: &SequenceName,
        column: &str,
    ) -> Result<Option<u64>, ExecError> {
        let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
        let ask = format!(
            "SELECT MAX({}) FROM {}.{}",
            quoted(column),
            quoted(&of.schema.name),
            quoted(&of.name)
        );
        let (_, rows) = crate::query::fetch(self, ask.as_bytes()).await?;
        let value = rows.first().and_then(|row| row.get(0));
        Ok(value.and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok()))
    }
}

/// A row of SHOW SEQUENCES.
struct Line {
    name: String,
    next: i128,
    step: String,
    max: i128,
    /// Between 0 and 1.
    used: f64,
}

impl Line {
    fn row(self) -> Row {
        vec![
            field(self.name),
            field(self.next),
            field(self.step),
            field(self.max),
            field(format!("{:.2}", self.used * 100.0)),
        ]
    }
}

/// How much of a sequence's values is taken.
fn used(one: &Definition) -> f64 {
    let (first, last) = if one.increment > 0 { (one.min, one.max) } else { (one.max, one.min) };
    if one.run_out {
        return 1.0;
    }
    (one.next as f64 - first as f64) / (last as f64 - first as f64)
}

/// CACHE n; NOCACHE and CACHE 0 take one value at a time.
fn cache_of(statement: &SequenceStmt, source: Source<'_>) -> Option<i64> {
    match statement.cache {
        Some(0) => Some(1),
        Some(cache) => Some(cache),
        None => has_word(source, b"NOCACHE").then_some(1),
    }
}

fn has_word(source: Source<'_>, word: &[u8]) -> bool {
    let tokens = source.tokens.tokens().iter();
    tokens.into_iter().any(|token| token.span().of(source.text).eq_ignore_ascii_case(word))
}

fn check_name(name: &str) -> Result<(), ExecError> {
    let fits = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if fits && (1..=NAME_CHARS_MAX).contains(&name.chars().count()) {
        return Ok(());
    }
    Err(sql(
        sql_error::SYNTAX_ERROR,
        format!("a sequence's name has 1 to {NAME_CHARS_MAX} letters, digits and '_': '{name}'"),
    ))
}
