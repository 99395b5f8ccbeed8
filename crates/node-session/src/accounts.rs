//! Accounts in SQL: CREATE USER, DROP USER, ALTER USER and SET PASSWORD with a password, GRANT and
//! REVOKE on a schema. They change the control plane's accounts, which are the API's, and are over when
//! every node knows of it. An account is its name: a host is taken only as `%`.

use crate::control::text;
use crate::query::Source;
use crate::session::Core;
use crate::show::literal_text;
use base::secret::Secret;
use base::sql_error;
use mysql_wire::packet::{ErrPacket, OkPacket};
use node_exec::ask::AskError;
use node_exec::error::{ExecError, sql};
use sql_syntax::ast::{Account, AccountStmt, Expr, ExprKind, Grant, GrantLevel, Ident, Span};
use std::collections::BTreeSet;
use topology::account::Authority;
use topology::stream::{AccountAsk, Answer, Ask};

/// What MySQL says of an account that cannot be made or dropped.
const CANNOT_USER: u16 = 1396;

impl Core {
    fn require_account_rights(&self, privilege: &str) -> Result<(), ExecError> {
        if self.account()?.administrator {
            return Ok(());
        }
        Err(sql(
            sql_error::SPECIFIC_ACCESS_DENIED,
            format!(
                "Access denied; you need (at least one of) the {privilege} privilege(s) for this operation"
            ),
        ))
    }

    /// CREATE, ALTER, DROP USER, GRANT, REVOKE.
    pub async fn run_account(
        &mut self,
        statement: &AccountStmt,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        self.commit().await?;
        match statement {
            AccountStmt::CreateUser { if_not_exists, users } => {
                self.require_account_rights("CREATE USER")?;
                for (account, password) in users {
                    let name = self.account_name(account, source)?;
                    let password = needed_password(*password, source)?;
                    let made = self.ask_account(name, AccountAsk::Create { password }).await;
                    ignore(made, *if_not_exists)?;
                }
            }
            AccountStmt::DropUser { if_exists, users } => {
                self.require_account_rights("CREATE USER")?;
                for account in users {
                    let name = self.account_name(account, source)?;
                    ignore(self.ask_account(name, AccountAsk::Drop).await, *if_exists)?;
                }
            }
            AccountStmt::AlterUser { users } => {
                for (account, password) in users {
                    let name = self.account_name(account, source)?;
                    let password = needed_password(*password, source)?;
                    self.change_password(name, password).await?;
                }
            }
            AccountStmt::Grant(grant) => self.run_grant(grant, false, source).await?,
            AccountStmt::Revoke(grant) => self.run_grant(grant, true, source).await?,
            AccountStmt::Other => {
                return Err(sql(
                    sql_error::NOT_SUPPORTED,
                    "roles and renamed accounts are not supported; make an account of the new name",
                ));
            }
        }
        self.reply_ok_packet(OkPacket::default());
        Ok(())
    }

    /// SET PASSWORD \[FOR account\] = 'password' | PASSWORD('password').
    pub async fn set_password(
        &mut self,
        account: Option<&Account>,
        value: Option<&Expr>,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let name = match account {
            Some(account) => self.account_name(account, source)?,
            None => self.user.clone(),
        };
        let literal = value.map(Expr::unparen).and_then(|value| match &value.kind {
            ExprKind::Func(call) => call.args.first().and_then(|inner| inner.as_literal()),
            _ => value.as_literal(),
        });
        let password = needed_password(literal.map(|literal| literal.tok), source)?;
        self.change_password(name, password).await?;
        self.reply_ok_packet(OkPacket::default());
        Ok(())
    }

    async fn change_password(&mut self, name: String, password: Secret) -> Result<(), ExecError> {
        if name != self.user {
            self.require_account_rights("CREATE USER")?;
        }
        self.ask_account(name, AccountAsk::Password { password }).await
    }

    async fn run_grant(
        &mut self,
        grant: &Grant,
        revoke: bool,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        self.require_account_rights("GRANT OPTION")?;
        let refused = |text: &str| Err(sql(sql_error::NOT_SUPPORTED, text));
        if grant.grant_option {
            return refused(
                "WITH GRANT OPTION is not supported: the administrator gives permissions",
            );
        }
        let (schema, table) = self.granted_place(grant, source)?;
        if grant.privileges.iter().any(|privilege| has_columns(*privilege, source)) {
            return refused(
                "permissions on columns are not supported; grant on the table, or on a view",
            );
        }
        let authorities = authorities_of(grant, source)?;
        if let Some(table) = &table {
            let makes = authorities.contains(&Authority::Create);
            if !revoke && !makes && !self.has_table(&schema, table).await? {
                let text = format!("Table '{schema}.{table}' doesn't exist");
                return Err(sql(sql_error::NO_SUCH_TABLE, text));
            }
        }
        let table = table.map(|table| table.to_lowercase());
        for (account, password) in &grant.users {
            let name = self.account_name(account, source)?;
            let password = password.map(|token| Secret::new(literal_text(source, token)));
            if authorities.is_empty() {
                // USAGE is to be an account.
                if let (Some(password), false) = (password, revoke) {
                    ignore(self.ask_account(name, AccountAsk::Create { password }).await, true)?;
                }
                continue;
            }
            let (schema, authorities) = (schema.clone(), authorities.clone());
            let table = table.clone();
            let change = match revoke {
                true => AccountAsk::Revoke { schema, authorities, table },
                false => AccountAsk::Grant { schema, authorities, password, table },
            };
            self.ask_account(name, change).await?;
        }
        Ok(())
    }

