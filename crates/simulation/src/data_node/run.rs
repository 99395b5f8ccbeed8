//! What statements of one connection do: transactions, XA, rows under locks.

use super::DataNode;
use super::connection::Answer;
use super::statement::{Row, Statement, columns};
use super::store::{Key, Locked, Store, TransactionId};
use mysql_wire::StatusFlags;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// `innodb_lock_wait_timeout` of a session that sets none.
const LOCK_WAIT: Duration = Duration::from_secs(4);

/// One connection's session.
pub(super) struct Session {
    node: DataNode,
    thread: u32,
    transaction: Option<TransactionId>,
    branch: Option<Branch>,
    autocommit: bool,
    lock_wait: Duration,
}

/// The XA branch of a connection.
struct Branch {
    xid: String,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Active,
    Idle,
    Prepared,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.node.disconnected(self.thread);
    }
}

fn unknown_xid() -> Answer {
    Answer::err(1397, "XAER_NOTA: Unknown XID")
}

/// What is left of a branch that a deadlock has rolled back.
fn rolled_back() -> Answer {
    Answer::err(1614, "XA_RBDEADLOCK: Transaction branch was rolled back: deadlock was detected")
}

fn wrong_state() -> Answer {
    Answer::err(1399, "XAER_RMFAIL: The command cannot be executed in this state")
}

impl Session {
    pub(super) fn new(node: DataNode, thread: u32) -> Self {
        Self {
            node,
            thread,
            transaction: None,
            branch: None,
            autocommit: true,
            lock_wait: LOCK_WAIT,
        }
    }

    pub(super) fn thread(&self) -> u32 {
        self.thread
    }

    /// Whether it has a branch that is prepared.
    pub(super) fn is_prepared(&self) -> bool {
        self.branch.as_ref().is_some_and(|branch| branch.state == State::Prepared)
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.node.now_ms()
    }

    pub(super) fn note(&self, what: &str) {
        self.node.0.world.trace().note(&format!("{}/{} {what}", self.node.0.port, self.thread));
    }

    pub(super) fn status(&self) -> StatusFlags {
        let mut status = StatusFlags::default();
        status.set(StatusFlags::AUTOCOMMIT, self.autocommit);
        status.set(StatusFlags::IN_TRANS, self.transaction.is_some() || self.branch.is_some());
        status
    }

    pub(super) fn reset(&mut self) {
        self.end(false);
        self.node.with(|store| store.disconnect(self.thread));
        self.node.0.changed.notify_waiters();
        self.branch = None;
        self.autocommit = true;
        self.lock_wait = LOCK_WAIT;
    }

    /// Ends the open transaction, if there is one.
    fn end(&mut self, commit: bool) {
        if let Some(transaction) = self.transaction.take() {
            self.node.with(|store| match commit {
                true => store.commit(transaction),
                false => store.roll_back(transaction),
            });
            self.node.0.changed.notify_waiters();
        }
    }

    pub(super) async fn run(&mut self, statement: Statement) -> Answer {
        match statement {
            Statement::XaStart(_)
            | Statement::XaEnd(_)
            | Statement::XaPrepare(_)
            | Statement::XaCommit { .. }
            | Statement::XaRollback(_)
            | Statement::XaRecover => self.run_xa(statement),
            _ if self.is_prepared() => wrong_state(),
            Statement::WriteLog => {
                self.node.with(Store::write_log);
                Answer::ok()
            }
            Statement::Insert { table, rows, ignore, replace } => {
                self.writing(&table, async |session, transaction| {
                    session.insert(transaction, &table, &rows, ignore, replace).await
                })
                .await
            }
            Statement::Add { ref table, .. } | Statement::Delete { ref table, .. } => {
                self.writing(table, async |session, transaction| {
                    session.change(transaction, &statement).await
                })
                .await
            }
            Statement::LockTable(table) => self.lock_table(&table).await,
            other => self.run_simple(other),
        }
    }

