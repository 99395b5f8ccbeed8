//! [`DataNodeAdmin`] over the MySQL protocol. One connection a call: these calls are rare, and a
//! connection that is kept would have to be watched.

use crate::data_node_admin::{
    AdminError, AdminLogin, DataNodeAccount, DataNodeAdmin, Endpoint, Rows, ServerFacts,
};
use crate::sql_text::{account, identifier, literal};
use async_trait::async_trait;
use node_backend::connection::Connection;
use node_backend::error::BackendError;
use node_backend::options::ConnectOptions;
use node_backend::query::QueryResult;
use std::time::Duration;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a whole probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long any other call may take; dropping a database with thousands of tables is slow.
const CALL_TIMEOUT: Duration = Duration::from_secs(300);

/// How long a list of statements may take: the tables of a whole schema on one data node.
const BATCH_TIMEOUT: Duration = Duration::from_secs(1_800);

/// Texts in our statements are written for this mode.
const SET_MODE: &str = "SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION'";

/// Databases of the server itself.
const SYSTEM_DATABASES: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];

/// Global rights that the administration of a data node needs, as `SHOW GRANTS` names them.
const NEEDED_PRIVILEGES: [&str; 16] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "RELOAD",
    "PROCESS",
    "REFERENCES",
    "INDEX",
    "ALTER",
    "CREATE TEMPORARY TABLES",
    "LOCK TABLES",
    "CREATE VIEW",
    "SHOW VIEW",
    "CREATE USER",
];

/// Administration by SQL.
#[derive(Clone, Copy, Debug, Default)]
pub struct SqlDataNodeAdmin;

impl SqlDataNodeAdmin {
    /// The implementation; it has no state.
    pub fn new() -> Self {
        Self
    }

    async fn session(login: &AdminLogin) -> Result<Session<'_>, AdminError> {
        let endpoint = &login.endpoint;
        let mut options =
            ConnectOptions::new(&endpoint.host, endpoint.port, &login.user, login.password.clone());
        options.connect_timeout = CONNECT_TIMEOUT;
        let connected = Connection::connect(&options).await;
        let connection = connected.map_err(|error| translate(error, login))?;
        let mut session = Session { connection, login };
        session.execute(SET_MODE).await?;
        Ok(session)
    }
}

/// One connection and whose it is.
struct Session<'a> {
    connection: Connection,
    login: &'a AdminLogin,
}

