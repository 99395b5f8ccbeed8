//! Prepared statements: a statement that goes to one shard is a prepared one there too, and its
//! binary rows pass as bytes; any other runs as text with its parameters as literals, and its rows
//! become binary here.

use crate::prepared_text::{not_preparable, too_many};
use crate::prepared_values::{check_list_limits, limit_params, with_limits};
use crate::query::{self, Source, parse_source, plan_parsed, run_planned};
use crate::session::{Core, malformed};
use crate::statement::Prepared;
use crate::user_variables::inlined;
use base::sql_error;
use mysql_wire::attributes::execute_params;
use mysql_wire::column::{BINARY_COLLATION, ColumnDefinition, ColumnType};
use mysql_wire::command::StmtExecute;
use mysql_wire::packet::{EofPacket, ErrPacket, OkPacket};
use mysql_wire::stmt::{PrepareOk, decode_params, with_types};
use mysql_wire::value::Value;
use node_backend::{BackendError, Connection};
use node_exec::error::{ExecError, sql};
use node_exec::exec::{PreparedInput, Warning};
use node_exec::names::Names;
use node_exec::relay;
use sql_plan::plan::{Home, Place, Plan, Planned, RowKind};
use sql_plan::template::{Fill, Rendered};
use sql_syntax::{TokenBuf, TokenKind, ast, lex};
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use topology::algorithm::{SqlValue, Target};

/// A prepared statement with its parameters and columns, as far as a data node told them.
pub type Made = (Prepared, Option<Vec<ColumnDefinition>>, Vec<ColumnDefinition>);

/// A number that no prepared statement has, given to `command`.
pub fn unknown(id: u32, command: &str) -> ExecError {
    sql(
        sql_error::UNKNOWN_PREPARED_STATEMENT,
        format!("Unknown prepared statement handler ({id}) given to mysqld_stmt_{command}"),
    )
}

/// The protocol counts parameters in 16 bits.
fn many_placeholders() -> ExecError {
    let message = "Prepared statement contains too many placeholders";
    ExecError::Server(ErrPacket::new(1390, "HY000", message))
}

impl Core {
    /// COM_STMT_PREPARE.
    pub async fn prepare(&mut self, text: &[u8]) -> Result<(), ExecError> {
        self.statements.forget_last();
        crate::query::check_not_fenced(self)?;
        let (prepared, params, columns) = self.make_prepared(text).await?;
        let count = prepared.param_tokens.len();
        if count > usize::from(u16::MAX) {
            return Err(many_placeholders());
        }
        let Some(statement_id) = self.statements.add(prepared) else {
            return Err(too_many());
        };
        self.reply_prepared(statement_id, count, params, &columns);
        if self.out.tells_metadata()
            && let Some(statement) = self.statements.get_mut(statement_id)
        {
            statement.metadata = self.out.metadata_of(&columns);
        }
        Ok(())
    }

    /// Reads and plans a statement that is to be kept, with what is known of its parameters and
    /// columns.
    pub async fn make_prepared(&mut self, text: &[u8]) -> Result<Made, ExecError> {
        match self.make_as_read(text).await {
            Ok(made) => Ok(made),
            Err(error) => Err(self.told_by_server(error, text).await),
        }
    }

    async fn make_as_read(&mut self, text: &[u8]) -> Result<Made, ExecError> {
        if let Some(made) = self.prepare_with_stand_ins(text).await? {
            return Ok(made);
        }
        match self.with_views(text)? {
            Some(expanded) => self.prepare_text(&expanded, Some(text)).await,
            None => self.prepare_text(text, None).await,
        }
    }

    /// The text with the queries of its views, if it names some.
    fn with_views(&self, text: &[u8]) -> Result<Option<Vec<u8>>, ExecError> {
        let mode = self.lex;
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
        match sql_syntax::parse(text, &tokens, &mode) {
            // It is put in when it runs: a plan that is kept checks no rows.
            Ok(parsed) if crate::views::check_option(self, &parsed, source).is_some() => Ok(None),
            Ok(parsed) => crate::views::expand(self, &parsed, source),
            // Told when it is prepared.
            Err(_) => Ok(None),
        }
    }