    fn run_simple(&mut self, statement: Statement) -> Answer {
        match statement {
            Statement::SetAutocommit(on) => {
                if on {
                    self.end(true);
                }
                self.autocommit = on;
            }
            Statement::SetLockWait(seconds) => self.lock_wait = Duration::from_secs(seconds),
            Statement::Begin { snapshot } => {
                if self.branch.is_some() {
                    return wrong_state();
                }
                self.end(true);
                let thread = self.thread;
                self.transaction = Some(self.node.with(|store| store.begin(thread, snapshot)));
            }
            Statement::Commit | Statement::Rollback if self.branch.is_some() => {
                return wrong_state();
            }
            Statement::Commit => self.end(true),
            Statement::Rollback => self.end(false),
            Statement::Savepoint(name) => {
                if let Some(transaction) = self.transaction {
                    self.node.with(|store| store.save(transaction, &name));
                }
            }
            Statement::RollbackTo(name) => return self.end_savepoint(&name, true),
            Statement::Release(name) => return self.end_savepoint(&name, false),
            Statement::Create(table) => {
                table.into_iter().for_each(|table| self.node.with(|store| store.create(&table)));
            }
            Statement::Kill { thread, connection } => {
                if !self.node.kill(thread, connection) {
                    return Answer::err(1094, "Unknown thread id");
                }
            }
            Statement::UnlockTables => {
                self.node.with(|store| store.unlock_tables(self.thread));
                self.node.0.changed.notify_waiters();
            }
            reading => return self.read(reading),
        }
        Answer::ok()
    }

    fn end_savepoint(&mut self, name: &str, back: bool) -> Answer {
        let transaction = self.transaction.unwrap_or_default();
        match self.node.with(|store| store.end_savepoint(transaction, name, back)) {
            true => Answer::ok(),
            false => Answer::err(1305, &format!("SAVEPOINT {name} does not exist")),
        }
    }

    fn read(&self, statement: Statement) -> Answer {
        let missing = |table: &str| !self.node.with(|store| store.has_table(table));
        let answer = |table: &str, wanted: &[usize], rows: Vec<Row>| Answer::Rows {
            columns: wanted.iter().map(|at| columns(table)[*at]).collect(),
            rows: rows
                .iter()
                .map(|row| wanted.iter().map(|at| row[*at].clone()).collect())
                .collect(),
        };
        match statement {
            Statement::Select { table, .. } | Statement::SelectOld { table, .. }
                if missing(&table) =>
            {
                Answer::err(1146, &format!("Table '{table}' doesn't exist"))
            }
            Statement::Select { table, key: Some(key), uncommitted: true, .. } => {
                let there = self.node.with(|store| store.is_there_uncommitted(&(table, key)));
                let rows = if there { vec![vec!["1".to_owned()]] } else { Vec::new() };
                Answer::Rows { columns: vec!["1"], rows }
            }
            // Asked whether it is there.
            Statement::Select { uncommitted: true, .. } => {
                Answer::Rows { columns: vec!["1"], rows: Vec::new() }
            }
            Statement::Select { table, columns, key, .. } => {
                let mut rows = self.node.with(|store| store.read(self.transaction, &table));
                rows.retain(|row| key.as_ref().is_none_or(|key| row[0] == *key));
                answer(&table, &columns, rows)
            }
            Statement::SelectOld { table, columns, hours } => {
                let before = self.node.now_ms().saturating_sub(hours * 3_600_000);
                let mut rows = self.node.with(|store| store.read(self.transaction, &table));
                let made = |row: &Row| row.last().and_then(|made| made.parse().ok()).unwrap_or(0);
                rows.retain(|row| made(row) < before);
                answer(&table, &columns, rows)
            }
            Statement::Answer(values) => {
                let (columns, row) = values.into_iter().unzip();
                Answer::Rows { columns, rows: vec![row] }
            }
            Statement::ShowWarnings => {
                Answer::Rows { columns: vec!["Level", "Code", "Message"], rows: Vec::new() }
            }
            Statement::Holders { waiting } => {
                let holders = self.node.with(|store| store.holders(waiting));
                let rows = holders.iter().map(|thread| vec![thread.to_string()]).collect();
                Answer::Rows { columns: vec!["trx_mysql_thread_id"], rows }
            }
            _ => Answer::ok(),
        }
    }

