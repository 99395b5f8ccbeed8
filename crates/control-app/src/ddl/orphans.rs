//! Changes of definitions whose node died: a CREATE that was not committed is taken back, a DROP or
//! RENAME is finished, an ALTER's present definition is read back from the data node. So no lock
//! outlives its node, and a table is wholly old or wholly new as far as its statement can be
//! finished; an ALTER that reached only some shards is reported.

use super::{definition, forget, moved, pending};
use crate::app::App;
use crate::change::Change;
use crate::error::AppError;
use crate::ports::SnapshotPublisher;
use crate::time::now_ms;
use control_store::record::{Record, Versioned};
use control_store::records::data_node::DataNodeRecord;
use control_store::records::ddl::DdlRecord;
use control_store::records::schema::SchemaRecord;
use control_store::records::table::TableRecord;
use provision::AdminLogin;
use topology::model::{Placement, Shard, Table};
use topology::stream::{HEARTBEAT_TIMEOUT_MS, TableChange};

/// A change this young is left alone: its node may be about to say hello again.
const GRACE_MS: i64 = 2 * HEARTBEAT_TIMEOUT_MS as i64;

/// A change this old is given up even when its node lives: it has lost the answer, and with it the
/// change's id. Long, since an ALTER of a large table takes hours.
const DDL_AGE_MS_MAX: i64 = 24 * 60 * 60 * 1_000;

/// Clears up what dead nodes left; returns how many changes it ended.
pub async fn resolve(app: &App, live: &dyn SnapshotPublisher) -> Result<usize, AppError> {
    let now = now_ms();
    let mut ended = 0;
    for ddl in app.list::<DdlRecord>(DdlRecord::PREFIX).await? {
        if !is_orphan(&ddl.value, live, now) {
            continue;
        }
        let (instance, schema) = (&ddl.value.instance_id, &ddl.value.schema);
        tracing::info!(%instance, %schema, "a dead node's change of definitions is cleared up");
        match clear(app, &ddl).await {
            Ok(()) => ended += 1,
            // A data node may be away; others' changes need not wait for it.
            Err(error) => {
                tracing::warn!(%instance, %schema, %error, "it cannot be cleared up now and is tried again")
            }
        }
    }
    Ok(ended)
}

/// Whether nobody goes on with the change.
fn is_orphan(ddl: &DdlRecord, live: &dyn SnapshotPublisher, now_ms: i64) -> bool {
    let age_ms = now_ms - ddl.begun_ms;
    if age_ms < GRACE_MS {
        return false;
    }
    let restarted = match (ddl.pid, live.process_of(&ddl.node_id)) {
        (Some(then), Some(now)) => then != now,
        _ => false,
    };
    !live.is_heard(&ddl.node_id) || restarted || age_ms > DDL_AGE_MS_MAX
}

async fn clear(app: &App, ddl: &Versioned<DdlRecord>) -> Result<(), AppError> {
    let record = &ddl.value;
    let schema: Option<Versioned<SchemaRecord>> =
        app.get(&SchemaRecord::key_of(&record.instance_id, &record.schema)).await?;
    let shards = schema.map(|schema| schema.value.shards).unwrap_or_default();
    for change in &record.changes {
        match change {
            TableChange::Create { table } => drop_physical(app, table, &shards).await?,
            TableChange::Drop { name } => {
                if let Some(known) = table(app, record, name).await? {
                    drop_physical(app, &known.value.table, &shards).await?;
                }
            }
            TableChange::Rename { from, table: to } => {
                if let Some(known) = table(app, record, from).await? {
                    rename_physical(app, &known.value.table, to, &shards).await?;
                }
            }
            TableChange::Move { from, table } => {
                moved::clear(app, record, from, table, &shards).await?;
            }
            // Read back at the end, in the same transaction that forgets the change.
            TableChange::Alter { .. } => {}
        }
    }
    end(app, ddl).await
}

