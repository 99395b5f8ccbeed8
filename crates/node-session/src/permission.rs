//! What an account may do, checked for each execution against the present snapshot, so that a change
//! reaches connected sessions with their next statement. The texts are MySQL's own.

use base::sql_error::{self, SqlError};
use node_exec::names::{CATALOGUE_STAND_IN, SEQUENCE_STAND_IN};
use sql_plan::plan::Access;
use std::collections::BTreeSet;
use topology::account::{Account, Authority};

/// Whether the account may do all of this; the first thing that it may not is the error.
pub fn check(account: &Account, host: &str, access: &[Access]) -> Result<(), SqlError> {
    if account.administrator {
        return Ok(());
    }
    access.iter().try_for_each(|one| check_one(account, host, one))
}

fn check_one(account: &Account, host: &str, access: &Access) -> Result<(), SqlError> {
    if access.schema.eq_ignore_ascii_case("information_schema") {
        return Ok(());
    }
    let schema = access.schema.to_lowercase();
    if account.schemas.contains(&schema) && account.authorities.contains(&access.authority) {
        return Ok(());
    }
    if let Some(table) = &access.table
        && of_table(account, &schema, table).is_some_and(|may| may.contains(&access.authority))
    {
        return Ok(());
    }
    // Rights on what a session's own temporary table stands for were looked at when it was made.
    let stands_in = |table: &String| {
        table.starts_with(CATALOGUE_STAND_IN) || table.starts_with(SEQUENCE_STAND_IN)
    };
    if access.authority == Authority::Select && access.table.as_ref().is_some_and(stands_in) {
        return Ok(());
    }
    Err(match &access.table {
        Some(table) => table_denied(account, host, access.authority, table),
        None => schema_denied(account, host, &access.schema),
    })
}

/// Whether the account may do this in the schema.
pub fn may(account: &Account, schema: &str, authority: Authority) -> bool {
    account.administrator
        || account.schemas.contains(schema) && account.authorities.contains(&authority)
}

/// The account may not do this to this table.
pub fn table_denied(account: &Account, host: &str, authority: Authority, table: &str) -> SqlError {
    SqlError::new(
        sql_error::TABLE_ACCESS_DENIED,
        format!(
            "{} command denied to user '{}'@'{host}' for table '{table}'",
            authority.name(),
            account.name
        ),
    )
}

/// The account may not use this schema.
pub fn schema_denied(account: &Account, host: &str, schema: &str) -> SqlError {
    SqlError::new(
        sql_error::DB_ACCESS_DENIED,
        format!("Access denied for user '{}'@'{host}' to database '{schema}'", account.name),
    )
}

/// What the account may do with one table besides what it may do in the schema.
fn of_table<'a>(
    account: &'a Account,
    schema: &str,
    table: &str,
) -> Option<&'a BTreeSet<Authority>> {
    // Nearly all accounts have none.
    account.tables.get(schema)?.get(&table.to_lowercase())
}

/// Whether the account sees the schema at all.
pub fn sees(account: &Account, schema: &str) -> bool {
    account.administrator || account.schemas.contains(schema) || account.tables.contains_key(schema)
}

/// Whether the account sees everything in the schema.
pub fn sees_all(account: &Account, schema: &str) -> bool {
    account.administrator || account.schemas.contains(schema) && !account.authorities.is_empty()
}

/// Whether the account sees a table: it may do something with it.
pub fn sees_table(account: &Account, schema: &str, table: &str) -> bool {
    sees_all(account, schema) || of_table(account, schema, table).is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use topology::account::Verifiers;

    #[test]
    fn both_schema_and_authority_are_needed() {
        let mut account = Account {
            name: "u".into(),
            verifiers: Verifiers { native: [0; 20], sha2: [0; 32] },
            authorities: [Authority::Select].into(),
            schemas: ["a".to_owned()].into(),
            tables: Default::default(),
            administrator: false,
            require_tls: false,
            password_expires_ms: None,
        };
        let access = |schema: &str, authority| Access {
            schema: schema.into(),
            table: Some("t".into()),
            authority,
        };
        assert!(check(&account, "h", &[access("a", Authority::Select)]).is_ok());
        let error = check(&account, "h", &[access("a", Authority::Insert)]).unwrap_err();
        assert_eq!(error.code.number, 1142);
        assert_eq!(error.message, "INSERT command denied to user 'u'@'h' for table 't'");
        assert!(check(&account, "h", &[access("b", Authority::Select)]).is_err());
        let schema = Access { schema: "b".into(), table: None, authority: Authority::Create };
        assert_eq!(check(&account, "h", &[schema]).unwrap_err().code.number, 1044);
        let may: BTreeSet<Authority> = [Authority::Insert].into();
        account.tables.insert("b".into(), [("t".to_owned(), may)].into());
        assert!(check(&account, "h", &[access("b", Authority::Insert)]).is_ok());
        assert!(check(&account, "h", &[access("b", Authority::Select)]).is_err());
        assert!(sees(&account, "b") && sees_table(&account, "b", "T"));
        assert!(!sees_table(&account, "b", "u") && !sees_all(&account, "b"));
        assert!(sees_table(&account, "a", "u"));
        account.administrator = true;
        assert!(check(&account, "h", &[access("b", Authority::Drop)]).is_ok());
    }
}
