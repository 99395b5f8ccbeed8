//! Backups of metadata: made every day and before schemas or an instance are deleted, kept for a
//! while, also when the instance is gone; listed, shown, deleted; and what can be restored from
//! them. A backup holds the schemas' metadata, no rows and no secrets.

use crate::app::App;
use crate::error::{AppError, instance_missing};
use crate::jobs::{BACKUP_DELETE, BackupParams, backup_lock};
use crate::metadata::export::{Purpose, compressed};
use crate::time::{now_ms, text};
use aws_lc_rs::digest::{SHA256, digest};
use base::api_error::{ApiError, NOT_FOUND, PARAMETER_ERROR};
use base::id::{BackupId, ID_RANDOM_BYTES, InstanceId, ProjectId};
use control_api::backup::{BackupRow, ListBackupsResponse, RelatedDataNode, ShowBackupResponse};
use control_api::instance_v3::JobStarted;
use control_api::paging::{Page, total};
use control_store::jobs::creation;
use control_store::record::{Record, Versioned};
use control_store::records::backup::{
    BackedUpDataNode, BackupReason, BackupRecord, BackupStatus, MetadataDocumentRecord,
};
use control_store::records::instance::InstanceRecord;
use control_store::{TxnOutcome, typed};
use job_engine::NewJob;
use std::collections::BTreeMap;

/// How long a backup is kept, in milliseconds.
pub const KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

/// Backups of one instance; the oldest beyond are removed.
pub const BACKUPS_MAX: usize = 256;

/// Parts of names that the list is filtered by.
#[derive(Clone, Debug, Default)]
pub struct BackupFilter {
    /// Exactly this instance.
    pub instance_id: Option<String>,
    /// Instances with this in their names.
    pub instance_name: Option<String>,
    /// Backups with this in their names.
    pub backup_name: Option<String>,
}

/// Whether it can be restored.
pub(crate) fn is_usable(backup: &BackupRecord) -> bool {
    backup.status == BackupStatus::Normal
}

/// The error for a backup that a request names and that is not there.
pub(crate) fn no_backup(field: &str) -> ApiError {
    ApiError::new(PARAMETER_ERROR).field(field).because("there is no such backup", "备份不存在")
}

/// From when to when the state of these backups' instance can be restored.
pub fn interval(backups: &[BackupRecord], now_ms: i64) -> Option<(i64, i64)> {
    let usable = || backups.iter().filter(|backup| is_usable(backup));
    let start = usable().map(|backup| backup.instance_created_ms).min()?;
    let end = usable().map(|backup| backup.taken_ms).max()?;
    Some((start.max(now_ms - KEPT_MS), end))
}

/// The backup that tells what there was at a time: the first one afterwards, since one is made before
/// anything is deleted; else the newest. Schemas that were made after the time say so themselves.
pub fn at_time(backups: &[BackupRecord], time_ms: i64, now_ms: i64) -> Option<&BackupRecord> {
    let (start, _) = interval(backups, now_ms)?;
    if !(start..=now_ms).contains(&time_ms) {
        return None;
    }
    let usable = || backups.iter().filter(|backup| is_usable(backup));
    let after = usable().filter(|backup| backup.taken_ms >= time_ms);
    after.min_by_key(|backup| backup.taken_ms).or_else(|| usable().max_by_key(|b| b.taken_ms))
}

/// An id that the same occasion gives again, so that a repeated step makes no second backup.
pub(crate) fn id_of_occasion(occasion: &str) -> BackupId {
    let hash = digest(&SHA256, occasion.as_bytes());
    let mut random = [0; ID_RANDOM_BYTES];
    random.copy_from_slice(&hash.as_ref()[..ID_RANDOM_BYTES]);
    BackupId::from_random(random)
}