/// Writes what the clearing up came to, and forgets the change.
async fn end(app: &App, ddl: &Versioned<DdlRecord>) -> Result<(), AppError> {
    let record = &ddl.value;
    loop {
        let Ok(ddl) = pending(app, &record.instance_id, &record.id).await else { return Ok(()) };
        let mut change = app.change(&record.instance_id).await?;
        for one in &record.changes {
            if let TableChange::Alter { table: altered } = one {
                read_back(app, &mut change, record, &altered.name).await?;
            }
            if let TableChange::Move { from, .. } = one
                && let Some(before) = table(app, record, &from.name).await?
                && before.value.table.frozen
            {
                let thawed = Table { frozen: false, ..before.value.table.clone() };
                change.update(&before, &TableRecord { table: thawed, ..before.value.clone() });
            }
            let gone = match one {
                TableChange::Drop { name } => Some(name),
                TableChange::Rename { from, .. } => Some(from),
                TableChange::Create { .. }
                | TableChange::Alter { .. }
                | TableChange::Move { .. } => None,
            };
            let Some(name) = gone else { continue };
            let Some(before) = table(app, record, name).await? else { continue };
            change.delete(&before);
            if let TableChange::Rename { table: to, .. } = one {
                let renamed = Table { name: to.name.clone(), ..before.value.table.clone() };
                change.create(&TableRecord { table: renamed, ..before.value.clone() });
            }
        }
        forget(app, &mut change, &ddl).await?;
        if change.commit().await?.is_some() {
            return Ok(());
        }
    }
}

/// Takes over what an ALTER came to on the first shard.
async fn read_back(
    app: &App,
    change: &mut Change<'_>,
    ddl: &DdlRecord,
    name: &str,
) -> Result<(), AppError> {
    tracing::warn!(schema = %ddl.schema, table = %name, "an ALTER may have reached only some of the shards; its definition is read from the first");
    let Some(before) = table(app, ddl, name).await? else { return Ok(()) };
    let schema: Option<Versioned<SchemaRecord>> =
        app.get(&SchemaRecord::key_of(&ddl.instance_id, &ddl.schema)).await?;
    let shards = schema.map(|schema| schema.value.shards).unwrap_or_default();
    let Some(shard) = shards.first() else { return Ok(()) };
    let mut now = before.value.clone();
    if definition::read(app, shard, &mut now.table).await? {
        now.table.definition_version += 1;
        change.update(&before, &now);
    }
    Ok(())
}

async fn table(
    app: &App,
    ddl: &DdlRecord,
    name: &str,
) -> Result<Option<Versioned<TableRecord>>, AppError> {
    app.get(&TableRecord::key_of(&ddl.instance_id, &ddl.schema, name)).await
}

/// The shards that hold a table, with how many physical tables in each.
pub(super) fn homes<'a>(table: &Table, shards: &'a [Shard]) -> (&'a [Shard], u32) {
    match &table.placement {
        Placement::Single => (&shards[..shards.len().min(1)], 1),
        Placement::Broadcast => (shards, 1),
        Placement::Sharded(rule) => (shards, rule.tables_per_shard),
    }
}

pub(super) async fn drop_physical(
    app: &App,
    table: &Table,
    shards: &[Shard],
) -> Result<(), AppError> {
    let (shards, suffixes) = homes(table, shards);
    for shard in shards {
        for suffix in 0..suffixes {
            let name = quoted(&table.physical_name(suffix));
            let sql = format!("DROP TABLE IF EXISTS {}.{name}", quoted(&shard.database));
            execute(app, shard, &sql).await?;
        }
    }
    Ok(())
}

async fn rename_physical(
    app: &App,
    from: &Table,
    to: &Table,
    shards: &[Shard],
) -> Result<(), AppError> {
    let (shards, suffixes) = homes(from, shards);
    let renamed = Table { name: to.name.clone(), ..from.clone() };
    for shard in shards {
        let database = quoted(&shard.database);
        for suffix in 0..suffixes {
            let (old, new) =
                (quoted(&from.physical_name(suffix)), quoted(&renamed.physical_name(suffix)));
            execute(
                app,
                shard,
                &format!("RENAME TABLE IF EXISTS {database}.{old} TO {database}.{new}"),
            )
            .await?;
        }
    }
    Ok(())
}

pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

pub(super) async fn execute(app: &App, shard: &Shard, sql: &str) -> Result<(), AppError> {
    let Some((found, login)) = login(app, shard).await? else { return Ok(()) };
    app.data_nodes
        .execute(&login, sql)
        .await
        .map(|_| ())
        .map_err(|error| AppError::Broken(format!("data node {}: {error}", found.value.name)))
}

/// The administrator of the data node that holds a shard; `None` when it is no longer registered.
pub(super) async fn login(
    app: &App,
    shard: &Shard,
) -> Result<Option<(Versioned<DataNodeRecord>, AdminLogin)>, AppError> {
    let found: Option<Versioned<DataNodeRecord>> =
        app.get(&DataNodeRecord::key_of(&shard.data_node)).await?;
    let Some(found) = found else { return Ok(None) };
    let login = app.binding_admin(&found.value)?;
    Ok(Some((found, login)))
}
