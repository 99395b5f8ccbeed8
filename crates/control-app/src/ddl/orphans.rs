//! Changes of definitions whose node died, or gave them up because it lost a data node: a CREATE that was not committed is taken back; a DROP or
//! RENAME is finished; an ALTER is finished on the physical tables that it did not reach (see
//! [`super::unfinished`]) and its definition read back. So no lock outlives its node, and a table is
//! wholly old or wholly new as far as its statement can be finished.

use super::{definition, forget, moved, pending, unfinished};
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
use std::collections::BTreeMap;
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
        let cleared = async {
            // A commit of the dead node that is still worked on must not come in between.
            let Some(claimed) = claim(app, &ddl).await? else { return Ok(0) };
            clear(app, &claimed).await.map(|()| 1)
        };
        match cleared.await {
            Ok(count) => ended += count,
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
    let restarted = match (ddl.pid, live.process_of(&ddl.node_id)) {
        (Some(then), Some(now)) => then != now,
        _ => false,
    };
    if ddl.abandoned || restarted {
        return true;
    }
    age_ms >= GRACE_MS && (!live.is_heard(&ddl.node_id) || age_ms > DDL_AGE_MS_MAX)
}

/// Takes the change away from its node; nothing when the change has ended, or moved on, meanwhile.
pub(super) async fn claim(
    app: &App,
    ddl: &Versioned<DdlRecord>,
) -> Result<Option<Versioned<DdlRecord>>, AppError> {
    if ddl.value.abandoned {
        return Ok(Some(ddl.clone()));
    }
    let (instance, key) = (&ddl.value.instance_id, ddl.value.key());
    let mut change = app.change(instance).await?;
    change.update(ddl, &DdlRecord { abandoned: true, ..ddl.value.clone() });
    match change.commit().await? {
        Some(_) => Ok(app.get(&key).await?),
        None => Ok(None),
    }
}

async fn clear(app: &App, ddl: &Versioned<DdlRecord>) -> Result<(), AppError> {
    let record = &ddl.value;
    let shards = shards_of(app, record, &record.schema).await?;
    if record.changes.len() > 1
        && matches!(record.changes.first(), Some(TableChange::Rename { .. }))
    {
        let renamed = unfinished::finish_renames(app, record, &shards).await?;
        return end(app, ddl, renamed).await;
    }
    for change in &record.changes {
        match change {
            TableChange::Create { table } => drop_physical(app, table, &shards).await?,
            TableChange::Drop { name } => {
                if let Some(known) = table(app, record, name).await? {
                    drop_physical(app, &known.value.table, &shards).await?;
                }
            }
            TableChange::Rename { from, table: to, to_schema } => {
                let after = match to_schema {
                    Some(other) => shards_of(app, record, other).await?,
                    None => shards.clone(),
                };
                if let Some(known) = table(app, record, from).await? {
                    let known = &known.value.table;
                    unfinished::finish_renaming_alter(app, record, &shards).await?;
                    rename_physical(app, (known, &shards), (to, &after)).await?;
                    unfinished::rename_sequence(app, (known, &shards), (to, &after)).await?;
                }
            }
            TableChange::Move { from, table } => {
                moved::clear(app, record, from, table, &shards).await?;
            }
            // Read back at the end, in the same transaction that forgets the change.
            TableChange::Alter { table } => {
                unfinished::finish_alter(app, record, table, &shards).await?;
            }
        }
    }
    end(app, ddl, true).await
}

async fn shards_of(app: &App, ddl: &DdlRecord, schema: &str) -> Result<Vec<Shard>, AppError> {
    let schema: Option<Versioned<SchemaRecord>> =
        app.get(&SchemaRecord::key_of(&ddl.instance_id, schema)).await?;
    Ok(schema.map(|schema| schema.value.shards).unwrap_or_default())
}

/// Writes what the clearing up came to, and forgets the change; `done` says that it took place.
async fn end(app: &App, ddl: &Versioned<DdlRecord>, done: bool) -> Result<(), AppError> {
    let record = &ddl.value;
    loop {
        let Ok(ddl) = pending(app, &record.instance_id, &record.id).await else { return Ok(()) };
        let mut change = app.change(&record.instance_id).await?;
        let mut names: BTreeMap<(String, String), Option<Table>> = BTreeMap::new();
        let own = |name: &str| (record.schema.clone(), name.to_lowercase());
        for one in record.changes.iter().filter(|_| done) {
            match one {
                TableChange::Alter { table } => {
                    read_back(app, &mut change, record, table).await?;
                }
                TableChange::Drop { name } => {
                    names.entry(own(name)).or_insert(None);
                }
                TableChange::Rename { from, table: to, to_schema } => {
                    names.entry(own(from)).or_insert(None);
                    let Some(before) = table(app, record, from).await? else { continue };
                    let mut renamed = renamed(&before.value.table, to);
                    read_renamed(app, record, to, &mut renamed).await?;
                    let schema = to_schema.as_ref().unwrap_or(&record.schema).clone();
                    let name = (schema, to.name.to_lowercase());
                    names.insert(name, Some(super::stamped(renamed)));
                }
                TableChange::Move { from, .. } => {
                    let before = table(app, record, &from.name).await?;
                    if let Some(before) = before.filter(|before| before.value.table.frozen) {
                        let thawed = Table { frozen: false, ..before.value.table };
                        names.insert(own(&from.name), Some(thawed));
                    }
                }
                TableChange::Create { .. } => {}
            }
        }
        for ((schema, name), now) in names {
            let before = super::find(app, &record.instance_id, &schema, &name).await?;
            let instance_id = record.instance_id.clone();
            let now = now.map(|table| TableRecord { instance_id, schema, table });
            match (before, now) {
                (Some(before), Some(now)) => change.update(&before, &now),
                (Some(before), None) => change.delete(&before),
                (None, Some(now)) => change.create(&now),
                (None, None) => {}
            }
        }
        forget(app, &mut change, &ddl).await?;
        if change.commit().await?.is_some() {
            return Ok(());
        }
    }
}

