//! The life of one session: commands in, answers out, until either side ends it. While a command
//! runs the session listens for KILL and for a client that goes away, and ends then what runs on the
//! data nodes.

use crate::compression::{CompressedRead, CompressedWrite, Method, Numbers};
use crate::counts::SessionCounts;
use crate::encryption::Encryption;
use crate::handshake::{self, Credentials, LoggedIn};
use crate::kept::Kept;
use crate::processes::{Kill, SessionHandle};
use crate::query;
use crate::reader::{ClientReader, ReadError};
use crate::shared::STATEMENT_ERRORS;
use crate::slow_log::{Running, SLOW_QUERIES};
use crate::statement::Statements;
use crate::tracking::Tracking;
use crate::variables;
use crate::worker::Worker;
use base::sql_error;
use mysql_wire::attributes::query_text;
use mysql_wire::auth::{AuthPlugin, NONCE_LEN};
use mysql_wire::capability::Capabilities;
use mysql_wire::command::Command;
use mysql_wire::error::DecodeError;
use mysql_wire::handshake::ChangeUser;
use mysql_wire::packet::{EofPacket, ErrPacket, OkPacket};
use node_exec::active::Active;
use node_exec::buffers;
use node_exec::client::ClientWriter;
use node_exec::error::{ExecError, catalogue_packet, sql};
use node_exec::exec::{Exec, ExecSession, Identity, Last, ReplyForm};
use node_exec::touched::Touched;
use node_exec::transaction::TransactionOptions;
use sql_plan::template::Rendered;
use sql_syntax::{Digest, LexMode, TokenBuf};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;
use topology::account::Account;
use topology::model::Snapshot;

/// A killed statement that is not over within this is killed again: several may have been sent ahead
/// on one connection, and each is killed by itself.
const KILL_AGAIN: Duration = Duration::from_millis(100);
/// A data node that has not taken a KILL for so long does not hear: its statement is given up.
const KILL_HEARD_WITHIN: Duration = Duration::from_secs(5);
/// One that hears has so long to end what was killed: it takes back what the statement did.
const KILL_ENDS_WITHIN: Duration = Duration::from_secs(60);

/// A session that is killed gets so long to be told.
const GOODBYE: Duration = Duration::from_millis(500);

/// Memory for more tokens is given back after the statement.
const TOKENS_KEPT: usize = 256;

/// What a client sends of a message that was refused is read away for so long.
const SKIP_REST: Duration = Duration::from_secs(2);

/// One client's session.
#[derive(Debug)]
pub struct Session {
    reader: ClientReader,
    core: Core,
    command: Vec<u8>,
    compression: Option<Method>,
}

/// Everything of a session but its reading side.
#[derive(Debug)]
pub struct Core {
    /// The thread's state.
    pub worker: Rc<Worker>,
    /// The session as others see it.
    pub handle: Arc<SessionHandle>,
    /// The client.
    pub out: ClientWriter,
    /// What the executor keeps.
    pub exec: ExecSession,
    /// The definitions of the present statement.
    pub snapshot: Arc<Snapshot>,
    /// The account's name.
    pub user: String,
    /// The client's address.
    pub host: String,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// How it is, if it is.
    pub encryption: Option<Box<Encryption>>,
    /// What both sides can do.
    pub capabilities: Capabilities,
    /// Several statements in one text.
    pub multi_statements: bool,
    /// How text is read.
    pub lex: LexMode,
    /// NO_AUTO_VALUE_ON_ZERO is in sql_mode.
    pub zero_is_a_value: bool,
    /// Memory for tokens.
    pub tokens: TokenBuf,
    /// Memory for keys.
    pub digest: Digest,
    /// Prepared statements.
    pub statements: Statements,
    /// For the next transaction alone.
    pub next_transaction: Option<TransactionOptions>,
    /// How the present answer looks.
    pub form: ReplyForm,
    /// The session ends after this answer.
    pub ending: bool,
    /// The statement that runs.
    pub running: Option<Running>,
    /// What the session keeps besides.
    pub kept: Kept,
    /// The last value that the session took of each sequence.
    pub last_values: crate::sequence_values::LastValues,
    /// What SHOW STATUS counts.
    pub counts: SessionCounts,
    /// The nodes whose counts the present statement could not get, as a warning says it.
    pub uncounted_nodes: Option<String>,
    /// What changed of the session that the client is to be told.
    pub tracking: Tracking,
    /// The nonce with which COM_CHANGE_USER is answered at once; none where the client is asked.
    nonce: Option<[u8; NONCE_LEN]>,
}

