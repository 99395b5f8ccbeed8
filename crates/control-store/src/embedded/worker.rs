//! The thread that owns the file: takes commands one by one, lets leases end.

use super::database::Database;
use super::hub::Hub;
use crate::error::StoreError;
use crate::store::{
    Condition, Entry, KeyRange, LEASE_TTL_MAX, LEASES_MAX, LeaseId, Page, Revision, Slice,
    TxnOutcome, WatchStream, Write,
};
use std::collections::HashMap;
use std::fs::File;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// How often ended leases are looked for while no command comes.
const LEASE_CHECK: Duration = Duration::from_millis(100);

/// What can be asked.
#[derive(Debug)]
pub enum Command {
    Get { key: String, reply: Reply<Option<Entry>> },
    List { prefix: String, reply: Reply<(Vec<Entry>, Revision)> },
    Page { prefix: String, after: Option<String>, limit: usize, reply: Reply<Page> },
    Slice { range: KeyRange, offset: u64, limit: usize, reply: Reply<Slice> },
    Ranges { ranges: Vec<KeyRange>, reply: Reply<Vec<Vec<Entry>>> },
    Txn { conditions: Vec<Condition>, writes: Vec<Write>, reply: Reply<TxnOutcome> },
    Watch { prefix: String, from: Revision, reply: Reply<WatchStream> },
    Revision { reply: Reply<Revision> },
    LeaseGrant { ttl: Duration, reply: Reply<LeaseId> },
    LeaseKeepAlive { lease: LeaseId, reply: Reply<()> },
    LeaseRevoke { lease: LeaseId, reply: Reply<()> },
}

#[derive(Debug)]
struct Lease {
    ttl: Duration,
    ends: Instant,
}

#[derive(Debug)]
struct Worker {
    database: Database,
    hub: Hub,
    leases: HashMap<LeaseId, Lease>,
    next_lease: u64,
}

/// Works until the store's handle is gone and every command is done. The lock is let go last, when
/// the file is closed.
pub fn run(database: Database, lock: File, queue: mpsc::Receiver<Command>) {
    work(database, queue);
    drop(lock);
}

fn work(database: Database, mut queue: mpsc::Receiver<Command>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let Ok(runtime) = runtime else {
        tracing::error!("the store's thread has no runtime");
        return;
    };
    let mut worker =
        Worker { database, hub: Hub::default(), leases: HashMap::new(), next_lease: 1 };
    runtime.block_on(async {
        loop {
            match tokio::time::timeout(LEASE_CHECK, queue.recv()).await {
                Ok(Some(command)) => worker.answer(command),
                Ok(None) => return,
                Err(_) => {}
            }
            worker.end_leases(Instant::now());
        }
    });
}

impl Worker {
    /// Does one command. A caller that no longer waits for the answer is no error.
    fn answer(&mut self, command: Command) {
        match command {
            Command::Get { key, reply } => drop(reply.send(self.database.get(&key))),
            Command::List { prefix, reply } => {
                let entries = self.database.list(&prefix);
                drop(reply.send(entries.map(|entries| (entries, self.database.revision()))));
            }
            Command::Page { prefix, after, limit, reply } => {
                drop(reply.send(self.database.page(&prefix, after.as_deref(), limit)));
            }
            Command::Slice { range, offset, limit, reply } => {
                drop(reply.send(self.database.slice(&range, offset, limit)));
            }
            Command::Ranges { ranges, reply } => {
                drop(reply.send(self.database.ranges(&ranges)));
            }
            Command::Txn { conditions, writes, reply } => {
                drop(reply.send(self.txn(&conditions, writes)));
            }
            Command::Watch { prefix, from, reply } => drop(reply.send(self.watch(prefix, from))),
            Command::Revision { reply } => drop(reply.send(Ok(self.database.revision()))),
            Command::LeaseGrant { ttl, reply } => drop(reply.send(self.grant(ttl))),
            Command::LeaseKeepAlive { lease, reply } => {
                let found = self.leases.get_mut(&lease).ok_or(StoreError::NoSuchLease);
                drop(reply.send(found.map(|lease| lease.ends = Instant::now() + lease.ttl)));
            }
            Command::LeaseRevoke { lease, reply } => drop(reply.send(self.end_lease(lease))),
        }
    }

    fn txn(
        &mut self,
        conditions: &[Condition],
        writes: Vec<Write>,
    ) -> Result<TxnOutcome, StoreError> {
        let dead = writes.iter().any(|write| {
            matches!(write, Write::Put { lease: Some(lease), .. } if !self.leases.contains_key(lease))
        });
        if dead {
            return Err(StoreError::NoSuchLease);
        }
        let (outcome, changes) = self.database.txn(conditions, writes)?;
        self.hub.tell(&changes);
        Ok(outcome)
    }

    fn watch(&mut self, prefix: String, from: Revision) -> Result<WatchStream, StoreError> {
        let past = self.database.changes_since(&prefix, from)?;
        Ok(WatchStream { replay: past.into_iter(), live: self.hub.add(prefix, from)? })
    }

    fn grant(&mut self, ttl: Duration) -> Result<LeaseId, StoreError> {
        if self.leases.len() >= LEASES_MAX {
            return Err(StoreError::Unavailable(format!("there are {LEASES_MAX} leases")));
        }
        let ttl = ttl.min(LEASE_TTL_MAX);
        let lease = LeaseId(self.next_lease);
        self.next_lease += 1;
        self.leases.insert(lease, Lease { ttl, ends: Instant::now() + ttl });
        Ok(lease)
    }

    fn end_leases(&mut self, now: Instant) {
        let ended: Vec<LeaseId> =
            self.leases.iter().filter(|(_, lease)| lease.ends <= now).map(|(id, _)| *id).collect();
        for lease in ended {
            if let Err(error) = self.end_lease(lease) {
                tracing::error!(%error, "the keys of an ended lease could not be removed");
            }
        }
    }

    fn end_lease(&mut self, lease: LeaseId) -> Result<(), StoreError> {
        let keys = self.database.keys_of_leases(Some(lease))?;
        let changes = self.database.delete_all(keys)?;
        self.leases.remove(&lease);
        self.hub.tell(&changes);
        Ok(())
    }
}
