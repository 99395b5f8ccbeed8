//! A data node's rows, locks and transactions. Rows that are committed, tables, and branches that are
//! prepared outlive the process; everything else is gone when it ends. So is, as of a MariaDB server
//! with its binary log on, that a branch was committed in one phase, until the log of its storage
//! engine is written the next time: after a crash it is prepared again.

use super::statement::Row;
use std::collections::{BTreeMap, BTreeSet};

/// A table and a primary key.
pub type Key = (String, String);

/// A transaction's number.
pub type TransactionId = u64;

/// What a data node has.
#[derive(Debug, Default)]
pub struct Store {
    rows: BTreeMap<Key, Row>,
    tables: BTreeSet<String>,
    open: BTreeMap<TransactionId, Transaction>,
    prepared: BTreeMap<String, Prepared>,
    locks: BTreeMap<Key, TransactionId>,
    /// Who waits for whom.
    waits: BTreeMap<TransactionId, TransactionId>,
    /// Tables that a connection has to itself.
    table_locks: BTreeMap<String, u32>,
    unwritten: Option<Unwritten>,
    last: TransactionId,
}

/// A commit in one phase that is not yet in the storage engine's log.
#[derive(Debug)]
struct Unwritten {
    xid: String,
    writes: Writes,
    /// What its rows were before.
    before: Writes,
}

/// Rows that a transaction has written; none: deleted.
type Writes = BTreeMap<Key, Option<Row>>;

#[derive(Clone, Debug, Default)]
struct Transaction {
    thread: u32,
    writes: Writes,
    savepoints: Vec<(String, Writes)>,
    snapshot: Option<BTreeMap<Key, Row>>,
}

#[derive(Debug)]
struct Prepared {
    transaction: TransactionId,
    writes: Writes,
    /// The connection that it is still tied to.
    thread: Option<u32>,
}

/// Whether a row can be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    /// It is.
    Yes,
    /// Another transaction has it.
    Wait,
    /// Waiting would never end.
    Deadlock,
}

impl Store {
    /// Begins a transaction of a connection.
    pub fn begin(&mut self, thread: u32, snapshot: bool) -> TransactionId {
        self.last += 1;
        let snapshot = snapshot.then(|| self.rows.clone());
        self.open.insert(self.last, Transaction { thread, snapshot, ..Transaction::default() });
        self.last
    }

    /// Makes a table.
    pub fn create(&mut self, table: &str) {
        self.tables.insert(table.to_owned());
    }

    /// Whether there is such a table.
    pub fn has_table(&self, table: &str) -> bool {
        self.tables.contains(table)
    }

    /// Puts a committed row.
    pub fn put(&mut self, table: &str, row: Row) {
        self.create(table);
        self.rows.insert((table.to_owned(), row[0].clone()), row);
    }

    /// Locks a row for a transaction.
    pub fn lock(&mut self, transaction: TransactionId, key: &Key) -> Locked {
        self.waits.remove(&transaction);
        let thread = self.open.get(&transaction).map(|open| open.thread);
        if self.table_locks.get(&key.0).is_some_and(|holder| Some(*holder) != thread) {
            return Locked::Wait;
        }
        let holder = *self.locks.entry(key.clone()).or_insert(transaction);
        if holder == transaction {
            return Locked::Yes;
        }
        self.waits.insert(transaction, holder);
        let mut at = holder;
        while let Some(next) = self.waits.get(&at) {
            at = *next;
            if at == transaction {
                self.waits.remove(&transaction);
                return Locked::Deadlock;
            }
        }
        Locked::Wait
    }

    /// Nobody waits for this transaction's sake any longer.
    pub fn give_up_waiting(&mut self, transaction: TransactionId) {
        self.waits.remove(&transaction);
    }

    /// Locks a whole table for a connection, if nobody writes there.
    pub fn lock_table(&mut self, table: &str, thread: u32) -> bool {
        let busy = self.locks.keys().any(|key| key.0 == table);
        let free = !busy && self.table_locks.get(table).is_none_or(|holder| *holder == thread);
        if free {
            self.table_locks.insert(table.to_owned(), thread);
        }
        free
    }

    /// A connection's table locks end.
    pub fn unlock_tables(&mut self, thread: u32) {
        self.table_locks.retain(|_, holder| *holder != thread);
    }

    /// The connections, of transactions that are not prepared, for which this one waits.
    pub fn holders(&self, waiting: u32) -> Vec<u32> {
        let of_thread = |id: &&TransactionId| {
            self.open.get(id).is_some_and(|transaction| transaction.thread == waiting)
        };
        let waiting = self.waits.keys().find(of_thread);
        let holder = waiting.and_then(|waiting| self.open.get(self.waits.get(waiting)?));
        holder.map(|holder| holder.thread).into_iter().collect()
    }

    /// A row as a transaction sees it that writes.
    pub fn current(&self, transaction: Option<TransactionId>, key: &Key) -> Option<Row> {
        let own = transaction.and_then(|id| self.open.get(&id)?.writes.get(key));
        own.cloned().unwrap_or_else(|| self.rows.get(key).cloned())
    }

    /// Whether somebody is writing a row, or has.
    pub fn is_there_uncommitted(&self, key: &Key) -> bool {
        self.rows.contains_key(key)
            || self.open.values().any(|open| open.writes.get(key).is_some_and(Option::is_some))
    }

