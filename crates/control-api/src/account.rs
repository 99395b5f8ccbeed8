//! Accounts: create, list, modify, delete, reset the password; v1/v2 and their v3 variants. The
//! checks here need the request alone; whether a schema or account exists is asked elsewhere.

use crate::decode::required;
use crate::password;
use base::api_error::{
    ACCOUNT_AUTHORITY_INVALID, ACCOUNT_DESCRIPTION_INVALID, ACCOUNT_NAME_INVALID,
    ACCOUNTS_DUPLICATED, ApiError,
};
use base::secret::Secret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Most accounts of one instance.
pub const ACCOUNTS_MAX: usize = 100;

/// Longest name of an account.
pub const NAME_LENGTH_MAX: usize = 32;

/// Longest description.
pub const DESCRIPTION_LENGTH_MAX: usize = 256;

/// The basic permissions, in the documents' order.
pub const AUTHORITIES: [&str; 8] =
    ["CREATE", "DROP", "ALTER", "INDEX", "INSERT", "DELETE", "UPDATE", "SELECT"];

/// Body of the v1 create call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CreateUsersRequest {
    /// The accounts to make.
    pub users: Vec<CreateUser>,
}

/// One account to make; the whole body of the v3 call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CreateUser {
    /// 1–32 letters, digits and underscores, a letter first.
    pub name: String,
    /// 8–32 characters of three classes.
    #[schema(value_type = String)]
    pub password: Secret,
    /// Of CREATE, DROP, ALTER, INDEX, INSERT, DELETE, UPDATE, SELECT.
    pub base_authority: Vec<String>,
    /// At most 256 characters.
    pub description: Option<String>,
    /// How many days its password lasts, 0–65535; without one, or with 0, for ever.
    pub password_lifetime: Option<i64>,
    /// Schemas that it sees.
    pub databases: Option<Vec<UserDatabase>>,
}

/// A schema by name.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct UserDatabase {
    /// The schema's name, in any case.
    pub name: Option<String>,
}

/// Body of the v1 modify call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct UpdateUserRequest {
    /// What to change.
    pub user: UpdateUser,
}

/// What to change about an account; the whole body of the v3 call. At least one must be given.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct UpdateUser {
    /// The new permissions.
    pub base_authority: Option<Vec<String>>,
    /// The new description.
    pub description: Option<String>,
    /// How many days its password lasts, 0–65535; 0 is for ever.
    pub password_lifetime: Option<i64>,
    /// The new schemas.
    pub databases: Option<Vec<UserDatabase>>,
}

/// Body of the password call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ResetPasswordRequest {
    /// The new password.
    #[schema(value_type = String)]
    pub password: Secret,
}

/// An account to make, checked.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its name.
    pub name: String,
    /// Its password, well-formed.
    pub password: Secret,
    /// Its permissions.
    pub authorities: BTreeSet<String>,
    /// Its description.
    pub description: String,
    /// How many days its password lasts; 0: for ever.
    pub password_lifetime: u16,
    /// Its schemas, lower case.
    pub schemas: BTreeSet<String>,
}

/// A change of an account, checked; what is `None` stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountChange {
    /// New permissions.
    pub authorities: Option<BTreeSet<String>>,
    /// New description.
    pub description: Option<String>,
    /// How many days its password lasts from now on; 0: for ever.
    pub password_lifetime: Option<u16>,
    /// New schemas, lower case.
    pub schemas: Option<BTreeSet<String>>,
}

impl CreateUsersRequest {
    /// The accounts, if nothing is wrong about any.
    pub fn check(self) -> Result<Vec<NewAccount>, ApiError> {
        if self.users.is_empty() {
            return Err(required("users"));
        }
        let mut names = BTreeSet::new();
        let mut accounts = Vec::with_capacity(self.users.len());
        for (index, user) in self.users.into_iter().enumerate() {
            let account = user.check(&format!("users[{index}]."))?;
            if !names.insert(account.name.clone()) {
                return Err(
                    ApiError::new(ACCOUNTS_DUPLICATED).field(format!("users[{index}].name"))
                );
            }
            accounts.push(account);
        }
        Ok(accounts)
    }
}

impl CreateUser {
    /// The account, if nothing is wrong; `at` is what stands before the field names in errors.
    pub fn check(self, at: &str) -> Result<NewAccount, ApiError> {
        check_name(&format!("{at}name"), &self.name)?;
        password::check(&format!("{at}password"), &self.name, self.password.expose())?;
        Ok(NewAccount {
            authorities: check_authorities(&format!("{at}base_authority"), &self.base_authority)?,
            description: check_description(
                &format!("{at}description"),
                self.description.unwrap_or_default(),
            )?,
            password_lifetime: check_lifetime(at, self.password_lifetime)?.unwrap_or(0),
            schemas: check_schemas(&format!("{at}databases"), self.databases.unwrap_or_default())?,
            name: self.name,
            password: self.password,
        })
    }
}

