//! Accounts of the MySQL port. A change is one transaction and reaches the nodes with the next
//! snapshot, which the call waits for; setting a password is a job, whose status is seen and which
//! ends when the new one holds everywhere.

use crate::app::App;
use crate::change::{Change, Tries};
use crate::effect::EFFECT_TIMEOUT;
use crate::error::AppError;
use crate::instance::require_running;
use crate::jobs::{ACCOUNT_PASSWORD, PasswordParams, instance_lock};
use crate::password;
use crate::time::{now_ms, text};
use base::api_error::{
    ACCOUNT_CREATE_FAILED, ACCOUNT_EXISTS, ACCOUNT_MISSING, ACCOUNT_UPDATE_FAILED, ApiCode,
    ApiError, PASSWORD_RESET_FAILED,
};
use base::id::{InstanceId, ProjectId};
use base::secret::Secret;
use control_api::account::{
    ACCOUNTS_MAX, AUTHORITIES, AccountChange, CreateUsersResponse, ListUsersResponse,
    ListUsersV3Response, NewAccount, ResetPasswordResponse, UserName, UserRow, UserSchemaName,
    UserSchemaRow, UserV3Row,
};
use control_api::paging::{Page, total};
use control_store::record::Versioned;
use control_store::records::Sealed;
use control_store::records::account::AccountRecord;
use control_store::records::instance::{InstanceRecord, InstanceStatus};
use control_store::records::schema::SchemaRecord;
use control_store::{KeyRange, typed};
use std::collections::BTreeSet;
use topology::account::{Authority, TableGrants, Verifiers};

/// What an account's sealed verifiers belong to.
fn context(instance_id: &InstanceId, name: &str) -> String {
    format!("account/{instance_id}/{name}/verifiers")
}