    /// Rows as a transaction reads them.
    pub fn read(&self, transaction: Option<TransactionId>, table: &str) -> Vec<Row> {
        let open = transaction.and_then(|id| self.open.get(&id));
        let mut seen = open.and_then(|open| open.snapshot.clone()).unwrap_or_else(|| {
            self.rows.iter().map(|(key, row)| (key.clone(), row.clone())).collect()
        });
        for (key, row) in open.iter().flat_map(|open| &open.writes) {
            match row {
                Some(row) => drop(seen.insert(key.clone(), row.clone())),
                None => drop(seen.remove(key)),
            }
        }
        seen.into_iter().filter(|(key, _)| key.0 == table).map(|(_, row)| row).collect()
    }

    /// Writes a row that is locked.
    pub fn write(&mut self, transaction: TransactionId, key: Key, row: Option<Row>) {
        if let Some(open) = self.open.get_mut(&transaction) {
            open.writes.insert(key, row);
        }
    }

    /// Sets a savepoint.
    pub fn save(&mut self, transaction: TransactionId, name: &str) {
        if let Some(open) = self.open.get_mut(&transaction) {
            let writes = open.writes.clone();
            open.savepoints.push((name.to_owned(), writes));
        }
    }

    /// Ends a savepoint, or goes back to it; false when there is none.
    pub fn end_savepoint(&mut self, transaction: TransactionId, name: &str, back: bool) -> bool {
        let Some(open) = self.open.get_mut(&transaction) else { return false };
        let Some(at) = open.savepoints.iter().rposition(|(known, _)| known == name) else {
            return false;
        };
        if back {
            open.writes = open.savepoints[at].1.clone();
            open.savepoints.truncate(at + 1);
        } else {
            open.savepoints.truncate(at);
        }
        true
    }

    fn unlock(&mut self, transaction: TransactionId) {
        self.locks.retain(|_, holder| *holder != transaction);
        self.waits.remove(&transaction);
    }

    fn apply(&mut self, writes: Writes) {
        for (key, row) in writes {
            match row {
                Some(row) => drop(self.rows.insert(key, row)),
                None => drop(self.rows.remove(&key)),
            }
        }
    }

    /// Commits.
    pub fn commit(&mut self, transaction: TransactionId) {
        self.write_log();
        if let Some(open) = self.open.remove(&transaction) {
            self.apply(open.writes);
        }
        self.unlock(transaction);
    }

    /// Commits a branch that was not prepared.
    pub fn commit_one_phase(&mut self, transaction: TransactionId, xid: &str) {
        let writes = self.open.get(&transaction).map(|open| open.writes.clone());
        let before = |key: &Key| (key.clone(), self.rows.get(key).cloned());
        let unwritten = writes.map(|writes| Unwritten {
            xid: xid.to_owned(),
            before: writes.keys().map(before).collect(),
            writes,
        });
        self.commit(transaction);
        self.unwritten = unwritten;
    }

    /// The storage engine's log is written up to here.
    pub fn write_log(&mut self) {
        self.unwritten = None;
    }

    /// The process has ended: what its log does not have is not done.
    pub fn crash(&mut self) {
        let Some(Unwritten { xid, writes, before }) = self.unwritten.take() else { return };
        self.apply(before);
        self.last += 1;
        let transaction = self.last;
        self.locks.extend(writes.keys().map(|key| (key.clone(), transaction)));
        self.prepared.insert(xid, Prepared { transaction, writes, thread: None });
    }

    /// Rolls back.
    pub fn roll_back(&mut self, transaction: TransactionId) {
        self.open.remove(&transaction);
        self.unlock(transaction);
    }

    /// Prepares a branch; it stays tied to its connection as long as this lives.
    pub fn prepare(&mut self, transaction: TransactionId, xid: &str) {
        self.write_log();
        if let Some(open) = self.open.remove(&transaction) {
            let (writes, thread) = (open.writes, Some(open.thread));
            self.prepared.insert(xid.to_owned(), Prepared { transaction, writes, thread });
        }
    }

    /// Whether a branch of this id is prepared.
    pub fn is_prepared(&self, xid: &str) -> bool {
        self.prepared.contains_key(xid)
    }

    /// Ends a prepared branch; false when a connection cannot see such a one.
    pub fn finish(&mut self, xid: &str, thread: u32, commit: bool) -> bool {
        let own = |prepared: &Prepared| prepared.thread.is_none_or(|owner| owner == thread);
        if !self.prepared.get(xid).is_some_and(own) {
            return false;
        }
        if let Some(prepared) = self.prepared.remove(xid) {
            if commit {
                self.write_log();
                self.apply(prepared.writes);
            }
            self.unlock(prepared.transaction);
        }
        true
    }

    /// The ids of prepared branches.
    pub fn prepared(&self) -> Vec<String> {
        self.prepared.keys().cloned().collect()
    }

    /// Transactions that are open and not prepared.
    pub fn open_transactions(&self) -> usize {
        self.open.len()
    }

    /// A connection has ended.
    pub fn disconnect(&mut self, thread: u32) {
        let own = self.open.iter().filter(|(_, open)| open.thread == thread);
        for id in own.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.roll_back(id);
        }
        let tied = self.prepared.values_mut().filter(|prepared| prepared.thread == Some(thread));
        tied.for_each(|prepared| prepared.thread = None);
        self.unlock_tables(thread);
    }
}