    /// Prepares a statement in which temporary tables stand for others while it runs: it is planned
    /// at each execution.
    async fn prepare_with_stand_ins(&mut self, text: &[u8]) -> Result<Option<Made>, ExecError> {
        let mode = self.lex;
        let mut tokens = TokenBuf::new();
        lex(text, 0, &mode, &mut tokens);
        let param_tokens = params_of(&tokens);
        let source = Source {
            text,
            tokens: &tokens,
            mode: &mode,
            param_tokens: &param_tokens,
            params: &[],
            input: None,
        };
        // Told when it is prepared.
        let Ok(parsed) = sql_syntax::parse(text, &tokens, &mode) else { return Ok(None) };
        let Some(described) = self.describe_with_stand_ins(&parsed, source).await? else {
            return Ok(None);
        };
        Ok(Some(self.keep_prepared(text, tokens, None, None, described)))
    }

    async fn prepare_text(
        &mut self,
        text: &[u8],
        written: Option<&[u8]>,
    ) -> Result<Made, ExecError> {
        let mode = self.lex;
        let mut tokens = TokenBuf::new();
        lex(text, 0, &mode, &mut tokens);
        if tokens.rest().is_some() {
            return Err(sql(
                sql_error::SYNTAX_ERROR,
                "You have an error in your SQL syntax; one statement can be prepared at a time",
            ));
        }
        let source = Source {
            text,
            tokens: &tokens,
            mode: &mode,
            param_tokens: &[],
            params: &[],
            input: None,
        };
        if let Some((params, columns)) = self.describe_with_sequences(source).await? {
            return Ok(self.keep_prepared(text, tokens, None, written, (params, columns)));
        }
        let parsed = parse_source(source, 0)?;
        if let ast::Statement::Prepared(statement) = &parsed.stmt {
            return Err(not_preparable(statement));
        }
        let param_tokens = params_of(&tokens);
        let own = Self::is_session_statement(&parsed.stmt)
            || defines(&parsed.stmt)
            || crate::views::check_option(self, &parsed, source).is_some();
        let planned = match own {
            true => None,
            false => Some(plan_parsed(self, &parsed, source)?),
        };
        // A server forgets its warnings when a statement with tables is prepared.
        if planned.as_ref().map_or(defines(&parsed.stmt), |planned| !planned.keeps_warnings) {
            self.exec.last.warnings.clear();
        }
        let planned = planned.filter(|planned| !matches!(planned.plan, Plan::Session)).map(Rc::new);
        let (params, columns) = match &planned {
            Some(planned) => self.describe(planned, source, &param_tokens).await?,
            None if matches!(parsed.stmt, sql_syntax::ast::Statement::Query(_)) => {
                let source = Source { param_tokens: &param_tokens, ..source };
                (None, self.describe_catalogue(&parsed, source).await?)
            }
            None => (None, Vec::new()),
        };
        Ok(self.keep_prepared(text, tokens, planned, written, (params, columns)))
    }

    fn keep_prepared(
        &self,
        text: &[u8],
        tokens: TokenBuf,
        planned: Option<Rc<Planned>>,
        written: Option<&[u8]>,
        (params, columns): (Option<Vec<ColumnDefinition>>, Vec<ColumnDefinition>),
    ) -> Made {
        let param_tokens = params_of(&tokens);
        let schema = self.exec.identity.schema.clone();
        let planned = planned.map(|planned| (self.definitions(), planned));
        let mut prepared = Prepared::new(text, tokens, self.lex, schema, param_tokens, planned);
        prepared.written = written.map(Into::into);
        (prepared, params, columns)
    }

    fn reply_prepared(
        &mut self,
        statement_id: u32,
        count: usize,
        params: Option<Vec<ColumnDefinition>>,
        columns: &[ColumnDefinition],
    ) {
        let any = ColumnDefinition::expression("?", ColumnType::VarString, BINARY_COLLATION, 0);
        let params =
            params.filter(|params| params.len() == count).unwrap_or_else(|| vec![any; count]);
        let ok = PrepareOk {
            statement_id,
            columns: u16::try_from(columns.len()).unwrap_or(u16::MAX),
            params: u16::try_from(count).unwrap_or(u16::MAX),
            warnings: 0,
        };
        self.out.put_with(|out| ok.encode(out));
        let status = self.exec.status(false);
        for list in [&params[..], columns] {
            if list.is_empty() {
                continue;
            }
            for column in list {
                self.out.put_column(column);
            }
            self.out.put_columns_end(&EofPacket { warnings: 0, status });
        }
    }