/// Takes over what an ALTER that renames came to on the first shard.
async fn read_renamed(
    app: &App,
    ddl: &DdlRecord,
    to: &Table,
    renamed: &mut Table,
) -> Result<(), AppError> {
    let shards = shards_of(app, ddl, &ddl.schema).await?;
    let (Some(shard), false) = (shards.first(), ddl.work.steps.is_empty()) else { return Ok(()) };
    let mut now = Table { columns: Vec::new(), ..to.clone() };
    let is_read = definition::read(app, shard, &mut now).await?;
    // The keys of the placement may have new names with it.
    let keeps = |table: &Table| match &table.placement {
        Placement::Sharded(rule) => {
            let mut keys = std::iter::once(&rule.database).chain(&rule.table);
            keys.all(|key| now.column(&key.column).is_some())
        }
        _ => true,
    };
    if is_read && keeps(to) {
        *renamed = Table { definition_version: renamed.definition_version, ..now };
    } else if is_read {
        renamed.columns = now.columns;
    }
    Ok(())
}

/// Takes over what an ALTER came to on the first shard.
async fn read_back(
    app: &App,
    change: &mut Change<'_>,
    ddl: &DdlRecord,
    altered: &Table,
) -> Result<(), AppError> {
    let Some(before) = table(app, ddl, &altered.name).await? else { return Ok(()) };
    // The query of a view that no data node answers is the old one, and stays.
    if before.value.table.expanded_view().is_some() {
        return Ok(());
    }
    let schema: Option<Versioned<SchemaRecord>> =
        app.get(&SchemaRecord::key_of(&ddl.instance_id, &ddl.schema)).await?;
    let shards = schema.map(|schema| schema.value.shards).unwrap_or_default();
    let Some(shard) = shards.first() else { return Ok(()) };
    let mut now = before.value.clone();
    // Keys and sequences may have new names with the ALTER.
    let has = |table: &Table, name: &str| table.column(name).is_some();
    if definition::read(app, shard, &mut now.table).await? {
        if let (Placement::Sharded(old), Placement::Sharded(_)) =
            (&now.table.placement, &altered.placement)
        {
            let keys = std::iter::once(&old.database).chain(&old.table);
            if !keys.into_iter().all(|key| has(&now.table, &key.column)) {
                now.table.placement = altered.placement.clone();
            }
        }
        now.table.sequence_column =
            altered.sequence_column.clone().filter(|name| has(&now.table, name));
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
            let kind = if table.view.is_some() { "VIEW" } else { "TABLE" };
            let sql = format!("DROP {kind} IF EXISTS {}.{name}", quoted(&shard.database));
            execute(app, shard, &sql).await?;
        }
    }
    Ok(())
}

/// Renames what is not renamed yet; the second shards are those of the schema that it goes into.
async fn rename_physical(
    app: &App,
    (from, shards): (&Table, &[Shard]),
    (to, after): (&Table, &[Shard]),
) -> Result<(), AppError> {
    let (homes, suffixes) = homes(from, shards);
    let renamed = renamed(from, to);
    for (shard, place) in homes.iter().zip(partners(homes, after)) {
        let Some((_, login)) = login(app, shard).await? else { continue };
        for suffix in 0..suffixes {
            let (old, new) = (from.physical_name(suffix), renamed.physical_name(suffix));
            if !unfinished::is_there(app, &login, shard, &old).await? {
                continue;
            }
            let name = |shard: &Shard, table: &str| {
                format!("{}.{}", quoted(&shard.database), quoted(table))
            };
            let (old, new) = (name(shard, &old), name(place, &new));
            execute(app, shard, &format!("RENAME TABLE {old} TO {new}")).await?;
        }
    }
    Ok(())
}

/// For each shard the first free one of the others on the same data node, as nodes take them.
fn partners<'s>(shards: &[Shard], others: &'s [Shard]) -> Vec<&'s Shard> {
    let mut free: BTreeMap<_, Vec<&'s Shard>> = BTreeMap::new();
    for other in others.iter().rev() {
        free.entry(&other.data_node).or_default().push(other);
    }
    shards.iter().filter_map(|shard| free.get_mut(&shard.data_node)?.pop()).collect()
}

/// A table under the name that it gets.
fn renamed(from: &Table, to: &Table) -> Table {
    Table {
        name: to.name.clone(),
        physical_base: to.physical_base.clone(),
        recycled: to.recycled.clone(),
        definition_version: to.definition_version.max(from.definition_version + 1),
        ..from.clone()
    }
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
