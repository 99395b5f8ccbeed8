//! `ddl_precheck_mdl_threshold_time`: a DDL statement is refused when a metadata lock on one of its
//! tables is held for longer. Not every server shows its metadata locks, so this asks what all of
//! them answer: whether there are transactions at all, how old the oldest is, and whether the tables
//! can be locked. While they cannot the statement waits, with nothing touched and in nobody's way,
//! until a transaction is too old. A lock that is taken still later is met by the statement's own
//! waiting, which ends after the same time. A statement or a session that says how long to wait
//! (NOWAIT, WAIT n, lock_wait_timeout) waits no longer than that, and is told what a server tells.

use super::patience::MOMENT;
use crate::backends::BackendNode;
use crate::error::{ExecError, sql};
use crate::exec::{Exec, Statement};
use base::id::DataNodeId;
use base::sql_error;
use mysql_wire::packet::ErrPacket;
use node_backend::connection::Connection;
use node_backend::error::BackendError;
use node_backend::query::QueryResult;
use sql_plan::plan::DdlPlan;
use sql_plan::template::quoted;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use topology::stream::TableChange;

/// A lock could not be had in time.
pub const LOCK_WAIT_TIMEOUT: u16 = 1205;

/// Tables that cannot be locked are tried again after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How long a statement waits for metadata locks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// A lock that is older is an error (`ddl_precheck_mdl_threshold_time`).
    held_max: Duration,
    /// What the statement or its session asks for.
    pub asked: Option<Duration>,
}

impl Patience {
    pub fn of(exec: &Exec<'_>, statement: &Statement<'_>) -> Self {
        let said = statement.planned.lock_wait;
        let set = || exec.session.state.get("lock_wait_timeout")?.parse().ok();
        let asked = said.or_else(set).map(Duration::from_secs);
        Self { held_max: exec.settings.lock_held_max, asked }
    }

    /// The error of a statement that has waited so long for a lock, if that is long enough.
    fn ends(self, waited: Duration, place: &str) -> Option<ExecError> {
        if waited > self.held_max {
            return Some(too_old(place, self.held_max));
        }
        self.asked.filter(|asked| waited > (*asked).max(MOMENT)).map(|_| {
            let text = "Lock wait timeout exceeded; try restarting transaction";
            ExecError::Server(ErrPacket::new(LOCK_WAIT_TIMEOUT, "HY000", text))
        })
    }
}

/// Refuses the statement when a metadata lock on a physical table of it is too old.
pub async fn check(
    exec: &Exec<'_>,
    plan: &DdlPlan,
    statement: &Statement<'_>,
) -> Result<(), ExecError> {
    // Nobody can have a lock on a table that is not there yet.
    if plan.changes.iter().all(|change| matches!(change, TableChange::Create { .. })) {
        return Ok(());
    }
    let mut by_node: BTreeMap<DataNodeId, Vec<Vec<u8>>> = BTreeMap::new();
    for one in plan.statements.iter().filter(|_| !changes_view(plan)) {
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
    let patience = Patience::of(exec, statement);
    let checks = by_node.into_iter().map(|(id, tables)| async move {
        check_node(&*exec.backends.node(&id)?, tables, patience).await
    });
    futures::future::join_all(checks).await.into_iter().collect()
}

/// Nothing is locked by who reads through a view but its tables.
fn changes_view(plan: &DdlPlan) -> bool {
    plan.changes
        .iter()
        .any(|change| matches!(change, TableChange::Alter { table } if table.view.is_some()))
}

async fn check_node(
    node: &BackendNode,
    mut tables: Vec<Vec<u8>>,
    patience: Patience,
) -> Result<(), ExecError> {
    tables.sort_unstable();
    tables.dedup();
    let locks: Vec<Vec<u8>> = tables.iter().map(|table| [&table[..], b" WRITE"].concat()).collect();
    let lock = [b"LOCK TABLES ", locks.join(&b", "[..]).as_slice()].concat();
    let mut lease = node.own_lease().await?;
    lease.mark_dirty();
    lease.execute_sql(b"SET SESSION time_zone = 'SYSTEM'").await?;
    let started = Instant::now();
    let mut was_old = false;
    while let Some(oldest) = oldest_transaction(&mut lease).await? {
        // MySQL takes 0 as its least, one second.
        lease.execute_sql(b"SET SESSION lock_wait_timeout = 0").await?;
        if can_lock(&mut lease, &lock).await? {
            return Ok(());
        }
        let is_old = oldest > patience.held_max;
        let name = &node.definition.name;
        let place = format!("on data node {name} for up to {} seconds", oldest.as_secs());
        // Looked at twice: the server may answer from what it gathered a moment ago.
        let waited = if is_old && was_old { oldest } else { started.elapsed() };
        if let Some(error) = patience.ends(waited, &place) {
            return Err(error);
        }
        was_old = is_old;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// Whether nobody has a lock on the tables now.
async fn can_lock(connection: &mut Connection, lock: &[u8]) -> Result<bool, ExecError> {
    match connection.execute_sql(lock).await {
        Ok(_) => {
            connection.execute_sql(b"UNLOCK TABLES").await?;
            Ok(true)
        }
        Err(BackendError::Server(error)) if error.number == LOCK_WAIT_TIMEOUT => Ok(false),
        // Whatever else hinders the statement says so itself.
        Err(BackendError::Server(error)) => {
            tracing::debug!(%error, "tables could not be locked to look for metadata locks");
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}

/// The age of the oldest transaction; none when there is none.
async fn oldest_transaction(connection: &mut Connection) -> Result<Option<Duration>, ExecError> {
    let ask =
        b"SELECT MAX(TIMESTAMPDIFF(SECOND, trx_started, NOW())) FROM information_schema.INNODB_TRX";
    match connection.query(ask).await {
        Ok(QueryResult::Rows(set)) => {
            let age = set.rows.first().and_then(|row| row.text(0));
            Ok(age.and_then(|age| age.parse().ok()).map(Duration::from_secs))
        }
        Ok(QueryResult::Ok(_)) => Ok(None),
        Err(BackendError::Server(error)) => {
            tracing::warn!(%error, "transactions of a data node cannot be seen, so metadata locks are not looked for");
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
