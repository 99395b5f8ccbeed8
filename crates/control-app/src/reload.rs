//! Reading definitions anew: after something else than DDM changed physical tables (a copy from
//! another region, mostly), what the control plane knows of each table is compared with what its
//! data nodes have, taken over where it differs, and published.

use crate::app::App;
use crate::change::{Change, Tries};
use crate::ddl::definition;
use crate::error::AppError;
use crate::instance::require_running;
use base::api_error::ApiError;
use base::id::{InstanceId, ProjectId};
use control_store::record::{Record, Versioned};
use control_store::records::ddl::TableLockRecord;
use control_store::records::schema::{SchemaRecord, SchemaStatus};
use control_store::records::table::TableRecord;
use std::time::Duration;

/// The nodes take what changed within this; one that does not is behind until it does.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(15);

impl App {
    /// `POST /v1/{project_id}/instances/{instance_id}/reload-config` and the same of v3
    pub async fn reload_config(&self, project: &ProjectId, id: &str) -> Result<(), ApiError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, id).await?;
            require_running(&change.instance)?;
            let instance_id = change.instance.id.clone();
            if !self.reread(&mut change).await? {
                return Ok(());
            }
            if let Some(committed) = change.commit().await? {
                return Ok(self.wait_reloaded(&instance_id, committed.revision).await?);
            }
            tries.again()?;
        }
    }

    /// Adds to the change every table whose definition is another now; whether there is one.
    async fn reread(&self, change: &mut Change<'_>) -> Result<bool, AppError> {
        let id = change.instance.id.clone();
        let locks: Vec<Versioned<TableLockRecord>> =
            self.list(&format!("{}{id}/", TableLockRecord::PREFIX)).await?;
        let mut changed = false;
        for schema in self.schemas(&id).await? {
            if schema.value.status != SchemaStatus::Running {
                continue;
            }
            let prefix = TableRecord::prefix_of(&id, &schema.value.name);
            for table in self.list::<TableRecord>(&prefix).await? {
                let name = table.value.table.name.to_lowercase();
                let held =
                    |lock: &TableLockRecord| lock.schema == schema.value.name && lock.table == name;
                // A statement that changes it now will say itself what it became.
                if locks.iter().any(|lock| held(&lock.value)) {
                    continue;
                }
                if let Some(record) = self.reread_table(&schema.value, &table.value).await? {
                    change.update(&table, &record);
                    changed = true;
                }
            }
        }
        Ok(changed)
    }

    /// The table's record as it should be, if that is another.
    async fn reread_table(
        &self,
        schema: &SchemaRecord,
        before: &TableRecord,
    ) -> Result<Option<TableRecord>, AppError> {
        let Some(shard) = schema.shards.first() else { return Ok(None) };
        let mut now = before.clone();
        if !definition::read(self, shard, &mut now.table).await? {
            let (schema, table) = (&schema.name, &before.table.name);
            tracing::warn!(%schema, %table, "the physical table is not there; its definition stays");
            return Ok(None);
        }
        if now.table == before.table {
            return Ok(None);
        }
        now.table.definition_version += 1;
        Ok(Some(now))
    }

    async fn wait_reloaded(&self, id: &InstanceId, version: u64) -> Result<(), AppError> {
        let settled = self.in_force(id, version, PUBLISH_TIMEOUT).await?;
        settled.map_err(|late| AppError::Broken(late.to_string()))
    }
}
