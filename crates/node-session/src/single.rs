//! Routines, triggers and events of schemas of mode single: such a schema is one database on one data
//! node, so what a server keeps beside tables lives there, and statements about it go there as they
//! are, with the logical schema's name replaced by the database's.

use crate::control::text;
use crate::permission;
use crate::query::Source;
use crate::session::Core;
use crate::show::{Row, field};
use base::sql_error;
use mysql_wire::packet::{ErrPacket, OkPacket};
use node_backend::query::QueryResult;
use node_exec::error::{ExecError, sql};
use node_exec::exec::Warning;
use node_exec::names::Names;
use node_exec::read_back::with_user_variable;
use node_exec::relay;
use sql_plan::plan::{PlanTable, Planned, TablePlace};
use sql_plan::template::quoted;
use sql_plan::value::write_literal;
use sql_syntax::ast::{Call, ExprKind, Ident, OtherKind, Show, ShowKind};
use sql_syntax::text::{unquote_ident, user_var_name};
use sql_syntax::{Edits, TokenKind};
use std::sync::Arc;
use topology::account::Authority;
use topology::model::{Schema, ShardMode, physical_database};

/// What is said of a schema that has no such things.
const NOT_HERE: &str = "stored routines, triggers and events are supported in schemas of mode single only: \
     a sharded schema has no one data node to run them on";

impl Core {
    /// The chosen schema, if it is one of mode single.
    fn single_schema(&self) -> Option<Schema> {
        let name = self.exec.identity.schema.as_ref()?;
        let schema = self.snapshot.schemas.get(name)?;
        (schema.mode == ShardMode::Single && schema.ready).then(|| schema.clone())
    }

    /// Connections have the database of the current schema chosen while a plan runs that may call
    /// its stored functions; whether they have.
    pub(crate) fn enter_functions(&mut self, planned: &Planned) -> bool {
        if !planned.uses.other_functions || planned.uses.named_locks {
            return false;
        }
        let name = self.exec.identity.schema.as_ref();
        let schema = name.and_then(|name| self.snapshot.schemas.get(name));
        let Some(schema) = schema.filter(|one| one.mode == ShardMode::Single && one.ready) else {
            return false;
        };
        let database = physical_database(&schema.name, 0);
        self.exec.state = Arc::new((*self.exec.state).clone().with_database(Some(database)));
        true
    }

    /// The end of [`Self::enter_functions`].
    pub(crate) fn leave_functions(&mut self, inside: bool) {
        if inside {
            self.exec.state = Arc::new((*self.exec.state).clone().with_database(None));
        }
    }

    /// The schema that a name belongs to, if it is one of mode single.
    pub(crate) fn single_schema_of(
        &self,
        named: Option<Ident>,
        source: Source<'_>,
    ) -> Option<Schema> {
        let Some(named) = named else { return self.single_schema() };
        let schema = self.snapshot.schemas.get(&text(&named.name(source.text)).to_lowercase())?;
        (schema.mode == ShardMode::Single && schema.ready).then(|| schema.clone())
    }

    /// CREATE, ALTER and DROP of routines, triggers and events; false for all other statements.
    pub async fn run_object(
        &mut self,
        kind: OtherKind,
        source: Source<'_>,
    ) -> Result<bool, ExecError> {
        if !matches!(kind, OtherKind::Routine | OtherKind::Trigger | OtherKind::Event) {
            return Ok(false);
        }
        let Some(schema) = self.single_schema() else {
            return self.drop_of_nothing(source);
        };
        let first = source.tokens.tokens().first().map(|token| token.span().of(source.text));
        let authority = match first.unwrap_or_default().to_ascii_uppercase().as_slice() {
            b"DROP" => Authority::Drop,
            b"ALTER" => Authority::Alter,
            _ => Authority::Create,
        };
        self.check_may(&schema, authority)?;
        self.commit().await?;
        self.pass_to_single(&schema, source).await?;
        Ok(true)
    }

