//! Accounts changed by SQL: CREATE USER, DROP USER, SET PASSWORD, GRANT and REVOKE on a schema, asked
//! by a node for its administrator. They are the API's own calls, with its rules for names and
//! passwords, and are over when every live node knows of the change. An account has the same
//! permissions in all of its schemas; what would widen or narrow them in another schema is refused.

use crate::app::App;
use crate::error::AppError;
use base::api_error::{ACCOUNT_EXISTS, ACCOUNT_MISSING, ACCOUNT_UPDATE_FAILED, ApiError, Language};
use base::id::InstanceId;
use base::secret::Secret;
use base::sql_error::NOT_SUPPORTED;
use control_api::account::{AccountChange, NewAccount, is_account_name};
use control_store::record::Versioned;
use control_store::records::account::AccountRecord;
use control_store::records::instance::InstanceRecord;
use std::collections::{BTreeMap, BTreeSet};
use topology::account::{Authority, TableGrants};
use topology::stream::{AccountAsk, Answer};

/// What MySQL says when an account cannot be made or dropped.
const CANNOT_USER: u16 = 1396;

/// There is no such account.
const NO_ACCOUNT: u16 = 1133;

/// There is no such permission to take away.
const NO_GRANT: u16 = 1141;

/// There is no such permission on a table to take away.
const NO_TABLE_GRANT: u16 = 1147;

/// Tables on which one account has permissions of its own.
const TABLES_MAX: usize = 1000;

/// A name or password that the rules do not allow.
const NOT_BY_RULES: u16 = 1819;

/// Why a change is refused.
enum Refusal {
    Sql(u16, String),
    Api(ApiError),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Refusal::Api(error)
    }
}

impl From<AppError> for Refusal {
    fn from(error: AppError) -> Self {
        Refusal::Api(error.into())
    }
}

/// Makes a change and waits until it holds.
pub(crate) async fn answer(
    app: &App,
    instance: &InstanceId,
    name: &str,
    change: AccountAsk,
) -> Answer {
    let drops = matches!(change, AccountAsk::Drop);
    let (sql_error, message) = match run(app, instance, name, change).await {
        Ok(()) => return Answer::Published { version: 0 },
        Err(Refusal::Sql(number, message)) => (number, message),
        Err(Refusal::Api(error)) => match error.code.code {
            code if code == ACCOUNT_EXISTS.code => {
                (CANNOT_USER, format!("Operation CREATE USER failed for '{name}'@'%'"))
            }
            code if code == ACCOUNT_MISSING.code && drops => {
                (CANNOT_USER, format!("Operation DROP USER failed for '{name}'@'%'"))
            }
            code if code == ACCOUNT_MISSING.code => (NO_ACCOUNT, "No account found".to_owned()),
            _ => (NOT_BY_RULES, error.message(Language::English)),
        },
    };
    Answer::Refused { sql_error, message }
}

async fn run(
    app: &App,
    instance: &InstanceId,
    name: &str,
    change: AccountAsk,
) -> Result<(), Refusal> {
    let record: Option<Versioned<InstanceRecord>> =
        app.get(&InstanceRecord::key_of(instance)).await?;
    let Some(record) = record else {
        return Err(Refusal::Sql(NOT_SUPPORTED.number, "the instance is being deleted".to_owned()));
    };
    let (project, id) = (&record.value.project_id, instance.as_str());
    match change {
        AccountAsk::Create { password } => create(app, instance, name, password).await?,
        AccountAsk::Drop => {
            app.delete_account(project, id, name).await?;
        }
        AccountAsk::Password { password } => {
            app.reset_password(project, id, name, password).await?;
        }
        AccountAsk::Grant { schema, authorities, password, table: Some(table) } => {
            if let (None, Some(password)) = (find(app, instance, name).await?, password) {
                create(app, instance, name, password).await?;
            }
            let edit = |tables: &mut TableGrants| grant_on(tables, &schema, &table, &authorities);
            app.update_table_grants(project, id, name, edit).await?;
        }
        AccountAsk::Revoke { schema, authorities, table: Some(table) } => {
            let present = find(app, instance, name).await?.ok_or_else(missing)?;
            let had = present.tables.get(&schema).and_then(|tables| tables.get(&table));
            if had.is_none_or(|had| had.is_disjoint(&authorities)) {
                let message = format!(
                    "There is no such grant defined for user '{name}' on host '%' on table '{table}'"
                );
                return Err(Refusal::Sql(NO_TABLE_GRANT, message));
            }
            let edit = |tables: &mut TableGrants| {
                revoke_on(tables, &schema, &table, &authorities);
                Ok(())
            };
            app.update_table_grants(project, id, name, edit).await?;
        }
        AccountAsk::Grant { schema, authorities, password, table: None } => {
            let present = find(app, instance, name).await?;
            let present = match (present, password) {
                (Some(present), _) => present,
                (None, Some(password)) => {
                    create(app, instance, name, password).await?;
                    find(app, instance, name).await?.ok_or_else(missing)?
                }
                (None, None) => return Err(missing().into()),
            };
            let wanted = granted(&present, &schema, &authorities).map_err(other_schemas)?;
            app.update_account(project, id, name, wanted).await?;
        }
        AccountAsk::Revoke { schema, authorities, table: None } => {
            let present = find(app, instance, name).await?.ok_or_else(missing)?;
            if !present.schemas.contains(&schema) || present.authorities.is_disjoint(&authorities) {
                let message =
                    format!("There is no such grant defined for user '{name}' on host '%'");
                return Err(Refusal::Sql(NO_GRANT, message));
            }
            let wanted = revoked(&present, &schema, &authorities).map_err(other_schemas)?;
            app.update_account(project, id, name, wanted).await?;
        }
    }
    Ok(())
}

