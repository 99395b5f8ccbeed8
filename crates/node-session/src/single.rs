//! Routines, triggers and events: they live in the database of their schema's first shard, and statements
//! about them go there as they are, with the logical schema's name replaced by the database's. A schema
//! of mode single is that one database. In one of mode cluster they may use what is whole there, which
//! [`crate::programs`] looks at; events have no client that could be told, so it has none.

use crate::control::text;
use crate::permission;
use crate::programs::{self, Against};
use crate::query::Source;
use crate::session::Core;
use crate::show::{Row, field};
use base::sql_error;
use mysql_wire::packet::{ErrPacket, OkPacket};
use node_backend::query::QueryResult;
use node_exec::error::{ExecError, sql};
use node_exec::exec::Warning;
use node_exec::names::Names;
use node_exec::read_back::ReadBack;
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
const NO_EVENTS: &str = "events are supported in schemas of mode single only";

/// What a statement makes, changes or drops.
struct Object {
    kind: String,
    if_exists: bool,
    schema: Option<String>,
    name: String,
}

/// The object is named behind the first of these words, and behind IF EXISTS.
const KINDS: [&str; 5] = ["PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE"];

fn object_of(source: Source<'_>) -> Object {
    let words: Vec<&[u8]> =
        source.tokens.tokens().iter().map(|token| token.span().of(source.text)).collect();
    let is = |at: usize, word: &str| {
        words.get(at).is_some_and(|one| one.eq_ignore_ascii_case(word.as_bytes()))
    };
    let kind = (0..words.len()).find(|at| KINDS.iter().any(|kind| is(*at, kind)));
    let at = kind.unwrap_or_default() + 1;
    let at = at + usize::from(is(at - 1, "PACKAGE") && is(at, "BODY"));
    let conditional = is(at, "IF");
    let at = match (conditional, is(at + 1, "NOT")) {
        (false, _) => at,
        (true, false) => at + 2,
        (true, true) => at + 3,
    };
    let name = |at: usize| words.get(at).map(|word| text(&unquote_ident(word))).unwrap_or_default();
    let qualified = is(at + 1, ".");
    Object {
        kind: kind.map(|at| text(words[at])).unwrap_or_default(),
        if_exists: conditional,
        schema: qualified.then(|| name(at).to_lowercase()),
        name: name(if qualified { at + 2 } else { at }),
    }
}

/// What gives a schema's name to what a data node says of its first database.
fn home_tables(schema: &str) -> [PlanTable; 1] {
    [PlanTable {
        schema: schema.to_owned(),
        name: String::new(),
        alias: String::new(),
        physical_base: None,
        place: TablePlace::Fixed { shard: 0 },
    }]
}

impl Core {
    /// The chosen schema.
    fn home_schema(&self) -> Option<Schema> {
        let name = self.exec.identity.schema.as_ref()?;
        self.snapshot.schemas.get(name).filter(|schema| schema.ready).cloned()
    }