    /// What a data node says of a statement's parameters and columns. Only queries have columns;
    /// other statements are not shown to a data node before they run.
    pub(crate) async fn describe(
        &mut self,
        planned: &Planned,
        source: Source<'_>,
        param_tokens: &[u32],
    ) -> Result<(Option<Vec<ColumnDefinition>>, Vec<ColumnDefinition>), ExecError> {
        let Plan::Routed(routed) = &planned.plan else { return Ok((None, Vec::new())) };
        if routed.kind != RowKind::Read {
            return Ok((None, Vec::new()));
        }
        let first = Target { shard: 0, suffix: 0 };
        let place = match &routed.home {
            Home::Any { schema: None } => Place::AnyNode,
            Home::Apart => return Ok((None, Vec::new())),
            Home::Any { schema: Some(schema) } => Place::AnyShard(schema),
            Home::Shard { schema, shard } => {
                Place::Target(schema, Target { shard: *shard, suffix: 0 })
            }
            Home::Everywhere { schema, .. } | Home::Sharded { schema, .. } => {
                Place::Target(schema, first)
            }
        };
        let nulls = vec![SqlValue::Null; param_tokens.len()];
        let source = Source { param_tokens, params: &nulls, ..source };
        let values = query::values_of(source);
        let exec = self.exec();
        let (node, target) = exec.resolve(place)?;
        let mut rendered = Rendered::default();
        let fill = Fill {
            values: &values,
            tables: &routed.tables,
            session: &|what, out| exec.session.write_value(what, out),
            temporary: &|_, _| {},
            inline_params: false,
        };
        routed.forward.render(&fill, target, &mut rendered);
        let names = Names::of(&routed.tables);
        let definitions = self.definitions();
        let inside = self.enter_functions(planned);
        let mut exec = self.exec();
        let held = exec.acquire_to_describe(&node).await;
        let described = match held {
            Ok(mut held) => {
                let described = held.lease.describe(&rendered.text, definitions).await;
                let told = warnings_of_prepare(&mut held.lease, &described, &rendered.text, names);
                exec.session.last.warnings.extend(told.await);
                exec.release(held);
                Ok(described)
            }
            Err(error) => Err(error),
        };
        self.leave_functions(inside);
        let described = described?;
        let described = described.map_err(|error| node_exec::rows::logical(error.into(), names))?;
        let mut columns = Vec::with_capacity(described.columns.len());
        for column in described.columns.iter() {
            columns.push(names.logical_column(column)?);
        }
        Ok((Some(described.params.to_vec()), columns))
    }

    /// COM_STMT_EXECUTE.
    pub async fn execute(&mut self, execute: StmtExecute<'_>) -> Result<(), ExecError> {
        let id = execute.statement_id;
        let mut prepared = self.statements.take(id).ok_or_else(|| unknown(id, "execute"))?;
        let started = self.handle.begin(&prepared.text);
        self.statement_begins(started, 0);
        self.form.binary = true;
        prepared.cursor = None;
        if self.out.tells_metadata() {
            self.out.know_metadata(std::mem::take(&mut prepared.metadata));
        }
        let result = match self.divert_to_cursor(execute.flags, &prepared) {
            Ok(None) => self.execute_at_last_version(&mut prepared, execute).await,
            Ok(Some(diverted)) => {
                let result = self.execute_at_last_version(&mut prepared, execute).await;
                Box::pin(self.open_cursor(diverted, &mut prepared, result)).await
            }
            Err(error) => Err(error),
        };
        self.count_left_out();
        prepared.metadata = self.out.known_metadata();
        self.statement_ends(&prepared.text, &prepared.tokens, result.is_err());
        prepared.long.clear();
        self.statements.put_back(id, prepared);
        result
    }

    /// Executes once more when a definition changed meanwhile.
    async fn execute_at_last_version(
        &mut self,
        prepared: &mut Prepared,
        execute: StmtExecute<'_>,
    ) -> Result<(), ExecError> {
        let (version, mark) = (self.snapshot.version, self.out.mark());
        let mut result = self.execute_taken(prepared, execute).await;
        let since = self.exec.outrun.map(|_| Instant::now());
        while let Some(since) = since
            && self.comes_again(since).await
        {
            result = self.execute_taken(prepared, execute).await;
        }
        if let Err(error) = result {
            result = match self.outdated(error, version) {
                None if self.out.take_back(mark) => self.execute_taken(prepared, execute).await,
                None => Err(sql(
                    sql_error::UNKNOWN_ERROR,
                    "a table's placement changed during the answer",
                )),
                Some(error) => Err(error),
            };
        }
        result
    }

