//! The end of what the recycle bin keeps: tables that were dropped long enough ago, and the oldest
//! where too many are kept. The physical tables go first, then the record; a lock keeps RESTORE
//! away in between, and whoever comes after a crash finds it and goes on.

use super::orphans::{drop_physical, execute, login, quoted};
use super::unfinished::is_there;
use super::{find, lock};
use crate::app::App;
use crate::change::Tries;
use crate::error::AppError;
use crate::metadata::export::SEQUENCE_TABLE;
use base::id::InstanceId;
use control_store::record::{Record, Versioned};
use control_store::records::ddl::TableLockRecord;
use control_store::records::schema::{SchemaRecord, SchemaStatus};
use control_store::records::table::TableRecord;
use std::collections::BTreeMap;
use topology::model::{Shard, Table};
use topology::recycle::{COPIES_MAX, Recycled, TABLES_MAX};

/// The holder of the lock of a table that goes.
const HOLDER: &str = "recycle-bin";

/// Ends so many in one round, that others get their turn.
const ROUND_MAX: usize = 200;

impl App {
    /// Drops what is no longer kept; returns how many tables it was.
    pub async fn empty_recycle_bins(&self, now_ms: i64) -> Result<usize, AppError> {
        let mut bins: BTreeMap<(InstanceId, String), Vec<TableRecord>> = BTreeMap::new();
        for record in self.list::<TableRecord>(TableRecord::PREFIX).await? {
            let record = record.value;
            if record.table.recycled.is_some() {
                let bin = (record.instance_id.clone(), record.schema.clone());
                bins.entry(bin).or_default().push(record);
            }
        }
        let mut ended = 0;
        for ((instance, schema), kept) in bins {
            let found: Option<Versioned<SchemaRecord>> =
                self.get(&SchemaRecord::key_of(&instance, &schema)).await?;
            let Some(found) = found.filter(|one| one.value.status == SchemaStatus::Running) else {
                continue;
            };
            for record in due(kept, now_ms).into_iter().take(ROUND_MAX - ended.min(ROUND_MAX)) {
                let name = record.table.name.clone();
                match self.end_recycled(&record, &found.value.shards).await {
                    Ok(true) => ended += 1,
                    Ok(false) => {}
                    // A data node may be away; others need not wait for it.
                    Err(error) => {
                        tracing::warn!(%instance, %schema, name, %error, "a dropped table cannot be removed from the recycle bin now and is tried again");
                    }
                }
            }
        }
        Ok(ended)
    }

    /// Drops one; false when a statement has it.
    async fn end_recycled(&self, record: &TableRecord, shards: &[Shard]) -> Result<bool, AppError> {
        let (instance, schema) = (&record.instance_id, &record.schema);
        let held = lock(instance, schema, &record.table.name.to_lowercase(), HOLDER);
        if !self.hold(&held, record).await? {
            return Ok(false);
        }
        drop_physical(self, &record.table, shards).await?;
        if record.table.sequence_column.is_some()
            && let Some(first) = shards.first()
        {
            forget_sequence(self, first, &record.table).await?;
        }
        let mut tries = Tries::default();
        loop {
            let mut change = self.change(instance).await?;
            if let Some(known) = find(self, instance, schema, &record.table.name).await? {
                change.delete(&known);
            }
            if let Some(held) = self.get::<TableLockRecord>(&held.key()).await? {
                change.delete(&held);
            }
            if change.commit().await?.is_some() {
                return Ok(true);
            }
            tries.again()?;
        }
    }

    /// Takes the lock, or finds it taken by a round before; false when something else has it, or
    /// the table is gone.
    async fn hold(&self, held: &TableLockRecord, record: &TableRecord) -> Result<bool, AppError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change(&record.instance_id).await?;
            let known = find(self, &record.instance_id, &record.schema, &record.table.name).await?;
            if known.is_none_or(|known| known.value.table.recycled != record.table.recycled) {
                return Ok(false);
            }
            if let Some(other) = self.get::<TableLockRecord>(&held.key()).await? {
                return Ok(other.value.ddl_id == HOLDER);
            }
            change.create(held);
            if change.commit().await?.is_some() {
                return Ok(true);
            }
            tries.again()?;
        }
    }
}

/// Where the sequence of a table that is gone would begin is forgotten.
async fn forget_sequence(app: &App, first: &Shard, table: &Table) -> Result<(), AppError> {
    let Some((_, login)) = login(app, first).await? else { return Ok(()) };
    if !is_there(app, &login, first, SEQUENCE_TABLE).await? {
        return Ok(());
    }
    let name = table.name.to_lowercase().replace('\\', "\\\\").replace('\'', "''");
    let place = format!("{}.{}", quoted(&first.database), quoted(SEQUENCE_TABLE));
    execute(app, first, &format!("DELETE FROM {place} WHERE name = '{name}'")).await
}

/// The tables of one schema's bin that go now.
fn due(kept: Vec<TableRecord>, now_ms: i64) -> Vec<TableRecord> {
    let mut kept: Vec<(Recycled, TableRecord)> = kept
        .into_iter()
        .filter_map(|record| Some((record.table.recycled.as_deref()?.clone(), record)))
        .collect();
    kept.sort_by_key(|(recycled, _)| std::cmp::Reverse((recycled.dropped_ms, recycled.number)));
    let mut copies: BTreeMap<String, usize> = BTreeMap::new();
    let mut due = Vec::new();
    for (at, (recycled, record)) in kept.into_iter().enumerate() {
        let seen = copies.entry(recycled.name.to_lowercase()).or_default();
        *seen += 1;
        if recycled.kept_until_ms() <= now_ms || *seen > COPIES_MAX || at >= TABLES_MAX {
            due.push(record);
        }
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;
    use topology::model::Placement;
    use topology::recycle::KEPT_MS;

    fn kept(name: &str, number: u32, dropped_ms: i64) -> TableRecord {
        let recycled = Recycled { name: name.to_owned(), number, dropped_ms };
        let table = Table {
            name: format!("_ddm_bin{number}_{name}"),
            placement: Placement::Single,
            columns: Vec::new(),
            primary_key: Vec::new(),
            unique_keys: Vec::new(),
            sequence_column: None,
            definition_version: 1,
            view: None,
            physical_base: None,
            frozen: false,
            recycled: Some(Box::new(recycled)),
        };
        TableRecord { instance_id: InstanceId::from_random([1; 16]), schema: "s".to_owned(), table }
    }

    fn names(due: Vec<TableRecord>) -> Vec<String> {
        due.into_iter().map(|record| record.table.name).collect()
    }

    #[test]
    fn the_old_go_and_the_oldest_of_too_many() {
        let now = 2 * KEPT_MS;
        let old = now - KEPT_MS;
        assert_eq!(
            names(due(vec![kept("a", 1, old + 1), kept("b", 1, old)], now)),
            ["_ddm_bin1_b"]
        );
        let copies = (1..=12).map(|number| kept("a", number, now - 100 + i64::from(number)));
        assert_eq!(names(due(copies.collect(), now)), ["_ddm_bin2_a", "_ddm_bin1_a"]);
    }
}