/// How a command ended.
enum After {
    Next,
    Close,
}

impl Session {
    /// A session of a client that is logged in.
    pub fn new(
        worker: Rc<Worker>,
        handle: Arc<SessionHandle>,
        client: LoggedIn,
        host: String,
    ) -> Self {
        let shared = worker.shared.clone();
        let snapshot = worker
            .snapshot()
            .or_else(|| shared.snapshot())
            .expect("nobody logs in without a snapshot");
        let in_flight = shared.clone();
        handle.set_user(&client.user);
        handle.set_attributes(&client.attributes);
        handle.set_schema(client.schema.as_deref());
        let identity = Identity {
            user: client.user.clone(),
            host: host.clone(),
            connection_id: handle.id,
            schema: client.schema,
            version: handshake::data_node_version(Some(&snapshot)).to_owned(),
            port: worker.port_of(handle.id),
            machine: worker.machine.clone(),
            node_number: shared.processes.number(),
        };
        let exec = ExecSession {
            state: worker
                .same_state(variables::state_of_collation(&snapshot, client.collation.into())),
            found_rows: client.capabilities.contains(Capabilities::FOUND_ROWS),
            autocommit: true,
            no_backslash_escapes: false,
            ansi_quotes: false,
            transaction_options: TransactionOptions::default(),
            transaction: None,
            active: Active::default(),
            ticket: None,
            last: Last::default(),
            outrun: None,
            identity,
            spread: shared.spread.clone(),
            gtrids: Rc::new(move || {
                let gtrid = in_flight.new_gtrid();
                let guard = in_flight.in_flight.enter(&gtrid);
                (gtrid, guard)
            }),
            rendered: Rendered::default(),
            touched: Touched::default(),
            trace: None,
            reads: Default::default(),
            own_writes: Default::default(),
            wants_database: false,
            keeps_warnings: false,
            own: Default::default(),
            tables_locked: false,
            read_back: None,
            assigned: Vec::new(),
            upload: Default::default(),
            idle_timeouts: Default::default(),
            consistent_reads: None,
            marks: shared.in_flight.marks().clone(),
        };
        let lex = variables::lex_mode(&snapshot);
        let mut core = Core {
            worker,
            handle,
            out: client.writer,
            exec,
            snapshot,
            user: client.user,
            host,
            tls: client.tls,
            encryption: client.encryption,
            capabilities: client.capabilities,
            multi_statements: client.capabilities.contains(Capabilities::MULTI_STATEMENTS),
            lex,
            zero_is_a_value: false,
            tokens: TokenBuf::new(),
            digest: Digest::default(),
            statements: Statements::default(),
            next_transaction: None,
            form: ReplyForm::default(),
            ending: false,
            running: None,
            kept: Kept::default(),
            last_values: Default::default(),
            counts: SessionCounts::default(),
            uncounted_nodes: None,
            tracking: Tracking::default(),
            nonce: client.nonce,
        };
        if core.exec.identity.schema.is_some() {
            core.track_schema();
        }
        let (reader, compression) = (client.reader, client.compression);
        Self { reader, core, command: Vec::new(), compression }
    }

