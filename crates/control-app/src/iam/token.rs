//! Tokens: random texts that say nothing by themselves, kept by their hash for a day.

use super::keystone::{Login, Named, Scope, document};
use super::password::{PASSWORD_BYTES_MAX, PasswordHash};
use super::records::{ProjectRecord, TokenRecord, UserRecord};
use super::{Caller, Iam, IamError};
use aws_lc_rs::digest::{SHA256, digest};
use base::id::{UserId, hex, random_bytes};
use base::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_store::record::Record;
use control_store::{TxnOutcome, Write, typed};
use serde_json::Value;

/// How long a token is good.
pub const TOKEN_LIFETIME_MS: i64 = 24 * 60 * 60 * 1_000;

/// Tokens that are kept; of more than these the oldest go at the next purge.
pub const TOKENS_MAX: usize = 10_000;

/// Records that one transaction of a purge removes.
const PURGE_BATCH: usize = 500;

const TOKEN_BYTES: usize = 32;

/// A token, just issued.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token itself: the answer's `X-Subject-Token`.
    pub token: Secret,
    /// What it says.
    pub view: TokenView,
}

/// Whose a token is and how long it is good.
#[derive(Clone, Debug)]
pub struct TokenView {
    /// Whose.
    pub caller: Caller,
    issued_ms: i64,
    expires_ms: i64,
}

impl TokenView {
    /// In Keystone's form.
    pub fn document(&self) -> Value {
        document(&self.caller, self.issued_ms, self.expires_ms)
    }
}

impl Iam {
    /// A token for who knows the password.
    pub async fn log_in(&self, login: Login, now_ms: i64) -> Result<IssuedToken, IamError> {
        let user = self.proven_user(&login).await?;
        let domain = self.domain(&user.domain_id).await?;
        if login.domain.as_ref().is_some_and(|asked| !asked.fits(&domain.id, &domain.name)) {
            return Err(IamError::Unauthorized("the user belongs to another domain"));
        }
        let project = match &login.scope {
            Scope::Project(project, of) => {
                if of.as_ref().is_some_and(|asked| !asked.fits(&domain.id, &domain.name)) {
                    return Err(IamError::Forbidden("another domain"));
                }
                Some(self.project_named(&domain.id, project).await?)
            }
            Scope::Domain(asked) if !asked.fits(&domain.id, &domain.name) => {
                return Err(IamError::Forbidden("another domain"));
            }
            Scope::Domain(_) | Scope::Unsaid => None,
        };
        self.issue(Caller { user, domain, project }, now_ms).await
    }

    /// Who this token belongs to.
    pub async fn token(&self, token: &str, now_ms: i64) -> Result<TokenView, IamError> {
        let hash = hash_of(token);
        let view = match self.tokens.find(&hash) {
            Ok(view) => view,
            Err(since) => {
                let view = self.looked_up(&hash).await?;
                self.tokens.remember(since, hash, view.clone());
                view
            }
        };
        if view.expires_ms <= now_ms {
            return Err(IamError::Unauthorized("the token has ended"));
        }
        Ok(view)
    }

    async fn looked_up(&self, hash: &str) -> Result<TokenView, IamError> {
        let record = typed::get::<TokenRecord>(&*self.store, &TokenRecord::key_of(hash)).await?;
        let record = record.ok_or(IamError::Unauthorized("no such token"))?.value;
        let user = self.user(&record.user_id).await?;
        let domain = self.domain(&user.domain_id).await?;
        let project = match &record.project_id {
            Some(id) => Some(self.project(id).await?),
            None => None,
        };
        Ok(TokenView {
            caller: Caller { user, domain, project },
            issued_ms: record.issued_ms,
            expires_ms: record.expires_ms,
        })
    }