    /// DROP in a schema that has no such things: what is dropped is not there.
    fn drop_of_nothing(&mut self, source: Source<'_>) -> Result<bool, ExecError> {
        let words: Vec<&[u8]> =
            source.tokens.tokens().iter().map(|token| token.span().of(source.text)).collect();
        let is = |at: usize, word: &str| {
            words.get(at).is_some_and(|one| one.eq_ignore_ascii_case(word.as_bytes()))
        };
        let kinds = ["PROCEDURE", "FUNCTION", "TRIGGER", "EVENT"];
        let kind = kinds.into_iter().find(|kind| is(0, "DROP") && is(1, kind));
        let Some(kind) = kind else { return Err(sql(sql_error::NOT_SUPPORTED, NOT_HERE)) };
        let if_exists = is(2, "IF") && is(3, "EXISTS");
        let at = if if_exists { 4 } else { 2 };
        let name = |at: usize| words.get(at).map(|word| text(&unquote_ident(word)));
        let (schema, name) = match is(at + 1, ".") {
            true => (name(at), name(at + 2)),
            false => (self.exec.identity.schema.clone(), name(at)),
        };
        let Some(schema) = schema else {
            return Err(sql(sql_error::NO_DB_SELECTED, "No database selected"));
        };
        let name = name.unwrap_or_default();
        let (number, message) = match kind {
            "TRIGGER" => (1360, "Trigger does not exist".to_owned()),
            "EVENT" if if_exists => (1305, format!("Event {name} does not exist")),
            "EVENT" => (1539, format!("Unknown event '{name}'")),
            _ => (1305, format!("{kind} {schema}.{name} does not exist")),
        };
        if !if_exists {
            let state = if kind == "EVENT" || kind == "TRIGGER" { "HY000" } else { "42000" };
            return Err(ExecError::Server(ErrPacket::new(number, state, message)));
        }
        let note =
            Warning { level: "Note".to_owned(), code: number, message: message.into_bytes() };
        self.exec.last.warnings = vec![note];
        self.reply_ok_packet(OkPacket { warnings: 1, ..OkPacket::default() });
        Ok(true)
    }

    /// CALL, with the values of user variables brought back.
    pub async fn run_call(&mut self, call: &Call, source: Source<'_>) -> Result<(), ExecError> {
        let Some(schema) = self.single_schema_of(call.name.schema, source) else {
            // It cannot have been made.
            let schema = match call.name.schema {
                Some(schema) => text(&schema.name(source.text)),
                None => self.schema_of(None, source)?.name.clone(),
            };
            let name = text(&call.name.name.name(source.text));
            let text = format!("PROCEDURE {schema}.{name} does not exist ({NOT_HERE})");
            return Err(ExecError::Server(ErrPacket::new(1305, "42000", text)));
        };
        self.check_may(&schema, Authority::Select)?;
        let variables: Vec<String> = call
            .args
            .iter()
            .filter_map(|arg| match arg.kind {
                ExprKind::UserVar { tok } => {
                    Some(text(&user_var_name(source.tokens.bytes(source.text, tok))))
                }
                _ => None,
            })
            .collect();
        if variables.is_empty() {
            return self.pass_to_single(&schema, source).await;
        }
        self.call_with_variables(&schema, source, &variables).await
    }

    /// A transaction's connection keeps the variables until they are read.
    async fn call_with_variables(
        &mut self,
        schema: &Schema,
        source: Source<'_>,
        variables: &[String],
    ) -> Result<(), ExecError> {
        let names: Vec<String> =
            variables.iter().map(|name| format!("@`{}`", name.replace('`', "``"))).collect();
        let alone = self.exec.transaction.is_none();
        if alone {
            let options = self.exec.transaction_options.clone();
            self.exec.transaction = Some(self.exec.new_transaction(false, options));
        }
        let mut outcome = self.pass_to_single(schema, source).await;
        if outcome.is_ok() {
            let ask = format!("SELECT {}", names.join(", "));
            match self.ask_single(schema, ask.as_bytes()).await {
                Ok((columns, rows)) => {
                    let row = rows.first().cloned().unwrap_or_default();
                    for ((name, value), column) in variables.iter().zip(&row).zip(&columns) {
                        let value = crate::variables::literal(value.as_deref(), column);
                        match with_user_variable((*self.exec.state).clone(), name, value) {
                            Ok(state) => self.exec.state = Arc::new(state),
                            Err(error) => outcome = Err(error),
                        }
                    }
                }
                Err(error) => outcome = Err(error),
            }
        }
        if alone && let Some(transaction) = self.exec.transaction.take() {
            match &outcome {
                Ok(()) => transaction.commit().await?,
                Err(_) => transaction.rollback().await,
            }
        }
        outcome
    }

    /// SHOW of what lives beside tables, in a schema of mode single; false elsewhere.
    pub async fn show_of_single(
        &mut self,
        show: &Show,
        source: Source<'_>,
    ) -> Result<bool, ExecError> {
        use ShowKind as K;
        let listed =
            matches!(show.kind, K::Triggers | K::Events | K::ProcedureStatus | K::FunctionStatus);
        if !listed && show.kind != K::CreateOther {
            return Ok(false);
        }
        let Some(schema) = self.single_schema() else { return Ok(false) };
        self.check_may(&schema, Authority::Select)?;
        if !listed {
            self.pass_to_single(&schema, source).await?;
            return Ok(true);
        }
        let database = physical_database(&schema.name, 0);
        let statement = self.physical_text(&schema, source);
        let (columns, mut rows) = self.ask_single(&schema, &statement).await?;
        // The status of routines is that of the whole data node.
        if let Some(at) = columns.iter().position(|column| column.name == b"Db") {
            rows.retain(|row| {
                row.get(at).cloned().flatten() == Some(database.clone().into_bytes())
            });
            for row in &mut rows {
                row[at] = field(&schema.name);
            }
        }
        self.reply(&columns, &rows).await?;
        Ok(true)
    }