    /// Serves the client until it or we end.
    pub async fn run(mut self) {
        self.core.reply_ok_packet(OkPacket::default());
        if self.core.out.flush().await.is_err() || self.begin_compression().is_err() {
            return;
        }
        while let After::Next = self.next_command().await {}
        if let Some(transaction) = self.core.exec.transaction.take() {
            Box::pin(transaction.rollback()).await;
        }
        Box::pin(self.core.forget_kept()).await;
        Box::pin(tokio::time::timeout(GOODBYE, self.core.out.shutdown())).await.ok();
    }

    /// From the first command on both directions are compressed, if so agreed.
    fn begin_compression(&mut self) -> Result<(), ReadError> {
        let Some(method) = self.compression else { return Ok(()) };
        let numbers = Numbers::default();
        self.reader.unfold_with(|io| Box::new(CompressedRead::new(io, method, numbers.clone())))?;
        self.core.out.wrap_io(|io| Box::new(CompressedWrite::new(io, method, numbers)));
        Ok(())
    }

    async fn next_command(&mut self) -> After {
        let Self { reader, core, command, .. } = self;
        let worker = core.worker.clone();
        let max = || worker.settings().packet_bytes_max;
        let read = tokio::select! {
            biased;
            read = reader.next(Some(0), max, command) => read,
            _ = core.handle.wait_for_session_kill() => return After::Close,
        };
        match read {
            Ok(sequence) => core.out.begin_answer(sequence),
            Err(error) => return Box::pin(self.read_failed(error)).await,
        }
        let after = self.run_command().await;
        let Self { core, command, .. } = self;
        core.statement_cut_off();
        core.after_statement();
        core.handle.in_transaction.store(core.exec.transaction.is_some(), Ordering::Relaxed);
        let flushed = core.out.flush().await;
        core.count_bytes(command.len());
        core.handle.end();
        core.handle.clear_query_kill();
        core.trim();
        buffers::trim(command);
        if flushed.is_err() || core.ending || core.handle.killed() == Kill::Connection {
            return After::Close;
        }
        after
    }

    /// What could not be read: told where a client can still understand it.
    async fn read_failed(&mut self, error: ReadError) -> After {
        let told = match &error {
            ReadError::Decode(DecodeError::TooLarge { .. }) => Some((
                sql_error::PACKET_TOO_LARGE,
                "Got a packet bigger than 'max_allowed_packet' bytes",
            )),
            ReadError::Decode(_) => {
                Some((sql_error::PACKETS_OUT_OF_ORDER, "Got packets out of order"))
            }
            ReadError::Closed | ReadError::Io(_) => None,
        };
        if let Some((code, message)) = told {
            self.core.out.begin_answer(1);
            self.core.out.put_err(&catalogue_packet(code, message));
            tokio::time::timeout(GOODBYE, self.core.out.flush()).await.ok();
            // A client that is still sending reads the error afterwards; it would be lost if the
            // socket were closed with something unread in it.
            self.core.out.shutdown().await;
            tokio::time::timeout(SKIP_REST, self.reader.discard()).await.ok();
        }
        After::Close
    }

    /// Runs a command and listens meanwhile for its end from outside.
    async fn run_command(&mut self) -> After {
        let Self { reader, core, command, .. } = self;
        if command.first() == Some(&(mysql_wire::command::CommandCode::ChangeUser as u8)) {
            return Box::pin(core.change_user(reader, &command[1..])).await;
        }
        let handle = core.handle.clone();
        let active = core.exec.active.clone();
        let upload = core.exec.upload.clone();
        let killed = {
            let mut work = pin!(core.dispatch(command));
            let mut gone = pin!(reader.watch(&upload));
            let mut told: Option<Told> = None;
            loop {
                tokio::select! {
                    biased;
                    after = &mut work => return after,
                    kill = handle.wait_for_kill(), if told.is_none() => {
                        let now = Instant::now();
                        told = Some(Told { kill, since: now, heard: now });
                        Box::pin(active.kill_all()).await;
                        if kill == Kill::Connection {
                            return After::Close;
                        }
                    }
                    () = a_while(), if told.is_some() => {
                        let told = told.as_mut().expect("looked at above");
                        if Box::pin(active.kill_all()).await {
                            told.heard = Instant::now();
                        }
                        if told.is_in_vain() {
                            break told.kill;
                        }
                    }
                    () = handle.session_kill(), if told.is_some() => {
                        Box::pin(active.kill_all()).await;
                        return After::Close;
                    }
                    () = &mut gone => {
                        Box::pin(active.kill_all()).await;
                        return After::Close;
                    }
                }
            }
        };
        core.give_up(killed);
        After::Close
    }
}

