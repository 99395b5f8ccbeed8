//! SHOW GRANTS: an account's rights, as statements that name no host, for an account is its name.

use crate::control::text;
use crate::query::Source;
use crate::session::Core;
use crate::show::{Row, field};
use base::sql_error;
use mysql_wire::packet::ErrPacket;
use node_exec::error::{ExecError, sql};
use node_exec::rows::text_column;
use sql_syntax::ast::Show;
use std::collections::BTreeSet;
use topology::account::{Account, Authority};

/// What an administrator may do, in the product's words.
const ADMINISTRATOR: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, FILE, GRANT, REFERENCES, INDEX, ALTER, \
                             LOCK TABLES, SHOW DATABASES, SUPER, CREATE USER";

/// The order in which rights are listed.
const ORDER: [Authority; 8] = [
    Authority::Select,
    Authority::Insert,
    Authority::Update,
    Authority::Delete,
    Authority::Create,
    Authority::Drop,
    Authority::Index,
    Authority::Alter,
];

impl Core {
    /// SHOW GRANTS \[FOR name | CURRENT_USER\[()\]\].
    pub async fn show_grants(&mut self, show: &Show, source: Source<'_>) -> Result<(), ExecError> {
        let account = self.account()?;
        let words = text(show.rest.unwrap_or_default().of(source.text));
        let named = words.trim().trim_start_matches(|c: char| !c.is_whitespace()).trim();
        let bare = named.split('@').next().unwrap_or_default();
        let name = bare.trim().trim_matches(|c| matches!(c, '\'' | '`' | '"'));
        let is_own = name.is_empty() || bare.to_ascii_uppercase().starts_with("CURRENT_USER");
        let shown = if is_own || name == account.name {
            account
        } else {
            self.other_account(account, name)?
        };
        let rows: Vec<Row> = grants(shown).into_iter().map(|line| vec![field(line)]).collect();
        let title = format!("Grants for {}", shown.name);
        self.reply(&[text_column(&title)], &rows).await
    }

    /// Another account, for whoever may grant.
    fn other_account(&self, own: &Account, name: &str) -> Result<&Account, ExecError> {
        if !own.administrator {
            return Err(sql(
                sql_error::DB_ACCESS_DENIED,
                format!(
                    "Access denied for user '{}'@'{}' to database 'mysql'",
                    own.name, self.host
                ),
            ));
        }
        self.snapshot.accounts.get(name).ok_or_else(|| {
            let message = format!("There is no such grant defined for user '{name}' on host '%'");
            ExecError::Server(ErrPacket::new(1141, "42000", message))
        })
    }
}

/// An account's rights, a statement each.
fn grants(account: &Account) -> Vec<String> {
    let name = &account.name;
    if account.administrator {
        return vec![format!("GRANT {ADMINISTRATOR} ON *.* TO {name}")];
    }
    let list = |authorities: &BTreeSet<Authority>| {
        let may: Vec<&str> = ORDER
            .iter()
            .filter(|authority| authorities.contains(authority))
            .map(|authority| authority.name())
            .collect();
        may.join(", ")
    };
    let mut lines = vec![format!("GRANT USAGE ON *.* TO {name}")];
    if !account.authorities.is_empty() {
        let listed = list(&account.authorities);
        let of = |schema: &String| format!("GRANT {listed} ON {schema}.* TO {name}");
        lines.extend(account.schemas.iter().map(of));
    }
    for (schema, tables) in &account.tables {
        let of = |(table, may): (&String, &BTreeSet<Authority>)| {
            format!("GRANT {} ON {schema}.{table} TO {name}", list(may))
        };
        lines.extend(tables.iter().map(of));
    }
    lines
}