impl UpdateUser {
    /// The change, if nothing is wrong; `at` is what stands before the field names in errors.
    pub fn check(self, at: &str) -> Result<AccountChange, ApiError> {
        let changes_nothing = self.base_authority.is_none()
            && self.description.is_none()
            && self.password_lifetime.is_none()
            && self.databases.is_none();
        if changes_nothing {
            return Err(ApiError::parameter(
                if at.is_empty() { "body" } else { at.trim_end_matches('.') },
                "at least one of base_authority, description, password_lifetime and databases is required",
                "base_authority、description、password_lifetime、databases至少需要一个",
            ));
        }
        let authorities = self
            .base_authority
            .map(|list| check_authorities(&format!("{at}base_authority"), &list));
        let description =
            self.description.map(|text| check_description(&format!("{at}description"), text));
        let schemas = self.databases.map(|list| check_schemas(&format!("{at}databases"), list));
        Ok(AccountChange {
            authorities: authorities.transpose()?,
            description: description.transpose()?,
            password_lifetime: check_lifetime(at, self.password_lifetime)?,
            schemas: schemas.transpose()?,
        })
    }
}

/// Whether `name` has the form of an account's name.
pub fn is_account_name(name: &str) -> bool {
    name.len() <= NAME_LENGTH_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Refuses a name that is not 1–32 letters, digits and underscores with a letter first.
pub fn check_name(field: &str, name: &str) -> Result<(), ApiError> {
    if is_account_name(name) {
        return Ok(());
    }
    Err(ApiError::new(ACCOUNT_NAME_INVALID).field(field).because(
        "must be 1 to 32 letters, digits and underscores, starting with a letter",
        "必须为1~32个字母、数字或下划线，且以字母开头",
    ))
}

fn check_authorities(field: &str, given: &[String]) -> Result<BTreeSet<String>, ApiError> {
    let known = given.iter().all(|name| AUTHORITIES.contains(&name.as_str()));
    if known && !given.is_empty() {
        return Ok(given.iter().cloned().collect());
    }
    Err(ApiError::new(ACCOUNT_AUTHORITY_INVALID).field(field).because(
        "must be some of CREATE, DROP, ALTER, INDEX, INSERT, DELETE, UPDATE, SELECT",
        "取值为CREATE、DROP、ALTER、INDEX、INSERT、DELETE、UPDATE、SELECT",
    ))
}

fn check_description(field: &str, text: String) -> Result<String, ApiError> {
    if text.chars().count() <= DESCRIPTION_LENGTH_MAX {
        return Ok(text);
    }
    Err(ApiError::new(ACCOUNT_DESCRIPTION_INVALID)
        .field(field)
        .because("must have at most 256 characters", "不能超过256个字符"))
}

fn check_lifetime(at: &str, days: Option<i64>) -> Result<Option<u16>, ApiError> {
    days.map(u16::try_from).transpose().map_err(|_| {
        ApiError::parameter(
            format!("{at}password_lifetime"),
            "must be from 0 to 65535 days",
            "取值范围为0~65535天",
        )
    })
}

/// An entry without a name counts as no entry: `databases` and `name` are given both or neither.
fn check_schemas(field: &str, given: Vec<UserDatabase>) -> Result<BTreeSet<String>, ApiError> {
    let mut names = BTreeSet::new();
    for (index, database) in given.into_iter().enumerate() {
        match database.name {
            Some(name) if !name.is_empty() => names.insert(name.to_lowercase()),
            _ => return Err(required(&format!("{field}[{index}].name"))),
        };
    }
    Ok(names)
}

/// Answer of the v1 create call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CreateUsersResponse {
    /// The accounts made.
    pub users: Vec<UserName>,
}

/// An account by name; the answer of modify and delete.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserName {
    /// Its name.
    pub name: String,
}

/// Answer of the v1 list call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListUsersResponse {
    /// The page's accounts.
    pub users: Vec<UserRow>,
    /// The page, from 1.
    pub page_no: u64,
    /// Accounts on a page.
    pub page_size: u64,
    /// Accounts in all.
    pub total_record: u64,
    /// Pages in all.
    pub total_page: u64,
}

/// An account in the v1 list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserRow {
    /// Its name.
    pub name: String,
    /// RUNNING.
    pub status: String,
    /// Its permissions.
    pub base_authority: Vec<String>,
    /// Extended permissions; there are none.
    pub extend_authority: Vec<String>,
    /// When its password was set, UNIX milliseconds.
    pub password_last_changed: i64,
    /// Its description.
    pub description: String,
    /// When it was made, UNIX milliseconds.
    pub created: i64,
    /// Its schemas.
    pub databases: Vec<UserSchemaRow>,
}

/// A schema of an account.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserSchemaRow {
    /// Its name.
    pub name: String,
    /// Its description; schemas have none of their own.
    pub description: String,
}

/// Answer of the password call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ResetPasswordResponse {
    /// True.
    pub success: bool,
    /// The instance.
    pub instance_id: String,
    /// The account.
    pub user_name: String,
}

/// Answer of the v3 list call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListUsersV3Response {
    /// The page's accounts.
    pub users: Vec<UserV3Row>,
    /// As asked.
    pub offset: u64,
    /// As asked.
    pub limit: u64,
    /// Accounts in all.
    pub total: u64,
}

/// An account in the v3 list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserV3Row {
    /// Its name.
    pub name: String,
    /// RUNNING.
    pub status: String,
    /// Its permissions.
    pub base_authority: Vec<String>,
    /// Days that a password lasts; 0 is for ever.
    pub password_lifetime: i64,
    /// When its password was set.
    pub password_last_changed: String,
    /// When its password ends, if it ever does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<String>,
    /// Its description.
    pub description: String,
    /// When it was made.
    pub created: String,
    /// Its schemas.
    pub databases: Vec<UserSchemaName>,
}

/// A schema of an account, v3.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserSchemaName {
    /// Its name.
    pub name: String,
}
