//! COM_STMT_BULK_EXECUTE. An INSERT becomes one of many rows, which is placed and committed as such;
//! where its parameters are not in its rows alone, and for UPDATE and DELETE, each row is an execution
//! of its own: an INSERT's are all kept or none, the others are committed one by one, as by a server.

use crate::capture::{Captured, Messages};
use crate::prepared::{params_of, sql_value, unknown};
use crate::prepared_values::{Given, Stead, no_column, places};
use crate::query::{self, Source, parse_source};
use crate::session::{Core, malformed};
use crate::statement::Prepared;
use base::sql_error;
use mysql_wire::bulk::{BulkRows, BulkValue, SEND_TYPES};
use mysql_wire::capability::Capabilities;
use mysql_wire::command::StmtBulkExecute;
use mysql_wire::packet::{EofPacket, ErrPacket, OkPacket};
use mysql_wire::value::Value;
use node_exec::error::{ExecError, sql};
use node_exec::exec::{PreparedInput, WARNINGS_MAX, Warning};
use sql_plan::value::write_literal;
use sql_syntax::ast::{Insert, InsertSource, Span, Statement};
use sql_syntax::{Edits, TokenBuf, lex};
use std::collections::{BTreeMap, HashMap};
use topology::algorithm::SqlValue;

/// The text of an INSERT of many rows is cut here: data nodes take no packets of any length.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// So many kinds of rows (which columns take their defaults) are kept prepared.
const KINDS_MAX: usize = 64;

/// The savepoint to which a statement that fails in the middle goes back.
const SAVEPOINT: &str = "`_ddm_bulk`";

/// What several executions come to.
#[derive(Default)]
struct Sum {
    executions: u64,
    affected: u64,
    duplicates: u64,
    records: u64,
    generated: u64,
    told: u64,
    info: Vec<u8>,
    warnings: Vec<Warning>,
    /// A result's messages before its rows, and the rows of all.
    result: Option<(Messages, Messages)>,
}

/// How what was done by a part is kept until all is done.
enum Whole {
    Transaction,
    Savepoint,
}

/// Where the rows of an INSERT are in its text.
struct RowsText {
    /// What stands before the first row and behind the last one.
    before: Vec<u8>,
    behind: Vec<u8>,
    /// The rows' own part of the text, and what is put around it.
    area: Span,
    frame: [&'static [u8]; 2],
    /// What goes out of it besides the parameters.
    cut: Vec<Span>,
    /// There is a RETURNING, whose rows are one result.
    returns: bool,
}

/// The statement as text, and where its parameters are.
struct Written<'a> {
    text: &'a [u8],
    params: Vec<Span>,
    places: BTreeMap<u32, Stead>,
}

fn unsupported() -> ExecError {
    ExecError::Server(ErrPacket::new(
        1295,
        "HY000",
        "This command is not supported in the prepared statement protocol yet",
    ))
}

fn wrong_arguments() -> ExecError {
    sql(sql_error::WRONG_ARGUMENTS, "Incorrect arguments to mysqld_stmt_bulk_execute")
}

impl Core {
    /// COM_STMT_BULK_EXECUTE.
    pub async fn execute_bulk(&mut self, bulk: StmtBulkExecute<'_>) -> Result<(), ExecError> {
        let id = bulk.statement_id;
        let mut prepared = self.statements.take(id).ok_or_else(|| unknown(id, "execute"))?;
        let started = self.handle.begin(&prepared.text);
        self.statement_begins(started, 0);
        self.form.binary = true;
        prepared.cursor = None;
        let result = self.run_bulk(&mut prepared, bulk).await;
        self.statement_ends(&prepared.text, &prepared.tokens, result.is_err());
        prepared.long.clear();
        self.statements.put_back(id, prepared);
        result
    }