    /// Connections have the database of the current schema chosen while a plan runs that may call
    /// its stored functions; whether they have.
    pub(crate) fn enter_functions(&mut self, planned: &Planned) -> bool {
        if !planned.uses.other_functions || planned.uses.named_locks {
            return false;
        }
        let name = self.exec.identity.schema.as_ref();
        let schema = name.and_then(|name| self.snapshot.schemas.get(name));
        let Some(schema) = schema.filter(|one| one.ready) else { return false };
        let cluster = schema.mode == ShardMode::Cluster;
        if cluster && !(planned.uses.stored_functions && planned.is_at_first_shard(&schema.name)) {
            return false;
        }
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

    /// An error with the name of the current schema instead of its database's, which a statement
    /// without tables does not tell.
    pub(crate) fn error_of_functions(&self, inside: bool, error: ExecError) -> ExecError {
        let schema = self.exec.identity.schema.as_deref().filter(|_| inside);
        match schema {
            Some(schema) => node_exec::rows::logical(error, Names::of(&home_tables(schema))),
            None => error,
        }
    }

    /// The schema that a name belongs to.
    pub(crate) fn home_schema_of(
        &self,
        named: Option<Ident>,
        source: Source<'_>,
    ) -> Option<Schema> {
        let Some(named) = named else { return self.home_schema() };
        let name = text(&named.name(source.text)).to_lowercase();
        self.snapshot.schemas.get(&name).filter(|schema| schema.ready).cloned()
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
        let first = source.tokens.tokens().first().map(|token| token.span().of(source.text));
        let authority = match first.unwrap_or_default().to_ascii_uppercase().as_slice() {
            b"DROP" => Authority::Drop,
            b"ALTER" => Authority::Alter,
            _ => Authority::Create,
        };
        let named = object_of(source).schema;
        let schema = match &named {
            Some(named) => self.snapshot.schemas.get(named).filter(|one| one.ready).cloned(),
            None => self.home_schema(),
        };
        let drops = authority == Authority::Drop;
        let schema = match (schema, named) {
            (Some(schema), _) => schema,
            (None, Some(_)) if drops => return self.drop_of_nothing(source),
            (None, Some(named)) => {
                let message = format!("Unknown database '{named}'");
                return Err(sql(sql_error::UNKNOWN_DB, message));
            }
            (None, None) => return Err(sql(sql_error::NO_DB_SELECTED, "No database selected")),
        };
        if kind == OtherKind::Event && schema.mode == ShardMode::Cluster {
            return match drops {
                true => self.drop_of_nothing(source),
                false => Err(sql(sql_error::NOT_SUPPORTED, NO_EVENTS)),
            };
        }
        self.check_may(&schema, authority)?;
        self.check_program(&schema, source)?;
        self.commit().await?;
        self.pass_to_home(&schema, source).await?;
        Ok(true)
    }

    /// Whether a routine or trigger of this text can run in the schema's first shard.
    fn check_program(&self, schema: &Schema, source: Source<'_>) -> Result<(), ExecError> {
        let tokens = source.tokens.tokens();
        let refused = |why: String| Err(sql(sql_error::NOT_SUPPORTED, why));
        match programs::against(tokens, source.text, schema, &self.snapshot.schemas) {
            None => Ok(()),
            Some(Against::Database(name)) => {
                Err(permission::schema_denied(self.account()?, &self.host, &name).into())
            }
            Some(Against::Table(name)) => refused(format!(
                "a routine or trigger of a sharded schema with '{name}': it can use tables that are \
                 whole in the schema's first shard"
            )),
            Some(Against::Making(word)) => {
                refused(format!("{word} inside of a routine, trigger or event of this schema"))
            }
        }
    }

    /// DROP of what cannot have been made: it is not there.
    fn drop_of_nothing(&mut self, source: Source<'_>) -> Result<bool, ExecError> {
        let object = object_of(source);
        let (schema, name) = (object.schema, object.name);
        let kind = object.kind.to_ascii_uppercase();
        let event = kind == "EVENT";
        let schema = schema.or_else(|| self.exec.identity.schema.clone()).unwrap_or_default();
        let (number, message) = match kind.as_str() {
            "TRIGGER" => (1360, "Trigger does not exist".to_owned()),
            "EVENT" if object.if_exists => (1305, format!("Event {name} does not exist")),
            "EVENT" => (1539, format!("Unknown event '{name}'")),
            _ => (1305, format!("{kind} {schema}.{name} does not exist")),
        };
        if !object.if_exists {
            let state = if event || kind == "TRIGGER" { "HY000" } else { "42000" };
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
        let Some(schema) = self.home_schema_of(call.name.schema, source) else {
            let schema = match call.name.schema {
                Some(schema) => text(&schema.name(source.text)),
                None => self.schema_of(None, source)?.name.clone(),
            };
            let name = text(&call.name.name.name(source.text));
            let text = format!("PROCEDURE {schema}.{name} does not exist");
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
        let read_back = ReadBack { variables, insert_id: true, of_routine: true };
        self.exec.read_back = Some(Arc::new(read_back));
        let outcome = self.pass_to_home(&schema, source).await;
        let kept = node_exec::read_back::keep(&mut self.exec);
        outcome.and(kept)
    }

    /// SHOW of what lives beside tables; false where it is not asked here.
    pub async fn show_of_home(
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
        let Some(schema) = self.home_schema() else { return Ok(false) };
        // Lists of a schema of mode cluster are made of information_schema: beside its triggers are
        // those by which tables are moved.
        if listed && schema.mode == ShardMode::Cluster {
            return Ok(false);
        }
        self.check_may(&schema, Authority::Select)?;
        if !listed {
            self.pass_to_home(&schema, source).await?;
            return Ok(true);
        }
        let database = physical_database(&schema.name, 0);
        let statement = self.physical_text(&schema, source);
        let (columns, mut rows) = self.ask_home(&schema, &statement).await?;
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

    async fn pass_to_home(&mut self, schema: &Schema, source: Source<'_>) -> Result<(), ExecError> {
        let statement = self.physical_text(schema, source);
        let tables = home_tables(&schema.name);
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

    pub(crate) async fn ask_home(
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
