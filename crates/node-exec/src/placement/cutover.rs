//! The moment of a change of placement: new statements wait, the old tables are locked on all data
//! nodes, the last entries of the log are replayed, the new definition is published, and the old
//! tables are dropped while they are still locked, so that nothing can be written into them after
//! they stopped counting.

use super::places::{Physical, Places, exact_lease};
use super::{capture, shown};
use crate::ddl::precheck::LOCK_WAIT_TIMEOUT;
use crate::ddl::{ask, unexpected};
use crate::error::{ExecError, sql};
use crate::exec::Exec;
use base::id::DataNodeId;
use base::sql_error;
use node_backend::pool::Lease;
use sql_plan::ddl::placement::PlacementPlan;
use std::collections::BTreeMap;
use std::time::Duration;
use topology::stream::{Answer, Ask, TableChange};

/// A lock is waited for so long; other statements on the table wait meanwhile.
const LOCK_WAIT_SECONDS: u32 = 3;

/// The tables are tried so often before the change is given up …
const LOCK_TRIES_MAX: u32 = 20;

/// … with this between the tries, in which the table is used as before.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// Why it did not come to an end.
pub(super) enum Failed {
    /// Nothing is published: all can be undone.
    Before(ExecError),
    /// It was sent and the answer is not known, or it is published: the control plane clears up.
    Unknown(ExecError),
}

/// The data nodes' locks.
type Locks = Vec<(DataNodeId, Lease)>;

/// Runs the last part of a change.
pub(super) async fn run(
    exec: &Exec<'_>,
    plan: &PlacementPlan,
    places: &Places,
    ddl_id: &str,
    changes: Vec<TableChange>,
) -> Result<(), Failed> {
    let mut locks = match hold(exec, plan, places, ddl_id).await {
        Ok(locks) => locks,
        Err(error) => {
            thaw(exec, ddl_id).await;
            return Err(Failed::Before(error));
        }
    };
    if let Err(error) = finish(exec, plan, places, &mut locks).await {
        release(locks);
        thaw(exec, ddl_id).await;
        return Err(Failed::Before(error));
    }
    let commit = Ask::DdlCommit { ddl_id: ddl_id.to_owned(), changes };
    match ask(exec, commit).await {
        Ok(Answer::Published { .. }) => {}
        Ok(other) => return Err(Failed::Unknown(unexpected(&other))),
        Err(error) => {
            // The locks go with the connections; until the record is cleared up the table is frozen.
            release(locks);
            return Err(Failed::Unknown(error));
        }
    }
    let dropped = drop_old(places, &mut locks).await;
    release(locks);
    dropped.map_err(Failed::Unknown)
}

/// New statements wait, and the tables are locked.
async fn hold(
    exec: &Exec<'_>,
    plan: &PlacementPlan,
    places: &Places,
    ddl_id: &str,
) -> Result<Locks, ExecError> {
    for _ in 0..LOCK_TRIES_MAX {
        freeze(exec, ddl_id, true).await?;
        if let Some(locks) = lock(exec, places).await? {
            return Ok(locks);
        }
        freeze(exec, ddl_id, false).await?;
        tokio::time::sleep(BETWEEN_TRIES).await;
        capture::catch_up(exec, plan, places).await?;
    }
    Err(sql(
        sql_error::METADATA_LOCK_HELD,
        format!(
            "transactions use table '{}' all the time: it could not be locked in {LOCK_TRIES_MAX} \
             tries of {LOCK_WAIT_SECONDS} seconds; nothing was changed",
            shown(plan)
        ),
    ))
}

async fn freeze(exec: &Exec<'_>, ddl_id: &str, frozen: bool) -> Result<(), ExecError> {
    match ask(exec, Ask::DdlFreeze { ddl_id: ddl_id.to_owned(), frozen }).await? {
        Answer::Published { .. } => Ok(()),
        other => Err(unexpected(&other)),
    }
}

/// The table is used as before.
async fn thaw(exec: &Exec<'_>, ddl_id: &str) {
    if let Err(error) = freeze(exec, ddl_id, false).await {
        tracing::warn!(%error, "statements on a table wait until its change of placement is cleared up");
    }
}