    async fn run_bulk(
        &mut self,
        prepared: &mut Prepared,
        bulk: StmtBulkExecute<'_>,
    ) -> Result<(), ExecError> {
        let count = prepared.param_tokens.len();
        let agreed = self.capabilities.contains(Capabilities::MARIADB_STMT_BULK);
        if !agreed || count == 0 || bulk.flags & !SEND_TYPES != 0 {
            return Err(unsupported());
        }
        let mut types = std::mem::take(&mut prepared.types);
        let rows = BulkRows::new(bulk.params, bulk.flags, count, &mut types);
        prepared.types = types;
        let rows = rows.map_err(|_| malformed())?;
        if rows.is_empty() || prepared.types.len() != count {
            return Err(wrong_arguments());
        }
        crate::query::check_not_fenced(self)?;
        let text = prepared.written.as_ref().unwrap_or(&prepared.text).clone();
        let (mut tokens, mode) = (TokenBuf::new(), prepared.mode);
        lex(&text, 0, &mode, &mut tokens);
        let source = Source {
            text: &text,
            tokens: &tokens,
            mode: &mode,
            param_tokens: &[],
            params: &[],
            input: None,
        };
        let parsed = parse_source(source, 0)?;
        match &parsed.stmt {
            Statement::Insert(insert) if !matches!(insert.source, InsertSource::Query(_)) => {
                let params = params_of(&tokens).iter().map(|token| tokens.span(*token)).collect();
                let places = places(&parsed.stmt, &text);
                let written = Written { text: &text, params, places };
                match rows_text(insert, &written, tokens.text_span()) {
                    Some(place) => self.insert_rows(prepared, &written, &place, rows).await,
                    None => self.insert_one_by_one(prepared, rows).await,
                }
            }
            Statement::Update(update) => {
                let sum = self.one_by_one(prepared, rows).await?;
                self.answer_updated(sum, update.tables.len() == 1);
                Ok(())
            }
            Statement::Delete(delete) if delete.targets.is_empty() && delete.tables.len() == 1 => {
                let sum = self.one_by_one(prepared, rows).await?;
                self.answer_sum(sum, false);
                Ok(())
            }
            _ => Err(unsupported()),
        }
    }

    /// An INSERT whose parameters are in its rows.
    async fn insert_rows(
        &mut self,
        prepared: &mut Prepared,
        written: &Written<'_>,
        place: &RowsText,
        mut rows: BulkRows<'_>,
    ) -> Result<(), ExecError> {
        let (mode, types) = (prepared.mode, prepared.types.clone());
        let schema = std::mem::replace(&mut self.exec.identity.schema, prepared.schema.clone());
        let limit = if place.returns { usize::MAX } else { TEXT_BYTES_MAX };
        let text = next_text(self, written, place, &mut rows, &types, limit).await;
        let ran = match text {
            Ok(text) if rows.is_empty() => self.run_text_again(&text, &mode).await,
            Ok(text) => {
                let parts = Parts { written, place, rows, types: &types, mode: &mode };
                self.insert_parts(text, parts).await
            }
            Err(error) => Err(error),
        };
        self.exec.identity.schema = schema;
        ran
    }

    /// Runs a text, once more when a definition changed meanwhile.
    async fn run_text_again(
        &mut self,
        text: &[u8],
        mode: &sql_syntax::LexMode,
    ) -> Result<(), ExecError> {
        let (version, mark) = (self.snapshot.version, self.out.mark());
        let Err(error) = query::run_made(self, text, mode).await else { return Ok(()) };
        match self.outdated(error, version) {
            None if self.out.take_back(mark) => query::run_made(self, text, mode).await,
            None => {
                Err(sql(sql_error::UNKNOWN_ERROR, "a table's placement changed during the answer"))
            }
            Some(error) => Err(error),
        }
    }

    /// An INSERT that is too long for one text: all of it or nothing.
    async fn insert_parts(&mut self, first: Vec<u8>, parts: Parts<'_>) -> Result<(), ExecError> {
        let Parts { written, place, mut rows, types, mode } = parts;
        let whole = self.begin_whole().await?;
        let mut sum = Sum::default();
        let mut text = Ok(first);
        let ran = loop {
            let now = match text {
                Ok(now) => now,
                Err(error) => break Err(error),
            };
            let capture = self.begin_capture();
            let ran = query::run_made(self, &now, mode).await;
            match self.end_capture(capture, ran).await {
                Ok(captured) => self.add(&mut sum, captured),
                Err(error) => break Err(error),
            }
            if rows.is_empty() {
                break Ok(());
            }
            text = next_text(self, written, place, &mut rows, types, TEXT_BYTES_MAX).await;
        };
        self.end_whole(whole, ran).await?;
        self.answer_sum(sum, true);
        Ok(())
    }

    /// An INSERT with parameters elsewhere, too: row by row, all of them or none.
    async fn insert_one_by_one(
        &mut self,
        prepared: &mut Prepared,
        rows: BulkRows<'_>,
    ) -> Result<(), ExecError> {
        let whole = self.begin_whole().await?;
        let ran = self.one_by_one(prepared, rows).await;
        let (ran, sum) = match ran {
            Ok(sum) => (Ok(()), sum),
            Err(error) => (Err(error), Sum::default()),
        };
        self.end_whole(whole, ran).await?;
        self.answer_sum(sum, true);
        Ok(())
    }

    async fn begin_whole(&mut self) -> Result<Whole, ExecError> {
        if self.exec.transaction.is_none() {
            let options = self.exec.transaction_options.clone();
            self.begin(options);
            if self.exec.autocommit {
                return Ok(Whole::Transaction);
            }
        }
        if let Some(transaction) = &mut self.exec.transaction {
            transaction.savepoint(SAVEPOINT).await?;
        }
        Ok(Whole::Savepoint)
    }

