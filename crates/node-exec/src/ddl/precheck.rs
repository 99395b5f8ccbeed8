//! `ddl_precheck_mdl_threshold_time`: a DDL statement is refused when a transaction that is older than
//! that holds a metadata lock on one of its tables. Not every server shows its metadata locks, so
//! this asks in two steps that all of them answer: whether there is a transaction of that age at
//! all, which is nearly always no; and if so, whether the tables can be locked at once. A lock that
//! is taken later is met by the statement's own waiting, which ends after the same time.

use crate::backends::BackendNode;
use crate::error::{ExecError, sql};
use crate::exec::Exec;
use base::id::DataNodeId;
use base::sql_error;
use node_backend::connection::Connection;
use node_backend::error::BackendError;
use node_backend::query::QueryResult;
use sql_plan::plan::DdlPlan;
use sql_plan::template::quoted;
use std::collections::BTreeMap;
use std::time::Duration;
use topology::stream::TableChange;

/// A lock could not be had in time.
pub const LOCK_WAIT_TIMEOUT: u16 = 1205;

/// Refuses the statement when a metadata lock on a physical table of it is too old.
pub async fn check(exec: &Exec<'_>, plan: &DdlPlan) -> Result<(), ExecError> {
    // Nobody can have a lock on a table that is not there yet.
    if plan.changes.iter().all(|change| matches!(change, TableChange::Create { .. })) {
        return Ok(());
    }
    let mut by_node: BTreeMap<DataNodeId, Vec<Vec<u8>>> = BTreeMap::new();
    for one in &plan.statements {
        for target in &one.targets {
            let table = &one.tables[0];
            let database = quoted(&table.physical_database(*target));
            let name = quoted(&table.physical_name(*target));
            by_node
                .entry(exec.data_node(&plan.schema, target.shard)?)
                .or_default()
                .push([&database[..], b".", &name[..]].concat());
        }
    }
    let held_max = exec.settings.lock_held_max;
    let checks = by_node.into_iter().map(|(id, tables)| async move {
        check_node(&*exec.backends.node(&id)?, tables, held_max).await
    });
    futures::future::join_all(checks).await.into_iter().collect()
}

async fn check_node(
    node: &BackendNode,
    mut tables: Vec<Vec<u8>>,
    held_max: Duration,
) -> Result<(), ExecError> {
    let mut lease = node.own_lease().await?;
    lease.mark_dirty();
    let Some(oldest) = oldest_transaction(&mut lease, held_max).await? else { return Ok(()) };
    tables.sort_unstable();
    tables.dedup();
    let locks: Vec<Vec<u8>> =
        tables.iter().map(|table| [&table[..], b" WRITE"].concat()).collect();
    let lock = [b"LOCK TABLES ", locks.join(&b", "[..]).as_slice()].concat();
    // MySQL takes 0 as its least, one second.
    lease.execute_sql(b"SET SESSION lock_wait_timeout = 0").await?;
    match lease.execute_sql(&lock).await {
        Err(BackendError::Server(error)) if error.number == LOCK_WAIT_TIMEOUT => Err(too_old(
            &format!("on data node {} for up to {oldest} seconds", node.definition.name),
            held_max,
        )),
        // Whatever else hinders the statement says so itself.
        Err(BackendError::Server(error)) => {
            tracing::debug!(%error, "tables could not be locked to look for metadata locks");
            Ok(())
        }
        locked => {
            locked?;
            lease.execute_sql(b"UNLOCK TABLES").await?;
            Ok(())
        }
    }
}

/// The age in seconds of the oldest transaction, if it is older than `held_max`.
async fn oldest_transaction(
    connection: &mut Connection,
    held_max: Duration,
) -> Result<Option<String>, ExecError> {
    connection.execute_sql(b"SET SESSION time_zone = 'SYSTEM'").await?;
    let ask = format!(
        "SELECT MAX(TIMESTAMPDIFF(SECOND, trx_started, NOW())) FROM information_schema.INNODB_TRX \
         WHERE trx_started < NOW() - INTERVAL {} SECOND",
        held_max.as_secs()
    );
    match connection.query(ask.as_bytes()).await {
        Ok(QueryResult::Rows(set)) => Ok(set.rows.first().and_then(|row| row.text(0))),
        Ok(QueryResult::Ok(_)) => Ok(None),
        Err(BackendError::Server(error)) => {
            tracing::warn!(%error, "transactions of a data node cannot be seen, so old metadata locks are not looked for");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// The error of a statement that met a lock that is too old.
pub fn too_old(place: &str, held_max: Duration) -> ExecError {
    sql(
        sql_error::METADATA_LOCK_HELD,
        format!(
            "A transaction holds a metadata lock on a table of this statement {place}, longer than \
             ddl_precheck_mdl_threshold_time ({} seconds); end it and try again",
            held_max.as_secs()
        ),
    )
}