/// A packet whose fields do not fit.
pub fn malformed() -> ExecError {
    ExecError::Server(ErrPacket::new(1835, "HY000", "Malformed communication packet"))
}

/// A running statement's KILL, passed on to the data nodes.
struct Told {
    kill: Kill,
    since: Instant,
    /// When all data nodes took it last.
    heard: Instant,
}

impl Told {
    fn is_in_vain(&self) -> bool {
        self.heard.elapsed() > KILL_HEARD_WITHIN || self.since.elapsed() > KILL_ENDS_WITHIN
    }
}

/// A timer that costs nothing before it is awaited.
async fn a_while() {
    tokio::time::sleep(KILL_AGAIN).await;
}

impl Core {
    /// What a long statement left in the session's memory goes; that of short ones is used again.
    fn trim(&mut self) {
        buffers::trim(&mut self.exec.rendered.text);
        buffers::trim(&mut self.exec.rendered.params);
        buffers::trim(&mut self.digest.key);
        if self.tokens.tokens().len() > TOKENS_KEPT {
            self.tokens = TokenBuf::new();
        }
    }

    async fn dispatch(&mut self, command: &[u8]) -> After {
        let parsed = match Command::parse(command) {
            Ok(parsed) => parsed,
            Err(_) => {
                self.put_error(&malformed());
                return After::Next;
            }
        };
        if let Command::Quit = parsed {
            return After::Close;
        }
        if self.worker.shared.is_draining() && self.exec.transaction.is_none() {
            self.put_error(&sql(sql_error::SERVER_SHUTDOWN, "Server shutdown in progress"));
            return After::Close;
        }
        self.follow_snapshot();
        self.form = ReplyForm::default();
        let result = self.run_parsed(parsed).await;
        match result {
            Ok(()) => After::Next,
            Err(ExecError::Client(_)) => After::Close,
            Err(error @ ExecError::BrokenOff(_)) => {
                self.put_error(&error);
                After::Close
            }
            Err(error) => {
                let error = self.told_of_end(error).await;
                self.put_error(&error);
                After::Next
            }
        }
    }

    /// Looks whether there is a newer snapshot; costs one atomic load when there is none.
    pub fn follow_snapshot(&mut self) {
        if self.snapshot.version != self.worker.shared.version()
            && let Some(snapshot) = self.worker.snapshot()
        {
            self.see_snapshot(snapshot);
        }
    }