    async fn execute_taken(
        &mut self,
        prepared: &mut Prepared,
        execute: StmtExecute<'_>,
    ) -> Result<(), ExecError> {
        if std::mem::take(&mut prepared.long_failed) {
            return Err(sql(
                sql_error::UNKNOWN_ERROR,
                "Parameter of prepared statement which is set through mysql_send_long_data() is \
                 longer than 'max_allowed_packet' bytes",
            ));
        }
        let count = prepared.param_tokens.len();
        let ahead = |param: u16| prepared.long.get(param).is_some();
        let packed = match self.has_attributes() {
            true => execute_params(execute.params, execute.flags, count, &prepared.types, ahead)
                .map_err(|_| malformed())?,
            false => Cow::Borrowed(execute.params),
        };
        let mut values = decode_params(&packed, count, &mut prepared.types, &prepared.long)
            .map_err(|_| {
                sql(sql_error::WRONG_ARGUMENTS, "Incorrect arguments to mysqld_stmt_execute")
            })?;
        let converted = self.exec.state.converts() && {
            self.show_charset(&prepared.text);
            self.utf8_values(&mut values).await?
        };
        let whole = prepared.long.is_empty() && !converted;
        let raw = whole.then(|| with_types(&packed, &prepared.types));
        let params = self.bytes_for_broken_text(values.iter().map(sql_value).collect());
        crate::query::check_not_fenced(self)?;
        let input = PreparedInput { raw: raw.as_deref(), values: &values };
        self.run_prepared(prepared, &params, Some(input)).await
    }

    /// Runs a prepared statement with its parameters.
    pub async fn run_prepared(
        &mut self,
        prepared: &mut Prepared,
        params: &[SqlValue],
        input: Option<PreparedInput<'_>>,
    ) -> Result<(), ExecError> {
        if let Some((version, planned)) = &prepared.planned
            && (*version != self.definitions() || planned.frozen)
        {
            Box::pin(self.wait_while_frozen(&planned.access.clone())).await?;
        }
        self.plan_again(prepared)?;
        let source = Source {
            text: &prepared.text,
            tokens: &prepared.tokens,
            mode: &prepared.mode,
            param_tokens: &prepared.param_tokens,
            params,
            input,
        };
        let numbers = match prepared.limit_params.is_empty() {
            true => None,
            false => {
                check_list_limits(source, &prepared.limit_params)?;
                with_limits(&prepared.limit_params, params)?
            }
        };
        let source = Source { params: numbers.as_deref().unwrap_or(params), ..source };
        self.run_as_prepared(prepared, source).await
    }

    async fn run_as_prepared(
        &mut self,
        prepared: &Prepared,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let before = self.enter_mode(source.mode).await?;
        let ran = self.run_prepared_source(prepared, source).await;
        self.leave_mode(before);
        ran
    }

    async fn run_prepared_source(
        &mut self,
        prepared: &Prepared,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        match &prepared.planned {
            Some((_, planned)) => run_planned(self, planned, source).await,
            None => Box::pin(self.run_unplanned(source)).await,
        }
    }

    /// Runs a prepared statement that is planned at each execution.
    async fn run_unplanned(&mut self, source: Source<'_>) -> Result<(), ExecError> {
        if self.execute_with_sequences(source).await? {
            return Ok(());
        }
        let parsed = parse_source(source, 0)?;
        self.count_parsed(&parsed.stmt, parsed.span.of(source.text));
        if matches!(parsed.stmt, ast::Statement::Show(_)) && !source.params.is_empty() {
            // What it asks is made of its text.
            let text = inlined(source, source.tokens.text_span());
            return query::run_made(self, &text, source.mode).await;
        }
        if let Some(check) = crate::views::check_option(self, &parsed, source)
            && let Some(text) = crate::views::expand(self, &parsed, source)?
        {
            return crate::views::run_expanded(self, &text, Some(check), source).await;
        }
        if self.run_with_stand_ins(&parsed, source).await?
            || self.run_session_statement(&parsed, source).await?
        {
            return Ok(());
        }
        let planned = plan_parsed(self, &parsed, source)?;
        match planned.plan {
            Plan::Session => self.run_catalogue_query(&parsed, source).await,
            _ => run_planned(self, &planned, source).await,
        }
    }