impl App {
    /// `POST /v1/{project_id}/instances/{instance_id}/users`
    pub async fn create_accounts(
        &self,
        project: &ProjectId,
        instance_id: &str,
        new: Vec<NewAccount>,
    ) -> Result<CreateUsersResponse, ApiError> {
        for account in &new {
            password::refuse_weak("password", &account.name, account.password.expose())?;
        }
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, instance_id).await?;
            require_running(&change.instance)?;
            self.add_accounts(&mut change, &new).await?;
            let id = change.instance.id.clone();
            if let Some(committed) = change.commit().await? {
                self.wait_effect(&id, committed.revision, EFFECT_TIMEOUT).await?;
                let users =
                    new.into_iter().map(|account| UserName { name: account.name }).collect();
                return Ok(CreateUsersResponse { users });
            }
            tries.again()?;
        }
    }

    async fn add_accounts(
        &self,
        change: &mut Change<'_>,
        new: &[NewAccount],
    ) -> Result<(), ApiError> {
        let id = change.instance.id.clone();
        let present = self.accounts(&id).await?;
        if let Some(account) =
            new.iter().find(|new| present.iter().any(|old| old.value.name == new.name))
        {
            return Err(
                ApiError::new(ACCOUNT_EXISTS).because(account.name.clone(), account.name.clone())
            );
        }
        let count =
            present.iter().filter(|account| !account.value.administrator).count() + new.len();
        if count > ACCOUNTS_MAX {
            return Err(ApiError::new(ACCOUNT_CREATE_FAILED)
                .because("An instance has at most 100 accounts.", "每个实例最多100个账号。"));
        }
        let now = now_ms();
        for account in new {
            self.require_schemas(&id, &account.schemas, ACCOUNT_CREATE_FAILED).await?;
            change.create(&AccountRecord {
                instance_id: id.clone(),
                name: account.name.clone(),
                verifiers: self.sealed_verifiers(&id, &account.name, account.password.expose()),
                authorities: authorities(&account.authorities),
                schemas: account.schemas.clone(),
                tables: Default::default(),
                administrator: false,
                description: account.description.clone(),
                created_ms: now,
                password_changed_ms: now,
                password_lifetime_days: account.password_lifetime,
            });
        }
        Ok(())
    }

    /// `PUT /v1/{project_id}/instances/{instance_id}/users/{username}`
    pub async fn update_account(
        &self,
        project: &ProjectId,
        instance_id: &str,
        name: &str,
        wanted: AccountChange,
    ) -> Result<UserName, ApiError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, instance_id).await?;
            require_running(&change.instance)?;
            let before = self.account(&change.instance.id, name).await?;
            let mut record = before.value.clone();
            if let Some(names) = &wanted.authorities {
                record.authorities = authorities(names);
            }
            if let Some(description) = &wanted.description {
                record.description = description.clone();
            }
            if let Some(days) = wanted.password_lifetime {
                record.password_lifetime_days = days;
            }
            if let Some(schemas) = &wanted.schemas {
                self.require_schemas(&change.instance.id, schemas, ACCOUNT_UPDATE_FAILED).await?;
                record.schemas = schemas.clone();
            }
            change.update(&before, &record);
            let id = change.instance.id.clone();
            if let Some(committed) = change.commit().await? {
                self.wait_effect(&id, committed.revision, EFFECT_TIMEOUT).await?;
                return Ok(UserName { name: record.name });
            }
            tries.again()?;
        }
    }

    /// Changes what an account may do with single tables, and waits until it holds.
    pub(crate) async fn update_table_grants(
        &self,
        project: &ProjectId,
        instance_id: &str,
        name: &str,
        edit: impl Fn(&mut TableGrants) -> Result<(), ApiError> + Sync,
    ) -> Result<(), ApiError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, instance_id).await?;
            require_running(&change.instance)?;
            let before = self.account(&change.instance.id, name).await?;
            let mut record = before.value.clone();
            edit(&mut record.tables)?;
            change.update(&before, &record);
            let id = change.instance.id.clone();
            if let Some(committed) = change.commit().await? {
                self.wait_effect(&id, committed.revision, EFFECT_TIMEOUT).await?;
                return Ok(());
            }
            tries.again()?;
        }
    }

    /// `DELETE /v1/{project_id}/instances/{instance_id}/users/{username}`
    pub async fn delete_account(
        &self,
        project: &ProjectId,
        instance_id: &str,
        name: &str,
    ) -> Result<UserName, ApiError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, instance_id).await?;
            require_running(&change.instance)?;
            change.delete(&self.account(&change.instance.id, name).await?);
            let id = change.instance.id.clone();
            if let Some(committed) = change.commit().await? {
                self.wait_effect(&id, committed.revision, EFFECT_TIMEOUT).await?;
                return Ok(UserName { name: name.to_owned() });
            }
            tries.again()?;
        }
    }

    /// `POST /v2/{project_id}/instances/{instance_id}/users/{username}/password`: answers when every
    /// node checks the new one.
    pub async fn reset_password(
        &self,
        project: &ProjectId,
        instance_id: &str,
        name: &str,
        new: Secret,
    ) -> Result<ResetPasswordResponse, ApiError> {
        let job_id = self.begin_reset_password(project, instance_id, name, &new).await?;
        self.require_done(&job_id, PASSWORD_RESET_FAILED).await?;
        Ok(ResetPasswordResponse {
            success: true,
            instance_id: instance_id.to_owned(),
            user_name: name.to_owned(),
        })
    }

    /// The same, without waiting: the job that does it.
    pub async fn begin_reset_password(
        &self,
        project: &ProjectId,
        instance_id: &str,
        name: &str,
        new: &Secret,
    ) -> Result<String, ApiError> {
        let mut tries = Tries::default();
        loop {
            let change = self.change_of(project, instance_id).await?;
            require_running(&change.instance)?;
            let before = self.account(&change.instance.id, name).await?.value;
            control_api::password::check("password", name, new.expose())?;
            password::refuse_weak("password", name, new.expose())?;
            let after = self.with_password(&before, new.expose());
            if let Some(job_id) = set_password(change, Some(before), after).await? {
                return Ok(job_id);
            }
            tries.again()?;
        }
    }

    /// `GET /v1/{project_id}/instances/{instance_id}/users`
    pub async fn list_accounts(
        &self,
        project: &ProjectId,
        instance_id: &str,
        page: Page,
    ) -> Result<ListUsersResponse, ApiError> {
        let all = self.listed_accounts(project, instance_id).await?;
        let total = total(&all);
        let users = page.cut(all).into_iter().map(|account| UserRow {
            status: "RUNNING".to_owned(),
            base_authority: authority_names(&account.authorities),
            extend_authority: Vec::new(),
            password_last_changed: account.password_changed_ms,
            created: account.created_ms,
            databases: account
                .schemas
                .into_iter()
                .map(|name| UserSchemaRow { name, description: String::new() })
                .collect(),
            name: account.name,
            description: account.description,
        });
        Ok(ListUsersResponse {
            users: users.collect(),
            page_no: page.number(),
            page_size: page.limit,
            total_record: total,
            total_page: page.count(total),
        })
    }

    /// `GET /v3/{project_id}/instances/{instance_id}/users`
    pub async fn list_accounts_v3(
        &self,
        project: &ProjectId,
        instance_id: &str,
        page: Page,
    ) -> Result<ListUsersV3Response, ApiError> {
        let all = self.listed_accounts(project, instance_id).await?;
        let total = total(&all);
        let users = page.cut(all).into_iter().map(|account| UserV3Row {
            status: "RUNNING".to_owned(),
            base_authority: authority_names(&account.authorities),
            password_lifetime: i64::from(account.password_lifetime_days),
            expiration_time: account.password_expires_ms().map(text),
            password_last_changed: text(account.password_changed_ms),
            created: text(account.created_ms),
            databases: account.schemas.into_iter().map(|name| UserSchemaName { name }).collect(),
            name: account.name,
            description: account.description,
        });
        Ok(ListUsersV3Response {
            users: users.collect(),
            offset: page.offset,
            limit: page.limit,
            total,
        })
    }

    async fn listed_accounts(
        &self,
        project: &ProjectId,
        instance_id: &str,
    ) -> Result<Vec<AccountRecord>, ApiError> {
        let instance = self.instance(project, instance_id).await?;
        let all = self.accounts(&instance.value.id).await?;
        Ok(all
            .into_iter()
            .map(|account| account.value)
            .filter(|account| !account.administrator)
            .collect())
    }

    /// All accounts of an instance, by name.
    pub(crate) async fn accounts(
        &self,
        id: &InstanceId,
    ) -> Result<Vec<Versioned<AccountRecord>>, AppError> {
        self.list(&AccountRecord::prefix_of(id)).await
    }

    /// The accounts of each of these instances.
    pub(crate) async fn accounts_of_all(
        &self,
        instances: &[Versioned<InstanceRecord>],
    ) -> Result<Vec<Vec<Versioned<AccountRecord>>>, AppError> {
        let prefixes = instances.iter().map(|one| AccountRecord::prefix_of(&one.value.id));
        let ranges: Vec<KeyRange> = prefixes.map(|prefix| KeyRange::prefix(&prefix)).collect();
        Ok(typed::ranges(&*self.store, &ranges).await?)
    }

    /// An account that is not the administrator.
    async fn account(
        &self,
        id: &InstanceId,
        name: &str,
    ) -> Result<Versioned<AccountRecord>, ApiError> {
        let missing = || ApiError::new(ACCOUNT_MISSING).with_status(404);
        if !control_api::account::is_account_name(name) {
            return Err(missing());
        }
        let account: Option<Versioned<AccountRecord>> =
            self.get(&AccountRecord::key_of(id, name)).await?;
        account.filter(|account| !account.value.administrator).ok_or_else(missing)
    }

    /// Refuses names of schemas that are not there.
    async fn require_schemas(
        &self,
        id: &InstanceId,
        names: &BTreeSet<String>,
        code: &'static ApiCode,
    ) -> Result<(), ApiError> {
        for name in names {
            if self.get::<SchemaRecord>(&SchemaRecord::key_of(id, name)).await?.is_none() {
                return Err(ApiError::new(code)
                    .field("databases")
                    .because(format!("there is no schema {name}"), format!("逻辑库{name}不存在")));
            }
        }
        Ok(())
    }

    /// The same account with another password.
    pub(crate) fn with_password(&self, account: &AccountRecord, password: &str) -> AccountRecord {
        AccountRecord {
            verifiers: self.sealed_verifiers(&account.instance_id, &account.name, password),
            password_changed_ms: now_ms(),
            ..account.clone()
        }
    }

    pub(crate) fn sealed_verifiers(&self, id: &InstanceId, name: &str, password: &str) -> Sealed {
        let verifiers = serde_json::to_string(&password::verifiers(password))
            .expect("verifiers are plain data");
        self.seal(&context(id, name), &verifiers)
    }

    pub(crate) fn open_verifiers(&self, account: &AccountRecord) -> Result<Verifiers, AppError> {
        let text =
            self.unseal(&context(&account.instance_id, &account.name), &account.verifiers)?;
        serde_json::from_str(text.expose()).map_err(|_| {
            AppError::Broken(format!("the verifiers of account {} are not readable", account.name))
        })
    }
}

/// Begins the job that gives an account its password; `None`: somebody else was faster.
pub(crate) async fn set_password(
    mut change: Change<'_>,
    before: Option<AccountRecord>,
    after: AccountRecord,
) -> Result<Option<String>, AppError> {
    change.instance.status = InstanceStatus::ResetPassword;
    change.start_job(
        ACCOUNT_PASSWORD,
        instance_lock(&change.instance.id.clone()),
        None,
        serde_json::to_value(PasswordParams { before, after }).expect("parameters are plain data"),
    )?;
    Ok(change.commit().await?.map(|committed| committed.into_job_id()))
}

fn authorities(names: &BTreeSet<String>) -> BTreeSet<Authority> {
    names.iter().filter_map(|name| Authority::parse(name)).collect()
}

/// In the documents' order.
fn authority_names(authorities: &BTreeSet<Authority>) -> Vec<String> {
    AUTHORITIES
        .into_iter()
        .filter(|name| {
            Authority::parse(name).is_some_and(|authority| authorities.contains(&authority))
        })
        .map(str::to_owned)
        .collect()
}