    async fn run_parsed(&mut self, command: Command<'_>) -> Result<(), ExecError> {
        self.count_command(&command);
        match command {
            Command::Query(text) => {
                let text = match self.has_attributes() {
                    true => query_text(text).map_err(|_| malformed())?,
                    false => text,
                };
                let text = self.utf8_text(text).await?;
                let started = self.handle.begin(&text);
                query::run_text(self, &text, started).await
            }
            Command::StmtPrepare(text) => {
                let text = self.utf8_text(text).await?;
                self.handle.begin(&text);
                Box::pin(self.prepare(&text)).await
            }
            Command::StmtExecute(execute) => self.execute(execute).await,
            Command::StmtBulkExecute(bulk) => Box::pin(self.execute_bulk(bulk)).await,
            Command::StmtSendLongData { statement_id, param, data } => {
                let bytes_max = self.worker.settings().packet_bytes_max;
                self.statements.append_long_data(statement_id, param, data, bytes_max);
                Ok(())
            }
            Command::StmtClose(id) => {
                self.statements.close(id);
                Ok(())
            }
            Command::StmtReset(id) => self.reset_statement(id),
            Command::StmtFetch { statement_id, rows } => {
                Box::pin(self.fetch(statement_id, rows)).await
            }
            Command::Ping => {
                self.reply_ok_packet(OkPacket::default());
                Ok(())
            }
            Command::InitDb(name) => {
                let name = self.utf8_text(name).await?;
                let name = String::from_utf8_lossy(&name).into_owned();
                self.use_schema(&name)?;
                self.reply_ok_packet(OkPacket::default());
                Ok(())
            }
            Command::Statistics => {
                let text = self.statistics();
                self.out.put(text.as_bytes());
                Ok(())
            }
            Command::FieldList { table, wildcard } => {
                Box::pin(self.field_list(table, wildcard)).await
            }
            Command::ResetConnection => {
                Box::pin(self.reset()).await;
                self.reply_ok_packet(OkPacket::default());
                Ok(())
            }
            Command::SetOption(option) => self.set_option(option),
            Command::ProcessKill(id) => {
                Box::pin(self.kill(u64::from(id), Kill::Connection)).await?;
                self.reply_ok_packet(OkPacket::default());
                Ok(())
            }
            Command::ProcessInfo => Box::pin(self.show_process_list(false)).await,
            Command::Quit | Command::ChangeUser(_) => Ok(()),
            Command::Refresh(bits) => Box::pin(self.refresh(bits)).await,
            Command::Debug => self.debug(),
            Command::Shutdown | Command::Unknown(_) => {
                Err(sql(sql_error::UNKNOWN_COMMAND, "Unknown command"))
            }
        }
    }

    /// Whether statements come with query attributes.
    pub fn has_attributes(&self) -> bool {
        self.capabilities.contains(Capabilities::QUERY_ATTRIBUTES)
    }

    /// Tells the client an error and keeps it for SHOW WARNINGS.
    pub fn put_error(&mut self, error: &ExecError) {
        STATEMENT_ERRORS.increment();
        let packet = error.packet();
        self.track_failed();
        self.exec.note_error(&packet);
        self.out.put_err(&packet);
    }

    /// Answers OK with the session's flags.
    pub fn reply_ok_packet(&mut self, mut ok: OkPacket) {
        ok.status = self.exec.status(self.form.more);
        ok.session_track = self.take_tracked();
        self.out.put_ok(&ok);
    }

    /// The account as the snapshot has it now.
    pub fn account(&self) -> Result<&Account, ExecError> {
        self.snapshot.accounts.get(&self.user).ok_or_else(|| {
            sql(
                sql_error::ACCESS_DENIED,
                format!(
                    "Access denied for user '{}'@'{}': the account was deleted",
                    self.user, self.host
                ),
            )
        })
    }

    /// Chooses a schema.
    pub fn use_schema(&mut self, name: &str) -> Result<(), ExecError> {
        let schema =
            handshake::choose_schema(Some(&self.snapshot), self.account()?, &self.host, name)?;
        self.handle.set_schema(Some(&schema));
        self.exec.identity.schema = Some(schema);
        self.track_schema();
        Ok(())
    }

