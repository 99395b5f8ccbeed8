//! Security groups: which clients may connect to the instances that have them. A change of rules
//! writes the group's record alone; its revision is part of the version of the snapshots made with
//! it, so however many instances have the group, the change is one transaction. The calls answer
//! when the nodes that are heard serve it.

use crate::app::App;
use crate::change::Tries;
use crate::effect::EFFECT_TIMEOUT;
use crate::error::AppError;
use crate::instance::require_running;
use crate::time::{now_ms, text};
use base::api_error::{ApiError, CONFLICT, NOT_FOUND, QUOTA_EXCEEDED, SECURITY_GROUP_INVALID};
use base::id::{ProjectId, hex, random_bytes};
use control_api::paging::{Page, total};
use control_api::security_group::{
    ListSecurityGroupRulesResponse, ListSecurityGroupsResponse, ModifySecurityGroupResponse,
    NewSecurityGroup, NewSecurityGroupRule, SecurityGroup, SecurityGroupRule,
};
use control_store::record::{Record, Versioned};
use control_store::records::instance::InstanceRecord;
use control_store::records::security_group::{SecurityGroupRecord, SecurityRuleRecord};
use control_store::{Revision, TxnOutcome, typed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tokio::time::Instant;
use topology::access::AccessRule;

/// Groups of one project.
const GROUPS_MAX: usize = 100;

/// Rules of one group: each new connection is compared with all of them.
const RULES_MAX: usize = 100;

/// Longest id of a group or rule that is looked for.
const ID_BYTES_MAX: usize = 64;

/// The name of the group that instances get when none is named.
const DEFAULT_NAME: &str = "default";

impl App {
    /// Makes the default group at the first start. What is done to it later stays.
    pub async fn ensure_default_security_group(&self) -> Result<(), AppError> {
        let id = &self.settings.security_group_id;
        if self.get::<SecurityGroupRecord>(&SecurityGroupRecord::key_of(id)).await?.is_some() {
            return Ok(());
        }
        let now = now_ms();
        let rule = |network: IpAddr, prefix: u8, description: &str| SecurityRuleRecord {
            id: new_id(),
            access: AccessRule { network, prefix, port_min: 1, port_max: u16::MAX },
            description: description.to_owned(),
            created_ms: now,
        };
        let mut rules = vec![
            rule(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8, "this machine"),
            rule(IpAddr::V6(Ipv6Addr::LOCALHOST), 128, "this machine"),
        ];
        let subnet = self.settings.node_subnet;
        if !subnet.network().is_loopback() {
            rules.push(rule(IpAddr::V4(subnet.network()), subnet.prefix(), "the nodes' subnet"));
        }
        let group = SecurityGroupRecord {
            id: id.clone(),
            project_id: None,
            name: DEFAULT_NAME.to_owned(),
            description: "Instances have it when none is named.".to_owned(),
            created_ms: now,
            updated_ms: now,
            condemned: false,
            rules,
        };
        // On a conflict somebody else was first, which is as good.
        self.store.txn(vec![typed::absent(&group)], vec![typed::put(&group)]).await?;
        Ok(())
    }

    /// `GET /v3/{project_id}/security-groups`
    pub async fn list_security_groups(
        &self,
        project: &ProjectId,
        page: Page,
    ) -> Result<ListSecurityGroupsResponse, ApiError> {
        let mut groups = self.security_groups_of(project).await?;
        groups.sort_by(|a, b| {
            let key = |group: &SecurityGroupRecord| (group.project_id.is_some(), group.created_ms);
            key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id))
        });
        let total = total(&groups);
        let shown = page.cut(groups).into_iter().map(|group| self.shown_group(group));
        Ok(ListSecurityGroupsResponse {
            security_groups: shown.collect(),
            offset: page.offset,
            limit: page.limit,
            total,
        })
    }

    /// `POST /v3/{project_id}/security-groups`
    pub async fn create_security_group(
        &self,
        project: &ProjectId,
        new: NewSecurityGroup,
    ) -> Result<SecurityGroup, ApiError> {
        if self.security_groups_of(project).await?.len() >= GROUPS_MAX {
            return Err(ApiError::new(QUOTA_EXCEEDED).because(
                format!("A project has at most {GROUPS_MAX} security groups."),
                format!("每个项目最多{GROUPS_MAX}个安全组。"),
            ));
        }
        let now = now_ms();
        let group = SecurityGroupRecord {
            id: new_id(),
            project_id: Some(project.clone()),
            name: new.name,
            description: new.description,
            created_ms: now,
            updated_ms: now,
            condemned: false,
            rules: Vec::new(),
        };
        let written = self.store.txn(vec![typed::absent(&group)], vec![typed::put(&group)]).await;
        match written.map_err(AppError::from)? {
            TxnOutcome::Committed(_) => Ok(self.shown_group(group)),
            TxnOutcome::Conflict { .. } => Err(AppError::Contended(1).into()),
        }
    }

    /// `GET /v3/{project_id}/security-groups/{security_group_id}`
    pub async fn show_security_group(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<SecurityGroup, ApiError> {
        Ok(self.shown_group(self.security_group(project, id).await?.value))
    }

    /// `DELETE /v3/{project_id}/security-groups/{security_group_id}`. First no instance can get it
    /// any more, then it is looked whether one has it: so nobody can come in between.
    pub async fn delete_security_group(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<(), ApiError> {
        if id == self.settings.security_group_id {
            return Err(conflict("The default security group stays.", "默认安全组不能删除。"));
        }
        self.condemn_security_group(project, id, true).await?;
        let users = self.instances_with_security_group(id).await?;
        if let Some(user) = users.first() {
            self.condemn_security_group(project, id, false).await?;
            return Err(conflict(
                format!("The instance {} has it.", user.id),
                format!("实例{}正在使用该安全组。", user.id),
            ));
        }
        let group = self.security_group(project, id).await?;
        let key = group.value.key();
        let writes = vec![typed::delete::<SecurityGroupRecord>(&key)];
        match self.store.txn(vec![group.unchanged()], writes).await.map_err(AppError::from)? {
            TxnOutcome::Committed(_) => Ok(()),
            TxnOutcome::Conflict { .. } => Err(AppError::Contended(1).into()),
        }
    }

    async fn condemn_security_group(
        &self,
        project: &ProjectId,
        id: &str,
        condemned: bool,
    ) -> Result<(), ApiError> {
        let set = |group: &mut SecurityGroupRecord| {
            group.condemned = condemned;
            Ok(())
        };
        self.change_security_group(project, id, set).await.map(drop)
    }

    /// `GET /v3/{project_id}/security-groups/{security_group_id}/rules`
    pub async fn list_security_group_rules(
        &self,
        project: &ProjectId,
        id: &str,
        page: Page,
    ) -> Result<ListSecurityGroupRulesResponse, ApiError> {
        let group = self.show_security_group(project, id).await?;
        let total = total(&group.rules);
        Ok(ListSecurityGroupRulesResponse {
            rules: page.cut(group.rules),
            offset: page.offset,
            limit: page.limit,
            total,
        })
    }

    /// `POST /v3/{project_id}/security-groups/{security_group_id}/rules`
    pub async fn create_security_group_rule(
        &self,
        project: &ProjectId,
        id: &str,
        new: NewSecurityGroupRule,
    ) -> Result<SecurityGroupRule, ApiError> {
        let rule = SecurityRuleRecord {
            id: new_id(),
            access: AccessRule {
                network: new.network,
                prefix: new.prefix,
                port_min: new.port_min,
                port_max: new.port_max,
            },
            description: new.description,
            created_ms: now_ms(),
        };
        let add = |group: &mut SecurityGroupRecord| {
            if group.condemned {
                return Err(conflict("It is being deleted.", "安全组正在删除。"));
            }
            if group.rules.iter().any(|known| known.access == rule.access) {
                return Err(conflict("It has this rule already.", "规则已存在。"));
            }
            if group.rules.len() >= RULES_MAX {
                return Err(ApiError::new(QUOTA_EXCEEDED).because(
                    format!("A security group has at most {RULES_MAX} rules."),
                    format!("每个安全组最多{RULES_MAX}条规则。"),
                ));
            }
            group.rules.push(rule.clone());
            Ok(())
        };
        let revision = self.change_security_group(project, id, add).await?;
        self.rules_take_effect(id, revision).await?;
        Ok(shown_rule(id, rule))
    }

    /// `DELETE /v3/{project_id}/security-groups/{security_group_id}/rules/{rule_id}`
    pub async fn delete_security_group_rule(
        &self,
        project: &ProjectId,
        id: &str,
        rule_id: &str,
    ) -> Result<(), ApiError> {
        let remove = |group: &mut SecurityGroupRecord| {
            let before = group.rules.len();
            group.rules.retain(|rule| rule.id != rule_id);
            if group.rules.len() == before {
                return Err(ApiError::not_found(
                    NOT_FOUND,
                    "The rule does not exist.",
                    "安全组规则不存在。",
                ));
            }
            Ok(())
        };
        let revision = self.change_security_group(project, id, remove).await?;
        self.rules_take_effect(id, revision).await
    }

    /// `PUT /v1/{project_id}/instances/{instance_id}/modify-security-group`, and that of v3.
    pub async fn modify_security_group(
        &self,
        project: &ProjectId,
        instance: &str,
        group_id: String,
    ) -> Result<ModifySecurityGroupResponse, ApiError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, instance).await?;
            require_running(&change.instance)?;
            let group =
                self.security_group_for_use(project, &group_id, "security_group_id").await?;
            change.require(&group);
            change.instance.security_group_id = group_id.clone();
            let id = change.instance.id.clone();
            if let Some(committed) = change.commit().await? {
                self.wait_effect(&id, committed.revision, EFFECT_TIMEOUT).await?;
                return Ok(ModifySecurityGroupResponse { security_group_id: group_id });
            }
            tries.again()?;
        }
    }

    /// A group that an instance is to get: it must be there, the project's or everybody's.
    pub(crate) async fn security_group_for_use(
        &self,
        project: &ProjectId,
        id: &str,
        field: &str,
    ) -> Result<Versioned<SecurityGroupRecord>, ApiError> {
        let group = self.find_security_group(project, id).await?;
        group
            .filter(|group| !group.value.condemned)
            .ok_or_else(|| ApiError::new(SECURITY_GROUP_INVALID).field(field))
    }

    async fn security_group(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<Versioned<SecurityGroupRecord>, ApiError> {
        self.find_security_group(project, id).await?.ok_or_else(|| {
            ApiError::not_found(NOT_FOUND, "The security group does not exist.", "安全组不存在。")
        })
    }

    async fn find_security_group(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<Option<Versioned<SecurityGroupRecord>>, AppError> {
        let is_id = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if id.is_empty() || id.len() > ID_BYTES_MAX || !id.chars().all(is_id) {
            return Ok(None);
        }
        let found = self.get::<SecurityGroupRecord>(&SecurityGroupRecord::key_of(id)).await?;
        Ok(found.filter(|group| is_visible(&group.value, project)))
    }

    async fn security_groups_of(
        &self,
        project: &ProjectId,
    ) -> Result<Vec<SecurityGroupRecord>, AppError> {
        let all = self.list::<SecurityGroupRecord>(SecurityGroupRecord::PREFIX).await?;
        let all = all.into_iter().map(|group| group.value);
        Ok(all.filter(|group| is_visible(group, project)).collect())
    }

    /// Changes a group's record; the store's revision after it.
    async fn change_security_group(
        &self,
        project: &ProjectId,
        id: &str,
        edit: impl Fn(&mut SecurityGroupRecord) -> Result<(), ApiError>,
    ) -> Result<Revision, ApiError> {
        let mut tries = Tries::default();
        loop {
            let before = self.security_group(project, id).await?;
            let mut group = before.value.clone();
            edit(&mut group)?;
            group.updated_ms = now_ms().max(before.value.updated_ms);
            let written = self.store.txn(vec![before.unchanged()], vec![typed::put(&group)]).await;
            if let TxnOutcome::Committed(revision) = written.map_err(AppError::from)? {
                return Ok(revision);
            }
            tries.again()?;
        }
    }

    async fn instances_with_security_group(
        &self,
        id: &str,
    ) -> Result<Vec<InstanceRecord>, AppError> {
        let all = self.list::<InstanceRecord>(InstanceRecord::PREFIX).await?;
        let all = all.into_iter().map(|instance| instance.value);
        Ok(all.filter(|instance| instance.security_group_id == id).collect())
    }

    /// Hands the rules to the nodes of all instances that have the group, and waits for them.
    async fn rules_take_effect(&self, id: &str, revision: Revision) -> Result<(), ApiError> {
        let users = self.instances_with_security_group(id).await?;
        for user in &users {
            self.publisher.publish(&user.id);
        }
        let deadline = Instant::now() + EFFECT_TIMEOUT;
        for user in &users {
            self.wait_effect(
                &user.id,
                revision,
                deadline.saturating_duration_since(Instant::now()),
            )
            .await?;
        }
        Ok(())
    }

    fn shown_group(&self, group: SecurityGroupRecord) -> SecurityGroup {
        let rules = group.rules.into_iter().map(|rule| shown_rule(&group.id, rule)).collect();
        SecurityGroup {
            is_default: group.id == self.settings.security_group_id,
            id: group.id,
            name: group.name,
            description: group.description,
            created: text(group.created_ms),
            updated: text(group.updated_ms),
            rules,
        }
    }
}

fn shown_rule(group_id: &str, rule: SecurityRuleRecord) -> SecurityGroupRule {
    let cidr = format!("{}/{}", rule.access.network, rule.access.prefix);
    SecurityGroupRule {
        id: rule.id,
        security_group_id: group_id.to_owned(),
        remote_ip_prefix: cidr.clone(),
        cidr,
        port_range_min: rule.access.port_min,
        port_range_max: rule.access.port_max,
        protocol: "tcp".to_owned(),
        direction: "ingress".to_owned(),
        description: rule.description,
        created: text(rule.created_ms),
    }
}

fn is_visible(group: &SecurityGroupRecord, project: &ProjectId) -> bool {
    group.project_id.as_ref().is_none_or(|owner| owner == project)
}

fn conflict(english: impl Into<String>, chinese: impl Into<String>) -> ApiError {
    ApiError::new(CONFLICT).because(english, chinese)
}

/// A random id in the form of a UUID, as security groups have them.
fn new_id() -> String {
    let digits = hex(&random_bytes::<16>());
    let (a, b, c, d, e) =
        (&digits[..8], &digits[8..12], &digits[13..16], &digits[17..20], &digits[20..]);
    format!("{a}-{b}-4{c}-a{d}-{e}")
}