    /// Ends a token now. Nobody can end another user's.
    pub async fn revoke_token(
        &self,
        owner: &UserId,
        token: &str,
        now_ms: i64,
    ) -> Result<(), IamError> {
        if self.token(token, now_ms).await?.caller.user.id != *owner {
            return Err(IamError::Forbidden("another user's token"));
        }
        let hash = hash_of(token);
        let gone = typed::delete::<TokenRecord>(&TokenRecord::key_of(&hash));
        self.store.txn(Vec::new(), vec![gone]).await?;
        self.tokens.forget(&hash);
        Ok(())
    }

    /// Removes tokens that have ended, and the oldest of too many; returns how many.
    pub async fn purge_tokens(&self, now_ms: i64) -> Result<usize, IamError> {
        let mut tokens: Vec<TokenRecord> =
            typed::list::<TokenRecord>(&*self.store, TokenRecord::PREFIX)
                .await?
                .into_iter()
                .map(|token| token.value)
                .collect();
        tokens.sort_by_key(|token| std::cmp::Reverse(token.expires_ms));
        let kept =
            tokens.iter().take(TOKENS_MAX).take_while(|token| token.expires_ms > now_ms).count();
        for batch in tokens[kept..].chunks(PURGE_BATCH) {
            let writes: Vec<Write> =
                batch.iter().map(|token| typed::delete::<TokenRecord>(&token.key())).collect();
            self.store.txn(Vec::new(), writes).await?;
            batch.iter().for_each(|token| self.tokens.forget(&token.hash));
        }
        Ok(tokens.len() - kept)
    }

    async fn issue(&self, caller: Caller, now_ms: i64) -> Result<IssuedToken, IamError> {
        let token = Secret::new(URL_SAFE_NO_PAD.encode(random_bytes::<TOKEN_BYTES>()));
        let record = TokenRecord {
            hash: hash_of(token.expose()),
            user_id: caller.user.id.clone(),
            project_id: caller.project.as_ref().map(|project| project.id.clone()),
            issued_ms: now_ms,
            expires_ms: now_ms + TOKEN_LIFETIME_MS,
        };
        match self.store.txn(vec![typed::absent(&record)], vec![typed::put(&record)]).await? {
            TxnOutcome::Committed(_) => {}
            TxnOutcome::Conflict { .. } => {
                return Err(IamError::Broken("the generator repeats itself".into()));
            }
        }
        let view = TokenView { caller, issued_ms: record.issued_ms, expires_ms: record.expires_ms };
        Ok(IssuedToken { token, view })
    }

    /// The user, if the password is right. An unknown user costs as much time as a wrong password.
    async fn proven_user(&self, login: &Login) -> Result<UserRecord, IamError> {
        if login.password.expose().len() > PASSWORD_BYTES_MAX {
            return Err(IamError::Unauthorized("the password is too long"));
        }
        let users = typed::list::<UserRecord>(&*self.store, UserRecord::PREFIX).await?;
        let mut users = users.into_iter().map(|user| user.value);
        let user = users.find(|user| login.user.fits(user.id.as_str(), &user.name));
        let password = login.password.clone();
        let checked = user.as_ref().map(|user| user.password.clone());
        let _waiting = self.password_queue.try_acquire().map_err(|_| IamError::Busy)?;
        let _place = self
            .password_checks
            .acquire()
            .await
            .map_err(|error| IamError::Broken(error.to_string()))?;
        let fits = tokio::task::spawn_blocking(move || match checked {
            Some(hash) => hash.fits(password.expose()),
            None => {
                let _ = PasswordHash::of(password.expose());
                false
            }
        })
        .await
        .map_err(|error| IamError::Broken(error.to_string()))?;
        user.filter(|_| fits).ok_or(IamError::Unauthorized("unknown user or wrong password"))
    }

    async fn project_named(
        &self,
        domain_id: &str,
        named: &Named,
    ) -> Result<ProjectRecord, IamError> {
        let projects = self.projects_of(domain_id).await?;
        let mut projects = projects.into_iter();
        let found = projects.find(|project| named.fits(project.id.as_str(), &project.name));
        found.ok_or(IamError::Forbidden("no such project"))
    }
}

fn hash_of(token: &str) -> String {
    hex(digest(&SHA256, token.as_bytes()).as_ref())
}
