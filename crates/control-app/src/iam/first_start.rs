//! What a new system begins with: one domain, one project, one user with a generated password and
//! an access key. Made once, in one transaction; every later start tells the same, so that
//! `endpoints.json` can be written anew.

use super::password::PasswordHash;
use super::records::{AccessKeyRecord, DomainRecord, FirstStartRecord, ProjectRecord, UserRecord};
use super::{Iam, IamError, access_key_context};
use base::id::{ProjectId, UserId, hex, random_bytes};
use base::secret::{Secret, random_password};
use control_store::record::Record;
use control_store::{TxnOutcome, typed};

/// The domain's name.
pub const DOMAIN_NAME: &str = "default";

/// The user's name.
pub const USER_NAME: &str = "admin";

const PASSWORD_LENGTH: usize = 24;

/// Characters of an access key's name.
const ACCESS_KEY_LENGTH: usize = 20;

/// Bytes of a secret key; it is shown as twice as many hex digits.
const SECRET_KEY_BYTES: usize = 20;

/// Who may do everything.
#[derive(Clone, Debug)]
pub struct FirstStart {
    /// The domain.
    pub domain: DomainRecord,
    /// The project.
    pub project: ProjectRecord,
    /// The user's id.
    pub user_id: UserId,
    /// The user's name.
    pub user_name: String,
    /// The user's password.
    pub password: Secret,
    /// The access key.
    pub access_key: String,
    /// The secret key.
    pub secret_key: Secret,
}

impl Iam {
    /// What the first start made; makes it, with a project of this name, if there was none.
    pub async fn first_start(&self, project_name: &str) -> Result<FirstStart, IamError> {
        loop {
            let made =
                typed::get::<FirstStartRecord>(&*self.store, FirstStartRecord::PREFIX).await?;
            if let Some(made) = made {
                return self.told_again(made.value).await;
            }
            self.make(project_name).await?;
        }
    }

    async fn told_again(&self, made: FirstStartRecord) -> Result<FirstStart, IamError> {
        let user = self.user(&made.user_id).await?;
        Ok(FirstStart {
            domain: self.domain(&made.domain_id).await?,
            project: self.project(&made.project_id).await?,
            user_name: user.name,
            password: self.open(&password_context(&user.id), &made.password)?,
            user_id: user.id,
            secret_key: self.access_key(&made.access_key).await?.secret.clone(),
            access_key: made.access_key,
        })
    }

    async fn make(&self, project_name: &str) -> Result<(), IamError> {
        let password = random_password(PASSWORD_LENGTH);
        let hash = hash(password.clone()).await?;
        let domain = DomainRecord { id: hex(&random_bytes::<16>()), name: DOMAIN_NAME.to_owned() };
        let project = ProjectRecord {
            id: ProjectId::random(),
            name: project_name.to_owned(),
            domain_id: domain.id.clone(),
        };
        let user = UserRecord {
            id: UserId::random(),
            name: USER_NAME.to_owned(),
            domain_id: domain.id.clone(),
            password: hash,
        };
        let access_key = hex(&random_bytes::<{ ACCESS_KEY_LENGTH / 2 }>()).to_uppercase();
        let secret_key = hex(&random_bytes::<SECRET_KEY_BYTES>());
        let key = AccessKeyRecord {
            secret: self.seal(&access_key_context(&access_key), &secret_key),
            user_id: user.id.clone(),
            access_key: access_key.clone(),
        };
        let made = FirstStartRecord {
            domain_id: domain.id.clone(),
            project_id: project.id.clone(),
            user_id: user.id.clone(),
            password: self.seal(&password_context(&user.id), password.expose()),
            access_key,
        };
        let writes = vec![
            typed::put(&domain),
            typed::put(&project),
            typed::put(&user),
            typed::put(&key),
            typed::put(&made),
        ];
        // On a conflict another control plane on the same store was first; what it made counts.
        match self.store.txn(vec![typed::absent(&made)], writes).await? {
            TxnOutcome::Committed(_) | TxnOutcome::Conflict { .. } => Ok(()),
        }
    }
}

async fn hash(password: Secret) -> Result<PasswordHash, IamError> {
    tokio::task::spawn_blocking(move || PasswordHash::of(password.expose()))
        .await
        .map_err(|error| IamError::Broken(error.to_string()))
}

fn password_context(user_id: &UserId) -> String {
    format!("iam/user/{user_id}/password")
}
