//! Statements that the session runs itself: transactions, USE, KILL, SET, SHOW and their kin. They
//! are told by their tree; everything else is planned.

use crate::processes::Kill;
use crate::query::Source;
use crate::session::Core;
use base::sql_error;
use mysql_wire::packet::OkPacket;
use node_exec::error::{ExecError, sql};
use node_exec::transaction::TransactionOptions;
use sql_syntax::ast::{
    Ident, IntoKind, Isolation, Kill as KillStatement, KillKind, OtherKind, Parsed, SetStmt,
    Statement, TransactionStmt, VarScope,
};
use sql_syntax::text::quote_ident;

/// An isolation level's words.
pub fn isolation_words(level: Isolation) -> &'static str {
    match level {
        Isolation::ReadUncommitted => "READ UNCOMMITTED",
        Isolation::ReadCommitted => "READ COMMITTED",
        Isolation::RepeatableRead => "REPEATABLE READ",
        Isolation::Serializable => "SERIALIZABLE",
    }
}

/// A statement that is refused, by name.
pub(crate) fn not_supported(what: &str) -> ExecError {
    sql(sql_error::NOT_SUPPORTED, format!("This version doesn't yet support '{what}'"))
}

impl Core {
    /// Whether [`Self::run_session_statement`] runs it.
    pub fn is_session_statement(statement: &Statement) -> bool {
        if let Statement::CreateTable(create) = statement {
            return !create.temporary && (create.query.is_some() || create.like.is_some());
        }
        !matches!(
            statement,
            Statement::Query(_)
                | Statement::Insert(_)
                | Statement::Update(_)
                | Statement::Delete(_)
                | Statement::Load(_)
                | Statement::CreateTable(_)
                | Statement::AlterTable(_)
                | Statement::DropTable(_)
                | Statement::Truncate(_)
                | Statement::RenameTable(_)
                | Statement::CreateIndex(_)
                | Statement::DropIndex(_)
                | Statement::CreateView(_)
                | Statement::DropView(_)
                | Statement::Recycle(_)
        )
    }

