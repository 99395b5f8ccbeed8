//! Who may call: one domain with its projects and users, passwords, access keys and tokens. It is a
//! service of its own beside the application, on the same store: what it keeps has prefix `iam/`.
//! Passwords and tokens are kept as hashes; secret keys are sealed, since a signature can only be
//! checked with the key itself.

mod first_start;
mod keystone;
mod password;
mod recent;
mod records;
pub mod signature;
mod token;

pub use first_start::{DOMAIN_NAME, FirstStart, USER_NAME};
pub use keystone::{AuthRequest, Login, project_document};
pub use records::{DomainRecord, ProjectRecord, UserRecord};
pub use token::{IssuedToken, TOKEN_LIFETIME_MS, TokenView};

use base::id::{ProjectId, UserId};
use base::seal::{SealError, SealKey};
use base::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control_store::records::Sealed;
use control_store::{Store, StoreError, typed};
use recent::Recent;
use records::AccessKeyRecord;
use signature::{SignatureError, Signed};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Passwords that are checked at the same time; each check costs a core a good part of a second.
const PASSWORD_CHECKS_AT_ONCE_MAX: usize = 2;

/// Passwords that wait to be checked; who comes beyond that is sent away.
const PASSWORD_CHECKS_WAITING_MAX: usize = 32;

/// Why a caller is not let in, or could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum IamError {
    /// Unknown user, wrong password, unknown or ended token, wrong signature. Which of them is not
    /// told to the caller, but the log has it.
    #[error("not authenticated: {0}")]
    Unauthorized(&'static str),
    /// The signature does not fit.
    #[error("not authenticated: {0}")]
    Signature(#[from] SignatureError),
    /// Known, but not for this project or domain.
    #[error("not allowed: {0}")]
    Forbidden(&'static str),
    /// Too many passwords wait to be checked.
    #[error("too many log-ins at the same time")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A secret does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A record that contradicts itself.
    #[error("{0}")]
    Broken(String),
}

/// Who calls, and for what: a project, or the domain alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// The user.
    pub user: UserRecord,
    /// The user's domain.
    pub domain: DomainRecord,
    /// The project that the credential is for; a domain's credential has none.
    pub project: Option<ProjectRecord>,
}

/// A user's access key with what belongs to its owner, found and not yet proven.
#[derive(Clone, Debug)]
pub struct AccessKey {
    secret: Secret,
    user: UserRecord,
    domain: DomainRecord,
    /// The domain's projects, by name.
    projects: Vec<ProjectRecord>,
}

/// The service.
#[derive(Debug)]
pub struct Iam {
    store: Arc<dyn Store>,
    seal: SealKey,
    password_checks: Semaphore,
    password_queue: Semaphore,
    tokens: Recent<TokenView>,
    access_keys: Recent<Arc<AccessKey>>,
}

impl Iam {
    /// The service on this store; [`Iam::first_start`] makes what it needs.
    pub fn new(store: Arc<dyn Store>, seal: SealKey) -> Self {
        Self {
            store,
            seal,
            password_checks: Semaphore::new(PASSWORD_CHECKS_AT_ONCE_MAX),
            password_queue: Semaphore::new(PASSWORD_CHECKS_WAITING_MAX),
            tokens: Recent::default(),
            access_keys: Recent::default(),
        }
    }

    /// The access key of this name.
    pub async fn access_key(&self, access_key: &str) -> Result<Arc<AccessKey>, IamError> {
        let since = match self.access_keys.find(access_key) {
            Ok(key) => return Ok(key),
            Err(since) => since,
        };
        let key = AccessKeyRecord::key_of(access_key);
        let record = typed::get::<AccessKeyRecord>(&*self.store, &key).await?;
        let record = record.ok_or(IamError::Unauthorized("no such access key"))?.value;
        let secret = self.open(&access_key_context(access_key), &record.secret)?;
        let user = self.user(&record.user_id).await?;
        let domain = self.domain(&user.domain_id).await?;
        let projects = self.projects_of(&domain.id).await?;
        let found = Arc::new(AccessKey { secret, user, domain, projects });
        self.access_keys.remember(since, access_key.to_owned(), found.clone());
        Ok(found)
    }

    /// Who signed this request. `project` and `domain` are what its headers ask for; without them
    /// it is for the first project.
    pub fn signer(
        &self,
        key: &AccessKey,
        request: &Signed<'_>,
        project: Option<&str>,
        domain: Option<&str>,
    ) -> Result<Caller, IamError> {
        request.verify(&key.secret)?;
        if domain.is_some_and(|domain| domain != key.domain.id) {
            return Err(IamError::Forbidden("another domain"));
        }
        let project = match (project, domain) {
            (Some(id), _) => {
                let found = key.projects.iter().find(|project| project.id.as_str() == id);
                Some(found.ok_or(IamError::Forbidden("another project"))?)
            }
            (None, Some(_)) => None,
            (None, None) => key.projects.first(),
        };
        Ok(Caller { user: key.user.clone(), domain: key.domain.clone(), project: project.cloned() })
    }

    /// The projects of a domain, by name.
    pub async fn projects_of(&self, domain_id: &str) -> Result<Vec<ProjectRecord>, IamError> {
        let all = typed::list::<ProjectRecord>(
            &*self.store,
            <ProjectRecord as control_store::record::Record>::PREFIX,
        );
        let mut projects: Vec<ProjectRecord> =
            all.await?.into_iter().map(|project| project.value).collect();
        projects.retain(|project| project.domain_id == domain_id);
        projects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(projects)
    }

    async fn user(&self, id: &UserId) -> Result<UserRecord, IamError> {
        let user = typed::get::<UserRecord>(&*self.store, &UserRecord::key_of(id)).await?;
        Ok(user.ok_or(IamError::Unauthorized("no such user"))?.value)
    }

    async fn domain(&self, id: &str) -> Result<DomainRecord, IamError> {
        let domain = typed::get::<DomainRecord>(&*self.store, &DomainRecord::key_of(id)).await?;
        Ok(domain.ok_or_else(|| IamError::Broken(format!("there is no domain {id}")))?.value)
    }

    async fn project(&self, id: &ProjectId) -> Result<ProjectRecord, IamError> {
        let project = typed::get::<ProjectRecord>(&*self.store, &ProjectRecord::key_of(id)).await?;
        Ok(project.ok_or(IamError::Unauthorized("the project is gone"))?.value)
    }

    fn seal(&self, context: &str, text: &str) -> Sealed {
        Sealed(STANDARD.encode(self.seal.seal(context, text.as_bytes())))
    }

    fn open(&self, context: &str, sealed: &Sealed) -> Result<Secret, IamError> {
        let broken = || IamError::Broken(format!("the secret of {context} is not readable"));
        let bytes = STANDARD.decode(&sealed.0).map_err(|_| broken())?;
        let plain = self.seal.open(context, &bytes)?;
        Ok(Secret::new(std::str::from_utf8(&plain).map_err(|_| broken())?))
    }
}

fn access_key_context(access_key: &str) -> String {
    format!("iam/access-key/{access_key}")
}

#[cfg(test)]
mod tests;