    /// The executor's view of this session.
    pub fn exec(&mut self) -> Exec<'_> {
        Exec {
            backends: &self.worker.backends,
            snapshot: &self.snapshot,
            settings: self.worker.settings(),
            sequences: &self.worker.shared.sequences,
            control: &self.worker.shared.control,
            session: &mut self.exec,
            out: &mut self.out,
            form: self.form,
        }
    }

    fn set_option(&mut self, option: u16) -> Result<(), ExecError> {
        match option {
            0 => self.multi_statements = true,
            1 => self.multi_statements = false,
            _ => return Err(sql(sql_error::UNKNOWN_COMMAND, "Unknown command")),
        }
        let status = self.exec.status(false);
        self.out.put_rows_end(&EofPacket { warnings: 0, status });
        Ok(())
    }

    fn statistics(&self) -> String {
        let (connections, statements) = self.worker.shared.load();
        let uptime = self.worker.shared.started.elapsed().as_secs();
        let average = statements as f64 / uptime.max(1) as f64;
        let slow = SLOW_QUERIES.get();
        format!(
            "Uptime: {uptime}  Threads: {connections}  Questions: {statements}  Slow queries: {slow}  Opens: 0  \
             Open tables: 0  Queries per second avg: {average:.3}"
        )
    }

    /// COM_RESET_CONNECTION: everything but the login and the schema is as in the beginning.
    pub async fn reset(&mut self) {
        if let Some(transaction) = self.exec.transaction.take() {
            transaction.rollback().await;
        }
        self.forget_kept().await;
        self.exec.state = self.worker.same_state(variables::first_state(&self.snapshot));
        self.exec.autocommit = true;
        self.exec.no_backslash_escapes = false;
        self.exec.ansi_quotes = false;
        self.exec.transaction_options = TransactionOptions::default();
        self.exec.last = Last::default();
        self.set_idle_timeouts(Default::default());
        self.exec.consistent_reads = None;
        self.next_transaction = None;
        self.last_values.clear();
        self.zero_is_a_value = false;
        self.lex = variables::lex_mode(&self.snapshot);
        self.statements = Statements::default();
        self.tracking = Tracking::default();
        self.counts.clear();
    }

    async fn change_user(&mut self, reader: &mut ClientReader, body: &[u8]) -> After {
        self.reset().await;
        let Ok(change) = ChangeUser::decode(body, self.capabilities) else {
            self.put_error(&sql(sql_error::HANDSHAKE_ERROR, "Bad handshake"));
            return After::Close;
        };
        let user = String::from_utf8_lossy(&change.username).into_owned();
        // As on a server, the proof is made with the greeting's nonce: some clients make it with
        // that one even when they are asked anew. One that had to be asked is asked again.
        let other = match AuthPlugin::from_name(&change.auth_plugin) {
            Some(AuthPlugin::CachingSha2Password) => AuthPlugin::CachingSha2Password,
            _ => AuthPlugin::NativePassword,
        };
        let (nonce, response, plugin) = match self.nonce {
            Some(nonce) => (nonce, change.auth_response, change.auth_plugin),
            None => (handshake::new_nonce(), Vec::new(), b"ask-again".to_vec()),
        };
        let asked = Credentials { user: user.clone(), response, plugin, can_switch: true, other };
        let shared = self.worker.shared.clone();
        let checked =
            handshake::check(reader, &mut self.out, &shared, &nonce, asked, self.tls, &self.host)
                .await;
        let chosen = match checked {
            Err(_) => return After::Close,
            Ok(checked) => checked.and_then(|account| {
                handshake::check_collation(change.collation)?;
                if change.database.is_empty() {
                    return Ok((account, None));
                }
                let name = String::from_utf8_lossy(&change.database);
                handshake::choose_schema(shared.snapshot().as_deref(), &account, &self.host, &name)
                    .map(|schema| (account, Some(schema)))
            }),
        };
        match chosen {
            Ok((_, schema)) => {
                self.user.clone_from(&user);
                self.handle.set_user(&user);
                self.handle.set_attributes(&change.connect_attrs);
                self.handle.set_schema(schema.as_deref());
                self.exec.identity.user = user;
                self.exec.identity.schema = schema;
                if self.exec.identity.schema.is_some() {
                    self.track_schema();
                }
                let state = variables::state_of_collation(&self.snapshot, change.collation);
                self.exec.state = self.worker.same_state(state);
                self.reply_ok_packet(OkPacket::default());
                After::Next
            }
            Err(error) => {
                self.put_error(&ExecError::Sql(error));
                After::Close
            }
        }
    }
}