/// More permissions on one table.
fn grant_on(
    tables: &mut TableGrants,
    schema: &str,
    table: &str,
    authorities: &BTreeSet<Authority>,
) -> Result<(), ApiError> {
    let count: usize = tables.values().map(BTreeMap::len).sum();
    let of = tables.entry(schema.to_owned()).or_default();
    if count >= TABLES_MAX && !of.contains_key(table) {
        let text = format!("an account has permissions on at most {TABLES_MAX} tables");
        return Err(ApiError::new(ACCOUNT_UPDATE_FAILED).because(text.clone(), text));
    }
    of.entry(table.to_owned()).or_default().extend(authorities);
    Ok(())
}

/// Fewer permissions on one table.
fn revoke_on(
    tables: &mut TableGrants,
    schema: &str,
    table: &str,
    authorities: &BTreeSet<Authority>,
) {
    if let Some(of) = tables.get_mut(schema) {
        of.entry(table.to_owned()).or_default().retain(|one| !authorities.contains(one));
        of.retain(|_, left| !left.is_empty());
    }
    tables.retain(|_, of| !of.is_empty());
}

fn missing() -> ApiError {
    ApiError::new(ACCOUNT_MISSING)
}

fn other_schemas(schemas: String) -> Refusal {
    Refusal::Sql(
        NOT_SUPPORTED.number,
        format!(
            "an account has the same permissions in all of its schemas, and this would change those in \
             {schemas} too; use the API, or another account"
        ),
    )
}

async fn create(
    app: &App,
    instance: &InstanceId,
    name: &str,
    password: Secret,
) -> Result<(), Refusal> {
    if !is_account_name(name) {
        let message =
            "an account's name has 1 to 32 letters, digits and '_', a letter first".to_owned();
        return Err(Refusal::Sql(NOT_BY_RULES, message));
    }
    control_api::password::check("password", name, password.expose())?;
    let record: Option<Versioned<InstanceRecord>> =
        app.get(&InstanceRecord::key_of(instance)).await?;
    let Some(record) = record else { return Err(missing().into()) };
    let account = NewAccount {
        name: name.to_owned(),
        password,
        authorities: BTreeSet::new(),
        description: String::new(),
        password_lifetime: 0,
        schemas: BTreeSet::new(),
    };
    app.create_accounts(&record.value.project_id, instance.as_str(), vec![account]).await?;
    Ok(())
}

async fn find(
    app: &App,
    instance: &InstanceId,
    name: &str,
) -> Result<Option<AccountRecord>, Refusal> {
    let found: Option<Versioned<AccountRecord>> =
        app.get(&AccountRecord::key_of(instance, name)).await?;
    Ok(found.map(|found| found.value).filter(|account| !account.administrator))
}

fn change(authorities: &BTreeSet<Authority>, schemas: BTreeSet<String>) -> AccountChange {
    AccountChange {
        authorities: Some(authorities.iter().map(|one| one.name().to_owned()).collect()),
        description: None,
        password_lifetime: None,
        schemas: Some(schemas),
    }
}

/// The account with more permissions in one schema; the other schemas that this would reach.
fn granted(
    account: &AccountRecord,
    schema: &str,
    more: &BTreeSet<Authority>,
) -> Result<AccountChange, String> {
    let mut schemas = account.schemas.clone();
    let had = schemas.contains(schema);
    let others: Vec<String> = schemas.iter().filter(|one| *one != schema).cloned().collect();
    let before = if had { account.authorities.clone() } else { BTreeSet::new() };
    let after: BTreeSet<Authority> = before.union(more).copied().collect();
    if !others.is_empty() && after != account.authorities {
        return Err(others.join(", "));
    }
    schemas.insert(schema.to_owned());
    Ok(change(&after, schemas))
}

/// The account with fewer permissions in one schema; the other schemas that this would reach.
fn revoked(
    account: &AccountRecord,
    schema: &str,
    less: &BTreeSet<Authority>,
) -> Result<AccountChange, String> {
    let mut schemas = account.schemas.clone();
    schemas.remove(schema);
    let left: BTreeSet<Authority> = account.authorities.difference(less).copied().collect();
    if left.is_empty() && !schemas.is_empty() {
        return Ok(change(&account.authorities, schemas));
    }
    if !schemas.is_empty() {
        return Err(schemas.into_iter().collect::<Vec<_>>().join(", "));
    }
    if !left.is_empty() {
        schemas.insert(schema.to_owned());
    }
    Ok(change(&left, schemas))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn permissions_on_tables_come_and_go() {
        let mut tables = TableGrants::new();
        let (read, write) = ([Authority::Select].into(), [Authority::Insert].into());
        grant_on(&mut tables, "a", "t", &read).unwrap();
        grant_on(&mut tables, "a", "t", &write).unwrap();
        assert_eq!(tables["a"]["t"], [Authority::Insert, Authority::Select].into());
        revoke_on(&mut tables, "a", "t", &read);
        assert_eq!(tables["a"]["t"], write);
        revoke_on(&mut tables, "b", "t", &write);
        revoke_on(&mut tables, "a", "t", &Authority::ALL.into());
        assert!(tables.is_empty(), "nothing is left of them");
        for number in 0..TABLES_MAX {
            grant_on(&mut tables, "a", &number.to_string(), &read).unwrap();
        }
        assert!(grant_on(&mut tables, "a", "0", &write).is_ok());
        assert!(grant_on(&mut tables, "b", "more", &read).is_err());
    }
}