/// Locks all old tables, data node by data node; none when one cannot be had in time.
async fn lock(exec: &Exec<'_>, places: &Places) -> Result<Option<Locks>, ExecError> {
    let mut by_node: BTreeMap<&DataNodeId, Vec<String>> = BTreeMap::new();
    for old in &places.old {
        by_node.entry(&old.data_node).or_default().push(format!("{} WRITE", old.qualified));
    }
    for source in &places.sources {
        let log = source.beside(&source.capture().log);
        by_node.entry(&source.data_node).or_default().push(format!("{log} WRITE"));
    }
    let mut locks = Locks::new();
    for (data_node, tables) in by_node {
        let mut lease = exact_lease(exec, data_node).await?;
        let wait = format!("SET SESSION lock_wait_timeout = {LOCK_WAIT_SECONDS}");
        lease.execute_sql(wait.as_bytes()).await?;
        let text = format!("LOCK TABLES {}", tables.join(", "));
        match lease.execute_sql(text.as_bytes()).await {
            Ok(_) => locks.push((data_node.clone(), lease)),
            Err(error) if error.server().is_some_and(|e| e.number == LOCK_WAIT_TIMEOUT) => {
                release(locks);
                return Ok(None);
            }
            Err(error) => {
                release(locks);
                return Err(error.into());
            }
        }
    }
    Ok(Some(locks))
}

/// A connection's end frees what it holds.
fn release(locks: Locks) {
    for (_, lease) in locks {
        lease.discard();
    }
}

/// The last entries; and no row was lost to another with the same unique key.
async fn finish(
    exec: &Exec<'_>,
    plan: &PlacementPlan,
    places: &Places,
    locks: &mut Locks,
) -> Result<(), ExecError> {
    let mut before = 0;
    for source in &places.sources {
        let lease = lock_of(locks, source)?;
        capture::finish(exec, plan, places, source, lease).await?;
        if plan.may_collide {
            before += capture::count(lease, source).await?;
        }
    }
    follow_sequence(exec, plan, places, locks).await?;
    if !plan.may_collide {
        return Ok(());
    }
    let mut after = 0;
    for target in &places.targets {
        let mut lease = exact_lease(exec, &target.data_node).await?;
        after += capture::count(&mut lease, target).await?;
    }
    let copies = match plan.to.placement {
        topology::model::Placement::Broadcast => places.targets.len() as u64,
        _ => 1,
    };
    if after == before * copies {
        return Ok(());
    }
    Err(sql(
        sql_error::DUPLICATE_ENTRY,
        format!(
            "rows of table '{}' on different shards have the same value in a unique key, which the \
             new placement does not allow; nothing was changed",
            shown(plan)
        ),
    ))
}

/// A sequence that a single table lacked begins above its counter; a single table's counter begins
/// where the sequence is.
async fn follow_sequence(
    exec: &Exec<'_>,
    plan: &PlacementPlan,
    places: &Places,
    locks: &mut Locks,
) -> Result<(), ExecError> {
    let schema = exec.schema(&plan.schema)?;
    match (&plan.from.sequence_column, &plan.to.sequence_column) {
        (None, Some(_)) => {
            let Some(source) = places.sources.first() else { return Ok(()) };
            let counter = places.counter(lock_of(locks, source)?).await?;
            let start = counter.unwrap_or(1).max(1);
            exec.sequences.restart(exec.backends, schema, &plan.to.name, start).await
        }
        (Some(_), None) => {
            let next = exec.sequences.next_block(exec.backends, schema, &plan.to.name).await?;
            places.set_counter(exec, next).await
        }
        _ => Ok(()),
    }
}

fn lock_of<'l>(locks: &'l mut Locks, place: &Physical) -> Result<&'l mut Lease, ExecError> {
    let found = locks.iter_mut().find(|(data_node, _)| *data_node == place.data_node);
    found
        .map(|(_, lease)| lease)
        .ok_or_else(|| sql(sql_error::UNKNOWN_ERROR, format!("{} is not locked", place.qualified)))
}

/// Drops the old tables while nobody else can use them.
async fn drop_old(places: &Places, locks: &mut Locks) -> Result<(), ExecError> {
    for old in &places.old {
        let lease = lock_of(locks, old)?;
        lease.execute_sql(format!("DROP TABLE {}", old.qualified).as_bytes()).await?;
    }
    for source in &places.sources {
        let log = source.beside(&source.capture().log);
        let lease = lock_of(locks, source)?;
        lease.execute_sql(format!("DROP TABLE {log}").as_bytes()).await?;
    }
    Ok(())
}