    /// A plan holds for one version of the definitions.
    fn plan_again(&mut self, prepared: &mut Prepared) -> Result<(), ExecError> {
        let Some((version, planned)) = &prepared.planned else { return Ok(()) };
        if *version == self.definitions() && !planned.frozen {
            return Ok(());
        }
        // A table may be a view by now, or a view a table.
        let written = prepared.written.clone().unwrap_or_else(|| prepared.text.clone());
        let now = std::mem::replace(&mut self.lex, prepared.mode);
        let expanded = self.with_views(&written);
        self.lex = now;
        let expanded = expanded?;
        if expanded.is_some() || prepared.written.is_some() {
            let text = expanded.unwrap_or_else(|| written.to_vec());
            lex(&text, 0, &prepared.mode, &mut prepared.tokens);
            prepared.param_tokens = params_of(&prepared.tokens);
            prepared.limit_params = limit_params(&text, &prepared.tokens, &prepared.param_tokens);
            prepared.text = text.into();
            prepared.written = Some(written);
        }
        let source = Source {
            text: &prepared.text,
            tokens: &prepared.tokens,
            mode: &prepared.mode,
            param_tokens: &prepared.param_tokens,
            params: &[],
            input: None,
        };
        let parsed = parse_source(source, 0)?;
        let schema = std::mem::replace(&mut self.exec.identity.schema, prepared.schema.clone());
        let planned = plan_parsed(self, &parsed, source);
        self.exec.identity.schema = schema;
        prepared.planned = Some((self.definitions(), Rc::new(planned?)));
        Ok(())
    }

    /// COM_STMT_RESET.
    pub fn reset_statement(&mut self, id: u32) -> Result<(), ExecError> {
        let statement = self.statements.get_mut(id).ok_or_else(|| unknown(id, "reset"))?;
        statement.long.clear();
        statement.long_failed = false;
        statement.cursor = None;
        self.reply_ok_packet(OkPacket::default());
        Ok(())
    }
}

/// Whether a statement changes definitions: what it means depends on what there is when it runs.
fn defines(statement: &ast::Statement) -> bool {
    matches!(
        statement,
        ast::Statement::CreateTable(_)
            | ast::Statement::AlterTable(_)
            | ast::Statement::DropTable(_)
            | ast::Statement::Truncate(_)
            | ast::Statement::RenameTable(_)
            | ast::Statement::CreateIndex(_)
            | ast::Statement::DropIndex(_)
            | ast::Statement::Recycle(_)
    )
}

/// What a data node warns of when it prepares a statement, which it says once: it is prepared anew
/// where it was known.
pub(crate) async fn warnings_of_prepare(
    connection: &mut Connection,
    described: &Result<Arc<node_backend::statement::Prepared>, BackendError>,
    text: &[u8],
    names: Names<'_>,
) -> Vec<Warning> {
    if !matches!(described, Ok(described) if described.warnings > 0) {
        return Vec::new();
    }
    let again = match connection.forget_statement(text).await {
        Ok(()) => connection.prepare(text).await.map(|_| ()),
        Err(error) => Err(error),
    };
    match again {
        Ok(()) => relay::warnings_of(connection, names).await,
        Err(_) => Vec::new(),
    }
}

/// The tokens that are `?`, in order.
pub fn params_of(tokens: &TokenBuf) -> Vec<u32> {
    let all = tokens.tokens().iter().enumerate();
    all.filter(|(_, token)| token.kind == TokenKind::Param).map(|(at, _)| at as u32).collect()
}

/// A parameter as routing and literals have it.
pub fn sql_value(value: &Value) -> SqlValue {
    let text = |put: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        put(&mut out);
        SqlValue::Temporal(out)
    };
    match value {
        Value::Null => SqlValue::Null,
        Value::Int(number) => SqlValue::Integer((*number).into()),
        Value::UInt(number) => SqlValue::Integer((*number).into()),
        Value::Float(number) => SqlValue::Float((*number).into()),
        Value::Double(number) => SqlValue::Float(*number),
        Value::Decimal(digits) => SqlValue::Decimal(String::from_utf8_lossy(digits).into_owned()),
        Value::Bytes(bytes) => SqlValue::Text(bytes.clone()),
        Value::Blob(bytes) => SqlValue::Binary(bytes.clone()),
        Value::Date(date) => text(&|out| date.put_text(out)),
        Value::Time(time) => text(&|out| time.put_text(out)),
    }
}
