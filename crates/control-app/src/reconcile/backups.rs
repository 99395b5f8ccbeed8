//! Every instance has a metadata backup of the last night, and none that is too old. A night that the
//! control plane slept through is made up for at its next start.

use crate::app::App;
use crate::backup::{BACKUPS_MAX, KEPT_MS, id_of_occasion};
use crate::error::AppError;
use base::id::{BackupId, InstanceId};
use control_store::record::{Record, Versioned};
use control_store::records::backup::{BackupReason, BackupRecord, BackupStatus};
use control_store::records::instance::{InstanceRecord, InstanceStatus};
use std::collections::BTreeMap;

/// A day in milliseconds.
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// When in the day backups are made: 02:00 UTC.
const DUE_MS: i64 = 2 * 60 * 60 * 1_000;

/// A backup that has been in the making for so long is made anew: its maker died.
const MAKING_MS_MAX: i64 = 10 * 60 * 1_000;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Back this instance up, for the night that began then.
    Make(InstanceId, i64),
    /// A backup's maker died: it will never be whole.
    GiveUp(BackupId),
    /// Remove it.
    Remove(BackupId),
}

/// The last 02:00 UTC.
pub fn last_due(now_ms: i64) -> i64 {
    (now_ms - DUE_MS).div_euclid(DAY_MS) * DAY_MS + DUE_MS
}

/// Decides.
pub fn decide(instances: &[InstanceRecord], backups: &[BackupRecord], now_ms: i64) -> Vec<Action> {
    let due = last_due(now_ms);
    let mut of_instance: BTreeMap<&InstanceId, Vec<&BackupRecord>> = BTreeMap::new();
    for backup in backups {
        of_instance.entry(&backup.instance_id).or_default().push(backup);
    }
    let mut actions = Vec::new();
    for instance in instances.iter().filter(|one| one.status == InstanceStatus::Running) {
        let own = of_instance.get(&instance.id).map(Vec::as_slice).unwrap_or_default();
        let done = |backup: &&&BackupRecord| {
            let dead = backup.status == BackupStatus::Creating
                && now_ms - backup.updated_ms > MAKING_MS_MAX;
            backup.reason == BackupReason::Daily && backup.updated_ms >= due && !dead
        };
        if instance.created_ms < due && !own.iter().any(|backup| done(&backup)) {
            actions.push(Action::Make(instance.id.clone(), due));
        }
    }
    for mut own in of_instance.into_values() {
        own.sort_by_key(|backup| std::cmp::Reverse(backup.taken_ms));
        for (place, backup) in own.iter().enumerate() {
            let old = now_ms - backup.taken_ms > KEPT_MS || place >= BACKUPS_MAX;
            let dead = backup.status == BackupStatus::Creating
                && now_ms - backup.updated_ms > MAKING_MS_MAX;
            match backup.status {
                // Its job removes it.
                BackupStatus::Deleted => {}
                _ if old => actions.push(Action::Remove(backup.id.clone())),
                _ if dead => actions.push(Action::GiveUp(backup.id.clone())),
                _ => {}
            }
        }
    }
    // Given up before made anew: they may be the same.
    actions.sort_by_key(|action| matches!(action, Action::Make(..)));
    actions
}