impl App {
    /// Backs an instance's metadata up, unless that was done already; false when that cannot be.
    /// An instance that is gone, or (before a deletion) has no schema, needs no backup.
    pub(crate) async fn back_up(
        &self,
        id: &BackupId,
        instance_id: &InstanceId,
        reason: BackupReason,
    ) -> Result<bool, AppError> {
        let before: Option<Versioned<BackupRecord>> = self.get(&BackupRecord::key_of(id)).await?;
        if before.as_ref().is_some_and(|before| is_usable(&before.value)) {
            return Ok(true);
        }
        let instance: Option<Versioned<InstanceRecord>> =
            self.get(&InstanceRecord::key_of(instance_id)).await?;
        let Some(instance) = instance else { return Ok(true) };
        if reason != BackupReason::Daily && self.schemas(instance_id).await?.is_empty() {
            return Ok(true);
        }
        let begun = new_record(id, &instance.value, reason);
        self.write(vec![], vec![typed::put(&begun)]).await?;
        let document = match self.collect_metadata(instance_id, Purpose::Backup).await {
            Ok(document) => document,
            Err(error) => return self.back_up_failed(begun, error.to_string()).await,
        };
        let data_nodes = document
            .data_nodes
            .iter()
            .map(|node| BackedUpDataNode { id: node.id.clone(), name: node.name.clone() })
            .collect();
        let taken_ms = document.taken_ms;
        let packed = match compressed(document).await {
            Ok(packed) => packed,
            Err(error) => return self.back_up_failed(begun, format!("{error:?}")).await,
        };
        let done = BackupRecord {
            status: BackupStatus::Normal,
            taken_ms,
            updated_ms: now_ms(),
            bytes: u64::try_from(packed.len() / 4 * 3).unwrap_or(u64::MAX),
            data_nodes,
            ..begun
        };
        let document = MetadataDocumentRecord { id: id.to_string(), compressed: packed };
        self.write(vec![], vec![typed::put(&done), typed::put(&document)]).await?;
        Ok(true)
    }

    async fn back_up_failed(&self, begun: BackupRecord, error: String) -> Result<bool, AppError> {
        tracing::warn!(instance = %begun.instance_id, %error, "metadata cannot be backed up");
        let failed = BackupRecord {
            status: BackupStatus::CreateFail,
            error: Some(error),
            updated_ms: now_ms(),
            ..begun
        };
        self.write(vec![], vec![typed::put(&failed)]).await?;
        Ok(false)
    }

    /// Writes what belongs to no instance's snapshot; false: a condition did not hold.
    async fn write(
        &self,
        conditions: Vec<control_store::Condition>,
        writes: Vec<control_store::Write>,
    ) -> Result<bool, AppError> {
        Ok(matches!(self.store.txn(conditions, writes).await?, TxnOutcome::Committed(_)))
    }

    /// A backup that was never finished has failed.
    pub(crate) async fn give_up_backup(&self, id: &BackupId) -> Result<(), AppError> {
        let before: Option<Versioned<BackupRecord>> = self.get(&BackupRecord::key_of(id)).await?;
        match before {
            Some(before) if before.value.status == BackupStatus::Creating => {
                let reason = "it was never finished".to_owned();
                self.back_up_failed(before.value, reason).await.map(|_| ())
            }
            _ => Ok(()),
        }
    }

    /// Removes a backup with its document.
    pub(crate) async fn forget_backup(&self, id: &BackupId) -> Result<(), AppError> {
        let writes = vec![
            typed::delete::<MetadataDocumentRecord>(&MetadataDocumentRecord::key_of(id.as_str())),
            typed::delete::<BackupRecord>(&BackupRecord::key_of(id)),
        ];
        self.write(vec![], writes).await.map(|_| ())
    }

