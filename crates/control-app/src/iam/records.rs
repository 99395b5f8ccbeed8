//! What the service keeps. Keys begin with `iam/`; no other part of the program reads them.

use super::password::PasswordHash;
use base::id::{ProjectId, UserId};
use control_store::record::Record;
use control_store::records::Sealed;
use serde::{Deserialize, Serialize};

/// A domain: the account that owns projects and users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DomainRecord {
    /// 32 hex digits.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A project: what instances belong to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProjectRecord {
    /// Its id.
    pub id: ProjectId,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub domain_id: String,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserRecord {
    /// Its id.
    pub id: UserId,
    /// Its name, unique in its domain.
    pub name: String,
    /// Its domain.
    pub domain_id: String,
    /// What its password is checked with.
    pub password: PasswordHash,
}

/// An access key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct AccessKeyRecord {
    /// Its name, which requests tell.
    pub access_key: String,
    /// Whose it is.
    pub user_id: UserId,
    /// The secret key.
    pub secret: Sealed,
}

/// A token, kept under its hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TokenRecord {
    /// SHA-256 of the token, hex.
    pub hash: String,
    /// Whose it is.
    pub user_id: UserId,
    /// For which project; without one it is for the domain.
    pub project_id: Option<ProjectId>,
    /// When it was issued, UNIX milliseconds.
    pub issued_ms: i64,
    /// When it ends, UNIX milliseconds.
    pub expires_ms: i64,
}

/// What the first start made and tells again at every later start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct FirstStartRecord {
    /// The domain.
    pub domain_id: String,
    /// The project.
    pub project_id: ProjectId,
    /// The user.
    pub user_id: UserId,
    /// The password as generated.
    pub password: Sealed,
    /// The access key as generated.
    pub access_key: String,
}

macro_rules! record {
    ($name:ident, $prefix:literal, |$record:ident| $id:expr, $id_type:ty) => {
        impl $name {
            /// The key of one of them.
            pub fn key_of(id: &$id_type) -> String {
                format!("{}{id}", Self::PREFIX)
            }
        }

        impl Record for $name {
            const PREFIX: &'static str = $prefix;

            fn key(&self) -> String {
                let $record = self;
                Self::key_of($id)
            }
        }
    };
}

record!(DomainRecord, "iam/domains/", |record| &record.id, str);
record!(ProjectRecord, "iam/projects/", |record| &record.id, ProjectId);
record!(UserRecord, "iam/users/", |record| &record.id, UserId);
record!(AccessKeyRecord, "iam/access-keys/", |record| &record.access_key, str);
record!(TokenRecord, "iam/tokens/", |record| &record.hash, str);

impl Record for FirstStartRecord {
    const PREFIX: &'static str = "iam/first-start/";

    fn key(&self) -> String {
        Self::PREFIX.to_owned()
    }
}