impl App {
    /// Looks once and acts; returns what was done.
    pub async fn reconcile_backups(&self, now_ms: i64) -> Result<Vec<Action>, AppError> {
        let instances: Vec<Versioned<InstanceRecord>> = self.list(InstanceRecord::PREFIX).await?;
        let instances: Vec<InstanceRecord> = instances.into_iter().map(|one| one.value).collect();
        let backups: Vec<Versioned<BackupRecord>> = self.list(BackupRecord::PREFIX).await?;
        let backups: Vec<BackupRecord> = backups.into_iter().map(|one| one.value).collect();
        let actions = decide(&instances, &backups, now_ms);
        for action in &actions {
            let done = match action {
                Action::Make(instance, due) => {
                    let id = id_of_occasion(&format!("{instance}/{due}"));
                    self.back_up(&id, instance, BackupReason::Daily).await.map(|_| ())
                }
                Action::GiveUp(id) => self.give_up_backup(id).await,
                Action::Remove(id) => self.forget_backup(id).await,
            };
            if let Err(error) = done {
                tracing::warn!(?action, %error, "a backup could not be seen to; it is tried again");
            }
        }
        Ok(actions)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::backup::tests::backup;
    use BackupStatus::{CreateFail, Creating, Deleted, Normal};

    const NOW: i64 = 100 * DAY_MS + DUE_MS + 5;
    const DUE: i64 = 100 * DAY_MS + DUE_MS;

    fn instance(created_ms: i64, status: InstanceStatus) -> InstanceRecord {
        let json = serde_json::json!({
            "id": InstanceId::from_random([1; 16]), "project_id": "01".repeat(16), "name": "ddm",
            "status": status, "error": null, "condemned": false, "created_ms": created_ms,
            "updated_ms": 0, "flavor_code": "", "engine_version": "", "enterprise_project_id": "",
            "availability_zones": [], "vpc_id": "", "subnet_id": "", "security_group_id": "",
            "time_zone": "", "group_id": base::id::GroupId::from_random([1; 16]),
            "access_ip": "127.0.0.1", "port": 1, "parameters": {}, "enable_ssl": false,
            "charge": {"mode": "post_paid"}, "order_id": null,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn nights_begin_at_two() {
        assert_eq!(last_due(DUE), DUE);
        assert_eq!(last_due(DUE - 1), DUE - DAY_MS);
        assert_eq!(last_due(DUE + DAY_MS - 1), DUE);
    }

    #[test]
    fn each_difference_has_its_action() {
        use InstanceStatus::{Deleting, Running};
        let id = |number: u8| BackupId::from_random([number; 16]);
        let old = instance(DUE - 10, Running);
        let make = Action::Make(old.id.clone(), DUE);
        let schema =
            BackupRecord { reason: BackupReason::SchemaDeletion, ..backup(4, NOW, Normal) };
        // (instances, backups, what to do)
        let cases = [
            (vec![old.clone()], vec![], vec![make.clone()]),
            (vec![instance(DUE + 1, Running)], vec![], vec![]),
            (vec![instance(DUE - 10, Deleting)], vec![], vec![]),
            (vec![old.clone()], vec![backup(1, DUE, Normal)], vec![]),
            (vec![old.clone()], vec![backup(1, DUE - 1, Normal)], vec![make.clone()]),
            (vec![old.clone()], vec![backup(1, DUE - 5 * DAY_MS, Normal)], vec![make.clone()]),
            (vec![old.clone()], vec![backup(1, DUE, CreateFail)], vec![]),
            (vec![old.clone()], vec![schema], vec![make.clone()]),
            (vec![], vec![backup(1, NOW - KEPT_MS, Normal)], vec![]),
            (vec![], vec![backup(1, NOW - KEPT_MS - 1, Normal)], vec![Action::Remove(id(1))]),
            (vec![], vec![backup(1, NOW - KEPT_MS - 1, Deleted)], vec![]),
            (vec![], vec![backup(1, NOW - MAKING_MS_MAX, Creating)], vec![]),
            (
                vec![],
                vec![backup(1, NOW - MAKING_MS_MAX - 1, Creating)],
                vec![Action::GiveUp(id(1))],
            ),
        ];
        for (instances, backups, actions) in cases {
            assert_eq!(decide(&instances, &backups, NOW), actions, "{backups:?}");
        }
        let many: Vec<BackupRecord> = (0..=u8::MAX)
            .map(|number| backup(number, NOW - i64::from(number), Normal))
            .chain([BackupRecord { id: BackupId::random(), ..backup(0, NOW - 1_000, Normal) }])
            .collect();
        assert_eq!(decide(&[], &many, NOW), [Action::Remove(many[BACKUPS_MAX].id.clone())]);
    }

    #[test]
    fn a_dead_maker_is_followed_by_another() {
        let now = NOW + MAKING_MS_MAX;
        let old = instance(DUE - 10, InstanceStatus::Running);
        let dead = backup(1, DUE, Creating);
        let actions = decide(std::slice::from_ref(&old), std::slice::from_ref(&dead), now);
        assert_eq!(actions, [Action::GiveUp(dead.id), Action::Make(old.id, DUE)]);
    }
}
