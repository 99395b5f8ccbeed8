//! Who waits for whose row locks on one data node, as it tells. MySQL 8 has tables that are always new
//! and name connections. MariaDB, and MySQL before 8, tell from a copy of their own that is made anew
//! only when nobody has read it for 0.1 s: where it matters that what is told is new, the asking
//! transaction looks for itself in it. Waits for metadata locks are not told at all.

use crate::backends::BackendNode;
use crate::deadlock::Wait;
use crate::error::ExecError;
use crate::transaction::run_all;
use base::id::DataNodeId;
use node_backend::pool::Lease;
use node_backend::query::Row;
use std::collections::HashMap;
use std::time::Duration;
use topology::peers::DataNodeConnection;

/// So many waits of one data node are looked at: a row for which 200 wait has 20,000.
const WAITS_MAX: usize = 50_000;

/// How often a data node is asked when what it tells must be new.
const TRIES: u8 = 5;

/// Between two tries the copy grows old enough, unless others read it; so the pause is longer by up to
/// as much again, at random.
const PAUSE_MS: u64 = 110;

/// The id of transactions of MariaDB that have locked nothing but for sharing.
const NAMELESS: &str = "0";

/// Whether an answer may be older than the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// It may.
    Any,
    /// It may not.
    New,
}

/// What a data node tells of its waits; none when it told nothing that is new.
pub async fn look(node: &BackendNode, age: Age) -> Result<Option<Vec<Wait>>, ExecError> {
    let id = &node.definition.id;
    let mut lease = node.own_lease_to_read().await?;
    if has_lock_tables(&lease) {
        let rows = lease.query(by_lock_tables().as_bytes()).await?.into_rows();
        return Ok(Some(rows.iter().filter_map(|row| told_wait(id, row)).collect()));
    }
    for _ in 0..TRIES {
        let copy = match ask_for_copy(&mut lease).await {
            Ok(copy) => copy,
            Err(error) => {
                lease.discard();
                return Err(error);
            }
        };
        if copy.is_new || age == Age::Any {
            return Ok(Some(copy.waits(id)));
        }
        let [more] = base::id::random_bytes();
        let pause = PAUSE_MS + u64::from(more) * PAUSE_MS / 256;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    Ok(None)
}

fn has_lock_tables(lease: &Lease) -> bool {
    let major = lease.server_version().split('.').next().and_then(|major| major.parse().ok());
    !lease.is_mariadb() && major.is_some_and(|major: u32| major >= 8)
}

fn by_lock_tables() -> String {
    format!(
        "SELECT r.PROCESSLIST_ID, b.PROCESSLIST_ID, CONCAT_WS(' ', w.REQUESTING_ENGINE_TRANSACTION_ID, \
         w.REQUESTING_ENGINE_LOCK_ID, w.BLOCKING_ENGINE_TRANSACTION_ID) \
         FROM performance_schema.data_lock_waits w \
         JOIN performance_schema.threads r ON r.THREAD_ID = w.REQUESTING_THREAD_ID \
         JOIN performance_schema.threads b ON b.THREAD_ID = w.BLOCKING_THREAD_ID LIMIT {WAITS_MAX}"
    )
}

fn told_wait(data_node: &DataNodeId, row: &Row) -> Option<Wait> {
    let connection = |at| {
        let id = row.text(at)?.parse().ok()?;
        Some(DataNodeConnection { data_node: data_node.clone(), id })
    };
    Some(Wait { waiting: connection(0)?, blocking: connection(1)?, name: row.text(2)? })
}

/// Both tables in one answer, so that both are of one copy. They are joined here: there neither has an
/// index.
fn by_copy(mark: &str) -> String {
    format!(
        "SELECT 'transaction', trx_id, trx_mysql_thread_id, trx_requested_lock_id, trx_wait_started, \
         trx_lock_structs > 0, trx_mysql_thread_id = CONNECTION_ID() AND trx_query LIKE '%{mark}%' \
         FROM information_schema.INNODB_TRX UNION ALL \
         (SELECT 'wait', requesting_trx_id, requested_lock_id, blocking_trx_id, blocking_lock_id, NULL, \
         NULL FROM information_schema.INNODB_LOCK_WAITS LIMIT {WAITS_MAX})"
    )
}

async fn ask_for_copy(lease: &mut Lease) -> Result<Copy, ExecError> {
    let mark = format!("ddm-look-{}", base::id::hex(&base::id::random_bytes::<8>()));
    // Without a snapshot it would be no transaction, and not in the copy.
    let begin = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY".to_owned();
    run_all(lease, &[begin]).await?;
    let rows = lease.query(by_copy(&mark).as_bytes()).await?.into_rows();
    run_all(lease, &["COMMIT".to_owned()]).await?;
    Ok(Copy::of(&rows))
}

/// What the copy has.
#[derive(Debug, Default)]
struct Copy {
    transactions: Vec<InnodbTransaction>,
    waits: Vec<InnodbWait>,
    /// It was made for this question.
    is_new: bool,
}

#[derive(Debug)]
struct InnodbTransaction {
    id: String,
    connection: u32,
    /// The lock that it waits for, and since when.
    requested: Option<(String, String)>,
    has_locks: bool,
}

#[derive(Debug)]
struct InnodbWait {
    requested_lock: String,
    blocking: String,
    blocking_lock: String,
}

impl InnodbTransaction {
    fn waits_for(&self, lock: &str) -> bool {
        self.requested.as_ref().is_some_and(|(requested, _)| requested == lock)
    }
}

impl Copy {
    fn of(rows: &[Row]) -> Self {
        let mut copy = Self::default();
        for row in rows {
            if row.get(0) == Some(b"wait") {
                copy.waits.extend(wait_of(row));
            } else {
                copy.is_new |= row.get(6) == Some(b"1");
                copy.transactions.extend(transaction_of(row));
            }
        }
        copy
    }

    /// Those of the waits of which it is certain whose they are: the names of locks and transactions do
    /// not always tell, where transactions have locked for sharing only.
    fn waits(&self, data_node: &DataNodeId) -> Vec<Wait> {
        let mut by_lock: HashMap<&str, Vec<&InnodbTransaction>> = HashMap::new();
        let mut by_id: HashMap<&str, &InnodbTransaction> = HashMap::new();
        for one in &self.transactions {
            by_id.insert(&one.id, one);
            if let Some((lock, _)) = &one.requested {
                by_lock.entry(lock).or_default().push(one);
            }
        }
        let nameless: Vec<&InnodbTransaction> =
            self.transactions.iter().filter(|one| one.id == NAMELESS && one.has_locks).collect();
        let mut nameless_blockers: HashMap<&str, usize> = HashMap::new();
        for wait in self.waits.iter().filter(|wait| wait.blocking == NAMELESS) {
            *nameless_blockers.entry(&wait.requested_lock).or_default() += 1;
        }
        let connection = |id| DataNodeConnection { data_node: data_node.clone(), id };
        let mut told = Vec::new();
        for wait in &self.waits {
            let lock = wait.requested_lock.as_str();
            let waiting = by_lock.get(lock).map_or(&[][..], Vec::as_slice);
            let blocking: Vec<&InnodbTransaction> = match wait.blocking.as_str() {
                // They are as many as there are: then all of them block.
                NAMELESS if nameless_blockers.get(lock) == Some(&nameless.len()) => {
                    nameless.clone()
                }
                NAMELESS => Vec::new(),
                id => by_id.get(id).copied().into_iter().collect(),
            };
            for waiting in waiting.iter() {
                for blocking in &blocking {
                    // Of several that wait for the same, one that waits too may block only some.
                    let is_certain = by_lock.get(lock).is_some_and(|all| all.len() == 1)
                        || !blocking.waits_for(&wait.blocking_lock);
                    if !is_certain || waiting.connection == blocking.connection {
                        continue;
                    }
                    let since = waiting.requested.as_ref().map_or("", |(_, since)| since.as_str());
                    told.push(Wait {
                        waiting: connection(waiting.connection),
                        blocking: connection(blocking.connection),
                        name: format!("{} {lock} {since} {}", waiting.id, blocking.id),
                    });
                }
            }
        }
        told
    }
}

fn transaction_of(row: &Row) -> Option<InnodbTransaction> {
    Some(InnodbTransaction {
        id: row.text(1)?,
        connection: row.text(2)?.parse().ok()?,
        requested: row.text(3).zip(row.text(4)),
        has_locks: row.get(5) == Some(b"1"),
    })
}

fn wait_of(row: &Row) -> Option<InnodbWait> {
    Some(InnodbWait {
        requested_lock: row.text(2)?,
        blocking: row.text(3)?,
        blocking_lock: row.text(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A transaction's id, its connection, and the lock that it waits for.
    type Given = (&'static str, u32, Option<&'static str>);

    /// A lock that is waited for, the id of one who is in the way, and his lock.
    type GivenWait = (&'static str, &'static str, &'static str);

    /// Which connections wait for which.
    fn check(transactions: &[Given], waits: &[GivenWait], expected: &[(u32, u32)]) {
        let transactions = transactions.iter().map(|(id, connection, lock)| InnodbTransaction {
            id: (*id).to_owned(),
            connection: *connection,
            requested: lock.map(|lock| (lock.to_owned(), "now".to_owned())),
            has_locks: true,
        });
        let waits = waits.iter().map(|(lock, blocking, blocking_lock)| InnodbWait {
            requested_lock: (*lock).to_owned(),
            blocking: (*blocking).to_owned(),
            blocking_lock: (*blocking_lock).to_owned(),
        });
        let copy =
            Copy { transactions: transactions.collect(), waits: waits.collect(), is_new: true };
        let told = copy.waits(&DataNodeId::from_random([1; 16]));
        let mut told: Vec<_> = told.iter().map(|one| (one.waiting.id, one.blocking.id)).collect();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told, expected);
    }

    #[test]
    fn who_has_a_name_is_found_by_it() {
        let three = [("7", 70, None), ("8", 80, Some("8:r")), ("9", 90, Some("9:r"))];
        let waits = [("8:r", "7", "7:r"), ("9:r", "7", "7:r"), ("9:r", "8", "8:r")];
        check(&three, &waits, &[(80, 70), (90, 70), (90, 80)]);
        check(&three, &[("8:r", "6", "6:r")], &[]);
    }

    #[test]
    fn who_locks_for_sharing_is_found_when_there_is_no_doubt() {
        // 80 waits for two that share, and there are two.
        let all = [("0", 50, None), ("0", 60, None), ("8", 80, Some("8:r"))];
        let one = ("8:r", "0", "0:r");
        check(&all, &[one, one], &[(80, 50), (80, 60)]);
        // It waits for one of the two.
        check(&all, &[one], &[]);
        check(&all[1..], &[one], &[(80, 60)]);
    }

    #[test]
    fn who_waits_to_share_is_found_by_the_lock() {
        let two = [("7", 70, None), ("0", 50, Some("0:r"))];
        check(&two, &[("0:r", "7", "7:r")], &[(50, 70)]);
        // Two wait for the same; 80 came after the first of them, and is not in its way.
        let four = [
            ("7", 70, None),
            ("0", 50, Some("0:r")),
            ("0", 60, Some("0:r")),
            ("8", 80, Some("8:r")),
        ];
        let waits = [("0:r", "7", "7:r"), ("0:r", "7", "7:r"), ("0:r", "8", "8:r")];
        check(&four, &waits, &[(50, 70), (60, 70)]);
    }
}
