//! What an account may do, checked for each execution against the present snapshot, so that a change
//! reaches connected sessions with their next statement. The texts are MySQL's own.

use base::sql_error::{self, SqlError};
use sql_plan::plan::Access;
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
    let sees = account.schemas.contains(&access.schema.to_lowercase());
    if sees && account.authorities.contains(&access.authority) {
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

/// Whether the account sees the schema at all.
pub fn sees(account: &Account, schema: &str) -> bool {
    account.administrator || account.schemas.contains(schema)
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
        account.administrator = true;
        assert!(check(&account, "h", &[access("b", Authority::Drop)]).is_ok());
    }
}
