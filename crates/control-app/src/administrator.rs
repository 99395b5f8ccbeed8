//! The administrator: an account that may do all in every schema. It is made by the first call and
//! keeps its name.

use crate::account::set_password;
use crate::app::App;
use crate::change::Tries;
use crate::password;
use crate::time::now_ms;
use base::api_error::{ACCOUNT_EXISTS, ACCOUNT_NAME_INVALID, ApiError, PASSWORD_RESET_FAILED};
use base::id::{InstanceId, ProjectId};
use control_api::administrator::{NewAdministrator, WeakPasswordResponse};
use control_store::record::Versioned;
use control_store::records::account::AccountRecord;
use std::collections::BTreeSet;
use topology::account::Authority;

impl App {
    /// `PUT /v3/{project_id}/instances/{instance_id}/admin-user`: answers when every node knows.
    pub async fn set_administrator(
        &self,
        project: &ProjectId,
        instance_id: &str,
        new: NewAdministrator,
    ) -> Result<(), ApiError> {
        let job_id = self.begin_set_administrator(project, instance_id, &new).await?;
        self.require_done(&job_id, PASSWORD_RESET_FAILED).await
    }

    /// The same, without waiting: the job that does it.
    pub async fn begin_set_administrator(
        &self,
        project: &ProjectId,
        instance_id: &str,
        new: &NewAdministrator,
    ) -> Result<String, ApiError> {
        password::refuse_weak("password", &new.name, new.password.expose())?;
        let mut tries = Tries::default();
        loop {
            let change = self.change_of(project, instance_id).await?;
            crate::instance::require_running(&change.instance)?;
            let accounts = self.accounts(&change.instance.id).await?;
            let present = accounts.iter().find(|account| account.value.administrator);
            let (before, after) = match present {
                Some(account) if account.value.name == new.name => {
                    let after = self.with_password(&account.value, new.password.expose());
                    (Some(account.value.clone()), after)
                }
                Some(account) => {
                    let name = &account.value.name;
                    return Err(ApiError::new(ACCOUNT_NAME_INVALID).field("name").because(
                        format!("the administrator of this instance is {name}"),
                        format!("该实例的管理员为{name}"),
                    ));
                }
                None if accounts.iter().any(|account| account.value.name == new.name) => {
                    return Err(ApiError::new(ACCOUNT_EXISTS).field("name"));
                }
                None => (None, self.administrator_record(&change.instance.id, new)),
            };
            if let Some(job_id) = set_password(change, before, after).await? {
                return Ok(job_id);
            }
            tries.again()?;
        }
    }

    /// `POST /v3/{project_id}/weak-password-verification`
    pub fn verify_password(&self, password: &str) -> WeakPasswordResponse {
        let formed = control_api::password::check("password", "", password).is_ok();
        WeakPasswordResponse { is_weak_password: !formed || password::is_weak(password, &[]) }
    }

    /// The record of a new administrator.
    pub(crate) fn administrator_record(
        &self,
        instance_id: &InstanceId,
        new: &NewAdministrator,
    ) -> AccountRecord {
        let now = now_ms();
        AccountRecord {
            instance_id: instance_id.clone(),
            name: new.name.clone(),
            verifiers: self.sealed_verifiers(instance_id, &new.name, new.password.expose()),
            authorities: Authority::ALL.into(),
            schemas: BTreeSet::new(),
            tables: Default::default(),
            administrator: true,
            description: String::new(),
            created_ms: now,
            password_changed_ms: now,
            password_lifetime_days: 0,
        }
    }

    /// The administrator's name.
    pub(crate) fn administrator_name(accounts: &[Versioned<AccountRecord>]) -> Option<String> {
        accounts
            .iter()
            .find(|account| account.value.administrator)
            .map(|account| account.value.name.clone())
    }
}