    /// Runs a write in the open transaction, or in one of its own; after an error nothing of the
    /// statement is left.
    async fn writing(
        &mut self,
        table: &str,
        write: impl AsyncFnOnce(&mut Self, TransactionId) -> Result<Answer, Answer>,
    ) -> Answer {
        if self.branch.as_ref().is_some_and(|branch| branch.state != State::Active) {
            return wrong_state();
        }
        if !self.node.with(|store| store.has_table(table)) {
            return Answer::err(1146, &format!("Table '{table}' doesn't exist"));
        }
        if self.branch.is_some() && self.transaction.is_none() {
            return rolled_back();
        }
        let thread = self.thread;
        let alone = self.transaction.is_none() && self.autocommit;
        let transaction = *self
            .transaction
            .get_or_insert_with(|| self.node.with(|store| store.begin(thread, false)));
        const STATEMENT: &str = "(statement)";
        self.node.with(|store| store.save(transaction, STATEMENT));
        let done = write(self, transaction).await;
        let failed = done.is_err();
        self.node.with(|store| {
            if failed {
                store.end_savepoint(transaction, STATEMENT, true);
            }
            store.end_savepoint(transaction, STATEMENT, false)
        });
        let answer = done.unwrap_or_else(|error| error);
        // A deadlock ends the whole transaction; a branch of XA can only be rolled back then.
        let is_over = matches!(answer, Answer::Err { number: 1213, .. });
        if is_over || alone {
            self.end(!failed);
        }
        answer
    }

    async fn insert(
        &mut self,
        transaction: TransactionId,
        table: &str,
        rows: &[Row],
        ignore: bool,
        replace: bool,
    ) -> Result<Answer, Answer> {
        let mut affected = 0;
        for row in rows {
            let key = (table.to_owned(), row[0].clone());
            self.lock(transaction, &key).await?;
            let there = self.node.with(|store| store.current(Some(transaction), &key).is_some());
            if there && ignore {
                continue;
            }
            if there && !replace {
                let text = format!("Duplicate entry '{}' for key 'PRIMARY'", row[0]);
                return Err(Answer::err(1062, &text));
            }
            self.node.with(|store| store.write(transaction, key, Some(row.clone())));
            affected += 1;
        }
        let warnings = u16::try_from(rows.len() as u64 - affected).unwrap_or_default();
        Ok(Answer::Ok { affected, warnings })
    }

    async fn change(
        &mut self,
        transaction: TransactionId,
        statement: &Statement,
    ) -> Result<Answer, Answer> {
        let (Statement::Add { table, key, .. } | Statement::Delete { table, key }) = statement
        else {
            return Ok(Answer::ok());
        };
        let key = (table.clone(), key.clone());
        self.lock(transaction, &key).await?;
        let Some(mut row) = self.node.with(|store| store.current(Some(transaction), &key)) else {
            return Ok(Answer::ok());
        };
        let changed = match statement {
            Statement::Add { amount, mark, .. } => {
                let balance: i64 = row[1].parse().unwrap_or_default();
                row[1] = (balance + amount).to_string();
                row[2].clone_from(mark);
                Some(row)
            }
            _ => None,
        };
        self.node.with(|store| store.write(transaction, key, changed));
        Ok(Answer::Ok { affected: 1, warnings: 0 })
    }

    /// Waits for a row's lock.
    async fn lock(&self, transaction: TransactionId, key: &Key) -> Result<(), Answer> {
        let until = Instant::now() + self.lock_wait;
        loop {
            let changed = self.node.0.changed.notified();
            match self.node.with(|store| store.lock(transaction, key)) {
                Locked::Yes => return Ok(()),
                Locked::Deadlock => {
                    return Err(Answer::err(1213, "Deadlock found when trying to get lock"));
                }
                Locked::Wait => {}
            }
            let waited = timeout_at(until, changed).await;
            if self.node.0.killed_queries.borrow_mut().remove(&self.thread) {
                self.node.with(|store| store.give_up_waiting(transaction));
                return Err(Answer::err(1317, "Query execution was interrupted"));
            }
            if waited.is_err() {
                self.node.with(|store| store.give_up_waiting(transaction));
                return Err(Answer::err(1205, "Lock wait timeout exceeded"));
            }
        }
    }