    /// The schema, and the table if it is about one.
    fn granted_place(
        &self,
        grant: &Grant,
        source: Source<'_>,
    ) -> Result<(String, Option<String>), ExecError> {
        let current = || match &self.exec.identity.schema {
            Some(schema) => Ok(schema.clone()),
            None => Err(sql(sql_error::NO_DB_SELECTED, "No database selected")),
        };
        let name = |ident: Ident| text(&ident.name(source.text));
        let (schema, table) = match grant.level {
            GrantLevel::Schema(schema) => (name(schema), None),
            GrantLevel::CurrentSchema => (current()?, None),
            GrantLevel::Table(of) => {
                let schema = of.schema.map_or_else(current, |schema| Ok(name(schema)))?;
                (schema, Some(name(of.name)))
            }
            GrantLevel::Global | GrantLevel::None => {
                return Err(sql(
                    sql_error::NOT_SUPPORTED,
                    "permissions are given and taken in schemas and on tables here: GRANT … ON schema.* or \
                     schema.table; *.* is the administrator's, and there are no roles",
                ));
            }
        };
        let schema = schema.to_lowercase();
        if !self.snapshot.schemas.contains_key(&schema) {
            return Err(sql(sql_error::UNKNOWN_DB, format!("Unknown database '{schema}'")));
        }
        Ok((schema, table))
    }

    /// Whether there is a table, view or sequence of this name.
    async fn has_table(&self, schema: &str, table: &str) -> Result<bool, ExecError> {
        let Some(schema) = self.base_snapshot().schemas.get(schema) else { return Ok(false) };
        if schema.table(table).is_some() {
            return Ok(true);
        }
        let named = &self.worker.shared.sequences.named;
        Ok(named.find(&self.worker.backends, schema, table).await?.is_some())
    }

    fn account_name(&self, account: &Account, source: Source<'_>) -> Result<String, ExecError> {
        let host = account.host.map(|host| text(host.of(source.text)));
        let bare = host.as_deref().unwrap_or("%").trim_start_matches('@').trim();
        if bare.trim_matches(|c| matches!(c, '\'' | '`' | '"')) != "%" {
            return Err(sql(
                sql_error::NOT_SUPPORTED,
                "an account is its name here, at any host: leave the host out, or write '%'",
            ));
        }
        let Some(user) = account.user else { return Ok(self.user.clone()) };
        let raw = text(user.raw(source.text));
        Ok(raw.trim_matches(|c| matches!(c, '\'' | '`' | '"')).to_owned())
    }

    async fn ask_account(&mut self, name: String, change: AccountAsk) -> Result<(), ExecError> {
        match self.worker.shared.control.ask(Ask::Account { name, change }).await {
            Ok(Answer::Published { .. }) => Ok(()),
            Ok(Answer::Refused { sql_error: number, message }) => {
                Err(ExecError::Server(ErrPacket::new(number, "HY000", message)))
            }
            Ok(_) => Err(sql(
                sql_error::UNKNOWN_ERROR,
                "the control plane gave another answer than asked for",
            )),
            Err(error @ AskError::Away) => {
                Err(sql(sql_error::CONTROL_PLANE_AWAY, error.to_string()))
            }
            Err(error @ AskError::Lost) => Err(sql(sql_error::DDL_INCOMPLETE, error.to_string())),
        }
    }
}

/// What a GRANT or REVOKE names.
fn authorities_of(grant: &Grant, source: Source<'_>) -> Result<BTreeSet<Authority>, ExecError> {
    let mut authorities = BTreeSet::new();
    for privilege in &grant.privileges {
        let words = text(privilege.of(source.text)).to_uppercase();
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["ALL"] | ["ALL", "PRIVILEGES"] => authorities.extend(Authority::ALL),
            // Nothing else, and nothing of one's own to give.
            ["USAGE"] => {}
            other => {
                let name = other.join(" ");
                let authority = Authority::parse(&name).ok_or_else(|| {
                    let text = format!("a schema's permissions have no '{name}'");
                    sql(sql_error::NOT_SUPPORTED, text)
                })?;
                authorities.insert(authority);
            }
        }
    }
    Ok(authorities)
}

/// Whether columns are listed behind a privilege.
fn has_columns(privilege: Span, source: Source<'_>) -> bool {
    let rest = source.text.get(privilege.end as usize..).unwrap_or_default();
    rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'(')
}

fn needed_password(token: Option<u32>, source: Source<'_>) -> Result<Secret, ExecError> {
    token.map(|token| Secret::new(literal_text(source, token))).ok_or_else(|| {
        sql(
            sql_error::SYNTAX_ERROR,
            "You have an error in your SQL syntax; an account needs IDENTIFIED BY 'password'",
        )
    })
}

/// IF EXISTS and IF NOT EXISTS.
fn ignore(result: Result<(), ExecError>, may: bool) -> Result<(), ExecError> {
    match result {
        Err(error) if may && error.packet().number == CANNOT_USER => Ok(()),
        other => other,
    }
}