    async fn end_whole(
        &mut self,
        whole: Whole,
        ran: Result<(), ExecError>,
    ) -> Result<(), ExecError> {
        match (whole, &ran) {
            (Whole::Transaction, Ok(())) => self.commit().await?,
            (Whole::Transaction, Err(_)) => {
                if let Some(transaction) = self.exec.transaction.take() {
                    transaction.rollback().await;
                }
            }
            (Whole::Savepoint, ran) => {
                if let Some(transaction) = &mut self.exec.transaction {
                    if ran.is_err() {
                        transaction.rollback_to(SAVEPOINT).await?;
                    }
                    transaction.release(SAVEPOINT).await?;
                }
            }
        }
        ran
    }

    /// Executes the statement with each row.
    async fn one_by_one(
        &mut self,
        prepared: &mut Prepared,
        mut rows: BulkRows<'_>,
    ) -> Result<Sum, ExecError> {
        let types = prepared.types.clone();
        let mut kinds: HashMap<Vec<Given>, Prepared> = HashMap::new();
        let mut sum = Sum::default();
        while !rows.is_empty() {
            let mut row = rows.next_row(&types).map_err(|_| wrong_arguments())?;
            self.utf8_row(&mut row).await?;
            let given: Vec<Given> = row.iter().map(given).collect();
            let values: Vec<Value> = row
                .into_iter()
                .filter_map(|value| match value {
                    BulkValue::Value(value) => Some(value),
                    _ => None,
                })
                .collect();
            let params: Vec<SqlValue> = values.iter().map(sql_value).collect();
            let input = PreparedInput { raw: None, values: &values };
            let plain = given.iter().all(|one| *one == Given::Value);
            if !plain && !kinds.contains_key(&given) {
                if kinds.len() >= KINDS_MAX {
                    kinds.clear();
                }
                let made = self.with_keywords(prepared, &given).await?;
                kinds.insert(given.clone(), made);
            }
            let statement = match kinds.get_mut(&given) {
                Some(made) => made,
                None => &mut *prepared,
            };
            let capture = self.begin_capture();
            let (version, mark) = (self.snapshot.version, self.out.mark());
            let mut ran = self.run_prepared(statement, &params, Some(input)).await;
            if let Err(error) = ran {
                ran = match self.outdated(error, version) {
                    None if self.out.take_back(mark) => {
                        self.run_prepared(statement, &params, Some(input)).await
                    }
                    None => Err(sql(sql_error::UNKNOWN_ERROR, "a table's placement changed")),
                    Some(error) => Err(error),
                };
            }
            let captured = self.end_capture(capture, ran).await?;
            self.add(&mut sum, captured);
        }
        Ok(sum)
    }

    /// Adds the answer of one execution, of which the session knows more than was told.
    fn add(&mut self, sum: &mut Sum, captured: Captured) {
        sum.executions += 1;
        match captured {
            Captured::Ok(ok) => {
                sum.affected += ok.affected_rows;
                let (records, duplicates) = counts(&ok);
                sum.records += records;
                sum.duplicates += duplicates;
                if ok.last_insert_id != 0 {
                    if sum.generated == 0 && self.exec.last.insert_id == ok.last_insert_id {
                        sum.generated = ok.last_insert_id;
                    }
                    sum.told = ok.last_insert_id;
                }
                sum.info = ok.info;
            }
            Captured::Rows(head, mut rows) => match &mut sum.result {
                None => sum.result = Some((head, rows)),
                Some((_, all)) => all.append(&mut rows),
            },
        }
        let room = WARNINGS_MAX.saturating_sub(sum.warnings.len());
        let now = std::mem::take(&mut self.exec.last.warnings);
        sum.warnings.extend(now.into_iter().take(room));
    }

    fn answer_updated(&mut self, mut sum: Sum, one_table: bool) {
        if one_table {
            let (rows, warnings) = (sum.affected, sum.warnings.len());
            sum.info =
                format!("Rows matched: {rows}  Changed: {rows}  Warnings: {warnings}").into_bytes();
        }
        self.answer_sum(sum, false);
    }

    /// Answers for all executions together.
    fn answer_sum(&mut self, sum: Sum, inserted: bool) {
        let warnings = u16::try_from(sum.warnings.len()).unwrap_or(u16::MAX);
        self.exec.last.warnings = sum.warnings;
        let status = self.exec.status(self.form.more);
        if let Some((head, rows)) = sum.result {
            for message in head.iter().chain(&rows) {
                self.out.put(message);
            }
            self.out.put_rows_end(&EofPacket { warnings, status });
            return;
        }
        let mut info = sum.info;
        if inserted {
            let (records, duplicates) = (sum.records, sum.duplicates);
            info = format!("Records: {records}  Duplicates: {duplicates}  Warnings: {warnings}")
                .into_bytes();
            self.exec.last.row_count = i64::try_from(sum.affected).unwrap_or(i64::MAX);
            if sum.generated != 0 {
                self.exec.last.insert_id = sum.generated;
            }
        }
        let last_insert_id = if sum.generated != 0 { sum.generated } else { sum.told };
        let affected_rows = sum.affected;
        let ok = OkPacket {
            affected_rows,
            last_insert_id,
            warnings,
            info,
            status,
            ..OkPacket::default()
        };
        self.exec.last.told_id = last_insert_id;
        self.out.put_ok(&ok);
    }
}