    fn check_may(&self, schema: &Schema, authority: Authority) -> Result<(), ExecError> {
        let account = self.account()?;
        let may = account.administrator
            || (account.schemas.contains(&schema.name) && account.authorities.contains(&authority));
        match may {
            true => Ok(()),
            false => Err(permission::schema_denied(account, &self.host, &schema.name).into()),
        }
    }

    /// The statement with the database's name instead of the schema's.
    fn physical_text(&self, schema: &Schema, source: Source<'_>) -> Vec<u8> {
        let mut edits = Edits::new();
        let tokens = source.tokens.tokens();
        let database = quoted(&physical_database(&schema.name, 0));
        for (at, token) in tokens.iter().enumerate() {
            let is_name = matches!(
                token.kind,
                TokenKind::Ident | TokenKind::QuotedIdent | TokenKind::Keyword
            );
            let follows = |place: Option<usize>, kind: TokenKind| {
                place.and_then(|place| tokens.get(place)).is_some_and(|one| one.kind == kind)
            };
            if is_name
                && follows(Some(at + 1), TokenKind::Dot)
                && !follows(at.checked_sub(1), TokenKind::Dot)
                && unquote_ident(token.span().of(source.text))
                    .eq_ignore_ascii_case(schema.name.as_bytes())
            {
                edits.replace(token.span(), &database);
            }
            let place = source.param_tokens.iter().position(|param| *param as usize == at);
            if let Some(value) = place.and_then(|place| source.params.get(place))
                && source.input.is_none()
            {
                let mut literal = Vec::new();
                write_literal(value, &mut literal);
                edits.replace(token.span(), &literal);
            }
        }
        let mut out = Vec::new();
        edits.apply_within(source.text, source.tokens.text_span(), &mut out);
        out
    }

    async fn pass_to_single(
        &mut self,
        schema: &Schema,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let statement = self.physical_text(schema, source);
        let tables = [PlanTable {
            schema: schema.name.clone(),
            name: String::new(),
            alias: String::new(),
            physical_base: None,
            place: TablePlace::Fixed { shard: 0 },
        }];
        let state = self.enter_database(schema);
        let node = self.node_of(schema)?;
        let names = Names::of(&tables);
        let outcome = match source.input.filter(|_| self.form.binary) {
            Some(input) => {
                relay::pass_prepared(&mut self.exec(), &node, &statement, input, names).await
            }
            None => relay::pass_through(&mut self.exec(), &node, &statement, true, names).await,
        };
        self.exec.state = state;
        outcome
    }

    async fn ask_single(
        &mut self,
        schema: &Schema,
        statement: &[u8],
    ) -> Result<(Vec<mysql_wire::column::ColumnDefinition>, Vec<Row>), ExecError> {
        let state = self.enter_database(schema);
        let node = self.node_of(schema)?;
        let outcome = async {
            let mut exec = self.exec();
            let mut held = exec.acquire(&node, false).await?;
            let answer = held.lease.query(statement).await;
            exec.release(held);
            Ok::<_, ExecError>(answer?)
        }
        .await;
        self.exec.state = state;
        let QueryResult::Rows(set) = outcome? else { return Ok((Vec::new(), Vec::new())) };
        let width = set.columns.len();
        let fields = |row: &node_backend::query::Row| -> Row {
            (0..width).map(|at| row.get(at).map(<[u8]>::to_vec)).collect()
        };
        Ok((set.columns.to_vec(), set.rows.iter().map(fields).collect()))
    }

    /// Connections have the schema's database chosen; gives the state to go back to.
    fn enter_database(
        &mut self,
        schema: &Schema,
    ) -> Arc<node_backend::session_state::SessionState> {
        let inside =
            (*self.exec.state).clone().with_database(Some(physical_database(&schema.name, 0)));
        std::mem::replace(&mut self.exec.state, Arc::new(inside))
    }

    fn node_of(
        &self,
        schema: &Schema,
    ) -> Result<std::rc::Rc<node_exec::backends::BackendNode>, ExecError> {
        let shard = schema.shards.first().ok_or_else(|| {
            sql(sql_error::SCHEMA_NOT_READY, format!("schema '{}' has no shards", schema.name))
        })?;
        self.worker.backends.node(&shard.data_node)
    }
}
