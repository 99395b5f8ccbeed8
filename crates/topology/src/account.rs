//! Accounts of the MySQL port: what they may do, and what the two authentication methods need to
//! check a password that is itself never kept.

use base::id::hex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What an account may do with single tables: by schema and table, both in lower case.
pub type TableGrants = BTreeMap<String, BTreeMap<String, BTreeSet<Authority>>>;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name, case-sensitive; there is no `@host`.
    pub name: String,
    /// What checks its password.
    pub verifiers: Verifiers,
    /// What it may do in its schemas; the administrator may do all everywhere.
    pub authorities: BTreeSet<Authority>,
    /// The schemas that it sees.
    pub schemas: BTreeSet<String>,
    /// What it may do besides with single tables.
    #[serde(default)]
    pub tables: TableGrants,
    /// The instance's administrator.
    pub administrator: bool,
    /// Requires TLS.
    #[serde(default)]
    pub require_tls: bool,
    /// From when on its password is too old to log in with, UNIX milliseconds; `None`: never.
    #[serde(default)]
    pub password_expires_ms: Option<i64>,
}

/// A basic permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Authority {
    /// CREATE TABLE.
    Create,
    /// DROP and TRUNCATE TABLE.
    Drop,
    /// ALTER TABLE.
    Alter,
    /// CREATE and DROP INDEX.
    Index,
    /// INSERT and REPLACE.
    Insert,
    /// DELETE.
    Delete,
    /// UPDATE.
    Update,
    /// SELECT.
    Select,
}

impl Authority {
    /// All of them, in the documents' order.
    pub const ALL: [Authority; 8] = [
        Authority::Create,
        Authority::Drop,
        Authority::Alter,
        Authority::Index,
        Authority::Insert,
        Authority::Delete,
        Authority::Update,
        Authority::Select,
    ];

    /// Its name in the API and in error texts.
    pub fn name(self) -> &'static str {
        match self {
            Authority::Create => "CREATE",
            Authority::Drop => "DROP",
            Authority::Alter => "ALTER",
            Authority::Index => "INDEX",
            Authority::Insert => "INSERT",
            Authority::Delete => "DELETE",
            Authority::Update => "UPDATE",
            Authority::Select => "SELECT",
        }
    }

    /// The authority of this name (any case).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|authority| authority.name().eq_ignore_ascii_case(name))
    }
}

/// What checks a password: SHA1(SHA1(p)) for mysql_native_password and SHA256(SHA256(p)) for
/// caching_sha2_password's fast form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifiers {
    /// SHA1(SHA1(password)).
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub native: [u8; 20],
    /// SHA256(SHA256(password)).
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub sha2: [u8; 32],
}

impl fmt::Debug for Verifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifiers(***)")
    }
}

fn to_hex<S: Serializer, const N: usize>(
    bytes: &[u8; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex(bytes))
}

fn from_hex<'de, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = || serde::de::Error::custom("a verifier of the wrong length or not in hex");
    if text.len() != N * 2 || !text.is_ascii() {
        return Err(wrong());
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(bytes)
}