/// An INSERT in several texts.
struct Parts<'a> {
    written: &'a Written<'a>,
    place: &'a RowsText,
    rows: BulkRows<'a>,
    types: &'a [mysql_wire::stmt::ParamType],
    mode: &'a sql_syntax::LexMode,
}

fn given(value: &BulkValue) -> Given {
    match value {
        BulkValue::Value(_) => Given::Value,
        BulkValue::Default => Given::Default,
        BulkValue::Ignore => Given::Ignore,
    }
}

/// Records and duplicates of an INSERT: as it tells them, or of one row.
fn counts(ok: &OkPacket) -> (u64, u64) {
    let info = String::from_utf8_lossy(&ok.info);
    let number = |name: &str| {
        let rest = info.split_once(name)?.1.trim_start();
        rest.split(' ').next()?.parse::<u64>().ok()
    };
    match (number("Records:"), number("Duplicates:")) {
        (Some(records), Some(duplicates)) => (records, duplicates),
        _ => (1, u64::from(ok.affected_rows > 1)),
    }
}

/// Where the rows of an INSERT are, if all its parameters are in them.
fn rows_text(insert: &Insert, written: &Written<'_>, whole: Span) -> Option<RowsText> {
    let of = |from: u32, to: u32| Span::new(from, to).of(written.text).to_vec();
    let returns = !insert.returning.is_empty();
    let place = match &insert.source {
        InsertSource::Values { rows, .. } => {
            let area = rows.first()?.span.to(rows.last()?.span);
            RowsText {
                before: of(whole.start, area.start),
                behind: of(area.end, whole.end),
                area,
                frame: [b"", b""],
                cut: Vec::new(),
                returns,
            }
        }
        InsertSource::Set { assignments, span } => {
            let area = assignments.first()?.value.span.to(assignments.last()?.value.span);
            let mut before = of(whole.start, span.start);
            before.push(b'(');
            for (at, assignment) in assignments.iter().enumerate() {
                if at > 0 {
                    before.push(b',');
                }
                before.extend_from_slice(assignment.column.span().of(written.text));
            }
            before.extend_from_slice(b") VALUES ");
            // Between two values stand a comma and the next column's name.
            let cut = assignments
                .windows(2)
                .map(|two| Span::new(two[0].value.span.end, two[1].value.span.start))
                .collect();
            let behind = of(span.end, whole.end);
            RowsText { before, behind, area, frame: [b"(", b")"], cut, returns }
        }
        InsertSource::Query(_) => return None,
    };
    let inside = |param: &Span| param.start >= place.area.start && param.end <= place.area.end;
    written.params.iter().all(inside).then_some(place)
}

/// The text of the next rows, of about `limit` bytes.
async fn next_text(
    core: &mut Core,
    written: &Written<'_>,
    place: &RowsText,
    rows: &mut BulkRows<'_>,
    types: &[mysql_wire::stmt::ParamType],
    limit: usize,
) -> Result<Vec<u8>, ExecError> {
    let mut text = place.before.clone();
    let mut edits = Edits::new();
    let start = text.len();
    while !rows.is_empty() && text.len() < limit {
        let mut row = rows.next_row(types).map_err(|_| wrong_arguments())?;
        core.utf8_row(&mut row).await?;
        edits.clear();
        for span in &place.cut {
            edits.replace(*span, b",");
        }
        for ((ordinal, span), value) in (0_u32..).zip(&written.params).zip(&row) {
            let stead = || written.places.get(&ordinal).ok_or_else(no_column);
            match value {
                BulkValue::Value(value) => {
                    let mut literal = Vec::new();
                    write_literal(&sql_value(value), &mut literal);
                    edits.replace(*span, &literal);
                }
                BulkValue::Default => edits.replace(stead()?.span, &stead()?.default),
                BulkValue::Ignore => edits.replace(stead()?.span, &stead()?.ignore),
            }
        }
        if text.len() > start {
            text.push(b',');
        }
        text.extend_from_slice(place.frame[0]);
        edits.apply_within(written.text, place.area, &mut text);
        text.extend_from_slice(place.frame[1]);
    }
    text.extend_from_slice(&place.behind);
    Ok(text)
}