    /// Runs a statement that is the session's own; false for all others.
    pub async fn run_session_statement(
        &mut self,
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<bool, ExecError> {
        self.check_read_only_session(&parsed.stmt)?;
        match &parsed.stmt {
            Statement::Transaction(transaction) => {
                self.run_transaction(transaction, source).await?
            }
            Statement::Set(set) => self.run_set(set, source).await?,
            Statement::Use(name) => {
                let name = text(&name.name(source.text));
                self.use_schema(&name)?;
                self.reply_ok_packet(OkPacket::default());
            }
            Statement::Show(show) => {
                if !self.show_of_home(show, source).await? {
                    self.run_show(show, source).await?;
                }
            }
            Statement::Describe(describe) => self.run_describe(describe, source).await?,
            Statement::Explain(explain) => self.run_explain(explain, source).await?,
            Statement::Kill(kill) => self.run_kill(kill, source).await?,
            Statement::Query(query) => {
                refuse_file(query, self)?;
                return Box::pin(self.run_on_attributes(parsed, source)).await;
            }
            other if self.is_of_temporary(other, source.text) => {
                self.run_temporary(parsed, source).await?;
            }
            Statement::CreateTable(create) if Self::is_session_statement(&parsed.stmt) => {
                match create.like {
                    Some(like) => self.create_like(create, like, parsed, source).await?,
                    None => self.create_from_query(create, parsed, source).await?,
                }
            }
            Statement::AlterTable(alter) if self.kept.locks.is_some() => {
                return self.alter_under_locks(alter, parsed, source).await;
            }
            Statement::Do(_) => self.run_do(source).await?,
            Statement::LockTables(tables) => self.lock_tables(tables, parsed, source).await?,
            Statement::UnlockTables => {
                if self.kept.locks.is_some() {
                    self.track_locks(false, false);
                }
                self.unlock_tables().await?;
                self.exec.last.row_count = 0;
                self.reply_ok_packet(OkPacket::default());
            }
            Statement::Prepared(prepared) => {
                Box::pin(self.run_prepared_text(prepared, source)).await?;
            }
            Statement::Handler(handler) => self.run_handler(handler, parsed, source).await?,
            Statement::Database(database) => self.run_database(database, source)?,
            Statement::Account(account) => self.run_account(account, source).await?,
            Statement::Sequence(sequence) => self.run_sequence(sequence, source).await?,
            Statement::Maintain(maintain) => self.run_maintain(maintain, source).await?,
            Statement::Flush(flush) => self.run_flush(flush, source).await?,
            Statement::Call(call) => self.run_call(call, source).await?,
            Statement::Other(other) if other.kind == OtherKind::Diagnostics => {
                self.run_diagnostics(source).await?;
            }
            Statement::Other(other) if other.kind == OtherKind::Help => {
                self.pass_to_any(source).await?;
            }
            Statement::Other(other) => {
                if !self.run_object(other.kind, source).await? {
                    return Err(not_supported("this kind of statement"));
                }
            }
            Statement::Empty => self.reply_ok_packet(OkPacket::default()),
            other if Self::is_session_statement(other) => {
                return Err(not_supported("this kind of statement"));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    async fn run_transaction(
        &mut self,
        statement: &TransactionStmt,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        match statement {
            TransactionStmt::Begin { consistent_snapshot, read_only } => {
                self.commit().await?;
                self.unlock_tables().await?;
                let mut options = self.options_now();
                options.consistent_snapshot = *consistent_snapshot;
                options.read_only = read_only.unwrap_or(options.read_only);
                self.begin(options);
                if *consistent_snapshot {
                    Box::pin(self.exec().open_snapshot()).await?;
                }
                self.track_begin(*consistent_snapshot, *read_only);
            }
            TransactionStmt::Commit { chain, release } => {
                let options = self.options_of_chain();
                self.commit().await?;
                self.after_end(*chain, *release, options);
                self.track_end(*chain == Some(true));
            }
            TransactionStmt::Rollback { chain, release } => {
                let options = self.options_of_chain();
                if let Some(transaction) = self.exec.transaction.take() {
                    transaction.rollback().await;
                }
                self.after_end(*chain, *release, options);
                self.track_end(*chain == Some(true));
            }
            TransactionStmt::Savepoint(name) => {
                let name = quoted(*name, source.text);
                if self.exec.transaction.is_none() && !self.exec.autocommit {
                    let options = self.options_now();
                    self.begin(options);
                }
                // Without a transaction a savepoint ends with its own statement.
                if let Some(transaction) = &mut self.exec.transaction {
                    transaction.savepoint(&name).await?;
                }
            }
            TransactionStmt::RollbackTo(name) => {
                let name = quoted(*name, source.text);
                match &mut self.exec.transaction {
                    Some(transaction) => transaction.rollback_to(&name).await?,
                    None => return Err(no_savepoint(&name)),
                }
            }
            TransactionStmt::Release(name) => {
                let name = quoted(*name, source.text);
                match &mut self.exec.transaction {
                    Some(transaction) => transaction.release(&name).await?,
                    None => return Err(no_savepoint(&name)),
                }
            }
            TransactionStmt::Xa { .. } => {
                return Err(not_supported(
                    "XA statements; transactions over several data nodes are atomic as they are",
                ));
            }
        }
        self.exec.last.row_count = 0;
        self.reply_ok_packet(OkPacket::default());
        Ok(())
    }

    /// How the next transaction begins.
    fn options_now(&mut self) -> TransactionOptions {
        self.next_transaction.take().unwrap_or_else(|| self.exec.transaction_options.clone())
    }

    /// How a transaction begins that follows the open one with AND CHAIN: as that one did.
    fn options_of_chain(&mut self) -> TransactionOptions {
        let next = self.options_now();
        match &self.exec.transaction {
            Some(open) => open.options().clone(),
            None => next,
        }
    }

    /// Begins a transaction.
    pub(crate) fn begin(&mut self, options: TransactionOptions) {
        let distributed = self.exec().is_distributed();
        self.exec.transaction = Some(self.exec.new_transaction(distributed, options));
    }

    /// Commits what is open.
    pub async fn commit(&mut self) -> Result<(), ExecError> {
        match self.exec.transaction.take() {
            Some(transaction) => transaction.commit().await,
            None => Ok(()),
        }
    }

    fn after_end(
        &mut self,
        chain: Option<bool>,
        release: Option<bool>,
        options: TransactionOptions,
    ) {
        if chain == Some(true) {
            self.begin(options);
        }
        self.ending |= release == Some(true);
    }

    async fn run_kill(
        &mut self,
        kill: &KillStatement,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let what = match kill.kind {
            KillKind::Connection => Kill::Connection,
            KillKind::Query => Kill::Query,
            KillKind::Physical => return self.kill_physical(kill, source).await,
            KillKind::User => return self.kill_user(kill, source).await,
        };
        if let (None, Some(condition)) = (&kill.id, kill.target) {
            return self.kill_chosen(condition, what, source).await;
        }
        let id = match &kill.id {
            Some(id) => {
                let written = crate::user_variables::inlined(source, id.span);
                Box::pin(self.evaluate(&written)).await?
            }
            None => String::new(),
        };
        let id: u64 = id
            .parse()
            .map_err(|_| sql(sql_error::NO_SUCH_THREAD, format!("Unknown thread id: {id}")))?;
        self.kill(id, what).await?;
        self.reply_ok_packet(OkPacket::default());
        Ok(())
    }

    /// SET TRANSACTION.
    pub fn set_transaction(&mut self, set: &SetStmt) -> Result<(), ExecError> {
        let SetStmt::Transaction { scope, isolation, read_only } = set else {
            return Err(not_supported("this form of SET"));
        };
        let change = |options: &mut TransactionOptions| {
            if let Some(level) = isolation {
                options.isolation = Some(isolation_words(*level));
            }
            if let Some(read_only) = read_only {
                options.read_only = *read_only;
            }
        };
        match scope {
            VarScope::Default if self.exec.transaction.is_some() => {
                return Err(ExecError::Server(mysql_wire::packet::ErrPacket::new(
                    1568,
                    "25001",
                    "Transaction characteristics can't be changed while a transaction is in progress",
                )));
            }
            VarScope::Default => {
                let mut options = self
                    .next_transaction
                    .take()
                    .unwrap_or_else(|| self.exec.transaction_options.clone());
                change(&mut options);
                self.next_transaction = Some(options);
            }
            VarScope::Session => {
                change(&mut self.exec.transaction_options);
                if let Some(level) = isolation {
                    self.set_isolation(isolation_words(*level));
                }
            }
            VarScope::Global | VarScope::Persist | VarScope::PersistOnly => {
                return Err(global_denied());
            }
        }
        self.track_options(isolation.map(isolation_words), *read_only, *scope == VarScope::Default);
        self.reply_ok_packet(OkPacket::default());
        Ok(())
    }
}

/// SET GLOBAL and its kin.
pub fn global_denied() -> ExecError {
    sql(
        sql_error::SPECIFIC_ACCESS_DENIED,
        "Access denied; you need (at least one of) the SUPER privilege(s) for this operation; \
         instance parameters are changed through the API",
    )
}

fn no_savepoint(name: &str) -> ExecError {
    sql(
        sql_error::NO_SUCH_SAVEPOINT,
        format!("SAVEPOINT {} does not exist", name.trim_matches('`')),
    )
}

fn quoted(name: Ident, source: &[u8]) -> String {
    let mut out = Vec::new();
    quote_ident(&name.name(source), &mut out);
    text(&out)
}

/// SELECT … INTO a file of the server is refused as by a server whose user has no FILE right.
fn refuse_file(query: &sql_syntax::ast::Query, core: &Core) -> Result<(), ExecError> {
    match query.select_into().map(|into| &into.kind) {
        Some(IntoKind::Outfile | IntoKind::Dumpfile) => Err(sql(
            sql_error::ACCESS_DENIED,
            format!("Access denied for user '{}'@'{}' (using password: YES)", core.user, core.host),
        )),
        Some(IntoKind::Vars(_)) | None => Ok(()),
    }
}

/// Bytes as text for messages and names.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
