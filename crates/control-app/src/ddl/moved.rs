//! Changes of placement, as the control plane sees them: a table whose rows are copied to other
//! physical tables. Its record stays after the commit until the old tables are dropped; whether it is
//! committed is told by the table's own record.

use super::orphans::{drop_physical, execute, homes, quoted};
use super::{Refusal, begun_by, find, publish};
use crate::app::App;
use crate::change::Tries;
use crate::error::AppError;
use crate::ports::SnapshotPublisher;
use base::id::{InstanceId, NodeId};
use control_store::records::ddl::DdlRecord;
use control_store::records::table::TableRecord;
use topology::model::{Shard, Table};
use topology::move_names::Capture;
use topology::stream::{Answer, TableChange};

/// Whether the changes keep their record after the commit.
pub(super) fn is_move(changes: &[TableChange]) -> bool {
    changes.iter().any(|change| matches!(change, TableChange::Move { .. }))
}

/// Statements on the tables wait from now on, or go on; answers when every node knows.
pub(super) async fn freeze(
    app: &App,
    live: &dyn SnapshotPublisher,
    instance: &InstanceId,
    node: &NodeId,
    ddl_id: &str,
    frozen: bool,
) -> Result<Answer, Refusal> {
    let mut tries = Tries::default();
    let version = loop {
        let ddl = begun_by(app, instance, node, ddl_id).await?;
        let mut change = app.change(instance).await?;
        for one in &ddl.value.changes {
            let TableChange::Move { from, .. } = one else { continue };
            let Some(before) = find(app, instance, &ddl.value.schema, &from.name).await? else {
                continue;
            };
            let table = Table { frozen, ..before.value.table.clone() };
            change.update(&before, &TableRecord { table, ..before.value.clone() });
        }
        if let Some(committed) = change.commit().await? {
            break committed.revision;
        }
        tries.again()?;
    };
    publish(app, live, instance, version).await?;
    Ok(Answer::Published { version })
}

/// Drops what a node that died left: the old tables where the new ones serve, else the new ones and
/// what catches changes of the old.
pub(super) async fn clear(
    app: &App,
    ddl: &DdlRecord,
    from: &Table,
    to: &Table,
    shards: &[Shard],
) -> Result<(), AppError> {
    let known = find(app, &ddl.instance_id, &ddl.schema, &to.name).await?;
    let is_committed =
        known.is_some_and(|known| known.value.table.physical_base == to.physical_base);
    let gone = if is_committed { from } else { to };
    drop_physical(app, gone, shards).await?;
    drop_capture(app, from, shards).await
}

/// Drops triggers and logs.
async fn drop_capture(app: &App, table: &Table, shards: &[Shard]) -> Result<(), AppError> {
    let (shards, suffixes) = homes(table, shards);
    for shard in shards {
        let database = quoted(&shard.database);
        for suffix in 0..suffixes {
            let capture = Capture::of(&table.physical_name(suffix));
            for trigger in &capture.triggers {
                let drop = format!("DROP TRIGGER IF EXISTS {database}.{}", quoted(trigger));
                execute(app, shard, &drop).await?;
            }
            let log = quoted(&capture.log);
            execute(app, shard, &format!("DROP TABLE IF EXISTS {database}.{log}")).await?;
        }
    }
    Ok(())
}
