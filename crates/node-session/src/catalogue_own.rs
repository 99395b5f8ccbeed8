//! Rows of information_schema that the node itself knows: schemas, sessions, accounts' rights, and
//! variables with the instance's own values.

use crate::catalogue_rows::{Needed, ask_for, of, set};
use crate::own_status::OthersStatus;
use crate::permission;
use crate::session::Core;
use crate::show::{Row, field};
use base::sql_error;
use node_exec::error::{ExecError, sql};
use sql_plan::catalogue::{CatalogueTable, INFORMATION_SCHEMA};
use topology::account::Authority;
use topology::peers::SessionRow;

/// What SHOW GRANTS says of an administrator, as information_schema's words.
const ADMINISTRATOR_PRIVILEGES: [&str; 14] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "FILE",
    "REFERENCES",
    "INDEX",
    "ALTER",
    "LOCK TABLES",
    "SHOW DATABASES",
    "SUPER",
    "CREATE USER",
];

impl Core {
    pub(crate) async fn schemata_rows(&mut self, needed: &Needed) -> Result<Vec<Row>, ExecError> {
        let node = self.worker.backends.any()?.definition.id.clone();
        let ask = ask_for("SCHEMATA", "SCHEMA_NAME", INFORMATION_SCHEMA, needed);
        let mut rows: Vec<Row> =
            self.ask_catalogue(vec![(node, vec![ask])]).await?.into_iter().flatten().collect();
        rows.extend(self.visible_schemas().map(|schema| {
            let value = |column: &String| match column.as_str() {
                "CATALOG_NAME" => field("def"),
                "SCHEMA_NAME" => field(&schema.name),
                "DEFAULT_CHARACTER_SET_NAME" => field(&schema.character_set),
                "DEFAULT_COLLATION_NAME" => field(&schema.collation),
                "SCHEMA_COMMENT" => field(""),
                "DEFAULT_ENCRYPTION" => field("NO"),
                _ => None,
            };
            needed.columns.iter().map(value).collect()
        }));
        Ok(rows)
    }

    pub(crate) async fn process_rows(&self, needed: &Needed) -> Result<Vec<Row>, ExecError> {
        let (sessions, missing) = self.all_sessions().await?;
        if let Some(missing) = missing {
            return Err(sql(
                sql_error::CONTROL_PLANE_AWAY,
                format!(
                    "the sessions of all nodes cannot be told: {missing}; SHOW PROCESSLIST has this node's"
                ),
            ));
        }
        let row = |session: &SessionRow| {
            let value = |column: &String| match column.as_str() {
                "ID" => field(session.id),
                "USER" => field(&session.user),
                "HOST" => field(&session.host),
                "DB" => session.schema.as_ref().and_then(field),
                "COMMAND" => field(if session.running { "Query" } else { "Sleep" }),
                "TIME" => field(session.milliseconds / 1000),
                "STATE" => field(if session.running { "executing" } else { "" }),
                "INFO" | "INFO_BINARY" => session.statement.clone().map(String::into_bytes),
                "TIME_MS" => field(format!("{}.000", session.milliseconds)),
                _ => field(0),
            };
            needed.columns.iter().map(value).collect()
        };
        Ok(sessions.iter().map(row).collect())
    }

    /// The accounts whose rights this one sees.
    fn seen_accounts(&self) -> Vec<&topology::account::Account> {
        let all = self.account().is_ok_and(|account| account.administrator);
        self.snapshot.accounts.values().filter(|one| all || one.name == self.user).collect()
    }

    pub(crate) fn user_privilege_rows(&self, needed: &Needed) -> Vec<Row> {
        let mut rows = Vec::new();
        for account in self.seen_accounts() {
            let privileges: &[&str] =
                if account.administrator { &ADMINISTRATOR_PRIVILEGES } else { &["USAGE"] };
            for privilege in privileges {
                rows.push(privilege_row(needed, account, None, privilege));
            }
        }
        rows
    }

    pub(crate) fn schema_privilege_rows(&self, needed: &Needed) -> Vec<Row> {
        let mut rows = Vec::new();
        for account in self.seen_accounts().into_iter().filter(|one| !one.administrator) {
            for schema in &account.schemas {
                for authority in Authority::ALL {
                    if permission::may(account, schema, authority) {
                        rows.push(privilege_row(needed, account, Some(schema), authority.name()));
                    }
                }
            }
        }
        rows
    }

    pub(crate) fn table_privilege_rows(&self, needed: &Needed) -> Vec<Row> {
        let mut rows = Vec::new();
        for account in self.seen_accounts().into_iter().filter(|one| !one.administrator) {
            for (schema, tables) in &account.tables {
                for (table, authorities) in tables {
                    for authority in authorities {
                        let mut row =
                            privilege_row(needed, account, Some(schema), authority.name());
                        set(&mut row, needed.at("TABLE_NAME"), table);
                        rows.push(row);
                    }
                }
            }
        }
        rows
    }

    pub(crate) async fn variable_rows(
        &mut self,
        table: &CatalogueTable,
        needed: &Needed,
    ) -> Result<Vec<Row>, ExecError> {
        let node = self.worker.backends.any()?;
        let mut lease = node.lease(self.exec.found_rows, &self.exec.state).await?;
        let ask = format!("SELECT {} FROM information_schema.{}", needed.list(), table.name);
        let rows = lease.query(ask.as_bytes()).await?.into_rows();
        let global = table.name.starts_with("GLOBAL");
        let of_status = table.name.ends_with("STATUS");
        let mut rows: Vec<Row> = rows
            .iter()
            .map(|row| row.fields().map(|field| field.ok().flatten().map(<[u8]>::to_vec)).collect())
            .collect();
        let names: Vec<String> = rows
            .iter()
            .map(|row| of(row, needed.at("VARIABLE_NAME")).unwrap_or_default())
            .collect();
        let others = match of_status {
            true => self.others_status(names.iter().map(String::as_str), global).await,
            false => OthersStatus::default(),
        };
        for (row, name) in rows.iter_mut().zip(&names) {
            let own = match of_status {
                true => self.own_status(name, global, &others),
                false => self.own_variable(name, global),
            };
            if let Some(own) = own {
                set(row, needed.at("VARIABLE_VALUE"), &own);
            }
        }
        self.uncounted_nodes = others.missing;
        Ok(rows)
    }
}

fn privilege_row(
    needed: &Needed,
    account: &topology::account::Account,
    schema: Option<&str>,
    privilege: &str,
) -> Row {
    let value = |column: &String| match column.as_str() {
        "GRANTEE" => field(format!("'{}'@'%'", account.name)),
        "TABLE_CATALOG" => field("def"),
        "TABLE_SCHEMA" => schema.and_then(field),
        "PRIVILEGE_TYPE" => field(privilege),
        "IS_GRANTABLE" => field(if account.administrator { "YES" } else { "NO" }),
        _ => None,
    };
    needed.columns.iter().map(value).collect()
}