    async fn lock_table(&mut self, table: &str) -> Answer {
        if !self.node.with(|store| store.has_table(table)) {
            return Answer::err(1146, &format!("Table '{table}' doesn't exist"));
        }
        let until = Instant::now() + Duration::from_secs(1);
        loop {
            let changed = self.node.0.changed.notified();
            if self.node.with(|store| store.lock_table(table, self.thread)) {
                return Answer::ok();
            }
            if timeout_at(until, changed).await.is_err() {
                return Answer::err(1205, "Lock wait timeout exceeded");
            }
        }
    }

    fn run_xa(&mut self, statement: Statement) -> Answer {
        let own = |xid: &str| self.branch.as_ref().filter(|branch| branch.xid == xid);
        match statement {
            Statement::XaRecover => self.recover(),
            Statement::XaStart(xid) => self.start_branch(xid),
            Statement::XaEnd(xid) => match own(&xid).map(|branch| branch.state) {
                Some(State::Active) => {
                    self.move_branch(State::Idle);
                    if self.transaction.is_some() { Answer::ok() } else { rolled_back() }
                }
                Some(_) => wrong_state(),
                None => unknown_xid(),
            },
            Statement::XaPrepare(xid) => match own(&xid).map(|branch| branch.state) {
                Some(State::Idle) => {
                    let Some(transaction) = self.transaction.take() else {
                        self.branch = None;
                        return rolled_back();
                    };
                    self.node.with(|store| store.prepare(transaction, &xid));
                    self.move_branch(State::Prepared);
                    Answer::ok()
                }
                Some(_) => wrong_state(),
                None => unknown_xid(),
            },
            Statement::XaCommit { xid, one_phase: true } => {
                match own(&xid).map(|branch| branch.state) {
                    Some(State::Idle) => {
                        self.branch = None;
                        let Some(transaction) = self.transaction.take() else {
                            return rolled_back();
                        };
                        self.node.with(|store| store.commit_one_phase(transaction, &xid));
                        self.node.0.changed.notify_waiters();
                        Answer::ok()
                    }
                    Some(_) => wrong_state(),
                    None => unknown_xid(),
                }
            }
            Statement::XaCommit { xid, .. } => match own(&xid).map(|branch| branch.state) {
                Some(State::Active | State::Idle) => wrong_state(),
                _ => self.finish_branch(&xid, true),
            },
            Statement::XaRollback(xid) => match own(&xid).map(|branch| branch.state) {
                Some(State::Active) if self.transaction.is_some() => wrong_state(),
                Some(State::Active | State::Idle) => {
                    self.branch = None;
                    self.end(false);
                    Answer::ok()
                }
                _ => self.finish_branch(&xid, false),
            },
            _ => Answer::ok(),
        }
    }

    fn start_branch(&mut self, xid: String) -> Answer {
        if self.branch.is_some() || self.transaction.is_some() {
            return wrong_state();
        }
        if self.node.with(|store| store.is_prepared(&xid)) {
            return Answer::err(1440, "XAER_DUPID: The XID already exists");
        }
        let thread = self.thread;
        self.transaction = Some(self.node.with(|store| store.begin(thread, false)));
        self.branch = Some(Branch { xid, state: State::Active });
        Answer::ok()
    }

    fn move_branch(&mut self, state: State) {
        if let Some(branch) = &mut self.branch {
            branch.state = state;
        }
    }

    /// Ends a prepared branch, this connection's or one of nobody's.
    fn finish_branch(&mut self, xid: &str, commit: bool) -> Answer {
        if !self.node.with(|store| store.finish(xid, self.thread, commit)) {
            return unknown_xid();
        }
        self.node.0.changed.notify_waiters();
        self.branch.take_if(|branch| branch.xid == xid);
        Answer::ok()
    }

    /// Format, lengths of both parts, and the parts in one text.
    fn recover(&self) -> Answer {
        let xids = self.node.with(|store| store.prepared());
        let rows = xids.iter().filter_map(|xid| {
            let mut parts = xid.split('\'');
            let (gtrid, branch, format) = (parts.nth(1)?, parts.nth(1)?, parts.next()?);
            let lengths = (gtrid.len().to_string(), branch.len().to_string());
            let format = format.trim_start_matches(',').to_owned();
            Some(vec![format, lengths.0, lengths.1, format!("{gtrid}{branch}")])
        });
        let columns = vec!["formatID", "gtrid_length", "bqual_length", "data"];
        Answer::Rows { columns, rows: rows.collect() }
    }
}