    /// `GET /v3/{project_id}/backups`
    pub async fn list_backups(
        &self,
        project: &ProjectId,
        filter: &BackupFilter,
        page: Page,
    ) -> Result<ListBackupsResponse, ApiError> {
        let has = |wanted: &Option<String>, name: &str| {
            wanted.as_ref().is_none_or(|wanted| name.contains(wanted))
        };
        let mut all = self.project_backups(project).await?;
        all.retain(|backup| {
            let id = backup.instance_id.as_str();
            filter.instance_id.as_ref().is_none_or(|wanted| wanted == id)
                && has(&filter.instance_name, &backup.instance_name)
                && has(&filter.backup_name, &backup.name)
        });
        all.sort_by(|a, b| b.taken_ms.cmp(&a.taken_ms).then_with(|| a.id.cmp(&b.id)));
        let total = total(&all);
        let mut statuses: BTreeMap<InstanceId, &'static str> = BTreeMap::new();
        let mut backups = Vec::new();
        for backup in page.cut(all) {
            if !statuses.contains_key(&backup.instance_id) {
                let key = InstanceRecord::key_of(&backup.instance_id);
                let instance: Option<Versioned<InstanceRecord>> = self.get(&key).await?;
                let status = instance.map_or("DELETED", |instance| instance.value.status.name());
                statuses.insert(backup.instance_id.clone(), status);
            }
            let status = statuses[&backup.instance_id];
            backups.push(row(backup, status));
        }
        Ok(ListBackupsResponse { total, offset: page.offset, limit: page.limit, backups })
    }

    /// `GET /v3/{project_id}/instances/{instance_id}/backups/{backup_id}`
    pub async fn show_backup(
        &self,
        project: &ProjectId,
        instance_id: &str,
        id: &str,
    ) -> Result<ShowBackupResponse, ApiError> {
        let (_, backups) = self.backups_of(project, instance_id).await?;
        let backup = backups.into_iter().find(|backup| backup.id.as_str() == id);
        let backup = backup.ok_or_else(backup_missing)?;
        let related = backup.data_nodes.into_iter().map(|node| RelatedDataNode {
            instance_id: node.id.to_string(),
            instance_name: node.name,
        });
        Ok(ShowBackupResponse {
            id: backup.id.to_string(),
            name: backup.name,
            instance_id: backup.instance_id.to_string(),
            instance_name: backup.instance_name,
            related_data_nodes: related.collect(),
        })
    }