impl Session<'_> {
    async fn execute(&mut self, sql: &str) -> Result<u64, AdminError> {
        let done = self.connection.execute_sql(sql.as_bytes()).await;
        done.map(|ok| ok.affected_rows).map_err(|error| translate(error, self.login))
    }

    async fn query(&mut self, sql: &str) -> Result<Rows, AdminError> {
        let result = self.connection.query(sql.as_bytes()).await;
        let set = match result.map_err(|error| translate(error, self.login))? {
            QueryResult::Ok(_) => return Ok(Rows::default()),
            QueryResult::Rows(set) => set,
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut rows = Vec::with_capacity(set.rows.len());
        for row in &set.rows {
            let fields = row.fields().map(|field| field.map(|value| value.map(text)));
            let fields = fields.collect::<Result<_, _>>();
            rows.push(
                fields.map_err(|error| translate(BackendError::Protocol(error), self.login))?,
            );
        }
        Ok(Rows { columns: set.columns.iter().map(|column| text(&column.name)).collect(), rows })
    }

    async fn facts(&mut self) -> Result<ServerFacts, AdminError> {
        let sql = "SELECT VERSION() AS version, @@lower_case_table_names AS lower_case_table_names, \
                   @@log_bin AS log_bin, @@binlog_format AS binlog_format, @@local_infile AS local_infile, \
                   @@global.read_only AS read_only, @@server_id AS server_id, \
                   @@character_set_server AS character_set, @@max_connections AS max_connections, \
                   TIMESTAMPDIFF(MINUTE, UTC_TIMESTAMP(), NOW()) AS offset_minutes";
        let rows = self.query(sql).await?;
        let text = |column| rows.get(0, column).unwrap_or_default().to_owned();
        let is_on = |column| matches!(rows.get(0, column), Some("1" | "ON"));
        let number = |column| rows.get(0, column).and_then(|value| value.parse::<u64>().ok());
        let version = text("version");
        let mut facts = ServerFacts {
            is_mariadb: version.contains("MariaDB"),
            version,
            // A value that cannot be read is one that does not fit.
            lower_case_table_names: number("lower_case_table_names")
                .and_then(|n| n.try_into().ok())
                .unwrap_or(u8::MAX),
            log_bin: is_on("log_bin"),
            binlog_format: text("binlog_format"),
            local_infile: is_on("local_infile"),
            read_only: is_on("read_only"),
            server_id: number("server_id").unwrap_or(0),
            character_set: text("character_set"),
            max_connections: number("max_connections").unwrap_or(0),
            time_zone: time_zone(
                rows.get(0, "offset_minutes").and_then(|minutes| minutes.parse().ok()).unwrap_or(0),
            ),
            ..ServerFacts::default()
        };
        self.add_gtid_facts(&mut facts).await?;
        facts.replica_lag = self.replica_lag().await?;
        let grants = self.query("SHOW GRANTS").await?;
        facts.missing_privileges = missing_privileges(grants.rows.iter().flatten().flatten());
        Ok(facts)
    }

    async fn add_gtid_facts(&mut self, facts: &mut ServerFacts) -> Result<(), AdminError> {
        let sql = if facts.is_mariadb {
            "SELECT @@gtid_strict_mode AS strict_mode, @@gtid_current_pos AS position, NULL AS uuid"
        } else {
            "SELECT @@gtid_mode AS strict_mode, @@gtid_executed AS position, @@server_uuid AS uuid"
        };
        let rows = self.query(sql).await?;
        facts.gtid_strict = matches!(rows.get(0, "strict_mode"), Some("1" | "ON"));
        facts.gtid_position = rows.get(0, "position").unwrap_or_default().to_owned();
        facts.server_uuid = rows.get(0, "uuid").map(str::to_owned);
        Ok(())
    }

    /// Absent for a server that is no replica, and for an account that may not ask.
    async fn replica_lag(&mut self) -> Result<Option<u64>, AdminError> {
        let rows = match self.query("SHOW REPLICA STATUS").await {
            Ok(rows) => rows,
            // MySQL 5.7 does not know the word; there, and without the right, the lag is unknown.
            Err(AdminError::Server { .. } | AdminError::Denied { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let lag =
            rows.get(0, "Seconds_Behind_Master").or_else(|| rows.get(0, "Seconds_Behind_Source"));
        Ok(lag.and_then(|seconds| seconds.parse().ok()))
    }

    async fn kill_connections(&mut self, user: &str) -> Result<(), AdminError> {
        let sql =
            format!("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = {}", literal(user));
        for id in self.query(&sql).await?.rows.into_iter().flatten().flatten() {
            match self.execute(&format!("KILL {id}")).await {
                // It went by itself.
                Ok(_) | Err(AdminError::Server { number: 1094, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Which of the needed global rights are not in these `SHOW GRANTS` lines.
fn missing_privileges<'a>(grants: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut held: Vec<String> = Vec::new();
    for line in grants {
        let global = line.strip_prefix("GRANT ").and_then(|rest| rest.split_once(" ON *.* "));
        held.extend(
            global
                .iter()
                .flat_map(|(list, _)| list.split(',').map(|name| name.trim().to_uppercase())),
        );
    }
    if held.iter().any(|name| name == "ALL PRIVILEGES" || name == "ALL") {
        return Vec::new();
    }
    NEEDED_PRIVILEGES
        .iter()
        .filter(|needed| !held.iter().any(|name| name == *needed))
        .map(|name| (*name).to_owned())
        .collect()
}

/// Refuses names before they get into a statement.
fn name(text: &str) -> Result<String, AdminError> {
    identifier(text).ok_or_else(|| AdminError::BadName(text.to_owned()))
}

/// Character sets and collations are words.
fn word(text: &str) -> Result<&str, AdminError> {
    let fine =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fine { Ok(text) } else { Err(AdminError::BadName(text.to_owned())) }
}

fn translate(error: BackendError, login: &AdminLogin) -> AdminError {
    let endpoint = login.endpoint.clone();
    match error {
        BackendError::AuthFailed { .. } | BackendError::AuthUnsupported { .. } => {
            AdminError::AuthFailed { endpoint, user: login.user.clone() }
        }
        BackendError::Timeout { doing, .. } => AdminError::Timeout { endpoint, doing },
        BackendError::Unreachable { source, .. } => {
            AdminError::Unreachable { endpoint, reason: source.to_string() }
        }
        BackendError::Server(packet) => {
            let message = String::from_utf8_lossy(&packet.message).into_owned();
            match packet.number {
                1044 | 1142 | 1143 | 1227 | 1410 => {
                    AdminError::Denied { number: packet.number, message }
                }
                number => AdminError::Server {
                    number,
                    sqlstate: String::from_utf8_lossy(&packet.sqlstate).into_owned(),
                    message,
                },
            }
        }
        BackendError::Closed { .. } => {
            AdminError::Unreachable { endpoint, reason: "the connection was closed".to_owned() }
        }
        other => AdminError::Protocol { endpoint, reason: other.to_string() },
    }
}

/// Bounds a call.
async fn within<T>(
    limit: Duration,
    endpoint: &Endpoint,
    doing: &'static str,
    call: impl Future<Output = Result<T, AdminError>> + Send,
) -> Result<T, AdminError> {
    let late = AdminError::Timeout { endpoint: endpoint.clone(), doing };
    tokio::time::timeout(limit, call).await.unwrap_or(Err(late))
}

/// `UTC+08:00` for 480 minutes.
fn time_zone(minutes: i64) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    match minutes.unsigned_abs() {
        0 => "UTC".to_owned(),
        minutes => format!("UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60),
    }
}

#[async_trait]
impl DataNodeAdmin for SqlDataNodeAdmin {
    async fn probe(&self, login: &AdminLogin) -> Result<ServerFacts, AdminError> {
        within(PROBE_TIMEOUT, &login.endpoint, "examine it", async {
            Self::session(login).await?.facts().await
        })
        .await
    }

    async fn create_database(
        &self,
        login: &AdminLogin,
        database: &str,
        character_set: &str,
        collation: &str,
    ) -> Result<(), AdminError> {
        let sql = format!(
            "CREATE DATABASE IF NOT EXISTS {} CHARACTER SET {} COLLATE {}",
            name(database)?,
            word(character_set)?,
            word(collation)?
        );
        self.execute(login, &sql).await.map(drop)
    }

    async fn drop_database(&self, login: &AdminLogin, database: &str) -> Result<(), AdminError> {
        let sql = format!("DROP DATABASE IF EXISTS {}", name(database)?);
        self.execute(login, &sql).await.map(drop)
    }

    async fn list_databases(
        &self,
        login: &AdminLogin,
        prefix: &str,
    ) -> Result<Vec<String>, AdminError> {
        let rows = self
            .query(login, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA ORDER BY 1")
            .await?;
        let names = rows.rows.into_iter().flatten().flatten();
        Ok(names
            .filter(|database| database.starts_with(prefix))
            .filter(|database| !SYSTEM_DATABASES.contains(&database.to_lowercase().as_str()))
            .collect())
    }

    async fn ensure_account(
        &self,
        login: &AdminLogin,
        wanted: &DataNodeAccount,
    ) -> Result<(), AdminError> {
        let who = account(&wanted.user, &wanted.host);
        let password = literal(wanted.password.expose());
        within(CALL_TIMEOUT, &login.endpoint, "make an account", async {
            let mut session = Self::session(login).await?;
            session
                .execute(&format!("CREATE USER IF NOT EXISTS {who} IDENTIFIED BY {password}"))
                .await?;
            session.execute(&format!("ALTER USER {who} IDENTIFIED BY {password}")).await?;
            for grant in &wanted.grants {
                session
                    .execute(&format!("GRANT {} ON {} TO {who}", grant.privileges, grant.on))
                    .await?;
            }
            Ok(())
        })
        .await
    }

    async fn drop_account(
        &self,
        login: &AdminLogin,
        user: &str,
        host: &str,
    ) -> Result<(), AdminError> {
        within(CALL_TIMEOUT, &login.endpoint, "drop an account", async {
            let mut session = Self::session(login).await?;
            session.execute(&format!("DROP USER IF EXISTS {}", account(user, host))).await?;
            session.kill_connections(user).await
        })
        .await
    }

    async fn execute(&self, login: &AdminLogin, sql: &str) -> Result<u64, AdminError> {
        within(CALL_TIMEOUT, &login.endpoint, "run a statement", async {
            Self::session(login).await?.execute(sql).await
        })
        .await
    }

    async fn query(&self, login: &AdminLogin, sql: &str) -> Result<Rows, AdminError> {
        within(CALL_TIMEOUT, &login.endpoint, "run a query", async {
            Self::session(login).await?.query(sql).await
        })
        .await
    }

    async fn execute_all(
        &self,
        login: &AdminLogin,
        statements: &[String],
    ) -> Result<(), AdminError> {
        within(BATCH_TIMEOUT, &login.endpoint, "run statements", async {
            let mut session = Self::session(login).await?;
            for statement in statements {
                session.execute(statement).await?;
            }
            Ok(())
        })
        .await
    }

    async fn query_all(
        &self,
        login: &AdminLogin,
        statements: &[String],
    ) -> Result<Vec<Result<Rows, AdminError>>, AdminError> {
        within(BATCH_TIMEOUT, &login.endpoint, "run queries", async {
            let mut session = Self::session(login).await?;
            let mut answers = Vec::with_capacity(statements.len());
            for statement in statements {
                answers.push(match session.query(statement).await {
                    refused @ Err(AdminError::Server { .. } | AdminError::Denied { .. }) => refused,
                    other => Ok(other?),
                });
            }
            Ok(answers)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_zones_have_the_form_of_the_api() {
        for (minutes, zone) in
            [(0, "UTC"), (480, "UTC+08:00"), (-210, "UTC-03:30"), (-30, "UTC-00:30")]
        {
            assert_eq!(time_zone(minutes), zone);
        }
    }

    #[test]
    fn grants_are_read() {
        let missing = |lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            missing_privileges(lines.iter())
        };
        assert!(missing(&["GRANT ALL PRIVILEGES ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*X' WITH GRANT OPTION"]).is_empty());
        let all_but_one = NEEDED_PRIVILEGES[1..].join(", ");
        assert_eq!(missing(&[&format!("GRANT {all_but_one} ON *.* TO `a`@`%`")]), ["SELECT"]);
        assert_eq!(
            missing(&["GRANT USAGE ON *.* TO `a`@`%`", "GRANT ALL PRIVILEGES ON `x`.* TO `a`@`%`"])
                .len(),
            NEEDED_PRIVILEGES.len()
        );
    }

    #[test]
    fn names_cannot_carry_statements() {
        assert_eq!(name("a`; DROP").ok().as_deref(), Some("`a``; DROP`"));
        assert!(name("").is_err());
        assert!(word("utf8mb4; DROP").is_err());
        assert!(word("utf8mb4_bin").is_ok());
    }
}