    /// `DELETE /v3/{project_id}/backups/{backup_id}`
    pub async fn delete_backup(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<JobStarted, ApiError> {
        let id = BackupId::parse(id).ok_or_else(backup_missing)?;
        let backup: Option<Versioned<BackupRecord>> = self.get(&BackupRecord::key_of(&id)).await?;
        let backup = backup.filter(|backup| backup.value.project_id == *project);
        let backup = backup.ok_or_else(backup_missing)?;
        if !matches!(backup.value.status, BackupStatus::Normal | BackupStatus::CreateFail) {
            let status = backup.value.status.name();
            return Err(ApiError::state(
                format!("The backup is {status}."),
                format!("备份状态为{status}。"),
            ));
        }
        let record = &backup.value;
        let params = BackupParams { backup: id.clone(), status: record.status };
        let new = NewJob {
            project_id: project.to_string(),
            instance_id: Some(record.instance_id.to_string()),
            instance_name: Some(record.instance_name.clone()),
            schema: None,
            locks: vec![backup_lock(&id)],
            params: serde_json::to_value(params).expect("parameters are plain data"),
        };
        let row = self.jobs.new_row(BACKUP_DELETE, new);
        let row = row.map_err(|error| AppError::Broken(error.to_string()))?;
        let (mut conditions, mut writes) = creation(&row);
        conditions.push(backup.unchanged());
        writes.push(typed::put(&BackupRecord {
            status: BackupStatus::Deleted,
            updated_ms: now_ms(),
            ..record.clone()
        }));
        if !self.write(conditions, writes).await? {
            return Err(AppError::Busy.into());
        }
        self.jobs.launch(&row.id);
        Ok(JobStarted { job_id: row.id })
    }

    async fn project_backups(&self, project: &ProjectId) -> Result<Vec<BackupRecord>, AppError> {
        let all: Vec<Versioned<BackupRecord>> = self.list(BackupRecord::PREFIX).await?;
        let all = all.into_iter().map(|backup| backup.value);
        Ok(all.filter(|backup| backup.project_id == *project).collect())
    }

    /// An instance's backups, also when the instance itself is gone.
    pub(crate) async fn backups_of(
        &self,
        project: &ProjectId,
        instance_id: &str,
    ) -> Result<(InstanceId, Vec<BackupRecord>), ApiError> {
        let id = InstanceId::parse(instance_id).ok_or_else(instance_missing)?;
        let mut backups = self.project_backups(project).await?;
        backups.retain(|backup| backup.instance_id == id);
        if backups.is_empty() {
            self.instance(project, instance_id).await?;
        }
        Ok((id, backups))
    }
}

fn backup_missing() -> ApiError {
    ApiError::not_found(NOT_FOUND, "The backup does not exist.", "备份不存在。")
}

fn new_record(id: &BackupId, instance: &InstanceRecord, reason: BackupReason) -> BackupRecord {
    let now = now_ms();
    BackupRecord {
        id: id.clone(),
        project_id: instance.project_id.clone(),
        instance_id: instance.id.clone(),
        instance_name: instance.name.clone(),
        instance_created_ms: instance.created_ms,
        name: format!("Backup-{}-{now}", instance.name),
        reason,
        status: BackupStatus::Creating,
        error: None,
        taken_ms: now,
        updated_ms: now,
        bytes: 0,
        data_nodes: Vec::new(),
    }
}

fn row(backup: BackupRecord, instance_status: &str) -> BackupRow {
    let (kind, description) = match backup.reason {
        BackupReason::Daily => ("auto_metadata", "auto metadata backup"),
        BackupReason::SchemaDeletion => ("metadata", "metadata backup before deleting a schema"),
        BackupReason::InstanceDeletion => {
            ("metadata", "metadata backup before deleting the instance")
        }
    };
    BackupRow {
        id: backup.id.to_string(),
        name: backup.name,
        description: description.to_owned(),
        status: backup.status.name().to_owned(),
        instance_id: backup.instance_id.to_string(),
        instance_name: backup.instance_name,
        instance_status: instance_status.to_owned(),
        file_size: kilobytes(backup.bytes),
        created: text(backup.taken_ms),
        updated: text(backup.updated_ms),
        backup_type: kind.to_owned(),
    }
}

fn kilobytes(bytes: u64) -> f64 {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    f64::from(bytes) / 1024.0
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub(crate) fn backup(number: u8, taken_ms: i64, status: BackupStatus) -> BackupRecord {
        BackupRecord {
            id: BackupId::from_random([number; 16]),
            project_id: ProjectId::from_random([1; 16]),
            instance_id: InstanceId::from_random([1; 16]),
            instance_name: "ddm".to_owned(),
            instance_created_ms: 100,
            name: "b".to_owned(),
            reason: BackupReason::Daily,
            status,
            error: None,
            taken_ms,
            updated_ms: taken_ms,
            bytes: 1,
            data_nodes: vec![],
        }
    }

    #[test]
    fn a_time_is_told_by_the_first_backup_afterwards() {
        use BackupStatus::{CreateFail, Normal};
        let all = [backup(1, 200, Normal), backup(2, 300, Normal), backup(3, 400, CreateFail)];
        let at = |time| at_time(&all, time, 1_000).map(|found| found.taken_ms);
        assert_eq!(at(150), Some(200), "nothing was deleted between");
        assert_eq!(at(200), Some(200));
        assert_eq!(at(201), Some(300));
        assert_eq!(at(350), Some(300), "the newest that can be restored");
        assert_eq!(at(99), None, "before the instance was made");
        assert_eq!(at(1_001), None, "a time to come");
        assert_eq!(interval(&all, 1_000), Some((100, 300)));
        assert_eq!(interval(&all, KEPT_MS + 150), Some((150, 300)));
        assert_eq!(interval(&all[2..], 1_000), None);
        assert_eq!(at_time(&all[2..], 350, 1_000), None);
    }

    #[test]
    fn an_occasion_has_one_id() {
        assert_eq!(id_of_occasion("a"), id_of_occasion("a"));
        assert_ne!(id_of_occasion("a"), id_of_occasion("b"));
    }
}
